//! Text as outlines of glyphs, from fonts that are part of the program; no system font is used.
//!
//! Latin, Greek and mathematics are in DejaVu Sans; other characters of the Basic Multilingual Plane are the bitmaps of
//! GNU Unifont; what neither has is written as its code point, `U+1F600`.
use serde::Serialize;
use std::{borrow::Cow, sync::LazyLock};
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
#[doc(alias = "text_extents")]
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    let font = font(bold);
    spelled(text).chars().map(|c| glyph(font, c).advance(font, size)).sum()
}

/// Whether the outlines of this text are all from DejaVu Sans, and so its width that of a browser which has that font.
pub fn is_outlined(text: &str) -> bool {
    text.chars().all(|c| REGULAR.glyph_index(c).is_some() && BOLD.glyph_index(c).is_some())
}

/// Whether one of the fonts has a glyph for this character.
pub fn has_glyph(letter: char) -> bool {
    is_outlined(letter.encode_utf8(&mut [0; 4])) || unifont::get_glyph(letter).is_some()
}

/// The text with each character that no font has as its code point.
fn spelled(text: &str) -> Cow<'_, str> {
    if text.chars().all(has_glyph) {
        return text.into();
    }
    let spell = |c: char| if has_glyph(c) { c.to_string() } else { format!("U+{:04X}", u32::from(c)) };
    text.chars().map(spell).collect::<String>().into()
}

/// The text at the largest size up to `size` at which it is at most `wide`, but not below three quarters of it: from
/// there on its middle is left out.
pub fn fitted(text: &str, size: f64, bold: bool, wide: f64) -> (String, f64) {
    let natural = width(text, size, bold);
    if natural <= wide {
        return (text.to_owned(), size);
    }
    let size = size * (wide / natural).max(0.75);
    if width(text, size, bold) <= wide * (1.0 + 1e-9) {
        return (text.to_owned(), size);
    }
    let letters: Vec<char> = text.chars().collect();
    let shown = |kept: usize| -> String {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        letters[..head].iter().chain(['…'].iter()).chain(&letters[letters.len() - tail..]).collect()
    };
    let kept = (1..letters.len()).rev().find(|&kept| width(&shown(kept), size, bold) <= wide);
    (kept.map_or_else(|| "…".to_owned(), shown), size)
}

/// The text broken into lines of this width at spaces, and within words that are longer.
pub fn wrapped(text: &str, size: f64, bold: bool, wide: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size, bold) <= wide => {
                line.push(' ');
                line.push_str(word);
                continue;
            }
            _ => lines.push(String::new()),
        }
        for letter in word.chars() {
            let line = lines.last_mut().expect("a line was begun");
            line.push(letter);
            if width(line, size, bold) > wide && line.chars().count() > 1 {
                line.pop();
                lines.push(letter.to_string());
            }
        }
    }
    lines
}

/// The glyph of a character.
enum Glyph {
    Outline(GlyphId),
    Bitmap(&'static unifont::Glyph),
}

fn glyph(font: &Face<'_>, letter: char) -> Glyph {
    match (font.glyph_index(letter), unifont::get_glyph(letter)) {
        (None, Some(bitmap)) => Glyph::Bitmap(bitmap),
        (id, _) => Glyph::Outline(id.unwrap_or_default()),
    }
}

/// Side of a pixel of a bitmap at font size 1: its capital letters are 10 pixels high, those of DejaVu Sans 0.73.
const PIXEL: f64 = 0.073;
/// Rows of a bitmap above the baseline.
const ASCENT: f64 = 14.0;

impl Glyph {
    fn advance(&self, font: &Face<'_>, size: f64) -> f64 {
        match self {
            Self::Outline(id) => {
                f64::from(font.glyph_hor_advance(*id).unwrap_or(0)) * size / f64::from(font.units_per_em())
            }
            Self::Bitmap(bitmap) => bitmap.get_width() as f64 * PIXEL * size,
        }
    }
}

/// Draws the outlines of a text that starts at the origin, with y downward.
pub fn outline(text: &str, size: f64, bold: bool, out: &mut impl Pen) {
    let font = font(bold);
    let scale = size / f64::from(font.units_per_em());
    let mut x = 0.0;
    for letter in spelled(text).chars() {
        let glyph = glyph(font, letter);
        match &glyph {
            Glyph::Outline(id) => {
                font.outline_glyph(*id, &mut Shifted { x, scale, out });
            }
            Glyph::Bitmap(bitmap) => pixels(bitmap, x, PIXEL * size, out),
        }
        x += glyph.advance(font, size);
    }
}

/// Draws a bitmap as one rectangle per run of pixels in a row.
fn pixels(bitmap: &unifont::Glyph, x: f64, side: f64, out: &mut impl Pen) {
    let wide = bitmap.get_width();
    for row in 0..16 {
        let mut column = 0;
        while column < wide {
            let length = (column..wide).take_while(|&c| bitmap.get_pixel(c, row)).count();
            if length > 0 {
                let (left, right) = (x + column as f64 * side, x + (column + length) as f64 * side);
                let (top, bottom) = ((row as f64 - ASCENT) * side, (row as f64 + 1.0 - ASCENT) * side);
                out.start(left, top);
                out.line(right, top);
                out.line(right, bottom);
                out.line(left, bottom);
                out.close();
            }
            column += length.max(1);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit_the_width_that_they_are_given() {
        for text in
            ["short", "a title of several words, which is rather long", &"x".repeat(300), "名前".repeat(40).as_str()]
        {
            for wide in [20.0, 90.0, 250.0] {
                let (shown, size) = fitted(text, 13.0, false, wide);
                assert!(width(&shown, size, false) <= wide * (1.0 + 1e-9), "{shown}");
                assert!(size >= 0.75 * 13.0 - 1e-9 && (shown == text || shown.contains('…')));
                let lines = wrapped(text, 13.0, false, wide);
                assert!(lines.iter().all(|line| width(line, 13.0, false) <= wide), "{lines:?}");
                let letters = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(letters(&lines.concat()), letters(text), "nothing is lost");
            }
        }
    }

    #[test]
    fn characters_outside_latin_have_glyphs_of_their_own() {
        #[derive(Default)]
        struct Count(usize, Vec<[f64; 2]>);
        impl Pen for Count {
            fn start(&mut self, x: f64, y: f64) {
                self.1.push([x, y]);
            }
            fn line(&mut self, x: f64, y: f64) {
                self.1.push([x, y]);
            }
            fn quad(&mut self, _: f64, _: f64, x: f64, y: f64) {
                self.1.push([x, y]);
            }
            fn close(&mut self) {
                self.0 += 1;
            }
        }
        let drawn = |text: &str| {
            let mut pen = Count::default();
            outline(text, 12.0, false, &mut pen);
            (pen.0, pen.1)
        };
        let names = ["名前", "кошка", "γάτα", "고양이", "עברית", "ไทย", "?"];
        let shapes = names.map(drawn);
        for (i, (contours, points)) in shapes.iter().enumerate() {
            assert!(*contours > 0, "{}", names[i]);
            assert!(points.iter().all(|p| p[0] >= -1.0 && p[0] <= width(names[i], 12.0, false) + 1.0), "{}", names[i]);
            assert!(points.iter().all(|p| (-13.0..=4.0).contains(&p[1])), "{}", names[i]);
            assert!(shapes[..i].iter().all(|other| other != &shapes[i]), "{} looks like another name", names[i]);
        }
        assert_eq!(spelled("a😀"), "aU+1F600");
    }
}
