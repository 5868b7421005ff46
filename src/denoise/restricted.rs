//! Categories that some entries of a sample cannot have.
use super::Denoiser;
use crate::noise::{Estimate, Noise};
use burn::tensor::{Tensor, TensorData};

/// A denoiser of categories given that each entry has one of its allowed categories: p(x | x_t) without the others,
/// normalized.
///
/// ```text
/// p(x_i = k | x_t, x_i ∈ A_i) = [k ∈ A_i] p(x_i = k | x_t) / Σ_{j ∈ A_i} p(x_i = j | x_t)
/// ```
///
/// Every entry is conditioned on its own restriction. That is the conditional distribution given all restrictions where
/// they follow from what is known, such as that no letter left of a known letter is the end of the text. An entry of
/// whose allowed categories none has any probability has all of them with equal probability.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use tweedie::{denoise::{Denoiser, Restricted}, exact::Joint, noise::Discrete, schedule::FlowMatching};
/// let noise = Discrete::absorbing(FlowMatching {}, 4, 3);
/// let model = Joint::new(noise, vec![(vec![0], 0.5), (vec![1], 0.25), (vec![2], 0.25)])?;
/// // Never category 0.
/// let allowed = Tensor::<3>::from_floats([[[0.0, 1.0, 1.0, 1.0]]], &Device::flex());
/// let masked = Tensor::<3>::from_floats([[[3.0]]], &Device::flex());
/// let p = Restricted::new(model, allowed).denoise(masked, &[0.5]).mean;
/// assert_eq!(p.into_data().to_vec::<f32>().unwrap(), [0.0, 0.5, 0.5, 0.0]);
/// # Ok::<(), tweedie::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "bad_words_ids")]
#[doc(alias = "suppress_tokens")]
pub struct Restricted<M, const D: usize> {
    model: M,
    allowed: Tensor<D>,
}
impl<M, const D: usize> Restricted<M, D> {
    /// The denoiser `model`, restricted.
    ///
    /// # Shapes
    ///
    /// `allowed: [batch or 1, …, K]`, 1 where a category is allowed and 0 elsewhere; K counts the mask.
    pub fn new(model: M, allowed: Tensor<D>) -> Self {
        Self { model, allowed }
    }
}
impl<const D: usize, M: Denoiser<D>> Restricted<M, D> {
    fn restricted(&self, estimate: Estimate<D>, first: usize) -> Estimate<D> {
        let dims = estimate.mean.dims();
        let k = dims[D - 1];
        let dtype = estimate.mean.dtype();
        let allowed = self.allowed.clone().cast(dtype);
        let allowed = if allowed.dims()[1] == dims[1] { allowed } else { allowed.narrow(1, first, dims[1]) };
        let allowed = allowed.expand(dims);
        let probs = estimate.mean.clone() * allowed.clone();
        let total = probs.clone().sum_dim(D - 1);
        let none = total.clone().equal_elem(0.0);
        // The mask is never data.
        let mask = self.noise().categories().and_then(|categories| categories.mask);
        let mut shape = [1; D];
        shape[D - 1] = k;
        let data: Vec<f64> = (0..k).map(|i| if Some(i) == mask { 0.0 } else { 1.0 }).collect();
        let even = allowed * Tensor::from_data(TensorData::new(data, shape), (&probs.device(), dtype));
        let even = even.clone() / even.sum_dim(D - 1).clamp_min(1.0);
        let probs = (probs / total.mask_fill(none.clone(), 1.0)).mask_where(none.expand(dims), even);
        estimate.with_mean(probs)
    }
}
impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Restricted<M, D> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn check(&self, shape: [usize; D]) -> crate::Result<()> {
        self.model.check(shape)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.restricted(self.model.denoise(z, t), 0)
    }
    fn denoise_window(&self, z: Tensor<D>, t: &[f64], first: usize) -> Estimate<D> {
        self.restricted(self.model.denoise_window(z, t, first), first)
    }
}
