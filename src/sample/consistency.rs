//! Sampling from a consistency model.
use super::{Properties, Sampler, TimeStep, gaussian_schedule, noise_like};
use crate::{denoise::Denoiser, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Multistep consistency sampling: the consistency function f(x_t, t), the end of the probability flow, with fresh
/// noise for the next time.
///
/// `x_s = α_s x̂ + √(σ_s² − (α_s σ_0/α_0)²) ξ`, where α_0 x̂ = α_0 f(x_t, t) is the flow's point at t = 0, whose noise
/// σ_0 (EDM, variance exploding) is part of σ_s already; the last step gives α_0 x̂, and no evaluation follows it. One
/// network evaluation per step; one step is the model itself. For consistency models only: with a model of E[x ∣ x_t]
/// the samples are wrong.
///
/// ```
/// use tweedie::sample::{Consistency, Sampler};
/// assert!(Sampler::<4>::properties(&Consistency {}).consistency);
/// ```
///
/// Song et al., "Consistency Models" (2023), algorithm 1, <https://arxiv.org/abs/2303.01469>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "CMStochasticIterativeScheduler")]
#[doc(alias = "LCMScheduler")]
pub struct Consistency {}
impl<const D: usize> Sampler<D> for Consistency {
    fn properties(&self) -> Properties {
        Properties { consistency: true, ..Properties::default() }
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (end, c) = (schedule.at(0.0), schedule.at(at.s));
        let x = model.denoise(z, &[at.t]).mean;
        let held = c.alpha * end.sigma / end.alpha;
        let added = (c.sigma.powi(2) - held.powi(2)).max(0.0).sqrt();
        if at.s == 0.0 || added == 0.0 {
            return x * c.alpha;
        }
        let xi = noise_like(rng, &x);
        combine!([(c.alpha, x), (added, xi)])
    }
}
