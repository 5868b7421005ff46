//! Predictor–corrector sampling.
use super::{
    Ancestral, Evaluation, Properties, Sampler, TimePoint, TimeStep, gaussian_schedule, noise_like, require_gaussian,
    sampler::require,
};
use crate::{denoise::Denoiser, error::Result, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// [`Ancestral`]'s step, then Langevin steps at the new time, which move x_s towards its own distribution.
///
/// `z ← z − δ ε̂/σ + √(2δ) ξ` with `δ = 2 (snr σ)²`; none at σ = 0. 1 + `corrections` network evaluations per step;
/// weak order 1, with a bias of the variance of snr²/(1 − snr²) that does not vanish with the steps.
///
/// ```
/// use tweedie::sample::{PredictorCorrector, Sampler};
/// let sampler = PredictorCorrector { corrections: 2, ..PredictorCorrector::default() };
/// assert_eq!(Sampler::<4>::properties(&sampler).nfe_per_step, 3);
/// ```
///
/// Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), algorithms 4 and 5,
/// <https://arxiv.org/abs/2011.13456>. Its δ is `2 (snr ‖ξ‖/‖∇ln q‖)²` with norms averaged over the batch; here they are their
/// expectations √d and √d/σ under the forward process, so that a row does not depend on its batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "ScoreSdeVeScheduler")]
pub struct PredictorCorrector {
    /// The signal-to-noise ratio of a Langevin step, in (0, 1): it takes the share δ/σ² = 2 snr² away from ε̂. Default: 0.16.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub snr: f64,
    /// Langevin steps per step. Default: 1.
    #[doc(alias = "correct_steps")]
    pub corrections: usize,
}
impl Default for PredictorCorrector {
    fn default() -> Self {
        Self { snr: 0.16, corrections: 1 }
    }
}

impl<const D: usize> Sampler<D> for PredictorCorrector {
    fn properties(&self) -> Properties {
        // Langevin steps of one size have a wider distribution: for z ~ N(0, v) of variance v/(1 − δ/2v), v ≥ σ².
        let wider = self.snr * self.snr;
        let bias = if self.corrections == 0 { 0.0 } else { wider / (1.0 - wider) };
        Properties { bias, ..Properties::sde(1, 1 + self.corrections) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        let problem = || format!("must be between 0 and 1, got {}", self.snr);
        require(0.0 < self.snr && self.snr < 1.0, "snr", problem).map_err(|error| {
            error.with_remedy(
                "a Langevin step replaces 2 snr² of z, and from 1 on it makes z larger instead of moving it towards the \
                 data",
            )
        })
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let mut z = Ancestral {}.step(model, z, at, rng);
        let to = TimePoint::new(gaussian_schedule(model), at.s);
        let c = to.scales;
        if at.s == 0.0 || c.sigma == 0.0 {
            return z;
        }
        let delta = 2.0 * (self.snr * c.sigma).powi(2);
        for _ in 0..self.corrections {
            let Evaluation { z: old, x, .. } = Evaluation::new(model, z, to);
            let xi = noise_like(rng, &old);
            // ε̂ = (z − α x̂)/σ.
            let pull = delta / c.sigma.powi(2);
            z = combine!([(1.0 - pull, old), (pull * c.alpha, x), ((2.0 * delta).sqrt(), xi)]);
        }
        z
    }
}
