//! Points in the plane.
use crate::{
    data::{
        facts::Facts,
        source::{Loaded, Set, Source},
    },
    messages,
};
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tweedie::{Error, Result, Rng, condition::Conditions, data::Data};
use tweedie_data::{Cell, Columns, Points, Shape, Split};

/// Points in the plane: `n` for training, and a tenth as many held out, sampled with `seed`.
///
/// Conditions can be read from the columns `cos`, `sin` and `radius`: the direction and the distance from the shape's center of the
/// point without its noise, so that the law of a point given its direction is known.
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
    /// Columns that conditions are read from.
    #[serde(skip)]
    pub columns: Vec<String>,
}
impl Default for PointSource {
    fn default() -> Self {
        Self { shape: Shape::default(), noise: None, n: 10_000, seed: 0, columns: vec![] }
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
        let uniforms = Rng::new(self.seed).stream(purpose).uniforms(n, Points::UNIFORMS);
        let (values, labels) = points.rows(&uniforms);
        let mut columns = Columns::default();
        for column in &self.columns {
            let at = COLUMNS.iter().position(|known| known == column).expect("a column that was asked for");
            let cell = |u: &[f64]| Cell::Number(points.direction([u[0], u[1]])[at]);
            columns = columns.with(column, uniforms.chunks(Points::UNIFORMS).map(cell).collect());
        }
        let samples = tweedie::data::Samples::new(values, [n, 2]).with_labels(labels);
        Ok(Some(Loaded::Two(Box::new(PointSet { samples, n, classes: self.shape.classes(), columns }))))
    }
    fn with_columns(&mut self, columns: &[String]) -> Result<()> {
        if let Some(other) = columns.iter().find(|column| !COLUMNS.contains(&column.as_str())) {
            return Err(Error::invalid(format!(
                "a condition names the column `{other}`, and points have the columns {}",
                messages::list(&COLUMNS)
            )));
        }
        self.columns = columns.to_vec();
        Ok(())
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        // Four variates of eight bytes, two values and a label per point.
        Ok(Some((self.n as u64).saturating_mul(64)))
    }
}

/// The columns of points.
const COLUMNS: [&str; 3] = ["cos", "sin", "radius"];

#[derive(Debug)]
struct PointSet {
    samples: tweedie::data::Samples<2>,
    n: usize,
    classes: usize,
    columns: Columns,
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
    fn columns(&self) -> Option<&Columns> {
        Some(&self.columns)
    }
    fn facts(&self) -> Facts {
        Facts {
            shape: vec![2],
            classes: (0..self.classes).map(|class| class.to_string()).collect(),
            scale: [-1.0, 1.0],
            bounded: false,
            samples: self.n,
            ..Facts::default()
        }
    }
}
