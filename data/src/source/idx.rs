//! IDX files: MNIST and its kin.
use super::{Source, Split, labels, lines, part};
use crate::{Background, Error, Images, find, pixels};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

/// IDX files, plain or gzipped: MNIST, Fashion-MNIST and their kin.
///
/// Either `path` is a folder with the four files named as MNIST's (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
/// `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, with or without `.gz`, `-idx` or `.idx`), which know training
/// and test apart; or `images` (and `labels`) name files, in `path` if that is given, of which every `held_out`-th
/// image of a class is held out.
///
/// Images are unsigned bytes `[n, height, width]` (idx3, grey) or `[n, height, width, channels]` (idx4; 1, 3 or 4).
/// Where there is a file `labels.txt` beside the labels, its lines name the classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idx {
    /// The folder; relative paths are looked up by [`find`].
    pub path: Option<PathBuf>,
    /// A file of images, where the folder's files have other names.
    pub images: Option<PathBuf>,
    /// The file of labels that belongs to `images`; none makes a set without classes.
    pub labels: Option<PathBuf>,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// 1 (grey), 3 (RGB) or 4 (RGBA); as the file has them if not given.
    pub channels: Option<usize>,
    /// What alpha is laid on where 4 channels become 3 or 1, and the colour of padding.
    pub background: Background,
    /// Side that images are padded to, as 32 for MNIST's 28.
    pub pad: Option<usize>,
    /// Whether mirrored images belong to the set.
    pub flip: bool,
    /// Every how many-th image of a class is held out, where the files do not say; 0 holds out none.
    pub held_out: usize,
    /// Levels that the 256 are brought down to, in equal bins: as many categories where the noise is categorical.
    pub levels: Option<u16>,
}

impl Default for Idx {
    fn default() -> Self {
        Self {
            path: None,
            images: None,
            labels: None,
            classes: Vec::new(),
            channels: None,
            background: Background::BLACK,
            pad: None,
            flip: false,
            held_out: 10,
            levels: None,
        }
    }
}

impl Source for Idx {
    fn load(&self, split: Split) -> Result<Images, Error> {
        if let Some(found) = self.channels.filter(|n| !matches!(n, 1 | 3 | 4)) {
            let place = format!("`channels = {found}`");
            return Err(Error::Channels { place, found, expected: "1 (grey), 3 (RGB) or 4 (RGBA)" });
        }
        let (images, labels, whole) = self.files(split)?;
        let set = self.read(&images, labels.as_deref())?;
        let set = if whole { part(set, split, self.held_out, || format!("`{}`", images.display()))? } else { set };
        set.of_levels(self.levels)
    }
}

impl Idx {
    /// The files of images and labels of a part, and whether the other part is in them too.
    fn files(&self, split: Split) -> Result<(PathBuf, Option<PathBuf>, bool), Error> {
        let inside = |file: &PathBuf| match &self.path {
            Some(folder) => find(folder.join(file)),
            None => find(file),
        };
        match (&self.path, &self.images, &self.labels) {
            (_, Some(images), labels) => Ok((inside(images)?, labels.as_ref().map(inside).transpose()?, true)),
            (_, None, Some(_)) => Err(Error::setting(
                "`labels` is given without `images`",
                "Name the file of images that they belong to.",
            )),
            (None, None, None) => Err(Error::setting(
                "there is neither a `path` nor `images`",
                "Say `path = \"mnist\"` for a folder with the four files of MNIST, or `images = \"file\"`.",
            )),
            (Some(path), None, None) => {
                let folder = find(path)?;
                if !folder.is_dir() {
                    return Err(Error::setting(
                        format!("`{}` is a file, and `path` names a folder", folder.display()),
                        "Name the file by `images`, and its labels by `labels`.",
                    ));
                }
                Ok((standard(&folder, split, "images", 3)?, Some(standard(&folder, split, "labels", 1)?), false))
            }
        }
    }

    fn read(&self, images: &Path, label_file: Option<&Path>) -> Result<Images, Error> {
        let (sizes, bytes) = unpack(images)?;
        let (count, height, width, found) = match sizes[..] {
            [n, h, w] => (n, h, w, 1),
            [n, h, w, c] => (n, h, w, c),
            _ => {
                return Err(Error::Magic {
                    file: images.into(),
                    found: format!("an array of {} dimensions", sizes.len()),
                    expected: "one of 3 (images × height × width) or 4 (… × channels)",
                    remedy: "Give the file of images, not that of labels.",
                });
            }
        };
        if !matches!(found, 1 | 3 | 4) {
            let place = format!("`{}` is an array of {count} × {height} × {width} × {found}", images.display());
            return Err(Error::Channels {
                place,
                found,
                expected: "a last dimension of 1 (grey), 3 (RGB) or 4 (RGBA)",
            });
        }
        if bytes.is_empty() {
            let place = format!("`{}`, an array of {sizes:?},", images.display());
            return Err(Error::Empty { place, remedy: "Give a file that has some." });
        }
        let channels = self.channels.unwrap_or(found);
        let pixels = bytes
            .chunks_exact(height * width * found)
            .flat_map(|image| pixels::to_planes(&convert(image, found, channels, self.background), channels))
            .collect();
        let mut set = Images { flip: self.flip, ..Images::new(pixels, [channels, height, width]) };
        if let Some(file) = label_file {
            set = self.labelled(set, images, file)?;
        } else if !self.classes.is_empty() {
            return Err(Error::setting("`classes` are named, but there are no `labels`", "Name the file of labels."));
        }
        match self.pad {
            Some(side) => set.padded(side, self.background.0),
            None => Ok(set),
        }
    }

    fn labelled(&self, set: Images, images: &Path, file: &Path) -> Result<Images, Error> {
        let (sizes, bytes) = unpack(file)?;
        if sizes.len() != 1 {
            return Err(Error::Magic {
                file: file.into(),
                found: format!("an array of {} dimensions", sizes.len()),
                expected: "one of 1, a label an image",
                remedy: "Give the file of labels, not that of images.",
            });
        }
        if bytes.len() != set.len() {
            let (image_count, label_count) = (set.len(), bytes.len());
            return Err(Error::Count { images: images.into(), image_count, labels: file.into(), label_count });
        }
        let found: Vec<i64> = bytes.iter().map(|&label| i64::from(label)).collect();
        let beside = file.with_file_name("labels.txt");
        let names = match self.classes.is_empty() && beside.is_file() {
            true => lines(&beside)?,
            false => self.classes.clone(),
        };
        let (labels, classes) = labels(file, &found, names)?;
        Ok(set.labelled(labels, classes))
    }
}

/// The file of MNIST's naming in a folder.
fn standard(folder: &Path, split: Split, what: &str, dimensions: usize) -> Result<PathBuf, Error> {
    let stem = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let names: Vec<String> = ["-idx", ".idx"]
        .iter()
        .flat_map(|idx| ["", ".gz"].map(|gz| format!("{stem}-{what}{idx}{dimensions}-ubyte{gz}")))
        .collect();
    if let Some(file) = names.iter().map(|name| folder.join(name)).find(|file| file.is_file()) {
        return Ok(file);
    }
    let entries = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let mut there: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    there.retain(|name| name.contains("ubyte"));
    there.sort();
    Err(Error::Missing {
        folder: folder.into(),
        wanted: format!("file `{}` (nor `{}`)", names[0], names[1]),
        there,
        remedy: "Copy it there, or name other files by `images` and `labels`.".into(),
    })
}

/// The sizes and bytes of an IDX file of unsigned bytes.
fn unpack(file: &Path) -> Result<(Vec<usize>, Vec<u8>), Error> {
    let open = || File::open(file).map_err(Error::io(file, "open"));
    let mut start = Vec::new();
    open()?.take(2).read_to_end(&mut start).map_err(Error::io(file, "read"))?;
    let packed = start == [0x1f, 0x8b];
    let mut reader: Box<dyn Read> = match packed {
        true => Box::new(MultiGzDecoder::new(BufReader::new(open()?))),
        false => Box::new(BufReader::new(open()?)),
    };
    // The next bytes, and whether the stream broke off after them.
    let mut take = |from: u64, length: u64| -> Result<(Vec<u8>, bool), Error> {
        let mut bytes = Vec::new();
        match reader.by_ref().take(length).read_to_end(&mut bytes) {
            Ok(_) => Ok((bytes, false)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok((bytes, true)),
            Err(error) => {
                let reason = match packed {
                    true => format!("its gzip stream is damaged after {} bytes ({error})", from + bytes.len() as u64),
                    false => error.to_string(),
                };
                Err(Error::Unreadable { file: file.into(), row: None, reason })
            }
        }
    };
    let cut = |expected: u64, found: u64| Error::Truncated { file: file.into(), expected, found, packed };

    let (magic, _) = take(0, 4)?;
    let [0, 0, kind, dimensions] = magic[..] else {
        let found = match magic.len() {
            0 => "nothing (it is empty)".into(),
            _ => format!("the bytes {magic:02x?}"),
        };
        return Err(Error::Magic {
            file: file.into(),
            found,
            expected: "the mark of an IDX file, two bytes of zero, a type and a number of dimensions,",
            remedy: "Give an IDX file, plain or gzipped; a zip archive must be unpacked first.",
        });
    };
    if kind != 0x08 {
        let name = match kind {
            0x09 => "signed bytes",
            0x0b => "16-bit integers",
            0x0c => "32-bit integers",
            0x0d => "32-bit floats",
            0x0e => "64-bit floats",
            _ => "an unknown type",
        };
        return Err(Error::Magic {
            file: file.into(),
            found: format!("an IDX header for {name} (0x{kind:02x})"),
            expected: "one for unsigned bytes (0x08)",
            remedy: "Convert the file to unsigned bytes.",
        });
    }
    let header = 4 + 4 * u64::from(dimensions);
    let (sizes, _) = take(4, header - 4)?;
    if (sizes.len() as u64) < header - 4 {
        return Err(cut(header, 4 + sizes.len() as u64));
    }
    let sizes: Vec<u64> =
        sizes.chunks_exact(4).map(|s| u64::from(u32::from_be_bytes([s[0], s[1], s[2], s[3]]))).collect();
    let product = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    let Some(length) = product.filter(|&length| length < u64::MAX - header) else {
        return Err(Error::Unreadable {
            file: file.into(),
            row: None,
            reason: format!("its header announces an array of {sizes:?}, which no memory holds"),
        });
    };
    let (bytes, _) = take(header, length)?;
    if (bytes.len() as u64) < length {
        return Err(cut(header + length, header + bytes.len() as u64));
    }
    match take(header + length, 1)? {
        (_, true) => {
            let reason = "its gzip stream lacks the end, with the sum that tells it is whole".into();
            return Err(Error::Unreadable { file: file.into(), row: None, reason });
        }
        (more, false) if !more.is_empty() => {
            return Err(Error::Trailing { file: file.into(), expected: header + length });
        }
        _ => {}
    }
    Ok((sizes.into_iter().map(|size| size as usize).collect(), bytes))
}

/// Interleaved pixels of `from` channels as `to` channels.
fn convert(bytes: &[u8], from: usize, to: usize, background: Background) -> Vec<u8> {
    let grey = |rgb: Vec<u8>| if to == 1 { pixels::to_grey(rgb, bytes.len() / from) } else { rgb };
    match (from, to) {
        _ if from == to => bytes.to_vec(),
        (1, 3) => bytes.iter().flat_map(|&v| [v; 3]).collect(),
        (1, _) => bytes.iter().flat_map(|&v| [v, v, v, 255]).collect(),
        (3, 4) => bytes.chunks_exact(3).flat_map(|c| [c[0], c[1], c[2], 255]).collect(),
        (3, _) => grey(bytes.to_vec()),
        _ => grey(bytes.chunks_exact(4).flat_map(|c| background.under([c[0], c[1], c[2], c[3]])).collect()),
    }
}
