//! Timesteps at the quantiles of a distribution.
use super::{Spacing, positive, require};
use crate::{
    error::Error,
    special::{incomplete_beta, normal_series_quantile},
};
use serde::{Deserialize, Serialize};

/// Logit-normal timesteps, `ln t/(1 − t) ~ N(mean, std²)`. A grid begins at 1.
///
/// Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (2024), section 3.1,
/// <https://arxiv.org/abs/2403.03206>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogitNormal {
    /// Mean of the logit. Default: 0.
    pub mean: f64,
    /// Standard deviation of the logit. Default: 1.
    pub std: f64,
}
impl Default for LogitNormal {
    fn default() -> Self {
        Self { mean: 0.0, std: 1.0 }
    }
}
impl Spacing for LogitNormal {
    fn quantile(&self, u: f64) -> f64 {
        (1.0 + (-self.mean - self.std * normal_series_quantile(u.clamp(0.0, 1.0))).exp()).recip()
    }
    fn check(&self) -> Result<(), Error> {
        require(self.mean.is_finite(), "mean", || format!("must be finite, got {}", self.mean))?;
        require(positive(self.std), "std", || format!("must be a positive number, got {}", self.std))
    }
}

/// Beta-distributed timesteps, of density ∝ `t^(a−1) (1 − t)^(b−1)`; below 1, the exponents a and b concentrate them at the ends.
///
/// Lee et al., "Beta Sampling is All You Need" (2024), <https://arxiv.org/abs/2407.12173>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Beta {
    /// Exponent at t = 0. Default: 0.6.
    pub a: f64,
    /// Exponent at t = 1. Default: 0.6.
    pub b: f64,
}
impl Default for Beta {
    fn default() -> Self {
        Self { a: 0.6, b: 0.6 }
    }
}
impl Spacing for Beta {
    fn quantile(&self, u: f64) -> f64 {
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        if u >= 1.0 {
            return 1.0;
        }
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if incomplete_beta(self.a, self.b, middle) < u { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
    fn check(&self) -> Result<(), Error> {
        for (field, exponent) in [("a", self.a), ("b", self.b)] {
            require(positive(exponent), field, || format!("must be a positive number, got {exponent}"))?;
        }
        Ok(())
    }
}
