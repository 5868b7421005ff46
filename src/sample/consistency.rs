//! Sampling from a consistency model.
use super::{Past, Sampler, fresh, path};
use crate::{denoise::Denoiser, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Multistep consistency sampling: the guess of a model that says where the flow ends, noised anew to the next time.
///
/// `x_s = α_s x̂ + σ_s ξ`; the last step gives x̂. One step is the model itself. On a model that says E[x | x_t] instead, it
/// is no sampler of anything.
///
/// Song et al., "Consistency Models" (2023), algorithm 1, <https://arxiv.org/abs/2303.01469>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {}
impl<const D: usize> Sampler<D> for Consistency {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let c = path(model).at(s);
        let x = model.denoise(z, &[t]).mean;
        if c.sigma == 0.0 {
            return x * c.alpha;
        }
        let noise = fresh(rng, &x);
        combine!([(c.alpha, x), (c.sigma, noise)])
    }
    fn order(&self) -> Option<usize> {
        None
    }
}
