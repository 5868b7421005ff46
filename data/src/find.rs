//! Lookup of relative paths, in the working directory and in the folder of data sets.
use crate::Error;
use std::path::{Path, PathBuf};

/// The environment variable that names the folder of data sets.
pub const DATA: &str = "TWEEDIE_DATA";

/// The existing file or folder of this path. An absolute path is used as it is; a relative one is looked up in the
/// working directory, then in the folder that the environment variable [`DATA`] names.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) with the places tried.
pub fn find(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let data = std::env::var_os(DATA).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    find_in(path, &here, data.as_deref())
}

/// [`find`] with the working directory and the folder of data sets given.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) with the places tried.
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
        None => Err(Error::not_found(path, &tried, data.is_some())),
    }
}
