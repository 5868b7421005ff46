//! Tables whose β is given.
use super::{
    Table,
    lazy::{Lazy, UNDEFINED, followed, product, table_schedule},
};
use crate::{
    dual::Dual,
    error::Result,
    schedule::{Scales, Schedule, Survival},
};
use serde::{Deserialize, Serialize};

/// β that rises linearly from `beta_start` to `beta_end`: DDPM's schedule.
///
/// `β_i = beta_start + (beta_end − beta_start) (i − 1)/(T − 1)`.
///
/// Ho, Jain and Abbeel (2020), section 4, <https://arxiv.org/abs/2006.11239>.
///
/// ```
/// use tweedie::schedule::{Linear, Schedule};
/// let schedule = Linear::new(1000);
/// assert!((schedule.at(1.0).alpha.powi(2) - 4.036e-5).abs() < 1e-8);
/// ```
#[doc(alias("linear", "linear_beta_schedule"))]
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// β₁, in (0, 1). Default: 1e-4.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    beta_start: f64,
    /// β_T, in (0, 1). Default: 0.02.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    beta_end: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Linear {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Linear {
    /// The schedule from 1e-4 to 0.02 over `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self::between(steps, 1e-4, 0.02)
    }
    /// The schedule from `beta_start` to `beta_end` over `steps` steps.
    pub fn between(steps: usize, beta_start: f64, beta_end: f64) -> Self {
        Self { steps, beta_start, beta_end, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        let rise = (self.beta_end - self.beta_start) / (self.steps.max(2) - 1) as f64;
        Table::new((0..self.steps).map(|i| self.beta_start + rise * i as f64))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        let last = (self.steps as f64 - 1.0).max(1.0);
        product(self.steps, t, |i| ((last - (i - 1.0)) * self.beta_start + (i - 1.0) * self.beta_end) / last)
    }
}
table_schedule!(Linear {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets β₁.
    with_beta_start: beta_start, f64;
    /// Sets β_T.
    with_beta_end: beta_end, f64;
});

/// β whose square root rises linearly: the schedule of latent diffusion.
///
/// `√β_i = √beta_start + (√beta_end − √beta_start)(i − 1)/(T − 1)`.
///
/// Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), <https://arxiv.org/abs/2112.10752>.
#[doc(alias("scaled_linear", "quadratic"))]
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScaledLinear {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// β₁, in (0, 1). Default: 0.00085.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    beta_start: f64,
    /// β_T, in (0, 1). Default: 0.012.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    beta_end: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for ScaledLinear {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl ScaledLinear {
    /// The schedule from 0.00085 to 0.012 over `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self::between(steps, 0.00085, 0.012)
    }
    /// The schedule from `beta_start` to `beta_end` over `steps` steps.
    pub fn between(steps: usize, beta_start: f64, beta_end: f64) -> Self {
        Self { steps, beta_start, beta_end, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        let (low, high) = (self.beta_start.sqrt(), self.beta_end.sqrt());
        let rise = (high - low) / (self.steps.max(2) - 1) as f64;
        Table::new((0..self.steps).map(|i| (low + rise * i as f64).powi(2)))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        let last = (self.steps as f64 - 1.0).max(1.0);
        let root = |i: f64| ((last - i) * self.beta_start.sqrt() + i * self.beta_end.sqrt()) / last;
        product(self.steps, t, |i| root(i - 1.0) * root(i - 1.0))
    }
}
table_schedule!(ScaledLinear {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets β₁.
    with_beta_start: beta_start, f64;
    /// Sets β_T.
    with_beta_end: beta_end, f64;
});

/// β that rises as a sigmoid from `beta_start` to `beta_end`: GeoDiff's schedule, for molecules.
///
/// `β_i = beta_start + (beta_end − beta_start)/(1 + e^(−x))`, x evenly spaced from −6 to 6.
///
/// Xu et al., "GeoDiff: A Geometric Diffusion Model for Molecular Conformation Generation" (2022),
/// <https://arxiv.org/abs/2203.02923>.
#[doc(alias = "sigmoid")]
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sigmoid {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// β at x = −∞, below β₁. Default: 1e-4.
    beta_start: f64,
    /// β at x = ∞, above β_T. Default: 0.02.
    beta_end: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Sigmoid {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Sigmoid {
    /// The schedule from 1e-4 to 0.02 over `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self::between(steps, 1e-4, 0.02)
    }
    /// The schedule from `beta_start` to `beta_end` over `steps` steps.
    pub fn between(steps: usize, beta_start: f64, beta_end: f64) -> Self {
        Self { steps, beta_start, beta_end, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        let x = |i: usize| -6.0 + 12.0 * i as f64 / (self.steps.max(2) - 1) as f64;
        let rise = self.beta_end - self.beta_start;
        Table::new((0..self.steps).map(|i| self.beta_start + rise / (1.0 + (-x(i)).exp())))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        let last = (self.steps as f64 - 1.0).max(1.0);
        let share = |i: f64| 0.5 * (1.0 + (0.5 * (12.0 * (i - 1.0) / last - 6.0)).tanh());
        product(self.steps, t, |i| self.beta_start * (1.0 - share(i)) + self.beta_end * share(i))
    }
}
table_schedule!(Sigmoid {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets β at x = −∞.
    with_beta_start: beta_start, f64;
    /// Sets β at x = ∞.
    with_beta_end: beta_end, f64;
});

/// The same β at each step: `ᾱ_i = (1 − β)ⁱ`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// β, in (0, 1). Default: 0.01.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    beta: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Constant {
    fn default() -> Self {
        Self::new(1000, 0.01)
    }
}
impl Constant {
    /// The schedule of `beta` at each of `steps` steps.
    pub fn new(steps: usize, beta: f64) -> Self {
        Self { steps, beta, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        Table::new(std::iter::repeat_n(self.beta, self.steps))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        Some((1.0 - self.beta).powf(t * self.steps as f64))
    }
}
table_schedule!(Constant {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets β.
    with_beta: beta, f64;
});

/// β such that ᾱ falls by the same amount at each step: `β_i = 1/(T − i + 1)`, at most `clip`, so `ᾱ_i = 1 − i/T`.
///
/// Sohl-Dickstein et al., "Deep Unsupervised Learning using Nonequilibrium Thermodynamics" (2015), section 2.4.1,
/// <https://arxiv.org/abs/1503.03585>; `jsd` in the code of Ho, Jain and Abbeel.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jsd {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// Upper bound on β, in (0, 1]. Default: 0.999.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    clip: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Jsd {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Jsd {
    /// The schedule over `steps` steps.
    pub fn new(steps: usize) -> Self {
        Self { steps, clip: 0.999, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        Table::new((0..self.steps).map(|i| ((self.steps - i) as f64).recip().min(self.clip)))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        followed(self.steps, self.clip, t, |t| 1.0 - t)
    }
}
table_schedule!(Jsd {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets the upper bound on β.
    with_clip: clip, f64;
});
