//! Nets that end in a softmax: the prediction type `probabilities`, and the refusal of any other.
use crate::common::{all_hold, device, gap, moved, numbers, times, tokens};
use burn::{
    module::Module,
    tensor::{DType, Tensor, TensorData, activation::softmax},
};
use tweedie::{
    Rng,
    data::Samples,
    denoise::{Denoiser, Guided},
    laws,
    loss::{Batch, CrossEntropy, Loss, MaskedNelbo, ScoreEntropy, Vlb},
    model::Model,
    net::{Conditions, Net, Softmax, Then, Transformer, TransformerConfig},
    noise::{Discrete, DiscretePrediction, Estimate, Gaussian, Noise},
    sample::Ancestral,
    schedule::{Cosine, FlowMatching, Linear},
    train::Train,
};

const K: usize = 4;

fn table() -> Linear {
    Linear::between(20, 1e-4, 0.7)
}
/// The same noise with logits and with probabilities.
fn noises() -> Vec<[Discrete; 2]> {
    let both = |noise: Discrete| {
        [DiscretePrediction::Logits, DiscretePrediction::Probabilities]
            .map(|prediction| noise.clone().with_prediction(prediction))
    };
    vec![
        both(Discrete::uniform(table(), K)),
        both(Discrete::marginal(table(), vec![0.4, 0.3, 0.2, 0.1]).unwrap()),
        both(Discrete::absorbing(table(), K, K - 1)),
    ]
}

#[test]
fn losses_and_gradients_are_those_of_the_logits() {
    let auto = device().autodiff();
    let x = Tensor::<3>::from_data([[[0.0], [1.0], [2.0]], [[2.0], [2.0], [1.0]]], &auto);
    let t = [0.3, 0.05];
    for [with_logits, with_probabilities] in noises() {
        let masked = Noise::<3>::categories(&with_logits).unwrap().mask.is_some();
        let mut losses: Vec<Box<dyn Loss<3>>> =
            vec![Box::new(CrossEntropy {}), Box::new(Vlb::new(20)), Box::new(ScoreEntropy {})];
        if masked {
            losses.push(Box::new(MaskedNelbo {}));
        }
        let z = with_logits.prior(x.clone(), &t).sample(&mut Rng::new(1)).value;
        for loss in losses {
            let of = |noise: &Discrete, probabilities: bool| {
                let logits: Tensor<3> = Rng::new(2).normal_tensor([2, 3, K], &auto, DType::F32).require_grad();
                let output = if probabilities { softmax(logits.clone(), 2) } else { logits.clone() };
                let value = loss.compute(&Batch::new(noise, x.clone(), z.clone(), None, &t, output, &(), &()));
                let gradient = logits.grad(&value.clone().sum().backward()).unwrap();
                (value.inner(), gradient)
            };
            let ((a, da), (b, db)) = (of(&with_logits, false), of(&with_probabilities, true));
            let near = |a: Tensor<1>, b: Tensor<1>| {
                let size = numbers(a.clone().abs().max())[0];
                size > 1e-3 && gap(a, b) < 1e-4 * size
            };
            assert!(near(a, b), "{loss:?}");
            assert!(near(da.flatten(0, 2), db.flatten(0, 2)), "gradient of {loss:?}");
        }
    }
}

#[test]
fn estimates_and_targets_are_probabilities() {
    let z = Tensor::<3>::from_data([[[0.0], [3.0], [2.0]]], &device());
    for [with_logits, with_probabilities] in noises() {
        let logits: Tensor<3> = Rng::new(2).normal_tensor([1, 3, K], &device(), DType::F32);
        let probs = softmax(logits.clone(), 2);
        let mean = Noise::<3>::estimate(&with_logits, logits, z.clone(), &[0.3]).mean;
        assert!(gap(mean, probs.clone()) < 1e-6);
        let Estimate { mean, .. } = Noise::<3>::estimate(&with_probabilities, probs.clone(), z.clone(), &[0.3]);
        assert!(gap(mean.clone(), probs) < 1e-6);
        assert!(gap(Noise::<3>::target(&with_probabilities, mean.clone(), z.clone(), &[0.3]), mean) < 1e-6);
    }
}

#[test]
fn a_probability_that_underflows_has_a_finite_loss() {
    let noise = Discrete::uniform(table(), K).with_prediction(DiscretePrediction::Probabilities);
    let x = Tensor::<3>::from_data([[[1.0]]], &device());
    let output = Tensor::<3>::from_data([[[1.0, 0.0, 0.0, 0.0]]], &device());
    let batch = Batch::new(&noise, x.clone(), x, None, &[0.3], output, &(), &());
    let loss = CrossEntropy {}.compute(&batch).into_scalar::<f32>();
    assert!(loss > 80.0 && loss.is_finite(), "{loss}");
}

#[test]
fn laws_hold_for_probabilities() {
    let x = Rng::new(0).normal_tensor::<2>([8, K], &device(), DType::F64);
    let hot = x.clone().equal(x.clone().max_dim(1).expand(x.dims())).float().cast(DType::F64);
    for [_, noise] in noises() {
        let masked = Noise::<3>::categories(&noise).unwrap().mask.is_some();
        // Data are never the mask.
        let data = if masked {
            let x = x.clone().narrow(1, 0, K - 1);
            let hot = x.clone().equal(x.clone().max_dim(1).expand(x.dims())).float().cast(DType::F64);
            Tensor::cat(vec![hot, Tensor::zeros([8, 1], (&device(), DType::F64))], 1)
        } else {
            hot.clone()
        };
        all_hold("noise", laws::noise::<2>(&noise, &data));
        for loss in [&CrossEntropy {} as &dyn Loss<2>, &Vlb::new(20), &ScoreEntropy {}] {
            all_hold(&format!("{loss:?}"), laws::loss::<2>(loss, &noise, &data));
        }
        let z = Tensor::<3>::from_data([[[0.0], [2.0]], [[1.0], [3.0]]], &device()).cast(DType::F64);
        let (strong, weak) = (Fixed { noise: &noise, gain: 1.3 }, Fixed { noise: &noise, gain: 0.6 });
        fn boxed<'a>(a: &'a dyn Denoiser<3>, b: &'a dyn Denoiser<3>, scale: f64) -> Box<dyn Denoiser<3> + 'a> {
            Box::new(Guided { strong: a, weak: b, scale })
        }
        all_hold("guidance", laws::guidance::<3>(boxed, &strong, &weak, &z));
        all_hold("denoiser", laws::denoiser::<3>(&Guided { strong: &strong, weak: &weak, scale: 2.0 }, &z));
    }
}

/// Fixed probabilities of each category of x_t.
struct Fixed<'a> {
    noise: &'a Discrete,
    gain: f64,
}
impl Denoiser<3> for Fixed<'_> {
    fn noise(&self) -> &dyn Noise<3> {
        self.noise
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let places: Vec<f64> = (0..K).map(|i| i as f64 * 1.7).collect();
        let places = Tensor::<3>::from_data(TensorData::new(places, [1, 1, K]), (&z.device(), z.dtype()));
        let logits = ((z.clone() + places) * self.gain).sin() * 2.0;
        self.noise.estimate(softmax(logits, 2), z, t)
    }
}

fn net() -> Transformer {
    let config = TransformerConfig::new(K, 6).with_width(16).with_depth(1).with_heads(2);
    config.init(&Rng::new(3), &device()).unwrap()
}
fn noise(prediction: DiscretePrediction) -> Discrete {
    Discrete::uniform(FlowMatching {}, K).with_prediction(prediction)
}
/// Lines of one letter.
fn lines() -> Samples<3> {
    Samples::new((0..30 * 6).map(|i| f32::from(u8::from(i / 6 % 2 == 0)) * 2.0).collect(), [30, 6, 1])
}

/// The same function by its logits and by its probabilities: the same losses, step by step, and the same samples.
#[test]
fn a_net_with_a_softmax_is_trained_and_sampled_as_one_with_logits() {
    fn run<N: Net<3, Condition = Conditions>>(model: Model<3, N>) -> (Vec<f64>, Vec<f64>) {
        let data = lines();
        let settings = Train { steps: 150, batch: 32, lr: 5e-3, warmup: 10, ema_decay: 0.9, ..Train::default() };
        let mut trainer = model.train(&data, CrossEntropy {}, settings).unwrap();
        let losses = trainer.by_ref().map(|step| step.unwrap().loss).collect();
        let x = trainer.model().sample(&Ancestral {}, 30, [40, 6, 1], &Conditions::none(), &Rng::new(1)).unwrap();
        (losses, numbers(x))
    }
    let (by_logits, a) = run(Model::new(noise(DiscretePrediction::Logits), net()).unwrap());
    let (by_probabilities, b) =
        run(Model::new(noise(DiscretePrediction::Probabilities), net().then(Softmax {})).unwrap());
    // Rounding is another, and grows from step to step.
    for (step, (a, b)) in by_logits.iter().zip(&by_probabilities).enumerate().take(20) {
        assert!((a - b).abs() < 0.01 * a, "step {step}: {a} and {b}");
    }
    assert!(by_probabilities[149] < 0.6 * by_probabilities[0], "{by_probabilities:?}");
    let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    assert!(same > 200, "{same} of 240 letters");
    let lines = b.chunks(6).filter(|line| line.iter().all(|x| *x == line[0] && (*x == 0.0 || *x == 2.0))).count();
    assert!(lines > 25, "{lines} of 40 lines");
}

/// A net of a user that takes a softmax inside.
#[derive(Module, Debug)]
struct Own {
    net: Transformer,
}
impl Net<3> for Own {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<3>, t: Tensor<1>, y: &Conditions) -> Tensor<3> {
        softmax(self.net.forward(z, t, y), 2)
    }
}

#[test]
fn a_softmax_that_would_be_taken_twice_is_refused() {
    let data = lines();
    for prediction in [DiscretePrediction::Logits, DiscretePrediction::Score] {
        let noise = || Discrete::uniform(tweedie::schedule::LogLinear::default(), K).with_prediction(prediction);
        let error = Model::<3, _>::new(noise(), net().then(Softmax {})).unwrap_err();
        assert_eq!(error.field(), Some("prediction"));
        assert!(error.to_string().contains("`prediction` must be \"probabilities\""), "{error}");
        assert!(error.remedy().unwrap().contains("leave out the softmax"), "{error}");
        // Found in the output of the first rows.
        let error = Model::<3, _>::new(noise(), Own { net: moved(net()) })
            .unwrap()
            .train(&data, CrossEntropy {}, Train::default())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.field(), Some("prediction"), "{error}");
    }
    let masked = Discrete::absorbing(FlowMatching {}, K, K - 1);
    assert!(Model::<3, _>::new(masked, net().then(Softmax {})).is_err());
    // Continuous data may be anything.
    assert!(Model::<3, _>::new(Gaussian::new(Cosine::new(10)), net().then(Softmax {})).is_ok());
    // And the other way: logits are not probabilities.
    let error = Model::<3, _>::new(noise(DiscretePrediction::Probabilities), moved(net()))
        .unwrap()
        .train(&data, CrossEntropy {}, Train::default())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.field(), Some("prediction"), "{error}");
    assert!(error.to_string().contains("needs a network whose output is probabilities"), "{error}");
    let own = Model::<3, _>::new(noise(DiscretePrediction::Probabilities), Own { net: moved(net()) }).unwrap();
    assert!(own.train(&data, CrossEntropy {}, Train::default()).is_ok());
}

#[test]
fn a_composition_declares_the_shape_and_kind_of_its_output() {
    let net: Then<Transformer, Softmax> = net().then(Softmax {});
    assert!(Net::<3>::gives_probabilities(&net) && !Net::<3>::gives_probabilities(&self::net()));
    assert_eq!(net.output_shape([5, 6, 1], &Conditions::none()).unwrap(), [5, 6, K]);
    assert_eq!(net.forward(tokens(2, 6).clamp_max(3.0), times(2), &Conditions::none()).dims(), [2, 6, K]);
}
