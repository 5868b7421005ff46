//! The pictures that explain diffusion, from plain numbers and functions.
//!
//! Nothing here knows a Gaussian or a schedule: densities, samples and coefficients come from the caller, and what comes
//! back is a [`Figure`]. A [`Site`] is a folder of pages with an index.
mod conditional;
mod convolution;
mod forward;
mod joint;
mod process;
mod run;
mod schedule;
mod univariate;

pub use conditional::{Given, conditional};
pub use convolution::{Term, convolution};
pub use forward::{Noised, forward_slider, forward_strip};
pub use joint::{Joint, covariances, isotropic, joint_surface};
pub use process::{Flow, process};
pub use run::{Run, Series, run, run_samples};
pub use schedule::{Curves, schedules};
pub use univariate::{Curve, families, univariate};

use crate::{Figure, Page, Theme, index};
use std::io;
use std::path::{Path, PathBuf};

/// A function of one number.
pub type Function<'a> = &'a dyn Fn(f64) -> f64;

/// `n` numbers from low to high, both included.
pub fn grid(low: f64, high: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| low + (high - low) * i as f64 / (n as f64 - 1.0)).collect()
}

/// The shares of the values in `bins` intervals from low to high, as a density, with the edges.
pub fn histogram(values: &[f64], [low, high]: [f64; 2], bins: usize) -> (Vec<f64>, Vec<f64>) {
    let wide = (high - low) / bins as f64;
    let mut counts = vec![0.0; bins];
    for &v in values.iter().filter(|&&v| v >= low && v <= high) {
        counts[(((v - low) / wide) as usize).min(bins - 1)] += 1.0;
    }
    let total = values.len().max(1) as f64 * wide;
    (grid(low, high, bins + 1), counts.into_iter().map(|c| c / total).collect())
}

/// A small number as it is read, `4.7×10⁻⁴`.
pub fn scientific(v: f64) -> String {
    crate::ticks::scientific(v)
}

/// How still pictures are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stills {
    /// Their colours.
    pub theme: Theme,
    /// Whether there is an SVG file beside every PNG file.
    pub svg: bool,
}

/// Pages with an index.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Above the index.
    pub title: String,
    /// Below the title.
    pub text: String,
    /// In order.
    pub pages: Vec<Page>,
}

impl Site {
    /// Writes `index.html`, a page each, and every figure as `SLUG.png` or `SLUG-N.png`, as SVG too where that is wished;
    /// returns what was written.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn write(&self, folder: &Path, stills: Stills) -> io::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder)?;
        let files: Vec<String> = self.pages.iter().map(|page| format!("{}.html", page.slug)).collect();
        let mut links = vec![("index.html", "Gallery")];
        links.extend(files.iter().zip(&self.pages).map(|(file, page)| (file.as_str(), short(&page.title))));
        let mut written = Vec::new();
        let mut cards = Vec::new();
        for (file, page) in files.iter().zip(&self.pages) {
            written.extend(page.write(folder, stills, &links)?);
            let picture = picture_name(page, 0);
            let first = page.text.split_inclusive(". ").next().unwrap_or_default().trim();
            cards.push((file.clone(), page.title.clone(), first.to_owned(), picture));
        }
        let path = folder.join("index.html");
        std::fs::write(&path, index(&self.title, &self.text, &cards))?;
        written.push(path);
        Ok(written)
    }
}

/// The words of a title before a colon: enough for a link.
fn short(title: &str) -> &str {
    title.split(':').next().unwrap_or(title)
}

fn picture_name(page: &Page, figure: usize) -> String {
    if page.figures.len() < 2 { format!("{}.png", page.slug) } else { format!("{}-{}.png", page.slug, figure + 1) }
}

impl Page {
    /// Writes the page and its figures as files; returns what was written.
    ///
    /// # Errors
    /// When the folder cannot be made or written to.
    pub fn write(&self, folder: &Path, stills: Stills, links: &[(&str, &str)]) -> io::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.html", self.slug));
        std::fs::write(&path, self.html(links))?;
        let mut written = vec![path];
        for (i, figure) in self.figures.iter().enumerate() {
            let path = folder.join(picture_name(self, i));
            std::fs::write(&path, figure.png(stills.theme))?;
            if stills.svg {
                let path = path.with_extension("svg");
                std::fs::write(&path, figure.svg(stills.theme))?;
                written.push(path);
            }
            written.push(path);
        }
        Ok(written)
    }
}

impl Figure {
    /// The titles of the panels.
    pub fn titles(&self) -> Vec<&str> {
        self.panels.iter().map(|panel| panel.title.as_str()).collect()
    }
}
