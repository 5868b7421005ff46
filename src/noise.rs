//! Noises: how data is lost, and how it comes back.
//!
//! One two-time kernel carries everything, for 0 ≤ s < t ≤ 1:
//!
//! ```text
//! q(x₁)            stationary
//! q(x_t | x)       prior
//! q(x_s | x_t, x)  posterior
//! p(x_s | x_t)     approximate: the posterior with x̂ = E[x | x_t] in the place of x
//! ```
use crate::{distribution::Distribution, error::Error, schedule::Schedule};
use burn::tensor::{Device, Tensor, TensorData};
use std::{fmt::Debug, sync::Arc};

mod chain;
mod discrete;
mod gaussian;
mod matrix;
pub use chain::Chain;
pub use discrete::{Discrete, DiscretePrediction, ReverseTransition};
pub use gaussian::{Gaussian, Prediction, Variance};
pub use matrix::DiscreteMatrix;

/// A guess of the clean data.
#[derive(Clone, Debug)]
pub struct Estimate<const D: usize> {
    /// x̂ = E[x | x_t].
    pub mean: Tensor<D>,
    /// Where the posterior's log-variance lies between its smallest (0) and its largest value (1), if it is learned.
    pub variance: Option<Tensor<D>>,
}
impl<const D: usize> From<Tensor<D>> for Estimate<D> {
    fn from(mean: Tensor<D>) -> Self {
        Self { mean, variance: None }
    }
}

/// What samplers, losses and nets may know of categorical noise.
#[derive(Clone, Copy, Debug)]
pub struct Categories<'a> {
    /// K, the mask included.
    pub k: usize,
    /// The category that stands for "lost" and stays, if the noise is absorbing.
    pub mask: Option<usize>,
    /// The schedule, whose [`keep`](Schedule::keep) is the probability of a category's being kept.
    pub schedule: &'a dyn Schedule,
}

/// A batch of distributions, of a family chosen at run time.
pub type DynDistribution<const D: usize> = Box<dyn Distribution<D>>;

/// What is done to the data, as laws at one and two times.
///
/// Times are given one a row, or one for the whole batch. Three methods make a noise; the rest have the meaning that a
/// net which says x̂ directly gives them.
pub trait Noise<const D: usize>: Debug + Send + Sync {
    /// q(x₁), where sampling starts.
    fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D>;

    /// q(x_t | x).
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D>;

    /// q(x_s | x_t = z, x).
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D>;

    /// p(x_s | x_t = z): the posterior with the guess in the place of x.
    fn approximate(&self, guess: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        self.posterior(guess.mean, z, s, t)
    }

    /// p(x | x_t = z), the last step of the bound, in which [`posterior`](Noise::posterior) would be a point.
    fn decoder(&self, guess: Estimate<D>, z: Tensor<D>, t: &[f64]) -> DynDistribution<D>;

    /// What the net reads of `z`.
    fn input(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let _ = t;
        z
    }

    /// What the net ought to say.
    fn target(&self, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let _ = (z, t);
        x
    }

    /// What the net said, read as a guess of x; on the mean, the inverse of [`target`](Noise::target).
    fn estimate(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let _ = (z, t);
        output.into()
    }

    /// The output of a net as its word on x and, where it is learned, its word on the variance.
    fn split(&self, output: Tensor<D>) -> (Tensor<D>, Option<Tensor<D>>) {
        (output, None)
    }

    /// How many numbers the net says for each of the data's: 2 where the variance is learned.
    fn outputs(&self) -> usize {
        1
    }

    /// The schedule, where x_t = α x + σ ε with Gaussian ε; `None` sends Gaussian samplers away.
    fn path(&self) -> Option<&dyn Schedule> {
        None
    }

    /// The categories, where x is one of K along the last axis, as one-hot vectors `[…, K]` or as numbers `[…, 1]`; `None`
    /// where x is made of numbers that are near and far.
    fn categories(&self) -> Option<Categories<'_>> {
        None
    }

    /// The chain of the categories, for samplers and losses that ask more of it than the four laws.
    fn chain(&self) -> Option<&dyn Chain<D>> {
        None
    }

    /// Whether there are [`categories`](Noise::categories).
    fn categorical(&self) -> bool {
        self.categories().is_some()
    }

    /// The T of a T-step table: training visits 1/T, 2/T, …, 1.
    fn steps(&self) -> Option<usize> {
        self.path().and_then(|path| path.steps())
    }

    /// Whether the parts fit each other; asked before the first step.
    ///
    /// # Errors
    ///
    /// What does not fit, in a sentence.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<const D: usize, N: Noise<D> + ?Sized> Noise<D> for $pointer {
            fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D> {
                (**self).stationary(shape, device)
            }
            fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
                (**self).prior(x, t)
            }
            fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
                (**self).posterior(x, z, s, t)
            }
            fn approximate(&self, guess: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
                (**self).approximate(guess, z, s, t)
            }
            fn decoder(&self, guess: Estimate<D>, z: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
                (**self).decoder(guess, z, t)
            }
            fn input(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
                (**self).input(z, t)
            }
            fn target(&self, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
                (**self).target(x, z, t)
            }
            fn estimate(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
                (**self).estimate(output, z, t)
            }
            fn split(&self, output: Tensor<D>) -> (Tensor<D>, Option<Tensor<D>>) {
                (**self).split(output)
            }
            fn outputs(&self) -> usize {
                (**self).outputs()
            }
            fn path(&self) -> Option<&dyn Schedule> {
                (**self).path()
            }
            fn categories(&self) -> Option<Categories<'_>> {
                (**self).categories()
            }
            fn chain(&self) -> Option<&dyn Chain<D>> {
                (**self).chain()
            }
            fn steps(&self) -> Option<usize> {
                (**self).steps()
            }
            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
        }
    )*};
}
forward!(Arc<N>, Box<N>, &N);

/// Numbers computed a row in double precision, as `[rows, 1, …, 1]` tensors on the device and in the precision of `like`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<3>::zeros([2, 3, 4], &Device::flex());
/// let [root] = tweedie::noise::lift(&x, &[0.25, 1.0], |_, t| [t.sqrt()]);
/// assert_eq!(root.dims(), [2, 1, 1]);
/// ```
pub fn lift<const D: usize, const N: usize>(
    like: &Tensor<D>,
    t: &[f64],
    f: impl Fn(usize, f64) -> [f64; N],
) -> [Tensor<D>; N] {
    let rows: Vec<[f64; N]> = t.iter().enumerate().map(|(i, &t)| f(i, t)).collect();
    let mut shape = [1; D];
    shape[0] = t.len();
    std::array::from_fn(|n| {
        let column: Vec<f64> = rows.iter().map(|row| row[n]).collect();
        Tensor::from_data(TensorData::new(column, shape), (&like.device(), like.dtype()))
    })
}
