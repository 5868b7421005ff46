//! From bytes to characters: UTF-8, and UTF-16 and UTF-32 with a byte order mark.
use crate::{Error, kind};
use std::path::Path;

const MARK: char = '\u{feff}';

/// The first bytes of a file, before the others are read: what is known not to be text is an error.
pub(super) fn inspect(path: &Path, start: &[u8], packed: bool) -> Result<(), Error> {
    if marked(start).is_some_and(|(encoding, _)| encoding != Encoding::Utf8) {
        return Ok(());
    }
    if let Some(kind) = kind::of(start) {
        let (problem, remedy) = match packed {
            true => kind::packed(&kind),
            false => (format!("is {}", kind.name), kind.remedy),
        };
        return Err(Error::format(path, format!("{problem}, and not text")).with_remedy(remedy));
    }
    match start.iter().position(|&byte| byte == 0) {
        Some(at) => Err(zero(path, start, at, packed)),
        None => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { big: bool },
    Utf32 { big: bool },
}

/// The encoding that a byte order mark names, and the mark's length.
fn marked(bytes: &[u8]) -> Option<(Encoding, usize)> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some((Encoding::Utf8, 3)),
        [0xff, 0xfe, 0, 0, ..] => Some((Encoding::Utf32 { big: false }, 4)),
        [0, 0, 0xfe, 0xff, ..] => Some((Encoding::Utf32 { big: true }, 4)),
        [0xff, 0xfe, ..] => Some((Encoding::Utf16 { big: false }, 2)),
        [0xfe, 0xff, ..] => Some((Encoding::Utf16 { big: true }, 2)),
        _ => None,
    }
}

/// The text of a whole file. Byte order marks are removed wherever they are, as between files that were joined.
pub(super) fn decoded(path: &Path, bytes: Vec<u8>, packed: bool) -> Result<String, Error> {
    let text = match marked(&bytes) {
        Some((Encoding::Utf16 { big }, from)) => utf16(path, &bytes, from, big)?,
        Some((Encoding::Utf32 { big }, from)) => utf32(path, &bytes, from, big)?,
        _ => {
            if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
                return Err(zero(path, &bytes, at, packed));
            }
            String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                not_utf8(path, error.as_bytes(), at, packed)
            })?
        }
    };
    match text.find('\0') {
        Some(at) => {
            let line = 1 + text[..at].matches('\n').count();
            Err(Error::format(path, format!("is not text: it has a NUL character in line {line}"))
                .with_remedy("give a file of text"))
        }
        None if text.contains(MARK) => Ok(text.replace(MARK, "")),
        None => Ok(text),
    }
}

fn utf16(path: &Path, bytes: &[u8], from: usize, big: bool) -> Result<String, Error> {
    let wrong = |at: usize| {
        let found = if at + 2 > bytes.len() { "half a character at its end" } else { "half of a surrogate pair" };
        Error::format(path, format!("is damaged: it starts with the mark of UTF-16, but has {found}, at byte {at}"))
            .with_remedy("write it again, as UTF-8")
    };
    let unit =
        if big { |b: &[u8]| u16::from_be_bytes([b[0], b[1]]) } else { |b: &[u8]| u16::from_le_bytes([b[0], b[1]]) };
    let mut at = from;
    let mut text = String::with_capacity(bytes.len() / 2);
    for character in char::decode_utf16(bytes[from..].chunks_exact(2).map(unit)) {
        let character = character.map_err(|_| wrong(at))?;
        at += 2 * character.len_utf16();
        text.push(character);
    }
    if at < bytes.len() { Err(wrong(at)) } else { Ok(text) }
}

fn utf32(path: &Path, bytes: &[u8], from: usize, big: bool) -> Result<String, Error> {
    let wrong = |at: usize| {
        let problem = "is damaged: it starts with the mark of UTF-32, but has what is not a character";
        Error::format(path, format!("{problem}, at byte {at}")).with_remedy("write it again, as UTF-8")
    };
    let whole = bytes[from..].chunks_exact(4);
    if !whole.remainder().is_empty() {
        return Err(wrong(bytes.len() - whole.remainder().len()));
    }
    whole
        .enumerate()
        .map(|(i, b)| {
            let unit = [b[0], b[1], b[2], b[3]];
            let code = if big { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
            char::from_u32(code).ok_or_else(|| wrong(from + 4 * i))
        })
        .collect()
}

/// The error for a zero byte in what should be text: text of two or four bytes per character without a mark, or no text.
fn zero(path: &Path, bytes: &[u8], at: usize, packed: bool) -> Error {
    let start = &bytes[..bytes.len().min(kind::LOOK) / 4 * 4];
    // The share of units of some bytes of which some are zero and some are not.
    let share = |size: usize, is_zero: &[bool]| {
        let like = |unit: &&[u8]| unit.iter().zip(is_zero).all(|(byte, zero)| (*byte == 0) == *zero);
        start.chunks_exact(size).filter(like).count() as f64 / (start.len() / size).max(1) as f64
    };
    let encodings = [
        ("UTF-32LE", share(4, &[false, true, true, true])),
        ("UTF-32BE", share(4, &[true, true, true, false])),
        ("UTF-16LE", share(2, &[false, true])),
        ("UTF-16BE", share(2, &[true, false])),
    ];
    let after = if packed { " after decompression" } else { "" };
    match encodings.iter().find(|(_, share)| *share > 0.4) {
        Some((name, _)) => {
            let problem = format!("is text in {name} without a byte order mark: byte {at}{after} is zero");
            Error::format(path, problem)
                .with_remedy(format!("save it as UTF-8, for example with `iconv -f {name} -t UTF-8`"))
        }
        None => {
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            Error::format(path, format!("is not text: byte {at}{after} is zero (line {line})")).with_remedy(
                "give a file of text in UTF-8; if this is text in UTF-16, convert it with `iconv -f UTF-16 -t UTF-8`",
            )
        }
    }
}

/// The error for a byte that does not start a character of UTF-8.
fn not_utf8(path: &Path, bytes: &[u8], at: usize, packed: bool) -> Error {
    let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    let after = if packed { " after decompression" } else { "" };
    let place = format!("byte {at}{after} (0x{:02x}, line {line}) does not start a character", bytes[at]);
    let plain = bytes.iter().filter(|byte| byte.is_ascii()).count();
    let controls = bytes.iter().filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()).count();
    let error = |problem: String, remedy| Error::format(path, problem).with_remedy(remedy);
    if controls * 50 > bytes.len() {
        return error(format!("is not text: {place}"), "give a file of text in UTF-8");
    }
    if plain * 2 < bytes.len() {
        // Few letters are ASCII: not a Western language in Latin-1.
        return error(
            format!("is not UTF-8: {place}"),
            "save it as UTF-8, for example with `iconv -f GB18030 -t UTF-8`, SHIFT_JIS, WINDOWS-1251, UTF-16LE or \
             whatever its encoding is",
        );
    }
    error(format!("is not UTF-8: {place}"), "save it as UTF-8, for example with `iconv -f LATIN1 -t UTF-8`")
}
