//! Schedules of continuous time.
use super::Schedule;
use crate::{dual::Dual, error::Error};
use serde::{Deserialize, Serialize};

fn rising(name: &str, low: f64, high: f64) -> Result<(), Error> {
    if low > 0.0 && low < high && high.is_finite() {
        return Ok(());
    }
    Err(Error::Unfit(format!(
        "the noise of `{name}` rises from min to max, so 0 < min < max, but min = {low} and max = {high}"
    )))
}

/// Straight paths from data to noise: `α = 1 − t`, `σ = t`.
///
/// Lipman et al., "Flow Matching for Generative Modeling" (2023), <https://arxiv.org/abs/2210.02747>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowMatching {}
impl Schedule for FlowMatching {
    fn alpha(&self, t: Dual) -> Dual {
        1.0 - t
    }
    fn sigma(&self, t: Dual) -> Dual {
        t
    }
}

/// The Ornstein–Uhlenbeck process in the time that makes σ linear: `α = √(1 − t²)`, `σ = t`.
///
/// `dx = −x ds + √2 dw` with `t = √(1 − e^(−2s))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrnsteinUhlenbeck {}
impl Schedule for OrnsteinUhlenbeck {
    fn alpha(&self, t: Dual) -> Dual {
        ((1.0 - t) * (1.0 + t)).sqrt()
    }
    fn sigma(&self, t: Dual) -> Dual {
        t
    }
}

/// Noise that explodes geometrically over unscaled data: `α = 1`, `σ = min (max/min)ᵗ`.
///
/// `min` 0.01 and `max` 50 unless said otherwise; σ(0) = `min` > 0, so sampling ends with x̂.
///
/// Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations" (2021), section 3.4,
/// <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VarianceExploding {
    /// σ(0).
    pub min: f64,
    /// σ(1).
    pub max: f64,
}
impl Default for VarianceExploding {
    fn default() -> Self {
        Self { min: 0.01, max: 50.0 }
    }
}
impl Schedule for VarianceExploding {
    fn alpha(&self, _: Dual) -> Dual {
        1.0.into()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (t * (self.max / self.min).ln()).exp() * self.min
    }
    fn check(&self) -> Result<(), Error> {
        rising("variance-exploding", self.min, self.max)
    }
}

/// The limit of DDPM's table for ever more steps: `dx = −½ β x dt + √β dw`, `β(t) = min + t (max − min)`.
///
/// `α = exp(−½ (min t + ½ (max − min) t²))`, `σ = √(1 − α²)`; `min` 0.1 and `max` 20 unless said otherwise.
///
/// Song et al. (2021), section 3.4, <https://arxiv.org/abs/2011.13456>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VariancePreserving {
    /// β(0).
    pub min: f64,
    /// β(1).
    pub max: f64,
}
impl Default for VariancePreserving {
    fn default() -> Self {
        Self { min: 0.1, max: 20.0 }
    }
}
impl VariancePreserving {
    fn integral(&self, t: Dual) -> Dual {
        t * self.min + t * t * (0.5 * (self.max - self.min))
    }
}
impl Schedule for VariancePreserving {
    fn alpha(&self, t: Dual) -> Dual {
        (-0.5 * self.integral(t)).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(-self.integral(t)).exp_m1()).sqrt()
    }
    fn check(&self) -> Result<(), Error> {
        if self.min >= 0.0 && self.max > 0.0 && self.max.is_finite() {
            return Ok(());
        }
        Err(Error::Unfit(format!(
            "the rate β of `variance-preserving` is positive, but min = {} and max = {}",
            self.min, self.max
        )))
    }
}

/// The noise levels of EDM over unscaled data: `α = 1`, `σ^(1/ρ)` linear in t.
///
/// `σ(t) = (min^(1/ρ) + t (max^(1/ρ) − min^(1/ρ)))^ρ`; `min` 0.002, `max` 80 and `rho` 7 unless said otherwise.
/// σ(0) = `min` > 0, so sampling ends with x̂.
///
/// Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), eq. 5,
/// <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edm {
    /// σ(0).
    pub min: f64,
    /// σ(1).
    pub max: f64,
    /// ρ: how much finer the steps are at low noise.
    pub rho: f64,
}
impl Default for Edm {
    fn default() -> Self {
        Self { min: 0.002, max: 80.0, rho: 7.0 }
    }
}
impl Schedule for Edm {
    fn alpha(&self, _: Dual) -> Dual {
        1.0.into()
    }
    fn sigma(&self, t: Dual) -> Dual {
        let (low, high) = (self.min.powf(self.rho.recip()), self.max.powf(self.rho.recip()));
        (t * (high - low) + low).powf(self.rho)
    }
    fn check(&self) -> Result<(), Error> {
        rising("edm", self.min, self.max)?;
        if self.rho > 0.0 && self.rho.is_finite() {
            return Ok(());
        }
        Err(Error::Unfit(format!("the exponent rho of `edm` is positive, not {}", self.rho)))
    }
}
