//! Schedules made of other schedules, as recipes name them.
use crate::registry::settings::{Part, ScheduleOf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie::schedule::{Between, Schedule, Shifted, ZeroTerminal};

/// `[schedule] name = "zero-terminal"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ZeroTerminalConfig {
    schedule: Part,
}
impl Default for ZeroTerminalConfig {
    fn default() -> Self {
        Self { schedule: Part::named("linear") }
    }
}
impl ScheduleOf for ZeroTerminalConfig {
    const PARTS: &'static [&'static str] = &["schedule"];
    fn schedule(&self, mut parts: Vec<Arc<dyn Schedule>>) -> Arc<dyn Schedule> {
        Arc::new(ZeroTerminal(parts.remove(0)))
    }
}

/// `[schedule] name = "shifted"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShiftedConfig {
    factor: f64,
    schedule: Part,
}
impl Default for ShiftedConfig {
    fn default() -> Self {
        Self { factor: 2.0, schedule: Part::named("cosine-angle") }
    }
}
impl ScheduleOf for ShiftedConfig {
    const PARTS: &'static [&'static str] = &["schedule"];
    fn schedule(&self, mut parts: Vec<Arc<dyn Schedule>>) -> Arc<dyn Schedule> {
        Arc::new(Shifted { schedule: parts.remove(0), factor: self.factor })
    }
}

/// `[schedule] name = "between"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BetweenConfig {
    first: Part,
    second: Part,
    /// The second's share at t = 0, and at t = 1 too unless `share_end` says otherwise.
    share: f64,
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
    fn schedule(&self, parts: Vec<Arc<dyn Schedule>>) -> Arc<dyn Schedule> {
        let [first, second] = parts.try_into().expect("a schedule for each field");
        Arc::new(Between { first, second, share: [self.share, self.share_end.unwrap_or(self.share)] })
    }
}
