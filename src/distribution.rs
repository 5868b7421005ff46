//! Distributions of tensors: a normal for each entry, or a categorical for each one-hot vector.
mod discretized;
pub mod gaussian;

use crate::{error::Error, rng::Rng};
use burn::tensor::{Bool, DType, Tensor, TensorData};
use std::{
    f64::consts::{SQRT_2, TAU},
    fmt::Debug,
};
use tweedie_kernels::combine;

/// A sample, and for a normal the standard normal noise that it was computed from.
#[derive(Clone, Debug)]
pub struct Sample<const D: usize> {
    /// The value.
    pub value: Tensor<D>,
    /// ε of `value = mean + std·ε`; `None` for categories.
    pub eps: Option<Tensor<D>>,
}

/// The distribution of a tensor whose entries (or whose one-hot vectors along the last axis) are independent.
///
/// Members of one family are determined by mean and standard deviation, so [`kl`](Distribution::kl) uses only these of the other.
pub trait Distribution<const D: usize>: Debug {
    /// The mean `E[x]`.
    fn mean(&self) -> Tensor<D>;
    /// The standard deviation `√Var[x]`, shaped like the mean or broadcastable to it.
    fn std(&self) -> Tensor<D>;
    /// Returns a sample; row i of the batch depends on row i of the stream alone.
    fn sample(&self, rng: &mut Rng) -> Sample<D>;
    /// Returns the value of a [`sample`](Distribution::sample) and consumes the distribution, whose tensors can be reused.
    fn draw(self: Box<Self>, rng: &mut Rng) -> Tensor<D> {
        self.sample(rng).value
    }
    /// The negative log-likelihood −ln p(x) in nats: one value per entry for [`Normal`], a last axis of 1 for [`Categorical`].
    ///
    /// +∞ where p(x) is exactly 0; −∞ at a point mass. Nothing is floored: a loss that trains a network by it has to.
    fn nll(&self, x: Tensor<D>) -> Tensor<D>;
    /// The Kullback–Leibler divergence KL(self ‖ other) in nats, shaped as [`nll`](Distribution::nll); 0 or more, and +∞ if `other` has
    /// probability exactly 0 where this one does not. In single precision, probabilities from 0 to 1e-30 count as 1e-30.
    fn kl(&self, other: &dyn Distribution<D>) -> Tensor<D>;
}

/// Independent normal distributions N(mean, std²), one per entry.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{Rng, distribution::{Distribution, Normal}};
/// let device = Device::flex();
/// let p = Normal::new(Tensor::<2>::zeros([1, 3], &device), Tensor::ones([1, 3], &device))?;
/// let q = Normal::new(Tensor::<2>::ones([1, 3], &device), Tensor::ones([1, 3], &device))?;
/// assert_eq!(p.kl(&q).sum().into_scalar::<f32>(), 1.5); // ½ (Δmean / std)² per entry
/// let sample = p.sample(&mut Rng::new(0));
/// assert_eq!(sample.value.dims(), [1, 3]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Normal<const D: usize> {
    mean: Tensor<D>,
    std: Std<D>,
}

/// One standard deviation for all entries, or one per entry.
#[derive(Clone, Debug)]
enum Std<const D: usize> {
    One(f64),
    Each(Box<Tensor<D>>),
}

impl<const D: usize> Normal<D> {
    /// The normal with these means and standard deviations; `std` may broadcast to `mean`. A standard deviation of 0 is a point mass.
    ///
    /// # Errors
    ///
    /// If a standard deviation is negative or not finite, with its index.
    pub fn new(mean: Tensor<D>, std: Tensor<D>) -> Result<Self, Error> {
        let values = host(std.clone());
        match values.iter().position(|s| !(*s >= 0.0 && s.is_finite())) {
            None => Ok(Self::trusted(mean, std)),
            Some(i) => Err(Error::invalid(format!(
                "a standard deviation must be a finite number of at least 0, but entry {:?} is {}",
                place(i, std.dims()),
                values[i]
            ))),
        }
    }

    /// [`new`](Normal::new) without checks, so that no tensor is read back from the device.
    pub fn trusted(mean: Tensor<D>, std: Tensor<D>) -> Self {
        Self { mean, std: Std::Each(Box::new(std)) }
    }

    /// The normal with these means and one standard deviation of at least 0, which stays on the host.
    pub(crate) fn around(mean: Tensor<D>, std: f64) -> Self {
        Self { mean, std: Std::One(std) }
    }

    /// Negative log-likelihood of discretized data: −ln of the mass in the bin of width `2·half` around x, where the first and the
    /// last bin (x = −1 and x = 1) extend to infinity. For data with finitely many levels in [−1, 1].
    ///
    /// For 256 levels `half = 1/255`. The cdf is exact to single precision, by the symmetry of erf; small masses, below 1e-3 in
    /// single precision, are computed in logarithms, so that a bin far from the mean has its large value and its slope.
    ///
    /// Ho, Jain and Abbeel (2020), eq. 13, <https://arxiv.org/abs/2006.11239>.
    pub fn discretized_nll(&self, x: Tensor<D>, half: f64) -> Tensor<D> {
        let scale = self.std() * SQRT_2;
        let low = (x.clone() - half - self.mean.clone()) / scale.clone();
        let high = (x.clone() + half - self.mean.clone()) / scale;
        // Values of one level differ by rounding: the first and the last bin include all within half a bin of the ends.
        let first = x.clone().lower_equal_elem(0.5 * half - 1.0);
        let last = x.greater_equal_elem(1.0 - 0.5 * half);
        discretized::mass_nll(low, high, first, last)
    }
}

impl<const D: usize> Distribution<D> for Normal<D> {
    fn mean(&self) -> Tensor<D> {
        self.mean.clone()
    }
    fn std(&self) -> Tensor<D> {
        match &self.std {
            Std::One(std) => Tensor::full([1; D], *std, (&self.mean.device(), self.mean.dtype())),
            Std::Each(std) => (**std).clone(),
        }
    }
    fn sample(&self, rng: &mut Rng) -> Sample<D> {
        let eps = rng.normal_tensor(self.mean.dims(), &self.mean.device(), self.mean.dtype());
        let value = match &self.std {
            Std::One(std) => combine!([(1.0, self.mean.clone()), (*std, eps.clone())]),
            Std::Each(std) => self.mean.clone() + (**std).clone() * eps.clone(),
        };
        Sample { value, eps: Some(eps) }
    }
    fn draw(self: Box<Self>, rng: &mut Rng) -> Tensor<D> {
        match self.std {
            Std::One(std) => {
                let eps = rng.normal_tensor(self.mean.dims(), &self.mean.device(), self.mean.dtype());
                combine!([(1.0, self.mean), (std, eps)])
            }
            Std::Each(_) => self.sample(rng).value,
        }
    }
    fn nll(&self, x: Tensor<D>) -> Tensor<D> {
        let std = self.std();
        let z = (x.clone() - self.mean.clone()) / std.clone();
        let nll = z.square() * 0.5 + std.log() + 0.5 * TAU.ln();
        if matches!(self.std, Std::One(std) if std > 0.0) {
            return nll;
        }
        // The density of a point is infinite there and 0 elsewhere.
        let dims = nll.dims();
        let points = self.std().equal_elem(0.0).expand(dims);
        let here = x.expand(dims).equal(self.mean.clone().expand(dims)).bool_and(points.clone());
        nll.mask_fill(points, f64::INFINITY).mask_fill(here, f64::NEG_INFINITY)
    }
    fn kl(&self, other: &dyn Distribution<D>) -> Tensor<D> {
        let (mean, std) = (other.mean(), other.std());
        let gap = (self.mean.clone() - mean.clone()).square();
        let ratio = self.std() / std.clone();
        let kl = not_negative((gap / std.clone().square() + ratio.clone().square() - 1.0) * 0.5 - ratio.log());
        // A point does not differ from itself, and differs infinitely from anything else, as anything else does from it.
        let dims = kl.dims();
        let [own, others] = [self.std(), std].map(|std| std.equal_elem(0.0).expand(dims));
        let same =
            own.clone().bool_and(others.clone()).bool_and(mean.expand(dims).equal(self.mean.clone().expand(dims)));
        kl.mask_fill(own.bool_or(others), f64::INFINITY).mask_fill(same, 0.0)
    }
}

/// Converts category indices to one-hot vectors along the last axis: `[…, 1]` → `[…, k]`; `[…, k]` is returned as it is.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::distribution::{category_indices, one_hot};
/// let letters = Tensor::<2>::from_floats([[2.0], [0.0]], &Device::flex());
/// let hot = one_hot(letters, 3);
/// assert_eq!(hot.to_data().to_vec::<f32>().unwrap(), [0., 0., 1., 1., 0., 0.]);
/// assert_eq!(category_indices(hot).into_data().to_vec::<f32>().unwrap(), [2., 0.]);
/// ```
///
/// # Panics
///
/// If the last axis is neither 1 nor `k`.
pub fn one_hot<const D: usize>(x: Tensor<D>, k: usize) -> Tensor<D> {
    let mut dims = x.dims();
    if dims[D - 1] == k {
        return x;
    }
    assert_eq!(
        dims[D - 1],
        1,
        "the last axis must be 1 (category indices) or {k} (one-hot vectors), got {}",
        dims[D - 1]
    );
    let mut shape = [1; D];
    shape[D - 1] = k;
    dims[D - 1] = k;
    let places = Tensor::<1>::from_data(
        TensorData::new((0..k).map(|i| i as f64).collect::<Vec<_>>(), [k]),
        (&x.device(), x.dtype()),
    );
    let hot = places.reshape(shape).expand(dims).equal(x.clone().expand(dims));
    hot.float().cast(x.dtype())
}

/// Whether a category, in either form, has the index `number`: `[…, 1]`.
pub(crate) fn is<const D: usize>(x: &Tensor<D>, number: usize) -> Tensor<D, Bool> {
    match x.dims()[D - 1] {
        1 => x.clone().equal_elem(number as f64),
        _ => x.clone().narrow(D - 1, number, 1).greater_elem(0.5),
    }
}

/// Converts one-hot vectors or probabilities to category indices by argmax: `[…, K]` → `[…, 1]`; `[…, 1]` is returned as it is.
pub fn category_indices<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dims()[D - 1] == 1 {
        return x;
    }
    let dtype = x.dtype();
    x.argmax(D - 1).float().cast(dtype)
}

/// Independent categorical distributions with probabilities along the last axis; samples are one-hot vectors or category indices.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::distribution::Categorical;
/// let probs = Tensor::<2>::from_floats([[0.5, 0.5], [0.9, 0.3]], &Device::flex());
/// let error = Categorical::new(probs).unwrap_err().to_string();
/// assert!(error.contains("row [1]"), "{error}");
/// ```
#[derive(Clone, Debug)]
pub struct Categorical<const D: usize> {
    probs: Tensor<D>,
    indices: bool,
}

impl<const D: usize> Categorical<D> {
    /// The categorical distribution with these probabilities.
    ///
    /// # Errors
    ///
    /// If there are no categories, a probability is negative or a row does not sum to one (to 1e-4), with the row.
    pub fn new(probs: Tensor<D>) -> Result<Self, Error> {
        let dims = probs.dims();
        let k = dims[D - 1];
        if k == 0 {
            return Err(Error::invalid("the last axis must have one category or more, got 0"));
        }
        for (i, row) in host(probs.clone()).chunks(k.max(1)).enumerate() {
            let mut rows = dims;
            rows[D - 1] = 1;
            let at = &place(i, rows)[..D - 1];
            if let Some((j, p)) = row.iter().enumerate().find(|(_, p)| p.is_nan() || **p < 0.0) {
                return Err(Error::invalid(format!(
                    "a probability must be at least 0, but category {j} of row {at:?} has {p:.4}"
                )));
            }
            let sum: f64 = row.iter().sum();
            if (sum - 1.0).abs() > 1e-4 {
                return Err(Error::invalid(format!(
                    "probabilities of a row must sum to one, but those of row {at:?} sum to {sum:.6}"
                )));
            }
        }
        Ok(Self { probs, indices: false })
    }

    /// [`new`](Categorical::new) without checks, so that no tensor is read back from the device.
    pub fn trusted(probs: Tensor<D>) -> Self {
        Self { probs, indices: false }
    }

    /// Sets whether samples are category indices `[…, 1]` or one-hot vectors `[…, K]`. Default: one-hot vectors.
    pub fn in_indices(self, indices: bool) -> Self {
        Self { indices, ..self }
    }
}

/// Floor of probabilities in the logarithms of a divergence, in single precision.
const FLOOR: f64 = 1e-30;

/// A divergence with what rounding left below 0 set to 0, and its gradient unchanged.
///
/// KL ≥ 0 by Gibbs' inequality, so a negative value is rounding, and 0 is nearer to the exact one.
fn not_negative<const D: usize>(kl: Tensor<D>) -> Tensor<D> {
    let below = kl.clone().detach().neg().clamp_min(0.0);
    kl + below
}

impl<const D: usize> Distribution<D> for Categorical<D> {
    fn mean(&self) -> Tensor<D> {
        self.probs.clone()
    }
    fn std(&self) -> Tensor<D> {
        (self.probs.clone() - self.probs.clone().square()).clamp_min(0.0).sqrt()
    }
    fn sample(&self, rng: &mut Rng) -> Sample<D> {
        let (dims, device, dtype) = (self.probs.dims(), self.probs.device(), self.probs.dtype());
        let k = dims[D - 1];
        if self.indices {
            // The first category whose cumulative probability exceeds u times the whole: one uniform number per sample.
            let mut one = dims;
            one[D - 1] = 1;
            let reached = self.probs.clone().cumsum(D - 1);
            let whole = reached.clone().narrow(D - 1, k - 1, 1);
            let goal = rng.uniform_tensor(one, &device, dtype) * whole;
            let passed = reached.lower_equal(goal.expand(dims)).float().cast(dtype);
            return Sample { value: passed.sum_dim(D - 1), eps: None };
        }
        // Gumbel-max, argmax(ln p − ln(−ln u)) = argmin(−ln u / p), as a one-hot vector without a trip to the host.
        let uniform = rng.uniform_tensor(dims, &device, dtype);
        if k == 1 {
            return Sample { value: uniform.ones_like(), eps: None };
        }
        let wait = uniform.log().neg() / self.probs.clone();
        Sample { value: one_hot(wait.argmin(D - 1).float().cast(dtype), k), eps: None }
    }
    fn nll(&self, x: Tensor<D>) -> Tensor<D> {
        let p = match x.dims()[D - 1] {
            // Of one category, its index and its one-hot vector are both of width 1.
            1 if self.probs.dims()[D - 1] == 1 => self.probs.clone().expand(x.dims()),
            1 => self.probs.clone().gather(D - 1, x.int()),
            _ => (self.probs.clone() * x).sum_dim(D - 1),
        };
        p.log().neg()
    }
    fn kl(&self, other: &dyn Distribution<D>) -> Tensor<D> {
        let q = other.mean();
        let floor = if q.dtype() == DType::F64 { f64::MIN_POSITIVE } else { FLOOR };
        let ratio = self.probs.clone().clamp_min(floor).log() - q.clone().clamp_min(floor).log();
        let kl = not_negative((self.probs.clone() * ratio).sum_dim(D - 1));
        // Mass where the other has none.
        let never = q.equal_elem(0.0).expand(self.probs.dims()).bool_and(self.probs.clone().greater_elem(0.0));
        kl.mask_fill(never.any_dim(D - 1), f64::INFINITY)
    }
}

/// Reads the values of a tensor back to the host in double precision.
pub(crate) fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.try_into_vec_as::<f64>().expect("a tensor can be read back")
}

/// Returns the index of element i of a tensor in row-major order.
fn place<const D: usize>(mut i: usize, dims: [usize; D]) -> [usize; D] {
    let mut at = [0; D];
    for d in (0..D).rev() {
        at[d] = i % dims[d].max(1);
        i /= dims[d].max(1);
    }
    at
}
