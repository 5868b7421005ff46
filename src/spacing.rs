//! Timestep spacings: the distribution of the training timesteps and the grid of the sampling timesteps.
//!
//! A [`Spacing`] is the quantile function of the training timesteps; the same function at uniform quantiles is a sampling grid.
//! Discrete time is a choice of spacing: the timesteps of [`Steps`] are 1/T, 2/T, …, 1.
//!
//! | spacing | timesteps |
//! |---|---|
//! | [`Uniform`], [`Quadratic`] | u, u² |
//! | [`Steps`], [`Leading`], [`Linspace`] | of a table of T steps |
//! | [`TimestepList`] | a list; [`TimestepList::sections`] respaces a table |
//! | [`Beta`], [`LogitNormal`] | the quantiles of a distribution |
//! | [`ShiftedSpacing`], [`Antithetic`], [`Independent`] | derived from another spacing |
//! | [`Importance`] | importance sampling: another spacing's, more frequent where losses are large |
//! | [`Karras`], [`Exponential`], [`LogNormal`], [`CosineInterpolated`], [`AlignYourSteps`] | noise levels, [`Levels::on`] a schedule |
use crate::{error::Error, noise::Noise, rng::Rng};
use std::{fmt::Debug, sync::Arc};

mod derived;
mod discrete;
mod importance;
mod levels;
mod list;
mod quantile;
mod uniform;
pub use derived::{Antithetic, Independent, ShiftedSpacing};
pub use discrete::{Leading, Linspace, Steps};
pub use importance::{Importance, LossHistory, WeightedTimes};
pub use levels::{
    AlignYourSteps, CosineInterpolated, Exponential, Karras, LevelSpacing, Levels, LogNormal, level_range,
};
pub use list::TimestepList;
pub use quantile::{Beta, LogitNormal};
pub use uniform::{Quadratic, Uniform};

/// A distribution of timesteps, as an increasing map of quantiles in (0, 1] to times in [0, 1].
#[doc(alias("timestep_spacing", "timestep_sampler", "discretization"))]
pub trait Spacing: Debug + Send + Sync {
    /// The quantile function: the time below which the fraction `u` of the training timesteps lies.
    #[doc(alias = "at")]
    fn quantile(&self, u: f64) -> f64;

    /// Samples training timesteps for rows `0..n` of a batch, stratified: one in each n-th of the distribution, the strata in
    /// random order.
    fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        // One shift moves all the strata, so the timesteps are a rotated grid: a low-discrepancy sample.
        let shift = rng.uniform();
        let strata = rng.permutation(n);
        strata.into_iter().map(|i| self.quantile((i as f64 + shift) / n as f64)).collect()
    }

    /// [`sample`](Spacing::sample) with the weight of each row's loss, such that the weighted mean estimates the mean loss of
    /// `sample`. The weights are 1 unless the probabilities depend on the losses in `history`.
    fn sample_weighted(&self, n: usize, rng: &mut Rng, history: &LossHistory) -> WeightedTimes {
        let _ = history;
        WeightedTimes::unweighted(self.sample(n, rng))
    }

    /// Whether training timesteps are [`quantile`](Spacing::quantile) of uniform numbers and nothing else, so that another spacing
    /// may choose these numbers.
    fn by_quantiles(&self) -> bool {
        true
    }

    /// The empty history of the losses that the spacing adapts to. Default: of no losses.
    fn loss_history(&self) -> LossHistory {
        LossHistory::default()
    }

    /// The sampling grid of `n` steps: n + 1 decreasing times from `quantile(1)` to 0.
    fn grid(&self, n: usize) -> Vec<f64> {
        (1..=n).rev().map(|i| self.quantile(i as f64 / n as f64)).chain([0.0]).collect()
    }

    /// Checks the parameters; called before the first step.
    ///
    /// # Errors
    ///
    /// If a parameter is out of its range.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Spacing + ?Sized> Spacing for $pointer {
            fn quantile(&self, u: f64) -> f64 {
                (**self).quantile(u)
            }
            fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
                (**self).sample(n, rng)
            }
            fn sample_weighted(&self, n: usize, rng: &mut Rng, history: &LossHistory) -> WeightedTimes {
                (**self).sample_weighted(n, rng, history)
            }
            fn by_quantiles(&self) -> bool {
                (**self).by_quantiles()
            }
            fn loss_history(&self) -> LossHistory {
                (**self).loss_history()
            }
            fn grid(&self, n: usize) -> Vec<f64> {
                (**self).grid(n)
            }
            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
        }
    )*};
}
forward!(Arc<S>, Box<S>, &S);

/// The training timesteps of a noise if none are given: 1/T, …, 1 of a table of T steps, uniform ones otherwise.
pub fn training_times<const D: usize>(noise: &dyn Noise<D>) -> Arc<dyn Spacing> {
    match noise.steps() {
        Some(steps) => Arc::new(Steps(steps)),
        None => Arc::new(Uniform::default()),
    }
}

/// The timesteps of `n` sampling steps of a noise if none are given: on the grid of its table, uniform if it has none.
pub fn sampling_grid<const D: usize>(noise: &dyn Noise<D>, n: usize) -> Vec<f64> {
    training_times(noise).grid(n)
}

/// Returns an error about `field` unless the condition holds.
fn require(holds: bool, field: &str, problem: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::invalid(problem()).with_field(field)) }
}

/// Whether x is positive and finite.
fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// Checks that the spacing inside `name`, which chooses the quantiles of a batch, does not choose them itself.
fn require_quantiles(name: &str, of: &dyn Spacing) -> Result<(), Error> {
    if of.by_quantiles() {
        return Ok(());
    }
    let problem = format!("{name} and {of:?} each choose the quantiles of a batch in their own way");
    Err(Error::invalid(problem).with_remedy("use only one of them"))
}
