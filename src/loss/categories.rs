//! Losses for categories.
use super::{Batch, BoundTimes, Loss, per_sample};
use crate::{
    Dual, Error, Result,
    distribution::{is, one_hot},
    noise::{Chain, Noise, lift},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The Markov chain of a categorical noise, or an error for the loss `name`.
fn chain<'a, const D: usize>(name: &str, noise: &'a dyn Noise<D>) -> Result<&'a dyn Chain<D>> {
    noise.chain().ok_or_else(|| {
        let problem = format!("the loss `{name}` is defined for categories, and this noise is for continuous data");
        Error::invalid(problem).with_remedy("use `simple` or `vlb`")
    })
}
/// The same in a computation that is documented to panic if the check was not called.
fn checked_chain<'a, const D: usize>(name: &str, noise: &'a dyn Noise<D>) -> &'a dyn Chain<D> {
    chain(name, noise).unwrap_or_else(|error| panic!("{error}"))
}

/// Cross-entropy: −ln p(x | x_t), the mean over the positions of x, in nats. D3PM adds it to the bound.
///
/// Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces" (2021), section 3.4,
/// <https://arxiv.org/abs/2107.03006>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossEntropy {}
impl<const D: usize> Loss<D> for CrossEntropy {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let chain = checked_chain("cross-entropy", batch.noise);
        per_sample(batch.nll(chain))
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        chain("cross-entropy", noise).map(|_| ())
    }
}

/// The bound of masked diffusion in continuous time (MDLM, MD4), at one time, in nats per dimension:
///
/// ```text
/// w(t) Σ_{i masked} −ln p(x_i | x_t) / L,   w = −ᾱ′/(1 − ᾱ)
/// ```
///
/// with ᾱ(t) the survival probability. Its mean over t uniform in (0, 1) is an upper bound of −ln p(x)/L if ᾱ(1) = 0, and equals it
/// if the network knows every conditional. Reads the logits directly: no tensor of size K is made but their gradient.
///
/// Sahoo et al. (2024), eq. 10, <https://arxiv.org/abs/2406.07524>; Shi et al., "Simplified and Generalized Masked Diffusion
/// for Discrete Data" (2024), <https://arxiv.org/abs/2406.04329>.
///
/// # Shapes
/// x and z: `[batch, …, 1]` category indices or `[batch, …, K]` one-hot; network output: `[batch, …, K]`.
#[doc(alias("MDLM", "MD4"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedNelbo {}
impl<const D: usize> Loss<D> for MaskedNelbo {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let chain = checked_chain("masked-nelbo", batch.noise);
        let categories = batch.noise.categories().expect("a chain has categories");
        let mask = categories.mask.expect("`masked-nelbo` needs absorbing noise, as its check requires");
        let nll = batch.nll(chain);
        let [weight] = lift(&nll, batch.t, |_, t| {
            let keep = categories.schedule.survival(Dual::time(t));
            [-keep.slope / (1.0 - keep.value).max(1e-9)]
        });
        let unmasked = is(&batch.z, mask).bool_not();
        per_sample(nll.mask_fill(unmasked, 0.0) * weight)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        chain("masked-nelbo", noise)?;
        if noise.categories().is_some_and(|c| c.mask.is_some()) {
            return Ok(());
        }
        let problem = "the loss `masked-nelbo` is a sum over masked positions, and this noise has no mask";
        Err(Error::invalid(problem).with_remedy("use `vlb` or `score-entropy`, or absorbing noise"))
    }
    fn bound_times(&self, _: &dyn Noise<D>) -> Option<BoundTimes> {
        Some(BoundTimes::Continuous)
    }
}

/// Denoising score entropy (SEDD) in continuous time, at one time, in nats per dimension:
///
/// ```text
/// Σ_{j ≠ z} R_t(j → z) [s_j − ρ_j ln s_j + ρ_j (ln ρ_j − 1)],   ρ_j = q(j | x)/q(z | x),   summed over positions, over L
/// ```
///
/// with s the predicted ratios p_t(j)/p_t(z) and R_t(j → z) the rate of the chain. It is 0 if s = ρ; its mean over x given x_t is
/// least at the true ratios; and its mean over t uniform in (0, 1) is the bound on −ln p(x)/L less the
/// [prior term](super::prior_term). The ratios of logits are computed in logarithms, so that a network that is wrong by hundreds of nats
/// has the slope that corrects it. With absorbing noise and a p(x | x_t) that sums to one it is [`MaskedNelbo`]. It trains any
/// prediction type, not [`DiscretePrediction::Score`](crate::noise::DiscretePrediction::Score) alone.
///
/// Lou, Meng and Ermon, "Discrete Diffusion Modeling by Estimating the Ratios of the Data Distribution" (2024), eq. 9,
/// <https://arxiv.org/abs/2310.16834>.
///
/// # Shapes
/// As [`MaskedNelbo`]; makes a few tensors `[batch, …, K]`.
#[doc(alias("SEDD", "DWDSE"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreEntropy {}
impl<const D: usize> Loss<D> for ScoreEntropy {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let chain = checked_chain("score-entropy", batch.noise);
        let k = batch.noise.categories().expect("a chain has categories").k;
        let (z, t) = (batch.z.clone(), batch.t);
        let predicted = match batch.is_denoised() {
            true => chain.ratios(batch.estimate().mean, z.clone(), t).log(),
            false => chain.log_ratios(batch.output.clone(), z.clone(), t),
        };
        let truth = chain.ratios(one_hot(batch.x.clone(), k), z.clone(), t);
        let rest = truth.clone() * (truth.clone().clamp_min(1e-30).log() - predicted.clone() - 1.0);
        let rates = chain.rates(z, t);
        let terms = rates.clone() * (predicted.exp() + rest.mask_fill(truth.equal_elem(0.0), 0.0));
        per_sample(terms.mask_fill(rates.equal_elem(0.0), 0.0).sum_dim(D - 1))
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        if chain("score-entropy", noise)?.continuous() {
            return Ok(());
        }
        let problem = "the loss `score-entropy` needs a chain of continuous time, and this one has T discrete steps";
        Err(Error::invalid(problem).with_remedy("use `vlb`"))
    }
    fn bound_times(&self, _: &dyn Noise<D>) -> Option<BoundTimes> {
        Some(BoundTimes::Continuous)
    }
}

crate::loss_arithmetic!(CrossEntropy, MaskedNelbo, ScoreEntropy);
