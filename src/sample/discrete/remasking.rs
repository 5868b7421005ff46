//! Masks come back, so that what was drawn early can be drawn again.
use super::{Past, Sampler, absorbing, draw, extent, guess, known, lost, read, when, write};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng, schedule::Survival};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How often what is revealed is masked again, out of the most that can be: `σ ≤ min(1, (1 − α_s)/α_t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Remask {
    /// σ = min(η, most).
    #[default]
    Cap,
    /// σ = η · most.
    Rescale,
}

/// Reveals more than the posterior does, and masks as much again, so that q(x_s) is what it was:
///
/// ```text
/// q(x_s | x_t, x) = (1 − σ) x_t + σ mask                                       where x_t is revealed
///                 = [α_s − (1 − σ) α_t] x/(1 − α_t) + the rest of 1 on the mask   where x_t is the mask
/// ```
///
/// `from` and `until` bound the times at which σ > 0. With `hold` the walk loops: it goes down to α = `hold` by `from`,
/// stays there, remasking, until `until`, and goes down from there; the time of a point of the walk is then not its
/// noise's. With η = 0 it is [`Analytic`](super::Analytic).
///
/// Wang et al., "Remasking Discrete Diffusion Models with Inference-Time Scaling" (2025), section 4,
/// <https://arxiv.org/abs/2503.00307>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Remasking {
    /// How σ is made of η.
    pub rule: Remask,
    /// η ∈ [0, 1].
    pub eta: f64,
    /// The time below which there is remasking.
    pub from: f64,
    /// The time above which there is.
    pub until: f64,
    /// α in between: the loop. In the source it is 0.9 from 0.55 until 0.05.
    pub hold: Option<f64>,
}
impl Default for Remasking {
    fn default() -> Self {
        Self { rule: Remask::Cap, eta: 0.02, from: 1.0, until: 0.0, hold: None }
    }
}
impl Remasking {
    /// The noise's time at a time of the walk.
    fn clock(self, schedule: &dyn Survival, t: f64) -> f64 {
        let Some(hold) = self.hold else { return t };
        let held = when(schedule, hold);
        if t > self.from {
            held + (t - self.from) / (1.0 - self.from) * (1.0 - held)
        } else if t >= self.until {
            held
        } else {
            held * t / self.until
        }
    }
}
impl<const D: usize> Sampler<D> for Remasking {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let (noise, mask) = known(model);
        let (from, to) = (self.clock(noise.schedule, t), self.clock(noise.schedule, s));
        let (hidden, left) = (lost(noise.schedule, from), lost(noise.schedule, to));
        // (1 − α_s)/α_t; at α_t = 0 nothing is revealed that could be masked.
        let most = if left < 1.0 - hidden { left / (1.0 - hidden) } else { f64::from(left > 0.0) };
        let sigma = match self.rule {
            _ if !(self.until < t && t <= self.from) => 0.0,
            Remask::Cap => most.min(self.eta),
            Remask::Rescale => most * self.eta,
        };
        let shown = if left == 0.0 { 1.0 } else { (1.0 - left - (1.0 - sigma) * (1.0 - hidden)) / hidden };
        let drawn = draw(guess(model, &z, &[from], Some(mask)), rng);
        let (rows, width) = extent(&z);
        let u = rng.uniforms(rows, width);
        let mut page = read(&z);
        for (i, entry) in page.iter_mut().enumerate() {
            match *entry == mask {
                true if u[i] < shown => *entry = drawn[i],
                false if u[i] < sigma => *entry = mask,
                _ => {}
            }
        }
        write(&page, &z)
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        absorbing(self, noise)?;
        let ordered = 0.0 <= self.until && self.until < self.from && self.from <= 1.0;
        if !((0.0..=1.0).contains(&self.eta) && ordered) {
            return Err(Error::invalid(format!(
                "remasking has eta within [0, 1] and 0 ≤ until < from ≤ 1, not eta = {}, until = {}, from = {}",
                self.eta, self.until, self.from
            )));
        }
        match self.hold {
            Some(hold) if !(0.0 < hold && hold < 1.0 && self.from < 1.0 && self.until > 0.0) => {
                Err(Error::invalid(format!(
                    "a remasking loop holds a probability within (0, 1) between two times of the walk, 0 < until < from < 1, \
                     not hold = {hold}, until = {}, from = {}; in the source they are 0.9, 0.05 and 0.55",
                    self.until, self.from
                )))
            }
            _ => Ok(()),
        }
    }
}
