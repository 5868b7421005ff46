//! Components of a Gaussian mixture.
use super::eigen::eigen;
use super::semidefinite::{null_directions, vanish};
use crate::{
    error::{Error, Result},
    schedule::Scales,
};
use std::f64::consts::TAU;

/// Covariance of a component.
#[derive(Clone, Debug, PartialEq)]
pub enum ComponentCovariance {
    /// A symmetric, positive semidefinite matrix, as rows.
    Full(Vec<Vec<f64>>),
    /// Diagonal, with a variance per axis.
    Diagonal(Vec<f64>),
    /// Isotropic, with one variance in all directions; 0 is a point.
    Isotropic(f64),
    /// Low rank plus a multiple of the identity: `Σ fᵢ fᵢᵀ + rest·I`.
    LowRank {
        /// The vectors fᵢ.
        factors: Vec<Vec<f64>>,
        /// The variance added in all directions.
        rest: f64,
    },
}

/// A component of a mixture: weight, mean, and covariance by its eigenvectors.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub log_weight: f64,
    pub mean: Vec<f64>,
    /// Orthonormal directions, `None` if they are the axes.
    pub basis: Option<Vec<Vec<f64>>>,
    /// The variance along each direction.
    pub values: Vec<f64>,
    /// The variance in all other directions.
    pub rest: f64,
}

/// The closed form of a component at a noisy point, with `C = α² Σ + σ² I`.
pub(super) struct AtPoint {
    /// `ln w + ln N(z; α m, C)`.
    pub log: f64,
    /// `C⁻¹ (z − α m)`.
    pub whitened: Vec<f64>,
    /// `Σ C⁻¹ (z − α m)`.
    pub shift: Vec<f64>,
    /// `tr Σ C⁻¹`.
    pub trace: f64,
}

/// The inner product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Component {
    /// Component `i` of a mixture, with its weight normalized.
    pub(super) fn new(i: usize, weight: f64, mean: Vec<f64>, covariance: ComponentCovariance) -> Result<Self> {
        let dim = mean.len();
        let wrong = |what: String| Err(Error::invalid(format!("component {i} of the mixture: {what}")));
        if !(weight > 0.0 && weight.is_finite()) {
            return wrong(format!("the weight must be a positive number, got {weight}"));
        }
        if let Some(m) = mean.iter().find(|m| !m.is_finite()) {
            return wrong(format!("the mean must be finite, got {m}"));
        }
        let (basis, values, rest) = match covariance {
            ComponentCovariance::Isotropic(v) => (None, vec![], v),
            ComponentCovariance::Diagonal(v) if v.len() == dim => (None, v, 0.0),
            ComponentCovariance::Diagonal(v) => {
                return wrong(format!("the covariance must have {dim} variances, one per dimension, got {}", v.len()));
            }
            ComponentCovariance::Full(rows) => {
                if rows.len() != dim || rows.iter().any(|row| row.len() != dim) {
                    return wrong(format!("the covariance must be a {dim} × {dim} matrix"));
                }
                let null = match null_directions(&rows) {
                    Ok(null) => null,
                    Err(problem) => return wrong(problem),
                };
                let (basis, mut values) = eigen(rows);
                vanish(&mut values, null);
                (Some(basis), values, 0.0)
            }
            ComponentCovariance::LowRank { factors, rest } => {
                if factors.iter().any(|f| f.len() != dim) {
                    return wrong(format!("a factor of the covariance must have {dim} values"));
                }
                // FFᵀ and FᵀF have the same eigenvalues, and F maps the vectors of the small one to those of the large.
                let gram: Vec<Vec<f64>> = factors.iter().map(|a| factors.iter().map(|b| dot(a, b)).collect()).collect();
                let null = match null_directions(&gram) {
                    Ok(null) => null,
                    Err(problem) => return wrong(problem),
                };
                let (vectors, mut values) = eigen(gram);
                vanish(&mut values, null.max(factors.len().saturating_sub(dim)));
                let (mut basis, mut variances) = (vec![], vec![]);
                for (vector, value) in vectors.iter().zip(values).filter(|(_, value)| *value > 0.0) {
                    let scale = value.sqrt().recip();
                    basis.push(
                        (0..dim).map(|d| factors.iter().zip(vector).map(|(f, v)| f[d] * v * scale).sum()).collect(),
                    );
                    variances.push(value + rest);
                }
                (Some(basis), variances, rest)
            }
        };
        match values.iter().copied().chain([rest]).find(|v| !(*v >= 0.0 && v.is_finite())) {
            Some(v) => {
                wrong(format!("variances must be finite and 0 or more, but the covariance has {v} in some direction"))
            }
            None => Ok(Self { log_weight: weight.ln(), mean, basis, values, rest }),
        }
    }

    /// `z − α m`.
    pub(super) fn gap(&self, z: &[f64], alpha: f64) -> Vec<f64> {
        z.iter().zip(&self.mean).map(|(z, m)| z - alpha * m).collect()
    }

    /// The number of directions whose variance is `rest`.
    fn others(&self) -> usize {
        if self.basis.is_some() || self.values.is_empty() { self.mean.len() - self.values.len() } else { 0 }
    }

    /// The variance along every direction.
    pub(super) fn variances(&self) -> impl Iterator<Item = f64> {
        self.values.iter().copied().chain(std::iter::repeat_n(self.rest, self.others()))
    }

    /// `Σ f(v_i) a_i b_i` over the directions i, of variances v_i.
    pub(super) fn bilinear(&self, a: &[f64], b: &[f64], f: impl Fn(f64) -> f64) -> f64 {
        let Some(basis) = &self.basis else {
            let variance = |i: usize| self.values.get(i).copied().unwrap_or(self.rest);
            return (0..a.len()).map(|i| f(variance(i)) * a[i] * b[i]).sum();
        };
        let (mut a, mut b) = (a.to_vec(), b.to_vec());
        let mut sum = 0.0;
        for (u, &v) in basis.iter().zip(&self.values) {
            let (along_a, along_b) = (dot(u, &a), dot(u, &b));
            sum += f(v) * along_a * along_b;
            for d in 0..u.len() {
                a[d] -= u[d] * along_a;
                b[d] -= u[d] * along_b;
            }
        }
        if self.others() > 0 { sum + f(self.rest) * dot(&a, &b) } else { sum }
    }

    /// Whether the covariances are the same numbers.
    pub(super) fn same_covariance(&self, other: &Self) -> bool {
        self.rest == other.rest && self.values == other.values && self.basis == other.basis
    }

    /// Whether the component is a point.
    pub(super) fn is_point(&self) -> bool {
        self.basis.is_none() && self.values.iter().all(|v| *v == 0.0) && (!self.values.is_empty() || self.rest == 0.0)
    }

    /// Computes the closed form at z.
    pub(super) fn at(&self, z: &[f64], c: Scales) -> AtPoint {
        let dim = z.len();
        let noise = c.sigma * c.sigma;
        let total = |v: f64| c.alpha * c.alpha * v + noise;
        let gap = self.gap(z, c.alpha);
        // v/C, 0 for a point without noise.
        let share = |v: f64| if v == 0.0 { 0.0 } else { v / total(v) };
        let mut log = self.log_weight;
        let (mut whitened, mut shift, mut trace);
        match &self.basis {
            None if !self.values.is_empty() => {
                whitened = vec![0.0; dim];
                shift = vec![0.0; dim];
                trace = 0.0;
                for i in 0..dim {
                    let v = self.values[i];
                    whitened[i] = gap[i] / total(v);
                    shift[i] = gap[i] * share(v);
                    trace += share(v);
                    log -= 0.5 * (gap[i] * whitened[i] + (TAU * total(v)).ln());
                }
            }
            _ => {
                // All directions as `rest`, and those of the basis corrected.
                let directions = self.basis.as_deref().unwrap_or(&[]);
                let others = dim - directions.len();
                let complete = others == 0;
                let (inverse, other) = if complete { (0.0, 0.0) } else { (total(self.rest).recip(), share(self.rest)) };
                whitened = gap.iter().map(|g| g * inverse).collect();
                shift = gap.iter().map(|g| g * other).collect();
                trace = others as f64 * other;
                let mut square = dot(&gap, &gap) * inverse;
                if !complete {
                    log -= 0.5 * others as f64 * (TAU * total(self.rest)).ln();
                }
                for (u, &v) in directions.iter().zip(&self.values) {
                    let along = dot(u, &gap);
                    let more = total(v).recip() - inverse;
                    square += along * along * more;
                    for d in 0..dim {
                        whitened[d] += u[d] * along * more;
                        shift[d] += u[d] * along * (share(v) - other);
                    }
                    trace += share(v);
                    log -= 0.5 * (TAU * total(v)).ln();
                }
                log -= 0.5 * square;
            }
        }
        AtPoint { log, whitened, shift, trace }
    }

    /// Whether the component has no density, so that its log-density diverges as the noise vanishes.
    pub(super) fn singular(&self) -> bool {
        self.values.contains(&0.0) || self.others() > 0 && self.rest == 0.0
    }

    /// Returns Σ as rows.
    pub(super) fn covariance(&self) -> Vec<Vec<f64>> {
        let dim = self.mean.len();
        let mut full = vec![vec![0.0; dim]; dim];
        for (i, row) in full.iter_mut().enumerate() {
            row[i] = if self.basis.is_none() && !self.values.is_empty() { self.values[i] } else { self.rest };
        }
        for (u, v) in self.basis.iter().flatten().zip(&self.values) {
            for i in 0..dim {
                for j in 0..dim {
                    // In this order no square of a small entry underflows.
                    full[i][j] += u[i] * (v - self.rest) * u[j];
                }
            }
        }
        full
    }
}
