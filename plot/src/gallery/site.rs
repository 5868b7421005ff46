//! Sites: pages with an index, written to a folder.
use crate::{
    html::{Page, index},
    theme::Theme,
};
use std::io;
use std::path::{Path, PathBuf};

/// Options of the still pictures of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stills {
    /// Theme.
    pub theme: Theme,
    /// Whether an SVG file is written in addition to every PNG file.
    pub svg: bool,
}

/// A folder of pages with an index.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Title of the index.
    pub title: String,
    /// Text below the title.
    pub text: String,
    /// Pages in the order of the index.
    pub pages: Vec<Page>,
}

impl Site {
    /// Writes `index.html`, an HTML file per page, and every figure as `SLUG.png` or `SLUG-N.png`, and as SVG if
    /// `stills` says so; returns the paths of the files.
    ///
    /// # Errors
    /// If the folder cannot be created or written to.
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
        write(&path, index(&self.title, &self.text, &cards))?;
        written.push(path);
        Ok(written)
    }
}

/// Writes a file completely or not at all: to a temporary file that is renamed, or removed if the disk is full.
fn write(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part).and_then(|mut file| {
        io::Write::write_all(&mut file, content.as_ref())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    });
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&part);
    })
}

/// The part of a title before a colon, as the text of a link.
fn short(title: &str) -> &str {
    title.split(':').next().unwrap_or(title)
}

/// The file name of the PNG file of a figure.
fn picture_name(page: &Page, figure: usize) -> String {
    if page.figures.len() < 2 { format!("{}.png", page.slug) } else { format!("{}-{}.png", page.slug, figure + 1) }
}

impl Page {
    /// Writes the page and its figures to a folder; returns the paths of the files.
    ///
    /// # Errors
    /// If the folder cannot be created or written to.
    pub fn write(&self, folder: &Path, stills: Stills, links: &[(&str, &str)]) -> io::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.html", self.slug));
        write(&path, self.html(links))?;
        let mut written = vec![path];
        for (i, figure) in self.figures.iter().enumerate() {
            let path = folder.join(picture_name(self, i));
            write(&path, figure.png(stills.theme))?;
            if stills.svg {
                let path = path.with_extension("svg");
                write(&path, figure.svg(stills.theme))?;
                written.push(path);
            }
            written.push(path);
        }
        Ok(written)
    }
}
