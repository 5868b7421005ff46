//! Guesses of categories made surer.
use super::Denoiser;
use crate::{
    distribution::{numbers, one_hot},
    error::Error,
    noise::{Estimate, Noise},
};
use burn::tensor::{IndexingUpdateOp, Tensor};
use serde::{Deserialize, Serialize};

/// Probabilities made surer, in this order: `p^(1/temperature)`; the `top_k` likeliest; of these the fewest likeliest whose
/// mass reaches `top_p`; over their sum again.
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Truncation {
    /// Below 1 likelier categories become likelier yet; at 0 the likeliest is certain.
    pub temperature: f64,
    /// How many categories may be drawn; all unless said.
    pub top_k: Option<usize>,
    /// How much of the mass may be drawn.
    pub top_p: f64,
}
impl Default for Truncation {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0 }
    }
}
impl Truncation {
    /// Whether the settings have a meaning.
    ///
    /// # Errors
    ///
    /// Which has none.
    pub fn check(&self) -> Result<(), Error> {
        let Self { temperature, top_k, top_p } = *self;
        if temperature >= 0.0 && temperature.is_finite() && top_k != Some(0) && 0.0 < top_p && top_p <= 1.0 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "guesses are truncated with a temperature of 0 or more, top_k of 1 or more and top_p within (0, 1], not \
             temperature = {temperature}, top_k = {top_k:?}, top_p = {top_p}"
        )))
    }

    /// Probabilities along the last axis, made surer. Of categories equally likely some may stay and others go.
    pub fn apply<const D: usize>(&self, probs: Tensor<D>) -> Tensor<D> {
        let last = D - 1;
        let k = probs.dims()[last];
        if self.temperature == 0.0 {
            return one_hot(numbers(probs), k);
        }
        let probs = if self.temperature == 1.0 {
            probs
        } else {
            let most = probs.clone().max_dim(last);
            let p = ((probs / most).log() / self.temperature).exp();
            p.clone() / p.sum_dim(last)
        };
        let kept = self.top_k.unwrap_or(k).min(k);
        if kept == k && self.top_p == 1.0 {
            return probs;
        }
        let (sorted, places) = probs.clone().sort_descending_with_indices(last);
        let (sorted, places) = (sorted.narrow(last, 0, kept), places.narrow(last, 0, kept));
        let reached = sorted.clone().cumsum(last);
        let whole = reached.clone().narrow(last, kept - 1, 1);
        // Out goes what begins where the mass is reached already.
        let out = (reached - sorted.clone()).greater_equal((whole * self.top_p).expand(sorted.dims()));
        let sorted = if self.top_p == 1.0 { sorted } else { sorted.mask_fill(out, 0.0) };
        let total = sorted.clone().sum_dim(last);
        probs.zeros_like().scatter(last, places, sorted / total, IndexingUpdateOp::Add)
    }
}

/// A denoiser of categories whose guesses are made surer; see [`Truncation`].
///
/// Around a [`Guided`](super::Guided) one it acts on the guided guess. What it says in the net's language is left as it is.
#[derive(Clone, Debug)]
pub struct Truncated<M> {
    /// The denoiser.
    pub model: M,
    /// How.
    pub truncation: Truncation,
}
impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Truncated<M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.model.predict(z, t)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let guess = self.model.denoise(z, t);
        Estimate { mean: self.truncation.apply(guess.mean), variance: guess.variance, output: None }
    }
}
