//! Sets of tokenized text in memory.
use super::codec::Codec;
use crate::Columns;

/// One part of a text, tokenized, in host memory, served as samples of a fixed length.
#[derive(Clone, Debug, PartialEq)]
pub struct Texts {
    /// The encoding of the samples.
    pub codec: Codec,
    /// Columns beside the samples.
    pub columns: Columns,
    tokens: Vec<u32>,
    rows: Rows,
}

#[derive(Clone, Debug, PartialEq)]
enum Rows {
    /// Index in `tokens` of the end of each line.
    Lines(Vec<usize>),
    /// Windows of `codec.length` tokens, the starts `stride` tokens apart.
    Windows { stride: usize },
}

impl Texts {
    /// A set with one sample per line.
    pub(super) fn lines(codec: Codec, lines: &[Vec<u32>]) -> Self {
        let mut end = 0;
        let ends = lines.iter().map(|line| {
            end += line.len();
            end
        });
        let rows = Rows::Lines(ends.collect());
        Self { codec, columns: Columns::default(), tokens: lines.concat(), rows }
    }

    /// A set with one sample per window of a text of at least one window.
    pub(super) fn windows(codec: Codec, tokens: Vec<u32>, stride: usize) -> Self {
        Self { codec, columns: Columns::default(), tokens, rows: Rows::Windows { stride } }
    }

    /// The set with columns beside its samples.
    pub(super) fn with_columns(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Lines(ends) => ends.len(),
            Rows::Windows { stride } => (self.tokens.len() - self.codec.length) / stride + 1,
        }
    }

    /// Whether the set is empty, which no set that was loaded is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All tokens in the order of the samples, without end tokens; those that windows share once.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The tokens of a sample, without end tokens.
    ///
    /// # Panics
    /// If `row` is out of range.
    pub fn get(&self, row: usize) -> &[u32] {
        match &self.rows {
            Rows::Lines(ends) => &self.tokens[if row == 0 { 0 } else { ends[row - 1] }..ends[row]],
            Rows::Windows { stride } => &self.tokens[row * stride..row * stride + self.codec.length],
        }
    }

    /// Samples as token ids, in the order of `rows`.
    ///
    /// # Shapes
    /// `rows [n]` → `[n, length]`.
    ///
    /// # Panics
    /// If a row is out of range.
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

    /// The number of characters of a sample; the end of a line counts as one.
    pub fn num_characters(&self, row: usize) -> usize {
        let tokens = self.get(row);
        let all: usize = tokens.iter().map(|token| self.codec.vocabulary.num_characters(*token)).sum();
        all + usize::from(self.ended(tokens))
    }

    /// The number of tokens of a sample; the end of a line counts as one.
    pub fn num_tokens(&self, row: usize) -> usize {
        let tokens = self.get(row);
        tokens.len() + usize::from(self.ended(tokens))
    }

    /// The relative frequency of each category among the token ids that [`batch`](Texts::batch) serves.
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

    /// A sample as a sequence model reads it, and the index of the first token to predict: a line has an end token
    /// before it, which marks its start, and one after it.
    pub(super) fn sequence(&self, row: usize) -> (Vec<u32>, usize) {
        let tokens = self.get(row);
        match self.codec.end() {
            None => (tokens.to_vec(), 0),
            Some(end) => {
                let after = self.ended(tokens).then_some(end);
                ([end].into_iter().chain(tokens.iter().copied()).chain(after).collect(), 1)
            }
        }
    }

    /// All sequences of the set: one per line, or the whole text of windows at once.
    pub(super) fn sequences(&self) -> Vec<(Vec<u32>, usize)> {
        match &self.rows {
            Rows::Lines(_) => (0..self.len()).map(|row| self.sequence(row)).collect(),
            Rows::Windows { .. } => vec![(self.tokens.clone(), 0)],
        }
    }
}
