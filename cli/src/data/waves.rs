//! Signals of a known law.
use super::rows::{RowSet, check_columns, part};
use crate::data::{
    facts::Facts,
    source::{Loaded, Source, data_error},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tweedie::{Result, Rng, data::Samples};
use tweedie_data::{Cell, Columns, Split, Waves};

/// Signals of a known law: harmonics of a random frequency in noise; `n` for training, and a tenth as many held out.
///
/// `x_n = Σ_h a_h cos(2π h f n / L + φ_h) + noise · ε_n` with a_h proportional to 1/h, phases uniform, f uniform, and variance 1. Their
/// power spectrum is known, and `tweedie evaluate --samples` compares that of samples with it. Conditions can be read from the column
/// `frequency`: f, in cycles per signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WaveSource {
    /// Number of values L of a signal.
    #[schemars(range(min = 4))]
    pub length: usize,
    /// Number of harmonics, the fundamental included.
    #[schemars(range(min = 1))]
    pub harmonics: usize,
    /// Lowest frequency, in cycles per signal.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub min_frequency: f64,
    /// Highest frequency, in cycles per signal; times `harmonics` at most half the length.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub max_frequency: f64,
    /// Standard deviation of the noise.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub noise: f64,
    /// Number of training signals.
    #[schemars(range(min = 1))]
    pub n: usize,
    /// Random seed.
    pub seed: u64,
    /// Columns that conditions are read from.
    #[serde(skip)]
    pub columns: Vec<String>,
}
impl Default for WaveSource {
    fn default() -> Self {
        let Waves { length, harmonics, min_frequency, max_frequency, noise } = Waves::default();
        Self { length, harmonics, min_frequency, max_frequency, noise, n: 10_000, seed: 0, columns: vec![] }
    }
}
impl WaveSource {
    fn waves(&self) -> Waves {
        let Self { length, harmonics, min_frequency, max_frequency, noise, .. } = *self;
        Waves { length, harmonics, min_frequency, max_frequency, noise }
    }
}
impl Source for WaveSource {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let waves = self.waves();
        waves.check().map_err(data_error)?;
        let (n, stream) = part(self.n, split, "signals")?;
        let each = waves.uniforms();
        let uniforms = Rng::new(self.seed).stream(stream).uniforms(n, each);
        let values: Vec<f32> = uniforms.chunks_exact(each).flat_map(|row| waves.signal(row)).collect();
        let frequencies = || uniforms.chunks_exact(each).map(|row| Cell::Number(waves.frequency(row))).collect();
        let columns =
            self.columns.iter().fold(Columns::default(), |columns, column| columns.with(column, frequencies()));
        let shape = vec![1, self.length];
        Ok(Some(Loaded::Three(Box::new(RowSet {
            samples: Samples::new(values, [n, 1, self.length]),
            facts: Facts { shape, signal: true, scale: [-1.0, 1.0], samples: n, ..Facts::default() },
            columns,
            law: Some(Arc::new(waves.law())),
        }))))
    }
    fn with_columns(&mut self, columns: &[String]) -> Result<()> {
        check_columns(columns, "waves", &["frequency"])?;
        self.columns = columns.to_vec();
        Ok(())
    }
    fn memory(&self, _: Split) -> Result<Option<u64>> {
        // The variates of eight bytes, and values of four.
        let each = self.length.saturating_mul(12).saturating_add(self.harmonics.saturating_mul(8)).saturating_add(64);
        Ok(Some((self.n as u64).saturating_mul(each as u64)))
    }
}
