//! Schedules for categorical data only: the survival probability ᾱ(t), given directly.
use super::{Survival, bisect};
use crate::{
    dual::Dual,
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// Survival probability that falls linearly: `ᾱ(t) = 1 − (1 − survival_min) t`.
///
/// The rate of corruption is log-linear: −ln ᾱ = −ln(1 − (1 − survival_min) t). With `survival_min` = 0 it is
/// [`FlowMatching`](super::FlowMatching)'s 1 − t, along which absorbing noise loses mutual information at a constant rate; MDLM
/// leaves ᾱ(1) = 0.001, so that −ln ᾱ stays finite.
///
/// Sahoo et al., "Simple and Effective Masked Diffusion Language Models" (2024), appendix D, <https://arxiv.org/abs/2406.07524>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogLinear {
    /// ᾱ(1), in [0, 1). Default: 0.001.
    #[doc(alias = "eps")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub survival_min: f64,
}
impl Default for LogLinear {
    fn default() -> Self {
        Self { survival_min: 1e-3 }
    }
}
impl Survival for LogLinear {
    fn survival(&self, t: Dual) -> Dual {
        1.0 - t * (1.0 - self.survival_min)
    }
    fn check(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.survival_min) {
            return Ok(());
        }
        Err(Error::invalid(format!("must be in [0, 1), got {}", self.survival_min)).with_field("survival_min"))
    }
}

/// Survival probability that falls slowly at first and fast at the end: `ᾱ(t) = 1 − cos(π/2 (1 − t))`.
///
/// MaskGIT's mask schedule: Chang et al. (2022), section 3.3, <https://arxiv.org/abs/2202.04200>; as the ᾱ of masked
/// diffusion, Shi et al. (2024), table 1, <https://arxiv.org/abs/2406.04329>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineMask {}
impl Survival for CosineMask {
    fn survival(&self, t: Dual) -> Dual {
        // 1 − cos 2x = 2 sin² x: exact where little is left.
        let sine = ((1.0 - t) * (0.5 * FRAC_PI_2)).sin();
        sine * sine * 2.0
    }
}

/// Total noise that grows geometrically: `ᾱ(t) = exp(−σ̄(t))`, `σ̄(t) = sigma_min^(1 − t) sigma_max^t`.
///
/// ᾱ(0) = exp(−`sigma_min`) is just below one.
///
/// Lou, Meng and Ermon (2024), section 5.1, <https://arxiv.org/abs/2310.16834>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Geometric {
    /// σ̄(0), positive. Default: 1e-4.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub sigma_min: f64,
    /// σ̄(1), larger than `sigma_min`. Default: 20.
    pub sigma_max: f64,
}
impl Default for Geometric {
    fn default() -> Self {
        Self { sigma_min: 1e-4, sigma_max: 20.0 }
    }
}
impl Survival for Geometric {
    fn survival(&self, t: Dual) -> Dual {
        let total = (t * (self.sigma_max / self.sigma_min).ln()).exp() * self.sigma_min;
        (-total).exp()
    }
    fn check(&self) -> Result<()> {
        super::continuous::rising([("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max)])
    }
}

/// Survival probability along which mutual information is lost at a constant rate: `I(x_t; x) = (1 − t) I(x; x)`.
///
/// `I(a) = Σ_x p_x Σ_y q(y | x) ln q(y | x)/q(y)` for `q(y | x) = a [y = x] + (1 − a) π_y` and data with frequencies p, solved for
/// a = ᾱ(t) by bisection; the slope is that of the inverse function. For absorbing noise it is 1 − t whatever the data, which
/// [`FlowMatching`](super::FlowMatching) computes directly.
///
/// Austin et al. (2021), section 3.3 and appendix A.7, <https://arxiv.org/abs/2107.03006>.
#[derive(Clone, Debug, PartialEq)]
pub struct MutualInformation {
    data: Vec<f64>,
    pi: Vec<f64>,
}
impl MutualInformation {
    /// The schedule for data with frequencies `data` and the stationary distribution `pi`.
    ///
    /// # Errors
    ///
    /// If one of them is not a probability distribution, their lengths differ, or the data are one category.
    pub fn new(data: Vec<f64>, pi: Vec<f64>) -> Result<Self> {
        for (name, p) in [("data", &data), ("pi", &pi)] {
            let sum: f64 = p.iter().sum();
            if p.iter().any(|p| p.is_nan() || *p < 0.0) || (sum - 1.0).abs() > 1e-6 {
                let problem = format!("must be probabilities, 0 or more, that sum to 1, got a sum of {sum}");
                return Err(Error::invalid(problem).with_field(name));
            }
        }
        if data.len() != pi.len() {
            let problem =
                format!("must have one probability per category of the data ({}), got {}", data.len(), pi.len());
            return Err(Error::invalid(problem).with_field("pi"));
        }
        let made = Self { data, pi };
        if made.information(1.0.into()).value < 1e-12 {
            return Err(Error::invalid("must have two or more categories: data of one have no information to lose")
                .with_field("data"));
        }
        Ok(made)
    }
    /// The schedule for data with frequencies `data` and a uniform stationary distribution.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn uniform(data: Vec<f64>) -> Result<Self> {
        let k = data.len();
        Self::new(data, vec![1.0 / k as f64; k])
    }

    /// Mutual information I(x_t; x) in nats at survival probability `a`.
    pub fn information(&self, a: Dual) -> Dual {
        let log = |q: Dual, p: Dual| if q.value <= 0.0 { 0.0.into() } else { q * (q / p).ln() };
        let corrupted = 1.0 - a;
        let ends = |(p, pi): (&f64, &f64)| a * *p + corrupted * *pi;
        // Σ_y as if every category were corrupted, and the difference where y = x.
        let both = || self.data.iter().zip(&self.pi);
        let all = both().fold(Dual::from(0.0), |sum, (p, pi)| sum + log(corrupted * *pi, ends((p, pi))));
        both().filter(|(p, _)| **p > 0.0).fold(all, |sum, (p, pi)| {
            let end = ends((p, pi));
            sum + (log(a + corrupted * *pi, end) - log(corrupted * *pi, end)) * *p
        })
    }
}
impl Survival for MutualInformation {
    fn survival(&self, t: Dual) -> Dual {
        let whole = self.information(1.0.into()).value;
        let goal = (1.0 - t.value) * whole;
        if goal >= whole {
            return Dual { value: 1.0, slope: 0.0 };
        }
        let (low, _) = bisect(|a| self.information(a.into()).value <= goal);
        // At t = 1 the information is flat in a, and the slope of its inverse infinite.
        let rise = self.information(Dual::time(low)).slope.max(1e-9 * whole);
        Dual { value: low, slope: -whole / rise * t.slope }
    }
}
