//! The trait of samplers and the state of a trajectory.
use super::{Properties, TimeStep};
use crate::{
    denoise::Denoiser,
    error::{Error, Result},
    noise::Noise,
    rng::Rng,
    schedule::Schedule,
};
use burn::tensor::Tensor;
use std::{fmt::Debug, sync::Arc};

/// A solver of the reverse process: a rule for one step from x_t to x_s, s < t, and what it declares about itself.
///
/// A sampler whose steps depend on z alone is its [`step`](Sampler::step), and nothing else is needed:
///
/// ```
/// use burn::tensor::Tensor;
/// use tweedie::{
///     Rng, denoise::Denoiser, laws,
///     sample::{Evaluation, Properties, Sampler, TimeStep, gaussian_schedule},
/// };
///
/// /// Euler's method in σ/α.
/// #[derive(Debug)]
/// struct MyEuler;
/// impl<const D: usize> Sampler<D> for MyEuler {
///     fn properties(&self) -> Properties {
///         Properties::ode(1, 1)
///     }
///     fn step(
///         &self,
///         model: &dyn Denoiser<D>,
///         z: Tensor<D>,
///         at: TimeStep,
///         _: &mut Rng,
///     ) -> Tensor<D> {
///         let (from, to) = at.ends(gaussian_schedule(model));
///         Evaluation::new(model, z, from).euler(to.scales)
///     }
/// }
/// assert!(laws::sampler(&MyEuler).iter().all(laws::Check::holds));
/// ```
///
/// One that remembers something from step to step also gives its trajectories a state: a type of its own that is
/// [`Clone`] and implements [`SamplerState`]. A two-step Adams–Bashforth method in r = σ/α, `dy/dr = ε̂` for `y = z/α`,
/// with u the time before t, whose first step is Euler's:
///
/// ```text
/// y_s = y_t + (r_s − r_t) [(1 + ½ ρ) ε̂_t − ½ ρ ε̂_u],   ρ = (r_s − r_t)/(r_t − r_u)
/// ```
///
/// ```
/// use burn::tensor::Tensor;
/// use tweedie::{
///     Result, Rng, denoise::Denoiser, laws, noise::Noise,
///     sample::{self, Combination, Evaluation, Properties, Sampler, SamplerState, TimeStep},
/// };
///
/// #[derive(Debug)]
/// struct Ab2;
///
/// /// r and ε̂ of the step before.
/// #[derive(Clone, Debug, Default)]
/// struct Ab2State<const D: usize> {
///     last: Option<(f64, Tensor<D>)>,
/// }
/// impl<const D: usize> SamplerState<D> for Ab2State<D> {
///     fn step(
///         &mut self,
///         model: &dyn Denoiser<D>,
///         z: Tensor<D>,
///         at: TimeStep,
///         _: &mut Rng,
///     ) -> Tensor<D> {
///         let (from, to) = at.ends(sample::gaussian_schedule(model));
///         let here = Evaluation::new(model, z, from);
///         let epsilon = here.epsilon();
///         let last = self.last.replace((from.ratio(), epsilon.clone()));
///         // r is infinite at α = 0: Euler's step, in its finite form.
///         let Some((before, old)) = last.filter(|(before, _)| before.is_finite()) else {
///             return here.euler(to.scales);
///         };
///         let h = to.ratio() - from.ratio();
///         let half = 0.5 * h / (from.ratio() - before);
///         Combination::new()
///             .term(to.scales.alpha / from.scales.alpha, here.z)
///             .term(to.scales.alpha * h * (1.0 + half), epsilon)
///             .term(-to.scales.alpha * h * half, old)
///             .total()
///     }
/// }
/// impl<const D: usize> Sampler<D> for Ab2 {
///     fn properties(&self) -> Properties {
///         Properties::ode(2, 1)
///     }
///     fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
///         Sampler::<D>::check(self, noise)?;
///         Ok(Box::new(Ab2State::default()))
///     }
///     fn step(
///         &self,
///         model: &dyn Denoiser<D>,
///         z: Tensor<D>,
///         at: TimeStep,
///         rng: &mut Rng,
///     ) -> Tensor<D> {
///         sample::first_step(self, model, z, at, rng)
///     }
/// }
/// let checks = laws::sampler(&Ab2);
/// assert!(checks.iter().all(laws::Check::holds), "{checks:?}");
/// ```
///
/// A linear multistep method needs none of this: it is its weights, see [`Multistep`](super::Multistep).
#[doc(alias = "scheduler")]
#[doc(alias = "SchedulerMixin")]
pub trait Sampler<const D: usize>: Debug + Send + Sync {
    /// One step on its own, without memory of earlier ones: x_s from x_t = `z`.
    ///
    /// # Panics
    ///
    /// If [`check`](Sampler::check) refuses the model's noise.
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D>;

    /// Starts a trajectory on a noise. Default: every step is [`step`](Sampler::step).
    ///
    /// # Errors
    ///
    /// As [`check`](Sampler::check), which an implementation calls first.
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        self.check(noise)?;
        Ok(Box::new(Stateless(self)))
    }

    /// Order of convergence, network evaluations and what else is known of the sampler. Default:
    /// [`Properties::default`], one network evaluation per step and noise of weak order 1.
    fn properties(&self) -> Properties {
        Properties::default()
    }

    /// Checks the sampler's settings, and whether it can be used with a noise. Default: Gaussian noise only.
    ///
    /// # Errors
    ///
    /// What is wrong with a setting, or why the noise does not fit.
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_gaussian(self, noise).map(|_| ())
    }

    /// Why a trajectory over decreasing `times` is inaccurate on a noise that [`check`](Sampler::check) accepts, and what
    /// to do; `None` if it is not. Default: `None`.
    ///
    /// The laws ask of every other combination that a deterministic sampler of ten or more steps is at most three times
    /// as far from the solution as DDIM of as many network evaluations ([`laws::robustness`](crate::laws::robustness)).
    fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
        let _ = (noise, times);
        None
    }

    /// Shape of what the denoiser is given, for x_t of this shape: smaller if it reads a window of x_t at a time. Default: the shape
    /// of x_t.
    fn reads(&self, shape: [usize; D]) -> [usize; D] {
        shape
    }
}

/// The state of one trajectory: what a sampler remembers between its steps.
///
/// A state is cloned with its trajectory ([`CloneState`]: `#[derive(Clone)]` is all it takes).
pub trait SamplerState<const D: usize>: CloneState<D> + Debug + Send {
    /// x_s from x_t = `z`.
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D>;

    /// Notes that z was changed from outside since the last step, by inpainting say, so that a corrector must not take
    /// that step again. Default: does nothing.
    fn z_replaced(&mut self) {}

    /// Why some rows of the last x_s are NaN, if the sampler gave them up; `None` if it did not. Default: `None`.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// Clones a [`SamplerState`] behind its box; implemented for every state that is [`Clone`].
pub trait CloneState<const D: usize> {
    /// A copy of the state.
    fn clone_state<'a>(&self) -> Box<dyn SamplerState<D> + 'a>
    where
        Self: 'a;
}
impl<const D: usize, S: SamplerState<D> + Clone> CloneState<D> for S {
    fn clone_state<'a>(&self) -> Box<dyn SamplerState<D> + 'a>
    where
        Self: 'a,
    {
        Box::new(self.clone())
    }
}
impl<const D: usize> Clone for Box<dyn SamplerState<D> + '_> {
    fn clone(&self) -> Self {
        (**self).clone_state()
    }
}

/// The state of a sampler that remembers nothing.
#[derive(Debug)]
struct Stateless<'a, S: ?Sized>(&'a S);
impl<S: ?Sized> Clone for Stateless<'_, S> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}
impl<const D: usize, S: Sampler<D> + ?Sized> SamplerState<D> for Stateless<'_, S> {
    fn step(&mut self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        self.0.step(model, z, at, rng)
    }
}

/// The first step of a trajectory: [`Sampler::step`] of a sampler that has a state and implements [`Sampler::start`].
///
/// # Panics
///
/// If the sampler refuses the model's noise, with its reason.
pub fn first_step<const D: usize>(
    sampler: &(impl Sampler<D> + ?Sized),
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    at: TimeStep,
    rng: &mut Rng,
) -> Tensor<D> {
    let mut state = sampler.start(model.noise()).unwrap_or_else(|error| panic!("{error}"));
    state.step(model, z, at, rng)
}

macro_rules! forward {
    () => {
        fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
            (**self).step(model, z, at, rng)
        }
        fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
            (**self).start(noise)
        }
        fn properties(&self) -> Properties {
            (**self).properties()
        }
        fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
            (**self).check(noise)
        }
        fn unfit(&self, noise: &dyn Noise<D>, times: &[f64]) -> Option<String> {
            (**self).unfit(noise, times)
        }
        fn reads(&self, shape: [usize; D]) -> [usize; D] {
            (**self).reads(shape)
        }
    };
}
/// The sampler behind the pointer, with all of its properties.
impl<const D: usize, S: Sampler<D> + ?Sized> Sampler<D> for Arc<S> {
    forward!();
}
// Of `Box<S>` and `&S` the trait objects alone: another crate may implement `Multistep` for `Box` and `&` of its own
// types.
/// The sampler behind the pointer, with all of its properties.
impl<'s, const D: usize> Sampler<D> for Box<dyn Sampler<D> + 's> {
    forward!();
}
/// The sampler behind the reference, with all of its properties.
impl<'s, const D: usize> Sampler<D> for &'s (dyn Sampler<D> + 's) {
    forward!();
}

/// The name of a sampler's type.
pub(crate) fn type_name(sampler: &(impl Debug + ?Sized)) -> String {
    let word = char::is_ascii_alphanumeric;
    format!("{sampler:?}").chars().skip_while(|c| !word(c)).take_while(word).collect()
}

/// The schedule of a Gaussian noise; what a sampler of x_t = α x + σ ε checks.
///
/// # Errors
///
/// If the noise is categorical, or has no schedule ([`Noise::path`]).
pub fn require_gaussian<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<&'a dyn Schedule> {
    noise.path().ok_or_else(|| {
        let name = type_name(sampler);
        match noise.categorical() {
            true => {
                Error::invalid(format!("the sampler {name} needs Gaussian noise, and the model's noise is categorical"))
                    .with_remedy("use `ancestral`")
            }
            false => Error::invalid(format!(
                "the sampler {name} needs the schedule of α and σ, and the model's noise has none: its `Noise::path` is \
                 `None`"
            ))
            .with_remedy("return the schedule from `path`, or use `ancestral`"),
        }
    })
}

/// An error about a setting unless it is as it should be; `problem` continues the sentence that the field begins.
pub(crate) fn require(holds: bool, field: &str, problem: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid(problem()).with_field(field)) }
}
