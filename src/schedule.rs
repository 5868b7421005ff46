//! Schedules: how much signal and how much noise there is at time t.
//!
//! `x_t = α(t) x + σ(t) ε`, `t ∈ [0, 1]`: data at 0, noise at 1. A schedule says α and σ over [`Dual`] numbers, so their
//! slopes α′ and σ′, the log signal-to-noise ratio, and drift and diffusion of the process follow. All of it is `f64`.
//!
//! | schedule | α | σ | |
//! |---|---|---|---|
//! | [`Linear`], [`ScaledLinear`], [`Cosine`], [`Sqrt`], [`Constant`], [`Sigmoid`], [`SigmoidSignal`], [`Laplace`], [`Polynomial`], [`Jsd`], [`Listed`] | √ᾱ | √(1 − ᾱ) | tables of T steps, continuous between them |
//! | [`VariancePreserving`] | exp(−½∫β) | √(1 − α²) | its limit T → ∞ for linear β |
//! | [`SubVariancePreserving`] | exp(−½∫β) | 1 − α² | |
//! | [`CosineAngle`] | cos(πt/2) | sin(πt/2) | |
//! | [`Decaying`] | minᵗ | √(1 − α²) | |
//! | [`FlowMatching`] | 1 − t | t | straight paths |
//! | [`OrnsteinUhlenbeck`] | √(1 − t²) | t | |
//! | [`VarianceExploding`] | 1 | σ₀ (σ₁/σ₀)ᵗ | |
//! | [`Edm`] | 1 | (σ₀^(1/ρ) + t (σ₁^(1/ρ) − σ₀^(1/ρ)))^ρ | |
//! | [`exploding`], [`process`] | 1 or any | any | from closures |
//! | [`LogLinear`], [`CosineMask`], [`Geometric`], [`MutualInformation`] | keep | √(1 − α²) | for categories; linear in 1 − t is [`FlowMatching`]'s |
//! | [`ZeroTerminal`], [`Shifted`], [`Between`] | | | made of others |
use crate::{dual::Dual, error::Error};
use std::{fmt::Debug, sync::Arc};

mod change;
mod continuous;
mod discrete;
mod table;
pub use change::{Between, Shifted, ZeroTerminal};
pub use continuous::{
    CosineAngle, Decaying, Edm, FlowMatching, OrnsteinUhlenbeck, Process, SubVariancePreserving, VarianceExploding,
    VariancePreserving, exploding, process,
};
pub use discrete::{CosineMask, Geometric, LogLinear, MutualInformation};
pub use table::{
    Constant, Cosine, Jsd, Laplace, Linear, Listed, Polynomial, Quantity, ScaledLinear, Sigmoid, SigmoidSignal, Sqrt,
    Table,
};

/// α, σ and their slopes at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Signal scale α.
    pub alpha: f64,
    /// Noise scale σ.
    pub sigma: f64,
    /// α′ = dα/dt.
    pub alpha_dot: f64,
    /// σ′ = dσ/dt.
    pub sigma_dot: f64,
    /// (σ²)′ = 2 σ σ′, which is a number also where σ = 0 and σ′ is infinite.
    pub variance_dot: f64,
}

impl Scales {
    /// λ = 2 ln(α / σ), the log signal-to-noise ratio; infinite at the ends where α or σ vanishes.
    pub fn log_snr(self) -> f64 {
        2.0 * (self.alpha.ln() - self.sigma.ln())
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

/// Signal and noise as functions of time.
///
/// One method is enough; a schedule of one's own is a small struct:
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
pub trait Schedule: Debug + Send + Sync {
    /// The signal scale α(t), not rising.
    fn alpha(&self, t: Dual) -> Dual;

    /// The noise scale σ(t), rising. Unless said otherwise, variance preserving: √(1 − α²).
    fn sigma(&self, t: Dual) -> Dual {
        let alpha = self.alpha(t);
        // (1 − α)(1 + α): no cancellation of squares.
        ((1.0 - alpha) * (1.0 + alpha)).sqrt()
    }

    /// The probability with which categorical noise keeps a category until t, not rising: α, or ᾱ = α² where the schedule is
    /// made of rates β, which are the probabilities of redrawing a category.
    fn keep(&self, t: Dual) -> Dual {
        self.alpha(t)
    }

    /// The number of steps, where the schedule is a table that training visits on its grid `i/T`.
    fn steps(&self) -> Option<usize> {
        None
    }

    /// Whether the parameters make a schedule; asked before the first step.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in a sentence.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Both scales and their slopes at `t ∈ [0, 1]`.
    fn at(&self, t: f64) -> Scales {
        let (a, s) = (self.alpha(Dual::time(t)), self.sigma(Dual::time(t)));
        let slope = |s: Dual| 2.0 * s.value * s.slope;
        let mut variance_dot = slope(s);
        if s.value == 0.0 && variance_dot.is_nan() {
            // 0 · ∞ stands for its limit, which is as near as (σ²)′ is straight.
            variance_dot = slope(self.sigma(Dual::time(t + 1e-8)));
        }
        Scales { alpha: a.value, sigma: s.value, alpha_dot: a.slope, sigma_dot: s.slope, variance_dot }
    }

    /// The time at which the log signal-to-noise ratio is `log_snr`: the inverse of [`Scales::log_snr`], by Newton's method
    /// between bounds, to rounding; 0 or 1 where the ratio is never reached.
    fn time(&self, log_snr: f64) -> f64 {
        if log_snr.is_infinite() {
            return f64::from(log_snr < 0.0);
        }
        // In half the log-SNR, whose slope is α′/α − σ′/σ. Where a step leaves the bounds, or the one before did not halve what was
        // off, the bounds are halved.
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

/// The two neighbours in [0, 1] between which `holds`, true below, turns false.
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

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Schedule + ?Sized> Schedule for $pointer {
            fn alpha(&self, t: Dual) -> Dual {
                (**self).alpha(t)
            }
            fn sigma(&self, t: Dual) -> Dual {
                (**self).sigma(t)
            }
            fn keep(&self, t: Dual) -> Dual {
                (**self).keep(t)
            }
            fn steps(&self) -> Option<usize> {
                (**self).steps()
            }
            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
            fn at(&self, t: f64) -> Scales {
                (**self).at(t)
            }
            fn time(&self, log_snr: f64) -> f64 {
                (**self).time(log_snr)
            }
        }
    )*};
}
forward!(Arc<S>, Box<S>, &S);
