//! Uniform and quadratic timesteps.
use super::{Spacing, require};
use crate::error::Error;
use serde::{Deserialize, Serialize};

/// Uniformly distributed training timesteps on [`from`, 1]; a sampling grid is uniform on [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Uniform {
    /// The smallest training timestep, in [0, 1). Default: 0.001.
    pub from: f64,
}
impl Default for Uniform {
    fn default() -> Self {
        Self { from: 1e-3 }
    }
}
impl Spacing for Uniform {
    fn quantile(&self, u: f64) -> f64 {
        self.from + (1.0 - self.from) * u
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        (0..=n).rev().map(|i| i as f64 / n.max(1) as f64).collect()
    }
    fn check(&self) -> Result<(), Error> {
        require((0.0..1.0).contains(&self.from), "from", || format!("must be in [0, 1), got {}", self.from))
    }
}

/// Quadratic spacing, `t = u²`: finer near the data.
///
/// Song, Meng and Ermon (2021), appendix D.2, <https://arxiv.org/abs/2010.02502>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quadratic {}
impl Spacing for Quadratic {
    fn quantile(&self, u: f64) -> f64 {
        u * u
    }
}
