//! Schedules made of other schedules, as recipes name them.
use crate::registry::{
    any_schedule::AnySchedule,
    settings::{Part, ScheduleOf},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::schedule::{Between, Shifted, ZeroTerminal};

/// Another schedule, rescaled to zero terminal SNR: no signal is left at t = 1.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ZeroTerminalConfig {
    /// The schedule that is rescaled.
    schedule: Part,
}
impl Default for ZeroTerminalConfig {
    fn default() -> Self {
        Self { schedule: Part::named("linear") }
    }
}
impl ScheduleOf for ZeroTerminalConfig {
    const PARTS: &'static [&'static str] = &["schedule"];
    fn schedule(&self, mut parts: Vec<AnySchedule>) -> AnySchedule {
        parts.remove(0).map(ZeroTerminal, ZeroTerminal)
    }
}

/// Another schedule with `factor` times its noise-to-signal ratio σ/α, as for larger images.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShiftedConfig {
    /// Factor on σ/α.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    factor: f64,
    /// The schedule that is shifted.
    schedule: Part,
}
impl Default for ShiftedConfig {
    fn default() -> Self {
        Self { factor: 2.0, schedule: Part::named("cosine-angle") }
    }
}
impl ScheduleOf for ShiftedConfig {
    const PARTS: &'static [&'static str] = &["schedule"];
    fn schedule(&self, mut parts: Vec<AnySchedule>) -> AnySchedule {
        let factor = self.factor;
        parts.remove(0).map(|schedule| Shifted { schedule, factor }, |schedule| Shifted { schedule, factor })
    }
}

/// Interpolation of two schedules in log-SNR.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BetweenConfig {
    /// The first schedule.
    first: Part,
    /// The second schedule.
    second: Part,
    /// Share of the second schedule at t = 0.
    share: f64,
    /// Share of the second schedule at t = 1, between which and `share` it is linear in t. Default: `share`.
    #[serde(skip_serializing_if = "Option::is_none")]
    share_end: Option<f64>,
}
impl Default for BetweenConfig {
    fn default() -> Self {
        Self { first: Part::named("cosine-angle"), second: Part::named("flow-matching"), share: 0.5, share_end: None }
    }
}
impl ScheduleOf for BetweenConfig {
    const PARTS: &'static [&'static str] = &["first", "second"];
    fn schedule(&self, parts: Vec<AnySchedule>) -> AnySchedule {
        let [first, second] = <[AnySchedule; 2]>::try_from(parts).expect("a schedule for each field");
        let share = [self.share, self.share_end.unwrap_or(self.share)];
        // Interpolation is between α and σ, also for categorical data.
        match (first.full(), second.full()) {
            (Some(first), Some(second)) => AnySchedule::both("between", Between { first, second, share }),
            _ => match (first.schedule(), second.schedule()) {
                (Ok(first), Ok(second)) => AnySchedule::continuous("between", Between { first, second, share }),
                // A part without α and σ is refused by its name.
                (Err(_), _) => first,
                (_, Err(_)) => second,
            },
        }
    }
}
