//! Sets that hold every value in host memory.
use crate::{
    data::{facts::Facts, source::Set},
    messages,
};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;
use tweedie::{
    Error, Result, Rng,
    condition::Conditions,
    data::{Data, Samples},
};
use tweedie_data::{Columns, Law};

/// Samples of rank `D`, the batch included, with their columns and their law.
#[derive(Debug)]
pub(super) struct RowSet<const D: usize> {
    pub samples: Samples<D>,
    pub facts: Facts,
    pub columns: Columns,
    pub law: Option<Arc<Law>>,
}
impl<const D: usize> Data<Tensor<D>, Conditions> for RowSet<D> {
    fn len(&self) -> usize {
        self.facts.samples
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<D>, Conditions) {
        self.samples.batch(rows, rng, device)
    }
}
impl<const D: usize> Set<D> for RowSet<D> {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }
    fn columns(&self) -> Option<&Columns> {
        Some(&self.columns)
    }
    fn law(&self) -> Option<Arc<Law>> {
        self.law.clone()
    }
}

/// Checks that the columns that conditions name are among those that a source of `what` has.
pub(super) fn check_columns(columns: &[String], what: &str, known: &[&str]) -> Result<()> {
    match columns.iter().find(|column| !known.contains(&column.as_str())) {
        None => Ok(()),
        Some(other) => {
            let has = match known {
                [one] => format!("have the column `{one}`"),
                _ => format!("have the columns {}", messages::list(known)),
            };
            Err(Error::invalid(format!("a condition names the column `{other}`, and {what} {has}")))
        }
    }
}

/// The number of samples of a part of synthetic data, and its random stream; a tenth as many are held out.
pub(super) fn part(n: usize, split: tweedie_data::Split, what: &str) -> Result<(usize, &'static str)> {
    if n == 0 {
        let problem = format!("must be 1 or more, got 0, which leaves no {what} to learn from");
        return Err(Error::invalid(problem).with_field("n").with_remedy("set 10000, for example"));
    }
    Ok(match split {
        tweedie_data::Split::Train => (n, "training"),
        tweedie_data::Split::Test => (n.div_ceil(10), "held out"),
    })
}
