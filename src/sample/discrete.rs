//! Samplers of categories. Most reveal masks; what is not masked they leave as it is.
use super::{Past, Sampler};
use crate::{
    denoise::Denoiser,
    distribution::{Categorical, Distribution, host, numbers, one_hot},
    dual::Dual,
    error::Error,
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
pub use ordered::{By, Ordered};
pub use remasking::{Remask, Remasking};
pub use tau::TauLeaping;

/// The numbers of the categories of a batch, entry by entry, on the host.
fn read<const D: usize>(z: &Tensor<D>) -> Vec<usize> {
    host(numbers(z.clone())).into_iter().map(|n| n.round() as usize).collect()
}

/// Numbers of categories in the form of `z`.
fn write<const D: usize>(page: &[usize], z: &Tensor<D>) -> Tensor<D> {
    let mut dims = z.dims();
    let k = std::mem::replace(&mut dims[D - 1], 1);
    let values: Vec<f64> = page.iter().map(|n| *n as f64).collect();
    let new = Tensor::from_data(TensorData::new(values, dims), (&z.device(), z.dtype()));
    if k == 1 { new } else { one_hot(new, k) }
}

/// A demand for categories.
fn categories<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<Categories<'a>, Error> {
    noise.categories().ok_or_else(|| {
        Error::invalid(format!(
            "the sampler {} draws categories, and the model's noise is not categorical: use `ddim` or another of the \
             Gaussian samplers",
            super::called(sampler)
        ))
    })
}

/// A demand for absorbing noise, answered with the mask.
fn absorbing<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<(Categories<'a>, usize), Error> {
    let categories = categories(sampler, noise)?;
    let mask = categories.mask.ok_or_else(|| {
        Error::invalid(format!(
            "the sampler {} reveals masks, and the model's categorical noise has none: use `ancestral`, `analytic` or \
             `tau-leaping`, or train with absorbing noise",
            super::called(sampler)
        ))
    })?;
    Ok((categories, mask))
}

/// The categories and the mask of a noise that was checked before the first step.
fn known<const D: usize>(model: &dyn Denoiser<D>) -> (Categories<'_>, usize) {
    let categories = model.noise().categories().expect("checked before the first step");
    (categories, categories.mask.expect("checked before the first step"))
}

/// The probability of an entry's being lost at t; none is at t = 0, where a walk ends.
fn lost(schedule: &dyn Survival, t: f64) -> f64 {
    if t == 0.0 { 0.0 } else { (1.0 - schedule.survival(Dual::time(t)).value).clamp(0.0, 1.0) }
}

/// The time at which an entry is kept with probability `keep`, by bisection to the last bit.
fn when(schedule: &dyn Survival, keep: f64) -> f64 {
    let (low, high) = bisect(|t| schedule.survival(Dual::time(t)).value > keep);
    0.5 * (low + high)
}

/// A model that is asked before all is lost, at a keep probability of 1e-6 or more: where some entries are known and no noise
/// would have left any, it would be asked of the impossible.
struct Early<'a, const D: usize> {
    model: &'a dyn Denoiser<D>,
    last: f64,
}
impl<'a, const D: usize> Early<'a, D> {
    fn new(model: &'a dyn Denoiser<D>) -> Self {
        let schedule = model.noise().categories().expect("checked before the first step").schedule;
        Self { model, last: if 1.0 - lost(schedule, 1.0) < 1e-6 { when(schedule, 1e-6) } else { 1.0 } }
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
}

/// p(x | x_t = z) without the mask, which is never data: `[…, K]`, each entry's over their sum.
fn guess<const D: usize>(model: &dyn Denoiser<D>, z: &Tensor<D>, t: &[f64], mask: Option<usize>) -> Tensor<D> {
    let probs = model.denoise(z.clone(), t).mean;
    let Some(mask) = mask else { return probs };
    let k = probs.dims()[D - 1];
    let mut shape = [1; D];
    shape[D - 1] = k;
    let kept: Vec<f64> = (0..k).map(|i| if i == mask { 0.0 } else { 1.0 }).collect();
    let kept = Tensor::from_data(TensorData::new(kept, shape), (&probs.device(), probs.dtype()));
    // Where a guess is nothing but the mask, all the rest is as likely.
    let probs = (probs + 1e-30) * kept;
    let whole = probs.clone().sum_dim(D - 1);
    probs / whole
}

/// A draw of every entry, on the host.
fn draw<const D: usize>(probs: Tensor<D>, rng: &mut Rng) -> Vec<usize> {
    let k = probs.dims()[D - 1];
    let drawn = host(Categorical::trusted(probs).in_numbers(true).sample(rng).value);
    drawn.into_iter().map(|n| (n as usize).min(k - 1)).collect()
}

/// The rows of a batch and the entries of a row.
fn extent<const D: usize>(z: &Tensor<D>) -> (usize, usize) {
    let dims = z.dims();
    (dims[0], dims[1..D - 1].iter().product())
}

/// Draws each entry from `q(x_s | x_t) = Σ_x p(x | x_t) q(x_s | x_t, x)`, its own conditional law to the last digit.
///
/// An x is drawn from the guess, and x_s from the posterior of that x. For absorbing noise this reveals a mask with
/// probability `(α_s − α_t)/(1 − α_t)`, α the schedule's [survival probability](Survival::survival). Entries are drawn apart from each other, so
/// their joint law is exact in the limit of steps that change one entry at most.
///
/// Lou, Meng and Ermon, "Discrete Diffusion Modeling by Estimating the Ratios of the Data Distribution" (2024), theorem 4.2,
/// <https://arxiv.org/abs/2310.16834>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analytic {}
impl<const D: usize> Sampler<D> for Analytic {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let noise = model.noise();
        let Categories { mask, schedule, .. } = noise.categories().expect("checked before the first step");
        let drawn = draw(guess(model, &z, &[t], mask), rng);
        let Some(mask) = mask else {
            let x = write(&drawn, &z);
            return if s == 0.0 { x } else { noise.posterior(x, z, &[s], &[t]).sample(rng).value };
        };
        let (from, to) = (lost(schedule, t), lost(schedule, s));
        reveal(&z, mask, &drawn, if to > 0.0 { 1.0 - to / from } else { 1.0 }, rng)
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        categories(self, noise).map(|_| ())
    }
}

/// `z` with each mask revealed with probability `chance`.
fn reveal<const D: usize>(z: &Tensor<D>, mask: usize, drawn: &[usize], chance: f64, rng: &mut Rng) -> Tensor<D> {
    let (rows, width) = extent(z);
    let u = rng.uniforms(rows, width);
    let mut page = read(z);
    for (i, entry) in page.iter_mut().enumerate() {
        if *entry == mask && u[i] < chance {
            *entry = drawn[i];
        }
    }
    write(&page, z)
}
