//! Data of any rank, and where they come from.
use crate::data::{digest::Digest, facts::Facts};
use burn::tensor::{Device, Tensor};
use std::{fmt::Debug, sync::Arc};
use tweedie::{
    Error, Result, Rng,
    condition::{Classes, Conditions},
    data::Data,
};
use tweedie_data::{Law, Split};

/// A set of data of rank `D`, the batch included.
pub trait Set<const D: usize>: Data<Tensor<D>, Conditions> {
    /// What is to be known of it.
    fn facts(&self) -> Facts;
    /// What was left out of it, or read in part: one line, if there is anything to tell.
    fn notes(&self) -> Option<String> {
        None
    }
    /// The columns beside the samples that were asked for, if the source has any.
    fn columns(&self) -> Option<&tweedie_data::Columns> {
        None
    }
    /// The text, where it is such.
    fn texts(&self) -> Option<&tweedie_data::Texts> {
        None
    }
    /// A statistic of the samples whose expectation is known: `tweedie evaluate --samples` measures it on generated samples. Default:
    /// `None`.
    fn law(&self) -> Option<Arc<Law>> {
        None
    }
    /// A digest of all samples in their order, by which a run that is resumed recognizes its data. Default: that of every value
    /// and label, read batch by batch.
    fn digest(&self) -> Digest {
        const ROWS: usize = 256;
        let (rng, device) = (Rng::new(0).stream("digest"), Device::flex());
        let rows: Vec<usize> = (0..self.len()).collect();
        rows.chunks(ROWS).enumerate().fold(Digest::default(), |digest, (i, rows)| {
            let (x, y) = self.batch(rows, &rng.at_step(i as u64), &device);
            let values: Vec<f32> = x.try_into_vec_as().expect("a tensor can be read back");
            let digest = values.into_iter().fold(digest, |digest, value| digest.bytes(&value.to_le_bytes()));
            let Classes(labels) = y.to_classes();
            digest.numbers(labels.into_iter().map(|label| label.map_or(u64::MAX, u64::from)))
        })
    }
}

/// A set of one rank or another.
pub enum Loaded {
    /// Points: `[batch, numbers]`.
    Two(Box<dyn Set<2>>),
    /// Sequences, `[batch, length, channels]`, or signals, `[batch, channels, length]`, as [`Facts::signal`] says.
    Three(Box<dyn Set<3>>),
    /// Images: `[batch, channels, height, width]`.
    Four(Box<dyn Set<4>>),
    /// Volumes: `[batch, channels, depth, height, width]`.
    Five(Box<dyn Set<5>>),
}
impl Loaded {
    /// The rank.
    pub fn rank(&self) -> usize {
        match self {
            Self::Two(_) => 2,
            Self::Three(_) => 3,
            Self::Four(_) => 4,
            Self::Five(_) => 5,
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

    /// Asks for columns beside the samples, by their names, which conditions are read from.
    ///
    /// # Errors
    ///
    /// If the source has no columns. Default: it has none.
    fn with_columns(&mut self, columns: &[String]) -> Result<()> {
        match columns.first() {
            None => Ok(()),
            Some(column) => {
                Err(Error::invalid(format!("these data have no columns, and a condition names `{column}`")))
            }
        }
    }

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
        (_, None) => Error::invalid(error.to_string().trim_end_matches('.')),
    }
}
