//! Margins, title and legend of a panel.
use super::drawing::{BODY, Draw, SMALL, Scene, Stroke, along, rectangle};
use crate::{
    figure::{Panel, Shape},
    text::{self, Anchor},
    theme::Theme,
    ticks::{of_axis, ticks},
};

/// The margins around the axes of a panel, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Margins {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// Space between the panel and the bar of a color scale, width of the bar, and space between bar and its ticks.
pub(super) const BAR: [f64; 3] = [14.0, 12.0, 7.0];

impl Margins {
    /// The margins of a panel in a column of width `cell`, wide enough for its ticks and labels.
    pub fn of(panel: &Panel, cell: f64) -> Self {
        let bar = panel.scale.as_ref().map_or(0.0, |scale| {
            let marks = ticks(scale.range, false, (cell * panel.aspect / 48.0) as usize);
            (BAR.iter().sum::<f64>() + widest(&marks) + 2.0).max(68.0)
        });
        let bar_top = if panel.scale.is_some() { 18.0 } else { 4.0 };
        if panel.bare {
            return Self { left: 4.0, right: 4.0 + bar, top: bar_top, bottom: 4.0 };
        }
        if panel.z.is_some() {
            return Self { left: 6.0, right: 6.0 + bar, top: bar_top, bottom: 6.0 };
        }
        let mut margins = Self { left: 62.0, right: 12.0 + bar, top: bar_top, bottom: 44.0 };
        // The margins change the length of the axes, which changes the ticks, which may change the margins once more.
        for _ in 0..3 {
            let (width, height) = margins.inner(panel, cell);
            let [x, y] = panel.shown(width, height);
            margins.left = margins.left.max(widest(&y_ticks(panel, y, height)) + 14.0 + BODY);
            for (at, label) in x_ticks(panel, x, width) {
                let half = text::width(&label, SMALL, false) / 2.0;
                let beyond = half - width * (1.0 - along(x, panel.x.log, at)) + 2.0;
                margins.right = margins.right.max(beyond.min(0.3 * cell) + bar);
            }
        }
        margins
    }

    /// Width and height between the axes of a panel in a column of width `cell`.
    pub fn inner(&self, panel: &Panel, cell: f64) -> (f64, f64) {
        let width = (cell - self.left - self.right).max(20.0);
        (width, width * panel.aspect)
    }

    /// The height of a panel in a column of width `cell`.
    pub fn height(&self, panel: &Panel, cell: f64) -> f64 {
        self.top + self.inner(panel, cell).1 + self.bottom
    }

    /// The margins of panels of one figure: planes with axes have the same ones, so that their axes are aligned.
    pub fn all(panels: &[Panel], cell: f64) -> Vec<Self> {
        let mut all: Vec<Self> = panels.iter().map(|panel| Self::of(panel, cell)).collect();
        let axes = |panel: &Panel| !panel.bare && panel.z.is_none();
        let most = |of: fn(&Self) -> f64, all: &[Self]| {
            panels.iter().zip(all).filter(|(panel, _)| axes(panel)).map(|(_, m)| of(m)).fold(0.0, f64::max)
        };
        let (left, right) = (most(|m| m.left, &all), most(|m| m.right, &all));
        for (margins, _) in all.iter_mut().zip(panels).filter(|(_, panel)| axes(panel)) {
            (margins.left, margins.right) = (left, right);
        }
        all
    }
}

/// The ticks of the horizontal axis of a plane of this width.
pub(super) fn x_ticks(panel: &Panel, x: [f64; 2], width: f64) -> Vec<(f64, String)> {
    of_axis(&panel.x, x, ((width / 75.0) as usize).max(4))
}

/// The ticks of the vertical axis of a plane of this height.
pub(super) fn y_ticks(panel: &Panel, y: [f64; 2], height: f64) -> Vec<(f64, String)> {
    of_axis(&panel.y, y, (height / 48.0) as usize)
}

/// The width of the widest label, in pixels.
pub(super) fn widest(ticks: &[(f64, String)]) -> f64 {
    ticks.iter().map(|(_, label)| text::width(label, SMALL, false)).fold(0.0, f64::max)
}

/// Height of a line of the title or legend, in pixels.
const LINE: f64 = 19.0;

/// The title and legend above a panel.
pub(super) struct Head {
    title: Vec<String>,
    note: Vec<String>,
    entries: Vec<Entry>,
    pub height: f64,
}

/// An entry of the legend: its mark, text, font size and position.
struct Entry {
    mark: usize,
    name: String,
    size: f64,
    at: [f64; 2],
}

impl Head {
    /// The layout of title and legend in a column of width `cell`.
    pub fn new(panel: &Panel, cell: f64, frame: usize) -> Self {
        let title = text::wrapped(&panel.title, 14.0, true, cell - 8.0);
        let note = text::wrapped(&panel.note, SMALL, false, cell - 8.0);
        let above = title.len() + note.len();
        let mut height = above as f64 * LINE + if above == 0 { 0.0 } else { 3.0 };
        let mut entries: Vec<Entry> = Vec::new();
        let mut x = 0.0;
        for (i, mark) in panel.marks.iter().enumerate() {
            let known = |e: &Entry| panel.marks[e.mark].name == mark.name;
            if mark.name.is_empty() || !mark.legend || !mark.seen(frame) || entries.iter().any(known) {
                continue;
            }
            let (name, size) = text::fitted(&mark.name, SMALL, false, cell - 32.0);
            let wide = 24.0 + text::width(&name, size, false) + 14.0;
            if entries.is_empty() {
                height += LINE;
            } else if x + wide > cell {
                height += LINE;
                x = 0.0;
            }
            entries.push(Entry { mark: i, name, size, at: [x, height - LINE] });
            x += wide;
        }
        Self { title, note, entries, height: height + 2.0 }
    }

    /// Adds title and legend to a scene.
    pub fn draw(&self, scene: &mut Scene, panel: &Panel, theme: Theme, left: f64, top: f64) {
        for (i, line) in self.title.iter().enumerate() {
            let at = [left + 4.0, top + 13.0 + i as f64 * LINE];
            scene.text(at, line, 14.0, true, Anchor::Start, theme.ink());
        }
        for (i, line) in self.note.iter().enumerate() {
            let at = [left + 4.0, top + 13.0 + (self.title.len() + i) as f64 * LINE];
            scene.text(at, line, SMALL, false, Anchor::Start, theme.muted());
        }
        for entry in &self.entries {
            let mark = &panel.marks[entry.mark];
            let (x, y) = (left + 4.0 + entry.at[0], top + entry.at[1] + 9.0);
            let color = theme.color(mark.color).fade(mark.opacity.max(0.4));
            match mark.shape {
                Shape::Points { .. } | Shape::Cloud { .. } => {
                    scene.push(Draw::Dot { at: [x + 9.0, y], radius: 4.0, fill: color });
                }
                Shape::Area { .. } | Shape::Bars { .. } => {
                    let pieces = vec![rectangle([x, y - 5.0, 18.0, 10.0])];
                    scene.push(Draw::Path { pieces, closed: true, fill: Some(color), stroke: None });
                }
                _ => {
                    let stroke = Some(Stroke { color, width: mark.width.max(1.5), dashed: mark.dashed });
                    let pieces = vec![vec![[x, y], [x + 18.0, y]]];
                    scene.push(Draw::Path { pieces, closed: false, fill: None, stroke });
                }
            }
            scene.text([x + 24.0, y + 4.0], &entry.name, entry.size, false, Anchor::Start, theme.ink());
        }
    }
}
