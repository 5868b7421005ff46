//! Figures as data, drawn as interactive HTML, as SVG and as PNG.
//!
//! A [`Figure`] holds panels, a [`Panel`] holds marks, a [`Mark`] is a line, an area, dots, bars, arrows, contours, a
//! heat map, an image, a surface or words. Marks may belong to a frame of a slider. The same figure is drawn by a page
//! that needs nothing but a browser ([`Page`]: point at a curve for its values, drag to zoom, turn surfaces, move the
//! slider) and still ([`Figure::svg`], [`Figure::png`]); ranges are decided once, before either draws.
//!
//! ```
//! use tweedie_plot::{Figure, Mark, Page, Panel, Theme};
//! let x: Vec<f64> = (0..200).map(|i| f64::from(i) / 20.0).collect();
//! let y: Vec<f64> = x.iter().map(|x| (-x / 3.0).exp() * (4.0 * x).cos()).collect();
//! let panel = Panel::plane("A damped swing", "time / s", "height / m").mark(Mark::line(x, y).name("pendulum"));
//! let figure = Figure::new("", 1).panel(panel);
//! assert!(figure.svg(Theme::Dark).contains("height / m"));
//! assert!(figure.png(Theme::Light).starts_with(b"\x89PNG"));
//! let page = Page { title: "Swing".into(), figures: vec![figure], ..Page::default() };
//! assert!(page.html(&[]).len() < 100_000);
//! ```
//!
//! The drawing is the crate's own: some 750 lines of script on a page instead of the four megabytes of a plotting
//! library, and paths filled by tiny-skia, smooth at any width. Letters come from a font within the crate, so that no
//! font of the system is needed and a picture is the same everywhere.
#![forbid(unsafe_code)]

mod contour;
mod figure;
pub mod gallery;
mod html;
mod raster;
pub mod scene;
pub mod space;
mod text;
mod theme;
mod ticks;
mod vector;

pub use figure::{Anchor, Axis, Colour, Figure, Level, Mark, Numbers, Panel, Pixels, Scale, Shape, Slider};
pub use html::{Link, Page, index};
pub use theme::{Palette, Rgba, Theme};

impl Figure {
    /// The figure as the text of an SVG file, at the frame where its slider starts.
    pub fn svg(&self, theme: Theme) -> String {
        vector::svg(&scene::Scene::new(self, theme, self.start()))
    }

    /// The figure as a PNG file, at the frame where its slider starts, two pixels to the point.
    pub fn png(&self, theme: Theme) -> Vec<u8> {
        raster::png(&scene::Scene::new(self, theme, self.start()), 2.0)
    }

    /// The letters that the font within the crate does not have.
    pub fn unreadable(&self) -> Vec<char> {
        let scene = scene::Scene::new(self, Theme::Light, self.start());
        let words = scene.items.iter().filter_map(|item| match &item.draw {
            scene::Draw::Text { text, .. } => Some(text.chars()),
            _ => None,
        });
        let mut missing: Vec<char> = words.flatten().filter(|&c| !text::has(c)).collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}
