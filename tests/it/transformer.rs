//! Transformers: positions, attention masks, embeddings, patches.
use crate::common::{bits, device, floats, moved, near, normal, slopes, times, tokens};
use burn::{
    module::Module,
    optim::{AdamConfig, GradientsParams},
    tensor::{Int, Tensor},
};
use tweedie::{
    Rng,
    net::{Conditions, Dit, DitConfig, Net, Positions, Softmax, Transformer, TransformerConfig},
    transform::{OneHot, Patches, Transform},
};

fn config() -> TransformerConfig {
    TransformerConfig::new(10, 12).with_width(24).with_depth(2).with_heads(2)
}

fn init(config: TransformerConfig) -> Transformer {
    moved(config.init(&Rng::new(1), &device()).unwrap())
}

fn one_hot(z: &Tensor<3>) -> Tensor<3> {
    OneHot { k: 10 }.encode(z.clone().int().squeeze_dim(2))
}

/// Rows of ten letters.
fn letters(rows: &[[u8; 12]]) -> Tensor<3> {
    let numbers: Vec<f32> = rows.iter().flatten().map(|n| f32::from(*n)).collect();
    Tensor::<1>::from_data(numbers.as_slice(), &device()).reshape([rows.len(), 12, 1])
}

fn run(net: &Transformer, z: Tensor<3>) -> Vec<f32> {
    let batch = z.dims()[0];
    floats(net.forward(z, times(batch), &Conditions::none()))
}

#[test]
fn category_indices_and_one_hot_vectors_give_the_same_logits() {
    for config in [
        config(),
        config().with_pad(3).with_tied(true).with_positions(Positions::Sinusoidal),
        config().with_causal(true),
    ] {
        let net = init(config);
        let z = tokens(4, 9);
        let (numbers, hot) = (run(&net, z.clone()), run(&net, one_hot(&z)));
        assert!(near(&numbers, &hot, 1e-5), "{numbers:?} {hot:?}");
    }
}

#[test]
fn output_depends_on_the_position_of_a_token() {
    for positions in [Positions::Rotary, Positions::Sinusoidal, Positions::Learned] {
        let net = init(config().with_positions(positions));
        let [there, back] = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2], [2, 1, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1]];
        let (there, back) = (run(&net, letters(&[there])), run(&net, letters(&[back])));
        let back: Vec<f32> = back.chunks(10).rev().flatten().copied().collect();
        assert!(!near(&there, &back, 1e-3), "{positions:?}");
    }
}

#[test]
fn a_causal_net_does_not_attend_to_later_tokens() {
    for pad in [None, Some(4)] {
        for (causal, positions) in [(true, Positions::Rotary), (true, Positions::Learned), (false, Positions::Rotary)] {
            let net = init(config().with_causal(causal).with_pad(pad).with_positions(positions));
            let base = [4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1];
            let whole = run(&net, letters(&[base]));
            for place in 1..12 {
                let mut other = base;
                other[place..].iter_mut().for_each(|n| *n = (*n + 3) % 10);
                let other = run(&net, letters(&[other]));
                let same = whole[..10 * place].iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits());
                assert_eq!(same, causal, "place {place}");
                assert!(whole[10 * place..][..10] != other[10 * place..][..10]);
            }
        }
    }
}

#[test]
fn no_token_attends_to_padding() {
    let net = init(config().with_pad(9));
    let text = [1, 2, 3, 4, 5];
    let filled = |with: u8| {
        let mut row = [with; 12];
        row[..5].copy_from_slice(&text);
        run(&net, letters(&[row]))
    };
    let short: Vec<f32> = run(&net, letters(&[[1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0]]).narrow(1, 0, 5));
    assert!(near(&filled(9)[..50], &short, 1e-5));
    assert!(!near(&filled(8)[..50], &short, 1e-3));
    // The output is finite also for a text of padding alone.
    assert!(run(&net, letters(&[[9; 12]])).iter().all(|x| x.is_finite()));
}

#[test]
fn a_net_without_time_does_not_depend_on_t() {
    let at = |net: &Transformer, t: f32, y: &Conditions| {
        bits(net.forward(tokens(2, 6), Tensor::from_data([t, t], &device()), y))
    };
    let net = init(config().with_time(false).with_num_classes(3));
    assert_eq!(at(&net, 0.1, &Conditions::none()), at(&net, 0.9, &Conditions::none()));
    assert_ne!(at(&net, 0.1, &Conditions::none()), at(&net, 0.1, &Conditions::classes([2, 2])));
    let net = init(config().with_time(false));
    assert_eq!(at(&net, 0.1, &Conditions::none()), at(&net, 0.9, &Conditions::none()));
    let net = init(config());
    assert_ne!(at(&net, 0.1, &Conditions::none()), at(&net, 0.9, &Conditions::none()));
    // Without any condition, gradients still reach every parameter.
    let net = init(config().with_time(false));
    let mut reached = 0;
    for (name, slope) in unconditional_slopes(&net) {
        assert!(slope.is_some_and(|slope| slope.iter().any(|bits| bits << 1 != 0)), "no gradient reaches {name}");
        reached += 1;
    }
    assert!(reached > 10);
}

fn unconditional_slopes(net: &Transformer) -> Vec<(String, Option<Vec<u32>>)> {
    #[derive(Module, Debug)]
    struct Unconditional {
        net: Transformer,
    }
    impl Net<3> for Unconditional {
        type Condition = Conditions;
        fn forward(&self, z: Tensor<3>, t: Tensor<1>, _: &Conditions) -> Tensor<3> {
            self.net.forward(z, t, &Conditions::none())
        }
    }
    slopes(&Unconditional { net: net.clone() }, tokens(4, 12))
}

#[test]
fn parameter_counts_match_the_formula() {
    let (k, w, c) = (10, 24, 16);
    let cond = 64 * c + c + c * c + c + 4 * c;
    let linear = |from: usize, to: usize| from * to + to;
    let block = linear(c, 6 * w) + linear(w, 3 * w) + linear(w, w) + linear(w, 4 * w) + linear(4 * w, w);
    let body = cond + 2 * block + linear(c, 2 * w);
    let count = |config: TransformerConfig| {
        config.with_cond_width(c).with_num_classes(3).init(&Rng::new(1), &device()).unwrap().num_params()
    };
    assert_eq!(count(config()), body + k * w + linear(w, k));
    // The table is used twice and counted once.
    assert_eq!(count(config().with_tied(true)), body + k * w + linear(w, w) + k);
    assert_eq!(count(config().with_positions(Positions::Learned)), body + k * w + linear(w, k) + 12 * w);
}

/// The gradient of a tied embedding is the sum over both its uses.
#[test]
fn a_tied_embedding_receives_gradients_from_input_and_output() {
    let net = init(config().with_tied(true).with_num_classes(3));
    let z = letters(&[[1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]]);
    let table = slopes(&net, z).into_iter().find(|(name, _)| name == "table").expect("a table").1.expect("a slope");
    // Rows that are not in z are reached through the logits.
    assert!(table.chunks(24).all(|row| row.iter().any(|bits| bits << 1 != 0)));
}

#[test]
fn softmax_makes_the_logits_probabilities() {
    let y = init(config()).then(Softmax {}).forward(tokens(3, 7), times(3), &Conditions::none());
    assert_eq!(y.dims(), [3, 7, 10]);
    let sums = floats(y.sum_dim(2));
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
}

#[test]
#[should_panic(expected = "a sequence of 13 tokens was given to a transformer of length = 12")]
fn a_sequence_longer_than_length_panics() {
    run(&init(config()), tokens(1, 13));
}

#[test]
#[should_panic(expected = "tokens of 9 values were given to a transformer of 10 categories")]
fn tokens_of_another_vocabulary_panic() {
    run(&init(config()), normal("z", [1, 3, 9]));
}

#[test]
fn a_dit_keeps_any_image_size() {
    for size in [[1, 1], [4, 4], [7, 9], [8, 3]] {
        for positions in [Positions::Rotary, Positions::Sinusoidal] {
            let config = DitConfig::new(2)
                .with_patch(4)
                .with_width(16)
                .with_heads(2)
                .with_depth(1)
                .with_outputs(2)
                .with_positions(positions);
            let net: Dit = moved(config.init(&Rng::new(1), &device()).unwrap());
            let y = net.forward(normal("z", [2, 2, size[0], size[1]]), times(2), &Conditions::none());
            assert_eq!(y.dims(), [2, 4, size[0], size[1]]);
        }
    }
}

#[test]
fn patches_are_cut_and_joined() {
    let image = normal::<4>("image", [2, 3, 6, 8]);
    let patches = Patches { side: 2, size: [6, 8] };
    let tokens = patches.encode(image.clone());
    assert_eq!(tokens.dims(), [2, 12, 12]);
    // Patch 5 is in row 1, column 1; its number 7 is channel 1, lower right.
    let (token, pixel) = (tokens.clone().slice([1..2, 5..6, 7..8]), image.clone().slice([1..2, 1..2, 3..4, 3..4]));
    assert_eq!(token.into_scalar::<f32>(), pixel.into_scalar::<f32>());
    assert_eq!(bits(patches.decode(tokens)), bits(image));
}

/// One of the two copies of each token is masked (9), so the other determines it.
#[test]
fn a_transformer_learns_to_fill_in_a_copy() {
    let device = device().autodiff();
    let config = TransformerConfig::new(10, 8).with_width(32).with_depth(2).with_heads(2);
    let mut net = config.init(&Rng::new(1), &device).unwrap();
    let mut optimizer = AdamConfig::new().init();
    let mut last = 0.0;
    for step in 0..150 {
        let rng = Rng::new(2).at_step(step);
        let words = rng.stream("letters").words(32, 4);
        let hidden = rng.stream("hidden").words(32, 4);
        let (mut x, mut z) = (vec![], vec![]);
        for (word, hide) in words.chunks(4).zip(hidden.chunks(4)) {
            let letters: Vec<i64> = word.iter().map(|w| i64::from(w % 9)).collect();
            // Of each pair of copies one is hidden.
            let first: Vec<i64> = (0..4).map(|i| if hide[i] % 2 == 0 { 9 } else { letters[i] }).collect();
            let second: Vec<i64> = (0..4).map(|i| if hide[i] % 2 == 1 { 9 } else { letters[i] }).collect();
            x.extend([letters.clone(), letters].concat());
            z.extend([first, second].concat());
        }
        let x = Tensor::<1, Int>::from_data(x.as_slice(), &device).reshape([32, 8, 1]);
        let z = Tensor::<1, Int>::from_data(z.as_slice(), &device).reshape([32, 8, 1]).float();
        let logits = net.forward(z, Tensor::zeros([32], &device), &Conditions::none());
        let loss = tweedie_kernels::ops::log_softmax(logits).gather(2, x).mean().neg();
        last = loss.clone().into_scalar::<f32>();
        if step == 0 {
            assert!((last - 10f32.ln()).abs() < 1e-5, "all categories have equal probability before training: {last}");
        }
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(5e-3, net, grads);
    }
    assert!(last < 0.1, "{last}");
}
