//! Parquet tables of pictures in the layout of Hugging Face.
mod pages;
mod table;

use super::{
    Source, Unreadable,
    decode::{Decoded, Pictures},
    hold_out::part,
    labels::{labels, texts},
};
use crate::{
    Background, Columns, Crop, Error, Filter, Images, Notes, Split, find,
    limits::{MAX_ARRAY, MAX_ROWS},
    pixels::Prepare,
};
use parquet::data_type::ByteArray;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};
use table::{Labels, Table};

/// A Parquet file, or a folder of them, in Hugging Face's layout of image sets: a column `image` of
/// `struct { bytes, path }` that holds PNG, JPEG, WebP, GIF, BMP or TIFF files, and a column `label`.
///
/// In a folder (or its subfolder `data`), files whose names start with `train` are the training part and those that
/// start with `test` (or else `validation`) the held-out part; otherwise all files are one set, of which every
/// `held_out`-th image of a class is held out. Labels are integers from 0, truth values, or texts, which are the classes
/// in the order of their bytes (`10` is before `2`). Pages may be uncompressed or compressed with Zstandard, Snappy, LZ4,
/// Brotli or gzip. A set has at most 2²⁴ rows ([`MAX_ROWS`](crate::limits::MAX_ROWS)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Parquet {
    /// Path of the file or folder. A relative path is looked up in the working directory, then in the folder that the
    /// environment variable `TWEEDIE_DATA` names.
    pub path: PathBuf,
    /// Name of the column of the pictures. Default: "image".
    pub image: String,
    /// Name of the column of the labels, of integers from 0 or texts; "" for a set without classes. Default: "label".
    pub label: String,
    /// Names of the classes, in the order of the labels. Default: those in the file's metadata `huggingface`, or else
    /// the labels themselves; labels that are texts must be among the names.
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
    /// What is done with pictures that cannot be read: "refuse" lists them in an error, "skip" leaves them out. Default:
    /// "refuse".
    pub unreadable: Unreadable,
    /// Names of further columns that are read beside the pictures.
    #[serde(skip)]
    pub columns: Vec<String>,
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
            unreadable: Unreadable::Refuse,
            columns: vec![],
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
        let prepare = self.prepare()?;
        self.read(&prepare, split).map_err(|error| error.at_field("path"))
    }

    fn memory(&self, split: Split) -> Result<Option<u64>, Error> {
        let prepare = self.prepare()?;
        let count = || -> Result<Option<u64>, Error> {
            let (path, parts) = self.files(split)?;
            let (mut rows, mut stored, mut pixels) = (0u64, 0u64, prepare.side().map(|side| (side * side) as u64));
            for file in &parts.own {
                let table = Table::open(file)?;
                rows = rows.saturating_add(table.rows()?);
                stored = stored.saturating_add(table.stored(&self.image));
                pixels = pixels.or_else(|| table.first_pixels(&self.image));
            }
            check_size(&path, rows, stored)?;
            // The files, the decoded pictures, and the set; then the set, and its two parts.
            let bytes = |pixels| stored.saturating_add(rows.saturating_mul(2 * self.channels as u64 * pixels));
            Ok(pixels.map(bytes))
        };
        count().map_err(|error| error.at_field("path"))
    }
}

/// Checks that tables of so many rows, and so many bytes of pictures, can be read.
fn check_size(path: &Path, rows: u64, stored: u64) -> Result<(), Error> {
    let problem = match (rows > MAX_ROWS, stored > MAX_ARRAY) {
        (true, _) => format!("announces {rows} rows, more than the {MAX_ROWS} that are read"),
        (_, true) => format!("announces {stored} bytes of pictures, more than the {MAX_ARRAY} that are read"),
        _ => return Ok(()),
    };
    Err(Error::format(path, problem).with_remedy("write it again if that is wrong, or give a part of it"))
}

impl Parquet {
    /// The checked settings.
    fn prepare(&self) -> Result<Prepare, Error> {
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
        Ok(prepare)
    }

    fn files(&self, split: Split) -> Result<(PathBuf, Parts), Error> {
        let path = find(&self.path)?;
        let whole =
            |path: &PathBuf| Parts { own: vec![path.clone()], other: Vec::new(), whole: true, notes: Notes::default() };
        let parts = if path.is_dir() { in_folder(&path, split)? } else { whole(&path) };
        Ok((path, parts))
    }

    fn read(&self, prepare: &Prepare, split: Split) -> Result<Images, Error> {
        let (path, Parts { own: files, other, whole, mut notes }) = self.files(split)?;
        let (mut rows, mut found, mut names) = (Vec::new(), Labels::default(), self.classes.clone());
        let mut columns = Columns::default();
        let field = if self.classes.is_empty() { "label" } else { "classes" };
        let (mut count, mut stored) = (0u64, 0u64);
        for (n, file) in files.iter().enumerate() {
            let table = Table::open(file)?;
            count = count.saturating_add(table.rows()?);
            stored = stored.saturating_add(table.stored(&self.image));
            check_size(&path, count, stored)?;
            let pictures = table.pictures(&self.image)?;
            if !self.label.is_empty() {
                let here = table.labels(&self.label)?;
                names = if names.is_empty() { table.names(&self.label) } else { names };
                if let Labels::Numbers(here) = &here {
                    // Checked here, where the file and row are known.
                    labels(file, here, names.clone()).map_err(|error| error.with_field(field))?;
                }
                found.extend(here).map_err(|problem| Error::format(file, problem).with_field("label"))?;
            }
            columns.append(table.columns(&self.columns)?);
            rows.extend(pictures.into_iter().enumerate().map(|(row, bytes)| Row { bytes, file: n, row }));
        }
        if rows.is_empty() {
            return Err(Error::empty("has no rows").with_path(path).with_remedy("give a table with at least one row"));
        }
        let read = |row: &Row| prepare.picture(row.bytes.data());
        let pictures = Pictures {
            path: &path,
            items: &rows,
            name: |i: usize| format!("row {} of {}", rows[i].row, files[rows[i].file].display()),
            single: &|i, reason| {
                Error::unreadable(&files[rows[i].file], Some(rows[i].row), reason).with_remedy(Error::SKIP)
            },
            unreadable: self.unreadable,
        };
        let Decoded { mut images, skipped } = pictures.decode(prepare, read, &mut notes, Vec::new())?;
        images.flip = self.flip;
        if !self.label.is_empty() {
            found.remove(&skipped);
            let (labels, classes) = match &found {
                Labels::Numbers(found) => labels(&path, found, names)?,
                Labels::Texts(found) => {
                    let mut others = Vec::new();
                    for file in other.iter().filter(|_| names.is_empty()) {
                        match Table::open(file)?.labels(&self.label)? {
                            Labels::Texts(labels) => others.extend(labels),
                            Labels::Numbers(_) => return Err(Error::format(file, Labels::MIXED).with_field("label")),
                        }
                    }
                    texts(&path, found, found.iter().chain(&others), names).map_err(|error| error.with_field(field))?
                }
            };
            notes.compare(&classes);
            images = images.with_labels(labels, classes)?;
        }
        images.notes = notes;
        let kept: Vec<usize> = (0..rows.len()).filter(|at| skipped.binary_search(at).is_err()).collect();
        let folder = if path.is_dir() { &path } else { path.parent().unwrap_or(Path::new("")) };
        images.columns = columns.select(&kept).in_folder(folder);
        if whole {
            images = part(images, split, self.held_out)?;
        }
        images.with_levels(self.levels)
    }
}

/// The files of a set.
struct Parts {
    /// Those of the wanted part.
    own: Vec<PathBuf>,
    /// Those of the other part.
    other: Vec<PathBuf>,
    /// Whether `own` holds both parts.
    whole: bool,
    notes: Notes,
}

/// The files of a part in a folder.
fn in_folder(folder: &Path, split: Split) -> Result<Parts, Error> {
    let mut notes = Notes::default();
    let mut list = |folder: &Path| -> Result<Vec<PathBuf>, Error> {
        let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
        let (mut files, mut found) = (Vec::new(), Notes::default());
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_table = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
            match path {
                path if path.file_name().is_some_and(super::tree::is_hidden) => {}
                path if is_table && path.is_file() => files.push(path),
                path if is_table && !path.is_dir() => found.add_special("tables that are not regular files"),
                path if !path.is_dir() => found.add_ending(&path),
                _ => {}
            }
        }
        files.sort();
        notes = found;
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
    let all = files.len();
    let mut parts = match (train.is_empty(), held, split) {
        (true, ..) => Parts { own: files, other: Vec::new(), whole: true, notes },
        (false, None, _) => Parts { own: train, other: Vec::new(), whole: true, notes },
        (false, Some(held), Split::Train) => Parts { own: train, other: held, whole: false, notes },
        (false, Some(held), Split::Test) => Parts { own: held, other: train, whole: false, notes },
    };
    for _ in parts.own.len() + parts.other.len()..all {
        parts.notes.add_special("Parquet files of other parts");
    }
    Ok(parts)
}
