//! Tables whose ᾱ is given: `β_i = 1 − ᾱ(i/T)/ᾱ((i − 1)/T)`, each at most `clip`.
use super::{
    Table,
    lazy::{Lazy, UNDEFINED, followed, table_schedule},
};
use crate::{
    dual::Dual,
    error::{Error, Result},
    schedule::{Scales, Schedule, Survival},
};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// ᾱ that falls as a power of a cosine: improved DDPM's schedule.
///
/// `ᾱ(t) = (cos(π/2 · (t + offset)/(1 + offset)) / cos(π/2 · offset/(1 + offset)))^exponent`, each `β_i` at most `clip`.
///
/// Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), eq. 17,
/// <https://arxiv.org/abs/2102.09672>.
#[doc(alias("squaredcos_cap_v2", "cosine_beta_schedule"))]
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// s, 0 or more: the larger, the more noise the first step has. Default: 0.008.
    #[schemars(range(min = 0.0))]
    offset: f64,
    /// Power of the cosine. Default: 2.
    exponent: f64,
    /// Upper bound on β, in (0, 1]. Default: 0.999.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    clip: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Cosine {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Cosine {
    /// The schedule over `steps` steps, with the published constants.
    pub fn new(steps: usize) -> Self {
        Self { steps, offset: 0.008, exponent: 2.0, clip: 0.999, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        if self.offset.is_nan() || self.offset < 0.0 {
            return Err(Error::invalid(format!("must be 0 or more, got {}", self.offset)).with_field("offset"));
        }
        let angle = |t: f64| FRAC_PI_2 * (t + self.offset) / (1.0 + self.offset);
        Table::from_signal(self.steps, self.clip, |t| angle(t).cos().max(0.0).powf(self.exponent))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        // cos² θ = (1 + cos 2θ)/2.
        let bar = |t: f64| {
            (0.5 + 0.5 * (2.0 * FRAC_PI_2 * (t + self.offset) / (1.0 + self.offset)).cos()).powf(0.5 * self.exponent)
        };
        followed(self.steps, self.clip, t, bar)
    }
}
table_schedule!(Cosine {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets the offset s.
    with_offset: offset, f64;
    /// Sets the power of the cosine.
    with_exponent: exponent, f64;
    /// Sets the upper bound on β.
    with_clip: clip, f64;
});

/// ᾱ that falls fast at first and slowly after: Diffusion-LM's schedule, for embedded text.
///
/// `ᾱ(t) = 1 − √(t + offset)`, each `β_i` at most `clip`.
///
/// Li et al., "Diffusion-LM Improves Controllable Text Generation" (2022), appendix A,
/// <https://arxiv.org/abs/2205.14217>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sqrt {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// s, in [0, 1). Default: 1e-4.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    offset: f64,
    /// Upper bound on β, in (0, 1]. Default: 0.999.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    clip: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Sqrt {
    fn default() -> Self {
        Self::new(1000)
    }
}
impl Sqrt {
    /// The schedule over `steps` steps, with the published constants.
    pub fn new(steps: usize) -> Self {
        Self { steps, offset: 1e-4, clip: 0.999, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        if !(0.0..1.0).contains(&self.offset) {
            return Err(Error::invalid(format!("must be in [0, 1), got {}", self.offset)).with_field("offset"));
        }
        Table::from_signal(self.steps, self.clip, |t| (1.0 - (t + self.offset).sqrt()).max(0.0))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        followed(self.steps, self.clip, t, |t| 1.0 - (t + self.offset).sqrt())
    }
}
table_schedule!(Sqrt {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets the offset s.
    with_offset: offset, f64;
    /// Sets the upper bound on β.
    with_clip: clip, f64;
});

/// ᾱ that falls as a sigmoid: for large images.
///
/// `ᾱ(t) = (s(end/τ) − s((start + t (end − start))/τ))/(s(end/τ) − s(start/τ))`, `s(x) = 1/(1 + e^(−x))`, each `β_i` at most `clip`.
///
/// Jabri, Fleet and Chen, "Scalable Adaptive Computation for Iterative Generation" (2023), <https://arxiv.org/abs/2212.11972>;
/// Chen, "On the Importance of Noise Scheduling for Diffusion Models" (2023), <https://arxiv.org/abs/2301.10972>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidSignal {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// Argument of the sigmoid at t = 0. Default: −3.
    start: f64,
    /// Argument of the sigmoid at t = 1, larger than `start`. Default: 3.
    end: f64,
    /// Temperature τ, positive. Default: 1.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    tau: f64,
    /// Upper bound on β, in (0, 1]. Default: 0.999.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    clip: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for SigmoidSignal {
    fn default() -> Self {
        Self::new(1000, -3.0, 3.0, 1.0)
    }
}
impl SigmoidSignal {
    /// The schedule over `steps` steps, of the part of the sigmoid from `start` to `end` at temperature `tau`.
    pub fn new(steps: usize, start: f64, end: f64, tau: f64) -> Self {
        Self { steps, start, end, tau, clip: 0.999, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        let Self { start, end, tau, .. } = *self;
        if !(start < end && end - start < f64::INFINITY) {
            return Err(Error::invalid(format!("must be larger than start = {start}, got {end}")).with_field("end"));
        }
        if tau.is_nan() || tau <= 0.0 {
            return Err(Error::invalid(format!("must be a positive number, got {tau}")).with_field("tau"));
        }
        let sigmoid = |x: f64| (1.0 + (-x / tau).exp()).recip();
        let (low, high) = (sigmoid(start), sigmoid(end));
        Table::from_signal(self.steps, self.clip, |t| (high - sigmoid(start + t * (end - start))) / (high - low))
    }
    fn formula(&self, t: f64) -> Option<f64> {
        // Less its value at the end; the scale cancels.
        let rise = |t: f64| (0.5 * (self.start + t * (self.end - self.start)) / self.tau).tanh();
        followed(self.steps, self.clip, t, |t| rise(1.0) - rise(t))
    }
}
table_schedule!(SigmoidSignal {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets the argument of the sigmoid at t = 0.
    with_start: start, f64;
    /// Sets the argument of the sigmoid at t = 1.
    with_end: end, f64;
    /// Sets the temperature τ.
    with_tau: tau, f64;
    /// Sets the upper bound on β.
    with_clip: clip, f64;
});

/// Log-SNR with the quantiles of a Laplace distribution: most steps at medium noise.
///
/// `ln ᾱ/(1 − ᾱ) = mean − scale · sgn(½ − t) ln(1 − 2|½ − t|)`, each `β_i` at most `clip`.
///
/// Hang et al., "Improved Noise Schedule for Diffusion Training" (2024), table 1, <https://arxiv.org/abs/2407.03297>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Laplace {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// Mean of the log-SNR. Default: 0.
    mean: f64,
    /// Scale of the log-SNR, positive. Default: 0.5.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    scale: f64,
    /// Upper bound on β, in (0, 1]. Default: 0.999.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    clip: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Laplace {
    fn default() -> Self {
        Self::new(1000, 0.0, 0.5)
    }
}
impl Laplace {
    /// The schedule over `steps` steps, around the log-SNR `mean`.
    pub fn new(steps: usize, mean: f64, scale: f64) -> Self {
        Self { steps, mean, scale, clip: 0.999, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        if !self.mean.is_finite() {
            return Err(Error::invalid(format!("must be a finite number, got {}", self.mean)).with_field("mean"));
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(Error::invalid(format!("must be a positive number, got {}", self.scale)).with_field("scale"));
        }
        Table::from_signal(self.steps, self.clip, |t| {
            let from_center = 0.5 - t;
            let log_snr = self.mean - self.scale * from_center.signum() * (1.0 - 2.0 * from_center.abs()).ln();
            (1.0 + (-log_snr).exp()).recip()
        })
    }
    fn formula(&self, t: f64) -> Option<f64> {
        let bar = |t: f64| {
            let tail = if t < 0.5 { (2.0 * t).ln() } else { -(2.0 - 2.0 * t).ln() };
            (1.0 + (self.scale * tail - self.mean).exp()).recip()
        };
        followed(self.steps, self.clip, t, bar)
    }
}
table_schedule!(Laplace {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets the mean of the log-SNR.
    with_mean: mean, f64;
    /// Sets the scale of the log-SNR.
    with_scale: scale, f64;
    /// Sets the upper bound on β.
    with_clip: clip, f64;
});

/// ᾱ that falls as a polynomial: the schedule of EDM for molecules.
///
/// `ᾱ(t) ∝ (1 − 2 offset)(1 − t^power)² + offset`, each `β_i` at most `clip`.
///
/// Hoogeboom et al., "Equivariant Diffusion for Molecule Generation in 3D" (2022), appendix B,
/// <https://arxiv.org/abs/2203.17003>.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Polynomial {
    /// Number of steps T. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    steps: usize,
    /// Power of t, positive. Default: 2.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    power: f64,
    /// ᾱ(1), in [0, ½). Default: 1e-4.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 0.5))]
    offset: f64,
    /// Upper bound on β, in (0, 1]. Default: 0.999.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    clip: f64,
    #[serde(skip)]
    lazy: Lazy,
}
impl Default for Polynomial {
    fn default() -> Self {
        Self::new(1000, 2.0)
    }
}
impl Polynomial {
    /// The schedule over `steps` steps.
    pub fn new(steps: usize, power: f64) -> Self {
        Self { steps, power, offset: 1e-4, clip: 0.999, lazy: Lazy::default() }
    }
    fn make(&self) -> Result<Table> {
        if self.power.is_nan() || self.power <= 0.0 {
            return Err(Error::invalid(format!("must be a positive number, got {}", self.power)).with_field("power"));
        }
        if !(0.0..0.5).contains(&self.offset) {
            return Err(Error::invalid(format!("must be in [0, ½), got {}", self.offset)).with_field("offset"));
        }
        Table::from_signal(self.steps, self.clip, |t| {
            (1.0 - 2.0 * self.offset) * (1.0 - t.powf(self.power)).powi(2) + self.offset
        })
    }
    fn formula(&self, t: f64) -> Option<f64> {
        let bar = |t: f64| {
            let rest = 1.0 - t.powf(self.power);
            self.offset + (1.0 - 2.0 * self.offset) * rest * rest
        };
        followed(self.steps, self.clip, t, bar)
    }
}
table_schedule!(Polynomial {
    /// Sets the number of steps T.
    with_steps: steps, usize;
    /// Sets the power of t.
    with_power: power, f64;
    /// Sets ᾱ(1).
    with_offset: offset, f64;
    /// Sets the upper bound on β.
    with_clip: clip, f64;
});
