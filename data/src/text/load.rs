//! From a file of text to its training part and its held-out part.
use super::{
    Sample, Text, Tokens, TooLong,
    codec::Codec,
    file::{self, Piece},
    table,
    texts::Texts,
    vocabulary::{self, Bpe, Vocabulary},
};
use crate::{Cell, Columns, Error, Split, find, limits};
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// The most categories that a model of text has.
const MAX_CATEGORIES: usize = 1 << 16;
/// The default number of tokens of a window.
const WINDOW: usize = 128;
/// Lines are not padded to the longest if it has more tokens than this and than so many times the median.
const LONG: usize = 256;
const TIMES: usize = 10;

impl Text {
    /// Reads one part; `None` if nothing is held out.
    ///
    /// # Errors
    /// What is wrong with the settings or the files.
    pub fn load(&self, split: Split) -> Result<Option<Texts>, Error> {
        let (train, test) = self.parts()?;
        Ok(match split {
            Split::Train => Some(train),
            Split::Test => test,
        })
    }

    /// Reads the training part and the held-out part.
    ///
    /// # Errors
    /// What is wrong with the settings or the files.
    pub fn parts(&self) -> Result<(Texts, Option<Texts>), Error> {
        self.check()?;
        let path = find(&self.path).map_err(|error| error.with_field("path"))?;
        let pieces = self.pieces(&path).map_err(|error| error.at_field("path"))?;
        let test_path = self.test.as_ref().map(find).transpose().map_err(|error| error.with_field("test"))?;
        let (learned, held) = match &test_path {
            Some(path) => (pieces.clone(), self.pieces(path).map_err(|error| error.at_field("test"))?),
            None => self.split(&path, &pieces)?,
        };
        let (held_path, held_field) = test_path.as_ref().map_or((&path, "path"), |path| (path, "test"));

        let vocabulary = match self.tokens {
            Tokens::Characters => Vocabulary::of_characters(pieces.iter().flat_map(|piece| piece.text.chars())),
            Tokens::Bpe => Vocabulary::Bpe(Bpe::train(learned.iter().map(|piece| &*piece.text), self.vocabulary)?),
        };
        if vocabulary.len() > MAX_CATEGORIES {
            let problem =
                format!("has {} different characters, but at most {MAX_CATEGORIES} are allowed", vocabulary.len());
            return Err(Error::format(&path, problem)
                .with_field("tokens")
                .with_remedy("use byte-pair encoding: `tokens = \"bpe\"` and `vocabulary = 4096`"));
        }
        let rows = encode(&path, &learned, &vocabulary).map_err(|error| error.at_field("path"))?;
        let held_rows = encode(held_path, &held, &vocabulary).map_err(|error| error.at_field(held_field))?;
        if self.sample == Sample::Line && self.length.is_none() {
            outlier(&[(&path, &learned, &rows), (held_path, &held, &held_rows)])?;
        }
        let cells = |pieces: &[Piece]| pieces.iter().map(|piece| piece.cells.clone()).collect::<Vec<_>>();
        let (cells, held_cells) = (cells(&learned), cells(&held));
        let (learned, held) = (rows, held_rows);
        let ends = self.sample == Sample::Line;
        let longest = learned.iter().chain(&held).map(Vec::len).max().unwrap_or(0);
        let length = self.length.unwrap_or(if ends { longest + 1 } else { WINDOW });
        let codec = Codec { vocabulary, ends, length };
        let held = if held.is_empty() {
            None
        } else {
            Some(self.serve(held_path, &codec, held, held_cells, longest, Split::Test)?)
        };
        Ok((self.serve(&path, &codec, learned, cells, longest, Split::Train)?, held))
    }

    /// About how many bytes of host memory [`load`](Text::load) takes at most, from the sizes of the files alone.
    ///
    /// # Errors
    /// What is wrong with the settings or the paths.
    pub fn memory(&self) -> Result<u64, Error> {
        self.check()?;
        // The bytes, the text, its samples, those of a part, and four bytes for the id of a token of one byte.
        const PER_BYTE: u64 = 8;
        let size = |path: &Path, field| -> Result<u64, Error> {
            let path = find(path).map_err(|error| error.with_field(field))?;
            let (mut file, length) = limits::open(&path).map_err(|error| error.at_field(field))?;
            let mut start = [0; 2];
            let packed = file.read_exact(&mut start).is_ok() && limits::is_gzip(&start);
            // A gzip stream ends with the number of bytes after decompression, modulo 2³².
            let mut end = [0; 4];
            let known = packed && file.seek(SeekFrom::End(-4)).is_ok() && file.read_exact(&mut end).is_ok();
            let announced = if known { u64::from(u32::from_le_bytes(end)).max(length) } else { length };
            Ok(announced.min(limits::MAX_TEXT))
        };
        let test = self.test.as_ref().map_or(Ok(0), |path| size(path, "test"))?;
        Ok((size(&self.path, "path")? + test) * PER_BYTE)
    }

    /// Checks the settings, before any file is read.
    fn check(&self) -> Result<(), Error> {
        let invalid = |field, problem: &str, remedy: &'static str| {
            Err(Error::invalid(problem).with_field(field).with_remedy(remedy))
        };
        if self.path.as_os_str().is_empty() {
            return invalid("path", "is not set", "set `path = \"names.txt\"`, or another file of text");
        }
        if self.length == Some(0) {
            let remedy = "set the number of tokens per sample, as 64, or leave it out to take what the text needs";
            return invalid("length", "must be 1 or more tokens, got 0", remedy);
        }
        if self.stride == 0 {
            return invalid("stride", "must be 1 or more tokens, got 0", "set 1, or another number");
        }
        if self.held_out == 1 && self.test.is_none() {
            let remedy = "set 10 to hold out a tenth, or 0 to hold out none";
            return invalid("held_out", "must be 0 or at least 2, got 1, which leaves nothing for training", remedy);
        }
        if self.column.is_some() && self.sample == Sample::Window {
            let problem = "makes each cell a sample and cannot be used with `sample = \"window\"`";
            return invalid("column", problem, "leave out one of the two");
        }
        if !self.columns.is_empty() && self.column.is_none() {
            let problem = "is not set, and conditions name columns of a table, as CSV or JSON Lines";
            return invalid("column", problem, "set `column` to the column of the samples");
        }
        if self.tokens == Tokens::Bpe && self.vocabulary > MAX_CATEGORIES {
            let problem = format!("must be {MAX_CATEGORIES} or less, got {}", self.vocabulary);
            return invalid("vocabulary", &problem, "set 1024 or 4096 for a text of a few megabytes");
        }
        Ok(())
    }

    /// The samples of a file, or its whole text.
    fn pieces(&self, path: &Path) -> Result<Vec<Piece>, Error> {
        let whole = file::text(path)?;
        let empty = whole.trim().is_empty();
        let nothing = || Error::format(path, "does not hold any text").with_remedy("give a file with text in it");
        if whole.is_empty() {
            return Err(nothing());
        }
        let kind = table::of(path, &whole);
        let pieces = match (&self.column, self.sample) {
            (Some(column), _) => table::column(path, &whole, column, &self.columns, kind)?,
            (None, Sample::Line) if kind.is_none() => file::lines(&whole),
            (None, Sample::Window) if kind.is_none() => vec![Piece { line: 1, text: whole, cells: vec![] }],
            _ => return Err(table::column_needed(path, &whole, kind.expect("the cases without one are above"))),
        };
        match pieces.is_empty() || empty {
            true => Err(nothing()),
            false => Ok(pieces),
        }
    }

    /// The training part and the held-out part of one file.
    fn split(&self, path: &Path, pieces: &[Piece]) -> Result<(Vec<Piece>, Vec<Piece>), Error> {
        let n = self.held_out;
        if n == 0 {
            return Ok((pieces.to_vec(), vec![]));
        }
        if self.sample == Sample::Window {
            let text = &pieces[0].text;
            let mut at = text.len() - text.len() / n;
            while !text.is_char_boundary(at) {
                at += 1;
            }
            let (learned, held) = text.split_at(at);
            let line = 1 + learned.matches('\n').count();
            let piece = |line, text: &str| vec![Piece { line, text: text.to_owned(), cells: vec![] }];
            return Ok((piece(1, learned), piece(line, held)));
        }
        let held = pieces.len() / n;
        if held == 0 {
            let plural = if pieces.len() == 1 { "" } else { "s" };
            let problem = format!("has {} sample{plural}, too few to hold out every {n}th", pieces.len());
            let remedy = match pieces.len() {
                1 => "set `sample = \"window\"` if it is running text, or `held_out = 0` to hold out none".into(),
                // 1 would leave nothing for training.
                few => format!("set `held_out = {}` or less, or 0 to hold out none", (few - 1).max(2)),
            };
            return Err(Error::format(path, problem).with_field("held_out").with_remedy(remedy));
        }
        let is_held = |i: usize| if self.last { i >= pieces.len() - held } else { i % n == n - 1 };
        let part =
            |wanted: bool| (0..pieces.len()).filter(|i| is_held(*i) == wanted).map(|i| pieces[i].clone()).collect();
        Ok((part(false), part(true)))
    }

    /// The samples of one part, whose texts have at most `longest` tokens.
    fn serve(
        &self,
        path: &Path,
        codec: &Codec,
        mut pieces: Vec<Vec<u32>>,
        mut cells: Vec<Vec<Cell>>,
        longest: usize,
        split: Split,
    ) -> Result<Texts, Error> {
        let length = codec.length;
        let part = split.name();
        let error = |problem: String, remedy: String| {
            Err(Error::format(path, problem).with_field("length").with_remedy(remedy))
        };
        if self.sample == Sample::Window {
            let tokens = pieces.remove(0);
            if tokens.len() < length {
                let problem =
                    format!("has {} tokens in its {part} part, but a window needs `length = {length}`", tokens.len());
                return error(problem, "set a smaller `length`, or give more text".into());
            }
            let stride = if split == Split::Train { self.stride } else { length };
            return Ok(Texts::windows(codec.clone(), tokens, stride));
        }
        let too_long = pieces.iter().filter(|piece| piece.len() > length).count();
        match self.too_long {
            _ if too_long == 0 => {}
            TooLong::Error => {
                let remedy = format!(
                    "set `length = {}`, or `too_long = \"truncate\"` to shorten them, or `too_long = \"skip\"` to \
                     leave them out",
                    longest + 1
                );
                let problem = format!(
                    "has {too_long} of {} samples in its {part} part that are longer than `length = {length}` tokens \
                     (the longest of all has {longest})",
                    pieces.len()
                );
                return error(problem, remedy);
            }
            TooLong::Truncate => pieces.iter_mut().for_each(|piece| piece.truncate(length)),
            TooLong::Skip => {
                let kept: Vec<bool> = pieces.iter().map(|piece| piece.len() <= length).collect();
                let mut keep = kept.iter();
                pieces.retain(|_| *keep.next().expect("one per piece"));
                let mut keep = kept.iter();
                cells.retain(|_| *keep.next().expect("one per piece"));
            }
        }
        if pieces.is_empty() {
            let remedy = format!("set a greater `length`, as {}, or `too_long = \"truncate\"`", longest + 1);
            return error(format!("has no samples of at most `length = {length}` tokens in its {part} part"), remedy);
        }
        Ok(Texts::lines(codec.clone(), &pieces)
            .with_columns(Columns::of_rows(&self.columns, &cells).in_folder(path.parent().unwrap_or(Path::new("")))))
    }
}

/// A part of a text: its file, its samples and their token ids.
type Part<'a> = (&'a Path, &'a [Piece], &'a [Vec<u32>]);

/// The error for a line that is so much longer than the others that all of them would be padded to its length, if there
/// is one.
fn outlier(parts: &[Part]) -> Result<(), Error> {
    let mut lengths: Vec<usize> = parts.iter().flat_map(|(.., rows)| rows.iter().map(Vec::len)).collect();
    lengths.sort_unstable();
    let Some(&longest) = lengths.last() else { return Ok(()) };
    let median = lengths[(lengths.len() - 1) / 2];
    let limit = LONG.max(TIMES * median);
    if longest <= limit {
        return Ok(());
    }
    let place = parts.iter().find_map(|(path, pieces, rows)| {
        let row = rows.iter().position(|row| row.len() == longest)?;
        Some((*path, pieces[row].line))
    });
    let (path, line) = place.expect("one of the rows is the longest");
    let few = lengths.partition_point(|length| *length <= limit);
    let usual = lengths[few.max(1) - 1];
    let problem = format!(
        "has a sample of {longest} tokens (line {line}), and half of the samples have {median} or fewer: without `length` \
         all of them would be padded to {} tokens",
        longest + 1
    );
    let remedy = format!(
        "set `length = {}` and `too_long = \"skip\"` or \"truncate\" ({} of {} samples are longer), or `length = {}` \
         to train on that many",
        usual + 1,
        lengths.len() - few,
        lengths.len(),
        longest + 1
    );
    Err(Error::format(path, problem).with_field("length").with_remedy(remedy))
}

/// The samples of a file as token ids.
fn encode(path: &Path, pieces: &[Piece], vocabulary: &Vocabulary) -> Result<Vec<Vec<u32>>, Error> {
    let encode = |piece: &Piece| {
        vocabulary.tokens(&piece.text).map_err(|place| {
            let before: Vec<char> = piece.text.chars().take(place).collect();
            let line = piece.line + before.iter().filter(|c| **c == '\n').count();
            let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
            let character = vocabulary::named(piece.text.chars().nth(place).expect("it was found there"));
            let problem = format!(
                "has a character that the training text does not have: {character}, line {line}, character {column}"
            );
            Error::format(path, problem).with_remedy(
                "remove or replace it, or use byte-pair encoding, which encodes every character: `tokens = \"bpe\"`",
            )
        })
    };
    pieces.iter().map(encode).collect()
}
