//! One-step solvers of the probability flow in σ/α.
use super::{Combination, Evaluation, Properties, Sampler, TimePoint, TimeStep, gaussian_schedule};
use crate::{denoise::Denoiser, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Euler's method in σ/α, the same step as [`Ddim`](super::Ddim) with η = 0.
///
/// `x_s = α_s x̂ + σ_s ε̂`. Order 1, one network evaluation per step.
///
/// ```
/// use tweedie::sample::{Euler, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Euler {}), Properties::ode(1, 1));
/// ```
///
/// Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), algorithm 1 without its
/// correction, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "EulerDiscreteScheduler")]
#[doc(alias = "FlowMatchEulerDiscreteScheduler")]
#[doc(alias = "sample_euler")]
pub struct Euler {}
impl<const D: usize> Sampler<D> for Euler {
    fn properties(&self) -> Properties {
        Properties::ode(1, 1)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, _: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        Evaluation::new(model, z, from).euler(to.scales)
    }
}

/// Heun's method in σ/α.
///
/// ```text
/// x′  = (α_s/α_t) x_t + (σ_s − σ_t α_s/α_t) ε̂_t       Euler's step
/// x_s = x′ + ½ (σ_s − σ_t α_s/α_t) (ε̂_s − ε̂_t)        ε̂_s at x′
/// ```
///
/// Order 2, two network evaluations per step. A step to σ = 0 or from α = 0, where ε̂_s or σ/α is not defined, is
/// Euler's.
///
/// ```
/// use tweedie::sample::{Heun, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Heun {}), Properties::ode(2, 2));
/// ```
///
/// Karras et al. (2022), algorithm 1, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "HeunDiscreteScheduler")]
#[doc(alias = "FlowMatchHeunDiscreteScheduler")]
#[doc(alias = "sample_heun")]
pub struct Heun {}
impl<const D: usize> Sampler<D> for Heun {
    fn properties(&self) -> Properties {
        Properties::ode(2, 2)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, _: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        heun(model, z, from, to)
    }
}

/// [`Heun`]'s step between two points.
pub(super) fn heun<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, from: TimePoint, to: TimePoint) -> Tensor<D> {
    let here = Evaluation::new(model, z, from);
    let euler = here.clone().euler(to.scales);
    let (a, b) = (from.scales, to.scales);
    if b.sigma == 0.0 || a.alpha == 0.0 {
        return euler;
    }
    let there = Evaluation::new(model, euler, to);
    let half = 0.5 * (b.sigma - b.alpha / a.alpha * a.sigma);
    Combination::new().z_and_epsilon(1.0, half, there).epsilon(-half, here).total()
}
