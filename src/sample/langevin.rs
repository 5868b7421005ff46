//! Predictor–corrector sampling.
use super::{Ancestral, Past, Sampler, fresh, path};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// [`Ancestral`]'s step, then Langevin's steps at the new time, which draw x_s towards its own law.
///
/// `z ← z − δ ε̂/σ + √(2δ) ξ` with `δ = 2 (snr σ)²`. None at σ = 0.
///
/// Song et al. (2021), algorithms 4 and 5, <https://arxiv.org/abs/2011.13456>. Its δ is `2 (snr ‖ξ‖/‖∇ln q‖)²` with norms
/// averaged over the batch; here they are their expectations √d and √d/σ under the forward process, so that a row does not
/// depend on its batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorCorrector {
    /// The signal-to-noise ratio of a Langevin step, in (0, 1): it takes the share δ/σ² = 2 snr² away from ε̂.
    pub snr: f64,
    /// Langevin steps at a time.
    pub corrections: usize,
}
impl Default for PredictorCorrector {
    fn default() -> Self {
        Self { snr: 0.16, corrections: 1 }
    }
}

impl<const D: usize> Sampler<D> for PredictorCorrector {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let mut z = Ancestral {}.step(model, z, t, s, past, rng);
        let c = path(model).at(s);
        if s == 0.0 || c.sigma == 0.0 {
            return z;
        }
        let delta = 2.0 * (self.snr * c.sigma).powi(2);
        for _ in 0..self.corrections {
            let x = model.denoise(z.clone(), &[s]).mean;
            let noise = fresh(rng, &z);
            // ε̂ = (z − α x̂)/σ.
            let pull = delta / c.sigma.powi(2);
            z = combine!([(1.0 - pull, z), (pull * c.alpha, x), ((2.0 * delta).sqrt(), noise)]);
        }
        z
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn calls(&self) -> usize {
        1 + self.corrections
    }
    /// Langevin's steps of one size draw from a law that is wider: for z ~ N(0, v) of variance v/(1 − δ/2v), v ≥ σ².
    fn bias(&self) -> f64 {
        let wider = self.snr * self.snr;
        if self.corrections == 0 { 0.0 } else { wider / (1.0 - wider) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if 0.0 < self.snr && self.snr < 1.0 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the snr of predictor-corrector lies between 0 and 1, not {}: a Langevin step replaces 2 snr² of z, and from 1 on it \
             turns z round and makes it larger instead of drawing it towards the data",
            self.snr
        )))
    }
}
