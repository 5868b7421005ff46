//! Linear multistep methods: one engine, to which a method gives its integral and its weights.
//!
//! A method replaces a model output m (x̂ or ε̂) in the exact form of the probability flow ([`StepIntegral`]) by a
//! polynomial through its last few values in some [`Variable`](super::Variable) and integrates it:
//!
//! ```text
//! z_s = k z_t + Σ wⱼ mⱼ + c ξ
//! ```
//!
//! with the factor k and the noise c of the integral ([`StepIntegral::decay`]).
use super::{
    Evaluation, History, Properties, Sampler, SamplerState, TimePoint, TimeStep, Variable, gaussian_schedule,
    noise_like, require_gaussian,
    sampler::{require, type_name},
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use std::fmt::Debug;

mod integral;
pub use integral::{SolverPrediction, StepIntegral};

/// The highest order accepted: the highest that is stable in 60 steps from noise to data, on both outputs in every
/// variable.
const HIGHEST: usize = 6;

/// A linear multistep method: an integral, and the weights of the model outputs in it. It is a [`Sampler`]; history,
/// corrector, noise and the ends of the schedule are the engine's ([`MultistepState`]). Orders, with that of a
/// corrector, go up to 6.
///
/// If the variable or the integral is infinite at one end of a step (λ at σ = 0 and at α = 0, r at α = 0), the engine
/// takes the step of first order, which is finite there, and it leaves past outputs from such a time out.
///
/// The two-step Adams–Bashforth method in σ/α on ε̂, of order 2, one network evaluation per step:
///
/// ```
/// use tweedie::{
///     laws,
///     sample::{Multistep, SolverPrediction, StepIntegral, TimePoint, Variable},
///     schedule::Schedule,
/// };
/// #[derive(Debug)]
/// struct Ab2;
/// impl Multistep for Ab2 {
///     fn integral(&self) -> StepIntegral {
///         StepIntegral::new(SolverPrediction::Epsilon, Variable::Ratio)
///     }
///     fn history_len(&self) -> usize {
///         2
///     }
///     // These are the default, the weights of the integral's polynomial.
///     fn weights(&self, _: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
///         let h = to.scales.alpha * (to.ratio() - points[0].ratio());
///         let [t, u] = *points else { return vec![h] };
///         let half = 0.5 * (to.ratio() - t.ratio()) / (t.ratio() - u.ratio());
///         vec![h * (1.0 + half), -h * half]
///     }
/// }
/// assert!(laws::sampler(&Ab2).iter().all(laws::Check::holds));
/// ```
pub trait Multistep: Debug + Send + Sync {
    /// The integral that a step approximates.
    fn integral(&self) -> StepIntegral;

    /// How many model outputs a step uses, the newest included.
    fn history_len(&self) -> usize;

    /// The order of convergence if every step is of full order. Default: as many as there are outputs.
    fn order(&self) -> usize {
        self.history_len()
    }

    /// The weights of the model outputs at `points`, latest first, in the step from `points[0]` to `to`. There are
    /// [`history_len`](Multistep::history_len) points, or fewer at the start of a trajectory. Default:
    /// [`StepIntegral::weights`].
    fn weights(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Vec<f64> {
        self.integral().weights(schedule, points, points[0], to)
    }

    /// The weights of a corrector, which takes the same step again once the output at its end is known: that of `to`,
    /// and then those of `points`. Default: no corrector.
    fn correct(&self, schedule: &dyn Schedule, points: &[TimePoint], to: TimePoint) -> Option<Vec<f64>> {
        let _ = (schedule, points, to);
        None
    }

    /// Whether [`correct`](Multistep::correct) ever returns weights. Default: false.
    fn corrects(&self) -> bool {
        false
    }

    /// Whether the last step is of first order and, if the order is 3, the one before of second, and so on: with k
    /// steps left a step uses k outputs at most. The whole trajectory is then of second order at most. Default: false.
    #[doc(alias = "lower_order_final")]
    fn lower_final(&self) -> bool {
        false
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// [`Sampler::unfit`] on a schedule. Default: by the integral, the number of outputs and whether steps are corrected,
    /// as measured on all built-in schedules. Fewer than 100 steps are too few for polynomials through many outputs; a
    /// corrector on ε̂ amplifies errors where σ/α falls fast in the first step.
    fn unfit(&self, schedule: &dyn Schedule, times: &[f64]) -> Option<String> {
        let StepIntegral { prediction, variable, tau } = self.integral();
        let outputs = self.history_len();
        if tau > 0.0 {
            return None;
        }
        let jump = match prediction {
            SolverPrediction::Velocity => variable.unfit(schedule, times),
            SolverPrediction::Epsilon if self.corrects() && (variable != Variable::Time || outputs > 3) => {
                Variable::Ratio.unfit(schedule, times).map(|_| {
                    "its corrector is on ε̂, and σ/α falls by orders of magnitude in the first step of this schedule: \
                     leave the corrector out, or use `prediction = \"x0\"`"
                        .into()
                })
            }
            _ => None,
        };
        let most = self.integral().most_outputs(self.corrects());
        let long = (outputs > most && times.len() <= 100).then(|| match most {
            0 => "its corrector needs 100 steps or more: leave it out".into(),
            _ => format!("a polynomial through {outputs} outputs needs 100 steps or more: use {most} or fewer"),
        });
        jump.or(long)
    }
}

impl<const D: usize, M: Multistep> Sampler<D> for M {
    fn properties(&self) -> Properties {
        let tau = self.integral().tau;
        // A last step of first order is wrong by O(h²), and so is the trajectory.
        let most = if self.lower_final() { 2 } else { usize::MAX };
        Properties {
            order: (tau == 0.0).then(|| self.order().min(most)),
            weak_order: self.order().min(2),
            ..Properties::default()
        }
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(MultistepState::new(self)))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        super::first_step(self, model, z, at, rng)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise)?;
        Multistep::check(self)?;
        self.integral().check()?;
        let (order, name) = (self.history_len().max(Multistep::order(self)), type_name(self));
        let range = || format!("of {name} must be 1 to {HIGHEST}, the one that a corrector adds included, got {order}");
        require(self.history_len() > 0, "order", || format!("of {name} must be 1 to {HIGHEST}, got 0"))?;
        require(order <= HIGHEST, "order", range).map_err(|error| {
            error.with_remedy(
                "use fewer outputs: above, the weights grow, and what they gain at small steps is lost to instability \
                 at large ones",
            )
        })
    }
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        Multistep::unfit(self, noise.path()?, times)
    }
}

/// The state of a multistep method's trajectory, and the method's step:
///
/// ```text
/// m       ← x̂ or ε̂ at (z, t)
/// z       ← the last step taken again with m, if there is a corrector
/// history ← m, then the past outputs
/// if the integral is infinite at an end of the step
///     z_s ← Euler's step
/// else
///     z_s ← k z + Σ wⱼ mⱼ + c ξ
/// ```
#[derive(Debug)]
pub struct MultistepState<'a, M: ?Sized, const D: usize> {
    method: &'a M,
    history: History<D>,
    /// `k z + c ξ` of the last step, if a corrector takes it again.
    base: Option<Tensor<D>>,
}

impl<M: ?Sized, const D: usize> Clone for MultistepState<'_, M, D> {
    fn clone(&self) -> Self {
        Self { method: self.method, history: self.history.clone(), base: self.base.clone() }
    }
}

/// A sum that is not computed yet.
type Terms<const D: usize> = Vec<(f64, Tensor<D>)>;

impl<'a, M: Multistep + ?Sized, const D: usize> MultistepState<'a, M, D> {
    /// The state before the first step.
    pub fn new(method: &'a M) -> Self {
        // A corrector looks back one output further than the predictor.
        Self { method, history: History::new(method.history_len() + 1), base: None }
    }

    /// The method.
    pub fn method(&self) -> &'a M {
        self.method
    }

    /// The past outputs.
    pub fn history(&self) -> &History<D> {
        &self.history
    }

    /// Adds an output that a step of another kind computed.
    pub fn remember(&mut self, point: TimePoint, output: Tensor<D>) {
        self.history.push(point, output);
    }

    /// Corrects z by the output at its time, and adds that output to the history.
    fn update(&mut self, schedule: &dyn Schedule, here: &Evaluation<D>, from: TimePoint) -> Terms<D> {
        let integral = self.method.integral();
        let output = match integral.prediction {
            SolverPrediction::X0 => here.x.clone(),
            SolverPrediction::Epsilon => here.epsilon(),
            SolverPrediction::Velocity => here.slope(from, integral.variable),
        };
        let past = self.usable_points();
        let correction = self.base.take().and_then(|base| Some((base, self.method.correct(schedule, &past, from)?)));
        self.history.push(from, output);
        let Some((base, weights)) = correction else { return vec![(1.0, here.z.clone())] };
        one_each("correct", &weights, past.len() + 1);
        std::iter::once((1.0, base)).chain(self.weighted(weights)).collect()
    }

    /// Euler's step, which is finite at the ends of every schedule.
    fn limit(z: Terms<D>, here: Evaluation<D>, to: TimePoint) -> Tensor<D> {
        Evaluation { z: super::combine(z), ..here }.euler(to.scales)
    }

    /// `k z + Σ wⱼ mⱼ + c ξ`.
    fn combine(
        &mut self,
        schedule: &dyn Schedule,
        mut z: Terms<D>,
        (from, to): (TimePoint, TimePoint),
        left: usize,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let (decay, noise) = self.method.integral().decay(from, to);
        z.iter_mut().for_each(|(weight, _)| *weight *= decay);
        if noise > 0.0 {
            let xi = noise_like(rng, &z[0].1);
            z.push((noise, xi));
        }
        let mut points = self.usable_points();
        if self.method.lower_final() {
            points.truncate(left.max(1));
        }
        let weights = self.method.weights(schedule, &points, to);
        one_each("weights", &weights, points.len());
        if self.method.corrects() {
            let base = super::combine(z.drain(..));
            self.base = Some(base.clone());
            z.push((1.0, base));
        }
        super::combine(z.into_iter().chain(self.weighted(weights)))
    }

    /// The times of the history, latest first, as far back as the integral is finite there.
    fn usable_points(&self) -> Vec<TimePoint> {
        self.history.points().take(self.method.history_len()).take_while(|point| self.finite(point)).collect()
    }

    /// The outputs of the history with their weights.
    fn weighted(&self, weights: Vec<f64>) -> impl Iterator<Item = (f64, Tensor<D>)> {
        weights.into_iter().zip(self.history.outputs().cloned())
    }

    /// Whether the variable, and σ/α on ε̂ or α/σ on x̂ or the velocity, are finite.
    fn finite(&self, point: &TimePoint) -> bool {
        let integral = self.method.integral();
        let output = match integral.prediction {
            SolverPrediction::X0 => point.scales.sigma > 0.0,
            SolverPrediction::Epsilon => point.scales.alpha > 0.0,
            SolverPrediction::Velocity => point.slope(integral.variable).is_some(),
        };
        output && point.value(integral.variable).is_finite()
    }

    /// Whether a step can end at a point: of `z_s = σ_s (z_t/σ_t + ∫ x̂ d(α/σ))` the limit σ_s → 0 is finite too, and the
    /// velocity is not needed there, but smooth up to it; of one velocity alone a step to σ = 0 would leave noise.
    fn reachable(&self, point: &TimePoint) -> bool {
        let integral = self.method.integral();
        let finite = point.value(integral.variable).is_finite();
        let Scales { sigma, alpha_dot, sigma_dot, .. } = point.scales;
        match integral.prediction {
            SolverPrediction::X0 => finite,
            SolverPrediction::Epsilon => finite && self.finite(point),
            SolverPrediction::Velocity => {
                let smooth = integral.variable == Variable::Angle || alpha_dot.is_finite() && sigma_dot.is_finite();
                smooth && (sigma > 0.0 || self.usable_points().len() > 1)
            }
        }
    }
}

impl<M: Multistep + ?Sized, const D: usize> SamplerState<D> for MultistepState<'_, M, D> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let schedule = gaussian_schedule(model);
        let (from, to) = at.ends(schedule);
        let here = Evaluation::new(model, z, from);
        if !self.finite(&from) && self.method.integral().prediction == SolverPrediction::Velocity {
            self.base = None;
            return Self::limit(vec![(1.0, here.z.clone())], here, to);
        }
        let z = self.update(schedule, &here, from);
        if !(self.finite(&from) && self.reachable(&to)) {
            return Self::limit(z, here, to);
        }
        // So that the sum can take z's memory.
        drop(here);
        self.combine(schedule, z, (from, to), at.left(), rng)
    }
    fn z_replaced(&mut self) {
        self.base = None;
    }
}

/// # Panics
///
/// If the number of weights differs from the number of outputs.
fn one_each(method: &str, weights: &[f64], outputs: usize) {
    assert_eq!(
        weights.len(),
        outputs,
        "`Multistep::{method}` must return one weight for each of {outputs} outputs, got {}",
        weights.len()
    );
}
