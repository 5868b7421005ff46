//! The elements of a still picture, which SVG and PNG have in common.
use crate::{
    pixels::Pixels,
    space::Projection,
    text::{self, Anchor},
    theme::{Rgba, Theme},
};

/// Font size of ticks and legends, in pixels.
pub(super) const SMALL: f64 = 12.0;
/// Font size of labels, in pixels.
pub(super) const BODY: f64 = 13.0;

/// A still picture of a figure: elements in pixel coordinates, with the origin at the top left.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Background color.
    pub paper: Rgba,
    /// Elements in the order drawn.
    pub items: Vec<Item>,
    /// Map from data to pixels of each panel.
    pub maps: Vec<Map>,
}

/// An element of a picture.
#[derive(Clone, Debug)]
pub struct Item {
    /// Indices of the panel and of the mark that it shows; `None` for axes, ticks and labels.
    pub mark: Option<(usize, usize)>,
    /// Rectangle `[x, y, width, height]` that it is clipped to.
    pub clip: Option<[f64; 4]>,
    /// Shape.
    pub draw: Draw,
}

/// The shapes of elements.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum Draw {
    /// Polylines, or polygons if `closed`.
    Path { pieces: Vec<Vec<[f64; 2]>>, closed: bool, fill: Option<Rgba>, stroke: Option<Stroke> },
    /// Disk.
    Dot { at: [f64; 2], radius: f64, fill: Rgba },
    /// Text; `up` rotates it to read from bottom to top.
    Text { at: [f64; 2], text: String, size: f64, bold: bool, anchor: Anchor, color: Rgba, up: bool },
    /// Image over `[x, y, width, height]`, interpolated if `smooth`.
    Image { over: [f64; 4], pixels: Pixels, smooth: bool },
}

impl Draw {
    /// The rectangle `[x, y, width, height]` that a text covers; `None` for other shapes.
    pub fn text_box(&self) -> Option<[f64; 4]> {
        let Self::Text { at: [x, y], text, size, bold, anchor, up, .. } = self else { return None };
        let wide = text::width(text, *size, *bold);
        let before = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => wide / 2.0,
            Anchor::End => wide,
        };
        // Height of letters with accents, and depth of letters with descenders.
        let (above, below) = (0.8 * size, 0.22 * size);
        Some(match up {
            false => [x - before, y - above, wide, above + below],
            true => [x - above, y - wide + before, above + below, wide],
        })
    }
}

/// The style of a line.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    /// Color.
    pub color: Rgba,
    /// Width in pixels.
    pub width: f64,
    /// Whether the line is dashed.
    pub dashed: bool,
}

/// The map of a panel from data to pixels.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum Map {
    /// Two axes, with ranges `x` and `y`, over `[x, y, width, height]`.
    Plane { over: [f64; 4], x: [f64; 2], y: [f64; 2], log: [bool; 2] },
    /// A box in three dimensions, projected.
    Space(Projection),
}

/// The position of a value on an axis: 0 at its low end, 1 at its high end.
pub(super) fn along([low, high]: [f64; 2], log: bool, v: f64) -> f64 {
    if log { (v.log10() - low.log10()) / (high.log10() - low.log10()) } else { (v - low) / (high - low) }
}

impl Map {
    /// The pixel of a point of the plane.
    pub(super) fn at(&self, px: f64, py: f64) -> [f64; 2] {
        match self {
            Self::Plane { over: [left, top, width, height], x, y, log } => {
                [left + width * along(*x, log[0], px), top + height * (1.0 - along(*y, log[1], py))]
            }
            Self::Space(_) => unreachable!("marks of the plane are drawn in planes"),
        }
    }
}

impl Scene {
    /// An empty scene of this width, whose height grows as panels are added.
    pub(super) fn empty(width: f64, theme: Theme) -> Self {
        Self { width, height: 0.0, paper: theme.paper(), items: Vec::new(), maps: Vec::new() }
    }

    pub(super) fn push(&mut self, draw: Draw) {
        self.items.push(Item { mark: None, clip: None, draw });
    }

    /// Adds text.
    pub(super) fn text(&mut self, at: [f64; 2], text: &str, size: f64, bold: bool, anchor: Anchor, color: Rgba) {
        if !text.is_empty() {
            self.push(Draw::Text { at, text: text.to_owned(), size, bold, anchor, color, up: false });
        }
    }

    /// Adds text that reads from bottom to top.
    pub(super) fn text_upward(&mut self, at: [f64; 2], text: &str, size: f64, color: Rgba) {
        if !text.is_empty() {
            let (text, anchor) = (text.to_owned(), Anchor::Middle);
            self.push(Draw::Text { at, text, size, bold: false, anchor, color, up: true });
        }
    }

    /// Adds a straight line.
    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], color: Rgba, width: f64) {
        let stroke = Some(Stroke { color, width, dashed: false });
        self.push(Draw::Path { pieces: vec![vec![from, to]], closed: false, fill: None, stroke });
    }
}

/// The corners of `[x, y, width, height]`.
pub(super) fn rectangle([x, y, w, h]: [f64; 4]) -> Vec<[f64; 2]> {
    vec![[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
}

pub(super) fn rgb(c: Rgba) -> [u8; 3] {
    [c.0, c.1, c.2]
}
