//! The pictures below a folder.
use super::metadata;
use crate::{Error, Notes, limits};
use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind::NotFound,
    path::{Path, PathBuf},
};

/// Endings of the names of picture files, in lower case.
pub(super) const ENDINGS: [&str; 11] =
    ["png", "apng", "jpg", "jpeg", "jfif", "webp", "gif", "bmp", "dib", "tif", "tiff"];

/// Files and folders that systems put beside pictures; they are ignored, as names that start with a dot are.
const SERVICE: [&str; 10] = [
    "@eadir",
    "@recycle",
    "#recycle",
    "__macosx",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
];

/// An entry of a folder that is read.
pub(super) enum Entry {
    /// A folder.
    Folder(PathBuf),
    /// A picture file, by its name.
    Picture(PathBuf),
}

/// A walk through a folder, which reads every folder once.
pub(super) struct Walk {
    /// The real paths of the folder and of the folders outside of it that links lead to.
    roots: Vec<PathBuf>,
    /// Whether the tables beside the pictures are read, so that they do not count as left out.
    tables: bool,
    /// What is left out.
    pub notes: Notes,
    /// Folders that cannot be listed, and why.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl Walk {
    pub fn new(folder: &Path, tables: bool) -> Result<Self, Error> {
        let root = fs::canonicalize(folder).map_err(Error::io(folder, "list"))?;
        Ok(Self { roots: vec![root], tables, notes: Notes::default(), unreadable: Vec::new() })
    }

    /// The pictures and folders in a folder in the order of their names, without hidden ones.
    pub fn entries(&mut self, folder: &Path) -> Result<Vec<Entry>, Error> {
        let list = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
        let mut paths =
            list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(Error::io(folder, "list"))?;
        paths.retain(|path| !path.file_name().is_some_and(is_hidden));
        paths.sort();
        Ok(paths.into_iter().filter_map(|path| self.entry(path)).collect())
    }

    fn entry(&mut self, path: PathBuf) -> Option<Entry> {
        let linked = path.is_symlink();
        let kind = match fs::metadata(&path) {
            Ok(about) => about.file_type(),
            Err(error) => {
                match (linked, error.kind()) {
                    (true, NotFound) => self.notes.add_special("links that lead nowhere"),
                    (true, _) => self.notes.add_special("links that cannot be followed"),
                    (false, _) => self.unreadable.push((path, error.to_string())),
                }
                return None;
            }
        };
        if kind.is_dir() {
            if linked && !self.leads_out(&path) {
                self.notes.add_special("links to folders that are read already or hold this one");
                return None;
            }
            return Some(Entry::Folder(path));
        }
        if !kind.is_file() {
            self.notes.add_special(match limits::special(kind) {
                "a pipe" => "pipes",
                "a socket" => "sockets",
                "a device" => "devices",
                _ => "special files",
            });
            return None;
        }
        if is_picture(&path) {
            return Some(Entry::Picture(path));
        }
        let is_table = path.file_name().is_some_and(|name| metadata::NAMES.iter().any(|table| name == *table));
        if !(is_table && self.tables) {
            self.notes.add_ending(&path);
        }
        None
    }

    /// Whether a link to a folder leads to one that would not be read otherwise; if so, it counts as read.
    fn leads_out(&mut self, link: &Path) -> bool {
        let Ok(target) = fs::canonicalize(link) else { return false };
        let read = |root: &PathBuf| match target.strip_prefix(root) {
            // In a hidden folder, which is not read itself.
            Ok(rest) => !rest.iter().any(is_hidden),
            Err(_) => root.starts_with(&target),
        };
        if self.roots.iter().any(read) {
            return false;
        }
        self.roots.push(target);
        true
    }

    /// Adds the pictures below a folder to `files`.
    pub fn collect(&mut self, folder: &Path, files: &mut Vec<PathBuf>) {
        let entries = match self.entries(folder) {
            Ok(entries) => entries,
            Err(error) => {
                return self.unreadable.push((folder.to_owned(), error.to_string().trim_end_matches('.').to_owned()));
            }
        };
        for entry in entries {
            match entry {
                Entry::Folder(folder) => self.collect(&folder, files),
                Entry::Picture(file) => files.push(file),
            }
        }
    }
}

/// Whether a name is hidden or that of a service file or folder.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || SERVICE.contains(&&*name.to_lowercase())
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}
