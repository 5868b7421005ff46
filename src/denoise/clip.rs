//! Clipping of x̂ to the data range: static and dynamic thresholding.
use super::Denoiser;
use crate::{
    error::Result,
    noise::{Estimate, Noise},
};
use burn::tensor::Tensor;

/// A denoiser whose x̂ is clipped to the data range: static thresholding, as in DDPM.
#[doc(alias("clip_sample", "clip_denoised", "static_thresholding"))]
#[derive(Clone, Debug)]
pub struct Clamped<M> {
    /// The denoiser.
    pub model: M,
    /// The smallest value of the data.
    pub low: f64,
    /// The largest value of the data.
    pub high: f64,
}
impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Clamped<M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn check(&self, shape: [usize; D]) -> Result<()> {
        self.model.check(shape)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let Estimate { mean, variance, .. } = self.model.denoise(z, t);
        Estimate { mean: mean.clamp(self.low, self.high), variance, output: None }
    }
}

/// A denoiser whose x̂ is clipped to a range taken from the sample itself: dynamic thresholding.
///
/// `x̂ ← clamp(x̂, −m, m)/m` with `m = min(max(1, q), max)`, q the `quantile` of the sample's |x̂|. [`Clamped`] is the static kind.
///
/// Saharia et al., "Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding" (2022), section 2.3,
/// <https://arxiv.org/abs/2205.11487>.
#[doc(alias("dynamic_thresholding", "thresholding"))]
#[derive(Clone, Debug)]
pub struct Thresholded<M> {
    /// The denoiser.
    pub model: M,
    /// The fraction of a sample's entries that stays within the range, in [0, 1]; 0.995 in the source.
    #[doc(alias = "dynamic_thresholding_ratio")]
    pub quantile: f64,
    /// The largest range m.
    #[doc(alias = "sample_max_value")]
    pub max: f64,
}
impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Thresholded<M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn check(&self, shape: [usize; D]) -> Result<()> {
        self.model.check(shape)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let Estimate { mean, variance, .. } = self.model.denoise(z, t);
        let dims = mean.dims();
        let (rows, width) = (dims[0], dims[1..].iter().product::<usize>());
        let sorted = mean.clone().abs().reshape([rows, width]).sort(1);
        // Linear interpolation between the two order statistics around the quantile.
        let place = self.quantile.clamp(0.0, 1.0) * (width - 1) as f64;
        let (index, fraction) = (place as usize, place.fract());
        let below = sorted.clone().narrow(1, index, 1);
        let above = sorted.narrow(1, (index + 1).min(width - 1), 1);
        let mut shape = [1; D];
        shape[0] = rows;
        let m = (below * (1.0 - fraction) + above * fraction).clamp(1.0, self.max.max(1.0)).reshape(shape);
        let mean = mean.max_pair(-m.clone().expand(dims)).min_pair(m.clone().expand(dims)) / m;
        Estimate { mean, variance, output: None }
    }
}
