//! Predictor–corrector sampling.
use super::{Ancestral, Past, Sampler, fresh, noise_of, path};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// [`Ancestral`]'s step, then Langevin's steps at the new time, which draw x_s towards its own law.
///
/// `z ← z + δ ∇ln q(z) + √(2δ) ξ` with `δ = 2 (snr ‖ξ‖/‖∇ln q‖)²`, row by row, `∇ln q = −ε̂/σ`. None at σ = 0.
///
/// Song et al. (2021), algorithms 4 and 5, <https://arxiv.org/abs/2011.13456>; the norms are each row's own, so that a row
/// does not depend on its batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorCorrector {
    /// The signal-to-noise ratio of a Langevin step.
    pub snr: f64,
    /// Langevin steps at a time.
    pub corrections: usize,
}
impl Default for PredictorCorrector {
    fn default() -> Self {
        Self { snr: 0.16, corrections: 1 }
    }
}

/// The norm of each row: `[rows, 1, …]`.
fn norm<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    (1..D).fold(x.square(), |x, d| x.sum_dim(d)).sqrt()
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
        for _ in 0..self.corrections {
            let x = model.denoise(z.clone(), &[s]).mean;
            let score = noise_of(z.clone(), x, c) * -c.sigma.recip();
            let noise = fresh(rng, &z);
            // √(2δ) = 2 snr ‖ξ‖/‖score‖.
            let step = norm(noise.clone()) / norm(score.clone()).clamp_min(1e-20) * (2.0 * self.snr);
            z = z + score * (step.clone().square() * 0.5) + noise * step;
        }
        z
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn calls(&self) -> usize {
        1 + self.corrections
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if self.snr > 0.0 && self.snr.is_finite() {
            return Ok(());
        }
        Err(Error::Unfit(format!("the snr of predictor-corrector is a positive number, not {}", self.snr)))
    }
}
