//! Losses: terms that add and scale, each one number a sample.
//!
//! ```
//! use tweedie::loss::{Objective, Simple, Vlb};
//! // The hybrid objective of improved DDPM.
//! let hybrid: Objective<4> = Simple.into_objective() + 1e-3 * Vlb::new(1000).into_objective();
//! # use tweedie::loss::Loss;
//! ```
use crate::{
    distribution::{Categorical, Normal},
    noise::{DynDistribution, Estimate, Noise},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::{
    any::Any,
    cell::OnceCell,
    fmt::Debug,
    ops::{Add, Mul},
    sync::Arc,
};

mod categories;
pub use categories::{CrossEntropy, MaskedNelbo, ScoreEntropy};

/// One training batch, as a loss sees it. What is costly is computed when first asked for.
pub struct Batch<'a, const D: usize> {
    /// The noise, for its kernels.
    pub noise: &'a dyn Noise<D>,
    /// The transformed data x.
    pub x: Tensor<D>,
    /// The noisy data x_t.
    pub z: Tensor<D>,
    /// ε of x_t = α x + σ ε; none for categories.
    pub eps: Option<Tensor<D>>,
    /// A time for each row.
    pub t: &'a [f64],
    /// All that the net said, a learned variance included.
    pub output: Tensor<D>,
    pub(crate) raw: &'a dyn Any,
    pub(crate) condition: &'a dyn Any,
    pub(crate) transform: &'a dyn Any,
    pub(crate) word: OnceCell<Tensor<D>>,
    pub(crate) target: OnceCell<Tensor<D>>,
    pub(crate) estimate: OnceCell<Estimate<D>>,
}

impl<'a, const D: usize> Batch<'a, D> {
    /// A batch from its parts; raw data and condition are found again by their types.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        noise: &'a dyn Noise<D>,
        x: Tensor<D>,
        z: Tensor<D>,
        eps: Option<Tensor<D>>,
        t: &'a [f64],
        output: Tensor<D>,
        raw: &'a dyn Any,
        condition: &'a dyn Any,
    ) -> Self {
        let (word, target, estimate) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { noise, x, z, eps, t, output, raw, condition, transform: &(), word, target, estimate }
    }
    /// The same with the data transform, to be found again by its type.
    pub fn with_transform(self, transform: &'a dyn Any) -> Self {
        Self { transform, ..self }
    }
    /// The prediction: what the net said of x, without a learned variance.
    pub fn prediction(&self) -> Tensor<D> {
        self.word.get_or_init(|| self.noise.split(self.output.clone()).0).clone()
    }
    /// What the net ought to have said.
    pub fn target(&self) -> Tensor<D> {
        self.target.get_or_init(|| self.noise.target(self.x.clone(), self.z.clone(), self.t)).clone()
    }
    /// x̂ and the learned variance.
    pub fn estimate(&self) -> Estimate<D> {
        self.estimate.get_or_init(|| self.noise.estimate(self.output.clone(), self.z.clone(), self.t)).clone()
    }
    /// q(x_s | x_t, x).
    pub fn posterior(&self, s: &[f64]) -> DynDistribution<D> {
        self.noise.posterior(self.x.clone(), self.z.clone(), s, self.t)
    }
    /// p(x_s | x_t) for a guess.
    pub fn approximate(&self, guess: Estimate<D>, s: &[f64]) -> DynDistribution<D> {
        self.noise.approximate(guess, self.z.clone(), s, self.t)
    }
    /// The data before the transform, if they are of this type.
    pub fn raw<R: 'static>(&self) -> Option<&R> {
        self.raw.downcast_ref()
    }
    /// The condition, if it is of this type.
    pub fn condition<C: 'static>(&self) -> Option<&C> {
        self.condition.downcast_ref()
    }
    /// The data transform, if it is of this type: for a loss that trains it.
    pub fn transform<T: 'static>(&self) -> Option<&T> {
        self.transform.downcast_ref()
    }
}

/// One term of an objective.
///
/// A loss of one's own is a struct with one method:
///
/// ```
/// use burn::tensor::Tensor;
/// use tweedie::loss::{Batch, Loss, per_sample};
/// /// Pseudo-Huber, which forgives outliers.
/// #[derive(Debug)]
/// struct Huber(f64);
/// impl<const D: usize> Loss<D> for Huber {
///     fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
///         let gap = batch.prediction() - batch.target();
///         per_sample((gap.square() + self.0.powi(2)).sqrt() - self.0)
///     }
/// }
/// ```
pub trait Loss<const D: usize>: Debug + Send + Sync {
    /// One number for each row of the batch: `[batch]`.
    fn compute(&self, batch: &Batch<D>) -> Tensor<1>;

    /// Whether the loss has a meaning for this noise; asked before the first step.
    ///
    /// # Errors
    ///
    /// Why it has none.
    fn check(&self, noise: &dyn Noise<D>) -> crate::Result<()> {
        let _ = noise;
        Ok(())
    }

    /// Whether the loss has a meaning for data that come by this transform; asked before the first step.
    ///
    /// # Errors
    ///
    /// Why it has none.
    fn check_transform(&self, transform: &dyn Any) -> crate::Result<()> {
        let _ = transform;
        Ok(())
    }

    /// Over which times the mean of this loss, with the [prior term](prior_term), is a bound on −ln p(x) a dimension; `None`
    /// where it is none.
    fn times(&self, noise: &dyn Noise<D>) -> Option<Times> {
        let _ = noise;
        None
    }

    /// This loss alone, as an objective that others can be added to.
    fn into_objective(self) -> Objective<D>
    where
        Self: Sized + 'static,
    {
        Objective(vec![(1.0, Arc::new(self))])
    }
}

/// The times over which a bound is a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// 1/T, 2/T, …, 1.
    Steps(usize),
    /// All of (0, 1) alike.
    Continuous,
}

/// KL(q(x₁ | x) ‖ stationary) in nats a dimension: what completes a bound, and no net can change. `[batch]`.
///
/// # Shapes
/// x as the noise takes it.
pub fn prior_term<const D: usize>(noise: &dyn Noise<D>, x: Tensor<D>) -> Tensor<1> {
    let prior = noise.prior(x.clone(), &[1.0]);
    let mean = prior.mean();
    per_sample(match noise.chain() {
        Some(chain) => prior.kl(&Categorical::trusted(chain.limit(&mean).expand(mean.dims()))),
        None => {
            let start = noise.stationary(x.dims(), &x.device());
            prior.kl(&Normal::trusted(start.mean().cast(x.dtype()), start.std().cast(x.dtype())))
        }
    })
}

/// The mean over all axes but the first: `[batch, …]` → `[batch]`.
pub fn per_sample<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let batch = x.dims()[0];
    x.reshape([batch as i64, -1]).mean_dim(1).reshape([batch])
}

/// Σ wᵢ · lossᵢ.
#[derive(Clone, Debug)]
pub struct Objective<const D: usize>(Vec<(f64, Arc<dyn Loss<D>>)>);

impl<const D: usize> Objective<D> {
    /// One term of a weight.
    pub fn term(weight: f64, loss: Arc<dyn Loss<D>>) -> Self {
        Self(vec![(weight, loss)])
    }
    /// The terms with their weights.
    pub fn terms(&self) -> &[(f64, Arc<dyn Loss<D>>)] {
        &self.0
    }
    /// Whether every term has a meaning for this noise.
    ///
    /// # Errors
    ///
    /// The first term's reason.
    pub fn check(&self, noise: &dyn Noise<D>) -> crate::Result<()> {
        self.0.iter().try_for_each(|(_, loss)| loss.check(noise))
    }
    /// Whether every term has a meaning for data that come by this transform.
    ///
    /// # Errors
    ///
    /// The first term's reason.
    pub fn check_transform(&self, transform: &dyn Any) -> crate::Result<()> {
        self.0.iter().try_for_each(|(_, loss)| loss.check_transform(transform))
    }
    /// Each term of the sum, weighted: `[batch]` each.
    pub fn compute(&self, batch: &Batch<D>) -> Vec<Tensor<1>> {
        self.0.iter().map(|(weight, loss)| loss.compute(batch) * *weight).collect()
    }
}
impl<const D: usize, L: Loss<D> + 'static> From<L> for Objective<D> {
    fn from(loss: L) -> Self {
        loss.into_objective()
    }
}
impl<const D: usize> Mul<Objective<D>> for f64 {
    type Output = Objective<D>;
    fn mul(self, mut objective: Objective<D>) -> Objective<D> {
        objective.0.iter_mut().for_each(|(weight, _)| *weight *= self);
        objective
    }
}
impl<const D: usize> Mul<f64> for Objective<D> {
    type Output = Self;
    fn mul(self, weight: f64) -> Self {
        weight * self
    }
}
impl<const D: usize, R: Into<Objective<D>>> Add<R> for Objective<D> {
    type Output = Self;
    fn add(mut self, other: R) -> Self {
        self.0.extend(other.into().0);
        self
    }
}

/// A loss times a number, before its rank is known: what `1e-3 * Vlb::new(1000)` is.
#[derive(Clone, Debug)]
pub struct Scaled<L>(f64, L);
/// The sum of two losses, before their rank is known: what `Simple + 1e-3 * Vlb::new(1000)` is.
#[derive(Clone, Debug)]
pub struct Sum<A, B>(A, B);

impl<const D: usize, L: Into<Objective<D>>> From<Scaled<L>> for Objective<D> {
    fn from(Scaled(weight, loss): Scaled<L>) -> Self {
        weight * loss.into()
    }
}
impl<const D: usize, A: Into<Objective<D>>, B: Into<Objective<D>>> From<Sum<A, B>> for Objective<D> {
    fn from(Sum(a, b): Sum<A, B>) -> Self {
        a.into() + b.into()
    }
}
macro_rules! arithmetic {
    ($([$($g:ident)*] $type:ty),*) => {$(
        impl<R, $($g),*> Add<R> for $type {
            type Output = Sum<Self, R>;
            fn add(self, other: R) -> Sum<Self, R> {
                Sum(self, other)
            }
        }
        impl<$($g),*> Mul<f64> for $type {
            type Output = Scaled<Self>;
            fn mul(self, weight: f64) -> Scaled<Self> {
                Scaled(weight, self)
            }
        }
        impl<$($g),*> Mul<$type> for f64 {
            type Output = Scaled<$type>;
            fn mul(self, loss: $type) -> Scaled<$type> {
                Scaled(self, loss)
            }
        }
    )*};
}
arithmetic!([] Simple, [] Vlb, [] CrossEntropy, [] MaskedNelbo, [] ScoreEntropy, [L] Scaled<L>, [A B] Sum<A, B>);

mod embedding;
pub use embedding::{Prior, Rounding};

/// ‖prediction − target‖², the mean over the entries of a sample.
///
/// Ho, Jain and Abbeel (2020), eq. 14, <https://arxiv.org/abs/2006.11239>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "Nothing", into = "Nothing")]
pub struct Simple;

/// How a struct without settings is written: as an empty table, which TOML has, and not as a unit, which it has not.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}
impl From<Nothing> for Simple {
    fn from(_: Nothing) -> Self {
        Self
    }
}
impl From<Simple> for Nothing {
    fn from(_: Simple) -> Self {
        Self {}
    }
}
impl<const D: usize> Loss<D> for Simple {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        per_sample((batch.prediction() - batch.target()).square())
    }
    fn check(&self, noise: &dyn Noise<D>) -> crate::Result<()> {
        if noise.categorical() {
            return Err(crate::Error::invalid(
                "the loss `simple` is a squared distance, and categories have none: use `vlb` with a categorical noise",
            ));
        }
        Ok(())
    }
}

/// The variational bound by one of its T terms, in nats a dimension: T times KL(q(x_s | x_t, x) ‖ p(x_s | x_t)) with
/// `s = t − 1/T`, and T times −ln p(x | x_t) where s is 0.
///
/// Its mean over t = 1/T, …, 1 is the bound less its constant KL(q(x₁ | x) ‖ stationary), the [`prior_term`].
///
/// Where the variance is learned, the gradient reaches the variance alone and leaves x̂ to the other terms, as improved
/// DDPM's hybrid objective asks; [`whole`](Vlb::whole) lets it reach both.
///
/// Nichol and Dhariwal (2021), section 3.1, <https://arxiv.org/abs/2102.09672>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vlb {
    /// T; 0 takes the T of the schedule's table.
    steps: usize,
    /// The levels of the data in [−1, 1], for a discretised last term; 0 takes a density.
    levels: usize,
    /// Whether the gradient reaches x̂ where the variance is learned.
    whole: bool,
}
impl Default for Vlb {
    fn default() -> Self {
        Self::new(0)
    }
}
impl Vlb {
    /// A bound of `steps` terms for data of continuous values; 0 steps takes the T of the schedule's table.
    pub fn new(steps: usize) -> Self {
        Self { steps, levels: 0, whole: false }
    }
    /// For data of `levels` even levels in [−1, 1]: 256 for 8-bit images.
    pub fn levels(self, levels: usize) -> Self {
        Self { levels, ..self }
    }
    /// With a gradient to x̂ as well.
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }
}
impl<const D: usize> Loss<D> for Vlb {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let steps = if self.steps > 0 { Some(self.steps) } else { batch.noise.steps() };
        let steps = steps.expect("checked before the first step") as f64;
        let mut guess = batch.estimate();
        if guess.variance.is_some() && !self.whole {
            guess.mean = guess.mean.detach();
        }
        // Rows of the first step have s = 0 and take the decoder instead; t/2 keeps their unused KL finite.
        let first: Vec<bool> = batch.t.iter().map(|t| t * steps < 1.5).collect();
        let s: Vec<f64> =
            batch.t.iter().zip(&first).map(|(t, first)| if *first { 0.5 * t } else { t - 1.0 / steps }).collect();
        let kl = || {
            let p = batch.approximate(guess.clone(), &s);
            per_sample(batch.posterior(&s).kl(&*p))
        };
        let last = || {
            let p = batch.noise.decoder(guess.clone(), batch.z.clone(), batch.t);
            if let Some(chain) = batch.noise.chain() {
                return per_sample(chain.nll(batch.output.clone(), batch.x.clone(), batch.z.clone(), batch.t));
            }
            per_sample(if self.levels > 1 {
                Normal::trusted(p.mean(), p.std()).discretised_nll(batch.x.clone(), 1.0 / (self.levels - 1) as f64)
            } else {
                p.nll(batch.x.clone())
            })
        };
        let bound = match (first.iter().all(|first| *first), first.iter().any(|first| *first)) {
            (true, _) => last(),
            (false, false) => kl(),
            (false, true) => {
                let mask = burn::tensor::TensorData::new(first.clone(), [first.len()]);
                kl().mask_where(Tensor::from_data(mask, &batch.x.device()), last())
            }
        };
        bound * steps
    }
    fn times(&self, noise: &dyn Noise<D>) -> Option<Times> {
        let steps = if self.steps > 0 { Some(self.steps) } else { noise.steps() };
        steps.map(Times::Steps)
    }
    fn check(&self, noise: &dyn Noise<D>) -> crate::Result<()> {
        if self.steps == 0 && noise.steps().is_none() {
            return Err(crate::Error::invalid(
                "the loss `vlb` sums the terms of T steps, and a schedule of continuous time has none: give it `steps`",
            ));
        }
        Ok(())
    }
}
