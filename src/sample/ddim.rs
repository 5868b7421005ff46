//! Draws from p(x_s | x_t) on a grid, and their noiseless form.
use super::{Past, Sampler, fresh, gaussian, path};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Draws from `p(x_s | x_t)`, step by step: DDPM's sampler for Gaussian noise, D3PM's for categories.
///
/// The last step of a Gaussian noise gives the mean.
///
/// Ho, Jain and Abbeel (2020), algorithm 2, <https://arxiv.org/abs/2006.11239>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ancestral {}
impl<const D: usize> Sampler<D> for Ancestral {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let guess = model.denoise(z.clone(), &[t]);
        let law = model.noise().approximate(guess, z, &[s], &[t]);
        if s == 0.0 && !model.noise().categorical() { law.mean() } else { law.draw(rng) }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// η ∈ [0, 1].
    pub eta: f64,
}
impl<const D: usize> Sampler<D> for Ddim {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let (from, to) = (path(model).at(t), path(model).at(s));
        let x = model.denoise(z.clone(), &[t]).mean;
        let rest = 1.0 - (from.alpha * to.sigma / (to.alpha * from.sigma)).powi(2);
        let new = self.eta * to.sigma * rest.max(0.0).sqrt();
        // kept·ε̂ as a combination of z and x̂.
        let kept = (to.sigma.powi(2) - new.powi(2)).max(0.0).sqrt() / from.sigma;
        if new == 0.0 {
            return combine!([(kept, z), (to.alpha - from.alpha * kept, x)]);
        }
        let noise = fresh(rng, &z);
        combine!([(kept, z), (to.alpha - from.alpha * kept, x), (new, noise)])
    }
    fn order(&self) -> Option<usize> {
        (self.eta == 0.0).then_some(1)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        gaussian(self, noise)?;
        if (0.0..=1.0).contains(&self.eta) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the eta of ddim lies in [0, 1]: 0 adds no noise, 1 is ancestral; it is {}",
            self.eta
        )))
    }
}

/// From data to the noise it comes from: DDIM's step backwards, over rising `times` from 0 on.
///
/// `x_t` solves `x_s = α_s x̂(x_t) + σ_s ε̂(x_t)`, by `rounds` rounds of substitution that begin with x̂ at s; with one round it
/// is the explicit inversion in use, with more it is the inverse of [`Ddim`] (η = 0) to the rounds' accuracy. The first
/// step, of which DDIM keeps nothing (σ = 0), begins from α x.
///
/// Song, Meng and Ermon (2021), section 4.3, <https://arxiv.org/abs/2010.02502>.
///
/// # Errors
///
/// If the noise is not Gaussian, the times do not rise within [0, 1], or there is no round.
pub fn invert<const D: usize>(
    model: &dyn Denoiser<D>,
    times: &[f64],
    x: Tensor<D>,
    rounds: usize,
) -> Result<Tensor<D>, Error> {
    let path = gaussian(&"inversion", model.noise())?;
    if rounds == 0
        || times.len() < 2
        || !times.windows(2).all(|w| w[0] < w[1])
        || times[0] < 0.0
        || times[times.len() - 1] > 1.0
    {
        return Err(Error::invalid(format!(
            "an inversion goes in one round or more through two or more times that rise within [0, 1], not {}",
            super::few(times)
        )));
    }
    let mut z = x;
    for pair in times.windows(2) {
        let (from, to) = (path.at(pair[0]), path.at(pair[1]));
        if from.sigma == 0.0 {
            // x̂ at t is as good as x itself there, and ε̂ is that of α x.
            let start = z.clone() * (to.alpha / from.alpha);
            let guess = model.denoise(start.clone(), &[pair[1]]).mean;
            z = super::sum([(2.0, start), (-to.alpha, guess)]);
            continue;
        }
        // x_t = (σ_t/σ_s) x_s + (α_t − α_s σ_t/σ_s) x̂.
        let kept = to.sigma / from.sigma;
        let base = z.clone() * kept;
        let pull = to.alpha - from.alpha * kept;
        let mut guess = model.denoise(z, &[pair[0]]).mean;
        for _ in 1..rounds {
            let ahead = combine!([(1.0, base.clone()), (pull, guess)]);
            guess = model.denoise(ahead, &[pair[1]]).mean;
        }
        z = combine!([(1.0, base), (pull, guess)]);
    }
    Ok(z)
}
