//! The rows of a data set that a model is evaluated on.
use burn::tensor::{Device, Tensor};
use tweedie::{
    Rng,
    data::Data,
    net::{Condition as _, Conditions},
};

/// Rows of a data set for an evaluation, in batches.
pub(crate) struct EvaluationSet<'a, const D: usize> {
    pub data: &'a dyn Data<Tensor<D>, Conditions>,
    pub rows: &'a [usize],
    pub batch: usize,
    /// Whether the classes of the data are left out, because the model was never trained with them.
    pub unconditional: bool,
    pub seed: u64,
    /// Called before each batch with the fraction that is done.
    pub progress: &'a dyn Fn(f64),
    pub device: &'a Device,
}
impl<const D: usize> EvaluationSet<'_, D> {
    /// The batches, each with its classes and a random stream of its own.
    pub fn batches(&self) -> impl Iterator<Item = (Tensor<D>, Conditions, Rng)> {
        let rng = Rng::new(self.seed).stream("evaluate");
        self.rows.chunks(self.batch).enumerate().map(move |(i, rows)| {
            (self.progress)((i * self.batch) as f64 / self.rows.len() as f64);
            let rng = rng.at_step(i as u64);
            let (raw, y) = self.data.batch(rows, &rng.stream("data"), self.device);
            let y = if self.unconditional { y.without(&vec![true; rows.len()]) } else { y };
            (raw, y, rng)
        })
    }
}
