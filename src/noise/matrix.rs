//! Categorical noise of any kernel: D3PM's discretised Gaussian, nearest neighbours, a matrix of one's own.
use super::{Categories, Chain, DynDistribution, Estimate, Noise, discrete::pairs};
use crate::{
    distribution::{Categorical, numbers, one_hot},
    dual::Dual,
    error::Error,
    schedule::Schedule,
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kernel::{Band, Cache, Dense, exponential};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use tweedie_kernels::ops;

mod kernel;

/// A category goes to another by the row of a K×K matrix.
///
/// Two kinds of chains, both of which obey Chapman and Kolmogorov at any times:
///
/// ```text
/// in steps        q(x_i | x_{i−1}) = Q_i,          q(x_t | x) = Q_1 ⋯ Q_i       i = tT to the nearest
/// in continuous   q(x_t | x_s) = exp((τ_t − τ_s)(Q − I)),                       τ = −rate · ln keep
/// ```
///
/// A chain [in steps](DiscreteMatrix::steps) rests between its T jumps, the i-th of which happens at (i − ½)/T, so a time off the
/// grid i/T is a time at rest. Products are computed once; where all T of them would take more than 256 MiB, those of every √T-th
/// step are kept and the rest made from them when asked for. A chain [in continuous time](DiscreteMatrix::new) jumps at rate
/// τ′ and draws where to from Q; with Q = 1πᵀ it is [`Discrete`](super::Discrete), at a cost of K² a kernel instead of K. Its
/// exponentials are sums of positive terms (uniformisation), right to the last digits, and are remembered: a schedule of T
/// steps computes each once.
///
/// Matrices are of doubles and row x is where x goes. The net says logits of x, and a guess becomes p(x_s | x_t) by the exact
/// mixture.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{noise::{DiscreteMatrix, Noise}, schedule::{FlowMatching, Linear}};
/// let grey = DiscreteMatrix::gaussian(Linear::between(100, 1e-4, 0.5), 8)?;
/// let x = Tensor::<2>::from_floats([[0.0], [7.0]], &Device::flex());
/// let near = grey.prior(x, &[0.2]).mean();
/// assert_eq!(near.argmax(1).float().into_data().to_vec::<f32>().unwrap(), [0.0, 7.0]); // it is still the likeliest
/// // A row that is no distribution is refused by its number.
/// let error = DiscreteMatrix::new(FlowMatching {}, vec![vec![0.5, 0.5], vec![0.5, 0.6]]).unwrap_err();
/// assert!(error.to_string().contains("row 1"));
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone)]
pub struct DiscreteMatrix {
    schedule: Arc<dyn Schedule>,
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
        kept: Arc<Vec<Arc<Dense>>>,
        stride: usize,
        count: usize,
    },
    /// Q, and τ in terms of −ln keep.
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

/// Bytes of products that are kept.
const BUDGET: usize = 1 << 28;

impl DiscreteMatrix {
    /// A chain in continuous time that goes from x where row x of `matrix` says, at rate −keep′/keep.
    ///
    /// # Errors
    ///
    /// If the matrix is not square or a row is no distribution, with the row.
    pub fn new(schedule: impl Schedule + 'static, matrix: Vec<Vec<f64>>) -> Result<Self, Error> {
        let k = matrix.len();
        let q = Arc::new(Band::new(matrix)?);
        Ok(Self::of(Arc::new(schedule), k, Kind::Flow { q, rate: 1.0 }))
    }

    /// A chain of T steps, of which step i goes by the matrix that `matrix` makes of the table's β_i.
    ///
    /// # Errors
    ///
    /// If the schedule is no table, a matrix is not square or a row is no distribution, with the step and the row.
    pub fn steps(
        schedule: impl Schedule + 'static,
        matrix: impl Fn(f64) -> Vec<Vec<f64>> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        schedule.check()?;
        let Some(count) = schedule.steps().filter(|steps| *steps > 0) else {
            return Err(Error::invalid(
                "a chain of matrices in steps needs a schedule of T steps, whose βs the matrices are made of; one of continuous \
                 time has none",
            ));
        };
        let schedule: Arc<dyn Schedule> = Arc::new(schedule);
        let betas: Vec<f64> = {
            let keep = |i: usize| schedule.keep(Dual::time(i as f64 / count as f64)).value;
            (1..=count).map(|i| 1.0 - keep(i) / keep(i - 1)).collect()
        };
        let make = move |i: usize| Band::new(matrix(betas[i - 1]));
        let wrong = |i: usize, error: Error| Error::invalid(format!("step {i} of {count}: {error}"));
        let first = make(1).map_err(|error| wrong(1, error))?;
        let k = first.k();
        let size = k * k * size_of::<f64>();
        let stride = if count * size <= BUDGET { 1 } else { (count as f64).sqrt().ceil() as usize };
        let (mut product, mut kept, mut all) = (Arc::new(Dense::identity(k)), vec![], vec![]);
        kept.push(product.clone());
        for i in 1..=count {
            let step = make(i).map_err(|error| wrong(i, error))?;
            if step.k() != k {
                return Err(Error::invalid(format!(
                    "step {i} of {count} has {} categories, and the first has {k}",
                    step.k()
                )));
            }
            product = Arc::new(product.then(&step));
            if i % stride == 0 {
                kept.push(product.clone());
            }
            if stride == 1 {
                all.push(Arc::new(step));
            }
        }
        let steps: Arc<dyn Fn(usize) -> Arc<Band> + Send + Sync> = match stride {
            1 => Arc::new(move |i| all[i - 1].clone()),
            _ => Arc::new(move |i| Arc::new(make(i).expect("asked before"))),
        };
        Ok(Self::of(schedule, k, Kind::Steps { steps, kept: Arc::new(kept), stride, count }))
    }

    /// D3PM's discretised Gaussian on `k` ordered categories, such as grey levels: near ones are likelier.
    ///
    /// ```text
    /// [Q_i]_xy = exp(−4 |x − y|²/((k − 1)² β_i)) / Σ_{n = 1 − k}^{k − 1} exp(−4 n²/((k − 1)² β_i)),   x ≠ y
    /// ```
    ///
    /// and the rest stays. Every Q_i is symmetric, so the stationary law is even. How wide a step is does not depend on k, but
    /// with few levels a small β does not reach the next: see that the chain forgets x by t = 1 ([`Noise::check`] does).
    ///
    /// Austin et al. (2021), appendix A.2.3, <https://arxiv.org/abs/2107.03006>.
    ///
    /// # Errors
    ///
    /// If the schedule is no table, or there are not two categories.
    pub fn gaussian(schedule: impl Schedule + 'static, k: usize) -> Result<Self, Error> {
        if k < 2 {
            return Err(Error::invalid(format!("a discretised Gaussian is over two categories at least, not {k}")));
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

    /// D3PM's walk over a graph: from a category to its `neighbours` nearest, by the distance of their `points`.
    ///
    /// `q(x_t | x_s) = exp((τ_t − τ_s) R)` with `R = (G + Gᵀ)/(2n)` off the diagonal for G_xy = 1 where y is one of the n nearest of
    /// x, and rows that sum to zero; the stationary law is even. Words are points in the space of their embeddings, levels are
    /// points on a line. See [`rate`](DiscreteMatrix::rate): such walks forget slowly.
    ///
    /// Austin et al. (2021), appendix A.2.4, <https://arxiv.org/abs/2107.03006>.
    ///
    /// # Errors
    ///
    /// If there are not more points than neighbours, or points of unlike dimensions.
    pub fn nearest(schedule: impl Schedule + 'static, points: &[Vec<f64>], neighbours: usize) -> Result<Self, Error> {
        let k = points.len();
        if neighbours == 0 || k <= neighbours {
            return Err(Error::invalid(format!(
                "each of {k} categories has from 1 to {} neighbours, not {neighbours}",
                k.max(1) - 1
            )));
        }
        if let Some(i) = points.iter().position(|p| p.len() != points[0].len() || p.iter().any(|v| !v.is_finite())) {
            return Err(Error::invalid(format!(
                "the point of category {i} has not {} finite numbers as that of the first has",
                points[0].len()
            )));
        }
        let apart = |a: usize, b: usize| points[a].iter().zip(&points[b]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let mut rates = vec![vec![0.0; k]; k];
        for x in 0..k {
            let mut others: Vec<(f64, usize)> = (0..k).filter(|y| *y != x).map(|y| (apart(x, y), y)).collect();
            others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (_, y) in &others[..neighbours] {
                rates[x][*y] += 0.5 / neighbours as f64;
                rates[*y][x] += 0.5 / neighbours as f64;
            }
        }
        // R = λ (Q − I) for the fastest λ.
        let fastest = rates.iter().map(|row| row.iter().sum::<f64>()).fold(0.0, f64::max);
        for (x, row) in rates.iter_mut().enumerate() {
            row.iter_mut().for_each(|rate| *rate /= fastest);
            row[x] = 1.0 - row.iter().sum::<f64>();
        }
        Ok(Self::new(schedule, rates)?.rate(fastest))
    }

    fn of(schedule: Arc<dyn Schedule>, k: usize, kind: Kind) -> Self {
        Self { schedule, k, kind, cache: Arc::new(Cache::new(BUDGET)), stationary: Arc::default() }
    }

    /// The same chain `rate` times as fast, where it is one in continuous time.
    ///
    /// # Panics
    ///
    /// If the rate is not positive.
    pub fn rate(mut self, rate: f64) -> Self {
        assert!(rate > 0.0 && rate.is_finite(), "a rate is positive, not {rate}");
        if let Kind::Flow { rate: own, .. } = &mut self.kind {
            *own *= rate;
            (self.cache, self.stationary) = (Arc::new(Cache::new(BUDGET)), Arc::default());
        }
        self
    }

    /// q(x_t = y | x_s = x) as row x, column y; from the data where there is no s.
    fn between(&self, s: Option<f64>, t: f64) -> Arc<Dense> {
        match &self.kind {
            Kind::Steps { steps, kept, stride, count } => {
                let place = |t: f64| ((t * *count as f64).round().max(0.0) as usize).min(*count);
                let (from, to) = (place(s.unwrap_or(0.0)), place(t));
                if from == 0 && to % stride == 0 {
                    return kept[to / stride].clone();
                }
                self.cache.get((from as u64, to as u64), || match from {
                    0 => (to / stride * stride + 1..=to)
                        .fold((*kept[to / stride]).clone(), |product, i| product.then(&steps(i))),
                    _ => (from + 1..=to).fold(Dense::identity(self.k), |product, i| product.then(&steps(i))),
                })
            }
            Kind::Flow { q, rate } => {
                let jumps = |t: f64| -rate * self.schedule.keep(Dual::time(t)).value.max(f64::MIN_POSITIVE).ln();
                let jumps = (jumps(t) - s.map_or(0.0, jumps)).max(0.0);
                self.cache.get((jumps.to_bits(), 0), || exponential(q, jumps))
            }
        }
    }

    /// Where the chain ends: the mean over x of where it goes for ever, or in its T steps.
    fn end(&self) -> &[f64] {
        self.stationary.get_or_init(|| {
            let last = match &self.kind {
                Kind::Steps { .. } => self.between(None, 1.0),
                Kind::Flow { q, .. } => Arc::new(exponential(q, 1e9)),
            };
            last.mean_row()
        })
    }

    /// Rows (or columns) of kernels, one a row of x or one for all, at numbers or in the mean over weights.
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
        let numbers = shape[D - 1] == 1;
        shape[D - 1] = self.k;
        let end = self.limit(&Tensor::<D>::zeros([1; D], device)).expand(shape);
        Box::new(Categorical::trusted(end).in_numbers(numbers))
    }
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
        let numbers = x.dims()[D - 1] == 1;
        Box::new(Categorical::trusted(self.through(x, &self.kernels(t), false)).in_numbers(numbers))
    }
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let numbers = z.dims()[D - 1] == 1;
        Box::new(Categorical::trusted(self.bayes(x, z, s, t)).in_numbers(numbers))
    }
    fn approximate(&self, guess: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        let numbers = z.dims()[D - 1] == 1;
        Box::new(Categorical::trusted(self.backward(guess.mean, z, s, t)).in_numbers(numbers))
    }
    fn decoder(&self, guess: Estimate<D>, z: Tensor<D>, _: &[f64]) -> DynDistribution<D> {
        Box::new(Categorical::trusted(guess.mean).in_numbers(z.dims()[D - 1] == 1))
    }
    fn target(&self, x: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Tensor<D> {
        one_hot(x, self.k).clamp_min(super::chain::TINY).log()
    }
    fn estimate(&self, output: Tensor<D>, _: Tensor<D>, _: &[f64]) -> Estimate<D> {
        ops::softmax(output).into()
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
    fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        let last = self.between(None, 1.0);
        let apart = |x: usize| 0.5 * last.row(x).iter().zip(self.end()).map(|(a, b)| (a - b).abs()).sum::<f64>();
        let (x, worst) =
            (0..self.k).map(|x| (x, apart(x))).fold((0, 0.0), |worst, own| if own.1 > worst.1 { own } else { worst });
        if worst <= 0.5 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "at t = 1 the chain has not forgotten where it began: x_t of category {x} is {:.0} % away from the stationary law \
             that sampling starts from; take larger βs, more steps, or a higher rate",
            100.0 * worst
        )))
    }
}

impl<const D: usize> Chain<D> for DiscreteMatrix {
    fn spread(&self, w: Tensor<D>, t: &[f64]) -> Tensor<D> {
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
            panic!("a chain in steps jumps at its steps only and has no rates");
        };
        let [speed] = super::lift(&z, t, |_, t| {
            let keep = self.schedule.keep(Dual::time(t));
            [-rate * keep.slope / keep.value.max(1e-9)]
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
        ops::cross_entropy(output, numbers(x), None)
    }
}
