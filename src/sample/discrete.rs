//! Samplers of categories. Most unmask absorbing noise, and leave unmasked entries as they are.
use super::{Sampler, TimeStep, sampler::type_name};
use crate::{
    denoise::Denoiser,
    distribution::{Categorical, Distribution, category_indices, host, one_hot},
    dual::Dual,
    error::{Error, Result},
    noise::{Categories, Estimate, Noise},
    rng::Rng,
    schedule::{Survival, bisect},
};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

mod blocks;
mod cached;
mod hitting;
mod infill;
mod ordered;
mod remasking;
mod tau;
pub use blocks::Blocks;
pub use cached::Cached;
pub use hitting::FirstHitting;
pub use infill::Infill;
pub use ordered::{Ordered, UnmaskingOrder};
pub use remasking::{Remask, Remasking};
pub use tau::TauLeaping;

/// The category indices of a batch, entry by entry, on the host.
pub fn read_categories<const D: usize>(z: &Tensor<D>) -> Vec<usize> {
    host(category_indices(z.clone())).into_iter().map(|n| n.round() as usize).collect()
}

/// Category indices as a tensor like `z`: indices `[…, 1]` or one-hot vectors `[…, K]`.
pub fn write_categories<const D: usize>(entries: &[usize], z: &Tensor<D>) -> Tensor<D> {
    let mut dims = z.dims();
    let k = std::mem::replace(&mut dims[D - 1], 1);
    let values: Vec<f64> = entries.iter().map(|n| *n as f64).collect();
    let new = Tensor::from_data(TensorData::new(values, dims), (&z.device(), z.dtype()));
    if k == 1 { new } else { one_hot(new, k) }
}

/// The categories of a noise; what a sampler of categories checks.
///
/// # Errors
///
/// If the noise is not categorical.
pub fn require_categories<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<Categories<'a>> {
    noise.categories().ok_or_else(|| {
        let name = type_name(sampler);
        Error::invalid(format!("the sampler {name} needs categorical noise, and the model's noise is not categorical"))
            .with_remedy("use `ddim` or another of the Gaussian samplers")
    })
}

/// The categories of absorbing noise, and the mask; what a sampler that unmasks checks.
///
/// # Errors
///
/// If the noise is not absorbing.
pub fn require_absorbing<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<(Categories<'a>, usize)> {
    let categories = require_categories(sampler, noise)?;
    let mask = categories.mask.ok_or_else(|| {
        let name = type_name(sampler);
        Error::invalid(format!(
            "the sampler {name} needs absorbing noise, and the model's categorical noise has no mask"
        ))
        .with_remedy("use `ancestral`, `analytic` or `tau-leaping`, or train with absorbing noise")
    })?;
    Ok((categories, mask))
}

/// The categories of a model's noise.
///
/// # Panics
///
/// If the noise is not categorical, which [`Sampler::check`] refuses.
fn categories_of<const D: usize>(model: &dyn Denoiser<D>) -> Categories<'_> {
    let categories = model.noise().categories();
    categories.expect("a sampler of categories needs a model with categorical noise: `Sampler::check` refuses others")
}

/// The categories of a model's noise, and the mask.
///
/// # Panics
///
/// If the noise is not absorbing, which [`Sampler::check`] refuses.
fn absorbing_of<const D: usize>(model: &dyn Denoiser<D>) -> (Categories<'_>, usize) {
    let categories = categories_of(model);
    let mask = categories.mask.expect("a sampler that unmasks needs absorbing noise: `Sampler::check` refuses others");
    (categories, mask)
}

/// The probability 1 − ᾱ that an entry is corrupted at t; 0 at t = 0, where a trajectory ends.
pub fn corrupted(schedule: &dyn Survival, t: f64) -> f64 {
    if t == 0.0 { 0.0 } else { (1.0 - schedule.survival(Dual::time(t)).value).clamp(0.0, 1.0) }
}

/// The time at which the survival probability ᾱ is `survival`, by bisection to the last bit.
pub fn time_of_survival(schedule: &dyn Survival, survival: f64) -> f64 {
    let (low, high) = bisect(|t| schedule.survival(Dual::time(t)).value > survival);
    0.5 * (low + high)
}

/// A model evaluated at a survival probability of 1e-6 or more: at ᾱ = 0 known entries have probability 0.
#[derive(Clone, Copy)]
struct Early<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    last: f64,
}
impl<'a, const D: usize> Early<'a, D> {
    fn new(model: &'a dyn Denoiser<D>) -> Self {
        let schedule = categories_of(model).schedule;
        let last = if 1.0 - corrupted(schedule, 1.0) < 1e-6 { time_of_survival(schedule, 1e-6) } else { 1.0 };
        Self { model, last }
    }
    fn times(&self, t: &[f64]) -> Vec<f64> {
        t.iter().map(|t| t.min(self.last)).collect()
    }
}
impl<const D: usize> Denoiser<D> for Early<'_, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.model.denoise(z, &self.times(t))
    }
    fn denoise_window(&self, z: Tensor<D>, t: &[f64], first: usize) -> Estimate<D> {
        self.model.denoise_window(z, &self.times(t), first)
    }
}

/// p(x ∣ x_t = z) without the mask, which is never data: `[…, K]`, normalized.
pub fn clean_probabilities<const D: usize>(
    model: &dyn Denoiser<D>,
    z: &Tensor<D>,
    t: &[f64],
    mask: Option<usize>,
) -> Tensor<D> {
    let probs = model.denoise(z.clone(), t).mean;
    let Some(mask) = mask else { return probs };
    let k = probs.dims()[D - 1];
    let mut shape = [1; D];
    shape[D - 1] = k;
    let allowed: Vec<f64> = (0..k).map(|i| if i == mask { 0.0 } else { 1.0 }).collect();
    let allowed = Tensor::from_data(TensorData::new(allowed, shape), (&probs.device(), probs.dtype()));
    // If all probability is the mask's, the others have equal ones.
    let probs = (probs + 1e-30) * allowed;
    let whole = probs.clone().sum_dim(D - 1);
    probs / whole
}

/// A sample of every entry, on the host.
pub fn sample_categories<const D: usize>(probs: Tensor<D>, rng: &mut Rng) -> Vec<usize> {
    let k = probs.dims()[D - 1];
    let sampled = host(Categorical::trusted(probs).in_indices(true).sample(rng).value);
    sampled.into_iter().map(|n| (n as usize).min(k - 1)).collect()
}

/// The rows of a batch and the entries of a row.
fn extent<const D: usize>(z: &Tensor<D>) -> (usize, usize) {
    let dims = z.dims();
    (dims[0], dims[1..D - 1].iter().product())
}

/// Samples each entry from `q(x_s ∣ x_t) = Σ_x p(x ∣ x_t) q(x_s ∣ x_t, x)`, its own conditional distribution to the
/// last digit.
///
/// An x is sampled from p(x ∣ x_t), and x_s from the posterior of that x. For absorbing noise this unmasks an entry
/// with probability `(ᾱ_s − ᾱ_t)/(1 − ᾱ_t)`, ᾱ the survival probability. Entries are sampled independently of each
/// other, so their joint distribution is exact in the limit of steps that change one entry at most. One network
/// evaluation per step.
///
/// ```
/// use burn::tensor::Device;
/// use tweedie::{
///     Rng,
///     exact::Joint,
///     noise::Discrete,
///     sample::{Analytic, trajectory},
///     schedule::FlowMatching,
/// };
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let model = Joint::new(noise, vec![(vec![0, 0], 0.5), (vec![1, 1], 0.5)])?;
/// let times = vec![1.0, 0.5, 0.0];
/// let rng = Rng::new(0);
/// let steps = trajectory(&model, &Analytic {}, times, [8, 2, 1], &rng, &Device::flex())?;
/// let (_, x) = steps.last().unwrap();
/// assert!(x.into_data().to_vec::<f32>().unwrap().iter().all(|n| *n < 2.0));
/// # Ok::<(), tweedie::Error>(())
/// ```
///
/// Lou, Meng and Ermon, "Discrete Diffusion Modeling by Estimating the Ratios of the Data Distribution" (2024), theorem 4.2,
/// <https://arxiv.org/abs/2310.16834>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "Tweedie tau-leaping")]
pub struct Analytic {}
impl<const D: usize> Sampler<D> for Analytic {
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_categories(self, noise).map(|_| ())
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, TimeStep { t, s, .. }: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let Categories { mask, schedule, .. } = categories_of(model);
        let sampled = sample_categories(clean_probabilities(model, &z, &[t], mask), rng);
        let Some(mask) = mask else {
            let x = write_categories(&sampled, &z);
            return if s == 0.0 { x } else { model.noise().posterior(x, z, &[s], &[t]).sample(rng).value };
        };
        let (from, to) = (corrupted(schedule, t), corrupted(schedule, s));
        unmask(&z, mask, &sampled, if to > 0.0 { 1.0 - to / from } else { 1.0 }, rng)
    }
}

/// `z` with each mask replaced by the category of `sampled` with probability `chance`.
fn unmask<const D: usize>(z: &Tensor<D>, mask: usize, sampled: &[usize], chance: f64, rng: &mut Rng) -> Tensor<D> {
    let (rows, width) = extent(z);
    let u = rng.uniforms(rows, width);
    let mut entries = read_categories(z);
    for (i, entry) in entries.iter_mut().enumerate() {
        if *entry == mask && u[i] < chance {
            *entry = sampled[i];
        }
    }
    write_categories(&entries, z)
}
