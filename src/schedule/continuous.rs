//! Schedules of continuous time.
use super::Schedule;
use crate::{dual::Dual, error::Error};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

fn rising(name: &str, low: f64, high: f64) -> Result<(), Error> {
    if low > 0.0 && low < high && high.is_finite() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the noise of `{name}` rises from min to max, so 0 < min < max, but min = {low} and max = {high}"
    )))
}

/// Straight paths from data to noise: `α = 1 − t`, `σ = t`.
///
/// Lipman et al., "Flow Matching for Generative Modeling" (2023), <https://arxiv.org/abs/2210.02747>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowMatching {}
impl Schedule for FlowMatching {
    fn alpha(&self, t: Dual) -> Dual {
        1.0 - t
    }
    fn sigma(&self, t: Dual) -> Dual {
        t
    }
    fn time(&self, log_snr: f64) -> f64 {
        (1.0 + (0.5 * log_snr).exp()).recip()
    }
}

/// The Ornstein–Uhlenbeck process in the time that makes σ linear: `α = √(1 − t²)`, `σ = t`.
///
/// `dx = −x ds + √2 dw` with `t = √(1 − e^(−2s))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrnsteinUhlenbeck {}
impl Schedule for OrnsteinUhlenbeck {
    fn alpha(&self, t: Dual) -> Dual {
        ((1.0 - t) * (1.0 + t)).sqrt()
    }
    fn sigma(&self, t: Dual) -> Dual {
        t
    }
    fn time(&self, log_snr: f64) -> f64 {
        (1.0 + log_snr.exp()).sqrt().recip()
    }
}

/// Noise that explodes geometrically over unscaled data: `α = 1`, `σ = min (max/min)ᵗ`.
///
/// `min` 0.01 and `max` 50 unless said otherwise; σ(0) = `min` > 0, so sampling ends with x̂.
///
/// Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), section 3.4,
/// <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VarianceExploding {
    /// σ(0).
    pub min: f64,
    /// σ(1).
    pub max: f64,
}
impl Default for VarianceExploding {
    fn default() -> Self {
        Self { min: 0.01, max: 50.0 }
    }
}
impl Schedule for VarianceExploding {
    fn alpha(&self, _: Dual) -> Dual {
        1.0.into()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (t * (self.max / self.min).ln()).exp() * self.min
    }
    fn time(&self, log_snr: f64) -> f64 {
        ((-0.5 * log_snr - self.min.ln()) / (self.max / self.min).ln()).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<(), Error> {
        rising("variance-exploding", self.min, self.max)
    }
}

/// The limit of DDPM's table for ever more steps: `dx = −½ β x dt + √β dw`, `β(t) = min + t (max − min)`.
///
/// `α = exp(−½ (min t + ½ (max − min) t²))`, `σ = √(1 − α²)`; `min` 0.1 and `max` 20 unless said otherwise.
///
/// Song et al. (2021), section 3.4, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VariancePreserving {
    /// β(0).
    pub min: f64,
    /// β(1).
    pub max: f64,
}
impl Default for VariancePreserving {
    fn default() -> Self {
        Self { min: 0.1, max: 20.0 }
    }
}
impl VariancePreserving {
    fn integral(&self, t: Dual) -> Dual {
        t * self.min + t * t * (0.5 * (self.max - self.min))
    }
}
impl Schedule for VariancePreserving {
    fn alpha(&self, t: Dual) -> Dual {
        (-0.5 * self.integral(t)).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(-self.integral(t)).exp_m1()).sqrt()
    }
    fn keep(&self, t: Dual) -> Dual {
        (-self.integral(t)).exp()
    }
    fn time(&self, log_snr: f64) -> f64 {
        // ∫β = −ln ᾱ = ln(1 + e^(−λ)), a quadratic in t, solved without cancellation.
        let integral = (-log_snr).exp().ln_1p();
        if integral.is_infinite() {
            return 1.0;
        }
        if integral == 0.0 {
            return 0.0;
        }
        let (a, b) = (0.5 * (self.max - self.min), self.min);
        (2.0 * integral / (b + (b * b + 4.0 * a * integral).max(0.0).sqrt())).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<(), Error> {
        if self.min >= 0.0 && self.min.is_finite() && self.max > 0.0 && self.max.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the rate β of `variance-preserving` is a positive number, but min = {} and max = {}",
            self.min, self.max
        )))
    }
}

/// The noise levels of EDM over unscaled data: `α = 1`, `σ^(1/ρ)` linear in t.
///
/// `σ(t) = (min^(1/ρ) + t (max^(1/ρ) − min^(1/ρ)))^ρ`; `min` 0.002, `max` 80 and `rho` 7 unless said otherwise.
/// σ(0) = `min` > 0, so sampling ends with x̂.
///
/// Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), eq. 5,
/// <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Edm {
    /// σ(0).
    pub min: f64,
    /// σ(1).
    pub max: f64,
    /// ρ: how much finer the steps are at low noise.
    pub rho: f64,
}
impl Default for Edm {
    fn default() -> Self {
        Self { min: 0.002, max: 80.0, rho: 7.0 }
    }
}
impl Schedule for Edm {
    fn alpha(&self, _: Dual) -> Dual {
        1.0.into()
    }
    fn sigma(&self, t: Dual) -> Dual {
        let (low, high) = (self.min.powf(self.rho.recip()), self.max.powf(self.rho.recip()));
        (t * (high - low) + low).powf(self.rho)
    }
    fn time(&self, log_snr: f64) -> f64 {
        let root = |sigma: f64| sigma.powf(self.rho.recip());
        let (low, high) = (root(self.min), root(self.max));
        (((-0.5 * log_snr / self.rho).exp() - low) / (high - low)).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<(), Error> {
        rising("edm", self.min, self.max)?;
        if self.rho > 0.0 && self.rho.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!("the exponent rho of `edm` is positive, not {}", self.rho)))
    }
}

/// The angle of constant speed: `α = cos(πt/2)`, `σ = sin(πt/2)`, variance preserving.
///
/// Nichol and Dhariwal (2021), eq. 17, without offset and in continuous time, <https://arxiv.org/abs/2102.09672>; Salimans
/// and Ho (2022), section 4, <https://arxiv.org/abs/2202.00512>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineAngle {}
impl Schedule for CosineAngle {
    fn alpha(&self, t: Dual) -> Dual {
        // Through the sine of the rest, which vanishes at t = 1 to the last bit.
        ((1.0 - t) * FRAC_PI_2).sin()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (t * FRAC_PI_2).sin()
    }
    fn time(&self, log_snr: f64) -> f64 {
        (-0.5 * log_snr).exp().atan() / FRAC_PI_2
    }
}

/// The process of [`VariancePreserving`] with less noise than preserves the variance: `α = exp(−½∫β)`, `σ = 1 − α²`.
///
/// Song et al. (2021), section 3.4 and appendix B, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SubVariancePreserving {
    /// β(0).
    pub min: f64,
    /// β(1).
    pub max: f64,
}
impl Default for SubVariancePreserving {
    fn default() -> Self {
        Self { min: 0.1, max: 20.0 }
    }
}
impl SubVariancePreserving {
    fn full(&self) -> VariancePreserving {
        VariancePreserving { min: self.min, max: self.max }
    }
}
impl Schedule for SubVariancePreserving {
    fn alpha(&self, t: Dual) -> Dual {
        self.full().alpha(t)
    }
    fn sigma(&self, t: Dual) -> Dual {
        -(-self.full().integral(t)).exp_m1()
    }
    fn time(&self, log_snr: f64) -> f64 {
        // σ/α = (1 − α²)/α, a quadratic in α, solved without cancellation; and the time at which `full` has that α.
        let ratio = (-0.5 * log_snr).exp();
        if ratio.is_infinite() {
            return 1.0;
        }
        let alpha = 2.0 / (ratio + ratio.hypot(2.0));
        self.full().time(-((1.0 - alpha) * (1.0 + alpha)).ln() + 2.0 * alpha.ln())
    }
    fn check(&self) -> Result<(), Error> {
        self.full().check()
    }
}

/// Signal that decays at a constant rate: `α = minᵗ`, `σ = √(1 − α²)`: the Ornstein–Uhlenbeck process in its own time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decaying {
    /// α(1), 0.001 unless said otherwise.
    pub min: f64,
}
impl Default for Decaying {
    fn default() -> Self {
        Self { min: 1e-3 }
    }
}
impl Schedule for Decaying {
    fn alpha(&self, t: Dual) -> Dual {
        (t * self.min.ln()).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(t * (2.0 * self.min.ln())).exp_m1()).sqrt()
    }
    fn time(&self, log_snr: f64) -> f64 {
        (-0.5 * (-log_snr).exp().ln_1p() / self.min.ln()).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<(), Error> {
        if self.min > 0.0 && self.min < 1.0 {
            return Ok(());
        }
        Err(Error::invalid(format!("the min of `decaying` is α(1), between 0 and 1, not {}", self.min)))
    }
}

/// A schedule of two functions over [`Dual`], which gives their slopes for free; see [`process`] and [`exploding`].
#[derive(Clone, Copy)]
pub struct Process<A, S> {
    alpha: A,
    sigma: S,
}
impl<A, S> std::fmt::Debug for Process<A, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Process")
    }
}
impl<A: Fn(Dual) -> Dual + Send + Sync, S: Fn(Dual) -> Dual + Send + Sync> Schedule for Process<A, S> {
    fn alpha(&self, t: Dual) -> Dual {
        (self.alpha)(t)
    }
    fn sigma(&self, t: Dual) -> Dual {
        (self.sigma)(t)
    }
}

/// The process of any α and σ.
///
/// ```
/// use tweedie::{Dual, schedule::{Schedule, process}};
/// let circle = process(|t: Dual| 1.0 - t * t, |t: Dual| t * (2.0 - t * t).sqrt());
/// let c = circle.at(0.5);
/// assert!((c.alpha.hypot(c.sigma) - 1.0).abs() < 1e-15 && c.alpha_dot == -1.0);
/// ```
pub fn process<A: Fn(Dual) -> Dual + Send + Sync, S: Fn(Dual) -> Dual + Send + Sync>(
    alpha: A,
    sigma: S,
) -> Process<A, S> {
    Process { alpha, sigma }
}

/// Noise that explodes in any way over unscaled data: α = 1 and σ as given.
///
/// ```
/// use tweedie::schedule::{Schedule, exploding};
/// let sqrt = exploding(|t| t.sqrt() * 25.0); // Brownian motion
/// assert!((sqrt.at(0.3).diffusion() - 625.0).abs() < 1e-9);
/// ```
pub fn exploding<S: Fn(Dual) -> Dual + Send + Sync>(sigma: S) -> Process<impl Fn(Dual) -> Dual + Send + Sync, S> {
    process(|_: Dual| 1.0.into(), sigma)
}
