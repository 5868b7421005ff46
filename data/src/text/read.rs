//! Files of text, plain or gzipped: lines and columns.
use crate::Error;
use flate2::read::MultiGzDecoder;
use std::{fs, io::Read, path::Path};

/// A sample as read, and the line of the file it begins in, from 1.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub line: usize,
    pub text: String,
}

/// The whole text of a file, without a byte order mark.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let mut bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let packed = bytes.starts_with(&[0x1f, 0x8b]);
    if packed {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map_err(|error| {
            let at = unpacked.len();
            Error::text(
                path,
                format!("is damaged: its gzip stream breaks off after {at} bytes ({error})"),
                "Download or copy it again.",
            )
        })?;
        bytes = unpacked;
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        let after = if packed { " after unpacking" } else { "" };
        Error::text(
            path,
            format!("is not UTF-8: byte {at}{after} (0x{:02x}, in line {line}) begins no character", bytes[at]),
            "Save it as UTF-8, as by `iconv -f LATIN1 -t UTF-8`.",
        )
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The lines that are not empty.
pub(super) fn lines(whole: &str) -> Vec<Piece> {
    let pieces = whole.lines().enumerate().filter(|(_, text)| !text.is_empty());
    pieces.map(|(i, text)| Piece { line: i + 1, text: text.to_owned() }).collect()
}

/// Whether a file is named as a table.
pub(super) fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.trim_end_matches(".gz").ends_with(".csv")
}

/// What is said of a table where no column is given.
pub(super) fn columnless(path: &Path, whole: &str) -> Error {
    let names = csv::Reader::from_reader(whole.as_bytes()).headers().cloned().unwrap_or_default();
    let names: Vec<_> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let first = names.last().cloned().unwrap_or_default();
    Error::text(
        path,
        format!("is a table with the columns {}, and it is not said which of them is the text", names.join(", ")),
        format!("Say `column = \"{}\"`, or another of them.", first.trim_matches('`')),
    )
}

/// The cells of a column that are not empty.
pub(super) fn column(path: &Path, whole: &str, wanted: &str) -> Result<Vec<Piece>, Error> {
    let unreadable = |error: csv::Error| {
        let remedy = "Mend that line, or write the file again with one cell a column in every row.";
        Error::text(path, format!("is not a table that can be read: {error}"), remedy)
    };
    let mut reader = csv::Reader::from_reader(whole.as_bytes());
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let Some(place) = names.iter().position(|name| name == wanted) else {
        return Err(Error::Column {
            file: path.into(),
            wanted: format!("`{wanted}`"),
            found: names,
            remedy: "Name one of these by `column`.".into(),
        });
    };
    let mut pieces = vec![];
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, |at| at.line() as usize);
        let text = record[place].to_owned();
        if !text.is_empty() {
            pieces.push(Piece { line, text });
        }
    }
    Ok(pieces)
}
