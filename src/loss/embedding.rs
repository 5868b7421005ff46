//! The terms of models whose data are embedded tokens.
use super::{Batch, Loss, Scaled, Sum, per_sample, prior_term};
use crate::{error::Error, noise::Noise, transform::Embedding};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use std::{
    any::Any,
    ops::{Add, Mul},
};
use tweedie_kernels::ops;

/// −ln p(w | x₀) of tokens w under the logits of an [`Embedding`], in nats a token, with x₀ drawn at the first time:
/// the step of the bound that leads from vectors to words.
///
/// `x₀ = α x + σ ε` at time 1/T of a table of T steps, 0.001 otherwise, where ε is that of x_t. It keeps the vectors of
/// different tokens apart: without it they would fall together, for then x is easiest to guess.
///
/// [`of_guess`](Self::of_guess) asks for −ln p(w | x̂) instead, at every time: the anchor of Difformer, which trains the net
/// as well.
///
/// Li et al., "Diffusion-LM" (2022), section 4.1, <https://arxiv.org/abs/2205.14217>; Gao et al., "Difformer: Empowering
/// Diffusion Models on the Embedding Space for Text Generation" (2022), <https://arxiv.org/abs/2212.09412>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rounding {
    /// Whether the guess x̂ is to be read instead of x₀.
    guess: bool,
}

impl Rounding {
    /// Of x₀.
    pub fn new() -> Self {
        Self::default()
    }
    /// Of the net's guess x̂.
    pub fn of_guess(self) -> Self {
        Self { guess: true }
    }
}

impl Loss<3> for Rounding {
    fn compute(&self, batch: &Batch<3>) -> Tensor<1> {
        let embedding = batch.transform::<Embedding>().expect("checked before the first step");
        let tokens = batch.raw::<Tensor<3>>().expect("the raw data of an embedding are numbers of tokens");
        let x = if self.guess {
            batch.estimate().mean
        } else {
            let first = batch.noise.steps().map_or(1e-3, |steps| 1.0 / steps as f64);
            let scales = batch.noise.path().expect("checked before the first step").at(first);
            match &batch.eps {
                Some(eps) => batch.x.clone() * scales.alpha + eps.clone() * scales.sigma,
                None => batch.x.clone() * scales.alpha,
            }
        };
        let tokens: Tensor<3, Int> = tokens.clone().int();
        per_sample(ops::log_softmax(embedding.logits(x)).gather(2, tokens).neg())
    }
    fn check(&self, noise: &dyn Noise<3>) -> crate::Result<()> {
        if noise.path().is_some() {
            return Ok(());
        }
        Err(Error::invalid(
            "the loss `rounding` reads tokens off vectors in Gaussian noise, and this noise is made for categories as they \
             are: leave the loss out, or use a Gaussian noise and the transform `embedding`",
        ))
    }
    fn check_transform(&self, transform: &dyn Any) -> crate::Result<()> {
        if transform.is::<Embedding>() {
            return Ok(());
        }
        Err(Error::invalid(
            "the loss `rounding` reads tokens off the vectors of the transform `embedding`, and the model has another \
             transform: give it `embedding`, or leave the loss out",
        ))
    }
}

/// KL(q(x₁ | x) ‖ stationary), the mean over the entries, in nats: what is left of the data at the end.
///
/// A constant for data as they are. For an [`Embedding`] that is not normalised it keeps the vectors from growing out of the
/// noise's reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prior {}

impl<const D: usize> Loss<D> for Prior {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        prior_term(batch.noise, batch.x.clone())
    }
}

arithmetic!([] Rounding, [] Prior);
