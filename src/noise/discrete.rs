//! Categorical noise with a stationary distribution π: uniform, absorbing, marginal.
use super::{Categories, Chain, DynDistribution, Estimate, Noise, lift};
use crate::{
    distribution::{Categorical, Distribution, category_indices as category, is, one_hot},
    dual::Dual,
    error::{Error, Result},
    schedule::Survival,
};
use burn::tensor::{Device, Tensor, TensorData};
use resampled::Resampled;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie_kernels::ops;

mod log_ratios;
mod resampled;

/// Prediction type of categorical noise: what the network output `[…, K]` means, given x_t = z.
///
/// `Logits` makes no assumption about the noise; it is the default for uniform and marginal noise. `Probabilities` is the same for a
/// net whose last layer is a softmax, which is not taken again. `Subs` builds in what absorbing
/// noise makes certain: x is never the mask, and what is not masked is x. A network would have to learn both facts in all its
/// logits at every position, and an estimate that has them makes every bound tighter, so it is the default for absorbing noise.
/// `Score` is for score entropy. For absorbing noise it differs from `Subs` by a constant per position; for other noise it needs
/// ᾱ(1) > 0, since the ratios of the stationary distribution do not depend on x.
#[doc(alias("prediction_type", "parameterization"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiscretePrediction {
    /// ln p(x | z), up to a constant.
    #[default]
    #[doc(alias = "x0")]
    Logits,
    /// p(x | z): of a net that ends in a [`Softmax`](crate::net::Softmax). The same model as `Logits` of the net without it.
    Probabilities,
    /// SUBS parameterization of MDLM: ln p(x | z) with zero masking probability and carry-over of unmasked categories.
    ///
    /// Sahoo et al., "Simple and Effective Masked Diffusion Language Models" (2024), section 3.2.3,
    /// <https://arxiv.org/abs/2406.07524>.
    #[doc(alias = "mdlm")]
    Subs,
    /// Concrete score of SEDD: ln p_t(j)/p_t(z) over j; the output at j = z is ignored.
    ///
    /// Lou, Meng and Ermon, "Discrete Diffusion Modeling by Estimating the Ratios of the Data Distribution" (2024),
    /// section 3, <https://arxiv.org/abs/2310.16834>.
    #[doc(alias("sedd", "concrete_score"))]
    Score,
}

/// How the reverse transition p(x_s | x_t) is computed from the denoised estimate p(x | x_t).
///
/// The two agree if x̂ is one-hot, or the noise is absorbing and the prediction [`Subs`](DiscretePrediction::Subs). The mixture is
/// the default: it is the exact reverse transition of an exact estimate, so the bound of an exact model is reached as the steps
/// become finer; its last step to s = 0 samples from p(x | x_t); and cross-entropy and guidance use the same estimate. The plug-in
/// form weighs z twice, once in p(x | z) and once in its own Bayes' rule: the estimate that makes *it* exact is not p(x | x_t) but
/// the distribution of x given the other positions alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseTransition {
    /// `Σ_x p(x | x_t) q(x_s | x_t, x)`.
    #[default]
    Mixture,
    /// `∝ q(x_t | x_s) Σ_x q(x_s | x) p(x | x_t)`: x̂ in place of x. Austin et al. (2021), eq. 4.
    #[doc(alias = "d3pm")]
    PlugIn,
}

/// Categorical noise that resamples from a stationary distribution π: each category survives with probability ᾱ.
///
/// For one-hot x along the last axis, the [survival probability](Survival::survival) ᾱ and `r = ᾱ_t/ᾱ_s`:
///
/// ```text
/// q(x_t | x)      = Cat(ᾱ_t x + (1 − ᾱ_t) π)
/// q(x_s | x_t, x) ∝ [r x_t + (1 − r) ⟨π, x_t⟩] ∘ [ᾱ_s x + (1 − ᾱ_s) π]
/// ```
///
/// No K×K matrix is computed, and if x is category indices `[…, 1]`, sampling x_t allocates nothing of size K.
///
/// ```
/// use tweedie::{noise::{Discrete, DiscretePrediction, Noise}, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 28, 27).with_prediction(DiscretePrediction::Score);
/// assert!(Noise::<3>::check(&noise).is_ok());
/// // If every category is resampled by t = 1, the ratios do not depend on x.
/// let uniform = Discrete::uniform(FlowMatching {}, 27).with_prediction(DiscretePrediction::Score);
/// assert!(Noise::<3>::check(&uniform).is_err());
/// ```
///
/// Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces" (2021),
/// <https://arxiv.org/abs/2107.03006>.
#[doc(alias("d3pm", "mdlm", "sedd", "masked_diffusion", "multinomial"))]
#[derive(Clone, Debug)]
pub struct Discrete {
    schedule: Arc<dyn Survival>,
    pi: Vec<f64>,
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
}

impl Discrete {
    /// Uniform noise: a corrupted category is resampled from all `k` with equal probability.
    #[doc(alias = "multinomial")]
    pub fn uniform(schedule: impl Survival + 'static, k: usize) -> Self {
        Self::of(schedule, vec![1.0 / k as f64; k], DiscretePrediction::Logits)
    }
    /// Absorbing noise: a corrupted category becomes the category `mask` and stays so.
    ///
    /// `k` counts the mask, whose index must be below it ([`check`](Noise::check)).
    #[doc(alias("masked", "mdlm"))]
    pub fn absorbing(schedule: impl Survival + 'static, k: usize, mask: usize) -> Self {
        let pi = (0..k).map(|i| if i == mask { 1.0 } else { 0.0 }).collect();
        Self::of(schedule, pi, DiscretePrediction::Subs)
    }
    /// Marginal noise: a corrupted category is resampled from `pi`, such as the frequencies of the data.
    ///
    /// # Errors
    ///
    /// If `pi` is not a probability distribution.
    pub fn marginal(schedule: impl Survival + 'static, pi: Vec<f64>) -> Result<Self> {
        if let Some((i, p)) = pi.iter().enumerate().find(|(_, p)| p.is_nan() || **p < 0.0) {
            return Err(
                Error::invalid(format!("must be probabilities, 0 or more, got {p} for category {i}")).with_field("pi")
            );
        }
        let sum: f64 = pi.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(Error::invalid(format!("must sum to 1, got a sum of {sum}")).with_field("pi"));
        }
        Ok(Self::of(schedule, pi, DiscretePrediction::Logits))
    }
    fn of(schedule: impl Survival + 'static, pi: Vec<f64>, prediction: DiscretePrediction) -> Self {
        Self { schedule: Arc::new(schedule), pi, prediction, reverse: ReverseTransition::default() }
    }
    /// Sets the prediction type. Default: `Subs` for absorbing noise, `Logits` otherwise.
    pub fn with_prediction(self, prediction: DiscretePrediction) -> Self {
        Self { prediction, ..self }
    }
    /// Sets the form of the reverse transition. Default: the mixture.
    pub fn with_reverse(self, reverse: ReverseTransition) -> Self {
        Self { reverse, ..self }
    }
    /// Returns the prediction type.
    pub fn prediction(&self) -> DiscretePrediction {
        self.prediction
    }

    /// π along the last axis.
    fn pi<const D: usize>(&self, like: &Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[D - 1] = self.pi.len();
        Tensor::from_data(TensorData::new(self.pi.clone(), shape), (&like.device(), like.dtype()))
    }
    /// ᾱ(t).
    fn survival(&self, t: f64) -> f64 {
        self.schedule.survival(Dual::time(t)).value
    }
    /// ᾱ_t/ᾱ_s.
    fn between(&self, s: f64, t: f64) -> f64 {
        let (s, t) = (self.survival(s), self.survival(t));
        if s > 0.0 { (t / s).min(1.0) } else { 0.0 }
    }
    /// The index of the mask, if π is one-hot.
    fn mask(&self) -> Option<usize> {
        self.pi.iter().position(|p| *p == 1.0)
    }
    /// π_z: `[…, 1]`.
    fn pi_of<const D: usize>(&self, z: Tensor<D>) -> Tensor<D> {
        let mut dims = z.dims();
        if dims[D - 1] > 1 {
            return (z.clone() * self.pi(&z)).sum_dim(D - 1);
        }
        if let Some(mask) = self.mask() {
            let dtype = z.dtype();
            return is(&z, mask).float().cast(dtype);
        }
        dims[D - 1] = 1;
        let pi = Tensor::<1>::from_data(TensorData::new(self.pi.clone(), [self.pi.len()]), (&z.device(), z.dtype()));
        pi.select(0, z.int().flatten::<1>(0, D - 1)).reshape(dims)
    }
    /// `ᾱ [j = z] + (1 − ᾱ) π_z` over j.
    fn column<const D: usize>(&self, z: Tensor<D>, survival: Tensor<D>) -> Tensor<D> {
        let corrupted = self.pi_of(z.clone()) * (survival.clone() * -1.0 + 1.0);
        one_hot(z, self.pi.len()) * survival + corrupted
    }
    /// The network output on a logarithmic scale: ln p of probabilities, of which what underflows counts as the smallest.
    fn logarithmic<const D: usize>(&self, output: Tensor<D>) -> Tensor<D> {
        match self.prediction {
            DiscretePrediction::Probabilities => output.clamp_min(f64::from(f32::MIN_POSITIVE)).log(),
            _ => output,
        }
    }
    /// Logits with zero probability of category `mask`.
    fn without<const D: usize>(&self, logits: Tensor<D>, mask: usize) -> Tensor<D> {
        let mut shape = [1; D];
        shape[D - 1] = self.pi.len();
        let never = (0..self.pi.len()).map(|i| if i == mask { -1e30 } else { 0.0 }).collect::<Vec<f64>>();
        let never = Tensor::from_data(TensorData::new(never, shape), (&logits.device(), logits.dtype()));
        logits + never
    }
    /// ln p_t(j)/p_t(z) of a network output, with that of z itself set to zero.
    fn log_scores<const D: usize>(&self, output: Tensor<D>, z: Tensor<D>) -> Tensor<D> {
        let elsewhere = one_hot(z, self.pi.len()) * -1.0 + 1.0;
        output * elsewhere
    }
}

/// Survival probabilities below this are lost in rounding.
const LEAST: f64 = 1e-9;

/// Computes coefficients in double precision from two times, each one per row or one for all, as [`lift`].
pub(super) fn lift2<const D: usize, const N: usize>(
    like: &Tensor<D>,
    s: &[f64],
    t: &[f64],
    f: impl Fn(f64, f64) -> [f64; N],
) -> [Tensor<D>; N] {
    let rows: Vec<(f64, f64)> = pairs(s, t).collect();
    let times: Vec<f64> = rows.iter().map(|(_, t)| *t).collect();
    lift(like, &times, |i, t| f(rows[i].0, t))
}

/// Pairs of times, each one per row or one for all.
pub(super) fn pairs<'a>(s: &'a [f64], t: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    (0..s.len().max(t.len())).map(|i| (s[i % s.len()], t[i % t.len()]))
}

impl<const D: usize> Noise<D> for Discrete {
    fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D> {
        let like = Tensor::<D>::zeros([1; D], device);
        if shape[D - 1] == 1 {
            return Box::new(Resampled { x: like.expand(shape), survival: vec![0.0], noise: self.clone() });
        }
        Box::new(Categorical::trusted(self.pi(&like).expand(shape)))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        if x.dims()[D - 1] == 1 {
            let survival = t.iter().map(|t| self.survival(*t)).collect();
            return Box::new(Resampled { x, survival, noise: self.clone() });
        }
        let pi = self.pi(&x);
        let [survival, corrupted] = lift(&x, t, |_, t| {
            let survival = self.survival(t);
            [survival, 1.0 - survival]
        });
        Box::new(Categorical::trusted(x * survival + pi * corrupted))
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let indices = z.dims()[D - 1] == 1;
        let x = one_hot(x, self.pi.len());
        Box::new(Categorical::trusted(self.bayes(x, z, s, t)).in_indices(indices))
    }
    fn approximate(&self, estimate: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let indices = z.dims()[D - 1] == 1;
        let probs = match self.reverse {
            ReverseTransition::Mixture => self.backward(estimate.mean, z, s, t),
            ReverseTransition::PlugIn => self.bayes(estimate.mean, z, s, t),
        };
        Box::new(Categorical::trusted(probs).in_indices(indices))
    }
    fn decoder(&self, estimate: Estimate<D>, z: Tensor<D>, _: &[f64]) -> DynDistribution<D> {
        Box::new(Categorical::trusted(estimate.mean).in_indices(z.dims()[D - 1] == 1))
    }
    fn target(&self, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let x = one_hot(x, self.pi.len());
        let target = match self.prediction {
            DiscretePrediction::Probabilities => return x,
            DiscretePrediction::Logits | DiscretePrediction::Subs => x,
            DiscretePrediction::Score => self.ratios(x, z, t),
        };
        target.clamp_min(super::chain::TINY).log()
    }
    fn estimate(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let carried = |logits: Tensor<D>, mask: usize| {
            let masked = is(&z, mask).expand(logits.dims());
            let probs = ops::softmax(self.without(logits, mask));
            one_hot(z.clone(), self.pi.len()).mask_where(masked, probs)
        };
        let network_output = output.clone();
        let output = self.logarithmic(output);
        let mean = match (self.prediction, self.mask()) {
            (DiscretePrediction::Subs | DiscretePrediction::Score, Some(mask)) => carried(output, mask),
            // Of ln p, the softmax is p, summing to one exactly.
            (DiscretePrediction::Logits | DiscretePrediction::Probabilities | DiscretePrediction::Subs, _) => {
                ops::softmax(output)
            }
            (DiscretePrediction::Score, None) => {
                // ρ = ᾱ w + (1 − ᾱ) π Σw with Σw = Σρ, solved for w; p(x | z) ∝ w_x q(z | x).
                let rho = self.log_scores(output, z.clone()).exp();
                let [survival, corrupted] = lift(&rho, t, |_, t| {
                    let survival = self.survival(t).max(LEAST);
                    [survival, 1.0 - survival]
                });
                let corrupted = self.pi(&rho) * rho.clone().sum_dim(D - 1) * corrupted;
                let weights = ((rho - corrupted) / survival).clamp_min(0.0) * self.likelihood(z, t);
                let total = weights.clone().sum_dim(D - 1).clamp_min(super::chain::TINY);
                weights / total
            }
        };
        Estimate { mean, variance: None, output: Some(network_output) }
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn categories(&self) -> Option<Categories<'_>> {
        Some(Categories { k: self.pi.len(), mask: self.mask(), schedule: &*self.schedule })
    }
    fn chain(&self) -> Option<&dyn Chain<D>> {
        Some(self)
    }
    fn takes_probabilities(&self) -> bool {
        self.prediction == DiscretePrediction::Probabilities
    }
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        if self.pi.is_empty() {
            return Err(Error::invalid("must be 1 or more, got 0").with_field("k"));
        }
        if self.pi.iter().all(|p| *p == 0.0) {
            let last = self.pi.len() - 1;
            return Err(Error::invalid(format!("must be the index of one of the categories, from 0 to {last}"))
                .with_field("mask"));
        }
        match (self.prediction, self.mask()) {
            (DiscretePrediction::Subs, None) => Err(Error::invalid("= \"subs\" needs absorbing noise, which has a mask")
                .with_field("prediction")
                .with_remedy("use logits, or take absorbing noise")),
            (DiscretePrediction::Score, None) if self.survival(1.0) < 1e-6 => Err(Error::invalid(format!(
                "= \"score\" needs a schedule with ᾱ(1) > 0 for uniform or marginal noise, got ᾱ(1) = {}: without survivors at \
                 t = 1 the ratios do not depend on x",
                crate::error::small(self.survival(1.0))
            ))
            .with_field("prediction")
            .with_remedy(
                "take a schedule that ends above 0, such as { name = \"geometric\", sigma_max = 5 }, or use logits",
            )),
            _ => Ok(()),
        }
    }
}

impl<const D: usize> Chain<D> for Discrete {
    fn marginal(&self, w: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let [survival, corrupted] = lift(&w, t, |_, t| {
            let survival = self.survival(t);
            [survival, 1.0 - survival]
        });
        let corrupted = self.pi(&w) * (w.clone().sum_dim(D - 1) * corrupted);
        w * survival + corrupted
    }
    fn likelihood(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let [survival] = lift(&z, t, |_, t| [self.survival(t)]);
        self.column(z, survival)
    }
    fn onward(&self, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        let [r] = lift2(&z, s, t, |s, t| [self.between(s, t)]);
        self.column(z, r)
    }
    fn rates(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let [beta] = lift(&z, t, |_, t| {
            let survival = self.schedule.survival(Dual::time(t));
            [-survival.slope / survival.value.max(LEAST)]
        });
        let elsewhere = one_hot(z.clone(), self.pi.len()) * -1.0 + 1.0;
        elsewhere * (self.pi_of(z) * beta)
    }
    fn limit(&self, like: &Tensor<D>) -> Tensor<D> {
        self.pi(like)
    }
    fn reverse_rates(&self, probs: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        // β π_z [ᾱ w_j + (1 − ᾱ) π_j Σw] for w_j = p_j/((1 − ᾱ) π_z), j ≠ z, without the 0·∞ at ᾱ = 0.
        let possible = self.pi_of(z.clone()).greater_elem(0.0);
        let [fresh, beta, survival] = lift(&z, t, |_, t| {
            let survival = self.schedule.survival(Dual::time(t));
            let (corrupted, rate) = (1.0 - survival.value, -survival.slope);
            [rate / corrupted.max(LEAST), rate / survival.value.max(LEAST), survival.value]
        });
        let here = one_hot(z.clone(), self.pi.len());
        let own = (probs.clone() * here.clone()).sum_dim(D - 1);
        let corrupted = self.pi_of(z) * (survival.clone() * -1.0 + 1.0);
        // (1 − ᾱ) π_z Σw.
        let all = own.clone() * -1.0 + 1.0 + own * corrupted.clone() / (corrupted + survival).clamp_min(LEAST);
        let again = self.pi(&probs) * (all * beta);
        let rates = (probs * fresh + again) * (here * -1.0 + 1.0);
        let never = possible.bool_not().expand(rates.dims());
        rates.mask_fill(never, 0.0)
    }
    fn log_ratios(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        if self.prediction == DiscretePrediction::Score {
            return self.log_scores(output, z);
        }
        self.log_ratios_of(self.log_probs(self.logarithmic(output), z.clone()), z, t)
    }
    fn nll(&self, output: Tensor<D>, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let output = self.logarithmic(output);
        match (self.prediction, self.mask()) {
            (DiscretePrediction::Subs | DiscretePrediction::Score, Some(mask)) => {
                let unmasked = is(&z, mask).bool_not();
                ops::cross_entropy(output, category(x), Some(mask)).mask_fill(unmasked, 0.0)
            }
            (DiscretePrediction::Logits | DiscretePrediction::Probabilities | DiscretePrediction::Subs, _) => {
                ops::cross_entropy(output, category(x), None)
            }
            (DiscretePrediction::Score, None) => {
                Categorical::trusted(self.estimate(output, z, t).mean.clamp_min(super::chain::TINY)).nll(x)
            }
        }
    }
}
