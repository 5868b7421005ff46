//! Textbook interfaces: the same mathematics under the names of two papers, for readers who come from them.
//!
//! [`DiffusionProcess`] evaluates α(t), σ(t) and x_t on tensors of times, as DiffusionLab's class of that name does;
//! [`DenoiseDiffusion`] is DDPM with step numbers 0 … T − 1, as labml's class of that name writes it. Each method is a call of
//! [`Schedule`] or [`Gaussian`] and computes the same bits. They are for reading along with the papers and for small experiments; new
//! schedules, networks and samplers are built on the traits.
use crate::{
    distribution::host,
    dual::Dual,
    error::Result,
    noise::{Gaussian, Noise, Variance},
    rng::Rng,
    schedule::{
        FlowMatching, Linear, OrnsteinUhlenbeck, Scales, Schedule, Table, VariancePreserving, exploding, process,
    },
};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use std::{fmt, sync::Arc};

/// Continuous process `x_t = α(t) x + σ(t) ε`, evaluated on tensors of times.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::process::DiffusionProcess;
/// let flow = DiffusionProcess::flow_matching();
/// let device = Device::flex();
/// let t = Tensor::<1>::from_floats([0.25, 1.0], &device);
/// let (x, eps) = (Tensor::<2>::ones([2, 3], &device), Tensor::<2>::zeros([2, 3], &device));
/// let z = flow.forward(x, t, eps).try_into_vec_as::<f32>().unwrap();
/// assert_eq!(z, [0.75, 0.75, 0.75, 0.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct DiffusionProcess {
    schedule: Arc<dyn Schedule>,
}
impl DiffusionProcess {
    /// The process of a schedule.
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self { schedule: Arc::new(schedule) }
    }
    /// Flow matching: α = 1 − t, σ = t.
    pub fn flow_matching() -> Self {
        Self::new(FlowMatching {})
    }
    /// Ornstein–Uhlenbeck process: α = √(1 − t²), σ = t.
    pub fn ornstein_uhlenbeck() -> Self {
        Self::new(OrnsteinUhlenbeck {})
    }
    /// Variance-exploding process: α = 1 and any σ.
    pub fn variance_exploding(sigma: impl Fn(Dual) -> Dual + Send + Sync + 'static) -> Self {
        Self::new(exploding(sigma))
    }
    /// Variance-preserving process, the limit of DDPM's table.
    pub fn variance_preserving() -> Self {
        Self::new(VariancePreserving::default())
    }
    /// Process of any α and σ over [`Dual`] numbers, which carry the slopes.
    pub fn from_functions(
        alpha: impl Fn(Dual) -> Dual + Send + Sync + 'static,
        sigma: impl Fn(Dual) -> Dual + Send + Sync + 'static,
    ) -> Self {
        Self::new(process(alpha, sigma))
    }
    /// Returns the schedule.
    pub fn schedule(&self) -> &Arc<dyn Schedule> {
        &self.schedule
    }

    fn map<const E: usize>(&self, t: Tensor<E>, f: impl Fn(Scales) -> f64) -> Tensor<E> {
        let (shape, device, dtype) = (t.dims(), t.device(), t.dtype());
        let values: Vec<f64> = host(t).into_iter().map(|t| f(self.schedule.at(t))).collect();
        Tensor::from_data(TensorData::new(values, shape), (&device, dtype))
    }
    /// α(t), shaped like t.
    pub fn alpha<const E: usize>(&self, t: Tensor<E>) -> Tensor<E> {
        self.map(t, |c| c.alpha)
    }
    /// σ(t).
    pub fn sigma<const E: usize>(&self, t: Tensor<E>) -> Tensor<E> {
        self.map(t, |c| c.sigma)
    }
    /// dα/dt.
    pub fn alpha_prime<const E: usize>(&self, t: Tensor<E>) -> Tensor<E> {
        self.map(t, |c| c.alpha_dot)
    }
    /// dσ/dt.
    pub fn sigma_prime<const E: usize>(&self, t: Tensor<E>) -> Tensor<E> {
        self.map(t, |c| c.sigma_dot)
    }
    /// Computes x_t = α(t) x + σ(t) ε.
    ///
    /// # Shapes
    ///
    /// `x`, `eps`: `[n, …]`; `t`: `[n]`, `[n, 1, …]`, `[1]` for all rows, or any other shape whose axes, counted from the first,
    /// are 1 or those of `x`; missing trailing axes are 1.
    ///
    /// # Panics
    ///
    /// If `t` has an axis that is neither 1 nor that of `x`, or more axes than `x`.
    #[doc(alias("add_noise", "q_sample"))]
    pub fn forward<const D: usize, const E: usize>(&self, x: Tensor<D>, t: Tensor<E>, eps: Tensor<D>) -> Tensor<D> {
        let (own, dims) = (t.dims(), x.dims());
        assert!(
            E <= D && own.iter().zip(&dims).all(|(t, x)| *t == 1 || t == x),
            "times of shape {own:?} do not broadcast to data of shape {dims:?}: each of their axes, from the first on, must be 1 or \
             that of the data"
        );
        let mut shape = [1; D];
        shape[..E].copy_from_slice(&own);
        let scales: Vec<Scales> = host(t).into_iter().map(|t| self.schedule.at(t)).collect();
        let lift = |f: fn(&Scales) -> f64| -> Tensor<D> {
            let values: Vec<f64> = scales.iter().map(f).collect();
            Tensor::from_data(TensorData::new(values, shape), (&x.device(), x.dtype()))
        };
        let (alpha, sigma) = (lift(|c| c.alpha), lift(|c| c.sigma));
        x * alpha + eps * sigma
    }
}

/// DDPM with T steps in the notation of its paper: ε is predicted from x_t and the step number.
///
/// β rises from 1e-4 to 0.02 and the variance of p(x_{t−1} | x_t) is β_t. `eps_model` is any function of x_t and of the step
/// numbers 0 … T − 1, one per row. Step number t is time (t + 1)/T of [`Linear`].
///
/// Ho, Jain and Abbeel (2020), <https://arxiv.org/abs/2006.11239>.
pub struct DenoiseDiffusion<const D: usize, E> {
    /// ε̂(x_t, t).
    pub eps_model: E,
    table: Table,
    noise: Gaussian,
}
impl<const D: usize, E> fmt::Debug for DenoiseDiffusion<D, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DenoiseDiffusion").field("n_steps", &self.table.len()).finish_non_exhaustive()
    }
}
impl<const D: usize, E: Fn(Tensor<D>, Tensor<1, Int>) -> Tensor<D>> DenoiseDiffusion<D, E> {
    /// The diffusion of a model over `n_steps` steps.
    ///
    /// # Errors
    ///
    /// If `n_steps` is 0.
    pub fn new(eps_model: E, n_steps: usize) -> Result<Self> {
        let table = Linear::new(n_steps).table()?.clone();
        let noise = Gaussian::new(table.clone()).with_variance(Variance::Large);
        Ok(Self { eps_model, table, noise })
    }
    /// Number of steps T.
    pub fn n_steps(&self) -> usize {
        self.table.len()
    }
    fn per_step(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        (1..=self.n_steps()).map(f).collect()
    }
    /// β_i of each step.
    pub fn beta(&self) -> Vec<f64> {
        self.per_step(|i| self.table.beta(i))
    }
    /// α_i = 1 − β_i of each step.
    pub fn alpha(&self) -> Vec<f64> {
        self.per_step(|i| 1.0 - self.table.beta(i))
    }
    /// ᾱ_i = ∏_{j ≤ i} α_j of each step.
    pub fn alpha_bar(&self) -> Vec<f64> {
        self.per_step(|i| self.table.alpha_bar(i))
    }
    /// Variance of p(x_{t−1} | x_t) of each step: β_i.
    pub fn sigma2(&self) -> Vec<f64> {
        self.beta()
    }
    fn times(&self, t: &[usize]) -> Vec<f64> {
        let steps = self.n_steps();
        t.iter()
            .map(|&t| {
                assert!(t < steps, "a step number must be from 0 to {}, got {t}", steps - 1);
                (t as f64 + 1.0) / steps as f64
            })
            .collect()
    }
    fn numbers(&self, t: &[usize], rows: usize, device: &Device) -> Tensor<1, Int> {
        let numbers: Vec<i64> = (0..rows).map(|i| t[i % t.len()] as i64).collect();
        Tensor::from_data(TensorData::new(numbers, [rows]), device)
    }
    /// Computes x_t = √ᾱ x₀ + √(1 − ᾱ) ε. Step numbers: one per row, or one for all.
    ///
    /// # Panics
    ///
    /// If a step number is T or more, or their number is neither 1 nor that of the rows.
    pub fn q_sample(&self, x0: Tensor<D>, t: &[usize], noise: Tensor<D>) -> Tensor<D> {
        let rows = x0.dims()[0];
        assert!(
            t.len() == 1 || t.len() == rows,
            "there must be one step number, or one for each of {rows} rows, got {}",
            t.len()
        );
        let marginal = self.noise.prior(x0, &self.times(t));
        marginal.mean() + noise * marginal.std()
    }
    /// Samples x_{t−1} given x_t; returns the mean if t = 0.
    ///
    /// # Panics
    ///
    /// As [`q_sample`](Self::q_sample).
    pub fn p_sample(&self, x: Tensor<D>, t: usize, rng: &mut Rng) -> Tensor<D> {
        let eps = (self.eps_model)(x.clone(), self.numbers(&[t], x.dims()[0], &x.device()));
        let (t, s) = (self.times(&[t])[0], t as f64 / self.n_steps() as f64);
        let estimate = self.noise.estimate(eps, x.clone(), &[t]);
        let reverse = self.noise.approximate(estimate, x, &[s], &[t]);
        if s == 0.0 { reverse.mean() } else { reverse.sample(rng).value }
    }
    /// Mean squared error |ε − ε̂|², each row at a uniformly distributed step; the noise is sampled if it is `None`.
    pub fn loss(&self, x0: Tensor<D>, noise: Option<Tensor<D>>, rng: &mut Rng) -> Tensor<1> {
        let rows = x0.dims()[0];
        let t: Vec<usize> = rng.uniforms(rows, 1).iter().map(|u| (u * self.n_steps() as f64) as usize).collect();
        let dtype = if x0.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let noise = noise.unwrap_or_else(|| rng.normal_tensor(x0.dims(), &x0.device(), dtype));
        let device = x0.device();
        let z = self.q_sample(x0, &t, noise.clone());
        let eps = (self.eps_model)(z, self.numbers(&t, rows, &device));
        (noise - eps).square().mean()
    }
}
