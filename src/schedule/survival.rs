//! Survival probabilities of categories.
use crate::{dual::Dual, error::Result};
use auto_impl::auto_impl;
use std::fmt::Debug;

/// Survival probability ᾱ(t): the probability that categorical noise has not corrupted a category by time t.
///
/// `q(x_t | x) = Cat(ᾱ(t) x + (1 − ᾱ(t)) π)` for one-hot x and the stationary distribution π: with probability 1 − ᾱ(t) the
/// category has been resampled from π, which for absorbing noise is the mask. The rate of corruption is −ᾱ′/ᾱ.
///
/// One method is required:
///
/// ```
/// use tweedie::{Dual, noise::{Discrete, Noise}, schedule::Survival};
/// #[derive(Debug)]
/// struct Squared;
/// impl Survival for Squared {
///     fn survival(&self, t: Dual) -> Dual {
///         (1.0 - t).powi(2)
///     }
/// }
/// let noise = Discrete::absorbing(Squared, 28, 27);
/// assert!(Noise::<3>::check(&noise).is_ok());
/// ```
///
/// Tables of β and the variance-preserving schedule implement it with ᾱ = α², since β is the probability that a step resamples
/// a category; other schedules of continuous time with ᾱ = α; [`VarianceExploding`](super::VarianceExploding) and
/// [`Edm`](super::Edm) do not, since their α ≡ 1 would leave every category as it is.
#[doc(alias("alphas_cumprod", "alpha_bar", "keep", "mask_schedule"))]
#[auto_impl(&, Box, Arc)]
pub trait Survival: Debug + Send + Sync {
    /// The survival probability ᾱ(t) ∈ [0, 1], non-increasing.
    #[doc(alias("alphas_cumprod", "alpha_bar", "keep"))]
    fn survival(&self, t: Dual) -> Dual;

    /// `[α(t), σ(t)]` of the variance-preserving schedule with α² = ᾱ, if survival is the square of a signal scale.
    ///
    /// Combinators that rescale a signal ([`ZeroTerminal`](super::ZeroTerminal), [`Shifted`](super::Shifted)) then act on α, as
    /// they do for continuous data, and on ᾱ itself otherwise. Default: `None`.
    fn signal(&self, t: Dual) -> Option<[Dual; 2]> {
        let _ = t;
        None
    }

    /// The number of steps T, if the schedule is a table, on whose grid `i/T` training takes its timesteps. Default: `None`.
    #[doc(alias = "num_train_timesteps")]
    fn steps(&self) -> Option<usize> {
        None
    }

    /// Checks the parameters; called before the first step.
    ///
    /// # Errors
    ///
    /// If they define no survival probability: the field, the value found and the values allowed.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
