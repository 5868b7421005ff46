//! EDM's stochastic sampler.
use super::{
    NoiseSource, Properties, Sampler, TimePoint, TimeStep, Variable, gaussian_schedule, noise_like, ode::heun,
    require_gaussian, sampler::require,
};
use crate::{denoise::Denoiser, error::Result, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// EDM's stochastic sampler: before each of [`Heun`](super::Heun)'s steps the noise level is raised by the factor 1 +
/// γ.
///
/// ```text
/// γ = min(S_churn/N, √2 − 1) if S_tmin ≤ σ/α ≤ S_tmax, else 0
/// x̃ = x + S_noise √(σ̃² − σ²) ξ,  σ̃ = (1 + γ) σ      in units of α = 1
/// ```
///
/// N is the number of steps. The noise is never raised above that of t = 1, and if α = 0 not at all, whatever S_tmax.
/// Two network evaluations per step; weak order 2, order 2 if S_churn = 0.
///
/// ```
/// use tweedie::sample::{Churn, Properties, Sampler};
/// let churn = Churn { s_noise: 1.0, ..Churn::default() };
/// assert_eq!(Sampler::<4>::properties(&churn), Properties::sde(2, 2));
/// ```
///
/// Karras et al. (2022), algorithm 2; the defaults are its constants for CIFAR-10, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "EDMEulerScheduler")]
#[doc(alias = "KarrasVeScheduler")]
#[doc(alias = "sample_heun")]
pub struct Churn {
    /// S_churn ≥ 0, the amount of noise over all steps. Default: 30.
    #[schemars(range(min = 0.0))]
    pub s_churn: f64,
    /// S_tmin, the lowest σ/α at which noise is raised. Default: 0.01.
    pub s_tmin: f64,
    /// S_tmax, the highest. Default: 1.
    pub s_tmax: f64,
    /// S_noise, the standard deviation of ξ. Default: 1.007.
    #[schemars(range(min = 0.0))]
    pub s_noise: f64,
    /// The integration variable of Heun's steps; in the source, ratio. Default: angle.
    pub variable: Variable,
}
impl Default for Churn {
    fn default() -> Self {
        Self { s_churn: 30.0, s_tmin: 0.01, s_tmax: 1.0, s_noise: 1.007, variable: Variable::Angle }
    }
}
impl Churn {
    /// [`Sampler::step`] with given noise.
    pub fn step_with<const D: usize>(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        at: TimeStep,
        noise: &mut NoiseSource<'_, D>,
    ) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (from, to) = at.ends(schedule);
        let r = from.ratio();
        let gamma = (self.s_churn / at.count as f64).min(std::f64::consts::SQRT_2 - 1.0);
        if gamma == 0.0 || !(self.s_tmin..=self.s_tmax).contains(&r) || r.is_infinite() {
            return heun(self.variable, model, z, from, to);
        }
        let raised = TimePoint::new(schedule, schedule.time_at_log_snr(-2.0 * (r * (1.0 + gamma)).ln()));
        let alpha_ratio = raised.scales.alpha / from.scales.alpha;
        let added = (raised.scales.sigma.powi(2) - (alpha_ratio * from.scales.sigma).powi(2)).max(0.0).sqrt();
        let xi = noise(&z);
        let z = combine!([(alpha_ratio, z), (added * self.s_noise, xi)]);
        heun(self.variable, model, z, raised, to)
    }
}
impl<const D: usize> Sampler<D> for Churn {
    fn properties(&self) -> Properties {
        // Of the variance of x_t, the raised part is S_noise² too large.
        let bias = if self.s_churn == 0.0 { 0.0 } else { (self.s_noise * self.s_noise - 1.0).abs() };
        Properties { order: (self.s_churn == 0.0).then_some(2), bias, ..Properties::sde(2, 2) }
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        let Self { s_churn, s_tmin, s_tmax, s_noise, .. } = *self;
        require(s_churn >= 0.0, "s_churn", || format!("must be 0 or more, got {s_churn}"))?;
        let problem = || format!("must be a finite number of 0 or more, got {s_noise}");
        require(s_noise >= 0.0 && s_noise.is_finite(), "s_noise", problem)?;
        require(s_tmin <= s_tmax, "s_tmin", || format!("must be at most s_tmax, got {s_tmin} and s_tmax = {s_tmax}"))
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.variable.unfit(noise.path()?, times)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.step_with(model, z, at, &mut |z: &Tensor<D>| noise_like(rng, z))
    }
}
