//! Timesteps of a table of T steps.
use super::{Spacing, require};
use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Timesteps of a table of T steps, 1/T, 2/T, …, 1; a sampling grid has trailing spacing.
///
/// ```
/// use tweedie::spacing::{Spacing, Steps};
/// assert_eq!(Steps(1000).quantile(0.4996), 0.5);
/// assert_eq!(Steps(10).grid(5), [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "trailing")]
pub struct Steps(pub usize);
impl Spacing for Steps {
    fn quantile(&self, u: f64) -> f64 {
        // A quantile that is a grid point up to rounding is that grid point.
        (u * self.0 as f64 - 1e-9).ceil().max(1.0) / self.0 as f64
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        // Trailing: uniform step numbers from T down, each rounded to the nearest integer.
        let stride = self.0 as f64 / n as f64;
        let number = |i: usize| (i as f64 * stride).round_ties_even().max(1.0);
        (1..=n).rev().map(|i| number(i) / self.0 as f64).chain([0.0]).collect()
    }
    fn check(&self) -> Result<(), Error> {
        require(self.0 > 0, "steps", || "must be at least 1, got 0".into())
    }
}

/// Leading spacing of a table of T steps; which steps of the table n sampling steps use depends on the spacing:
///
/// | | times of n steps |
/// |---|---|
/// | [`Steps`] | trailing: 1, 1 − 1/n, …, each rounded to a step |
/// | [`Leading`] | the step numbers 0, T/n, 2T/n, …, plus `offset`: times `(i ⌊T/n⌋ + offset + 1)/T`, below 1 unless the offset is large |
/// | [`Linspace`] | uniform step numbers from 0 to T − 1, rounded |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Leading {
    /// T, the number of steps of the table. Default: 1000.
    pub steps: usize,
    /// Offset added to each step number: 1 for the models of Stable Diffusion. Default: 0.
    #[doc(alias = "steps_offset")]
    pub offset: usize,
}
impl Default for Leading {
    fn default() -> Self {
        Self { steps: 1000, offset: 0 }
    }
}
impl Spacing for Leading {
    fn quantile(&self, u: f64) -> f64 {
        Steps(self.steps).quantile(u)
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        let stride = (self.steps / n.max(1)).max(1);
        let n = n.min(self.steps);
        let number = |i: usize| (i * stride + self.offset + 1).min(self.steps);
        (0..n).rev().map(|i| number(i) as f64 / self.steps as f64).chain([0.0]).collect()
    }
    fn check(&self) -> Result<(), Error> {
        Steps(self.steps).check()
    }
}

/// Linear spacing of a table: uniform step numbers from 0 to T − 1, rounded; see [`Leading`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linspace {
    /// T, the number of steps of the table. Default: 1000.
    pub steps: usize,
}
impl Default for Linspace {
    fn default() -> Self {
        Self { steps: 1000 }
    }
}
impl Spacing for Linspace {
    fn quantile(&self, u: f64) -> f64 {
        Steps(self.steps).quantile(u)
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        let stride = if n > 1 { (self.steps - 1) as f64 / (n - 1) as f64 } else { 0.0 };
        // A single step starts from the noise.
        let number = |i: usize| if n == 1 { self.steps as f64 } else { (i as f64 * stride).round_ties_even() + 1.0 };
        (0..n).rev().map(|i| number(i) / self.steps as f64).chain([0.0]).collect()
    }
    fn check(&self) -> Result<(), Error> {
        Steps(self.steps).check()
    }
}
