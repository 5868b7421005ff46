//! The kinds of conditions: settings of `[condition.NAME]`.
use crate::data::{
    Computed, ConditionReader,
    conditions::{ConditionBuilder, picture_of},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tweedie::{
    Error, Result,
    condition::{ConditionKind, ConditionSpec},
};
use tweedie_data::{Bpe, Cell, Columns, Tokens, Vocabulary};

/// A category per sample: an attribute, or the class of data without classes of their own. A missing value is dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClassCondition {
    /// Column of the values. Default: the name of the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Probability that it is dropped in training, beside `cond_dropout`, which drops all conditions together.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

/// A vector of numbers per sample, standardized by the means and standard deviations of the training data. A row with a missing
/// value is dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VectorCondition {
    /// Columns of the components. Default: the one column with the name of the condition.
    pub columns: Vec<String>,
    /// Probability that it is dropped in training, beside `cond_dropout`, which drops all conditions together.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

/// A text per sample, as a caption, which the network reads token by token through cross-attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokensCondition {
    /// Column of the texts. Default: the name of the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What the texts are divided into; the vocabulary is that of the training data.
    pub tokens: Tokens,
    /// Number of tokens of the vocabulary, 257 to 65536, if `tokens = "bpe"`.
    #[schemars(range(min = 257, max = 65536))]
    pub vocabulary: usize,
    /// Largest number of tokens; longer texts are truncated. Default: that of the longest text of the training data, up to 256.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Probability that it is dropped in training, beside `cond_dropout`, which drops all conditions together.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}
impl Default for TokensCondition {
    fn default() -> Self {
        Self { column: None, tokens: Tokens::Bpe, vocabulary: 1024, length: None, dropout: 0.0 }
    }
}

/// An image per sample, concatenated to x_t: a second picture, or one that is computed from the sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImageCondition {
    /// Column of the pictures: paths relative to the data, or files. Default: the name of the condition, if `of` is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is computed from the sample, in place of a column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Computed>,
    /// Side in pixels of the blocks of `of = "downscaled"`.
    #[schemars(range(min = 2))]
    pub factor: usize,
    /// Number of channels of pictures of a column: 1 (gray) or 3 (RGB).
    pub channels: usize,
    /// Probability that it is dropped in training, beside `cond_dropout`, which drops all conditions together.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}
impl Default for ImageCondition {
    fn default() -> Self {
        Self { column: None, of: None, factor: 2, channels: 3, dropout: 0.0 }
    }
}

/// A label for each pixel, from pictures whose gray levels are the labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LabelMapCondition {
    /// Column of the pictures: paths relative to the data, or files. Default: the name of the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Number of labels. Default: one more than the largest of the training data.
    #[schemars(range(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
    /// Probability that it is dropped in training, beside `cond_dropout`, which drops all conditions together.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}
impl Default for LabelMapCondition {
    fn default() -> Self {
        Self { column: None, labels: None, dropout: 0.0 }
    }
}

fn own(column: &Option<String>, name: &str) -> String {
    column.clone().unwrap_or_else(|| name.to_owned())
}
fn cells<'a>(columns: &'a Columns, column: &str) -> Result<&'a [Cell]> {
    columns.get(column).ok_or_else(|| Error::invalid(format!("the data have no column `{column}`")))
}
fn empty(column: &str) -> Error {
    Error::invalid(format!("the column `{column}` has no value in the training data"))
}

impl ConditionBuilder for ClassCondition {
    fn columns(&self, name: &str) -> Vec<String> {
        vec![own(&self.column, name)]
    }
    fn dropout(&self) -> f64 {
        self.dropout
    }
    fn learn(&self, name: &str, columns: &Columns, _: &[usize]) -> Result<(ConditionSpec, ConditionReader)> {
        const MOST: usize = 1 << 16;
        let column = own(&self.column, name);
        let values = cells(columns, &column)?.iter().filter_map(Cell::text).map(|text| text.trim().to_owned());
        let names: Vec<String> = values.collect::<BTreeSet<_>>().into_iter().take(MOST + 1).collect();
        if names.is_empty() {
            return Err(empty(&column));
        }
        if names.len() > MOST {
            return Err(Error::invalid(format!(
                "the column `{column}` has more than {MOST} different values, which are no categories: take the kind `vector` or \
                 `tokens`"
            )));
        }
        let spec = ConditionSpec::new(name, ConditionKind::Class { num_classes: names.len() });
        Ok((spec, ConditionReader::Class { column, names }))
    }
}

impl ConditionBuilder for VectorCondition {
    fn columns(&self, name: &str) -> Vec<String> {
        if self.columns.is_empty() { vec![name.to_owned()] } else { self.columns.clone() }
    }
    fn dropout(&self) -> f64 {
        self.dropout
    }
    fn learn(&self, name: &str, columns: &Columns, _: &[usize]) -> Result<(ConditionSpec, ConditionReader)> {
        let own = ConditionBuilder::columns(self, name);
        let (mut mean, mut std) = (vec![], vec![]);
        for column in &own {
            let cells = cells(columns, column)?;
            let odd = |cell: &&Cell| !cell.is_missing() && cell.number().is_none_or(|x| !x.is_finite());
            if let Some(cell) = cells.iter().find(odd) {
                let found = cell.text().unwrap_or_default();
                return Err(Error::invalid(format!(
                    "the column `{column}` holds `{found}`, which is not a finite number: take the kind `class` for names"
                )));
            }
            let numbers: Vec<f64> = cells.iter().filter_map(Cell::number).collect();
            if numbers.is_empty() {
                return Err(empty(column));
            }
            let n = numbers.len() as f64;
            let own = numbers.iter().sum::<f64>() / n;
            let square = (numbers.iter().map(|x| (x - own).powi(2)).sum::<f64>() / n).sqrt();
            mean.push(own as f32);
            std.push(if square > 0.0 { square as f32 } else { 1.0 });
        }
        let spec = ConditionSpec::new(name, ConditionKind::Vector { mean, std });
        Ok((spec, ConditionReader::Vector { columns: own }))
    }
}

impl ConditionBuilder for TokensCondition {
    fn columns(&self, name: &str) -> Vec<String> {
        vec![own(&self.column, name)]
    }
    fn dropout(&self) -> f64 {
        self.dropout
    }
    fn learn(&self, name: &str, columns: &Columns, _: &[usize]) -> Result<(ConditionSpec, ConditionReader)> {
        const LONGEST: usize = 256;
        let column = own(&self.column, name);
        let texts: Vec<String> = cells(columns, &column)?.iter().filter_map(Cell::text).collect();
        if texts.is_empty() {
            return Err(empty(&column));
        }
        let vocabulary = match self.tokens {
            Tokens::Characters => Vocabulary::characters(&texts.concat()),
            Tokens::Bpe => {
                let learned = Bpe::train(texts.iter().map(String::as_str), self.vocabulary);
                Vocabulary::Bpe(learned.map_err(crate::data::data_error)?)
            }
        };
        let count = |text: &String| vocabulary.encode(text).map(|tokens| tokens.len());
        let lengths: std::result::Result<Vec<usize>, _> = texts.iter().map(count).collect();
        let longest = lengths.map_err(crate::data::data_error)?.into_iter().max().unwrap_or(1).max(1);
        let length = self.length.unwrap_or(longest.min(LONGEST));
        let spec = ConditionSpec::new(name, ConditionKind::Tokens { vocabulary: vocabulary.len(), length });
        Ok((spec, ConditionReader::Tokens { column, vocabulary }))
    }
}

impl ConditionBuilder for ImageCondition {
    fn columns(&self, name: &str) -> Vec<String> {
        if self.of.is_some() { vec![] } else { vec![own(&self.column, name)] }
    }
    fn dropout(&self) -> f64 {
        self.dropout
    }
    fn learn(&self, name: &str, columns: &Columns, shape: &[usize]) -> Result<(ConditionSpec, ConditionReader)> {
        if let Some(of) = self.of {
            if self.column.is_some() {
                return Err(Error::invalid("is set as well as `of`, which computes the image: leave one out")
                    .with_field("column"));
            }
            let spec = ConditionSpec::new(name, ConditionKind::Image { shape: of.shape(self.factor, shape)? });
            return Ok((spec, ConditionReader::Computed { of, factor: self.factor }));
        }
        if !matches!(self.channels, 1 | 3) {
            let problem = format!("must be 1 (gray) or 3 (RGB), got {}", self.channels);
            return Err(Error::invalid(problem).with_field("channels"));
        }
        let column = own(&self.column, name);
        let first = first_picture(columns, &column, self.channels)?;
        let spec = ConditionSpec::new(name, ConditionKind::Image { shape: first.1.to_vec() });
        Ok((spec, ConditionReader::Image { column }))
    }
}

impl ConditionBuilder for LabelMapCondition {
    fn columns(&self, name: &str) -> Vec<String> {
        vec![own(&self.column, name)]
    }
    fn dropout(&self) -> f64 {
        self.dropout
    }
    fn learn(&self, name: &str, columns: &Columns, _: &[usize]) -> Result<(ConditionSpec, ConditionReader)> {
        let column = own(&self.column, name);
        let (_, [_, height, width]) = first_picture(columns, &column, 1)?;
        let num_labels = match self.labels {
            Some(labels) => labels,
            None => {
                let mut largest = 0;
                for cell in cells(columns, &column)? {
                    if let Some((bytes, _)) = picture_of(cell, columns.folder(), 1)? {
                        largest = largest.max(bytes.into_iter().max().unwrap_or(0));
                    }
                }
                usize::from(largest) + 1
            }
        };
        let spec = ConditionSpec::new(name, ConditionKind::LabelMap { shape: vec![height, width], num_labels });
        Ok((spec, ConditionReader::LabelMap { column }))
    }
}

/// The first picture of a column.
fn first_picture(columns: &Columns, column: &str, channels: usize) -> Result<(Vec<u8>, [usize; 3])> {
    for cell in cells(columns, column)? {
        if let Some(found) = picture_of(cell, columns.folder(), channels)? {
            return Ok(found);
        }
    }
    Err(empty(column))
}
