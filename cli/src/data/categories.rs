//! Categorical data: how many categories there are, and what they stand for.
use crate::messages;
use serde::{Deserialize, Serialize};
use tweedie_data::{Codec, Vocabulary};

/// The categories of categorical data. A batch holds category indices, `[batch, length, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Categories {
    /// Number of categories in the data, without the mask of absorbing noise.
    pub count: usize,
    /// The share of each among the data.
    pub frequencies: Vec<f64>,
    /// What a sample of them shows.
    pub shown: Shown,
}

/// What a sample of categories shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// Category indices.
    Numbers,
    /// Text.
    Text(Codec),
    /// An image of these channels, rows and columns, of as many levels as there are categories.
    Image([usize; 3]),
}

impl Categories {
    /// The text encoding, if samples are text.
    pub fn codec(&self) -> Option<&Codec> {
        match &self.shown {
            Shown::Text(codec) => Some(codec),
            _ => None,
        }
    }
    /// Channels, height and width, if samples are images.
    pub fn image(&self) -> Option<[usize; 3]> {
        match self.shown {
            Shown::Image(shape) => Some(shape),
            _ => None,
        }
    }
    /// In a few words.
    pub(crate) fn describe(&self, shape: &[usize]) -> String {
        let length = messages::grouped(shape.first().copied().unwrap_or(0));
        match &self.shown {
            Shown::Numbers => format!("sequences of {length} categories, {} of them different", self.count),
            Shown::Image([channels, height, width]) => {
                let plural = if *channels == 1 { "" } else { "s" };
                format!(
                    "images of {width} × {height} pixels, {channels} channel{plural}, {} levels as categories",
                    self.count
                )
            }
            Shown::Text(codec) => {
                let kind = match &codec.vocabulary {
                    Vocabulary::Characters(_) => "characters",
                    Vocabulary::Bpe(_) => "byte pairs",
                };
                let known = codec.vocabulary.len();
                match codec.ends {
                    true => format!("lines of up to {length} tokens, {known} {kind} and an end"),
                    false => format!("windows of {length} tokens, {known} {kind}"),
                }
            }
        }
    }
}
