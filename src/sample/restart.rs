//! Restart: back up with fresh noise, and down again.
use super::{Past, Sampler, fresh, ode::heun, path};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// [`Heun`](super::Heun)'s steps; the step that reaches `σ/α = low` is followed by `repeats` rounds of fresh noise up to
/// `high` and `steps` steps, even in ln(σ/α), down again, so that errors made above are forgotten.
///
/// Xu et al., "Restart Sampling for Improving Generative Processes" (2023), algorithm 1, <https://arxiv.org/abs/2306.14878>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
        let time = |ratio: f64| path.time(-2.0 * ratio.ln());
        let (low, high) = (time(self.low), time(self.high));
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
                    time(self.high * (self.low / self.high).powf(i as f64 / self.steps as f64))
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
    fn calls(&self) -> usize {
        2
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        super::gaussian(self, noise)?;
        if 0.0 < self.low && self.low < self.high && self.high.is_finite() && self.steps > 0 {
            return Ok(());
        }
        Err(Error::Unfit(format!(
            "restart raises the noise from low to high in one step or more, so 0 < low < high, but low = {}, high = {}, steps = {}",
            self.low, self.high, self.steps
        )))
    }
}
