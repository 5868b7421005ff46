//! Text as outlines of glyphs, from two fonts that are part of the crate; no system font is used.
use serde::Serialize;
use std::sync::LazyLock;
use ttf_parser::{Face, GlyphId};

/// The point of a text that is placed at given coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchor {
    /// Its start (left).
    Start,
    /// Its middle.
    Middle,
    /// Its end (right).
    End,
}

/// DejaVu Sans Condensed, reduced to the glyphs of Latin, Greek and mathematics; see `font/LICENSE`.
static REGULAR: LazyLock<Face<'static>> = LazyLock::new(|| face(include_bytes!("../font/DejaVuSansCondensed.ttf")));
static BOLD: LazyLock<Face<'static>> = LazyLock::new(|| face(include_bytes!("../font/DejaVuSansCondensed-Bold.ttf")));

fn face(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("the built-in font is valid")
}

fn font(bold: bool) -> &'static Face<'static> {
    if bold { &BOLD } else { &REGULAR }
}

/// The width of a text at this font size, in pixels.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    let font = font(bold);
    let scale = size / f64::from(font.units_per_em());
    text.chars().map(|c| f64::from(font.glyph_hor_advance(glyph(font, c)).unwrap_or(0)) * scale).sum()
}

/// Whether the fonts have a glyph for this character.
pub fn has_glyph(letter: char) -> bool {
    REGULAR.glyph_index(letter).is_some() && BOLD.glyph_index(letter).is_some()
}

fn glyph(font: &Face<'_>, letter: char) -> GlyphId {
    font.glyph_index(letter).unwrap_or_default()
}

/// Draws the outlines of a text that starts at the origin, with y downward.
pub fn outline(text: &str, size: f64, bold: bool, out: &mut impl Pen) {
    let font = font(bold);
    let scale = size / f64::from(font.units_per_em());
    let mut x = 0.0;
    for letter in text.chars() {
        let id = glyph(font, letter);
        font.outline_glyph(id, &mut Shifted { x, scale, out });
        x += f64::from(font.glyph_hor_advance(id).unwrap_or(0)) * scale;
    }
}

/// A receiver of outlines.
pub trait Pen {
    /// Starts a contour.
    fn start(&mut self, x: f64, y: f64);
    /// Adds a straight line.
    fn line(&mut self, x: f64, y: f64);
    /// Adds a quadratic Bézier curve with control point (cx, cy).
    fn quad(&mut self, cx: f64, cy: f64, x: f64, y: f64);
    /// Closes the contour.
    fn close(&mut self);
}

struct Shifted<'a, P> {
    x: f64,
    scale: f64,
    out: &'a mut P,
}

impl<P: Pen> Shifted<'_, P> {
    fn at(&self, x: f32, y: f32) -> (f64, f64) {
        (self.x + f64::from(x) * self.scale, -f64::from(y) * self.scale)
    }
}

impl<P: Pen> ttf_parser::OutlineBuilder for Shifted<'_, P> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.out.start(x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.out.line(x, y);
    }
    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let ((cx, cy), (x, y)) = (self.at(cx, cy), self.at(x, y));
        self.out.quad(cx, cy, x, y);
    }
    fn curve_to(&mut self, _: f32, _: f32, _: f32, _: f32, _: f32, _: f32) {
        unreachable!("TrueType outlines are quadratic")
    }
    fn close(&mut self) {
        self.out.close();
    }
}
