//! IDX files, the format of MNIST.
use super::{
    Source,
    hold_out::part,
    labels::{labels, lines},
};
use crate::{
    Background, Cell, Columns, Error, Images, Split,
    error::list,
    find, kind,
    limits::{self, MAX_ARRAY, MAX_RATIO},
    pixels,
};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

/// IDX files, plain or gzipped: MNIST, Fashion-MNIST and other sets in their format.
///
/// Either `path` is a folder with the four files of MNIST (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
/// `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, with or without `.gz`, `-idx` or `.idx`), which are the training
/// part and the held-out part; or `images` (and `labels`) name files, in `path` if that is set, of which every
/// `held_out`-th image of a class is held out.
///
/// Images are unsigned bytes `[n, height, width]` (idx3, gray) or `[n, height, width, channels]` (idx4; 1, 3 or 4).
/// Further files of labels beside `images` are columns that conditions can name.
/// If there is a file `labels.txt` in the folder of the labels, its lines name the classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Idx {
    /// Path of the folder of the files. A relative path is looked up in the working directory, then in the folder that
    /// the environment variable `TWEEDIE_DATA` names. Default: `images` and `labels` are paths themselves.
    pub path: Option<PathBuf>,
    /// File of images, if the files in `path` do not have the names of MNIST's. Default: the four files of MNIST.
    pub images: Option<PathBuf>,
    /// File of the labels of `images`. Default: the set has no classes.
    pub labels: Option<PathBuf>,
    /// Names of the classes, in the order of the labels. Default: the lines of `labels.txt` in the folder of the
    /// labels, or else the labels themselves.
    pub classes: Vec<String>,
    /// Number of channels that images are converted to: 1 (gray), 3 (RGB) or 4 (RGBA). Default: that of the file.
    pub channels: Option<usize>,
    /// Color behind transparent pixels, if 4 channels become 3 or 1, and color of the padding: "white", "black" or
    /// "#rrggbb". Default: "black".
    pub background: Background,
    /// Side in pixels of the square that images are padded to, at least that of the images, as 32 for the 28 of MNIST.
    /// Default: no padding.
    pub pad: Option<usize>,
    /// Whether training mirrors half of the images left to right (horizontal flips). Default: false.
    pub flip: bool,
    /// Every how-many-th image of a class is held out from training, if `images` is set; 0 holds out none. Default: 10.
    pub held_out: usize,
    /// Number of levels, 2 to 256, that the 256 levels of a pixel are quantized to, in equal bins. With categorical
    /// noise it is the number of categories. Default: 256.
    pub levels: Option<u16>,
    /// Further files of labels beside `images`, one number per image, that are read as columns.
    #[serde(skip)]
    pub columns: Vec<String>,
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
            columns: Vec::new(),
        }
    }
}

impl Source for Idx {
    fn load(&self, split: Split) -> Result<Images, Error> {
        if let Some(found) = self.channels.filter(|n| !matches!(n, 1 | 3 | 4)) {
            return Err(pixels::wrong_channels(found));
        }
        let (images, labels, whole) = self.files(split)?;
        let mut set = self.read(&images, labels.as_deref())?;
        set.columns = self.read_columns(&set, whole)?;
        let set = if whole { part(set, split, self.held_out)? } else { set };
        set.with_levels(self.levels)
    }

    fn memory(&self, split: Split) -> Result<Option<u64>, Error> {
        let (images, ..) = self.files(split)?;
        let stream = Stream::open(&images).map_err(|error| error.at_field(self.field("images")))?;
        let [count, height, width] = [0, 1, 2].map(|axis| stream.sizes.get(axis).copied().unwrap_or(1));
        let found = stream.sizes.get(3).copied().unwrap_or(1);
        let channels = self.channels.map_or(found, |channels| channels as u64);
        let pixels = match self.pad {
            Some(side) => (side as u64).saturating_mul(side as u64),
            None => height * width,
        };
        // The bytes of the file and the set; then the set, and its two parts.
        Ok(Some(stream.length.saturating_add(count.saturating_mul(channels).saturating_mul(pixels).saturating_mul(2))))
    }
}

impl Idx {
    /// The files of images and labels of a part, and whether they hold the other part too.
    fn files(&self, split: Split) -> Result<(PathBuf, Option<PathBuf>, bool), Error> {
        let inside = |file: &PathBuf, field| {
            let found = match &self.path {
                Some(folder) => find(folder.join(file)),
                None => find(file),
            };
            found.map_err(|error| error.with_field(field))
        };
        match (&self.path, &self.images, &self.labels) {
            (_, Some(images), labels) => {
                let labels = labels.as_ref().map(|labels| inside(labels, "labels")).transpose()?;
                Ok((inside(images, "images")?, labels, true))
            }
            (_, None, Some(_)) => Err(Error::invalid("is set, but `images` is not")
                .with_field("labels")
                .with_remedy("set `images` to the file of images that the labels belong to")),
            (None, None, None) => Err(Error::invalid("is not set, and neither is `images`")
                .with_field("path")
                .with_remedy("set `path = \"mnist\"`, a folder with the four files of MNIST, or `images = \"file\"`")),
            (Some(path), None, None) => standard_files(path, split).map_err(|error| error.with_field("path")),
        }
    }

    /// Further files of labels, by their names.
    fn read_columns(&self, set: &Images, whole: bool) -> Result<Columns, Error> {
        let mut columns = Columns::default();
        for name in &self.columns {
            if !whole {
                return Err(Error::invalid(format!(
                    "a condition names the column `{name}`, and IDX files have columns if `images` is set: each is a file of labels"
                ))
                .with_remedy("set `images`, and the path of a file of labels as `column` of the condition"));
            }
            let file = match &self.path {
                Some(folder) => find(folder.join(name))?,
                None => find(name)?,
            };
            let (sizes, bytes) = read_idx(&file)?;
            if sizes[..] != [set.len()] {
                let wanted = format!("1 ({} labels, one per image)", set.len());
                return Err(dimensions(&file, &sizes, &wanted).with_remedy("give a file of labels of these images"));
            }
            columns = columns.with(name, bytes.into_iter().map(|byte| Cell::Number(byte.into())).collect());
        }
        Ok(columns)
    }

    /// The field that names the file of images or labels.
    fn field(&self, name: &'static str) -> &'static str {
        if self.images.is_some() { name } else { "path" }
    }

    fn read(&self, images: &Path, label_file: Option<&Path>) -> Result<Images, Error> {
        let mut set = self.read_images(images).map_err(|error| error.at_field(self.field("images")))?;
        if let Some(file) = label_file {
            set = self.with_label_file(set, images, file).map_err(|error| error.at_field(self.field("labels")))?;
        } else if !self.classes.is_empty() {
            return Err(Error::invalid("is set, but `labels` is not")
                .with_field("classes")
                .with_remedy("set `labels` to the file of labels"));
        }
        match self.pad {
            Some(side) => set.padded(side, self.background.0),
            None => Ok(set),
        }
    }

    fn read_images(&self, file: &Path) -> Result<Images, Error> {
        let (sizes, bytes) = read_idx(file)?;
        let (count, height, width, found) = match sizes[..] {
            [n, h, w] => (n, h, w, 1),
            [n, h, w, c] => (n, h, w, c),
            _ => {
                return Err(dimensions(file, &sizes, "3 (images × height × width) or 4 (… × channels)")
                    .with_remedy("give the file of images, not that of labels"));
            }
        };
        if !matches!(found, 1 | 3 | 4) {
            let problem = format!(
                "is an array of {count} × {height} × {width} × {found}, with {found} channels, but 1 (gray), 3 (RGB) \
                 or 4 (RGBA) are allowed"
            );
            return Err(Error::format(file, problem));
        }
        if bytes.is_empty() {
            let problem = format!("is an array of {sizes:?}, which has no images");
            return Err(Error::empty(problem).with_path(file).with_remedy("give a file with at least one image"));
        }
        let channels = self.channels.unwrap_or(found);
        let pixels = bytes
            .chunks_exact(height * width * found)
            .flat_map(|image| pixels::to_planes(&convert(image, found, channels, self.background), channels))
            .collect();
        Ok(Images { flip: self.flip, ..Images::new(pixels, [channels, height, width])? })
    }

    fn with_label_file(&self, set: Images, images: &Path, file: &Path) -> Result<Images, Error> {
        let (sizes, bytes) = read_idx(file)?;
        if sizes.len() != 1 {
            return Err(dimensions(file, &sizes, "1 (one label per image)")
                .with_remedy("give the file of labels, not that of images"));
        }
        if bytes.len() != set.len() {
            let (labels, count) = (bytes.len(), set.len());
            let problem = format!("has {labels} labels, but `{}` has {count} images", images.display());
            return Err(Error::format(file, problem)
                .with_remedy("check that the two files belong together, with one label per image"));
        }
        let found: Vec<i64> = bytes.iter().map(|&label| i64::from(label)).collect();
        let names_file = file.with_file_name("labels.txt");
        let names = match self.classes.is_empty() && names_file.is_file() {
            true => lines(&names_file)?,
            false => self.classes.clone(),
        };
        let field = if self.classes.is_empty() { self.field("labels") } else { "classes" };
        let (labels, classes) = labels(file, &found, names).map_err(|error| error.with_field(field))?;
        set.with_labels(labels, classes)
    }
}

/// The error for an array with another number of dimensions than expected.
fn dimensions(file: &Path, sizes: &[usize], expected: &str) -> Error {
    Error::format(file, format!("holds an array of {} dimensions, expected {expected}", sizes.len()))
}

/// The files of images and labels of a part in a folder with the four files of MNIST; they hold that part alone.
fn standard_files(path: &Path, split: Split) -> Result<(PathBuf, Option<PathBuf>, bool), Error> {
    let folder = find(path)?;
    if !folder.is_dir() {
        return Err(Error::format(&folder, "is a file, but `path` must be a folder")
            .with_remedy("set `images` to the file, and `labels` to that of its labels"));
    }
    Ok((standard_file(&folder, split, "images", 3)?, Some(standard_file(&folder, split, "labels", 1)?), false))
}

/// The file of images or labels, under one of the names of MNIST's.
fn standard_file(folder: &Path, split: Split, what: &str, dimensions: usize) -> Result<PathBuf, Error> {
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
    let there = if there.is_empty() { String::new() } else { format!(", only {}", list(&there)) };
    Err(Error::format(folder, format!("does not hold a file `{}` or `{}`{there}", names[0], names[1]))
        .with_remedy("copy it there, or name other files by `images` and `labels`"))
}

/// The sizes and bytes of an IDX file of unsigned bytes, plain or gzipped.
fn read_idx(file: &Path) -> Result<(Vec<usize>, Vec<u8>), Error> {
    let mut stream = Stream::open(file)?;
    let (header, length) = (stream.header, stream.length);
    let (bytes, _) = stream.take(header, length)?;
    if (bytes.len() as u64) < length {
        return Err(stream.cut(header + length, header + bytes.len() as u64));
    }
    match stream.take(header + length, 1)? {
        (_, true) => {
            return Err(Error::unreadable(file, None, "its gzip stream ends before its checksum"));
        }
        (more, false) if !more.is_empty() => {
            return Err(Error::trailing(file, header + length));
        }
        _ => {}
    }
    Ok((stream.sizes.into_iter().map(|size| size as usize).collect(), bytes))
}

/// An IDX file after its header.
struct Stream<'a> {
    file: &'a Path,
    packed: bool,
    reader: Box<dyn Read>,
    /// The sizes of the array, and its number of bytes.
    sizes: Vec<u64>,
    length: u64,
    /// The number of bytes of the header.
    header: u64,
}

impl<'a> Stream<'a> {
    fn open(file: &'a Path) -> Result<Self, Error> {
        let (opened, size) = limits::open(file)?;
        let mut start = Vec::new();
        let mut plain = BufReader::new(opened);
        plain.by_ref().take(kind::LOOK as u64).read_to_end(&mut start).map_err(Error::io(file, "read"))?;
        let packed = limits::is_gzip(&start);
        let whole = io::Cursor::new(start).chain(plain);
        let reader: Box<dyn Read> =
            if packed { Box::new(MultiGzDecoder::new(BufReader::new(whole))) } else { Box::new(whole) };
        let mut stream = Self { file, packed, reader, sizes: Vec::new(), length: 0, header: 4 };
        stream.read_header(size)?;
        Ok(stream)
    }

    /// The next bytes, which are those after `from`, and whether the gzip stream ended too early after them.
    fn take(&mut self, from: u64, length: u64) -> Result<(Vec<u8>, bool), Error> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(length).read_to_end(&mut bytes) {
            Ok(_) => Ok((bytes, false)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok((bytes, true)),
            Err(error) => {
                let reason = match self.packed {
                    true => format!("its gzip stream is damaged after {} bytes ({error})", from + bytes.len() as u64),
                    false => error.to_string(),
                };
                Err(Error::unreadable(self.file, None, reason))
            }
        }
    }

    fn cut(&self, expected: u64, found: u64) -> Error {
        Error::truncated(self.file, expected, found, self.packed)
    }

    /// Reads the header; `size` is the number of bytes of the file, which bounds what it can hold.
    fn read_header(&mut self, size: u64) -> Result<(), Error> {
        let file = self.file;
        let (magic, _) = self.take(0, 4)?;
        let [0, 0, kind, dimensions] = magic[..] else { return Err(self.not_idx(magic)) };
        if kind != 0x08 {
            let name = match kind {
                0x09 => "signed bytes",
                0x0b => "16-bit integers",
                0x0c => "32-bit integers",
                0x0d => "32-bit floats",
                0x0e => "64-bit floats",
                _ => "an unknown type",
            };
            let found = format!("an IDX header for {name} (0x{kind:02x})");
            return Err(Error::unexpected(file, found, "one for unsigned bytes (0x08)")
                .with_remedy("convert the file to unsigned bytes"));
        }
        self.header = 4 + 4 * u64::from(dimensions);
        let (sizes, _) = self.take(4, self.header - 4)?;
        if (sizes.len() as u64) < self.header - 4 {
            return Err(self.cut(self.header, 4 + sizes.len() as u64));
        }
        self.sizes = sizes.chunks_exact(4).map(|s| u64::from(u32::from_be_bytes([s[0], s[1], s[2], s[3]]))).collect();
        let product = self.sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let announced = format!("its header announces an array of {:?}", self.sizes);
        let Some(length) = product.filter(|&length| length <= MAX_ARRAY) else {
            let reason = format!("{announced}, which does not fit into memory (at most {MAX_ARRAY} bytes)");
            return Err(Error::unreadable(file, None, reason));
        };
        self.length = length;
        // Known before anything is read: the bytes are not in the file.
        if !self.packed && size < self.header + length {
            return Err(self.cut(self.header + length, size));
        }
        if self.packed && length / MAX_RATIO > size {
            let reason = format!("{announced}, more than gzip can hold in the {size} bytes of the file");
            return Err(Error::unreadable(file, None, reason));
        }
        Ok(())
    }

    /// The error for a file that does not start as an IDX file does.
    fn not_idx(&mut self, mut start: Vec<u8>) -> Error {
        let expected = "the magic number of an IDX file, two zero bytes, a type and a number of dimensions";
        let four: Vec<u8> = start.iter().copied().take(4).collect();
        if let Ok((more, _)) = self.take(4, kind::LOOK as u64) {
            start.extend(more);
        }
        if let Some(kind) = kind::of(&start) {
            let (problem, remedy) = match self.packed {
                true => kind::packed(&kind),
                false => (format!("is {}", kind.name), kind.remedy),
            };
            return Error::format(self.file, format!("{problem}, and not an IDX file")).with_remedy(remedy);
        }
        let found = match four.len() {
            0 => "the end of the file (it is empty)".into(),
            _ => format!("the bytes {four:02x?}"),
        };
        Error::unexpected(self.file, found, expected).with_remedy("give an IDX file, plain or gzipped")
    }
}

/// Interleaved pixels of `from` channels as `to` channels.
fn convert(bytes: &[u8], from: usize, to: usize, background: Background) -> Vec<u8> {
    let gray = |rgb: Vec<u8>| if to == 1 { pixels::to_gray(rgb, bytes.len() / from) } else { rgb };
    match (from, to) {
        _ if from == to => bytes.to_vec(),
        (1, 3) => bytes.iter().flat_map(|&v| [v; 3]).collect(),
        (1, _) => bytes.iter().flat_map(|&v| [v, v, v, 255]).collect(),
        (3, 4) => bytes.chunks_exact(3).flat_map(|c| [c[0], c[1], c[2], 255]).collect(),
        (3, _) => gray(bytes.to_vec()),
        _ => gray(bytes.chunks_exact(4).flat_map(|c| background.under([c[0], c[1], c[2], c[3]])).collect()),
    }
}
