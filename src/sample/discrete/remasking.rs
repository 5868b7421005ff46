//! Remasking: entries are masked again, so that they can be sampled again.
use super::{
    absorbing_of, clean_probabilities, corrupted, extent, read_categories, require_absorbing, sample_categories,
    time_of_survival, write_categories,
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    sample::{Sampler, TimeStep, sampler::require},
    schedule::Survival,
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The probability σ that an unmasked entry is masked again, out of the largest possible: `σ ≤ min(1, (1 − ᾱ_s)/ᾱ_t)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Remask {
    /// σ = min(η, largest).
    #[default]
    Cap,
    /// σ = η · largest.
    Rescale,
}

/// Remasking diffusion (ReMDM): unmasks more than the posterior does, and masks as much again, so that q(x_s) stays the
/// same.
///
/// ```text
/// q(x_s | x_t, x) = (1 − σ) x_t + σ mask                           if x_t is unmasked
///                 = p x + (1 − p) mask                             if x_t is the mask
/// p               = [ᾱ_s − (1 − σ) ᾱ_t]/(1 − ᾱ_t)
/// ```
///
/// `from` and `until` bound the times at which σ > 0. With `hold` the trajectory loops: it goes down to ᾱ = `hold` by
/// `from`, stays there, remasking, until `until`, and goes down from there; the time of a point of the trajectory is
/// then not its noise's. With η = 0 it is [`Analytic`](super::Analytic). One network evaluation per step.
///
/// ```
/// use tweedie::sample::{Remask, Remasking};
/// let often = Remasking { eta: 0.1, ..Remasking::default() };
/// let looping = Remasking { from: 0.55, until: 0.05, hold: Some(0.9), ..often };
/// assert_eq!(looping.rule, Remask::Cap);
/// ```
///
/// Wang et al., "Remasking Discrete Diffusion Models with Inference-Time Scaling" (2025), section 4,
/// <https://arxiv.org/abs/2503.00307>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "ReMDM")]
pub struct Remasking {
    /// How σ follows from η. Default: cap.
    pub rule: Remask,
    /// η ∈ [0, 1]. Default: 0.02.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub eta: f64,
    /// The time below which there is remasking. Default: 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub from: f64,
    /// The time above which there is. Default: 0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub until: f64,
    /// ᾱ between the two: the loop. In the source it is 0.9 from 0.55 until 0.05. Default: no loop.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub hold: Option<f64>,
}
impl Default for Remasking {
    fn default() -> Self {
        Self { rule: Remask::Cap, eta: 0.02, from: 1.0, until: 0.0, hold: None }
    }
}
impl Remasking {
    /// The noise's time at a time of the trajectory.
    fn noise_time(self, schedule: &dyn Survival, t: f64) -> f64 {
        let Some(hold) = self.hold else { return t };
        let held = time_of_survival(schedule, hold);
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
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_absorbing(self, noise)?;
        let Self { eta, from, until, hold, .. } = *self;
        require((0.0..=1.0).contains(&eta), "eta", || format!("must be within [0, 1], got {eta}"))?;
        let times = || format!("must be within 0 ≤ until < from ≤ 1, got {until} and from = {from}");
        require(0.0 <= until && until < from && from <= 1.0, "until", times)?;
        let Some(hold) = hold else { return Ok(()) };
        require(0.0 < hold && hold < 1.0, "hold", || format!("must be between 0 and 1, got {hold}"))?;
        let within = || format!("needs 0 < until < from < 1, got until = {until} and from = {from}");
        require(from < 1.0 && until > 0.0, "hold", within)
            .map_err(|error| error.with_remedy("in the source hold, until and from are 0.9, 0.05 and 0.55"))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, TimeStep { t, s, .. }: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let (noise, mask) = absorbing_of(model);
        let (from, to) = (self.noise_time(noise.schedule, t), self.noise_time(noise.schedule, s));
        let (hidden, left) = (corrupted(noise.schedule, from), corrupted(noise.schedule, to));
        // (1 − ᾱ_s)/ᾱ_t; at ᾱ_t = 0 nothing is unmasked that could be masked.
        let most = if left < 1.0 - hidden { left / (1.0 - hidden) } else { f64::from(left > 0.0) };
        let sigma = match self.rule {
            _ if !(self.until < t && t <= self.from) => 0.0,
            Remask::Cap => most.min(self.eta),
            Remask::Rescale => most * self.eta,
        };
        let shown = if left == 0.0 { 1.0 } else { (1.0 - left - (1.0 - sigma) * (1.0 - hidden)) / hidden };
        let sampled = sample_categories(clean_probabilities(model, &z, &[from], Some(mask)), rng);
        let (rows, width) = extent(&z);
        let u = rng.uniforms(rows, width);
        let mut entries = read_categories(&z);
        for (i, entry) in entries.iter_mut().enumerate() {
            match *entry == mask {
                true if u[i] < shown => *entry = sampled[i],
                false if u[i] < sigma => *entry = mask,
                _ => {}
            }
        }
        write_categories(&entries, &z)
    }
}
