//! Signals of a known law: harmonics of a random frequency.
use crate::{Error, Law};
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// Sums of sinusoids of random phase at a random frequency and its multiples, in Gaussian noise.
///
/// `x_n = Σ_h a_h cos(2π h f n / L + φ_h) + noise · ε_n` for n = 0 … L − 1, with h = 1 … `harmonics`, the frequency f uniform on
/// [`min_frequency`, `max_frequency`] cycles per signal, phases uniform on [0, 2π), and ε standard normal. The amplitudes
/// a_h are proportional to 1/h, and such that every value has variance 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Waves {
    /// Number of values L of a signal. Default: 64.
    pub length: usize,
    /// Number of harmonics, the fundamental included. Default: 3.
    pub harmonics: usize,
    /// Lowest frequency, in cycles per signal. Default: 2.
    pub min_frequency: f64,
    /// Highest frequency, in cycles per signal. Default: 8.
    pub max_frequency: f64,
    /// Standard deviation of the noise, in [0, 1). Default: 0.05.
    pub noise: f64,
}
impl Default for Waves {
    fn default() -> Self {
        Self { length: 64, harmonics: 3, min_frequency: 2.0, max_frequency: 8.0, noise: 0.05 }
    }
}

/// Most values of a signal, so that a recipe with a digit too many is refused at once.
const LONGEST: usize = 1 << 16;
/// Frequencies over which the spectrum is averaged: the midpoint rule has converged to 1e-6 at a few per cycle.
const MIDPOINTS: f64 = 64.0;

impl Waves {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the setting that is not allowed.
    pub fn check(&self) -> Result<(), Error> {
        let Self { length, harmonics, min_frequency, max_frequency, noise } = *self;
        let wrong = |field: &'static str, problem: String, remedy: &'static str| {
            Err(Error::invalid(problem).with_field(field).with_remedy(remedy))
        };
        if !(4..=LONGEST).contains(&length) {
            return wrong("length", format!("must be 4 to {LONGEST} values, got {length}"), "set 64, for example");
        }
        if harmonics == 0 || harmonics > length {
            return wrong(
                "harmonics",
                format!("must be 1 to {length}, the `length`, got {harmonics}"),
                "set 1 or 3, for example",
            );
        }
        if !(min_frequency > 0.0 && min_frequency <= max_frequency) {
            let problem = format!(
                "must be a number above 0 and at most `max_frequency`, which is {max_frequency}, got {min_frequency}"
            );
            return wrong("min_frequency", problem, "set 2, for example");
        }
        let nyquist = 0.5 * length as f64;
        if max_frequency * harmonics as f64 > nyquist {
            let problem = format!(
                "times `harmonics` must be at most half the `length`, {nyquist} cycles per signal, got {max_frequency} · {harmonics}"
            );
            return wrong("max_frequency", problem, "set a lower one, fewer `harmonics` or a larger `length`");
        }
        if !(0.0..1.0).contains(&noise) {
            let problem =
                format!("must be in [0, 1), as the standard deviation of the signals as a whole is 1, got {noise}");
            return wrong("noise", problem, "set 0.05, for example");
        }
        Ok(())
    }

    /// Number of uniform variates per signal: frequency, phases, and two per two values of noise.
    pub fn uniforms(&self) -> usize {
        1 + self.harmonics + self.length.next_multiple_of(2)
    }

    /// The frequency that the first uniform variate of a signal selects, in cycles per signal.
    pub fn frequency(&self, uniforms: &[f64]) -> f64 {
        self.min_frequency + (self.max_frequency - self.min_frequency) * uniforms[0]
    }

    /// The amplitudes a_1, a_2, ….
    pub fn amplitudes(&self) -> Vec<f64> {
        let weights = (1..=self.harmonics).map(|h| (h as f64).recip());
        let square: f64 = weights.clone().map(|weight| weight * weight).sum();
        let scale = (2.0 * (1.0 - self.noise * self.noise) / square).sqrt();
        weights.map(|weight| scale * weight).collect()
    }

    /// The signal without noise of a frequency and the phases of its harmonics.
    pub fn wave(&self, frequency: f64, phases: &[f64]) -> Vec<f64> {
        let amplitudes = self.amplitudes();
        let value = |n: usize| {
            let turn = TAU * frequency * n as f64 / self.length as f64;
            let harmonics = amplitudes.iter().zip(phases).zip(1..);
            harmonics.map(|((a, phase), h)| a * (f64::from(h) * turn + phase).cos()).sum()
        };
        (0..self.length).map(value).collect()
    }

    /// The signal that independent uniform variates on [0, 1) select.
    ///
    /// # Panics
    /// If there are not [`uniforms`](Self::uniforms) of them.
    ///
    /// ```
    /// use tweedie_data::Waves;
    /// let waves = Waves::default();
    /// let signal = waves.signal(&vec![0.5; waves.uniforms()]);
    /// assert_eq!(signal.len(), 64);
    /// ```
    pub fn signal(&self, uniforms: &[f64]) -> Vec<f32> {
        assert_eq!(uniforms.len(), self.uniforms(), "uniform variates of a signal");
        let (phases, noise) = uniforms[1..].split_at(self.harmonics);
        let phases: Vec<f64> = phases.iter().map(|u| TAU * u).collect();
        let wave = self.wave(self.frequency(uniforms), &phases);
        // Box–Muller transform; 1 − u is never 0.
        let normals = noise.chunks_exact(2).flat_map(|pair| {
            let radius = (-2.0 * (1.0 - pair[0]).ln()).sqrt();
            let (sin, cos) = (TAU * pair[1]).sin_cos();
            [radius * cos, radius * sin]
        });
        wave.into_iter().zip(normals).map(|(x, eps)| (x + self.noise * eps) as f32).collect()
    }

    /// The expected power spectrum `E |X_k|² / L` at k = 0 … ⌊L/2⌋ cycles per signal, of signals of one frequency f:
    /// `Σ_h a_h²/(4 L) (F(h f − k) + F(h f + k)) + noise²` with the Dirichlet kernel `F(u) = (sin πu / sin(πu/L))²`.
    pub fn spectrum_at(&self, frequency: f64) -> Vec<f64> {
        let length = self.length as f64;
        let kernel = |u: f64| {
            let bottom = (PI * u / length).sin();
            if bottom.abs() < 1e-9 { length * length } else { ((PI * u).sin() / bottom).powi(2) }
        };
        let amplitudes = self.amplitudes();
        let power = |k: usize| {
            let of = |(a, h): (&f64, f64)| a * a / (4.0 * length) * (kernel(h - k as f64) + kernel(h + k as f64));
            let harmonics = amplitudes.iter().zip(1..).map(|(a, h)| (a, f64::from(h) * frequency));
            harmonics.map(of).sum::<f64>() + self.noise * self.noise
        };
        (0..=self.length / 2).map(power).collect()
    }

    /// The power spectrum, with its expectation over frequencies and phases.
    pub fn law(&self) -> Law {
        let range = self.max_frequency - self.min_frequency;
        let n = (MIDPOINTS * range).ceil().max(1.0);
        let mut expected = vec![0.0; self.length / 2 + 1];
        for i in 0..n as usize {
            let own = self.spectrum_at(self.min_frequency + range * (i as f64 + 0.5) / n);
            expected.iter_mut().zip(own).for_each(|(sum, power)| *sum += power / n);
        }
        Law::spectrum(1, self.length).expecting(expected)
    }
}
