//! A network evaluation, and linear combinations of z, x̂ and ε̂.
use super::{TimePoint, Variable};
use crate::{
    denoise::Denoiser,
    rng::Rng,
    schedule::{Scales, Schedule},
};
use burn::tensor::Tensor;
use tweedie_kernels::ops;

/// The schedule of a model with Gaussian noise, x_t = α x + σ ε.
///
/// # Panics
///
/// If the model's noise is categorical, which [`Sampler::check`](super::Sampler::check) refuses.
pub fn gaussian_schedule<const D: usize>(model: &dyn Denoiser<D>) -> &dyn Schedule {
    let schedule = model.noise().path();
    schedule.expect("a sampler of x_t = α x + σ ε needs a model with Gaussian noise: `Sampler::check` refuses others")
}

/// Standard normal noise ξ of the shape, device and precision of `z`.
pub fn noise_like<const D: usize>(rng: &mut Rng, z: &Tensor<D>) -> Tensor<D> {
    rng.normal_tensor(z.dims(), &z.device(), z.dtype())
}

/// `Σ cᵢ xᵢ` with scalars for the whole batch, in one pass; a term of weight 0 is not read.
///
/// # Panics
///
/// If the sum has no terms.
pub fn combine<const D: usize>(terms: impl IntoIterator<Item = (f64, Tensor<D>)>) -> Tensor<D> {
    ops::combine(terms)
}

/// A network evaluation at z and t: the denoised estimate x̂, and with it ε̂ = (z − α x̂)/σ.
///
/// ```
/// use tweedie::{laws, sample::{Evaluation, TimePoint}, schedule::FlowMatching};
/// let model = laws::problem(FlowMatching {});
/// let z = laws::plane(&[[0.5, -1.0]]);
/// let [from, to] = [0.6, 0.5].map(|t| TimePoint::new(&FlowMatching {}, t));
/// let here = Evaluation::new(&model, z, from);
/// // Euler's step is z + (s − t) (ε̂ − x̂) for straight paths.
/// let euler = here.z.clone() - (here.epsilon() - here.x.clone()) * 0.1;
/// let gap: f64 = (here.euler(to.scales) - euler).abs().max().into_scalar();
/// assert!(gap < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Evaluation<const D: usize> {
    /// z = x_t.
    pub z: Tensor<D>,
    /// x̂ = E[x ∣ x_t].
    pub x: Tensor<D>,
    /// α and σ at t.
    pub scales: Scales,
}
impl<const D: usize> Evaluation<D> {
    /// Evaluates the model at `z` and a time.
    pub fn new(model: &dyn Denoiser<D>, z: Tensor<D>, at: TimePoint) -> Self {
        let x = model.denoise(z.clone(), &[at.t]).mean;
        Self { z, x, scales: at.scales }
    }
    /// ε̂ = (z − α x̂)/σ.
    pub fn epsilon(&self) -> Tensor<D> {
        Combination::new().epsilon(1.0, self.clone()).total()
    }
    /// The slope dy/du of the probability flow at a point, which is that of the evaluation, in a [`Variable`].
    ///
    /// # Panics
    ///
    /// If the slope is infinite there.
    pub(super) fn slope(&self, at: TimePoint, variable: Variable) -> Tensor<D> {
        match variable {
            Variable::LogSnr => self.x.clone(),
            Variable::Ratio => self.epsilon(),
            _ => {
                let [a, b] = at.slope(variable).expect("the slope is finite");
                Combination::new().term(a, self.z.clone()).term(b, self.x.clone()).total()
            }
        }
    }
    /// `x_s = α_s x̂ + σ_s ε̂`: Euler's step in σ/α (DDIM's), of first order, which is finite at both ends of every
    /// schedule.
    pub fn euler(self, to: Scales) -> Tensor<D> {
        Combination::new().x_and_epsilon(to.alpha, to.sigma, self).total()
    }
}

/// A linear combination of tensors, denoised estimates x̂ and noise estimates ε̂, built term by term and computed in
/// one pass.
///
/// A term in ε̂ is written as such and added as `(z − α x̂)/σ`, with one weight for each tensor that appears in it:
/// `a z + b ε̂` has the weights `a + b/σ` of z and `−(b/σ) α` of x̂.
///
/// ```
/// use tweedie::{laws, sample::{Combination, Evaluation, TimePoint}, schedule::FlowMatching};
/// let model = laws::problem(FlowMatching {});
/// let from = TimePoint::new(&FlowMatching {}, 0.6);
/// let here = Evaluation::new(&model, laws::plane(&[[0.5, -1.0]]), from);
/// let sum = here.z.clone() * 2.0 + here.epsilon() * 3.0;
/// let same = Combination::new().z_and_epsilon(2.0, 3.0, here).total();
/// let gap: f64 = (same - sum).abs().max().into_scalar();
/// assert!(gap < 1e-12);
/// ```
#[derive(Debug, Default)]
pub struct Combination<const D: usize>(ops::Sum<D>);
impl<const D: usize> Combination<D> {
    /// A sum without terms.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds `a · tensor`.
    pub fn term(mut self, a: f64, tensor: Tensor<D>) -> Self {
        self.0.add(a, tensor);
        self
    }
    /// Adds `b ε̂`.
    pub fn epsilon(self, b: f64, at: Evaluation<D>) -> Self {
        self.z_and_epsilon(0.0, b, at)
    }
    /// Adds `a z + b ε̂`.
    pub fn z_and_epsilon(self, a: f64, b: f64, Evaluation { z, x, scales }: Evaluation<D>) -> Self {
        let share = b / scales.sigma;
        self.term(a + share, z).term(-share * scales.alpha, x)
    }
    /// Adds `a x̂ + b ε̂`.
    pub fn x_and_epsilon(self, a: f64, b: f64, Evaluation { z, x, scales }: Evaluation<D>) -> Self {
        let share = b / scales.sigma;
        self.term(share, z).term(a - scales.alpha * share, x)
    }
    /// The sum.
    ///
    /// # Panics
    ///
    /// If the sum has no terms.
    pub fn total(self) -> Tensor<D> {
        self.0.total()
    }
}
