//! Spacings: which times are visited, drawn while training and stepped through while sampling.
//!
//! A [`Spacing`] is the quantile function of the training times; the same function at even quantiles is a sampling
//! grid. Discrete time is a choice of spacing: [`Steps`] visits 1/T, 2/T, …, 1.
//!
//! | spacing | times |
//! |---|---|
//! | [`Uniform`], [`Quadratic`] | u, u² |
//! | [`Steps`], [`Leading`], [`Linspace`] | of a table of T steps |
//! | [`Listed`] | a list; [`Listed::sections`] respaces a table |
//! | [`Beta`], [`LogitNormal`] | the quantiles of a distribution |
//! | [`Shifted`], [`Antithetic`], [`Independent`] | made of another |
//! | [`Importance`] | made of another: oftener where losses are large |
//! | [`Karras`], [`Exponential`], [`LogNormal`], [`CosineInterpolated`], [`AlignYourSteps`] | noise levels, [`Levels::on`] a schedule |
use crate::{error::Error, noise::Noise, rng::Rng, schedule::Schedule};
use serde::{Deserialize, Serialize};
use std::{fmt::Debug, sync::Arc};

mod discrete;
mod importance;
mod levels;
pub use discrete::{Leading, Linspace, Listed};
pub use importance::{Drawn, Importance, Memory};
pub use levels::{AlignYourSteps, CosineInterpolated, Exponential, Karras, Levels, LogNormal, On};

/// A rising map of (0, 1] into [0, 1].
pub trait Spacing: Debug + Send + Sync {
    /// The time below which the fraction `u` of the times lies.
    fn at(&self, u: f64) -> f64;

    /// n training times for rows `0..n` of a batch, stratified: one in each n-th of the distribution, the strata in
    /// random order.
    fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        // One shift moves all the strata, so the times are a rotated grid: a low-discrepancy sample.
        let shift = rng.uniform();
        let strata = rng.permutation(n);
        strata.into_iter().map(|i| self.at((i as f64 + shift) / n as f64)).collect()
    }

    /// [`draw`](Spacing::draw) with the weight that each row's loss has, so that the weighted mean is that of `draw`: 1,
    /// unless some times are drawn oftener than others because of the losses `seen`.
    fn draw_weighted(&self, n: usize, rng: &mut Rng, seen: &Memory) -> Drawn {
        let _ = seen;
        Drawn::plain(self.draw(n, rng))
    }

    /// Whether training times are [`at`](Spacing::at) of quantiles and nothing else, so that another spacing may draw the
    /// quantiles in its own way.
    fn by_quantiles(&self) -> bool {
        true
    }

    /// What is to be remembered of the losses of a run: nothing, unless the spacing learns from them.
    fn memory(&self) -> Memory {
        Memory::default()
    }

    /// n + 1 falling times from `at(1)` to 0.
    fn grid(&self, n: usize) -> Vec<f64> {
        (1..=n).rev().map(|i| self.at(i as f64 / n as f64)).chain([0.0]).collect()
    }

    /// Whether the parameters make a spacing; asked before the first step.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in a sentence.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Spacing + ?Sized> Spacing for $pointer {
            fn at(&self, u: f64) -> f64 {
                (**self).at(u)
            }
            fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
                (**self).draw(n, rng)
            }
            fn draw_weighted(&self, n: usize, rng: &mut Rng, seen: &Memory) -> Drawn {
                (**self).draw_weighted(n, rng, seen)
            }
            fn by_quantiles(&self) -> bool {
                (**self).by_quantiles()
            }
            fn memory(&self) -> Memory {
                (**self).memory()
            }
            fn grid(&self, n: usize) -> Vec<f64> {
                (**self).grid(n)
            }
            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
        }
    )*};
}
forward!(Arc<S>, Box<S>, &S);

/// That a spacing which draws quantiles in its own way is given one that does not.
fn demand_quantiles(drawn: &str, of: &dyn Spacing) -> Result<(), Error> {
    demand(of.by_quantiles(), || {
        format!(
            "{drawn} training times are drawn in a way of their own, and so are those of the spacing within, {of:?}: only one of them \
             can have its way, so name one alone"
        )
    })
}

/// The least and the largest noise level σ/α at which a schedule is trained: those of the first step, or of t = 0 in continuous
/// time, and of t = 1. EDM's 0.002 and 80 stand for ends of 0 and beyond 1000, where nothing is left to be learned.
pub fn ends(schedule: &dyn Schedule) -> [f64; 2] {
    let level = |t: f64| {
        let c = schedule.at(t);
        c.sigma / c.alpha
    };
    let (least, most) = (level(schedule.steps().map_or(0.0, |steps| (steps as f64).recip())), level(1.0));
    [if least > 0.0 { least } else { 0.002 }, if most <= 1000.0 { most } else { 80.0 }]
}

/// The training timesteps of a noise if none are given: 1/T, …, 1 of a table of T steps, uniform ones otherwise.
pub fn training_times<const D: usize>(noise: &dyn Noise<D>) -> Arc<dyn Spacing> {
    match noise.steps() {
        Some(steps) => Arc::new(Steps(steps)),
        None => Arc::new(Uniform::default()),
    }
}

/// The timesteps of `n` sampling steps of a noise if none are given: on the grid of its table, uniform if it has none.
pub fn sampling_grid<const D: usize>(noise: &dyn Noise<D>, n: usize) -> Vec<f64> {
    training_times(noise).grid(n)
}

/// A demand on parameters.
fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::invalid(what())) }
}

/// Even times from `from` to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Uniform {
    /// The smallest time, in [0, 1).
    pub from: f64,
}
impl Default for Uniform {
    fn default() -> Self {
        Self { from: 1e-3 }
    }
}
impl Spacing for Uniform {
    fn at(&self, u: f64) -> f64 {
        self.from + (1.0 - self.from) * u
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        (0..=n).rev().map(|i| i as f64 / n as f64).collect()
    }
    fn check(&self) -> Result<(), Error> {
        demand((0.0..1.0).contains(&self.from), || {
            format!("`from` is the smallest time, in [0, 1), and not {}", self.from)
        })
    }
}

/// Discrete time: 1/T, 2/T, …, 1.
///
/// ```
/// use tweedie::spacing::{Spacing, Steps};
/// assert_eq!(Steps(1000).at(0.4996), 0.5);
/// assert_eq!(Steps(10).grid(5), [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Steps(pub usize);
impl Spacing for Steps {
    fn at(&self, u: f64) -> f64 {
        // A quantile that is a grid point up to rounding is that grid point.
        (u * self.0 as f64 - 1e-9).ceil().max(1.0) / self.0 as f64
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        // Even step numbers from T down, each rounded to the nearest: trailing.
        let stride = self.0 as f64 / n as f64;
        let number = |i: usize| (i as f64 * stride).round_ties_even().max(1.0);
        (1..=n).rev().map(|i| number(i) / self.0 as f64).chain([0.0]).collect()
    }
    fn check(&self) -> Result<(), Error> {
        demand(self.0 > 0, || "discrete time has one step or more, and `steps` is 0".into())
    }
}

/// Times that are finer near the data: `t = u²`.
///
/// Song, Meng and Ermon (2021), appendix D.2, <https://arxiv.org/abs/2010.02502>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quadratic {}
impl Spacing for Quadratic {
    fn at(&self, u: f64) -> f64 {
        u * u
    }
}

/// Times of a logit-normal distribution: `ln t/(1 − t) ~ N(mean, std²)`; 0 and 1 unless said otherwise. A grid begins at 1.
///
/// Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (2024), section 3.1,
/// <https://arxiv.org/abs/2403.03206>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogitNormal {
    /// The mean of the logit.
    pub mean: f64,
    /// Its standard deviation.
    pub std: f64,
}
impl Default for LogitNormal {
    fn default() -> Self {
        Self { mean: 0.0, std: 1.0 }
    }
}
impl Spacing for LogitNormal {
    fn at(&self, u: f64) -> f64 {
        (1.0 + (-self.mean - self.std * normal_quantile(u.clamp(0.0, 1.0))).exp()).recip()
    }
    fn check(&self) -> Result<(), Error> {
        demand(self.mean.is_finite() && self.std > 0.0 && self.std.is_finite(), || {
            format!("a logit-normal has a mean and a positive std, but mean = {} and std = {}", self.mean, self.std)
        })
    }
}

/// Times of a beta distribution; 0.6 and 0.6, for which most times are near both ends, unless said otherwise.
///
/// Lee et al., "Beta Sampling is All You Need" (2024), <https://arxiv.org/abs/2407.12173>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Beta {
    /// The exponent at t = 0.
    pub a: f64,
    /// The exponent at t = 1.
    pub b: f64,
}
impl Default for Beta {
    fn default() -> Self {
        Self { a: 0.6, b: 0.6 }
    }
}
impl Beta {
    /// ∫₀ᵗ x^(a−1) (1 − x)^(b−1) dx over its whole, by the continued fraction (Lentz) on the side where it converges.
    fn below(a: f64, b: f64, t: f64) -> f64 {
        if t <= 0.0 || t >= 1.0 {
            return f64::from(t >= 1.0);
        }
        if t > (a + 1.0) / (a + b + 2.0) {
            return 1.0 - Self::below(b, a, 1.0 - t);
        }
        let front = (a * t.ln() + b * (-t).ln_1p() - (ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b))).exp() / a;
        let tiny = 1e-300;
        let (mut f, mut c, mut d) = (1.0, 1.0, 0.0);
        for i in 0..300 {
            let m = f64::from(i / 2);
            let term = match i {
                0 => 1.0,
                i if i % 2 == 0 => m * (b - m) * t / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
                _ => -(a + m) * (a + b + m) * t / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
            };
            d = 1.0 + term * d;
            d = if d.abs() < tiny { tiny } else { d }.recip();
            c = 1.0 + term / c;
            c = if c.abs() < tiny { tiny } else { c };
            f *= c * d;
            if (1.0 - c * d).abs() < 1e-15 {
                break;
            }
        }
        front * (f - 1.0)
    }
}
impl Spacing for Beta {
    fn at(&self, u: f64) -> f64 {
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        if u >= 1.0 {
            return 1.0;
        }
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if Self::below(self.a, self.b, middle) < u { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
    fn check(&self) -> Result<(), Error> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        demand(positive(self.a) && positive(self.b), || {
            format!("the exponents of a beta distribution are positive, but a = {} and b = {}", self.a, self.b)
        })
    }
}

/// ln Γ, by Lanczos' approximation to 1e-15.
fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        let pi = std::f64::consts::PI;
        return (pi / (pi * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum = C.iter().enumerate().skip(1).fold(C[0], |sum, (i, c)| sum + c / (x + i as f64));
    let t = x + 7.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The quantile of the standard normal, by bisection on its distribution function.
pub(crate) fn normal_quantile(u: f64) -> f64 {
    if u <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if u >= 1.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (-40.0_f64, 40.0_f64);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if normal_below(middle) < u { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The mass of the standard normal below x.
fn normal_below(x: f64) -> f64 {
    let y = x.abs();
    let density = (-0.5 * y * y).exp() / std::f64::consts::TAU.sqrt();
    let tail = if y < 3.0 {
        // ½ − φ Σ x^(2k+1)/(1·3·…·(2k+1)).
        let (mut term, mut sum) = (y, y);
        for k in 1..200 {
            term *= y * y / (2.0 * f64::from(k) + 1.0);
            sum += term;
            if term < 1e-17 * sum {
                break;
            }
        }
        0.5 - density * sum
    } else {
        // φ/(x + 1/(x + 2/(x + …))).
        density / (1..=120).rev().fold(y, |rest, k| y + f64::from(k) / rest)
    };
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Times moved towards the noise: `t ← factor t/(1 + (factor − 1) t)`, which multiplies σ/α of [`FlowMatching`] by the factor.
///
/// Esser et al. (2024), section 5.3.2, <https://arxiv.org/abs/2403.03206>.
///
/// [`FlowMatching`]: crate::schedule::FlowMatching
#[derive(Clone, Copy, Debug)]
pub struct Shifted<S> {
    /// The spacing.
    pub spacing: S,
    /// How far: 3 for images of a megapixel in the source.
    pub factor: f64,
}
impl<S: Spacing> Spacing for Shifted<S> {
    fn at(&self, u: f64) -> f64 {
        self.moved(self.spacing.at(u))
    }
    fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        self.spacing.draw(n, rng).into_iter().map(|t| self.moved(t)).collect()
    }
    fn draw_weighted(&self, n: usize, rng: &mut Rng, seen: &Memory) -> Drawn {
        let drawn = self.spacing.draw_weighted(n, rng, seen);
        Drawn { times: drawn.times.into_iter().map(|t| self.moved(t)).collect(), ..drawn }
    }
    fn by_quantiles(&self) -> bool {
        self.spacing.by_quantiles()
    }
    fn memory(&self) -> Memory {
        self.spacing.memory()
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.spacing.grid(n).into_iter().map(|t| self.moved(t)).collect()
    }
    fn check(&self) -> Result<(), Error> {
        self.spacing.check()?;
        demand(self.factor > 0.0 && self.factor.is_finite(), || {
            format!("the factor of shifted times is positive, not {}", self.factor)
        })
    }
}
impl<S> Shifted<S> {
    fn moved(&self, t: f64) -> f64 {
        self.factor * t / (1.0 + (self.factor - 1.0) * t)
    }
}

/// Training times in pairs: row 2i + 1 has the quantile 1 − u where row 2i has u.
#[derive(Clone, Copy, Debug)]
pub struct Antithetic<S>(pub S);
impl<S: Spacing> Spacing for Antithetic<S> {
    fn at(&self, u: f64) -> f64 {
        self.0.at(u)
    }
    fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        let u = rng.uniforms(n.div_ceil(2), 1);
        (0..n).map(|i| self.0.at(if i % 2 == 0 { u[i / 2] } else { 1.0 - u[i / 2] })).collect()
    }
    fn by_quantiles(&self) -> bool {
        false
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.0.grid(n)
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()?;
        demand_quantiles("antithetic", &self.0)
    }
}

/// Training times of which none knows the others, as most programs draw them; all other spacings are stratified.
#[derive(Clone, Copy, Debug)]
pub struct Independent<S>(pub S);
impl<S: Spacing> Spacing for Independent<S> {
    fn at(&self, u: f64) -> f64 {
        self.0.at(u)
    }
    fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        rng.uniforms(n, 1).into_iter().map(|u| self.0.at(u)).collect()
    }
    fn by_quantiles(&self) -> bool {
        false
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.0.grid(n)
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()?;
        demand_quantiles("independent", &self.0)
    }
}
