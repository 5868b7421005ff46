//! Integration variables.
use crate::schedule::{Scales, Schedule};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// The variable in which a solver integrates the probability flow, or interpolates its model outputs.
///
/// | variable | y | u | dy/du | infinite at |
/// |---|---|---|---|---|
/// | `ratio` | z/α | σ/α | ε̂ | t = 1, if α = 0 |
/// | `log-snr` | z/σ | α/σ, as a function of λ | x̂ | t = 1, if α = 0; t = 0, if σ = 0 |
/// | `time` | z | t | α′ x̂ + σ′ ε̂, the velocity | where α′ or σ′ is |
/// | `angle` | z/√(α² + σ²) | arctan(σ/α) | (α ε̂ − σ x̂)/√(α² + σ²), the v-prediction | nowhere |
///
/// In the exact solution y(u) all are the same trajectory. A method of fixed steps differs: one in `ratio` amplifies
/// errors where σ/α is large ([`Sampler::unfit`](super::Sampler::unfit)).
///
/// ```
/// use tweedie::{sample::{TimePoint, Variable}, schedule::FlowMatching};
/// let point = TimePoint::new(&FlowMatching {}, 0.25);
/// assert_eq!(point.value(Variable::Ratio), 0.25 / 0.75);
/// assert_eq!(point.value(Variable::LogSnr), point.lambda());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variable {
    /// λ = ln(α/σ), half the log-SNR.
    #[default]
    #[doc(alias = "lambda")]
    LogSnr,
    /// r = σ/α, the noise level of unscaled data.
    #[doc(alias = "sigma")]
    #[doc(alias = "rho")]
    Ratio,
    /// t.
    Time,
    /// φ = arctan(σ/α), which is finite at both ends of every schedule.
    Angle,
}

impl Variable {
    /// Why a Runge–Kutta method amplifies errors in this variable on a schedule and decreasing `times`; `None` if it does
    /// not.
    ///
    /// In `ratio`, if the first step reduces σ/α by more than a factor of 8; from α = 0 it is of first order, and finite.
    /// In `time`, if α′ or σ′ exceeds 4 √(α² + σ²) at the first of the times.
    ///
    /// ```
    /// use tweedie::{sample::Variable, schedule::{Cosine, FlowMatching, OrnsteinUhlenbeck}};
    /// let times = [1.0, 0.9, 0.8];
    /// let why = Variable::Ratio.unfit(&Cosine::new(1000), &times).unwrap();
    /// assert!(why.contains("from 20,291 to 6"), "{why}");
    /// assert!(Variable::Time.unfit(&OrnsteinUhlenbeck {}, &times).unwrap().contains("`variable = \"angle\"`"));
    /// assert_eq!(Variable::Time.unfit(&FlowMatching {}, &times), None);
    /// assert_eq!(Variable::Angle.unfit(&Cosine::new(1000), &times), None);
    /// ```
    pub fn unfit(self, schedule: &dyn Schedule, times: &[f64]) -> Option<String> {
        let [first, second, ..] = *times else { return None };
        let [first, second] = [first, second].map(|t| TimePoint::new(schedule, t));
        let remedy = "use `variable = \"angle\"`";
        match self {
            Self::Ratio if first.ratio() > 8.0 * second.ratio() && first.ratio().is_finite() => {
                let [first, second] = [first, second].map(|point| grouped(point.ratio()));
                Some(format!(
                    "it integrates in σ/α, which falls from {first} to {second} in the first step of this schedule: \
                     {remedy}"
                ))
            }
            Self::Time => {
                let Scales { alpha_dot, sigma_dot, .. } = first.scales;
                let steep = alpha_dot.abs().max(sigma_dot.abs()) / first.norm();
                // NaN too.
                let fits = steep <= 4.0;
                (!fits).then(|| {
                    format!(
                        "it integrates in t, and α or σ changes too fast in the first step of this schedule: {remedy}"
                    )
                })
            }
            _ => None,
        }
    }
}

/// A number without decimals, with commas between groups of three digits.
fn grouped(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time and the scales of a schedule there.
#[derive(Clone, Copy, Debug)]
pub struct TimePoint {
    /// t.
    pub t: f64,
    /// α, σ and their slopes at t.
    pub scales: Scales,
    lambda: f64,
}
impl TimePoint {
    /// The point of a schedule at `t`.
    pub fn new(schedule: &dyn Schedule, t: f64) -> Self {
        Self::with_scales(t, schedule.at(t))
    }
    /// The point of a schedule at λ = ln(α/σ).
    pub fn at_lambda(schedule: &dyn Schedule, lambda: f64) -> Self {
        Self::new(schedule, schedule.time_at_log_snr(2.0 * lambda))
    }
    /// The point of a schedule at φ = arctan(σ/α).
    pub fn at_angle(schedule: &dyn Schedule, phi: f64) -> Self {
        let t = if phi >= FRAC_PI_2 { 1.0 } else { schedule.time_at_log_snr(-2.0 * phi.tan().ln()) };
        Self::new(schedule, t)
    }
    /// A point of given scales.
    pub fn with_scales(t: f64, scales: Scales) -> Self {
        Self { t, scales, lambda: (scales.alpha / scales.sigma).ln() }
    }
    /// λ = ln(α/σ): infinite if α or σ is 0.
    pub fn lambda(self) -> f64 {
        self.lambda
    }
    /// r = σ/α.
    pub fn ratio(self) -> f64 {
        self.scales.sigma / self.scales.alpha
    }
    /// The value of an integration variable.
    pub fn value(self, variable: Variable) -> f64 {
        match variable {
            Variable::LogSnr => self.lambda(),
            Variable::Ratio => self.ratio(),
            Variable::Time => self.t,
            Variable::Angle => self.scales.sigma.atan2(self.scales.alpha),
        }
    }
    /// √(α² + σ²).
    pub fn norm(self) -> f64 {
        self.scales.alpha.hypot(self.scales.sigma)
    }
    /// The weights of z and of x̂ in the slope dy/du of a variable; `None` if one is not finite.
    pub(super) fn slope(self, variable: Variable) -> Option<[f64; 2]> {
        let Scales { alpha, sigma, alpha_dot, sigma_dot, .. } = self.scales;
        // ε̂ = (z − α x̂)/σ.
        let weights = match variable {
            Variable::LogSnr => [0.0, 1.0],
            Variable::Ratio => [sigma.recip(), -alpha / sigma],
            Variable::Time => [sigma_dot / sigma, alpha_dot - alpha * sigma_dot / sigma],
            Variable::Angle => [alpha / (sigma * self.norm()), -self.norm() / sigma],
        };
        weights.iter().all(|weight| weight.is_finite()).then_some(weights)
    }
    /// The weights of z and of a constant slope dy/du in the step to another point; `None` if one is not finite.
    pub(super) fn transfer(self, to: Self, variable: Variable) -> Option<[f64; 2]> {
        let (a, b) = (self.scales, to.scales);
        let weights = match variable {
            Variable::LogSnr => [b.sigma / a.sigma, b.alpha - a.alpha * b.sigma / a.sigma],
            Variable::Ratio => [b.alpha / a.alpha, b.sigma - a.sigma * (b.alpha / a.alpha)],
            Variable::Time => [1.0, to.t - self.t],
            Variable::Angle => [to.norm() / self.norm(), to.norm() * (to.value(variable) - self.value(variable))],
        };
        weights.iter().all(|weight| weight.is_finite()).then_some(weights)
    }
}
