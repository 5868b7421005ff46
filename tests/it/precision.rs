//! Matrix products in half precision: the laws of every net, training and sampling.
use crate::common::*;
use burn::tensor::Tensor;
use rayon::prelude::*;
use tweedie::{
    Precision, Rng,
    condition::{ConditionKind, ConditionSpec, Conditions},
    data::Samples,
    error::ErrorKind,
    laws,
    loss::Simple,
    model::Model,
    net::{DitConfig, Edm2Config, MlpConfig, Net, Positions, Resampling, TransformerConfig, UNetConfig},
    noise::Gaussian,
    sample::Ddim,
    schedule::Cosine,
    train::{Checkpoint, LossScale, Train, Trainer},
};

fn specs() -> Vec<ConditionSpec> {
    vec![
        ConditionSpec::new("class", ConditionKind::Class { num_classes: 3 }),
        ConditionSpec::new("caption", ConditionKind::Tokens { vocabulary: 11, length: 4 }),
    ]
}
fn random(rows: usize) -> Conditions {
    random_conditions(&specs(), rows)
}

fn obeys<const D: usize, N: Net<D, Condition = Conditions>>(name: &str, net: N, z: Tensor<D>, y: &Conditions) {
    for precision in [Precision::Bf16, Precision::F16] {
        let checks = laws::precision(&net, &z, y, precision);
        let near = checks.iter().find(|check| check.law.starts_with("output in half precision is near")).unwrap();
        // It is in half precision.
        assert!(near.measured > 1e-5, "{name}: {near}");
        all_hold(name, checks);
    }
}

#[test]
fn every_net_obeys_the_laws_of_half_precision() {
    let (rng, device) = (&Rng::new(1), &device());
    let mlp = MlpConfig::new(3).with_num_classes(3).init(rng, device).unwrap();
    obeys("mlp", mlp, normal("z", [5, 3]), &labels(5));
    let unet = UNetConfig::new(2, [8, 12, 12]).with_attention([0]).with_cross_attention([1]).with_conditions(specs());
    obeys("unet", unet.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &random(3));
    let other = unet.clone().with_scale_shift(false).with_resampling(Resampling::Residual);
    obeys("unet, other blocks", other.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &random(3));
    obeys("unet of signals", unet.init_rank::<3>(rng, device).unwrap(), normal("z", [3, 2, 11]), &random(3));
    let volumes = UNetConfig::new(1, [8, 8]).with_blocks(1).init_rank::<5>(rng, device).unwrap();
    obeys("unet of volumes", volumes, normal("z", [2, 1, 4, 4, 4]), &Conditions::none());
    let dit = DitConfig::new(2).with_width(16).with_depth(3).with_heads(2).with_positions(Positions::Rotary);
    let dit = dit.with_long_skips(true).with_conditions(specs());
    obeys("dit", dit.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &random(3));
    let edm2 = Edm2Config::new(2, [8, 12]).with_blocks(1).with_attention([1]).with_num_classes(3);
    obeys("edm2", edm2.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &labels(3));
    let text = TransformerConfig::new(10, 12).with_width(16).with_depth(3).with_heads(2).with_conditions(specs());
    obeys("transformer", text.init(rng, device).unwrap(), tokens(3, 12), &random(3));
    let masked = text.with_causal(true).with_pad(7).with_tied(true);
    obeys("masked transformer", masked.init(rng, device).unwrap(), tokens(3, 12), &random(3));
    let (pixels, z) = pixels(rng);
    obeys("pixels", pixels, z, &labels(3));
}

fn dit() -> Model<4, tweedie::net::Dit> {
    let net = DitConfig::new(1).with_width(16).with_depth(2).with_heads(2).with_num_classes(3);
    Model::new(Gaussian::new(Cosine::new(100)), net.init(&Rng::new(1), &device()).unwrap()).unwrap()
}
fn images() -> Samples<4> {
    Samples::new(floats(normal("x", [8, 1, 8, 8])), [8, 1, 8, 8])
}
fn settings(precision: Precision) -> Train {
    Train { steps: 4, batch: 4, precision, warmup: 0, ..Train::default() }
}

/// Losses, and all parameters, averages and moments, as bits.
fn state<const D: usize, N: Net<D>>(trainer: &mut Trainer<'_, D, N>) -> (Vec<u64>, Vec<Vec<u32>>) {
    let losses = trainer.by_ref().map(|step| step.unwrap().loss.to_bits()).collect();
    let checkpoint = trainer.checkpoint();
    let moments = [&checkpoint.weights, &checkpoint.moments.first, &checkpoint.moments.second];
    let all = moments.into_iter().chain(&checkpoint.average).flat_map(|of| of.to_host());
    (losses, all.map(|(.., values)| values.into_iter().map(f32::to_bits).collect()).collect())
}

#[test]
fn training_in_bf16_keeps_parameters_and_moments_in_single_precision() {
    let run = |settings: Train| state(&mut dit().train(&images(), Simple {}, settings).unwrap());
    let (single, half) = (run(settings(Precision::F32)), run(settings(Precision::Bf16)));
    assert_ne!(single.0, half.0);
    for (a, b) in single.0.iter().zip(&half.0).map(|(a, b)| (f64::from_bits(*a), f64::from_bits(*b))) {
        assert!((a - b).abs() < 0.02 * a.abs(), "{a} and {b}");
    }
    // Parameters, averages and moments have more digits than bf16.
    for (i, bits) in half.1.iter().enumerate().filter(|(_, bits)| bits.len() > 20) {
        let zero = bits.iter().filter(|bits| *bits << 1 == 0).count();
        let short = bits.iter().filter(|bits| *bits & 0xffff == 0).count() - zero;
        assert!(short * 4 < bits.len(), "{short} of {} numbers of tensor {i} are in bf16", bits.len());
    }
    // The same bits again, on one thread, and with gradient checkpointing.
    assert!(run(settings(Precision::Bf16)) == half);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert!(one.install(|| run(settings(Precision::Bf16))) == half);
    assert!(run(Train { checkpointing: true, ..settings(Precision::Bf16) }) == half);
    // Runs of both kinds side by side on the same threads.
    let kinds: Vec<Precision> = (0..6).map(|i| [Precision::F32, Precision::Bf16][i % 2]).collect();
    for (kind, found) in kinds.par_iter().map(|kind| (kind, run(settings(*kind)))).collect::<Vec<_>>() {
        assert!(found == if *kind == Precision::F32 { single.clone() } else { half.clone() }, "{kind:?}");
    }
}

#[test]
fn a_run_in_bf16_resumes_bit_by_bit_and_with_another_precision() {
    let data = images();
    let train = |steps, precision| dit().train(&data, Simple {}, Train { steps, ..settings(precision) }).unwrap();
    let whole = state(&mut train(4, Precision::Bf16));
    let mut first = train(2, Precision::Bf16);
    first.by_ref().for_each(|step| drop(step.unwrap()));
    let resumed = state(&mut train(4, Precision::Bf16).restore(first.checkpoint()).unwrap());
    assert!(resumed.0 == whole.0[2..] && resumed.1 == whole.1);
    let other = state(&mut train(4, Precision::F32).restore(first.checkpoint()).unwrap());
    assert!(other.0.len() == 2 && other.1 != whole.1);
}

#[test]
fn small_gradients_survive_f16_by_a_scaled_loss() {
    let data = images();
    // The factor alone differs.
    let run = |precision: Precision, weight: f64, factor: f64| {
        let trainer = dit().train(&data, weight * Simple {}, Train { steps: 1, ..settings(precision) }).unwrap();
        let mut checkpoint = trainer.checkpoint();
        checkpoint.loss_scale = checkpoint.loss_scale.map(|_| LossScale { factor, good: 0 });
        let mut trainer = trainer.restore(checkpoint).unwrap();
        let norm = trainer.next().unwrap().unwrap().grad_norm;
        (norm, trainer.checkpoint())
    };
    let (single, _) = run(Precision::F32, 1e-6, 1.0);
    let off = |(norm, _): (f64, _)| (norm / single - 1.0_f64).abs();
    assert!(off(run(Precision::F16, 1e-6, 65536.0)) < 0.01);
    assert!(off(run(Precision::F16, 1e-6, 1.0)) > 0.1, "without a factor they vanish");

    // Of a factor that is too large, the step is computed again with smaller ones.
    let (norm, checkpoint) = run(Precision::F16, 1000.0, 16_777_216.0);
    let scale = checkpoint.loss_scale.unwrap();
    assert!(scale.factor < 16_777_216.0 && scale.factor > 1.0 && scale.good == 1, "{scale:?}");
    assert_eq!((checkpoint.step, checkpoint.moments.updates), (1, 1));
    let (expected, single) = run(Precision::F32, 1000.0, 1.0);
    assert!((norm / expected - 1.0).abs() < 0.01 && single.loss_scale.is_none());
    let (same, _) = run(Precision::F16, 1000.0, scale.factor);
    assert_eq!(same.to_bits(), norm.to_bits());
}

#[test]
fn a_run_in_f16_resumes_bit_by_bit() {
    let data = images();
    let train = |steps| dit().train(&data, Simple {}, Train { steps, ..settings(Precision::F16) }).unwrap();
    let edge = |checkpoint: Checkpoint| Checkpoint {
        loss_scale: Some(LossScale { good: 1997, factor: 4096.0 }),
        ..checkpoint
    };
    let mut whole = train(4);
    whole = whole.restore(edge(train(4).checkpoint())).unwrap();
    let expected = state(&mut whole);
    assert_eq!(whole.checkpoint().loss_scale, Some(LossScale { factor: 8192.0, good: 1 }));
    let mut first = train(2).restore(edge(train(2).checkpoint())).unwrap();
    first.by_ref().for_each(|step| drop(step.unwrap()));
    let path = std::env::temp_dir().join(format!("tweedie-f16-{}.safetensors", std::process::id()));
    first.checkpoint().save(&path, &[]).unwrap();
    let (checkpoint, _) = Checkpoint::load(&path, &device()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(checkpoint.loss_scale, Some(LossScale { factor: 4096.0, good: 1999 }));
    let resumed = state(&mut train(4).restore(checkpoint).unwrap());
    assert!(resumed.0 == expected.0[2..] && resumed.1 == expected.1);
}

#[test]
fn numbers_that_f16_does_not_have_stop_the_run_at_their_step() {
    // The first layer of such data has outputs above 65504.
    let data = Samples::<2>::new(vec![1e6; 8], [4, 2]);
    let run = |precision: Precision| {
        let net = MlpConfig::new(2).init(&Rng::new(1), &device()).unwrap();
        let model = Model::new(Gaussian::new(Cosine::new(100)), net).unwrap();
        let mut trainer = model.train(&data, Simple {}, settings(precision)).unwrap();
        trainer.next().unwrap()
    };
    assert!(run(Precision::Bf16).is_ok());
    let error = run(Precision::F16).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    assert!(error.to_string().contains("train in bf16"), "{error}");
}

#[test]
fn training_obeys_the_laws_of_half_precision() {
    for precision in [Precision::Bf16, Precision::F16] {
        let checks = laws::training_in_precision(precision, &device()).unwrap();
        all_hold(precision.name(), checks);
    }
}

#[test]
fn the_precision_of_training_is_not_that_of_sampling() {
    let data = images();
    let mut trainer = dit().train(&data, Simple {}, settings(Precision::Bf16)).unwrap();
    trainer.by_ref().for_each(|step| drop(step.unwrap()));
    let (model, raw) = (trainer.model(), trainer.raw_model());
    assert_eq!([model.precision(), raw.precision()], [Precision::F32; 2]);
    let sample = |precision: Precision, n: usize| {
        let model = model.clone().with_precision(precision);
        model.sample(&Ddim { eta: 0.0 }, 5, [n, 1, 8, 8], &labels(n), &Rng::new(2)).unwrap()
    };
    let (single, half) = (sample(Precision::F32, 6), sample(Precision::Bf16, 6));
    let apart = gap(single.clone(), half.clone());
    assert!(apart > 1e-4 && apart < 0.1 * numbers(single.abs().max())[0], "{apart}");
    // A sample depends neither on its batch nor on the scope of the caller.
    assert_eq!(bits(sample(Precision::Bf16, 2)), bits(half.narrow(0, 0, 2)));
    let scoped = Precision::Bf16.scope(|| sample(Precision::F32, 6));
    assert_eq!(bits(scoped), bits(sample(Precision::F32, 6)));
    let own = dit().with_precision(Precision::F16).train(&data, Simple {}, settings(Precision::Bf16)).unwrap();
    assert_eq!(own.model().precision(), Precision::F16);
}
