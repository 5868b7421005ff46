//! Integration variables.
use crate::schedule::{Scales, Schedule};
use serde::{Deserialize, Serialize};

/// The variable in which a multistep method interpolates its model outputs.
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
}
