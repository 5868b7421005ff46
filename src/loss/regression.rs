//! Errors of the prediction in a space of choice, weighted over noise levels.
use super::{
    Batch, Loss, per_sample,
    weight::{Weight, positive},
};
use crate::{
    error::{Error, Result},
    noise::{Noise, Prediction, lift},
    schedule::Scales,
    spacing::{Spacing, training_times},
};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The space in which a loss measures the error: that of a prediction type, or of whatever the network predicts.
#[doc(alias("loss_type", "loss_space"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// The prediction itself.
    #[default]
    Prediction,
    /// x̂ − x.
    X0,
    /// ε̂ − ε.
    Epsilon,
    /// v̂ − v, with v = α ε − σ x.
    V,
    /// The error of the velocity α′ x + σ′ ε.
    Velocity,
    /// The error of the score −ε/σ.
    Score,
    /// The error of EDM's F.
    Edm,
}
impl Space {
    /// The prediction type of this name; `own` for the prediction itself.
    pub fn prediction(self, own: Option<Prediction>) -> Option<Prediction> {
        match self {
            Self::Prediction => own,
            Self::X0 => Some(Prediction::X0),
            Self::Epsilon => Some(Prediction::Epsilon),
            Self::V => Some(Prediction::V),
            Self::Velocity => Some(Prediction::Velocity),
            Self::Score => Some(Prediction::Score),
            Self::Edm => Some(Prediction::Edm),
        }
    }
}
impl From<Prediction> for Space {
    fn from(prediction: Prediction) -> Self {
        match prediction {
            Prediction::X0 => Self::X0,
            Prediction::Epsilon => Self::Epsilon,
            Prediction::V => Self::V,
            Prediction::Velocity => Self::Velocity,
            Prediction::Score => Self::Score,
            Prediction::Edm => Self::Edm,
        }
    }
}

/// What becomes of an error e: all but the last are e² where |e| is small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Penalty {
    /// e².
    Squared,
    /// e² up to |e| = δ, then 2 δ |e| − δ²: twice Huber's function.
    ///
    /// Huber, "Robust estimation of a location parameter" (1964), <https://doi.org/10.1214/aoms/1177703732>.
    Huber {
        /// The error δ > 0 from which on the penalty is linear.
        delta: f64,
    },
    /// 2 c (√(e² + c²) − c).
    PseudoHuber {
        /// The error c > 0 around which the penalty turns from e² to 2 c |e|.
        c: f64,
        /// What e is.
        of: ErrorOf,
        /// How c depends on the noise level.
        constant: HuberConstant,
    },
    /// |e|.
    Absolute,
}

/// What a pseudo-Huber penalty is applied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorOf {
    /// Each entry of a sample.
    #[default]
    Entry,
    /// The root mean square over a sample's n entries. √(‖e‖² + C²) − C with C = c √n is this divided by 2 c/√n; Song and Dhariwal,
    /// "Improved Techniques for Training Consistency Models" (2023), section 3.3, take c = 0.00054,
    /// <https://arxiv.org/abs/2310.14189>.
    Sample,
}

/// The constant of a pseudo-Huber penalty at the noise level of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HuberConstant {
    /// c at every noise level.
    #[default]
    Fixed,
    /// c + (1 − c)/(1 + σ/α)²: 1 without noise, c where there is much.
    ///
    /// Khrapov et al., "Improving Diffusion Models's Data-Corruption Resistance using Scheduled Pseudo-Huber Loss" (2024),
    /// <https://arxiv.org/abs/2403.16728>.
    Snr,
}

/// A regression loss: the error of the prediction, converted to a [`Space`], under a [`Penalty`], weighted over noise levels.
///
/// ```text
/// w/k² · mean ρ(k (x̂ − x)),   ρ(e) = e² for small e
/// ```
///
/// with w the [weight](Weight) on ‖x̂ − x‖² and k the [factor](Prediction::error_factor) of the space. Without a weight w = k²: the
/// penalty has weight 1 in the space. A squared error with a weight is w ‖x̂ − x‖² in every space; for other penalties the space decides
/// what a small error is. The weight of the absolute error is √w on |x̂ − x|.
///
/// In the space of the prediction, squared and without a weight, it is [`Simple`](super::Simple), bit for bit.
///
/// ```
/// use tweedie::loss::{Objective, Regression, Space, weight::MinSnr};
/// // Min-SNR, right for every prediction type, and a robust error of x̂ beside it.
/// let objective: Objective<4> = (Regression::squared().with_weight(MinSnr { gamma: 5.0 })
///     + 0.1 * Regression::pseudo_huber(0.03).in_space(Space::X0))
/// .into();
/// assert_eq!(objective.terms().len(), 2);
/// ```
#[doc(alias("mse_loss", "l2", "l1", "smooth_l1", "huber_loss", "loss_type"))]
#[derive(Clone, Debug)]
pub struct Regression {
    penalty: Penalty,
    space: Space,
    weight: Option<Arc<dyn Weight>>,
}

impl Regression {
    /// The loss of a penalty with weight 1, in the space of the prediction.
    pub fn new(penalty: Penalty) -> Self {
        Self { penalty, space: Space::default(), weight: None }
    }
    /// The squared error.
    pub fn squared() -> Self {
        Self::new(Penalty::Squared)
    }
    /// Twice Huber's penalty.
    pub fn huber(delta: f64) -> Self {
        Self::new(Penalty::Huber { delta })
    }
    /// The pseudo-Huber penalty of each entry.
    #[doc(alias = "huber_c")]
    pub fn pseudo_huber(c: f64) -> Self {
        Self::new(Penalty::PseudoHuber { c, of: ErrorOf::Entry, constant: HuberConstant::Fixed })
    }
    /// The absolute error.
    pub fn absolute() -> Self {
        Self::new(Penalty::Absolute)
    }
    /// Sets the space in which the error is measured. Default: that of the prediction.
    pub fn in_space(self, space: Space) -> Self {
        Self { space, ..self }
    }
    /// Sets the weight on ‖x̂ − x‖². Default: weight 1 in the space.
    pub fn with_weight(self, weight: impl Weight + 'static) -> Self {
        Self { weight: Some(Arc::new(weight)), ..self }
    }

    /// Whether the error is that of x̂ because the prediction has no name, and so no factor that is known.
    fn of_estimate<const D: usize>(&self, noise: &dyn Noise<D>) -> bool {
        noise.prediction_type().is_none() && (self.space != Space::Prediction || self.weight.is_some())
    }
    /// At the scales of one row: the factor from the error of the network's prediction to that of the space, the weight of the penalty
    /// in that space, the penalty's constant.
    fn row(&self, own: Option<Prediction>, data_std: f64, mut c: Scales) -> [f64; 3] {
        // Where no signal is left, the limit.
        c.alpha = c.alpha.max(1e-150);
        let factor = |prediction: Prediction| prediction.error_factor(c, data_std);
        let own_factor = own.map_or(1.0, factor);
        let constant = match self.penalty {
            Penalty::Huber { delta } => delta,
            Penalty::PseudoHuber { c, constant: HuberConstant::Fixed, .. } => c,
            Penalty::PseudoHuber { c: least, constant: HuberConstant::Snr, .. } => {
                least + (1.0 - least) / (1.0 + c.sigma / c.alpha).powi(2)
            }
            Penalty::Squared | Penalty::Absolute => 1.0,
        };
        let space = match (self.penalty, &self.weight) {
            // The space makes no difference: none is divided by.
            (Penalty::Squared | Penalty::Absolute, Some(_)) => own_factor,
            _ => self.space.prediction(own).map_or(own_factor, factor),
        };
        let weight = self.weight.as_ref().map_or(1.0, |weight| {
            let weight = weight.weight(c) / space.powi(2);
            if self.penalty == Penalty::Absolute { weight.sqrt() } else { weight }
        });
        let ratio = if space == own_factor { 1.0 } else { space / own_factor };
        [ratio, weight, constant]
    }
    /// What refusals call it.
    fn name(&self) -> &'static str {
        match self.penalty {
            Penalty::Squared => "squared",
            Penalty::Huber { .. } => "huber",
            Penalty::PseudoHuber { .. } => "pseudo-huber",
            Penalty::Absolute => "absolute",
        }
    }
}

impl<const D: usize> Loss<D> for Regression {
    fn compute(&self, batch: &Batch<D>) -> Tensor<1> {
        let noise = batch.noise;
        let (error, own) = match self.of_estimate(noise) {
            true => (batch.estimate().mean - batch.x.clone(), Some(Prediction::X0)),
            false => (batch.prediction() - batch.target(), noise.prediction_type()),
        };
        let rows: Vec<[f64; 3]> = match noise.path() {
            Some(path) => batch.t.iter().map(|t| self.row(own, noise.data_std(), path.at(*t))).collect(),
            // Of the prediction without a weight, as the check requires.
            None => {
                let one = Scales { alpha: 1.0, sigma: 1.0, alpha_dot: 0.0, sigma_dot: 0.0, variance_dot: 0.0 };
                vec![self.row(None, 1.0, one); batch.t.len()]
            }
        };
        let error = match rows.iter().all(|row| row[0] == 1.0) {
            true => error,
            false => {
                let [ratio] = lift(&error, batch.t, |i, _| [rows[i][0]]);
                error * ratio
            }
        };
        let constants = || lift(&error, batch.t, |i, _| [rows[i][2], rows[i][2].powi(2)]);
        let penalty = match self.penalty {
            Penalty::Squared => per_sample(error.square()),
            Penalty::Absolute => per_sample(error.abs()),
            Penalty::Huber { .. } => {
                let [delta, _] = constants();
                // With m = min(|e|, δ): m (2 |e| − m).
                let size = error.abs();
                let small = size.clone().min_pair(delta.expand(size.dims()));
                per_sample(small.clone() * (size * 2.0 - small))
            }
            Penalty::PseudoHuber { of, .. } => {
                let [c, square] = constants();
                let squares = error.square();
                let squares = match of {
                    ErrorOf::Entry => squares,
                    ErrorOf::Sample => {
                        let mut shape = [1; D];
                        shape[0] = squares.dims()[0];
                        per_sample(squares).reshape(shape)
                    }
                };
                // 2 c e²/(√(e² + c²) + c): no difference of nearly equal numbers.
                let root = (squares.clone() + square).sqrt() + c.clone();
                per_sample(squares * c * 2.0 / root)
            }
        };
        if self.weight.is_none() {
            return penalty;
        }
        let weights: Vec<f64> = rows.iter().map(|row| row[1]).collect();
        let count = weights.len();
        let weights = TensorData::new(weights, [count]);
        let weights = Tensor::<1>::from_data(weights, (&penalty.device(), penalty.dtype()));
        penalty * weights
    }

    fn check(&self, noise: &dyn Noise<D>) -> Result<()> {
        let name = self.name();
        if noise.categorical() {
            let problem = format!("the loss `{name}` is an error of real numbers, which is not defined for categories");
            return Err(Error::invalid(problem).with_remedy("use `vlb` with a categorical noise"));
        }
        match self.penalty {
            Penalty::Huber { delta } => positive(delta, "delta")?,
            Penalty::PseudoHuber { c, .. } => positive(c, "c")?,
            Penalty::Squared | Penalty::Absolute => (),
        }
        if let Some(weight) = &self.weight {
            weight.check().map_err(|error| error.with_field("weighting"))?;
        }
        let scheduled = matches!(self.penalty, Penalty::PseudoHuber { constant: HuberConstant::Snr, .. });
        let plain = self.space == Space::Prediction && self.weight.is_none() && !scheduled;
        let Some(path) = noise.path() else {
            if plain {
                return Ok(());
            }
            let problem = format!("the loss `{name}` converts errors by α and σ, and this noise has none");
            return Err(Error::invalid(problem).with_remedy("leave out its space and its weight"));
        };
        let own = match self.of_estimate(noise) {
            true => Some(Prediction::X0),
            false => noise.prediction_type(),
        };
        let times = training_times(noise);
        for t in (0..64).map(|i| times.quantile((f64::from(i) + 0.5) / 64.0)).chain([times.quantile(1.0)]) {
            let c = path.at(t);
            // At the very end of continuous time there are no samples.
            if t >= 1.0 && noise.steps().is_none() {
                continue;
            }
            let [ratio, weight, _] = self.row(own, noise.data_std(), c).map(|value| f64::from(value as f32));
            let (what, found, needed) = match &self.weight {
                Some(own) if !(weight >= 0.0 && weight.is_finite()) => {
                    (format!("the weight {own:?}"), weight, "a finite number of 0 or more")
                }
                _ if !ratio.is_finite() => ("the factor to the space of the error".into(), ratio, "a finite number"),
                _ => continue,
            };
            let scales = [c.alpha, c.sigma].map(crate::error::small);
            return Err(Error::invalid(format!(
                "{what} of the loss `{name}` must be {needed}, got {found} at t = {t}, where α = {} and σ = {}",
                scales[0], scales[1]
            ))
            .with_remedy("use another weight, space or schedule"));
        }
        Ok(())
    }
}
crate::loss_arithmetic!(Regression);
