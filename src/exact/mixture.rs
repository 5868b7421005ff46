//! Mixtures of Gaussians under Gaussian noise.
use super::{
    closed_form::ClosedForm,
    component::{Component, ComponentCovariance, dot},
    limit::{FAR, NO_NOISE, far_weights, spread, without_noise},
};
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::{Error, Result},
    likelihood::transport,
    noise::{Estimate, Gaussian, Noise, Prediction},
    rng::Rng,
    sample::{DormandPrince, Sampler, TimeStep},
    schedule::Scales,
};
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;
use std::f64::consts::TAU;

/// Data from a mixture of Gaussians under Gaussian noise, with its exact denoiser.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{denoise::Denoiser, exact::{ComponentCovariance, Mixture}, noise::Gaussian, schedule::OrnsteinUhlenbeck};
/// let noise = Gaussian::new(OrnsteinUhlenbeck {});
/// let model = Mixture::gaussian(noise, vec![2.0], ComponentCovariance::Isotropic(4.0))?;
/// // α = 0.8, σ = 0.6: x̂ = m + α v/(α² v + σ²) (z − α m) = 2 − 3.2/2.92 · 1.6
/// let x = model.denoise(Tensor::<2>::zeros([1, 1], &Device::flex()), &[0.6]).mean;
/// assert!((x.into_scalar::<f32>() - 0.246575).abs() < 1e-6);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[doc(alias = "GMM")]
#[derive(Clone, Debug)]
pub struct Mixture {
    noise: Gaussian,
    components: Vec<Component>,
    dim: usize,
}

impl Mixture {
    /// Builds the mixture of components (weight, mean, covariance) under a noise; weights are normalized.
    ///
    /// # Errors
    ///
    /// If `components` is empty, their dimensions differ, or one is not a Gaussian.
    pub fn new(noise: Gaussian, components: Vec<(f64, Vec<f64>, ComponentCovariance)>) -> Result<Self> {
        let dim = components.first().map_or(0, |(_, mean, _)| mean.len());
        if dim == 0 {
            return Err(Error::invalid("a mixture must have at least one component of at least one dimension"));
        }
        if let Some(i) = components.iter().position(|(_, mean, _)| mean.len() != dim) {
            return Err(Error::invalid(format!(
                "component {i} of the mixture has {} dimensions, but the first has {dim}",
                components[i].1.len()
            )));
        }
        noise.schedule().check()?;
        if let Some((i, (weight, ..))) = components.iter().enumerate().find(|(_, (w, ..))| !(*w > 0.0 && w.is_finite()))
        {
            let problem = format!("component {i} of the mixture: the weight must be a positive number, got {weight}");
            return Err(Error::invalid(problem));
        }
        let sum: f64 = components.iter().map(|(weight, ..)| weight).sum();
        // In units of the largest if the sum overflows.
        let unit = if sum.is_finite() { 1.0 } else { components.iter().fold(0.0_f64, |most, (w, ..)| most.max(*w)) };
        let total: f64 = components.iter().map(|(weight, ..)| weight / unit).sum();
        let components = components.into_iter().enumerate();
        let components = components
            .map(|(i, (weight, mean, covariance))| Component::new(i, weight / unit / total, mean, covariance));
        Ok(Self { noise, components: components.collect::<Result<_, _>>()?, dim })
    }

    /// Builds the model of data from one Gaussian.
    ///
    /// # Errors
    ///
    /// As [`new`](Mixture::new).
    pub fn gaussian(noise: Gaussian, mean: Vec<f64>, covariance: ComponentCovariance) -> Result<Self> {
        Self::new(noise, vec![(1.0, mean, covariance)])
    }

    /// Builds the model of a data set: its points with equal weights, each a Gaussian of standard deviation `std` (0 for the
    /// points themselves).
    ///
    /// # Errors
    ///
    /// As [`new`](Mixture::new).
    pub fn empirical(noise: Gaussian, points: Vec<Vec<f64>>, std: f64) -> Result<Self> {
        Self::new(noise, points.into_iter().map(|x| (1.0, x, ComponentCovariance::Isotropic(std * std))).collect())
    }

    /// Returns the same data under another noise.
    pub fn with_noise(&self, noise: Gaussian) -> Self {
        Self { noise, ..self.clone() }
    }

    /// Returns the dimension of the data.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Computes the closed form at a noisy point for the scales `c`.
    ///
    /// Without noise, σ = 0, data at points (or on lines, …) have no density; the result is then the limit of vanishing noise. On
    /// the support of a component without density ln p is +∞, and the score is that along the support. Off every support x̂ is the
    /// nearest point of one, ln p is −∞, and the score is infinite towards it. A point is on a support if its distance is rounding.
    ///
    /// Far from every component p(k | x_t) is computed from differences of distances: it is right where ln p is −10¹² or overflows.
    ///
    /// # Panics
    ///
    /// If the dimension of `z` is not that of the data.
    pub fn closed_form(&self, z: &[f64], c: Scales) -> ClosedForm {
        assert_eq!(z.len(), self.dim, "a point of this mixture has {} dimensions, not {}", self.dim, z.len());
        if c.sigma < NO_NOISE && self.components.iter().any(Component::singular) {
            return without_noise(&self.components, z, c);
        }
        let points: Vec<_> = self.components.iter().map(|component| component.at(z, c)).collect();
        let most = points.iter().fold(f64::NEG_INFINITY, |most, point| most.max(point.log));
        let near = most > FAR || points.len() == 1;
        let weights: Vec<f64> = if points.len() == 1 {
            // Of the only one the density may be beyond the numbers.
            vec![1.0]
        } else if near {
            points.iter().map(|point| if point.log == most { 1.0 } else { (point.log - most).exp() }).collect()
        } else {
            far_weights(&self.components.iter().collect::<Vec<_>>(), z, c)
        };
        let total: f64 = weights.iter().sum();
        let (mut x, mut eps, mut score) = (vec![0.0; self.dim], vec![0.0; self.dim], vec![0.0; self.dim]);
        let mut divergence = 0.0;
        for ((component, point), weight) in self.components.iter().zip(&points).zip(&weights) {
            let weight = weight / total;
            // Far away what a component without weight would say may overflow.
            if weight == 0.0 {
                continue;
            }
            for d in 0..self.dim {
                x[d] += weight * (component.mean[d] + c.alpha * point.shift[d]);
                eps[d] += weight * c.sigma * point.whitened[d];
                score[d] -= weight * point.whitened[d];
            }
            divergence += weight * point.trace;
        }
        let far = if near { None } else { spread(&self.components, &weights, c) };
        if let Some(spread) = far {
            divergence += spread;
        } else if self.components.len() > 1 && c.sigma > NO_NOISE {
            for ((component, point), weight) in self.components.iter().zip(&points).zip(&weights) {
                if *weight == 0.0 {
                    continue;
                }
                let gap: f64 =
                    (0..self.dim).map(|d| (component.mean[d] + c.alpha * point.shift[d] - x[d]).powi(2)).sum();
                divergence += weight / total * gap / (c.sigma * c.sigma);
            }
        }
        let log_density = most + total.ln();
        ClosedForm { log_density, x, eps, score, divergence: c.alpha * divergence }
    }

    /// Computes `E[x]`.
    pub fn mean(&self) -> Vec<f64> {
        let weighted =
            |d: usize| self.components.iter().map(|component| component.log_weight.exp() * component.mean[d]).sum();
        (0..self.dim).map(weighted).collect()
    }

    /// Computes `Cov[x]`, as rows.
    pub fn covariance(&self) -> Vec<Vec<f64>> {
        let mean = self.mean();
        let mut full = vec![vec![0.0; self.dim]; self.dim];
        for component in &self.components {
            let own = component.covariance();
            for i in 0..self.dim {
                for j in 0..self.dim {
                    let apart = (component.mean[i] - mean[i]) * (component.mean[j] - mean[j]);
                    full[i][j] += component.log_weight.exp() * (own[i][j] + apart);
                }
            }
        }
        full
    }

    /// Computes `E[x_t] = α E[x]` and `Cov[x_t] = α² Cov[x] + σ² I`.
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

    /// Samples x_t n times; sample i depends on row i of the stream alone.
    pub fn sample_at(&self, n: usize, t: f64, rng: &mut Rng) -> Vec<Vec<f64>> {
        let c = self.noise.schedule().at(t);
        let noise = rng.stream("noise").normals(n, self.dim);
        let mut samples = self.sample(n, rng);
        for (x, noise) in samples.iter_mut().zip(noise.chunks(self.dim)) {
            x.iter_mut().zip(noise).for_each(|(x, noise)| *x = c.alpha * *x + c.sigma * noise);
        }
        samples
    }

    /// Samples x n times; sample i depends on row i of the stream alone.
    pub fn sample(&self, n: usize, rng: &mut Rng) -> Vec<Vec<f64>> {
        let which = rng.uniforms(n, 1);
        let count = self.dim + self.components.iter().map(|component| component.values.len()).max().unwrap_or(0);
        let normals = rng.normals(n, count);
        let draw = |i: usize| {
            let mut left = which[i];
            let component = self
                .components
                .iter()
                .find(|component| {
                    left -= component.log_weight.exp();
                    left <= 0.0
                })
                .unwrap_or(&self.components[self.components.len() - 1]);
            let (own, along) = normals[i * count..(i + 1) * count].split_at(self.dim);
            match &component.basis {
                None => (0..self.dim)
                    .map(|d| {
                        component.mean[d] + own[d] * component.values.get(d).copied().unwrap_or(component.rest).sqrt()
                    })
                    .collect(),
                Some(basis) => {
                    // `rest` in all directions, and the difference along those of the basis.
                    let mut x: Vec<f64> =
                        (0..self.dim).map(|d| component.mean[d] + own[d] * component.rest.sqrt()).collect();
                    for ((u, v), n) in basis.iter().zip(&component.values).zip(along) {
                        let scale = n * (v - component.rest).max(0.0).sqrt();
                        x.iter_mut().zip(u).for_each(|(x, u)| *x += u * scale);
                    }
                    x
                }
            }
        };
        (0..n).map(draw).collect()
    }

    /// Computes `f` of the closed form of each row, as a tensor like `z`.
    fn map_rows<const D: usize>(
        &self,
        z: Tensor<D>,
        t: &[f64],
        f: impl Fn(ClosedForm, Scales) -> Vec<f64> + Sync,
    ) -> Tensor<D> {
        let (dims, device, dtype) = (z.dims(), z.device(), z.dtype());
        let path = self.noise.schedule();
        let scales: Vec<Scales> = t.iter().map(|&t| path.at(t)).collect();
        let points = host(z);
        let work = |(i, z): (usize, &[f64])| {
            let c = scales[i % scales.len()];
            f(self.closed_form(z, c), c)
        };
        let values: Vec<f64> = if points.len() * self.components.len() > 4096 {
            points.par_chunks(self.dim).enumerate().flat_map_iter(work).collect()
        } else {
            points.chunks(self.dim).enumerate().flat_map(work).collect()
        };
        Tensor::from_data(TensorData::new(values, dims), (&device, dtype))
    }

    /// Computes ln p(x_t) of each row.
    pub fn log_density<const D: usize>(&self, z: Tensor<D>, t: f64) -> Vec<f64> {
        let c = self.noise.schedule().at(t);
        host(z).chunks(self.dim).map(|z| self.closed_form(z, c).log_density).collect()
    }

    /// Computes the score ∇ ln p(x_t).
    pub fn score<const D: usize>(&self, z: Tensor<D>, t: f64) -> Tensor<D> {
        self.map_rows(z, &[t], |closed, _| closed.score)
    }

    /// Solves the probability flow from x_t = `z` to s, to about 1e-11, for s < t or s > t.
    ///
    /// # Panics
    ///
    /// If `z` is not double precision, which the tolerances need.
    pub fn flow<const D: usize>(&self, z: Tensor<D>, t: f64, s: f64) -> Tensor<D> {
        assert_eq!(z.dtype(), DType::F64, "a reference solution is computed in double precision");
        DormandPrince { absolute: 1e-12, relative: 1e-12, max_steps: 1_000_000 }.step(
            self,
            z,
            TimeStep::new(t, s),
            &mut Rng::new(0),
        )
    }

    /// Computes ln p(x_s) of each row by the probability flow from s to t, where the density is `terminal`.
    ///
    /// The change of variables along the flow is `ln p(x_s) = ln p(x_t) + ∫ div u dt`, with the exact divergence.
    ///
    /// # Errors
    ///
    /// If `z` is not double precision, which the tolerances need, or σ = 0 at s, where the flow has no finite velocity.
    pub fn log_likelihood<const D: usize>(&self, z: Tensor<D>, s: f64, t: f64, terminal: Terminal) -> Result<Vec<f64>> {
        if z.dtype() != DType::F64 {
            let problem = format!("a reference likelihood is computed in double precision, and z is {:?}", z.dtype());
            return Err(Error::invalid(problem).with_remedy("cast it with `z.cast(DType::F64)`"));
        }
        let rows = z.dims()[0];
        let trace = |z: Tensor<D>, t: f64| {
            let c = self.noise.schedule().at(t);
            let values: Vec<f64> =
                host(z.clone()).chunks(self.dim).map(|z| self.closed_form(z, c).divergence).collect();
            Tensor::from_data(TensorData::new(values, [rows]), (&z.device(), DType::F64))
        };
        let (end, gained) = transport(self, z, s, t, (1e-12, 1e-12), trace)?;
        let c = self.noise.schedule().at(t);
        let last: Vec<f64> = host(end)
            .chunks(self.dim)
            .map(|z| match terminal {
                Terminal::Exact => self.closed_form(z, c).log_density,
                Terminal::Noise => {
                    -0.5 * (dot(z, z) / c.sigma.powi(2) + self.dim as f64 * (TAU * c.sigma.powi(2)).ln())
                }
            })
            .collect();
        Ok(last.into_iter().zip(host(gained)).map(|(last, gained)| last + gained).collect())
    }
}

/// Density at the end of the flow of a likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// The exact density of x_t.
    Exact,
    /// N(0, σ²), the stationary distribution from which sampling starts.
    Noise,
}

impl Mixture {
    /// Returns the output, in the noise's prediction type, of a network that knows the mixture; finite also if σ = 0, where x̂
    /// does not determine it.
    pub fn predict<const D: usize>(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.map_rows(z, t, |closed, c| match self.noise.prediction() {
            // σ′ ε̂ = −½ (σ²)′ ∇ ln p, finite also if σ = 0 and σ′ is infinite.
            Prediction::Velocity => {
                let noise = |(s, eps): (&f64, &f64)| match s.is_infinite() {
                    true => c.sigma_dot * eps,
                    false => -0.5 * c.variance_dot * s,
                };
                let noises = closed.score.iter().zip(&closed.eps).map(noise);
                closed.x.iter().zip(noises).map(|(x, noise)| c.alpha_dot * x + noise).collect()
            }
            Prediction::Score => closed.score,
            _ => {
                let [a, b] = self.noise.row(c);
                closed.x.iter().zip(&closed.eps).map(|(x, eps)| a * x + b * eps).collect()
            }
        })
    }
}

impl<const D: usize> Denoiser<D> for Mixture {
    fn noise(&self) -> &dyn Noise<D> {
        &self.noise
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        // x̂ itself, not solved for from a prediction, so nothing cancels.
        self.map_rows(z, t, |closed, _| closed.x).into()
    }
}
