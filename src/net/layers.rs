//! Layers of which nets are built.
//!
//! They differ from `burn::nn` in two ways. Initial weights come from named streams of an [`Rng`], so a net is determined by
//! its seed, and adding a layer does not change the initial weights of the others. And row i of the output is the same to the
//! last bit whatever else the batch holds, a property of the kernels of `tweedie-kernels` that matrix products in general do
//! not have.
use super::{Classes, space};
use crate::rng::Rng;
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use tweedie_kernels::ops;

pub use ops::silu;

/// Dropout: sets each value to zero with probability `rate` and divides the others by 1 − `rate`; the identity without a
/// stream. Row i of the mask depends on the stream and i alone.
pub fn dropout<const D: usize>(x: Tensor<D>, rate: f64, rng: &mut Option<Rng>) -> Tensor<D> {
    let Some(rng) = rng.as_mut().filter(|_| rate > 0.0) else { return x };
    let shape: [usize; D] = x.dims();
    let threshold = (rate * 2f64.powi(32)) as u64;
    let scale = (1.0 / (1.0 - rate)) as f32;
    let mask: Vec<f32> = rng
        .words(shape[0], shape[1..].iter().product())
        .into_iter()
        .map(|word| if u64::from(word) < threshold { 0.0 } else { scale })
        .collect();
    let mask = Tensor::from_data(TensorData::new(mask, shape), (&x.device(), x.dtype()));
    x * mask
}

/// Initial weights: uniform on ±1/√`inputs`, where `inputs` is the number of terms of each sum (the fan-in).
///
/// Their variance is 1 / (3 · `inputs`), the usual default of fully connected and convolutional layers.
fn uniform<const D: usize>(shape: [usize; D], inputs: usize, rng: &Rng, device: &Device) -> Param<Tensor<D>> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let unit = rng.clone().uniform_tensor(shape, device, DType::F32);
    Param::from_tensor((unit * 2.0 - 1.0) * bound)
}

fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::zeros(shape, (device, DType::F32)))
}

/// Fully connected layer `x W + b`; a row does not depend on the rest of the batch.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Initializes weight and bias uniformly on ±1/√inputs.
    pub fn new(inputs: usize, outputs: usize, rng: &Rng, device: &Device) -> Self {
        Self {
            weight: uniform([inputs, outputs], inputs, &rng.stream("weight"), device),
            bias: uniform([outputs], inputs, &rng.stream("bias"), device),
        }
    }

    /// Initializes weight and bias to zero, so that the layer initially contributes nothing.
    pub fn zero(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: zeros([inputs, outputs], device), bias: zeros([outputs], device) }
    }

    /// Computes `x W + b`: `[batch, in]` → `[batch, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(x, self.weight.val(), Some(self.bias.val()))
    }
}

/// Convolution with an odd kernel that keeps the size of the data, or with stride 2 halves it, rounded up: of signals (D = 3),
/// images (4) or volumes (5).
///
/// A row does not depend on the rest of the batch.
#[doc(alias("Conv1d", "Conv2d", "Conv3d"))]
#[derive(Module, Debug)]
pub struct Conv<const D: usize = 4> {
    /// `[out, in, side, …]`, with the side for each spatial axis.
    pub weight: Param<Tensor<D>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    stride: usize,
}

impl<const D: usize> Conv<D> {
    /// The shape of the kernel, and the number of terms of each sum.
    fn shape([inputs, outputs]: [usize; 2], side: usize) -> ([usize; D], usize) {
        let mut shape = [side; D];
        [shape[0], shape[1]] = [outputs, inputs];
        (shape, shape[1..].iter().product())
    }

    /// Initializes weight and bias uniformly on ±1/√(inputs · side^(D − 2)).
    pub fn new(channels: [usize; 2], side: usize, rng: &Rng, device: &Device) -> Self {
        let (shape, sum) = Self::shape(channels, side);
        Self {
            weight: uniform(shape, sum, &rng.stream("weight"), device),
            bias: uniform([channels[1]], sum, &rng.stream("bias"), device),
            stride: 1,
        }
    }

    /// Initializes weight and bias to zero, so that the layer initially contributes nothing.
    pub fn zero(channels: [usize; 2], side: usize, device: &Device) -> Self {
        let (shape, _) = Self::shape(channels, side);
        Self { weight: zeros(shape, device), bias: zeros([channels[1]], device), stride: 1 }
    }

    /// Returns the same convolution with stride 2.
    #[doc(alias = "Downsample2D")]
    pub fn downsampling(self) -> Self {
        Self { stride: 2, ..self }
    }

    /// Convolves: `[batch, in, sizes…]` → `[batch, out, ⌈sizes/stride⌉…]`.
    pub fn forward(&self, x: Tensor<D>) -> Tensor<D> {
        space::conv(x, self.weight.val(), Some(self.bias.val()), self.stride)
    }
}

/// Group normalization: each group of channels of each image is brought to mean 0 and variance 1, then scaled and shifted
/// per channel.
///
/// Wu and He, "Group Normalization" (2018), <https://arxiv.org/abs/1803.08494>.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// Scale `[channels]`, initially 1.
    pub gamma: Param<Tensor<1>>,
    /// Shift `[channels]`, initially 0.
    pub beta: Param<Tensor<1>>,
    groups: usize,
}

impl GroupNorm {
    /// Uses the largest number of groups that divides `channels` and is at most `groups`.
    pub fn new(channels: usize, groups: usize, device: &Device) -> Self {
        let ones = Tensor::ones([channels], (device, DType::F32));
        Self { gamma: Param::from_tensor(ones), beta: zeros([channels], device), groups: divisor(channels, groups) }
    }

    /// Normalizes: `[batch, channels, …]` → the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::group_norm(x, self.gamma.val().unsqueeze(), self.beta.val().unsqueeze(), self.groups, 1e-5)
    }

    /// Computes [`silu`] of [`forward`](Self::forward) in one pass.
    pub fn activated<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::group_norm_silu(x, self.gamma.val().unsqueeze(), self.beta.val().unsqueeze(), self.groups, 1e-5)
    }

    /// Computes [`silu`] of `norm(x) · (1 + scale) + shift`, with `scale` and `shift` `[batch, channels]`.
    pub fn modulated<const D: usize>(&self, x: Tensor<D>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<D> {
        let scale = scale + 1.0;
        let gamma = self.gamma.val().unsqueeze() * scale.clone();
        let beta = self.beta.val().unsqueeze() * scale + shift;
        ops::group_norm_silu(x, gamma, beta, self.groups, 1e-5)
    }
}

/// Returns the largest divisor of `n` that is at most `most`.
pub(super) fn divisor(n: usize, most: usize) -> usize {
    (1..=most.clamp(1, n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
}

/// Self-attention over the places of signals, images or volumes: `x + P V softmax(KᵀQ/√d)` with Q, K, V linear in `norm(x)` and P initially zero.
///
/// Vaswani et al., "Attention Is All You Need" (2017), <https://arxiv.org/abs/1706.03762>; over pixels as in Ho et
/// al., "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>.
#[derive(Module, Debug)]
pub struct Attention<const D: usize = 4> {
    norm: GroupNorm,
    qkv: Conv<D>,
    out: Conv<D>,
    heads: usize,
}

impl<const D: usize> Attention<D> {
    /// Splits `channels` channels into heads of `head_channels`, or of a few more if that does not divide them.
    pub fn new(channels: usize, head_channels: usize, groups: usize, rng: &Rng, device: &Device) -> Self {
        Self {
            norm: GroupNorm::new(channels, groups, device),
            qkv: Conv::new([channels, 3 * channels], 1, &rng.stream("qkv"), device),
            out: Conv::zero([channels, channels], 1, device),
            heads: divisor(channels, channels / head_channels.clamp(1, channels)),
        }
    }

    /// Attends: `[batch, channels, …]` → the same.
    pub fn forward(&self, x: Tensor<D>) -> Tensor<D> {
        let qkv = self.qkv.forward(self.norm.forward(x.clone()));
        let shape = x.dims();
        x + self.out.forward(space::unfold(ops::attention_pixels(space::fold(qkv), self.heads), shape))
    }
}

/// Upsamples signals, images or volumes to `size`, at most twofold, by nearest neighbors.
#[doc(alias = "Upsample2D")]
pub fn upsample<const D: usize>(x: Tensor<D>, size: impl AsRef<[usize]>) -> Tensor<D> {
    space::upsample(x, size.as_ref())
}

/// Sinusoidal features of the time: `features`/2 sines, then as many cosines.
///
/// `sin(1000 t ωᵢ)` and `cos(1000 t ωᵢ)` with `ωᵢ = 10000^(−2i/features)`.
///
/// # Shapes
///
/// `t: [batch]` → `[batch, features]`.
#[doc(alias = "get_timestep_embedding")]
#[doc(alias = "Timesteps")]
pub fn time_features(t: Tensor<1>, features: usize) -> Tensor<2> {
    let half = features / 2;
    let rates: Vec<f32> = (0..half).map(|i| (1e3 * 1e4f64.powf(-(i as f64) / half as f64)) as f32).collect();
    let rates = Tensor::<2>::from_data(TensorData::new(rates, [1, half]), (&t.device(), t.dtype()));
    let angle = t.unsqueeze_dim(1) * rates;
    Tensor::cat(vec![angle.clone().sin(), angle.cos()], 1)
}

/// Embedding of time and class: `W₂ silu(W₁ f(t)) + table[class]`, with f the [`time_features`].
///
/// The table has `num_classes + 1` rows, the last for "none"; there is no table if `num_classes` is 0.
#[doc(alias = "time_embedding")]
#[doc(alias = "class_embedding")]
#[doc(alias = "TimestepEmbedding")]
#[doc(alias = "LabelEmbedding")]
#[derive(Module, Debug)]
pub struct TimeClassEmbedding {
    first: Linear,
    second: Linear,
    classes: Option<Param<Tensor<2>>>,
    features: usize,
}

impl TimeClassEmbedding {
    /// Embeds `features` time features and `num_classes` classes in vectors of `width` values.
    pub fn new(features: usize, num_classes: usize, width: usize, rng: &Rng, device: &Device) -> Self {
        Self {
            first: Linear::new(features, width, &rng.stream("first"), device),
            second: Linear::new(width, width, &rng.stream("second"), device),
            classes: (num_classes > 0).then(|| class_table(num_classes, width, rng, device)),
            features,
        }
    }

    /// Returns the number of classes; 0 if there is no table.
    pub fn num_classes(&self) -> usize {
        self.classes.as_ref().map_or(0, |table| table.dims()[0] - 1)
    }

    /// Embeds `t: [batch]` and the classes: `[batch, width]`.
    ///
    /// # Panics
    ///
    /// If `y` holds a class that the net does not have; see [`Classes::check`].
    pub fn forward(&self, t: Tensor<1>, y: &Classes) -> Tensor<2> {
        let ([batch], device) = (t.dims(), t.device());
        let time = self.second.forward(silu(self.first.forward(time_features(t, self.features))));
        match embed_classes(&self.classes, y, batch, &device) {
            Some(classes) => time + classes,
            None => time,
        }
    }
}

/// Initial embedding table of classes, the last row for "none": standard normal, `[num_classes + 1, width]`.
pub(super) fn class_table(num_classes: usize, width: usize, rng: &Rng, device: &Device) -> Param<Tensor<2>> {
    Param::from_tensor(rng.stream("classes").normal_tensor([num_classes + 1, width], device, DType::F32))
}

/// Looks classes up in a table of [`class_table`]: `[batch, width]`. `None` if there is no table.
///
/// # Panics
///
/// If `y` holds a class that is not in the table.
pub(super) fn embed_classes(
    table: &Option<Param<Tensor<2>>>,
    y: &Classes,
    batch: usize,
    device: &Device,
) -> Option<Tensor<2>> {
    let num_classes = table.as_ref().map_or(0, |table| table.dims()[0] - 1);
    let Some(table) = table else {
        // Nothing is looked up, but a class given to an unconditional net is still an error.
        if let Err(error) = y.check(y.0.len(), num_classes) {
            panic!("{error}");
        }
        return None;
    };
    Some(table.val().select(0, y.indices(batch, num_classes, device)))
}
