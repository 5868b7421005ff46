//! Losses: one number per sample; they add and scale.
//!
//! ```
//! use tweedie::loss::{Objective, Simple, Vlb};
//! // The hybrid objective of improved DDPM.
//! let hybrid: Objective<4> = (Simple {} + 1e-3 * Vlb::new(1000)).into();
//! assert_eq!(hybrid.terms()[1].0, 1e-3);
//! ```
//!
//! A loss of your own is a struct with one method. [`loss_arithmetic!`](crate::loss_arithmetic) gives it the operators of the
//! built-in losses; without the macro, [`weighted`] does:
//!
//! ```
//! use burn::tensor::Tensor;
//! use tweedie::loss::{Batch, Loss, Objective, Simple, per_sample, weighted};
//! /// Pseudo-Huber: √(‖prediction − target‖² + c²) − c, entry by entry.
//! #[derive(Debug)]
//! struct Huber(f64);
//! impl<const D: usize> Loss<D> for Huber {
//!     fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
//!         let error = batch.prediction() - batch.target();
//!         per_sample((error.square() + self.0.powi(2)).sqrt() - self.0)
//!     }
//! }
//! tweedie::loss_arithmetic!(Huber);
//! let objective: Objective<4> = (2.0 * Huber(0.01) + Simple {}).into();
//! let same: Objective<4> = (weighted(2.0, Huber(0.01)) + Simple {}).into();
//! assert_eq!(format!("{objective:?}"), format!("{same:?}"));
//! ```
use crate::{
    distribution::{Categorical, Normal},
    error::Result,
    noise::Noise,
};
use burn::tensor::Tensor;
use std::{any::Any, fmt::Debug, sync::Arc};

mod batch;
mod categories;
mod embedding;
mod objective;
mod regression;
mod simple;
mod uncertainty;
mod vlb;
pub mod weight;
pub use batch::Batch;
pub use categories::{CrossEntropy, MaskedNelbo, ScoreEntropy};
pub use embedding::{Prior, Rounding};
pub use objective::{LossSum, Objective, WeightedLoss, weighted};
pub use regression::{ErrorOf, HuberConstant, Penalty, Regression, Space};
pub use simple::Simple;
pub use uncertainty::{Uncertain, Uncertainty};
pub use vlb::Vlb;
pub use weight::Weight;

/// One term of an objective; see the [module](self) for one of your own.
pub trait Loss<const D: usize>: Debug + Send + Sync {
    /// The loss of each row of the batch: `[batch]`.
    ///
    /// # Panics
    ///
    /// If [`check`](Loss::check) refuses the batch's noise: a trainer and a [bound](crate::likelihood::bound) ask it first.
    #[doc(alias = "compute_loss")]
    fn compute(&self, batch: &Batch<D>) -> Tensor<1>;

    /// Checks that the loss is defined for this noise; called before the first step.
    ///
    /// # Errors
    ///
    /// If it is not, with the reason.
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        let _ = noise;
        Ok(())
    }

    /// Checks that the loss is defined for data of this transform; called before the first step.
    ///
    /// # Errors
    ///
    /// If it is not, with the reason.
    fn check_transform(&self, transform: &dyn Any) -> Result<()> {
        let _ = transform;
        Ok(())
    }

    /// The times over which the mean of this loss, plus the [prior term](prior_term), is an upper bound of −ln p(x) per dimension;
    /// `None` if it is not a bound.
    fn bound_times(&self, noise: &dyn Noise<D>) -> Option<BoundTimes> {
        let _ = noise;
        None
    }

    /// Whether the loss is weighted by the learned [`Uncertainty`] of the model, which a model to be trained must then have. Default:
    /// no.
    fn learns_uncertainty(&self) -> bool {
        false
    }

    /// Returns this loss alone as an objective of known rank.
    fn into_objective(self) -> Objective<D>
    where
        Self: Sized + 'static,
    {
        Objective::term(1.0, Arc::new(self))
    }
}

/// The times over which a bound is a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundTimes {
    /// 1/T, 2/T, …, 1.
    Steps(usize),
    /// The uniform distribution on (0, 1).
    Continuous,
}

/// The prior term of a bound, KL(q(x₁ | x) ‖ stationary), in nats per dimension: `[batch]`. No network can change it.
///
/// # Shapes
///
/// x as the noise takes it.
#[doc(alias("L_T", "prior_bpd"))]
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

/// Returns the mean over all axes but the first: `[batch, …]` → `[batch]`.
#[doc(alias = "mean_flat")]
pub fn per_sample<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let batch = x.dims()[0];
    x.reshape([batch as i64, -1]).mean_dim(1).reshape([batch])
}
