//! Euler's and Heun's methods for the probability flow, in any [`Variable`].
use super::{
    Combination, Evaluation, Properties, Sampler, SolverPrediction, StepIntegral, TimePoint, TimeStep, Variable,
    gaussian_schedule,
};
use crate::{denoise::Denoiser, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use tweedie_kernels::combine;

/// Euler's method; in σ/α, the default, the same step as [`Ddim`](super::Ddim) with η = 0.
///
/// ```text
/// x_s = α_s x̂ + σ_s ε̂                                ratio, log-snr
/// x_s = x_t + (s − t) (α′ x̂ + σ′ ε̂)                   time
/// w_s = w_t + (φ_s − φ_t) v̂, w = x/√(α² + σ²)         angle
/// ```
///
/// Order 1, one network evaluation per step. For flow matching the first two are the same. A step to σ = 0, or one from
/// where a slope is infinite, is the first.
///
/// ```
/// use tweedie::sample::{Euler, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Euler::default()), Properties::ode(1, 1));
/// ```
///
/// Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), algorithm 1 without its
/// correction, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "EulerDiscreteScheduler")]
#[doc(alias = "FlowMatchEulerDiscreteScheduler")]
#[doc(alias = "sample_euler")]
pub struct Euler {
    /// The integration variable. Default: ratio.
    pub variable: Variable,
}
impl Default for Euler {
    fn default() -> Self {
        Self { variable: Variable::Ratio }
    }
}
impl<const D: usize> Sampler<D> for Euler {
    fn properties(&self) -> Properties {
        Properties::ode(1, 1)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        // In σ/α the step is finite everywhere.
        (self.variable == Variable::Time).then(|| self.variable.unfit(noise.path()?, times)).flatten()
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, _: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        let plain = matches!(self.variable, Variable::Time | Variable::Angle) && to.scales.sigma > 0.0;
        let weights = plain.then(|| Some((from.transfer(to, self.variable)?, from.slope(self.variable)?))).flatten();
        match weights {
            Some(([k, h], [a, b])) => {
                let x = model.denoise(z.clone(), &[from.t]).mean;
                combine!([(k + h * a, z), (h * b, x)])
            }
            None => Evaluation::new(model, z, from).euler(to.scales),
        }
    }
}

/// Heun's method in any [`Variable`].
///
/// ```text
/// y′  = y_t + (u_s − u_t) m_t              Euler's step; m = dy/du
/// y_s = y_t + ½ (u_s − u_t) (m_t + m_s)    m_s at y′
/// ```
///
/// Order 2, two network evaluations per step. In the angle φ = arctan(σ/α), the default, `y = x/√(α² + σ²)` and m is
/// the v-prediction: nothing is infinite at either end. In t, m is the velocity, the form in use for flow matching. In
/// σ/α, `variable = "ratio"`, it is the method of Karras et al., for noise levels chosen for it; where σ/α is large
/// at t = 1 its first step is a trapezoid over almost all of it. In λ, x̂ is linear over the step. A step to σ = 0, or
/// one from or to where m or u is infinite, is [`Ddim`](super::Ddim)'s.
///
/// ```
/// use tweedie::sample::{Heun, Properties, Sampler, Variable};
/// let edm = Heun { variable: Variable::Ratio };
/// assert_eq!(Sampler::<4>::properties(&edm), Properties::ode(2, 2));
/// assert_eq!(Heun::default().variable, Variable::Angle);
/// ```
///
/// Karras et al. (2022), algorithm 1, <https://arxiv.org/abs/2206.00364>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "HeunDiscreteScheduler")]
#[doc(alias = "FlowMatchHeunDiscreteScheduler")]
#[doc(alias = "sample_heun")]
pub struct Heun {
    /// The integration variable. Default: angle.
    pub variable: Variable,
}
impl Default for Heun {
    fn default() -> Self {
        Self { variable: Variable::Angle }
    }
}
impl<const D: usize> Sampler<D> for Heun {
    fn properties(&self) -> Properties {
        Properties::ode(2, 2)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.variable.unfit(noise.path()?, times)
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, _: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        heun(self.variable, model, z, from, to)
    }
}

/// [`Heun`]'s step between two points.
pub(super) fn heun<const D: usize>(
    variable: Variable,
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    from: TimePoint,
    to: TimePoint,
) -> Tensor<D> {
    match variable {
        Variable::Ratio => heun_ratio(model, z, from, to),
        Variable::LogSnr => heun_log_snr(model, z, from, to),
        Variable::Time | Variable::Angle => {
            let ends = from.slope(variable).zip(to.slope(variable)).zip(from.transfer(to, variable));
            let Some((([a, b], [a_s, b_s]), [k, h])) = ends else {
                return Evaluation::new(model, z, from).euler(to.scales);
            };
            let x = model.denoise(z.clone(), &[from.t]).mean;
            let ahead = combine!([(k + h * a, z.clone()), (h * b, x.clone())]);
            let next = model.denoise(ahead.clone(), &[to.t]).mean;
            let half = 0.5 * h;
            combine!([(k + half * a, z), (half * b, x), (half * a_s, ahead), (half * b_s, next)])
        }
    }
}

fn heun_ratio<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, from: TimePoint, to: TimePoint) -> Tensor<D> {
    let here = Evaluation::new(model, z, from);
    let euler = here.clone().euler(to.scales);
    let (a, b) = (from.scales, to.scales);
    if b.sigma == 0.0 || a.alpha == 0.0 {
        return euler;
    }
    let there = Evaluation::new(model, euler, to);
    let half = 0.5 * (b.sigma - b.alpha / a.alpha * a.sigma);
    Combination::new().z_and_epsilon(1.0, half, there).epsilon(-half, here).total()
}

/// x̂ linear in λ.
fn heun_log_snr<const D: usize>(model: &dyn Denoiser<D>, z: Tensor<D>, from: TimePoint, to: TimePoint) -> Tensor<D> {
    let here = Evaluation::new(model, z, from);
    if !(from.lambda().is_finite() && to.lambda().is_finite()) {
        return here.euler(to.scales);
    }
    let integral = StepIntegral::new(SolverPrediction::X0, Variable::LogSnr);
    let (k, _) = integral.decay(from, to);
    let weights = integral.weights(gaussian_schedule(model), &[to, from], from, to);
    let Evaluation { z, x, .. } = here.clone();
    let next = model.denoise(here.euler(to.scales), &[to.t]).mean;
    combine!([(k, z), (weights[1], x), (weights[0], next)])
}
