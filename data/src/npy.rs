//! NumPy arrays: `.npy`, version 1.0, little-endian, in C order.
//!
//! NumPy enhancement proposal 1, "A Simple File Format for NumPy Arrays",
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
use crate::{Error, write};
use std::{fs, path::Path};

/// A number that arrays are made of: `f32`, `f64`, `i64`, `u8`.
pub trait Element: Copy + sealed::Sealed {
    /// NumPy's name of the type.
    const NAME: &'static str;
    /// Bytes of one number.
    const SIZE: usize;
    /// Writes the number's bytes.
    fn put(self, to: &mut Vec<u8>);
    /// The number of some bytes.
    ///
    /// # Panics
    /// If there are not [`SIZE`](Element::SIZE) bytes.
    fn get(from: &[u8]) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($type:ty: $name:literal),*) => { $(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const NAME: &'static str = $name;
            const SIZE: usize = size_of::<$type>();
            fn put(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            fn get(from: &[u8]) -> Self {
                Self::from_le_bytes(from.try_into().expect("as many bytes as the number has"))
            }
        }
    )* };
}
element!(f32: "<f4", f64: "<f8", i64: "<i8", u8: "|u1");

/// An array read from a file: sizes and numbers in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// Sizes; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers, the last index running fastest.
    pub data: Vec<T>,
}

/// Writes an array whole or not at all.
///
/// # Errors
/// [`Error::Io`].
///
/// # Panics
/// If the sizes do not multiply to the number of numbers.
///
/// ```
/// # let file = std::env::temp_dir().join("tweedie-doc.npy");
/// use tweedie_data::npy;
/// npy::save(&file, &[2, 3], &[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// assert_eq!(npy::load::<f32>(&file)?.shape, [2, 3]);
/// # std::fs::remove_file(file).unwrap();
/// # Ok::<(), tweedie_data::Error>(())
/// ```
pub fn save<T: Element>(path: impl AsRef<Path>, shape: &[usize], data: &[T]) -> Result<(), Error> {
    assert_eq!(
        shape.iter().product::<usize>(),
        data.len(),
        "an array of {shape:?} has other than {} numbers",
        data.len()
    );
    let header = header(T::NAME, shape);
    write::atomic(path, |file| {
        file.write_all(&header)?;
        let mut bytes = Vec::new();
        for piece in data.chunks(1 << 16) {
            bytes.clear();
            piece.iter().for_each(|&number| number.put(&mut bytes));
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Mark, version and description, padded so that the numbers begin at a multiple of 64.
fn header(name: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
    // Python writes (2, 3), (2,) and (): a comma after one size, none after several.
    let sizes = if shape.len() > 1 { sizes.trim_end_matches(',').replace(',', ", ") } else { sizes };
    let mut text = format!("{{'descr': '{name}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.push_str(&" ".repeat(length - 1 - text.len()));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes
}

/// Reads an array of one of the types, in C order.
///
/// # Errors
/// [`Error::Io`], [`Error::Magic`] (not such a file, or of another type), [`Error::Truncated`], [`Error::Trailing`].
pub fn load<T: Element>(path: impl AsRef<Path>) -> Result<Array<T>, Error> {
    let file = path.as_ref();
    let bytes = fs::read(file).map_err(Error::io(file, "read"))?;
    let wrong = |found: String, expected, remedy| Err(Error::Magic { file: file.into(), found, expected, remedy });
    if !bytes.starts_with(b"\x93NUMPY") {
        let start = &bytes[..bytes.len().min(6)];
        return wrong(
            format!("the bytes {start:02x?}"),
            "the mark of a NumPy array",
            "Give a file that numpy.save made.",
        );
    }
    let cut = |expected: usize| Error::Truncated {
        file: file.into(),
        expected: expected as u64,
        found: bytes.len() as u64,
        packed: false,
    };
    let word = |at: usize, size: usize| -> Result<usize, Error> {
        let bytes = bytes.get(at..at + size).ok_or_else(|| cut(at + size))?;
        Ok(bytes.iter().rev().fold(0, |word, &byte| word << 8 | usize::from(byte)))
    };
    let (length, from) = match word(6, 1)? {
        1 => (word(8, 2)?, 10),
        2 | 3 => (word(8, 4)?, 12),
        version => {
            return wrong(format!("version {version}"), "version 1, 2 or 3 of the format", "Save it with numpy.save.");
        }
    };
    let start = from + length;
    let text = String::from_utf8_lossy(bytes.get(from..start).ok_or_else(|| cut(start))?);
    let field = |name: &str| text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
    let order = field("fortran_order").is_some_and(|rest| rest.starts_with("False"));
    let kind = field("descr").and_then(|rest| rest.split('\'').nth(1)).unwrap_or("nothing");
    if kind != T::NAME || !order {
        let order = if order { "C" } else { "Fortran" };
        let found = format!("the description of an array of `{kind}` in {order} order");
        let expected = match T::NAME {
            "<f4" => "one of `<f4` in C order",
            "<f8" => "one of `<f8` in C order",
            "<i8" => "one of `<i8` in C order",
            _ => "one of `|u1` in C order",
        };
        return wrong(found, expected, "Convert it: numpy.ascontiguousarray(array, dtype).");
    }
    let sizes = field("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).map(|(sizes, _)| sizes);
    let shape: Option<Vec<usize>> = sizes.and_then(|sizes| {
        sizes.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|s| s.parse().ok()).collect()
    });
    let count = shape.as_ref().and_then(|shape| shape.iter().try_fold(T::SIZE, |n, &size| n.checked_mul(size)));
    let (Some(shape), Some(end)) = (shape, count.and_then(|count| count.checked_add(start))) else {
        return wrong(format!("the description `{}`", text.trim()), "one with a shape", "Save it with numpy.save.");
    };
    match bytes.len() {
        length if length < end => Err(cut(end)),
        length if length > end => Err(Error::Trailing { file: file.into(), expected: end as u64 }),
        _ => Ok(Array { shape, data: bytes[start..].chunks_exact(T::SIZE).map(T::get).collect() }),
    }
}
