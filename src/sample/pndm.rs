//! Pseudo linear multistep methods: the Adams–Bashforth weights of even steps, whatever the steps are.
use super::{
    Combination, Evaluation, Multistep, MultistepState, Properties, Sampler, SamplerState, SolverPrediction,
    StepIntegral, TimePoint, TimeStep, Variable, combine, first_step, gaussian_schedule, require_gaussian,
    sampler::require,
};
use crate::{denoise::Denoiser, error::Result, noise::Noise, rng::Rng, schedule::Schedule};
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
fn four(variable: Variable) -> &'static Ipndm {
    const RATIO: Ipndm = Ipndm { order: 4, variable: Variable::Ratio };
    match variable {
        Variable::Time => &Ipndm { variable: Variable::Time, ..RATIO },
        Variable::Angle => &Ipndm { variable: Variable::Angle, ..RATIO },
        Variable::Ratio | Variable::LogSnr => &RATIO,
    }
}

/// What [`Plms`] and [`Pndm`] declare: uniform steps in t are even in t.
fn even_properties(variable: Variable) -> Properties {
    Properties::ode(if variable == Variable::Time { 4 } else { 2 }, 1)
}

/// Why λ is not among the variables.
fn require_even(variable: Variable) -> Result<()> {
    let problem = || "must be angle, time or ratio, got log-snr".into();
    require(variable != Variable::LogSnr, "variable", problem).map_err(|error| {
        error.with_remedy("the weights of even steps are not those of an integral with the factor e^λ; `etd` has them")
    })
}

/// The improved pseudo numerical method: outputs are averaged by Adams–Bashforth weights of even steps, and the step is
/// Euler's.
///
/// In σ/α, the default, `z_s = (α_s/α_t) z + (σ_s − σ_t α_s/α_t) Σ cⱼ ε̂ⱼ`, c = (55, −59, 37, −9)/24 with four outputs;
/// in another [`Variable`] `y_s = y_t + (u_s − u_t) Σ cⱼ mⱼ`, m = dy/du. The weights are those of even steps in u, which
/// the steps are not in general: from two outputs on the method is of order 2. (In t, of the order of the outputs if the
/// timesteps are uniform.) One network evaluation per step.
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
    /// The integration variable: angle, time or ratio. Default: ratio.
    pub variable: Variable,
}
impl Default for Ipndm {
    fn default() -> Self {
        *four(Variable::Ratio)
    }
}
impl Multistep for Ipndm {
    fn integral(&self) -> StepIntegral {
        match self.variable {
            // The variable of ε̂ serves for interpolation, which there is none of here.
            Variable::Ratio | Variable::LogSnr => StepIntegral::new(SolverPrediction::Epsilon, Variable::Time),
            variable => StepIntegral::new(SolverPrediction::Velocity, variable),
        }
    }
    fn history_len(&self) -> usize {
        self.order
    }
    fn order(&self) -> usize {
        // Uniform steps in t are even in t.
        if self.variable == Variable::Time { self.order } else { self.order.min(2) }
    }
    fn weights(&self, _: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        let (a, b) = (points[0].scales, to.scales);
        let whole = match self.variable {
            Variable::Ratio | Variable::LogSnr => b.sigma - a.sigma * b.alpha / a.alpha,
            variable => points[0].transfer(to, variable).expect("the step is finite")[1],
        };
        EVEN[points.len() - 1].iter().map(|weight| weight * whole).collect()
    }
    fn check(&self) -> Result<()> {
        require((1..=4).contains(&self.order), "order", || format!("of Ipndm must be 1 to 4, got {}", self.order))?;
        require_even(self.variable)
    }
    fn unfit(&self, schedule: &dyn Schedule, times: &[f64]) -> Option<String> {
        // In σ/α the first step, which has one output, is finite everywhere.
        (self.variable == Variable::Time).then(|| self.variable.unfit(schedule, times)).flatten()
    }
}

/// The pseudo linear multistep sampler: [`Ipndm`] with four outputs whose first step is Heun's.
///
/// Order 2, one network evaluation per step and one more in the first. (In t, of order 4 if the timesteps are uniform.)
///
/// ```
/// use tweedie::sample::{Plms, Properties, Sampler};
/// assert_eq!(Sampler::<4>::properties(&Plms::default()), Properties::ode(2, 1));
/// ```
///
/// Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), <https://arxiv.org/abs/2202.09778>, as
/// Rombach et al. start it, there in σ/α; [`Pndm`] starts as the paper does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "PNDMScheduler")]
#[doc(alias = "skip_prk_steps")]
pub struct Plms {
    /// The integration variable: angle, time or ratio. Default: angle.
    pub variable: Variable,
}
impl Default for Plms {
    fn default() -> Self {
        Self { variable: Variable::Angle }
    }
}
impl<const D: usize> Sampler<D> for Plms {
    fn properties(&self) -> Properties {
        even_properties(self.variable)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        require_even(self.variable)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.variable.unfit(noise.path()?, times)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(PlmsState(MultistepState::new(four(self.variable)))))
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
        let variable = self.0.method().variable;
        let (from, to) = at.ends(gaussian_schedule(model));
        let finite = from.slope(variable).zip(to.slope(variable)).zip(from.transfer(to, variable));
        let Some((_, [k, h])) = finite.filter(|_| self.0.history().is_empty()) else {
            return self.0.step(model, z, at, rng);
        };
        let here = Evaluation::new(model, z, from);
        let first = here.slope(from, variable);
        let ahead = match variable {
            Variable::Ratio => here.clone().euler(to.scales),
            _ => combine([(k, here.z.clone()), (h, first.clone())]),
        };
        let second = Evaluation::new(model, ahead, to).slope(to, variable);
        self.0.remember(from, first.clone());
        Combination::new().term(k, here.z).term(0.5 * h, first).term(0.5 * h, second).total()
    }
}

/// Pseudo numerical methods as they were first published: three pseudo Runge–Kutta steps, then [`Ipndm`] with four
/// outputs.
///
/// With Euler's step φ(z, m, t, s) in a [`Variable`], in σ/α DDIM's `(α_s/α_t) z + (σ_s − σ_t α_s/α_t) ε̂`, and the time n
/// in the middle, a first step is
///
/// ```text
/// m₁ = m(z, t)
/// m₂ = m(φ(z, m₁, t, n), n)
/// m₃ = m(φ(z, m₂, t, n), n)
/// m₄ = m(φ(z, m₃, t, s), s)      z_s = φ(z, (m₁ + 2 m₂ + 2 m₃ + m₄)/6, t, s)
/// ```
///
/// of four network evaluations, so nine more in a trajectory than one per step; m₁ is what the history holds. n is the
/// middle of the angle, or of t, as in the paper, whose m is ε̂. The weights after the start are those of even steps,
/// which the steps are not in general: the method is of order 2, and in t of order 4 if the timesteps are uniform. A step
/// from where m or u is infinite is DDIM's and does not enter the history; a step to σ = 0 is the multistep method's with
/// the outputs there are.
///
/// ```
/// use tweedie::sample::{Pndm, Properties, Sampler, Variable};
/// let as_published = Pndm { variable: Variable::Ratio };
/// assert_eq!(Sampler::<4>::properties(&as_published), Properties::ode(2, 1));
/// ```
///
/// Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds" (2022), eq. 12 and 13,
/// <https://arxiv.org/abs/2202.09778>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "PNDMScheduler")]
pub struct Pndm {
    /// The integration variable: angle, time or ratio. Default: angle.
    pub variable: Variable,
}
impl Default for Pndm {
    fn default() -> Self {
        Self { variable: Variable::Angle }
    }
}
impl<const D: usize> Sampler<D> for Pndm {
    fn properties(&self) -> Properties {
        even_properties(self.variable)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        require_even(self.variable)
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        self.variable.unfit(noise.path()?, times)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(PndmState(MultistepState::new(four(self.variable)))))
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
        let variable = self.0.method().variable;
        let (from, to) = at.ends(schedule);
        if from.slope(variable).zip(from.transfer(to, variable)).is_none() {
            return Evaluation::new(model, z, from).euler(to.scales);
        }
        if self.0.history().len() >= 3 || to.slope(variable).is_none() {
            return self.0.step(model, z, at, rng);
        }
        let middle = from.middle(to, schedule, variable);
        let slope = |z: Tensor<D>, at: TimePoint| Evaluation::new(model, z, at).slope(at, variable);
        let phi = |outputs: &[(f64, &Tensor<D>)], end: TimePoint| {
            let [k, h] = from.transfer(end, variable).expect("the step is finite");
            let outputs = outputs.iter().map(|(weight, output)| (weight * h, (*output).clone()));
            combine(std::iter::once((k, z.clone())).chain(outputs))
        };
        let first = slope(z.clone(), from);
        let second = slope(phi(&[(1.0, &first)], middle), middle);
        let third = slope(phi(&[(1.0, &second)], middle), middle);
        let fourth = slope(phi(&[(1.0, &third)], to), to);
        let sixths = [(1.0 / 6.0, &first), (1.0 / 3.0, &second), (1.0 / 3.0, &third), (1.0 / 6.0, &fourth)];
        let end = phi(&sixths, to);
        self.0.remember(from, first);
        end
    }
}
