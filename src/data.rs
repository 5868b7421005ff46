//! Training data: samples by row number.
use crate::{
    condition::{Classes, Condition, Conditions},
    rng::Rng,
};
use burn::tensor::{Device, Tensor, TensorData};

/// A data set of samples of raw type `R`, each with a condition of type `Y`.
#[doc(alias("Dataset", "DataLoader", "LightningDataModule"))]
pub trait Data<R, Y>: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the samples `rows`, in that order. Random augmentation of `rows[i]` uses row i of `rng`.
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (R, Y);

    /// The conditions of all samples, if they are at hand, so that a net which cannot be given one of them is refused before the first
    /// step. Default: `None`, and they are checked batch by batch.
    fn conditions(&self) -> Option<Y> {
        None
    }
}

/// Samples in memory, row after row.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, data::{Data, Samples}, condition::Conditions};
/// let points = Samples::new(vec![0.0, 1.0, 2.0, 3.0], [2, 2]).with_labels(vec![0, 1]);
/// let (x, y): (Tensor<2>, Conditions) = points.batch(&[1], &Rng::new(0), &Device::flex());
/// assert_eq!((x.dims(), y), ([1, 2], Conditions::classes([1])));
/// ```
#[derive(Clone, Debug)]
pub struct Samples<const D: usize> {
    values: Vec<f32>,
    shape: [usize; D],
    conditions: Conditions,
}
impl<const D: usize> Samples<D> {
    /// Samples of shape `shape[1..]` each, `shape[0]` of them.
    ///
    /// # Panics
    ///
    /// If the length of `values` is not the product of the shape.
    pub fn new(values: Vec<f32>, shape: [usize; D]) -> Self {
        let size: usize = shape.iter().product();
        assert_eq!(values.len(), size, "the shape {shape:?} has {size} entries, got {} values", values.len());
        Self { values, shape, conditions: Conditions::none() }
    }
    /// Sets the class label of each row.
    ///
    /// # Panics
    ///
    /// If the number of labels is not the number of rows.
    pub fn with_labels(self, classes: Vec<u32>) -> Self {
        assert_eq!(
            classes.len(),
            self.shape[0],
            "{} rows need a label each, got {} labels",
            self.shape[0],
            classes.len()
        );
        self.with_conditions(Classes::from(classes).into())
    }
    /// Sets the conditions, an entry per row of each.
    ///
    /// # Panics
    ///
    /// If the number of entries is not the number of rows.
    pub fn with_conditions(self, conditions: Conditions) -> Self {
        for (name, values) in conditions.iter() {
            let (rows, found) = (self.shape[0], values.rows());
            assert_eq!(rows, found, "{rows} rows need an entry each of the condition {name:?}, got {found}");
        }
        Self { conditions, ..self }
    }
    fn tensor(&self, rows: &[usize], device: &Device) -> Tensor<D> {
        let size: usize = self.shape[1..].iter().product();
        let values: Vec<f32> =
            rows.iter().flat_map(|&row| &self.values[row * size..(row + 1) * size]).copied().collect();
        let mut shape = self.shape;
        shape[0] = rows.len();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}
impl<const D: usize> Data<Tensor<D>, Conditions> for Samples<D> {
    fn len(&self) -> usize {
        self.shape[0]
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<D>, Conditions) {
        (self.tensor(rows, device), self.conditions.select(rows))
    }
    fn conditions(&self) -> Option<Conditions> {
        Some(self.conditions.clone())
    }
}
impl<const D: usize> Data<Tensor<D>, ()> for Samples<D> {
    fn len(&self) -> usize {
        self.shape[0]
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<D>, ()) {
        (self.tensor(rows, device), ())
    }
}
