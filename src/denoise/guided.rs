//! Classifier-free guidance and autoguidance.
use super::Denoiser;
use crate::{
    error::Result,
    noise::{Estimate, Noise},
};
use burn::tensor::{Tensor, activation::softmax};

/// Guidance: the estimate of `weak` moved towards that of `strong`, and beyond it.
///
/// ```text
/// x̂ = x̂_weak + scale (x̂_strong − x̂_weak)                         continuous data
/// ln p(x | x_t) = ln p_weak + scale (ln p_strong − ln p_weak) + c   categories
/// ```
///
/// Classifier-free guidance if `weak` is the unconditional model, autoguidance if it is a worse model. A scale of 1 is `strong`
/// alone, 0 is `weak` alone. A learned variance is that of `strong`.
///
/// The outputs of one network are composed if both estimates still carry them, which is the same formula: Gaussian outputs are
/// affine in x̂, logits are ln p + c, probabilities are composed by their logarithms, and a score-entropy output is composed as log-ratios ln p_t(j)/p_t(x_t), in the manner of
/// Nisonoff et al. An estimate of another network, or one that a wrapper has changed (clipped, thresholded, truncated, …), is
/// composed by its mean, of categories by [`Noise::target`] of it, so that the wrapper keeps its effect.
///
/// Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022), <https://arxiv.org/abs/2207.12598>; their w is `scale − 1`.
/// Karras et al., "Guiding a Diffusion Model with a Bad Version of Itself" (2024), <https://arxiv.org/abs/2406.02507>. Nisonoff et
/// al., "Unlocking Guidance for Discrete State-Space Diffusion and Flow Models" (2024), <https://arxiv.org/abs/2406.01572>.
#[doc(alias("classifier_free_guidance", "cfg", "autoguidance"))]
#[derive(Clone, Debug)]
pub struct Guided<S, W> {
    /// The denoiser to move towards.
    #[doc(alias = "conditional")]
    pub strong: S,
    /// The denoiser to move away from.
    #[doc(alias = "unconditional")]
    pub weak: W,
    /// The guidance scale.
    #[doc(alias("guidance_scale", "cfg_scale"))]
    pub scale: f64,
}

impl<const D: usize, S: Denoiser<D>, W: Denoiser<D>> Denoiser<D> for Guided<S, W> {
    fn noise(&self) -> &dyn Noise<D> {
        self.strong.noise()
    }
    fn check(&self, shape: [usize; D]) -> Result<()> {
        self.strong.check(shape)?;
        self.weak.check(shape)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let strong = self.strong.denoise(z.clone(), t);
        if self.scale == 1.0 {
            return strong;
        }
        let mut weak = self.weak.denoise(z.clone(), t);
        if !std::ptr::addr_eq(self.strong.noise(), self.weak.noise()) {
            // Of another model, perhaps of another prediction type: only x̂ means the same to both.
            weak.output = None;
        }
        let compose = |weak: Tensor<D>, strong: Tensor<D>| weak.clone() + (strong - weak) * self.scale;
        match outputs(self.noise(), &weak, &strong, &z, t) {
            Some([(weak, _), (strong, variance)]) => {
                let composed = match self.noise().takes_probabilities() {
                    true => softmax(compose(weak, strong), D - 1),
                    false => compose(weak, strong),
                };
                self.noise().estimate(Tensor::cat([composed].into_iter().chain(variance).collect(), 1), z, t)
            }
            None => strong.clone().with_mean(compose(weak.mean, strong.mean)),
        }
    }
}

/// A finite stand-in for ln 0, so that what is impossible to both has a difference.
const IMPOSSIBLE: f64 = -1e4;
/// A finite stand-in for a probability of 0.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// The outputs to compose, each with its learned variance; `None` to compose the means.
fn outputs<const D: usize>(
    noise: &dyn Noise<D>,
    weak: &Estimate<D>,
    strong: &Estimate<D>,
    z: &Tensor<D>,
    t: &[f64],
) -> Option<[(Tensor<D>, Option<Tensor<D>>); 2]> {
    if noise.categorical() {
        let logits = |of: &Estimate<D>| {
            let output = of.clone().into_output(noise, z, t);
            let output = if noise.takes_probabilities() { output.clamp_min(LEAST).log() } else { output };
            (output.clamp_min(IMPOSSIBLE), None)
        };
        return Some([logits(weak), logits(strong)]);
    }
    let split = |of: &Estimate<D>| of.output.clone().map(|output| noise.split(output));
    Some([split(weak)?, split(strong)?])
}
