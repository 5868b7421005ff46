//! Ancestral forms of the solvers: each step goes down to less noise than x_s has, and fresh noise makes up the rest.
use super::{
    Evaluation, Properties, Sampler, TimePoint, TimeStep, Variable, dpm, gaussian_schedule, noise_like,
    require_gaussian, sampler::require,
};
use crate::{denoise::Denoiser, error::Result, noise::Noise, rng::Rng, schedule::Scales};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Standard normal noise ξ shaped like its argument: a stream's, or given numbers to compare with another program's.
pub type NoiseSource<'a, const D: usize> = dyn FnMut(&Tensor<D>) -> Tensor<D> + 'a;

/// A step of the probability flow between two points.
type FlowStep<'a, const D: usize> = &'a dyn Fn(&dyn Denoiser<D>, Tensor<D>, TimePoint, TimePoint) -> Tensor<D>;

/// The point below `to` and the standard deviation of the noise on top. With `r = σ/α`:
/// `r_up = min(r_s, η √(r_s² (r_t² − r_s²)/r_t²))`, `r_down = √(r_s² − r_up²)`.
#[doc(alias = "get_ancestral_step")]
fn down_and_up(eta: f64, from: TimePoint, to: TimePoint) -> (TimePoint, f64) {
    let (a, b) = (from.scales, to.scales);
    // r_s/r_t, which is 0 if α_t is.
    let share = b.sigma * a.alpha / (b.alpha * a.sigma);
    let up = (eta * (1.0 - share * share).max(0.0).sqrt()).min(1.0);
    let down = Scales { sigma: b.sigma * ((1.0 - up) * (1.0 + up)).sqrt(), ..b };
    (TimePoint::with_scales(to.t, down), b.sigma * up)
}

/// A step down by `flow`, and noise on top.
fn ancestral_step<const D: usize>(
    flow: FlowStep<'_, D>,
    eta: f64,
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    at: TimeStep,
    noise: &mut NoiseSource<'_, D>,
) -> Tensor<D> {
    let (from, to) = at.ends(gaussian_schedule(model));
    let (down, up) = down_and_up(eta, from, to);
    let z = flow(model, z, from, down);
    if up == 0.0 {
        return z;
    }
    let xi = noise(&z);
    combine!([(1.0, z), (up, xi)])
}

/// What the three declare: a solver of order p is one of weak order p with noise, here with p network evaluations per
/// step.
fn properties(eta: f64, order: usize) -> Properties {
    let own = Some(eta).filter(|eta| *eta <= 1.0);
    Properties { order: (eta == 0.0).then_some(order), eta: own, ..Properties::sde(order, order) }
}

fn check(eta: f64) -> Result<()> {
    let problem = || format!("must be a finite number of 0 or more, got {eta}");
    require(eta >= 0.0 && eta.is_finite(), "eta", problem)
        .map_err(|error| error.with_remedy("0 adds no noise, 1 as much as the posterior"))
}

fn euler<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, from: TimePoint, to: TimePoint) -> Tensor<D> {
    Evaluation::new(model, z, from).euler(to.scales)
}

/// Euler's step down, noise up: [`Ddim`](super::Ddim) with the same η, as k-diffusion writes it.
///
/// `x_s = α_s x̂ + σ_down ε̂ + σ_up ξ`, with `σ_up = η σ_s √(1 − (r_s/r_t)²)`, `σ_down² = σ_s² − σ_up²`, `r = σ/α`. One
/// network evaluation per step; weak order 1.
///
/// ```
/// use tweedie::sample::{EulerAncestral, Sampler};
/// assert_eq!(Sampler::<4>::properties(&EulerAncestral::default()).eta, Some(1.0));
/// ```
///
/// Crowson, k-diffusion, `sample_euler_ancestral`, <https://github.com/crowsonkb/k-diffusion>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "EulerAncestralDiscreteScheduler")]
#[doc(alias = "sample_euler_ancestral")]
pub struct EulerAncestral {
    /// η ≥ 0: 0 is the probability flow, 1 the posterior's noise. Default: 1.
    #[schemars(range(min = 0.0))]
    pub eta: f64,
}
impl Default for EulerAncestral {
    fn default() -> Self {
        Self { eta: 1.0 }
    }
}
impl EulerAncestral {
    /// [`Sampler::step`] with given noise.
    pub fn step_with<const D: usize>(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        at: TimeStep,
        noise: &mut NoiseSource<'_, D>,
    ) -> Tensor<D> {
        ancestral_step(&euler, self.eta, model, z, at, noise)
    }
}
impl<const D: usize> Sampler<D> for EulerAncestral {
    fn properties(&self) -> Properties {
        properties(self.eta, 1)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        check(self.eta)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.step_with(model, z, at, &mut |z: &Tensor<D>| noise_like(rng, z))
    }
}

/// [`Dpm2`](super::Dpm2)'s step down, noise up.
///
/// In σ/α, as k-diffusion has it, `x_s = α_s (x_t/α_t + (r_down − r_t) ε̂_m) + σ_up ξ`, with σ_up and r_down =
/// σ_down/α_s of [`EulerAncestral`] and ε̂_m at `r_m = √(r_t r_down)`. Two network evaluations per step; weak order 2.
///
/// ```
/// use tweedie::sample::{Dpm2Ancestral, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Dpm2Ancestral::default()).weak_order, 2);
/// ```
///
/// Crowson, k-diffusion, `sample_dpm_2_ancestral`, <https://github.com/crowsonkb/k-diffusion>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "KDPM2AncestralDiscreteScheduler")]
#[doc(alias = "sample_dpm_2_ancestral")]
pub struct Dpm2Ancestral {
    /// η ≥ 0: 0 is the probability flow, 1 the posterior's noise. Default: 1.
    #[schemars(range(min = 0.0))]
    pub eta: f64,
    /// The integration variable: angle, ratio or log-snr. Default: angle.
    pub variable: Variable,
}
impl Default for Dpm2Ancestral {
    fn default() -> Self {
        Self { eta: 1.0, variable: Variable::Angle }
    }
}
impl Dpm2Ancestral {
    /// [`Sampler::step`] with given noise.
    pub fn step_with<const D: usize>(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        at: TimeStep,
        noise: &mut NoiseSource<'_, D>,
    ) -> Tensor<D> {
        let variable = self.variable;
        let flow = |model: &dyn Denoiser<D>, z, from, to| dpm::midpoint(variable, model, z, from, to);
        ancestral_step(&flow, self.eta, model, z, at, noise)
    }
}
impl<const D: usize> Sampler<D> for Dpm2Ancestral {
    fn properties(&self) -> Properties {
        properties(self.eta, 2)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        check(self.eta)?;
        let problem = || "must be angle, ratio or log-snr, got time".into();
        require(self.variable != Variable::Time, "variable", problem).map_err(|error| {
            error.with_remedy("a step goes down to less noise than x_s has, and no t belongs to it and to α_s")
        })
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.step_with(model, z, at, &mut |z: &Tensor<D>| noise_like(rng, z))
    }
}

/// [`DpmSolverPp2S`](super::DpmSolverPp2S)'s step down, noise up.
///
/// `x_s = (σ_down/σ_t) x_t − α_s (e^(−h) − 1) x̂_m + σ_up ξ`, `h = ln(α_s/σ_down) − λ_t`, with σ_up and σ_down of
/// [`EulerAncestral`] and x̂_m half-way in λ. Two network evaluations per step; weak order 2.
///
/// ```
/// use tweedie::sample::{DpmSolverPp2SAncestral, Sampler};
/// let sampler = DpmSolverPp2SAncestral::default();
/// assert_eq!(Sampler::<4>::properties(&sampler).weak_order, 2);
/// ```
///
/// Crowson, k-diffusion, `sample_dpmpp_2s_ancestral`, <https://github.com/crowsonkb/k-diffusion>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "sample_dpmpp_2s_ancestral")]
pub struct DpmSolverPp2SAncestral {
    /// η ≥ 0: 0 is the probability flow, 1 the posterior's noise. Default: 1.
    #[schemars(range(min = 0.0))]
    pub eta: f64,
}
impl Default for DpmSolverPp2SAncestral {
    fn default() -> Self {
        Self { eta: 1.0 }
    }
}
impl DpmSolverPp2SAncestral {
    /// [`Sampler::step`] with given noise.
    pub fn step_with<const D: usize>(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        at: TimeStep,
        noise: &mut NoiseSource<'_, D>,
    ) -> Tensor<D> {
        ancestral_step(&dpm::midpoint_x0, self.eta, model, z, at, noise)
    }
}
impl<const D: usize> Sampler<D> for DpmSolverPp2SAncestral {
    fn properties(&self) -> Properties {
        properties(self.eta, 2)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        check(self.eta)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.step_with(model, z, at, &mut |z: &Tensor<D>| noise_like(rng, z))
    }
}
