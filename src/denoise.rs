//! Denoisers: x̂ = E[x | x_t]. Guidance, clipping and truncation are denoisers made of denoisers.
//!
//! Samplers, likelihoods and guidance see a model through [`Denoiser`] alone, so whatever wraps a denoiser keeps its effect in all of
//! them.
use crate::{
    error::Result,
    noise::{Estimate, Noise},
};
use burn::tensor::Tensor;

mod clip;
mod guided;
mod restricted;
mod truncated;
pub use clip::{Clamped, Thresholded};
pub use guided::Guided;
pub use restricted::Restricted;
pub use truncated::{Truncated, Truncation};

/// The denoised estimate x̂ = E[x | x_t] at every time, and the noise it belongs to.
///
/// A [conditioned model](crate::model::Model::conditioned), an exact solution ([`exact`](crate::exact)), or a combination of
/// other denoisers:
///
/// ```
/// use burn::tensor::Tensor;
/// use tweedie::{denoise::Denoiser, noise::{Estimate, Noise}};
/// /// x̂ ← x̂ + shift.
/// struct Shifted<M>(M, f64);
/// impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Shifted<M> {
///     fn noise(&self) -> &dyn Noise<D> {
///         self.0.noise()
///     }
///     fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
///         let estimate = self.0.denoise(z, t);
///         let mean = estimate.mean.clone() + self.1;
///         estimate.with_mean(mean)
///     }
/// }
/// ```
pub trait Denoiser<const D: usize> {
    /// The noise process.
    fn noise(&self) -> &dyn Noise<D>;

    /// E[x | x_t = z].
    ///
    /// If x̂ is read from a network output, [`Noise::estimate`] computes it; a denoiser that changes the mean of another one
    /// drops the output with [`Estimate::with_mean`].
    ///
    /// # Shapes
    ///
    /// `z: [batch, …]`; `t` holds one time per row, or one for all rows.
    #[doc(alias("predict_x0", "pred_original_sample"))]
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D>;

    /// Checks that x_t of this shape can be denoised, with the condition that the denoiser holds; asked before the first step of
    /// sampling. Default: any shape. A wrapper asks the denoiser inside.
    ///
    /// # Errors
    ///
    /// If it cannot, with the remedy.
    fn check(&self, shape: [usize; D]) -> Result<()> {
        let _ = shape;
        Ok(())
    }

    /// E[x | x_t = z] of a window of longer samples, whose first entry along the second axis is number `first`, for
    /// denoisers that treat entries differently by their place. Default: [`denoise`](Self::denoise), whatever the place.
    ///
    /// # Shapes
    ///
    /// As [`denoise`](Self::denoise), with the entries of the window alone.
    fn denoise_window(&self, z: Tensor<D>, t: &[f64], first: usize) -> Estimate<D> {
        let _ = first;
        self.denoise(z, t)
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<const D: usize, M: Denoiser<D> + ?Sized> Denoiser<D> for $pointer {
            fn noise(&self) -> &dyn Noise<D> {
                (**self).noise()
            }
            fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
                (**self).denoise(z, t)
            }
            fn check(&self, shape: [usize; D]) -> Result<()> {
                (**self).check(shape)
            }
            fn denoise_window(&self, z: Tensor<D>, t: &[f64], first: usize) -> Estimate<D> {
                (**self).denoise_window(z, t, first)
            }
        }
    )*};
}
forward!(Box<M>, &M);
