//! Sums of weighted losses.
use super::{Batch, Loss};
use crate::{error::Result, noise::Noise};
use burn::tensor::Tensor;
use std::{
    any::Any,
    ops::{Add, Mul},
    sync::Arc,
};

/// An objective: Σ wᵢ · lossᵢ.
///
/// Every loss converts into one, and so does a sum such as `Simple {} + 1e-3 * Vlb::new(1000)`.
#[derive(Clone, Debug)]
pub struct Objective<const D: usize>(Vec<(f64, Arc<dyn Loss<D>>)>);

impl<const D: usize> Objective<D> {
    /// One weighted loss.
    pub fn term(weight: f64, loss: Arc<dyn Loss<D>>) -> Self {
        Self(vec![(weight, loss)])
    }
    /// The losses with their weights.
    pub fn terms(&self) -> &[(f64, Arc<dyn Loss<D>>)] {
        &self.0
    }
    /// Checks that every loss is defined for this noise.
    ///
    /// # Errors
    ///
    /// Those of the first loss that is not.
    pub fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        self.0.iter().try_for_each(|(_, loss)| loss.check(noise))
    }
    /// Checks that every loss is defined for data of this transform.
    ///
    /// # Errors
    ///
    /// Those of the first loss that is not.
    pub fn check_transform(&self, transform: &dyn Any) -> Result<()> {
        self.0.iter().try_for_each(|(_, loss)| loss.check_transform(transform))
    }
    /// Whether a loss is weighted by the [uncertainty](super::Uncertainty) of the model.
    pub fn learns_uncertainty(&self) -> bool {
        self.0.iter().any(|(_, loss)| loss.learns_uncertainty())
    }
    /// The weighted losses: `[batch]` each.
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

/// Returns `weight · loss`, for a loss of any rank: what `weight * loss` is for built-in losses.
///
/// ```
/// use tweedie::loss::{Objective, Simple, Vlb, weighted};
/// let hybrid: Objective<4> = (weighted(1e-3, Vlb::new(1000)) + Simple {}).into();
/// assert_eq!(hybrid.terms().len(), 2);
/// ```
pub fn weighted<L>(weight: f64, loss: L) -> WeightedLoss<L> {
    WeightedLoss(weight, loss)
}

/// A weighted loss before its rank is known: the value of `1e-3 * Vlb::new(1000)`.
#[derive(Clone, Debug)]
pub struct WeightedLoss<L>(pub f64, pub L);
/// The sum of two losses before their rank is known: the value of `Simple {} + 1e-3 * Vlb::new(1000)`.
#[derive(Clone, Debug)]
pub struct LossSum<A, B>(pub A, pub B);

impl<const D: usize, L: Into<Objective<D>>> From<WeightedLoss<L>> for Objective<D> {
    fn from(WeightedLoss(weight, loss): WeightedLoss<L>) -> Self {
        weight * loss.into()
    }
}
impl<const D: usize, A: Into<Objective<D>>, B: Into<Objective<D>>> From<LossSum<A, B>> for Objective<D> {
    fn from(LossSum(a, b): LossSum<A, B>) -> Self {
        a.into() + b.into()
    }
}

/// Implements `loss + other`, `weight * loss` and `loss * weight` for losses, a user's as well as the built-in ones.
///
/// A type with parameters is preceded by them: `loss_arithmetic!([A B] Both<A, B>)`. See [`loss`](crate::loss) for an example.
#[macro_export]
macro_rules! loss_arithmetic {
    ($([$($parameter:ident)*] $loss:ty),+ $(,)?) => {$(
        impl<Other, $($parameter),*> ::std::ops::Add<Other> for $loss {
            type Output = $crate::loss::LossSum<Self, Other>;
            fn add(self, other: Other) -> Self::Output {
                $crate::loss::LossSum(self, other)
            }
        }
        impl<$($parameter),*> ::std::ops::Mul<f64> for $loss {
            type Output = $crate::loss::WeightedLoss<Self>;
            fn mul(self, weight: f64) -> Self::Output {
                $crate::loss::WeightedLoss(weight, self)
            }
        }
        impl<$($parameter),*> ::std::ops::Mul<$loss> for f64 {
            type Output = $crate::loss::WeightedLoss<$loss>;
            fn mul(self, loss: $loss) -> Self::Output {
                $crate::loss::WeightedLoss(self, loss)
            }
        }
    )+};
    ($($loss:ty),+ $(,)?) => { $crate::loss_arithmetic!($([] $loss),+); };
}
loss_arithmetic!([L] WeightedLoss<L>, [A B] LossSum<A, B>);
