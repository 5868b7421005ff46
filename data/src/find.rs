//! Where a relative path is looked up.
use crate::Error;
use std::path::{Path, PathBuf};

/// The environment variable that names the folder of data sets.
pub const DATA: &str = "TWEEDIE_DATA";

/// The file or folder that `path` means: an absolute path is itself; a relative one is looked up under the working
/// directory, then under the folder that the environment variable [`DATA`] names.
///
/// # Errors
/// [`Error::NotFound`] with the places tried.
pub fn find(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let data = std::env::var_os(DATA).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    find_in(path, &here, data.as_deref())
}

/// [`find`] with both folders given.
///
/// # Errors
/// [`Error::NotFound`] with the places tried.
pub fn find_in(path: impl AsRef<Path>, here: &Path, data: Option<&Path>) -> Result<PathBuf, Error> {
    let path = path.as_ref();
    // An absolute path replaces what it is joined to.
    let mut tried = vec![here.join(path)];
    if let Some(data) = data.filter(|_| path.is_relative()) {
        // The variable may be relative itself.
        tried.push(here.join(data).join(path));
    }
    match tried.iter().position(|place| place.exists()) {
        Some(place) => Ok(tried.swap_remove(place)),
        None => Err(Error::NotFound { path: path.into(), tried, variable: data.is_some() }),
    }
}
