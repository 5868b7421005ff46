//! Spacings that are defined by noise levels, which a schedule converts to times.
use super::{Spacing, positive, require};
use crate::{error::Error, schedule::Schedule, special::normal_series_quantile};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A distribution of noise levels `r = σ/α`, given by its quantile function.
pub trait Levels: Debug + Send + Sync {
    /// The quantile function: the level below which the fraction `u` of the levels lies.
    fn level(&self, u: f64) -> f64;

    /// The spacing of the times at which `schedule` has these levels.
    fn on<S: Schedule>(self, schedule: S) -> LevelSpacing<Self, S>
    where
        Self: Sized,
    {
        let end = |t: f64| {
            let c = schedule.at(t);
            c.sigma / c.alpha
        };
        let (least, most) = (end(0.0), end(1.0));
        // The quantile of a level, clamped to [0, 1]; a level that equals an end's up to rounding is that end's.
        let quantile = |level: f64| {
            let (mut low, mut high) = (0.0_f64, 1.0_f64);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if self.level(middle) < level { low = middle } else { high = middle }
            }
            0.5 * (low + high)
        };
        let from = if self.level(0.0) >= least * (1.0 - 1e-9) { 0.0 } else { quantile(least) };
        let to = if self.level(1.0) <= most * (1.0 + 1e-9) { 1.0 } else { quantile(most) };
        LevelSpacing { levels: self, schedule, span: [from, to.max(from)] }
    }

    /// Whether a grid contains the smallest level before 0, or 0 in its place. Default: it does.
    fn visits_least(&self) -> bool {
        true
    }

    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// If a parameter is out of its range.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The times at which a schedule has the given noise levels, restricted to the levels that the schedule reaches.
///
/// ```
/// use tweedie::{schedule::{FlowMatching, Schedule}, spacing::{Karras, Levels, Spacing}};
/// let grid = Karras { min: 0.01, max: 100.0, rho: 7.0 }.on(FlowMatching {}).grid(10);
/// let c = FlowMatching {}.at(grid[9]);
/// assert!((c.sigma / c.alpha - 0.01).abs() < 1e-9 && grid[10] == 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct LevelSpacing<L, S> {
    levels: L,
    schedule: S,
    /// The quantiles of the smallest and of the largest level that the schedule has.
    span: [f64; 2],
}
impl<L: Levels, S: Schedule> Spacing for LevelSpacing<L, S> {
    fn quantile(&self, u: f64) -> f64 {
        let [from, to] = self.span;
        self.schedule.time_at_log_snr(-2.0 * self.levels.level(from + u * (to - from)).ln()).clamp(0.0, 1.0)
    }
    /// The times of n levels from the largest to the smallest, and 0; of n + 1 levels if the smallest is the schedule's own at
    /// t = 0, or if 0 takes its place.
    fn grid(&self, n: usize) -> Vec<f64> {
        let last = if self.quantile(0.0) <= 1e-12 || !self.levels.visits_least() { n } else { n.saturating_sub(1) };
        let part = |i: usize| if last == 0 { 1.0 } else { i as f64 / last as f64 };
        let mut grid: Vec<f64> = (0..=last).rev().take(n).map(|i| self.quantile(part(i))).collect();
        grid.push(0.0);
        grid
    }
    fn check(&self) -> Result<(), Error> {
        self.levels.check()?;
        let [from, to] = self.span;
        if from + 1e-9 < to {
            return Ok(());
        }
        let (c, d) = (self.schedule.at(0.0), self.schedule.at(1.0));
        Err(Error::invalid(format!(
            "the noise levels {:.3} to {:.3} are outside of the schedule's, {:.3} to {:.3}",
            self.levels.level(0.0),
            self.levels.level(1.0),
            c.sigma / c.alpha,
            d.sigma / d.alpha
        )))
    }
}

/// Checks that 0 < min < max.
fn require_range(min: f64, max: f64) -> Result<(), Error> {
    require(positive(min), "min", || format!("must be a positive noise level, got {min}"))?;
    require(min < max && max.is_finite(), "max", || {
        format!("must be a finite noise level above min = {min}, got {max}")
    })
}

/// The smallest and the largest noise level σ/α at which a schedule is trained: those of the first step, or of t = 0 in continuous
/// time, and of t = 1. EDM's 0.002 takes the place of 0, and its 80 that of levels beyond 1000, at which the data are not visible.
pub fn level_range(schedule: &dyn Schedule) -> [f64; 2] {
    let level = |t: f64| {
        let c = schedule.at(t);
        c.sigma / c.alpha
    };
    let (least, most) = (level(schedule.steps().map_or(0.0, |steps| (steps as f64).recip())), level(1.0));
    [if least > 0.0 { least } else { 0.002 }, if most <= 1000.0 { most } else { 80.0 }]
}

/// Karras levels, uniform in the ρ-th root: `r = (min^(1/ρ) + u (max^(1/ρ) − min^(1/ρ)))^ρ`. Default: EDM's constants.
///
/// Karras et al. (2022), eq. 5, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Karras {
    /// The smallest level.
    pub min: f64,
    /// The largest level.
    pub max: f64,
    /// The exponent ρ. Default: 7.
    pub rho: f64,
}
impl Default for Karras {
    fn default() -> Self {
        Self { min: 0.002, max: 80.0, rho: 7.0 }
    }
}
impl Levels for Karras {
    fn level(&self, u: f64) -> f64 {
        let (low, high) = (self.min.powf(self.rho.recip()), self.max.powf(self.rho.recip()));
        (low + u * (high - low)).powf(self.rho)
    }
    fn check(&self) -> Result<(), Error> {
        require_range(self.min, self.max)?;
        require(positive(self.rho), "rho", || format!("must be a positive exponent, got {}", self.rho))
    }
}

/// Levels uniform in ln(σ/α), and so in the log-SNR and in λ = ln(α/σ) of DPM-Solver: three names of one spacing.
///
/// Lu et al. (2022), section 3.4, <https://arxiv.org/abs/2206.00927>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exponential {
    /// The smallest level.
    pub min: f64,
    /// The largest level.
    pub max: f64,
}
impl Default for Exponential {
    fn default() -> Self {
        Self { min: 0.002, max: 80.0 }
    }
}
impl Levels for Exponential {
    fn level(&self, u: f64) -> f64 {
        self.min * (self.max / self.min).powf(u)
    }
    fn check(&self) -> Result<(), Error> {
        require_range(self.min, self.max)
    }
}

/// Log-normal levels, EDM's training distribution: `ln r ~ N(mean, std²)`.
///
/// Karras et al. (2022), table 1, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogNormal {
    /// Mean of ln r. Default: −1.2.
    #[doc(alias = "P_mean")]
    pub mean: f64,
    /// Standard deviation of ln r. Default: 1.2.
    #[doc(alias = "P_std")]
    pub std: f64,
}
impl Default for LogNormal {
    fn default() -> Self {
        Self { mean: -1.2, std: 1.2 }
    }
}
impl Levels for LogNormal {
    fn level(&self, u: f64) -> f64 {
        // The quantiles of 0 and 1 are infinite; the levels end four standard deviations from the mean.
        (self.mean + self.std * normal_series_quantile(u.clamp(3e-5, 1.0 - 3e-5))).exp()
    }
    fn check(&self) -> Result<(), Error> {
        require(self.mean.is_finite(), "mean", || format!("must be finite, got {}", self.mean))?;
        require(positive(self.std), "std", || format!("must be a positive number, got {}", self.std))
    }
}

/// Levels of two shifted cosine schedules, interpolated in log-SNR: for images of width `size`, with the noise of widths `low` and
/// `high`.
///
/// `ln r = ln tan(…) + ln(size/low)·u + ln(size/high)·(1 − u) + ln data_std`, with an angle uniform between those of `min` and `max`.
///
/// Hoogeboom, Heek and Salimans (2023), section 3.1, <https://arxiv.org/abs/2301.11093>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineInterpolated {
    /// The width of the images.
    pub size: f64,
    /// The width whose noise level is used at high noise.
    pub low: f64,
    /// The width whose noise level is used at low noise.
    pub high: f64,
    /// The smallest level, before the shifts.
    pub min: f64,
    /// The largest level, before the shifts.
    pub max: f64,
    /// The standard deviation of the data, a factor of all levels.
    pub data_std: f64,
}
impl Default for CosineInterpolated {
    fn default() -> Self {
        Self { size: 64.0, low: 32.0, high: 64.0, min: 1e-3, max: 1e3, data_std: 1.0 }
    }
}
impl Levels for CosineInterpolated {
    fn level(&self, u: f64) -> f64 {
        let (from, to) = (self.min.atan(), self.max.atan());
        let plain = (from + u * (to - from)).tan();
        plain * (self.size / self.low).powf(u) * (self.size / self.high).powf(1.0 - u) * self.data_std
    }
    fn check(&self) -> Result<(), Error> {
        require_range(self.min, self.max)?;
        require(positive(self.data_std), "data_std", || format!("must be a positive number, got {}", self.data_std))?;
        for (field, width) in [("size", self.size), ("low", self.low), ("high", self.high)] {
            require(positive(width), field, || format!("must be a positive image width, got {width}"))?;
        }
        Ok(())
    }
}

/// The levels of "Align Your Steps", optimized for one model each: eleven, for ten steps, the last of which ends at 0 in place of
/// the smallest level. Levels for another number of steps are interpolated in ln r.
///
/// Sabour, Fidler and Kreis, "Align Your Steps: Optimizing Sampling Schedules in Diffusion Models" (2024),
/// <https://arxiv.org/abs/2404.14507>; the figures of its supplementary page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlignYourSteps {
    /// Stable Diffusion 1.5.
    #[default]
    StableDiffusion,
    /// Stable Diffusion XL.
    StableDiffusionXl,
    /// Stable Video Diffusion.
    StableVideo,
}
impl Levels for AlignYourSteps {
    fn level(&self, u: f64) -> f64 {
        let table: [f64; 11] = match self {
            Self::StableDiffusion => [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
            Self::StableDiffusionXl => [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029],
            Self::StableVideo => [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002],
        };
        let place = (1.0 - u).clamp(0.0, 1.0) * 10.0;
        let i = (place as usize).min(9);
        (table[i].ln() + (place - i as f64) * (table[i + 1] / table[i]).ln()).exp()
    }
    fn visits_least(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{AlignYourSteps, Levels};
    use crate::{
        schedule::{Schedule, VarianceExploding},
        spacing::Spacing,
    };

    #[test]
    fn ten_aligned_steps_are_those_of_the_table() {
        let schedule = VarianceExploding { sigma_min: 0.01, sigma_max: 20.0 };
        let grid = AlignYourSteps::StableDiffusion.on(schedule).grid(10);
        let table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152];
        for (t, level) in grid.iter().zip(table) {
            let c = schedule.at(*t);
            assert!((c.sigma / c.alpha / level - 1.0).abs() < 1e-9, "{} for {level}", c.sigma / c.alpha);
        }
        assert_eq!((grid.len(), grid[10]), (11, 0.0));
    }
}
