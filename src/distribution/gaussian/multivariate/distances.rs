//! Divergence and distance of two normals.
use super::{MultivariateNormal, Result};
use crate::distribution::gaussian::covariance::{Covariance, Root, factor};
use nalgebra::{DMatrix, DVector};

impl MultivariateNormal {
    /// `KL(p ‖ q) = ½ (tr(Σ_q⁻¹ Σ_p) + (μ_q − μ_p)ᵀ Σ_q⁻¹ (μ_q − μ_p) − d + ln |Σ_q| − ln |Σ_p|)` in nats, 0 or more.
    ///
    /// # Errors
    ///
    /// If the dimensions differ.
    pub fn kl(&self, q: &Self) -> Result<f64> {
        self.same_dim(q)?;
        let apart = q.distance(&(&self.mean - &q.mean)).powi(2);
        // With M = L_q⁻¹ L_p, lower triangular, tr(Σ_q⁻¹ Σ_p) = Σ Mᵢⱼ² and ln |Σ_p| − ln |Σ_q| = Σ ln Mᵢᵢ²: a sum of
        // terms that are not negative, each exact to rounding.
        if let (Some(p_root), Some(q_root)) = (self.lower(), q.lower())
            && let Some(m) = q_root.solve_lower_triangular(&p_root)
        {
            let term = |i: usize| {
                let excess = (m[(i, i)] - 1.0) * (m[(i, i)] + 1.0);
                // The ratio may overflow; the difference of logarithms does not.
                let far = || 2.0 * (p_root[(i, i)].ln() - q_root[(i, i)].ln());
                let twice_ln = if excess.abs() < 0.5 { excess.ln_1p() } else { far() };
                (excess - twice_ln).max(0.0) + (0..i).map(|j| m[(i, j)].powi(2)).sum::<f64>()
            };
            return Ok(0.5 * (apart + (0..self.dim()).map(term).sum::<f64>()));
        }
        // Where a low rank is lost in rounding, from a root R Rᵀ = Σ_p and without writing Σ out: tr(Σ_q⁻¹ R Rᵀ).
        let trace: f64 = self.root_columns().iter().map(|column| q.square(column)).sum();
        let apart = q.square(&(&self.mean - &q.mean));
        let logs = q.log_determinant() - self.log_determinant();
        Ok((0.5 * (trace + apart - self.dim() as f64 + logs)).max(0.0))
    }

    /// The columns of a matrix R with R Rᵀ = Σ.
    fn root_columns(&self) -> Vec<DVector<f64>> {
        let columns = |of: &DMatrix<f64>| of.column_iter().map(|column| column.into_owned()).collect::<Vec<_>>();
        match (&self.covariance, self.lower()) {
            (_, Some(root)) => columns(&root),
            (Covariance::LowRank { factor, diagonal }, None) => {
                [columns(factor), columns(&DMatrix::from_diagonal(&diagonal.map(f64::sqrt)))].concat()
            }
            (_, None) => unreachable!("only a low rank is lost in rounding"),
        }
    }

    /// vᵀ Σ⁻¹ v: of `Σ = F Fᵀ + D` the least `|u|² + |D^−½ (v − F u)|²` over u, by orthogonal factors, so that nothing cancels.
    fn square(&self, v: &DVector<f64>) -> f64 {
        let Covariance::LowRank { factor, diagonal } = &self.covariance else { return self.distance(v).powi(2) };
        let (d, shared) = factor.shape();
        let tall = DMatrix::from_fn(d + shared, shared, |i, j| {
            if i < d { factor[(i, j)] / diagonal[i].sqrt() } else { f64::from(i - d == j) }
        });
        let goal = DVector::from_fn(d + shared, |i, _| if i < d { v[i] / diagonal[i].sqrt() } else { 0.0 });
        let q = tall.qr().q();
        let rest = &goal - &q * q.tr_mul(&goal);
        // Once more, for what rounding left of it.
        (&rest - &q * q.tr_mul(&rest)).norm_squared()
    }

    /// L with L Lᵀ = Σ, lower triangular; `None` if a low rank is lost in rounding where Σ is written out.
    fn lower(&self) -> Option<DMatrix<f64>> {
        match (&self.covariance, &self.root) {
            (Covariance::Isotropic { dim, variance }, _) => {
                Some(DMatrix::from_diagonal_element(*dim, *dim, variance.sqrt()))
            }
            (Covariance::Diagonal(v), _) => Some(DMatrix::from_diagonal(&v.map(f64::sqrt))),
            (Covariance::Full(_), Root::Full(root)) => Some(root.l()),
            _ => Some(factor(&self.covariance.matrix()).ok()?.l()),
        }
    }

    /// The 2-Wasserstein distance, `W₂² = |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½)`.
    ///
    /// With `Σ = L Lᵀ` the last trace is the sum of the singular values of `L₁ᵀ L₂`.
    ///
    /// # Errors
    ///
    /// If the dimensions differ, or a low rank is lost in rounding where Σ is written out.
    pub fn wasserstein2(&self, other: &Self) -> Result<f64> {
        self.same_dim(other)?;
        let (a, b) = (self.covariance.matrix(), other.covariance.matrix());
        let cross = factor(&a)?.l().transpose() * factor(&b)?.l();
        let bures = a.trace() + b.trace() - 2.0 * cross.singular_values().sum();
        Ok(((&self.mean - &other.mean).norm_squared() + bures.max(0.0)).sqrt())
    }
}
