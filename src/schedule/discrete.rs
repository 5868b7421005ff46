//! Schedules for categories: the probability of being kept, said directly as α.
use super::{Schedule, bisect};
use crate::{dual::Dual, error::Error};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// A chance of being kept that falls along a line, and its rate in the logarithm: `keep = 1 − (1 − rest) t`.
///
/// With a `rest` of 0 it is [`FlowMatching`](super::FlowMatching)'s 1 − t, which is the schedule of constant mutual information
/// lost under absorbing noise; MDLM keeps 0.001 at t = 1 so that −ln keep stays finite.
///
/// Sahoo et al. (2024), appendix D, <https://arxiv.org/abs/2406.07524>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogLinear {
    /// keep(1), 0.001 unless said otherwise.
    pub rest: f64,
}
impl Default for LogLinear {
    fn default() -> Self {
        Self { rest: 1e-3 }
    }
}
impl Schedule for LogLinear {
    fn alpha(&self, t: Dual) -> Dual {
        1.0 - t * (1.0 - self.rest)
    }
    fn check(&self) -> Result<(), Error> {
        if (0.0..1.0).contains(&self.rest) {
            return Ok(());
        }
        Err(Error::invalid(format!("the rest of `log-linear` is keep(1), from 0 to below 1, not {}", self.rest)))
    }
}

/// Few lost at first and most at the end: `keep = 1 − cos(π/2 (1 − t))`.
///
/// MaskGIT's schedule of masks: Chang et al. (2022), section 3.3, <https://arxiv.org/abs/2202.04200>; as the α of masked
/// diffusion, Shi et al. (2024), table 1, <https://arxiv.org/abs/2406.04329>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CosineMask {}
impl Schedule for CosineMask {
    fn alpha(&self, t: Dual) -> Dual {
        // 1 − cos 2x = 2 sin² x: exact where little is left.
        let sine = ((1.0 - t) * (0.5 * FRAC_PI_2)).sin();
        sine * sine * 2.0
    }
}

/// Noise that grows geometrically: `keep = exp(−σ)`, `σ(t) = min^(1 − t) max^t`.
///
/// `min` 1e-4 and `max` 20 unless said otherwise; keep(0) = e^(−min) is just below one.
///
/// Lou, Meng and Ermon (2024), section 5.1, <https://arxiv.org/abs/2310.16834>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Geometric {
    /// σ(0).
    pub min: f64,
    /// σ(1).
    pub max: f64,
}
impl Default for Geometric {
    fn default() -> Self {
        Self { min: 1e-4, max: 20.0 }
    }
}
impl Geometric {
    fn total(&self, t: Dual) -> Dual {
        (t * (self.max / self.min).ln()).exp() * self.min
    }
}
impl Schedule for Geometric {
    fn alpha(&self, t: Dual) -> Dual {
        (-self.total(t)).exp()
    }
    fn sigma(&self, t: Dual) -> Dual {
        (-(self.total(t) * -2.0).exp_m1()).sqrt()
    }
    fn check(&self) -> Result<(), Error> {
        if self.min > 0.0 && self.min < self.max && self.max.is_finite() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the noise of `geometric` rises from min to max, so 0 < min < max, but min = {} and max = {}",
            self.min, self.max
        )))
    }
}

/// The schedule along which a category loses its information at a constant rate: `I(x_t; x) = (1 − t) I(x; x)`.
///
/// `I(a) = Σ_x p_x Σ_y q(y | x) ln q(y | x)/q(y)` for `q(y | x) = a [y = x] + (1 − a) π_y` and data with frequencies p, solved for
/// a by bisection; the slope is that of the inverse function. Under absorbing noise it is 1 − t whatever the data, which
/// [`FlowMatching`](super::FlowMatching) says at no cost.
///
/// Austin et al. (2021), section 3.3 and appendix A.7, <https://arxiv.org/abs/2107.03006>.
#[derive(Clone, Debug, PartialEq)]
pub struct MutualInformation {
    data: Vec<f64>,
    pi: Vec<f64>,
}
impl MutualInformation {
    /// The schedule for data of frequencies `data` and a category redrawn from `pi`.
    ///
    /// # Errors
    ///
    /// If one is no distribution, their lengths differ, or the data are one category.
    pub fn new(data: Vec<f64>, pi: Vec<f64>) -> Result<Self, Error> {
        for (name, p) in [("frequencies of the data", &data), ("stationary vector", &pi)] {
            let sum: f64 = p.iter().sum();
            if p.iter().any(|p| p.is_nan() || *p < 0.0) || (sum - 1.0).abs() > 1e-6 {
                return Err(Error::invalid(format!(
                    "the {name} of a mutual-information schedule are no distribution: they are 0 or more and sum to one, not to {sum}"
                )));
            }
        }
        if data.len() != pi.len() {
            return Err(Error::invalid(format!(
                "the data have {} categories and the stationary vector {}",
                data.len(),
                pi.len()
            )));
        }
        let made = Self { data, pi };
        if made.information(1.0.into()).value < 1e-12 {
            return Err(Error::invalid("data of one category hold no information that could be lost evenly"));
        }
        Ok(made)
    }
    /// For data of frequencies `data` and a category redrawn from all alike.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn uniform(data: Vec<f64>) -> Result<Self, Error> {
        let k = data.len();
        Self::new(data, vec![1.0 / k as f64; k])
    }

    /// I(x_t; x) in nats where a category is kept with probability a.
    pub fn information(&self, a: Dual) -> Dual {
        let log = |q: Dual, p: Dual| if q.value <= 0.0 { 0.0.into() } else { q * (q / p).ln() };
        let lost = 1.0 - a;
        let ends = |(p, pi): (&f64, &f64)| a * *p + lost * *pi;
        // Σ_y as if all were redrawn, and what is else where y = x.
        let both = || self.data.iter().zip(&self.pi);
        let all = both().fold(Dual::from(0.0), |sum, (p, pi)| sum + log(lost * *pi, ends((p, pi))));
        both().filter(|(p, _)| **p > 0.0).fold(all, |sum, (p, pi)| {
            let end = ends((p, pi));
            sum + (log(a + lost * *pi, end) - log(lost * *pi, end)) * *p
        })
    }
}
impl Schedule for MutualInformation {
    fn alpha(&self, t: Dual) -> Dual {
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
