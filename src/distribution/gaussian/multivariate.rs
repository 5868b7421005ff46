use super::covariance::{Covariance, Root, above_rounding, factor, symmetric};
use super::{GaussianError, Result, UnivariateNormal, correlation, finite};
use crate::rng::Rng;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use std::f64::consts::PI;

mod distances;

/// The normal distribution of a vector, `N(x; μ, Σ) = exp(−½ (x − μ)ᵀ Σ⁻¹ (x − μ)) / √((2π)ᵈ |Σ|)`.
///
/// `μ ∈ ℝᵈ` is the mean and Σ the [`Covariance`], symmetric and positive *definite*: a semi-definite one has no density
/// and is an error, which names the eigenvalue and the direction in which it is degenerate.
///
/// ```
/// use tweedie::distribution::gaussian::{Covariance, MultivariateNormal};
/// let joint = MultivariateNormal::new(&[0.0, 1.0], Covariance::full(&[[1.0, 0.8], [0.8, 1.0]])?)?;
/// let given = joint.condition(&[1], &[2.0])?; // x₁ given x₂ = 2
/// assert!((given.mean()[0] - 0.8).abs() < 1e-15); //              μ₁ + Σ₁₂/Σ₂₂ (2 − μ₂)
/// assert!((given.covariance().matrix()[(0, 0)] - 0.36).abs() < 1e-15); // Σ₁₁ − Σ₁₂²/Σ₂₂
///
/// let refused = MultivariateNormal::new(&[0.0, 0.0], Covariance::full(&[[1.0, 2.0], [2.0, 1.0]])?);
/// assert!(refused.unwrap_err().to_string().contains("eigenvalue -1.000e0"));
/// # Ok::<(), tweedie::distribution::gaussian::GaussianError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultivariateNormal {
    mean: DVector<f64>,
    covariance: Covariance,
    root: Root,
}

impl PartialEq for MultivariateNormal {
    fn eq(&self, other: &Self) -> bool {
        (&self.mean, &self.covariance) == (&other.mean, &other.covariance)
    }
}

impl MultivariateNormal {
    /// The normal with this mean and covariance.
    ///
    /// # Shapes
    ///
    /// `mean: [d]`; covariance of d dimensions, d ≥ 1.
    ///
    /// # Errors
    ///
    /// If dimensions differ, a number is not finite, or Σ is not symmetric or not positive definite.
    pub fn new(mean: &[f64], covariance: Covariance) -> Result<Self> {
        if mean.is_empty() || mean.len() != covariance.dim() {
            return Err(GaussianError::Length { what: "mean", found: mean.len(), expected: covariance.dim().max(1) });
        }
        for (i, &m) in mean.iter().enumerate() {
            finite("mean", &[i], m)?;
        }
        let (covariance, root) = covariance.checked()?;
        Ok(Self { mean: DVector::from_column_slice(mean), covariance, root })
    }

    /// N(0, I) in `dim` dimensions.
    ///
    /// # Errors
    ///
    /// If `dim` is zero.
    pub fn standard(dim: usize) -> Result<Self> {
        Self::new(&vec![0.0; dim], Covariance::isotropic(dim, 1.0))
    }

    /// Independent coordinates, each of its own distribution: a diagonal covariance.
    ///
    /// # Errors
    ///
    /// If the list is empty.
    pub fn product(coordinates: &[UnivariateNormal]) -> Result<Self> {
        let means: Vec<f64> = coordinates.iter().map(UnivariateNormal::mean).collect();
        let variances: Vec<f64> = coordinates.iter().map(UnivariateNormal::variance).collect();
        Self::new(&means, Covariance::diagonal(&variances))
    }

    /// The normal with mean and covariance of the data.
    ///
    /// # Shapes
    ///
    /// `points: [n, d]` in rows, n > d.
    ///
    /// # Errors
    ///
    /// If the points lie in a plane of fewer dimensions, as n ≤ d points always do, and as
    /// [`covariance_of`](super::covariance_of).
    pub fn fit(points: &[f64], d: usize) -> Result<Self> {
        let (mean, covariance) = (super::mean_of(points, d)?, super::covariance_of(points, d)?);
        let n = points.len() / d;
        if n <= d {
            return Err(GaussianError::TooFew { found: n, least: d + 1 });
        }
        Self::new(&mean, Covariance::Full(covariance))
    }

    /// The dimension d.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The mean μ.
    pub fn mean(&self) -> &[f64] {
        self.mean.as_slice()
    }

    /// The covariance Σ.
    pub fn covariance(&self) -> &Covariance {
        &self.covariance
    }

    /// `ρᵢⱼ = Σᵢⱼ / √(Σᵢᵢ Σⱼⱼ)`.
    pub fn correlation(&self) -> DMatrix<f64> {
        correlation(&self.covariance.matrix())
    }

    /// Its coordinates, if they are independent: Σ is diagonal.
    pub fn coordinates(&self) -> Option<Vec<UnivariateNormal>> {
        let matrix = self.covariance.matrix();
        let diagonal = DMatrix::from_diagonal(&matrix.diagonal());
        if matrix != diagonal {
            return None;
        }
        let one = |(m, v): (&f64, &f64)| UnivariateNormal::with_variance(*m, *v).ok();
        self.mean.iter().zip(matrix.diagonal().iter()).map(one).collect()
    }

    /// `ln |Σ|`.
    pub fn log_determinant(&self) -> f64 {
        let of_root = |root: &Cholesky<f64, Dyn>| 2.0 * root.l_dirty().diagonal().iter().map(|l| l.ln()).sum::<f64>();
        match (&self.covariance, &self.root) {
            (Covariance::Isotropic { dim, variance }, _) => *dim as f64 * variance.ln(),
            (Covariance::Diagonal(v), _) => v.iter().map(|v| v.ln()).sum(),
            // |F Fᵀ + D| = |I + Fᵀ D⁻¹ F| |D|
            (Covariance::LowRank { diagonal, .. }, Root::LowRank(root)) => {
                of_root(root) + diagonal.iter().map(|v| v.ln()).sum::<f64>()
            }
            (_, Root::Full(root) | Root::LowRank(root)) => of_root(root),
            (_, Root::Scales) => unreachable!("a full covariance has a factor"),
        }
    }

    /// Differential entropy in nats, `½ ln((2πe)ᵈ |Σ|)`.
    pub fn entropy(&self) -> f64 {
        0.5 * (self.dim() as f64 * ((2.0 * PI).ln() + 1.0) + self.log_determinant())
    }

    /// The Mahalanobis distance, `√((x − μ)ᵀ Σ⁻¹ (x − μ))`: the distance from the mean in standard deviations.
    ///
    /// # Errors
    ///
    /// If `x` does not have d coordinates.
    pub fn mahalanobis(&self, x: &[f64]) -> Result<f64> {
        Ok(self.distance(&(self.point(x)? - &self.mean)))
    }

    /// `√(vᵀ Σ⁻¹ v)`, with v scaled so that no square of it overflows.
    fn distance(&self, v: &DVector<f64>) -> f64 {
        let size = v.amax();
        if !(1e100..f64::INFINITY).contains(&size) {
            return v.dot(&self.solve(v)).max(0.0).sqrt();
        }
        let v = v / size;
        size * v.dot(&self.solve(&v)).max(0.0).sqrt()
    }

    /// A point of d coordinates.
    fn point(&self, x: &[f64]) -> Result<DVector<f64>> {
        let (found, expected) = (x.len(), self.dim());
        if found == expected {
            return Ok(DVector::from_column_slice(x));
        }
        Err(GaussianError::Length { what: "point", found, expected })
    }

    /// `N(x; μ, Σ)` at every point.
    ///
    /// # Shapes
    ///
    /// `points: [n, d]` in rows; result `[n]`.
    ///
    /// # Errors
    ///
    /// If the length of `points` is not a multiple of d.
    pub fn densities(&self, points: &[f64]) -> Result<Vec<f64>> {
        Ok(self.log_densities(points)?.into_iter().map(f64::exp).collect())
    }

    /// `ln N(x; μ, Σ)` at every point.
    ///
    /// # Shapes
    ///
    /// `points: [n, d]` in rows; result `[n]`.
    ///
    /// # Errors
    ///
    /// If the length of `points` is not a multiple of d.
    pub fn log_densities(&self, points: &[f64]) -> Result<Vec<f64>> {
        super::rows(points, self.dim(), 0)?;
        let constant = -0.5 * (self.dim() as f64 * (2.0 * PI).ln() + self.log_determinant());
        points.chunks_exact(self.dim()).map(|x| Ok(constant - 0.5 * self.mahalanobis(x)?.powi(2))).collect()
    }

    /// The score `∇ ln N(x; μ, Σ) = Σ⁻¹ (μ − x)` at one point.
    ///
    /// # Errors
    ///
    /// If `x` does not have d coordinates.
    pub fn score(&self, x: &[f64]) -> Result<Vec<f64>> {
        Ok(self.solve(&(&self.mean - self.point(x)?)).as_slice().to_vec())
    }

    /// Returns `n` independent samples: `μ + L z` with `L Lᵀ = Σ`, or `μ + F z + √v z′` where Σ is low rank plus diagonal.
    ///
    /// # Shapes
    ///
    /// Result `[n, d]` in rows; row i is the same for every n.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        let d = self.dim();
        let shared = if let Covariance::LowRank { factor, .. } = &self.covariance { factor.ncols() } else { 0 };
        let z = rng.normals(n, d + shared);
        let draw = |z: &[f64]| -> DVector<f64> {
            let z = DVector::from_column_slice(z);
            let x = match (&self.covariance, &self.root) {
                (Covariance::Isotropic { variance, .. }, _) => z * variance.sqrt(),
                (Covariance::Diagonal(v), _) => z.zip_map(v, |z, v| z * v.sqrt()),
                (Covariance::LowRank { factor, diagonal }, _) => {
                    let own = z.rows(0, d).zip_map(diagonal, |z, v| z * v.sqrt());
                    factor * z.rows(d, shared) + own
                }
                (_, Root::Full(root) | Root::LowRank(root)) => root.l() * z,
                (_, Root::Scales) => unreachable!("a full covariance has a factor"),
            };
            x + &self.mean
        };
        z.chunks_exact(d + shared).flat_map(|z| draw(z).as_slice().to_vec()).collect()
    }

    /// The distribution of some of the coordinates, in the order named: those of μ and Σ.
    ///
    /// # Errors
    ///
    /// If a coordinate does not exist or is named twice, or none is named.
    pub fn marginal(&self, coordinates: &[usize]) -> Result<Self> {
        self.distinct(coordinates)?;
        let mean: Vec<f64> = coordinates.iter().map(|&i| self.mean[i]).collect();
        let covariance = match &self.covariance {
            Covariance::Full(m) => Covariance::Full(m.select_rows(coordinates).select_columns(coordinates)),
            Covariance::Diagonal(v) => Covariance::Diagonal(v.select_rows(coordinates)),
            Covariance::Isotropic { variance, .. } => Covariance::isotropic(coordinates.len(), *variance),
            Covariance::LowRank { factor, diagonal } => Covariance::LowRank {
                factor: factor.select_rows(coordinates),
                diagonal: diagonal.select_rows(coordinates),
            },
        };
        Self::new(&mean, covariance)
    }

    /// The distribution of the other coordinates, in their order, given that these have the values `a`.
    ///
    /// ```text
    /// x₁ | x₂ = a  ~  N(μ₁ + Σ₁₂ Σ₂₂⁻¹ (a − μ₂),  Σ₁₁ − Σ₁₂ Σ₂₂⁻¹ Σ₂₁)
    /// ```
    ///
    /// The mean moves linearly with a; the covariance does not depend on it.
    ///
    /// # Errors
    ///
    /// If a coordinate does not exist or is named twice, none or all are named, `a` has another length, or a value
    /// is not finite; and if x₂ determines x₁ up to rounding, so that the conditional has no density.
    pub fn condition(&self, coordinates: &[usize], a: &[f64]) -> Result<Self> {
        self.distinct(coordinates)?;
        if a.len() != coordinates.len() {
            return Err(GaussianError::Length { what: "condition", found: a.len(), expected: coordinates.len() });
        }
        for (&i, &value) in coordinates.iter().zip(a) {
            finite("condition", &[i], value)?;
        }
        let rest: Vec<usize> = (0..self.dim()).filter(|i| !coordinates.contains(i)).collect();
        if rest.is_empty() {
            let (found, expected) = (coordinates.len(), self.dim() - 1);
            return Err(GaussianError::Length { what: "list of given coordinates", found, expected });
        }
        if let Root::Scales = self.root {
            return self.marginal(&rest); // independent: what is given tells nothing
        }
        let sigma = self.covariance.matrix();
        let given = self.marginal(coordinates)?;
        let cross = sigma.select_rows(&rest).select_columns(coordinates);
        let root = factor(&given.covariance.matrix())?;
        let shift = root.solve(&(DVector::from_column_slice(a) - &given.mean));
        let mean = self.mean.select_rows(&rest) + &cross * shift;
        let own = sigma.select_rows(&rest).select_columns(&rest);
        let left = symmetric(&(&own - &cross * root.solve(&cross.transpose())));
        above_rounding(&left, &own)?;
        Self::new(mean.as_slice(), Covariance::Full(left))
    }

    /// The distribution of `A x + b`: `N(Aμ + b, A Σ Aᵀ)`.
    ///
    /// # Shapes
    ///
    /// `a`: k rows of d; `b: [k]`; result of k dimensions, k ≤ d.
    ///
    /// # Errors
    ///
    /// If shapes do not match, or A does not have full row rank: then the image is degenerate.
    pub fn affine(&self, a: &[impl AsRef<[f64]>], b: &[f64]) -> Result<Self> {
        if let Some(row) = a.iter().find(|row| row.as_ref().len() != self.dim()) {
            return Err(GaussianError::Length { what: "row", found: row.as_ref().len(), expected: self.dim() });
        }
        if a.len() != b.len() {
            return Err(GaussianError::Length { what: "offset", found: b.len(), expected: a.len() });
        }
        let a = DMatrix::from_fn(a.len(), self.dim(), |i, j| a[i].as_ref()[j]);
        let mean = &a * &self.mean + DVector::from_column_slice(b);
        let sigma = self.covariance.matrix();
        let image = symmetric(&(&a * &sigma * a.transpose()));
        let size = a.abs();
        above_rounding(&image, &(&size * sigma.abs() * size.transpose()))?;
        Self::new(mean.as_slice(), Covariance::Full(image))
    }

    /// The distribution of `x + y` for independent x and y, the convolution of the densities: `N(μ₁ + μ₂, Σ₁ + Σ₂)`.
    ///
    /// # Errors
    ///
    /// If the dimensions differ.
    pub fn sum(&self, other: &Self) -> Result<Self> {
        self.same_dim(other)?;
        use Covariance::{Diagonal, Isotropic, LowRank};
        let covariance = match (&self.covariance, &other.covariance) {
            (Isotropic { dim, variance }, Isotropic { variance: more, .. }) => {
                Covariance::isotropic(*dim, variance + more)
            }
            (Isotropic { variance, .. }, Diagonal(v)) | (Diagonal(v), Isotropic { variance, .. }) => {
                Diagonal(v.add_scalar(*variance))
            }
            (Diagonal(v), Diagonal(w)) => Diagonal(v + w),
            (LowRank { factor, diagonal }, Isotropic { variance, .. })
            | (Isotropic { variance, .. }, LowRank { factor, diagonal }) => {
                LowRank { factor: factor.clone(), diagonal: diagonal.add_scalar(*variance) }
            }
            (LowRank { factor, diagonal }, Diagonal(v)) | (Diagonal(v), LowRank { factor, diagonal }) => {
                LowRank { factor: factor.clone(), diagonal: diagonal + v }
            }
            (one, two) => Covariance::Full(one.matrix() + two.matrix()),
        };
        Self::new((&self.mean + &other.mean).as_slice(), covariance)
    }

    /// Σ⁻¹ v.
    fn solve(&self, v: &DVector<f64>) -> DVector<f64> {
        match (&self.covariance, &self.root) {
            (Covariance::Isotropic { variance, .. }, _) => v / *variance,
            (Covariance::Diagonal(variances), _) => v.component_div(variances),
            // (F Fᵀ + D)⁻¹ = D⁻¹ − D⁻¹ F (I + Fᵀ D⁻¹ F)⁻¹ Fᵀ D⁻¹
            (Covariance::LowRank { factor, diagonal }, Root::LowRank(root)) => {
                let scaled = v.component_div(diagonal);
                let shared = factor * root.solve(&(factor.transpose() * &scaled));
                scaled - shared.component_div(diagonal)
            }
            (_, Root::Full(root) | Root::LowRank(root)) => root.solve(v),
            (_, Root::Scales) => unreachable!("a full covariance has a factor"),
        }
    }

    /// Checks that coordinates exist and are named once, one or more.
    fn distinct(&self, coordinates: &[usize]) -> Result<()> {
        let dim = self.dim();
        if coordinates.is_empty() {
            return Err(GaussianError::Length { what: "list of coordinates", found: 0, expected: 1 });
        }
        for (at, &index) in coordinates.iter().enumerate() {
            if index >= dim || coordinates[..at].contains(&index) {
                return Err(GaussianError::Coordinate { index, dim, twice: index < dim });
            }
        }
        Ok(())
    }

    fn same_dim(&self, other: &Self) -> Result<()> {
        let (found, expected) = (other.dim(), self.dim());
        if found == expected { Ok(()) } else { Err(GaussianError::Length { what: "other Gaussian", found, expected }) }
    }
}
