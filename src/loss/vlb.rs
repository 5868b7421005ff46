//! The variational bound.
use super::{Batch, BoundTimes, Loss, per_sample};
use crate::{
    distribution::{Categorical, Distribution, Normal, one_hot},
    error::{Error, Result},
    noise::Noise,
};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The variational bound by one of its T terms, in nats per dimension:
///
/// ```text
/// T · KL(q(x_s | x_t, x) ‖ p(x_s | x_t)),   s = t − 1/T > 0
/// T · −ln p(x | x_t),                       s = 0
/// ```
///
/// Both are of the denoised estimate that the [`Batch`] holds: in training the network's own, not clipped, because clipping would take
/// the gradient from every value outside of the data range; in [`likelihood::bound`](crate::likelihood::bound) that of the denoiser, as
/// sampling sees it.
///
/// Its mean over t = 1/T, …, 1 is the bound less its constant, the [prior term](super::prior_term).
///
/// With a learned variance the gradient reaches the variance alone and leaves x̂ to the other terms, as in improved DDPM's
/// hybrid objective; [`with_train_mean`](Vlb::with_train_mean) lets it reach both.
///
/// Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.1,
/// <https://arxiv.org/abs/2102.09672>.
#[doc(alias("L_vlb", "elbo", "nelbo", "variational_lower_bound"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vlb {
    /// T; 0 is the T of the schedule's table. Default: 0.
    pub steps: usize,
    /// The number of levels of the data in [−1, 1], for a discretized last term: 256 for 8-bit images; 0 is a density. Default: 0.
    pub levels: usize,
    /// Whether the gradient reaches x̂ if the variance is learned. Default: false.
    pub train_mean: bool,
}
/// Smallest probability of a reverse transition in training, a normal number of single precision.
const TINY: f64 = 1e-37;

impl Vlb {
    /// A bound of `steps` terms for data of continuous values; 0 is the T of the schedule's table.
    pub fn new(steps: usize) -> Self {
        Self { steps, ..Self::default() }
    }
    /// Sets the number of evenly spaced levels of the data in [−1, 1]: 256 for 8-bit images.
    pub fn with_levels(self, levels: usize) -> Self {
        Self { levels, ..self }
    }
    /// Lets the gradient reach x̂ as well as a learned variance.
    pub fn with_train_mean(self) -> Self {
        Self { train_mean: true, ..self }
    }
    /// The number T of terms, if it is known.
    fn terms<const D: usize>(&self, noise: &dyn Noise<D>) -> Option<usize> {
        if self.steps > 0 { Some(self.steps) } else { noise.steps() }
    }
}
impl<const D: usize> Loss<D> for Vlb {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let steps = self.terms(batch.noise).expect("`vlb` needs `steps`, as its check requires") as f64;
        let mut estimate = batch.estimate();
        if estimate.variance.is_some() && !self.train_mean {
            estimate.mean = estimate.mean.detach();
        }
        // Rows of the first step have s = 0 and take the decoder instead; t/2 keeps their unused KL finite.
        let first: Vec<bool> = batch.t.iter().map(|t| t * steps < 1.5).collect();
        let s: Vec<f64> =
            batch.t.iter().zip(&first).map(|(t, first)| if *first { 0.5 * t } else { t - 1.0 / steps }).collect();
        let kl = || {
            let (p, q) = (batch.approximate(estimate.clone(), &s), batch.posterior(&s));
            match batch.noise.chain() {
                None => per_sample(q.kl(&*p)),
                // Finite, as a network in training must have it.
                Some(_) if !batch.is_denoised() => per_sample(q.kl(&Categorical::trusted(p.mean().clamp_min(TINY)))),
                Some(chain) => {
                    let (z, t) = (batch.z.clone(), batch.t);
                    let weights = chain.weights(estimate.mean.clone(), z.clone(), t);
                    let x = one_hot(batch.x.clone(), p.mean().dims()[D - 1]);
                    let [q, p] = [(q, x), (p, weights)].map(|(law, w)| {
                        let joint = chain.onward(z.clone(), &s, t) * chain.marginal(w, &s);
                        Categorical::trusted(law.mean().mask_fill(joint.equal_elem(0.0), 0.0))
                    });
                    per_sample(q.kl(&p))
                }
            }
        };
        let last = || {
            let p = batch.noise.decoder(estimate.clone(), batch.z.clone(), batch.t);
            if let Some(chain) = batch.noise.chain() {
                return per_sample(batch.nll(chain));
            }
            per_sample(if self.levels > 1 {
                Normal::trusted(p.mean(), p.std()).discretized_nll(batch.x.clone(), 1.0 / (self.levels - 1) as f64)
            } else {
                p.nll(batch.x.clone())
            })
        };
        let bound = match (first.iter().all(|first| *first), first.iter().any(|first| *first)) {
            (true, _) => last(),
            (false, false) => kl(),
            (false, true) => {
                let mask = TensorData::new(first.clone(), [first.len()]);
                kl().mask_where(Tensor::from_data(mask, &batch.x.device()), last())
            }
        };
        bound * steps
    }
    fn bound_times(&self, noise: &dyn Noise<D>) -> Option<BoundTimes> {
        self.terms(noise).map(BoundTimes::Steps)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        if self.terms(noise).is_none() {
            let problem = "of the loss `vlb` must be set, because a schedule of continuous time has no T of its own";
            return Err(Error::invalid(problem).with_field("steps").with_remedy("try `steps = 1000`"));
        }
        Ok(())
    }
}
crate::loss_arithmetic!(Vlb);
