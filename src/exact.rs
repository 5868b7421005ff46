//! Exact models: data whose denoiser, score, density and flow have closed forms, in double precision.
//!
//! For `x ~ Σ wₖ N(mₖ, Σₖ)` and `x_t = α x + σ ε`, with `Cₖ = α² Σₖ + σ² I`:
//!
//! ```text
//! p(x_t)          = Σ wₖ N(x_t; α mₖ, Cₖ)
//! p(k | x_t)      ∝ wₖ N(x_t; α mₖ, Cₖ)
//! E[x | x_t, k]   = mₖ + α Σₖ Cₖ⁻¹ (x_t − α mₖ)
//! ∇ ln p(x_t)     = −Σ p(k | x_t) Cₖ⁻¹ (x_t − α mₖ) = −ε̂/σ
//! tr ∂x̂/∂x_t      = α Σ p(k | x_t) [tr Σₖ Cₖ⁻¹ + |x̂ₖ − x̂|²/σ²]
//! ```
//!
//! A [`Mixture`] is a [`Denoiser`], so every sampler and every law runs on it; a Gaussian is a mixture of one, a data set a
//! mixture of points. A [`Joint`] is the same for sequences of categories: a few of them, with every conditional by enumeration.
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::Error,
    noise::{Estimate, Gaussian, Noise, Prediction},
    rng::Rng,
    sample::{DormandPrince, Sampler, TimeStep, integrate},
    schedule::Scales,
};
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;
use std::f64::consts::TAU;

mod joint;
pub use joint::Joint;

/// The covariance of a component.
#[derive(Clone, Debug, PartialEq)]
pub enum Covariance {
    /// Any symmetric, positive semidefinite matrix, as rows.
    Full(Vec<Vec<f64>>),
    /// A variance for each axis.
    Diagonal(Vec<f64>),
    /// One variance for all directions; 0 is a point.
    Isotropic(f64),
    /// `Σ fᵢ fᵢᵀ + rest·I`.
    LowRank {
        /// The fᵢ.
        factors: Vec<Vec<f64>>,
        /// The variance in all directions.
        rest: f64,
    },
}

/// A component of a mixture as what it takes: a weight, a mean and a spread.
#[derive(Clone, Debug)]
struct Part {
    log_weight: f64,
    mean: Vec<f64>,
    /// Orthonormal directions, none where they are the axes, and the variance along each.
    basis: Option<Vec<Vec<f64>>>,
    values: Vec<f64>,
    /// The variance in all other directions.
    rest: f64,
}

/// What a mixture knows of one noisy point.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// ln p(x_t).
    pub log_density: f64,
    /// x̂ = E[x | x_t].
    pub x: Vec<f64>,
    /// ε̂ = E[ε | x_t].
    pub eps: Vec<f64>,
    /// ∇ ln p(x_t).
    pub score: Vec<f64>,
    /// tr ∂x̂/∂x_t.
    pub divergence: f64,
}

/// Data from a mixture of Gaussians under Gaussian noise, as the denoiser a perfect net would be.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{denoise::Denoiser, exact::{Covariance, Mixture}, noise::Gaussian, schedule::OrnsteinUhlenbeck};
/// let noise = Gaussian::new(OrnsteinUhlenbeck {});
/// let model = Mixture::gaussian(noise, vec![2.0], Covariance::Isotropic(4.0))?;
/// // α = 0.8, σ = 0.6: x̂ = m + α v/(α² v + σ²) (z − α m) = 2 − 3.2/2.92 · 1.6
/// let x = model.denoise(Tensor::<2>::zeros([1, 1], &Device::flex()), &[0.6]).mean;
/// assert!((x.into_scalar::<f32>() - 0.246575).abs() < 1e-6);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mixture {
    noise: Gaussian,
    parts: Vec<Part>,
    dim: usize,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Part {
    fn new(i: usize, weight: f64, mean: Vec<f64>, covariance: Covariance) -> Result<Self, Error> {
        let dim = mean.len();
        let wrong = |what: String| Err(Error::invalid(format!("component {i} of the mixture: {what}")));
        if !(weight > 0.0 && weight.is_finite()) {
            return wrong(format!("a weight is positive, not {weight}"));
        }
        if let Some(m) = mean.iter().find(|m| !m.is_finite()) {
            return wrong(format!("a mean is made of numbers, and this one has {m}"));
        }
        let (basis, values, rest) = match covariance {
            Covariance::Isotropic(v) => (None, vec![], v),
            Covariance::Diagonal(v) if v.len() == dim => (None, v, 0.0),
            Covariance::Diagonal(v) => return wrong(format!("{} variances for {dim} dimensions", v.len())),
            Covariance::Full(rows) => {
                if rows.len() != dim || rows.iter().any(|row| row.len() != dim) {
                    return wrong(format!("the covariance of {dim} dimensions is a {dim} × {dim} matrix"));
                }
                if (0..dim).any(|i| (0..i).any(|j| (rows[i][j] - rows[j][i]).abs() > 1e-9 * (rows[i][i] + rows[j][j])))
                {
                    return wrong("the covariance is not symmetric".into());
                }
                let (basis, values) = eigen(rows);
                (Some(basis), values, 0.0)
            }
            Covariance::LowRank { factors, rest } => {
                if factors.iter().any(|f| f.len() != dim) {
                    return wrong(format!("a factor of {dim} dimensions has {dim} numbers"));
                }
                // FFᵀ and FᵀF have the same eigenvalues, and F maps the vectors of the small one to those of the large.
                let gram = factors.iter().map(|a| factors.iter().map(|b| dot(a, b)).collect()).collect();
                let (vectors, values) = eigen(gram);
                let largest = values.iter().fold(0.0_f64, |a, b| a.max(*b));
                let (mut basis, mut kept) = (vec![], vec![]);
                for (vector, value) in vectors.iter().zip(values).filter(|(_, value)| *value > 1e-14 * largest) {
                    let scale = value.sqrt().recip();
                    basis.push(
                        (0..dim).map(|d| factors.iter().zip(vector).map(|(f, v)| f[d] * v * scale).sum()).collect(),
                    );
                    kept.push(value + rest);
                }
                (Some(basis), kept, rest)
            }
        };
        // What rounding makes of 0 is as small beside the largest.
        let largest = values.iter().fold(rest.abs(), |most, v| most.max(v.abs()));
        match values.iter().copied().chain([rest]).find(|v| !(*v >= -1e-12 * largest && v.is_finite())) {
            Some(v) => wrong(format!("a variance is 0 or more, but the covariance has {v} in some direction")),
            None => {
                let values = values.into_iter().map(|v| v.max(0.0)).collect();
                Ok(Self { log_weight: weight.ln(), mean, basis, values, rest })
            }
        }
    }

    /// ln N(z; α m, C) + ln w, and C⁻¹(z − α m), Σ C⁻¹(z − α m), tr Σ C⁻¹.
    fn look(&self, z: &[f64], c: Scales) -> (f64, Vec<f64>, Vec<f64>, f64) {
        let dim = z.len();
        let noise = c.sigma * c.sigma;
        let total = |v: f64| c.alpha * c.alpha * v + noise;
        let gap: Vec<f64> = z.iter().zip(&self.mean).map(|(z, m)| z - c.alpha * m).collect();
        // v/C, where a point without noise keeps nothing.
        let share = |v: f64| if v == 0.0 { 0.0 } else { v / total(v) };
        let mut log = self.log_weight;
        let (mut turned, mut spread, mut trace);
        match &self.basis {
            None if !self.values.is_empty() => {
                turned = vec![0.0; dim];
                spread = vec![0.0; dim];
                trace = 0.0;
                for i in 0..dim {
                    let v = self.values[i];
                    turned[i] = gap[i] / total(v);
                    spread[i] = gap[i] * share(v);
                    trace += share(v);
                    log -= 0.5 * (gap[i] * turned[i] + (TAU * total(v)).ln());
                }
            }
            _ => {
                // All directions as `rest`, and those of the basis corrected.
                let directions = self.basis.as_deref().unwrap_or(&[]);
                let others = dim - directions.len();
                let complete = others == 0;
                let (inverse, kept) = if complete { (0.0, 0.0) } else { (total(self.rest).recip(), share(self.rest)) };
                turned = gap.iter().map(|g| g * inverse).collect();
                spread = gap.iter().map(|g| g * kept).collect();
                trace = others as f64 * kept;
                let mut square = dot(&gap, &gap) * inverse;
                if !complete {
                    log -= 0.5 * others as f64 * (TAU * total(self.rest)).ln();
                }
                for (u, &v) in directions.iter().zip(&self.values) {
                    let along = dot(u, &gap);
                    let more = total(v).recip() - inverse;
                    square += along * along * more;
                    for d in 0..dim {
                        turned[d] += u[d] * along * more;
                        spread[d] += u[d] * along * (share(v) - kept);
                    }
                    trace += share(v);
                    log -= 0.5 * (TAU * total(v)).ln();
                }
                log -= 0.5 * square;
            }
        }
        (log, turned, spread, trace)
    }

    /// Whether it has no density without noise.
    fn singular(&self) -> bool {
        let others =
            if self.basis.is_some() || self.values.is_empty() { self.mean.len() - self.values.len() } else { 0 };
        self.values.contains(&0.0) || others > 0 && self.rest == 0.0
    }

    fn covariance(&self) -> Vec<Vec<f64>> {
        let dim = self.mean.len();
        let mut full = vec![vec![0.0; dim]; dim];
        for (i, row) in full.iter_mut().enumerate() {
            row[i] = if self.basis.is_none() && !self.values.is_empty() { self.values[i] } else { self.rest };
        }
        for (u, v) in self.basis.iter().flatten().zip(&self.values) {
            for i in 0..dim {
                for j in 0..dim {
                    full[i][j] += u[i] * u[j] * (v - self.rest);
                }
            }
        }
        full
    }
}

/// The orthonormal eigenvectors and the eigenvalues of a symmetric matrix, by Jacobi's rotations.
fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(i == j)).collect()).collect();
    for _ in 0..100 {
        let off: f64 = (0..n).map(|i| (0..i).map(|j| a[i][j].abs()).sum::<f64>()).sum();
        let scale: f64 = (0..n).map(|i| a[i][i].abs()).sum();
        if off <= 1e-17 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cos = tan.hypot(1.0).recip();
                let sin = tan * cos;
                for row in a.iter_mut() {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
                let (head, tail) = a.split_at_mut(q);
                let (top, bottom) = (&mut head[p], &mut tail[0]);
                for (x, y) in top.iter_mut().zip(bottom.iter_mut()) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
                let (head, tail) = vectors.split_at_mut(q);
                for (x, y) in head[p].iter_mut().zip(tail[0].iter_mut()) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
        }
    }
    (vectors, (0..n).map(|i| a[i][i]).collect())
}

impl Mixture {
    /// The mixture of components (weight, mean, covariance) under a noise; weights need not sum to one.
    ///
    /// # Errors
    ///
    /// If there is no component, their dimensions differ, or one is no Gaussian.
    pub fn new(noise: Gaussian, parts: Vec<(f64, Vec<f64>, Covariance)>) -> Result<Self, Error> {
        let dim = parts.first().map_or(0, |(_, mean, _)| mean.len());
        if dim == 0 {
            return Err(Error::invalid("a mixture needs one component of one dimension at least"));
        }
        if let Some(i) = parts.iter().position(|(_, mean, _)| mean.len() != dim) {
            return Err(Error::invalid(format!(
                "component {i} of the mixture has {} dimensions, but the first has {dim}",
                parts[i].1.len()
            )));
        }
        noise.schedule().check()?;
        let total: f64 = parts.iter().map(|(weight, ..)| weight).sum();
        let parts = parts.into_iter().enumerate();
        let parts = parts.map(|(i, (weight, mean, covariance))| Part::new(i, weight / total, mean, covariance));
        Ok(Self { noise, parts: parts.collect::<Result<_, _>>()?, dim })
    }

    /// Data from one Gaussian.
    ///
    /// # Errors
    ///
    /// As [`new`](Mixture::new).
    pub fn gaussian(noise: Gaussian, mean: Vec<f64>, covariance: Covariance) -> Result<Self, Error> {
        Self::new(noise, vec![(1.0, mean, covariance)])
    }

    /// A data set: each of its points alike, spread by `std` (0 for the points themselves).
    ///
    /// # Errors
    ///
    /// As [`new`](Mixture::new).
    pub fn empirical(noise: Gaussian, points: Vec<Vec<f64>>, std: f64) -> Result<Self, Error> {
        Self::new(noise, points.into_iter().map(|x| (1.0, x, Covariance::Isotropic(std * std))).collect())
    }

    /// The same data under another noise.
    pub fn under(&self, noise: Gaussian) -> Self {
        Self { noise, ..self.clone() }
    }

    /// The numbers of a point.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Everything that is known of a noisy point where the scales are `c`.
    ///
    /// Without noise, σ = 0, data at points (or on lines, …) have no density: all is then the limit of vanishing noise. x̂ is the
    /// nearest point, ln p and the score are infinite.
    ///
    /// # Panics
    ///
    /// If `z` has not as many numbers as the data.
    pub fn look(&self, z: &[f64], c: Scales) -> Look {
        assert_eq!(z.len(), self.dim, "a point of this mixture has {} numbers, not {}", self.dim, z.len());
        let singular = c.sigma == 0.0 && self.parts.iter().any(Part::singular);
        // So little noise that it is none beside any number, and whose square is still a number.
        let near = if singular { Scales { sigma: 1e-150, ..c } } else { c };
        let looks: Vec<_> = self.parts.iter().map(|part| part.look(z, near)).collect();
        let most = looks.iter().fold(f64::NEG_INFINITY, |most, look| most.max(look.0));
        let weights: Vec<f64> = looks.iter().map(|look| (look.0 - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let (mut x, mut eps, mut score) = (vec![0.0; self.dim], vec![0.0; self.dim], vec![0.0; self.dim]);
        let mut divergence = 0.0;
        for ((part, (_, turned, spread, trace)), weight) in self.parts.iter().zip(&looks).zip(&weights) {
            let weight = weight / total;
            for d in 0..self.dim {
                x[d] += weight * (part.mean[d] + c.alpha * spread[d]);
                eps[d] += weight * near.sigma * turned[d];
                score[d] -= weight * turned[d];
            }
            divergence += weight * trace;
        }
        if self.parts.len() > 1 && c.sigma > 0.0 {
            for ((part, (_, _, spread, _)), weight) in self.parts.iter().zip(&looks).zip(&weights) {
                let gap: f64 = (0..self.dim).map(|d| (part.mean[d] + c.alpha * spread[d] - x[d]).powi(2)).sum();
                divergence += weight / total * gap / (c.sigma * c.sigma);
            }
        }
        let mut log_density = most + total.ln();
        if singular {
            let limit = |x: f64| match x.abs() {
                size if size < 1e-100 => 0.0,
                size if size > 1e100 => x.signum() * f64::INFINITY,
                _ => x,
            };
            eps.iter_mut().chain(&mut score).for_each(|x| *x = limit(*x));
            let nearest = looks.iter().zip(&self.parts).find(|(look, _)| look.0 == most);
            log_density = match limit(log_density) {
                log if log.is_finite() && nearest.is_some_and(|(_, part)| part.singular()) => f64::INFINITY,
                log => log,
            };
        }
        Look { log_density, x, eps, score, divergence: c.alpha * divergence }
    }

    /// `E[x]`.
    pub fn mean(&self) -> Vec<f64> {
        let weighted = |d: usize| self.parts.iter().map(|part| part.log_weight.exp() * part.mean[d]).sum();
        (0..self.dim).map(weighted).collect()
    }

    /// `Cov[x]`, as rows.
    pub fn covariance(&self) -> Vec<Vec<f64>> {
        let mean = self.mean();
        let mut full = vec![vec![0.0; self.dim]; self.dim];
        for part in &self.parts {
            let own = part.covariance();
            for i in 0..self.dim {
                for j in 0..self.dim {
                    let apart = (part.mean[i] - mean[i]) * (part.mean[j] - mean[j]);
                    full[i][j] += part.log_weight.exp() * (own[i][j] + apart);
                }
            }
        }
        full
    }

    /// `E[x_t] = α E[x]` and `Cov[x_t] = α² Cov[x] + σ² I`.
    pub fn moments(&self, t: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let c = self.noise.schedule().at(t);
        let (mut mean, mut covariance) = (self.mean(), self.covariance());
        mean.iter_mut().for_each(|m| *m *= c.alpha);
        for (i, row) in covariance.iter_mut().enumerate() {
            row.iter_mut().for_each(|v| *v *= c.alpha * c.alpha);
            row[i] += c.sigma * c.sigma;
        }
        (mean, covariance)
    }

    /// n draws of x_t; draw i depends on row i of the stream alone.
    pub fn sample_at(&self, n: usize, t: f64, rng: &mut Rng) -> Vec<Vec<f64>> {
        let c = self.noise.schedule().at(t);
        let noise = rng.stream("noise").normals(n, self.dim);
        let mut draws = self.sample(n, rng);
        for (x, noise) in draws.iter_mut().zip(noise.chunks(self.dim)) {
            x.iter_mut().zip(noise).for_each(|(x, noise)| *x = c.alpha * *x + c.sigma * noise);
        }
        draws
    }

    /// n draws of x; draw i depends on row i of the stream alone.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
        let which = rng.uniforms(n, 1);
        let count = self.dim + self.parts.iter().map(|part| part.values.len()).max().unwrap_or(0);
        let normals = rng.normals(n, count);
        let draw = |i: usize| {
            let mut left = which[i];
            let part = self
                .parts
                .iter()
                .find(|part| {
                    left -= part.log_weight.exp();
                    left <= 0.0
                })
                .unwrap_or(&self.parts[self.parts.len() - 1]);
            let (own, along) = normals[i * count..(i + 1) * count].split_at(self.dim);
            match &part.basis {
                None => (0..self.dim)
                    .map(|d| part.mean[d] + own[d] * part.values.get(d).copied().unwrap_or(part.rest).sqrt())
                    .collect(),
                Some(basis) => {
                    // rest everywhere, and what is more along the directions.
                    let mut x: Vec<f64> = (0..self.dim).map(|d| part.mean[d] + own[d] * part.rest.sqrt()).collect();
                    for ((u, v), n) in basis.iter().zip(&part.values).zip(along) {
                        let scale = n * (v - part.rest).max(0.0).sqrt();
                        x.iter_mut().zip(u).for_each(|(x, u)| *x += u * scale);
                    }
                    x
                }
            }
        };
        (0..n).map(draw).collect()
    }

    /// Both guesses for a batch: `f` of each row's look, as a tensor like `z`.
    fn rows<const D: usize>(&self, z: Tensor<D>, t: &[f64], f: impl Fn(Look, Scales) -> Vec<f64> + Sync) -> Tensor<D> {
        let (dims, device, dtype) = (z.dims(), z.device(), z.dtype());
        let path = self.noise.schedule();
        let scales: Vec<Scales> = t.iter().map(|&t| path.at(t)).collect();
        let points = host(z);
        let work = |(i, z): (usize, &[f64])| {
            let c = scales[i % scales.len()];
            f(self.look(z, c), c)
        };
        let values: Vec<f64> = if points.len() * self.parts.len() > 4096 {
            points.par_chunks(self.dim).enumerate().flat_map_iter(work).collect()
        } else {
            points.chunks(self.dim).enumerate().flat_map(work).collect()
        };
        Tensor::from_data(TensorData::new(values, dims), (&device, dtype))
    }

    /// ln p(x_t) of each row: `[rows]`.
    pub fn log_density<const D: usize>(&self, z: Tensor<D>, t: f64) -> Vec<f64> {
        let c = self.noise.schedule().at(t);
        host(z).chunks(self.dim).map(|z| self.look(z, c).log_density).collect()
    }

    /// ∇ ln p(x_t).
    pub fn score<const D: usize>(&self, z: Tensor<D>, t: f64) -> Tensor<D> {
        self.rows(z, &[t], |look, _| look.score)
    }

    /// Where the probability flow through x_t = `z` is at s, to about 1e-11: both ways, s < t or s > t.
    ///
    /// # Panics
    ///
    /// If `z` is not double precision, which the tolerances need.
    pub fn flow<const D: usize>(&self, z: Tensor<D>, t: f64, s: f64) -> Tensor<D> {
        assert_eq!(z.dtype(), DType::F64, "a reference solution is computed in double precision");
        DormandPrince { absolute: 1e-12, relative: 1e-12 }.step(self, z, TimeStep::new(t, s), &mut Rng::new(0))
    }

    /// ln p(x_s) of each row by the flow from s to t, where its density is `terminal`: the change of variables along
    /// the flow, `ln p(x_s) = ln p(x_t) + ∫ div u dt`, with the exact divergence.
    ///
    /// # Panics
    ///
    /// As [`flow`](Mixture::flow), and if there is no noise at s: a density of the data themselves has no flow to follow.
    pub fn log_likelihood<const D: usize>(&self, z: Tensor<D>, s: f64, t: f64, terminal: Terminal) -> Vec<f64> {
        assert_eq!(z.dtype(), DType::F64, "a reference likelihood is computed in double precision");
        let rows = z.dims()[0];
        let trace = |z: Tensor<D>, t: f64| {
            let c = self.noise.schedule().at(t);
            let values: Vec<f64> = host(z.clone()).chunks(self.dim).map(|z| self.look(z, c).divergence).collect();
            Tensor::from_data(TensorData::new(values, [rows]), (&z.device(), DType::F64))
        };
        let (end, gained) = transport(self, z, s, t, (1e-12, 1e-12), trace);
        let c = self.noise.schedule().at(t);
        let last: Vec<f64> = host(end)
            .chunks(self.dim)
            .map(|z| match terminal {
                Terminal::Exact => self.look(z, c).log_density,
                Terminal::Noise => {
                    -0.5 * (dot(z, z) / c.sigma.powi(2) + self.dim as f64 * (TAU * c.sigma.powi(2)).ln())
                }
            })
            .collect();
        last.into_iter().zip(host(gained)).map(|(last, gained)| last + gained).collect()
    }
}

/// The density at the end of a likelihood's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The data's own at that time.
    Exact,
    /// N(0, σ²), the law sampling starts from.
    Noise,
}

impl<const D: usize> Denoiser<D> for Mixture {
    fn noise(&self) -> &dyn Noise<D> {
        &self.noise
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.rows(z, t, |look, c| match self.noise.prediction() {
            // σ′ ε̂ = −½ (σ²)′ ∇ ln p, a number also where σ = 0 and σ′ is infinite.
            Prediction::Velocity => {
                look.x.iter().zip(&look.score).map(|(x, s)| c.alpha_dot * x - 0.5 * c.variance_dot * s).collect()
            }
            Prediction::Score => look.score,
            _ => {
                let [a, b] = self.noise.row(c);
                look.x.iter().zip(&look.eps).map(|(x, eps)| a * x + b * eps).collect()
            }
        })
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        // x̂ itself: no word is solved for it, so nothing cancels.
        self.rows(z, t, |look, _| look.x).into()
    }
}

/// A model that says where the flow of another ends: an exact consistency model.
#[derive(Clone, Debug)]
pub struct FlowEnd<'a>(pub &'a Mixture);
impl<const D: usize> Denoiser<D> for FlowEnd<'_> {
    fn noise(&self) -> &dyn Noise<D> {
        &self.0.noise
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let x = Denoiser::<D>::denoise(self, z.clone(), t).mean;
        Noise::<D>::target(&self.0.noise, x, z, t)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        assert_eq!(t.len(), 1, "a consistency model is asked at one time for the whole batch");
        let tolerances = DormandPrince { absolute: 1e-8, relative: 1e-8 };
        tolerances.step(self.0, z, TimeStep::new(t[0], 0.0), &mut Rng::new(0)).into()
    }
}

/// The flow of a denoiser from s to t, and `∫ div u` along it; `trace` gives `tr ∂x̂/∂z` of each row.
///
/// With `w = z/n`, `n = √(α² + σ²)`, `φ = arctan(σ/α)`: `dw/dφ = (cos φ w − x̂)/sin φ`, so
/// `div = (d cos φ − n tr ∂x̂/∂z)/sin φ`.
fn transport<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    s: f64,
    t: f64,
    tolerances: (f64, f64),
    mut trace: impl FnMut(Tensor<D>, f64) -> Tensor<1>,
) -> (Tensor<D>, Tensor<1>) {
    use crate::sample::{angle, polar};
    let path = model.noise().path().expect("a flow needs Gaussian noise");
    let (start, end) = (path.at(s), path.at(t));
    assert!(
        start.sigma > 0.0 && end.sigma > 0.0,
        "a likelihood is that of x_s at a noise above 0, and σ is {} at s = {s} and {} at t = {t}",
        start.sigma,
        end.sigma
    );
    let ((norm, from), (last, to)) = (polar(start), polar(end));
    let count = z.dims()[1..].iter().product::<usize>() as f64;
    let zero = Tensor::<1>::zeros([z.dims()[0]], (&z.device(), z.dtype()));
    let ((w, gained), _) = integrate(
        |phi, (w, _): (Tensor<D>, Tensor<1>)| {
            let (time, c) = if phi == from {
                (s, start)
            } else if phi == to {
                (t, end)
            } else {
                angle(path, phi)
            };
            let (sin, cos) = phi.sin_cos();
            let n = c.alpha.hypot(c.sigma);
            let z = w.clone() * n;
            let x = model.denoise(z.clone(), &[time]).mean;
            let divergence = trace(z, time) * (-n / sin) + count * cos / sin;
            (w * (cos / sin) - x * sin.recip(), divergence)
        },
        (z * norm.recip(), zero),
        from,
        to,
        tolerances,
        None,
    );
    // w is z over n, so ln p(z) and ln p(w) differ by d ln n at each end.
    (w * last, gained + count * (last / norm).ln())
}

/// ln p(x_s) of each row under a net, by its probability flow from s to 1 and Hutchinson's estimate of the divergence,
/// `tr J ≈ mean vᵀ J v` over `probes` signs v, with `J v` by a central difference of width `delta`.
///
/// s > 0 where σ(0) = 0: the density of data lives at a positive noise. Any [`Denoiser`] will do; no gradient is asked for.
///
/// Song et al. (2021), section 4.3, <https://arxiv.org/abs/2011.13456>.
///
/// # Panics
///
/// If the noise is not Gaussian, there is none at s, or `probes` or `delta` is 0.
pub fn log_likelihood<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    s: f64,
    tolerances: (f64, f64),
    (probes, delta): (usize, f64),
    rng: &mut Rng,
) -> Vec<f64> {
    assert!(probes > 0 && delta > 0.0, "a divergence is estimated by one probe or more, of a width above 0");
    let signs: Vec<Tensor<D>> =
        (0..probes).map(|_| rng.uniform_tensor(z.dims(), &z.device(), z.dtype()).sub_scalar(0.5).sign()).collect();
    let rows = z.dims()[0];
    let trace = |z: Tensor<D>, t: f64| {
        let mut total = Tensor::<1>::zeros([rows], (&z.device(), z.dtype()));
        for v in &signs {
            let (up, down) = (z.clone() + v.clone() * delta, z.clone() - v.clone() * delta);
            let turn = model.denoise(up, &[t]).mean - model.denoise(down, &[t]).mean;
            let along: Tensor<2> = (turn * v.clone()).reshape([rows, 0]);
            total = total + along.sum_dim(1).reshape([rows]) * (0.5 / delta / probes as f64);
        }
        total
    };
    let (end, gained) = transport(model, z, s, 1.0, tolerances, trace);
    let sigma = model.noise().path().expect("a flow needs Gaussian noise").at(1.0).sigma;
    let dim = end.dims()[1..].iter().product::<usize>();
    let last = host(end);
    let last = last.chunks(dim).map(|z| -0.5 * (dot(z, z) / sigma.powi(2) + dim as f64 * (TAU * sigma.powi(2)).ln()));
    last.zip(host(gained)).map(|(last, gained)| last + gained).collect()
}
