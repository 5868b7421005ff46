//! Folders of pictures.
use super::{
    Source, Unreadable,
    decode::{Decoded, Pictures},
    hold_out::part,
    metadata,
    tree::{ENDINGS, Entry, Walk, is_hidden},
};
use crate::{
    Background, Crop, Error, Filter, Images, Notes, Split,
    error::list,
    find, limits,
    pixels::{Prepare, dimensions},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// A folder of PNG, JPEG, WebP, GIF, BMP and TIFF pictures; its subfolders are the classes, in the order of their names,
/// byte by byte (`10` is before `2`).
///
/// If the folder has a subfolder `train` and one named `test`, `val`, `valid` or `validation`, these are the training
/// part and the held-out part, each with a subfolder per class; otherwise every `held_out`-th image of a class is held
/// out.
///
/// Pictures are the files whose names end in `.png`, `.apng`, `.jpg`, `.jpeg`, `.jfif`, `.webp`, `.gif`, `.bmp`, `.dib`,
/// `.tif` or `.tiff`, at any depth below a class; their format is that of their contents. Of animations and files of
/// several pages the first frame or page is read. Names that start with a dot and service files (`@eaDir`, `__MACOSX`,
/// `Thumbs.db`, …) are ignored; [`Notes`] count what else is left out. Links to folders are followed, but no folder is
/// read twice. Pictures are rotated by their EXIF orientation. Scaling and compositing are done on the stored 8-bit
/// values. A table `metadata.csv` or `metadata.jsonl` beside or above the pictures, with their paths in a column `file_name`,
/// gives conditions their values. A picture has at most 2²⁶ pixels ([`MAX_PIXELS`](crate::limits::MAX_PIXELS)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Folder {
    /// Path of the folder. A relative path is looked up in the working directory, then in the folder that the
    /// environment variable `TWEEDIE_DATA` names.
    pub path: PathBuf,
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
    /// Every how-many-th image of a class is held out from training, if the folder does not have the two parts itself;
    /// 0 holds out none. Default: 10.
    pub held_out: usize,
    /// Number of levels, 2 to 256, that the 256 levels of a pixel are quantized to, in equal bins. With categorical
    /// noise it is the number of categories. Default: 256.
    pub levels: Option<u16>,
    /// What is done with pictures that cannot be read: "refuse" lists them in an error, "skip" leaves them out. Default:
    /// "refuse".
    pub unreadable: Unreadable,
    /// Names of columns of `metadata.csv` or `metadata.jsonl` that are read beside the pictures.
    #[serde(skip)]
    pub columns: Vec<String>,
}

impl Default for Folder {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
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

impl Source for Folder {
    fn load(&self, split: Split) -> Result<Images, Error> {
        let prepare = self.prepare()?;
        self.read(&prepare, split).map_err(|error| error.at_field("path"))
    }

    fn memory(&self, split: Split) -> Result<Option<u64>, Error> {
        let prepare = self.prepare()?;
        let survey = self.survey(split).map_err(|error| error.at_field("path"))?.0;
        let side = match (prepare.side(), survey.files.first()) {
            (Some(side), _) => Some((side * side) as u64),
            (None, Some(first)) => header_pixels(first),
            (None, None) => Some(0),
        };
        // The decoded pictures, and the set; then the set, and its two parts.
        let bytes = |pixels| 2 * survey.files.len() as u64 * self.channels as u64 * pixels;
        Ok(side.map(bytes))
    }
}

/// The number of pixels that the header of a picture file announces, if it has one.
fn header_pixels(file: &Path) -> Option<u64> {
    let mut start = Vec::new();
    limits::open(file).ok()?.0.take(limits::MAX_PICTURE).read_to_end(&mut start).ok()?;
    dimensions(&start).ok().map(|(width, height)| u64::from(width) * u64::from(height))
}

impl Folder {
    /// The checked settings.
    fn prepare(&self) -> Result<Prepare, Error> {
        let &Self { size, crop, margin, filter, channels, background, .. } = self;
        let prepare = Prepare { size, crop, margin, filter, channels, background };
        prepare.check()?;
        if self.path.as_os_str().is_empty() {
            return Err(Error::invalid("is not set")
                .with_field("path")
                .with_remedy("set `path = \"folder\"`, the folder of the pictures"));
        }
        Ok(prepare)
    }

    /// The pictures of a part, or of the whole folder if it has no parts, and whether it is that.
    fn survey(&self, split: Split) -> Result<(Survey, PathBuf, bool), Error> {
        let folder = find(&self.path)?;
        if !folder.is_dir() {
            return Err(Error::format(&folder, "is a file, but `path` must be a folder")
                .with_remedy("give the folder that holds it, or use the source `parquet` for a Parquet file"));
        }
        let tables = !self.columns.is_empty();
        let Some(parts) = parts(&folder) else { return Ok((survey(&folder, tables)?, folder, true)) };
        let (train, test) = (survey(&parts[0], tables)?, survey(&parts[1], tables)?);
        if train.classes != test.classes {
            return Err(other_classes(&folder, &parts, [&train.classes, &test.classes]));
        }
        let mut own = if split == Split::Train { train } else { test };
        beside(&folder, &parts, &mut own.notes)?;
        Ok((own, folder, false))
    }

    fn read(&self, prepare: &Prepare, split: Split) -> Result<Images, Error> {
        let (Survey { files, mut labels, classes, mut notes, unreadable }, folder, whole) = self.survey(split)?;
        let root = match (whole, split) {
            (true, _) => folder.clone(),
            (false, Split::Train) => parts(&folder).expect("it was found")[0].clone(),
            (false, Split::Test) => parts(&folder).expect("it was found")[1].clone(),
        };
        let read = |file: &PathBuf| {
            let mut bytes = Vec::new();
            let (mut file, length) =
                limits::open(file).map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
            if length > limits::MAX_PICTURE {
                return Err(format!("it has {length} bytes, more than the {} that are read", limits::MAX_PICTURE));
            }
            file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            prepare.picture(&bytes)
        };
        let pictures = Pictures {
            path: &folder,
            items: &files,
            name: |i: usize| files[i].display().to_string(),
            single: &|i, reason| Error::unreadable(&files[i], None, reason).with_remedy(Error::SKIP),
            unreadable: self.unreadable,
        };
        let before = unreadable.into_iter().map(|(path, why)| (path.display().to_string(), why)).collect();
        let Decoded { mut images, skipped } = pictures.decode(prepare, read, &mut notes, before)?;
        images.flip = self.flip;
        if !classes.is_empty() {
            let mut at = 0;
            labels.retain(|_| {
                at += 1;
                skipped.binary_search(&(at - 1)).is_err()
            });
            let gone = |&class: &usize| !labels.contains(&(class as u32));
            if let Some(class) = (0..classes.len()).filter(|_| !skipped.is_empty()).find(gone) {
                let problem = format!("has a class `{}` without a picture that can be read", classes[class]);
                return Err(Error::format(&folder, problem).with_remedy("download its pictures again, or remove it"));
            }
            notes.compare(&classes);
            images = images.with_labels(labels, classes)?;
        }
        images.notes = notes;
        let kept: Vec<PathBuf> =
            (0..files.len()).filter(|at| skipped.binary_search(at).is_err()).map(|at| files[at].clone()).collect();
        images.columns = metadata::columns(&root, &kept, &self.columns)?;
        if whole {
            images = part(images, split, self.held_out)?;
        }
        images.with_levels(self.levels)
    }
}

/// The subfolders of the training and the held-out part, if the folder has both.
fn parts(folder: &Path) -> Option<[PathBuf; 2]> {
    let train = folder.join("train");
    let test =
        ["test", "val", "valid", "validation"].map(|name| folder.join(name)).into_iter().find(|part| part.is_dir());
    test.filter(|_| train.is_dir()).map(|test| [train, test])
}

/// Counts what lies beside the folders of the two parts, and is not read.
fn beside(folder: &Path, parts: &[PathBuf; 2], notes: &mut Notes) -> Result<(), Error> {
    let list = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    for path in list.flatten().map(|entry| entry.path()) {
        match path {
            path if parts.contains(&path) || path.file_name().is_some_and(is_hidden) => {}
            path if path.is_dir() => notes.add_special("folders beside the training and the held-out part"),
            path => notes.add_ending(&path),
        }
    }
    Ok(())
}

/// The error for a training part and a held-out part with different classes.
fn other_classes(folder: &Path, parts: &[PathBuf; 2], classes: [&Vec<String>; 2]) -> Error {
    let [train, test] = [0, 1].map(|part| {
        let names = if classes[part].is_empty() { "none".into() } else { list(classes[part]) };
        format!("`{}` has {names}", parts[part].display())
    });
    Error::format(folder, format!("must have the same classes in both parts, but {train}, and {test}"))
        .with_remedy("give both the same subfolders, or set `path` to one of them")
}

/// The pictures of a folder, their labels and the names of the classes; no labels if there are no subfolders.
struct Survey {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
    classes: Vec<String>,
    notes: Notes,
    /// Folders that cannot be listed, and why.
    unreadable: Vec<(PathBuf, String)>,
}

fn survey(folder: &Path, tables: bool) -> Result<Survey, Error> {
    let mut walk = Walk::new(folder, tables)?;
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for entry in walk.entries(folder)? {
        match entry {
            Entry::Folder(entry) => classes.push(entry),
            Entry::Picture(entry) => files.push(entry),
        }
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut labels = Vec::new();
    let direct = files.first().map(|file| name(file));
    let mut empty = None;
    for (class, sub) in classes.iter().enumerate() {
        let before = files.len();
        walk.collect(sub, &mut files);
        match (files.len() > before, &direct) {
            (true, Some(image)) => return Err(mixed(folder, image, &name(sub))),
            (true, None) => labels.resize(files.len(), class as u32),
            (false, _) => empty = empty.or(Some(sub)),
        }
    }
    let Walk { notes, unreadable, .. } = walk;
    let names: Vec<String> = classes.iter().map(|sub| name(sub)).collect();
    match (files.is_empty(), direct, empty) {
        // Those that cannot be listed are reported together with the pictures that cannot be read.
        (true, ..) if unreadable.is_empty() => Err(no_images(folder, &notes)),
        (true, ..) => Err(Error::format(&unreadable[0].0, format!("could not be listed: {}", unreadable[0].1))
            .with_remedy("make the folder readable")),
        (false, None, Some(sub)) if !unreadable.iter().any(|(path, _)| path.starts_with(sub)) => Err(empty_class(sub)),
        (false, None, _) => {
            if let Some(i) = (0..names.len()).find(|&i| names[..i].contains(&names[i])) {
                let problem = format!("has two subfolders whose names are shown as `{}`, which is not UTF-8", names[i]);
                return Err(Error::format(folder, problem).with_remedy("rename them"));
            }
            Ok(Survey { files, labels, classes: names, notes, unreadable })
        }
        (false, Some(_), _) => Ok(Survey { files, labels: Vec::new(), classes: Vec::new(), notes, unreadable }),
    }
}

/// The error for a folder with pictures both in it and in its subfolders.
fn mixed(folder: &Path, image: &str, class: &str) -> Error {
    let problem =
        format!("holds images both directly (`{image}`) and in subfolders (`{class}`), so the classes are unclear");
    Error::format(folder, problem)
        .with_remedy("move the images into subfolders, one per class, or all of them into one folder")
}

/// The error for a folder without pictures.
fn no_images(folder: &Path, notes: &Notes) -> Error {
    let found = if notes.is_empty() { "it is empty".to_owned() } else { notes.to_string() };
    let endings = ENDINGS.map(|ending| format!(".{ending}"));
    let (last, others) = endings.split_last().expect("there are some");
    Error::format(folder, format!("does not hold any images ({found})")).with_remedy(format!(
        "put images there whose names end in {} or {last}, directly or in one subfolder per class",
        others.join(", ")
    ))
}

/// The error for a subfolder, which stands for a class, without pictures.
fn empty_class(folder: &Path) -> Error {
    Error::format(folder, "is the subfolder of a class, but does not hold any images")
        .with_remedy("put images there or remove it")
}
