//! Panels: axes and the marks between them.
use super::{
    axis::Axis,
    mark::{Mark, Shape},
};
use crate::pixels::Pixels;
use serde::Serialize;

/// Two or three axes and the marks drawn between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// Title above the panel.
    pub title: String,
    /// Sentence below the title; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis; in three dimensions, the axis into the page.
    pub y: Axis,
    /// Vertical axis in three dimensions; `None` for a plane.
    pub z: Option<Axis>,
    /// Height over width.
    pub aspect: f64,
    /// Whether a unit of x is as long as a unit of y.
    pub equal: bool,
    /// Whether axes, ticks and grid are left out, as for images.
    pub bare: bool,
    /// Color scale of surfaces, heat maps and contours, shown as a bar.
    pub scale: Option<Scale>,
    /// Marks in the order drawn.
    pub marks: Vec<Mark>,
}

/// The label and range of a color scale.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// Name of the quantity.
    pub label: String,
    /// Values at the dark and the bright end.
    pub range: [f64; 2],
}

impl Panel {
    /// A panel in the plane.
    pub fn plane(title: impl Into<String>, x: impl Into<Axis>, y: impl Into<Axis>) -> Self {
        let (title, x, y) = (title.into(), x.into(), y.into());
        let (note, marks) = (String::new(), Vec::new());
        Self { title, note, x, y, z: None, aspect: 0.75, equal: false, bare: false, scale: None, marks }
    }

    /// A panel in three dimensions, which can be rotated.
    pub fn space(title: impl Into<String>, x: impl Into<Axis>, y: impl Into<Axis>, z: impl Into<Axis>) -> Self {
        Self { z: Some(z.into()), aspect: 0.85, ..Self::plane(title, x, y) }
    }

    /// A panel with an image and no axes.
    pub fn image(title: impl Into<String>, pixels: Pixels) -> Self {
        let (width, height) = (pixels.width as f64, pixels.height as f64);
        let mut panel = Self::plane(title, Axis::default().range(0.0, width), Axis::default().range(0.0, height));
        (panel.aspect, panel.equal, panel.bare) = (height / width, true, true);
        panel.mark(Mark::image(pixels))
    }

    /// Adds a mark.
    pub fn mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    /// Adds marks.
    pub fn marks(mut self, marks: impl IntoIterator<Item = Mark>) -> Self {
        self.marks.extend(marks);
        self
    }

    /// Adds a sentence below the title.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Sets the ratio of height to width.
    pub fn aspect(mut self, aspect: f64) -> Self {
        self.aspect = aspect;
        self
    }

    /// Makes a unit of x as long as a unit of y, and the panel square.
    pub fn equal(mut self) -> Self {
        self.equal = true;
        self.aspect = 1.0;
        self
    }

    /// Adds a color scale.
    #[doc(alias = "colorbar")]
    pub fn scale(mut self, label: impl Into<String>, range: [f64; 2]) -> Self {
        self.scale = Some(Scale { label: label.into(), range });
        self
    }

    /// Sets the ranges of axes without one to those of the marks, with a margin.
    pub(super) fn resolve(&mut self) {
        let mut bounds = [[f64::INFINITY, f64::NEG_INFINITY]; 3];
        let logs = [self.x.log, self.y.log, false];
        for mark in &self.marks {
            for (axis, numbers) in mark.shape.extent() {
                let seen = |v: &&f64| v.is_finite() && (!logs[axis] || **v > 0.0);
                for &v in numbers.iter().filter(seen) {
                    bounds[axis] = [bounds[axis][0].min(v), bounds[axis][1].max(v)];
                }
            }
        }
        // Dots at the ends of the horizontal axis are whole; lines begin and end there.
        let dots = self.marks.iter().any(|m| matches!(&m.shape, Shape::Points { x, .. } if !x.is_empty()));
        // Bars and areas stand on zero, without a margin below.
        let floor = self.marks.iter().any(|m| matches!(m.shape, Shape::Bars { .. } | Shape::Area { .. }));
        for (i, axis) in [Some(&mut self.x), Some(&mut self.y), self.z.as_mut()].into_iter().flatten().enumerate() {
            let [low, high] = bounds[i];
            let part = match i {
                0 if dots => 0.03,
                0 => 0.0,
                _ => 0.06,
            };
            let margin = |low: f64, high: f64| part * (high - low);
            let range = if low > high {
                [0.0, 1.0]
            } else if axis.log && high < 1.001 * low {
                [0.1 * low, 10.0 * high]
            } else if !axis.log && high - low <= 1e-9 * high.abs().max(low.abs()) {
                about(low)
            } else if axis.log {
                let (a, b) = (low.log10(), high.log10());
                [10f64.powf(a - margin(a, b)), 10f64.powf(b + margin(a, b))]
            } else {
                let margin = margin(low, high);
                let on_zero = i == 2 || (floor && i == 1);
                [if on_zero && low == 0.0 { 0.0 } else { low - margin }, high + margin]
            };
            // A range that was given may be empty too, as that of a histogram without values.
            let given = axis.range.get_or_insert(range);
            let [low, high] = *given;
            if !(low < high && (high - low).is_finite() && (!axis.log || low > 0.0)) {
                *given = if axis.log { [0.1, 10.0] } else { about(if low.is_finite() { low } else { 0.0 }) };
            }
            // Zero without a sign.
            *given = given.map(|end| end + 0.0);
        }
    }

    /// The ranges of x and y between axes of this width and height: the wider one of them grows if a unit of x is to be
    /// as long as a unit of y.
    pub(crate) fn shown(&self, width: f64, height: f64) -> [[f64; 2]; 2] {
        let [x, y] = [&self.x, &self.y].map(|axis| axis.range.expect("the figure is resolved"));
        if !self.equal {
            return [x, y];
        }
        let least = (width / (x[1] - x[0])).min(height / (y[1] - y[0]));
        let widen = |r: [f64; 2], long: f64| {
            let more = (long / least - (r[1] - r[0])) / 2.0;
            [r[0] - more, r[1] + more]
        };
        [widen(x, width), widen(y, height)]
    }
}

/// A range about a single value.
fn about(value: f64) -> [f64; 2] {
    let reach = if value == 0.0 { 0.5 } else { 0.5 * value.abs() };
    [value - reach, value + reach]
}
