//! Temperature, top-k and nucleus (top-p) truncation of p(x | x_t) for categories.
use super::Denoiser;
use crate::{
    distribution::{category_indices, one_hot},
    error::{Error, Result},
    noise::{Estimate, Noise},
};
use burn::tensor::{IndexingUpdateOp, Tensor};
use serde::{Deserialize, Serialize};

/// Temperature, top-k and nucleus (top-p) truncation of probabilities.
///
/// Applied in this order: `p^(1/temperature)`; the `top_k` likeliest categories; of these the fewest whose mass reaches `top_p`;
/// normalization.
///
/// Fan, Lewis and Dauphin (2018), <https://arxiv.org/abs/1805.04833>; Holtzman et al., "The Curious Case of Neural Text
/// Degeneration" (2020), <https://arxiv.org/abs/1904.09751>.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::denoise::Truncation;
/// let p = Tensor::<2>::from_floats([[0.1, 0.5, 0.4]], &Device::flex());
/// let first = Truncation { top_k: Some(1), ..Truncation::default() }.apply(p);
/// assert_eq!(first.into_data().to_vec::<f32>().unwrap(), [0.0, 1.0, 0.0]);
/// ```
#[doc(alias = "nucleus_sampling")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Truncation {
    /// The temperature, 0 or more: below 1 sharpens p, 0 takes the likeliest category. Default: 1.
    pub temperature: f64,
    /// The number of categories that keep their probability, 1 or more. Default: all.
    pub top_k: Option<usize>,
    /// The probability mass p of the nucleus, in (0, 1]. Default: 1.
    pub top_p: f64,
}
impl Default for Truncation {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0 }
    }
}
impl Truncation {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// If a setting is out of range.
    pub fn check(&self) -> Result<()> {
        let Self { temperature, top_k, top_p } = *self;
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(Error::invalid(format!("must be 0 or more, got {temperature}")).with_field("temperature"));
        }
        if top_k == Some(0) {
            return Err(Error::invalid("must be 1 or more, got 0").with_field("top_k"));
        }
        if !(0.0 < top_p && top_p <= 1.0) {
            return Err(Error::invalid(format!("must be in (0, 1], got {top_p}")).with_field("top_p"));
        }
        Ok(())
    }

    /// Truncates probabilities along the last axis. Of categories equally likely some may stay and others go.
    pub fn apply<const D: usize>(&self, probs: Tensor<D>) -> Tensor<D> {
        let last = D - 1;
        let k = probs.dims()[last];
        if self.temperature == 0.0 {
            return one_hot(category_indices(probs), k);
        }
        let probs = if self.temperature == 1.0 {
            probs
        } else {
            let most = probs.clone().max_dim(last);
            let p = ((probs / most).log() / self.temperature).exp();
            p.clone() / p.sum_dim(last)
        };
        let top = self.top_k.unwrap_or(k).min(k);
        if top == k && self.top_p == 1.0 {
            return probs;
        }
        let (sorted, places) = probs.clone().sort_descending_with_indices(last);
        let (sorted, places) = (sorted.narrow(last, 0, top), places.narrow(last, 0, top));
        let cumulative = sorted.clone().cumsum(last);
        let mass = cumulative.clone().narrow(last, top - 1, 1);
        // A category is dropped if those before it have the mass already.
        let out = (cumulative - sorted.clone()).greater_equal((mass * self.top_p).expand(sorted.dims()));
        let sorted = if self.top_p == 1.0 { sorted } else { sorted.mask_fill(out, 0.0) };
        let total = sorted.clone().sum_dim(last);
        probs.zeros_like().scatter(last, places, sorted / total, IndexingUpdateOp::Add)
    }
}

/// A denoiser of categories whose p(x | x_t) is truncated; see [`Truncation`].
///
/// Around a [`Guided`](super::Guided) one it truncates the guided estimate; inside one it truncates the estimates that guidance
/// composes.
#[derive(Clone, Debug)]
pub struct Truncated<M> {
    /// The denoiser.
    pub model: M,
    /// The truncation.
    pub truncation: Truncation,
}
impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Truncated<M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn check(&self, shape: [usize; D]) -> crate::Result<()> {
        self.model.check(shape)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.denoise_window(z, t, 0)
    }
    fn denoise_window(&self, z: Tensor<D>, t: &[f64], first: usize) -> Estimate<D> {
        let Estimate { mean, variance, .. } = self.model.denoise_window(z, t, first);
        Estimate { mean: self.truncation.apply(mean), variance, output: None }
    }
}
