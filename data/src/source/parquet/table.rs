//! A table in a Parquet file: its columns of pictures and labels.
use super::pages;
use crate::{
    Cell, Columns, Error,
    contained::contained,
    error::list,
    kind,
    limits::{self, MAX_ROWS},
    pixels::dimensions,
};
use parquet::{
    basic::{Compression, Type as Physical},
    column::reader::get_typed_column_reader,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, RowGroupMetaData},
        reader::{FileReader, SerializedFileReader},
    },
};
use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

/// The labels of a column.
#[derive(Debug)]
pub(super) enum Labels {
    /// Indices of classes.
    Numbers(Vec<i64>),
    /// Names of classes.
    Texts(Vec<String>),
}

impl Default for Labels {
    fn default() -> Self {
        Self::Numbers(Vec::new())
    }
}

impl Labels {
    /// What is wrong with labels of both kinds.
    pub const MIXED: &'static str = "has labels of another type than the files before it";

    /// Appends the labels of another file.
    pub fn extend(&mut self, more: Self) -> Result<(), &'static str> {
        match (&mut *self, more) {
            (Self::Numbers(all), Self::Numbers(more)) => all.extend(more),
            (Self::Texts(all), Self::Texts(more)) => all.extend(more),
            (Self::Numbers(all), more) if all.is_empty() => *self = more,
            _ => return Err(Self::MIXED),
        }
        Ok(())
    }

    /// Removes the labels of these indices, which are in order.
    pub fn remove(&mut self, places: &[usize]) {
        fn without<T>(all: &mut Vec<T>, places: &[usize]) {
            let mut at = 0;
            all.retain(|_| {
                at += 1;
                places.binary_search(&(at - 1)).is_err()
            });
        }
        match self {
            Self::Numbers(all) => without(all, places),
            Self::Texts(all) => without(all, places),
        }
    }
}

/// How many rows are read at a time.
const ROWS: usize = 1 << 14;

/// An open Parquet file.
pub(super) struct Table<'a> {
    file: &'a Path,
    reader: SerializedFileReader<File>,
}

/// Whether a column's pages lie in a file of this size, which the reader takes for granted.
fn inside(column: &ColumnChunkMetaData, size: u64) -> bool {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let end = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
    let end = end.and_then(|(start, length)| start.checked_add(length));
    column.data_page_offset() >= 0 && column.num_values() >= 0 && end.is_some_and(|end| end <= size)
}

impl<'a> Table<'a> {
    pub fn open(file: &'a Path) -> Result<Self, Error> {
        let (mut open, size) = limits::open(file)?;
        let mut start = Vec::new();
        let look = open.by_ref().take(kind::LOOK as u64).read_to_end(&mut start).and_then(|_| open.rewind());
        look.map_err(Error::io(file, "read"))?;
        if !start.starts_with(b"PAR1") {
            if let Some(kind) = kind::of(&start) {
                let problem = format!("is {}, and not a Parquet file", kind.name);
                return Err(Error::format(file, problem).with_remedy(kind.remedy));
            }
            let reason = format!("it is not a Parquet file ({})", kind::described(&start));
            return Err(Error::unreadable(file, None, reason));
        }
        let incomplete = |error| Error::unreadable(file, None, format!("it is not a complete Parquet file ({error})"));
        let reader = contained(|| SerializedFileReader::new(open))
            .unwrap_or_else(|panic| Err(ParquetError::General(panic)))
            .map_err(incomplete)?;
        let table = Self { file, reader };
        match table.reader.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns).all(|c| inside(c, size)) {
            true => Ok(table),
            false => {
                let reason = "its metadata place a column outside of the file";
                Err(Error::unreadable(file, None, reason))
            }
        }
    }

    /// The number of rows that the metadata announce.
    pub fn rows(&self) -> Result<u64, Error> {
        let groups = self.reader.metadata().row_groups();
        groups
            .iter()
            .try_fold(0u64, |sum, group| sum.checked_add(u64::try_from(group.num_rows()).ok()?))
            .ok_or_else(|| Error::unreadable(self.file, None, "its metadata announce a number of rows that cannot be"))
    }

    /// The number of bytes of the column of pictures after decompression, as the metadata announce.
    pub fn stored(&self, name: &str) -> u64 {
        let Some((at, _)) = self.picture_column(name) else { return 0 };
        let sizes = self.reader.metadata().row_groups().iter();
        let size = |size: i64| u64::try_from(size).unwrap_or(0);
        sizes.filter_map(|group| group.columns().get(at)).map(|chunk| size(chunk.uncompressed_size())).sum()
    }

    /// The number of pixels of the first picture, by its header.
    pub fn first_pixels(&self, name: &str) -> Option<u64> {
        let (at, _) = self.picture_column(name)?;
        let read = || {
            let group = self.reader.get_row_group(0).ok()?;
            if pages::too_large(self.file, group.metadata().columns().get(at)?).is_some() {
                return None;
            }
            let mut reader = get_typed_column_reader::<ByteArrayType>(pages::column(&*group, at).ok()?);
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            reader.read_records(1, Some(&mut levels), None, &mut values).ok()?;
            Some(values)
        };
        let values = contained(read).ok()??;
        dimensions(values.first()?.data()).ok().map(|(width, height)| u64::from(width) * u64::from(height))
    }

    /// The index and type of a column.
    fn column(&self, name: &str) -> Option<(usize, Physical)> {
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        let at = columns.iter().position(|column| column.path().string() == name)?;
        Some((at, columns[at].physical_type()))
    }

    fn no_column(&self, wanted: &str, field: &'static str, remedy: &'static str) -> Error {
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        let found = columns.iter().map(|column| format!("{} ({})", column.path().string(), column.physical_type()));
        let problem = format!("does not have a column {wanted}; it has {}", list(&found.collect::<Vec<_>>()));
        Error::format(self.file, problem).with_field(field).with_remedy(remedy)
    }

    /// The column of pictures, which is a struct with `bytes` or bytes itself.
    fn picture_column(&self, name: &str) -> Option<(usize, Physical)> {
        let names = [format!("{name}.bytes"), name.to_string()];
        names.iter().find_map(|name| self.column(name)).filter(|&(_, kind)| kind == Physical::BYTE_ARRAY)
    }

    /// The picture files in a column.
    pub fn pictures(&self, name: &str) -> Result<Vec<ByteArray>, Error> {
        let Some((at, _)) = self.picture_column(name) else {
            return Err(self.no_column(
                &format!("`{name}.bytes` of bytes"),
                "image",
                "set `image` to the name of the column of the pictures (tables of paths without bytes cannot be read)",
            ));
        };
        let missing = ["a picture", "it is null, or only a path"];
        self.values::<ByteArrayType>(at, missing, "give a table that holds the files")
    }

    pub fn labels(&self, name: &str) -> Result<Labels, Error> {
        let (missing, remedy) =
            (["a label", "it is null"], "remove the row, or set `label = \"\"` for a set without classes");
        Ok(match self.column(name) {
            Some((at, Physical::INT64)) => Labels::Numbers(self.values::<Int64Type>(at, missing, remedy)?),
            Some((at, Physical::INT32)) => {
                let labels = self.values::<Int32Type>(at, missing, remedy)?;
                Labels::Numbers(labels.into_iter().map(i64::from).collect())
            }
            Some((at, Physical::BOOLEAN)) => {
                let labels = self.values::<BoolType>(at, missing, remedy)?;
                Labels::Texts(labels.into_iter().map(|label| label.to_string()).collect())
            }
            Some((at, Physical::BYTE_ARRAY)) => {
                let labels = self.values::<ByteArrayType>(at, missing, remedy)?.into_iter().enumerate();
                let text = |(row, label): (usize, ByteArray)| {
                    String::from_utf8(label.data().to_vec()).map_err(|_| {
                        Error::format(self.file, format!("has a label that is not a text in row {row}"))
                            .with_field("label")
                            .with_remedy("set `label` to the name of the column of the labels")
                    })
                };
                Labels::Texts(labels.map(text).collect::<Result<_, _>>()?)
            }
            _ => {
                return Err(self.no_column(
                    &format!("`{name}` of integers or texts"),
                    "label",
                    "set `label` to the name of the column of the labels, or to \"\" for a set without classes",
                ));
            }
        })
    }

    /// The cells of columns of numbers, texts and pictures.
    pub fn columns(&self, names: &[String]) -> Result<Columns, Error> {
        let mut columns = Columns::default();
        for name in names {
            let (missing, remedy) = (["a value", "it is null"], "remove the row, or fill the value in");
            let number = |x: f64| Cell::Number(x);
            let cells: Vec<Cell> = match self.column(name).or_else(|| self.picture_column(name)) {
                Some((at, Physical::INT64)) => {
                    self.values::<Int64Type>(at, missing, remedy)?.into_iter().map(|x| number(x as f64)).collect()
                }
                Some((at, Physical::INT32)) => {
                    self.values::<Int32Type>(at, missing, remedy)?.into_iter().map(|x| number(x.into())).collect()
                }
                Some((at, Physical::FLOAT)) => {
                    self.values::<FloatType>(at, missing, remedy)?.into_iter().map(|x| number(x.into())).collect()
                }
                Some((at, Physical::DOUBLE)) => {
                    self.values::<DoubleType>(at, missing, remedy)?.into_iter().map(number).collect()
                }
                Some((at, Physical::BOOLEAN)) => {
                    let values = self.values::<BoolType>(at, missing, remedy)?;
                    values.into_iter().map(|x| Cell::Text(x.to_string())).collect()
                }
                Some((at, Physical::BYTE_ARRAY)) => {
                    let values = self.values::<ByteArrayType>(at, missing, remedy)?;
                    let cell = |x: ByteArray| match std::str::from_utf8(x.data()) {
                        Ok(text) => Cell::of_text(text),
                        Err(_) => Cell::Bytes(x.data().to_vec()),
                    };
                    values.into_iter().map(cell).collect()
                }
                _ => {
                    let columns = self.reader.metadata().file_metadata().schema_descr().columns();
                    let found: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
                    let problem =
                        format!("does not have a column `{name}`, which a condition names, only {}", list(&found));
                    return Err(
                        Error::format(self.file, problem).with_remedy("set `column` of the condition to one of these")
                    );
                }
            };
            columns = columns.with(name, cells);
        }
        Ok(columns)
    }

    /// All values of a column; a null is an error.
    fn values<T: DataType>(&self, column: usize, missing: [&str; 2], remedy: &'static str) -> Result<Vec<T::T>, Error> {
        contained(|| self.decoded_values::<T>(column, missing, remedy))
            .unwrap_or_else(|panic| Err(Error::unreadable(self.file, None, format!("a page is damaged ({panic})"))))
    }

    fn decoded_values<T: DataType>(
        &self,
        column: usize,
        [missing, why]: [&str; 2],
        remedy: &'static str,
    ) -> Result<Vec<T::T>, Error> {
        let fail = |error: ParquetError| Error::unreadable(self.file, None, format!("a page is damaged ({error})"));
        let described = self.reader.metadata().file_metadata().schema_descr().column(column);
        let (most, name) = (described.max_def_level(), described.path().string());
        if described.max_rep_level() > 0 {
            let problem = format!("has a column `{name}` of lists, but one value per row is needed");
            return Err(Error::format(self.file, problem).with_remedy("write one value per row"));
        }
        if self.rows()? > MAX_ROWS {
            let problem = format!("announces {} rows, more than the {MAX_ROWS} that are read", self.rows()?);
            return Err(Error::format(self.file, problem).with_remedy("write it again, or give a part of it"));
        }
        let mut chunks = self.reader.metadata().row_groups().iter().filter_map(|group| group.columns().get(column));
        if chunks.any(|chunk| chunk.compression() == Compression::LZO) {
            let problem = format!("has a column `{name}` that is compressed with LZO, which is not supported");
            return Err(Error::format(self.file, problem).with_remedy("write it again with Zstandard or Snappy"));
        }
        let mut chunks = self.reader.metadata().row_groups().iter().filter_map(|group| group.columns().get(column));
        if let Some(reason) = chunks.find_map(|chunk| pages::too_large(self.file, chunk)) {
            return Err(Error::unreadable(self.file, None, reason));
        }
        let mut all = Vec::new();
        for group in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(group).map_err(fail)?;
            let mut reader = get_typed_column_reader::<T>(pages::column(&*group, column).map_err(fail)?);
            let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let (mut levels, mut values, mut read) = (Vec::new(), Vec::new(), 0);
            while read < rows {
                let (records, _, _) =
                    reader.read_records((rows - read).min(ROWS), Some(&mut levels), None, &mut values).map_err(fail)?;
                if records == 0 {
                    break;
                }
                read += records;
            }
            if let Some(row) = levels.iter().position(|&level| level < most) {
                let problem = format!("does not have {missing} in row {} ({why})", all.len() + row);
                return Err(Error::format(self.file, problem).with_remedy(remedy));
            }
            if values.len() != rows {
                let reason = format!("a row group announces {rows} rows and holds {}", values.len());
                return Err(Error::unreadable(self.file, None, reason));
            }
            all.append(&mut values);
        }
        Ok(all)
    }

    /// Names of the classes in the file's metadata `huggingface`, in the order of the labels; empty if there are none.
    pub fn names(&self, label: &str) -> Vec<String> {
        let notes = self.reader.metadata().file_metadata().key_value_metadata();
        let note = notes.and_then(|notes| notes.iter().find(|note| note.key == "huggingface"));
        let note = note.and_then(|note| serde_json::from_str::<serde_json::Value>(note.value.as_deref()?).ok());
        let names = note.as_ref().and_then(|note| note.pointer("/info/features")?.get(label)?.get("names"));
        match names {
            Some(serde_json::Value::Array(names)) => {
                names.iter().filter_map(|name| Some(name.as_str()?.into())).collect()
            }
            // An older form: {"0": "cat", "1": "dog"}.
            Some(serde_json::Value::Object(names)) => {
                (0..names.len()).map_while(|i| Some(names.get(&i.to_string())?.as_str()?.to_string())).collect()
            }
            _ => Vec::new(),
        }
    }
}
