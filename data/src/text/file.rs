//! Files of text, plain or gzipped: their lines.
use super::encoding;
use crate::{Cell, Error, limits};
use std::path::Path;

/// The text of a sample, and the line of the file in which it starts, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub line: usize,
    pub text: String,
    /// Cells of other columns in the same row.
    pub cells: Vec<Cell>,
}

/// The whole text of a file, without byte order marks. A carriage return without a line feed after it is a line end.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    let (bytes, packed) =
        limits::unpacked(path, limits::MAX_TEXT, |start, packed| encoding::inspect(path, start, packed))?;
    let text = encoding::decoded(path, bytes, packed)?;
    Ok(line_ends(text))
}

/// Text whose lone carriage returns, the line ends of old Mac files, are line feeds; `\r\n` stays.
fn line_ends(text: String) -> String {
    let bytes = text.as_bytes();
    let lone = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    if !(0..bytes.len()).any(lone) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        out.push(if character == '\r' && rest.peek() != Some(&'\n') { '\n' } else { character });
    }
    out
}

/// The nonempty lines.
pub(super) fn lines(whole: &str) -> Vec<Piece> {
    let pieces = whole.lines().enumerate().filter(|(_, text)| !text.is_empty());
    pieces.map(|(i, text)| Piece { line: i + 1, text: text.to_owned(), cells: vec![] }).collect()
}
