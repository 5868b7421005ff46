//! Schedules made of other schedules.
//!
//! Each combinator is a [`Schedule`] if its parts are, for continuous data, and a [`Survival`] if its parts are, for categorical
//! data; [`Between`], which interpolates α and σ, needs parts that are both to be a `Survival`.
use super::{Schedule, Survival};
use crate::{
    dual::Dual,
    error::{Error, Result},
};

/// Zero terminal SNR: a schedule rescaled so that no signal is left at t = 1.
///
/// `α ← (α − α(1)) α(t₀)/(α(t₀) − α(1))` for t ≥ t₀, which leaves α(t₀) as it is; α is unchanged for t < t₀. α² + σ² stays the same,
/// so `σ = √(1 − α²)` of a variance-preserving schedule. t₀ is the first step: 1/T of a table, 1/1000 in continuous time.
/// Predicting ε is impossible with it, since ε does not determine x where α = 0.
///
/// Of categories, α = √ᾱ is rescaled if survival is the square of a [signal](Survival::signal), and ᾱ itself otherwise.
///
/// Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2024), algorithm 1,
/// <https://arxiv.org/abs/2305.08891>.
#[doc(alias("rescale_betas_zero_snr", "zero_terminal_snr"))]
#[derive(Clone, Debug)]
pub struct ZeroTerminal<S>(pub S);

/// t₀, the first of so many steps.
fn first(steps: Option<usize>) -> f64 {
    (steps.unwrap_or(1000) as f64).recip()
}
/// `(a(t) − a(1)) a(t₀)/(a(t₀) − a(1))` for t ≥ t₀, and a(t) before.
fn rescaled(a: impl Fn(Dual) -> Dual, first: f64, t: Dual) -> Dual {
    let own = a(t);
    if t.value < first {
        return own;
    }
    let (start, end) = (a(first.into()).value, a(1.0.into()).value);
    (own - end) * (start / (start - end))
}
/// The σ that goes with a rescaled α at the same α² + σ².
fn balanced(sigma: Dual, before: Dual, alpha: Dual) -> Dual {
    (sigma * sigma + (before - alpha) * (before + alpha)).sqrt()
}
/// Refuses what does not decrease, which cannot be rescaled to end at 0.
fn decreases(name: &str, start: f64, end: f64) -> Result<()> {
    if start > end {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a zero terminal SNR is reached by subtracting {name}(1), so {name} must decrease, but this schedule's {name} does not: it \
         is {start} at the first step and {end} at t = 1"
    ))
    .with_remedy(format!("take a schedule whose {name} decreases, with two steps or more")))
}

impl<S: Schedule> Schedule for ZeroTerminal<S> {
    fn alpha(&self, t: Dual) -> Dual {
        rescaled(|t| self.0.alpha(t), first(self.0.steps()), t)
    }
    fn sigma(&self, t: Dual) -> Dual {
        let sigma = self.0.sigma(t);
        if t.value < first(self.0.steps()) {
            return sigma;
        }
        balanced(sigma, self.0.alpha(t), self.alpha(t))
    }
    fn steps(&self) -> Option<usize> {
        self.0.steps()
    }
    fn alpha_bar_formula(&self, t: f64) -> Option<f64> {
        let alpha = |t: f64| self.0.alpha(t.into()).value;
        let first = first(self.0.steps());
        if t < first {
            return Some(alpha(t).powi(2));
        }
        // The line from α(1), which becomes 0, to α(t₀), which stays.
        let share = (alpha(t) - alpha(1.0)) / (alpha(first) - alpha(1.0));
        Some((share * alpha(first)).powi(2))
    }
    fn check(&self) -> Result<()> {
        self.0.check().map_err(|error| error.with_field("schedule"))?;
        let alpha = |t: f64| self.0.alpha(t.into()).value;
        decreases("α", alpha(first(self.0.steps())), alpha(1.0))
    }
}
impl<S: Survival> Survival for ZeroTerminal<S> {
    fn survival(&self, t: Dual) -> Dual {
        match Survival::signal(self, t) {
            Some([alpha, _]) => alpha * alpha,
            None => rescaled(|t| self.0.survival(t), first(self.0.steps()), t),
        }
    }
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        let [before, sigma] = self.0.signal(t)?;
        let alpha = |t| self.0.signal(t).map_or(before, |[alpha, _]| alpha);
        let alpha = rescaled(alpha, first(self.0.steps()), t);
        Some([alpha, if t.value < first(self.0.steps()) { sigma } else { balanced(sigma, before, alpha) }])
    }
    fn steps(&self) -> Option<usize> {
        self.0.steps()
    }
    fn check(&self) -> Result<()> {
        self.0.check().map_err(|error| error.with_field("schedule"))?;
        let survival = |t: f64| self.0.survival(t.into()).value;
        decreases("ᾱ", survival(first(self.0.steps())), survival(1.0))
    }
}

/// A schedule with its noise-to-signal ratio multiplied by `factor`: for images larger by that factor.
///
/// `σ/α ← factor · σ/α` at the same α² + σ²; the log-SNR falls by 2 ln factor. Of categories, the odds of survival ᾱ/(1 − ᾱ) are
/// divided by factor² if survival is the square of a [signal](Survival::signal), and by factor otherwise.
///
/// Hoogeboom, Heek and Salimans, "simple diffusion" (2023), section 3.1, <https://arxiv.org/abs/2301.11093>.
#[doc(alias("simple_diffusion", "flow_shift"))]
#[derive(Clone, Debug)]
pub struct Shifted<S> {
    /// The schedule.
    pub schedule: S,
    /// The factor of σ/α, positive.
    pub factor: f64,
}
impl<S> Shifted<S> {
    fn shifted(&self, [alpha, before]: [Dual; 2]) -> [Dual; 2] {
        let sigma = before * self.factor;
        let scale = ((alpha * alpha + before * before) / (alpha * alpha + sigma * sigma)).sqrt();
        [alpha * scale, sigma * scale]
    }
    fn check_factor(&self) -> Result<()> {
        if self.factor > 0.0 && self.factor.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!("must be a positive number, got {}", self.factor)).with_field("factor"))
    }
}
impl<S: Schedule> Schedule for Shifted<S> {
    fn alpha(&self, t: Dual) -> Dual {
        self.shifted([self.schedule.alpha(t), self.schedule.sigma(t)])[0]
    }
    fn sigma(&self, t: Dual) -> Dual {
        self.shifted([self.schedule.alpha(t), self.schedule.sigma(t)])[1]
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        self.schedule.time_at_log_snr(log_snr + 2.0 * self.factor.ln())
    }
    fn check(&self) -> Result<()> {
        self.schedule.check().map_err(|error| error.with_field("schedule"))?;
        self.check_factor()
    }
}
impl<S: Survival> Survival for Shifted<S> {
    fn survival(&self, t: Dual) -> Dual {
        let survival = self.schedule.survival(t);
        let odds = if self.schedule.signal(t).is_some() { self.factor * self.factor } else { self.factor };
        survival / (survival + (1.0 - survival) * odds)
    }
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        self.schedule.signal(t).map(|scales| self.shifted(scales))
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn check(&self) -> Result<()> {
        self.schedule.check().map_err(|error| error.with_field("schedule"))?;
        self.check_factor()
    }
}

/// Two schedules interpolated in log-SNR, variance preserving: `σ/α = (σ/α)_a^(1 − share) (σ/α)_b^share`.
///
/// The share of the second schedule changes linearly from `share[0]` at t = 0 to `share[1]` at t = 1. Hoogeboom's interpolated
/// schedule for images of size d is `share = [0, 1]` between the cosine shifted by d/64 and the one shifted by 32/64.
///
/// Of categories, `ᾱ = α²` if the survival of both is the square of a [signal](Survival::signal), and `ᾱ = α` otherwise.
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
    /// Share of the second schedule at t = 0 and at t = 1, each in [0, 1].
    pub share: [f64; 2],
}
/// `a^(1 − share) b^share` of non-negative numbers, with the limit of the slope where they vanish.
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
        // The change of the share contributes less than the slope of the vanishing number.
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
    /// α and σ up to a common factor.
    fn parts(&self, t: Dual) -> (Dual, Dual) {
        let [start, end] = self.share;
        let share = t * (end - start) + start;
        let between = |a, b| geometric(a, b, share);
        (between(self.first.alpha(t), self.second.alpha(t)), between(self.first.sigma(t), self.second.sigma(t)))
    }
}
/// √(a² + b²), where one of the two may be 0 with an infinite slope.
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
    fn steps(&self) -> Option<usize> {
        self.first.steps().or(self.second.steps())
    }
    fn check(&self) -> Result<()> {
        self.first.check().map_err(|error| error.with_field("first"))?;
        self.second.check().map_err(|error| error.with_field("second"))?;
        if let (Some(first), Some(second)) = (self.first.steps(), self.second.steps())
            && first != second
        {
            return Err(Error::invalid(format!(
                "two tables are interpolated step by step, so they must have the same number of steps, got {first} and {second} steps"
            )));
        }
        match self.share.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            None => Ok(()),
            Some(share) => Err(Error::invalid(format!("must be in [0, 1], got {share}")).with_field("share")),
        }
    }
}
impl<A: Schedule + Survival, B: Schedule + Survival> Survival for Between<A, B> {
    fn survival(&self, t: Dual) -> Dual {
        let alpha = self.alpha(t);
        if self.first.signal(t).is_some() && self.second.signal(t).is_some() { alpha * alpha } else { alpha }
    }
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        self.first.signal(t).and(self.second.signal(t)).map(|_| [self.alpha(t), self.sigma(t)])
    }
    fn steps(&self) -> Option<usize> {
        Schedule::steps(self)
    }
    fn check(&self) -> Result<()> {
        Survival::check(&self.first).map_err(|error| error.with_field("first"))?;
        Survival::check(&self.second).map_err(|error| error.with_field("second"))?;
        Schedule::check(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Between, Shifted, ZeroTerminal};
    use crate::{
        dual::Dual,
        schedule::{
            Cosine, CosineAngle, Edm, FlowMatching, Linear, OrnsteinUhlenbeck, Schedule, SubVariancePreserving,
            Survival, VarianceExploding, VariancePreserving,
        },
    };

    fn survival(schedule: &impl Survival, t: f64) -> f64 {
        schedule.survival(Dual::from(t)).value
    }

    #[test]
    fn survival_is_changed_as_the_signal_is() {
        let (table, flow) = (Linear::new(100), FlowMatching {});
        for t in [0.1, 0.5, 0.9] {
            let same = [
                (survival(&Shifted { schedule: table.clone(), factor: 1.0 }, t), survival(&table, t)),
                (survival(&Shifted { schedule: flow, factor: 1.0 }, t), survival(&flow, t)),
                (survival(&Between { first: flow, second: flow, share: [0.3, 0.3] }, t), {
                    let c = flow.at(t);
                    c.alpha / c.alpha.hypot(c.sigma)
                }),
            ];
            for (ours, theirs) in same {
                assert!((ours - theirs).abs() < 1e-12, "{ours} for {theirs} at {t}");
            }
            // ᾱ of the shifted table, and odds halved.
            let shifted = Shifted { schedule: table.clone(), factor: 2.0 };
            assert!((survival(&shifted, t) - shifted.at(t).alpha.powi(2)).abs() < 1e-12);
            let odds = |survival: f64| survival / (1.0 - survival);
            let halved = survival(&Shifted { schedule: flow, factor: 2.0 }, t);
            assert!((odds(halved) - 0.5 * odds(1.0 - t)).abs() < 1e-12);
            let rescaled = ZeroTerminal(table.clone());
            assert!((survival(&rescaled, t) - rescaled.at(t).alpha.powi(2)).abs() < 1e-12);
            assert!((survival(&ZeroTerminal(flow), t) - ZeroTerminal(flow).at(t).alpha).abs() < 1e-12);
        }
    }

    #[test]
    fn zero_terminal_keeps_the_variance() {
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
    fn slopes_of_interpolated_schedules_are_right_at_the_ends_too() {
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
        assert!(Schedule::check(&tables).unwrap_err().to_string().contains("10 and 20 steps"));
    }

    #[test]
    fn zero_terminal_refuses_a_signal_that_does_not_decrease() {
        let refused = |schedule: &dyn Schedule| schedule.check().unwrap_err().to_string().contains("does not");
        assert!(refused(&ZeroTerminal(Edm::default())) && refused(&ZeroTerminal(VarianceExploding::default())));
        assert!(refused(&ZeroTerminal(Linear::new(1))));
        assert!(
            Schedule::check(&ZeroTerminal(Cosine::new(10))).is_ok()
                && Schedule::check(&ZeroTerminal(FlowMatching {})).is_ok()
        );
    }
}
