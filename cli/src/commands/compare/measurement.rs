//! What `tweedie compare` measures: errors over NFE, their ratios to DDIM and distances from data.
use crate::args;

/// The error of end points with respect to the reference.
pub(super) struct Gap {
    /// Root mean square error.
    pub error: f64,
    /// Median of the errors of single samples; a few samples that end in another mode dominate the mean.
    pub median: f64,
    /// Error of DDIM at equal NFE divided by this error, per seed; empty if DDIM cannot take as many steps.
    pub ratios: Vec<f64>,
}
impl Gap {
    /// From the mean squares of the samples of each seed, and DDIM's errors.
    pub fn new(squares: &[Vec<f64>], ddim: Option<&[f64]>) -> Self {
        let all = squares.concat();
        let mut own: Vec<f64> = all.iter().map(|square| square.sqrt()).collect();
        own.sort_by(f64::total_cmp);
        let median = (own[(own.len() - 1) / 2] + own[own.len() / 2]) / 2.0;
        let ratios = ddim.map_or(vec![], |ddim| ddim.iter().zip(squares).map(|(d, own)| d / error_of(own)).collect());
        Self { error: error_of(&all), median, ratios }
    }
    /// Mean of the ratios and, with several seeds, their standard deviation.
    pub fn ratio(&self) -> Option<(f64, Option<f64>)> {
        let n = self.ratios.len() as f64;
        let mean = self.ratios.iter().sum::<f64>() / n;
        let std = (self.ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        (n > 0.0).then_some((mean, (n > 1.0).then_some(std)))
    }
}

/// Root of the mean of mean squares.
pub(super) fn error_of(squares: &[f64]) -> f64 {
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// The measurements at one step count.
pub(super) struct Point {
    pub steps: usize,
    pub nfe: usize,
    /// For deterministic samplers.
    pub gap: Option<Gap>,
    pub seconds: f64,
    /// Sliced Wasserstein and energy distance of samples to data.
    pub distances: Option<[f64; 2]>,
    /// The optimized timesteps.
    pub tuned: Option<Vec<f64>>,
}
impl Point {
    pub fn error(&self) -> Option<f64> {
        self.gap.as_ref().map(|gap| gap.error).filter(|error| *error > 0.0 && error.is_finite())
    }
}

/// A sampler with a spacing, at every step count.
pub(super) struct Curve {
    pub label: String,
    /// As `--sampler` and `--times` take them.
    pub text: String,
    pub times: Option<String>,
    pub points: Vec<Point>,
}
impl Curve {
    /// The error at `nfe`, by linear interpolation of the logarithms; constant beyond the ends.
    pub fn at(&self, nfe: usize) -> Option<f64> {
        let known: Vec<(f64, f64)> =
            self.points.iter().filter_map(|p| Some(((p.nfe as f64).ln(), p.error()?.ln()))).collect();
        let x = (nfe as f64).ln();
        let after = known.iter().position(|(own, _)| *own >= x).unwrap_or(known.len().checked_sub(1)?);
        let ((x0, y0), (x1, y1)) = (known[after.saturating_sub(1)], known[after]);
        let part = if x1 > x0 { ((x - x0) / (x1 - x0)).clamp(0.0, 1.0) } else { 1.0 };
        Some((y0 + part * (y1 - y0)).exp())
    }
}

/// Distances between two sets of data: the value of a perfect model, up to sampling error.
pub(super) struct Floor {
    pub distances: [f64; 2],
    pub std: [f64; 2],
    /// Number of samples used, and number requested.
    pub used: usize,
    pub requested: usize,
}

/// A run that `tweedie sample` can sample: its folder as typed, and the modules that its recipe names.
pub(super) struct Own {
    pub run: String,
    pub sampler: Option<String>,
    pub times: Option<String>,
}

/// All measurements.
pub(super) struct Comparison<'a> {
    pub args: &'a args::Compare,
    pub title: &'a str,
    /// How x̂ is clipped.
    pub estimate: &'a str,
    pub own: Option<&'a Own>,
    pub reference_nfe: usize,
    pub tolerance: f64,
    /// DDIM's error at the smallest step count.
    pub largest: Option<f64>,
    pub floor: Option<Floor>,
    pub curves: Vec<Curve>,
}
impl Comparison<'_> {
    /// The smallest NFE of each step count: that of samplers with one evaluation per step.
    pub fn counts(&self) -> Vec<usize> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let least = |steps: usize| points().filter(|point| point.steps == steps).map(|point| point.nfe).min();
        self.args.steps.iter().filter_map(|&steps| least(steps)).collect()
    }
    /// The NFE by which rows are sorted and the suggestion is made: 10, or the closest available.
    pub fn about(&self) -> usize {
        let far = |nfe: usize| ((nfe as f64).ln() - 10f64.ln()).abs();
        self.counts().into_iter().min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap_or(10)
    }

    /// The Pareto front: points with no lower error at equal or smaller NFE.
    pub fn front(&self) -> Vec<(usize, f64)> {
        let all = || self.curves.iter().flat_map(|curve| &curve.points).filter_map(|p| Some((p.nfe, p.error()?)));
        all().filter(|(nfe, error)| all().all(|(n, e)| n > *nfe || e >= *error)).collect()
    }

    /// The point with the lowest error at an NFE of at most [`about`](Self::about).
    pub fn best(&self) -> Option<(&Curve, &Point)> {
        let all = self.curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point)));
        let about = self.about();
        all.filter(|(_, point)| point.nfe <= about && point.error().is_some())
            .min_by(|(_, a), (_, b)| a.error().unwrap_or(f64::NAN).total_cmp(&b.error().unwrap_or(f64::NAN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(usize, f64)]) -> Curve {
        let point = |&(nfe, error): &(usize, f64)| {
            let gap = Some(Gap { error, median: error, ratios: vec![] });
            Point { steps: nfe, nfe, gap, seconds: 0.0, distances: None, tuned: None }
        };
        Curve { label: "mine".into(), text: "mine".into(), times: None, points: points.iter().map(point).collect() }
    }

    #[test]
    fn errors_are_interpolated_linearly_in_logarithms() {
        let second = curve(&[(5, 0.4), (20, 0.025)]);
        assert!((second.at(10).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!((second.at(2).unwrap(), second.at(80).unwrap()), (second.at(5).unwrap(), second.at(20).unwrap()));
        assert!(curve(&[(5, f64::NAN)]).at(5).is_none());
    }

    #[test]
    fn an_outlier_moves_the_mean_and_not_the_median() {
        let gap = Gap::new(&[vec![0.01, 0.01, 0.01, 4.0], vec![0.01; 4]], Some(&[2.0, 0.2]));
        assert!((gap.median - 0.1).abs() < 1e-12 && gap.error > 0.5);
        let (mean, std) = gap.ratio().unwrap();
        assert!((mean - (2.0 / 1.0037f64 + 2.0) / 2.0).abs() < 1e-2 && std.unwrap() < 0.1, "{mean} {std:?}");
    }
}
