//! Distributions and samplers with a flaw: the law they break is named, and those that they keep are not.
use burn::tensor::{DType, Device, Tensor, TensorData};
use tweedie::{
    Rng,
    denoise::Denoiser,
    distribution::{Categorical, Distribution, Normal, Sample},
    laws::{self, Check},
    sample::{Ancestral, Heun, Past, Sampler},
};

fn broken(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.law).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    /// −ln p is too large by a tenth.
    Constant,
    /// Draws are even, of the right mean and spread.
    Even,
    /// Draws are a tenth too wide.
    Wide,
    /// Draws of categories come in another order.
    Turned,
}
#[derive(Debug)]
struct Flawed<D>(D, Flaw);
impl<D: Distribution<2>> Distribution<2> for Flawed<D> {
    fn mean(&self) -> Tensor<2> {
        self.0.mean()
    }
    fn std(&self) -> Tensor<2> {
        self.0.std()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<2> {
        let mean = self.mean();
        let draw = match self.1 {
            Flaw::Even => {
                let even = rng.uniform_tensor(mean.dims(), &mean.device(), mean.dtype());
                (even - 0.5) * 12f64.sqrt() * self.std() + mean
            }
            Flaw::Wide => (self.0.sample(rng).value - mean.clone()) * 1.1 + mean,
            Flaw::Turned => self.0.sample(rng).value.flip([1]),
            Flaw::None | Flaw::Constant => self.0.sample(rng).value,
        };
        Sample { value: draw, eps: None }
    }
    fn nll(&self, x: Tensor<2>) -> Tensor<2> {
        self.0.nll(x) + if self.1 == Flaw::Constant { 0.1 } else { 0.0 }
    }
    fn kl(&self, other: &dyn Distribution<2>) -> Tensor<2> {
        self.0.kl(other)
    }
}

const SUM: &str = "p sums to one";
const SAID: &str = "samples are distributed as p says";
const ENTROPY: &str = "the entropy of samples is their mean −ln p";

#[test]
fn a_distribution_that_breaks_a_law_is_told_which() {
    for dtype in [DType::F32, DType::F64] {
        let of = |flaw| {
            // Rows that differ, and an entry that is a point where nothing is flawed.
            let rows: Vec<f64> = (0..4000).flat_map(|i| [0.1 * f64::from(i % 7), -3.0]).collect();
            let mean = Tensor::<2>::from_data(TensorData::new(rows, [4000, 2]), (&Device::flex(), dtype));
            let std = if flaw == Flaw::None { [0.7, 0.0] } else { [0.7, 2.0] };
            let std = Tensor::<2>::from_data(TensorData::new(std.to_vec(), [1, 2]), (&Device::flex(), dtype));
            laws::distribution(&Flawed(Normal::new(mean, std).unwrap(), flaw))
        };
        let sound = of(Flaw::None);
        for law in [SUM, SAID, ENTROPY] {
            let check = sound.iter().find(|check| check.law == law).expect("a law of distributions");
            assert!(check.holds(), "{dtype:?}: {check}");
        }
        assert!(broken(&of(Flaw::Constant)).contains(&SUM), "{dtype:?}");
        // Of the right mean and spread: nothing else sees it.
        assert_eq!(broken(&of(Flaw::Even)), [SAID], "{dtype:?}");
        assert!(broken(&of(Flaw::Wide)).contains(&ENTROPY), "{dtype:?}");
    }
    for numbers in [false, true] {
        let of = |flaw| {
            let probs = Tensor::<2>::from_data([[0.1_f32, 0.2, 0.0, 0.7]], &Device::flex()).expand([4000, 4]);
            laws::distribution(&Flawed(Categorical::new(probs).unwrap().in_numbers(numbers), flaw))
        };
        let sound = of(Flaw::None);
        assert!(broken(&sound).is_empty() && sound.iter().any(|check| check.law == SAID), "{sound:?}");
        assert!(broken(&of(Flaw::Constant)).contains(&SUM), "{numbers}");
        if !numbers {
            let turned = broken(&of(Flaw::Turned));
            assert!(turned.contains(&SAID) && turned.contains(&ENTROPY), "{turned:?}");
        }
    }
}

/// Heun's method that says it asks once.
#[derive(Debug)]
struct Miscounted;
impl Sampler<2> for Miscounted {
    fn step(
        &self,
        model: &dyn Denoiser<2>,
        z: Tensor<2>,
        t: f64,
        s: f64,
        past: &mut Past<2>,
        rng: &mut Rng,
    ) -> Tensor<2> {
        Heun {}.step(model, z, t, s, past, rng)
    }
    fn order(&self) -> Option<usize> {
        None
    }
}

/// Ancestral sampling whose x_t is too wide on the way, and right at the end.
#[derive(Debug)]
struct Wide(f64);
impl Sampler<2> for Wide {
    fn step(
        &self,
        model: &dyn Denoiser<2>,
        z: Tensor<2>,
        t: f64,
        s: f64,
        past: &mut Past<2>,
        rng: &mut Rng,
    ) -> Tensor<2> {
        let z = if t < 1.0 { z / self.0 } else { z };
        let z = Ancestral {}.step(model, z, t, s, past, rng);
        if s > 0.0 { z * self.0 } else { z }
    }
    fn order(&self) -> Option<usize> {
        None
    }
}

#[test]
fn a_sampler_that_breaks_a_law_is_told_which() {
    assert_eq!(broken(&laws::walk(&Miscounted)), ["a step asks the model as often as is said"]);
    assert_eq!(broken(&laws::walk(&Wide(1.0))), [""; 0]);
    assert_eq!(broken(&laws::walk(&Wide(1.15))), ["half-way a walk has the spread of x_t"]);
    for sampler in crate::samplers::all() {
        let checks = laws::walk(&*sampler);
        assert!(broken(&checks).is_empty(), "{sampler:?}: {checks:?}");
    }
}
