//! Steps of a trajectory, by their times.
use super::TimePoint;
use crate::schedule::Schedule;

/// One step of a trajectory, from `t` down to `s`, and its place among all of them.
///
/// ```
/// use tweedie::sample::TimeStep;
/// let steps: Vec<TimeStep> = TimeStep::along(&[1.0, 0.4, 0.0]).collect();
/// assert_eq!(steps[1], TimeStep { t: 0.4, s: 0.0, index: 1, count: 2 });
/// assert_eq!(steps[1].left(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeStep {
    /// The time before the step.
    pub t: f64,
    /// The time after it.
    pub s: f64,
    /// The number of the step, from 0.
    pub index: usize,
    /// How many steps the trajectory has, a final evaluation at t = 0 included.
    pub count: usize,
}
impl TimeStep {
    /// The one step of a trajectory from `t` to `s`.
    pub fn new(t: f64, s: f64) -> Self {
        Self { t, s, index: 0, count: 1 }
    }
    /// The steps of a trajectory through `times`.
    pub fn along(times: &[f64]) -> impl Iterator<Item = Self> {
        let count = times.len().saturating_sub(1);
        times.windows(2).enumerate().map(move |(index, pair)| Self { t: pair[0], s: pair[1], index, count })
    }
    /// How many steps are left, this one included.
    pub fn left(self) -> usize {
        self.count.saturating_sub(self.index)
    }
    /// Both ends of the step with the scales of a schedule.
    pub fn ends(self, schedule: &dyn Schedule) -> (TimePoint, TimePoint) {
        (TimePoint::new(schedule, self.t), TimePoint::new(schedule, self.s))
    }
}
