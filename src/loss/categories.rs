//! Losses of categories.
use super::{Batch, Loss, Times, per_sample};
use crate::{
    Dual, Error, Result,
    distribution::{is, one_hot},
    noise::{Chain, Noise, lift},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The chain of a noise of categories, or why there is none.
fn chain<'a, const D: usize>(name: &str, noise: &'a dyn Noise<D>) -> Result<&'a dyn Chain<D>> {
    noise.chain().ok_or_else(|| {
        Error::invalid(format!(
            "the loss `{name}` asks which category x is, and this noise is made for numbers: use `simple` or `vlb`"
        ))
    })
}

/// −ln p(x | x_t), the mean over the positions of x, in nats: what D3PM adds to the bound.
///
/// Austin et al. (2021), section 3.4, <https://arxiv.org/abs/2107.03006>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CrossEntropy {}
impl<const D: usize> Loss<D> for CrossEntropy {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let chain = batch.noise.chain().expect("checked before the first step");
        per_sample(chain.nll(batch.output.clone(), batch.x.clone(), batch.z.clone(), batch.t))
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        chain("cross-entropy", noise).map(|_| ())
    }
}

/// The bound of masked diffusion in continuous time, at one time, in nats a dimension:
///
/// ```text
/// w(t) Σ_{i masked} −ln p(x_i | x_t) / L,   w = −keep′/(1 − keep)
/// ```
///
/// Its mean over even times t in (0, 1) is an upper bound of −ln p(x)/L where nothing of x is left at t = 1, and equals it
/// where the net knows every conditional. It reads the net's logits directly: nothing of size K is made but their gradient.
///
/// Sahoo et al. (2024), eq. 10, <https://arxiv.org/abs/2406.07524>; Shi et al., "Simplified and Generalized Masked Diffusion
/// for Discrete Data" (2024), <https://arxiv.org/abs/2406.04329>.
///
/// # Shapes
/// x and z: `[batch, …, 1]` numbers or `[batch, …, K]` one-hot; the net's word: `[batch, …, K]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedNelbo {}
impl<const D: usize> Loss<D> for MaskedNelbo {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let chain = batch.noise.chain().expect("checked before the first step");
        let categories = batch.noise.categories().expect("a chain has categories");
        let mask = categories.mask.expect("checked before the first step");
        let nll = chain.nll(batch.output.clone(), batch.x.clone(), batch.z.clone(), batch.t);
        let [weight] = lift(&nll, batch.t, |_, t| {
            let keep = categories.schedule.survival(Dual::time(t));
            [-keep.slope / (1.0 - keep.value).max(1e-9)]
        });
        let kept = is(&batch.z, mask).bool_not();
        per_sample(nll.mask_fill(kept, 0.0) * weight)
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        chain("masked-nelbo", noise)?;
        if noise.categories().is_some_and(|c| c.mask.is_some()) {
            return Ok(());
        }
        Err(Error::invalid(
            "the loss `masked-nelbo` is a sum over masked positions, and this noise has no mask: use `vlb` or \
             `score-entropy`, or absorbing noise",
        ))
    }
    fn times(&self, _: &dyn Noise<D>) -> Option<Times> {
        Some(Times::Continuous)
    }
}

/// Denoising score entropy in continuous time, at one time, in nats a dimension:
///
/// ```text
/// Σ_{j ≠ z} R_t(j → z) [s_j − ρ_j ln s_j + ρ_j (ln ρ_j − 1)],   ρ_j = q(j | x)/q(z | x),   summed over positions, over L
/// ```
///
/// with s the net's ratios p_t(j)/p_t(z) and R_t(j → z) the rate of the chain. It is 0 where s = ρ; its mean over x given x_t
/// is least at the true ratios; and its mean over even times is the bound on −ln p(x)/L less the
/// [prior term](super::prior_term). With absorbing noise and a net whose guesses sum to one it is [`MaskedNelbo`]. A net that
/// says logits can be trained by it as well as one that says [`DiscretePrediction::Score`](crate::noise::DiscretePrediction::Score).
///
/// Lou, Meng and Ermon (2024), eq. 9, <https://arxiv.org/abs/2310.16834>.
///
/// # Shapes
/// As [`MaskedNelbo`]; makes a few tensors `[batch, …, K]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreEntropy {}
impl<const D: usize> Loss<D> for ScoreEntropy {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let chain = batch.noise.chain().expect("checked before the first step");
        let k = batch.noise.categories().expect("a chain has categories").k;
        let (z, t) = (batch.z.clone(), batch.t);
        let said = chain.log_ratios(batch.output.clone(), z.clone(), t);
        let truth = chain.ratios(one_hot(batch.x.clone(), k), z.clone(), t);
        let rest = truth.clone() * (truth.clone().clamp_min(1e-30).log() - said.clone() - 1.0);
        per_sample((chain.rates(z, t) * (said.exp() + rest)).sum_dim(D - 1))
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        if chain("score-entropy", noise)?.continuous() {
            return Ok(());
        }
        Err(Error::invalid(
            "the loss `score-entropy` asks for the rates of a chain in continuous time, and this one jumps at its T steps \
             only: use `vlb`",
        ))
    }
    fn times(&self, _: &dyn Noise<D>) -> Option<Times> {
        Some(Times::Continuous)
    }
}
