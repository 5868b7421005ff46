//! Text: files of it, as samples of a fixed number of token ids.
mod codec;
mod encoding;
pub(crate) mod file;
mod load;
mod ngram;
pub(crate) mod table;
mod texts;
mod vocabulary;

pub use codec::Codec;
pub use ngram::{Baseline, Mean, NGram, baselines};
pub use texts::Texts;
pub use vocabulary::{Bpe, Characters, PLACEHOLDER, Vocabulary};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A file of text, plain or gzipped: one sample per line, per cell of a column of a table, or per window of the whole
/// text.
///
/// Text is UTF-8, or UTF-16 or UTF-32 with a byte order mark; byte order marks are removed. Lines end with `\n`, `\r\n` or
/// `\r`. Tables are CSV, with cells separated by commas, semicolons, tabs or vertical bars, or JSON Lines, one object per
/// line. A file is at most 1 GiB ([`MAX_TEXT`](crate::limits::MAX_TEXT)) after decompression. What is not text, as an
/// archive, a web page or a pointer of Git LFS, is an error.
///
/// All samples have `length` tokens. A line is padded with end tokens; the end is a category like any other, which the
/// model learns to predict, so that samples have lengths distributed as in the data. A line of exactly `length` tokens
/// has no end token. Empty lines and cells are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Text {
    /// Path of the file. A relative path is looked up in the working directory, then in the folder that the environment
    /// variable `TWEEDIE_DATA` names.
    pub path: PathBuf,
    /// Path of a separate file for the held-out part, looked up as `path` is. Default: a part of `path` is held out.
    pub test: Option<PathBuf>,
    /// Name of the column of a CSV file, as in its header, or key of the objects of a JSON Lines file, whose texts are
    /// the samples. Required for these files.
    pub column: Option<String>,
    /// What one sample is. Default: "line".
    pub sample: Sample,
    /// Number of tokens per sample, 1 or more. Default: 128 for windows, and for lines one more than the longest line
    /// has; a longest line of more than 256 tokens and ten times the median is an error.
    pub length: Option<usize>,
    /// What is done with lines of more than `length` tokens. Default: "error".
    #[serde(alias = "longer")]
    pub too_long: TooLong,
    /// Number of tokens from the start of one training window to the start of the next, 1 or more; held-out windows do
    /// not overlap. Default: 1.
    pub stride: usize,
    /// What the text is divided into. Default: "characters".
    pub tokens: Tokens,
    /// Number of tokens of the vocabulary, 257 to 65536, if `tokens = "bpe"`. Default: 1024.
    pub vocabulary: usize,
    /// Every how-many-th line is held out from training; for windows, one how-many-th of the text, its end. 0 holds out
    /// none. Default: 10.
    pub held_out: usize,
    /// Whether the held-out lines are the last of the file, as many as otherwise. Default: false.
    pub last: bool,
    /// Names of further columns that are read beside the samples.
    #[serde(skip)]
    pub columns: Vec<String>,
}

/// What one sample of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sample {
    /// A line, or a cell of a column.
    #[default]
    Line,
    /// `length` consecutive tokens, from anywhere in the text; a line break is a character.
    Window,
}

/// What is done with lines that have more tokens than a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TooLong {
    /// Loading fails with an error.
    #[default]
    #[serde(alias = "refuse")]
    Error,
    /// The line is truncated to its first `length` tokens, without an end token.
    #[serde(alias = "cut")]
    Truncate,
    /// The line is left out.
    #[serde(alias = "drop")]
    Skip,
}

/// What text is divided into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// One token per character.
    #[default]
    Characters,
    /// Byte-pair encoding, learned from the training part.
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
            too_long: TooLong::Error,
            stride: 1,
            tokens: Tokens::Characters,
            vocabulary: 1024,
            held_out: 10,
            last: false,
            columns: vec![],
        }
    }
}
