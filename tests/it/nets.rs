//! Laws of the nets: what they give at first, what reaches them, and that a row knows nothing of its batch.
use crate::common::{bits, device, floats, labels, moved, normal, on_threads, slopes, times, tokens};
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::{AdamConfig, GradientsParams},
    tensor::Tensor,
};
use tweedie::{
    Rng,
    net::{
        Classes, Condition, Dit, DitConfig, Mlp, MlpConfig, Net, Positions, Softmax, Transformer, TransformerConfig,
        UNet, UNetConfig, layers,
    },
};
use tweedie_kernels::ops::linear;

fn select<const D: usize>(x: &Tensor<D>, rows: &[usize]) -> Tensor<D> {
    Tensor::cat(rows.iter().map(|&row| x.clone().narrow(0, row, 1)).collect(), 0)
}

fn unet() -> UNet {
    moved(UNetConfig::new([2, 8, 12]).blocks(1).attention([0]).classes(3).init(&Rng::new(1), &device()))
}

fn mlp() -> Mlp {
    moved(MlpConfig::new(3).hidden([40, 40, 24]).classes(3).init(&Rng::new(1), &device()))
}

/// Of ten categories, with what it is not by default.
fn transformer() -> Transformer {
    let config = TransformerConfig::new(10, 12).width(24).depth(2).heads(2).positions(Positions::Learned);
    moved(config.causal(true).pad(7).tied(true).classes(3).told(16).init(&Rng::new(1), &device()))
}

/// Of tokens of three numbers.
fn continuous() -> Transformer {
    let config = TransformerConfig::continuous(3, 12).width(24).depth(2).heads(2);
    moved(config.classes(3).outputs(2).init(&Rng::new(1), &device()))
}

fn dit() -> Dit {
    let config = DitConfig::new(2).patch(3).width(24).depth(2).heads(3).positions(Positions::Rotary);
    moved(config.classes(3).init(&Rng::new(1), &device()))
}

#[test]
fn a_unet_keeps_any_size_at_any_number_of_levels() {
    for (channels, size, outputs) in [
        (vec![1, 8], [1, 1], 1),
        (vec![3, 6], [5, 4], 2),
        (vec![1, 8, 12], [7, 7], 1),
        (vec![2, 8, 8, 5], [7, 9], 2),
        (vec![1, 4, 8, 8], [28, 28], 1),
        (vec![1, 4, 4, 4, 4], [3, 10], 1),
    ] {
        let config = UNetConfig::new(channels.clone()).blocks(1).attention([0]).outputs(outputs);
        let net = moved(config.init(&Rng::new(1), &device()));
        let z = normal("z", [2, channels[0], size[0], size[1]]);
        let y = net.forward(z, times(2), &Classes::none());
        assert_eq!(y.dims(), [2, outputs * channels[0], size[0], size[1]], "{channels:?}");
    }
}

#[test]
fn nets_say_zero_until_they_are_trained() {
    let net = UNetConfig::new([1, 8, 16]).classes(3).init(&Rng::new(1), &device());
    let y = net.forward(normal("z", [3, 1, 7, 7]), times(3), &labels(3));
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    let net = MlpConfig::new(2).outputs(2).init(&Rng::new(1), &device());
    let y = net.forward(normal("z", [3, 2]), times(3), &Classes::none());
    assert_eq!(y.dims(), [3, 4]);
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    for tied in [false, true] {
        let net = TransformerConfig::new(10, 5).tied(tied).init(&Rng::new(1), &device());
        let y = net.forward(tokens(3, 4), times(3), &Classes::none());
        assert_eq!(y.dims(), [3, 4, 10]);
        assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    }
    let net = TransformerConfig::continuous(6, 5).outputs(2).init(&Rng::new(1), &device());
    let y = net.forward(normal("z", [3, 4, 6]), times(3), &Classes::none());
    assert_eq!(y.dims(), [3, 8, 6]);
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
    let net = DitConfig::new(1).width(32).depth(1).outputs(2).init(&Rng::new(1), &device());
    let y = net.forward(normal("z", [3, 1, 7, 9]), times(3), &Classes::none());
    assert_eq!(y.dims(), [3, 2, 7, 9]);
    assert!(bits(y).iter().all(|bits| bits << 1 == 0));
}

#[test]
fn nets_heed_class_and_time() {
    fn check<const D: usize, N: Net<D, Condition = Classes>>(net: N, z: Tensor<D>) {
        let at = |t: f32, y: &Classes| bits(net.forward(z.clone(), Tensor::from_data([t, t], &device()), y));
        let one = at(0.5, &Classes::from([1, 1]));
        assert_eq!(one, at(0.5, &Classes::from([1, 1])));
        assert_ne!(one, at(0.5, &Classes::from([2, 1])));
        assert_ne!(one, at(0.501, &Classes::from([1, 1])));
        let none = at(0.5, &Classes::none());
        assert_ne!(one, none);
        assert_eq!(none, at(0.5, &Classes::from([1, 1]).without(&[true, true])));
    }
    check(unet(), normal("z", [2, 2, 5, 5]));
    check(mlp(), normal("z", [2, 3]));
    check(dit(), normal("z", [2, 2, 5, 5]));
    check(transformer(), tokens(2, 5));
    check(continuous(), normal("z", [2, 5, 3]));
}

#[test]
fn slopes_reach_every_parameter() {
    let timeless = TransformerConfig::new(10, 5).width(8).depth(1).heads(1).time(false);
    let classes = moved(timeless.clone().classes(3).init(&Rng::new(1), &device()));
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
            assert!(reached, "no slope reaches {name}");
        }
    }
}

#[test]
fn a_row_is_the_same_in_any_batch_on_any_threads() {
    fn check<const D: usize, N: Net<D, Condition = Classes> + Sync>(net: N, z: Tensor<D>) {
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
    let long = TransformerConfig::new(10, 150).width(64).depth(1).heads(1).classes(3);
    check(moved(long.clone().init(&Rng::new(1), &device())), tokens(13, 150));
    check(moved(long.causal(true).init(&Rng::new(1), &device())), tokens(13, 150));
    // Wide enough for a product to be cut along its inner axis, and for threads to share one product.
    check(moved(MlpConfig::new(1).hidden([700, 40]).classes(3).init(&Rng::new(1), &device())), normal("z", [70, 1]));
    check(
        moved(UNetConfig::new([1, 72]).blocks(1).classes(3).init(&Rng::new(1), &device())),
        normal("z", [13, 1, 14, 14]),
    );
}

#[test]
fn a_row_of_a_product_is_the_same_in_any_batch() {
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
fn slopes_are_the_same_again_and_on_any_threads() {
    fn check<const D: usize, N: Net<D, Condition = Classes> + Sync>(net: N, z: Tensor<D>) {
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
        moved(UNetConfig::new([1, 64]).blocks(1).classes(3).dropout(0.1).init(&Rng::new(1), &device())),
        normal("z", [8, 1, 16, 16]),
    );
}

#[test]
fn dropout_is_for_training_and_keyed_by_row() {
    fn check<const D: usize, N: Net<D, Condition = Classes>>(dropping: N, plain: N, z: Tensor<D>) {
        let (t, y, rng) = (times(4), labels(4), Rng::new(9));
        let without = bits(plain.forward(z.clone(), t.clone(), &y));
        assert_eq!(without, bits(dropping.forward(z.clone(), t.clone(), &y)));
        assert_eq!(without, bits(plain.forward_train(z.clone(), t.clone(), &y, &rng)));
        let all = bits(dropping.forward_train(z.clone(), t.clone(), &y, &rng));
        assert_ne!(without, all);
        assert_ne!(all, bits(dropping.forward_train(z.clone(), t.clone(), &y, &rng.at(1))));
        let rows = |x: &[usize]| (select(&z, x), select(&t, x), y.select(x));
        let (z, t, y) = rows(&[2, 3]);
        let two = bits(dropping.forward_train(z, t, &y, &rng.from_row(2)));
        assert_eq!(all[all.len() / 2..], two);
    }
    let net = |rate| moved(UNetConfig::new([2, 8, 8]).classes(3).dropout(rate).init(&Rng::new(1), &device()));
    check(net(0.3), net(0.0), normal("z", [4, 2, 4, 4]));
    let net = |rate| moved(MlpConfig::new(3).classes(3).dropout(rate).init(&Rng::new(1), &device()));
    check(net(0.3), net(0.0), normal("z", [4, 3]));
    let small = TransformerConfig::new(10, 6).width(8).depth(1).heads(2).classes(3);
    let net = |rate| moved(small.clone().dropout(rate).init(&Rng::new(1), &device()));
    check(net(0.3), net(0.0), tokens(4, 6));
    let net = |rate| {
        moved(
            DitConfig::new(2)
                .patch(2)
                .width(8)
                .depth(1)
                .heads(2)
                .classes(3)
                .dropout(rate)
                .init(&Rng::new(1), &device()),
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

#[test]
fn parameters_are_as_many_as_on_paper() {
    // Time and class, 32 wide; the first convolution; down: blocks 8 → 8 and, a level lower, 8 → 12.
    let told = 64 * 32 + 32 + 32 * 32 + 32 + 4 * 32;
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
    let all = told + conv(2, 8) + down + middle + up + 2 * 8 + conv(8, 2);
    assert_eq!(unet().num_params(), all);
}

#[test]
fn what_a_layer_starts_from_is_its_own() {
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
    let config = UNetConfig::new([1, 8, 8]).blocks(1);
    let small = all(&config.clone().init(&Rng::new(1), &device()));
    let large = all(&config.clone().blocks(2).attention([0]).classes(3).init(&Rng::new(1), &device()));
    for (name, _, start) in &small {
        let other = large.iter().find(|(other, ..)| other == name).expect(name);
        assert!(start == &other.2, "{name}");
    }
    let other = all(&config.init(&Rng::new(2), &device()));
    assert!(small.iter().zip(&other).any(|(a, b)| a.2 != b.2));
    // No two weights start alike.
    for (i, (name, _, start)) in
        large.iter().enumerate().filter(|(_, (.., start))| start.iter().any(|x| *x != start[0]))
    {
        assert!(large[..i].iter().all(|(.., other)| other[..2] != start[..2]), "{name}");
    }
}

#[test]
fn what_follows_a_net_is_applied() {
    let z = normal("z", [3, 2, 4, 5]);
    let y = unet().then(Softmax {}).forward(z, times(3), &labels(3));
    let sums = floats(y.sum_dim(3));
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
}

#[test]
fn a_unet_learns_four_images_by_heart() {
    let images = normal("images", [4, 1, 8, 8]);
    let device = device().autodiff();
    let (z, t) = (Tensor::zeros([4, 1, 8, 8], &device), Tensor::zeros([4], &device));
    let x = Tensor::<4>::from_data(images.into_data(), &device);
    let y = Classes::from([0, 1, 2, 3]);
    let mut net = UNetConfig::new([1, 16, 16]).blocks(1).classes(4).init(&Rng::new(1), &device);
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
fn nets_that_cannot_be_are_refused_in_a_sentence() {
    let unet = |config: UNetConfig| config.check().expect_err("refused");
    let base = || UNetConfig::new([1, 8, 8]);
    let sequence = |config: TransformerConfig| config.check().expect_err("refused");
    let letters = || TransformerConfig::new(10, 8);
    let image = |config: DitConfig| config.check().expect_err("refused");
    for (reason, part) in [
        (unet(UNetConfig::new([1])), "names no level"),
        (unet(UNetConfig::new([1, 0])), "holds a zero"),
        (unet(base().attention([2])), "levels 0 to 1"),
        (unet(base().blocks(0)), "blocks = 0"),
        (unet(base().groups(0)), "groups = 0"),
        (unet(base().head_channels(0)), "head_channels = 0"),
        (unet(base().time_features(5)), "even number"),
        (unet(base().dropout(1.0)), "[0, 1)"),
        (unet(base().dropout(f64::NAN)), "[0, 1)"),
        (unet(base().outputs(3)), "outputs = 3"),
        (sequence(TransformerConfig::default()), "vocabulary or of channels"),
        (sequence(TransformerConfig { channels: 3, ..letters() }), "leave one out"),
        (sequence(letters().width(50).heads(4)), "not shared evenly"),
        (sequence(letters().width(12).heads(4)), "multiple of 2"),
        (sequence(letters().width(9).heads(3).positions(Positions::Sinusoidal)), "multiple of 2"),
        (sequence(letters().depth(0)), "depth = 0"),
        (sequence(letters().pad(10)), "numbered 0 to 9"),
        (sequence(letters().outputs(2)), "outputs = 2"),
        (sequence(TransformerConfig::continuous(4, 8).tied(true)), "continuous data have none"),
        (sequence(TransformerConfig::new(10, 0)), "length = 0"),
        (sequence(letters().time_features(3)), "even number"),
        (image(DitConfig::new(0)), "channels = 0"),
        (image(DitConfig::new(1).patch(0)), "patch = 0"),
        (image(DitConfig::new(1).positions(Positions::Learned)), "one size"),
        (image(DitConfig::new(1).width(24).heads(4).positions(Positions::Rotary)), "each axis"),
        (MlpConfig::new(0).check().expect_err("refused"), "features = 0"),
        (MlpConfig::new(2).hidden([]).check().expect_err("refused"), "hidden layer"),
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(base().check(), Ok(()));
    assert_eq!(MlpConfig::default().check(), Ok(()));
    assert_eq!(letters().check(), Ok(()));
    assert_eq!(letters().time(false).time_features(0).check(), Ok(()));
    assert_eq!(TransformerConfig::continuous(16, 8).outputs(2).check(), Ok(()));
    assert_eq!(DitConfig::default().check(), Ok(()));
}

#[test]
fn configurations_are_read_with_defaults_and_without_slips() {
    let read: UNetConfig = serde_json::from_str(r#"{"channels": [3, 16], "classes": 10}"#).expect("read");
    assert_eq!(read, UNetConfig::new([3, 16]).classes(10));
    assert!(serde_json::from_str::<UNetConfig>(r#"{"chanels": [3, 16]}"#).is_err());
    let read: MlpConfig = serde_json::from_str(r#"{"hidden": [8], "residual": false}"#).expect("read");
    assert_eq!(read, MlpConfig::new(2).hidden([8]).residual(false));
    assert!(serde_json::from_str::<MlpConfig>(r#"{"feature": 3}"#).is_err());
    let read: TransformerConfig =
        serde_json::from_str(r#"{"vocabulary": 27, "length": 16, "positions": "learned", "pad": 3}"#).expect("read");
    assert_eq!(read, TransformerConfig::new(27, 16).positions(Positions::Learned).pad(3));
    assert!(serde_json::from_str::<TransformerConfig>(r#"{"vocab": 3}"#).is_err());
    let read: DitConfig = serde_json::from_str(r#"{"patch": 2, "positions": "rotary"}"#).expect("read");
    assert_eq!(read, DitConfig::new(1).patch(2).positions(Positions::Rotary));
}

#[test]
#[should_panic(expected = "levels 0 to 0")]
fn a_net_that_cannot_be_is_not_made() {
    UNetConfig::new([1, 8]).attention([1]).init(&Rng::new(1), &device());
}

#[test]
fn silu_is_right_and_finite_everywhere() {
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
