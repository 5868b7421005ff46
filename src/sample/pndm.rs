//! Pseudo linear multistep methods: the Adams–Bashforth weights of even steps, whatever the steps are.
use super::{
    Combination, Evaluation, Multistep, MultistepState, Properties, Sampler, SamplerState, SolverPrediction,
    StepIntegral, TimePoint, TimeStep, Variable, combine, first_step, gaussian_schedule, sampler::require,
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Adams and Bashforth's weights for even steps.
const EVEN: [&[f64]; 4] = [
    &[1.0],
    &[1.5, -0.5],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// [`Ipndm`] with four outputs, which [`Plms`] and [`Pndm`] continue with.
const FOUR: Ipndm = Ipndm { order: 4 };

/// The improved pseudo numerical method: ε̂ is averaged by Adams–Bashforth weights, and the step is DDIM's.
///
/// `z_s = (α_s/α_t) z + (σ_s − σ_t α_s/α_t) Σ cⱼ ε̂ⱼ`, c = (55, −59, 37, −9)/24 with four outputs. The weights are
/// those of even steps in σ/α, which the steps are not: from two outputs on the method is of order 2. One network
/// evaluation per step.
///
/// ```
/// use tweedie::sample::{Ipndm, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Ipndm::default()).order, Some(2));
/// ```
///
/// Zhang and Chen (2023), appendix H.2, <https://arxiv.org/abs/2204.13902>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "IPNDMScheduler")]
pub struct Ipndm {
    /// How many outputs are averaged, 1 to 4. Default: 4.
    #[schemars(range(min = 1, max = 4))]
    pub order: usize,
}
impl Default for Ipndm {
    fn default() -> Self {
        FOUR
    }
}
impl Multistep for Ipndm {
    fn integral(&self) -> StepIntegral {
        StepIntegral::new(SolverPrediction::Epsilon, Variable::Time)
    }
    fn history_len(&self) -> usize {
        self.order
    }
    fn order(&self) -> usize {
        self.order.min(2)
    }
    fn weights(&self, _: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        let (a, b) = (points[0].scales, to.scales);
        let whole = b.sigma - a.sigma * b.alpha / a.alpha;
        EVEN[points.len() - 1].iter().map(|weight| weight * whole).collect()
    }
    fn check(&self) -> Result<()> {
        require((1..=4).contains(&self.order), "order", || format!("of Ipndm must be 1 to 4, got {}", self.order))
    }
}

/// The pseudo linear multistep sampler: [`Ipndm`] with four outputs whose first step is Heun's.
///
/// Order 2, one network evaluation per step and one more in the first.
///
/// ```
/// use tweedie::sample::{Plms, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Plms {}), Properties::ode(2, 1));
/// ```
///
/// Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), <https://arxiv.org/abs/2202.09778>, as
/// Rombach et al. start it; [`Pndm`] starts as the paper does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "PNDMScheduler")]
#[doc(alias = "skip_prk_steps")]
pub struct Plms {}
impl<const D: usize> Sampler<D> for Plms {
    fn properties(&self) -> Properties {
        Properties::ode(2, 1)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(PlmsState(MultistepState::new(&FOUR))))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`Plms`].
#[derive(Clone, Debug)]
struct PlmsState<const D: usize>(MultistepState<'static, Ipndm, D>);
impl<const D: usize> SamplerState<D> for PlmsState<D> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let (from, to) = at.ends(gaussian_schedule(model));
        let (a, b) = (from.scales, to.scales);
        if !self.0.history().is_empty() || a.alpha == 0.0 || b.sigma == 0.0 {
            return self.0.step(model, z, at, rng);
        }
        let here = Evaluation::new(model, z, from);
        let first = here.epsilon();
        let second = Evaluation::new(model, here.clone().euler(b), to).epsilon();
        self.0.remember(from, first.clone());
        let alpha_ratio = b.alpha / a.alpha;
        let half = 0.5 * (b.sigma - a.sigma * alpha_ratio);
        Combination::new().term(alpha_ratio, here.z).term(half, first).term(half, second).total()
    }
}

/// Pseudo numerical methods as they were first published: three pseudo Runge–Kutta steps, then [`Ipndm`] with four
/// outputs.
///
/// With `φ(z, ε̂, t, s) = (α_s/α_t) z + (σ_s − σ_t α_s/α_t) ε̂`, DDIM's transfer, and `m = (t + s)/2`, a first step is
///
/// ```text
/// ε̂₁ = ε̂(z, t)
/// ε̂₂ = ε̂(φ(z, ε̂₁, t, m), m)
/// ε̂₃ = ε̂(φ(z, ε̂₂, t, m), m)
/// ε̂₄ = ε̂(φ(z, ε̂₃, t, s), s)      z_s = φ(z, (ε̂₁ + 2 ε̂₂ + 2 ε̂₃ + ε̂₄)/6, t, s)
/// ```
///
/// of four network evaluations, so nine more in a trajectory than one per step; ε̂₁ is what the history holds.
/// Fourth-order weights, but of even steps in σ/α, which the steps are not: the method is of order 2. A step from α =
/// 0, where φ is not defined, is DDIM's and does not enter the history; a step to σ = 0, where ε̂₄ is not defined, is
/// the multistep method's with the outputs there are.
///
/// ```
/// use tweedie::sample::{Pndm, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Pndm {}), Properties::ode(2, 1));
/// ```
///
/// Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), eq. 12 and 13,
/// <https://arxiv.org/abs/2202.09778>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[doc(alias = "PNDMScheduler")]
pub struct Pndm {}
impl<const D: usize> Sampler<D> for Pndm {
    fn properties(&self) -> Properties {
        Properties::ode(2, 1)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(PndmState(MultistepState::new(&FOUR))))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`Pndm`].
#[derive(Clone, Debug)]
struct PndmState<const D: usize>(MultistepState<'static, Ipndm, D>);
impl<const D: usize> SamplerState<D> for PndmState<D> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (from, to) = at.ends(schedule);
        let a = from.scales;
        if a.alpha == 0.0 {
            return Evaluation::new(model, z, from).euler(to.scales);
        }
        if self.0.history().len() >= 3 || to.scales.sigma == 0.0 {
            return self.0.step(model, z, at, rng);
        }
        let middle = TimePoint::new(schedule, 0.5 * (at.t + at.s));
        let epsilon = |z: Tensor<D>, at: TimePoint| Evaluation::new(model, z, at).epsilon();
        let phi = |outputs: &[(f64, &Tensor<D>)], b: Scales| {
            let alpha_ratio = b.alpha / a.alpha;
            let whole = b.sigma - a.sigma * alpha_ratio;
            let outputs = outputs.iter().map(|(weight, output)| (weight * whole, (*output).clone()));
            combine(std::iter::once((alpha_ratio, z.clone())).chain(outputs))
        };
        let first = epsilon(z.clone(), from);
        let second = epsilon(phi(&[(1.0, &first)], middle.scales), middle);
        let third = epsilon(phi(&[(1.0, &second)], middle.scales), middle);
        let fourth = epsilon(phi(&[(1.0, &third)], to.scales), to);
        let sixths = [(1.0 / 6.0, &first), (1.0 / 3.0, &second), (1.0 / 3.0, &third), (1.0 / 6.0, &fourth)];
        let end = phi(&sixths, to.scales);
        self.0.remember(from, first);
        end
    }
}
