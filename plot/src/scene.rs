//! The layout of a figure as a still picture, for SVG and PNG.
mod drawing;
mod layout;
mod plane;
mod solid;

pub use drawing::{Draw, Item, Map, Scene, Stroke};

use crate::{
    figure::{Axis, Figure, Panel},
    text::{self, Anchor},
    theme::Theme,
};
use drawing::BODY;
use layout::{BAR, Head, Margins};

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
            for line in text::wrapped(&figure.title, 17.0, true, width - 4.0 * GAP) {
                scene.text([width / 2.0, top + 15.0], &line, 17.0, true, Anchor::Middle, theme.ink());
                top += 24.0;
            }
            top += 6.0;
        }
        if let Some(slider) = &figure.slider {
            let label = format!("{} {}", slider.label, slider.values[frame]);
            for line in text::wrapped(&label, BODY, false, width - 4.0 * GAP) {
                scene.text([width / 2.0, top + 11.0], &line, BODY, false, Anchor::Middle, theme.muted());
                top += 18.0;
            }
            top += 4.0;
        }
        let margins = Margins::all(&figure.panels, cell);
        for (row, panels) in figure.panels.chunks(columns).enumerate() {
            let heads: Vec<Head> = panels.iter().map(|p| Head::new(p, cell, frame)).collect();
            let head = heads.iter().map(|h| h.height).fold(0.0, f64::max);
            let own = &margins[row * columns..];
            let body = panels.iter().zip(own).map(|(p, m)| m.height(p, cell)).fold(0.0, f64::max);
            for (column, panel) in panels.iter().enumerate() {
                let left = GAP + column as f64 * (cell + GAP);
                heads[column].draw(&mut scene, panel, theme, left, top);
                let index = row * columns + column;
                scene.panel(panel, index, theme, [left, top + head, cell], &own[column], frame);
            }
            top += head + body + GAP;
        }
        scene.height = top.ceil();
        scene
    }

    /// Adds one panel, its top left corner at `left`, `top`.
    fn panel(
        &mut self,
        panel: &Panel,
        index: usize,
        theme: Theme,
        [left, top, width]: [f64; 3],
        margins: &Margins,
        frame: usize,
    ) {
        let (inner, height) = margins.inner(panel, width);
        let over = [left + margins.left, top + margins.top, inner, height];
        let range = |axis: &Axis| axis.range.expect("the figure is resolved");
        if let Some(scale) = &panel.scale {
            let [gap, bar, _] = BAR;
            let after = width - margins.left - inner - gap;
            self.scale_bar(scale, theme, [over[0] + inner + gap, over[1], bar, over[3]], after);
        }
        match &panel.z {
            Some(z) => self.space(panel, index, theme, over, [range(&panel.x), range(&panel.y), range(z)], frame),
            None => self.plane(panel, index, theme, over, panel.shown(inner, height), frame),
        }
    }
}
