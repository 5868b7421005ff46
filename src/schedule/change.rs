//! Schedules made of schedules.
use super::Schedule;
use crate::{dual::Dual, error::Error};

/// A schedule rescaled so that no signal is left at t = 1.
///
/// `α ← (α − α(1)) α(t₀)/(α(t₀) − α(1))` from the first step t₀ = 1/T on, where α stays as it is; `σ = √(1 − α²)`. A net that
/// says ε cannot be used with it.
///
/// Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2024), algorithm 1,
/// <https://arxiv.org/abs/2305.08891>.
#[derive(Clone, Debug)]
pub struct ZeroTerminal<S>(pub S);
impl<S: Schedule> Schedule for ZeroTerminal<S> {
    fn alpha(&self, t: Dual) -> Dual {
        let first = (self.0.steps().unwrap_or(1000) as f64).recip();
        let alpha = self.0.alpha(t);
        if t.value < first {
            return alpha;
        }
        let (start, end) = (self.0.alpha(first.into()).value, self.0.alpha(1.0.into()).value);
        (alpha - end) * (start / (start - end))
    }
    fn keep(&self, t: Dual) -> Dual {
        let alpha = self.alpha(t);
        alpha * alpha
    }
    fn steps(&self) -> Option<usize> {
        self.0.steps()
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()
    }
}

/// A schedule whose noise is `factor` times as strong against the signal: for images larger by that factor.
///
/// `σ/α ← factor · σ/α` at the same α² + σ²; the log-SNR falls by 2 ln factor.
///
/// Hoogeboom, Heek and Salimans, "simple diffusion" (2023), section 3.1, <https://arxiv.org/abs/2301.11093>.
#[derive(Clone, Debug)]
pub struct Shifted<S> {
    /// The schedule.
    pub schedule: S,
    /// How many times as strong.
    pub factor: f64,
}
impl<S: Schedule> Shifted<S> {
    fn share(&self, t: Dual) -> (Dual, Dual, Dual) {
        let (alpha, sigma) = (self.schedule.alpha(t), self.schedule.sigma(t) * self.factor);
        let before = self.schedule.sigma(t);
        (alpha, sigma, ((alpha * alpha + before * before) / (alpha * alpha + sigma * sigma)).sqrt())
    }
}
impl<S: Schedule> Schedule for Shifted<S> {
    fn alpha(&self, t: Dual) -> Dual {
        let (alpha, _, scale) = self.share(t);
        alpha * scale
    }
    fn sigma(&self, t: Dual) -> Dual {
        let (_, sigma, scale) = self.share(t);
        sigma * scale
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn time(&self, log_snr: f64) -> f64 {
        self.schedule.time(log_snr + 2.0 * self.factor.ln())
    }
    fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        if self.factor > 0.0 && self.factor.is_finite() {
            return Ok(());
        }
        Err(Error::Unfit(format!("the factor of a shifted schedule is positive, not {}", self.factor)))
    }
}

/// Two schedules interpolated in log-SNR, variance preserving: `σ/α = (σ/α)_a^(1 − share) (σ/α)_b^share`.
///
/// Hoogeboom, Heek and Salimans (2023), section 3.1, <https://arxiv.org/abs/2301.11093>.
#[derive(Clone, Debug)]
pub struct Between<A, B> {
    /// The schedule at share 0.
    pub first: A,
    /// The schedule at share 1.
    pub second: B,
    /// Where between them.
    pub share: f64,
}
impl<A: Schedule, B: Schedule> Between<A, B> {
    /// (σ/α)², of which one of α and σ is nearer to its end.
    fn ratio(&self, t: Dual) -> Dual {
        let first = self.first.sigma(t) / self.first.alpha(t);
        let second = self.second.sigma(t) / self.second.alpha(t);
        first.powf(2.0 * (1.0 - self.share)) * second.powf(2.0 * self.share)
    }
}
impl<A: Schedule, B: Schedule> Schedule for Between<A, B> {
    fn alpha(&self, t: Dual) -> Dual {
        let ratio = self.ratio(t);
        if ratio.value.is_infinite() { 0.0.into() } else { (1.0 + ratio).sqrt().recip() }
    }
    fn sigma(&self, t: Dual) -> Dual {
        let ratio = self.ratio(t);
        if ratio.value.is_infinite() { 1.0.into() } else { (ratio / (1.0 + ratio)).sqrt() }
    }
    fn steps(&self) -> Option<usize> {
        self.first.steps().or(self.second.steps())
    }
    fn check(&self) -> Result<(), Error> {
        self.first.check()?;
        self.second.check()?;
        if (0.0..=1.0).contains(&self.share) {
            return Ok(());
        }
        Err(Error::Unfit(format!("the share of an interpolated schedule lies in [0, 1], not at {}", self.share)))
    }
}
