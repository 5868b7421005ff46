//! Log-ratios ln p_t(j)/p_t(z) of logits, in logarithms throughout.
//!
//! With `w_x = p(x | z)/q_t(z | x)`, `p_t(j)/p_t(z) = [ᾱ w_j + (1 − ᾱ) π_j Σw] / [ᾱ w_z + (1 − ᾱ) π_z Σw]`. As
//! probabilities the terms underflow where a network is wrong by more than about 70 nats, and with them its gradient;
//! as logarithms they do not.
use super::{Discrete, DiscretePrediction};
use crate::{
    distribution::{is, one_hot},
    noise::{Chain, chain::TINY, lift},
};
use burn::tensor::{Tensor, TensorData, activation::log_softmax};

/// A finite ln 0.
const NEVER: f64 = -1e30;

/// `ln(eᵃ + eᵇ)`.
fn log_add<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let most = a.clone().max_pair(b.clone()).detach();
    ((a - most.clone()).exp() + (b - most.clone()).exp()).log() + most
}

impl Discrete {
    /// ln p(x | z) of logits, over x.
    pub(super) fn log_probs<const D: usize>(&self, logits: Tensor<D>, z: Tensor<D>) -> Tensor<D> {
        match (self.prediction, self.mask()) {
            (DiscretePrediction::Subs, Some(mask)) => {
                let masked = is(&z, mask).expand(logits.dims());
                let here = one_hot(z, self.pi.len());
                let unmasked = (here - 1.0) * -NEVER;
                unmasked.mask_where(masked, log_softmax(self.without(logits, mask), D - 1))
            }
            _ => log_softmax(logits, D - 1),
        }
    }

    /// The log-ratios of ln p(x | z), over j.
    pub(super) fn log_ratios_of<const D: usize>(&self, log_probs: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let likelihood = self.likelihood(z.clone(), t);
        let never = likelihood.clone().lower_elem(TINY);
        let w = (log_probs - likelihood.mask_fill(never.clone(), 1.0).log()).mask_fill(never, NEVER);
        let most = w.clone().max_dim(D - 1).detach();
        let all = (w.clone() - most.clone()).exp().sum_dim(D - 1).log() + most;
        let [survival, corrupted] = lift(&w, t, |_, t| {
            let log = |p: f64| if p > 0.0 { p.ln() } else { NEVER };
            let survival = self.survival(t);
            [log(survival), log(1.0 - survival)]
        });
        let mut row = [1; D];
        row[D - 1] = self.pi.len();
        let pi = self.pi.iter().map(|p| if *p > 0.0 { p.ln() } else { NEVER }).collect::<Vec<f64>>();
        let pi = Tensor::from_data(TensorData::new(pi, row), (&w.device(), w.dtype()));
        let here = one_hot(z, self.pi.len());
        let whole = log_add(w + survival, pi + (all + corrupted));
        let own = (whole.clone() * here).sum_dim(D - 1);
        whole - own
    }
}
