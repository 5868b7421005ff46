//! Guidance composes denoised estimates, whatever changed them.
use burn::tensor::{DType, Device, Tensor, activation::softmax};
use tweedie::{
    Rng,
    denoise::{Clamped, Denoiser, Guided, Thresholded, Truncated, Truncation},
    laws::{self, Check},
    noise::{Discrete, DiscretePrediction, Estimate, Gaussian, Noise, Prediction, Variance},
    schedule::{FlowMatching, Linear, LogLinear},
};

const COMPOSED: &str = "guidance composes denoised estimates";
const VARIANCE: &str = "guidance leaves the variance to the strong denoiser";
const FOLLOWS: &str = "x̂ follows from the output it carries";

fn broken(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.law).collect()
}
fn guided<'a, const D: usize>(
    strong: &'a dyn Denoiser<D>,
    weak: &'a dyn Denoiser<D>,
    scale: f64,
) -> Box<dyn Denoiser<D> + 'a> {
    Box::new(Guided { strong, weak, scale })
}
fn normals<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Rng::new(4).normal_tensor(shape, &Device::flex(), DType::F64)
}
fn gap<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f64 {
    (a - b).abs().max().into_scalar::<f64>()
}

/// A network: a fixed map of x_t, read by the noise.
struct Network<'a, N> {
    noise: &'a N,
    gain: f64,
}
impl<N: Noise<2>> Denoiser<2> for Network<'_, N> {
    fn noise(&self) -> &dyn Noise<2> {
        self.noise
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        let output = (z.clone() * self.gain).sin() * 0.8;
        let output =
            if self.noise.outputs() == 2 { Tensor::cat(vec![output.clone(), output * self.gain], 1) } else { output };
        self.noise.estimate(output, z, t)
    }
}
/// The same of categories: fixed logits of each category of x_t.
struct Letters<'a> {
    noise: &'a Discrete,
    gain: f64,
}
impl Denoiser<3> for Letters<'_> {
    fn noise(&self) -> &dyn Noise<3> {
        self.noise
    }
    fn denoise(&self, z: Tensor<3>, t: &[f64]) -> Estimate<3> {
        let k = Noise::<3>::categories(self.noise).unwrap().k;
        let places = Tensor::<1, burn::tensor::Int>::arange(0..k as i64, &z.device()).float().reshape([1, 1, k]);
        let logits = ((z.clone() + places.cast(z.dtype()) * 1.7) * self.gain).sin();
        let output = match self.noise.prediction() {
            // Ratios that belong to some p(x | x_t).
            DiscretePrediction::Score => self.noise.target(softmax(logits, 2), z.clone(), t),
            _ => logits,
        };
        self.noise.estimate(output, z, t)
    }
}

#[test]
fn guidance_obeys_its_laws_with_every_prediction() {
    let z = normals([6, 2]);
    for prediction in Prediction::ALL {
        for noise in [
            Gaussian::new(Linear::new(100)).with_prediction(prediction),
            Gaussian::new(Linear::new(100)).with_prediction(prediction).with_variance(Variance::Learned),
        ] {
            let (strong, weak) = (Network { noise: &noise, gain: 1.3 }, Network { noise: &noise, gain: 0.6 });
            let checks = [laws::guidance::<2>(guided, &strong, &weak, &z), laws::denoiser::<2>(&strong, &z)].concat();
            assert!(broken(&checks).is_empty(), "{prediction}: {checks:#?}");
        }
    }
    let z = Tensor::<3>::from_data([[[0.0], [2.0]], [[1.0], [3.0]]], &Device::flex()).cast(DType::F64);
    for noise in [
        Discrete::absorbing(FlowMatching {}, 4, 3),
        Discrete::absorbing(LogLinear::default(), 4, 3).with_prediction(DiscretePrediction::Score),
        Discrete::uniform(LogLinear::default(), 4),
        Discrete::uniform(LogLinear::default(), 4).with_prediction(DiscretePrediction::Score),
    ] {
        let (strong, weak) = (Letters { noise: &noise, gain: 1.3 }, Letters { noise: &noise, gain: 0.6 });
        let checks = [laws::guidance::<3>(guided, &strong, &weak, &z), laws::denoiser::<3>(&strong, &z)].concat();
        assert!(broken(&checks).is_empty(), "{noise:?}: {checks:#?}");
    }
}

/// Clipping, thresholding and truncation inside guidance keep their effect.
#[test]
fn a_wrapper_inside_guidance_keeps_its_effect() {
    let (z, t, scale) = (normals([6, 2]) * 2.0, [0.6], 3.0);
    let noise = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity);
    let (strong, weak) = (Network { noise: &noise, gain: 1.3 }, Network { noise: &noise, gain: 0.6 });
    let mean = |model: &dyn Denoiser<2>| model.denoise(z.clone(), &t).mean;
    let plain = mean(&Guided { strong: &strong, weak: &weak, scale });

    let clip = |model| Clamped { model, low: -0.5, high: 0.5 };
    let own = mean(&Guided { strong: clip(&strong), weak: clip(&weak), scale });
    let by_hand = mean(&clip(&weak)) + (mean(&clip(&strong)) - mean(&clip(&weak))) * scale;
    assert!(gap(own.clone(), by_hand) < 1e-12 && gap(own, plain.clone()) > 0.1);

    let threshold = |model| Thresholded { model, quantile: 0.5, max: 10.0 };
    let own = mean(&Guided { strong: threshold(&strong), weak: threshold(&weak), scale });
    let by_hand = mean(&threshold(&weak)) + (mean(&threshold(&strong)) - mean(&threshold(&weak))) * scale;
    assert!(gap(own.clone(), by_hand) < 1e-12 && gap(own, plain) > 0.1);

    let noise = Discrete::uniform(FlowMatching {}, 4);
    let (strong, weak) = (Letters { noise: &noise, gain: 1.3 }, Letters { noise: &noise, gain: 0.6 });
    let z = Tensor::<3>::from_data([[[0.0], [2.0]]], &Device::flex()).cast(DType::F64);
    let likeliest = |model| Truncated { model, truncation: Truncation { top_k: Some(1), ..Truncation::default() } };
    let own = Guided { strong: likeliest(&strong), weak: &weak, scale: 0.5 }.denoise(z.clone(), &t).mean;
    let best = likeliest(&strong).denoise(z.clone(), &t).mean;
    assert!(gap(own, best.clone()) < 1e-9, "what the strong denoiser rules out stays out");
    let plain = Guided { strong: &strong, weak: &weak, scale: 0.5 }.denoise(z, &t).mean;
    assert!(gap(plain, best) > 0.1);
}

/// Autoguidance with a model of another prediction type: x̂ is what both mean.
#[test]
fn models_of_different_prediction_types_are_guided_by_their_estimates() {
    let (z, t) = (normals([6, 2]), [0.6]);
    let noise = |prediction| Gaussian::new(Linear::new(100)).with_prediction(prediction);
    let (a, b) = (noise(Prediction::Epsilon), noise(Prediction::V));
    let (strong, weak) = (Network { noise: &a, gain: 1.3 }, Network { noise: &b, gain: 0.6 });
    let mean = |model: &dyn Denoiser<2>| model.denoise(z.clone(), &t).mean;
    let own = mean(&Guided { strong: &strong, weak: &weak, scale: 2.0 });
    assert!(gap(own, mean(&weak) + (mean(&strong) - mean(&weak)) * 2.0) < 1e-12);
}

/// Guidance over guidance, and its likelihood, read the composed output of one network.
#[test]
fn a_guided_estimate_carries_the_composed_output() {
    let z = normals([6, 2]);
    let noise = Gaussian::new(Linear::new(100)).with_variance(Variance::Learned);
    let (strong, weak) = (Network { noise: &noise, gain: 1.3 }, Network { noise: &noise, gain: 0.6 });
    let once = Guided { strong: &strong, weak: &weak, scale: 2.0 };
    assert!(broken(&laws::denoiser::<2>(&once, &z)).is_empty());
    assert!(broken(&laws::guidance::<2>(guided, &once, &weak, &z)).is_empty());
    assert!(once.denoise(z, &[0.5]).output.is_some());
}

/// A guidance with a flaw.
struct Flawed<'a> {
    strong: &'a dyn Denoiser<2>,
    weak: &'a dyn Denoiser<2>,
    scale: f64,
    flaw: usize,
}
impl Denoiser<2> for Flawed<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        self.strong.noise()
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        let [strong, weak] = [self.strong, self.weak].map(|model| model.denoise(z.clone(), t));
        let move_from = if self.flaw == 0 { strong.mean.clone() } else { weak.mean.clone() };
        let mean = move_from + (strong.mean.clone() - weak.mean.clone()) * self.scale;
        let variance = if self.flaw == 1 { weak.variance } else { strong.variance };
        Estimate { mean, variance, output: None }
    }
}

#[test]
fn flawed_guidance_breaks_a_law() {
    let z = normals([6, 2]);
    let noise = Gaussian::new(Linear::new(100)).with_variance(Variance::Learned);
    let (strong, weak) = (Network { noise: &noise, gain: 1.3 }, Network { noise: &noise, gain: 0.6 });
    for (flaw, broke) in [vec![COMPOSED], vec![VARIANCE], vec![]].into_iter().enumerate() {
        let checks = laws::guidance::<2>(
            |strong, weak, scale| Box::new(Flawed { strong, weak, scale, flaw }),
            &strong,
            &weak,
            &z,
        );
        assert_eq!(broken(&checks), broke, "{flaw}");
    }
    // Guidance that reads past wrappers, to the networks within.
    let noise: &'static Gaussian = Box::leak(Box::new(Gaussian::new(Linear::new(100))));
    let network = |gain| -> &'static Network<'static, Gaussian> { Box::leak(Box::new(Network { noise, gain })) };
    let (strong, weak) = (network(1.3), network(0.6));
    let checks = laws::guidance::<2>(|_, _, scale| Box::new(Guided { strong, weak, scale }), strong, weak, &z);
    assert_eq!(broken(&checks), [COMPOSED]);
    let place = &checks.iter().find(|check| check.law == COMPOSED).unwrap().place;
    assert!(place.contains("changed"), "{place}");
}

/// A wrapper that changes the mean and keeps the output: guidance would not see the change.
struct Careless<'a>(&'a dyn Denoiser<2>);
impl Denoiser<2> for Careless<'_> {
    fn noise(&self) -> &dyn Noise<2> {
        self.0.noise()
    }
    fn denoise(&self, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        let estimate = self.0.denoise(z, t);
        Estimate { mean: estimate.mean.clone() * 0.5, ..estimate }
    }
}

#[test]
fn a_wrapper_that_keeps_a_stale_output_breaks_a_law() {
    let z = normals([6, 2]);
    let noise = Gaussian::new(Linear::new(100));
    let (strong, weak) = (Network { noise: &noise, gain: 1.3 }, Network { noise: &noise, gain: 0.6 });
    let (strong, weak) = (Careless(&strong), Careless(&weak));
    assert_eq!(broken(&laws::denoiser::<2>(&strong, &z)), [FOLLOWS]);
    assert_eq!(broken(&laws::guidance::<2>(guided, &strong, &weak, &z)), [COMPOSED]);
}
