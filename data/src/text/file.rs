//! Files of text, plain or gzipped: their lines and columns.
use crate::{Error, error::list};
use flate2::read::MultiGzDecoder;
use std::{fs, io::Read, path::Path};

/// The text of a sample, and the line of the file in which it starts, from 1.
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
            Error::format(path, format!("is damaged: its gzip stream ends after {} bytes ({error})", unpacked.len()))
                .with_remedy("download or copy it again")
        })?;
        bytes = unpacked;
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        let after = if packed { " after decompression" } else { "" };
        Error::format(
            path,
            format!("is not UTF-8: byte {at}{after} (0x{:02x}, line {line}) does not start a character", bytes[at]),
        )
        .with_remedy("save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`")
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The nonempty lines.
pub(super) fn lines(whole: &str) -> Vec<Piece> {
    let pieces = whole.lines().enumerate().filter(|(_, text)| !text.is_empty());
    pieces.map(|(i, text)| Piece { line: i + 1, text: text.to_owned() }).collect()
}

/// Whether the name of a file is that of a CSV table, plain or gzipped.
pub(super) fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.trim_end_matches(".gz").ends_with(".csv")
}

/// The error for a table if `column` is not set.
pub(super) fn column_needed(path: &Path, whole: &str) -> Error {
    let names = csv::Reader::from_reader(whole.as_bytes()).headers().cloned().unwrap_or_default();
    let names: Vec<&str> = names.iter().collect();
    let last = names.last().copied().unwrap_or_default();
    Error::format(path, format!("is a table with the columns {}, and `column` is not set", list(&names)))
        .with_field("column")
        .with_remedy(format!("set `column = \"{last}\"`, or another of them"))
}

/// The nonempty cells of a column.
pub(super) fn column(path: &Path, whole: &str, wanted: &str) -> Result<Vec<Piece>, Error> {
    let unreadable = |error: csv::Error| {
        Error::format(path, format!("is not a valid CSV table: {error}"))
            .with_remedy("correct that line, or write the file again with one cell per column in every row")
    };
    let mut reader = csv::Reader::from_reader(whole.as_bytes());
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let Some(place) = names.iter().position(|name| name == wanted) else {
        return Err(Error::format(path, format!("does not have a column `{wanted}`, only {}", list(&names)))
            .with_field("column")
            .with_remedy("set `column` to one of these"));
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
