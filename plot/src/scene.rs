//! The layout of a figure as a still picture, for SVG and PNG.
mod drawing;
mod layout;
mod plane;
mod solid;

pub use drawing::{Draw, Item, Map, Scene, Stroke};

use crate::{
    figure::{Axis, Figure, Panel},
    text::Anchor,
    theme::Theme,
};
use drawing::BODY;
use layout::{Head, Margins};

/// Gap between panels, in pixels.
const GAP: f64 = 14.0;

impl Scene {
    /// The figure at one frame of its slider.
    pub fn new(figure: &Figure, theme: Theme, frame: usize) -> Self {
        let figure = figure.resolved();
        let columns = figure.columns.min(figure.panels.len()).max(1);
        let width = [760.0, 1040.0, 1280.0, 1400.0][(columns + usize::from(figure.wide)).min(4) - 1];
        let cell = (width - GAP * (columns as f64 + 1.0)) / columns as f64;
        let mut scene = Self::empty(width, theme);
        let mut top = GAP;
        if !figure.title.is_empty() {
            scene.text([width / 2.0, top + 15.0], &figure.title, 17.0, true, Anchor::Middle, theme.ink());
            top += 30.0;
        }
        if let Some(slider) = &figure.slider {
            let label = format!("{} {}", slider.label, slider.values[frame]);
            scene.text([width / 2.0, top + 11.0], &label, BODY, false, Anchor::Middle, theme.muted());
            top += 22.0;
        }
        for (row, panels) in figure.panels.chunks(columns).enumerate() {
            let heads: Vec<Head> = panels.iter().map(|p| Head::new(p, cell, frame)).collect();
            let head = heads.iter().map(|h| h.height).fold(0.0, f64::max);
            let body = panels.iter().map(|p| Margins::of(p).height(p, cell)).fold(0.0, f64::max);
            for (column, panel) in panels.iter().enumerate() {
                let left = GAP + column as f64 * (cell + GAP);
                heads[column].draw(&mut scene, panel, theme, left, top);
                let index = row * columns + column;
                scene.panel(panel, index, theme, [left, top + head, cell], frame);
            }
            top += head + body + GAP;
        }
        scene.height = top.ceil();
        scene
    }

    /// Adds one panel, its top left corner at `left`, `top`.
    fn panel(&mut self, panel: &Panel, index: usize, theme: Theme, [left, top, width]: [f64; 3], frame: usize) {
        let margins = Margins::of(panel);
        let over = [
            left + margins.left,
            top + margins.top,
            width - margins.left - margins.right,
            (width - margins.left - margins.right) * panel.aspect,
        ];
        let range = |axis: &Axis| axis.range.expect("the figure is resolved");
        if let Some(scale) = &panel.scale {
            self.scale_bar(scale, theme, [left + width - margins.right + 14.0, over[1], 12.0, over[3]]);
        }
        let (x, y) = (range(&panel.x), range(&panel.y));
        match &panel.z {
            Some(z) => self.space(panel, index, theme, over, [x, y, range(z)], frame),
            None => self.plane(panel, index, theme, over, [x, y], frame),
        }
    }
}
