use super::{GaussianError, Result, finite, positive};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// A covariance matrix with its structure: full, diagonal, isotropic, or low rank plus diagonal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are those of the formula")]
pub enum Covariance {
    /// Any Σ: symmetric, positive definite. A density costs O(d²).
    Full(DMatrix<f64>),
    /// `Σ = diag(σ₁², …, σ_d²)`: independent coordinates. O(d).
    Diagonal(DVector<f64>),
    /// `Σ = σ² I`: equal in all directions. O(d).
    Isotropic { dim: usize, variance: f64 },
    /// `Σ = F Fᵀ + diag(v)` with F of k columns: k directions besides independent coordinates. O(d k).
    LowRank { factor: DMatrix<f64>, diagonal: DVector<f64> },
}

impl Covariance {
    /// Σ from its rows. That it is symmetric and positive definite is checked by [`MultivariateNormal::new`](super::MultivariateNormal::new).
    ///
    /// # Errors
    ///
    /// If the matrix is not square.
    pub fn full(rows: &[impl AsRef<[f64]>]) -> Result<Self> {
        let d = rows.len();
        if let Some(row) = rows.iter().find(|row| row.as_ref().len() != d) {
            return Err(GaussianError::Length {
                what: "row of the covariance",
                found: row.as_ref().len(),
                expected: d,
            });
        }
        Ok(Self::Full(DMatrix::from_fn(d, d, |i, j| rows[i].as_ref()[j])))
    }

    /// The covariance of independent coordinates with these variances.
    pub fn diagonal(variances: &[f64]) -> Self {
        Self::Diagonal(DVector::from_column_slice(variances))
    }

    /// `σ² I` in `dim` dimensions.
    pub fn isotropic(dim: usize, variance: f64) -> Self {
        Self::Isotropic { dim, variance }
    }

    /// `F Fᵀ + diag(v)`, from the d rows of F.
    ///
    /// # Errors
    ///
    /// If the rows of F differ in length, or there are more or fewer than variances.
    pub fn low_rank(factor: &[impl AsRef<[f64]>], diagonal: &[f64]) -> Result<Self> {
        let wrong = |what, found, expected| Err(GaussianError::Length { what, found, expected });
        let k = factor.first().map_or(0, |row| row.as_ref().len());
        if factor.len() != diagonal.len() {
            return wrong("factor of the covariance", factor.len(), diagonal.len());
        }
        if let Some(row) = factor.iter().find(|row| row.as_ref().len() != k) {
            return wrong("row of the factor", row.as_ref().len(), k);
        }
        let factor = DMatrix::from_fn(factor.len(), k, |i, j| factor[i].as_ref()[j]);
        Ok(Self::LowRank { factor, diagonal: DVector::from_column_slice(diagonal) })
    }

    /// The number of dimensions.
    pub fn dim(&self) -> usize {
        match self {
            Self::Full(matrix) => matrix.nrows(),
            Self::Diagonal(variances) => variances.len(),
            Self::Isotropic { dim, .. } => *dim,
            Self::LowRank { diagonal, .. } => diagonal.len(),
        }
    }

    /// Σ written out, `[d, d]`.
    pub fn matrix(&self) -> DMatrix<f64> {
        match self {
            Self::Full(matrix) => matrix.clone(),
            Self::Diagonal(variances) => DMatrix::from_diagonal(variances),
            Self::Isotropic { dim, variance } => DMatrix::from_diagonal_element(*dim, *dim, *variance),
            Self::LowRank { factor, diagonal } => factor * factor.transpose() + DMatrix::from_diagonal(diagonal),
        }
    }

    /// σ² if Σ = σ² I: every entry within `tolerance · max Σᵢᵢ` of it.
    pub fn is_isotropic(&self, tolerance: f64) -> Option<f64> {
        if self.dim() == 0 {
            return None;
        }
        let matrix = self.matrix();
        let variance = matrix.trace() / self.dim() as f64;
        let slack = tolerance * matrix.diagonal().max();
        let fits = |(i, j): (usize, usize)| (matrix[(i, j)] - if i == j { variance } else { 0.0 }).abs() <= slack;
        (0..self.dim()).all(|i| (0..self.dim()).all(|j| fits((i, j)))).then_some(variance)
    }

    /// Returns the matrix with its factorization if it has a density.
    pub(super) fn checked(self) -> Result<(Self, Root)> {
        let all_positive = |what, numbers: &DVector<f64>| {
            numbers.iter().enumerate().try_for_each(|(i, &v)| positive(what, &[i], v).map(drop))
        };
        let root = match &self {
            Self::Full(matrix) => Root::Full(factor(matrix)?),
            Self::Diagonal(variances) => {
                all_positive("variance", variances)?;
                Root::Scales
            }
            Self::Isotropic { variance, .. } => {
                positive("variance", &[], *variance)?;
                Root::Scales
            }
            Self::LowRank { factor, diagonal } => {
                if factor.nrows() != diagonal.len() {
                    let what = "factor of the covariance";
                    return Err(GaussianError::Length { what, found: factor.nrows(), expected: diagonal.len() });
                }
                all_positive("diagonal of the covariance", diagonal)?;
                for j in 0..factor.ncols() {
                    for i in 0..factor.nrows() {
                        finite("factor of the covariance", &[i, j], factor[(i, j)])?;
                    }
                }
                // I + Fᵀ D⁻¹ F, the matrix that the inversion lemma requires.
                let scaled = DMatrix::from_fn(factor.nrows(), factor.ncols(), |i, j| factor[(i, j)] / diagonal[i]);
                let k = factor.ncols();
                let inner = DMatrix::identity(k, k) + factor.transpose() * &scaled;
                match self::factor(&symmetric(&inner)) {
                    Ok(root) => Root::LowRank(root),
                    // Its rounding loses the identity beside large factors; the sum itself may be well conditioned.
                    Err(_) => Root::Full(self::factor(&self.matrix())?),
                }
            }
        };
        // The stored matrix must be the one that was factored.
        let covariance = if let Self::Full(matrix) = &self { Self::Full(symmetric(matrix)) } else { self };
        Ok((covariance, root))
    }
}

/// The factorization for densities and samples.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// Σ = L Lᵀ.
    Full(Cholesky<f64, Dyn>),
    /// Diagonal or isotropic: nothing to factor.
    Scales,
    /// I + Fᵀ D⁻¹ F = L Lᵀ.
    LowRank(Cholesky<f64, Dyn>),
}

/// (A + Aᵀ)/2 of a square matrix; A itself if it is not square, which [`factor`] refuses.
pub(super) fn symmetric(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    if matrix.is_square() { (matrix + matrix.transpose()) * 0.5 } else { matrix.clone() }
}

/// Returns the Cholesky factor of a covariance, or an error with the smallest eigenvalue and its direction.
///
/// What is zero to rounding is decided on the correlation matrix, which does not depend on the units of the coordinates.
pub(super) fn factor(matrix: &DMatrix<f64>) -> Result<Cholesky<f64, Dyn>> {
    let d = matrix.nrows();
    if matrix.ncols() != d {
        return Err(GaussianError::Length { what: "row of the covariance", found: matrix.ncols(), expected: d });
    }
    for i in 0..d {
        for j in 0..d {
            finite("covariance", &[i, j], matrix[(i, j)])?;
        }
    }
    let scale: Vec<f64> = (0..d).map(|i| matrix[(i, i)].max(0.0).sqrt()).collect();
    for i in 0..d {
        for j in i + 1..d {
            let (above, below) = (matrix[(i, j)], matrix[(j, i)]);
            if (above - below).abs() > 1e-10 * scale[i] * scale[j] + f64::MIN_POSITIVE {
                return Err(GaussianError::NotSymmetric { row: i, column: j, above, below });
            }
        }
    }
    for i in 0..d {
        positive("variance", &[i], matrix[(i, i)])?;
    }
    let matrix = symmetric(matrix);
    let rounding = d as f64 * f64::EPSILON;
    if let Some(root) = Cholesky::new(matrix.clone()) {
        let share = |(i, l): (usize, &f64)| (l / scale[i]).powi(2);
        let pivot = root.l_dirty().diagonal().iter().enumerate().map(share).fold(f64::INFINITY, f64::min);
        // A pivot well above rounding bounds the smallest eigenvalue away from zero: no eigenvalues are needed.
        if pivot > 16.0 * rounding {
            return Ok(root);
        }
    }
    let correlation = DMatrix::from_fn(d, d, |i, j| if i == j { 1.0 } else { matrix[(i, j)] / scale[i] / scale[j] });
    let eigen = correlation.symmetric_eigen();
    let least = eigen.eigenvalues.imin();
    let eigenvalue = eigen.eigenvalues[least];
    let slack = rounding * eigen.eigenvalues.amax();
    match Cholesky::new(matrix) {
        Some(root) if eigenvalue > slack => Ok(root),
        _ => Err(GaussianError::NotPositiveDefinite {
            eigenvalue,
            direction: eigen.eigenvectors.column(least).iter().copied().collect(),
            degenerate: eigenvalue >= -16.0 * slack,
        }),
    }
}

/// Checks that variances are more than the rounding of the terms, of size `terms`, from which they were subtracted.
pub(super) fn above_rounding(left: &DMatrix<f64>, terms: &DMatrix<f64>) -> Result<()> {
    let d = left.nrows();
    let rounding = terms.nrows().max(2) as f64 * f64::EPSILON;
    match (0..d).find(|&i| left[(i, i)] <= rounding * terms[(i, i)]) {
        None => Ok(()),
        Some(at) => Err(GaussianError::NotPositiveDefinite {
            eigenvalue: left[(at, at)] / terms[(at, at)],
            direction: (0..d).map(|i| f64::from(i == at)).collect(),
            degenerate: true,
        }),
    }
}
