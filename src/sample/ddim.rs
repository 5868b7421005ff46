//! Draws from p(x_s | x_t) on a grid, and their noiseless form.
use super::{Past, Sampler, gaussian, noise_of};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Draws from `p(x_s | x_t)`, step by step: DDPM's sampler for Gaussian noise, D3PM's for categories.
///
/// The last step of a Gaussian noise gives the mean.
///
/// Ho, Jain and Abbeel (2020), algorithm 2, <https://arxiv.org/abs/2006.11239>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ancestral {}
impl<const D: usize> Sampler<D> for Ancestral {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let guess = model.denoise(z.clone(), &[t]);
        let law = model.noise().approximate(guess, z, &[s], &[t]);
        if s == 0.0 && !model.noise().categorical() { law.mean() } else { law.sample(rng).value }
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn check(&self, _: &dyn Noise<D>) -> Result<(), Error> {
        Ok(())
    }
}

/// Denoising diffusion implicit models: the noise of a step is chosen from none (η = 0) to the posterior's (η = 1).
///
/// `x_s = α_s x̂ + √(σ_s² − c²) ε̂ + c ε`, `c = η σ_s √(1 − (α_t σ_s / (α_s σ_t))²)`, `ε̂ = (x_t − α_t x̂)/σ_t`.
///
/// Song, Meng and Ermon, "Denoising Diffusion Implicit Models" (2021), eq. 12, <https://arxiv.org/abs/2010.02502>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// η ∈ [0, 1].
    pub eta: f64,
}
impl<const D: usize> Sampler<D> for Ddim {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let path = model.noise().path().expect("checked before the first step");
        let (from, to) = (path.at(t), path.at(s));
        let x = model.denoise(z.clone(), &[t]).mean;
        let eps = noise_of(z, x.clone(), from);
        let rest = 1.0 - (from.alpha * to.sigma / (to.alpha * from.sigma)).powi(2);
        let fresh = self.eta * to.sigma * rest.max(0.0).sqrt();
        let kept = (to.sigma.powi(2) - fresh.powi(2)).max(0.0).sqrt();
        let z = x * to.alpha + eps * kept;
        if fresh == 0.0 {
            return z;
        }
        let noise = rng.normal_tensor(z.dims(), &z.device(), z.dtype());
        z + noise * fresh
    }
    fn order(&self) -> Option<usize> {
        (self.eta == 0.0).then_some(1)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        gaussian(self, noise)?;
        if (0.0..=1.0).contains(&self.eta) {
            return Ok(());
        }
        Err(Error::Unfit(format!(
            "the eta of ddim lies in [0, 1]: 0 adds no noise, 1 is ancestral; it is {}",
            self.eta
        )))
    }
}
