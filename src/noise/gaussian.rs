//! Gaussian noise: DDPM, DDIM, flow matching, score matching, EDM.
use super::{DynDistribution, Estimate, Noise, lift};
use crate::{
    distribution::Normal,
    error::Error,
    schedule::{Scales, Schedule},
};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use tweedie_kernels::{combine, ops};

/// What a net says about `x_t = α x + σ ε`: a row (a, b), meaning `a·x + b·ε`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// x: (1, 0).
    X0,
    /// ε: (0, 1). Ho, Jain and Abbeel (2020), <https://arxiv.org/abs/2006.11239>.
    #[default]
    Epsilon,
    /// v = α ε − σ x: (−σ, α). Salimans and Ho (2022), <https://arxiv.org/abs/2202.00512>.
    V,
    /// dx_t/dt: (α′, σ′). Lipman et al. (2023), <https://arxiv.org/abs/2210.02747>.
    Velocity,
    /// ∇ ln q(x_t | x) = −ε/σ: (0, −1/σ). Song et al. (2021), <https://arxiv.org/abs/2011.13456>.
    Score,
    /// EDM's F: `x̂ = c_skip x_t/α + c_out F` with target of unit variance for data of standard deviation d:
    /// `(σ/(d w), −α d/w)`, `w = √(σ² + α² d²)`. Karras et al. (2022), table 1, <https://arxiv.org/abs/2206.00364>.
    Edm,
}

impl Prediction {
    /// Every prediction, in the order of the table.
    pub const ALL: [Self; 6] = [Self::X0, Self::Epsilon, Self::V, Self::Velocity, Self::Score, Self::Edm];

    /// (a, b) at scales `c` for data of standard deviation `data_std`.
    pub fn row(self, c: Scales, data_std: f64) -> [f64; 2] {
        match self {
            Self::X0 => [1.0, 0.0],
            Self::Epsilon => [0.0, 1.0],
            Self::V => [-c.sigma, c.alpha],
            Self::Velocity => [c.alpha_dot, c.sigma_dot],
            Self::Score => [0.0, -c.sigma.recip()],
            Self::Edm => {
                let w = c.sigma.hypot(c.alpha * data_std);
                [c.sigma / (data_std * w), -c.alpha * data_std / w]
            }
        }
    }
}
impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X0 => "x0",
            Self::Epsilon => "epsilon",
            Self::V => "v",
            Self::Velocity => "velocity",
            Self::Score => "score",
            Self::Edm => "edm",
        })
    }
}

/// The variance of p(x_s | x_t).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// That of q(x_s | x_t, x), β̃: right for data at a point.
    #[default]
    Small,
    /// That of q(x_t | x_s), β: right for data of unit variance.
    Large,
    /// Between the two on a logarithmic scale, where the net says: its output is twice as wide.
    /// Nichol and Dhariwal (2021), eq. 15, <https://arxiv.org/abs/2102.09672>.
    Learned,
}

/// Gaussian noise along a schedule: `x_t = α x + σ ε`, `ε ~ N(0, I)`.
///
/// With `r = α_t/α_s` and `k = (σ_s/σ_t)²`:
///
/// ```text
/// q(x₁)           = N(0, σ(1)²)
/// q(x_t | x)      = N(α_t x, σ_t²)
/// q(x_s | x_t, x) = N(r k x_t + α_s (1 − r² k) x, σ_s² (1 − r² k))
/// ```
///
/// ```
/// use tweedie::{noise::{Gaussian, Noise, Prediction}, schedule::{FlowMatching, Cosine}};
/// let flow = Gaussian::new(FlowMatching {}).predicting(Prediction::Velocity);
/// assert!(Noise::<4>::check(&flow).is_ok());
/// // At t = 1 there is no signal left, and ε alone does not tell x.
/// assert!(Noise::<4>::check(&Gaussian::new(FlowMatching {})).is_err());
/// # let _ = Gaussian::new(Cosine::new(1000));
/// ```
#[derive(Clone, Debug)]
pub struct Gaussian {
    schedule: Arc<dyn Schedule>,
    prediction: Prediction,
    variance: Variance,
    data_std: f64,
}

impl Gaussian {
    /// The noise of a schedule, with a net that says ε and the small variance.
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self {
            schedule: Arc::new(schedule),
            prediction: Prediction::default(),
            variance: Variance::default(),
            data_std: 1.0,
        }
    }
    /// With a net that says something else.
    pub fn predicting(self, prediction: Prediction) -> Self {
        Self { prediction, ..self }
    }
    /// With another variance of p(x_s | x_t).
    pub fn variance(self, variance: Variance) -> Self {
        Self { variance, ..self }
    }
    /// For data of standard deviation `data_std` instead of 1: scales the net's input to unit variance, and EDM's F.
    pub fn data_std(self, data_std: f64) -> Self {
        Self { data_std, ..self }
    }
    /// What the net says.
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }
    /// What a net that says [`prediction`](Self::prediction) would say in another language: `output` of `z` at times `t`, one a row
    /// or one for all.
    ///
    /// With rows (a, b) and (c, d) of the two languages and `det = α b − σ a`,
    /// `y′ = [(c b − d a) z + (α d − σ c) y]/det`: nothing is divided by α or σ alone.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use tweedie::{noise::{Gaussian, Noise, Prediction}, schedule::FlowMatching};
    /// let noise = Gaussian::new(FlowMatching {}).predicting(Prediction::V);
    /// let [x, z] = [[2.0], [1.0]].map(|x| Tensor::<1>::from_floats(x, &Device::flex()));
    /// let said = noise.target(x, z.clone(), &[0.5]);
    /// let velocity: f32 = noise.convert(said, z, &[0.5], Prediction::Velocity).into_scalar();
    /// assert!((velocity + 2.0).abs() < 1e-6); // ε − x = (1 − 0.5 · 2)/0.5 − 2
    /// ```
    pub fn convert<const D: usize>(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64], to: Prediction) -> Tensor<D> {
        if self.prediction == to {
            return output;
        }
        let (word, variance) = Noise::<D>::split(self, output);
        let said = blend([z, word], t, |_, t| {
            let scales = self.schedule.at(t);
            let ([a, b], [c, d]) = (self.row(scales), to.row(scales, self.data_std));
            let det = scales.alpha * b - scales.sigma * a;
            [(c * b - d * a) / det, (scales.alpha * d - scales.sigma * c) / det]
        });
        match variance {
            Some(variance) => Tensor::cat(vec![said, variance], 1),
            None => said,
        }
    }
    /// α and σ.
    pub fn schedule(&self) -> &Arc<dyn Schedule> {
        &self.schedule
    }

    pub(crate) fn row(&self, c: Scales) -> [f64; 2] {
        self.prediction.row(c, self.data_std)
    }

    /// Each row's step from t to s.
    fn steps_between(&self, s: &[f64], t: &[f64]) -> Vec<Step> {
        s.iter().zip(t).map(|(&s, &t)| Step::between(self.schedule.at(s), self.schedule.at(t))).collect()
    }

    /// ln of the smallest and of the largest variance of p(x_s | x_t).
    fn log_bounds(&self, s: f64, t: f64) -> [f64; 2] {
        // At s = 0 the posterior is a point; the smallest variance is then that of the step before, t ← t + (t − s).
        let (from, to) = if self.schedule.at(s).sigma > 0.0 { (s, t) } else { (t, (2.0 * t - s).min(1.0)) };
        let (a, b) = (self.schedule.at(from), self.schedule.at(to));
        let small = if to > from { Step::between(a, b).variance } else { self.schedule.at(t).sigma.powi(2) };
        let large = Step::between(self.schedule.at(s), self.schedule.at(t)).forward;
        [small.max(f64::MIN_POSITIVE).ln(), large.max(small).max(f64::MIN_POSITIVE).ln()]
    }
}

/// The coefficients of q(x_s | x_t, x) = N(noisy·x_t + clean·x, variance).
struct Step {
    noisy: f64,
    clean: f64,
    variance: f64,
    /// Var q(x_t | x_s).
    forward: f64,
}
impl Step {
    fn between(s: Scales, t: Scales) -> Self {
        let r = t.alpha / s.alpha;
        let k = (s.sigma / t.sigma).powi(2);
        // 1 − r² k, the share of σ_t² that was added after s, is a difference of near equals for small steps; the
        // form below is exact to rounding of its factors.
        let rest = ((t.sigma - r * s.sigma) * (t.sigma + r * s.sigma) / t.sigma.powi(2)).max(0.0);
        Self { noisy: r * k, clean: s.alpha * rest, variance: s.sigma.powi(2) * rest, forward: rest * t.sigma.powi(2) }
    }
    /// Those of x_t and x in the mean.
    fn weights(&self) -> [f64; 2] {
        [self.noisy, self.clean]
    }
}

/// Σ cᵢ xᵢ with the coefficients of each row's time: as numbers where one time is for all rows, lifted otherwise.
fn blend<const D: usize, const N: usize>(
    terms: [Tensor<D>; N],
    t: &[f64],
    f: impl Fn(usize, f64) -> [f64; N],
) -> Tensor<D> {
    if let [t] = *t {
        return ops::combine(f(0, t).into_iter().zip(terms));
    }
    let weights = lift(&terms[0], t, f);
    terms.into_iter().zip(weights).map(|(x, weight)| x * weight).reduce(|a, b| a + b).expect("there is a term")
}

/// The normal with the standard deviation of each row's time: as a number where one time is for all rows.
fn normal<const D: usize>(mean: Tensor<D>, t: &[f64], std: impl Fn(usize, f64) -> f64) -> DynDistribution<D> {
    if let [t] = *t {
        return Box::new(Normal::around(mean, std(0, t)));
    }
    let [std] = lift(&mean, t, |i, t| [std(i, t)]);
    Box::new(Normal::trusted(mean, std))
}

impl<const D: usize> Noise<D> for Gaussian {
    fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D> {
        Box::new(Normal::around(Tensor::zeros(shape, device), self.schedule.at(1.0).sigma))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        normal(blend([x], t, |_, t| [self.schedule.at(t).alpha]), t, |_, t| self.schedule.at(t).sigma)
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let steps = self.steps_between(s, t);
        normal(blend([z, x], t, |i, _| steps[i].weights()), t, |i, _| steps[i].variance.sqrt())
    }
    fn approximate(&self, guess: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let steps = self.steps_between(s, t);
        let mean = |z| blend([z, guess.mean], t, |i, _| steps[i].weights());
        match (self.variance, guess.variance) {
            (Variance::Small, _) => normal(mean(z), t, |i, _| steps[i].variance.sqrt()),
            (Variance::Large, _) => normal(mean(z), t, |i, _| steps[i].forward.sqrt()),
            (Variance::Learned, Some(share)) => {
                let [low, high] = lift(&z, t, |i, t| self.log_bounds(s[i], t));
                Box::new(Normal::trusted(mean(z), ((share * (high - low.clone()) + low) * 0.5).exp()))
            }
            (Variance::Learned, None) => panic!("the variance is learned, but the estimate has none"),
        }
    }
    fn decoder(&self, guess: Estimate<D>, z: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        let [low, high] = lift(&z, t, |_, t| self.log_bounds(0.0, t));
        let log = match (self.variance, guess.variance) {
            (Variance::Small, _) => low,
            (Variance::Large, _) => high,
            (Variance::Learned, Some(share)) => share * (high - low.clone()) + low,
            (Variance::Learned, None) => panic!("the variance is learned, but the estimate has none"),
        };
        let weights = |_, t| Step::between(self.schedule.at(0.0), self.schedule.at(t)).weights();
        Box::new(Normal::trusted(blend([z, guess.mean], t, weights), (log * 0.5).exp()))
    }
    fn input(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        blend([z], t, |_, t| {
            let c = self.schedule.at(t);
            [c.sigma.hypot(c.alpha * self.data_std).recip()]
        })
    }
    fn target(&self, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        // a x + b ε with ε = (z − α x)/σ.
        blend([x, z], t, |_, t| {
            let c = self.schedule.at(t);
            match self.row(c) {
                // Of x alone: ε, which nobody can tell where there is no noise, does not matter.
                [a, 0.0] => [a, 0.0],
                [a, b] => [a - b * c.alpha / c.sigma, b / c.sigma],
            }
        })
    }
    fn estimate(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        // Solves z = α x + σ ε, output = a x + b ε for x.
        let weights = |_, t| {
            let c = self.schedule.at(t);
            if c.sigma == 0.0 {
                // Without noise x is known, whatever is said of it.
                return [c.alpha.recip(), 0.0];
            }
            let [a, b] = self.row(c);
            let det = c.alpha * b - c.sigma * a;
            [b / det, -c.sigma / det]
        };
        if let ([t], true) = (t, self.variance != Variance::Learned) {
            let [a, b] = weights(0, *t);
            return Estimate { mean: combine!([(a, z), (b, output)]), variance: None };
        }
        let (word, variance) = Noise::<D>::split(self, output);
        let mean = blend([z, word], t, weights);
        Estimate { mean, variance: variance.map(|v| (v + 1.0) * 0.5) }
    }
    fn split(&self, output: Tensor<D>) -> (Tensor<D>, Option<Tensor<D>>) {
        if self.variance != Variance::Learned {
            return (output, None);
        }
        let width = output.dims()[1];
        assert!(
            width.is_multiple_of(2),
            "a net that learns the variance says two numbers for each of the data's, not {width} channels"
        );
        (output.clone().narrow(1, 0, width / 2), Some(output.narrow(1, width / 2, width / 2)))
    }
    fn outputs(&self) -> usize {
        if self.variance == Variance::Learned { 2 } else { 1 }
    }
    fn path(&self) -> Option<&dyn Schedule> {
        Some(&*self.schedule)
    }
    fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        if !(self.data_std > 0.0 && self.data_std.is_finite()) {
            return Err(Error::invalid(format!(
                "data_std is the positive standard deviation of the data, not {}",
                self.data_std
            )));
        }
        for t in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let c = self.schedule.at(t);
            if !(c.alpha.is_finite() && c.sigma.is_finite() && c.alpha.hypot(c.sigma) > 0.0) {
                return Err(Error::invalid(format!(
                    "at t = {t} this schedule has α = {} and σ = {}, which are no scales of signal and noise: its parameters are too \
                     extreme, so take them nearer to their defaults",
                    c.alpha, c.sigma
                )));
            }
        }
        let end = self.schedule.at(1.0);
        if matches!(self.prediction, Prediction::Epsilon | Prediction::Score) && end.alpha < 1e-6 {
            return Err(Error::invalid(format!(
                "a net that says {} cannot be used with a schedule whose signal vanishes at t = 1 (zero terminal SNR, α(1) = {}): \
                 there x_t is all noise and x̂ = (x_t − σ ε)/α divides by zero; let the net predict v, x0, velocity or edm",
                self.prediction,
                crate::error::small(end.alpha)
            )));
        }
        if self.prediction == Prediction::Velocity && !(end.alpha_dot.is_finite() && end.sigma_dot.is_finite()) {
            return Err(Error::invalid(format!(
                "a net that says velocity cannot be used with a schedule whose slopes are infinite at t = 1 (α′ = {}, σ′ = {}): the \
                 velocity α′ x + σ′ ε has no bound there; let the net predict v, x0 or edm, or take another schedule",
                end.alpha_dot, end.sigma_dot
            )));
        }
        Ok(())
    }
}
