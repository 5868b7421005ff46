//! Bounds on what is read into memory, so that a damaged or malicious file is refused and does not exhaust the machine.
use crate::{Error, kind};
use flate2::read::MultiGzDecoder;
use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::Path,
};

/// The most pixels of a picture that is decoded, 2²⁶ = 67,108,864, as of 8192 × 8192.
pub const MAX_PIXELS: u64 = 1 << 26;

/// The most bytes of a picture file, 2²⁹ (512 MiB).
pub const MAX_PICTURE: u64 = 1 << 29;

/// The largest side, in pixels, that images are scaled or padded to: `size` and `margin` together, or `pad`.
pub const MAX_SIDE: usize = 8192;

/// The most bytes of a file of text after decompression, 2³⁰ (1 GiB).
pub const MAX_TEXT: u64 = 1 << 30;

/// The most bytes of the array in an IDX file after decompression, and of a column of pictures in Parquet files, 2³⁶
/// (64 GiB).
pub const MAX_ARRAY: u64 = 1 << 36;

/// The most rows of the tables of a set of pictures in Parquet files, 2²⁴ = 16,777,216.
pub const MAX_ROWS: u64 = 1 << 24;

/// The most that DEFLATE, the compression of gzip, shrinks anything: 1032 bytes to one.
pub(crate) const MAX_RATIO: u64 = 1032;

/// Opens a regular file; folders, pipes, sockets and devices are errors, since reading them fails or waits forever.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    // The file is looked at before it is opened: to open a pipe waits for a writer.
    let about = fs::metadata(path).map_err(Error::io(path, "read"))?;
    if about.is_dir() {
        return Err(Error::format(path, "is a folder, but must be a file").with_remedy("give a file in it"));
    }
    if !about.is_file() {
        return Err(Error::format(path, format!("is {}, but must be a regular file", special(about.file_type())))
            .with_remedy("write the data to a file and give that"));
    }
    Ok((File::open(path).map_err(Error::io(path, "open"))?, about.len()))
}

/// The name of a kind of file that is neither a regular file nor a folder.
#[cfg(unix)]
pub(crate) fn special(kind: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "a special file",
    }
}
#[cfg(not(unix))]
pub(crate) fn special(_: fs::FileType) -> &'static str {
    "a special file"
}

/// Whether bytes are the start of a gzip stream.
pub(crate) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// The bytes of a file, decompressed if it is gzipped, and whether it was: at most `limit` bytes. `inspect` sees the first
/// of them, and whether they were gzipped, before the others are read.
pub(crate) fn unpacked(
    path: &Path,
    limit: u64,
    inspect: impl FnOnce(&[u8], bool) -> Result<(), Error>,
) -> Result<(Vec<u8>, bool), Error> {
    let (file, length) = open(path)?;
    let mut file = BufReader::new(file);
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(Error::io(path, "read"))?;
    let packed = is_gzip(&start);
    let too_much = || {
        let after = if packed { " after decompression" } else { "" };
        Error::format(path, format!("has more than {limit} bytes{after}, the most that is read into memory"))
            .with_remedy("divide it, or give a smaller file")
    };
    if !packed && length > limit {
        return Err(too_much());
    }
    let whole = io::Cursor::new(start).chain(file);
    let mut reader: Box<dyn Read> =
        if packed { Box::new(MultiGzDecoder::new(BufReader::new(whole))) } else { Box::new(whole) };
    let mut bytes = Vec::new();
    let mut read = |bytes: &mut Vec<u8>, most: u64| {
        let end = reader.by_ref().take(most).read_to_end(bytes);
        end.map_err(|error| match packed {
            false => Error::io(path, "read")(error),
            true => {
                let problem = format!("is damaged: its gzip stream ends after {} bytes ({error})", bytes.len());
                Error::format(path, problem).with_remedy("download or copy it again")
            }
        })
    };
    read(&mut bytes, kind::LOOK as u64)?;
    inspect(&bytes, packed)?;
    let rest = limit + 1 - (bytes.len() as u64).min(limit);
    read(&mut bytes, rest)?;
    if bytes.len() as u64 > limit {
        return Err(too_much());
    }
    Ok((bytes, packed))
}
