//! Text as rows of token ids of a fixed length, and back.
use super::vocabulary::Vocabulary;
use crate::Error;
use serde::{Deserialize, Serialize};

/// The encoding of a sample of text as a row of token ids: what a checkpoint of a text model stores of its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Codec {
    /// The vocabulary.
    pub vocabulary: Vocabulary,
    /// Whether there is an end token, whose id follows those of the vocabulary.
    pub ends: bool,
    /// Number of token ids per sample.
    pub length: usize,
}

impl Codec {
    /// The number of categories: the size of the vocabulary, plus one if there is an end token.
    pub fn categories(&self) -> usize {
        self.vocabulary.len() + usize::from(self.ends)
    }

    /// The id of the end token, if there is one.
    #[doc(alias = "eos_token_id")]
    pub fn end(&self) -> Option<u32> {
        self.ends.then_some(self.vocabulary.len() as u32)
    }

    /// A text as one sample, padded with end tokens to `length`; without end tokens the text must have that length.
    ///
    /// # Errors
    /// A character that is not in the vocabulary, or a text of the wrong length.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut row = self.vocabulary.encode(text)?;
        let (found, wanted) = (row.len(), self.length);
        if found > wanted || (self.end().is_none() && found < wanted) {
            let problem = format!("the text has {found} tokens, but the samples of the model have {wanted}");
            return Err(Error::invalid(problem).with_remedy(if found > wanted { "shorten it" } else { "lengthen it" }));
        }
        row.resize(wanted, self.end().unwrap_or(0));
        Ok(row)
    }

    /// A sample as text, up to its first end token. Ids beyond the vocabulary, as that of a mask, are shown as
    /// [`PLACEHOLDER`](super::PLACEHOLDER).
    pub fn decode(&self, row: &[u32]) -> String {
        self.vocabulary.decode(self.before_end(row))
    }

    /// The number of characters of a sample; its end counts as one.
    pub fn num_characters(&self, row: &[u32]) -> usize {
        let tokens = self.before_end(row);
        tokens.iter().map(|token| self.vocabulary.num_characters(*token)).sum::<usize>()
            + usize::from(tokens.len() < row.len())
    }

    fn before_end<'a>(&self, row: &'a [u32]) -> &'a [u32] {
        let end = self.end().and_then(|end| row.iter().position(|category| *category == end));
        &row[..end.unwrap_or(row.len())]
    }
}
