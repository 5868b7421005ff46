//! Solvers of the probability-flow equation.
//!
//! In the variables `z/α` and `r = σ/α` it reads `d(z/α)/dr = ε̂`, for every schedule.
use super::{Past, Sampler, noise_of};
use crate::{denoise::Denoiser, rng::Rng, schedule::Scales};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// From x_t to x_s along a constant direction: `x_s = α_s x̂ + σ_s ε̂`, which is Euler's step in σ/α and holds at its
/// ends too.
fn along<const D: usize>(x: Tensor<D>, eps: Tensor<D>, to: Scales) -> Tensor<D> {
    x * to.alpha + eps * to.sigma
}

/// Euler's method in σ/α: first order, one call of the model a step; the same step as [`Ddim`](super::Ddim) with η = 0.
///
/// Karras et al. (2022), algorithm 1 without its correction, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Euler {}
impl<const D: usize> Sampler<D> for Euler {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, _: &mut Rng) -> Tensor<D> {
        let path = model.noise().path().expect("checked before the first step");
        let x = model.denoise(z.clone(), &[t]).mean;
        let eps = noise_of(z, x.clone(), path.at(t));
        along(x, eps, path.at(s))
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heun {}
impl<const D: usize> Sampler<D> for Heun {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, _: &mut Rng) -> Tensor<D> {
        let path = model.noise().path().expect("checked before the first step");
        let (from, to) = (path.at(t), path.at(s));
        let x = model.denoise(z.clone(), &[t]).mean;
        let eps = noise_of(z, x.clone(), from);
        let ahead = along(x, eps.clone(), to);
        if to.sigma == 0.0 || from.alpha == 0.0 {
            return ahead;
        }
        let x = model.denoise(ahead.clone(), &[s]).mean;
        // The formula as a correction of Euler's point: no large terms cancel where α_s/α_t is large.
        let turn = noise_of(ahead.clone(), x, to) - eps;
        ahead + turn * (0.5 * (to.sigma - to.alpha / from.alpha * from.sigma))
    }
    fn order(&self) -> Option<usize> {
        Some(2)
    }
    fn calls(&self) -> usize {
        2
    }
}
