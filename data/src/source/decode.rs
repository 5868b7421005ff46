//! Decoding of many pictures in parallel.
use crate::{
    Error, Images, Notes,
    pixels::{Prepare, Prepared},
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is done with pictures that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unreadable {
    /// Loading fails with an error that lists them.
    #[default]
    Refuse,
    /// They are left out, and listed when the set has been read.
    Skip,
}

/// How many unreadable pictures an error lists.
const LISTED: usize = 20;

/// Pictures to be decoded: where they are from, and how messages name them.
pub(super) struct Pictures<'a, T, N> {
    /// The file or folder that holds them.
    pub path: &'a Path,
    pub items: &'a [T],
    /// The name of picture i.
    pub name: N,
    /// The error for picture i, if it is the only one that cannot be read.
    pub single: &'a dyn Fn(usize, &str) -> Error,
    pub unreadable: Unreadable,
}

/// Decoded pictures of one size.
pub(super) struct Decoded {
    pub images: Images,
    /// Indices of the pictures that were skipped, in order.
    pub skipped: Vec<usize>,
}

impl<T: Sync, N: Fn(usize) -> String> Pictures<'_, T, N> {
    /// Decodes the pictures on all cores into one set; they must be of one size. `before` is what could not be read before
    /// any picture was decoded.
    pub fn decode(
        &self,
        prepare: &Prepare,
        read: impl Fn(&T) -> Result<Prepared, String> + Sync,
        notes: &mut Notes,
        before: Vec<(String, String)>,
    ) -> Result<Decoded, Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let pieces: Vec<Vec<Result<Prepared, String>>> = std::thread::scope(|scope| {
            let read = &read;
            let work = self.items.chunks(self.items.len().div_ceil(threads).max(1));
            let jobs: Vec<_> = work.map(|piece| scope.spawn(move || piece.iter().map(read).collect())).collect();
            jobs.into_iter().map(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let bytes = pieces.iter().flatten().flatten().map(|picture| picture.pixels.len()).sum();
        let mut pixels = Vec::with_capacity(bytes);
        let (mut failed, mut skipped, mut first) = (before, Vec::new(), None);
        for (at, picture) in pieces.into_iter().flatten().enumerate() {
            let picture = match picture {
                Ok(picture) => picture,
                Err(reason) => {
                    failed.push(((self.name)(at), reason));
                    skipped.push(at);
                    continue;
                }
            };
            let (first, size) = *first.get_or_insert((at, picture.size));
            if picture.size != size {
                let names = [first, at].map(&self.name);
                return Err(self
                    .unreadable_error(&failed, &skipped)
                    .unwrap_or_else(|| sizes_differ(self.path, names, [size, picture.size])));
            }
            notes.first_frames += usize::from(picture.more);
            pixels.extend_from_slice(&picture.pixels);
        }
        if let Some(error) = self.unreadable_error(&failed, &skipped) {
            return Err(error);
        }
        let Some((_, [height, width])) = first else {
            let (name, reason) = failed.first().cloned().unwrap_or_default();
            let problem = format!("has no picture that can be read, as `{name}`: {reason}");
            return Err(Error::format(self.path, problem).with_remedy("download or copy the pictures again"));
        };
        notes.unreadable.append(&mut failed);
        let images = Images::new(pixels, [prepare.channels, height, width])?;
        Ok(Decoded { images: Images { window: prepare.window([height, width]), ..images }, skipped })
    }

    /// The error that lists what could not be read, unless that is to be skipped.
    fn unreadable_error(&self, failed: &[(String, String)], skipped: &[usize]) -> Option<Error> {
        if failed.is_empty() || self.unreadable == Unreadable::Skip {
            return None;
        }
        if let ([(_, reason)], [at]) = (failed, skipped) {
            return Some((self.single)(*at, reason));
        }
        let mut listed: Vec<_> =
            failed.iter().take(LISTED).map(|(name, reason)| format!("`{name}` ({reason})")).collect();
        if failed.len() > LISTED {
            listed.push(format!("and {} more", failed.len() - LISTED));
        }
        let problem = format!("has {} pictures or folders that could not be read: {}", failed.len(), listed.join(", "));
        Some(
            Error::format(self.path, problem).with_remedy(
                "download or copy them again, remove them, or set `unreadable = \"skip\"` to leave them out",
            ),
        )
    }
}

/// The error for two images of different sizes `[height, width]`, if there is no size to scale them to.
fn sizes_differ(path: &Path, [first, other]: [String; 2], [[h, w], [oh, ow]]: [[usize; 2]; 2]) -> Error {
    let problem = format!("has images of different sizes: `{first}` is {w} × {h} pixels, `{other}` is {ow} × {oh}");
    let side = h.min(w).min(oh).min(ow);
    Error::format(path, problem)
        .with_remedy(format!("set `size = {side}`, or another side, to scale all of them to one size"))
}
