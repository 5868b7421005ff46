//! Nets for signals and volumes, the variants that papers name, and their published sizes.
use crate::common::*;
use burn::{
    module::Module,
    tensor::{
        Bool, DType, Device, Tensor, TensorData,
        activation::softmax,
        module::{conv1d, conv3d},
        ops::ConvOptions,
    },
};
use tweedie::{
    Rng,
    condition::{ConditionKind, ConditionSpec, Conditions},
    data::Samples,
    laws,
    loss::Simple,
    model::Model,
    net::{DitConfig, Edm2Config, Footprint, Net, Positions, Resampling, Task, UNetConfig, layers},
    noise::Gaussian,
    sample::Ddim,
    schedule::Cosine,
    train::Train,
};
use tweedie_kernels::ops;

fn specs(axes: usize) -> Vec<ConditionSpec> {
    vec![
        ConditionSpec::new("class", ConditionKind::Class { num_classes: 3 }),
        ConditionSpec::new("pose", ConditionKind::vector([0.0], [1.0])),
        ConditionSpec::new("low", ConditionKind::Image { shape: [&[1][..], &vec![3; axes]].concat() }),
        ConditionSpec::new("map", ConditionKind::LabelMap { shape: vec![5; axes], num_labels: 4 }),
    ]
}
fn caption() -> ConditionSpec {
    ConditionSpec::new("caption", ConditionKind::Tokens { vocabulary: 11, length: 4 })
}
fn task<'a>(shape: &'a [usize], conditions: &'a [ConditionSpec]) -> Task<'a> {
    let num_classes = if conditions.is_empty() { 0 } else { 3 };
    let conditions = conditions.get(1..).unwrap_or_default();
    Task { shape, num_classes, conditions, outputs: 2, categories: None, image: None }
}

/// The laws of nets, and that the parameters are those that the footprint counts.
fn obeys<const D: usize, N: Net<D, Condition = Conditions>>(
    what: &str,
    net: &N,
    footprint: Footprint,
    size: [usize; D],
    y: &Conditions,
) {
    assert_eq!(Module::num_params(net) as f64, footprint.parameters, "{what}");
    assert!(footprint.training > footprint.inference && footprint.checkpointed > 0.0, "{what}");
    let mut expected = size;
    expected[1] *= 2;
    all_hold(what, laws::net(net, &normal("z", size), y, expected));
}

#[test]
fn a_unet_of_signals_and_one_of_volumes_obey_the_laws() {
    let (rng, device) = (&Rng::new(0), &device());
    let config = UNetConfig::new(1, [8, 12]).with_blocks(1).with_attention([1]).with_time_features(8);
    for resampling in [Resampling::Convolution, Resampling::Residual] {
        let config = config.clone().with_resampling(resampling);
        let specs = [specs(1), vec![caption()]].concat();
        let task = task(&[2, 11], &specs);
        let net = config.clone().fit(&task).init_rank::<3>(rng, device).unwrap();
        obeys("signals", &net, config.footprint(&task), [3, 2, 11], &random_conditions(&specs, 3));
    }
    for resampling in [Resampling::Convolution, Resampling::Residual] {
        let config = config.clone().with_resampling(resampling);
        let specs = specs(3);
        let task = task(&[2, 3, 5, 4], &specs);
        let net = config.clone().fit(&task).init_rank::<5>(rng, device).unwrap();
        obeys("volumes", &net, config.footprint(&task), [3, 2, 3, 5, 4], &random_conditions(&specs, 3));
    }
    let error = config.init_rank::<2>(rng, device).unwrap_err().to_string();
    assert!(error.contains("rank 3, 4 or 5"), "{error}");
    let image = ConditionSpec::new("low", ConditionKind::Image { shape: vec![1, 4, 4] });
    let error = config.with_conditions([image]).init_rank::<3>(rng, device).unwrap_err().to_string();
    assert!(error.contains("2 spatial axes, and the data have 1"), "{error}");
}

#[test]
fn signals_and_volumes_keep_any_size() {
    let (rng, device) = (&Rng::new(0), &device());
    let config = UNetConfig::new(1, [4, 4, 4]).with_blocks(1).with_attention([2]);
    let (line, volume) = (config.init_rank::<3>(rng, device).unwrap(), config.init_rank::<5>(rng, device).unwrap());
    for length in [1, 2, 3, 10, 33] {
        let z = normal("z", [2, 1, length]);
        assert_eq!(line.forward(z, times(2), &Conditions::none()).dims(), [2, 1, length]);
    }
    for [d, h, w] in [[1, 1, 1], [1, 4, 3], [3, 2, 5], [4, 7, 1]] {
        let z = normal("z", [2, 1, d, h, w]);
        assert_eq!(volume.forward(z, times(2), &Conditions::none()).dims(), [2, 1, d, h, w]);
    }
}

/// Layers over one and three axes are burn's own operations; a row does not depend on its batch.
#[test]
fn convolutions_over_one_and_three_axes_are_those_of_burn() {
    let (rng, device) = (&Rng::new(0), &device());
    for down in [false, true] {
        let stride = if down { 2 } else { 1 };
        let (line, volume) =
            (layers::Conv::<3>::new([3, 5], 3, rng, device), layers::Conv::<5>::new([9, 8], 3, rng, device));
        let (line, volume) = if down { (line.downsampling(), volume.downsampling()) } else { (line, volume) };
        let x = normal("x", [2, 3, 13]);
        let options = ConvOptions::new([stride], [1], [1], 1);
        let expected = conv1d(x.clone(), line.weight.val(), Some(line.bias.val()), options);
        assert!(gap(line.forward(x.clone()), expected) < 1e-5);
        assert_eq!(bits(line.forward(x.clone()).narrow(0, 1, 1)), bits(line.forward(x.narrow(0, 1, 1))));
        let x = normal("x", [2, 9, 5, 8, 6]);
        let options = ConvOptions::new([stride; 3], [1; 3], [1; 3], 1);
        let expected = conv3d(x.clone(), volume.weight.val(), Some(volume.bias.val()), options);
        assert!(gap(volume.forward(x.clone()), expected) < 1e-5);
        assert_eq!(bits(volume.forward(x.clone()).narrow(0, 1, 1)), bits(volume.forward(x.narrow(0, 1, 1))));
    }
    let x = normal("x", [1, 1, 2, 1, 3]);
    let y = layers::upsample(x.clone(), [4, 2, 5]);
    for (i, value) in floats(y).into_iter().enumerate() {
        let (d, w) = (i / 10, i % 5);
        assert_eq!(value, floats(x.clone())[d / 2 * 3 + w * 3 / 5]);
    }
}

#[test]
fn a_unet_of_signals_is_trained_and_sampled_from() {
    // Constant signals of ±1.
    let values: Vec<f32> = (0..16).flat_map(|i| vec![if i % 2 == 0 { 1.0 } else { -1.0 }; 9]).collect();
    let data = Samples::<3>::new(values, [16, 1, 9]);
    let net = UNetConfig::new(1, [16, 16]).with_blocks(1).init_rank::<3>(&Rng::new(1), &device()).unwrap();
    let model = Model::new(Gaussian::new(Cosine::new(100)), net).unwrap().with_range(-1.0, 1.0);
    let settings = Train { steps: 150, batch: 16, lr: 3e-3, warmup: 10, ema_decay: 0.9, ..Train::default() };
    let mut trainer = model.train(&data, Simple {}, settings).unwrap();
    trainer.by_ref().for_each(|step| assert!(step.unwrap().loss.is_finite()));
    let model = trainer.model();
    let x = model.sample(&Ddim { eta: 0.0 }, 20, [16, 1, 9], &Conditions::none(), &Rng::new(3)).unwrap();
    let x = floats(x);
    let near = x.iter().filter(|x| (x.abs() - 1.0).abs() < 0.3).count();
    assert!(near > 6 * x.len() / 10, "{near} of {} values are near ±1", x.len());
    let whole = x.chunks(9).filter(|row| row.iter().all(|x| x.signum() == row[0].signum())).count();
    assert!(whole >= 12, "{whole} of 16 signals have one sign");
}

#[test]
fn variants_of_nets_for_images_obey_the_laws() {
    let (rng, device) = (&Rng::new(0), &device());
    let specs = [specs(2), vec![caption()]].concat();
    let y = random_conditions(&specs, 3);
    let (task, size) = (task(&[2, 7, 5], &specs), [3, 2, 7, 5]);
    let unet = UNetConfig::new(1, [8, 12]).with_attention([0]).with_cross_attention([1]).with_time_features(8);
    for (scale_shift, resampling) in
        [(true, Resampling::Residual), (false, Resampling::Residual), (false, Resampling::Convolution)]
    {
        let config = unet.clone().with_scale_shift(scale_shift).with_resampling(resampling);
        let net = config.clone().fit(&task).init(rng, device).unwrap();
        obeys(&format!("{scale_shift} {resampling:?}"), &net, config.footprint(&task), size, &y);
    }
    for (depth, skips) in [(1, 0), (2, 0), (3, 1), (5, 2), (6, 2)] {
        let config = DitConfig::new(1).with_width(16).with_heads(2).with_depth(depth).with_long_skips(true);
        let config = config.with_positions(Positions::Rotary);
        let net = config.clone().fit(&task).init(rng, device).unwrap();
        let plain = config.clone().with_long_skips(false).footprint(&task).parameters;
        assert_eq!(config.footprint(&task).parameters, plain + f64::from(skips * (2 * 16 * 16 + 16)));
        obeys(&format!("{depth} blocks with skips"), &net, config.footprint(&task), size, &y);
    }
}

/// Each long skip connection has an effect: without its weights for the first half, the output is another.
#[test]
fn long_skips_join_the_first_block_with_the_last() {
    let config = DitConfig::new(1).with_width(16).with_heads(2).with_depth(4).with_long_skips(true);
    let net = moved(config.init(&Rng::new(0), &device()).unwrap());
    let names: Vec<String> =
        tweedie::train::Parameters::of(&net).to_host().into_iter().map(|(n, ..)| n.to_owned()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("skips.") && name.ends_with("weight")).count(), 1);
    let all = bits(net.forward(normal("z", [2, 1, 8, 8]), times(2), &Conditions::none()));
    let host = tweedie::train::Parameters::of(&net);
    let entries = host.to_host().into_iter().map(|(name, shape, mut values)| {
        if name == "skips.0.weight" {
            values[16 * 16..].fill(0.0);
        }
        (name.to_owned(), shape.to_vec(), values)
    });
    let other = tweedie::train::Parameters::from_host(entries.collect(), &device()).into_module(net);
    assert_ne!(all, bits(other.forward(normal("z", [2, 1, 8, 8]), times(2), &Conditions::none())));
}

/// Parameters of a net for latents or images of this shape, in whole numbers.
fn published(shape: &[usize], outputs: usize, num_classes: usize) -> Task<'_> {
    Task { shape, num_classes, conditions: &[], outputs, categories: None, image: None }
}

/// Peebles and Xie (2022), table 4: millions of parameters. The released DiT-XL/2 prints 675,129,632, of which 256 · 1152 are the table
/// of positions, which is computed here: <https://github.com/facebookresearch/DiT>.
#[test]
fn dits_have_the_published_numbers_of_parameters() {
    for (name, millions) in [
        ("DiT-S/2", 33.0),
        ("DiT-B/2", 130.0),
        ("DiT-L/2", 458.0),
        ("DiT-XL/2", 675.0),
        ("DiT-B/4", 130.0),
        ("DiT-L/8", 459.0),
    ] {
        let config = DitConfig::named(name).unwrap();
        assert_eq!((config.in_channels, config.num_classes, config.outputs), (4, 1000, 2));
        let own = config.footprint(&published(&[4, 32, 32], 2, 1000)).parameters;
        let positions = (config.width * (32 / config.patch).pow(2)) as f64;
        assert!((own + positions - millions * 1e6).abs() < 1.3e6, "{name}: {own}");
        if name == "DiT-XL/2" {
            assert_eq!(own + positions, 675_129_632.0);
        }
    }
    for name in ["DiT-M/2", "DiT-S/3", "S/2", "DiT-S"] {
        let error = DitConfig::named(name).unwrap_err().to_string();
        assert!(error.contains("DiT-B/4"), "{error}");
    }
    // What is counted is what is built.
    let small = DitConfig::named("DiT-S/8").unwrap();
    let net = DitConfig { depth: 1, ..small.clone() }.init(&Rng::new(0), &device()).unwrap();
    let counted = DitConfig { depth: 1, ..small }.footprint(&published(&[4, 32, 32], 2, 1000)).parameters;
    assert_eq!(net.num_params() as f64, counted);
}

/// Ho et al. (2020), appendix B: 35.7 million. Dhariwal and Nichol (2021), table 4: 296 and 554 million, whose tables of classes have no
/// row for "none". Karras et al. (2024), table 2: 125 to 1523 million.
#[test]
fn unets_have_the_published_numbers_of_parameters() {
    let ddpm = UNetConfig::ddpm_cifar10().footprint(&published(&[3, 32, 32], 1, 0)).parameters;
    assert_eq!(ddpm, 35_746_307.0);
    for (side, parameters, width) in [(64, 295_904_454.0, 192.0), (256, 553_838_086.0, 256.0)] {
        let adm = UNetConfig::adm(side).unwrap().footprint(&published(&[3, side, side], 2, 1000)).parameters;
        assert_eq!(adm - 4.0 * width, parameters, "ADM for a side of {side}");
    }
    assert!(UNetConfig::adm(128).unwrap_err().to_string().contains("64 or 256"));
    for (name, millions) in [("XS", 125.0), ("S", 280.0), ("M", 498.0), ("L", 777.0), ("XL", 1119.0), ("XXL", 1523.0)] {
        let config = Edm2Config::named(&format!("EDM2-{name}")).unwrap();
        let own = config.footprint(&published(&[4, 64, 64], 1, 1000)).parameters;
        assert!((own - millions * 1e6).abs() < 0.6e6, "EDM2-{name}: {own}");
    }
    assert!(Edm2Config::named("EDM2-M2").unwrap_err().to_string().contains("EDM2-XXL"));
}

#[test]
fn the_magnitude_preserving_net_obeys_the_laws() {
    let (rng, device) = (&Rng::new(0), &device());
    let specs = specs(2)[..2].to_vec();
    let task = task(&[2, 7, 5], &specs);
    let config = Edm2Config::new(1, [8, 12]).with_blocks(1).with_attention([0]).with_head_channels(4).with_dropout(0.1);
    let net = config.clone().fit(&task).init(rng, device).unwrap();
    obeys("edm2", &net, config.footprint(&task), [3, 2, 7, 5], &random_conditions(&specs, 3));
    let z = normal("z", [3, 2, 7, 5]);
    assert!(
        bits(net.forward(z, times(3), &random_conditions(&specs, 3))).iter().all(|bits| bits << 1 == 0),
        "initially zero"
    );
    let error = config.with_conditions([caption()]).init(rng, device).unwrap_err().to_string();
    assert!(error.contains("takes no condition of the kind `tokens`"), "{error}");
}

/// In a new net, activations have a root mean square near 1 in every block, at any width and depth, where those of a net without
/// scaled sums grow; and the scale of a weight has no effect.
#[test]
fn activations_of_a_new_net_have_magnitude_one_in_every_block() {
    let z = normal("z", [4, 3, 16, 16]);
    for (channels, blocks, classes) in [(vec![32, 64, 96], 3, 10), (vec![64, 64], 1, 0)] {
        let config =
            Edm2Config::new(3, channels.clone()).with_blocks(blocks).with_attention([1]).with_num_classes(classes);
        let net = config.init(&Rng::new(2), &Device::flex()).unwrap();
        let y = if classes > 0 { Conditions::classes([1, 2, 3, 4]) } else { Conditions::none() };
        let magnitudes = net.magnitudes(z.clone(), times(4), &y);
        assert_eq!(magnitudes.len(), channels.len() * (2 * blocks + 1) + 2 * (channels.len() - 1) + 2);
        for (name, size) in magnitudes {
            assert!((0.65..1.35).contains(&size), "{name}: {size}");
        }
    }
    let net = moved(Edm2Config::new(3, [8, 8]).with_blocks(1).init(&Rng::new(2), &Device::flex()).unwrap());
    let host = tweedie::train::Parameters::of(&net);
    let entries = host.to_host().into_iter().map(|(name, shape, mut values)| {
        if name.ends_with("conv1.weight") {
            values.iter_mut().for_each(|value| *value *= 8.0);
        }
        (name.to_owned(), shape.to_vec(), values)
    });
    let scaled = tweedie::train::Parameters::from_host(entries.collect(), &device()).into_module(net.clone());
    let at = |net: &tweedie::net::Edm2| net.forward(z.clone(), times(4), &Conditions::none());
    let size = numbers(at(&net)).into_iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert!(gap(at(&net), at(&scaled)) < 1e-3 * size && size > 0.0);
}

#[test]
fn the_magnitude_preserving_net_learns() {
    let values: Vec<f32> = (0..16).flat_map(|i| vec![if i % 2 == 0 { 1.0 } else { -1.0 }; 16]).collect();
    let data = Samples::<4>::new(values, [16, 1, 4, 4]);
    let net = Edm2Config::new(1, [16, 16]).with_blocks(1).init(&Rng::new(1), &device()).unwrap();
    let model = Model::new(Gaussian::new(Cosine::new(100)), net).unwrap();
    let settings = Train { steps: 200, batch: 16, lr: 2e-2, warmup: 10, ..Train::default() };
    let losses: Vec<f64> = model.train(&data, Simple {}, settings).unwrap().map(|step| step.unwrap().loss).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[150..]) < 0.5 * mean(&losses[..5]), "{} → {}", mean(&losses[..5]), mean(&losses[150..]));
}

/// The fused cross-attention is that of its formula, with gradients, whichever tokens are padding; padding has no effect.
#[test]
fn cross_attention_is_that_of_its_formula() {
    let (batch, places, tokens, heads, width) = (3, 7, 6, 2, 10);
    let padding = [[false; 6], [false, true, false, true, false, false], [false, false, true, true, true, true]];
    let run = |fused: bool, scale: f32| {
        let device = device().autodiff();
        let leaf = |name: &str, shape: [usize; 3]| {
            Tensor::<3>::from_data(normal(name, shape).into_data(), (&device, DType::F32)).require_grad()
        };
        let (q, kv) = (leaf("q", [batch, places, width]), leaf("kv", [batch, tokens, 2 * width]));
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(padding.concat(), [batch, tokens]), &device);
        // Padding is multiplied.
        let spread = mask.clone().float().mul_scalar(scale - 1.0).add_scalar(1.0).reshape([batch, tokens, 1]);
        let scaled = kv.clone() * spread;
        let y = if fused {
            ops::cross_attention(q.clone(), scaled, mask, heads)
        } else {
            let part = |x: Tensor<3>, n: usize| x.reshape([batch, n, heads, width / heads]).swap_dims(1, 2);
            let [k, v]: [Tensor<3>; 2] = scaled.chunk(2, 2).try_into().unwrap();
            let scores = part(q.clone(), places).matmul(part(k, tokens).swap_dims(2, 3)) / (5.0_f64).sqrt();
            let mask = mask.reshape([batch, 1, 1, tokens]).expand([batch, heads, places, tokens]);
            let p = softmax(scores.mask_fill(mask, -1e9), 3);
            p.matmul(part(v, tokens)).swap_dims(1, 2).reshape([batch, places, width])
        };
        let weights = Tensor::from_data(normal("w", [batch, places, width]).into_data(), (&device, DType::F32));
        let gradients = (y.clone() * weights).sum().backward();
        [y.inner(), q.grad(&gradients).unwrap(), kv.grad(&gradients).unwrap()]
    };
    for (fused, formula) in run(true, 1.0).into_iter().zip(run(false, 1.0)) {
        assert!(gap(fused, formula) < 2e-6);
    }
    assert_eq!(run(true, 1.0).map(bits)[..2], run(true, 50.0).map(bits)[..2]);
}
