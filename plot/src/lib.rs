//! Figures as data, rendered as interactive HTML, SVG and PNG.
//!
//! A [`Figure`] has panels, a [`Panel`] has marks, and a [`Mark`] is a line, an area, dots, bars, arrows, contours, a
//! heat map, an image, a surface or text. Marks may belong to a frame of a slider. The same figure is rendered as a
//! page that needs nothing but a browser ([`Page`]: tooltips, zoom, rotation of surfaces, slider) and as a still
//! picture ([`Figure::svg`], [`Figure::png`]); the ranges of axes are computed once for both.
//!
//! ```
//! use tweedie_plot::{Figure, Mark, Page, Panel, Theme};
//! let x: Vec<f64> = (0..200).map(|i| f64::from(i) / 20.0).collect();
//! let y: Vec<f64> = x.iter().map(|x| (-x / 3.0).exp() * (4.0 * x).cos()).collect();
//! let panel = Panel::plane("Damped oscillation", "time / s", "height / m").mark(Mark::line(x, y).name("pendulum"));
//! let figure = Figure::new("", 1).panel(panel);
//! assert!(figure.svg(Theme::Dark).contains("height / m"));
//! assert!(figure.png(Theme::Light).starts_with(b"\x89PNG"));
//! let page = Page { title: "Oscillation".into(), figures: vec![figure], ..Page::default() };
//! assert!(page.html(&[]).len() < 100_000);
//! ```
//!
//! The renderers are the crate's own: about 800 lines of script per page, instead of the four megabytes of a plotting
//! library, and anti-aliased paths by tiny-skia. Glyphs come from fonts within the program, so pictures are the same on
//! every system.
#![forbid(unsafe_code)]

mod contour;
mod figure;
pub mod gallery;
mod html;
mod pixels;
mod raster;
pub mod scene;
pub mod space;
mod text;
mod theme;
mod ticks;
mod vector;

pub use figure::{Axis, Color, Figure, Level, Mark, Numbers, Panel, Scale, Shape, Slider};
pub use html::{Link, Page, index};
pub use pixels::Pixels;
pub use text::{Anchor, width as text_width};
pub use theme::{Palette, Rgba, Theme};

impl Figure {
    /// The figure as an SVG file, at the frame where its slider starts.
    pub fn svg(&self, theme: Theme) -> String {
        vector::svg(&scene::Scene::new(self, theme, self.start()))
    }

    /// The figure as an image of `density` pixels per unit, at the frame where its slider starts.
    pub fn pixels(&self, theme: Theme, density: f64) -> Pixels {
        raster::pixels(&scene::Scene::new(self, theme, self.start()), density)
    }

    /// The figure as a PNG file of two pixels per unit, at the frame where its slider starts.
    pub fn png(&self, theme: Theme) -> Vec<u8> {
        self.pixels(theme, 2.0).png()
    }

    /// The characters of the figure for which the fonts within the crate have no glyph: they are drawn as code points.
    pub fn missing_glyphs(&self) -> Vec<char> {
        let scene = scene::Scene::new(self, Theme::Light, self.start());
        let texts = scene.items.iter().filter_map(|item| match &item.draw {
            scene::Draw::Text { text, .. } => Some(text.chars()),
            _ => None,
        });
        let mut missing: Vec<char> = texts.flatten().filter(|&c| !text::has_glyph(c)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}
