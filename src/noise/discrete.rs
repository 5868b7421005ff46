//! Categorical noise with a stationary vector: uniform, absorbing, marginal.
use super::{Categories, Chain, DynDistribution, Estimate, Noise, lift};
use crate::{
    distribution::{Categorical, Distribution, is, numbers as category, one_hot},
    dual::Dual,
    error::Error,
    schedule::Schedule,
};
use burn::tensor::{Device, Tensor, TensorData};
use redrawn::Redrawn;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie_kernels::ops;

mod redrawn;

/// What a net says about x_t = z, where x is one of K categories.
///
/// `Logits` asks nothing of the noise and is what uniform and marginal noise take unless told otherwise. `Subs` is the same
/// net told what absorbing noise makes certain: x is never the mask, and what is not masked is x. Both are facts that a net
/// would have to learn with all its logits at every position, and a guess that knows them makes every bound tighter, so
/// absorbing noise takes it unless told otherwise. `Score` is for score entropy; under absorbing noise it differs from `Subs`
/// by a constant a position alone, and where nothing of x is left at t = 1 it cannot be used with other noise, since there
/// the ratios are those of the stationary law whatever x is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiscretePrediction {
    /// ln p(x | z), up to a constant.
    #[default]
    Logits,
    /// The same with the mask's probability removed, and with what is not masked carried over.
    ///
    /// Sahoo et al., "Simple and Effective Masked Diffusion Language Models" (2024), section 3.2.3,
    /// <https://arxiv.org/abs/2406.07524>.
    Subs,
    /// ln p_t(j)/p_t(z) over j; what is said of z itself is not read.
    ///
    /// Lou, Meng and Ermon, "Discrete Diffusion Modeling by Estimating the Ratios of the Data Distribution" (2024),
    /// section 3, <https://arxiv.org/abs/2310.16834>.
    Score,
}

/// How p(x_s | x_t) is made of a guess p(x | x_t).
///
/// Where x̂ is certain, or the noise absorbing and the word [`Subs`](DiscretePrediction::Subs), the two are one. The mixture is the default:
/// it is the step back itself where the guess is right, so that the bound of an exact model is reached as the steps grow finer;
/// its last step to s = 0 draws from p(x | x_t); and it means by the guess what cross-entropy and guidance mean. The plug-in form
/// weighs z twice, once in p(x | z) and once in its own Bayes' rule: the guess that makes *it* exact is not p(x | x_t) but what
/// the other positions alone say of x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseTransition {
    /// `Σ_x p(x | x_t) q(x_s | x_t, x)`.
    #[default]
    Mixture,
    /// `∝ q(x_t | x_s) Σ_x q(x_s | x) p(x | x_t)`: x̂ in the place of x. Austin et al. (2021), eq. 4.
    PlugIn,
}

/// A category is kept with probability α and redrawn from π with probability 1 − α.
///
/// For one-hot x along the last axis, with α the schedule's [`keep`](Schedule::keep) and `r = α_t/α_s`:
///
/// ```text
/// q(x_t | x)      = Cat(α_t x + (1 − α_t) π)
/// q(x_s | x_t, x) ∝ [r x_t + (1 − r) ⟨π, x_t⟩] ∘ [α_s x + (1 − α_s) π]
/// ```
///
/// No K×K matrix is ever made, and where x is category numbers `[…, 1]`, drawing x_t makes nothing of size K. What the net
/// says is a [`DiscretePrediction`]: [`Subs`](DiscretePrediction::Subs) for absorbing noise and [`Logits`](DiscretePrediction::Logits) otherwise. What becomes of
/// a guess is a [`ReverseTransition`]: the exact mixture.
///
/// ```
/// use tweedie::{noise::{Discrete, Noise, DiscretePrediction}, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 28, 27).predicting(DiscretePrediction::Score);
/// assert!(Noise::<3>::check(&noise).is_ok());
/// // A fully redrawn category says nothing of x, and neither do its ratios.
/// assert!(Noise::<3>::check(&Discrete::uniform(FlowMatching {}, 27).predicting(DiscretePrediction::Score)).is_err());
/// ```
///
/// Austin et al., "Structured Denoising Diffusion Models in Discrete State-Spaces" (2021),
/// <https://arxiv.org/abs/2107.03006>.
#[derive(Clone, Debug)]
pub struct Discrete {
    schedule: Arc<dyn Schedule>,
    pi: Vec<f64>,
    word: DiscretePrediction,
    reverse: ReverseTransition,
}

impl Discrete {
    /// Redrawn from all `k` categories alike.
    pub fn uniform(schedule: impl Schedule + 'static, k: usize) -> Self {
        Self::of(schedule, vec![1.0 / k as f64; k], DiscretePrediction::Logits)
    }
    /// Replaced by category `mask`, which then stays.
    ///
    /// # Panics
    ///
    /// If `mask` is not one of the `k` categories.
    pub fn absorbing(schedule: impl Schedule + 'static, k: usize, mask: usize) -> Self {
        assert!(mask < k, "the mask is one of the {k} categories, not number {mask}");
        let pi = (0..k).map(|i| if i == mask { 1.0 } else { 0.0 }).collect();
        Self::of(schedule, pi, DiscretePrediction::Subs)
    }
    /// Redrawn from `pi`, such as the frequencies of the data.
    ///
    /// # Errors
    ///
    /// If `pi` is no distribution.
    pub fn marginal(schedule: impl Schedule + 'static, pi: Vec<f64>) -> Result<Self, Error> {
        if let Some((i, p)) = pi.iter().enumerate().find(|(_, p)| p.is_nan() || **p < 0.0) {
            return Err(Error::invalid(format!(
                "probabilities are 0 or more, but category {i} of the stationary vector has {p}"
            )));
        }
        let sum: f64 = pi.iter().sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(Error::invalid(format!("the stationary vector sums to one, not to {sum}")));
        }
        Ok(Self::of(schedule, pi, DiscretePrediction::Logits))
    }
    fn of(schedule: impl Schedule + 'static, pi: Vec<f64>, word: DiscretePrediction) -> Self {
        Self { schedule: Arc::new(schedule), pi, word, reverse: ReverseTransition::default() }
    }
    /// With a net that says something else.
    pub fn predicting(self, word: DiscretePrediction) -> Self {
        Self { word, ..self }
    }
    /// With another way from a guess to p(x_s | x_t).
    pub fn reverse(self, reverse: ReverseTransition) -> Self {
        Self { reverse, ..self }
    }
    /// What the net says.
    pub fn word(&self) -> DiscretePrediction {
        self.word
    }

    /// π along the last axis.
    fn pi<const D: usize>(&self, like: &Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[D - 1] = self.pi.len();
        Tensor::from_data(TensorData::new(self.pi.clone(), shape), (&like.device(), like.dtype()))
    }
    /// α at a time.
    fn keep(&self, t: f64) -> f64 {
        self.schedule.keep(Dual::time(t)).value
    }
    /// α_t/α_s.
    fn between(&self, s: f64, t: f64) -> f64 {
        let (s, t) = (self.keep(s), self.keep(t));
        if s > 0.0 { (t / s).min(1.0) } else { 0.0 }
    }
    /// The mask, if π is a point.
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
    /// `keep·[j = z] + (1 − keep) π_z` over j.
    fn column<const D: usize>(&self, z: Tensor<D>, keep: Tensor<D>) -> Tensor<D> {
        let lost = self.pi_of(z.clone()) * (keep.clone() * -1.0 + 1.0);
        one_hot(z, self.pi.len()) * keep + lost
    }
    /// Logits of which category `mask` has no share.
    fn without<const D: usize>(&self, logits: Tensor<D>, mask: usize) -> Tensor<D> {
        let mut shape = [1; D];
        shape[D - 1] = self.pi.len();
        let never = (0..self.pi.len()).map(|i| if i == mask { -1e30 } else { 0.0 }).collect::<Vec<f64>>();
        let never = Tensor::from_data(TensorData::new(never, shape), (&logits.device(), logits.dtype()));
        logits + never
    }
    /// ln p_t(j)/p_t(z) of what the net said, where that of z itself is zero.
    fn heard<const D: usize>(&self, output: Tensor<D>, z: Tensor<D>) -> Tensor<D> {
        let elsewhere = one_hot(z, self.pi.len()) * -1.0 + 1.0;
        output * elsewhere
    }
}

/// What stays of x below this is lost in rounding.
const LEAST: f64 = 1e-9;

/// Numbers computed in double precision from two times, each one a row or one for all.
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

/// Two times, each one a row or one for all.
pub(super) fn pairs<'a>(s: &'a [f64], t: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    (0..s.len().max(t.len())).map(|i| (s[i % s.len()], t[i % t.len()]))
}

impl<const D: usize> Noise<D> for Discrete {
    fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D> {
        let like = Tensor::<D>::zeros([1; D], device);
        if shape[D - 1] == 1 {
            return Box::new(Redrawn { x: like.expand(shape), keep: vec![0.0], noise: self.clone() });
        }
        Box::new(Categorical::trusted(self.pi(&like).expand(shape)))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        if x.dims()[D - 1] == 1 {
            return Box::new(Redrawn { x, keep: t.iter().map(|t| self.keep(*t)).collect(), noise: self.clone() });
        }
        let pi = self.pi(&x);
        let [keep, lose] = lift(&x, t, |_, t| {
            let alpha = self.keep(t);
            [alpha, 1.0 - alpha]
        });
        Box::new(Categorical::trusted(x * keep + pi * lose))
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let numbers = z.dims()[D - 1] == 1;
        let x = one_hot(x, self.pi.len());
        Box::new(Categorical::trusted(self.bayes(x, z, s, t)).in_numbers(numbers))
    }
    fn approximate(&self, guess: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let numbers = z.dims()[D - 1] == 1;
        let probs = match self.reverse {
            ReverseTransition::Mixture => self.backward(guess.mean, z, s, t),
            ReverseTransition::PlugIn => self.bayes(guess.mean, z, s, t),
        };
        Box::new(Categorical::trusted(probs).in_numbers(numbers))
    }
    fn decoder(&self, guess: Estimate<D>, z: Tensor<D>, _: &[f64]) -> DynDistribution<D> {
        Box::new(Categorical::trusted(guess.mean).in_numbers(z.dims()[D - 1] == 1))
    }
    fn target(&self, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let x = one_hot(x, self.pi.len());
        let said = match self.word {
            DiscretePrediction::Logits | DiscretePrediction::Subs => x,
            DiscretePrediction::Score => self.ratios(x, z, t),
        };
        said.clamp_min(super::chain::TINY).log()
    }
    fn estimate(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let carried = |logits: Tensor<D>, mask: usize| {
            let hidden = is(&z, mask).expand(logits.dims());
            let guess = ops::softmax(self.without(logits, mask));
            one_hot(z.clone(), self.pi.len()).mask_where(hidden, guess)
        };
        match (self.word, self.mask()) {
            (DiscretePrediction::Subs | DiscretePrediction::Score, Some(mask)) => carried(output, mask),
            (DiscretePrediction::Logits | DiscretePrediction::Subs, _) => ops::softmax(output),
            (DiscretePrediction::Score, None) => {
                // ρ = α w + (1 − α) π Σw with Σw = Σρ, solved for w; p(x | z) ∝ w_x q(z | x).
                let rho = self.heard(output, z.clone()).exp();
                let [keep, lose] = lift(&rho, t, |_, t| {
                    let keep = self.keep(t).max(LEAST);
                    [keep, 1.0 - keep]
                });
                let lost = self.pi(&rho) * rho.clone().sum_dim(D - 1) * lose;
                let guess = ((rho - lost) / keep).clamp_min(0.0) * self.likelihood(z, t);
                let total = guess.clone().sum_dim(D - 1).clamp_min(super::chain::TINY);
                guess / total
            }
        }
        .into()
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
    fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        match (self.word, self.mask()) {
            (DiscretePrediction::Subs, None) => Err(Error::invalid(
                "a net that says `subs` knows what is masked, and this noise has no mask: let it say `logits`, or take \
                 absorbing noise",
            )),
            (DiscretePrediction::Score, None) if self.keep(1.0) < 1e-6 => Err(Error::invalid(format!(
                "a net that says `score` cannot be used with uniform or marginal noise whose schedule keeps nothing at t = 1 \
                 (keep(1) = {}): there the ratios do not tell x; take a schedule that ends above, such as \
                 {{ name = \"geometric\", max = 5 }}, or let the net say `logits`",
                crate::error::small(self.keep(1.0))
            ))),
            _ => Ok(()),
        }
    }
}

impl<const D: usize> Chain<D> for Discrete {
    fn spread(&self, w: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let [keep, lose] = lift(&w, t, |_, t| {
            let keep = self.keep(t);
            [keep, 1.0 - keep]
        });
        let lost = self.pi(&w) * (w.clone().sum_dim(D - 1) * lose);
        w * keep + lost
    }
    fn likelihood(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let [keep] = lift(&z, t, |_, t| [self.keep(t)]);
        self.column(z, keep)
    }
    fn onward(&self, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        let [r] = lift2(&z, s, t, |s, t| [self.between(s, t)]);
        self.column(z, r)
    }
    fn rates(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let [beta] = lift(&z, t, |_, t| {
            let keep = self.schedule.keep(Dual::time(t));
            [-keep.slope / keep.value.max(LEAST)]
        });
        let elsewhere = one_hot(z.clone(), self.pi.len()) * -1.0 + 1.0;
        elsewhere * (self.pi_of(z) * beta)
    }
    fn limit(&self, like: &Tensor<D>) -> Tensor<D> {
        self.pi(like)
    }
    fn reverse_rates(&self, guess: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        // β π_z [α w_j + (1 − α) π_j Σw] for w_j = p_j/((1 − α) π_z), j ≠ z, without the 0·∞ where nothing is kept.
        let possible = self.pi_of(z.clone()).greater_elem(0.0);
        let [fresh, beta, keep] = lift(&z, t, |_, t| {
            let keep = self.schedule.keep(Dual::time(t));
            [-keep.slope / (1.0 - keep.value).max(LEAST), -keep.slope / keep.value.max(LEAST), keep.value]
        });
        let here = one_hot(z.clone(), self.pi.len());
        let own = (guess.clone() * here.clone()).sum_dim(D - 1);
        let lost = self.pi_of(z) * (keep.clone() * -1.0 + 1.0);
        // (1 − α) π_z Σw.
        let all = own.clone() * -1.0 + 1.0 + own * lost.clone() / (lost + keep).clamp_min(LEAST);
        let again = self.pi(&guess) * (all * beta);
        let rates = (guess * fresh + again) * (here * -1.0 + 1.0);
        let never = possible.bool_not().expand(rates.dims());
        rates.mask_fill(never, 0.0)
    }
    fn log_ratios(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        if self.word == DiscretePrediction::Score {
            return self.heard(output, z);
        }
        let guess = self.estimate(output, z.clone(), t).mean;
        self.ratios(guess, z, t).clamp_min(super::chain::TINY).log()
    }
    fn nll(&self, output: Tensor<D>, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        match (self.word, self.mask()) {
            (DiscretePrediction::Subs | DiscretePrediction::Score, Some(mask)) => {
                let kept = is(&z, mask).bool_not();
                ops::cross_entropy(output, category(x), Some(mask)).mask_fill(kept, 0.0)
            }
            (DiscretePrediction::Logits | DiscretePrediction::Subs, _) => ops::cross_entropy(output, category(x), None),
            (DiscretePrediction::Score, None) => Categorical::trusted(self.estimate(output, z, t).mean).nll(x),
        }
    }
}
