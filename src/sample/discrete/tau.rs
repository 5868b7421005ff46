//! The reverse process as a Markov chain in continuous time, its rates constant over a step.
use super::{
    categories_of, clean_probabilities, extent, read_categories, require_categories, sample_categories,
    write_categories,
};
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::{Error, Result},
    noise::Noise,
    rng::Rng,
    sample::{Sampler, TimeStep},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Tau-leaping: an entry jumps within a step with probability `1 − exp(−(t − s) Σ_y R(y))`, to y ∝ R(y), with the rates
/// of the reverse process at t. First order in the step, one network evaluation per step.
///
/// ```text
/// R(y) = R_t(y → z) Σ_x p(x | x_t) q(x_t = y | x)/q(x_t = z | x),   y ≠ z
/// ```
///
/// with R_t of the noise's [`Chain`](crate::noise::Chain); for absorbing noise `−ᾱ′/(1 − ᾱ) p(y | x_t)` on masks. The
/// step to s = 0 samples x from p(x ∣ x_t).
///
/// ```
/// use tweedie::{
///     noise::{Discrete, Noise},
///     sample::{Sampler, TauLeaping},
///     schedule::FlowMatching,
/// };
/// let noise = Discrete::uniform(FlowMatching {}, 4);
/// assert!(TauLeaping {}.check(&noise as &dyn Noise<3>).is_ok());
/// ```
///
/// Campbell et al., "A Continuous Time Framework for Discrete Denoising Models" (2022), section 4.3,
/// <https://arxiv.org/abs/2205.14987>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TauLeaping {}
impl<const D: usize> Sampler<D> for TauLeaping {
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_categories(self, noise)?;
        if noise.chain().is_some_and(|chain| chain.continuous()) {
            return Ok(());
        }
        Err(Error::invalid("tau-leaping needs the rates of a chain in continuous time, and the model's noise has none")
            .with_remedy("use `ancestral` or `analytic`"))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, TimeStep { t, s, .. }: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let mask = categories_of(model).mask;
        let p = clean_probabilities(model, &z, &[t], mask);
        let (rows, width) = extent(&z);
        let mut entries = read_categories(&z);
        if s == 0.0 {
            let sampled = sample_categories(p, rng);
            for (entry, x) in entries.iter_mut().zip(sampled).filter(|(z, _)| mask.is_none_or(|mask| **z == mask)) {
                *entry = x;
            }
            return write_categories(&entries, &z);
        }
        let chain =
            model.noise().chain().expect("tau-leaping needs a noise with rates: `Sampler::check` refuses others");
        let rates = chain.reverse_rates(p, z.clone(), &[t]);
        let total = host(rates.clone().sum_dim(D - 1));
        let sampled = sample_categories(rates, rng);
        let u = rng.uniforms(rows, width);
        for (i, entry) in entries.iter_mut().enumerate() {
            if u[i] < -(-(t - s) * total[i]).exp_m1() {
                *entry = sampled[i];
            }
        }
        write_categories(&entries, &z)
    }
}
