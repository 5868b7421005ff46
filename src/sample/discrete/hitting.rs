//! One reveal at a time, at the times at which reveals happen.
use super::{Past, Sampler, absorbing, draw, extent, guess, known, lost, read, when, write};
use crate::{denoise::Denoiser, error::Error, noise::Noise, rng::Rng};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Absorbing noise undone reveal by reveal: the time of a row's next reveal is drawn, then which mask, then what was there.
///
/// Of n masks at t the next is revealed at `1 − α(τ) = (1 − α(t)) u^(1/n)`, u uniform. The model is asked once a reveal, with a
/// time of each row's own, so the joint law of the draws is that of the model's conditionals at any number of steps, one
/// included.
///
/// Zheng et al., "Masked Diffusion Models are Secretly Time-Agnostic Masked Models and Exploit Inaccurate Categorical
/// Sampling" (2024), section 4, <https://arxiv.org/abs/2409.02908>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstHitting {}
impl<const D: usize> Sampler<D> for FirstHitting {
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, t: f64, s: f64, _: &mut Past<D>, rng: &mut Rng) -> Tensor<D> {
        let (noise, mask) = known(model);
        let (rows, width) = extent(&z);
        let until = lost(noise.schedule, s);
        let (mut page, mut z) = (read(&z), z);
        let mut now = vec![lost(noise.schedule, t); rows];
        loop {
            let u = rng.uniforms(rows, 2);
            let (mut times, mut places) = (vec![t; rows], vec![]);
            for row in 0..rows {
                let masks: Vec<usize> = (row * width..(row + 1) * width).filter(|i| page[*i] == mask).collect();
                now[row] *= u[2 * row].powf(1.0 / masks.len() as f64);
                if !masks.is_empty() && now[row] >= until {
                    times[row] = when(noise.schedule, 1.0 - now[row]);
                    places.push(masks[(u[2 * row + 1] * masks.len() as f64) as usize]);
                }
            }
            if places.is_empty() {
                return z;
            }
            let drawn = draw(guess(model, &z, &times, Some(mask)), rng);
            for i in places {
                page[i] = drawn[i];
            }
            z = write(&page, &z);
        }
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        absorbing(self, noise).map(|_| ())
    }
}
