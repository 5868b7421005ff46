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
/// `α ← (α − α(1)) α(t₀)/(α(t₀) − α(1))` from the first step t₀ on, where α stays as it is, at the same α² + σ²: for a variance
/// preserving schedule `σ = √(1 − α²)`. t₀ is 1/T of a table and 1/1000 of a schedule of continuous time. A net that says ε cannot
/// be used with it.
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
    fn sigma(&self, t: Dual) -> Dual {
        let sigma = self.0.sigma(t);
        if t.value < self.first() {
            return sigma;
        }
        let (before, alpha) = (self.0.alpha(t), self.alpha(t));
        (sigma * sigma + (before - alpha) * (before + alpha)).sqrt()
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
        Err(Error::invalid(format!(
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
        Err(Error::invalid(format!("the factor of a shifted schedule is positive, not {}", self.factor)))
    }
}

/// Two schedules interpolated in log-SNR, variance preserving: `σ/α = (σ/α)_a^(1 − share) (σ/α)_b^share`.
///
/// The share of the second schedule goes along a line from `share[0]` at t = 0 to `share[1]` at t = 1. Hoogeboom's interpolated
/// schedule for images of size d is `share = [0, 1]` between the cosine shifted by d/64 and the one shifted by 32/64.
///
/// Hoogeboom, Heek and Salimans (2023), section 3.1, <https://arxiv.org/abs/2301.11093>.
///
/// ```
/// use tweedie::schedule::{Between, CosineAngle, FlowMatching, Schedule};
/// let half = Between { first: CosineAngle {}, second: FlowMatching {}, share: [0.5, 0.5] };
/// let mean = 0.5 * (CosineAngle {}.at(0.3).log_snr() + FlowMatching {}.at(0.3).log_snr());
/// assert!((half.at(0.3).log_snr() - mean).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Between<A, B> {
    /// The schedule at share 0.
    pub first: A,
    /// The schedule at share 1.
    pub second: B,
    /// Where between them, at t = 0 and at t = 1.
    pub share: [f64; 2],
}
/// `a^(1 − share) b^share` of numbers of 0 or more, with its slope where they vanish.
fn geometric(a: Dual, b: Dual, share: Dual) -> Dual {
    let (rest, own) = (1.0 - share.value, share.value);
    if own == 0.0 && share.slope == 0.0 {
        return a;
    }
    if rest == 0.0 && share.slope == 0.0 {
        return b;
    }
    let value = a.value.powf(rest) * b.value.powf(own);
    let slope = if a.value > 0.0 && b.value > 0.0 {
        value * (rest * a.slope / a.value + own * b.slope / b.value + share.slope * (b.value / a.value).ln())
    } else if rest == 0.0 {
        // What the share does to the vanishing number is smaller than its slope.
        b.slope
    } else if own == 0.0 {
        a.slope
    } else if a.value == 0.0 && b.value == 0.0 {
        // Both are near lines through 0, and so is what lies between.
        (a.slope + b.slope).signum() * a.slope.abs().powf(rest) * b.slope.abs().powf(own)
    } else {
        // The root of a number that vanishes.
        if a.value == 0.0 { a.slope.signum() * f64::INFINITY } else { b.slope.signum() * f64::INFINITY }
    };
    Dual { value, slope }
}
impl<A: Schedule, B: Schedule> Between<A, B> {
    /// α and σ, but for a common factor.
    fn parts(&self, t: Dual) -> (Dual, Dual) {
        let [start, end] = self.share;
        let share = t * (end - start) + start;
        let between = |a, b| geometric(a, b, share);
        (between(self.first.alpha(t), self.second.alpha(t)), between(self.first.sigma(t), self.second.sigma(t)))
    }
}
/// √(a² + b²), one of which may be 0 with an infinite slope.
fn hypot(a: Dual, b: Dual) -> Dual {
    let value = a.value.hypot(b.value);
    let part = |x: Dual| if x.value == 0.0 { 0.0 } else { x.value / value * x.slope };
    Dual { value, slope: part(a) + part(b) }
}
impl<A: Schedule, B: Schedule> Schedule for Between<A, B> {
    fn alpha(&self, t: Dual) -> Dual {
        let (alpha, sigma) = self.parts(t);
        alpha / hypot(alpha, sigma)
    }
    fn sigma(&self, t: Dual) -> Dual {
        let (alpha, sigma) = self.parts(t);
        sigma / hypot(alpha, sigma)
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
        if let (Some(first), Some(second)) = (self.first.steps(), self.second.steps())
            && first != second
        {
            return Err(Error::invalid(format!(
                "two tables are interpolated step by step, and these have {first} and {second} steps: give them as many"
            )));
        }
        match self.share.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            None => Ok(()),
            Some(share) => {
                Err(Error::invalid(format!("the share of an interpolated schedule lies in [0, 1], not at {share}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Between, Shifted, ZeroTerminal};
    use crate::{
        dual::Dual,
        schedule::{
            Cosine, CosineAngle, Edm, FlowMatching, Linear, OrnsteinUhlenbeck, Schedule, SubVariancePreserving,
            VarianceExploding, VariancePreserving,
        },
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
                (keep(&Between { first: flow, second: flow, share: [0.3, 0.3] }, t), {
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
    fn nothing_else_changes_where_the_signal_is_taken_away() {
        // Flow matching has no signal at t = 1: it stays as it is.
        let (flow, sub) = (FlowMatching {}, SubVariancePreserving::default());
        for t in [0.0, 5e-4, 0.25, 0.7, 1.0] {
            let (own, same) = (flow.at(t), ZeroTerminal(flow).at(t));
            assert!((own.alpha - same.alpha).abs() + (own.sigma - same.sigma).abs() < 1e-15, "at {t}");
            let (own, less) = (sub.at(t), ZeroTerminal(sub).at(t));
            assert!((own.alpha.hypot(own.sigma) - less.alpha.hypot(less.sigma)).abs() < 1e-14, "at {t}");
        }
        assert_eq!(ZeroTerminal(sub).at(1.0).alpha, 0.0);
    }

    #[test]
    fn slopes_of_what_is_between_are_right_at_the_ends_too() {
        let (first, second) = (CosineAngle {}, FlowMatching {});
        for share in [[0.5, 0.5], [0.3, 0.3], [0.0, 1.0], [0.8, 0.1], [0.0, 0.0], [1.0, 1.0]] {
            let between = Between { first, second, share };
            let (start, end) = (between.at(0.0), between.at(1.0));
            assert_eq!((start.alpha, start.sigma, end.alpha, end.sigma), (1.0, 0.0, 0.0, 1.0));
            let h = 1e-7;
            let (near, far) = (between.at(h), between.at(1.0 - h));
            // Slopes of numbers tʰ have errors of h ln h.
            assert!((start.sigma_dot - near.sigma / h).abs() < 1e-5, "{share:?}: {start:?}");
            assert!((end.alpha_dot + far.alpha / h).abs() < 1e-5, "{share:?}: {end:?}");
            assert!(start.alpha_dot.abs() < 1.0 && end.sigma_dot.abs() < 1.0);
            assert!(start.diffusion() >= 0.0);
        }
        // Where one of them keeps signal at t = 1, the root of what vanishes has no slope.
        let steep = Between { first: OrnsteinUhlenbeck {}, second: VariancePreserving::default(), share: [0.5, 0.5] };
        assert_eq!(steep.at(1.0).alpha_dot, f64::NEG_INFINITY);
        let tables = Between { first: Linear::new(10), second: Cosine::new(20), share: [0.5, 0.5] };
        assert!(tables.check().unwrap_err().to_string().contains("10 and 20 steps"));
    }

    #[test]
    fn a_signal_that_does_not_fall_has_no_zero_terminal() {
        let refused = |schedule: &dyn Schedule| schedule.check().unwrap_err().to_string().contains("does not fall");
        assert!(refused(&ZeroTerminal(Edm::default())) && refused(&ZeroTerminal(VarianceExploding::default())));
        assert!(refused(&ZeroTerminal(Linear::new(1))));
        assert!(ZeroTerminal(Cosine::new(10)).check().is_ok() && ZeroTerminal(FlowMatching {}).check().is_ok());
    }
}
