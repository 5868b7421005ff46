//! Sampling from a consistency model.
use super::{Past, Sampler, fresh, path};
use crate::{denoise::Denoiser, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Multistep consistency sampling: the guess of a model that says where the flow ends, noised anew to the next time.
///
/// `x_s = α_s x̂ + √(σ_s² − (α_s σ_0/α_0)²) ξ`, where α_0 x̂ is the flow's point at t = 0, whose noise σ_0 (EDM, variance
/// exploding) is part of σ_s already; the last step gives α_0 x̂, and nothing is asked after it. One step is the model itself.
/// On a model that says E[x | x_t] instead, it is no sampler of anything.
///
/// Song et al., "Consistency Models" (2023), algorithm 1, <https://arxiv.org/abs/2303.01469>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consistency {}
impl<const D: usize> Sampler<D> for Consistency {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let (end, c) = (path(model).at(0.0), path(model).at(s));
        let x = model.denoise(z, &[t]).mean;
        let held = c.alpha * end.sigma / end.alpha;
        let added = (c.sigma.powi(2) - held.powi(2)).max(0.0).sqrt();
        if s == 0.0 || added == 0.0 {
            return x * c.alpha;
        }
        let noise = fresh(rng, &x);
        combine!([(c.alpha, x), (added, noise)])
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn jumps(&self) -> bool {
        true
    }
}
