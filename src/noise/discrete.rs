//! Categorical noise with a stationary vector: uniform, absorbing, marginal.
use super::{Estimate, Law, Noise, lift};
use crate::{distribution::Categorical, error::Error, schedule::Schedule};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// A category is kept with probability α and redrawn from π with probability 1 − α.
///
/// For one-hot x along the last axis, with `r = α_t/α_s`:
///
/// ```text
/// q(x_t | x)      = Cat(α_t x + (1 − α_t) π)
/// q(x_s | x_t, x) ∝ [r x_t + (1 − r) ⟨π, x_t⟩] ∘ [α_s x + (1 − α_s) π]
/// ```
///
/// No K×K matrix is ever made. The net says logits of x.
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

    fn pi<const D: usize>(&self, like: &Tensor<D>) -> Tensor<D> {
        let k = like.dims()[D - 1];
        assert_eq!(
            k,
            self.pi.len(),
            "the noise knows {} categories, but the last axis of the data has {k}",
            self.pi.len()
        );
        let mut shape = [1; D];
        shape[D - 1] = k;
        Tensor::from_data(TensorData::new(self.pi.clone(), shape), (&like.device(), like.dtype()))
    }
}

impl<const D: usize> Noise<D> for Discrete {
    fn stationary(&self, shape: [usize; D], device: &Device) -> Law<D> {
        Box::new(Categorical::trusted(self.pi(&Tensor::<D>::zeros(shape, device)).expand(shape)))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> Law<D> {
        let pi = self.pi(&x);
        let [keep, lose] = lift(&x, t, |_, t| {
            let alpha = self.schedule.at(t).alpha;
            [alpha, 1.0 - alpha]
        });
        Box::new(Categorical::trusted(x * keep + pi * lose))
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> Law<D> {
        // Bayes: q(x_t | x_s) q(x_s | x) over its sum.
        let pi = self.pi(&x);
        let [keep, lose, r, l] = lift(&x, t, |i, t| {
            let (s, t) = (self.schedule.at(s[i]).alpha, self.schedule.at(t).alpha);
            let r = if s > 0.0 { t / s } else { 0.0 };
            [s, 1.0 - s, r, 1.0 - r]
        });
        let onward = z.clone() * r + (z * pi.clone()).sum_dim(D - 1) * l;
        let joint = onward * (x * keep + pi * lose);
        let total = joint.clone().sum_dim(D - 1).clamp_min(1e-30);
        Box::new(Categorical::trusted(joint / total))
    }
    fn decoder(&self, guess: Estimate<D>, _: Tensor<D>, _: &[f64]) -> Law<D> {
        Box::new(Categorical::trusted(guess.mean))
    }
    fn estimate(&self, output: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Estimate<D> {
        burn::tensor::activation::softmax(output, D - 1).into()
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn categorical(&self) -> bool {
        true
    }
    fn check(&self) -> Result<(), Error> {
        self.schedule.check()
    }
}
