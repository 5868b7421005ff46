//! AdamW over all parameters of a module.
use super::Parameters;
use crate::error::{Error, Result};
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};
use tweedie_kernels::{AdamW as Rule, ops};

/// The constants of AdamW; without weight decay it is Adam.
///
/// ```text
/// m ← β₁ m + (1 − β₁) g
/// v ← β₂ v + (1 − β₂) g²
/// w ← w − lr (m/(1 − β₁ᵏ) / (√(v/(1 − β₂ᵏ)) + ε) + weight_decay · w)
/// ```
///
/// A parameter without a gradient, because it is frozen or the loss of this step does not use it, is not updated: neither weight
/// decay nor its moments change, and k counts the updates of each parameter. A gradient that is zero is a gradient.
///
/// burn's own optimizers clip each tensor by itself and identify parameters by numbers that differ from run to run; here the
/// gradient is clipped as a whole, and the state is saved under the names of the weights.
///
/// Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), <https://arxiv.org/abs/1412.6980>; Loshchilov and Hutter,
/// "Decoupled Weight Decay Regularization" (2019), <https://arxiv.org/abs/1711.05101>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// β₁, the decay of the mean of the gradients. Default: 0.9.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta1: f64,
    /// β₂, the decay of the mean of their squares. Default: 0.999.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta2: f64,
    /// ε, which bounds the update if gradients vanish. Default: 1e-8.
    #[doc(alias("adam_epsilon", "epsilon"))]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub eps: f64,
    /// Decoupled weight decay, `lr · weight_decay` per step. Default: 0.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}
impl Default for AdamW {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}
impl AdamW {
    /// Checks the constants.
    ///
    /// # Errors
    ///
    /// If a constant is out of range, with its field.
    pub fn check(&self) -> Result<()> {
        for (field, value, holds, allowed) in [
            ("beta1", self.beta1, (0.0..1.0).contains(&self.beta1), "in [0, 1)"),
            ("beta2", self.beta2, (0.0..1.0).contains(&self.beta2), "in [0, 1)"),
            ("eps", self.eps, self.eps > 0.0, "a positive number"),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0.0, "0 or more"),
        ] {
            if !holds {
                return Err(Error::invalid(format!("must be {allowed}, got {value}")).with_field(field));
            }
        }
        Ok(())
    }
}

/// The state of the optimizer: moving averages of the gradients and of their squares.
#[derive(Clone, Debug)]
pub struct Moments {
    /// m.
    pub first: Parameters,
    /// v.
    pub second: Parameters,
    /// The number of updates.
    pub updates: u64,
    /// How many of the updates each parameter had no gradient in: its k is `updates` less these.
    pub skipped: Vec<u64>,
}
impl Moments {
    /// The state before the first update.
    pub fn new(like: &Parameters) -> Self {
        let zero = like.clone().map(|value| value.zeros_like());
        let skipped = vec![0; zero.len()];
        Self { first: zero.clone(), second: zero, updates: 0, skipped }
    }
    pub(crate) fn to_device(&self, device: &Device) -> Self {
        let [first, second] = [&self.first, &self.second].map(|moments| moments.clone().to_device(device).packed());
        Self { first, second, updates: self.updates, skipped: self.skipped.clone() }
    }

    /// Updates `weights` with `gradient · scale`, and an average with decay d in the same pass, `average ← d average + (1 − d)
    /// weights`. Returns the new weights and the new average.
    ///
    /// A parameter of which [`Parameters::gradients`] found no gradient keeps its weights and moments, and an average that equals the
    /// weights stays equal to them. Weights that are not shared are updated in place.
    pub fn step(
        &mut self,
        adam: &AdamW,
        lr: f64,
        weights: Parameters,
        gradient: Parameters,
        scale: f64,
        average: Option<(Parameters, f64)>,
    ) -> (Parameters, Option<Parameters>) {
        self.step_if(None, adam, lr, weights, gradient, scale, average)
    }

    /// [`step`](Self::step) with the gradient scaled down to a norm of at most `clip`, if that is above 0; without waiting for the
    /// device. Weights, moments and average stay as they are if the norm, which is returned, or
    /// `loss`, a tensor of one element, is not finite.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn clipped_step(
        &mut self,
        adam: &AdamW,
        lr: f64,
        weights: Parameters,
        gradient: Parameters,
        clip: f64,
        loss: Tensor<1>,
        average: Option<(Parameters, f64)>,
    ) -> (Parameters, Option<Parameters>, Tensor<1>) {
        let norm = gradient.norm_on_device();
        let gradient = match clip > 0.0 {
            true => {
                let scale = norm.clone().clamp_min(clip).recip() * clip;
                gradient.map(|g| {
                    let n = g.dims()[0];
                    g * scale.clone().expand([n])
                })
            }
            false => gradient,
        };
        let (weights, average) =
            self.step_if(Some(&(norm.clone() + loss).is_finite()), adam, lr, weights, gradient, 1.0, average);
        (weights, average, norm)
    }

    /// One step, where a tensor of one element is true.
    #[allow(clippy::too_many_arguments)]
    fn step_if(
        &mut self,
        condition: Option<&Tensor<1, Bool>>,
        adam: &AdamW,
        lr: f64,
        weights: Parameters,
        gradient: Parameters,
        scale: f64,
        average: Option<(Parameters, f64)>,
    ) -> (Parameters, Option<Parameters>) {
        self.updates += 1;
        self.skipped.iter_mut().zip(gradient.missing()).for_each(|(skipped, missing)| *skipped += u64::from(missing));
        let AdamW { beta1, beta2, eps, weight_decay } = *adam;
        let rule = Rule { lr, beta1, beta2, epsilon: eps, weight_decay, gradient_scale: scale };
        let (updates, skipped) = (self.updates, &self.skipped);
        let count = |i: usize| updates - skipped.get(i).copied().unwrap_or(0);
        let [first, second] = [&mut self.first, &mut self.second].map(std::mem::take);
        match average {
            None => {
                let step = |i, state: [Tensor<1>; 3], gradient| match gradient {
                    Some(g) => {
                        let old = condition.map(|_| state.clone());
                        choose(condition, ops::adamw(&rule, count(i), state, g, None).0, old)
                    }
                    None => state,
                };
                let [weights, first, second] = Parameters::zip([weights, first, second], gradient, count, step);
                (self.first, self.second) = (first, second);
                (weights, None)
            }
            Some((average, d)) => {
                let step = |i, state: [Tensor<1>; 4], gradient| match gradient {
                    Some(g) => {
                        let old = condition.map(|_| state.clone());
                        let [w, m, v, average] = state;
                        let ([w, m, v], average) = ops::adamw(&rule, count(i), [w, m, v], g, Some((average, d)));
                        choose(condition, [w, m, v, average.expect("an average was given")], old)
                    }
                    None => {
                        let [w, m, v, average] = state;
                        let average = towards(average, &w, d);
                        [w, m, v, average]
                    }
                };
                let [weights, first, second, average] =
                    Parameters::zip([weights, first, second, average], gradient, count, step);
                (self.first, self.second) = (first, second);
                (weights, Some(average))
            }
        }
    }
}

/// The new values where the condition holds, else the old ones.
fn choose<const N: usize>(
    condition: Option<&Tensor<1, Bool>>,
    new: [Tensor<1>; N],
    old: Option<[Tensor<1>; N]>,
) -> [Tensor<1>; N] {
    let (Some(condition), Some(old)) = (condition, old) else { return new };
    let mut new = new.into_iter();
    old.map(|old| {
        let condition = condition.clone().expand(old.dims());
        old.mask_where(condition, new.next().expect("as many"))
    })
}

/// `d average + (1 − d) weights`, and the same bits where the two are equal.
fn towards(average: Tensor<1>, weights: &Tensor<1>, d: f64) -> Tensor<1> {
    let equal = average.clone().equal(weights.clone());
    (average.clone() * d + weights.clone() * (1.0 - d)).mask_where(equal, average)
}
