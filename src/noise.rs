//! Noises: how data are corrupted, and how that is reversed.
//!
//! One two-time kernel carries everything, for 0 ≤ s < t ≤ 1:
//!
//! | distribution | | method |
//! |---|---|---|
//! | q(x₁) | stationary distribution, where sampling starts | [`Noise::stationary`] |
//! | q(x_t ∣ x) | forward marginal, what training sees | [`Noise::prior`] |
//! | q(x_s ∣ x_t, x) | posterior | [`Noise::posterior`] |
//! | p(x_s ∣ x_t) | reverse transition: the posterior with x̂ = E[x ∣ x_t] in place of x | [`Noise::approximate`] |
//!
//! The method names are those of Modular Diffusion. [`Gaussian`] noise is for continuous data; [`Discrete`] and [`DiscreteMatrix`]
//! are for categorical data.
use crate::{
    distribution::Distribution,
    error::Result,
    schedule::{Schedule, Survival},
};
use auto_impl::auto_impl;
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt::Debug;

mod chain;
mod corruption;
mod discrete;
mod gaussian;
mod matrix;
pub use chain::Chain;
pub use corruption::Corruption;
pub use discrete::{Discrete, DiscretePrediction, ReverseTransition};
pub use gaussian::{Gaussian, Prediction, Variance};
pub use matrix::DiscreteMatrix;

/// Denoised estimate of the clean data.
#[doc(alias("pred_original_sample", "x0_prediction", "denoised"))]
#[derive(Clone, Debug)]
pub struct Estimate<const D: usize> {
    /// x̂ = E[x ∣ x_t]; of categories, the probabilities p(x ∣ x_t).
    #[doc(alias("pred_original_sample", "x0_prediction", "denoised"))]
    pub mean: Tensor<D>,
    /// Position of the reverse transition's log-variance between its lower bound (0) and its upper bound (1), if it is learned.
    pub variance: Option<Tensor<D>>,
    /// The network output that the mean was computed from; `None` if the mean was changed or computed without one.
    #[doc(alias = "model_output")]
    pub output: Option<Tensor<D>>,
}
impl<const D: usize> Estimate<D> {
    /// Returns the estimate with another mean, and without the output, from which it no longer follows.
    pub fn with_mean(self, mean: Tensor<D>) -> Self {
        Self { mean, output: None, ..self }
    }

    /// Returns the network output: the one the mean was computed from, or else the one with this mean, [`Noise::target`] of it.
    pub fn into_output(self, noise: &dyn Noise<D>, z: &Tensor<D>, t: &[f64]) -> Tensor<D> {
        let Self { mean, output, .. } = self;
        output.unwrap_or_else(|| noise.target(mean, z.clone(), t))
    }
}
impl<const D: usize> From<Tensor<D>> for Estimate<D> {
    fn from(mean: Tensor<D>) -> Self {
        Self { mean, variance: None, output: None }
    }
}

/// Categories of categorical noise, as samplers, losses and networks need to know them.
#[derive(Clone, Copy, Debug)]
pub struct Categories<'a> {
    /// Number of categories K, the mask included.
    #[doc(alias = "vocab_size")]
    pub k: usize,
    /// Index of the mask, the category that every corrupted one becomes, if the noise is absorbing.
    #[doc(alias("mask_token_id", "absorbing_state"))]
    pub mask: Option<usize>,
    /// The schedule of survival probabilities ᾱ(t).
    pub schedule: &'a dyn Survival,
}

/// A batch of distributions of a family chosen at run time.
pub type DynDistribution<const D: usize> = Box<dyn Distribution<D>>;

/// A forward process that corrupts data, and the distributions of its reversal.
///
/// Four methods are required: [`stationary`](Noise::stationary), [`prior`](Noise::prior), [`posterior`](Noise::posterior) and
/// [`decoder`](Noise::decoder). The others default to those of a network whose output is x̂ itself.
///
/// # Shapes
///
/// `x` and `z` = x_t: `[batch, …]`. Times: one per row of the batch, or one for all rows.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{distribution::Normal, noise::{DynDistribution, Estimate, Noise}};
/// /// Brownian motion: q(x_t | x) = N(x, t).
/// #[derive(Debug)]
/// struct Brownian;
/// fn normal<const D: usize>(mean: Tensor<D>, variance: f64) -> DynDistribution<D> {
///     let std = mean.ones_like() * variance.sqrt();
///     Box::new(Normal::trusted(mean, std))
/// }
/// impl<const D: usize> Noise<D> for Brownian {
///     fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D> {
///         normal(Tensor::zeros(shape, device), 1.0)
///     }
///     fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
///         normal(x, t[0])
///     }
///     fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
///         let share = s[0] / t[0];
///         normal(z * share + x * (1.0 - share), s[0] * (1.0 - share))
///     }
///     fn decoder(&self, estimate: Estimate<D>, _: Tensor<D>, t: &[f64]) -> DynDistribution<D> {
///         normal(estimate.mean, t[0])
///     }
/// }
/// let (x, z) = (Tensor::<1>::zeros([1], &Device::flex()), Tensor::<1>::ones([1], &Device::flex()));
/// let halfway: f32 = Brownian.approximate(x.into(), z, &[0.25], &[0.5]).mean().into_scalar();
/// assert_eq!(halfway, 0.5);
/// ```
#[doc(alias("forward_process", "corruption", "diffusion"))]
#[auto_impl(&, Box, Arc)]
pub trait Noise<const D: usize>: Debug + Send + Sync {
    /// Stationary distribution q(x₁), where sampling starts.
    #[doc(alias("p_x1", "init_noise_sigma", "limit_distribution"))]
    fn stationary(&self, shape: [usize; D], device: &Device) -> DynDistribution<D>;

    /// Forward marginal q(x_t ∣ x).
    #[doc(alias("marginal", "forward", "q_sample", "add_noise", "perturbation_kernel", "alphas_cumprod"))]
    fn prior(&self, x: Tensor<D>, t: &[f64]) -> DynDistribution<D>;

    /// Posterior q(x_s ∣ x_t = z, x).
    #[doc(alias("q_posterior", "q_posterior_mean_variance"))]
    fn posterior(&self, x: Tensor<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D>;

    /// Reverse transition p(x_s ∣ x_t = z). Default: the posterior with x̂ in place of x.
    #[doc(alias("reverse", "reverse_transition", "p_sample", "p_mean_variance", "step"))]
    fn approximate(&self, estimate: Estimate<D>, z: Tensor<D>, s: &[f64], t: &[f64]) -> DynDistribution<D> {
        self.posterior(estimate.mean, z, s, t)
    }

    /// Decoder p(x ∣ x_t = z), the last term of the variational bound, where the [`posterior`](Noise::posterior) would be a point.
    #[doc(alias("reconstruction", "decoder_nll"))]
    fn decoder(&self, estimate: Estimate<D>, z: Tensor<D>, t: &[f64]) -> DynDistribution<D>;

    /// Network input computed from x_t = z, such as z scaled to unit variance. Default: z.
    #[doc(alias("scale_model_input", "c_in", "preconditioning"))]
    fn input(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let _ = t;
        z
    }

    /// Training target of the network's prediction. Default: x.
    #[doc(alias("get_velocity", "training_target"))]
    fn target(&self, x: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        let _ = (z, t);
        x
    }

    /// Prediction type of the network output, if it is one of those that have a name in the field. Its meaning is then fixed, and
    /// [`laws::noise`](crate::laws::noise) compares the [`target`](Noise::target) with it. Default: `None`.
    fn prediction_type(&self) -> Option<Prediction> {
        None
    }

    /// Standard deviation d of the data, which EDM's F is scaled by ([`Prediction::row`]). Default: 1.
    #[doc(alias = "sigma_data")]
    fn data_std(&self) -> f64 {
        1.0
    }

    /// Denoised estimate x̂ = E[x ∣ x_t = z] from the network output; its mean is the inverse of [`target`](Noise::target).
    #[doc(alias("pred_original_sample", "predict_start_from_noise", "to_x0"))]
    fn estimate(&self, output: Tensor<D>, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let _ = (z, t);
        Estimate { mean: output.clone(), variance: None, output: Some(output) }
    }

    /// Splits the network output into the prediction of the mean and, if it is learned, that of the variance.
    fn split(&self, output: Tensor<D>) -> (Tensor<D>, Option<Tensor<D>>) {
        (output, None)
    }

    /// Number of network outputs per value of the data: 2 if the variance is learned. Default: 1.
    fn outputs(&self) -> usize {
        1
    }

    /// The schedule, if x_t = α x + σ ε with Gaussian ε; if it is `None`, Gaussian samplers refuse the noise. Default: `None`.
    fn path(&self) -> Option<&dyn Schedule> {
        None
    }

    /// The categories, if x is one of K along the last axis, one-hot `[…, K]` or as category indices `[…, 1]`; `None` for
    /// continuous data. Default: `None`.
    fn categories(&self) -> Option<Categories<'_>> {
        None
    }

    /// The Markov chain of the categories, for samplers and losses that need more of it than the four distributions.
    fn chain(&self) -> Option<&dyn Chain<D>> {
        None
    }

    /// Whether the network output is probabilities of categories, and not on a logarithmic scale. Default: no.
    fn takes_probabilities(&self) -> bool {
        false
    }

    /// Whether the data are categorical: whether there are [`categories`](Noise::categories).
    fn categorical(&self) -> bool {
        self.categories().is_some()
    }

    /// The number of steps T of a table, whose training timesteps are 1/T, 2/T, …, 1; `None` for continuous time.
    #[doc(alias = "num_train_timesteps")]
    fn steps(&self) -> Option<usize> {
        self.path().and_then(|path| path.steps())
    }

    /// Checks that the parts are valid and fit each other; called before the first step.
    ///
    /// # Errors
    ///
    /// If they do not: the field if one is to blame, what was found, and the remedy.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Computes coefficients per row in double precision and returns them as tensors `[rows, 1, …, 1]` on the device and in the
/// precision of `like`.
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
