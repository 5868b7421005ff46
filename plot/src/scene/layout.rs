//! Margins, title and legend of a panel.
use super::drawing::{Draw, SMALL, Scene, Stroke, rectangle};
use crate::{
    figure::{Panel, Shape},
    text::{self, Anchor},
    theme::Theme,
};

/// The margins around the axes of a panel, in pixels.
pub(super) struct Margins {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Margins {
    pub fn of(panel: &Panel) -> Self {
        let bar = if panel.scale.is_some() { 68.0 } else { 0.0 };
        let bar_top = if panel.scale.is_some() { 18.0 } else { 4.0 };
        if panel.bare {
            Self { left: 4.0, right: 4.0 + bar, top: bar_top, bottom: 4.0 }
        } else if panel.z.is_some() {
            Self { left: 6.0, right: 6.0 + bar, top: bar_top, bottom: 6.0 }
        } else {
            Self { left: 62.0, right: 12.0 + bar, top: bar_top, bottom: 44.0 }
        }
    }

    /// The height of a panel in a column of width `cell`.
    pub fn height(&self, panel: &Panel, cell: f64) -> f64 {
        self.top + (cell - self.left - self.right) * panel.aspect + self.bottom
    }
}

/// Height of a line of the title or legend, in pixels.
const LINE: f64 = 19.0;

/// The title and legend above a panel.
pub(super) struct Head {
    title: Vec<String>,
    /// Index of the mark of each entry of the legend, and the position of the entry.
    entries: Vec<(usize, f64, f64)>,
    pub height: f64,
}

impl Head {
    /// The layout of title and legend in a column of width `cell`.
    pub fn new(panel: &Panel, cell: f64, frame: usize) -> Self {
        let title = wrap(&panel.title, cell - 8.0);
        let mut height = title.len() as f64 * LINE + if title.is_empty() { 0.0 } else { 3.0 };
        let mut entries: Vec<(usize, f64, f64)> = Vec::new();
        let mut x = 0.0;
        for (i, mark) in panel.marks.iter().enumerate() {
            let known = |e: &(usize, f64, f64)| panel.marks[e.0].name == mark.name;
            if mark.name.is_empty() || !mark.legend || !mark.seen(frame) || entries.iter().any(known) {
                continue;
            }
            let wide = 24.0 + text::width(&mark.name, SMALL, false) + 14.0;
            if entries.is_empty() {
                height += LINE;
            } else if x + wide > cell {
                height += LINE;
                x = 0.0;
            }
            entries.push((i, x, height - LINE));
            x += wide;
        }
        Self { title, entries, height: height + 2.0 }
    }

    /// Adds title and legend to a scene.
    pub fn draw(&self, scene: &mut Scene, panel: &Panel, theme: Theme, left: f64, top: f64) {
        for (i, line) in self.title.iter().enumerate() {
            let at = [left + 4.0, top + 13.0 + i as f64 * LINE];
            scene.text(at, line, 14.0, true, Anchor::Start, theme.ink());
        }
        for &(i, x, y) in &self.entries {
            let mark = &panel.marks[i];
            let (x, y) = (left + 4.0 + x, top + y + 9.0);
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
            scene.text([x + 24.0, y + 4.0], &mark.name, SMALL, false, Anchor::Start, theme.ink());
        }
    }
}

/// The text broken into lines of this width.
fn wrap(words: &str, wide: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text::width(&format!("{line} {word}"), 14.0, true) <= wide => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
