//! The layers nets are built of.
//!
//! Two things set them apart from `burn::nn`. What they start from is drawn from named streams of an [`Rng`], so a net
//! is known by its seed and a layer more does not change what the others start from. And row i of what they give is
//! the same to the last bit whatever the batch holds beside it, which the kernels of `tweedie-kernels` keep and products
//! of matrices in general do not.
use super::Classes;
use crate::rng::Rng;
use burn::{
    module::{Module, Param},
    tensor::{
        DType, Device, Tensor, TensorData,
        module::interpolate,
        ops::{InterpolateMode, InterpolateOptions},
    },
};
use tweedie_kernels::ops;

pub use ops::silu;

/// Sets each number to zero with probability `rate` and divides the others by 1 − `rate`; without a stream it does
/// nothing. Row i of the mask depends on the stream and i alone.
pub fn dropout<const D: usize>(x: Tensor<D>, rate: f64, rng: &mut Option<Rng>) -> Tensor<D> {
    let Some(rng) = rng.as_mut().filter(|_| rate > 0.0) else { return x };
    let shape: [usize; D] = x.dims();
    let threshold = (rate * 2f64.powi(32)) as u64;
    let kept = (1.0 / (1.0 - rate)) as f32;
    let mask: Vec<f32> = rng
        .words(shape[0], shape[1..].iter().product())
        .into_iter()
        .map(|word| if u64::from(word) < threshold { 0.0 } else { kept })
        .collect();
    let mask = Tensor::from_data(TensorData::new(mask, shape), (&x.device(), x.dtype()));
    x * mask
}

/// What a layer starts from: uniform on ±1/√`inputs`, where `inputs` numbers enter each of its sums.
///
/// That is the variance 1 / (3 · `inputs`), the usual default of fully connected and convolutional layers.
fn start<const D: usize>(shape: [usize; D], inputs: usize, rng: &Rng, device: &Device) -> Param<Tensor<D>> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let unit = rng.clone().uniform_tensor(shape, device, DType::F32);
    Param::from_tensor((unit * 2.0 - 1.0) * bound)
}

fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::zeros(shape, (device, DType::F32)))
}

/// `x W + b`, the same for each row whatever the batch.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// Weight and bias uniform on ±1/√inputs.
    pub fn new(inputs: usize, outputs: usize, rng: &Rng, device: &Device) -> Self {
        Self {
            weight: start([inputs, outputs], inputs, &rng.stream("weight"), device),
            bias: start([outputs], inputs, &rng.stream("bias"), device),
        }
    }

    /// All zero: what it feeds starts as if it were not there.
    pub fn zero(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self { weight: zeros([inputs, outputs], device), bias: zeros([outputs], device) }
    }

    /// `[batch, in]` → `[batch, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::linear(x, self.weight.val(), Some(self.bias.val()))
    }
}

/// A convolution of odd side that keeps the size of the image, or with stride 2 halves it, rounded up.
///
/// An image does not depend on its batch.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in, side, side]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    stride: usize,
}

impl Conv {
    /// Weight and bias uniform on ±1/√(inputs · side²).
    pub fn new([inputs, outputs]: [usize; 2], side: usize, rng: &Rng, device: &Device) -> Self {
        let sum = inputs * side * side;
        Self {
            weight: start([outputs, inputs, side, side], sum, &rng.stream("weight"), device),
            bias: start([outputs], sum, &rng.stream("bias"), device),
            stride: 1,
        }
    }

    /// All zero: what it feeds starts as if it were not there.
    pub fn zero([inputs, outputs]: [usize; 2], side: usize, device: &Device) -> Self {
        Self { weight: zeros([outputs, inputs, side, side], device), bias: zeros([outputs], device), stride: 1 }
    }

    /// The same, at every second row and column.
    pub fn halving(self) -> Self {
        Self { stride: 2, ..self }
    }

    /// `[batch, in, h, w]` → `[batch, out, ⌈h/stride⌉, ⌈w/stride⌉]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let pad = self.weight.dims()[2] / 2;
        ops::conv2d(x, self.weight.val(), Some(self.bias.val()), [self.stride; 2], [pad; 2])
    }
}

/// Each group of channels of each image brought to mean 0 and variance 1, then scaled and shifted by channel.
///
/// Wu and He, "Group Normalization" (2018), <https://arxiv.org/abs/1803.08494>.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// `[channels]`, 1 to begin with.
    pub gamma: Param<Tensor<1>>,
    /// `[channels]`, 0 to begin with.
    pub beta: Param<Tensor<1>>,
    groups: usize,
}

impl GroupNorm {
    /// As many groups as divide `channels`, at most `groups`.
    pub fn new(channels: usize, groups: usize, device: &Device) -> Self {
        let ones = Tensor::ones([channels], (device, DType::F32));
        Self { gamma: Param::from_tensor(ones), beta: zeros([channels], device), groups: divisor(channels, groups) }
    }

    /// `[batch, channels, h, w]` → the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::group_norm(x, self.gamma.val().unsqueeze(), self.beta.val().unsqueeze(), self.groups, 1e-5)
    }

    /// [`silu`] of [`forward`](Self::forward), in one pass.
    pub fn activated(&self, x: Tensor<4>) -> Tensor<4> {
        ops::group_norm_silu(x, self.gamma.val().unsqueeze(), self.beta.val().unsqueeze(), self.groups, 1e-5)
    }

    /// [`silu`] of `norm(x) · (1 + scale) + shift`, with `[batch, channels]` numbers that depend on time and condition.
    pub fn modulated(&self, x: Tensor<4>, scale: Tensor<2>, shift: Tensor<2>) -> Tensor<4> {
        let scale = scale + 1.0;
        let gamma = self.gamma.val().unsqueeze() * scale.clone();
        let beta = self.beta.val().unsqueeze() * scale + shift;
        ops::group_norm_silu(x, gamma, beta, self.groups, 1e-5)
    }
}

/// The largest divisor of `n` that is not above `most`.
pub(super) fn divisor(n: usize, most: usize) -> usize {
    (1..=most.clamp(1, n)).rev().find(|d| n.is_multiple_of(*d)).unwrap_or(1)
}

/// Pixels that look at one another: `x + P V softmax(KᵀQ/√d)` with Q, K, V linear in `norm(x)` and P zero to begin
/// with.
///
/// Vaswani et al., "Attention Is All You Need" (2017), <https://arxiv.org/abs/1706.03762>; over pixels as in Ho et
/// al., "Denoising Diffusion Probabilistic Models" (2020), <https://arxiv.org/abs/2006.11239>.
#[derive(Module, Debug)]
pub struct Attention {
    norm: GroupNorm,
    qkv: Conv,
    out: Conv,
    heads: usize,
}

impl Attention {
    /// Over `channels` channels in heads of `head_channels` or, where that does not divide them, a few more.
    pub fn new(channels: usize, head_channels: usize, groups: usize, rng: &Rng, device: &Device) -> Self {
        Self {
            norm: GroupNorm::new(channels, groups, device),
            qkv: Conv::new([channels, 3 * channels], 1, &rng.stream("qkv"), device),
            out: Conv::zero([channels, channels], 1, device),
            heads: divisor(channels, channels / head_channels.clamp(1, channels)),
        }
    }

    /// `[batch, channels, h, w]` → the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let qkv = self.qkv.forward(self.norm.forward(x.clone()));
        x + self.out.forward(ops::attention_pixels(qkv, self.heads))
    }
}

/// The image enlarged to `size`, at most twofold, each pixel being that above it.
pub fn enlarge(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
}

/// Sines and cosines of 1000 t at `features`/2 frequencies, in even ratios from 1 down towards 1/10000.
///
/// `sin(1000 t ωᵢ)` and `cos(1000 t ωᵢ)` with `ωᵢ = 10000^(−2i/features)`.
///
/// # Shapes
///
/// `t: [batch]` → `[batch, features]`.
pub fn time_features(t: Tensor<1>, features: usize) -> Tensor<2> {
    let half = features / 2;
    let rates: Vec<f32> = (0..half).map(|i| (1e3 * 1e4f64.powf(-(i as f64) / half as f64)) as f32).collect();
    let rates = Tensor::<2>::from_data(TensorData::new(rates, [1, half]), (&t.device(), t.dtype()));
    let angle = t.unsqueeze_dim(1) * rates;
    Tensor::cat(vec![angle.clone().sin(), angle.cos()], 1)
}

/// What a net is told beside `z`, as one vector a row: `W₂ silu(W₁ f(t)) + table[class]`.
///
/// The table has one row more than there are classes, for "none"; without classes there is no table.
#[derive(Module, Debug)]
pub struct Told {
    first: Linear,
    second: Linear,
    classes: Option<Param<Tensor<2>>>,
    features: usize,
}

impl Told {
    /// `width` numbers a row, from `features` time features and `classes` classes.
    pub fn new(features: usize, classes: usize, width: usize, rng: &Rng, device: &Device) -> Self {
        let table = |classes| rng.stream("classes").normal_tensor([classes + 1, width], device, DType::F32);
        Self {
            first: Linear::new(features, width, &rng.stream("first"), device),
            second: Linear::new(width, width, &rng.stream("second"), device),
            classes: (classes > 0).then(|| Param::from_tensor(table(classes))),
            features,
        }
    }

    /// `t: [batch]` → `[batch, width]`.
    ///
    /// # Panics
    ///
    /// If `y` names a class that the net does not have; see [`Classes::indices`].
    pub fn forward(&self, t: Tensor<1>, y: &Classes) -> Tensor<2> {
        let ([batch], device) = (t.dims(), t.device());
        let told = self.second.forward(silu(self.first.forward(time_features(t, self.features))));
        match &self.classes {
            Some(table) => {
                let table = table.val();
                let classes = table.dims()[0] - 1;
                told + table.select(0, y.indices(batch, classes, &device))
            }
            None => {
                if let Some(class) = y.0.iter().flatten().next() {
                    panic!("class {class} was given to a net without classes");
                }
                told
            }
        }
    }
}
