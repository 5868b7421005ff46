//! Past model outputs.
use super::TimePoint;
use burn::tensor::Tensor;
use std::collections::VecDeque;

/// The last few model outputs of a trajectory and the times they belong to, latest first.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{sample::{History, TimePoint}, schedule::FlowMatching};
/// let mut history = History::<1>::new(2);
/// for t in [0.9, 0.8, 0.7] {
///     let output = Tensor::from_floats([t as f32], &Device::flex());
///     history.push(TimePoint::new(&FlowMatching {}, t), output);
/// }
/// assert_eq!(history.len(), 2);
/// assert_eq!(history.points().map(|point| point.t).collect::<Vec<_>>(), [0.7, 0.8]);
/// ```
#[derive(Clone, Debug)]
pub struct History<const D: usize> {
    entries: VecDeque<(TimePoint, Tensor<D>)>,
    capacity: usize,
}
impl<const D: usize> History<D> {
    /// An empty history of up to `capacity` outputs.
    pub fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::with_capacity(capacity + 1), capacity }
    }
    /// Adds the output at a time and drops the oldest beyond the capacity.
    pub fn push(&mut self, point: TimePoint, output: Tensor<D>) {
        self.entries.push_front((point, output));
        self.entries.truncate(self.capacity);
    }
    /// The k-th last time and output; 0 is the latest.
    pub fn get(&self, k: usize) -> Option<&(TimePoint, Tensor<D>)> {
        self.entries.get(k)
    }
    /// The times, latest first.
    pub fn points(&self) -> impl Iterator<Item = TimePoint> {
        self.entries.iter().map(|(point, _)| *point)
    }
    /// The outputs, latest first.
    pub fn outputs(&self) -> impl Iterator<Item = &Tensor<D>> {
        self.entries.iter().map(|(_, output)| output)
    }
    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    /// Whether the history is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
