//! A weight over noise levels that is learned.
use super::{Batch, Loss};
use crate::{
    error::{Error, Result},
    noise::Noise,
    rng::Rng,
    schedule::Schedule,
};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};
use std::{any::Any, f64::consts::TAU};

/// The learned uncertainty u(λ) of a model's loss, for [`Uncertain`]: a linear function of 128 random Fourier features of the noise
/// level.
///
/// ```text
/// u(λ) = Σ_k a_k √2 cos(2π (f_k c + φ_k)) + a_0,   c = ln(σ/α)/4 = −λ/8,   f_k ~ N(0, 1), φ_k ~ U(0, 1)
/// ```
///
/// f and φ are the same for every model; the coefficients a are trained with the net, and are 0 at first: u = 0, and the loss is as if
/// there were no uncertainty. It is part of the [`Model`](crate::model::Model) that is trained, averaged and stored with it, and is not
/// used in sampling.
///
/// Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models" (2024), section 2.2 and appendix B,
/// <https://arxiv.org/abs/2312.02696>.
#[doc(alias("logvar", "logvar_channels"))]
#[derive(Module, Debug)]
pub struct Uncertainty {
    /// The coefficients a_0, a_1, …: `[1 + 128]`.
    pub weight: Param<Tensor<1>>,
}

/// Number of Fourier features.
const FEATURES: usize = 128;

impl Uncertainty {
    /// The uncertainty u = 0.
    pub fn new(device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::zeros([1 + FEATURES], device)) }
    }

    /// u at each time: `[batch]`.
    pub fn forward(&self, path: &dyn Schedule, t: &[f64]) -> Tensor<1> {
        let rng = Rng::new(0).stream("uncertainty");
        let frequencies = rng.stream("frequencies").normals(1, FEATURES);
        let phases = rng.stream("phases").uniforms(1, FEATURES);
        let mut features = Vec::with_capacity(t.len() * (1 + FEATURES));
        for &t in t {
            // At the ends of time λ may be infinite.
            let c = (-path.at(t).log_snr() / 8.0).clamp(-10.0, 10.0);
            features.push(1.0);
            let feature = |(f, phase): (&f64, &f64)| 2f64.sqrt() * (TAU * (f * c + phase)).cos();
            features.extend(frequencies.iter().zip(&phases).map(feature));
        }
        let weight = self.weight.val();
        let features = TensorData::new(features, [t.len(), 1 + FEATURES]);
        let features = Tensor::<2>::from_data(features, (&weight.device(), weight.dtype()));
        features.matmul(weight.reshape([1 + FEATURES as i64, 1])).reshape([t.len()])
    }
}

/// Losses weighted by their learned uncertainty: `e^(−u(λ)) · loss + u(λ)`.
///
/// It is least where e^u is the mean of the loss at that noise level, so that every level has a gradient of the same size, whatever the
/// weights of the losses are. u is the [`Uncertainty`] of the model, which
/// [`Model::with_uncertainty`](crate::model::Model::with_uncertainty) gives it. The value may be negative.
///
/// ```
/// use tweedie::loss::{Objective, Regression, Uncertain, weight::Edm};
/// let edm2: Objective<4> = Uncertain(Regression::squared().with_weight(Edm::default())).into();
/// # let _ = edm2;
/// ```
///
/// Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses" (2018), <https://arxiv.org/abs/1705.07115>; Karras
/// et al. (2024), eq. 14, <https://arxiv.org/abs/2312.02696>.
#[doc(alias("EDM2Loss", "uncertainty_weighting"))]
#[derive(Clone, Debug)]
pub struct Uncertain<L>(pub L);
impl<const D: usize, L: Loss<D>> Loss<D> for Uncertain<L> {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let loss = self.0.compute(batch);
        match batch.uncertainty() {
            Some(u) => loss * u.clone().neg().exp() + u,
            // Of a batch that is not a model's, such as those of laws: u = 0.
            None => loss,
        }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        if noise.path().is_none() {
            let problem = "an uncertainty is learned over the noise levels of α and σ, and this noise has none";
            return Err(Error::invalid(problem).with_remedy("leave it out"));
        }
        self.0.check(noise)
    }
    fn check_transform(&self, transform: &dyn Any) -> Result<()> {
        self.0.check_transform(transform)
    }
    fn learns_uncertainty(&self) -> bool {
        true
    }
}
crate::loss_arithmetic!([L] Uncertain<L>);
