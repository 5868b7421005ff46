//! Signals and volumes from NumPy arrays.
use crate::{Cell, Columns, Error, Split, find, kind, limits, npy, text::table};
use serde::{Deserialize, Serialize};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Signals or volumes from a NumPy array: a file `.npy` of whole or floating-point numbers.
///
/// An array of shape `[n, length]` or `[n, channels, length]` holds n signals, one of shape `[n, depth, height, width]` or
/// `[n, channels, depth, height, width]` n volumes.
///
/// Values of each channel are standardized by the mean and the standard deviation of the training part or, if a `range` is
/// given, scaled to [−1, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Arrays {
    /// The file.
    pub path: PathBuf,
    /// Every how-many-th sample is held out from training; 0 holds out none. Default: 10.
    pub held_out: usize,
    /// The lowest and the highest value that there can be, which become −1 and 1; the denoised estimate is clipped to them. Default:
    /// none, and each channel is standardized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// A table with one row per sample, in their order, which conditions are read from: CSV or JSON Lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PathBuf>,
    /// Names of the columns that are read from it.
    #[serde(skip)]
    pub columns: Vec<String>,
}
impl Default for Arrays {
    fn default() -> Self {
        Self { path: PathBuf::new(), held_out: 10, range: None, metadata: None, columns: vec![] }
    }
}

/// One part of a set of signals or volumes.
#[derive(Clone, Debug, PartialEq)]
pub struct ArraySet {
    /// Number of samples.
    pub n: usize,
    /// Channels and length of a signal; channels, depth, height and width of a volume.
    pub shape: Vec<usize>,
    /// The samples, row after row: standardized, or within [−1, 1].
    pub values: Vec<f32>,
    /// What −1 and 1 are in the file's own scale, for each channel.
    pub scales: Vec<[f64; 2]>,
    /// Attributes and measurements of the samples.
    pub columns: Columns,
}

/// The types of elements that are read: NumPy's name, and the number that bytes stand for.
type Reader = fn(&[u8]) -> f64;
const ELEMENTS: [(&str, usize, Reader); 9] = [
    ("<f4", 4, |b| f32::from_le_bytes(b.try_into().expect("4 bytes")).into()),
    ("<f8", 8, |b| f64::from_le_bytes(b.try_into().expect("8 bytes"))),
    ("|u1", 1, |b| b[0].into()),
    ("|i1", 1, |b| (b[0] as i8).into()),
    ("<u2", 2, |b| u16::from_le_bytes(b.try_into().expect("2 bytes")).into()),
    ("<i2", 2, |b| i16::from_le_bytes(b.try_into().expect("2 bytes")).into()),
    ("<u4", 4, |b| u32::from_le_bytes(b.try_into().expect("4 bytes")).into()),
    ("<i4", 4, |b| i32::from_le_bytes(b.try_into().expect("4 bytes")).into()),
    ("<i8", 8, |b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as f64),
];

/// The largest value: its square is finite, and so is it in single precision.
const LARGEST: f64 = 1e29;

/// Standard deviations below this share of the largest value are those of rounding.
const CONSTANT: f64 = 1e-7;

/// The header of an array that can be read.
struct Header {
    n: usize,
    /// Of a sample, with its channels.
    shape: Vec<usize>,
    size: usize,
    read: Reader,
    start: usize,
}

impl Arrays {
    /// Reads one part; `None` if nothing is held out.
    ///
    /// # Errors
    /// What is wrong with the settings or the file.
    pub fn load(&self, split: Split) -> Result<Option<ArraySet>, Error> {
        self.check()?;
        if split == Split::Test && self.held_out == 0 {
            return Ok(None);
        }
        let path = find(&self.path).map_err(|error| error.at_field("path"))?;
        let (set, rows, n) = self.read(&path, split).map_err(|error| error.at_field("path"))?;
        let columns = self.table(n).map_err(|error| error.at_field("metadata"))?.select(&rows);
        Ok(Some(ArraySet { columns, ..set }))
    }

    /// About how many bytes of host memory [`load`](Self::load) takes at most, from the header.
    ///
    /// # Errors
    /// What is wrong with the settings or the header.
    pub fn memory(&self) -> Result<u64, Error> {
        self.check()?;
        let path = find(&self.path).map_err(|error| error.at_field("path"))?;
        let (header, _) = Self::header(&path).map_err(|error| error.at_field("path"))?;
        let numbers = header.shape.iter().fold(header.n as u64, |n, size| n.saturating_mul(*size as u64));
        // The file, and its numbers in double and in single precision.
        Ok(numbers.saturating_mul(header.size as u64 + 12))
    }

    /// The columns of all `n` samples.
    fn table(&self, n: usize) -> Result<Columns, Error> {
        let (Some(path), false) = (&self.metadata, self.columns.is_empty()) else { return Ok(Columns::default()) };
        let path = find(path)?;
        let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let rows: Vec<Vec<Cell>> = table::read(&path, &names)?.into_iter().map(|(_, cells)| cells).collect();
        if rows.len() != n {
            let problem = format!("has {} rows, and there are {n} samples", rows.len());
            return Err(Error::format(path, problem).with_remedy("write one row per sample, in their order"));
        }
        Ok(Columns::of_rows(&self.columns, &rows))
    }

    fn check(&self) -> Result<(), Error> {
        if self.held_out == 1 {
            return Err(Error::invalid("must be 0 or at least 2, got 1, which leaves no samples for training")
                .with_field("held_out")
                .with_remedy("set 10, for example, or 0 to hold out none"));
        }
        match self.range {
            Some([low, high]) if !(low < high && low >= -LARGEST && high <= LARGEST) => {
                Err(Error::invalid(format!("must be two numbers, the lower one first, got [{low}, {high}]"))
                    .with_field("range")
                    .with_remedy("set [0, 255], for example, or leave it out to standardize the values"))
            }
            _ => Ok(()),
        }
    }

    /// The header of a file, and the number of its bytes.
    fn header(path: &Path) -> Result<(Header, u64), Error> {
        let (file, length) = limits::open(path)?;
        let mut bytes = Vec::new();
        file.take(npy::Header::MOST).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        if let Some(found) = kind::of(&bytes).filter(|_| !bytes.starts_with(b"\x93NUMPY")) {
            let problem = format!("is {}, and not a NumPy array (.npy)", found.name);
            return Err(Error::format(path, problem).with_remedy(found.remedy));
        }
        let npy::Header { name, c_order, shape, start } = npy::Header::of(path, &bytes)?;
        let element = ELEMENTS.iter().find(|(known, ..)| *known == name);
        let (Some((_, size, read)), true) = (element, c_order) else {
            return Err(npy::other_elements(path, &name, c_order, "<f4"));
        };
        let shape = match *shape.as_slice() {
            [n, length] => [n, 1, length].to_vec(),
            [n, depth, height, width] => [n, 1, depth, height, width].to_vec(),
            [_, _, _] | [_, _, _, _, _] => shape,
            _ => {
                let problem = format!(
                    "holds an array of shape {shape:?}, and must have 2 or 3 axes for signals, [n, channels, length], or 4 \
                     or 5 for volumes, [n, channels, depth, height, width]"
                );
                return Err(Error::format(path, problem).with_remedy("reshape it with numpy.reshape"));
            }
        };
        if shape.contains(&0) {
            let problem = format!("holds an array without values, of shape {shape:?}");
            return Err(Error::format(path, problem).with_remedy("write samples to it"));
        }
        let end = shape.iter().try_fold(*size as u64, |n, size| n.checked_mul(*size as u64));
        match end.map(|bytes| bytes.saturating_add(start as u64)) {
            None => Err(Error::format(path, "holds more values than there can be").with_remedy("write it again")),
            Some(end) if length < end => Err(Error::truncated(path, end, length, false)),
            Some(end) if length > end => Err(Error::trailing(path, end)),
            Some(end) if end > limits::MAX_ARRAY => {
                let problem = format!("has more than {} bytes, the most that is read into memory", limits::MAX_ARRAY);
                Err(Error::format(path, problem).with_remedy("divide it, or give a smaller file"))
            }
            Some(_) => {
                Ok((Header { n: shape[0], shape: shape[1..].to_vec(), size: *size, read: *read, start }, length))
            }
        }
    }

    /// One part without its columns, its rows, and the number of all.
    fn read(&self, path: &Path, split: Split) -> Result<(ArraySet, Vec<usize>, usize), Error> {
        let (Header { n, shape, size, read, start }, _) = Self::header(path)?;
        let mut bytes = Vec::new();
        limits::open(path)?.0.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        let each: usize = shape.iter().product();
        let cells = bytes.get(start..).unwrap_or_default().chunks_exact(size).map(read);
        let numbers: Vec<f64> = cells.take(n * each).collect();
        if numbers.len() < n * each {
            return Err(Error::truncated(path, (start + n * each * size) as u64, bytes.len() as u64, false));
        }
        drop(bytes);
        if let Some(at) = numbers.iter().position(|x| x.is_nan() || x.abs() > LARGEST) {
            let (value, row) = (numbers[at], at / each);
            let problem = if value.is_finite() {
                format!("holds the value {value:e} in sample {row} (from 0), and must hold none beyond {LARGEST:e}")
            } else {
                format!("holds the value {value} in sample {row} (from 0)")
            };
            return Err(Error::format(path, problem).with_remedy("leave out that sample, or replace the value"));
        }
        let held = |row: usize| self.held_out > 0 && (row + 1).is_multiple_of(self.held_out);
        let channels = shape[0];
        let scales = match self.range {
            Some(range) => {
                if let Some(at) = numbers.iter().position(|x| !(range[0]..=range[1]).contains(x)) {
                    let problem = format!(
                        "is [{}, {}], and sample {} (from 0) holds the value {}",
                        range[0],
                        range[1],
                        at / each,
                        numbers[at]
                    );
                    return Err(Error::invalid(problem)
                        .with_field("range")
                        .with_remedy("set a wider one, or leave it out to standardize the values"));
                }
                vec![range; channels]
            }
            None => {
                let of = |channel: usize| {
                    let rows = (0..n).filter(|row| !held(*row));
                    let own = each / channels;
                    rows.flat_map(move |row| {
                        let first = row * each + channel * own;
                        first..first + own
                    })
                };
                let mut scales = vec![];
                for channel in 0..channels {
                    let count = of(channel).count().max(1) as f64;
                    let mean = of(channel).map(|i| numbers[i]).sum::<f64>() / count;
                    let std = (of(channel).map(|i| (numbers[i] - mean).powi(2)).sum::<f64>() / count).sqrt();
                    let largest = of(channel).map(|i| numbers[i].abs()).fold(0.0, f64::max);
                    if std <= CONSTANT * largest || std == 0.0 {
                        let of = if channels == 1 { String::new() } else { format!(" in channel {channel} (from 0)") };
                        let problem = format!("holds the value {mean} in every sample{of}: there is nothing to learn");
                        let remedy = "leave that channel out, or give other data";
                        return Err(Error::format(path, problem).with_remedy(remedy));
                    }
                    scales.push([mean - std, mean + std]);
                }
                scales
            }
        };
        let rows: Vec<usize> = (0..n).filter(|row| held(*row) == (split == Split::Test)).collect();
        if rows.is_empty() {
            let problem = format!("is {}, more than the {n} samples, so none are held out", self.held_out);
            return Err(Error::invalid(problem).with_field("held_out").with_remedy("set a smaller number, or 0"));
        }
        let scaled = |row: usize| {
            let (numbers, scales, own) = (&numbers, &scales, each / channels);
            (0..each).map(move |i| {
                let [low, high] = scales[i / own];
                (2.0 * (numbers[row * each + i] - low) / (high - low) - 1.0) as f32
            })
        };
        let values: Vec<f32> = rows.iter().flat_map(|row| scaled(*row)).collect();
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let row = rows[at / each];
            let problem = format!(
                "holds the value {:e} in held-out sample {row} (from 0), too far from those of the training part",
                numbers[row * each + at % each]
            );
            return Err(Error::format(path, problem).with_remedy("leave out that sample, or replace the value"));
        }
        Ok((ArraySet { n: rows.len(), shape, values, scales, columns: Columns::default() }, rows, n))
    }
}
