//! Importance sampling of training timesteps: more frequent where losses are large.
use super::{Spacing, require, require_quantiles};
use crate::{error::Error, rng::Rng};

/// Training timesteps with the weight of each row's loss.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedTimes {
    /// The time of each row.
    pub times: Vec<f64>,
    /// The weight of each row; `None` if all are 1.
    pub weights: Option<Vec<f64>>,
    /// The stratum in which each row's loss is recorded; empty if losses are not recorded.
    pub strata: Vec<usize>,
}
impl WeightedTimes {
    /// Timesteps of weight 1.
    pub fn unweighted(times: Vec<f64>) -> Self {
        Self { times, weights: None, strata: vec![] }
    }
}

/// The last few losses in each of K equal strata of a spacing's quantiles, from which [`Importance`] computes its probabilities.
///
/// It belongs to the state of a run and is part of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct LossHistory {
    keep: usize,
    /// `keep` losses for each stratum, the latest first; NaN before there are as many.
    losses: Vec<f64>,
}
impl LossHistory {
    /// The empty history of `keep` losses in each of `strata` strata.
    pub fn new(strata: usize, keep: usize) -> Self {
        Self { keep, losses: vec![f64::NAN; strata * keep] }
    }
    /// Whether the history holds no losses at any time.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }
    /// Records the losses of rows in these strata and removes the oldest.
    pub fn record(&mut self, strata: &[usize], losses: &[f64]) {
        for (&stratum, &loss) in strata.iter().zip(losses) {
            let own = &mut self.losses[stratum * self.keep..(stratum + 1) * self.keep];
            own.rotate_right(1);
            own[0] = loss;
        }
    }
    /// √E[L²] of each stratum; `None` before each stratum has `keep` losses.
    fn sizes(&self) -> Option<Vec<f64>> {
        let full = !self.is_empty() && self.losses.iter().all(|loss| loss.is_finite());
        let size = |own: &[f64]| (own.iter().map(|loss| loss * loss).sum::<f64>() / own.len() as f64).sqrt();
        full.then(|| self.losses.chunks(self.keep).map(size).collect())
    }
    /// The recorded losses as they are written to a checkpoint: `keep` for each stratum, the latest first, NaN where there is none.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }
    /// Replaces the losses with those of a checkpoint.
    ///
    /// # Errors
    ///
    /// If they belong to a history of another size.
    pub fn with_losses(self, losses: Vec<f64>) -> Result<Self, Error> {
        if losses.len() != self.losses.len() {
            return Err(Error::invalid(format!(
                "the `times` of the run use a history of {} losses, but the checkpoint has {}",
                self.losses.len(),
                losses.len()
            ))
            .with_remedy("resume with the `times` that the run began with"));
        }
        Ok(Self { losses, ..self })
    }
}

/// Importance sampling of another spacing's timesteps, in proportion to `√E[L²]` of the last losses there, with each loss weighted
/// such that the expectation is that of the other spacing.
///
/// Stratum k of K equal strata of the quantiles has the probability `p_k = (1 − floor) √E[L_k²]/Σ √E[L²] + floor/K`, and a loss in
/// it the weight `1/(K p_k)`: `Σ p_k E[L_k]/(K p_k) = E[L]`, with the least variance of all choices of p. Before each stratum has
/// `keep` losses, all have the same probability. With `Steps(T)` and T strata this is the source's sampler.
///
/// ```
/// use tweedie::{Rng, spacing::{Importance, Spacing, Uniform}};
/// let times = Importance { strata: 2, keep: 1, ..Importance::of(Uniform::default()) };
/// let mut history = times.loss_history();
/// history.record(&[0, 1], &[1.0, 3.0]); // three times the loss in the upper half
/// let batch = times.sample_weighted(1000, &mut Rng::new(0), &history);
/// let late = batch.times.iter().filter(|t| **t > 0.5).count();
/// assert!(late.abs_diff(750) < 3);
/// assert!((batch.weights.unwrap().iter().sum::<f64>() / 1000.0 - 1.0).abs() < 0.01);
/// ```
///
/// Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.3,
/// <https://arxiv.org/abs/2102.09672>.
#[derive(Clone, Copy, Debug)]
#[doc(alias("LossSecondMomentResampler", "loss-second-moment"))]
pub struct Importance<S> {
    /// The spacing whose mean loss is estimated.
    pub spacing: S,
    /// K, the number of strata.
    pub strata: usize,
    /// The number of losses in the history of each stratum.
    #[doc(alias = "history_per_term")]
    pub keep: usize,
    /// The share of samples whose probabilities are uniform, so that every stratum is sampled now and then.
    #[doc(alias = "uniform_prob")]
    pub floor: f64,
}
impl<S> Importance<S> {
    /// Importance sampling with 100 strata, ten losses each and a floor of 0.001.
    pub fn of(spacing: S) -> Self {
        Self { spacing, strata: 100, keep: 10, floor: 1e-3 }
    }
    /// Returns the probability p_k of each stratum.
    pub fn probabilities(&self, history: &LossHistory) -> Vec<f64> {
        let uniform = (self.strata as f64).recip();
        let sizes = history.sizes().unwrap_or_default();
        let total: f64 = sizes.iter().sum();
        let share = |k: usize| if total > 0.0 { sizes[k] / total } else { uniform };
        (0..self.strata).map(|k| (1.0 - self.floor) * share(k) + self.floor * uniform).collect()
    }
}
impl<S: Spacing> Spacing for Importance<S> {
    fn quantile(&self, u: f64) -> f64 {
        self.spacing.quantile(u)
    }
    fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        self.spacing.sample(n, rng)
    }
    fn sample_weighted(&self, n: usize, rng: &mut Rng, history: &LossHistory) -> WeightedTimes {
        let p = self.probabilities(history);
        let below: Vec<f64> = std::iter::once(0.0)
            .chain(p.iter().scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            }))
            .collect();
        // Stratified over p as other spacings are over the quantiles.
        let shift = rng.uniform();
        let place = |i: usize| {
            let u = (i as f64 + shift) / n as f64 * below[self.strata];
            let k = below.partition_point(|below| *below <= u).clamp(1, self.strata) - 1;
            let within = ((u - below[k]) / p[k]).clamp(0.0, 1.0);
            (k, (k as f64 + within) / self.strata as f64)
        };
        let (strata, quantiles): (Vec<usize>, Vec<f64>) = rng.permutation(n).into_iter().map(place).unzip();
        WeightedTimes {
            times: quantiles.into_iter().map(|u| self.spacing.quantile(u.max(f64::MIN_POSITIVE))).collect(),
            weights: Some(strata.iter().map(|&k| (self.strata as f64 * p[k]).recip()).collect()),
            strata,
        }
    }
    fn by_quantiles(&self) -> bool {
        false
    }
    fn loss_history(&self) -> LossHistory {
        LossHistory::new(self.strata, self.keep)
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.spacing.grid(n)
    }
    fn check(&self) -> Result<(), Error> {
        self.spacing.check()?;
        require_quantiles("importance sampling", &self.spacing)?;
        for (field, count) in [("strata", self.strata), ("keep", self.keep)] {
            require(count > 0, field, || "must be at least 1, got 0".into())?;
        }
        require(self.strata.saturating_mul(self.keep) <= 10_000_000, "strata", || {
            format!("must have at most 10 million losses, got {} strata of {} (`keep`)", self.strata, self.keep)
        })?;
        require(self.floor > 0.0 && self.floor <= 1.0, "floor", || format!("must be in (0, 1], got {}", self.floor))
    }
}
