//! Samples from p(x_s ∣ x_t) on a grid, and their deterministic form.
use super::{
    Combination, Evaluation, Properties, Sampler, TimeStep, gaussian_schedule, noise_like, require_gaussian,
    sampler::require, trajectory::few,
};
use crate::{
    denoise::Denoiser,
    error::{Error, Result},
    noise::Noise,
    rng::Rng,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Ancestral sampling from the reverse transitions `p(x_s ∣ x_t)`: DDPM's sampler for Gaussian noise, D3PM's for
/// categories.
///
/// `x_s ~ q(x_s ∣ x_t, x̂)`, x̂ = E[x ∣ x_t] in the place of x; the last step of a Gaussian noise returns the mean. One
/// network evaluation per step; weak order 1.
///
/// ```
/// use tweedie::sample::{Ancestral, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Ancestral {}), Properties::sde(1, 1));
/// ```
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), algorithm 2, <https://arxiv.org/abs/2006.11239>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "DDPMScheduler")]
#[doc(alias = "DDPMSampler")]
pub struct Ancestral {}
impl<const D: usize> Sampler<D> for Ancestral {
    fn check(&self, _: &dyn Noise<D>) -> Result<()> {
        Ok(())
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let estimate = model.denoise(z.clone(), &[at.t]);
        let reverse = model.noise().approximate(estimate, z, &[at.s], &[at.t]);
        if at.s == 0.0 && !model.noise().categorical() { reverse.mean() } else { reverse.draw(rng) }
    }
}

/// Denoising diffusion implicit models: the noise of a step is chosen from none (η = 0) to the posterior's (η = 1).
///
/// `x_s = α_s x̂ + √(σ_s² − c²) ε̂ + c ξ`, `c = η σ_s √(1 − (α_t σ_s / (α_s σ_t))²)`, `ε̂ = (x_t − α_t x̂)/σ_t`. One
/// network evaluation per step; order 1 with η = 0, weak order 1 above.
///
/// ```
/// use tweedie::sample::{Ddim, Properties, Sampler};
/// let properties = |eta| Sampler::<4>::properties(&Ddim { eta });
/// assert_eq!(properties(0.0), Properties { eta: Some(0.0), ..Properties::ode(1, 1) });
/// assert_eq!(properties(1.0), Properties { eta: Some(1.0), ..Properties::sde(1, 1) });
/// ```
///
/// Song, Meng and Ermon, "Denoising Diffusion Implicit Models" (2021), eq. 12, <https://arxiv.org/abs/2010.02502>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "DDIMScheduler")]
#[doc(alias = "DDIMSampler")]
pub struct Ddim {
    /// η ∈ [0, 1]. Default: 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eta: f64,
}
impl<const D: usize> Sampler<D> for Ddim {
    fn properties(&self) -> Properties {
        Properties { order: (self.eta == 0.0).then_some(1), eta: Some(self.eta), ..Properties::sde(1, 1) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        let problem = || format!("must be within [0, 1], got {}", self.eta);
        require((0.0..=1.0).contains(&self.eta), "eta", problem)
            .map_err(|error| error.with_remedy("0 adds no noise, 1 is ancestral sampling"))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        let (a, b) = (from.scales, to.scales);
        let here = Evaluation::new(model, z.clone(), from);
        let rest = 1.0 - (a.alpha * b.sigma / (b.alpha * a.sigma)).powi(2);
        let c = self.eta * b.sigma * rest.max(0.0).sqrt();
        let step = Combination::new().x_and_epsilon(b.alpha, (b.sigma.powi(2) - c.powi(2)).max(0.0).sqrt(), here);
        if c == 0.0 { step.total() } else { step.term(c, noise_like(rng, &z)).total() }
    }
}

/// DDIM inversion: from data to the noise it comes from, by DDIM's step backwards over increasing `times` from 0 on.
///
/// `x_t` solves `x_s = α_s x̂(x_t) + σ_s ε̂(x_t)`, by `rounds` rounds of fixed-point iteration that begin with x̂ at s;
/// with one round it is the explicit inversion in use, with more it is the inverse of [`Ddim`] (η = 0) to the rounds'
/// accuracy. The first step, of which DDIM keeps nothing (σ = 0), begins from α x. Order 1, `rounds` network
/// evaluations per step.
///
/// ```
/// use tweedie::{laws, sample::invert, schedule::FlowMatching};
/// let model = laws::problem(FlowMatching {});
/// let times: Vec<f64> = (0..=20).map(|i| f64::from(i) / 20.0).collect();
/// let noise = invert(&model, &times, laws::plane(&[[-2.0, 0.1]]), 1)?;
/// assert_eq!(noise.dims(), [1, 2]);
/// # Ok::<(), tweedie::Error>(())
/// ```
///
/// Song, Meng and Ermon (2021), section 4.3, <https://arxiv.org/abs/2010.02502>.
///
/// # Errors
///
/// If the noise is not Gaussian, the times do not increase within [0, 1], or `rounds` is 0.
#[doc(alias = "DDIMInverseScheduler")]
pub fn invert<const D: usize>(
    model: &dyn Denoiser<D>,
    times: &[f64],
    x: Tensor<D>,
    rounds: usize,
) -> Result<Tensor<D>> {
    let path = require_gaussian(&"inversion", model.noise())?;
    if rounds == 0
        || times.len() < 2
        || !times.windows(2).all(|w| w[0] < w[1])
        || times[0] < 0.0
        || times[times.len() - 1] > 1.0
    {
        return Err(Error::invalid(format!(
            "an inversion needs one round or more and two or more times that increase within [0, 1], got {rounds} and \
             {}",
            few(times)
        )));
    }
    let mut z = x;
    for pair in times.windows(2) {
        let (from, to) = (path.at(pair[0]), path.at(pair[1]));
        if from.sigma == 0.0 {
            // x̂ at t is as good as x itself there, and ε̂ is that of α x.
            let start = z.clone() * (to.alpha / from.alpha);
            let x = model.denoise(start.clone(), &[pair[1]]).mean;
            z = combine!([(2.0, start), (-to.alpha, x)]);
            continue;
        }
        // x_t = (σ_t/σ_s) x_s + (α_t − α_s σ_t/σ_s) x̂.
        let sigma_ratio = to.sigma / from.sigma;
        let base = z.clone() * sigma_ratio;
        let pull = to.alpha - from.alpha * sigma_ratio;
        let mut x = model.denoise(z, &[pair[0]]).mean;
        for _ in 1..rounds {
            let ahead = combine!([(1.0, base.clone()), (pull, x)]);
            x = model.denoise(ahead, &[pair[1]]).mean;
        }
        z = combine!([(1.0, base), (pull, x)]);
    }
    Ok(z)
}
