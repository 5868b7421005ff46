//! Conditions of samples: what is read beside the data, or computed from them.
mod computed;
mod reader;
mod set;

pub use computed::Computed;
pub use reader::ConditionReader;
pub(crate) use reader::picture_of;
pub(crate) use set::{Conditioned, learn};

use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use tweedie::{Result, condition::ConditionSpec};
use tweedie_data::Columns;

/// A condition of the data: its name and dimensions, and how its values are read. A checkpoint stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionFacts {
    /// Its name and dimensions.
    #[serde(flatten)]
    pub spec: ConditionSpec,
    /// How its values are read.
    pub reader: ConditionReader,
    /// Probability that it is dropped in training, beside that of all conditions together.
    #[serde(default)]
    pub dropout: f64,
}

/// The settings of a condition: `[condition.NAME]` of a recipe.
pub(crate) trait ConditionBuilder: Debug + Send + Sync {
    /// The columns that are read beside the data, for a condition of this name.
    fn columns(&self, name: &str) -> Vec<String>;
    /// Probability that the condition is dropped in training.
    fn dropout(&self) -> f64;
    /// What is known of the condition from the columns of the training data, for samples of this shape.
    ///
    /// # Errors
    ///
    /// If the settings do not describe a condition of these data.
    fn learn(&self, name: &str, columns: &Columns, shape: &[usize]) -> Result<(ConditionSpec, ConditionReader)>;
}
