//! Tables from a list or a file of numbers.
use super::{
    Table,
    lazy::{Lazy, UNDEFINED, table_schedule},
};
use crate::{
    dual::Dual,
    error::{Error, Result},
    schedule::{Scales, Schedule, Survival},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, path::PathBuf};

/// Quantity that the numbers of a [`Listed`] schedule are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// β₁ … β_T.
    #[default]
    Betas,
    /// ᾱ₁ … ᾱ_T, decreasing.
    AlphaBars,
    /// σ/α at 1/T … 1, increasing: the noise levels of unscaled data, `ᾱ = 1/(1 + σ²)`.
    Sigmas,
}

/// Table from a list of numbers, or from a file of numbers separated by white space or commas.
///
/// It is serialized with the list in place of the file, so that reading it back does not need the file.
///
/// ```
/// use tweedie::schedule::{Listed, Quantity, Schedule};
/// let schedule = Listed::new(Quantity::AlphaBars, vec![0.9, 0.5, 0.01]);
/// assert!((schedule.at(1.0).alpha - 0.1).abs() < 1e-15);
/// // A last ᾱ of 0 leaves no signal.
/// assert_eq!(Listed::new(Quantity::AlphaBars, vec![0.9, 0.5, 0.0]).at(1.0).alpha, 0.0);
/// ```
#[doc(alias("trained_betas", "custom_betas"))]
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, into = "Serialized")]
#[schemars(!into)]
pub struct Listed {
    /// What the numbers are. Default: betas.
    quantity: Quantity,
    /// The numbers.
    values: Vec<f64>,
    /// A file of the numbers, in place of `values`.
    file: Option<PathBuf>,
    #[serde(skip)]
    lazy: Lazy,
}
/// [`Listed`] as it is serialized.
#[derive(Serialize)]
struct Serialized {
    quantity: Quantity,
    values: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}
impl From<Listed> for Serialized {
    fn from(listed: Listed) -> Self {
        // `check` reports a file that cannot be read.
        match listed.numbers() {
            Ok(values) => Self { quantity: listed.quantity, values, file: None },
            Err(_) => Self { quantity: listed.quantity, values: listed.values, file: listed.file },
        }
    }
}
impl Default for Listed {
    /// Four noise levels, as an example.
    fn default() -> Self {
        Self::new(Quantity::Sigmas, EXAMPLE.to_vec())
    }
}
const EXAMPLE: [f64; 4] = [0.05, 0.5, 3.0, 20.0];
impl Listed {
    /// The table of these numbers.
    pub fn new(quantity: Quantity, values: Vec<f64>) -> Self {
        Self { quantity, values, file: None, lazy: Lazy::default() }
    }
    /// The table of the numbers in a file.
    pub fn from_file(quantity: Quantity, file: impl Into<PathBuf>) -> Self {
        Self { quantity, values: vec![], file: Some(file.into()), lazy: Lazy::default() }
    }
    fn numbers(&self) -> Result<Vec<f64>> {
        let Some(file) = &self.file else { return Ok(self.values.clone()) };
        if !(self.values.is_empty() || self.values == EXAMPLE) {
            return Err(Error::invalid(format!("and `file = {}` both give the table", file.display()))
                .with_field("values")
                .with_remedy("leave one of them out"));
        }
        let text = std::fs::read_to_string(file).map_err(Error::io(file, "read"))?;
        let entries = text.split(|c: char| c.is_whitespace() || c == ',').filter(|entry| !entry.is_empty());
        let number = |entry: &str| {
            entry.parse().map_err(|_| Error::format(file, format!("a table must hold numbers, but there is `{entry}`")))
        };
        entries.map(number).collect()
    }
    fn make(&self) -> Result<Table> {
        let values = self.numbers()?;
        if self.quantity == Quantity::Sigmas
            && let Some(pair) = values.windows(2).find(|pair| pair[0].partial_cmp(&pair[1]) != Some(Ordering::Less))
        {
            return Err(Error::invalid(format!(
                "the noise levels of a table must increase from step to step, but {} is followed by {}",
                pair[0], pair[1]
            ))
            .with_remedy("list them from the smallest to the largest, without the 0 of the data"));
        }
        let bars = match self.quantity {
            Quantity::Betas => return Table::new(values),
            Quantity::AlphaBars => values,
            Quantity::Sigmas => values.iter().map(|sigma| (1.0 + sigma * sigma).recip()).collect(),
        };
        let before = std::iter::once(1.0).chain(bars.iter().copied());
        let betas: Vec<f64> = before.zip(&bars).map(|(before, bar)| 1.0 - bar / before).collect();
        let last = betas.len().wrapping_sub(1);
        if let Some(i) =
            (0..betas.len()).find(|&i| !(betas[i] > 0.0 && (betas[i] < 1.0 || i == last && betas[i] == 1.0)))
        {
            return Err(Error::invalid(format!(
                "the ᾱ of a table must decrease at each step and be 0 at the last step only, but at step {} it is {}",
                i + 1,
                bars[i]
            )));
        }
        Table::new(betas)
    }
    /// A list follows no formula.
    fn formula(&self, _: f64) -> Option<f64> {
        None
    }
}
table_schedule!(Listed {});
