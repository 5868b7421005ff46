//! Samplers: one step from x_t to x_s, and the walk from noise to data.
//!
//! In `y = z/α` and `r = σ/α` the probability flow is `dy/dr = ε̂`; in `z/σ` and `1/r` it is `d(z/σ)/d(1/r) = x̂`. With
//! `λ = ln(α/σ)` the samplers without noise of their own are these:
//!
//! | sampler | of the paper | order | calls |
//! |---|---|---|---|
//! | [`Ddim`], [`Euler`] | Euler in r | 1 | 1 |
//! | [`Heun`], [`Dpm2`] | Heun in r; midpoint in r at the middle λ | 2 | 2 |
//! | [`DpmSolver`] | exponential Runge–Kutta in λ, on ε̂ | 1, 2, 3 | 1, 2, 3 |
//! | [`DpmSolverPp2S`] | the same on x̂; with η > 0 its stochastic form | 2 | 2 |
//! | [`DpmSolverPp`] | multistep in λ on x̂; with η > 0 its stochastic form | 1, 2, 3 | 1 |
//! | [`UniPc`] | the same with a corrector that costs no call | p + 1 | 1 |
//! | [`Etd`] | exponential Adams–Bashforth on x̂ | 1 to 6 | 1 |
//! | [`Deis`], [`Lms`], [`AdamsBashforth`] | ε̂ (or x̂) a polynomial in t, in r, in any clock; with a corrector one order more | 1 to 6 | 1 |
//! | [`Ipndm`], [`Plms`], [`Pndm`] | even-step Adams–Bashforth weights on uneven steps | 2 | 1 |
//! | [`DormandPrince`] | embedded Runge–Kutta pair with tolerances | – | – |
//!
//! and those with noise: [`Ancestral`], [`Ddim`] with η > 0, [`EulerAncestral`], [`Dpm2Ancestral`],
//! [`DpmSolverPp2SAncestral`], [`Churn`], [`EulerMaruyama`], [`SdeHeun`], [`SaSolver`], [`PredictorCorrector`],
//! [`Restart`] and [`Consistency`].
//!
//! Categories come back by these, of which [`Ancestral`], [`Analytic`] and [`TauLeaping`] undo every categorical noise and the
//! rest reveal the masks of absorbing noise. "Exact" says when draws have the data's joint law, given exact conditionals:
//!
//! | sampler | a step | exact |
//! |---|---|---|
//! | [`Ancestral`] | draws from p(x_s \| x_t) of the noise | one entry a step |
//! | [`Analytic`] | draws each entry from q(x_s \| x_t) itself | one entry a step |
//! | [`FirstHitting`] | jumps from one reveal to the next, at its own times | always |
//! | [`TauLeaping`] | holds the reverse rates of jumps for the step | in the limit, first order |
//! | [`Ordered`] | reveals the surest masks first, as many as the schedule says | one entry a step, unless the order looks at what was drawn |
//! | [`Remasking`] | reveals more, and masks some again | in the limit |
//!
//! and around them: [`Cached`] spares calls while nothing changes, [`Blocks`] goes left to right through any length,
//! [`Infill`] keeps what is known.
use crate::{
    denoise::Denoiser,
    error::Error,
    noise::{Estimate, Noise},
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::{Device, Tensor};
use std::{collections::VecDeque, fmt::Debug, sync::Arc};
use tweedie_kernels::combine;

mod adams;
mod adaptive;
mod ancestral;
mod churn;
mod consistency;
mod ddim;
mod discrete;
mod dpm;
mod langevin;
mod multistep;
mod ode;
mod pndm;
mod restart;
mod sde;
mod tune;
mod unipc;
pub use adams::{AdamsBashforth, Deis, Etd, Lms, SaSolver};
pub use adaptive::{DormandPrince, State, integrate};
pub(crate) use adaptive::{angle, polar};
pub use ancestral::{Dpm2Ancestral, DpmSolverPp2SAncestral, EulerAncestral};
pub use churn::Churn;
pub use consistency::Consistency;
pub use ddim::{Ancestral, Ddim, invert};
pub use discrete::{Analytic, Blocks, By, Cached, FirstHitting, Infill, Ordered, Remask, Remasking, TauLeaping};
pub use dpm::{Dpm2, DpmSolver, DpmSolverPp, DpmSolverPp2S};
pub use langevin::PredictorCorrector;
pub use multistep::{Clock, Multistep, Node, SolverPrediction, exact_weights};
pub use ode::{Euler, Heun};
pub use pndm::{Ipndm, Plms, Pndm};
pub use restart::Restart;
pub use sde::{EulerMaruyama, SdeHeun};
pub use tune::{Tuned, tune};
pub use unipc::{UniPc, Variant};

/// A rule for one step back in time.
pub trait Sampler<const D: usize>: Debug + Send + Sync {
    /// x_s from x_t = `z`, for 0 ≤ s < t ≤ 1.
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D>;

    /// The order of convergence of the final point, for samplers without noise of their own, once a walk is under way.
    ///
    /// A multistep method begins with fewer words than it keeps. Its first step is of first order, wrong by O(h²) where σ/α is
    /// smooth, and a whole walk begun that way of order 2 at most, whatever it gains later: the order meant here is that of a
    /// walk whose first words are exact, as [`order_of`](crate::laws::order_of) measures it. What a method does at the other
    /// end, a last step of first order (`lower_final`), counts.
    fn order(&self) -> Option<usize>;

    /// The order with which mean and variance of the final point converge on Gaussian data; asked of samplers with noise of their
    /// own, whose points have no limit each.
    fn weak_order(&self) -> usize {
        1
    }

    /// How far off the variance stays, relatively, however small the steps: 0 but for samplers that are so by definition, whose
    /// corrections have a size of their own.
    fn bias(&self) -> f64 {
        0.0
    }

    /// Whether row i of a batch depends on row i alone.
    fn rowwise(&self) -> bool {
        true
    }

    /// How often a step asks the model.
    fn calls(&self) -> usize {
        1
    }

    /// Whether the sampler is for models that say where the flow ends (consistency models) instead of E[x | x_t]: its step to
    /// t = 0 is that end, and the walk asks nothing more where a schedule leaves noise there.
    fn jumps(&self) -> bool {
        false
    }

    /// Whether the sampler can undo this noise; asked before the first step.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        gaussian(self, noise).map(|_| ())
    }
}

/// A sampler that is shared, by a recipe and an [`Infill`] say.
impl<const D: usize, S: Sampler<D> + ?Sized> Sampler<D> for Arc<S> {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        (**self).step(model, z, t, s, past, rng)
    }
    fn order(&self) -> Option<usize> {
        (**self).order()
    }
    fn calls(&self) -> usize {
        (**self).calls()
    }
    fn weak_order(&self) -> usize {
        (**self).weak_order()
    }
    fn bias(&self) -> f64 {
        (**self).bias()
    }
    fn rowwise(&self) -> bool {
        (**self).rowwise()
    }
    fn jumps(&self) -> bool {
        (**self).jumps()
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        (**self).check(noise)
    }
}

/// A sampler by its name alone, without its settings.
pub(crate) fn called(sampler: &(impl Debug + ?Sized)) -> String {
    let word = char::is_ascii_alphanumeric;
    format!("{sampler:?}").chars().skip_while(|c| !word(c)).take_while(word).collect()
}

/// A sampler's demand for x_t = α x + σ ε.
pub(crate) fn gaussian<'a, const D: usize>(
    sampler: &(impl Debug + ?Sized),
    noise: &'a dyn Noise<D>,
) -> Result<&'a dyn crate::schedule::Schedule, Error> {
    noise.path().ok_or_else(|| {
        Error::invalid(format!(
            "the sampler {} follows x_t = α x + σ ε, and the model's noise is categorical: use `ancestral`",
            called(sampler)
        ))
    })
}

/// What a sampler remembers between the steps of one walk.
#[derive(Clone, Debug)]
pub struct Past<const D: usize> {
    words: VecDeque<(f64, Tensor<D>)>,
    base: Option<Tensor<D>>,
    pace: Option<f64>,
    /// The last few times and their scales.
    nodes: VecDeque<Node>,
    /// The last guess, and what it was a guess of.
    guess: Option<(Tensor<D>, Estimate<D>)>,
    /// How many entries of each row there are to reveal.
    hidden: Option<Vec<f64>>,
    steps: usize,
    taken: usize,
}
impl<const D: usize> Default for Past<D> {
    fn default() -> Self {
        Self::of(1)
    }
}
impl<const D: usize> Past<D> {
    /// The memory of a walk of `steps` steps, before the first.
    pub fn of(steps: usize) -> Self {
        Self {
            words: VecDeque::new(),
            base: None,
            pace: None,
            nodes: VecDeque::new(),
            guess: None,
            hidden: None,
            steps,
            taken: 0,
        }
    }
    /// The scales of a schedule at `t`, those of the last few times from memory: a walk has one schedule.
    pub fn node(&mut self, path: &dyn Schedule, t: f64) -> Node {
        if let Some(node) = self.nodes.iter().find(|node| node.t == t) {
            return *node;
        }
        let node = Node::new(path, t);
        self.nodes.push_front(node);
        self.nodes.truncate(12);
        node
    }
    /// Remembers `value` at time `t` and forgets all but the last `keep`.
    pub fn push(&mut self, t: f64, value: Tensor<D>, keep: usize) {
        self.words.push_front((t, value));
        self.words.truncate(keep);
    }
    /// The k-th last time and value; 0 is the latest.
    pub fn get(&self, k: usize) -> Option<&(f64, Tensor<D>)> {
        self.words.get(k)
    }
    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.words.len()
    }
    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
    /// How many steps the walk has.
    pub fn steps(&self) -> usize {
        self.steps
    }
    /// Counts one more step as taken; a walk of one's own calls it between steps.
    pub fn advance(&mut self) {
        self.taken += 1;
    }
    /// Leaves the last step as it is, where a corrector would take it again: z was set from outside.
    pub fn settle(&mut self) {
        self.base = None;
    }
    /// How many steps are left, the present one included.
    pub fn left(&self) -> usize {
        self.steps.saturating_sub(self.taken)
    }
}

/// Σ cᵢ xᵢ with the scalars of one time for the whole batch: no term of weight zero is touched.
///
/// # Panics
///
/// If there is no term.
pub fn combine<const D: usize, const N: usize>(terms: [(f64, Tensor<D>); N]) -> Tensor<D> {
    sum(terms)
}

pub(crate) fn sum<const D: usize>(terms: impl IntoIterator<Item = (f64, Tensor<D>)>) -> Tensor<D> {
    tweedie_kernels::ops::combine(terms)
}

/// Standard noise shaped like `z`.
pub(crate) fn fresh<const D: usize>(rng: &mut Rng, z: &Tensor<D>) -> Tensor<D> {
    rng.normal_tensor(z.dims(), &z.device(), z.dtype())
}

/// The schedule of a noise that was checked before the first step.
pub(crate) fn path<const D: usize>(model: &dyn Denoiser<D>) -> &dyn Schedule {
    model.noise().path().expect("checked before the first step")
}

/// `x_s = α_s x̂ + σ_s ε̂`: Euler's step in σ/α, first order, which holds at both ends of every schedule.
pub(crate) fn straight<const D: usize>(z: Tensor<D>, x: Tensor<D>, from: Scales, to: Scales) -> Tensor<D> {
    let kept = to.sigma / from.sigma;
    combine!([(kept, z), (to.alpha - from.alpha * kept, x)])
}

/// The terms of `weight · ε̂ = weight · (z − α x̂)/σ`.
pub(crate) fn noise_terms<const D: usize>(weight: f64, z: Tensor<D>, x: Tensor<D>, c: Scales) -> [(f64, Tensor<D>); 2] {
    let each = weight / c.sigma;
    [(each, z), (-each * c.alpha, x)]
}

/// ε̂ = (z − α x̂)/σ.
pub(crate) fn noise_of<const D: usize>(z: Tensor<D>, x: Tensor<D>, c: Scales) -> Tensor<D> {
    combine(noise_terms(1.0, z, x, c))
}

/// The walk from x₁ to x₀: an iterator over (time, x_t) that starts with the noise and holds one x_t at a time.
///
/// Where a schedule leaves noise at t = 0 (σ(0) > 0: variance exploding, EDM), the last point is x̂ there, but for samplers
/// that [jump](Sampler::jumps) to the end of the flow.
#[derive(Debug)]
pub struct Trajectory<'a, const D: usize, M: ?Sized> {
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    next: usize,
    z: Option<Tensor<D>>,
    past: Past<D>,
    rng: Rng,
}

/// Starts a walk over falling `times` from a draw of the stationary law; where they begin below t = 1, of noise as strong as it is
/// there.
///
/// Row i of the walk depends on row i of `rng` alone.
///
/// # Errors
///
/// If the sampler cannot undo the model's noise, or the times do not fall within [0, 1].
pub fn trajectory<'a, const D: usize, M: Denoiser<D> + ?Sized>(
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    shape: [usize; D],
    rng: &Rng,
    device: &Device,
) -> Result<Trajectory<'a, D, M>, Error> {
    let mut z = model.noise().stationary(shape, device).sample(&mut rng.stream("start")).value;
    if let (Some(path), Some(&first)) = (model.noise().path(), times.first().filter(|&&t| t < 1.0)) {
        z = z * (path.at(first).sigma / path.at(1.0).sigma);
    }
    trajectory_from(model, sampler, times, z, rng)
}

/// Numbers; of many the first few, and how many there are.
pub(crate) fn few(numbers: &[f64]) -> String {
    const MOST: usize = 4;
    match numbers.get(..MOST) {
        Some(first) if numbers.len() > MOST => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("[{}, …] of {}", first.join(", "), numbers.len())
        }
        _ => format!("{numbers:?}"),
    }
}

/// [`trajectory`] from a given x at the first of `times`.
///
/// # Errors
///
/// As [`trajectory`].
pub fn trajectory_from<'a, const D: usize, M: Denoiser<D> + ?Sized>(
    model: &'a M,
    sampler: &'a dyn Sampler<D>,
    times: Vec<f64>,
    z: Tensor<D>,
    rng: &Rng,
) -> Result<Trajectory<'a, D, M>, Error> {
    sampler.check(model.noise())?;
    if times.len() < 2 || !times.windows(2).all(|w| w[0] > w[1]) || !(times[0] <= 1.0 && times[times.len() - 1] >= 0.0)
    {
        return Err(Error::invalid(format!(
            "sampling goes through two or more times that fall within [0, 1], not {}",
            few(&times)
        )));
    }
    let asks = times[times.len() - 1] == 0.0 && asks_at_end(model, sampler);
    let past = Past::of(times.len() - 1 + usize::from(asks));
    Ok(Trajectory { model, sampler, times, next: 0, z: Some(z), past, rng: rng.stream("steps") })
}

impl<const D: usize, M: ?Sized> Clone for Trajectory<'_, D, M> {
    fn clone(&self) -> Self {
        let (times, z, past, rng) = (self.times.clone(), self.z.clone(), self.past.clone(), self.rng.clone());
        Self { times, z, past, rng, ..*self }
    }
}

impl<const D: usize, M: Denoiser<D> + ?Sized> Iterator for Trajectory<'_, D, M> {
    type Item = (f64, Tensor<D>);
    fn next(&mut self) -> Option<Self::Item> {
        let i = self.next;
        let s = *self.times.get(i)?;
        self.next += 1;
        let mut z = self.z.take()?;
        if i > 0 {
            let model = Dyn(self.model);
            z = self.sampler.step(&model, z, self.times[i - 1], s, &mut self.past, &mut self.rng.at(i as u64));
            self.past.advance();
            if s == 0.0 && asks_at_end(self.model, self.sampler) {
                z = self.model.denoise(z, &[s]).mean;
            }
        }
        self.z = Some(z.clone());
        Some((s, z))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.times.len() - self.next;
        (left, Some(left))
    }
}
impl<const D: usize, M: Denoiser<D> + ?Sized> ExactSizeIterator for Trajectory<'_, D, M> {}

/// Whether the model is asked once more at t = 0: noise is left there, and the sampler's step is not the end itself.
fn asks_at_end<const D: usize>(model: &(impl Denoiser<D> + ?Sized), sampler: &dyn Sampler<D>) -> bool {
    !sampler.jumps() && model.noise().path().is_some_and(|path| path.at(0.0).sigma > 0.0)
}

/// A denoiser of any size as one that can be made into a trait object.
struct Dyn<'a, M: ?Sized>(&'a M);
impl<const D: usize, M: Denoiser<D> + ?Sized> Denoiser<D> for Dyn<'_, M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.0.noise()
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.0.denoise(z, t)
    }
}
