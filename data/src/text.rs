//! Text: files of it, as samples of one length of numbered tokens.
mod ngram;
mod read;
mod vocabulary;

pub use ngram::{Baseline, Mean, NGram, baselines};
pub use vocabulary::{Bpe, Characters, UNSAID, Vocabulary};

use crate::{Error, Split, find};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file of text, plain or gzipped, in UTF-8: one sample a line, a window that rolls over the whole, or one sample a
/// cell of a CSV column.
///
/// Samples are of one `length` of tokens. A line is followed by ends up to that length: the end is a category like any
/// other, which the model learns to say, so that a sample knows where it stops and lengths follow the data's. A line
/// that takes the whole length has no end. Empty lines and cells are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Text {
    /// The file; a relative path is looked up by [`find`].
    pub path: PathBuf,
    /// A file of its own for the held-out part.
    pub test: Option<PathBuf>,
    /// The column of a CSV file, by the name in its header.
    pub column: Option<String>,
    /// What a sample is.
    pub sample: Sample,
    /// Tokens a sample; if not given, 128 for a window and as many as the longest line needs for lines.
    pub length: Option<usize>,
    /// What is done with lines of more than `length` tokens.
    pub longer: Longer,
    /// Characters from one window to the next, while learning; the windows held out do not overlap.
    pub stride: usize,
    /// What tokens are.
    pub tokens: Tokens,
    /// The number of tokens of `bpe`.
    pub vocabulary: usize,
    /// Every how many-th line is held out, or how many-th part of the text for windows, which is its last; 0 holds out
    /// none.
    pub held_out: usize,
    /// Whether the lines held out are the last instead.
    pub last: bool,
}

/// What a sample of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sample {
    /// A line, or a cell of a column.
    #[default]
    Line,
    /// As many tokens in a row, from anywhere in the text; an end of line is a character.
    Window,
}

/// What is done with lines longer than a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Longer {
    /// They are a mistake.
    #[default]
    Refuse,
    /// Their beginnings are kept, without an end.
    Cut,
    /// They are left out.
    Drop,
}

/// What text is divided into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// Characters.
    #[default]
    Characters,
    /// Byte pairs, learned from the training part.
    Bpe,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            test: None,
            column: None,
            sample: Sample::Line,
            length: None,
            longer: Longer::Refuse,
            stride: 1,
            tokens: Tokens::Characters,
            vocabulary: 1024,
            held_out: 10,
            last: false,
        }
    }
}

/// How a sample of text is a row of numbers: what a model must know of its text after the data are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Codec {
    /// The tokens.
    pub vocabulary: Vocabulary,
    /// Whether there is an end, the category after the tokens.
    pub ends: bool,
    /// How many numbers a sample has.
    pub length: usize,
}

impl Codec {
    /// The number of categories: the tokens, and the end where there is one.
    pub fn categories(&self) -> usize {
        self.vocabulary.len() + usize::from(self.ends)
    }

    /// The category of the end.
    pub fn end(&self) -> Option<u32> {
        self.ends.then_some(self.vocabulary.len() as u32)
    }

    /// A text as one sample: with ends up to the length where there are ends, and of that very length where there are not.
    ///
    /// # Errors
    /// A character that is not known, or a text of the wrong length.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut row = self.vocabulary.encode(text)?;
        let (found, wanted) = (row.len(), self.length);
        if found > wanted || (self.end().is_none() && found < wanted) {
            return Err(Error::setting(
                format!("a text of {found} tokens was given, and the model's samples have {wanted}"),
                if found > wanted { "Shorten it." } else { "Lengthen it." },
            ));
        }
        row.resize(wanted, self.end().unwrap_or(0));
        Ok(row)
    }

    /// A sample as text, up to its first end; categories beyond the tokens and the end, as a mask, as [`UNSAID`].
    pub fn decode(&self, row: &[u32]) -> String {
        self.vocabulary.decode(self.said(row))
    }

    /// The characters of a sample, of which its end is one.
    pub fn characters(&self, row: &[u32]) -> usize {
        let said = self.said(row);
        said.iter().map(|token| self.vocabulary.characters_of(*token)).sum::<usize>()
            + usize::from(said.len() < row.len())
    }

    fn said<'a>(&self, row: &'a [u32]) -> &'a [u32] {
        let end = self.end().and_then(|end| row.iter().position(|category| *category == end));
        &row[..end.unwrap_or(row.len())]
    }
}

/// One part of a text, as tokens in memory, served as samples of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Texts {
    /// How samples are numbers.
    pub codec: Codec,
    tokens: Vec<u32>,
    rows: Rows,
}

#[derive(Clone, Debug, PartialEq)]
enum Rows {
    /// Where each line ends in `tokens`.
    Lines(Vec<usize>),
    Windows {
        stride: usize,
    },
}

impl Texts {
    /// How many samples there are.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Lines(ends) => ends.len(),
            Rows::Windows { stride } => (self.tokens.len() - self.codec.length) / stride + 1,
        }
    }

    /// Whether there are none, which no source makes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of a sample, without its ends.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn get(&self, row: usize) -> &[u32] {
        match &self.rows {
            Rows::Lines(ends) => &self.tokens[if row == 0 { 0 } else { ends[row - 1] }..ends[row]],
            Rows::Windows { stride } => &self.tokens[row * stride..row * stride + self.codec.length],
        }
    }

    /// Samples as numbers, in the order asked.
    ///
    /// # Shapes
    /// `rows [n]` → `[n, length]`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn batch(&self, rows: &[usize]) -> Vec<u32> {
        let end = self.codec.end().unwrap_or(0);
        let mut all = Vec::with_capacity(rows.len() * self.codec.length);
        for (i, row) in rows.iter().enumerate() {
            all.extend_from_slice(self.get(*row));
            all.resize((i + 1) * self.codec.length, end);
        }
        all
    }

    /// A sample as text.
    pub fn text(&self, row: usize) -> String {
        self.codec.vocabulary.decode(self.get(row))
    }

    /// The characters of a sample, of which the end of a line is one.
    pub fn characters(&self, row: usize) -> usize {
        let tokens = self.get(row);
        let all: usize = tokens.iter().map(|token| self.codec.vocabulary.characters_of(*token)).sum();
        all + usize::from(self.ended(tokens))
    }

    /// How many tokens a sample has, of which the end of a line is one.
    pub fn count(&self, row: usize) -> usize {
        let tokens = self.get(row);
        tokens.len() + usize::from(self.ended(tokens))
    }

    /// How often each category occurs among the numbers that [`batch`](Texts::batch) serves, as a share of them.
    pub fn frequencies(&self) -> Vec<f64> {
        let mut counts = vec![0u64; self.codec.categories()];
        self.tokens.iter().for_each(|token| counts[*token as usize] += 1);
        if let (Some(end), Rows::Lines(_)) = (self.codec.end(), &self.rows) {
            counts[end as usize] += (self.len() * self.codec.length - self.tokens.len()) as u64;
        }
        let all: u64 = counts.iter().sum();
        counts.into_iter().map(|count| count as f64 / all as f64).collect()
    }

    fn ended(&self, tokens: &[u32]) -> bool {
        self.codec.ends && tokens.len() < self.codec.length
    }

    /// What a model of sequences reads of a sample, and from which place on it is to be described: for a line its end
    /// before it, which is where it begins, and its end after it.
    fn sequence(&self, row: usize) -> (Vec<u32>, usize) {
        let tokens = self.get(row);
        match self.codec.end() {
            None => (tokens.to_vec(), 0),
            Some(end) => {
                let after = self.ended(tokens).then_some(end);
                ([end].into_iter().chain(tokens.iter().copied()).chain(after).collect(), 1)
            }
        }
    }

    /// All there is to learn from: line by line, or the whole text of windows at once.
    fn sequences(&self) -> Vec<(Vec<u32>, usize)> {
        match &self.rows {
            Rows::Lines(_) => (0..self.len()).map(|row| self.sequence(row)).collect(),
            Rows::Windows { .. } => vec![(self.tokens.clone(), 0)],
        }
    }
}

/// More categories than this are no text's.
const MOST: usize = 1 << 16;
/// Tokens of a window where nothing is said.
const WINDOW: usize = 128;

impl Text {
    /// Reads one part; `None` where nothing is held out.
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

    /// Reads both parts.
    ///
    /// # Errors
    /// What is wrong with the settings or the files.
    pub fn parts(&self) -> Result<(Texts, Option<Texts>), Error> {
        self.check()?;
        let path = find(&self.path)?;
        let whole = read::text(&path)?;
        let pieces = self.pieces(&path, &whole)?;
        let test_path = self.test.as_ref().map(find).transpose()?;
        let test_whole = test_path.as_ref().map(|path| read::text(path)).transpose()?;
        let (learned, held) = match (&test_path, &test_whole) {
            (Some(path), Some(whole)) => (pieces.clone(), self.pieces(path, whole)?),
            _ => self.split(&path, &pieces)?,
        };

        let vocabulary = match self.tokens {
            Tokens::Characters => Vocabulary::characters(&pieces.iter().map(|piece| &*piece.text).collect::<String>()),
            Tokens::Bpe => Vocabulary::Bpe(Bpe::train(learned.iter().map(|piece| &*piece.text), self.vocabulary)?),
        };
        if vocabulary.len() > MOST {
            return Err(Error::text(
                &path,
                format!("has {} different characters, and a model of text knows {MOST} at most", vocabulary.len()),
                "Take byte pairs: `tokens = \"bpe\"` and `vocabulary = 4096`.",
            ));
        }
        let encode = |path: &std::path::Path, pieces: &[read::Piece]| -> Result<Vec<Vec<u32>>, Error> {
            pieces.iter().map(|piece| self.encode(path, piece, &vocabulary)).collect()
        };
        let learned = encode(&path, &learned)?;
        let held = encode(test_path.as_ref().unwrap_or(&path), &held)?;
        let ends = self.sample == Sample::Line;
        let longest = learned.iter().chain(&held).map(Vec::len).max().unwrap_or(0);
        let length = self.length.unwrap_or(if ends { longest + 1 } else { WINDOW });
        let codec = Codec { vocabulary, ends, length };
        let held = if held.is_empty() {
            None
        } else {
            Some(self.serve(test_path.as_ref().unwrap_or(&path), &codec, held, longest, Split::Test)?)
        };
        Ok((self.serve(&path, &codec, learned, longest, Split::Train)?, held))
    }

    fn check(&self) -> Result<(), Error> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::setting("there is no `path`", "Say `path = \"names.txt\"`, or another file of text."));
        }
        if self.length == Some(0) {
            return Err(Error::setting(
                "`length = 0` makes samples of no tokens",
                "Say how many tokens a sample has, as 64, or leave it out to take what the text needs.",
            ));
        }
        if self.stride == 0 {
            return Err(Error::setting("`stride = 0` never comes to the next window", "Say 1, or another number."));
        }
        if self.held_out == 1 && self.test.is_none() {
            return Err(Error::setting(
                "`held_out = 1` leaves nothing to learn from",
                "Say 10 to hold out a tenth, or 0 to hold out none.",
            ));
        }
        if self.column.is_some() && self.sample == Sample::Window {
            return Err(Error::setting(
                "`column` makes each cell a sample, and `sample = \"window\"` takes a text without divisions",
                "Leave out one of the two.",
            ));
        }
        if self.tokens == Tokens::Bpe && self.vocabulary > MOST {
            return Err(Error::setting(
                format!("`vocabulary = {}` is too large: a model of text knows {MOST} tokens at most", self.vocabulary),
                "Say 1024 or 4096 for a text of a few megabytes.",
            ));
        }
        Ok(())
    }

    /// The samples of a file, or its whole text.
    fn pieces(&self, path: &std::path::Path, whole: &str) -> Result<Vec<read::Piece>, Error> {
        let pieces = match (&self.column, self.sample) {
            (Some(column), _) => read::column(path, whole, column)?,
            (None, _) if read::is_table(path) => return Err(read::columnless(path, whole)),
            (None, Sample::Line) => read::lines(whole),
            (None, Sample::Window) => vec![read::Piece { line: 1, text: whole.to_owned() }],
        };
        match pieces.is_empty() || whole.is_empty() {
            true => Err(Error::text(path, "holds no text", "Give a file with text in it.")),
            false => Ok(pieces),
        }
    }

    /// What is learned from and what is held out, of one file.
    fn split(
        &self,
        path: &std::path::Path,
        pieces: &[read::Piece],
    ) -> Result<(Vec<read::Piece>, Vec<read::Piece>), Error> {
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
            let piece = |line, text: &str| vec![read::Piece { line, text: text.to_owned() }];
            return Ok((piece(1, learned), piece(line, held)));
        }
        let held = pieces.len() / n;
        if held == 0 {
            return Err(Error::text(
                path,
                format!("has {} samples, so every {n}th of them is none", pieces.len()),
                format!("Say `held_out = {}` or a smaller number, or 0 to hold out none.", pieces.len().max(2) - 1),
            ));
        }
        let is_held = |i: usize| if self.last { i >= pieces.len() - held } else { i % n == n - 1 };
        let part =
            |wanted: bool| (0..pieces.len()).filter(|i| is_held(*i) == wanted).map(|i| pieces[i].clone()).collect();
        Ok((part(false), part(true)))
    }

    fn encode(&self, path: &std::path::Path, piece: &read::Piece, vocabulary: &Vocabulary) -> Result<Vec<u32>, Error> {
        vocabulary.tokens(&piece.text).map_err(|place| {
            let before: Vec<char> = piece.text.chars().take(place).collect();
            let line = piece.line + before.iter().filter(|c| **c == '\n').count();
            let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
            let character = piece.text.chars().nth(place).expect("it was met there");
            Error::text(
                path,
                format!(
                    "has a character that the text to learn from has not: {}, line {line}, character {column}",
                    vocabulary::named(character)
                ),
                "Remove or replace it there, or take byte pairs, which know every character: `tokens = \"bpe\"`.",
            )
        })
    }

    fn serve(
        &self,
        path: &std::path::Path,
        codec: &Codec,
        mut pieces: Vec<Vec<u32>>,
        longest: usize,
        split: Split,
    ) -> Result<Texts, Error> {
        let length = codec.length;
        let part = split.name();
        if self.sample == Sample::Window {
            let tokens = pieces.remove(0);
            if tokens.len() < length {
                return Err(Error::text(
                    path,
                    format!(
                        "has {} tokens in its {part} part, fewer than a window of `length = {length}`",
                        tokens.len()
                    ),
                    "Say a smaller `length`, or give more text.",
                ));
            }
            let stride = if split == Split::Train { self.stride } else { length };
            return Ok(Texts { codec: codec.clone(), tokens, rows: Rows::Windows { stride } });
        }
        let longer = pieces.iter().filter(|piece| piece.len() > length).count();
        match self.longer {
            _ if longer == 0 => {}
            Longer::Refuse => {
                return Err(Error::text(
                    path,
                    format!(
                        "has {longer} of {} samples in its {part} part that are longer than `length = {length}` tokens; the \
                         longest of all has {longest}",
                        pieces.len()
                    ),
                    format!(
                        "Say `length = {}`, or `longer = \"cut\"` to keep their beginnings, or `longer = \"drop\"` to leave \
                         them out.",
                        longest + 1
                    ),
                ));
            }
            Longer::Cut => pieces.iter_mut().for_each(|piece| piece.truncate(length)),
            Longer::Drop => pieces.retain(|piece| piece.len() <= length),
        }
        if pieces.is_empty() {
            return Err(Error::text(
                path,
                format!("has no sample of at most `length = {length}` tokens in its {part} part"),
                format!("Say a greater `length`, as {}, or `longer = \"cut\"`.", longest + 1),
            ));
        }
        let mut end = 0;
        let ends = pieces.iter().map(|piece| {
            end += piece.len();
            end
        });
        let rows = Rows::Lines(ends.collect());
        Ok(Texts { codec: codec.clone(), tokens: pieces.concat(), rows })
    }
}
