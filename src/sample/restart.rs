//! Restart: back up with fresh noise, and down again.
use super::{
    Properties, Sampler, TimePoint, TimeStep, Variable, gaussian_schedule, noise_like, ode::heun, require_gaussian,
    sampler::require,
};
use crate::{denoise::Denoiser, error::Result, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// [`Heun`](super::Heun)'s steps; the one that passes `σ/α = low` stops there for `repeats` rounds of fresh noise up to
/// `high` and `steps` steps, uniform in ln(σ/α), down again, which reduces earlier errors, and then continues to its
/// end.
///
/// ```text
/// repeat: x ← x + √(high² − low²) ξ, then Heun's steps from high to low      (α = 1)
/// ```
///
/// If a schedule ends below `high`, noise is raised to its end; if it ends below `low` or stays above it, there is no
/// restart. The step with the restart takes `2 repeats·steps + 2` more network evaluations than Heun's two, or `2
/// repeats·steps` if it ends at `low`, so a trajectory of n steps takes 2 n + 2 repeats·steps + 2 at most. The steps of
/// a round are as many in a long trajectory as in a short one: their error is a bias. Weak order 2, order 2 without
/// rounds.
///
/// ```
/// use tweedie::sample::{Restart, Sampler};
/// let none = Restart { repeats: 0, ..Restart::default() };
/// assert_eq!(Sampler::<4>::properties(&none).order, Some(2));
/// ```
///
/// Xu et al., "Restart Sampling for Improving Generative Processes" (2023), algorithm 1, <https://arxiv.org/abs/2306.14878>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restart {
    /// t_min as σ/α, from which the noise is raised. Default: 0.06.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub low: f64,
    /// t_max as σ/α, to which it is raised. Default: 0.3.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub high: f64,
    /// K, the number of rounds. Default: 2.
    pub repeats: usize,
    /// The steps of one round. Default: 3.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// The integration variable of Heun's steps; in the source, ratio. Default: angle.
    pub variable: Variable,
}
impl Default for Restart {
    fn default() -> Self {
        Self { low: 0.06, high: 0.30, repeats: 2, steps: 3, variable: Variable::Angle }
    }
}
impl<const D: usize> Sampler<D> for Restart {
    fn properties(&self) -> Properties {
        // Heun's error in a round of steps h long in ln(σ/α), at the data's worst variance: 0.22 to 0.27 h² for small
        // h.
        let square = ((self.high / self.low).ln() / self.steps as f64).powi(2);
        let bias = if self.repeats == 0 { 0.0 } else { 0.3 * square * (1.0 + 0.5 * square) };
        // The network evaluations are those of all steps but the one with the restart.
        Properties { order: (self.repeats == 0).then_some(2), bias, ..Properties::sde(2, 2) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        let Self { low, high, steps, .. } = *self;
        require(0.0 < low && low < high, "low", || {
            format!("must be within 0 < low < high, got {low} and high = {high}")
        })?;
        require(high.is_finite(), "high", || format!("must be finite, got {high}"))?;
        require(steps > 0, "steps", || format!("must be 1 or more, got {steps}"))
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.variable.unfit(noise.path()?, times)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (from, to) = at.ends(schedule);
        if !(to.ratio() <= self.low && self.low < from.ratio()) {
            return heun(self.variable, model, z, from, to);
        }
        let point = |ratio: f64| TimePoint::new(schedule, schedule.time_at_log_snr(-2.0 * ratio.ln()));
        let high = self.high.min(TimePoint::new(schedule, 1.0).ratio());
        let (bottom, top) = (point(self.low), point(high));
        let mut z = heun(self.variable, model, z, from, bottom);
        let alpha_ratio = top.scales.alpha / bottom.scales.alpha;
        let added = (top.scales.sigma.powi(2) - (alpha_ratio * bottom.scales.sigma).powi(2)).max(0.0).sqrt();
        for _ in 0..self.repeats {
            let xi = noise_like(rng, &z);
            z = combine!([(alpha_ratio, z), (added, xi)]);
            let mut here = top;
            for i in 1..=self.steps {
                let share = i as f64 / self.steps as f64;
                let next = if i == self.steps { bottom } else { point(high * (self.low / high).powf(share)) };
                z = heun(self.variable, model, z, here, next);
                here = next;
            }
        }
        if at.s < bottom.t { heun(self.variable, model, z, bottom, to) } else { z }
    }
}
