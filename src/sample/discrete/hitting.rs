//! Unmasking one entry at a time, at the times at which it happens.
use super::{
    absorbing_of, clean_probabilities, corrupted, extent, read_categories, require_absorbing, sample_categories,
    time_of_survival, write_categories,
};
use crate::{
    denoise::Denoiser,
    error::Result,
    noise::Noise,
    rng::Rng,
    sample::{Sampler, TimeStep},
};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// First-hitting sampling of absorbing noise: the time at which a row's next entry is unmasked is sampled, then which
/// one, then its category.
///
/// Of n masks at t the next is unmasked at `1 − ᾱ(τ) = (1 − ᾱ(t)) u^(1/n)`, u uniform. One network evaluation per
/// unmasked entry, with a time of each row's own, so the joint distribution of the samples is that of the model's
/// conditionals at any number of steps, one included.
///
/// ```
/// use burn::tensor::Device;
/// use tweedie::{
///     Rng,
///     exact::Joint,
///     noise::Discrete,
///     sample::{FirstHitting, trajectory},
///     schedule::FlowMatching,
/// };
/// let noise = Discrete::absorbing(FlowMatching {}, 3, 2);
/// let model = Joint::new(noise, vec![(vec![0, 0], 0.5), (vec![1, 1], 0.5)])?;
/// let one_step = vec![1.0, 0.0];
/// let rng = Rng::new(0);
/// let steps = trajectory(&model, &FirstHitting {}, one_step, [8, 2, 1], &rng, &Device::flex())?;
/// let (_, x) = steps.last().unwrap();
/// assert!(x.into_data().to_vec::<f32>().unwrap().chunks(2).all(|row| row[0] == row[1]));
/// # Ok::<(), tweedie::Error>(())
/// ```
///
/// Zheng et al., "Masked Diffusion Models are Secretly Time-Agnostic Masked Models and Exploit Inaccurate Categorical
/// Sampling" (2024), section 4, <https://arxiv.org/abs/2409.02908>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstHitting {}
impl<const D: usize> Sampler<D> for FirstHitting {
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_absorbing(self, noise).map(|_| ())
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, TimeStep { t, s, .. }: TimeStep, rng: &mut Rng) -> Tensor<D> {
        let (noise, mask) = absorbing_of(model);
        let (rows, width) = extent(&z);
        let until = corrupted(noise.schedule, s);
        let (mut entries, mut z) = (read_categories(&z), z);
        let mut now = vec![corrupted(noise.schedule, t); rows];
        loop {
            let u = rng.uniforms(rows, 2);
            let (mut times, mut places) = (vec![t; rows], vec![]);
            for row in 0..rows {
                let masks: Vec<usize> = (row * width..(row + 1) * width).filter(|i| entries[*i] == mask).collect();
                now[row] *= u[2 * row].powf(1.0 / masks.len() as f64);
                if !masks.is_empty() && now[row] >= until {
                    times[row] = time_of_survival(noise.schedule, 1.0 - now[row]);
                    places.push(masks[(u[2 * row + 1] * masks.len() as f64) as usize]);
                }
            }
            if places.is_empty() {
                return z;
            }
            let sampled = sample_categories(clean_probabilities(model, &z, &times, Some(mask)), rng);
            for i in places {
                entries[i] = sampled[i];
            }
            z = write_categories(&entries, &z);
        }
    }
}
