//! NumPy arrays: `.npy`, version 1.0, little-endian, in C order.
//!
//! NumPy enhancement proposal 1, "A Simple File Format for NumPy Arrays",
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
use crate::{Error, limits, write};
use std::{io::Read, path::Path};

/// The element types of arrays: `f32`, `f64`, `i64`, `u8`.
pub trait Element: Copy + sealed::Sealed {
    /// NumPy's name of the type, as "<f4".
    const NAME: &'static str;
    /// Number of bytes of an element.
    const SIZE: usize;
    /// Appends the element's bytes, little-endian.
    fn put(self, to: &mut Vec<u8>);
    /// The element of these bytes, little-endian.
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
                Self::from_le_bytes(from.try_into().expect("SIZE bytes"))
            }
        }
    )* };
}
element!(f32: "<f4", f64: "<f8", i64: "<i8", u8: "|u1");

/// An array read from a file: sizes and elements in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// Sizes; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements, the last index varying fastest.
    pub data: Vec<T>,
}

/// Writes an array, completely or not at all.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io).
///
/// # Panics
/// If the product of the sizes is not the number of elements.
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
        "an array of shape {shape:?} does not have {} elements",
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

/// Magic bytes, version and description, padded so that the elements start at a multiple of 64 bytes.
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

/// Reads an array of elements of type `T` in C order.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io); [`ErrorKind::Format`](crate::ErrorKind::Format) if it is not such a file,
/// has another type or order, or is too short or too long.
pub fn load<T: Element>(path: impl AsRef<Path>) -> Result<Array<T>, Error> {
    let file = path.as_ref();
    let mut bytes = Vec::new();
    limits::open(file)?.0.read_to_end(&mut bytes).map_err(Error::io(file, "read"))?;
    let Header { name, c_order, shape, start } = Header::of(file, &bytes)?;
    if name != T::NAME || !c_order {
        return Err(other_elements(file, &name, c_order, T::NAME));
    }
    let count = shape.iter().try_fold(T::SIZE, |n, &size| n.checked_mul(size));
    let end = count.and_then(|count| count.checked_add(start)).ok_or_else(|| without_shape(file, &shape))?;
    match bytes.len() {
        length if length < end => Err(Error::truncated(file, end as u64, bytes.len() as u64, false)),
        length if length > end => Err(Error::trailing(file, end as u64)),
        _ => Ok(Array { shape, data: bytes[start..].chunks_exact(T::SIZE).map(T::get).collect() }),
    }
}

/// What the header of an array says.
pub(crate) struct Header {
    /// NumPy's name of the elements, as "<f4".
    pub name: String,
    /// Whether the last index varies fastest.
    pub c_order: bool,
    pub shape: Vec<usize>,
    /// Where the elements start.
    pub start: usize,
}

/// The error for elements that are not what is `expected`.
pub(crate) fn other_elements(file: &Path, name: &str, c_order: bool, expected: &str) -> Error {
    let order = if c_order { "C" } else { "Fortran" };
    let found = format!("the header of an array of `{name}` in {order} order");
    Error::unexpected(file, found, format!("`{expected}` in C order"))
        .with_remedy("convert it with numpy.ascontiguousarray(array, dtype)")
}

fn without_shape(file: &Path, header: impl std::fmt::Debug) -> Error {
    Error::unexpected(file, format!("the header `{header:?}`"), "one with a shape")
        .with_remedy("save it with numpy.save")
}

impl Header {
    /// The most bytes of a header that is read; NumPy itself writes less.
    pub const MOST: u64 = 1 << 16;

    /// Reads the header at the start of a file, which may be cut off after it.
    pub fn of(file: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |found: &str, expected: &str, remedy: &'static str| {
            Err(Error::unexpected(file, found, expected).with_remedy(remedy))
        };
        if !bytes.starts_with(b"\x93NUMPY") {
            let start = &bytes[..bytes.len().min(6)];
            return wrong(
                &format!("the bytes {start:02x?}"),
                "the magic bytes of a NumPy array",
                "give a file written by numpy.save",
            );
        }
        let cut = |expected: usize| Error::truncated(file, expected as u64, bytes.len() as u64, false);
        let word = |at: usize, size: usize| -> Result<usize, Error> {
            let bytes = bytes.get(at..at + size).ok_or_else(|| cut(at + size))?;
            Ok(bytes.iter().rev().fold(0, |word, &byte| word << 8 | usize::from(byte)))
        };
        let (length, from) = match word(6, 1)? {
            1 => (word(8, 2)?, 10),
            2 | 3 => (word(8, 4)?, 12),
            version => {
                return wrong(
                    &format!("version {version}"),
                    "version 1, 2 or 3 of the format",
                    "save it with numpy.save",
                );
            }
        };
        let start = from + length;
        let text = String::from_utf8_lossy(bytes.get(from..start).ok_or_else(|| cut(start))?);
        let field = |name: &str| text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
        let c_order = field("fortran_order").is_some_and(|rest| rest.starts_with("False"));
        let name = field("descr").and_then(|rest| rest.split('\'').nth(1)).unwrap_or("unknown type");
        let sizes = field("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).map(|(sizes, _)| sizes);
        let shape: Option<Vec<usize>> = sizes.and_then(|sizes| {
            sizes.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|s| s.parse().ok()).collect()
        });
        let Some(shape) = shape.filter(|shape| shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).is_some())
        else {
            let found = format!("the header `{}`", text.trim());
            return wrong(&found, "one with a shape", "save it with numpy.save");
        };
        Ok(Self { name: name.to_owned(), c_order, shape, start })
    }
}
