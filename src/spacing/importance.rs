//! Training times drawn oftener where losses are large.
use super::{Spacing, demand, demand_quantiles};
use crate::{error::Error, rng::Rng};

/// Training times, and what each row's loss counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// A time for each row.
    pub times: Vec<f64>,
    /// A weight for each row; none where all are 1.
    pub weights: Option<Vec<f64>>,
    /// The stratum that each row's loss is remembered under; empty where none is.
    pub strata: Vec<usize>,
}
impl Drawn {
    /// Times whose losses count alike.
    pub fn plain(times: Vec<f64>) -> Self {
        Self { times, weights: None, strata: vec![] }
    }
}

/// The last few losses in each of even strata of a spacing's quantiles: what [`Importance`] draws by.
///
/// A run keeps it beside its weights; it is part of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    keep: usize,
    /// `keep` losses for each stratum, the latest first; not a number where there was none yet.
    losses: Vec<f64>,
}
impl Memory {
    /// Of `keep` losses in each of `strata`, before the first.
    pub fn new(strata: usize, keep: usize) -> Self {
        Self { keep, losses: vec![f64::NAN; strata * keep] }
    }
    /// Whether nothing is ever remembered.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }
    /// Remembers the losses of rows drawn in these strata and forgets the oldest.
    pub fn note(&mut self, strata: &[usize], losses: &[f64]) {
        for (&stratum, &loss) in strata.iter().zip(losses) {
            let own = &mut self.losses[stratum * self.keep..(stratum + 1) * self.keep];
            own.rotate_right(1);
            own[0] = loss;
        }
    }
    /// √(mean of L²) of each stratum; none before each has as many losses as are kept.
    fn sizes(&self) -> Option<Vec<f64>> {
        let full = !self.is_empty() && self.losses.iter().all(|loss| loss.is_finite());
        let size = |own: &[f64]| (own.iter().map(|loss| loss * loss).sum::<f64>() / own.len() as f64).sqrt();
        full.then(|| self.losses.chunks(self.keep).map(size).collect())
    }
    /// All that is remembered, to be written down.
    pub fn numbers(&self) -> &[f64] {
        &self.losses
    }
    /// This memory with numbers that were written down.
    ///
    /// # Errors
    ///
    /// If they are of a memory of another size.
    pub fn with_numbers(self, losses: Vec<f64>) -> Result<Self, Error> {
        demand(losses.len() == self.losses.len(), || {
            format!(
                "the run remembers {} losses to draw its times by, and the checkpoint has {}: resume with the `times` it \
                 began with",
                self.losses.len(),
                losses.len()
            )
        })?;
        Ok(Self { losses, ..self })
    }
}

/// Another spacing's times, drawn in proportion to `√E[L²]` of the last losses there, each loss weighted so that the mean is
/// that of the other spacing.
///
/// Stratum k of K even strata of the quantiles is drawn with probability `p_k = (1 − floor) √E[L_k²]/Σ √E[L²] + floor/K`, and a
/// loss in it counts `1/(K p_k)`: `Σ p_k E[L_k]/(K p_k) = E[L]`, with the least variance that a choice of p can give. Until
/// each stratum has seen `keep` losses, all are drawn alike. With `Steps(T)` and T strata this is the source's sampler.
///
/// ```
/// use tweedie::{Rng, spacing::{Importance, Spacing, Uniform}};
/// let times = Importance { strata: 2, keep: 1, ..Importance::of(Uniform::default()) };
/// let mut seen = times.memory();
/// seen.note(&[0, 1], &[1.0, 3.0]); // the later half is three times as hard
/// let drawn = times.draw_weighted(1000, &mut Rng::new(0), &seen);
/// let late = drawn.times.iter().filter(|t| **t > 0.5).count();
/// assert!(late.abs_diff(750) < 3);
/// assert!((drawn.weights.unwrap().iter().sum::<f64>() / 1000.0 - 1.0).abs() < 0.01);
/// ```
///
/// Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.3,
/// <https://arxiv.org/abs/2102.09672>.
#[derive(Clone, Copy, Debug)]
pub struct Importance<S> {
    /// The spacing whose mean loss is wanted.
    pub spacing: S,
    /// K.
    pub strata: usize,
    /// How many losses of a stratum are remembered.
    pub keep: usize,
    /// The share of draws that ignore the losses, so that no stratum is forgotten.
    pub floor: f64,
}
impl<S> Importance<S> {
    /// With 100 strata, ten losses each and a floor of 0.001.
    pub fn of(spacing: S) -> Self {
        Self { spacing, strata: 100, keep: 10, floor: 1e-3 }
    }
    /// p of each stratum.
    pub fn probabilities(&self, seen: &Memory) -> Vec<f64> {
        let even = (self.strata as f64).recip();
        let sizes = seen.sizes().unwrap_or_default();
        let total: f64 = sizes.iter().sum();
        let share = |k: usize| if total > 0.0 { sizes[k] / total } else { even };
        (0..self.strata).map(|k| (1.0 - self.floor) * share(k) + self.floor * even).collect()
    }
}
impl<S: Spacing> Spacing for Importance<S> {
    fn at(&self, u: f64) -> f64 {
        self.spacing.at(u)
    }
    fn draw(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        self.spacing.draw(n, rng)
    }
    fn draw_weighted(&self, n: usize, rng: &mut Rng, seen: &Memory) -> Drawn {
        let p = self.probabilities(seen);
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
        Drawn {
            times: quantiles.into_iter().map(|u| self.spacing.at(u.max(f64::MIN_POSITIVE))).collect(),
            weights: Some(strata.iter().map(|&k| (self.strata as f64 * p[k]).recip()).collect()),
            strata,
        }
    }
    fn by_quantiles(&self) -> bool {
        false
    }
    fn memory(&self) -> Memory {
        Memory::new(self.strata, self.keep)
    }
    fn grid(&self, n: usize) -> Vec<f64> {
        self.spacing.grid(n)
    }
    fn check(&self) -> Result<(), Error> {
        self.spacing.check()?;
        demand_quantiles("importance's", &self.spacing)?;
        let losses = self.strata.saturating_mul(self.keep);
        demand((1..=10_000_000).contains(&losses), || {
            format!(
                "importance remembers 1 loss or more in 1 stratum or more, and 10 million at most, but keep = {} and strata = {}",
                self.keep, self.strata
            )
        })?;
        demand(self.floor > 0.0 && self.floor <= 1.0, || {
            format!("the floor of importance is a share in (0, 1], not {}", self.floor)
        })
    }
}
