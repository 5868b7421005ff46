//! Data of any rank, and where they come from.
use crate::data::facts::Facts;
use burn::tensor::Tensor;
use std::fmt::Debug;
use tweedie::{Error, Result, data::Data, net::Classes};
use tweedie_data::Split;

/// A set of data of rank `D`, the batch included.
pub trait Set<const D: usize>: Data<Tensor<D>, Classes> {
    /// What is to be known of it.
    fn facts(&self) -> Facts;
    /// What was left out of it, or read in part: one line, if there is anything to tell.
    fn notes(&self) -> Option<String> {
        None
    }
    /// The text, where it is such.
    fn texts(&self) -> Option<&tweedie_data::Texts> {
        None
    }
}

/// A set of one rank or another.
pub enum Loaded {
    /// Points: `[batch, numbers]`.
    Two(Box<dyn Set<2>>),
    /// Sequences: `[batch, length, channels]`.
    Three(Box<dyn Set<3>>),
    /// Images: `[batch, channels, height, width]`.
    Four(Box<dyn Set<4>>),
}
impl Loaded {
    /// The rank.
    pub fn rank(&self) -> usize {
        match self {
            Self::Two(_) => 2,
            Self::Three(_) => 3,
            Self::Four(_) => 4,
        }
    }
}

/// Where data come from: settings of `[data]` in a recipe.
pub trait Source: Debug + Send + Sync {
    /// The part to learn from, or the part held out; `None` where nothing is held out.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the files.
    fn load(&self, split: Split) -> Result<Option<Loaded>>;

    /// About how many bytes of host memory [`load`](Source::load) takes at most, from settings and headers alone; `None`
    /// if that is unknown.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the headers.
    fn memory(&self, split: Split) -> Result<Option<u64>> {
        let _ = split;
        Ok(None)
    }
}

/// An error of the data as one of the library's.
pub(crate) fn data_error(error: tweedie_data::Error) -> Error {
    match (error.path(), error.field()) {
        (None, Some(field)) => {
            let own = Error::invalid(error.problem()).with_field(field);
            match error.remedy() {
                Some(remedy) => own.with_remedy(remedy),
                None => own,
            }
        }
        // The sentence is about the file, the field only says which setting names it.
        (Some(_), Some(field)) => Error::invalid(format!("cannot be used: {error}")).with_field(field),
        (_, None) => Error::invalid(error.to_string()),
    }
}
