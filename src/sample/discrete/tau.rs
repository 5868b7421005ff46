//! The reverse process as a Markov chain in continuous time, its rates held for a step.
use super::{Past, Sampler, categories, draw, guess, read, write};
use crate::{denoise::Denoiser, distribution::host, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Tau-leaping: an entry jumps within a step with probability `1 − exp(−(t − s) Σ_y R(y))`, to y ∝ R(y), with the rates of
/// the reverse process at t. First order in the step.
///
/// ```text
/// R(y) = R_t(y → z) Σ_x p(x | x_t) q(x_t = y | x)/q(x_t = z | x),   y ≠ z
/// ```
///
/// with R_t of the noise's [`Chain`](crate::noise::Chain); for absorbing noise `−α′/(1 − α) p(y | x_t)` on masks. The step to s = 0
/// draws x from the guess.
///
/// Campbell et al., "A Continuous Time Framework for Discrete Denoising Models" (2022), section 4.3,
/// <https://arxiv.org/abs/2205.14987>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TauLeaping {}
impl<const D: usize> Sampler<D> for TauLeaping {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let noise = model.noise();
        let mask = noise.categories().expect("checked before the first step").mask;
        let p = guess(model, &z, &[t], mask);
        let (rows, width) = super::extent(&z);
        let mut page = read(&z);
        if s == 0.0 {
            let drawn = draw(p, rng);
            for (entry, x) in page.iter_mut().zip(drawn).filter(|(z, _)| mask.is_none_or(|mask| **z == mask)) {
                *entry = x;
            }
            return write(&page, &z);
        }
        let rates = noise.chain().expect("checked before the first step").reverse_rates(p, z.clone(), &[t]);
        let total = host(rates.clone().sum_dim(D - 1));
        let drawn = draw(rates, rng);
        let u = rng.uniforms(rows, width);
        for (i, entry) in page.iter_mut().enumerate() {
            if u[i] < -(-(t - s) * total[i]).exp_m1() {
                *entry = drawn[i];
            }
        }
        write(&page, &z)
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        categories(self, noise)?;
        if noise.chain().is_some_and(|chain| chain.continuous()) {
            return Ok(());
        }
        Err(Error::invalid(
            "tau-leaping needs the rates of a chain in continuous time, and the model's noise has none: use `ancestral` or \
             `analytic`",
        ))
    }
}
