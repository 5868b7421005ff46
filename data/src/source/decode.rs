//! Decoding of many pictures in parallel.
use crate::{
    Error, Images,
    pixels::{Prepare, Prepared},
};
use std::path::Path;

/// Decodes the pictures of a file or folder on all cores into one set; they must be of one size. `name(i)` is how messages
/// name picture i.
pub(super) fn decode<T: Sync>(
    path: &Path,
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
                return Err(sizes_differ(path, [name(0), name(count)], [size, picture.size]));
            }
            pixels.extend_from_slice(&picture.pixels);
            count += 1;
        }
    }
    let [height, width] = first.expect("a source without images is an error before");
    let images = Images::new(pixels, [prepare.channels, height, width])?;
    Ok(Images { window: prepare.window([height, width]), ..images })
}

/// The error for two images of different sizes `[height, width]`, if there is no size to scale them to.
fn sizes_differ(path: &Path, [first, other]: [String; 2], [[h, w], [oh, ow]]: [[usize; 2]; 2]) -> Error {
    let problem = format!("has images of different sizes: `{first}` is {w} × {h} pixels, `{other}` is {ow} × {oh}");
    let side = h.min(w).min(oh).min(ow);
    Error::format(path, problem)
        .with_remedy(format!("set `size = {side}`, or another side, to scale all of them to one size"))
}
