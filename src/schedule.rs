//! Schedules: how much signal and how much noise there is at time t.
//!
//! Time runs from data at t = 0 to noise at t = 1. There are two kinds of schedules, one for each kind of data:
//!
//! * [`Schedule`], for continuous data: the scales α(t) and σ(t) of `x_t = α(t) x + σ(t) ε`.
//! * [`Survival`], for categorical data: the probability ᾱ(t) that a category is not yet corrupted,
//!   `q(x_t | x) = Cat(ᾱ(t) x + (1 − ᾱ(t)) π)`.
//!
//! Both are functions of [`Dual`] numbers, so their slopes follow, and with them the log signal-to-noise ratio, drift and
//! diffusion. All of it is `f64`.
//!
//! | schedule | α | σ | ᾱ | |
//! |---|---|---|---|---|
//! | [`Linear`], [`ScaledLinear`], [`Cosine`], [`Sqrt`], [`Constant`], [`Sigmoid`], [`SigmoidSignal`], [`Laplace`], [`Polynomial`], [`Jsd`], [`Listed`] | √ᾱ | √(1 − ᾱ) | ∏(1 − β) | tables of T steps, continuous between them |
//! | [`VariancePreserving`] | exp(−½∫β) | √(1 − α²) | α² | their limit T → ∞ for linear β |
//! | [`SubVariancePreserving`] | exp(−½∫β) | 1 − α² | α | |
//! | [`CosineAngle`] | cos(πt/2) | sin(πt/2) | α | |
//! | [`Decaying`] | α₁ᵗ | √(1 − α²) | α | |
//! | [`FlowMatching`] | 1 − t | t | 1 − t | straight paths |
//! | [`OrnsteinUhlenbeck`] | √(1 − t²) | t | α | |
//! | [`VarianceExploding`] | 1 | σ₀ (σ₁/σ₀)ᵗ | | |
//! | [`Edm`] | 1 | (σ₀^(1/ρ) + t (σ₁^(1/ρ) − σ₀^(1/ρ)))^ρ | | |
//! | [`exploding`], [`process`] | 1 or any | any | | from closures |
//! | [`LogLinear`], [`CosineMask`], [`Geometric`], [`MutualInformation`] | | | see each | categorical data only |
//! | [`ZeroTerminal`], [`Shifted`], [`Between`] | of others | of others | of others | combinators |
use crate::{dual::Dual, error::Result};
use auto_impl::auto_impl;
use std::fmt::Debug;

mod change;
mod continuous;
mod discrete;
mod survival;
mod table;
pub use change::{Between, Shifted, ZeroTerminal};
pub use continuous::{
    CosineAngle, Decaying, Edm, FlowMatching, OrnsteinUhlenbeck, Process, SubVariancePreserving, VarianceExploding,
    VariancePreserving, exploding, process,
};
pub use discrete::{CosineMask, Geometric, LogLinear, MutualInformation};
pub use survival::Survival;
pub use table::{
    Constant, Cosine, Jsd, Laplace, Linear, Listed, Polynomial, Quantity, ScaledLinear, Sigmoid, SigmoidSignal, Sqrt,
    Table,
};

/// α, σ and their slopes at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Signal scale α.
    #[doc(alias = "sqrt_alphas_cumprod")]
    pub alpha: f64,
    /// Noise scale σ.
    #[doc(alias = "sqrt_one_minus_alphas_cumprod")]
    pub sigma: f64,
    /// α′ = dα/dt.
    pub alpha_dot: f64,
    /// σ′ = dσ/dt.
    pub sigma_dot: f64,
    /// (σ²)′ = 2 σ σ′, which is finite also where σ = 0 and σ′ is infinite.
    pub variance_dot: f64,
}

impl Scales {
    /// Log signal-to-noise ratio λ = 2 ln(α / σ); infinite at the ends where α or σ vanishes.
    #[doc(alias = "lambda_t")]
    pub fn log_snr(self) -> f64 {
        2.0 * (self.alpha.ln() - self.sigma.ln())
    }
    /// Signal-to-noise ratio (α/σ)².
    #[doc(alias("compute_snr"))]
    pub fn snr(self) -> f64 {
        (self.alpha / self.sigma).powi(2)
    }
    /// f = α′ / α, the drift of `dx = f x dt + g dw`.
    pub fn drift(self) -> f64 {
        self.alpha_dot / self.alpha
    }
    /// g² = (σ²)′ − 2 f σ², the squared diffusion of `dx = f x dt + g dw`.
    pub fn diffusion(self) -> f64 {
        self.variance_dot - 2.0 * self.drift() * self.sigma * self.sigma
    }
}

/// Signal and noise scales α(t) and σ(t) of `x_t = α(t) x + σ(t) ε`, for continuous data.
///
/// One method is required:
///
/// ```
/// use tweedie::{Dual, schedule::Schedule};
/// #[derive(Debug)]
/// struct Half;
/// impl Schedule for Half {
///     fn alpha(&self, t: Dual) -> Dual {
///         1.0 - t * t
///     }
/// }
/// let c = Half.at(0.5);
/// assert_eq!((c.alpha, c.alpha_dot), (0.75, -1.0));
/// ```
///
/// Categorical noise takes a [`Survival`] instead; a type may implement both.
#[doc(alias("beta_schedule", "noise_schedule", "scheduler", "sigmas"))]
#[auto_impl(&, Box, Arc)]
pub trait Schedule: Debug + Send + Sync {
    /// The signal scale α(t), non-increasing.
    #[doc(alias = "sqrt_alphas_cumprod")]
    fn alpha(&self, t: Dual) -> Dual;

    /// The noise scale σ(t), such that σ/α increases. Default: variance preserving, √(1 − α²).
    #[doc(alias = "sqrt_one_minus_alphas_cumprod")]
    fn sigma(&self, t: Dual) -> Dual {
        let alpha = self.alpha(t);
        // (1 − α)(1 + α): no cancellation of squares.
        ((1.0 - alpha) * (1.0 + alpha)).sqrt()
    }

    /// The number of steps T, if the schedule is a table, on whose grid `i/T` training takes its timesteps. Default: `None`.
    #[doc(alias = "num_train_timesteps")]
    fn steps(&self) -> Option<usize> {
        None
    }

    /// α² at `t` by the formula that defines the schedule, evaluated on its own and not by way of [`alpha`](Schedule::alpha).
    ///
    /// [`laws::schedule`](crate::laws::schedule) compares the two on the grid of a table, and so finds a table that is one index off,
    /// divided as integers, or rescaled without its shift. `None` if there is no such formula, or the schedule does not follow it at
    /// `t`, as where a table is clipped. Default: `None`.
    fn alpha_bar_formula(&self, t: f64) -> Option<f64> {
        let _ = t;
        None
    }

    /// Checks the parameters; called before the first step.
    ///
    /// # Errors
    ///
    /// If they define no schedule: the field, the value found and the values allowed.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Returns both scales and their slopes at `t ∈ [0, 1]`.
    fn at(&self, t: f64) -> Scales {
        let (a, s) = (self.alpha(Dual::time(t)), self.sigma(Dual::time(t)));
        let slope = |s: Dual| 2.0 * s.value * s.slope;
        let mut variance_dot = slope(s);
        if s.value == 0.0 && variance_dot.is_nan() {
            // 0 · ∞ stands for its limit, taken from a point nearby: the error is that of a straight (σ²)′.
            variance_dot = slope(self.sigma(Dual::time(t + 1e-8)));
        }
        Scales { alpha: a.value, sigma: s.value, alpha_dot: a.slope, sigma_dot: s.slope, variance_dot }
    }

    /// Returns the time at which the log signal-to-noise ratio is `log_snr`: the inverse of [`Scales::log_snr`].
    ///
    /// By Newton's method between bounds, to rounding; 0 or 1 if the ratio is not reached.
    #[doc(alias("inverse_log_snr", "inverse_lambda", "sigma_to_t"))]
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        if log_snr.is_infinite() {
            return f64::from(log_snr < 0.0);
        }
        // In half the log-SNR, whose slope is α′/α − σ′/σ. If a step leaves the bounds, or the one before did not halve the
        // error, the bounds are halved.
        let (mut low, mut high, mut t) = (0.0_f64, 1.0_f64, 0.5_f64);
        let mut last = f64::INFINITY;
        loop {
            let c = self.at(t);
            let off = 0.5 * (c.log_snr() - log_snr);
            if off > 0.0 {
                low = t
            } else {
                high = t
            }
            let step = -off / (c.alpha_dot / c.alpha - c.sigma_dot / c.sigma);
            let middle = 0.5 * (low + high);
            // What is left is rounding.
            if step.abs() <= 2.0 * f64::EPSILON * t || middle <= low || middle >= high {
                return t;
            }
            let good = low < t + step && t + step < high && off.abs() <= 0.5 * last;
            (t, last) = if good { (t + step, off.abs()) } else { (middle, f64::INFINITY) };
        }
    }
}

/// The two neighboring numbers in [0, 1] between which `holds`, true below, turns false.
pub(crate) fn bisect(holds: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return (low, high);
        }
        if holds(middle) { low = middle } else { high = middle }
    }
}
