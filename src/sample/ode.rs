//! Solvers of the probability-flow equation in σ/α, in one step.
use super::{Past, Sampler, path, straight};
use crate::{denoise::Denoiser, rng::Rng, schedule::Scales};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Euler's method in σ/α: first order, one call of the model a step; the same step as [`Ddim`](super::Ddim) with η = 0.
///
/// Karras et al. (2022), algorithm 1 without its correction, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Euler {}
impl<const D: usize> Sampler<D> for Euler {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, _: &mut Rng) -> Tensor<D> {
        let path = path(model);
        let x = model.denoise(z.clone(), &[t]).mean;
        straight(z, x, path.at(t), path.at(s))
    }
    fn order(&self) -> Option<usize> {
        Some(1)
    }
}

/// Heun's method in σ/α: second order, two calls of the model a step.
///
/// `x_s = α_s/α_t x_t + (σ_s − α_s σ_t/α_t) ½ (ε̂_t + ε̂_s)`, with ε̂_s at Euler's point. A step to σ = 0 or from α = 0,
/// where σ/α ends, is Euler's.
///
/// Karras et al. (2022), algorithm 1, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heun {}
impl<const D: usize> Sampler<D> for Heun {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, _: &mut Rng) -> Tensor<D> {
        let path = path(model);
        heun(model, z, (t, path.at(t)), (s, path.at(s)))
    }
    fn order(&self) -> Option<usize> {
        Some(2)
    }
    fn calls(&self) -> usize {
        2
    }
}

/// [`Heun`]'s step between two times and their scales.
pub(super) fn heun<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    (t, from): (f64, Scales),
    (s, to): (f64, Scales),
) -> Tensor<D> {
    let x = model.denoise(z.clone(), &[t]).mean;
    let ahead = straight(z.clone(), x.clone(), from, to);
    if to.sigma == 0.0 || from.alpha == 0.0 {
        return ahead;
    }
    let next = model.denoise(ahead.clone(), &[s]).mean;
    // The formula as a correction of Euler's point: ahead + half (ε̂_s − ε̂_t).
    let half = 0.5 * (to.sigma - to.alpha / from.alpha * from.sigma);
    let (new, old) = (half / to.sigma, half / from.sigma);
    combine!([(1.0 + new, ahead), (-new * to.alpha, next), (-old, z), (old * from.alpha, x)])
}
