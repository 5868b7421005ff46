//! AdamW over all parameters of a module.
use super::Parameters;
use crate::error::Error;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use tweedie_kernels::{AdamW as Rule, ops};

/// The constants of AdamW; a weight decay of 0 is Adam.
///
/// `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
/// `w ← w − rate (m/(1 − β₁ᵏ) / (√(v/(1 − β₂ᵏ)) + ε) + decay w)`.
///
/// burn's own optimisers clip each tensor by itself and know parameters by numbers that differ from run to run; here a
/// gradient is clipped as a whole, and the state is saved under the names of the weights.
///
/// Kingma and Ba (2015), <https://arxiv.org/abs/1412.6980>; Loshchilov and Hutter (2019),
/// <https://arxiv.org/abs/1711.05101>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// ε, which bounds the step where gradients vanish.
    pub epsilon: f64,
    /// Decoupled weight decay, a step's share being `rate · decay`.
    pub decay: f64,
}
impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 }
    }
}
impl AdamW {
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::invalid(format!("`{name}` of adam lies in [0, 1), not at {beta}")));
            }
        }
        if !(self.epsilon > 0.0 && self.decay >= 0.0) {
            return Err(Error::invalid(format!(
                "adam asks for epsilon > 0 and decay ≥ 0, but they are {} and {}",
                self.epsilon, self.decay
            )));
        }
        Ok(())
    }
}

/// The state of the optimiser: running means of the gradients and of their squares.
#[derive(Clone, Debug)]
pub struct Moments {
    /// m.
    pub first: Parameters,
    /// v.
    pub second: Parameters,
    /// k, the number of updates.
    pub updates: u64,
}
impl Moments {
    /// No gradient seen yet.
    pub fn new(like: &Parameters) -> Self {
        let zero = like.clone().map(|value| value.zeros_like());
        Self { first: zero.clone(), second: zero, updates: 0 }
    }
    pub(crate) fn to_device(&self, device: &Device) -> Self {
        let (first, second) = (self.first.clone().to_device(device), self.second.clone().to_device(device));
        Self { first, second, updates: self.updates }
    }

    /// One update of `weights` by `gradient · scale`, and with an average and its decay d, in the same pass,
    /// `average ← d average + (1 − d) weights`. Gives the new weights and the new average.
    ///
    /// Weights that nobody else holds are updated in place.
    pub fn step(
        &mut self,
        adam: &AdamW,
        rate: f64,
        weights: Parameters,
        gradient: Parameters,
        scale: f64,
        average: Option<(Parameters, f64)>,
    ) -> (Parameters, Option<Parameters>) {
        self.updates += 1;
        let AdamW { beta1, beta2, epsilon, decay } = *adam;
        let rule = Rule { lr: rate, beta1, beta2, epsilon, weight_decay: decay, gradient_scale: scale };
        let k = self.updates;
        let [first, second] = [&mut self.first, &mut self.second].map(std::mem::take);
        match average {
            None => {
                let step = |state, g| ops::adamw(&rule, k, state, g, None).0;
                let [weights, first, second] = Parameters::zip([weights, first, second], gradient, step);
                (self.first, self.second) = (first, second);
                (weights, None)
            }
            Some((average, d)) => {
                let step = |[w, m, v, average]: [Tensor<1>; 4], g| {
                    let ([w, m, v], average) = ops::adamw(&rule, k, [w, m, v], g, Some((average, d)));
                    [w, m, v, average.expect("an average was given")]
                };
                let [weights, first, second, average] =
                    Parameters::zip([weights, first, second, average], gradient, step);
                (self.first, self.second) = (first, second);
                (weights, Some(average))
            }
        }
    }
}
