//! Schedules made of schedules.
use super::Schedule;
use crate::{dual::Dual, error::Error};

/// Whether a schedule keeps a category with probability α², as tables and the variance-preserving ones do, and not α.
fn squares(schedule: &impl Schedule) -> bool {
    [0.25, 0.5, 0.75].iter().all(|&t| {
        let (keep, alpha) = (schedule.keep(Dual::from(t)).value, schedule.alpha(Dual::from(t)).value);
        (keep - alpha * alpha).abs() <= 1e-12
    })
}

/// A schedule rescaled so that no signal is left at t = 1.
///
/// `α ← (α − α(1)) α(t₀)/(α(t₀) − α(1))` from the first step t₀ = 1/T on, where α stays as it is; `σ = √(1 − α²)`. A net that
/// says ε cannot be used with it.
///
/// Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2024), algorithm 1,
/// <https://arxiv.org/abs/2305.08891>.
#[derive(Clone, Debug)]
pub struct ZeroTerminal<S>(pub S);
impl<S: Schedule> ZeroTerminal<S> {
    /// t₀.
    fn first(&self) -> f64 {
        (self.0.steps().unwrap_or(1000) as f64).recip()
    }
    fn alpha_of(&self, t: f64) -> f64 {
        self.0.alpha(t.into()).value
    }
}
impl<S: Schedule> Schedule for ZeroTerminal<S> {
    fn alpha(&self, t: Dual) -> Dual {
        let alpha = self.0.alpha(t);
        if t.value < self.first() {
            return alpha;
        }
        let (start, end) = (self.alpha_of(self.first()), self.alpha_of(1.0));
        (alpha - end) * (start / (start - end))
    }
    fn keep(&self, t: Dual) -> Dual {
        let alpha = self.alpha(t);
        if squares(&self.0) { alpha * alpha } else { alpha }
    }
    fn steps(&self) -> Option<usize> {
        self.0.steps()
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()?;
        let (start, end) = (self.alpha_of(self.first()), self.alpha_of(1.0));
        if start > end {
            return Ok(());
        }
        Err(Error::Unfit(format!(
            "a zero terminal SNR is reached by taking from α what is left of it at t = 1, and this schedule's α does not fall ({start} \
             at the first step, {end} at the last): take a schedule whose α falls, in more steps than one"
        )))
    }
}

/// A schedule whose noise is `factor` times as strong against the signal: for images larger by that factor.
///
/// `σ/α ← factor · σ/α` at the same α² + σ²; the log-SNR falls by 2 ln factor. Of categories, the odds of being kept fall as much:
/// by factor² where they are kept with probability α², by factor where with α.
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
    fn keep(&self, t: Dual) -> Dual {
        let keep = self.schedule.keep(t);
        let odds = if squares(&self.schedule) { self.factor * self.factor } else { self.factor };
        keep / (keep + (1.0 - keep) * odds)
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
    fn keep(&self, t: Dual) -> Dual {
        let alpha = self.alpha(t);
        if squares(&self.first) && squares(&self.second) { alpha * alpha } else { alpha }
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

#[cfg(test)]
mod tests {
    use super::{Between, Shifted, ZeroTerminal};
    use crate::{
        dual::Dual,
        schedule::{Cosine, Edm, FlowMatching, Linear, Schedule, VarianceExploding},
    };

    fn keep(schedule: &impl Schedule, t: f64) -> f64 {
        schedule.keep(Dual::from(t)).value
    }

    #[test]
    fn categories_are_kept_as_the_schedule_within_keeps_them() {
        let (table, flow) = (Linear::new(100), FlowMatching {});
        for t in [0.1, 0.5, 0.9] {
            let same = [
                (keep(&Shifted { schedule: table.clone(), factor: 1.0 }, t), keep(&table, t)),
                (keep(&Shifted { schedule: flow, factor: 1.0 }, t), keep(&flow, t)),
                (keep(&Between { first: flow, second: flow, share: 0.3 }, t), {
                    let c = flow.at(t);
                    c.alpha / c.alpha.hypot(c.sigma)
                }),
            ];
            for (ours, theirs) in same {
                assert!((ours - theirs).abs() < 1e-12, "{ours} for {theirs} at {t}");
            }
            // ᾱ of the shifted table, and odds halved.
            let shifted = Shifted { schedule: table.clone(), factor: 2.0 };
            assert!((keep(&shifted, t) - shifted.at(t).alpha.powi(2)).abs() < 1e-12);
            let odds = |keep: f64| keep / (1.0 - keep);
            let halved = keep(&Shifted { schedule: flow, factor: 2.0 }, t);
            assert!((odds(halved) - 0.5 * odds(1.0 - t)).abs() < 1e-12);
            let rescaled = ZeroTerminal(table.clone());
            assert!((keep(&rescaled, t) - rescaled.at(t).alpha.powi(2)).abs() < 1e-12);
            assert!((keep(&ZeroTerminal(flow), t) - ZeroTerminal(flow).at(t).alpha).abs() < 1e-12);
        }
    }

    #[test]
    fn a_signal_that_does_not_fall_has_no_zero_terminal() {
        let refused = |schedule: &dyn Schedule| schedule.check().unwrap_err().to_string().contains("does not fall");
        assert!(refused(&ZeroTerminal(Edm::default())) && refused(&ZeroTerminal(VarianceExploding::default())));
        assert!(refused(&ZeroTerminal(Linear::new(1))));
        assert!(ZeroTerminal(Cosine::new(10)).check().is_ok() && ZeroTerminal(FlowMatching {}).check().is_ok());
    }
}
