//! Distances between two sets of samples: of a model and of the data, say.
//!
//! A sample is a row of numbers; the rows of both sets have the same length, their numbers may differ. No feature network is
//! involved, so these distances mean the same for any data; they measure means, variances and modes, not perceptual quality.
use crate::rng::Rng;
use rayon::prelude::*;

/// Iterates over rows of `width` numbers.
fn rows(x: &[f64], width: usize) -> std::slice::ChunksExact<'_, f64> {
    assert!(width > 0 && x.len().is_multiple_of(width), "{} numbers are not rows of {width}", x.len());
    x.chunks_exact(width)
}

/// The energy distance `2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖`, which is 0 only for equal distributions.
///
/// The estimate is unbiased, so for equal distributions it may be negative by chance.
///
/// ```
/// // Two points and their midpoint: 2·½ − 1 − 0.
/// assert_eq!(tweedie::distance::energy(&[0.0, 1.0], &[0.5, 0.5], 1), 0.0);
/// assert_eq!(tweedie::distance::energy(&[0.0, 0.0], &[3.0, 3.0], 1), 6.0);
/// ```
///
/// Székely and Rizzo, "Energy statistics: a class of statistics based on distances" (2013),
/// <https://doi.org/10.1016/j.jspi.2013.03.018>.
///
/// # Shapes
///
/// `x` and `y`: rows of `width` numbers, two or more each.
///
/// # Panics
///
/// If a set has fewer.
pub fn energy(x: &[f64], y: &[f64], width: usize) -> f64 {
    assert!(x.len() >= 2 * width && y.len() >= 2 * width, "the energy distance needs at least two samples in each set");
    let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    // Sums each row, then the rows in their order: the same bits on any number of threads.
    let total = |x: &[f64], y: &[f64]| -> f64 {
        let sums: Vec<f64> =
            x.par_chunks_exact(width).map(|a| rows(y, width).map(|b| gap(a, b)).sum::<f64>()).collect();
        sums.iter().sum()
    };
    let (n, m) = (rows(x, width).len() as f64, rows(y, width).len() as f64);
    2.0 * total(x, y) / (n * m) - total(x, x) / (n * (n - 1.0)) - total(y, y) / (m * (m - 1.0))
}

/// The squared Wasserstein distance of order 2 in one dimension, `∫₀¹ (F⁻¹(u) − G⁻¹(u))² du`, exact for two sets of any sizes.
fn line(mut x: Vec<f64>, mut y: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    y.sort_by(f64::total_cmp);
    let (n, m) = (x.len(), y.len());
    let (mut i, mut j, mut u, mut total) = (0, 0, 0.0, 0.0);
    while i < n && j < m {
        // Both quantile functions are piecewise constant: up to the next jump of either.
        let (a, b) = ((i + 1) * m, (j + 1) * n);
        let next = a.min(b) as f64 / (n * m) as f64;
        total += (next - u) * (x[i] - y[j]).powi(2);
        u = next;
        (i, j) = (i + usize::from(a <= b), j + usize::from(b <= a));
    }
    total
}

/// The sliced Wasserstein distance of order 2: the root of the mean of W₂² between the projections of the two sets on
/// uniformly random directions.
///
/// For normals N(m, s² I) and N(n, r² I) in d dimensions it is `√(‖m − n‖²/d + (s − r)²)`.
///
/// ```
/// use tweedie::{Rng, distance::sliced_wasserstein};
/// let distance = sliced_wasserstein(&[0.0, 1.0], &[2.0, 3.0], 1, 10, &mut Rng::new(0));
/// assert!((distance - 2.0).abs() < 1e-12);
/// ```
///
/// Rabin, Peyré, Delon and Bernot, "Wasserstein barycenter and its application to texture mixing" (2012),
/// <https://doi.org/10.1007/978-3-642-24785-9_37>.
///
/// # Shapes
///
/// `x` and `y`: rows of `width` numbers, one or more each.
///
/// # Panics
///
/// If a set is empty, or `directions` is 0.
pub fn sliced_wasserstein(x: &[f64], y: &[f64], width: usize, directions: usize, rng: &mut Rng) -> f64 {
    assert!(
        !x.is_empty() && !y.is_empty() && directions > 0,
        "the distance needs two non-empty sets and at least one direction"
    );
    let normals = rng.normals(directions, width);
    let squares: Vec<f64> = normals
        .par_chunks_exact(width)
        .map(|direction| {
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let along = |x: &[f64]| -> Vec<f64> {
                rows(x, width).map(|x| x.iter().zip(direction).map(|(x, d)| x * d).sum::<f64>() / length).collect()
            };
            line(along(x), along(y))
        })
        .collect();
    (squares.iter().sum::<f64>() / directions as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{energy, line, sliced_wasserstein};
    use crate::{distribution::gaussian::UnivariateNormal, rng::Rng};

    fn normals(n: usize, width: usize, mean: f64, std: f64, seed: u64) -> Vec<f64> {
        Rng::new(seed).normals(n, width).into_iter().map(|x| mean + std * x).collect()
    }

    #[test]
    fn in_one_dimension_it_is_the_distance_of_the_quantiles() {
        // {0, 1} to {0}: half of the mass moves by 1. Three points against two: sixths.
        assert_eq!(line(vec![1.0, 0.0], vec![0.0]), 0.5);
        assert!((line(vec![0.0, 1.0, 2.0], vec![0.0, 3.0]) - (1.0 / 6.0 + 4.0 / 6.0 + 1.0 / 3.0)).abs() < 1e-15);
    }

    #[test]
    fn sliced_distances_of_normals_are_the_closed_form() {
        for (width, mean, std) in [(1, 0.5, 1.0), (3, 1.0, 2.0), (8, 0.3, 0.5)] {
            let (x, y) = (normals(4000, width, 0.0, 1.0, 1), normals(3000, width, mean, std, 2));
            // ‖m − n‖²/d is mean² if all axes are equal.
            let closed = f64::hypot(mean, std - 1.0);
            let measured = sliced_wasserstein(&x, &y, width, 400, &mut Rng::new(3));
            assert!((measured - closed).abs() < 0.06, "{width}: {measured} for {closed}");
        }
        let (x, y) = (normals(4000, 5, 0.0, 1.0, 1), normals(4000, 5, 0.0, 1.0, 2));
        assert!(sliced_wasserstein(&x, &y, 5, 100, &mut Rng::new(3)) < 0.06);
    }

    #[test]
    fn energy_distances_of_normals_are_the_closed_form() {
        // On a line E|N(μ, s²)| = s √(2/π) e^(−μ²/2s²) + μ (1 − 2 Φ(−μ/s)).
        let standard = UnivariateNormal::STANDARD;
        let far = |mean: f64, std: f64| {
            std * (2.0 / std::f64::consts::PI).sqrt() * (-0.5 * (mean / std).powi(2)).exp()
                + mean * (1.0 - 2.0 * standard.cdf(-mean / std))
        };
        for (mean, std) in [(0.0, 1.0), (1.0, 1.0), (0.5, 2.0)] {
            let (x, y) = (normals(3000, 1, 0.0, 1.0, 4), normals(2500, 1, mean, std, 5));
            let root = std::f64::consts::SQRT_2;
            let closed = 2.0 * far(mean, f64::hypot(1.0, std)) - far(0.0, root) - far(0.0, root * std);
            let measured = energy(&x, &y, 1);
            assert!((measured - closed).abs() < 0.04, "{mean} {std}: {measured} for {closed}");
        }
    }
}
