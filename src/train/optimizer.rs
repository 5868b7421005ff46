//! AdamW over all parameters of a module.
use super::Parameters;
use crate::error::Error;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
                return Err(Error::Unfit(format!("`{name}` of adam lies in [0, 1), not at {beta}")));
            }
        }
        if !(self.epsilon > 0.0 && self.decay >= 0.0) {
            return Err(Error::Unfit(format!(
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

    /// One update of `weights` by `gradient · scale`.
    pub fn step(
        &mut self,
        adam: &AdamW,
        rate: f64,
        mut weights: Parameters,
        gradient: Parameters,
        scale: f64,
    ) -> Parameters {
        self.updates += 1;
        let k = self.updates.min(i32::MAX as u64) as i32;
        let (c1, c2) = (1.0 - adam.beta1.powi(k), 1.0 - adam.beta2.powi(k));
        let moments = self.first.values_mut().zip(self.second.values_mut());
        for ((w, g), (m, v)) in weights.values_mut().zip(gradient.values()).zip(moments) {
            let g = if scale == 1.0 { g.clone() } else { g.clone() * scale };
            m.inplace(|m| m * adam.beta1 + g.clone() * (1.0 - adam.beta1));
            v.inplace(|v| v * adam.beta2 + g.square() * (1.0 - adam.beta2));
            // √(v/c₂) + ε = (√v + ε √c₂)/√c₂ saves a pass over v.
            let direction = m.clone() / (v.clone().sqrt() + adam.epsilon * c2.sqrt()) * (rate * c2.sqrt() / c1);
            w.inplace(|w| if adam.decay > 0.0 { w * (1.0 - rate * adam.decay) - direction } else { w - direction });
        }
        weights
    }
}
