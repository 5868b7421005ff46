//! Restart: back up with fresh noise, and down again.
use super::{Past, Sampler, fresh, ode::heun, path};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// [`Heun`](super::Heun)'s steps; the one that passes `σ/α = low` stops there for `repeats` rounds of fresh noise up to `high`
/// and `steps` steps, even in ln(σ/α), down again, so that errors made above are forgotten, and then goes the rest of its way.
///
/// A schedule that ends below `high` is raised to its end, and one that ends below `low` or stays above it never restarts. The
/// step that does asks `2 repeats·steps + 2` times more than it would have, or `2 repeats·steps` where it ends at `low`, so a
/// walk of n steps asks 2 n + 2 repeats·steps + 2 times at most. The steps of a round are as many in a long walk as in a short
/// one: their error does not vanish.
///
/// Xu et al., "Restart Sampling for Improving Generative Processes" (2023), algorithm 1, <https://arxiv.org/abs/2306.14878>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restart {
    /// σ/α from which the noise is raised.
    pub low: f64,
    /// σ/α to which it is raised.
    pub high: f64,
    /// K, how often.
    pub repeats: usize,
    /// The steps of one round.
    pub steps: usize,
}
impl Default for Restart {
    fn default() -> Self {
        Self { low: 0.06, high: 0.30, repeats: 2, steps: 3 }
    }
}
impl<const D: usize> Sampler<D> for Restart {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let path = path(model);
        let (from, to) = (path.at(t), path.at(s));
        let (above, below) = (from.sigma / from.alpha, to.sigma / to.alpha);
        if !(below <= self.low && self.low < above) {
            return heun(model, z, (t, from), (s, to));
        }
        let time = |ratio: f64| path.time_at_log_snr(-2.0 * ratio.ln());
        let end = path.at(1.0);
        let raised = self.high.min(end.sigma / end.alpha);
        let (low, high) = (time(self.low), time(raised));
        let (bottom, top) = (path.at(low), path.at(high));
        let mut z = heun(model, z, (t, from), (low, bottom));
        let kept = top.alpha / bottom.alpha;
        let added = (top.sigma.powi(2) - (kept * bottom.sigma).powi(2)).max(0.0).sqrt();
        for _ in 0..self.repeats {
            let noise = fresh(rng, &z);
            z = combine!([(kept, z), (added, noise)]);
            let mut here = (high, top);
            for i in 1..=self.steps {
                let next = if i == self.steps {
                    low
                } else {
                    time(raised * (self.low / raised).powf(i as f64 / self.steps as f64))
                };
                let next = (next, path.at(next));
                z = heun(model, z, here, next);
                here = next;
            }
        }
        if s < low { heun(model, z, (low, bottom), (s, to)) } else { z }
    }
    fn order(&self) -> Option<usize> {
        (self.repeats == 0).then_some(2)
    }
    /// Of all steps but the one that restarts.
    fn calls(&self) -> usize {
        2
    }
    fn weak_order(&self) -> usize {
        2
    }
    /// Heun's error in a round of steps h long in ln(σ/α), at the data's worst variance: 0.22 to 0.27 h² for small h.
    fn bias(&self) -> f64 {
        let square = ((self.high / self.low).ln() / self.steps as f64).powi(2);
        if self.repeats == 0 { 0.0 } else { 0.3 * square * (1.0 + 0.5 * square) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if 0.0 < self.low && self.low < self.high && self.high.is_finite() && self.steps > 0 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "restart raises the noise from low to high in one step or more, so 0 < low < high, but low = {}, high = {}, steps = {}",
            self.low, self.high, self.steps
        )))
    }
}
