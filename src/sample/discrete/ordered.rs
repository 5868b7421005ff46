//! Masks revealed in an order.
use super::{Past, Sampler, absorbing, draw, extent, guess, known, lost, read, write};
use crate::{denoise::Denoiser, distribution::host, error::Error, noise::Noise, rng::Rng};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// What makes a mask be revealed before others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// ln p of the category that was drawn for it: MaskGIT's. The only one that looks at what was drawn, and so the only one
    /// whose draws favour likely data even with one entry a step.
    #[default]
    Confidence,
    /// Small entropy of its guess.
    Entropy,
    /// A wide margin between the two likeliest categories (Kim et al., 2025, <https://arxiv.org/abs/2502.06768>).
    Margin,
    /// Chance.
    Random,
    /// Its place, from the first to the last.
    Position,
}

/// Reveals as many masks a step as the schedule says, the surest first, each drawn from its guess.
///
/// Of M entries `⌊M (1 − α(s))⌉` stay masked at s, α the schedule's [survival probability](crate::schedule::Survival::survival), so M steps of a
/// linear one reveal one each; M is what the masks at the start make it. A step that reveals nothing asks nothing. A
/// `temperature` adds `temperature · s · Gumbel noise` to the score, so that the order is the more random the earlier.
///
/// Chang et al., "MaskGIT: Masked Generative Image Transformer" (2022), section 3.2, <https://arxiv.org/abs/2202.04200>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ordered {
    /// What the order goes by.
    pub by: By,
    /// How random the order is: 0 not at all, 4.5 in the source's code. It has no meaning by chance or by position.
    pub temperature: f64,
}
impl Ordered {
    /// The scores of all entries; of masks the highest are revealed.
    fn scores<const D: usize>(self, probs: &Tensor<D>, drawn: &[usize], (rows, width): (usize, usize)) -> Vec<f64> {
        match self.by {
            By::Confidence => {
                let mut dims = probs.dims();
                dims[D - 1] = 1;
                let places: Vec<i64> = drawn.iter().map(|n| *n as i64).collect();
                let places = Tensor::<D, Int>::from_data(TensorData::new(places, dims), &probs.device());
                host(probs.clone().gather(D - 1, places)).into_iter().map(f64::ln).collect()
            }
            By::Entropy => host((probs.clone() * probs.clone().clamp_min(1e-30).log()).sum_dim(D - 1)),
            By::Margin => {
                let two = host(probs.clone().topk(2, D - 1));
                two.chunks(2).map(|two| (two[0] - two[1]).abs()).collect()
            }
            By::Random => vec![0.0; rows * width],
            By::Position => (0..rows * width).map(|i| -((i % width) as f64)).collect(),
        }
    }
}
impl<const D: usize> Sampler<D> for Ordered {
    fn step(
        &self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        t: f64,
        s: f64,
        past: &mut Past<D>,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let (noise, mask) = known(model);
        let (rows, width) = extent(&z);
        let mut page = read(&z);
        let mut masks: Vec<Vec<usize>> =
            (0..rows).map(|row| (row * width..(row + 1) * width).filter(|i| page[*i] == mask).collect()).collect();
        let (from, to) = (lost(noise.schedule, t), lost(noise.schedule, s));
        let all = past.hidden.get_or_insert_with(|| masks.iter().map(|masks| masks.len() as f64 / from).collect());
        let left: Vec<usize> = all.iter().map(|all| (all * to).round() as usize).collect();
        if masks.iter().zip(&left).all(|(masks, left)| masks.len() <= *left) {
            return z;
        }
        let probs = guess(model, &z, &[t], Some(mask));
        let drawn = draw(probs.clone(), rng);
        let scores = self.scores(&probs, &drawn, (rows, width));
        let random = if self.by == By::Random { 1.0 } else { self.temperature * s };
        let u = if random > 0.0 { rng.uniforms(rows, width) } else { vec![] };
        let score = |i: usize| scores[i] - u.get(i).map_or(0.0, |u| random * (-u.ln()).ln());
        for (masks, left) in masks.iter_mut().zip(left) {
            masks.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
            for &i in masks.iter().take(masks.len().saturating_sub(left)) {
                page[i] = drawn[i];
            }
        }
        write(&page, &z)
    }
    fn order(&self) -> Option<usize> {
        None
    }
    fn check(&self, noise: &dyn Noise<D>) -> Result<(), Error> {
        absorbing(self, noise)?;
        let fixed = matches!(self.by, By::Random | By::Position);
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) || fixed && self.temperature != 0.0 {
            return Err(Error::invalid(format!(
                "the temperature of ordered unmasking is 0 or more, and 0 where the order is by chance or by position; it is {} by \
                 {:?}",
                self.temperature, self.by
            )));
        }
        Ok(())
    }
}
