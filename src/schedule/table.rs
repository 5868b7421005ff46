//! Discrete-time schedules β₁ … β_T, continuous between their steps.
//!
//! [`Table`] holds the βs. The other types hold the parameters of a published table, as a recipe gives them, and compute the
//! table when it is first used: `beta` has those that define β, `signal` those that define ᾱ, `listed` a list of numbers.
//!
//! Their constructors do not fail, so that `Cosine::new(1000)` is all that it takes: parameters are checked where everything that
//! takes a schedule checks it, before the first step ([`Schedule::check`]). Until then parameters that define no table give NaN.
use super::{Scales, Schedule, Survival};
use crate::{
    dual::Dual,
    error::{Error, Result},
};

mod beta;
mod lazy;
mod listed;
mod signal;
pub use beta::{Constant, Jsd, Linear, ScaledLinear, Sigmoid};
pub use listed::{Listed, Quantity};
pub use signal::{Cosine, Laplace, Polynomial, SigmoidSignal, Sqrt};

/// Maximum number of steps of a table.
const MOST: usize = 10_000_000;

/// Table β₁ … β_T as the variance-preserving process whose rate is constant between grid points.
///
/// `ᾱ_i = ∏_{j ≤ i} (1 − β_j)`, `α(i/T) = √ᾱ_i` to rounding, `σ = √(1 − α²)`; ln α is piecewise linear in between, except for a
/// last step of β_T = 1, in which α itself goes to 0 linearly. So a network trained on the T steps can be sampled at any timesteps
/// by any solver. Of categories, β_i is the probability that step i resamples a category, and ᾱ the survival probability.
///
/// Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>.
#[doc(alias("betas", "trained_betas", "alphas_cumprod"))]
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    log: Vec<f64>, // ln ᾱ at 0, 1/T, …, 1
}

impl Table {
    /// The table of `betas`.
    ///
    /// # Errors
    ///
    /// If the list is empty, or an entry is not in (0, 1). The last may be 1, which leaves no signal at t = 1.
    pub fn new(betas: impl IntoIterator<Item = f64>) -> Result<Self> {
        let mut log = vec![0.0];
        for (i, beta) in betas.into_iter().enumerate() {
            if i == MOST {
                return Err(Error::invalid(format!("a table must have at most {MOST} steps"))
                    .with_remedy("take a schedule of continuous time, which has no limit"));
            }
            let erased = log[i] == f64::NEG_INFINITY;
            if erased || !(beta > 0.0 && beta <= 1.0) {
                let (step, beta) = if erased { (i, 1.0) } else { (i + 1, beta) };
                return Err(Error::invalid(format!(
                    "β must be in (0, 1), or 1 at the last step, but step {step} of the table has β = {beta}"
                )));
            }
            log.push(log[i] + (-beta).ln_1p());
        }
        if log.len() == 1 {
            return Err(Error::invalid("a table must have one step or more, got no β"));
        }
        Ok(Self { log })
    }

    /// The table of `β_i = 1 − ᾱ(i/T) / ᾱ((i−1)/T)`, each at most `clip`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[doc(alias = "betas_for_alpha_bar")]
    pub fn from_signal(steps: usize, clip: f64, bar: impl Fn(f64) -> f64) -> Result<Self> {
        let at = |i: usize| bar(i as f64 / steps as f64);
        // Not `min`, which would turn NaN into `clip`.
        let clipped = |beta: f64| if beta > clip { clip } else { beta };
        Self::new((0..steps).map(|i| clipped(1.0 - at(i + 1) / at(i))))
    }

    /// The number of steps T.
    pub fn len(&self) -> usize {
        self.log.len() - 1
    }
    /// Always false: a table has one step or more.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// ᾱ_i for i in 0..=T, with ᾱ₀ = 1.
    #[doc(alias = "alphas_cumprod")]
    pub fn alpha_bar(&self, i: usize) -> f64 {
        self.log[i].exp()
    }
    /// β_i for i in 1..=T.
    pub fn beta(&self, i: usize) -> f64 {
        -(self.log[i] - self.log[i - 1]).exp_m1()
    }

    fn part(&self, t: Dual) -> Part {
        let place = t * self.len() as f64;
        let i = (place.value.max(0.0) as usize).min(self.len() - 1);
        let (above, below) = (self.log[i], self.log[i + 1]);
        if below == f64::NEG_INFINITY {
            return Part::Erased((1.0 - (place - i as f64)) * (0.5 * above).exp());
        }
        Part::Rate((place - i as f64) * (below - above) + above)
    }
}

/// What is linear within one step of a table.
enum Part {
    /// ln ᾱ.
    Rate(Dual),
    /// α, in a step that ends without signal.
    Erased(Dual),
}

impl Schedule for Table {
    fn alpha(&self, t: Dual) -> Dual {
        match self.part(t) {
            Part::Rate(log) => (0.5 * log).exp(),
            Part::Erased(alpha) => alpha,
        }
    }
    fn sigma(&self, t: Dual) -> Dual {
        match self.part(t) {
            // 1 − ᾱ without cancellation near t = 0.
            Part::Rate(log) => (-log.exp_m1()).sqrt(),
            Part::Erased(alpha) => ((1.0 - alpha) * (1.0 + alpha)).sqrt(),
        }
    }
    fn steps(&self) -> Option<usize> {
        Some(self.len())
    }
    fn at(&self, t: f64) -> Scales {
        // The same with half the exponentials.
        let (alpha, alpha_dot, sigma) = match self.part(Dual::time(t)) {
            Part::Rate(log) => {
                let alpha = (0.5 * log.value).exp();
                (alpha, 0.5 * alpha * log.slope, (-log.value.exp_m1()).sqrt())
            }
            Part::Erased(alpha) => (alpha.value, alpha.slope, ((1.0 - alpha.value) * (1.0 + alpha.value)).sqrt()),
        };
        let half = -alpha * alpha_dot;
        Scales { alpha, sigma, alpha_dot, sigma_dot: half / sigma, variance_dot: 2.0 * half }
    }
    fn time_at_log_snr(&self, log_snr: f64) -> f64 {
        // ln ᾱ = −ln(1 + e^(−λ)) falls from point to point, linearly.
        let log = -(-log_snr).exp().ln_1p();
        let i = self.log.partition_point(|&point| point > log).clamp(1, self.len());
        let (above, below) = (self.log[i - 1], self.log[i]);
        let share =
            if below == f64::NEG_INFINITY { -(0.5 * (log - above)).exp_m1() } else { (above - log) / (above - below) };
        ((i as f64 - 1.0 + share) / self.len() as f64).clamp(0.0, 1.0)
    }
}
impl Survival for Table {
    fn survival(&self, t: Dual) -> Dual {
        match self.part(t) {
            Part::Rate(log) => log.exp(),
            Part::Erased(alpha) => alpha * alpha,
        }
    }
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        Some([self.alpha(t), self.sigma(t)])
    }
    fn steps(&self) -> Option<usize> {
        Some(self.len())
    }
}
