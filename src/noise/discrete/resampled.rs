//! Forward marginal of category indices, sampled without allocating anything of size K.
use super::Discrete;
use crate::{
    distribution::{Categorical, Distribution, Sample, one_hot},
    noise::lift,
    rng::Rng,
};
use burn::tensor::{Tensor, TensorData};

/// Category indices `[…, 1]`, each of which survives with the probability of its row and is resampled from π otherwise.
#[derive(Clone, Debug)]
pub(super) struct Resampled<const D: usize> {
    pub(super) x: Tensor<D>,
    pub(super) survival: Vec<f64>,
    pub(super) noise: Discrete,
}
impl<const D: usize> Resampled<D> {
    fn whole(&self) -> Categorical<D> {
        let [survival, corrupted] = lift(&self.x, &self.survival, |_, survival| [survival, 1.0 - survival]);
        let x = one_hot(self.x.clone(), self.noise.pi.len());
        let pi = self.noise.pi(&x);
        Categorical::trusted(x * survival + pi * corrupted).in_indices(true)
    }
}
impl<const D: usize> Distribution<D> for Resampled<D> {
    fn mean(&self) -> Tensor<D> {
        self.whole().mean()
    }
    fn std(&self) -> Tensor<D> {
        self.whole().std()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<D> {
        // Sampled on the host without reading x: two uniform numbers per entry.
        let dims = self.x.dims();
        let (rows, width) = (dims[0], dims[1..].iter().product::<usize>());
        let u = rng.uniforms(rows, 2 * width);
        let reached: Vec<f64> = self
            .noise
            .pi
            .iter()
            .scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            })
            .collect();
        let whole = reached[reached.len() - 1];
        let corrupted = |i: usize| u[2 * i] >= self.survival[i / width % self.survival.len()];
        let index = |i: usize| reached.partition_point(|sum| *sum <= u[2 * i + 1] * whole);
        let options = (&self.x.device(), self.x.dtype());
        let values: Vec<f64> = (0..rows * width).map(|i| if corrupted(i) { index(i) as f64 } else { 0.0 }).collect();
        let corrupted: Vec<bool> = (0..rows * width).map(corrupted).collect();
        let mask = Tensor::from_data(TensorData::new(corrupted, dims), &self.x.device());
        let value = self.x.clone().mask_where(mask, Tensor::from_data(TensorData::new(values, dims), options));
        Sample { value, eps: None }
    }
    fn nll(&self, x: Tensor<D>) -> Tensor<D> {
        self.whole().nll(x)
    }
    fn kl(&self, other: &dyn Distribution<D>) -> Tensor<D> {
        self.whole().kl(other)
    }
}
