//! What is known of a chain of categories without its K×K matrices.
use super::{Estimate, Noise};
use crate::distribution::{Categorical, Distribution, one_hot};
use burn::tensor::Tensor;

/// The chain by which categories are lost, as rows and columns of its kernels.
///
/// j and x run over the last axis of what is given, `[…, K]`; z is one-hot `[…, K]` or numbers `[…, 1]`. Times are one a row
/// or one for all. With `q(z | x)` the kernel from the data to t and `w_x = p(x | z) / q_t(z | x)`, all that a reverse chain
/// needs of a guess p(x | z) is linear in w:
///
/// ```text
/// p_t(j)/p_t(z)           = Σ_x w_x q_t(j | x)                                ratios
/// p(x_s = j | x_t = z)    = q(x_t = z | x_s = j) Σ_x w_x q_s(j | x)           backward
/// rate of going z → j     = R_t(j → z) p_t(j)/p_t(z)                          reverse_rates
/// ```
///
/// where R_t(j → z) is the rate at which the chain goes from j to z as time runs on.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{noise::{Discrete, Noise}, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let noise: &dyn Noise<2> = &noise;
/// let mask = Tensor::<2>::from_floats([[2.0]], &Device::flex());
/// // Of what was not lost by 0.5, a half is by 0.75.
/// let onward = noise.chain().unwrap().onward(mask, &[0.5], &[0.75]);
/// assert_eq!(onward.into_data().to_vec::<f32>().unwrap(), [0.5, 0.5, 1.0]);
/// ```
pub trait Chain<const D: usize>: Noise<D> {
    /// `Σ_x w_x q(x_t = j | x)` over j: the law of x_t where w is one of x, and linear in w.
    fn spread(&self, w: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// `q(x_t = z | x)` over x.
    fn likelihood(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// `q(x_t = z | x_s = j)` over j.
    fn onward(&self, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D>;

    /// R_t(j → z) over j, and 0 at j = z.
    ///
    /// A chain that jumps at given times only has none, and panics.
    fn rates(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// Whether there are [`rates`](Chain::rates): whether the chain runs in continuous time.
    fn continuous(&self) -> bool {
        true
    }

    /// The probabilities of the stationary law, `[1, …, K]`, on the device and in the precision of `like`.
    fn limit(&self, like: &Tensor<D>) -> Tensor<D>;

    /// `w_x = p(x | z) / q_t(z | x)`, and 0 where z cannot have come of x.
    fn weights(&self, guess: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let likelihood = self.likelihood(z, t);
        let never = likelihood.clone().lower_elem(TINY);
        (guess / likelihood.mask_fill(never.clone(), 1.0)).mask_fill(never, 0.0)
    }

    /// p_t(j)/p_t(z) over j, where j takes the place of z alone.
    fn ratios(&self, guess: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let here = one_hot(z.clone(), guess.dims()[D - 1]);
        let ratios = self.spread(self.weights(guess, z, t), t);
        // That of z to itself is one, less what the guess gives to x that z cannot have come of.
        let own = (ratios.clone() * here).sum_dim(D - 1).clamp_min(TINY);
        ratios / own
    }

    /// The mixture `p(x_s | x_t = z) = Σ_x p(x | z) q(x_s | x_t = z, x)`, as probabilities.
    fn backward(&self, guess: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        let w = self.weights(guess, z.clone(), t);
        product(self.onward(z, s, t), self.spread(w, s))
    }

    /// `q(x_s | x_t = z, x)` by Bayes' rule, as probabilities; with a guess in the place of x, the plug-in form.
    fn bayes(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        product(self.onward(z, s, t), self.spread(x, s))
    }

    /// The rate of going from z to j against time, over j, and 0 at j = z.
    fn reverse_rates(&self, guess: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.rates(z.clone(), t) * self.ratios(guess, z, t)
    }

    /// ln of the [`ratios`](Chain::ratios), straight from what the net said.
    fn log_ratios(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let guess = self.estimate(output, z.clone(), t).mean;
        self.ratios(guess, z, t).clamp_min(TINY).log()
    }

    /// −ln p(x | z), straight from what the net said: `[…, 1]`.
    fn nll(&self, output: Tensor<D>, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let guess: Estimate<D> = self.estimate(output, z, t);
        Categorical::trusted(guess.mean).nll(x)
    }
}

/// A probability that counts as none, in single precision.
pub(super) const TINY: f64 = 1e-30;

/// `a ∘ b` over its sum along the last axis; a alone where b excludes all that a allows.
fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let joint = b * a.clone() + a * TINY;
    let total = joint.clone().sum_dim(D - 1).clamp_min(f64::from(f32::MIN_POSITIVE));
    joint / total
}
