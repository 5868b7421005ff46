//! Spacings: which times are visited, drawn while training and stepped through while sampling.
//!
//! A [`Spacing`] is the quantile function of the training times; the same function at even quantiles is a sampling
//! grid. Discrete time is a choice of spacing: [`Steps`] visits 1/T, 2/T, …, 1.
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A rising map of (0, 1] into [0, 1].
pub trait Spacing: Debug + Send + Sync {
    /// The time below which the fraction `u` of the times lies.
    fn at(&self, u: f64) -> f64;

    /// n training times for rows `0..n` of a batch, stratified: one in each n-th of the distribution, the strata in
    /// random order.
    fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        // One shift moves all the strata, so the times are a rotated grid: a low-discrepancy sample.
        let shift = rng.uniform();
        let strata = rng.permutation(n);
        strata.into_iter().map(|i| self.at((i as f64 + shift) / n as f64)).collect()
    }

    /// n + 1 falling times from `at(1)` to 0.
    fn grid(&self, n: usize) -> Vec<f64> {
        (1..=n).rev().map(|i| self.at(i as f64 / n as f64)).chain([0.0]).collect()
    }
}

/// Even times from `from` to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uniform {
    /// The smallest time, in [0, 1).
    pub from: f64,
}
impl Default for Uniform {
    fn default() -> Self {
        Self { from: 1e-3 }
    }
}
impl Spacing for Uniform {
    fn at(&self, u: f64) -> f64 {
        self.from + (1.0 - self.from) * u
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        (0..=n).rev().map(|i| i as f64 / n as f64).collect()
    }
}

/// Discrete time: 1/T, 2/T, …, 1.
///
/// ```
/// use tweedie::spacing::{Spacing, Steps};
/// assert_eq!(Steps(1000).at(0.4996), 0.5);
/// assert_eq!(Steps(10).grid(5), [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps(pub usize);
impl Spacing for Steps {
    fn at(&self, u: f64) -> f64 {
        // A quantile that is a grid point up to rounding is that grid point.
        (u * self.0 as f64 - 1e-9).ceil().max(1.0) / self.0 as f64
    }
}
