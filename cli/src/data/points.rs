//! Points in the plane.
use crate::data::{
    facts::Facts,
    source::{Loaded, Set, Source},
};
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{Error, Result, Rng, condition::Conditions, data::Data};
use tweedie_data::{Points, Shape, Split};

/// Points in the plane: `n` for training, and a tenth as many held out, sampled with `seed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PointSource {
    /// The shape that the points form.
    pub shape: Shape,
    /// Standard deviation of the noise around it, in [0, 1); the shape's own if not given.
    pub noise: Option<f64>,
    /// Number of training points.
    pub n: usize,
    /// Random seed.
    pub seed: u64,
}
impl Default for PointSource {
    fn default() -> Self {
        Self { shape: Shape::default(), noise: None, n: 10_000, seed: 0 }
    }
}
impl Source for PointSource {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        if self.n == 0 {
            return Err(Error::invalid("`n = 0` leaves no points to learn from: say 10000, or another number"));
        }
        if let Some(noise) = self.noise.filter(|noise| !(0.0..1.0).contains(noise)) {
            return Err(Error::invalid(format!(
                "`noise` is the standard deviation of the points around their shape, in [0, 1), not {noise}"
            )));
        }
        let (n, purpose) = match split {
            Split::Train => (self.n, "points"),
            Split::Test => (self.n.div_ceil(10), "held out"),
        };
        let points = Points { shape: self.shape, noise: self.noise };
        let (values, labels) = points.rows(&Rng::new(self.seed).stream(purpose).uniforms(n, Points::UNIFORMS));
        let samples = tweedie::data::Samples::new(values, [n, 2]).with_labels(labels);
        Ok(Some(Loaded::Two(Box::new(PointSet { samples, n, classes: self.shape.classes() }))))
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        // Four variates of eight bytes, two values and a label per point.
        Ok(Some((self.n as u64).saturating_mul(64)))
    }
}

#[derive(Debug)]
struct PointSet {
    samples: tweedie::data::Samples<2>,
    n: usize,
    classes: usize,
}
impl Data<Tensor<2>, Conditions> for PointSet {
    fn len(&self) -> usize {
        self.n
    }
    fn batch(&self, rows: &[usize], rng: &Rng, device: &Device) -> (Tensor<2>, Conditions) {
        self.samples.batch(rows, rng, device)
    }
}
impl Set<2> for PointSet {
    fn facts(&self) -> Facts {
        Facts {
            shape: vec![2],
            classes: (0..self.classes).map(|class| class.to_string()).collect(),
            conditions: vec![],
            scale: [-1.0, 1.0],
            bounded: false,
            samples: self.n,
            categories: None,
        }
    }
}
