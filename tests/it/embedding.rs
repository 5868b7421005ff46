//! Embeddings trained with the net, and nets of images whose gray levels are categories.
use crate::common::{bits, device, floats, moved, normal, tokens};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{DType, Device, Int, Tensor, TensorData},
};
use tweedie::{
    Error, Rng,
    data::Data,
    denoise::Denoiser,
    loss::{Loss, Objective, Prior, Rounding, Simple, Vlb},
    model::Model,
    net::{Conditions, Mlp, MlpConfig, Net, Pixels, PixelsConfig, Transformer, TransformerConfig, UNetConfig},
    noise::{Discrete, Estimate, Gaussian, Noise, Prediction},
    sample::Ddim,
    schedule::{Cosine, Sqrt},
    train::{Checkpoint, Parameters, Train, Trainer},
    transform::{Decoding, Embedding, EmbeddingConfig, Rounded, Transform},
};

type Words = Model<3, Transformer, Embedding>;

fn model(vocabulary: usize, width: usize, length: usize, normalized: bool) -> Words {
    let rng = Rng::new(4);
    let net =
        TransformerConfig::continuous(width, length).with_width(24).with_depth(1).with_heads(2).with_cond_width(16);
    let noise = Gaussian::new(Sqrt::new(50)).with_prediction(Prediction::X0);
    let embedding = EmbeddingConfig::new(vocabulary, width).with_normalized(normalized);
    Model::new(noise, net.init(&rng, &device()).unwrap())
        .unwrap()
        .with_transform(embedding.init(&rng, &device()).unwrap())
}

fn objective() -> Objective<3> {
    (Simple {} + 0.7 * Rounding::new() + 0.3 * Rounding::new().with_estimate() + 0.5 * Prior {}).into()
}

#[test]
fn either_decoding_recovers_tokens_from_noisy_vectors() {
    for normalized in [true, false] {
        for decoding in [Decoding::Nearest, Decoding::Logits] {
            let config = EmbeddingConfig::new(10, 40).with_normalized(normalized).with_decoding(decoding);
            let embedding = config.init(&Rng::new(1), &device()).unwrap();
            let (raw, rng) = (tokens(4, 9), &mut Rng::new(2));
            let x = embedding.encode(raw.clone());
            let noisy = x.clone() + rng.normal_tensor(x.dims(), &device(), DType::F32) * 0.3;
            assert_eq!(bits(embedding.decode(noisy)), bits(raw), "{config:?}");
        }
    }
}

#[test]
fn the_nearest_vector_is_found_whatever_its_length() {
    // A longer vector must not win by its length.
    let mut embedding = EmbeddingConfig::new(3, 2).with_normalized(false).init(&Rng::new(1), &device()).unwrap();
    embedding.table = Param::from_data([[1.0, 0.0], [10.0, 0.0], [0.0, 1.0]], &device());
    let x = Tensor::<3>::from_floats([[[2.0, 0.0], [6.0, 0.0], [0.4, 0.5], [-3.0, -2.9]]], &device());
    assert_eq!(floats(embedding.decode(x)), [0.0, 1.0, 2.0, 2.0]);
}

#[test]
fn normalized_vectors_have_a_mean_square_of_one() {
    let mut embedding = EmbeddingConfig::new(10, 16).init(&Rng::new(1), &device()).unwrap();
    embedding.table = embedding.table.map(|table| table * 37.0);
    let squares = floats(embedding.encode(tokens(2, 5)).square().mean_dim(2));
    assert!(squares.iter().all(|square| (square - 1.0).abs() < 1e-5), "{squares:?}");
    assert_eq!(bits(embedding.vectors().narrow(0, 7, 1)), bits(embedding.look_up(tokens(1, 1) * 0.0 + 7.0)));
}

/// The gradient by every value of table and bias against central differences of the objective.
#[test]
fn gradients_of_the_objective_by_table_and_bias_match_central_differences() {
    struct Nudge(&'static str, usize, f32, Vec<String>);
    impl ModuleMapper for Nudge {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.3.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.3.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.3.join(".") != self.0 {
                return param;
            }
            param.map(|x| {
                let (mut data, dims) = (floats(x.clone()), x.dims());
                data[self.1] += self.2;
                Tensor::from_data(TensorData::new(data, dims), &x.device())
            })
        }
    }
    struct Find(GradientsParams, &'static str, Vec<f32>, Vec<String>);
    impl ModuleVisitor for Find {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.3.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.3.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.3.join(".") == self.1 {
                self.2 = floats(self.0.get::<D>(param.id).expect("a slope"));
            }
        }
    }
    let raw = Tensor::<3>::from_floats([[[0.0], [1.0], [2.0]], [[2.0], [2.0], [0.0]]], &device());
    for normalized in [true, false] {
        let mut model = model(4, 3, 3, normalized);
        model.net = moved(moved(model.net));
        let loss = |model: &Words, raw| {
            let losses = model.losses(raw, &[0.3, 0.8], &Conditions::none(), &objective(), &Rng::new(6), false);
            assert_eq!(losses.terms.len(), 4);
            losses.total().sum()
        };
        for (name, count) in [("transform.table", 12), ("transform.bias", 4)] {
            let trained = Module::train(model.clone());
            let raw_trained = Tensor::from_data(raw.clone().into_data(), &device().autodiff());
            let grads = GradientsParams::from_grads(loss(&trained, raw_trained).backward(), &trained);
            let mut find = Find(grads, name, vec![], vec![]);
            trained.visit(&mut find);
            assert_eq!(find.2.len(), count);
            let h = 4e-3;
            for (i, slope) in find.2.into_iter().enumerate() {
                let at = |by| {
                    let value = loss(&model.clone().map(&mut Nudge(name, i, by, vec![])), raw.clone());
                    f64::from(value.into_scalar::<f32>())
                };
                let expected = (at(h) - at(-h)) / (2.0 * f64::from(h));
                let gap = (f64::from(slope) - expected).abs();
                assert!(gap < 2e-3 + 1e-2 * expected.abs(), "{name}[{i}]: {slope} and {expected}, {normalized}");
            }
        }
    }
}

#[test]
fn rounding_is_a_cross_entropy_at_the_first_time() {
    let model = model(4, 3, 3, false);
    let raw = Tensor::<3>::from_floats([[[0.0], [3.0], [2.0]]], &device());
    let losses = model.losses(raw.clone(), &[0.7], &Conditions::none(), &Rounding::new().into(), &Rng::new(6), false);
    let found = losses.total().into_scalar::<f32>();
    // The same by hand: ε from x_t = α x + σ ε, x₀ at 1/50, the softmax of inner products.
    let path = Noise::<3>::path(model.noise()).expect("Gaussian");
    let (now, first) = (path.at(0.7), path.at(1.0 / 50.0));
    let (x, z, table) = (floats(losses.x), floats(losses.z), floats(model.transform.table.val()));
    let mut expected = 0.0;
    for (place, token) in [0, 3, 2].into_iter().enumerate() {
        let x0: Vec<f64> = (0..3)
            .map(|i| (f64::from(x[3 * place + i]), f64::from(z[3 * place + i])))
            .map(|(x, z)| first.alpha * x + first.sigma * (z - now.alpha * x) / now.sigma)
            .collect();
        let logit = |w: usize| (0..3).map(|i| x0[i] * f64::from(table[3 * w + i])).sum::<f64>();
        expected += ((0..4).map(|w| logit(w).exp()).sum::<f64>().ln() - logit(token)) / 3.0;
    }
    assert!((f64::from(found) - expected).abs() < 1e-4, "{found} {expected}");
    assert!(first.sigma > 0.05 && first.sigma < 0.5, "{first:?}");
}

#[test]
fn the_prior_term_is_the_kl_divergence_at_the_end() {
    let embedding = EmbeddingConfig::new(4, 3).with_normalized(false).init(&Rng::new(1), &device()).unwrap();
    let net = TransformerConfig::continuous(3, 5)
        .with_width(8)
        .with_heads(1)
        .with_depth(1)
        .init(&Rng::new(1), &device())
        .unwrap();
    // A schedule with much signal at t = 1: α(1)² = 0.9⁵.
    let noise = Gaussian::new(tweedie::schedule::Constant::new(5, 0.1));
    let model = Model::new(noise, net).unwrap().with_transform(embedding);
    let end = Noise::<3>::path(model.noise()).expect("Gaussian").at(1.0);
    let losses =
        model.losses(tokens(1, 2).clamp_max(3.0), &[0.5], &Conditions::none(), &Prior {}.into(), &Rng::new(1), false);
    let found = f64::from(losses.total().into_scalar::<f32>());
    let square = floats(losses.x.clone()).iter().map(|x| f64::from(x * x)).sum::<f64>() / 6.0;
    // KL(N(αx, σ²) ‖ N(0, s²)) with s what sampling starts from.
    let start = Noise::<3>::stationary(model.noise(), [1, 2, 3], &device()).std().max().into_scalar::<f32>();
    let s2 = f64::from(start * start);
    let expected = 0.5 * ((end.alpha * end.alpha * square + end.sigma * end.sigma) / s2 - 1.0)
        + 0.5 * (s2 / (end.sigma * end.sigma)).ln();
    assert!((found - expected).abs() < 1e-5 && expected > 0.01, "{found} {expected}");
}

#[test]
fn rounding_refuses_other_noises_and_transforms() {
    let noise = Discrete::uniform(Cosine::new(10), 4);
    let error = Loss::<3>::check(&Rounding::new(), &noise).expect_err("refused").to_string();
    assert!(error.contains("Gaussian noise"), "{error}");
    let net = TransformerConfig::continuous(1, 4).init(&Rng::new(1), &device()).unwrap();
    let other = Model::new(Gaussian::new(Cosine::new(10)).with_prediction(Prediction::X0), net).unwrap();
    let error =
        other.train(&Sentences, Simple {} + Rounding::new(), Train::default()).expect_err("refused").to_string();
    assert!(error.contains("the transform `embedding`"), "{error}");
    assert!(
        EmbeddingConfig::default()
            .check()
            .expect_err("refused")
            .to_string()
            .contains("`vocabulary` must be at least 2")
    );
    assert!(
        EmbeddingConfig::new(3, 0).check().expect_err("refused").to_string().contains("`width` must be at least 1")
    );
    let read: EmbeddingConfig = serde_json::from_str(r#"{"vocabulary": 9, "decoding": "logits"}"#).expect("read");
    assert_eq!(read, EmbeddingConfig::new(9, 32).with_decoding(Decoding::Logits));
}

/// Four tokens, the same or, in odd rows, one more from each to the next.
struct Sentences;
impl Data<Tensor<3>, Conditions> for Sentences {
    fn len(&self) -> usize {
        64
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<3>, Conditions) {
        let numbers: Vec<f32> =
            rows.iter().flat_map(|row| (0..4).map(move |i| ((row / 2 + i * (row % 2)) % 5) as f32)).collect();
        (Tensor::from_data(TensorData::new(numbers, [rows.len(), 4, 1]), device), Conditions::none())
    }
}

#[test]
fn a_model_with_an_embedding_resumes_to_the_last_bit() {
    let settings = Train { steps: 9, batch: 8, warmup: 2, ema_decay: 0.9, seed: 3, ..Train::default() };
    let trainer = || Trainer::new(model(5, 6, 4, true), &Sentences, objective(), settings.clone()).expect("it fits");
    let all = |x: &Parameters| x.to_host().into_iter().flat_map(|(_, _, v)| v).map(f32::to_bits).collect::<Vec<_>>();
    let mut whole = trainer();
    let before = bits(whole.model().transform.table.val());
    let steps: Vec<_> = whole.by_ref().map(Result::unwrap).collect();
    let (raw, averaged) = (whole.raw_model().transform, whole.model().transform);
    assert_ne!(before, bits(raw.table.val()));
    assert_ne!(bits(averaged.table.val()), bits(raw.table.val()));
    assert!(floats(raw.bias.val()).iter().any(|b| *b != 0.0));

    let mut first = trainer();
    first.by_ref().take(4).for_each(|step| assert!(step.is_ok()));
    let path = std::env::temp_dir().join(format!("tweedie-words-{}.safetensors", std::process::id()));
    first.checkpoint().save(&path, &[]).expect("written");
    let (checkpoint, _) = Checkpoint::load(&path, &device()).expect("read");
    std::fs::remove_file(&path).expect("removed");
    assert!(checkpoint.weights.to_host().iter().any(|(name, ..)| *name == "transform.table"));
    let mut second = trainer().restore(checkpoint).expect("of the same model");
    assert_eq!(second.by_ref().map(Result::unwrap).collect::<Vec<_>>()[..], steps[4..]);
    let (a, b) = (whole.checkpoint(), second.checkpoint());
    assert_eq!(all(&a.weights), all(&b.weights));
    assert_eq!(a.average.as_ref().map(all), b.average.as_ref().map(all));

    // A table of another size is another architecture.
    let other = Trainer::new(model(6, 6, 4, true), &Sentences, objective(), settings.clone()).expect("it fits");
    let error = other.restore(a).expect_err("refused").to_string();
    assert!(error.contains("transform.table"), "{error}");
}

#[test]
fn a_model_with_an_embedding_learns_sentences() -> Result<(), Error> {
    let settings = Train { steps: 800, batch: 64, lr: 5e-3, ema_decay: 0.98, ..Train::default() };
    let net = TransformerConfig::continuous(6, 4)
        .with_width(24)
        .with_depth(2)
        .with_heads(2)
        .with_cond_width(16)
        .init(&Rng::new(4), &device())
        .unwrap();
    let mut deeper = model(5, 6, 4, true);
    deeper.net = net;
    let mut trainer = deeper.train(&Sentences, Simple {} + Rounding::new(), settings)?;
    trainer.by_ref().for_each(|step| assert!(step.is_ok()));
    let model = trainer.model();
    let words = model.sample(&Ddim { eta: 0.0 }, 25, [64, 4, 6], &Conditions::none(), &Rng::new(1))?;
    assert_eq!(words.dims(), [64, 4, 1]);
    let right = |words: Vec<f32>| {
        let steps = |row: &[f32]| (0..3).map(|i| (row[i + 1] - row[i]).rem_euclid(5.0)).collect::<Vec<_>>();
        words.chunks(4).filter(|row| [vec![0.0; 3], vec![1.0; 3]].contains(&steps(row))).count()
    };
    // By chance one row in 62 would be.
    let plain = right(floats(words));
    assert!(plain > 48, "{plain} of 64");
    // The same trajectory with rounded estimates.
    let rounded = Rounded { model: model.conditioned(&Conditions::none()), embedding: &model.transform, until: 0.8 };
    let points = tweedie::sample::trajectory(
        &rounded as &dyn Denoiser<3>,
        &Ddim { eta: 0.0 },
        model.grid(25),
        [64, 4, 6],
        &Rng::new(1),
        &device(),
    )?;
    let (_, x) = points.last().expect("an end");
    let word = model.transform.nearest(x.clone());
    // The last estimate is the vector of a token, and so is x.
    let gap = (model.transform.look_up(word.clone()) - x).abs().max().into_scalar::<f32>();
    assert!(gap < 1e-4, "{gap}");
    let rounded = right(floats(word));
    assert!(rounded > 48, "{rounded} of 64");
    Ok(())
}

/// A denoiser whose estimate is 2 x_t.
#[derive(Debug)]
struct Echo(Gaussian);
impl Denoiser<3> for Echo {
    fn noise(&self) -> &dyn Noise<3> {
        &self.0
    }
    fn denoise(&self, z: Tensor<3>, _: &[f64]) -> Estimate<3> {
        Estimate { mean: z * 2.0, variance: None, output: None }
    }
}

#[test]
fn estimates_are_rounded_up_to_a_time() {
    let embedding = EmbeddingConfig::new(10, 8).init(&Rng::new(1), &device()).unwrap();
    let echo = || Echo(Gaussian::new(Cosine::new(10)).with_prediction(Prediction::X0));
    let rounded = Rounded { model: echo(), embedding: &embedding, until: 0.5 };
    let z = normal::<3>("z", [3, 4, 8]);
    let words = embedding.look_up(embedding.nearest(z.clone() * 2.0));
    assert_eq!(bits(rounded.denoise(z.clone(), &[0.5]).mean), bits(words.clone()));
    assert_eq!(bits(rounded.denoise(z.clone(), &[0.6]).mean), bits(z.clone() * 2.0));
    let mixed = rounded.denoise(z.clone(), &[0.1, 0.9, 0.5]).mean;
    for (row, expected) in [(0, &words), (1, &(z * 2.0)), (2, &words)] {
        assert_eq!(bits(mixed.clone().narrow(0, row, 1)), bits(expected.clone().narrow(0, row, 1)), "row {row}");
    }
}

/// Channel (c, k) of the output is 100 c + 10 k plus the input at pixel (c, h, w).
#[derive(Module, Debug)]
struct Say {
    inner: Mlp,
}
impl Net<4> for Say {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<4>, _: Tensor<1>, _: &Conditions) -> Tensor<4> {
        let c = z.dims()[1];
        let channels = (0..c).flat_map(|c| (0..4).map(move |k| (c, k)));
        let outputs = channels.map(|(c, k)| z.clone().narrow(1, c, 1) + (100 * c + 10 * k) as f64);
        Tensor::cat(outputs.collect(), 1)
    }
}

#[test]
fn pixels_enter_as_gray_levels_and_leave_as_logits() {
    let inner = Say { inner: MlpConfig::new(1).init(&Rng::new(1), &device()).unwrap() };
    let net = Pixels::new(inner, [2, 3, 5], 4);
    let z = (tokens(2, 30) * 0.4).floor();
    let y = floats(net.forward(z.clone(), Tensor::zeros([2], &device()), &Conditions::none()));
    let hot: Tensor<3> = tweedie::transform::OneHot { k: 4 }.encode(z.clone().int().squeeze_dim::<2>(2));
    let same = floats(net.forward(hot, Tensor::zeros([2], &device()), &Conditions::none()));
    for (i, level) in floats(z).into_iter().enumerate() {
        for k in 0..4 {
            let expected = 100.0 * ((i % 30) / 15) as f32 + 10.0 * k as f32 + level * 2.0 / 3.0 - 1.0;
            assert!((y[4 * i + k] - expected).abs() < 1e-4 && (same[4 * i + k] - expected).abs() < 1e-4, "{i} {k}");
        }
    }
}

#[test]
fn a_unet_learns_pixels_of_categories() {
    let config = PixelsConfig::new([1, 4, 4], 3, UNetConfig::new(1, [8, 8]).with_blocks(1));
    let device = device().autodiff();
    let mut net = config.init(&Rng::new(1), &device).unwrap();
    let mut optimizer = burn::optim::AdamConfig::new().init();
    let z = (tokens(4, 16) * 0.3).floor();
    let target = Tensor::<3, Int>::from_data(z.clone().int().into_data(), &device);
    let z = Tensor::<3>::from_data(z.into_data(), &device);
    let mut last = 0.0;
    for step in 0..80 {
        let logits = net.forward(z.clone(), Tensor::zeros([4], &device), &Conditions::none());
        let loss = tweedie_kernels::ops::log_softmax(logits).gather(2, target.clone()).mean().neg();
        last = loss.clone().into_scalar::<f32>();
        assert!(
            step > 0 || (last - 3f32.ln()).abs() < 1e-5,
            "all categories have equal probability before training: {last}"
        );
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(1e-2, net, grads);
    }
    assert!(last < 0.1, "{last}");
    let refused = |config: PixelsConfig| config.check().expect_err("refused").to_string();
    let unet = || UNetConfig::new(1, [8]);
    for (reason, part) in [
        (
            refused(PixelsConfig::new([1, 0, 4], 3, unet())),
            "`size` must give channels, height and width, none of them 0",
        ),
        (refused(PixelsConfig::new([1, 4, 4], 1, unet())), "`categories` must be at least 2"),
        (refused(PixelsConfig::new([3, 4, 4], 3, unet())), "`in_channels` must be 3"),
        (refused(PixelsConfig::new([1, 4, 4], 3, unet().with_outputs(2))), "`outputs` must be 1"),
    ] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn losses_of_embeddings_add_to_others() {
    let sum: Objective<3> = (0.5 * Rounding::new() + Prior {} + Simple {} + Vlb::new(10)).into();
    assert_eq!(sum.terms().len(), 4);
}
