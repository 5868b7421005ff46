//! Figures as data: what is drawn, not how.
mod axis;
mod color;
mod mark;
mod numbers;
mod panel;

pub use axis::Axis;
pub use color::Color;
pub use mark::{Level, Mark, Shape};
pub use numbers::Numbers;
pub use panel::{Panel, Scale};

use serde::Serialize;

/// Panels in a grid, optionally with a slider over frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// Title above the panels.
    pub title: String,
    /// Number of panels per row.
    pub columns: usize,
    /// Panels in reading order.
    pub panels: Vec<Panel>,
    /// Slider that selects the frame of all panels.
    pub slider: Option<Slider>,
    /// Whether a figure of one column is as wide as the page.
    pub wide: bool,
}

/// A slider over frames. One frame is visible at a time; marks without a frame are always visible.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slider {
    /// Name of the quantity that the slider changes.
    pub label: String,
    /// Value of that quantity at every frame.
    pub values: Vec<String>,
    /// Frame of a still picture, and the first that the browser shows.
    pub start: usize,
}

impl Figure {
    /// A figure with this number of panels per row.
    pub fn new(title: impl Into<String>, columns: usize) -> Self {
        Self { title: title.into(), columns: columns.max(1), ..Self::default() }
    }

    /// Adds a panel.
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Adds a slider over these values that starts at frame `start`.
    ///
    /// # Panics
    /// If `start` is not the index of a value.
    pub fn slider(mut self, label: impl Into<String>, values: Vec<String>, start: usize) -> Self {
        assert!(start < values.len(), "a slider of {} values cannot start at index {start}", values.len());
        self.slider = Some(Slider { label: label.into(), values, start });
        self
    }

    /// Makes a figure of one column as wide as the page.
    pub fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// The figure with the range of every axis set, so that both renderers use the same ranges.
    pub fn resolved(&self) -> Self {
        let mut figure = self.clone();
        figure.panels.iter_mut().for_each(Panel::resolve);
        figure
    }

    /// The frame that a still picture shows.
    pub fn start(&self) -> usize {
        self.slider.as_ref().map_or(0, |slider| slider.start)
    }

    /// The titles of the panels.
    pub fn titles(&self) -> Vec<&str> {
        self.panels.iter().map(|panel| panel.title.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_every_frame() {
        let panel = Panel::plane("", "x", "y")
            .mark(Mark::line([0.0, 1.0], [0.0, 1.0]).frame(0))
            .mark(Mark::line([0.0, 4.0], [f64::NAN, 9.0]).frame(1));
        let figure = Figure::new("", 1).panel(panel).resolved();
        let (x, y) = (figure.panels[0].x.range.unwrap(), figure.panels[0].y.range.unwrap());
        assert_eq!(x, [0.0, 4.0]);
        assert!(y[0] < 0.0 && y[1] > 9.0 && y[1] < 10.0);
    }
}
