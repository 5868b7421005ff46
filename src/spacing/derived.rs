//! Spacings that are derived from another.
use super::{LossHistory, Spacing, WeightedTimes, positive, require, require_quantiles};
use crate::{error::Error, rng::Rng};

/// Timesteps shifted towards the noise, `t ← factor t/(1 + (factor − 1) t)`, which multiplies σ/α of [`FlowMatching`] by the factor.
///
/// Esser et al. (2024), section 5.3.2, <https://arxiv.org/abs/2403.03206>.
///
/// [`FlowMatching`]: crate::schedule::FlowMatching
#[derive(Clone, Copy, Debug)]
pub struct ShiftedSpacing<S> {
    /// The spacing that is shifted.
    pub spacing: S,
    /// The shift factor: 3 for images of a megapixel in the source.
    #[doc(alias = "shift")]
    pub factor: f64,
}
impl<S: Spacing> Spacing for ShiftedSpacing<S> {
    fn quantile(&self, u: f64) -> f64 {
        self.shift(self.spacing.quantile(u))
    }
    fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        self.spacing.sample(n, rng).into_iter().map(|t| self.shift(t)).collect()
    }
    fn sample_weighted(&self, n: usize, rng: &mut Rng, history: &LossHistory) -> WeightedTimes {
        let inner = self.spacing.sample_weighted(n, rng, history);
        WeightedTimes { times: inner.times.into_iter().map(|t| self.shift(t)).collect(), ..inner }
    }
    fn by_quantiles(&self) -> bool {
        self.spacing.by_quantiles()
    }
    fn loss_history(&self) -> LossHistory {
        self.spacing.loss_history()
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.spacing.grid(n).into_iter().map(|t| self.shift(t)).collect()
    }
    fn check(&self) -> Result<(), Error> {
        self.spacing.check()?;
        require(positive(self.factor), "factor", || format!("must be a positive number, got {}", self.factor))
    }
}
impl<S> ShiftedSpacing<S> {
    fn shift(&self, t: f64) -> f64 {
        self.factor * t / (1.0 + (self.factor - 1.0) * t)
    }
}

/// Antithetic pairs of training timesteps: row 2i + 1 has the quantile 1 − u where row 2i has u.
#[derive(Clone, Copy, Debug)]
pub struct Antithetic<S>(pub S);
impl<S: Spacing> Spacing for Antithetic<S> {
    fn quantile(&self, u: f64) -> f64 {
        self.0.quantile(u)
    }
    fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        let u = rng.uniforms(n.div_ceil(2), 1);
        (0..n).map(|i| self.0.quantile(if i % 2 == 0 { u[i / 2] } else { 1.0 - u[i / 2] })).collect()
    }
    fn by_quantiles(&self) -> bool {
        false
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.0.grid(n)
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()?;
        require_quantiles("antithetic", &self.0)
    }
}

/// Independent training timesteps, as most programs sample them. The other spacings stratify a batch.
#[derive(Clone, Copy, Debug)]
pub struct Independent<S>(pub S);
impl<S: Spacing> Spacing for Independent<S> {
    fn quantile(&self, u: f64) -> f64 {
        self.0.quantile(u)
    }
    fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        rng.uniforms(n, 1).into_iter().map(|u| self.0.quantile(u)).collect()
    }
    fn by_quantiles(&self) -> bool {
        false
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.0.grid(n)
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()?;
        require_quantiles("independent", &self.0)
    }
}
