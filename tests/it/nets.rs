//! Nets: initial output, gradients, conditions, independence of the batch, configurations.
use crate::common::{bits, device, floats, labels, moved, normal, on_threads, slopes, times, tokens};
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::{AdamConfig, GradientsParams},
    tensor::{Tensor, TensorData, activation::softmax},
};
use tweedie::{
    Rng,
    net::{
        Classes, Condition, Conditions, Dit, DitConfig, Mlp, MlpConfig, Net, PixelsConfig, Positions, Softmax, Task,
        Transformer, TransformerConfig, UNet, UNetConfig, layers,
    },
    train::Parameters,
};
use tweedie_kernels::ops::linear;

/// The parameters that a configuration counts are those of the net, and a net twice as wide has more of everything.
#[test]
fn footprints_count_the_parameters() {
    let images =
        Task { shape: &[3, 9, 16], num_classes: 4, conditions: &[], outputs: 2, categories: None, image: None };
    let (rng, device) = (Rng::new(0), device());
    for channels in [vec![8], vec![8, 12, 12], vec![6, 6, 10]] {
        for (attention, blocks) in [(vec![], 1), (vec![0], 2)] {
            let config = UNetConfig::new(1, channels.clone()).with_attention(attention).with_blocks(blocks);
            let own = config.footprint(&images);
            let net = config.fit(&images).init(&rng, &device).unwrap();
            assert_eq!(own.parameters, net.num_params() as f64, "{channels:?}");
            assert!(own.training > own.inference && own.inference > 8.0 * 144.0, "{own:?}");
        }
    }
    let task = Task {
        shape: &[192, 1],
        num_classes: 2,
        conditions: &[],
        outputs: 1,
        categories: Some(5),
        image: Some([3, 8, 8]),
    };
    let pixels = PixelsConfig { unet: UNetConfig::new(1, [8, 8]), ..PixelsConfig::default() };
    let net = pixels.clone().fit(&task).unwrap().init(&rng, &device).unwrap();
    assert_eq!(pixels.footprint(&task).parameters, net.num_params() as f64);
    for (cond_width, positions) in [(0, Positions::Sinusoidal), (10, Positions::Rotary)] {
        let config =
            DitConfig::new(1).with_width(32).with_depth(2).with_cond_width(cond_width).with_positions(positions);
        let own = config.footprint(&images);
        assert_eq!(own.parameters, config.fit(&images).init(&rng, &device).unwrap().num_params() as f64);
    }
    let text = Task { shape: &[12, 1], num_classes: 0, conditions: &[], outputs: 1, categories: Some(11), image: None };
    let vectors = Task { shape: &[12, 7], num_classes: 3, conditions: &[], outputs: 2, categories: None, image: None };
    for task in [text, vectors] {
        for (tied, time, positions) in [(false, true, Positions::Rotary), (true, false, Positions::Learned)] {
            let tied = tied && task.categories.is_some();
            let config = TransformerConfig::new(0, 0).with_width(16).with_depth(2).with_heads(2).with_tied(tied);
            let config = config.with_time(time).with_positions(positions);
            let own = config.footprint(&task);
            let net = config.fit(&task).init(&rng, &device).unwrap();
            assert_eq!(own.parameters, net.num_params() as f64, "{tied} {time}");
        }
    }
    let points = Task { shape: &[3], num_classes: 2, conditions: &[], outputs: 1, categories: None, image: None };
    let config = MlpConfig::new(1).with_hidden([12, 20]);
    assert_eq!(
        config.footprint(&points).parameters,
        config.fit(&points).init(&rng, &device).unwrap().num_params() as f64
    );
    // No configuration is too large to be counted.
    let huge = UNetConfig::new(1, [usize::MAX, usize::MAX]).with_blocks(usize::MAX).footprint(&images);
    assert!(huge.parameters > 1e30 && huge.training > 1e20, "{huge:?}");
}

fn select<const D: usize>(x: &Tensor<D>, rows: &[usize]) -> Tensor<D> {
    Tensor::cat(rows.iter().map(|&row| x.clone().narrow(0, row, 1)).collect(), 0)
}

fn unet() -> UNet {
    moved(
        UNetConfig::new(2, [8, 12])
            .with_blocks(1)
            .with_attention([0])
            .with_num_classes(3)
            .init(&Rng::new(1), &device())
            .unwrap(),
    )
}

fn mlp() -> Mlp {
    moved(MlpConfig::new(3).with_hidden([40, 40, 24]).with_num_classes(3).init(&Rng::new(1), &device()).unwrap())
}

/// A transformer of ten categories with options that differ from the defaults.
fn transformer() -> Transformer {
    let config =
        TransformerConfig::new(10, 12).with_width(24).with_depth(2).with_heads(2).with_positions(Positions::Learned);
    moved(
        config
            .with_causal(true)
            .with_pad(7)
            .with_tied(true)
            .with_num_classes(3)
            .with_cond_width(16)
            .init(&Rng::new(1), &device())
            .unwrap(),
    )
}

/// A transformer of tokens of three continuous values.
fn continuous() -> Transformer {
    let config = TransformerConfig::continuous(3, 12).with_width(24).with_depth(2).with_heads(2);
    moved(config.with_num_classes(3).with_outputs(2).init(&Rng::new(1), &device()).unwrap())
}

fn dit() -> Dit {
    let config =
        DitConfig::new(2).with_patch(3).with_width(24).with_depth(2).with_heads(3).with_positions(Positions::Rotary);
    moved(config.with_num_classes(3).init(&Rng::new(1), &device()).unwrap())
}

#[test]
fn a_unet_keeps_any_size_at_any_number_of_levels() {
    for (data, channels, size, outputs) in [
        (1, vec![8], [1, 1], 1),
        (3, vec![6], [5, 4], 2),
        (1, vec![8, 12], [7, 7], 1),
        (2, vec![8, 8, 5], [7, 9], 2),
        (1, vec![4, 8, 8], [28, 28], 1),
        (1, vec![4, 4, 4, 4], [3, 10], 1),
    ] {
        let config = UNetConfig::new(data, channels.clone()).with_blocks(1).with_attention([0]).with_outputs(outputs);
        let net = moved(config.init(&Rng::new(1), &device()).unwrap());
        let z = normal("z", [2, data, size[0], size[1]]);
        let y = net.forward(z, times(2), &Conditions::none());
        assert_eq!(y.dims(), [2, outputs * data, size[0], size[1]], "{channels:?}");
    }
}

#[test]
fn outputs_are_zero_before_training() {
    let net = UNetConfig::new(1, [8, 16]).with_num_classes(3).init(&Rng::new(1), &device()).unwrap();
    let y = net.forward(normal("z", [3, 1, 7, 7]), times(3), &labels(3));
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    let net = MlpConfig::new(2).with_outputs(2).init(&Rng::new(1), &device()).unwrap();
    let y = net.forward(normal("z", [3, 2]), times(3), &Conditions::none());
    assert_eq!(y.dims(), [3, 4]);
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    for tied in [false, true] {
        let net = TransformerConfig::new(10, 5).with_tied(tied).init(&Rng::new(1), &device()).unwrap();
        let y = net.forward(tokens(3, 4), times(3), &Conditions::none());
        assert_eq!(y.dims(), [3, 4, 10]);
        assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    }
    let net = TransformerConfig::continuous(6, 5).with_outputs(2).init(&Rng::new(1), &device()).unwrap();
    let y = net.forward(normal("z", [3, 4, 6]), times(3), &Conditions::none());
    assert_eq!(y.dims(), [3, 8, 6]);
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    let net = DitConfig::new(1).with_width(32).with_depth(1).with_outputs(2).init(&Rng::new(1), &device()).unwrap();
    let y = net.forward(normal("z", [3, 1, 7, 9]), times(3), &Conditions::none());
    assert_eq!(y.dims(), [3, 2, 7, 9]);
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
}

#[test]
fn outputs_depend_on_class_and_time() {
    fn check<const D: usize, N: Net<D, Condition = Conditions>>(net: N, z: Tensor<D>) {
        let at = |t: f32, y: &Conditions| bits(net.forward(z.clone(), Tensor::from_data([t, t], &device()), y));
        let one = at(0.5, &Conditions::classes([1, 1]));
        assert_eq!(one, at(0.5, &Conditions::classes([1, 1])));
        assert_ne!(one, at(0.5, &Conditions::classes([2, 1])));
        assert_ne!(one, at(0.501, &Conditions::classes([1, 1])));
        let none = at(0.5, &Conditions::none());
        assert_ne!(one, none);
        assert_eq!(none, at(0.5, &Conditions::classes([1, 1]).without(&[true, true])));
    }
    check(unet(), normal("z", [2, 2, 5, 5]));
    check(mlp(), normal("z", [2, 3]));
    check(dit(), normal("z", [2, 2, 5, 5]));
    check(transformer(), tokens(2, 5));
    check(continuous(), normal("z", [2, 5, 3]));
}

/// With the weights of all modulations but one at zero, the output depends on time and class through that one alone.
#[test]
fn every_modulation_reads_time_and_class() {
    fn check<const D: usize, N: Net<D, Condition = Conditions>>(net: N, z: Tensor<D>, count: usize) {
        let whole = Parameters::of(&net);
        let modulations: Vec<String> = whole
            .to_host()
            .into_iter()
            .map(|(name, ..)| name.to_owned())
            .filter(|name| {
                let parts: Vec<&str> = name.split('.').collect();
                // `cond.…` is the embedding that all of them read.
                parts.len() > 1 && parts.ends_with(&["cond", "weight"]) || parts.ends_with(&["modulation", "weight"])
            })
            .collect();
        assert_eq!(modulations.len(), count, "{modulations:?}");
        for kept in &modulations {
            let zeroed = whole.to_host().into_iter().map(|(name, shape, mut values)| {
                if modulations.iter().any(|other| other == name && other != kept) {
                    values.fill(0.0);
                }
                (name.to_owned(), shape.to_vec(), values)
            });
            let net = Parameters::from_host(zeroed.collect(), &device()).into_module(net.clone());
            let at = |t: f32, y: [u32; 2]| net.forward(z.clone(), Tensor::from_data([t, t], &device()), &y.into());
            let size = floats(at(0.3, [1, 1]).abs().max())[0];
            for (what, other) in [("time", at(0.8, [1, 1])), ("class", at(0.3, [2, 2]))] {
                let gap = floats((at(0.3, [1, 1]) - other).abs().max())[0];
                assert!(gap > 1e-5 * size, "{kept} alone: the output does not depend on the {what}");
            }
        }
    }
    check(unet(), normal("z", [2, 2, 5, 5]), 8);
    check(mlp(), normal("z", [2, 3]), 3);
    check(dit(), normal("z", [2, 2, 5, 5]), 3);
    check(transformer(), tokens(2, 5), 3);
    check(continuous(), normal("z", [2, 5, 3]), 3);
}

#[test]
fn gradients_reach_every_parameter() {
    let timeless = TransformerConfig::new(10, 5).with_width(8).with_depth(1).with_heads(1).with_time(false);
    let classes = moved(timeless.clone().with_num_classes(3).init(&Rng::new(1), &device()).unwrap());
    for slopes in [
        slopes(&unet(), normal("z", [4, 2, 5, 5])),
        slopes(&mlp(), normal("z", [4, 3])),
        slopes(&dit(), normal("z", [4, 2, 5, 5])),
        slopes(&transformer(), tokens(4, 12)),
        slopes(&continuous(), normal("z", [4, 5, 3])),
        slopes(&classes, tokens(4, 5)),
    ] {
        assert!(slopes.len() > 10);
        for (name, slope) in slopes {
            let reached = slope.is_some_and(|slope| slope.iter().any(|bits| bits << 1 != 0));
            assert!(reached, "no gradient reaches {name}");
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch_and_on_any_number_of_threads() {
    fn check<const D: usize, N: Net<D, Condition = Conditions> + Sync>(net: N, z: Tensor<D>) {
        let all = z.dims()[0];
        let rows = |rows: &[usize], threads| {
            on_threads(threads, || {
                bits(net.forward(select(&z, rows), select(&times(all), rows), &labels(all).select(rows)))
            })
        };
        let whole = rows(&(0..all).collect::<Vec<_>>(), 2);
        let len = whole.len() / all;
        let backwards: Vec<_> = (0..all).rev().collect();
        for batch in [1, 2, 3, 7, 13] {
            for threads in [1, 2, 3] {
                for picked in backwards.chunks(batch).take(3) {
                    for (found, row) in rows(picked, threads).chunks(len).zip(picked) {
                        assert!(found == &whole[row * len..][..len], "row {row}, batch {batch}, {threads} threads");
                    }
                }
            }
        }
        assert_eq!(whole, rows(&(0..all).collect::<Vec<_>>(), 1));
    }
    check(unet(), normal("z", [37, 2, 5, 7]));
    check(mlp(), normal("z", [70, 3]));
    check(dit(), normal("z", [37, 2, 5, 7]));
    check(transformer(), tokens(37, 12));
    check(transformer(), normal("z", [37, 12, 10]));
    check(continuous(), normal("z", [37, 9, 3]));
    let long = TransformerConfig::new(10, 150).with_width(64).with_depth(1).with_heads(1).with_num_classes(3);
    check(moved(long.clone().init(&Rng::new(1), &device()).unwrap()), tokens(13, 150));
    check(moved(long.with_causal(true).init(&Rng::new(1), &device()).unwrap()), tokens(13, 150));
    // Wide enough for a product to be split along its inner axis and among threads.
    check(
        moved(MlpConfig::new(1).with_hidden([700, 40]).with_num_classes(3).init(&Rng::new(1), &device()).unwrap()),
        normal("z", [70, 1]),
    );
    check(
        moved(UNetConfig::new(1, [72]).with_blocks(1).with_num_classes(3).init(&Rng::new(1), &device()).unwrap()),
        normal("z", [13, 1, 14, 14]),
    );
}

#[test]
fn a_row_of_a_product_has_the_same_bits_in_any_batch() {
    let mut plain_differs = false;
    for (inputs, outputs) in [(1, 3), (3, 1), (64, 256), (300, 1), (700, 40), (1100, 70)] {
        let (x, w) = (normal("x", [100, inputs]), normal("w", [inputs, outputs]));
        let (whole, plain) = (bits(linear(x.clone(), w.clone(), None)), bits(x.clone().matmul(w.clone())));
        for batch in [1, 2, 3, 7, 32, 33, 64] {
            for first in [0, 1, 29] {
                let part = x.clone().narrow(0, first, batch);
                let expected = &whole[first * outputs..][..batch * outputs];
                assert!(bits(linear(part.clone(), w.clone(), None)) == expected, "{inputs} → {outputs}, {batch} rows");
                plain_differs |= bits(part.matmul(w.clone())) != plain[first * outputs..][..batch * outputs];
            }
        }
    }
    assert!(plain_differs, "products in general no longer depend on their size: `linear` need not care");
}

#[test]
fn gradients_have_the_same_bits_again_and_on_any_number_of_threads() {
    fn check<const D: usize, N: Net<D, Condition = Conditions> + Sync>(net: N, z: Tensor<D>) {
        let first = on_threads(2, || slopes(&net, z.clone()));
        for threads in [1, 2, 3] {
            for (found, expected) in on_threads(threads, || slopes(&net, z.clone())).iter().zip(&first) {
                assert!(found == expected, "{} differs on {threads} threads", found.0);
            }
        }
    }
    check(unet(), normal("z", [9, 2, 9, 7]));
    check(mlp(), normal("z", [40, 3]));
    check(dit(), normal("z", [9, 2, 9, 7]));
    check(transformer(), tokens(9, 12));
    check(
        moved(
            UNetConfig::new(1, [64])
                .with_blocks(1)
                .with_num_classes(3)
                .with_dropout(0.1)
                .init(&Rng::new(1), &device())
                .unwrap(),
        ),
        normal("z", [8, 1, 16, 16]),
    );
}

#[test]
fn dropout_applies_in_training_alone_and_is_keyed_by_row() {
    fn check<const D: usize, N: Net<D, Condition = Conditions>>(dropping: N, plain: N, z: Tensor<D>) {
        let (t, y, rng) = (times(4), labels(4), Rng::new(9));
        let without = bits(plain.forward(z.clone(), t.clone(), &y));
        assert_eq!(without, bits(dropping.forward(z.clone(), t.clone(), &y)));
        assert_eq!(without, bits(plain.forward_train(z.clone(), t.clone(), &y, &rng)));
        let all = bits(dropping.forward_train(z.clone(), t.clone(), &y, &rng));
        assert_ne!(without, all);
        assert_ne!(all, bits(dropping.forward_train(z.clone(), t.clone(), &y, &rng.at_step(1))));
        let rows = |x: &[usize]| (select(&z, x), select(&t, x), y.select(x));
        let (z, t, y) = rows(&[2, 3]);
        let two = bits(dropping.forward_train(z, t, &y, &rng.from_row(2)));
        assert_eq!(all[all.len() / 2..], two);
    }
    let net = |rate| {
        moved(UNetConfig::new(2, [8, 8]).with_num_classes(3).with_dropout(rate).init(&Rng::new(1), &device()).unwrap())
    };
    check(net(0.3), net(0.0), normal("z", [4, 2, 4, 4]));
    let net =
        |rate| moved(MlpConfig::new(3).with_num_classes(3).with_dropout(rate).init(&Rng::new(1), &device()).unwrap());
    check(net(0.3), net(0.0), normal("z", [4, 3]));
    let small = TransformerConfig::new(10, 6).with_width(8).with_depth(1).with_heads(2).with_num_classes(3);
    let net = |rate| moved(small.clone().with_dropout(rate).init(&Rng::new(1), &device()).unwrap());
    check(net(0.3), net(0.0), tokens(4, 6));
    let net = |rate| {
        moved(
            DitConfig::new(2)
                .with_patch(2)
                .with_width(8)
                .with_depth(1)
                .with_heads(2)
                .with_num_classes(3)
                .with_dropout(rate)
                .init(&Rng::new(1), &device())
                .unwrap(),
        )
    };
    check(net(0.3), net(0.0), normal("z", [4, 2, 4, 4]));
}

#[test]
fn dropout_keeps_the_mean() {
    let x = layers::dropout(Tensor::<2>::ones([100, 400], &device()), 0.25, &mut Some(Rng::new(2)));
    let numbers = floats(x);
    let zeros = numbers.iter().filter(|x| **x == 0.0).count();
    assert!(numbers.iter().all(|x| *x == 0.0 || (*x - 4.0 / 3.0).abs() < 1e-6));
    // 40 000 draws: a standard deviation of 87 about 10 000.
    assert!(zeros.abs_diff(10_000) < 450, "{zeros}");
}

/// x + P V softmax(KᵀQ/√d), of one head and one group, written out.
#[test]
fn attention_over_pixels_is_that_of_its_formula() {
    const C: usize = 4;
    let attention = moved(layers::Attention::new(C, C, 1, &Rng::new(1), &device()));
    let weights = Parameters::of(&attention);
    let named = |name: &str| -> Vec<f32> {
        weights.to_host().into_iter().find(|(own, ..)| *own == name).unwrap_or_else(|| panic!("no {name}")).2
    };
    let matrix = |name: &str, rows: usize| Tensor::<2>::from_data(TensorData::new(named(name), [rows, C]), &device());
    let column = |name: &str| {
        let values = named(name);
        let rows = values.len();
        Tensor::<2>::from_data(TensorData::new(values, [rows, 1]), &device())
    };
    let x = normal("x", [1, C, 3, 2]) * 3.0;
    let flat: Tensor<2> = x.clone().reshape([C, 6]);
    let (mean, centered) = (flat.clone().mean(), flat.clone() - flat.clone().mean().unsqueeze());
    let normalized = centered.clone() / (centered.square().mean() + 1e-5).sqrt().unsqueeze();
    assert!(mean.into_scalar::<f32>().is_finite());
    let normalized = normalized * column("norm.gamma") + column("norm.beta");
    let qkv = (matrix("qkv.weight", 3 * C) * 4.0).matmul(normalized) + column("qkv.bias");
    let [q, k, v]: [Tensor<2>; 3] = qkv.chunk(3, 0).try_into().unwrap();
    let scores = softmax(q.transpose().matmul(k) / (C as f64).sqrt(), 1);
    let mixed = v.matmul(scores.transpose());
    let expected = flat + matrix("out.weight", C).matmul(mixed) + column("out.bias");
    // Weights that make scores of several units, so that their scale matters.
    let scaled = weights.to_host().into_iter().map(|(name, shape, mut values)| {
        if name == "qkv.weight" {
            values.iter_mut().for_each(|value| *value *= 4.0);
        }
        (name.to_owned(), shape.to_vec(), values)
    });
    let attention = Parameters::from_host(scaled.collect(), &device()).into_module(attention.clone());
    let found = floats(attention.forward(x));
    let gap = found.iter().zip(floats(expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap < 1e-4, "{gap}");
}

#[test]
fn parameter_counts_match_the_formula() {
    // Time and class, 32 wide; the first convolution; down: blocks 8 → 8 and, a level lower, 8 → 12.
    let cond = 64 * 32 + 32 + 32 * 32 + 32 + 4 * 32;
    let conv = |from: usize, to: usize| 9 * from * to + to;
    let block = |from: usize, to: usize| {
        let skip = if from == to { 0 } else { from * to + to };
        2 * from + conv(from, to) + (32 * 2 * to + 2 * to) + 2 * to + conv(to, to) + skip
    };
    let attention = |c: usize| 2 * c + (3 * c * c + 3 * c) + (c * c + c);
    let down = block(8, 8) + attention(8) + conv(8, 8) + block(8, 12);
    let middle = 2 * block(12, 12) + attention(12);
    let up =
        block(12 + 12, 12) + block(12 + 8, 12) + conv(12, 12) + block(12 + 8, 8) + block(8 + 8, 8) + 2 * attention(8);
    let all = cond + conv(2, 8) + down + middle + up + 2 * 8 + conv(8, 2);
    assert_eq!(unet().num_params(), all);
}

#[test]
fn initial_weights_of_a_layer_do_not_depend_on_other_layers() {
    struct Find(Vec<(String, ParamId, Vec<u32>)>, Vec<String>);
    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push((self.1.join("."), param.id, bits(param.val())));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
    }
    fn all(net: &UNet) -> Vec<(String, ParamId, Vec<u32>)> {
        let mut find = Find(vec![], vec![]);
        net.visit(&mut find);
        find.0
    }
    let config = UNetConfig::new(1, [8, 8]).with_blocks(1);
    let small = all(&config.clone().init(&Rng::new(1), &device()).unwrap());
    let large = all(&config
        .clone()
        .with_blocks(2)
        .with_attention([0])
        .with_num_classes(3)
        .init(&Rng::new(1), &device())
        .unwrap());
    for (name, _, start) in &small {
        let other = large.iter().find(|(other, ..)| other == name).expect(name);
        assert!(start == &other.2, "{name}");
    }
    let other = all(&config.init(&Rng::new(2), &device()).unwrap());
    assert!(small.iter().zip(&other).any(|(a, b)| a.2 != b.2));
    // No two tensors have equal initial weights.
    for (i, (name, _, start)) in
        large.iter().enumerate().filter(|(_, (.., start))| start.iter().any(|x| *x != start[0]))
    {
        assert!(large[..i].iter().all(|(.., other)| other[..2] != start[..2]), "{name}");
    }
}

#[test]
fn a_layer_after_a_net_is_applied() {
    let z = normal("z", [3, 2, 4, 5]);
    let y = unet().then(Softmax {}).forward(z, times(3), &labels(3));
    let sums = floats(y.sum_dim(3));
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
}

#[test]
fn a_unet_fits_four_images() {
    let images = normal("images", [4, 1, 8, 8]);
    let device = device().autodiff();
    let (z, t) = (Tensor::zeros([4, 1, 8, 8], &device), Tensor::zeros([4], &device));
    let x = Tensor::<4>::from_data(images.into_data(), &device);
    let y = Conditions::classes([0, 1, 2, 3]);
    let mut net = UNetConfig::new(1, [16, 16]).with_blocks(1).with_num_classes(4).init(&Rng::new(1), &device).unwrap();
    let mut optimizer = AdamConfig::new().init();
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..200 {
        let error = net.forward(z.clone(), t.clone(), &y) - x.clone();
        let loss = (error.clone() * error).mean();
        last = loss.clone().into_scalar::<f32>();
        if step == 0 {
            first = last;
        }
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(5e-3, net, grads);
    }
    assert!(last < 0.02 * first, "{first} → {last}");
}

#[test]
fn impossible_configurations_are_refused_with_their_field() {
    let unet = |config: UNetConfig| config.check().expect_err("refused");
    let base = || UNetConfig::new(1, [8, 8]);
    let sequence = |config: TransformerConfig| config.check().expect_err("refused");
    let tokens = || TransformerConfig::new(10, 8);
    let image = |config: DitConfig| config.check().expect_err("refused");
    for (error, field, part) in [
        (unet(UNetConfig::new(1, [])), Some("channels"), "at least one resolution level"),
        (unet(UNetConfig::new(1, [0])), Some("channels"), "no 0, got [0]"),
        (unet(UNetConfig::new(0, [8])), Some("in_channels"), "at least 1, got 0"),
        (unet(base().with_attention([2])), Some("attention"), "levels 0 (full resolution) to 1"),
        (unet(base().with_blocks(0)), Some("blocks"), "at least 1, got 0"),
        (unet(base().with_groups(0)), Some("groups"), "at least 1, got 0"),
        (unet(base().with_head_channels(0)), Some("head_channels"), "at least 1, got 0"),
        (unet(base().with_time_features(5)), Some("time_features"), "even number"),
        (unet(base().with_dropout(1.0)), Some("dropout"), "[0, 1)"),
        (unet(base().with_dropout(f64::NAN)), Some("dropout"), "[0, 1)"),
        (unet(base().with_outputs(3)), Some("outputs"), "got 3"),
        (sequence(TransformerConfig::default()), None, "vocabulary of discrete data or the channels"),
        (sequence(TransformerConfig { in_channels: 3, ..tokens() }), None, "leave one out"),
        (sequence(tokens().with_width(50).with_heads(4)), Some("width"), "multiple of heads = 4"),
        (sequence(tokens().with_width(12).with_heads(4)), Some("positions"), "multiple of 2"),
        (
            sequence(tokens().with_width(9).with_heads(3).with_positions(Positions::Sinusoidal)),
            Some("width"),
            "multiple of 2",
        ),
        (sequence(tokens().with_depth(0)), Some("depth"), "at least 1, got 0"),
        (sequence(tokens().with_pad(10)), Some("pad"), "a category, 0 to 9"),
        (sequence(tokens().with_outputs(2)), Some("outputs"), "got 2"),
        (sequence(TransformerConfig::continuous(4, 8).with_tied(true)), Some("tied"), "continuous data do not have"),
        (sequence(TransformerConfig::continuous(4, 8).with_pad(1)), Some("pad"), "continuous data do not have"),
        (sequence(TransformerConfig::new(1, 8)), Some("vocabulary"), "at least 2, got 1"),
        (sequence(TransformerConfig::new(10, 0)), Some("length"), "at least 1, got 0"),
        (sequence(tokens().with_time_features(3)), Some("time_features"), "even number"),
        (image(DitConfig::new(0)), Some("in_channels"), "at least 1, got 0"),
        (image(DitConfig::new(1).with_patch(0)), Some("patch"), "at least 1, got 0"),
        (image(DitConfig::new(1).with_positions(Positions::Learned)), Some("positions"), "size of the images"),
        (
            image(DitConfig::new(1).with_width(24).with_heads(4).with_positions(Positions::Rotary)),
            Some("positions"),
            "each axis",
        ),
        (MlpConfig::new(0).check().expect_err("refused"), Some("features"), "at least 1, got 0"),
        (MlpConfig::new(2).with_hidden([]).check().expect_err("refused"), Some("hidden"), "hidden layer"),
    ] {
        assert_eq!(error.field(), field, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(base().check().is_ok());
    assert!(MlpConfig::default().check().is_ok());
    assert!(tokens().check().is_ok());
    assert!(tokens().with_time(false).with_time_features(0).check().is_ok());
    assert!(TransformerConfig::continuous(16, 8).with_outputs(2).check().is_ok());
    assert!(DitConfig::default().check().is_ok());
}

#[test]
fn configurations_are_read_with_defaults_and_unknown_fields_are_refused() {
    let read: UNetConfig = serde_json::from_str(r#"{"channels": [16], "groups": 4}"#).expect("read");
    assert_eq!(read, UNetConfig::new(1, [16]).with_groups(4));
    assert!(serde_json::from_str::<UNetConfig>(r#"{"chanels": [3, 16]}"#).is_err());
    let read: MlpConfig = serde_json::from_str(r#"{"hidden": [8], "residual": false}"#).expect("read");
    assert_eq!(read, MlpConfig::new(2).with_hidden([8]).with_residual(false));
    assert!(serde_json::from_str::<MlpConfig>(r#"{"hiden": [3]}"#).is_err());
    let read: TransformerConfig = serde_json::from_str(r#"{"width": 64, "positions": "learned"}"#).expect("read");
    assert_eq!(read, TransformerConfig::default().with_width(64).with_positions(Positions::Learned));
    assert!(serde_json::from_str::<TransformerConfig>(r#"{"vocab": 3}"#).is_err());
    let read: DitConfig = serde_json::from_str(r#"{"patch": 2, "positions": "rotary"}"#).expect("read");
    assert_eq!(read, DitConfig::new(1).with_patch(2).with_positions(Positions::Rotary));
}

/// What data and noise determine is neither read nor written: a recipe that gives it is refused.
#[test]
fn dimensions_of_the_data_come_from_the_task_alone() {
    let task = Task { shape: &[3, 8, 8], num_classes: 10, conditions: &[], outputs: 2, categories: None, image: None };
    let unet = UNetConfig::new(1, [8]).fit(&task);
    assert_eq!(unet, UNetConfig::new(3, [8]).with_num_classes(10).with_outputs(2));
    assert_eq!(DitConfig::new(1).fit(&task), DitConfig::new(3).with_num_classes(10).with_outputs(2));
    let text = serde_json::to_string(&unet).expect("written");
    for field in ["in_channels", "num_classes", "outputs"] {
        assert!(!text.contains(field), "{text}");
        assert!(serde_json::from_str::<UNetConfig>(&format!(r#"{{"{field}": 3}}"#)).is_err(), "{field}");
    }
    let points = Task { shape: &[5], ..task };
    assert_eq!(MlpConfig::new(2).fit(&points), MlpConfig::new(5).with_num_classes(10).with_outputs(2));
    let text = Task { shape: &[16, 1], num_classes: 0, conditions: &[], outputs: 1, categories: Some(27), image: None };
    assert_eq!(TransformerConfig::default().fit(&text), TransformerConfig::new(27, 16));
    let vectors = Task { shape: &[16, 32], categories: None, ..text };
    assert_eq!(TransformerConfig::default().fit(&vectors), TransformerConfig::continuous(32, 16));
    // A U-Net for categories needs images.
    let error = PixelsConfig::default().fit(&text).expect_err("refused").to_string();
    assert!(error.contains("not images"), "{error}");
    let levels = Task { shape: &[192, 1], categories: Some(8), image: Some([3, 8, 8]), ..task };
    let pixels = PixelsConfig::default().fit(&levels).expect("images");
    assert_eq!(pixels, PixelsConfig::new([3, 8, 8], 8, UNetConfig::new(3, [32, 64]).with_num_classes(10)));
    assert!(pixels.check().is_ok());
}

#[test]
fn an_impossible_net_is_not_initialized() {
    let error = UNetConfig::new(1, [8]).with_attention([1]).init(&Rng::new(1), &device()).expect_err("refused");
    assert!(error.to_string().contains("levels 0 (full resolution) to 0"), "{error}");
}

#[test]
fn classes_are_checked_against_the_batch_and_the_net() {
    let y = Classes(vec![Some(2), None]);
    assert!(y.check(2, 3).is_ok() && Classes::none().check(5, 0).is_ok() && Classes(vec![None]).check(1, 0).is_ok());
    for (error, part) in [
        (y.check(3, 3), "2 classes were given for a batch of 3"),
        (y.check(2, 2), "class 2 was given to a net of 2 classes (0 to 1)"),
        (y.check(2, 0), "unconditional net"),
    ] {
        let error = error.expect_err("refused").to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn silu_and_its_derivative_are_accurate_and_finite_everywhere() {
    let x: Vec<f32> = vec![-1e30, -200.0, -89.0, -41.0, -5.0, -1.0, -0.0, 0.0, 1.0, 5.0, 90.0, 1e30];
    let input = Tensor::<1>::from_data(x.as_slice(), &device().autodiff()).require_grad();
    let y = layers::silu(input.clone());
    let slopes = input.grad(&y.clone().sum().backward()).expect("slope").into_data();
    let (y, slopes) = (y.into_data().try_to_vec::<f32>().unwrap(), slopes.try_to_vec::<f32>().unwrap());
    for ((x, y), slope) in x.into_iter().map(f64::from).zip(y).zip(slopes) {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        let near = |found: f32, expected: f64| (f64::from(found) - expected).abs() <= 2e-6 * expected.abs().max(1e-9);
        if x > -40.0 {
            assert!(near(y, x * sigmoid), "silu({x}) = {y}");
            assert!(near(slope, sigmoid * (1.0 + x * (1.0 - sigmoid))), "silu′({x}) = {slope}");
        } else {
            assert!(f64::from(y).abs() <= 1e-17 * x.abs() && slope.abs() < 1e-15, "silu({x}) = {y}, slope {slope}");
        }
    }
}
