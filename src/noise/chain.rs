//! Markov chains of categories, without their K×K matrices.
use super::{Estimate, Noise};
use crate::distribution::{Categorical, Distribution, one_hot};
use burn::tensor::Tensor;

/// Markov chain that corrupts categories, as rows and columns of its transition kernels.
///
/// With `q_t(z | x)` the forward marginal and `w_x = p(x | z) / q_t(z | x)`, everything that the reverse chain needs of the denoised
/// estimate p(x | z) is linear in w:
///
/// ```text
/// p_t(j)/p_t(z)           = Σ_x w_x q_t(j | x)                                ratios
/// p(x_s = j | x_t = z)    = q(x_t = z | x_s = j) Σ_x w_x q_s(j | x)           backward
/// rate of jumps z → j     = R_t(j → z) p_t(j)/p_t(z)                          reverse_rates
/// ```
///
/// where R_t(j → z) is the rate at which the forward chain jumps from j to z.
///
/// # Shapes
///
/// `x` and functions of j or x: `[…, K]`, over the last axis. `z`: one-hot `[…, K]` or category indices `[…, 1]`. Times: one per row
/// of the batch, or one for all rows.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{noise::{Discrete, Noise}, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let noise: &dyn Noise<2> = &noise;
/// let mask = Tensor::<2>::from_floats([[2.0]], &Device::flex());
/// // Of what survives at 0.5, half is masked by 0.75.
/// let onward = noise.chain().unwrap().onward(mask, &[0.5], &[0.75]);
/// assert_eq!(onward.into_data().to_vec::<f32>().unwrap(), [0.5, 0.5, 1.0]);
/// ```
pub trait Chain<const D: usize>: Noise<D> {
    /// `Σ_x w_x q(x_t = j | x)` over j: the distribution of x_t if w is that of x; linear in w.
    fn marginal(&self, w: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// Likelihood `q(x_t = z | x)` over x.
    fn likelihood(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// Transition probability `q(x_t = z | x_s = j)` over j.
    #[doc(alias = "transition")]
    fn onward(&self, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D>;

    /// Forward rates R_t(j → z) over j, and 0 at j = z.
    ///
    /// # Panics
    ///
    /// If the chain has none: if it is not [`continuous`](Chain::continuous).
    fn rates(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// Whether the chain runs in continuous time, so that it has [`rates`](Chain::rates). Default: true.
    fn continuous(&self) -> bool {
        true
    }

    /// Stationary distribution, `[1, …, K]`, on the device and in the precision of `like`.
    fn limit(&self, like: &Tensor<D>) -> Tensor<D>;

    /// Weights `w_x = p(x | z) / q_t(z | x)`, and 0 where q_t(z | x) = 0.
    fn weights(&self, probs: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let likelihood = self.likelihood(z, t);
        let never = likelihood.clone().lower_elem(TINY);
        (probs / likelihood.mask_fill(never.clone(), 1.0)).mask_fill(never, 0.0)
    }

    /// Concrete score: the ratios p_t(j)/p_t(z) over j.
    #[doc(alias("concrete_score", "sedd"))]
    fn ratios(&self, probs: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let here = one_hot(z.clone(), probs.dims()[D - 1]);
        let ratios = self.marginal(self.weights(probs, z, t), t);
        // The ratio at j = z is one, except for what the estimate gives to x with q_t(z | x) = 0.
        let own = (ratios.clone() * here).sum_dim(D - 1).clamp_min(TINY);
        ratios / own
    }

    /// Reverse transition as the mixture `p(x_s | x_t = z) = Σ_x p(x | z) q(x_s | x_t = z, x)`, as probabilities.
    fn backward(&self, probs: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        let w = self.weights(probs, z.clone(), t);
        product(self.onward(z, s, t), self.marginal(w, s))
    }

    /// Posterior `q(x_s | x_t = z, x)` by Bayes' rule, as probabilities; with an estimate in place of x, the plug-in form.
    fn bayes(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        product(self.onward(z, s, t), self.marginal(x, s))
    }

    /// Rates of the reverse chain from z to j, over j, and 0 at j = z.
    fn reverse_rates(&self, probs: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.rates(z.clone(), t) * self.ratios(probs, z, t)
    }

    /// ln of the [`ratios`](Chain::ratios), from the network output.
    fn log_ratios(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let probs = self.estimate(output, z.clone(), t).mean;
        self.ratios(probs, z, t).clamp_min(TINY).log()
    }

    /// −ln p(x | z), from the network output: `[…, 1]`; finite, so that a network can be trained by it: a probability that has
    /// underflowed counts as 1e-30, unless it is computed from logits.
    fn nll(&self, output: Tensor<D>, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let estimate: Estimate<D> = self.estimate(output, z, t);
        Categorical::trusted(estimate.mean.clamp_min(TINY)).nll(x)
    }
}

/// Probabilities below this count as 0 in single precision.
pub(super) const TINY: f64 = 1e-30;

/// `a ∘ b`, normalized along the last axis; a alone where a ∘ b = 0.
fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let joint = b * a.clone() + a * TINY;
    let total = joint.clone().sum_dim(D - 1).clamp_min(f64::from(f32::MIN_POSITIVE));
    joint / total
}
