//! Unmasking in an order.
use super::{
    absorbing_of, clean_probabilities, corrupted, extent, read_categories, require_absorbing, sample_categories,
    write_categories,
};
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::Result,
    noise::Noise,
    rng::Rng,
    sample::{Sampler, SamplerState, TimeStep, first_step, sampler::require},
};
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The score by which masks are unmasked first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnmaskingOrder {
    /// ln p of the category that was sampled for it: MaskGIT's. The only one that depends on the sampled categories,
    /// and so the only one whose samples favor likely data even with one entry per step.
    #[default]
    #[doc(alias = "low_confidence")]
    Confidence,
    /// Low entropy of p(x ∣ x_t).
    Entropy,
    /// A large margin between the two likeliest categories (Kim et al., 2025, <https://arxiv.org/abs/2502.06768>).
    Margin,
    /// Uniformly random.
    Random,
    /// Its position, from the first to the last.
    Position,
}

/// Confidence-ordered unmasking: as many masks per step as the schedule implies, those of the highest score first,
/// each sampled from p(x ∣ x_t).
///
/// Of M entries `⌊M (1 − ᾱ(s))⌉` stay masked at s, ᾱ the survival probability, so M steps of a linear one unmask one
/// each; M is what the masks at the start make it. One network evaluation per step, none in a step that unmasks
/// nothing. A `temperature` adds `temperature · s · Gumbel noise` to the score, so that the order is the more random
/// the earlier.
///
/// ```
/// use tweedie::sample::{Ordered, UnmaskingOrder};
/// let maskgit = Ordered { by: UnmaskingOrder::Confidence, temperature: 4.5 };
/// assert_eq!(maskgit.by, UnmaskingOrder::default());
/// ```
///
/// Chang et al., "MaskGIT: Masked Generative Image Transformer" (2022), section 3.2, <https://arxiv.org/abs/2202.04200>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "MaskGIT")]
#[doc(alias = "AmusedScheduler")]
pub struct Ordered {
    /// The score of the order. Default: confidence.
    pub by: UnmaskingOrder,
    /// How random the order is: 0 not at all, 4.5 in the source's code; must be 0 if the order is random or by
    /// position. Default: 0.
    #[doc(alias = "choice_temperature")]
    #[schemars(range(min = 0.0))]
    pub temperature: f64,
}
impl Ordered {
    /// The scores of all entries; of masks the highest are unmasked.
    fn scores<const D: usize>(self, probs: &Tensor<D>, sampled: &[usize], (rows, width): (usize, usize)) -> Vec<f64> {
        match self.by {
            UnmaskingOrder::Confidence => {
                let mut dims = probs.dims();
                dims[D - 1] = 1;
                let places: Vec<i64> = sampled.iter().map(|n| *n as i64).collect();
                let places = Tensor::<D, Int>::from_data(TensorData::new(places, dims), &probs.device());
                host(probs.clone().gather(D - 1, places)).into_iter().map(f64::ln).collect()
            }
            UnmaskingOrder::Entropy => host((probs.clone() * probs.clone().clamp_min(1e-30).log()).sum_dim(D - 1)),
            UnmaskingOrder::Margin => {
                let two = host(probs.clone().topk(2, D - 1));
                two.chunks(2).map(|two| (two[0] - two[1]).abs()).collect()
            }
            UnmaskingOrder::Random => vec![0.0; rows * width],
            UnmaskingOrder::Position => (0..rows * width).map(|i| -((i % width) as f64)).collect(),
        }
    }
}
impl<const D: usize> Sampler<D> for Ordered {
    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        require_absorbing(self, noise)?;
        let temperature = self.temperature;
        let positive = || format!("must be a finite number of 0 or more, got {temperature}");
        require(temperature >= 0.0 && temperature.is_finite(), "temperature", positive)?;
        let fixed = matches!(self.by, UnmaskingOrder::Random | UnmaskingOrder::Position);
        let zero = || format!("must be 0 if the order is random or by position, got {temperature}");
        require(!fixed || temperature == 0.0, "temperature", zero)
    }
    fn start(&self, noise: &dyn Noise<D>) -> Result<Box<dyn SamplerState<D> + '_>> {
        Sampler::<D>::check(self, noise)?;
        Ok(Box::new(OrderedState { ordered: *self, entries: None }))
    }
    fn step(&self, model: &dyn Denoiser<D>, z: Tensor<D>, at: TimeStep, rng: &mut Rng) -> Tensor<D> {
        first_step(self, model, z, at, rng)
    }
}

/// The trajectory of [`Ordered`].
#[derive(Clone, Debug)]
struct OrderedState {
    ordered: Ordered,
    /// M of each row, from the masks before the first step.
    entries: Option<Vec<f64>>,
}
impl<const D: usize> SamplerState<D> for OrderedState {
    fn step(
        &mut self,
        model: &dyn Denoiser<D>,
        z: Tensor<D>,
        TimeStep { t, s, .. }: TimeStep,
        rng: &mut Rng,
    ) -> Tensor<D> {
        let (noise, mask) = absorbing_of(model);
        let (rows, width) = extent(&z);
        let mut entries = read_categories(&z);
        let mut masks: Vec<Vec<usize>> =
            (0..rows).map(|row| (row * width..(row + 1) * width).filter(|i| entries[*i] == mask).collect()).collect();
        let (from, to) = (corrupted(noise.schedule, t), corrupted(noise.schedule, s));
        let all = self.entries.get_or_insert_with(|| masks.iter().map(|masks| masks.len() as f64 / from).collect());
        let left: Vec<usize> = all.iter().map(|all| (all * to).round() as usize).collect();
        if masks.iter().zip(&left).all(|(masks, left)| masks.len() <= *left) {
            return z;
        }
        let probs = clean_probabilities(model, &z, &[t], Some(mask));
        let sampled = sample_categories(probs.clone(), rng);
        let scores = self.ordered.scores(&probs, &sampled, (rows, width));
        let random = if self.ordered.by == UnmaskingOrder::Random { 1.0 } else { self.ordered.temperature * s };
        let u = if random > 0.0 { rng.uniforms(rows, width) } else { vec![] };
        let score = |i: usize| scores[i] - u.get(i).map_or(0.0, |u| random * (-u.ln()).ln());
        for (masks, left) in masks.iter_mut().zip(left) {
            masks.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
            for &i in masks.iter().take(masks.len().saturating_sub(left)) {
                entries[i] = sampled[i];
            }
        }
        write_categories(&entries, &z)
    }
}
