//! Slips that other programs had, in modules of a user's own: the law that names each.
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;
use tweedie::{
    Dual, Rng,
    data::Samples,
    distribution::{Categorical, Distribution, Normal, Sample},
    laws::{self, Check},
    loss::{Batch, BoundTimes, Loss, MaskedNelbo, Vlb, per_sample},
    net::Conditions,
    noise::{
        Categories, Chain, Discrete, DiscretePrediction, DynDistribution, Estimate, Gaussian, Noise, Prediction,
        Variance, lift,
    },
    schedule::{Cosine, FlowMatching, Linear, Schedule, Survival, Table, ZeroTerminal},
    spacing::{Karras, Levels, Spacing, Uniform},
};

fn broken(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.law).collect()
}

/// A schedule of a closure, with a formula of another.
struct Declared<A, F>(A, F);
impl<A, F> std::fmt::Debug for Declared<A, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Declared")
    }
}
impl<A: Fn(Dual) -> Dual + Send + Sync, F: Fn(f64) -> Option<f64> + Send + Sync> Schedule for Declared<A, F> {
    fn alpha(&self, t: Dual) -> Dual {
        (self.0)(t)
    }
    fn alpha_bar_formula(&self, t: f64) -> Option<f64> {
        (self.1)(t)
    }
}

#[test]
fn slips_in_tables_are_named() {
    const FORMULA: &str = "α² is that of the declared formula";
    let cosine = |t: f64| (std::f64::consts::FRAC_PI_2 * (t + 0.008) / 1.008).cos().powi(2);
    let table = |one: f64| {
        let table = Table::from_signal(1000, 0.999, move |t| cosine(t + one * (1.0 - t))).unwrap();
        broken(&laws::schedule(&Declared(move |t| table.alpha(t), |t| Cosine::new(1000).alpha_bar_formula(t))))
    };
    // One index on, but for the end.
    assert!(!table(0.0).contains(&FORMULA) && table(1e-3).contains(&FORMULA), "{:?}", table(1e-3));
    // Every β but the last is 0, as by a division of integers.
    let late =
        laws::schedule(&Declared(|t: Dual| if t.value < 0.999 { 1.0.into() } else { (1.0 - t) * 1000.0 }, |_| None));
    assert!(broken(&late).contains(&"the log-SNR decreases"), "{:?}", broken(&late));
    assert!(broken(&late).contains(&"the signal is not lost in one step"), "{:?}", broken(&late));
    #[derive(Debug)]
    struct Late;
    impl Survival for Late {
        fn survival(&self, t: Dual) -> Dual {
            if t.value < 0.999 { 1.0.into() } else { (1.0 - t) * 1000.0 }
        }
    }
    assert_eq!(broken(&laws::survival(&Late)), ["categories are not corrupted in one step"]);
    // Lin et al.'s rescaling with the factor and without the shift.
    let base = Linear::new(1000);
    let (start, end) = (base.at(1e-3).alpha, base.at(1.0).alpha);
    let right = ZeroTerminal(base.clone());
    let scaled = move |t: Dual| base.alpha(t) * (start / (start - end));
    let checks = laws::schedule(&Declared(scaled, move |t| right.alpha_bar_formula(t)));
    assert!(broken(&checks).contains(&FORMULA), "{:?}", broken(&checks));
    // The built-in ones have a formula, and follow it.
    for checks in [laws::schedule(&Cosine::new(1000)), laws::schedule(&ZeroTerminal(Linear::new(100)))] {
        assert!(broken(&checks).is_empty() && checks.iter().any(|check| check.law == FORMULA), "{checks:?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// v = σ x − α ε, in target and estimate.
    Sign,
    /// In the target alone.
    SignOfTarget,
    /// The learned log-variance is the exponent of an exponent.
    Twice,
    /// KL of the distributions with its arguments exchanged.
    Reversed,
    /// Samples are wider than their density.
    Wide,
    /// The two halves of the output exchanged where they are split.
    Swapped,
    /// Rows of a batch are mixed.
    Mixed,
}
#[derive(Debug)]
struct Slipped(Gaussian, Slip);

/// A normal whose KL is that of the other from it.
#[derive(Debug)]
struct Reversed(DynDistribution<2>);
impl Distribution<2> for Reversed {
    fn mean(&self) -> Tensor<2> {
        self.0.mean()
    }
    fn std(&self) -> Tensor<2> {
        self.0.std()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<2> {
        self.0.sample(rng)
    }
    fn nll(&self, x: Tensor<2>) -> Tensor<2> {
        self.0.nll(x)
    }
    fn kl(&self, other: &dyn Distribution<2>) -> Tensor<2> {
        Normal::trusted(other.mean(), other.std()).kl(&*self.0)
    }
}

/// A normal whose samples are of a standard deviation a quarter too large.
#[derive(Debug)]
struct Wide(DynDistribution<2>);
impl Distribution<2> for Wide {
    fn mean(&self) -> Tensor<2> {
        self.0.mean()
    }
    fn std(&self) -> Tensor<2> {
        self.0.std()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<2> {
        Normal::trusted(self.0.mean(), self.0.std() * 1.25).sample(rng)
    }
    fn nll(&self, x: Tensor<2>) -> Tensor<2> {
        self.0.nll(x)
    }
    fn kl(&self, other: &dyn Distribution<2>) -> Tensor<2> {
        self.0.kl(other)
    }
}

impl Noise<2> for Slipped {
    fn stationary(&self, shape: [usize; 2], device: &Device) -> DynDistribution<2> {
        self.0.stationary(shape, device)
    }
    fn prior(&self, x: Tensor<2>, t: &[f64]) -> DynDistribution<2> {
        let law = self.0.prior(x, t);
        match self.1 {
            Slip::Reversed => Box::new(Reversed(law)),
            Slip::Wide => Box::new(Wide(law)),
            _ => law,
        }
    }
    fn posterior(&self, x: Tensor<2>, z: Tensor<2>, s: &[f64], t: &[f64]) -> DynDistribution<2> {
        self.0.posterior(x, z, s, t)
    }
    fn approximate(&self, estimate: Estimate<2>, z: Tensor<2>, s: &[f64], t: &[f64]) -> DynDistribution<2> {
        let law = self.0.approximate(estimate, z, s, t);
        match self.1 {
            Slip::Twice => Box::new(Normal::trusted(law.mean(), law.std().square().exp().sqrt())),
            _ => law,
        }
    }
    fn decoder(&self, estimate: Estimate<2>, z: Tensor<2>, t: &[f64]) -> DynDistribution<2> {
        self.0.decoder(estimate, z, t)
    }
    fn target(&self, x: Tensor<2>, z: Tensor<2>, t: &[f64]) -> Tensor<2> {
        let target = self.0.target(x, z, t);
        if matches!(self.1, Slip::Sign | Slip::SignOfTarget) { -target } else { target }
    }
    fn estimate(&self, output: Tensor<2>, z: Tensor<2>, t: &[f64]) -> Estimate<2> {
        let estimate = self.0.estimate(if self.1 == Slip::Sign { -output } else { output }, z, t);
        match self.1 {
            Slip::Mixed => Estimate { mean: estimate.mean.clone() + estimate.mean.mean_dim(0), ..estimate },
            _ => estimate,
        }
    }
    fn split(&self, output: Tensor<2>) -> (Tensor<2>, Option<Tensor<2>>) {
        match (self.1, Noise::<2>::split(&self.0, output)) {
            (Slip::Swapped, (prediction, Some(variance))) => (variance, Some(prediction)),
            (_, parts) => parts,
        }
    }
    fn outputs(&self) -> usize {
        Noise::<2>::outputs(&self.0)
    }
    fn path(&self) -> Option<&dyn Schedule> {
        Noise::<2>::path(&self.0)
    }
    fn prediction_type(&self) -> Option<Prediction> {
        Some(self.0.prediction())
    }
}

#[test]
fn slips_in_gaussian_noise_are_named() {
    const TARGET: &str = "the target is that of its prediction type";
    let x = Rng::new(1).normal_tensor([32, 3], &Device::flex(), DType::F64);
    let of = |slip, variance| {
        let noise = Gaussian::new(Linear::new(100)).with_prediction(Prediction::V).with_variance(variance);
        broken(&laws::noise::<2>(&Slipped(noise, slip), &x))
    };
    for variance in [Variance::Small, Variance::Large, Variance::Learned] {
        assert_eq!(of(Slip::None, variance), [""; 0], "{variance:?}");
    }
    // Nothing else sees it.
    assert_eq!(of(Slip::Sign, Variance::Small), [TARGET]);
    assert_eq!(of(Slip::SignOfTarget, Variance::Small), [TARGET, "estimate ∘ target = identity"]);
    assert_eq!(of(Slip::Twice, Variance::Learned), ["the reverse std is between those of posterior and forward step"]);
    assert_eq!(of(Slip::Reversed, Variance::Small), ["KL(p ‖ q) is the mean of ln p − ln q under p"]);
    assert_eq!(
        of(Slip::Wide, Variance::Small),
        ["samples have the variance", "the entropy of samples is their mean −ln p"]
    );
    for prediction in Prediction::ALL {
        let checks = laws::noise(&Gaussian::new(Linear::new(100)).with_prediction(prediction), &x);
        assert!(broken(&checks).is_empty(), "{prediction}: {checks:#?}");
    }
}

#[test]
fn slips_in_what_is_read_of_outputs_are_named() {
    let x = Rng::new(1).normal_tensor([32, 3], &Device::flex(), DType::F64);
    let of = |slip, variance| {
        let noise = Gaussian::new(Linear::new(100)).with_prediction(Prediction::V).with_variance(variance);
        broken(&laws::estimates::<2>(&Slipped(noise, slip), &x))
    };
    assert_eq!(of(Slip::None, Variance::Learned), [""; 0]);
    // Guidance composes what is split off as the prediction.
    let composed = ["guidance composes denoised estimates", "guidance leaves the variance to the strong denoiser"];
    assert_eq!(of(Slip::Swapped, Variance::Learned), composed);
    assert_eq!(of(Slip::Mixed, Variance::Small), ["a row's x̂ is its own"]);
    let hot = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]].concat();
    let x = Tensor::<2>::from_data(TensorData::new(hot, [4, 3]), (&Device::flex(), DType::F64));
    for prediction in [DiscretePrediction::Logits, DiscretePrediction::Score, DiscretePrediction::Probabilities] {
        for noise in [Discrete::uniform(FlowMatching {}, 3), Discrete::absorbing(FlowMatching {}, 3, 1)] {
            let checks = laws::estimates::<2>(&noise.with_prediction(prediction), &x);
            assert!(broken(&checks).is_empty(), "{prediction:?}: {checks:#?}");
        }
    }
}

#[test]
fn a_held_out_part_that_overlaps_by_one_is_named() {
    const SHARED: &str = "no held-out sample is one to learn from";
    let rows = |rows: std::ops::Range<usize>, period: usize| {
        let values: Vec<f32> = rows.clone().flat_map(|i| [(i % period) as f32, 0.5]).collect();
        Samples::new(values, [rows.len(), 2])
    };
    let of = |learned, held_out, period| {
        broken(&laws::held_out::<2, Conditions>(&rows(learned, period), &rows(held_out, period)))
    };
    assert_eq!(of(0..90, 90..100, usize::MAX), [""; 0]);
    assert_eq!(of(0..90, 89..100, usize::MAX), [SHARED]);
    // One of ten samples is repeated: one or two of twenty may be shared, not all.
    assert_eq!(of(0..90, 0..20, 85), [SHARED]);
    assert_eq!(of(0..90, 80..100, 85), [SHARED]);
    assert_eq!(of(0..50, 50..60, 30), [""; 0]);
}

/// Uniform noise of three categories with a slip.
#[derive(Debug)]
struct Redrawn(Discrete, &'static str);
impl Noise<2> for Redrawn {
    fn stationary(&self, shape: [usize; 2], device: &Device) -> DynDistribution<2> {
        self.0.stationary(shape, device)
    }
    fn prior(&self, x: Tensor<2>, t: &[f64]) -> DynDistribution<2> {
        if self.1 != "without 1/K" {
            return self.0.prior(x, t);
        }
        let [kept, lost] = lift(&x, t, |_, t| [1.0 - t, t]);
        Box::new(Categorical::trusted(x * kept + lost))
    }
    fn posterior(&self, x: Tensor<2>, z: Tensor<2>, s: &[f64], t: &[f64]) -> DynDistribution<2> {
        let joint = self.0.onward(z, s, t) * self.0.marginal(x, s);
        let axis = usize::from(self.1 != "along the batch");
        Box::new(Categorical::trusted(joint.clone() / joint.sum_dim(axis)))
    }
    fn decoder(&self, estimate: Estimate<2>, z: Tensor<2>, t: &[f64]) -> DynDistribution<2> {
        self.0.decoder(estimate, z, t)
    }
    fn categories(&self) -> Option<Categories<'_>> {
        Noise::<2>::categories(&self.0)
    }
}

#[test]
fn slips_in_categorical_noise_are_named() {
    const SUM: &str = "probabilities sum to one";
    let hot = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]].concat();
    let x = Tensor::<2>::from_data(TensorData::new(hot, [4, 3]), (&Device::flex(), DType::F64));
    let of = |slip| broken(&laws::noise::<2>(&Redrawn(Discrete::uniform(FlowMatching {}, 3), slip), &x));
    assert_eq!(of("none"), [""; 0]);
    assert!(of("along the batch").contains(&SUM), "{:?}", of("along the batch"));
    assert!(of("without 1/K").contains(&SUM), "{:?}", of("without 1/K"));
}

/// A bound with a slip.
#[derive(Debug)]
struct Bound(&'static str);
impl<const D: usize> Loss<D> for Bound {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let first = batch.noise.steps().map_or(0.0, |steps| 1.5 / steps as f64);
        let times = |f: &dyn Fn(f64) -> f64| {
            let values: Vec<f64> = batch.t.iter().map(|t| f(*t)).collect();
            Tensor::<1>::from_data(TensorData::new(values, [batch.t.len()]), (&batch.x.device(), batch.x.dtype()))
        };
        let vlb = || Vlb::default().compute(batch);
        match self.0 {
            "no decoder" => vlb() * times(&|t| f64::from(t > first)),
            "a term twice" => vlb() * times(&|t| if t > 0.99 { 2.0 } else { 1.0 }),
            "reversed" => {
                let steps = batch.noise.steps().unwrap() as f64;
                let s: Vec<f64> = batch.t.iter().map(|t| if *t < first { 0.5 * t } else { t - 1.0 / steps }).collect();
                let kl = per_sample(batch.approximate(batch.estimate(), &s).kl(&*batch.posterior(&s))) * steps;
                let decoder = times(&|t| f64::from(t < first)).equal_elem(1.0);
                kl.mask_where(decoder, vlb())
            }
            // ᾱ = 1 − t: 1/(1 − t) for 1/t.
            "of survivors" => MaskedNelbo {}.compute(batch) * times(&|t| t / (1.0 - t)),
            _ => vlb(),
        }
    }
    fn bound_times(&self, noise: &dyn Noise<D>) -> Option<BoundTimes> {
        Some(noise.steps().map_or(BoundTimes::Continuous, BoundTimes::Steps))
    }
}

#[test]
fn slips_in_bounds_are_named() {
    const PATHS: &str = "a bound is the sum of its terms over all paths";
    let gaussian = |slip, variance| {
        broken(&laws::bound_of_density(&Bound(slip), &Gaussian::new(Linear::new(20)).with_variance(variance)))
    };
    for variance in [Variance::Small, Variance::Large, Variance::Learned] {
        assert_eq!(gaussian("none", variance), [""; 0], "{variance:?}");
        assert_eq!(gaussian("no decoder", variance), [PATHS], "{variance:?}");
        assert_eq!(gaussian("a term twice", variance), [PATHS], "{variance:?}");
        // Of equal variances the divergence is symmetric.
        assert_eq!(gaussian("reversed", variance).len(), usize::from(variance != Variance::Small), "{variance:?}");
    }
    let table = || Table::new([0.1, 0.3, 0.5, 1.0]).unwrap();
    let noises: [Arc<dyn Noise<3>>; 2] =
        [Arc::new(Discrete::absorbing(table(), 3, 2)), Arc::new(Discrete::uniform(table(), 3))];
    for noise in noises {
        let of = |slip| broken(&laws::bound(&Bound(slip), noise.clone()));
        assert_eq!(of("none"), [""; 0], "{noise:?}");
        for slip in ["no decoder", "a term twice", "reversed"] {
            assert!(of(slip).contains(&PATHS), "{slip}, {noise:?}: {:?}", of(slip));
        }
    }
    let masks: Arc<dyn Noise<3>> = Arc::new(Discrete::absorbing(FlowMatching {}, 4, 3));
    assert!(broken(&laws::bound(&MaskedNelbo {}, masks.clone())).is_empty());
    let survivors = broken(&laws::bound(&Bound("of survivors"), masks));
    assert!(survivors.contains(&PATHS), "{survivors:?}");
}

/// Uniform timesteps in single precision.
#[derive(Debug)]
struct Single(bool);
impl Spacing for Single {
    fn quantile(&self, u: f64) -> f64 {
        let t = Uniform::default().quantile(u);
        if self.0 { t } else { f64::from(t as f32) }
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        Uniform::default().grid(n).into_iter().map(|t| f64::from(t as f32)).collect()
    }
}
/// Karras levels from the largest to the smallest.
#[derive(Debug)]
struct Swapped(Karras);
impl Levels for Swapped {
    fn level(&self, u: f64) -> f64 {
        self.0.level(1.0 - u)
    }
}

#[test]
fn slips_in_spacings_are_named() {
    for grid_alone in [false, true] {
        assert_eq!(broken(&laws::spacing(&Single(grid_alone))), ["timesteps have double precision"]);
    }
    let swapped = Swapped(Karras::default()).on(FlowMatching {});
    assert!(broken(&laws::spacing(&swapped)).contains(&"timesteps do not decrease with the quantile"));
    assert!(broken(&laws::spacing(&Karras::default().on(FlowMatching {}))).is_empty());
}
