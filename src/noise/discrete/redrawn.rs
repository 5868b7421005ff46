//! x_t drawn from category numbers without anything of size K.
use super::Discrete;
use crate::{
    distribution::{Categorical, Distribution, Sample, one_hot},
    noise::lift,
    rng::Rng,
};
use burn::tensor::{Tensor, TensorData};

/// Category numbers `[…, 1]`, each kept with the probability of its row and redrawn from π otherwise.
#[derive(Clone, Debug)]
pub(super) struct Redrawn<const D: usize> {
    pub(super) x: Tensor<D>,
    pub(super) keep: Vec<f64>,
    pub(super) noise: Discrete,
}
impl<const D: usize> Redrawn<D> {
    fn whole(&self) -> Categorical<D> {
        let [keep, lose] = lift(&self.x, &self.keep, |_, keep| [keep, 1.0 - keep]);
        let x = one_hot(self.x.clone(), self.noise.pi.len());
        let pi = self.noise.pi(&x);
        Categorical::trusted(x * keep + pi * lose).in_numbers(true)
    }
}
impl<const D: usize> Distribution<D> for Redrawn<D> {
    fn mean(&self) -> Tensor<D> {
        self.whole().mean()
    }
    fn std(&self) -> Tensor<D> {
        self.whole().std()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<D> {
        // Drawn on the host without a look at x: two uniform numbers an entry.
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
        let lost = |i: usize| u[2 * i] >= self.keep[i / width % self.keep.len()];
        let drawn = |i: usize| reached.partition_point(|sum| *sum <= u[2 * i + 1] * whole);
        let options = (&self.x.device(), self.x.dtype());
        let values: Vec<f64> = (0..rows * width).map(|i| if lost(i) { drawn(i) as f64 } else { 0.0 }).collect();
        let lost: Vec<bool> = (0..rows * width).map(lost).collect();
        let mask = Tensor::from_data(TensorData::new(lost, dims), &self.x.device());
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
