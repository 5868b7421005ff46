//! The Gaussian in double precision: densities, conditioning, distances, convolution.
//!
//! ```text
//! N(x; μ, σ²) = exp(−(x − μ)² / 2σ²) / √(2πσ²)                              one dimension
//! N(x; μ, Σ)  = exp(−½ (x − μ)ᵀ Σ⁻¹ (x − μ)) / √((2π)ᵈ |Σ|)                   d dimensions
//! ```
//!
//! Three closures make it the distribution that diffusion is built from. An affine image of a Gaussian is Gaussian,
//! `A x + b ~ N(Aμ + b, AΣAᵀ)`; a sum of independent Gaussians is Gaussian, `N(μ₁ + μ₂, Σ₁ + Σ₂)`; and a Gaussian
//! given some of its coordinates is Gaussian ([`MultivariateNormal::condition`]). The first two give the forward
//! marginal q(x_t ∣ x) in closed form, the third the posterior.
//!
//! | | |
//! |---|---|
//! | [`UnivariateNormal`] | scalars |
//! | [`MultivariateNormal`], [`Covariance`] | vectors; covariance full, diagonal, isotropic or low rank plus diagonal |
//! | [`Density`], [`convolve()`] | densities on a grid and of sums, by Fourier transform, with their error |
//! | [`forward`] | the forward process on vectors of numbers, step by step and in closed form |
//! | [`mean_of`], [`covariance_of`], [`correlation_of`] | statistics of data |
//!
//! Matrices are nalgebra's [`DMatrix`], re-exported here. nalgebra rather than faer: the same factorizations with a fifth
//! of the crates, and speed does not matter at these sizes. Points are rows of
//! numbers, `[n, d]` one after the other, as [`Rng`](crate::rng::Rng) gives them.
pub mod convolve;
mod covariance;
pub mod forward;
mod multivariate;
#[cfg(test)]
mod tests;
mod univariate;

pub use convolve::{ConvolutionError, Density, convolve};
pub use covariance::Covariance;
pub use multivariate::MultivariateNormal;
pub use nalgebra::{DMatrix, DVector};
pub use univariate::UnivariateNormal;

use std::fmt;

/// Error in the parameters of a Gaussian or a grid.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variant explains its fields")]
pub enum GaussianError {
    /// A mean, variance or covariance that is infinite or not a number.
    NotFinite { what: &'static str, index: Vec<usize>, found: f64 },
    /// A scale, variance or step that is zero or negative.
    NotPositive { what: &'static str, index: Vec<usize>, found: f64 },
    /// Lengths that do not match.
    Length { what: &'static str, found: usize, expected: usize },
    /// A covariance with Σᵢⱼ ≠ Σⱼᵢ.
    NotSymmetric { row: usize, column: usize, above: f64, below: f64 },
    /// A covariance whose correlation matrix has a smallest eigenvalue that is zero to rounding, or negative. The direction is
    /// in standard deviations of the coordinates.
    NotPositiveDefinite { eigenvalue: f64, direction: Vec<f64>, degenerate: bool },
    /// A coordinate that does not exist or is named twice.
    Coordinate { index: usize, dim: usize, twice: bool },
    /// Two grids whose steps differ.
    Step { left: f64, right: f64 },
    /// A number outside of [0, 1].
    Fraction { what: &'static str, found: f64 },
    /// Fewer points than an estimate needs.
    TooFew { found: usize, least: usize },
    /// Numbers that are not rows of d.
    Rows { found: usize, d: usize },
}

impl std::error::Error for GaussianError {}

impl From<GaussianError> for crate::Error {
    fn from(error: GaussianError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl fmt::Display for GaussianError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |index: &[usize]| match index {
            [] => String::new(),
            [i] => format!(" at index {i}"),
            more => format!(" at index {more:?}"),
        };
        match self {
            Self::NotFinite { what, index, found } => {
                write!(f, "the {what}{} is {found}: every number of a Gaussian must be finite", place(index))
            }
            Self::NotPositive { what, index, found } => {
                write!(f, "the {what}{} is {found}: it must be greater than zero", place(index))
            }
            Self::Length { what, found, expected } => {
                write!(f, "the {what} has length {found} where {expected} was expected")
            }
            Self::NotSymmetric { row, column, above, below } => write!(
                f,
                "the covariance is not symmetric: entry ({row}, {column}) is {above} but entry ({column}, {row}) is \
                 {below}; average the matrix with its transpose if the difference is an accident of rounding"
            ),
            Self::NotPositiveDefinite { eigenvalue, direction, degenerate: true } => write!(
                f,
                "the covariance is degenerate: the smallest eigenvalue of its correlation matrix is {eigenvalue:.3e}, zero \
                 to rounding, along {direction:.3?} in standard deviations of the coordinates, so there is no density; drop \
                 a coordinate, or add a little to the diagonal"
            ),
            Self::NotPositiveDefinite { eigenvalue, direction, .. } => write!(
                f,
                "the covariance is not positive definite: its correlation matrix has the eigenvalue {eigenvalue:.3e} along \
                 {direction:.3?} in standard deviations of the coordinates, a negative variance in that direction"
            ),
            Self::Coordinate { index, dim, twice: false } => {
                write!(f, "coordinate {index} does not exist: the Gaussian has {dim} dimensions, 0 to {}", dim - 1)
            }
            Self::Coordinate { index, .. } => write!(f, "coordinate {index} is named twice"),
            Self::Step { left, right } => write!(
                f,
                "the grids have steps {left} and {right}: a convolution needs the same step on both; sample one anew"
            ),
            Self::Fraction { what, found } => write!(f, "{what} must be in [0, 1], got {found}"),
            Self::TooFew { found, least } => write!(f, "needs {least} points or more, got {found}"),
            Self::Rows { found, d: 0 } => {
                write!(f, "points must have one coordinate or more, got {found} numbers as rows of 0")
            }
            Self::Rows { found, d } => {
                write!(f, "points must be rows of {d} numbers, got {found} numbers, not a multiple of {d}")
            }
        }
    }
}

type Result<T> = std::result::Result<T, GaussianError>;

/// Returns the number if it is finite.
fn finite(what: &'static str, index: &[usize], found: f64) -> Result<f64> {
    if found.is_finite() { Ok(found) } else { Err(GaussianError::NotFinite { what, index: index.to_vec(), found }) }
}

/// Returns the number if it is finite and greater than zero.
fn positive(what: &'static str, index: &[usize], found: f64) -> Result<f64> {
    finite(what, index, found)?;
    if found > 0.0 { Ok(found) } else { Err(GaussianError::NotPositive { what, index: index.to_vec(), found }) }
}

/// Mean of each coordinate, `μ̂ = 1/n Σᵢ xᵢ`.
///
/// # Shapes
///
/// `points: [n, d]` in rows; result `[d]`.
///
/// # Errors
///
/// If the length of `points` is not a multiple of `d`, or there are no points.
pub fn mean_of(points: &[f64], d: usize) -> Result<Vec<f64>> {
    let n = rows(points, d, 1)?;
    let mut mean = vec![0.0; d];
    for row in points.chunks_exact(d) {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n as f64);
    }
    Ok(mean)
}

/// Covariance of data, `Σ̂ = 1/(n − 1) Σᵢ (xᵢ − μ̂)(xᵢ − μ̂)ᵀ`.
///
/// Zero covariance is *not* independence. Only for jointly normal coordinates does one follow from the other: here y is
/// a function of x, and yet their covariance is zero.
///
/// ```
/// use tweedie::Rng;
/// use tweedie::distribution::gaussian::{correlation_of, covariance_of};
/// let x = Rng::new(1).normals(100_000, 1);
/// let points: Vec<f64> = x.iter().flat_map(|&x| [x, x * x]).collect();
/// assert!(covariance_of(&points, 2)?[(0, 1)].abs() < 0.05); // E[x³] = 0
/// let squares: Vec<f64> = x.iter().flat_map(|&x| [x * x, (x * x) * (x * x)]).collect();
/// assert!(correlation_of(&squares, 2)?[(0, 1)] > 0.8); //     and yet x² nearly determines y²
/// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
/// ```
///
/// # Shapes
///
/// `points: [n, d]` in rows; result `[d, d]`.
///
/// # Errors
///
/// If the length of `points` is not a multiple of `d`, or there are fewer than two points.
pub fn covariance_of(points: &[f64], d: usize) -> Result<DMatrix<f64>> {
    let n = rows(points, d, 2)?;
    let mean = mean_of(points, d)?;
    let centred = DMatrix::from_fn(d, n, |j, i| points[i * d + j] - mean[j]);
    let product = &centred * centred.transpose();
    Ok((&product + product.transpose()) * (0.5 / (n as f64 - 1.0)))
}

/// Correlation of data, `ρᵢⱼ = Σ̂ᵢⱼ / √(Σ̂ᵢᵢ Σ̂ⱼⱼ)`; a coordinate that never varies has correlation NaN with the others.
///
/// # Shapes
///
/// `points: [n, d]` in rows; result `[d, d]` with ones on the diagonal.
///
/// # Errors
///
/// As [`covariance_of`].
pub fn correlation_of(points: &[f64], d: usize) -> Result<DMatrix<f64>> {
    Ok(correlation(&covariance_of(points, d)?))
}

/// A covariance matrix, scaled to a diagonal of ones.
fn correlation(covariance: &DMatrix<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(covariance.nrows(), covariance.ncols(), |i, j| {
        // Root by root: the product of two variances may overflow.
        if i == j { 1.0 } else { covariance[(i, j)] / covariance[(i, i)].sqrt() / covariance[(j, j)].sqrt() }
    })
}

/// The number of rows of `d` numbers.
fn rows(points: &[f64], d: usize, least: usize) -> Result<usize> {
    if d == 0 || !points.len().is_multiple_of(d) {
        return Err(GaussianError::Rows { found: points.len(), d });
    }
    let n = points.len() / d;
    if n < least {
        return Err(GaussianError::TooFew { found: n, least });
    }
    Ok(n)
}

/// Returns the number if it is in [0, 1].
fn fraction(what: &'static str, found: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&found) { Ok(found) } else { Err(GaussianError::Fraction { what, found }) }
}
