//! Training, resuming and sampling, with small networks.
use crate::common::device;
use burn::{
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{DType, Device, Tensor},
};
use std::sync::{Arc, Mutex};
use tweedie::{
    Rng,
    data::{Data, Samples},
    denoise::Denoiser,
    error::ErrorKind,
    loss::{Batch, Loss, Objective, Simple, Vlb, per_sample},
    model::Model,
    net::{Classes, Conditions, MlpConfig, Net, UNetConfig},
    noise::{Estimate, Gaussian, Noise, Prediction, Variance},
    sample::{Ancestral, Ddim, Euler, Heun, Sampler, Variable, trajectory, trajectory_from},
    schedule::{Cosine, Edm, FlowMatching, Linear, Table},
    train::{AdamW, Checkpoint, Moments, Parameters, Step, Train},
};

/// Two clusters, one per class.
fn points(n: usize) -> Samples<2> {
    let noise = Rng::new(9).stream("points").normals(n, 2);
    let values = (0..2 * n).map(|i| (noise[i] * 0.2) as f32 + if i / 2 % 2 == 0 { 1.0 } else { -1.0 }).collect();
    Samples::new(values, [n, 2]).with_labels((0..n).map(|i| (i % 2) as u32).collect())
}

fn images(n: usize) -> Samples<4> {
    let values = Rng::new(9).stream("images").normals(n, 49).into_iter().map(|z| z.tanh() as f32).collect();
    Samples::new(values, [n, 1, 7, 7]).with_labels((0..n).map(|i| (i % 3) as u32).collect())
}

fn mlp() -> Model<2, impl Net<2, Condition = Conditions>> {
    let net = MlpConfig::new(2)
        .with_hidden([32, 32])
        .with_num_classes(2)
        .with_dropout(0.1)
        .init(&Rng::new(1), &device())
        .unwrap();
    Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap()
}

fn unet() -> Model<4, impl Net<4, Condition = Conditions>> {
    let config = UNetConfig::new(1, [8, 16]).with_blocks(1).with_num_classes(3).with_dropout(0.2).with_outputs(2);
    let noise = Gaussian::new(Cosine::new(100)).with_variance(Variance::Learned);
    Model::new(noise, config.init(&Rng::new(2), &device()).unwrap()).unwrap()
}

fn settings(steps: u64) -> Train {
    Train {
        steps,
        batch: 12,
        accumulate: 2,
        warmup: 3,
        ema_decay: 0.99,
        cond_dropout: 0.3,
        seed: 5,
        ..Train::default()
    }
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    parameters.to_host().into_iter().flat_map(|(_, _, values)| values).map(f32::to_bits).collect()
}

fn same(a: &Checkpoint, b: &Checkpoint) {
    assert_eq!(a.step, b.step);
    assert_eq!(bits(&a.weights), bits(&b.weights), "weights");
    assert_eq!(a.average.as_ref().map(bits), b.average.as_ref().map(bits), "averages");
    assert_eq!(bits(&a.moments.first), bits(&b.moments.first), "first moments");
    assert_eq!(bits(&a.moments.second), bits(&b.moments.second), "second moments");
}

/// N + M steps are N steps, a checkpoint file, and M steps of a network initialized otherwise.
fn resumes<const D: usize, N: Net<D, Condition = Conditions>>(
    name: &str,
    model: impl Fn() -> Model<D, N>,
    data: &dyn Data<Tensor<D>, Conditions>,
    objective: &Objective<D>,
) {
    let trainer = |model| tweedie::train::Trainer::new(model, data, objective.clone(), settings(11)).unwrap();
    let mut whole = trainer(model());
    let steps: Vec<_> = whole.by_ref().map(Result::unwrap).collect();
    assert_eq!(steps.len(), 11);

    let mut first = trainer(model());
    first.by_ref().take(4).for_each(|step| assert!(step.is_ok()));
    let folder = std::env::temp_dir().join(format!("tweedie-resume-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("checkpoint.safetensors");
    first.checkpoint().save(&path, &[("recipe", "none".into())]).unwrap();
    drop(first);

    let (checkpoint, facts) = Checkpoint::load(&path, &device()).unwrap();
    assert_eq!(facts["recipe"], "none");
    let mut second = trainer(model()).restore(checkpoint).unwrap();
    let rest: Vec<_> = second.by_ref().map(Result::unwrap).collect();
    assert_eq!(rest[..], steps[4..], "the steps themselves");
    same(&whole.checkpoint(), &second.checkpoint());

    // A truncated file is refused.
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Checkpoint::load(&path, &device()).unwrap_err().to_string();
        assert!(error.contains("not a complete checkpoint"), "{length} bytes: {error}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_mlp_resumes_bit_by_bit() {
    resumes("mlp", mlp, &points(50), &Simple {}.into());
}

#[test]
fn a_unet_resumes_bit_by_bit() {
    resumes("unet", unet, &images(20), &(Simple {} + 1e-3 * Vlb::new(0)).into());
}

#[test]
fn training_is_the_same_on_any_number_of_threads() {
    let run = || {
        let data = images(20);
        let objective = Simple {} + 1e-3 * Vlb::new(0);
        let mut trainer = unet().train(&data, objective, settings(3)).unwrap();
        trainer.by_ref().for_each(|step| assert!(step.is_ok()));
        bits(&trainer.checkpoint().weights)
    };
    let threads = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run);
    assert_eq!(threads(1), threads(2));
}

#[test]
fn a_checkpoint_of_another_network_or_seed_is_refused() {
    let data = points(20);
    let other = MlpConfig::new(2).with_hidden([32, 48]).with_num_classes(2).init(&Rng::new(1), &device()).unwrap();
    let other = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), other).unwrap();
    let checkpoint = other.train(&data, Simple {}, settings(1)).unwrap().checkpoint();
    let error = mlp().train(&data, Simple {}, settings(1)).unwrap().restore(checkpoint).unwrap_err().to_string();
    assert!(error.contains("another architecture") && error.contains("48"), "{error}");

    let checkpoint = mlp().train(&data, Simple {}, settings(1)).unwrap().checkpoint();
    let settings = Train { seed: 6, ..settings(1) };
    let error = mlp().train(&data, Simple {}, settings).unwrap().restore(checkpoint).unwrap_err().to_string();
    assert!(error.contains("`seed` must be 5"), "{error}");
}

#[test]
fn gradients_of_parts_and_shards_equal_that_of_the_batch() {
    // Rows, times, noise and dropped conditions are the same; sums are ordered differently.
    let data = points(30);
    let norm = |accumulate, shards| {
        let net = MlpConfig::new(2).with_hidden([32]).with_num_classes(2).init(&Rng::new(1), &device()).unwrap();
        let model = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap();
        let settings = Train { accumulate, shards, ..settings(4) };
        model.train(&data, Simple {}, settings).unwrap().map(|step| step.unwrap().grad_norm).collect::<Vec<_>>()
    };
    for (accumulate, shards) in [(3, 1), (1, 2), (2, 5), (1, 30)] {
        for (a, b) in norm(1, 1).into_iter().zip(norm(accumulate, shards)) {
            assert!((a - b).abs() < 1e-4 * a, "{a} and {b} in {accumulate} parts of {shards} shards");
        }
    }
}

#[test]
fn training_gives_the_same_bits_on_any_number_of_threads() {
    let train = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let data = images(20);
            let mut trainer = unet().train(&data, Simple {}, Train { shards: 3, ..settings(3) }).unwrap();
            trainer.by_ref().for_each(|step| assert!(step.is_ok()));
            bits(&trainer.checkpoint().weights)
        })
    };
    let one = train(1);
    assert_eq!(one, train(2));
    assert_eq!(one, train(4));
}

#[test]
fn the_learning_rate_follows_its_schedule() {
    use tweedie::train::LrSchedule;
    let train = Train { steps: 110, warmup: 10, lr: 2.0, lr_schedule: LrSchedule::Cosine, ..Train::default() };
    assert!((train.lr_at(0) - 0.2).abs() < 1e-12);
    assert!((train.lr_at(9) - 2.0).abs() < 1e-12);
    assert!((train.lr_at(60) - 1.0).abs() < 1e-12);
    assert!(train.lr_at(110).abs() < 1e-12);
    let train = Train { lr_schedule: LrSchedule::Linear, ..train };
    assert!((train.lr_at(35) - 1.5).abs() < 1e-12);
    assert!((Train { lr_schedule: LrSchedule::Constant, ..train }.lr_at(1_000) - 2.0).abs() < 1e-12);
}

#[test]
fn adamw_updates_are_those_of_burn() {
    let device = device().autodiff();
    let mut theirs = MlpConfig::new(2).with_hidden([5]).init(&Rng::new(3), &device).unwrap();
    let mut ours = theirs.clone();
    let mut optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.05).init();
    let mut moments = Moments::new(&Parameters::of(&ours));
    let adam = AdamW { weight_decay: 0.05, ..AdamW::default() };
    for step in 0..5 {
        let loss = |net: &tweedie::net::Mlp| {
            let x = Tensor::<2>::from_data([[1.0, 2.0], [-1.0, 0.5 + step as f32]], &device);
            let t = Tensor::<1>::from_data([0.1, 0.7], &device);
            (net.forward(x.clone(), t, &Conditions::none()) - x).square().mean()
        };
        let grads = GradientsParams::from_grads(loss(&theirs).backward(), &theirs);
        theirs = optimizer.step(0.01, theirs, grads);
        let gradient = Parameters::gradients(&ours, &mut loss(&ours).backward());
        ours = moments.step(&adam, 0.01, Parameters::of(&ours), gradient, 1.0, None).0.into_module(ours);
    }
    for ((name, _, a), (_, _, b)) in Parameters::of(&theirs).to_host().iter().zip(Parameters::of(&ours).to_host()) {
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-6, "{name}: {a} and {b}");
        }
    }
}

#[test]
fn values_that_are_not_finite_stop_the_run_at_the_tensor_where_they_arise() {
    let mut values = vec![0.5f32; 40];
    values[2 * 7] = f32::NAN;
    let data = Samples::new(values, [20, 2]);
    let mut trainer = mlp().train(&data, Simple {}, Train { batch: 20, accumulate: 1, ..settings(5) }).unwrap();
    let before = bits(&trainer.checkpoint().weights);
    match trainer.next() {
        Some(Err(error)) => {
            assert_eq!((error.kind(), error.step(), error.problem()), (ErrorKind::NotFinite, Some(1), "the data x"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(before, bits(&trainer.checkpoint().weights), "the weights are unchanged");

    // A loss that is not finite is named.
    #[derive(Debug)]
    struct Broken;
    impl Loss<2> for Broken {
        fn compute(&self, batch: &Batch<2>) -> Tensor<1> {
            per_sample(batch.prediction() - batch.target()).zeros_like().log() * 0.0
        }
    }
    let data = points(20);
    let mut trainer = mlp().train(&data, Objective::from(Simple {}) + Broken, settings(5)).unwrap();
    let error = trainer.next().unwrap().unwrap_err().to_string();
    assert!(error.starts_with("step 1: the loss Broken is not finite"), "{error}");
}

#[test]
fn conditions_are_dropped_in_the_batch_and_not_in_the_data() {
    // A loss that records the conditions.
    #[derive(Debug, Default)]
    struct Record(Arc<Mutex<Vec<Option<u32>>>>);
    impl Loss<2> for Record {
        fn compute(&self, batch: &Batch<2>) -> Tensor<1> {
            self.0.lock().unwrap().extend(batch.condition::<Conditions>().unwrap().to_classes().0.iter());
            per_sample((batch.prediction() - batch.target()).square())
        }
    }
    let conditions = Arc::new(Mutex::new(vec![]));
    let data = points(40);
    let labels = Data::<Tensor<2>, Conditions>::batch(&data, &[0, 1, 2], &Rng::new(0), &device()).1;
    let settings = Train { batch: 40, steps: 25, accumulate: 1, cond_dropout: 0.3, ..settings(0) };
    mlp().train(&data, Record(conditions.clone()), settings).unwrap().for_each(|step| assert!(step.is_ok()));
    let conditions = conditions.lock().unwrap();
    let none = conditions.iter().filter(|class| class.is_none()).count() as f64 / conditions.len() as f64;
    assert!((none - 0.3).abs() < 5.0 * (0.21f64 / 1000.0).sqrt(), "{none}");
    assert_eq!(labels, Data::<Tensor<2>, Conditions>::batch(&data, &[0, 1, 2], &Rng::new(0), &device()).1);
    assert_eq!(labels, Conditions::classes([0, 1, 0]));
}

#[test]
fn each_row_of_data_is_seen_once_per_epoch() {
    struct Counting(Mutex<Vec<usize>>);
    impl Data<Tensor<2>, Conditions> for Counting {
        fn len(&self) -> usize {
            30
        }
        fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<2>, Conditions) {
            self.0.lock().unwrap().extend(rows);
            (Tensor::zeros([rows.len(), 2], device), Conditions::none())
        }
    }
    let data = Counting(Mutex::default());
    let trainer = mlp().train(&data, Simple {}, settings(5)).unwrap();
    // The first rows are looked at once, before the first step.
    data.0.lock().unwrap().clear();
    trainer.for_each(|step| assert!(step.is_ok()));
    let seen = data.0.lock().unwrap();
    for epoch in seen.chunks(30) {
        let mut rows = epoch.to_vec();
        rows.sort_unstable();
        assert_eq!(rows, (0..30).collect::<Vec<_>>());
    }
    assert_ne!(seen[..30], seen[30..], "each epoch has its own permutation");
}

/// E[x | x_t] of data N(mean, var), in closed form.
#[derive(Clone, Debug)]
struct Exact {
    noise: Gaussian,
    mean: f64,
    var: f64,
}
impl Denoiser<2> for Exact {
    fn noise(&self) -> &dyn Noise<2> {
        &self.noise
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        let [gain, rest] = tweedie::noise::lift(&z, t, |_, t| {
            let c = self.noise.schedule().at(t);
            let gain = c.alpha * self.var / (c.alpha.powi(2) * self.var + c.sigma.powi(2));
            [gain, self.mean * (1.0 - gain * c.alpha)]
        });
        (z * gain + rest).into()
    }
}

/// The bound on −ln p of N(0.5, 0.49) under DDPM's linear table with β scaled by 1000/T, term by term in double
/// precision (closed forms; the entropy is 1.0622635892659402 nats).
#[test]
fn the_bound_of_gaussian_data_is_its_closed_form() {
    let cases = [
        (50, 2.8655783041223863e-06, 1.0677948817646803),
        (100, 7.5444371499499865e-06, 1.0649922751110696),
        (1000, 1.4932977340912775e-05, 1.0625380884632913),
    ];
    for (steps, prior, bound) in cases {
        let scale = 1000.0 / steps as f64;
        let betas = (0..steps).map(|i| scale * (1e-4 + (0.02 - 1e-4) * i as f64 / (steps - 1) as f64));
        let noise = Gaussian::new(Table::new(betas).unwrap()).with_variance(Variance::Large);
        let exact = Exact { noise: noise.clone(), mean: 0.5, var: 0.49 };
        // All terms are quadratic in x and ε: Gauss–Hermite quadrature of three nodes is exact.
        let nodes = [(-(3f64.sqrt()), 1.0 / 6.0), (0.0, 2.0 / 3.0), (3f64.sqrt(), 1.0 / 6.0)];
        let mut sum = 0.0;
        for (a, wa) in nodes {
            for (b, wb) in nodes {
                let t: Vec<f64> = (1..=steps).map(|i| i as f64 / steps as f64).collect();
                let full = |value| Tensor::<2>::full([steps, 1], value, (&device(), DType::F64));
                let (x, eps) = (full(0.5 + 0.7 * a), full(b));
                let law = Noise::<2>::prior(&noise, x.clone(), &t);
                let z = law.mean() + law.std() * eps.clone();
                let output = exact.denoise(z.clone(), &t).into_output(&noise, &z, &t);
                let batch = Batch::new(&noise, x, z, Some(eps), &t, output, &(), &());
                let terms: Vec<f64> = Vlb::new(0).compute(&batch).try_into_vec_as().unwrap();
                sum += wa * wb * terms.iter().sum::<f64>() / steps as f64;
            }
        }
        let end = noise.schedule().at(1.0);
        let own_prior = 0.5 * (end.alpha.powi(2) * (0.49 + 0.25) + end.sigma.powi(2) - 1.0) - end.sigma.ln();
        assert!((own_prior - prior).abs() < 1e-12, "prior of {steps}: {own_prior} and not {prior}");
        assert!((sum + own_prior - bound).abs() < 1e-7, "bound of {steps}: {} and not {bound}", sum + own_prior);
    }
}

/// The gradient of the hybrid objective's bound reaches the variance alone.
#[test]
fn the_bound_trains_the_variance_alone() {
    let device = device().autodiff();
    let noise = Gaussian::new(Cosine::new(100)).with_variance(Variance::Learned);
    let x = Tensor::<4>::ones([2, 1, 2, 2], &device);
    let t = [0.3, 0.01]; // a step of the middle and the last one
    let gradient = |loss: Vlb| {
        let output = Tensor::<4>::full([2, 2, 2, 2], 0.1, &device).require_grad();
        let batch = Batch::new(&noise, x.clone(), x.clone() * 0.9, None, &t, output.clone(), &(), &());
        let grads = loss.compute(&batch).sum().backward();
        let grad = output.grad(&grads).unwrap().abs();
        let size = |from| grad.clone().narrow(1, from, 1).sum().into_scalar::<f32>();
        (size(0), size(1))
    };
    let (mean, variance) = gradient(Vlb::new(0));
    assert!(mean == 0.0 && variance > 0.0, "{mean}, {variance}");
    let (mean, variance) = gradient(Vlb::new(0).with_train_mean());
    assert!(mean > 0.0 && variance > 0.0, "{mean}, {variance}");
}

/// The distance from the end of the flow, which keeps the standardized coordinate.
fn error_of(sampler: &dyn Sampler<2>, model: &Exact, steps: usize) -> f64 {
    let (first, last) = (0.9, 0.1);
    let spread = |t: f64| {
        let c = model.noise.schedule().at(t);
        (c.alpha * model.mean, (c.alpha.powi(2) * model.var + c.sigma.powi(2)).sqrt())
    };
    let times = (0..=steps).map(|i| first + (last - first) * i as f64 / steps as f64).collect();
    let (mean, std) = spread(first);
    let z = Tensor::full([1, 1], mean + 0.8 * std, (&device(), DType::F64));
    let (_, x) = trajectory_from(model, sampler, times, z, &Rng::new(0)).unwrap().last().unwrap();
    let (mean, std) = spread(last);
    (x.into_scalar::<f64>() - (mean + 0.8 * std)).abs()
}

#[test]
fn samplers_converge_at_the_order_they_declare() {
    for noise in [
        Gaussian::new(Cosine::new(1000)),
        Gaussian::new(Linear::new(1000)),
        Gaussian::new(FlowMatching {}).with_prediction(Prediction::V),
        Gaussian::new(Edm::default()),
    ] {
        let model = Exact { noise, mean: 0.7, var: 0.25 };
        for sampler in [&Ddim { eta: 0.0 } as &dyn Sampler<2>, &Euler::default(), &Heun { variable: Variable::Ratio }] {
            let (a, b) = (error_of(sampler, &model, 64), error_of(sampler, &model, 256));
            let order = (a / b).log2() / 2.0;
            let declared = sampler.properties().order.unwrap() as f64;
            assert!(
                (order - declared).abs() < 0.15,
                "{sampler:?} on {:?}: order {order:.2} and not {declared}",
                model.noise
            );
        }
    }
}

#[test]
fn euler_is_ddim_without_noise() {
    let model = Exact { noise: Gaussian::new(Cosine::new(1000)), mean: 0.7, var: 0.25 };
    let end = |sampler: &dyn Sampler<2>| {
        let points = trajectory(&model, sampler, vec![1.0, 0.6, 0.2, 0.0], [64, 1], &Rng::new(4), &device()).unwrap();
        points.last().unwrap().1.try_into_vec_as::<f32>().unwrap()
    };
    assert_eq!(end(&Euler::default()), end(&Ddim { eta: 0.0 }));
}

/// Mean and variance of ancestral samples and of DDIM with η = 1: a step is linear in x_t, so both are known exactly.
#[test]
fn stochastic_samplers_have_the_moments_of_their_steps() {
    let model = Exact { noise: Gaussian::new(Linear::new(1000)), mean: 0.7, var: 0.25 };
    let times: Vec<f64> = (0..=250).rev().map(|i| f64::from(i) / 250.0).collect();
    // Var x_s = (r k + α_s (1 − r² k) gain)² Var x_t + σ_s² (1 − r² k), with "small" variance; less than the data's, because
    // x̂ has a smaller variance than x.
    let schedule = model.noise.schedule();
    let variance = |times: &[f64]| {
        times.windows(2).fold(1.0, |var, pair| {
            let (t, s) = (schedule.at(pair[0]), schedule.at(pair[1]));
            let (r, k) = (t.alpha / s.alpha, (s.sigma / t.sigma).powi(2));
            let gain = t.alpha * model.var / (t.alpha.powi(2) * model.var + t.sigma.powi(2));
            (r * k + s.alpha * (1.0 - r * r * k) * gain).powi(2) * var + s.sigma.powi(2) * (1.0 - r * r * k)
        })
    };
    let expected = variance(&times);
    assert!(expected < 0.25 && expected > 0.22, "{expected}");
    for sampler in [&Ancestral {} as &dyn Sampler<2>, &Ddim { eta: 1.0 }] {
        let n = 20_000;
        let points = trajectory(&model, sampler, times.clone(), [n, 1], &Rng::new(8), &device()).unwrap();
        let x: Vec<f64> = points.last().unwrap().1.try_into_vec_as().unwrap();
        let mean = x.iter().sum::<f64>() / n as f64;
        let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        // Five standard errors, and the bias of starting at N(0, 1) instead of N(α 0.7, …).
        assert!((mean - 0.7).abs() < 5.0 * (0.25 / n as f64).sqrt() + 2e-3, "{sampler:?}: mean {mean}");
        assert!(
            (var - expected).abs() < 5.0 * 0.25 * (2.0 / n as f64).sqrt(),
            "{sampler:?}: variance {var}, not {expected}"
        );
    }
    // More steps close the gap.
    let fine = variance(&(0..=1000).rev().map(|i| f64::from(i) / 1000.0).collect::<Vec<_>>());
    assert!((0.25 - fine).abs() < 0.5 * (0.25 - expected).abs(), "{fine} and {expected}");
}

#[test]
fn samples_do_not_depend_on_their_batch() {
    let model = mlp();
    let data = points(50);
    let mut trainer = model.train(&data, Simple {}, settings(5)).unwrap();
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    let model = trainer.model();
    let rng = Rng::new(3);
    let sample = |rows: std::ops::Range<usize>| -> Vec<f32> {
        let y = Conditions::classes(rows.clone().map(|i| (i % 2) as u32));
        let rng = rng.from_row(rows.start as u64);
        let x = model.sample(&Ddim { eta: 0.5 }, 7, [rows.len(), 2], &y, &rng).unwrap();
        x.try_into_vec_as().unwrap()
    };
    let whole = sample(0..70);
    let parts: Vec<f32> = [0..1, 1..3, 3..36, 36..70].into_iter().flat_map(sample).collect();
    assert_eq!(whole, parts);
}

#[test]
fn guidance_of_scale_one_is_the_model_and_moves_the_mean_alone() {
    let data = images(12);
    // The bound trains the variance: it would be zero, and equal to any multiple, without.
    let mut trainer = unet().train(&data, Simple {} + 0.1 * Vlb::new(0), settings(4)).unwrap();
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    let model = trainer.raw_model();
    let (y, z) = (Conditions::classes([0, 2]), Rng::new(0).normal_tensor([2, 1, 7, 7], &device(), DType::F32));
    let output = |model: &dyn Denoiser<4>| model.denoise(z.clone(), &[0.5]).output.expect("of one network");
    let conditional = output(&*model.conditioned(&y));
    let guided = |scale| output(&*model.guided(&y, scale));
    let gap = |a: Tensor<4>, b: Tensor<4>, from| (a - b).narrow(1, from, 1).abs().max().into_scalar::<f32>();
    assert_eq!(gap(guided(1.0), conditional.clone(), 0), 0.0);
    assert!(gap(conditional.clone(), conditional.zeros_like(), 1) > 0.0, "a variance was learned");
    assert!(gap(guided(3.0), conditional.clone(), 0) > 0.0, "guidance moves the mean");
    assert_eq!(gap(guided(3.0), conditional.clone(), 1), 0.0, "and not the variance");
    let unconditional = output(&*model.conditioned(&Classes(vec![None, None]).into()));
    let expected = unconditional.clone() + (conditional - unconditional) * 3.0;
    assert!(gap(guided(3.0), expected, 0) < 1e-5);
}

#[test]
fn a_model_learns_the_means_of_its_classes() {
    let data = points(400);
    let net = MlpConfig::new(2).with_hidden([64, 64]).with_num_classes(2).init(&Rng::new(1), &device()).unwrap();
    let model = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap();
    let settings = Train { steps: 400, batch: 128, lr: 3e-3, ema_decay: 0.99, ..Train::default() };
    let mut trainer = model.train(&data, Simple {}, settings).unwrap();
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    let y = Conditions::classes((0..500).map(|i| i % 2));
    let x = trainer.model().sample(&Heun::default(), 20, [500, 2], &y, &Rng::new(0)).unwrap();
    let x: Vec<f32> = x.try_into_vec_as().unwrap();
    let mean =
        |class: usize| x.chunks(2).skip(class).step_by(2).map(|p| f64::from(p[0] + p[1]) / 2.0).sum::<f64>() / 250.0;
    assert!((mean(0) - 1.0).abs() < 0.1 && (mean(1) + 1.0).abs() < 0.1, "{} and {}", mean(0), mean(1));
    assert!(trainer.model().net.num_params() > 4000);
}

/// Cross-entropy of a certain and correct network is near 0, of uniform logits ln K; and squared errors refuse categories.
#[test]
fn cross_entropy_is_for_categories() {
    use tweedie::{
        loss::CrossEntropy,
        noise::{Discrete, DiscretePrediction},
    };
    let noise = Discrete::absorbing(FlowMatching {}, 4, 3).with_prediction(DiscretePrediction::Logits);
    let x: Tensor<3> = Tensor::from_data([[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]], &device());
    let z: Tensor<3> = Tensor::from_data([[[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]]], &device());
    let value = |logits: Tensor<3>| {
        let batch = Batch::new(&noise, x.clone(), z.clone(), None, &[0.5], logits, &(), &());
        CrossEntropy {}.compute(&batch).into_scalar::<f32>()
    };
    assert!((value(x.zeros_like()) - 4f32.ln()).abs() < 1e-5);
    assert!(value(x.clone() * 30.0) < 1e-5);
    let gaussian = Gaussian::new(Cosine::new(100));
    let refused = |objective: Objective<3>, noise: &dyn Noise<3>| objective.check(noise).unwrap_err().to_string();
    assert!(refused(CrossEntropy {}.into(), &gaussian).contains("use `simple`"));
    assert!(refused((Simple {} + 0.1 * CrossEntropy {}).into(), &noise).contains("not defined for categories"));
    assert!(Objective::<3>::from(CrossEntropy {} + Vlb::new(100)).check(&noise).is_ok());
}

/// An evaluation is the same on every call, and its ranges of time average to the whole; averaged weights differ from the
/// trained ones.
#[test]
fn an_evaluation_is_the_mean_of_its_ranges() {
    let data = points(40);
    let mut trainer = mlp().train(&data, Simple {}, settings(6)).unwrap();
    assert!(trainer.ema_distance().unwrap() < 1e-6, "before the first step the average equals the weights");
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    let evaluation = trainer.evaluate(&data, 40);
    assert_eq!(evaluation, trainer.evaluate(&data, 40));
    // Stratified times fall evenly into equal ranges, up to one time per part of the batch at either end.
    let mean = evaluation.by_time.iter().map(|loss| loss.unwrap()).sum::<f64>() / 4.0;
    assert!((mean - evaluation.loss).abs() < 0.1 * evaluation.loss, "{evaluation:?}");
    assert!(trainer.ema_distance().unwrap() > 1e-6);
}

/// A model that never sees a class is evaluated without one, and the epoch of a step is the share of the data seen.
#[test]
fn a_model_without_classes_is_evaluated_without_them() {
    let data = points(40);
    let of = |cond_dropout: f64| {
        let net = MlpConfig::new(2).with_hidden([8]).with_num_classes(2).init(&Rng::new(1), &device()).unwrap();
        let model = Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap();
        let settings = Train { steps: 30, batch: 10, warmup: 0, lr: 1e-2, cond_dropout, ..Train::default() };
        let mut trainer = model.train(&data, Simple {}, settings).unwrap();
        let epochs: Vec<f64> = trainer.by_ref().map(|step| step.unwrap().epoch).collect();
        assert_eq!((epochs[0], epochs[3], epochs[29]), (0.25, 1.0, 7.5));
        let without = tweedie::data::Samples::new(vec![0.0; 80], [40, 2]);
        let labelled = without.clone().with_labels((0..40).map(|i| i % 2).collect());
        (trainer.evaluate(&without, 40).loss, trainer.evaluate(&labelled, 40).loss)
    };
    let (without, labelled) = of(1.0);
    assert_eq!(without, labelled);
    let (without, labelled) = of(0.5);
    assert_ne!(without, labelled);
}

#[test]
fn a_setting_out_of_range_is_refused_with_its_field() {
    let train = Train::default;
    let adam = AdamW::default;
    for (settings, field, message) in [
        (Train { lr: -0.1, ..train() }, "lr", "`lr` must be a positive number, got -0.1"),
        (Train { batch: 0, ..train() }, "batch", "`batch` must be 1 or more, got 0"),
        (
            Train { accumulate: 3, ..train() },
            "accumulate",
            "`accumulate` must divide the batch of 64 samples into equal parts, got 3",
        ),
        (Train { shards: 0, ..train() }, "shards", "`shards` must be 1 or more, got 0"),
        (Train { ema_decay: 1.0, ..train() }, "ema_decay", "`ema_decay` must be in [0, 1), got 1"),
        (Train { cond_dropout: 1.5, ..train() }, "cond_dropout", "`cond_dropout` must be in [0, 1], got 1.5"),
        (Train { clip: -1.0, ..train() }, "clip", "`clip` must be 0 or more, got -1"),
        (
            Train { adam: AdamW { eps: 0.0, ..adam() }, ..train() },
            "adam.eps",
            "`adam.eps` must be a positive number, got 0",
        ),
    ] {
        let error = settings.check().unwrap_err();
        assert_eq!((error.field(), error.to_string().as_str()), (Some(field), message));
        assert!(mlp().train(&points(10), Simple {}, settings).is_err());
    }
    assert!(train().check().is_ok());
}

/// A noise whose parts do not fit is refused by the model's constructor.
#[test]
fn a_model_of_an_invalid_noise_is_refused() {
    let net = MlpConfig::new(2).with_hidden([4]).init(&Rng::new(1), &device()).unwrap();
    // α(1) = 0, where ε does not determine x.
    let noise = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Epsilon);
    assert!(Model::<2, _>::new(noise, net).is_err());
}

/// Measurements written by earlier versions are read by their new names.
#[test]
fn old_names_of_measurements_are_read() {
    let old = r#"{"step":3,"epoch":0.5,"loss":1.5,"terms":[1.5],"gradient":0.25,"rate":0.001}"#;
    let new = r#"{"step":3,"epoch":0.5,"loss":1.5,"terms":[1.5],"grad_norm":0.25,"lr":0.001}"#;
    let [old, new] = [old, new].map(|line| serde_json::from_str::<Step>(line).unwrap());
    assert_eq!((old.lr, old.grad_norm), (0.001, 0.25));
    assert_eq!(old, new);
}
