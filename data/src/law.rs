//! Statistics of samples whose expectations are known.
use std::{f64::consts::TAU, fmt};

/// What a statistic makes of one sample.
type Measure = Box<dyn Fn(&[f32]) -> Vec<f64> + Send + Sync>;

/// A statistic of samples, a number for each point of an axis, and its expectation where it is known: the power spectrum of
/// signals, a histogram of what a sample shows.
///
/// ```
/// use tweedie_data::Law;
/// let law = Law::spectrum(1, 4).expecting(vec![0.0, 1.0, 0.0]);
/// // cos(2π n/4): all power at one cycle per signal.
/// let measured = law.mean([&[1.0f32, 0.0, -1.0, 0.0][..]]);
/// assert!(law.gap(&measured.mean).unwrap() < 1e-9);
/// ```
pub struct Law {
    /// What is measured, as "power spectrum".
    pub name: String,
    /// Names of the axis and of what is measured over it.
    pub axes: [String; 2],
    /// The points of the axis.
    pub at: Vec<f64>,
    /// The expectation at each point, if it is known.
    pub expected: Option<Vec<f64>>,
    measure: Measure,
}

/// The mean of a statistic over samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Mean at each point.
    pub mean: Vec<f64>,
    /// Standard error of the mean at each point.
    pub error: Vec<f64>,
}

/// Most frequencies of a power spectrum.
const FREQUENCIES: usize = 256;

impl Law {
    /// A statistic that makes a number for each point of an axis of a sample.
    pub fn new(
        name: &str,
        axes: [&str; 2],
        at: Vec<f64>,
        measure: impl Fn(&[f32]) -> Vec<f64> + Send + Sync + 'static,
    ) -> Self {
        let axes = axes.map(str::to_owned);
        Self { name: name.into(), axes, at, expected: None, measure: Box::new(measure) }
    }

    /// The power spectrum `|X_k|² / L` of signals `[channels, length]`, `X_k = Σ_n x_n exp(−2πi k n/L)`, mean over channels, at
    /// k = 0 … ⌊L/2⌋ cycles per signal, but at most 256.
    #[doc(alias = "periodogram")]
    pub fn spectrum(channels: usize, length: usize) -> Self {
        let at: Vec<f64> = (0..=(length / 2).min(FREQUENCIES)).map(|k| k as f64).collect();
        let waves: Vec<[f64; 2]> = (0..length)
            .map(|n| {
                let (sin, cos) = (TAU * n as f64 / length as f64).sin_cos();
                [cos, sin]
            })
            .collect();
        let frequencies = at.len();
        let measure = move |signal: &[f32]| {
            let power = |k: usize| {
                let of = |channel: &[f32]| {
                    let mut sum = [0.0, 0.0];
                    for (n, x) in channel.iter().enumerate() {
                        let wave = waves[k * n % length];
                        sum = [0, 1].map(|i| sum[i] + f64::from(*x) * wave[i]);
                    }
                    sum[0] * sum[0] + sum[1] * sum[1]
                };
                signal.chunks_exact(length).map(of).sum::<f64>() / (channels * length) as f64
            };
            (0..frequencies).map(power).collect()
        };
        Self::new("power spectrum", ["cycles per signal", "power"], at, measure)
    }

    /// The histogram of the mean value of samples within [−1, 1], in `bins` bins.
    pub fn means(bins: usize) -> Self {
        let width = 2.0 / bins as f64;
        let at = (0..bins).map(|bin| -1.0 + (bin as f64 + 0.5) * width).collect();
        let measure = move |sample: &[f32]| {
            let mean = sample.iter().map(|x| f64::from(*x)).sum::<f64>() / sample.len().max(1) as f64;
            let mut all = vec![0.0; bins];
            all[((mean + 1.0) / width).clamp(0.0, (bins - 1) as f64) as usize] = 1.0;
            all
        };
        Self::new("mean values", ["mean value of a sample", "share"], at, measure)
    }

    /// The same with a known expectation.
    ///
    /// # Panics
    /// If there is not one number for each point of the axis.
    pub fn expecting(mut self, mut expected: Vec<f64>) -> Self {
        expected.truncate(FREQUENCIES + 1);
        assert_eq!(expected.len(), self.at.len(), "an expectation for each point");
        self.expected = Some(expected);
        self
    }

    /// The mean over samples.
    pub fn mean<'a>(&self, samples: impl IntoIterator<Item = &'a [f32]>) -> Measured {
        let (mut n, mut sum, mut square) = (0.0f64, vec![0.0; self.at.len()], vec![0.0; self.at.len()]);
        for sample in samples {
            n += 1.0;
            for (i, value) in (self.measure)(sample).into_iter().enumerate() {
                sum[i] += value;
                square[i] += value * value;
            }
        }
        let mean: Vec<f64> = sum.iter().map(|sum| sum / n).collect();
        let variance = |(square, mean): (f64, &f64)| (square / n - mean * mean).max(0.0) / (n - 1.0).max(1.0);
        let error = square.into_iter().zip(&mean).map(|pair| variance(pair).sqrt()).collect();
        Measured { mean, error }
    }

    /// The relative distance of a mean from the expectation, `Σ |m − e| / Σ e`; `None` if there is no expectation.
    pub fn gap(&self, mean: &[f64]) -> Option<f64> {
        self.expected.as_deref().map(|expected| distance(mean, expected))
    }
}

/// The relative distance `Σ |a − b| / Σ |b|` of two means of a statistic.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    let off: f64 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
    off / b.iter().map(|b| b.abs()).sum::<f64>()
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Law").field("name", &self.name).field("at", &self.at).field("expected", &self.expected).finish()
    }
}
