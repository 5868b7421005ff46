//! Gaussian noise: DDPM, DDIM, flow matching, score matching, EDM.
use super::{DynDistribution, Estimate, Noise, lift};
use crate::{
    distribution::Normal,
    error::{Error, Result},
    schedule::{Scales, Schedule},
};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use tweedie_kernels::{combine, ops};

/// Prediction type: what the network output means, as a row (a, b) of `a·x + b·ε`, for `x_t = α x + σ ε`.
#[doc(alias("prediction_type", "parameterization", "model_mean_type"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// x: (1, 0).
    #[doc(alias = "sample")]
    X0,
    /// ε: (0, 1). Ho, Jain and Abbeel (2020), <https://arxiv.org/abs/2006.11239>.
    #[default]
    Epsilon,
    #[doc(alias = "v_prediction")]
    /// v = α ε − σ x: (−σ, α). Salimans and Ho (2022), <https://arxiv.org/abs/2202.00512>.
    V,
    #[doc(alias("flow_prediction", "flow_matching"))]
    /// dx_t/dt: (α′, σ′). Lipman et al. (2023), <https://arxiv.org/abs/2210.02747>.
    Velocity,
    /// ∇ ln q(x_t | x) = −ε/σ: (0, −1/σ). Song et al. (2021), <https://arxiv.org/abs/2011.13456>.
    Score,
    /// EDM's F: `x̂ = c_skip x_t/α + c_out F` with target of unit variance for data of standard deviation d:
    /// `(σ/(d w), −α d/w)`, `w = √(σ² + α² d²)`. Karras et al. (2022), table 1, <https://arxiv.org/abs/2206.00364>.
    Edm,
}

impl Prediction {
    /// Every prediction type.
    pub const ALL: [Self; 6] = [Self::X0, Self::Epsilon, Self::V, Self::Velocity, Self::Score, Self::Edm];

    /// The row (a, b) at scales `c`, for data of standard deviation `data_std`.
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

    /// The factor k of the errors at one x_t, `prediction − target = k (x̂ − x)`: `a − b α/σ` of the row (a, b).
    ///
    /// x0: 1; ε: −α/σ; v: −(α² + σ²)/σ; velocity: α′ − σ′ α/σ; score: α/σ²; EDM's F: −√(σ² + α² d²)/(d σ). A loss ‖prediction −
    /// target‖² so has the weight k² on ‖x̂ − x‖².
    pub fn error_factor(self, c: Scales, data_std: f64) -> f64 {
        match self.row(c, data_std) {
            // x alone does not depend on ε, which is undetermined where σ = 0.
            [a, 0.0] => a,
            [a, b] => a - b * c.alpha / c.sigma,
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

/// Variance of the reverse transition p(x_s | x_t).
#[doc(alias("variance_type", "model_var_type", "fixed_small", "fixed_large", "learned_range"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// That of the posterior q(x_s | x_t, x), β̃: exact if the data are a single point.
    #[default]
    Small,
    /// That of the forward step q(x_t | x_s), β: exact for data of distribution N(0, I).
    Large,
    /// Interpolated between the two on a logarithmic scale by the network, whose output is twice as wide; `Small` for an estimate
    /// that carries no [variance](Estimate::variance).
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
/// let flow = Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity);
/// assert!(Noise::<4>::check(&flow).is_ok());
/// // At t = 1 there is no signal left, and ε does not determine x.
/// assert!(Noise::<4>::check(&Gaussian::new(FlowMatching {})).is_err());
/// # let _ = Gaussian::new(Cosine::new(1000));
/// ```
#[doc(alias("ddpm", "gaussian_diffusion", "score_matching", "edm"))]
#[derive(Clone, Debug)]
pub struct Gaussian {
    schedule: Arc<dyn Schedule>,
    prediction: Prediction,
    variance: Variance,
    data_std: f64,
}

impl Gaussian {
    /// The noise of a schedule, with the prediction type ε and the small variance.
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self {
            schedule: Arc::new(schedule),
            prediction: Prediction::default(),
            variance: Variance::default(),
            data_std: 1.0,
        }
    }
    /// Sets the prediction type. Default: ε.
    #[doc(alias = "prediction_type")]
    pub fn with_prediction(self, prediction: Prediction) -> Self {
        Self { prediction, ..self }
    }
    /// Sets the variance of the reverse transition. Default: small.
    #[doc(alias = "variance_type")]
    pub fn with_variance(self, variance: Variance) -> Self {
        Self { variance, ..self }
    }
    /// Sets the standard deviation of the data, which scales the network input to unit variance, and EDM's F. Default: 1.
    #[doc(alias = "sigma_data")]
    pub fn with_data_std(self, data_std: f64) -> Self {
        Self { data_std, ..self }
    }
    /// Returns the prediction type.
    #[doc(alias = "prediction_type")]
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }
    /// Converts network outputs of the noise's [prediction type](Self::prediction) to another, given `z` at times `t`, one per row
    /// or one for all.
    ///
    /// With rows (a, b) and (c, d) of the two types and `det = α b − σ a`,
    /// `y′ = [(c b − d a) z + (α d − σ c) y]/det`: nothing is divided by α or σ alone.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use tweedie::{noise::{Gaussian, Noise, Prediction}, schedule::FlowMatching};
    /// let noise = Gaussian::new(FlowMatching {}).with_prediction(Prediction::V);
    /// let [x, z] = [[2.0], [1.0]].map(|x| Tensor::<1>::from_floats(x, &Device::flex()));
    /// let v = noise.target(x, z.clone(), &[0.5]);
    /// let velocity: f32 = noise.convert(v, z, &[0.5], Prediction::Velocity).into_scalar();
    /// assert!((velocity + 2.0).abs() < 1e-6); // ε − x = (1 − 0.5 · 2)/0.5 − 2
    /// ```
    pub fn convert<const D: usize>(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64], to: Prediction) -> Tensor<D> {
        if self.prediction == to {
            return output;
        }
        let (prediction, variance) = Noise::<D>::split(self, output);
        let converted = blend([z, prediction], t, |_, t| {
            let scales = self.schedule.at(t);
            let ([a, b], [c, d]) = (self.row(scales), to.row(scales, self.data_std));
            let det = scales.alpha * b - scales.sigma * a;
            [(c * b - d * a) / det, (scales.alpha * d - scales.sigma * c) / det]
        });
        match variance {
            Some(variance) => Tensor::cat(vec![converted, variance], 1),
            None => converted,
        }
    }
    /// Returns the schedule α, σ.
    pub fn schedule(&self) -> &Arc<dyn Schedule> {
        &self.schedule
    }

    pub(crate) fn row(&self, c: Scales) -> [f64; 2] {
        self.prediction.row(c, self.data_std)
    }

    /// The coefficients of each row's step from t to s.
    fn steps_between(&self, s: &[f64], t: &[f64]) -> Vec<Step> {
        s.iter().zip(t).map(|(&s, &t)| Step::between(self.schedule.at(s), self.schedule.at(t))).collect()
    }

    /// ln of the smallest and of the largest variance of the reverse transition p(x_s | x_t).
    fn log_bounds(&self, s: f64, t: f64) -> [f64; 2] {
        // At s = 0 the posterior is a point; the smallest variance is then that of the previous step, t ← t + (t − s).
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
    fn approximate(&self, estimate: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let steps = self.steps_between(s, t);
        let mean = |z| blend([z, estimate.mean], t, |i, _| steps[i].weights());
        match (self.variance, estimate.variance) {
            (Variance::Small, _) | (Variance::Learned, None) => normal(mean(z), t, |i, _| steps[i].variance.sqrt()),
            (Variance::Large, _) => normal(mean(z), t, |i, _| steps[i].forward.sqrt()),
            (Variance::Learned, Some(share)) => {
                let [low, high] = lift(&z, t, |i, t| self.log_bounds(s[i], t));
                Box::new(Normal::trusted(mean(z), ((share * (high - low.clone()) + low) * 0.5).exp()))
            }
        }
    }
    fn decoder(&self, estimate: Estimate<D>, z: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        let [low, high] = lift(&z, t, |_, t| self.log_bounds(0.0, t));
        let log = match (self.variance, estimate.variance) {
            (Variance::Small, _) | (Variance::Learned, None) => low,
            (Variance::Large, _) => high,
            (Variance::Learned, Some(share)) => share * (high - low.clone()) + low,
        };
        let weights = |_, t| Step::between(self.schedule.at(0.0), self.schedule.at(t)).weights();
        Box::new(Normal::trusted(blend([z, estimate.mean], t, weights), (log * 0.5).exp()))
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
                // A prediction of x alone does not depend on ε, which is undetermined where σ = 0.
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
                // Without noise x is known, whatever the output.
                return [c.alpha.recip(), 0.0];
            }
            let [a, b] = self.row(c);
            let det = c.alpha * b - c.sigma * a;
            [b / det, -c.sigma / det]
        };
        if let ([t], true) = (t, self.variance != Variance::Learned) {
            let [a, b] = weights(0, *t);
            return Estimate { mean: combine!([(a, z), (b, output.clone())]), variance: None, output: Some(output) };
        }
        let (prediction, variance) = Noise::<D>::split(self, output.clone());
        let mean = blend([z, prediction], t, weights);
        Estimate { mean, variance: variance.map(|v| (v + 1.0) * 0.5), output: Some(output) }
    }
    fn split(&self, output: Tensor<D>) -> (Tensor<D>, Option<Tensor<D>>) {
        if self.variance != Variance::Learned {
            return (output, None);
        }
        let width = output.dims()[1];
        assert!(
            width.is_multiple_of(2),
            "with a learned variance the network must have two output channels per channel of the data, got {width}"
        );
        (output.clone().narrow(1, 0, width / 2), Some(output.narrow(1, width / 2, width / 2)))
    }
    fn outputs(&self) -> usize {
        if self.variance == Variance::Learned { 2 } else { 1 }
    }
    fn path(&self) -> Option<&dyn Schedule> {
        Some(&*self.schedule)
    }
    fn prediction_type(&self) -> Option<Prediction> {
        Some(self.prediction)
    }
    fn data_std(&self) -> f64 {
        self.data_std
    }
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        if !(self.data_std > 0.0 && self.data_std.is_finite()) {
            return Err(
                Error::invalid(format!("must be a positive number, got {}", self.data_std)).with_field("data_std")
            );
        }
        for t in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let c = self.schedule.at(t);
            if !(c.alpha.is_finite() && c.sigma.is_finite() && c.alpha.hypot(c.sigma) > 0.0) {
                return Err(Error::invalid(format!(
                    "at t = {t} this schedule has α = {} and σ = {}, which are not valid scales: its parameters are too extreme",
                    c.alpha, c.sigma
                ))
                .with_remedy("take them nearer to their defaults"));
            }
        }
        let end = self.schedule.at(1.0);
        if matches!(self.prediction, Prediction::Epsilon | Prediction::Score) && end.alpha < 1e-6 {
            return Err(Error::invalid(format!(
                "= \"{}\" needs a schedule with α(1) > 0 (non-zero terminal SNR), got α(1) = {}: there x_t is all noise and \
                 x̂ = (x_t − σ ε)/α divides by zero",
                self.prediction,
                crate::error::small(end.alpha)
            ))
            .with_field("prediction")
            .with_remedy("use v, x0, velocity or edm"));
        }
        if self.prediction == Prediction::Velocity && !(end.alpha_dot.is_finite() && end.sigma_dot.is_finite()) {
            return Err(Error::invalid(format!(
                "= \"velocity\" needs a schedule with finite slopes at t = 1, got α′ = {} and σ′ = {}: the velocity α′ x + σ′ ε is \
                 unbounded there",
                end.alpha_dot, end.sigma_dot
            ))
            .with_field("prediction")
            .with_remedy("use v, x0 or edm, or another schedule"));
        }
        Ok(())
    }
}
