//! Losses for embedded tokens.
use super::{Batch, Loss, per_sample, prior_term};
use crate::{
    error::{Error, Result},
    noise::Noise,
    transform::Embedding,
};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use std::any::Any;
use tweedie_kernels::ops;

/// Rounding loss: −ln p(w | x₀) of token ids w under the logits of an [`Embedding`], in nats per token.
///
/// `x₀ = α x + σ ε` at time 1/T of a table of T steps, 0.001 otherwise, where ε is that of x_t: the step of the bound from vectors
/// to tokens. It keeps the vectors of different tokens apart; without it they collapse, because x is then easiest to predict.
///
/// [`with_estimate`](Self::with_estimate) computes −ln p(w | x̂) instead, at every time: the anchor loss of Difformer, which trains
/// the network as well.
///
/// Li et al., "Diffusion-LM" (2022), section 4.1, <https://arxiv.org/abs/2205.14217>; Gao et al., "Difformer: Empowering
/// Diffusion Models on the Embedding Space for Text Generation" (2022), <https://arxiv.org/abs/2212.09412>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rounding {
    /// Whether x̂ is read in place of x₀. Default: false.
    pub estimate: bool,
}

impl Rounding {
    /// The rounding loss of x₀.
    pub fn new() -> Self {
        Self::default()
    }
    /// Reads the denoised estimate x̂ in place of x₀.
    #[doc(alias = "anchor_loss")]
    pub fn with_estimate(self) -> Self {
        Self { estimate: true }
    }
}

impl Loss<3> for Rounding {
    fn compute(&self, batch: &Batch<3>) -> Tensor<1> {
        let embedding =
            batch.transform::<Embedding>().expect("`rounding` needs the transform `embedding`, as its check requires");
        let tokens = batch.raw::<Tensor<3>>().expect("the raw data of an embedding are token ids");
        let x = if self.estimate {
            batch.estimate().mean
        } else {
            let first = batch.noise.steps().map_or(1e-3, |steps| 1.0 / steps as f64);
            let scales = batch.noise.path().expect("`rounding` needs Gaussian noise, as its check requires").at(first);
            match &batch.eps {
                Some(eps) => batch.x.clone() * scales.alpha + eps.clone() * scales.sigma,
                None => batch.x.clone() * scales.alpha,
            }
        };
        let tokens: Tensor<3, Int> = tokens.clone().int();
        per_sample(ops::log_softmax(embedding.logits(x)).gather(2, tokens).neg())
    }
    fn check(&self, noise: &dyn Noise<3>) -> Result<()> {
        if noise.path().is_some() {
            return Ok(());
        }
        let problem = "the loss `rounding` reads tokens off vectors in Gaussian noise, and this noise is categorical";
        Err(Error::invalid(problem)
            .with_remedy("leave the loss out, or use Gaussian noise and the transform `embedding`"))
    }
    fn check_transform(&self, transform: &dyn Any) -> Result<()> {
        if transform.is::<Embedding>() {
            return Ok(());
        }
        let problem = "the loss `rounding` reads tokens off the vectors of the transform `embedding`, and the model has another \
                       transform";
        Err(Error::invalid(problem).with_remedy("use the transform `embedding`, or leave the loss out"))
    }
}

/// The prior term KL(q(x₁ | x) ‖ stationary), the mean over the entries, in nats.
///
/// A constant for fixed data. For an [`Embedding`] that is not normalized it keeps the vectors' norms from growing past the noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prior {}

impl<const D: usize> Loss<D> for Prior {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        prior_term(batch.noise, batch.x.clone())
    }
}

crate::loss_arithmetic!(Rounding, Prior);
