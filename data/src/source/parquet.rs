//! Parquet tables of pictures in the layout of Hugging Face.
use super::{Source, decode::decode, hold_out::part, labels::labels};
use crate::{Background, Crop, Error, Filter, Images, Split, error::list, find, pixels::Prepare};
use parquet::{
    basic::Type as Physical,
    column::reader::get_typed_column_reader,
    data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// A Parquet file, or a folder of them, in Hugging Face's layout of image sets: a column `image` of
/// `struct { bytes, path }` that holds PNG or JPEG files, and a column `label` of integers.
///
/// In a folder (or its subfolder `data`), files whose names start with `train` are the training part and those that
/// start with `test` (or else `validation`) the held-out part; otherwise all files are one set, of which every
/// `held_out`-th image of a class is held out. Pages may be uncompressed or compressed with Zstandard, Snappy or gzip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parquet {
    /// Path of the file or folder. A relative path is looked up in the working directory, then in the folder that the
    /// environment variable `TWEEDIE_DATA` names.
    pub path: PathBuf,
    /// Name of the column of the pictures. Default: "image".
    pub image: String,
    /// Name of the column of the labels, of integers from 0; "" for a set without classes. Default: "label".
    pub label: String,
    /// Names of the classes, in the order of the labels. Default: those in the file's metadata `huggingface`, or else
    /// the labels themselves.
    pub classes: Vec<String>,
    /// Side in pixels of the square that images are scaled to, 1 or more. Default: images are not scaled and must all
    /// have one size.
    pub size: Option<usize>,
    /// How an image that is not square becomes square, if `size` is set. Default: "center".
    pub crop: Crop,
    /// With `crop = "random"`, by how many pixels per side the scaled image exceeds `size`. Default: an eighth of
    /// `size`, rounded up.
    pub margin: Option<usize>,
    /// How images are resampled when they are scaled. Default: "lanczos".
    pub filter: Filter,
    /// Number of channels that images are converted to: 1 (gray), 3 (RGB) or 4 (RGBA). Default: 3.
    pub channels: usize,
    /// Color behind transparent pixels, if `channels` is 1 or 3: "white", "black" or "#rrggbb". Default: "white".
    pub background: Background,
    /// Whether training mirrors half of the images left to right (horizontal flips). Default: false.
    pub flip: bool,
    /// Every how-many-th image of a class is held out from training, if no files are named `test` or `validation`; 0
    /// holds out none. Default: 10.
    pub held_out: usize,
    /// Number of levels, 2 to 256, that the 256 levels of a pixel are quantized to, in equal bins. With categorical
    /// noise it is the number of categories. Default: 256.
    pub levels: Option<u16>,
}

impl Default for Parquet {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            image: "image".into(),
            label: "label".into(),
            classes: Vec::new(),
            size: None,
            crop: Crop::Center,
            margin: None,
            filter: Filter::Lanczos,
            channels: 3,
            background: Background::WHITE,
            flip: false,
            held_out: 10,
            levels: None,
        }
    }
}

/// A picture file, and its place.
struct Row {
    bytes: ByteArray,
    file: usize,
    row: usize,
}

impl Source for Parquet {
    fn load(&self, split: Split) -> Result<Images, Error> {
        let &Self { size, crop, margin, filter, channels, background, .. } = self;
        let prepare = Prepare { size, crop, margin, filter, channels, background };
        prepare.check()?;
        if self.path.as_os_str().is_empty() {
            return Err(Error::invalid("is not set")
                .with_field("path")
                .with_remedy("set `path = \"set.parquet\"`, or a folder of such files"));
        }
        if self.label.is_empty() && !self.classes.is_empty() {
            return Err(Error::invalid("is set, but `label` is empty")
                .with_field("classes")
                .with_remedy("set `label` to the name of the column of labels"));
        }
        self.read(&prepare, split).map_err(|error| error.at_field("path"))
    }
}

impl Parquet {
    fn read(&self, prepare: &Prepare, split: Split) -> Result<Images, Error> {
        let path = find(&self.path)?;
        let (files, whole) = if path.is_dir() { in_folder(&path, split)? } else { (vec![path.clone()], true) };
        let (mut rows, mut found, mut names) = (Vec::new(), Vec::new(), self.classes.clone());
        for (n, file) in files.iter().enumerate() {
            let table = Table::open(file)?;
            let pictures = table.pictures(&self.image)?;
            if !self.label.is_empty() {
                let here = table.labels(&self.label)?;
                names = if names.is_empty() { table.names(&self.label) } else { names };
                // Checked here, where the file and row are known.
                let field = if self.classes.is_empty() { "label" } else { "classes" };
                labels(file, &here, names.clone()).map_err(|error| error.with_field(field))?;
                found.extend(here);
            }
            rows.extend(pictures.into_iter().enumerate().map(|(row, bytes)| Row { bytes, file: n, row }));
        }
        if rows.is_empty() {
            return Err(Error::empty("has no rows").with_path(path).with_remedy("give a table with at least one row"));
        }
        let read = |row: &Row| {
            let unreadable = |reason| Error::unreadable(&files[row.file], Some(row.row), reason);
            prepare.picture(row.bytes.data()).map_err(unreadable)
        };
        let name = |i: usize| format!("row {} of {}", rows[i].row, files[rows[i].file].display());
        let mut images = decode(&path, &rows, prepare, read, name)?;
        images.flip = self.flip;
        if !self.label.is_empty() {
            let (labels, classes) = labels(&path, &found, names)?;
            images = images.with_labels(labels, classes)?;
        }
        if whole {
            images = part(&images, split, self.held_out)?;
        }
        images.with_levels(self.levels)
    }
}

/// The files of a part in a folder, and whether they hold the other part too.
fn in_folder(folder: &Path, split: Split) -> Result<(Vec<PathBuf>, bool), Error> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>, Error> {
        let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "parquet"));
        files.sort();
        Ok(files)
    };
    let data = folder.join("data");
    let mut files = list(folder)?;
    if files.is_empty() && data.is_dir() {
        files = list(&data)?;
    }
    if files.is_empty() {
        return Err(Error::format(folder, "does not hold any Parquet files, whose names end in `.parquet`")
            .with_remedy("copy some there, or set `path` to a file"));
    }
    let named = |start: &str| -> Vec<PathBuf> {
        let begins = |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
        files.iter().filter(begins).cloned().collect()
    };
    let train = named("train");
    let held = [named("test"), named("validation")].into_iter().find(|files| !files.is_empty());
    Ok(match (train.is_empty(), held, split) {
        (true, ..) => (files, true),
        (false, None, _) => (train, true),
        (false, Some(_), Split::Train) => (train, false),
        (false, Some(held), Split::Test) => (held, false),
    })
}

/// An open Parquet file.
struct Table<'a> {
    file: &'a Path,
    reader: SerializedFileReader<File>,
}

impl<'a> Table<'a> {
    fn open(file: &'a Path) -> Result<Self, Error> {
        let open = File::open(file).map_err(Error::io(file, "open"))?;
        let incomplete = |error| Error::unreadable(file, None, format!("it is not a complete Parquet file ({error})"));
        let reader = SerializedFileReader::new(open).map_err(incomplete)?;
        Ok(Self { file, reader })
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

    /// The picture files in a column, which is a struct with `bytes` or bytes itself.
    fn pictures(&self, name: &str) -> Result<Vec<ByteArray>, Error> {
        let column = [format!("{name}.bytes"), name.to_string()]
            .iter()
            .find_map(|name| self.column(name))
            .filter(|&(_, kind)| kind == Physical::BYTE_ARRAY);
        let Some((at, _)) = column else {
            return Err(self.no_column(
                &format!("`{name}.bytes` of bytes"),
                "image",
                "set `image` to the name of the column of the pictures (tables of paths without bytes cannot be read)",
            ));
        };
        let missing = ["a picture", "it is null, or only a path"];
        self.values::<ByteArrayType>(at, missing, "give a table that holds the files")
    }

    fn labels(&self, name: &str) -> Result<Vec<i64>, Error> {
        let (missing, remedy) =
            (["a label", "it is null"], "remove the row, or set `label = \"\"` for a set without classes");
        match self.column(name) {
            Some((at, Physical::INT64)) => self.values::<Int64Type>(at, missing, remedy),
            Some((at, Physical::INT32)) => {
                Ok(self.values::<Int32Type>(at, missing, remedy)?.into_iter().map(i64::from).collect())
            }
            _ => Err(self.no_column(
                &format!("`{name}` of integers"),
                "label",
                "set `label` to the name of the column of the labels, or to \"\" for a set without classes",
            )),
        }
    }

    /// All values of a column; a null is an error.
    fn values<T: DataType>(
        &self,
        column: usize,
        [missing, why]: [&str; 2],
        remedy: &'static str,
    ) -> Result<Vec<T::T>, Error> {
        let fail = |error: ParquetError| Error::unreadable(self.file, None, format!("a page is damaged ({error})"));
        let most = self.reader.metadata().file_metadata().schema_descr().column(column).max_def_level();
        let mut all = Vec::new();
        for group in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(group).map_err(fail)?;
            let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column).map_err(fail)?);
            let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            let (mut levels, mut values, mut read) = (Vec::new(), Vec::new(), 0);
            while read < rows {
                let (records, _, _) =
                    reader.read_records(rows - read, Some(&mut levels), None, &mut values).map_err(fail)?;
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
    fn names(&self, label: &str) -> Vec<String> {
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
