//! Categorical noise with any transition matrix: D3PM's discretized Gaussian, nearest neighbors, custom matrices.
use super::{Categories, Chain, DynDistribution, Estimate, Noise, discrete::pairs};
use crate::{
    distribution::{Categorical, category_indices, one_hot},
    dual::Dual,
    error::{Error, Result},
    schedule::Survival,
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kernel::{Band, Cache, Dense, exponential};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use tweedie_kernels::ops;

mod kernel;

/// Categorical noise whose transitions are given by K×K matrices: from category x by row x.
///
/// Two kinds of Markov chains, both of which obey Chapman and Kolmogorov at any times:
///
/// ```text
/// discrete time     q(x_i | x_{i−1}) = Q_i,          q(x_t | x) = Q_1 ⋯ Q_i      i = tT, rounded
/// continuous time   q(x_t | x_s) = exp((τ_t − τ_s)(Q − I)),                      τ = −rate · ln ᾱ
/// ```
///
/// A chain in [discrete time](DiscreteMatrix::steps) rests between its T jumps, the i-th of which happens at (i − ½)/T, so a time off
/// the grid i/T is a time at rest. Products are computed once; if all T of them would take more than 256 MiB, every √T-th is stored
/// and the others are computed from these when needed. A chain in [continuous time](DiscreteMatrix::new) jumps at rate τ′ by Q;
/// with Q = 1πᵀ it is [`Discrete`](super::Discrete), at a cost of K² per kernel instead of K. Its exponentials are sums of positive
/// terms (uniformization), accurate to the last digits, and cached: a schedule of T steps computes each once.
///
/// Matrices are of doubles. The network predicts logits of x, and the reverse transition is the exact mixture.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{noise::{DiscreteMatrix, Noise}, schedule::{FlowMatching, Linear}};
/// let gray = DiscreteMatrix::gaussian(Linear::between(100, 1e-4, 0.5), 8)?;
/// let x = Tensor::<2>::from_floats([[0.0], [7.0]], &Device::flex());
/// let near = gray.prior(x, &[0.2]).mean();
/// assert_eq!(near.argmax(1).float().into_data().to_vec::<f32>().unwrap(), [0.0, 7.0]); // still the most probable
/// // A row that is not a probability distribution is refused, with its index.
/// let error = DiscreteMatrix::new(FlowMatching {}, vec![vec![0.5, 0.5], vec![0.5, 0.6]]).unwrap_err();
/// assert!(error.to_string().contains("row 1"));
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone)]
pub struct DiscreteMatrix {
    schedule: Arc<dyn Survival>,
    k: usize,
    kind: Kind,
    cache: Arc<Cache>,
    stationary: Arc<OnceLock<Vec<f64>>>,
}

#[derive(Clone)]
enum Kind {
    /// Q_i, and Q_1 ⋯ Q_i of every `stride`-th i from 0.
    Steps {
        steps: Arc<dyn Fn(usize) -> Arc<Band> + Send + Sync>,
        products: Arc<Vec<Arc<Dense>>>,
        stride: usize,
        count: usize,
    },
    /// Q, and τ in units of −ln ᾱ.
    Flow { q: Arc<Band>, rate: f64 },
}

impl fmt::Debug for DiscreteMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Steps { .. } => "steps",
            Kind::Flow { .. } => "continuous",
        };
        f.debug_struct("DiscreteMatrix")
            .field("schedule", &self.schedule)
            .field("k", &self.k)
            .field("kind", &kind)
            .finish()
    }
}

/// Maximum memory for stored products, in bytes.
const BUDGET: usize = 1 << 28;

impl DiscreteMatrix {
    /// The chain in continuous time that jumps by `matrix` at rate −ᾱ′/ᾱ.
    ///
    /// # Errors
    ///
    /// If the matrix is not square or a row is not a probability distribution, with the row.
    #[doc(alias("custom_matrix", "transition_matrix"))]
    pub fn new(schedule: impl Survival + 'static, matrix: Vec<Vec<f64>>) -> Result<Self> {
        let k = matrix.len();
        let q = Arc::new(Band::new(matrix)?);
        Ok(Self::of(Arc::new(schedule), k, Kind::Flow { q, rate: 1.0 }))
    }

    /// The chain of T steps whose step i has the matrix Q_i = `matrix(β_i)`, with the βs of a table.
    ///
    /// # Errors
    ///
    /// If the schedule is not a table, a matrix is not square or a row is not a probability distribution, with the step and the row.
    pub fn steps(
        schedule: impl Survival + 'static,
        matrix: impl Fn(f64) -> Vec<Vec<f64>> + Send + Sync + 'static,
    ) -> Result<Self> {
        schedule.check()?;
        let Some(count) = schedule.steps().filter(|steps| *steps > 0) else {
            return Err(Error::invalid(
                "a chain of matrices in discrete time needs a schedule of T steps, from whose βs the matrices are computed, and a \
                 schedule of continuous time has none",
            )
            .with_remedy("take a table, such as { name = \"linear\", beta_end = 0.5 }"));
        };
        let schedule: Arc<dyn Survival> = Arc::new(schedule);
        let betas: Vec<f64> = {
            let survival = |i: usize| schedule.survival(Dual::time(i as f64 / count as f64)).value;
            (1..=count).map(|i| 1.0 - survival(i) / survival(i - 1)).collect()
        };
        let make = move |i: usize| Band::new(matrix(betas[i - 1]));
        let wrong = |i: usize, error: Error| Error::invalid(format!("step {i} of {count}: {error}"));
        let first = make(1).map_err(|error| wrong(1, error))?;
        let k = first.k();
        let size = k * k * size_of::<f64>();
        let stride = if count * size <= BUDGET { 1 } else { (count as f64).sqrt().ceil() as usize };
        let (mut product, mut products, mut all) = (Arc::new(Dense::identity(k)), vec![], vec![]);
        products.push(product.clone());
        for i in 1..=count {
            let step = make(i).map_err(|error| wrong(i, error))?;
            if step.k() != k {
                return Err(Error::invalid(format!(
                    "step {i} of {count} must have as many categories as the first, {k}, got {}",
                    step.k()
                )));
            }
            product = Arc::new(product.then(&step));
            if i % stride == 0 {
                products.push(product.clone());
            }
            if stride == 1 {
                all.push(Arc::new(step));
            }
        }
        let steps: Arc<dyn Fn(usize) -> Arc<Band> + Send + Sync> = match stride {
            1 => Arc::new(move |i| all[i - 1].clone()),
            _ => Arc::new(move |i| Arc::new(make(i).expect("every step was computed above"))),
        };
        Ok(Self::of(schedule, k, Kind::Steps { steps, products: Arc::new(products), stride, count }))
    }

    /// D3PM's discretized Gaussian on `k` ordered categories, such as gray levels: near ones are more probable.
    ///
    /// ```text
    /// [Q_i]_xy = exp(−4 |x − y|²/((k − 1)² β_i)) / Σ_{n = 1 − k}^{k − 1} exp(−4 n²/((k − 1)² β_i)),   x ≠ y
    /// ```
    ///
    /// and the diagonal makes each row sum to 1. Every Q_i is symmetric, so the stationary distribution is uniform. The width of a step
    /// does not depend on k, but with few levels a small β does not reach the next: [`Noise::check`] refuses a chain whose x_1 still
    /// depends on x.
    ///
    /// Austin et al. (2021), appendix A.2.3, <https://arxiv.org/abs/2107.03006>.
    ///
    /// # Errors
    ///
    /// If the schedule is not a table, or there are fewer than two categories.
    #[doc(alias = "discretized_gaussian")]
    pub fn gaussian(schedule: impl Survival + 'static, k: usize) -> Result<Self> {
        if k < 2 {
            return Err(
                Error::invalid(format!("must be 2 or more for a discretized Gaussian, got {k}")).with_field("k")
            );
        }
        Self::steps(schedule, move |beta| {
            let weight = |n: usize| (-4.0 * (n as f64 / (k as f64 - 1.0)).powi(2) / beta).exp();
            let weights: Vec<f64> = (0..k).map(weight).collect();
            let total = 1.0 + 2.0 * weights[1..].iter().sum::<f64>();
            let row = |x: usize| {
                let mut row: Vec<f64> =
                    (0..k).map(|y| if x == y { 0.0 } else { weights[x.abs_diff(y)] / total }).collect();
                row[x] = 1.0 - row.iter().sum::<f64>();
                row
            };
            (0..k).map(row).collect()
        })
    }

    /// D3PM's nearest-neighbor chain: from a category to its `neighbors` nearest, by the distance of their `points`.
    ///
    /// `q(x_t | x_s) = exp((τ_t − τ_s) R)` with `R = (G + Gᵀ)/(2n)` off the diagonal for G_xy = 1 where y is one of the n nearest of
    /// x, and rows that sum to zero; the stationary distribution is uniform. Words are points in the space of their embeddings,
    /// levels are points on a line. Such chains mix slowly: see [`with_rate`](DiscreteMatrix::with_rate).
    ///
    /// Austin et al. (2021), appendix A.2.4, <https://arxiv.org/abs/2107.03006>.
    ///
    /// # Errors
    ///
    /// If there are not more points than neighbors, or points of different dimensions.
    pub fn nearest(schedule: impl Survival + 'static, points: &[Vec<f64>], neighbors: usize) -> Result<Self> {
        let k = points.len();
        if neighbors == 0 || k <= neighbors {
            let most = k.max(1) - 1;
            let problem = format!("must be from 1 to {most} for {k} categories, got {neighbors}");
            return Err(Error::invalid(problem).with_field("neighbors"));
        }
        if let Some(i) = points.iter().position(|p| p.len() != points[0].len() || p.iter().any(|v| !v.is_finite())) {
            return Err(Error::invalid(format!(
                "the point of category {i} must have {} finite coordinates, as that of the first has",
                points[0].len()
            )));
        }
        let apart = |a: usize, b: usize| points[a].iter().zip(&points[b]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let mut rates = vec![vec![0.0; k]; k];
        for x in 0..k {
            let mut others: Vec<(f64, usize)> = (0..k).filter(|y| *y != x).map(|y| (apart(x, y), y)).collect();
            others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (_, y) in &others[..neighbors] {
                rates[x][*y] += 0.5 / neighbors as f64;
                rates[*y][x] += 0.5 / neighbors as f64;
            }
        }
        // R = λ (Q − I) for the fastest λ.
        let fastest = rates.iter().map(|row| row.iter().sum::<f64>()).fold(0.0, f64::max);
        for (x, row) in rates.iter_mut().enumerate() {
            row.iter_mut().for_each(|rate| *rate /= fastest);
            row[x] = 1.0 - row.iter().sum::<f64>();
        }
        Ok(Self::new(schedule, rates)?.with_rate(fastest))
    }

    fn of(schedule: Arc<dyn Survival>, k: usize, kind: Kind) -> Self {
        Self { schedule, k, kind, cache: Arc::new(Cache::new(BUDGET)), stationary: Arc::default() }
    }

    /// Multiplies the rate of a chain in continuous time; one in discrete time is unchanged.
    ///
    /// [`check`](Noise::check) refuses a rate that is not positive.
    pub fn with_rate(mut self, rate: f64) -> Self {
        if let Kind::Flow { rate: own, .. } = &mut self.kind {
            *own *= rate;
            (self.cache, self.stationary) = (Arc::new(Cache::new(BUDGET)), Arc::default());
        }
        self
    }

    /// q(x_t = y | x_s = x) as row x, column y; q(x_t = y | x) if `s` is `None`.
    fn between(&self, s: Option<f64>, t: f64) -> Arc<Dense> {
        match &self.kind {
            Kind::Steps { steps, products, stride, count } => {
                let place = |t: f64| ((t * *count as f64).round().max(0.0) as usize).min(*count);
                let (from, to) = (place(s.unwrap_or(0.0)), place(t));
                if from == 0 && to % stride == 0 {
                    return products[to / stride].clone();
                }
                self.cache.get((from as u64, to as u64), || match from {
                    0 => (to / stride * stride + 1..=to)
                        .fold((*products[to / stride]).clone(), |product, i| product.then(&steps(i))),
                    _ => (from + 1..=to).fold(Dense::identity(self.k), |product, i| product.then(&steps(i))),
                })
            }
            Kind::Flow { q, rate } => {
                let jumps = |t: f64| -rate * self.schedule.survival(Dual::time(t)).value.max(f64::MIN_POSITIVE).ln();
                let jumps = (jumps(t) - s.map_or(0.0, jumps)).max(0.0);
                self.cache.get((jumps.to_bits(), 0), || exponential(q, jumps))
            }
        }
    }

    /// The stationary distribution: the mean over x of q(x_t | x) for t → ∞, or after the T steps.
    fn end(&self) -> &[f64] {
        self.stationary.get_or_init(|| {
            let last = match &self.kind {
                Kind::Steps { .. } => self.between(None, 1.0),
                Kind::Flow { q, .. } => Arc::new(exponential(q, 1e9)),
            };
            last.mean_row()
        })
    }

    /// Rows (or columns) of kernels, one per row of x or one for all, at category indices or averaged with weights.
    fn through<const D: usize>(&self, x: Tensor<D>, kernels: &[Arc<Dense>], column: bool) -> Tensor<D> {
        let (mut dims, k, n) = (x.dims(), self.k, kernels.len());
        let places: usize = dims[..D - 1].iter().product();
        let table: Vec<f64> = kernels.iter().flat_map(|kernel| kernel.values(column)).collect();
        let options = (&x.device(), x.dtype());
        let last = std::mem::replace(&mut dims[D - 1], k);
        if last == 1 {
            let table = Tensor::<2>::from_data(TensorData::new(table, [n * k, k]), options);
            let mut number = x.int().reshape([places]);
            if n > 1 {
                let first: Vec<i64> = (0..places).map(|i| (i / (places / n) * k) as i64).collect();
                number = number + Tensor::<1, Int>::from_data(TensorData::new(first, [places]), options.0);
            }
            return table.select(0, number).reshape(dims);
        }
        let table = Tensor::<3>::from_data(TensorData::new(table, [n, k, k]), options);
        x.reshape([n, places / n, k]).matmul(table).reshape(dims)
    }
    fn kernels(&self, t: &[f64]) -> Vec<Arc<Dense>> {
        t.iter().map(|t| self.between(None, *t)).collect()
    }
}

impl<const D: usize> Noise<D> for DiscreteMatrix {
    fn stationary(&self, mut shape: [usize; D], device: &Device) -> DynDistribution<D> {
        let indices = shape[D - 1] == 1;
        shape[D - 1] = self.k;
        let end = self.limit(&Tensor::<D>::zeros([1; D], device)).expand(shape);
        Box::new(Categorical::trusted(end).in_indices(indices))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        let indices = x.dims()[D - 1] == 1;
        Box::new(Categorical::trusted(self.through(x, &self.kernels(t), false)).in_indices(indices))
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let indices = z.dims()[D - 1] == 1;
        Box::new(Categorical::trusted(self.bayes(x, z, s, t)).in_indices(indices))
    }
    fn approximate(&self, estimate: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let indices = z.dims()[D - 1] == 1;
        Box::new(Categorical::trusted(self.backward(estimate.mean, z, s, t)).in_indices(indices))
    }
    fn decoder(&self, estimate: Estimate<D>, z: Tensor<D>, _: &[f64]) -> DynDistribution<D> {
        Box::new(Categorical::trusted(estimate.mean).in_indices(z.dims()[D - 1] == 1))
    }
    fn target(&self, x: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Tensor<D> {
        one_hot(x, self.k).clamp_min(super::chain::TINY).log()
    }
    fn estimate(&self, output: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Estimate<D> {
        Estimate { mean: ops::softmax(output.clone()), variance: None, output: Some(output) }
    }
    fn steps(&self) -> Option<usize> {
        self.schedule.steps()
    }
    fn categories(&self) -> Option<Categories<'_>> {
        Some(Categories { k: self.k, mask: None, schedule: &*self.schedule })
    }
    fn chain(&self) -> Option<&dyn Chain<D>> {
        Some(self)
    }
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        if let Kind::Flow { rate, .. } = self.kind
            && !(rate > 0.0 && rate.is_finite())
        {
            return Err(Error::invalid(format!("must be a positive number, got {rate}")).with_field("rate"));
        }
        let last = self.between(None, 1.0);
        let apart = |x: usize| 0.5 * last.row(x).iter().zip(self.end()).map(|(a, b)| (a - b).abs()).sum::<f64>();
        let (x, worst) =
            (0..self.k).map(|x| (x, apart(x))).fold((0, 0.0), |worst, own| if own.1 > worst.1 { own } else { worst });
        if worst <= 0.5 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the chain must be near its stationary distribution at t = 1, where sampling starts, but q(x_1 | x) of category {x} is \
             {:.0} % away from it",
            100.0 * worst
        ))
        .with_remedy("take larger βs, more steps, or a higher rate"))
    }
}

impl<const D: usize> Chain<D> for DiscreteMatrix {
    fn marginal(&self, w: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.through(w, &self.kernels(t), false)
    }
    fn likelihood(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.through(z, &self.kernels(t), true)
    }
    fn onward(&self, z: Tensor<D>, s: &[f64], t: &[f64]) -> Tensor<D> {
        let kernels: Vec<Arc<Dense>> = pairs(s, t).map(|(s, t)| self.between(Some(s), t)).collect();
        self.through(z, &kernels, true)
    }
    fn rates(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let Kind::Flow { q, rate } = &self.kind else {
            panic!("a chain in discrete time has no rates: `Chain::continuous` is false");
        };
        let [speed] = super::lift(&z, t, |_, t| {
            let survival = self.schedule.survival(Dual::time(t));
            [-rate * survival.slope / survival.value.max(1e-9)]
        });
        let q = Arc::new(Dense::identity(self.k).then(q));
        self.through(z.clone(), &[q], true) * (one_hot(z, self.k) * -1.0 + 1.0) * speed
    }
    fn limit(&self, like: &Tensor<D>) -> Tensor<D> {
        let mut row = [1; D];
        row[D - 1] = self.k;
        Tensor::from_data(TensorData::new(self.end().to_vec(), row), (&like.device(), like.dtype()))
    }
    fn continuous(&self) -> bool {
        matches!(self.kind, Kind::Flow { .. })
    }
    fn nll(&self, output: Tensor<D>, x: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Tensor<D> {
        ops::cross_entropy(output, category_indices(x), None)
    }
}
