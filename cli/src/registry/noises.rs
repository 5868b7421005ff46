//! Noises as recipes name them.
use crate::{
    data::{categories::Categories, facts::Facts},
    registry::settings::NoiseConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie::{
    Error, Result,
    noise::{Discrete, DiscreteMatrix, DiscretePrediction, Gaussian, Prediction, ReverseTransition, Variance},
    schedule::Schedule,
};

/// `[noise] name = "gaussian"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GaussianConfig {
    prediction: Prediction,
    variance: Variance,
    data_std: f64,
}
impl Default for GaussianConfig {
    fn default() -> Self {
        Self { prediction: Prediction::default(), variance: Variance::default(), data_std: 1.0 }
    }
}
impl NoiseConfig for GaussianConfig {
    type Noise = Gaussian;
    fn noise(&self, schedule: Arc<dyn Schedule>, data: &Facts) -> Result<Gaussian> {
        if data.categories.is_some() {
            return Err(Error::invalid(format!(
                "the noise `gaussian` is for numbers that are near and far, and the data are {}: take `absorbing`, or another \
                 noise for categories",
                data.describe()
            )));
        }
        Ok(Gaussian::new(schedule).predicting(self.prediction).variance(self.variance).data_std(self.data_std))
    }
}

/// The categories that a noise is made for.
fn of<'a>(noise: &str, data: &'a Facts) -> Result<&'a Categories> {
    data.categories.as_ref().ok_or_else(|| {
        Error::invalid(format!(
            "the noise `{noise}` is for categories, as text and images have them, and the data are {}: take `gaussian`",
            data.describe()
        ))
    })
}

/// `[noise] name = "absorbing"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Absorbing {
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
}
impl Default for Absorbing {
    fn default() -> Self {
        Self { prediction: DiscretePrediction::Subs, reverse: ReverseTransition::default() }
    }
}
impl NoiseConfig for Absorbing {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: Arc<dyn Schedule>, data: &Facts) -> Result<Discrete> {
        let count = of("absorbing", data)?.count;
        Ok(Discrete::absorbing(schedule, count + 1, count).predicting(self.prediction).reverse(self.reverse))
    }
}

/// `[noise] name = "uniform"`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Uniform {
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
}
impl NoiseConfig for Uniform {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: Arc<dyn Schedule>, data: &Facts) -> Result<Discrete> {
        let count = of("uniform", data)?.count;
        Ok(Discrete::uniform(schedule, count).predicting(self.prediction).reverse(self.reverse))
    }
}

/// `[noise] name = "marginal"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Marginal {
    prediction: DiscretePrediction,
    reverse: ReverseTransition,
    /// How much of the whole is shared evenly, so that no category is impossible.
    even: f64,
}
impl Default for Marginal {
    fn default() -> Self {
        Self { prediction: DiscretePrediction::Logits, reverse: ReverseTransition::default(), even: 1e-3 }
    }
}
impl NoiseConfig for Marginal {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: Arc<dyn Schedule>, data: &Facts) -> Result<Discrete> {
        let Categories { count, frequencies, .. } = of("marginal", data)?;
        if !(0.0..=1.0).contains(&self.even) {
            return Err(Error::invalid(format!("`even` is a share of the whole, in [0, 1], not {}", self.even)));
        }
        let shares = frequencies.iter().map(|share| (1.0 - self.even) * share + self.even / *count as f64);
        let noise = Discrete::marginal(schedule, shares.collect())?;
        Ok(noise.predicting(self.prediction).reverse(self.reverse))
    }
}

/// `[noise] name = "discretised-gaussian"`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DiscretisedGaussian {}
impl NoiseConfig for DiscretisedGaussian {
    type Noise = DiscreteMatrix;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: Arc<dyn Schedule>, data: &Facts) -> Result<DiscreteMatrix> {
        DiscreteMatrix::gaussian(schedule, of("discretised-gaussian", data)?.count)
    }
}

/// `[noise] name = "nearest-neighbour"`: categories on a line, as levels are, in the order of their numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NearestNeighbour {
    /// How many are near.
    neighbours: usize,
    /// How many times as fast as the schedule.
    rate: f64,
}
impl Default for NearestNeighbour {
    fn default() -> Self {
        Self { neighbours: 2, rate: 1.0 }
    }
}
impl NoiseConfig for NearestNeighbour {
    type Noise = DiscreteMatrix;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: Arc<dyn Schedule>, data: &Facts) -> Result<DiscreteMatrix> {
        let categories = of("nearest-neighbour", data)?;
        if categories.codec().is_some() {
            return Err(Error::invalid(
                "the noise `nearest-neighbour` walks between near levels, and tokens of text are not near each other by their \
                 numbers: take `absorbing`, `uniform` or `marginal`, or the library's `DiscreteMatrix::nearest` with points of your \
                 own",
            ));
        }
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return Err(Error::invalid(format!("`rate = {}` is a positive number", self.rate)));
        }
        let points: Vec<Vec<f64>> = (0..categories.count).map(|level| vec![level as f64]).collect();
        Ok(DiscreteMatrix::nearest(schedule, &points, self.neighbours)?.rate(self.rate))
    }
}
