//! A folder of pictures.
use super::{Source, Split, gather, part};
use crate::{Background, Crop, Error, Filter, Images, find, pixels::Prepare};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of PNG and JPEG pictures; sub-folders are classes, in the order of their names.
///
/// If the folder has a sub-folder `train` and one called `test`, `val`, `valid` or `validation`, these are the two parts,
/// each with its classes; otherwise every `held_out`-th image of a class is held out.
///
/// Pictures are those files whose names end in `.png`, `.jpg` or `.jpeg`, at any depth below a class; names that begin
/// with a dot are passed over. JPEGs are turned as their camera noted. Scaling and mixing are done in the stored 8-bit
/// values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Folder {
    /// The folder; a relative path is looked up by [`find`].
    pub path: PathBuf,
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
    /// Every how many-th image of a class is held out, where there are no two parts; 0 holds out none.
    pub held_out: usize,
    /// Levels that the 256 are brought down to, in equal bins: as many categories where the noise is categorical.
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
            return Err(Error::setting("there is no `path`", "Say `path = \"folder\"`, the folder of the pictures."));
        }
        let folder = find(&self.path)?;
        if !folder.is_dir() {
            return Err(Error::setting(
                format!("`{}` is a file, and `path` names a folder", folder.display()),
                "Give the folder it is in; a Parquet file is read by the source `parquet`.",
            ));
        }
        let parts = parts(&folder);
        let (files, labels, classes) = match &parts {
            None => survey(&folder)?,
            Some(parts) => {
                let (train, test) = (survey(&parts[0])?, survey(&parts[1])?);
                if train.2 != test.2 {
                    return Err(other_classes(parts, [&train.2, &test.2]));
                }
                if split == Split::Train { train } else { test }
            }
        };
        let read = |file: &PathBuf| {
            let bytes = fs::read(file).map_err(Error::io(file, "read"))?;
            let unreadable = |reason| Error::Unreadable { file: file.into(), row: None, reason };
            prepare.picture(&bytes).map_err(unreadable)
        };
        let mut images = gather(&files, &prepare, read, |i| files[i].display().to_string())?;
        images.flip = self.flip;
        if !classes.is_empty() {
            images = images.labelled(labels, classes);
        }
        if parts.is_none() {
            images = part(images, split, self.held_out, || format!("`{}`", folder.display()))?;
        }
        images.of_levels(self.levels)
    }
}

/// The sub-folders of training and test, if a folder is laid out so.
fn parts(folder: &Path) -> Option<[PathBuf; 2]> {
    let train = folder.join("train");
    let test =
        ["test", "val", "valid", "validation"].map(|name| folder.join(name)).into_iter().find(|part| part.is_dir());
    test.filter(|_| train.is_dir()).map(|test| [train, test])
}

fn other_classes(parts: &[PathBuf; 2], classes: [&Vec<String>; 2]) -> Error {
    let [train, test] = [0, 1].map(|part| {
        let names: Vec<_> = classes[part].iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        format!("`{}` has {names}", parts[part].display())
    });
    Error::setting(
        format!("the classes differ between the parts: {train}, {test}"),
        "Give both the same sub-folders, or give the path of one part.",
    )
}

type Survey = (Vec<PathBuf>, Vec<u32>, Vec<String>);

/// The pictures of a folder, their labels and the names of the classes.
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
        others += walk(sub, &mut files)?;
        match (files.len() > before, &direct) {
            (true, Some(image)) => {
                return Err(Error::Mixed { folder: folder.into(), image: image.clone(), class: name(sub) });
            }
            (true, None) => labels.resize(files.len(), class as u32),
            (false, _) => empty = empty.or(Some(sub)),
        }
    }
    match (files.is_empty(), direct, empty) {
        (true, ..) => Err(Error::NoImages { folder: folder.into(), others }),
        (false, None, Some(sub)) => Err(Error::EmptyClass { folder: sub.clone() }),
        (false, None, None) => Ok((files, labels, classes.iter().map(|sub| name(sub)).collect())),
        (false, Some(_), _) => Ok((files, Vec::new(), Vec::new())),
    }
}

/// Adds the pictures below a folder; the number of other files.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<usize, Error> {
    let mut others = 0;
    for entry in entries(folder)? {
        match entry {
            entry if entry.is_dir() => others += walk(&entry, files)?,
            entry if is_picture(&entry) => files.push(entry),
            _ => others += 1,
        }
    }
    Ok(others)
}

/// What is in a folder, by name.
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
