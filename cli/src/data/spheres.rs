//! Volumes of a known law.
use super::rows::{RowSet, check_columns, part};
use crate::data::{
    facts::Facts,
    source::{Loaded, Source, data_error},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie::{Result, Rng, data::Samples};
use tweedie_data::{Cell, Columns, Spheres, Split};

/// Volumes of a known law: a ball of random radius at a random place; `n` for training, and a tenth as many held out.
///
/// Voxels are −1 outside of the ball and 1 inside, with a linear edge of one voxel. The radius is uniform, and `tweedie evaluate
/// --samples` compares the histogram of the radii of samples with that. Conditions can be read from the column `radius`, in voxels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SphereSource {
    /// Voxels on each side of the cube.
    #[schemars(range(min = 4))]
    pub side: usize,
    /// Smallest radius, in voxels.
    #[schemars(range(min = 0.5))]
    pub min_radius: f64,
    /// Largest radius, in voxels; the ball and its edge must fit into the cube.
    #[schemars(range(min = 0.5))]
    pub max_radius: f64,
    /// Number of training volumes.
    #[schemars(range(min = 1))]
    pub n: usize,
    /// Random seed.
    pub seed: u64,
    /// Columns that conditions are read from.
    #[serde(skip)]
    pub columns: Vec<String>,
}
impl Default for SphereSource {
    fn default() -> Self {
        let Spheres { side, min_radius, max_radius } = Spheres::default();
        Self { side, min_radius, max_radius, n: 5000, seed: 0, columns: vec![] }
    }
}
impl SphereSource {
    fn spheres(&self) -> Spheres {
        let Self { side, min_radius, max_radius, .. } = *self;
        Spheres { side, min_radius, max_radius }
    }
}
impl Source for SphereSource {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let spheres = self.spheres();
        spheres.check().map_err(data_error)?;
        let (n, stream) = part(self.n, split, "volumes")?;
        let uniforms = Rng::new(self.seed).stream(stream).uniforms(n, Spheres::UNIFORMS);
        let rows = || uniforms.chunks_exact(Spheres::UNIFORMS).map(|u| [u[0], u[1], u[2], u[3]]);
        let values: Vec<f32> = rows().flat_map(|row| spheres.volume(row)).collect();
        let radii = || rows().map(|row| Cell::Number(spheres.radius(&row))).collect();
        let columns = self.columns.iter().fold(Columns::default(), |columns, column| columns.with(column, radii()));
        let side = self.side;
        Ok(Some(Loaded::Five(Box::new(RowSet {
            samples: Samples::new(values, [n, 1, side, side, side]),
            facts: Facts {
                shape: vec![1, side, side, side],
                scale: [-1.0, 1.0],
                bounded: true,
                samples: n,
                ..Facts::default()
            },
            columns,
            law: Some(Arc::new(spheres.law())),
        }))))
    }
    fn with_columns(&mut self, columns: &[String]) -> Result<()> {
        check_columns(columns, "spheres", &["radius"])?;
        self.columns = columns.to_vec();
        Ok(())
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        let voxels = (self.side as u64).saturating_pow(3);
        Ok(Some((self.n as u64).saturating_mul(voxels.saturating_mul(4).saturating_add(64))))
    }
}
