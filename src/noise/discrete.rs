//! Categorical noise with a stationary vector: uniform, absorbing, marginal.
use super::{Categories, Estimate, Law, Noise, lift};
use crate::{
    distribution::{Categorical, Distribution, Sample, one_hot},
    dual::Dual,
    error::Error,
    rng::Rng,
    schedule::Schedule,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// A category is kept with probability α and redrawn from π with probability 1 − α.
///
/// For one-hot x along the last axis, with α the schedule's [`keep`](Schedule::keep) and `r = α_t/α_s`:
///
/// ```text
/// q(x_t | x)      = Cat(α_t x + (1 − α_t) π)
/// q(x_s | x_t, x) ∝ [r x_t + (1 − r) ⟨π, x_t⟩] ∘ [α_s x + (1 − α_s) π]
/// ```
///
/// No K×K matrix is ever made, and where x is category numbers `[…, 1]`, drawing x_t makes nothing of size K. The net says
/// logits of x.
///
/// Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces" (2021),
/// <https://arxiv.org/abs/2107.03006>.
#[derive(Clone, Debug)]
pub struct Discrete {
    schedule: Arc<dyn Schedule>,
    pi: Vec<f64>,
}

impl Discrete {
    /// Redrawn from all `k` categories alike.
    pub fn uniform(schedule: impl Schedule + 'static, k: usize) -> Self {
        Self { schedule: Arc::new(schedule), pi: vec![1.0 / k as f64; k] }
    }
    /// Replaced by category `mask`, which then stays.
    ///
    /// # Panics
    ///
    /// If `mask` is not one of the `k` categories.
    pub fn absorbing(schedule: impl Schedule + 'static, k: usize, mask: usize) -> Self {
        assert!(mask < k, "the mask is one of the {k} categories, not number {mask}");
        let pi = (0..k).map(|i| if i == mask { 1.0 } else { 0.0 }).collect();
        Self { schedule: Arc::new(schedule), pi }
    }
    /// Redrawn from `pi`, such as the frequencies of the data.
    ///
    /// # Errors
    ///
    /// If `pi` is no distribution.
    pub fn marginal(schedule: impl Schedule + 'static, pi: Vec<f64>) -> Result<Self, Error> {
        if let Some((i, p)) = pi.iter().enumerate().find(|(_, p)| p.is_nan() || **p < 0.0) {
            return Err(Error::Unfit(format!(
                "probabilities are 0 or more, but category {i} of the stationary vector has {p}"
            )));
        }
        let sum: f64 = pi.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(Error::Unfit(format!("the stationary vector sums to one, not to {sum}")));
        }
        Ok(Self { schedule: Arc::new(schedule), pi })
    }

    /// π along the last axis.
    fn pi<const D: usize>(&self, like: &Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[D - 1] = self.pi.len();
        Tensor::from_data(TensorData::new(self.pi.clone(), shape), (&like.device(), like.dtype()))
    }
    /// α at a time.
    fn keep(&self, t: f64) -> f64 {
        self.schedule.keep(Dual::time(t)).value
    }
    /// The mask, if π is a point.
    fn mask(&self) -> Option<usize> {
        self.pi.iter().position(|p| *p == 1.0)
    }
}

/// Category numbers `[…, 1]`, each kept with the probability of its row and redrawn from π otherwise.
#[derive(Clone, Debug)]
struct Redrawn<const D: usize> {
    x: Tensor<D>,
    keep: Vec<f64>,
    noise: Discrete,
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

impl<const D: usize> Noise<D> for Discrete {
    fn stationary(&self, shape: [usize; D], device: &Device) -> Law<D> {
        let like = Tensor::<D>::zeros([1; D], device);
        if shape[D - 1] == 1 {
            return Box::new(Redrawn { x: like.expand(shape), keep: vec![0.0], noise: self.clone() });
        }
        Box::new(Categorical::trusted(self.pi(&like).expand(shape)))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> Law<D> {
        if x.dims()[D - 1] == 1 {
            return Box::new(Redrawn { x, keep: t.iter().map(|t| self.keep(*t)).collect(), noise: self.clone() });
        }
        let pi = self.pi(&x);
        let [keep, lose] = lift(&x, t, |_, t| {
            let alpha = self.keep(t);
            [alpha, 1.0 - alpha]
        });
        Box::new(Categorical::trusted(x * keep + pi * lose))
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> Law<D> {
        // Bayes: q(x_t | x_s) q(x_s | x) over its sum.
        let (k, numbers) = (self.pi.len(), z.dims()[D - 1] == 1);
        let (x, z) = (one_hot(x, k), one_hot(z, k));
        let pi = self.pi(&x);
        let [keep, lose, r, l] = lift(&x, t, |i, t| {
            let (s, t) = (self.keep(s[i % s.len()]), self.keep(t));
            let r = if s > 0.0 { t / s } else { 0.0 };
            [s, 1.0 - s, r, 1.0 - r]
        });
        let onward = z.clone() * r + (z * pi.clone()).sum_dim(D - 1) * l;
        let joint = onward * (x * keep + pi * lose);
        let total = joint.clone().sum_dim(D - 1).clamp_min(1e-30);
        Box::new(Categorical::trusted(joint / total).in_numbers(numbers))
    }
    fn decoder(&self, guess: Estimate<D>, z: Tensor<D>, _: &[f64]) -> Law<D> {
        Box::new(Categorical::trusted(guess.mean).in_numbers(z.dims()[D - 1] == 1))
    }
    fn estimate(&self, output: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Estimate<D> {
        burn::tensor::activation::softmax(output, D - 1).into()
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn categories(&self) -> Option<Categories<'_>> {
        Some(Categories { k: self.pi.len(), mask: self.mask(), schedule: &*self.schedule })
    }
    fn check(&self) -> Result<(), Error> {
        self.schedule.check()
    }
}
