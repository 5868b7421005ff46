//! Data in host memory: sets of images, text, sets of points, and the files they come from and go to.
//!
//! | what | where |
//! |---|---|
//! | a decoded set: bytes, labels, classes; values in [−1, 1] out | [`Images`] |
//! | where sets come from | [`Source`]: [`Digits`], [`Idx`], [`Folder`], [`Parquet`] |
//! | points in the plane | [`Points`] |
//! | text: files, and samples of one length of numbered tokens | [`Text`], [`Texts`] |
//! | what text is as numbers | [`Codec`], [`Vocabulary`] |
//! | what the last few tokens tell of the next | [`NGram`], [`baselines`] |
//! | where a relative path is looked up | [`find()`], [`DATA`] |
//! | NumPy arrays | [`npy`] |
//! | pictures of what a model drew | [`picture`] |
//! | what went wrong, in one paragraph | [`Error`] |
//!
//! Nothing here draws a random number. Which images, which flips, which windows and which points is told by the
//! caller, who owns the keyed streams, so a set gives the same batch for the same argument on any machine.
//!
//! ```
//! use tweedie_data::{Digits, Source, Split};
//! let digits = Digits::default().load(Split::Train)?;
//! assert_eq!(digits.shape(), [1, 8, 8]);
//! let batch: Vec<f32> = digits.to_unit(&[0, 1, 2], Some(&[false, true, false]));
//! assert_eq!(batch.len(), 3 * 64);
//! # Ok::<(), tweedie_data::Error>(())
//! ```
mod error;
mod find;
mod images;
mod pixels;
mod points;
mod source;
mod text;

pub mod npy;
pub mod picture;
pub mod write;

pub use error::Error;
pub use find::{DATA, find, find_in};
pub use images::{Images, byte};
pub use pixels::{Background, Crop, Filter};
pub use points::{Points, Shape};
pub use source::{Digits, Folder, Idx, Parquet, Source, Split};
pub use text::{
    Baseline, Bpe, Characters, Codec, Longer, Mean, NGram, Sample, Text, Texts, Tokens, UNSAID, Vocabulary, baselines,
};

/// The RGB pictures that [`picture`] makes, and their crate.
pub use image::{self, RgbImage};
