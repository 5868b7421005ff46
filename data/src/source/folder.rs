//! Folders of pictures.
use super::{Source, decode::decode, hold_out::part};
use crate::{Background, Crop, Error, Filter, Images, Split, error::list, find, pixels::Prepare};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of PNG and JPEG pictures; its subfolders, in the order of their names, are the classes.
///
/// If the folder has a subfolder `train` and one named `test`, `val`, `valid` or `validation`, these are the training
/// part and the held-out part, each with a subfolder per class; otherwise every `held_out`-th image of a class is held
/// out.
///
/// Pictures are the files whose names end in `.png`, `.jpg` or `.jpeg`, at any depth below a class; names that start
/// with a dot are ignored. JPEGs are rotated by their EXIF orientation. Scaling and compositing are done on the stored
/// 8-bit values.
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
        }
    }
}

impl Source for Folder {
    fn load(&self, split: Split) -> Result<Images, Error> {
        let &Self { size, crop, margin, filter, channels, background, .. } = self;
        let prepare = Prepare { size, crop, margin, filter, channels, background };
        prepare.check()?;
        if self.path.as_os_str().is_empty() {
            return Err(Error::invalid("is not set")
                .with_field("path")
                .with_remedy("set `path = \"folder\"`, the folder of the pictures"));
        }
        self.read(&prepare, split).map_err(|error| error.at_field("path"))
    }
}

impl Folder {
    fn read(&self, prepare: &Prepare, split: Split) -> Result<Images, Error> {
        let folder = find(&self.path)?;
        if !folder.is_dir() {
            return Err(Error::format(&folder, "is a file, but `path` must be a folder")
                .with_remedy("give the folder that holds it, or use the source `parquet` for a Parquet file"));
        }
        let parts = parts(&folder);
        let (files, labels, classes) = match &parts {
            None => survey(&folder)?,
            Some(parts) => {
                let (train, test) = (survey(&parts[0])?, survey(&parts[1])?);
                if train.2 != test.2 {
                    return Err(other_classes(&folder, parts, [&train.2, &test.2]));
                }
                if split == Split::Train { train } else { test }
            }
        };
        let read = |file: &PathBuf| {
            let bytes = fs::read(file).map_err(Error::io(file, "read"))?;
            prepare.picture(&bytes).map_err(|reason| Error::unreadable(file, None, reason))
        };
        let mut images = decode(&folder, &files, prepare, read, |i| files[i].display().to_string())?;
        images.flip = self.flip;
        if !classes.is_empty() {
            images = images.with_labels(labels, classes)?;
        }
        if parts.is_none() {
            images = part(&images, split, self.held_out)?;
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

/// The error for a training part and a held-out part with different classes.
fn other_classes(folder: &Path, parts: &[PathBuf; 2], classes: [&Vec<String>; 2]) -> Error {
    let [train, test] = [0, 1].map(|part| {
        let names = if classes[part].is_empty() { "none".into() } else { list(classes[part]) };
        format!("`{}` has {names}", parts[part].display())
    });
    Error::format(folder, format!("must have the same classes in both parts, but {train}, and {test}"))
        .with_remedy("give both the same subfolders, or set `path` to one of them")
}

type Survey = (Vec<PathBuf>, Vec<u32>, Vec<String>);

/// The pictures of a folder, their labels and the names of the classes; no labels if there are no subfolders.
fn survey(folder: &Path) -> Result<Survey, Error> {
    let (mut files, mut classes, mut others) = (Vec::new(), Vec::new(), 0);
    for entry in entries(folder)? {
        match entry {
            entry if entry.is_dir() => classes.push(entry),
            entry if is_picture(&entry) => files.push(entry),
            _ => others += 1,
        }
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut labels = Vec::new();
    let direct = files.first().map(|file| name(file));
    let mut empty = None;
    for (class, sub) in classes.iter().enumerate() {
        let before = files.len();
        others += collect(sub, &mut files)?;
        match (files.len() > before, &direct) {
            (true, Some(image)) => return Err(mixed(folder, image, &name(sub))),
            (true, None) => labels.resize(files.len(), class as u32),
            (false, _) => empty = empty.or(Some(sub)),
        }
    }
    match (files.is_empty(), direct, empty) {
        (true, ..) => Err(no_images(folder, others)),
        (false, None, Some(sub)) => Err(empty_class(sub)),
        (false, None, None) => Ok((files, labels, classes.iter().map(|sub| name(sub)).collect())),
        (false, Some(_), _) => Ok((files, Vec::new(), Vec::new())),
    }
}

/// The error for a folder with pictures both in it and in its subfolders.
fn mixed(folder: &Path, image: &str, class: &str) -> Error {
    let problem =
        format!("holds images both directly (`{image}`) and in subfolders (`{class}`), so the classes are unclear");
    Error::format(folder, problem)
        .with_remedy("move the images into subfolders, one per class, or all of them into one folder")
}

/// The error for a folder without pictures, but with `others` files of other kinds.
fn no_images(folder: &Path, others: usize) -> Error {
    let found = match others {
        0 => "it is empty".to_owned(),
        1 => "it holds one file of another kind".to_owned(),
        n => format!("it holds {n} files of other kinds"),
    };
    Error::format(folder, format!("does not hold any PNG or JPEG images: {found}"))
        .with_remedy("put images there whose names end in .png, .jpg or .jpeg, directly or in one subfolder per class")
}

/// The error for a subfolder, which stands for a class, without pictures.
fn empty_class(folder: &Path) -> Error {
    Error::format(folder, "is the subfolder of a class, but does not hold any PNG or JPEG images")
        .with_remedy("put images there or remove it")
}

/// Adds the pictures below a folder to `files` and returns the number of other files.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<usize, Error> {
    let mut others = 0;
    for entry in entries(folder)? {
        match entry {
            entry if entry.is_dir() => others += collect(&entry, files)?,
            entry if is_picture(&entry) => files.push(entry),
            _ => others += 1,
        }
    }
    Ok(others)
}

/// The entries of a folder in the order of their names, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let mut paths =
        list.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(Error::io(folder, "list"))?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg"))
}
