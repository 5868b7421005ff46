//! What a file is by its first bytes, for errors about files that are not what a setting needs.

/// What a file is: a noun phrase, as "a zip archive", and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The noun phrase.
    pub name: String,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether it is an image that the decoders know.
    pub image: bool,
}

/// Number of bytes that [`of`] looks at.
pub(crate) const LOOK: usize = 1 << 12;

const UNPACK: &str = "unpack it and give the file inside";
const DOWNLOAD: &str =
    "download the file itself; what was saved is probably the page of an error, a login or a preview";
const IMAGE: &str = "use the data source `folder`, and give the folder that holds the images";
const TABLE: &str = "write it as CSV, Parquet or plain text, as the source of data needs it";
const CONVERT: &str = "convert it to plain text, an image or a table, as the source of data needs it";

/// Tags that a web page, or a part of one, starts with.
const TAGS: [&str; 22] = [
    "!doctype", "html", "head", "meta", "title", "link", "script", "style", "body", "main", "div", "span", "p", "h1",
    "h2", "table", "form", "center", "iframe", "noscript", "ul", "br",
];

/// Magic bytes at the start: the bytes, the name and the remedy.
const STARTS: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive", "unpack it, for example with `unzip`, and give what is inside"),
    (b"PK\x05\x06", "an empty zip archive", "give the file itself"),
    (b"BZh91AY&SY", "a bzip2 file", "unpack it with `bunzip2`"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it with `xz -d`"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it with `zstd -d`"),
    (b"\x04\x22\x4d\x18", "an LZ4 file", "unpack it with `lz4 -d`"),
    (b"LZIP", "an lzip file", "unpack it with `lzip -d`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with `7z x`, and give what is inside"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it, and give what is inside"),
    (b"\x1f\x9d", "a file of `compress`", "unpack it with `uncompress`"),
    (b"\x1f\x8b", "a gzip file", "unpack it with `gunzip`"),
    (
        b"PAR1",
        "a Parquet table",
        "use the data source `parquet` for images; write a column of text as CSV or plain text",
    ),
    (b"ARROW1", "an Arrow file", TABLE),
    (b"FEA1", "a Feather file", TABLE),
    (b"ORC", "an ORC table", TABLE),
    (b"Obj\x01", "an Avro file", TABLE),
    (b"SQLite format 3\0", "an SQLite database", TABLE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", TABLE),
    (b"\x93NUMPY", "a NumPy array", "use the data source `npy` for signals and volumes; write images as IDX or PNG"),
    (b"%PDF-", "a PDF document", CONVERT),
    (b"{\\rtf", "an RTF document", CONVERT),
    (b"\xd0\xcf\x11\xe0", "a document of an office program", CONVERT),
    (b"\x7fELF", "a program", "give the file of the data"),
    (b"OggS", "an Ogg file", CONVERT),
    (b"fLaC", "a FLAC file", CONVERT),
    (b"ID3", "an MP3 file", CONVERT),
    (b"8BPS", "a Photoshop document", "export it as PNG"),
    (b"\0\0\x01\0", "an icon", "convert it to PNG"),
    (b"qoif", "a QOI image", "convert it to PNG"),
    (b"\xff\x0a", "a JPEG XL image", "convert it to PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image", "convert it to PNG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image", "convert it to PNG"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image", "convert it to an image of 8 bits per channel, as PNG"),
    (b"#?RADIANCE", "a Radiance HDR image", "convert it to an image of 8 bits per channel, as PNG"),
];

/// What the file that starts with these bytes is, if it is known not to be text.
pub(crate) fn of(bytes: &[u8]) -> Option<Kind> {
    let kind = |name: &str, remedy| Some(Kind { name: name.to_owned(), remedy, image: false });
    let at = |place: usize, wanted: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(wanted));
    if let Some(name) = image(bytes) {
        return Some(Kind { name: name.to_owned(), remedy: IMAGE, image: true });
    }
    if let Some(pointer) = lfs_pointer(bytes) {
        return Some(pointer);
    }
    // Text may start with the letters that other files start with; it has no control characters.
    let binary = is_binary(bytes);
    let sure = |start: &[u8]| binary || start.len() > 4 && !start.starts_with(b"ARROW");
    if let Some((_, name, remedy)) = STARTS.iter().find(|(start, ..)| at(0, start) && sure(start)) {
        return kind(name, remedy);
    }
    match bytes {
        _ if !binary => {}
        _ if at(257, b"ustar") => return kind("a tar archive", "unpack it with `tar -xf`, and give what is inside"),
        _ if at(4, b"ftyp") && (at(8, b"avi") || at(8, b"hei") || at(8, b"mif")) => {
            return kind("an AVIF or HEIF image", "convert it to PNG");
        }
        _ if at(4, b"ftyp") => return kind("a video", "extract its frames as PNG"),
        _ if at(0, b"RIFF") && (at(8, b"WAVE") || at(8, b"AVI ")) => return kind("an audio or video file", CONVERT),
        [0x80, 2..=5, ..] => {
            return kind("a Python pickle", "write its contents as images, CSV, Parquet or IDX with Python");
        }
        _ => {}
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(LOOK)]).to_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    if let Some(rest) = start.strip_prefix('<') {
        let is = |mark: &str| start.contains(mark);
        let tag = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '!').next().unwrap_or_default();
        return match () {
            () if is("<svg") => kind("an SVG image", "convert it to PNG"),
            () if TAGS.contains(&tag) && is("</") || is("<html") || is("<!doctype html") => {
                kind("a web page (HTML)", DOWNLOAD)
            }
            () if start.starts_with("<?xml") && is("<error>") => kind("an error message of a server (XML)", DOWNLOAD),
            () => None,
        };
    }
    None
}

/// Whether there are control characters, other than white space, or bytes that are not UTF-8 among the first ones.
fn is_binary(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(LOOK)];
    let control = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    // A character may be cut off at the end.
    let whole = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    !whole || start.iter().any(control)
}

/// The name of an image format that the decoders know.
fn image(bytes: &[u8]) -> Option<&'static str> {
    let zeros = |from: usize| bytes.get(from..from + 4) == Some(&[0; 4]);
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("a PNG image"),
        [0xff, 0xd8, 0xff, ..] => Some("a JPEG image"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] if is_binary(bytes) => Some("a GIF image"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("a WebP image"),
        // The four bytes after the size of the file are reserved.
        [b'B', b'M', ..] if zeros(6) => Some("a BMP image"),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some("a TIFF image"),
        _ => None,
    }
}

/// A pointer of Git LFS, the text that stands in a repository for a file that was not fetched.
fn lfs_pointer(bytes: &[u8]) -> Option<Kind> {
    if !bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LOOK)]);
    let size = text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok());
    let size = size.map_or_else(String::new, |size| format!(" of {size} bytes"));
    let name = format!("a Git LFS pointer, which stands for a file{size} that was not fetched");
    Some(Kind { name, remedy: "fetch it with `git lfs pull`", image: false })
}

/// What bytes that no decoder knows are, as well as can be told: "empty", "text", a known kind, or their first bytes.
pub(crate) fn described(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "it is empty".into();
    }
    if let Some(kind) = of(bytes) {
        return format!("it is {}", kind.name);
    }
    let start = &bytes[..bytes.len().min(LOOK)];
    if start.iter().all(|&byte| byte == 0) {
        return "it starts with zeros only, as a file whose download was cut off".into();
    }
    let text = String::from_utf8_lossy(start);
    let odd = text.chars().filter(|c| *c == '\u{fffd}' || c.is_control() && !c.is_whitespace()).count();
    if odd * 16 < text.chars().count() {
        let line: String = text.trim().lines().next().unwrap_or_default().chars().take(40).collect();
        return format!("it is text, which starts with {line:?}");
    }
    format!("it starts with the bytes {:02x?}", &start[..start.len().min(8)])
}

/// The sentence about gzip in gzip and other archives inside of gzip.
pub(crate) fn packed(kind: &Kind) -> (String, &'static str) {
    let remedy = if kind.name == "a gzip file" { "unpack it once with `gunzip`" } else { kind.remedy };
    (format!("holds {}, gzipped", kind.name), if remedy.is_empty() { UNPACK } else { remedy })
}
