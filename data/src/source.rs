//! Sources of image sets.
mod decode;
mod digits;
mod folder;
mod hold_out;
mod idx;
mod labels;
mod metadata;
mod parquet;
mod tree;

pub use decode::Unreadable;
pub use digits::Digits;
pub use folder::Folder;
pub use idx::Idx;
pub use parquet::Parquet;

use crate::{Error, Images, Split};
use std::fmt::Debug;

/// A source of a set of images: settings that can be read from a recipe, and a way to load the set.
///
/// If the files do not tell training and test images apart, every k-th image of each class is held out, with k =
/// `held_out`.
pub trait Source: Debug + Send + Sync {
    /// Reads, checks and decodes one part of the set.
    ///
    /// # Errors
    /// What is wrong with the settings or the files; [`ErrorKind::Empty`](crate::ErrorKind::Empty) if the part has no
    /// images.
    fn load(&self, split: Split) -> Result<Images, Error>;

    /// About how many bytes of host memory [`load`](Source::load) takes at most, from the settings and the headers of the
    /// files, before any image is decoded; `None` if that is unknown.
    ///
    /// # Errors
    /// What is wrong with the settings or the headers.
    fn memory(&self, split: Split) -> Result<Option<u64>, Error> {
        let _ = split;
        Ok(None)
    }
}
