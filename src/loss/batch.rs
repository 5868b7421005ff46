//! What a loss is computed from.
use crate::{
    distribution::{Categorical, Distribution},
    noise::{Chain, DynDistribution, Estimate, Noise},
};
use burn::tensor::Tensor;
use std::{any::Any, cell::OnceCell};

/// A batch of x, x_t and network outputs, as a loss sees it. Derived tensors are computed once, on first use.
pub struct Batch<'a, const D: usize> {
    /// The noise process.
    pub noise: &'a dyn Noise<D>,
    /// The transformed data x.
    pub x: Tensor<D>,
    /// The noisy data x_t.
    pub z: Tensor<D>,
    /// ε of x_t = α x + σ ε; `None` for categories.
    pub eps: Option<Tensor<D>>,
    /// One time per row.
    pub t: &'a [f64],
    /// The whole network output, a learned variance included.
    pub output: Tensor<D>,
    raw: &'a dyn Any,
    condition: &'a dyn Any,
    transform: &'a dyn Any,
    uncertainty: Option<Tensor<1>>,
    denoised: bool,
    prediction: OnceCell<Tensor<D>>,
    target: OnceCell<Tensor<D>>,
    estimate: OnceCell<Estimate<D>>,
}

impl<'a, const D: usize> Batch<'a, D> {
    /// A batch of a network output; raw data and condition are found again by their types.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        noise: &'a dyn Noise<D>,
        x: Tensor<D>,
        z: Tensor<D>,
        eps: Option<Tensor<D>>,
        t: &'a [f64],
        output: Tensor<D>,
        raw: &'a dyn Any,
        condition: &'a dyn Any,
    ) -> Self {
        let (prediction, target, estimate) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self {
            noise,
            x,
            z,
            eps,
            t,
            output,
            raw,
            condition,
            transform: &(),
            uncertainty: None,
            denoised: false,
            prediction,
            target,
            estimate,
        }
    }
    /// A batch of a denoised estimate. If it carries no network output, the prediction is that of its mean,
    /// [`Noise::target`] of x̂.
    pub fn of_estimate(
        noise: &'a dyn Noise<D>,
        x: Tensor<D>,
        z: Tensor<D>,
        eps: Option<Tensor<D>>,
        t: &'a [f64],
        estimate: Estimate<D>,
    ) -> Self {
        let followed = estimate.output.is_some();
        let output = estimate.clone().into_output(noise, &z, t);
        let batch = Self::new(noise, x, z, eps, t, output, &(), &());
        if followed {
            return batch;
        }
        Self { denoised: true, prediction: batch.output.clone().into(), estimate: estimate.into(), ..batch }
    }
    /// Sets the data transform, to be found again by its type.
    pub fn with_transform(self, transform: &'a dyn Any) -> Self {
        Self { transform, ..self }
    }
    /// Sets the learned uncertainty u of each row's noise level: `[batch]`.
    pub fn with_uncertainty(self, uncertainty: Option<Tensor<1>>) -> Self {
        Self { uncertainty, ..self }
    }
    /// The learned uncertainty u of each row's noise level, if the model has one: `[batch]`.
    pub fn uncertainty(&self) -> Option<Tensor<1>> {
        self.uncertainty.clone()
    }
    /// The prediction: the network output without a learned variance.
    #[doc(alias = "model_output")]
    pub fn prediction(&self) -> Tensor<D> {
        self.prediction.get_or_init(|| self.noise.split(self.output.clone()).0).clone()
    }
    /// The target: the prediction that x and x_t determine.
    pub fn target(&self) -> Tensor<D> {
        self.target.get_or_init(|| self.noise.target(self.x.clone(), self.z.clone(), self.t)).clone()
    }
    /// The denoised estimate x̂, and the learned variance.
    #[doc(alias("x0_hat", "pred_x0"))]
    pub fn estimate(&self) -> Estimate<D> {
        self.estimate.get_or_init(|| self.noise.estimate(self.output.clone(), self.z.clone(), self.t)).clone()
    }
    /// Whether the batch is of a denoised estimate without a network output, such as a clipped, truncated or exact one. A loss is then
    /// of exactly that estimate, and +∞ where it excludes x; a loss of a network output stays finite.
    pub fn is_denoised(&self) -> bool {
        self.denoised
    }
    /// −ln p(x | x_t) of categories, `[…, 1]`: [`Chain::nll`] of the network output, or of the probabilities of a
    /// [denoised estimate](Self::is_denoised), +∞ where they exclude x.
    pub fn nll(&self, chain: &dyn Chain<D>) -> Tensor<D> {
        match self.denoised {
            true => Categorical::trusted(self.estimate().mean).nll(self.x.clone()),
            false => chain.nll(self.output.clone(), self.x.clone(), self.z.clone(), self.t),
        }
    }
    /// The posterior q(x_s | x_t, x).
    pub fn posterior(&self, s: &[f64]) -> DynDistribution<D> {
        self.noise.posterior(self.x.clone(), self.z.clone(), s, self.t)
    }
    /// The reverse transition p(x_s | x_t) of an estimate.
    pub fn approximate(&self, estimate: Estimate<D>, s: &[f64]) -> DynDistribution<D> {
        self.noise.approximate(estimate, self.z.clone(), s, self.t)
    }
    /// The data before the transform, if they are of this type.
    pub fn raw<R: 'static>(&self) -> Option<&R> {
        self.raw.downcast_ref()
    }
    /// The condition, if it is of this type.
    pub fn condition<C: 'static>(&self) -> Option<&C> {
        self.condition.downcast_ref()
    }
    /// The data transform, if it is of this type: for a loss that trains it.
    pub fn transform<T: 'static>(&self) -> Option<&T> {
        self.transform.downcast_ref()
    }
}
