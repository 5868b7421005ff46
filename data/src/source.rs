//! Where sets of images come from.
mod digits;
mod folder;
mod idx;
mod parquet;

pub use digits::Digits;
pub use folder::Folder;
pub use idx::Idx;
pub use parquet::Parquet;

use crate::{
    Error, Images,
    pixels::{Prepare, Prepared},
};
use std::{fmt::Debug, path::Path};

/// Which part of a set: what a model learns from, or what is kept from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// Held out.
    Test,
}

/// Where a set of images comes from: a few settings that can be read from a recipe, and a way to load.
///
/// A source that does not know its two parts apart holds out every k-th image of each class, k being its `held_out`.
pub trait Source: Debug + Send + Sync {
    /// Reads, checks and decodes one part of the set.
    ///
    /// # Errors
    /// What is wrong with the settings or the files.
    fn load(&self, split: Split) -> Result<Images, Error>;
}

/// One part of a set that comes in one piece.
fn part(images: Images, split: Split, held_out: usize, place: impl FnOnce() -> String) -> Result<Images, Error> {
    let (train, held) = images.hold_out(held_out);
    let (part, remedy) = match split {
        Split::Train => (train, "`held_out = 1` holds out every image: say 10, or 0 to hold out none."),
        Split::Test if held_out == 0 => {
            (held, "`held_out = 0` holds nothing out: say 10 to hold out every tenth image.")
        }
        Split::Test => (held, "There are fewer images a class than `held_out`: say a smaller number."),
    };
    match part.is_empty() {
        true => Err(Error::Empty { place: format!("the {} part of {}", split.name(), place()), remedy }),
        false => Ok(part),
    }
}

impl Split {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Test => "held-out",
        }
    }
}

/// Labels as read, checked against the classes named. Without names, classes are called by their numbers.
fn labels(file: &Path, found: &[i64], names: Vec<String>) -> Result<(Vec<u32>, Vec<String>), Error> {
    // More classes than this without a list of names are no classes, but numbers of another kind.
    const MOST: usize = 1 << 16;
    let (limit, remedy) = match names.len() {
        0 => (MOST, "Classes are counted from 0; a column of other numbers is not one of labels."),
        n => (
            n,
            "Name every class, in the order of the labels, in `classes` (or the set's own list), or correct the labels.",
        ),
    };
    let mut labels = Vec::with_capacity(found.len());
    for (item, &label) in found.iter().enumerate() {
        match usize::try_from(label) {
            Ok(index) if index < limit => labels.push(index as u32),
            _ => return Err(Error::Label { file: file.into(), item, label, classes: limit, remedy }),
        }
    }
    let classes = match names.is_empty() {
        true => (0..=labels.iter().copied().max().unwrap_or(0)).map(|class| class.to_string()).collect(),
        false => names,
    };
    Ok((labels, classes))
}

/// Pictures prepared on all cores, and put together if they are of one size. `name` and `fail` speak of number i.
fn gather<T: Sync>(
    items: &[T],
    prepare: &Prepare,
    read: impl Fn(&T) -> Result<Prepared, Error> + Sync,
    name: impl Fn(usize) -> String,
) -> Result<Images, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pieces: Vec<Result<Vec<Prepared>, Error>> = std::thread::scope(|scope| {
        let read = &read;
        let work = items.chunks(items.len().div_ceil(threads).max(1));
        let jobs: Vec<_> = work.map(|piece| scope.spawn(move || piece.iter().map(read).collect())).collect();
        jobs.into_iter().map(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut pixels = Vec::new();
    let (mut count, mut first) = (0, None);
    for piece in pieces {
        for picture in piece? {
            let size = *first.get_or_insert(picture.size);
            if picture.size != size {
                return Err(Error::Sizes { first: name(0), size, other: name(count), other_size: picture.size });
            }
            pixels.extend_from_slice(&picture.pixels);
            count += 1;
        }
    }
    let [height, width] = first.expect("a source refuses to be without images");
    let images = Images::new(pixels, [prepare.channels, height, width]);
    Ok(Images { window: prepare.window([height, width]), ..images })
}

/// Names written one a line, without empty lines at the end.
fn lines(file: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io(file, "read"))?;
    Ok(text.trim_end().lines().map(|line| line.trim().to_string()).collect())
}
