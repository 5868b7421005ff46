//! Noises as recipes name them.
use crate::{
    data::{Facts, categories::Categories},
    recipe::memory,
    registry::{any_schedule::AnySchedule, settings::NoiseConfig},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{
    Error, Result,
    noise::{Discrete, DiscreteMatrix, DiscretePrediction, Gaussian, Prediction, ReverseTransition, Variance},
};

/// Gaussian noise for continuous data: x_t = α x + σ ε.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GaussianConfig {
    /// Prediction type: what the network's output means.
    prediction: Prediction,
    /// Variance of the reverse transitions.
    variance: Variance,
    /// Standard deviation of the data, by which EDM's preconditioning scales.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    data_std: f64,
}
impl Default for GaussianConfig {
    fn default() -> Self {
        Self { prediction: Prediction::default(), variance: Variance::default(), data_std: 1.0 }
    }
}
impl NoiseConfig for GaussianConfig {
    type Noise = Gaussian;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Gaussian> {
        if data.categories.is_some() {
            return Err(Error::invalid(format!(
                "the noise `gaussian` is for continuous data, and these data are {}: use `absorbing` or another categorical noise",
                data.describe()
            )));
        }
        Ok(Gaussian::new(schedule.schedule()?)
            .with_prediction(self.prediction)
            .with_variance(self.variance)
            .with_data_std(self.data_std))
    }
}

/// The categories of the data, which a categorical noise needs.
fn of<'a>(noise: &str, data: &'a Facts) -> Result<&'a Categories> {
    data.categories.as_ref().ok_or_else(|| {
        Error::invalid(format!(
            "the noise `{noise}` is for categorical data, such as text or the levels of images, and these data are {}: use `gaussian`",
            data.describe()
        ))
    })
}

/// Absorbing noise (masked diffusion): each entry is replaced by a mask, independently of the others.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Absorbing {
    /// Prediction type: what the network's output means.
    prediction: DiscretePrediction,
    /// How a reverse transition is made of the prediction.
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
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Discrete> {
        let count = of("absorbing", data)?.count;
        Ok(Discrete::absorbing(schedule.survival()?, count + 1, count)
            .with_prediction(self.prediction)
            .with_reverse(self.reverse))
    }
}

/// Uniform noise: corrupted categories are resampled uniformly.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Uniform {
    /// Prediction type: what the network's output means.
    prediction: DiscretePrediction,
    /// How a reverse transition is made of the prediction.
    reverse: ReverseTransition,
}
impl NoiseConfig for Uniform {
    type Noise = Discrete;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Discrete> {
        let count = of("uniform", data)?.count;
        Ok(Discrete::uniform(schedule.survival()?, count).with_prediction(self.prediction).with_reverse(self.reverse))
    }
}

/// Marginal noise: corrupted categories are resampled from their frequencies in the data.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Marginal {
    /// Prediction type: what the network's output means.
    prediction: DiscretePrediction,
    /// How a reverse transition is made of the prediction.
    reverse: ReverseTransition,
    /// Share of the stationary distribution that is uniform, so that every category is possible.
    #[schemars(range(min = 0.0, max = 1.0))]
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
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<Discrete> {
        let Categories { count, frequencies, .. } = of("marginal", data)?;
        if !(0.0..=1.0).contains(&self.even) {
            return Err(Error::invalid(format!("must be a share from 0 to 1, got {}", self.even)).with_field("even"));
        }
        let shares = frequencies.iter().map(|share| (1.0 - self.even) * share + self.even / *count as f64);
        let noise = Discrete::marginal(schedule.survival()?, shares.collect())?;
        Ok(noise.with_prediction(self.prediction).with_reverse(self.reverse))
    }
}

/// Checks that matrices of all categories fit into the memory that is free: some at once, and the products of a chain of
/// `steps`, of which a square root are kept if all of them would be too many.
fn matrices_fit(noise: &str, categories: &Categories, steps: usize) -> Result<()> {
    const AT_ONCE: f64 = 4.0;
    const ALL: f64 = (1u64 << 28) as f64;
    let (k, steps) = (categories.count as f64, steps as f64);
    let matrix = k * k * size_of::<f64>() as f64;
    let products = if steps * matrix <= ALL { 2.0 * steps } else { steps.sqrt() };
    let needed = (AT_ONCE + products) * matrix;
    match memory::available()? {
        Some(free) if needed > free => Err(Error::invalid(format!(
            "the noise `{noise}` computes with matrices of {k} × {k} categories, which needs about {} of memory, and {} are \
             free: use `absorbing`, `uniform` or `marginal`, or data of fewer categories",
            memory::bytes(needed),
            memory::bytes(free)
        ))),
        _ => Ok(()),
    }
}

/// Discretized Gaussian noise: categories move to near ones, as gray levels do; needs the steps of a table.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DiscretizedGaussian {}
impl NoiseConfig for DiscretizedGaussian {
    type Noise = DiscreteMatrix;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<DiscreteMatrix> {
        let (survival, categories) = (schedule.survival()?, of("discretized-gaussian", data)?);
        matrices_fit("discretized-gaussian", categories, survival.steps().unwrap_or(0))?;
        DiscreteMatrix::gaussian(survival, categories.count)
    }
}

/// Nearest-neighbor noise: categories, ordered by their indices as gray levels are, move to one of the nearest at a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NearestNeighbor {
    /// Number of neighbors that a category can move to.
    #[schemars(range(min = 1))]
    neighbors: usize,
    /// Factor on the rate of the schedule.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    rate: f64,
}
impl Default for NearestNeighbor {
    fn default() -> Self {
        Self { neighbors: 2, rate: 1.0 }
    }
}
impl NoiseConfig for NearestNeighbor {
    type Noise = DiscreteMatrix;
    const CATEGORICAL: bool = true;
    fn noise(&self, schedule: &AnySchedule, data: &Facts) -> Result<DiscreteMatrix> {
        let categories = of("nearest-neighbor", data)?;
        if categories.codec().is_some() {
            return Err(Error::invalid(
                "the noise `nearest-neighbor` moves between near levels, and tokens with near indices are not alike: use \
                 `absorbing`, `uniform` or `marginal`, or the library's `DiscreteMatrix::nearest` with points of your own",
            ));
        }
        if !(self.rate > 0.0 && self.rate.is_finite()) {
            return Err(Error::invalid(format!("must be a positive number, got {}", self.rate)).with_field("rate"));
        }
        matrices_fit("nearest-neighbor", categories, 0)?;
        let points: Vec<Vec<f64>> = (0..categories.count).map(|level| vec![level as f64]).collect();
        Ok(DiscreteMatrix::nearest(schedule.survival()?, &points, self.neighbors)?.with_rate(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::categories::Shown;

    #[test]
    fn matrices_that_do_not_fit_into_memory_are_refused_before_they_are_taken() {
        memory::bound(1e9);
        let of = |count| Categories { count, frequencies: vec![], shown: Shown::Numbers };
        assert!(matrices_fit("nearest-neighbor", &of(4000), 0).is_ok());
        assert!(matrices_fit("discretized-gaussian", &of(256), 1000).is_ok());
        let error = matrices_fit("nearest-neighbor", &of(20_000), 0).unwrap_err().to_string();
        assert!(error.contains("matrices of 20000 × 20000 categories, which needs about 12.8 GB"), "{error}");
        // The products of a chain of many steps.
        assert!(matrices_fit("discretized-gaussian", &of(2000), 10).is_ok());
        assert!(matrices_fit("discretized-gaussian", &of(2000), 1000).is_err());
    }
}
