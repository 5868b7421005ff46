//! Gradient checkpointing: the same bits with less memory.
use crate::common::*;
use burn::tensor::{DType, Device, Tensor};
use tweedie::{
    Rng,
    condition::{ConditionKind, ConditionSpec, Conditions},
    data::Samples,
    loss::{MaskedNelbo, Simple},
    model::Model,
    net::{DitConfig, Edm2Config, MlpConfig, Net, Positions, Resampling, Task, TransformerConfig, UNetConfig},
    noise::{Discrete, Gaussian},
    schedule::{Cosine, FlowMatching},
    train::{Parameters, Train},
};

fn specs() -> Vec<ConditionSpec> {
    vec![
        ConditionSpec::new("class", ConditionKind::Class { num_classes: 3 }),
        ConditionSpec::new("pose", ConditionKind::vector([0.0], [1.0])),
        ConditionSpec::new("caption", ConditionKind::Tokens { vocabulary: 11, length: 4 }),
    ]
}
fn random(rows: usize) -> Conditions {
    random_conditions(&specs(), rows)
}

/// The bits of output and gradients in training, the gradient of x_t first: none if it holds indices of categories.
fn bits_of<const D: usize, N: Net<D, Condition = Conditions>>(
    net: &N,
    z: &Tensor<D>,
    y: &Conditions,
) -> (Vec<u32>, Vec<(String, Vec<u32>)>) {
    let (net, autodiff) = (net.clone().train(), device().autodiff());
    let z = Tensor::<D>::from_data(z.clone().into_data(), (&autodiff, DType::F32)).require_grad();
    let t = Tensor::from_data(times(z.dims()[0]).into_data(), (&autodiff, DType::F32));
    let output = net.forward_train(z.clone(), t, y, &Rng::new(11));
    let mut gradients = (output.clone() * output.clone()).mean().backward();
    let to_bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let of_x = ("x_t".to_owned(), z.grad(&gradients).map(bits).unwrap_or_default());
    let rest = Parameters::gradients(&net, &mut gradients);
    let rest = rest.to_host().into_iter().map(|(name, _, values)| (name.to_owned(), to_bits(values)));
    (bits(output.inner()), [of_x].into_iter().chain(rest).collect())
}

fn same<const D: usize, N: Net<D, Condition = Conditions>>(net: N, z: Tensor<D>, y: &Conditions) {
    let net = moved(net);
    let (output, gradients) = bits_of(&net, &z, y);
    assert!(gradients.len() > 10 && gradients[1..].iter().all(|(_, bits)| bits.iter().any(|bits| bits << 1 != 0)));
    let checkpointing = net.with_checkpointing(true).unwrap();
    let (other, recomputed) = bits_of(&checkpointing, &z, y);
    assert!(output == other, "the output differs");
    for ((name, bits), (_, other)) in gradients.iter().zip(&recomputed) {
        let zero = |bits: &u32| if bits << 1 == 0 { 0 } else { *bits };
        assert!(bits.iter().map(zero).eq(other.iter().map(zero)), "the gradient of {name} differs");
    }
    assert_eq!(bits_of(&checkpointing.with_checkpointing(false).unwrap(), &z, y).1, gradients);
}

#[test]
fn outputs_and_gradients_have_the_same_bits() {
    let (rng, device) = (&Rng::new(1), &device());
    let unet = UNetConfig::new(2, [8, 12, 12]).with_attention([0]).with_cross_attention([1]).with_time_features(8);
    let unet = unet.with_dropout(0.2).with_conditions(specs());
    same(unet.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &random(3));
    let other = unet.clone().with_scale_shift(false).with_resampling(Resampling::Residual);
    same(other.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &random(3));
    same(unet.init_rank::<3>(rng, device).unwrap(), normal("z", [3, 2, 11]), &random(3));
    let dit = DitConfig::new(2).with_width(16).with_depth(3).with_heads(2).with_positions(Positions::Rotary);
    let dit = dit.with_dropout(0.2).with_long_skips(true).with_conditions(specs());
    same(dit.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &random(3));
    let edm2 = Edm2Config::new(2, [8, 12]).with_blocks(1).with_attention([1]).with_dropout(0.2).with_num_classes(3);
    same(edm2.init(rng, device).unwrap(), normal("z", [3, 2, 7, 5]), &labels(3));
    let text = TransformerConfig::new(10, 12).with_width(16).with_depth(3).with_heads(2).with_causal(true);
    let text = text.with_pad(7).with_tied(true).with_dropout(0.1).with_conditions(specs());
    same(text.init(rng, device).unwrap(), tokens(3, 12), &random(3));
    let (pixels, z) = pixels(rng);
    same(pixels, z, &labels(3));
}

#[test]
fn training_takes_the_same_steps() {
    let steps = |checkpointing: bool| {
        let net = DitConfig::new(1).with_width(16).with_depth(2).with_heads(2).with_num_classes(3);
        let model = Model::new(Gaussian::new(Cosine::new(100)), net.init(&Rng::new(1), &device()).unwrap()).unwrap();
        let data = Samples::<4>::new(floats(normal("x", [8, 1, 8, 8])), [8, 1, 8, 8]);
        let settings = Train { steps: 4, batch: 4, accumulate: 2, checkpointing, ..Train::default() };
        let mut trainer = model.train(&data, Simple {}, settings).unwrap();
        let losses: Vec<u64> = trainer.by_ref().map(|step| step.unwrap().loss.to_bits()).collect();
        (losses, trainer.checkpoint().weights.to_host().into_iter().map(|(_, _, values)| values).collect::<Vec<_>>())
    };
    assert_eq!(steps(true), steps(false));
    let noise = || Discrete::absorbing(FlowMatching {}, 10, 9);
    let text = |checkpointing: bool| {
        let net = TransformerConfig::new(10, 6).with_width(16).with_depth(2).with_heads(2).with_dropout(0.1);
        let data = Samples::<3>::new((0..48).map(|i| (i * 7 % 9) as f32).collect(), [8, 6, 1]);
        let model = Model::new(noise(), net.init(&Rng::new(1), &device()).unwrap()).unwrap();
        let settings = Train { steps: 3, batch: 4, checkpointing, ..Train::default() };
        model
            .train(&data, MaskedNelbo {}, settings)
            .unwrap()
            .map(|step| step.unwrap().loss.to_bits())
            .collect::<Vec<_>>()
    };
    assert_eq!(text(true), text(false));
}

#[test]
fn a_net_without_it_refuses_before_the_first_step() {
    let net = MlpConfig::new(2).init(&Rng::new(1), &device()).unwrap();
    let model = Model::new(Gaussian::new(Cosine::new(100)), net).unwrap();
    let data = Samples::<2>::new(vec![0.0; 8], [4, 2]);
    let settings = Train { checkpointing: true, ..Train::default() };
    let error = model.train(&data, Simple {}, settings).err().unwrap().to_string();
    assert!(error.contains("checkpointing") && error.contains("leave it out"), "{error}");
}

/// Run in a process of its own by the test of memory: two steps of a net, with or without.
pub fn two_steps(net: &str, checkpointing: bool) {
    let (rng, device) = (Rng::new(1), Device::flex());
    let settings = Train { steps: 2, batch: 16, shards: 1, ema_decay: 0.0, checkpointing, ..Train::default() };
    let noise = Gaussian::new(Cosine::new(100));
    let data = Samples::<4>::new(vec![0.5; 16 * 32 * 32], [16, 1, 32, 32]);
    let losses: Vec<f64> = if net == "unet" {
        let net = UNetConfig::new(1, [32, 32]).with_blocks(4).init(&rng, &device).unwrap();
        let trainer = Model::new(noise, net).unwrap().train(&data, Simple {}, settings).unwrap();
        trainer.map(|step| step.unwrap().loss).collect()
    } else {
        let net =
            DitConfig::new(1).with_width(64).with_depth(12).with_heads(2).with_patch(2).init(&rng, &device).unwrap();
        let trainer = Model::new(noise, net).unwrap().train(&data, Simple {}, settings).unwrap();
        trainer.map(|step| step.unwrap().loss).collect()
    };
    assert!(losses.iter().all(|loss| loss.is_finite()));
}

/// What [`two_steps`] should take by the count of layers, in bytes: (without, with).
pub fn counted(net: &str) -> (f64, f64) {
    let task = Task { shape: &[1, 32, 32], num_classes: 0, conditions: &[], outputs: 1, categories: None, image: None };
    let own = if net == "unet" {
        UNetConfig::new(1, [32, 32]).with_blocks(4).footprint(&task)
    } else {
        DitConfig::new(1).with_width(64).with_depth(12).with_heads(2).with_patch(2).footprint(&task)
    };
    (4.0 * 16.0 * own.training, 4.0 * 16.0 * own.checkpointed)
}
