//! Tables of pictures as Hugging Face lays them out.
use super::{Source, Split, gather, labels, part};
use crate::{Background, Crop, Error, Filter, Images, find, pixels::Prepare};
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

/// A Parquet file, or a folder of them, as Hugging Face lays out sets of images: a column `image` of
/// `struct { bytes, path }` with PNG or JPEG files in it, and a column `label` of integers.
///
/// In a folder (or its sub-folder `data`), files whose names begin with `train` are for training and those that begin
/// with `test` (or else `validation`) are held out; otherwise all files are one set, of which every `held_out`-th image
/// of a class is held out. Pages may be plain or packed by Zstandard, Snappy or gzip. Names of classes are taken from
/// the file's note `huggingface`, where it has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parquet {
    /// The file or folder; a relative path is looked up by [`find`].
    pub path: PathBuf,
    /// Column of the pictures.
    pub image: String,
    /// Column of the labels; `""` makes a set without classes.
    pub label: String,
    /// Names of the classes, in the order of the labels, before those of the file.
    pub classes: Vec<String>,
    /// Side of the images in pixels; if not given, they must be of one size, and keep it.
    pub size: Option<usize>,
    /// What is cut off images that are not square.
    pub crop: Crop,
    /// By how many pixels a side images are larger than the window of random crops; an eighth of `size` if not given.
    pub margin: Option<usize>,
    /// How images are scaled.
    pub filter: Filter,
    /// 1 (grey), 3 (RGB) or 4 (RGBA).
    pub channels: usize,
    /// What alpha is laid on, with 3 channels or 1.
    pub background: Background,
    /// Whether mirrored images belong to the set.
    pub flip: bool,
    /// Every how many-th image of a class is held out, where the files do not say; 0 holds out none.
    pub held_out: usize,
    /// Levels that the 256 are brought down to, in equal bins: as many categories where the noise is categorical.
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

/// A picture and where it stands.
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
            return Err(Error::setting(
                "there is no `path`",
                "Say `path = \"set.parquet\"`, or a folder of such files.",
            ));
        }
        if self.label.is_empty() && !self.classes.is_empty() {
            return Err(Error::setting("`classes` are named, but `label` is empty", "Name the column of labels."));
        }
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
                labels(file, &here, names.clone())?;
                found.extend(here);
            }
            rows.extend(pictures.into_iter().enumerate().map(|(row, bytes)| Row { bytes, file: n, row }));
        }
        if rows.is_empty() {
            let place = format!("`{}`", path.display());
            return Err(Error::Empty { place, remedy: "Give a table that has rows." });
        }
        let read = |row: &Row| {
            let unreadable = |reason| Error::Unreadable { file: files[row.file].clone(), row: Some(row.row), reason };
            prepare.picture(row.bytes.data()).map_err(unreadable)
        };
        let name = |i: usize| format!("row {} of {}", rows[i].row, files[rows[i].file].display());
        let mut images = gather(&rows, &prepare, read, name)?;
        images.flip = self.flip;
        if !self.label.is_empty() {
            let (labels, classes) = labels(&path, &found, names)?;
            images = images.labelled(labels, classes);
        }
        if whole {
            images = part(images, split, self.held_out, || format!("`{}`", path.display()))?;
        }
        images.of_levels(self.levels)
    }
}

/// The files of a part in a folder, and whether the other part is in them too.
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
        return Err(Error::Missing {
            folder: folder.into(),
            wanted: "Parquet file (a name that ends in `.parquet`)".into(),
            there: Vec::new(),
            remedy: "Copy some there, or give the path of one.".into(),
        });
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
        let reader = SerializedFileReader::new(open).map_err(|error| Error::Unreadable {
            file: file.into(),
            row: None,
            reason: format!("it is no whole Parquet file ({error})"),
        })?;
        Ok(Self { file, reader })
    }

    /// The number and type of a column.
    fn column(&self, name: &str) -> Option<(usize, Physical)> {
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        let at = columns.iter().position(|column| column.path().string() == name)?;
        Some((at, columns[at].physical_type()))
    }

    fn no_column(&self, wanted: String, remedy: &str) -> Error {
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        let found =
            columns.iter().map(|column| format!("{} ({})", column.path().string(), column.physical_type())).collect();
        Error::Column { file: self.file.into(), wanted, found, remedy: remedy.into() }
    }

    /// The picture files in a column, which is a struct with `bytes` or is bytes itself.
    fn pictures(&self, name: &str) -> Result<Vec<ByteArray>, Error> {
        let column = [format!("{name}.bytes"), name.to_string()]
            .iter()
            .find_map(|name| self.column(name))
            .filter(|&(_, kind)| kind == Physical::BYTE_ARRAY);
        let Some((at, _)) = column else {
            return Err(self.no_column(
                format!("`{name}.bytes` of bytes"),
                "Name the column of the pictures: `image = \"…\"`; a table of paths without bytes is not read.",
            ));
        };
        self.values::<ByteArrayType>(
            at,
            "no picture (it is null, or only a path)",
            "Give a table that holds the files.",
        )
    }

    fn labels(&self, name: &str) -> Result<Vec<i64>, Error> {
        let (missing, remedy) =
            ("no label (it is null)", "Remove the row, or say `label = \"\"` for a set without classes.");
        match self.column(name) {
            Some((at, Physical::INT64)) => self.values::<Int64Type>(at, missing, remedy),
            Some((at, Physical::INT32)) => {
                Ok(self.values::<Int32Type>(at, missing, remedy)?.into_iter().map(i64::from).collect())
            }
            _ => Err(self.no_column(
                format!("`{name}` of integers"),
                "Name the column of the labels: `label = \"…\"`, or say `label = \"\"` for a set without classes.",
            )),
        }
    }

    /// All values of a column, none of them null.
    fn values<T: DataType>(&self, column: usize, missing: &str, remedy: &str) -> Result<Vec<T::T>, Error> {
        let fail = |error: ParquetError| Error::Unreadable {
            file: self.file.into(),
            row: None,
            reason: format!("a page of it is damaged ({error})"),
        };
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
                let place = format!("row {} of `{}` has {missing}", all.len() + row, self.file.display());
                return Err(Error::setting(place, remedy));
            }
            if values.len() != rows {
                let reason = format!("a group announces {rows} rows and holds {}", values.len());
                return Err(Error::Unreadable { file: self.file.into(), row: None, reason });
            }
            all.append(&mut values);
        }
        Ok(all)
    }

    /// Names of the classes in the file's own note, in the order of the labels; none if it has none.
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
