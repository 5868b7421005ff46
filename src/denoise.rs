//! Denoisers: anything that guesses x from x_t. Guidance is a denoiser made of denoisers.
use crate::noise::{Estimate, Noise};
use burn::tensor::Tensor;

mod truncated;
pub use truncated::{Truncated, Truncation};

/// What a sampler asks: the noise it undoes, and a guess at any time of it.
///
/// A net that was told something, an exact solution ([`exact`](crate::exact)), or a combination of others.
pub trait Denoiser<const D: usize> {
    /// The noise that is undone.
    fn noise(&self) -> &dyn Noise<D>;

    /// A word on `z` in the language of [`noise`](Denoiser::noise). One time a row, or one for all.
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D>;

    /// E[x | x_t = z].
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        self.noise().estimate(self.predict(z.clone(), t), z, t)
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<const D: usize, T: Denoiser<D> + ?Sized> Denoiser<D> for $pointer {
            fn noise(&self) -> &dyn Noise<D> {
                (**self).noise()
            }
            fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
                (**self).predict(z, t)
            }
            fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
                (**self).denoise(z, t)
            }
        }
    )*};
}
forward!(Box<T>, &T);

/// `weak + scale · (strong − weak)`: classifier-free guidance where `weak` is told nothing, autoguidance where it is a
/// worse net.
///
/// A scale of 1 is `strong` alone, 0 is `weak` alone. A learned variance is that of `strong`: guidance moves the mean.
///
/// The words of categorical noise are logarithms, so there the guess is `∝ p_weak(x | z)^(1 − scale) p_strong(x | z)^scale`, the
/// conditional tempered by the scale, and for score entropy the same of its ratios.
///
/// Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022), <https://arxiv.org/abs/2207.12598>; its w is `scale − 1`.
#[derive(Clone, Debug)]
pub struct Guided<S, W> {
    /// The denoiser to go towards.
    pub strong: S,
    /// The denoiser to go away from.
    pub weak: W,
    /// How far.
    pub scale: f64,
}
impl<const D: usize, S: Denoiser<D>, W: Denoiser<D>> Denoiser<D> for Guided<S, W> {
    fn noise(&self) -> &dyn Noise<D> {
        self.strong.noise()
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        if self.scale == 1.0 {
            return self.strong.predict(z, t);
        }
        let (strong, variance) = self.noise().split(self.strong.predict(z.clone(), t));
        let (weak, _) = self.noise().split(self.weak.predict(z, t));
        // What is impossible to both, ln 0, has a difference too.
        let finite = |word: Tensor<D>| if self.noise().categorical() { word.clamp_min(-1e4) } else { word };
        let (strong, weak) = (finite(strong), finite(weak));
        let word = weak.clone() + (strong - weak) * self.scale;
        match variance {
            Some(variance) => Tensor::cat(vec![word, variance], 1),
            None => word,
        }
    }
}

/// A denoiser whose guess is kept within the range of the data, as DDPM does with images.
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
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.model.predict(z, t)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let guess = self.model.denoise(z, t);
        Estimate { mean: guess.mean.clamp(self.low, self.high), variance: guess.variance, output: None }
    }
}

/// A denoiser whose guess is kept within a range that follows each row's own numbers: dynamic thresholding.
///
/// `x̂ ← clamp(x̂, −m, m)/m` with `m = max(1, q)`, q the `quantile` of the row's |x̂|, at most `most`. With [`Clamped`] for the
/// static kind.
///
/// Saharia et al., "Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding" (2022), section 2.3,
/// <https://arxiv.org/abs/2205.11487>.
#[derive(Clone, Debug)]
pub struct Thresholded<M> {
    /// The denoiser.
    pub model: M,
    /// The fraction of a row's numbers that stays within the range: 0.995 in the source.
    pub quantile: f64,
    /// The largest range.
    pub most: f64,
}
impl<const D: usize, M: Denoiser<D>> Denoiser<D> for Thresholded<M> {
    fn noise(&self) -> &dyn Noise<D> {
        self.model.noise()
    }
    fn predict(&self, z: Tensor<D>, t: &[f64]) -> Tensor<D> {
        self.model.predict(z, t)
    }
    fn denoise(&self, z: Tensor<D>, t: &[f64]) -> Estimate<D> {
        let guess = self.model.denoise(z, t);
        let dims = guess.mean.dims();
        let (rows, width) = (dims[0], dims[1..].iter().product::<usize>());
        let sorted = guess.mean.clone().abs().reshape([rows, width]).sort(1);
        // Between the two neighbours of the quantile, in proportion.
        let place = self.quantile.clamp(0.0, 1.0) * (width - 1) as f64;
        let (low, share) = (place as usize, place.fract());
        let below = sorted.clone().narrow(1, low, 1);
        let above = sorted.narrow(1, (low + 1).min(width - 1), 1);
        let mut shape = [1; D];
        shape[0] = rows;
        let most = (below * (1.0 - share) + above * share).clamp(1.0, self.most.max(1.0)).reshape(shape);
        let mean = guess.mean.max_pair(-most.clone().expand(dims)).min_pair(most.clone().expand(dims)) / most;
        Estimate { mean, variance: guess.variance, output: None }
    }
}
