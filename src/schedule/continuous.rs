//! Schedules of continuous time.
use super::{Schedule, Survival};
use crate::{
    dual::Dual,
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// Checks two fields that must satisfy 0 < low < high.
pub(super) fn rising([(low_name, low), (high_name, high)]: [(&str, f64); 2]) -> Result<()> {
    if low > 0.0 && low < high && high.is_finite() {
        return Ok(());
    }
    let problem = format!("must satisfy 0 < {low_name} < {high_name}, got {low_name} = {low} and {high_name} = {high}");
    Err(Error::invalid(problem).with_field(low_name))
}

/// Straight paths from data to noise: `α = 1 − t`, `σ = t`; of categories, `ᾱ = 1 − t`.
///
/// Along it absorbing noise loses mutual information at a constant rate.
///
/// Lipman et al., "Flow Matching for Generative Modeling" (2023), <https://arxiv.org/abs/2210.02747>.
#[doc(alias("rectified_flow", "optimal_transport", "conditional_flow_matching"))]
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
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        (1.0 + (0.5 * log_snr).exp()).recip()
    }
}

impl Survival for FlowMatching {
    fn survival(&self, t: Dual) -> Dual {
        self.alpha(t)
    }
}

/// Ornstein–Uhlenbeck process in the time that makes σ linear: `α = √(1 − t²)`, `σ = t`.
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
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        (1.0 + log_snr.exp()).sqrt().recip()
    }
}

impl Survival for OrnsteinUhlenbeck {
    fn survival(&self, t: Dual) -> Dual {
        self.alpha(t)
    }
}

/// Variance-exploding schedule with geometric noise levels: `α = 1`, `σ = sigma_min (sigma_max/sigma_min)ᵗ`.
///
/// Because σ(0) = `sigma_min` > 0, sampling ends with x̂.
///
/// Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), section 3.4,
/// <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VarianceExploding {
    /// σ(0), positive. Default: 0.01.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_min: f64,
    /// σ(1), larger than `sigma_min`. Default: 50.
    pub sigma_max: f64,
}
impl Default for VarianceExploding {
    fn default() -> Self {
        Self { sigma_min: 0.01, sigma_max: 50.0 }
    }
}
impl Schedule for VarianceExploding {
    fn alpha(&self, _: Dual) -> Dual {
        1.0.into()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (t * (self.sigma_max / self.sigma_min).ln()).exp() * self.sigma_min
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        ((-0.5 * log_snr - self.sigma_min.ln()) / (self.sigma_max / self.sigma_min).ln()).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<()> {
        rising([("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max)])
    }
}

/// Variance-preserving schedule, the limit of DDPM's table for T → ∞: `dx = −½ β x dt + √β dw` with linear β(t).
///
/// `β(t) = beta_min + t (beta_max − beta_min)`, `α = exp(−½ (beta_min t + ½ (beta_max − beta_min) t²))`, `σ = √(1 − α²)`; of
/// categories, which are corrupted at rate β, `ᾱ = α²`.
///
/// Song et al. (2021), section 3.4, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VariancePreserving {
    /// β(0), 0 or more. Default: 0.1.
    #[schemars(range(min = 0.0))]
    pub beta_min: f64,
    /// β(1), positive. Default: 20.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub beta_max: f64,
}
impl Default for VariancePreserving {
    fn default() -> Self {
        Self { beta_min: 0.1, beta_max: 20.0 }
    }
}
impl VariancePreserving {
    fn integral(&self, t: Dual) -> Dual {
        t * self.beta_min + t * t * (0.5 * (self.beta_max - self.beta_min))
    }
}
impl Schedule for VariancePreserving {
    fn alpha(&self, t: Dual) -> Dual {
        (-0.5 * self.integral(t)).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(-self.integral(t)).exp_m1()).sqrt()
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        // ∫β = −ln ᾱ = ln(1 + e^(−λ)), a quadratic in t, solved without cancellation.
        let integral = (-log_snr).exp().ln_1p();
        if integral.is_infinite() {
            return 1.0;
        }
        if integral == 0.0 {
            return 0.0;
        }
        let (a, b) = (0.5 * (self.beta_max - self.beta_min), self.beta_min);
        (2.0 * integral / (b + (b * b + 4.0 * a * integral).max(0.0).sqrt())).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<()> {
        let positive = self.beta_max > 0.0 && self.beta_max.is_finite();
        let (field, least, found) = match self.beta_min >= 0.0 && self.beta_min.is_finite() {
            true if positive => return Ok(()),
            true => ("beta_max", "a positive number", self.beta_max),
            false => ("beta_min", "a number of 0 or more", self.beta_min),
        };
        Err(Error::invalid(format!("must be {least}, got {found}")).with_field(field))
    }
}
impl Survival for VariancePreserving {
    fn survival(&self, t: Dual) -> Dual {
        (-self.integral(t)).exp()
    }
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        Some([self.alpha(t), self.sigma(t)])
    }
    fn check(&self) -> Result<()> {
        Schedule::check(self)
    }
}

/// EDM's noise levels over unscaled data: `α = 1`, `σ^(1/ρ)` linear in t.
///
/// `σ(t) = (sigma_min^(1/ρ) + t (sigma_max^(1/ρ) − sigma_min^(1/ρ)))^ρ`. Because σ(0) = `sigma_min` > 0, sampling ends with x̂.
///
/// Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), eq. 5,
/// <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Edm {
    /// σ(0), positive. Default: 0.002.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_min: f64,
    /// σ(1), larger than `sigma_min`. Default: 80.
    pub sigma_max: f64,
    /// ρ, positive: the larger, the finer the steps at low noise. Default: 7.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub rho: f64,
}
impl Default for Edm {
    fn default() -> Self {
        Self { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 }
    }
}
impl Schedule for Edm {
    fn alpha(&self, _: Dual) -> Dual {
        1.0.into()
    }
    fn sigma(&self, t: Dual) -> Dual {
        let (low, high) = (self.sigma_min.powf(self.rho.recip()), self.sigma_max.powf(self.rho.recip()));
        (t * (high - low) + low).powf(self.rho)
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        let root = |sigma: f64| sigma.powf(self.rho.recip());
        let (low, high) = (root(self.sigma_min), root(self.sigma_max));
        (((-0.5 * log_snr / self.rho).exp() - low) / (high - low)).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<()> {
        rising([("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max)])?;
        if self.rho > 0.0 && self.rho.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!("must be a positive number, got {}", self.rho)).with_field("rho"))
    }
}

/// Variance-preserving schedule of constant angular speed: `α = cos(πt/2)`, `σ = sin(πt/2)`.
///
/// Nichol and Dhariwal (2021), eq. 17, without offset and in continuous time, <https://arxiv.org/abs/2102.09672>; Salimans
/// and Ho (2022), section 4, <https://arxiv.org/abs/2202.00512>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineAngle {}
impl Schedule for CosineAngle {
    fn alpha(&self, t: Dual) -> Dual {
        // By the sine of π(1 − t)/2, which is exactly 0 at t = 1.
        ((1.0 - t) * FRAC_PI_2).sin()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (t * FRAC_PI_2).sin()
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        (-0.5 * log_snr).exp().atan() / FRAC_PI_2
    }
}

impl Survival for CosineAngle {
    fn survival(&self, t: Dual) -> Dual {
        self.alpha(t)
    }
}

/// Sub-variance-preserving schedule, [`VariancePreserving`] with less noise: `α = exp(−½∫β)`, `σ = 1 − α²`.
///
/// Song et al. (2021), section 3.4 and appendix B, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SubVariancePreserving {
    /// β(0), 0 or more. Default: 0.1.
    #[schemars(range(min = 0.0))]
    pub beta_min: f64,
    /// β(1), positive. Default: 20.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub beta_max: f64,
}
impl Default for SubVariancePreserving {
    fn default() -> Self {
        Self { beta_min: 0.1, beta_max: 20.0 }
    }
}
impl SubVariancePreserving {
    fn full(&self) -> VariancePreserving {
        VariancePreserving { beta_min: self.beta_min, beta_max: self.beta_max }
    }
}
impl Schedule for SubVariancePreserving {
    fn alpha(&self, t: Dual) -> Dual {
        self.full().alpha(t)
    }
    fn sigma(&self, t: Dual) -> Dual {
        -(-self.full().integral(t)).exp_m1()
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        // σ/α = (1 − α²)/α, a quadratic in α, solved without cancellation; then the time at which `full` has that α.
        let ratio = (-0.5 * log_snr).exp();
        if ratio.is_infinite() {
            return 1.0;
        }
        let alpha = 2.0 / (ratio + ratio.hypot(2.0));
        self.full().time_at_log_snr(-((1.0 - alpha) * (1.0 + alpha)).ln() + 2.0 * alpha.ln())
    }
    fn check(&self) -> Result<()> {
        Schedule::check(&self.full())
    }
}

impl Survival for SubVariancePreserving {
    fn survival(&self, t: Dual) -> Dual {
        self.alpha(t)
    }
    fn check(&self) -> Result<()> {
        Schedule::check(self)
    }
}

/// Signal that decays at a constant rate, the Ornstein–Uhlenbeck process in its own time: `α = alpha_minᵗ`, `σ = √(1 − α²)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decaying {
    /// α(1), in (0, 1). Default: 0.001.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub alpha_min: f64,
}
impl Default for Decaying {
    fn default() -> Self {
        Self { alpha_min: 1e-3 }
    }
}
impl Schedule for Decaying {
    fn alpha(&self, t: Dual) -> Dual {
        (t * self.alpha_min.ln()).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(t * (2.0 * self.alpha_min.ln())).exp_m1()).sqrt()
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        (-0.5 * (-log_snr).exp().ln_1p() / self.alpha_min.ln()).clamp(0.0, 1.0)
    }
    fn check(&self) -> Result<()> {
        if self.alpha_min > 0.0 && self.alpha_min < 1.0 {
            return Ok(());
        }
        Err(Error::invalid(format!("must be in (0, 1), got {}", self.alpha_min)).with_field("alpha_min"))
    }
}

impl Survival for Decaying {
    fn survival(&self, t: Dual) -> Dual {
        self.alpha(t)
    }
    fn check(&self) -> Result<()> {
        Schedule::check(self)
    }
}

/// Schedule of two functions over [`Dual`], whose slopes follow; made by [`process`] and [`exploding`].
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

/// Returns the schedule of two functions α(t) and σ(t).
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

/// Returns the variance-exploding schedule of a function σ(t), with α = 1.
///
/// ```
/// use tweedie::schedule::{Schedule, exploding};
/// let sqrt = exploding(|t| t.sqrt() * 25.0); // Brownian motion
/// assert!((sqrt.at(0.3).diffusion() - 625.0).abs() < 1e-9);
/// ```
pub fn exploding<S: Fn(Dual) -> Dual + Send + Sync>(sigma: S) -> Process<impl Fn(Dual) -> Dual + Send + Sync, S> {
    process(|_: Dual| 1.0.into(), sigma)
}
