//! Data sets in host memory: images, text, signals, volumes and points in the plane, and the files they are read from and written to.
//!
//! | item | defines |
//! |---|---|
//! | [`Images`] | a decoded set of images: pixel levels, labels, classes; batches of values in [−1, 1] |
//! | [`Source`]: [`Digits`], [`Idx`], [`Folder`], [`Parquet`] | where a set of images is read from |
//! | [`Points`] | distributions of points in the plane |
//! | [`Waves`], [`Spheres`] | signals and volumes of a known law |
//! | [`Arrays`] | signals and volumes from NumPy arrays |
//! | [`Law`] | statistics of samples, with their expectations where they are known |
//! | [`Text`], [`Texts`] | files of text; samples of a fixed number of token ids |
//! | [`Codec`], [`Vocabulary`] | text to token ids and back |
//! | [`NGram`], [`baselines`] | n-gram language models, as baselines in bits per token and per character |
//! | [`Columns`] | attributes, measurements, captions and second pictures beside the samples |
//! | [`find()`], [`DATA`] | lookup of relative paths |
//! | [`npy`] | NumPy arrays |
//! | [`picture`] | pictures of samples: grids and strips over time |
//! | [`Notes`] | what was left out of a set, or read in part |
//! | [`limits`] | bounds on what is read into memory |
//! | [`mod@write`] | files written completely or not at all |
//! | [`Error`] | what is wrong with a file, a setting or a set, and what to do about it |
//!
//! Nothing here generates random numbers. The caller passes indices and uniform variates, so a set gives the same batch
//! for the same arguments on every machine.
//!
//! ```
//! use tweedie_data::{Digits, Source, Split};
//! let digits = Digits::default().load(Split::Train)?;
//! assert_eq!(digits.shape(), [1, 8, 8]);
//! let batch: Vec<f32> = digits.to_unit(&[0, 1, 2], Some(&[false, true, false]));
//! assert_eq!(batch.len(), 3 * 64);
//! # Ok::<(), tweedie_data::Error>(())
//! ```
mod arrays;
mod columns;
mod contained;
mod error;
mod find;
mod images;
mod kind;
mod law;
mod notes;
mod pixels;
mod points;
mod source;
mod spheres;
mod split;
mod text;
mod waves;

pub mod limits;
pub mod npy;
pub mod picture;
pub mod write;

pub use arrays::{ArraySet, Arrays};
pub use columns::{Cell, Columns};
pub use error::{Error, ErrorKind};
pub use find::{DATA, find, find_in};
pub use images::{Images, byte};
pub use law::{Law, Measured, distance};
pub use notes::Notes;
pub use pixels::{Background, Crop, Filter};
pub use points::{Points, Shape};
pub use source::{Digits, Folder, Idx, Parquet, Source, Unreadable};
pub use spheres::Spheres;
pub use split::Split;
pub use text::{
    Baseline, Bpe, Characters, Codec, Mean, NGram, PLACEHOLDER, Sample, Text, Texts, Tokens, TooLong, Vocabulary,
    baselines,
};
pub use waves::Waves;

/// The crate `image`, and the type of the pictures that [`picture`] makes.
pub use image::{self, RgbImage};
