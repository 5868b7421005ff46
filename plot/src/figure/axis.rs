//! Axes: label, range and ticks of one direction.
use serde::Serialize;

/// The label and range of one direction of a panel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Axis {
    /// Name of the quantity, and its unit.
    pub label: String,
    /// Lowest and highest value. Default: the range of the marks.
    pub range: Option<[f64; 2]>,
    /// Whether the axis is logarithmic.
    pub log: bool,
    /// Values of the ticks. Default: round numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<f64>,
}

impl Axis {
    /// A linear axis over the range of the marks.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// Sets the range.
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some([low, high]);
        self
    }

    /// Makes the axis logarithmic.
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// Sets the values of the ticks, for example those that were measured.
    pub fn ticks(mut self, at: impl Into<Vec<f64>>) -> Self {
        self.ticks = at.into();
        self
    }
}

impl From<&str> for Axis {
    fn from(label: &str) -> Self {
        Self::new(label)
    }
}
