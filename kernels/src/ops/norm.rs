//! Normalization: group normalization, layer normalization and RMS normalization.
#[cfg(feature = "gpu")]
use super::graph::kernels_enabled;
use super::graph::{Context, Forward, Operation, apply, is_supported};
use crate::memory::unwritten;
use crate::{GroupNorm, LayerNorm};
#[cfg(feature = "gpu")]
use burn::backend::DispatchTensor;
use burn::tensor::{Tensor, activation};

/// A normalization with gain and offset.
trait Normalization: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Whether the backward pass needs the offset.
    const NEEDS_OFFSET: bool;
    /// Length of the statistics that the forward pass stores for the backward pass.
    fn stats_len(&self) -> usize;
    /// Computes the output and the statistics.
    fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]);
    /// Computes the gradients with respect to `[x, gain, offset]`.
    fn backward(&self, inputs: [&[f32]; 3], stats: &[f32], dy: &[f32], gradients: [&mut [f32]; 3]);
    /// Runs the kernels of GPUs, for gain and offset of so many rows.
    #[cfg(feature = "gpu")]
    fn on_gpu(self, shape: Vec<usize>, rows: usize, inputs: [DispatchTensor; 3]) -> DispatchTensor;
}

impl Normalization for GroupNorm {
    const NEEDS_OFFSET: bool = true;
    fn stats_len(&self) -> usize {
        2 * self.batch * self.groups
    }
    fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) {
        self.forward(x, gain, offset, y, stats);
    }
    fn backward(&self, inputs: [&[f32]; 3], stats: &[f32], dy: &[f32], gradients: [&mut [f32]; 3]) {
        let ([x, gain, offset], [dx, d_gain, d_offset]) = (inputs, gradients);
        self.backward(x, gain, offset, stats, dy, dx, d_gain, d_offset);
    }
    #[cfg(feature = "gpu")]
    fn on_gpu(self, shape: Vec<usize>, rows: usize, inputs: [DispatchTensor; 3]) -> DispatchTensor {
        crate::gpu::group_norm(self, shape, rows, inputs)
    }
}

impl Normalization for LayerNorm {
    const NEEDS_OFFSET: bool = false;
    fn stats_len(&self) -> usize {
        2 * self.samples * self.tokens
    }
    fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) {
        self.forward(x, gain, offset, y, stats);
    }
    fn backward(&self, inputs: [&[f32]; 3], stats: &[f32], dy: &[f32], gradients: [&mut [f32]; 3]) {
        let ([x, gain, _], [dx, d_gain, d_offset]) = (inputs, gradients);
        self.backward(x, gain, stats, dy, dx, d_gain, d_offset);
    }
    #[cfg(feature = "gpu")]
    fn on_gpu(self, shape: Vec<usize>, rows: usize, inputs: [DispatchTensor; 3]) -> DispatchTensor {
        crate::gpu::layer_norm(self, shape, rows, inputs)
    }
}

/// A normalization, with the shapes of the input and of the gain.
#[derive(Clone, Debug)]
struct NormOp<N> {
    norm: N,
    shape: Vec<usize>,
    gain: Vec<usize>,
}

impl<N: Normalization> Operation<3> for NormOp<N> {
    const SAVES_INPUT: [bool; 3] = [true, true, N::NEEDS_OFFSET];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape.clone() } else { self.gain.clone() }
    }
    fn forward(&self, [x, gain, offset]: [&[f32]; 3]) -> Forward {
        let (mut out, mut saved) = (unwritten(x.len()), unwritten(self.norm.stats_len()));
        self.norm.forward(x, gain, offset, &mut out, &mut saved);
        Forward { out, saved }
    }
    fn backward(&self, context: Context<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [mut dx, mut d_gain, mut d_offset] = [0, 1, 1].map(|i| unwritten(context.inputs[i].len()));
        let gradients = [&mut dx[..], &mut d_gain, &mut d_offset];
        self.norm.backward(context.inputs, context.saved, context.dy, gradients);
        [Some(dx), Some(d_gain), Some(d_offset)]
    }
}

/// Checks the shapes of gain and offset and runs the kernel; `fallback` runs burn's operations on `x, gain, offset`.
fn normalize<N: Normalization, const D: usize>(
    norm: N,
    [batch, width]: [usize; 2],
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    fallback: impl FnOnce(Tensor<D>, Tensor<2>, Tensor<2>) -> Tensor<D>,
) -> Tensor<D> {
    let (dims, [rows, columns]) = (x.dims(), gain.dims());
    assert!(
        columns == width && (rows == 1 || rows == batch) && offset.dims() == [rows, columns],
        "gain and offset must be [1 or {batch}, {width}] for an input {dims:?}, got {:?} and {:?}",
        [rows, columns],
        offset.dims()
    );
    let inputs = [x.into_dispatch(), gain.into_dispatch(), offset.into_dispatch()];
    if inputs.iter().all(is_supported) {
        return Tensor::from_dispatch(apply(NormOp { norm, shape: dims.to_vec(), gain: vec![rows, columns] }, inputs));
    }
    #[cfg(feature = "gpu")]
    if inputs.iter().all(crate::gpu::is_gpu) && kernels_enabled() {
        return Tensor::from_dispatch(norm.on_gpu(dims.to_vec(), rows, inputs));
    }
    let [x, gain, offset] = inputs;
    fallback(Tensor::from_dispatch(x), Tensor::from_dispatch(gain), Tensor::from_dispatch(offset))
}

fn group_norm_with<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> Tensor<D> {
    let dims = x.dims();
    let (batch, channels, pixels) = (dims[0], dims[1], dims[2..].iter().product());
    assert!(
        groups > 0 && channels % groups == 0,
        "the channels must be a multiple of the groups, got {channels} channels and {groups} groups"
    );
    let norm = GroupNorm { batch, channels, pixels, groups, epsilon, silu };
    normalize(norm, [batch, channels], x, gain, offset, |x, gain, offset| {
        let x = x.reshape([batch, groups, channels / groups * pixels]);
        let x = x.clone() - x.mean_dim(2);
        let deviation = ((x.clone() * x.clone()).mean_dim(2) + epsilon).sqrt();
        let x = (x / deviation).reshape([batch, channels, pixels]);
        let y = (x * gain.unsqueeze_dim(2) + offset.unsqueeze_dim(2)).reshape(dims);
        if silu { activation::silu(y) } else { y }
    })
}

/// Computes the group normalization `gain · (x − mean) / √(variance + ε) + offset`, with the mean and variance over the
/// channels and pixels of each group.
///
/// A modulation by the conditioning, `(1 + scale) y + shift`, is part of gain and offset: `gain (1 + scale)`,
/// `offset (1 + scale) + shift`.
///
/// # Shapes
/// `x: [batch, channels, …]`, `gain, offset: [1 or batch, channels]` → as `x`.
///
/// # Panics
/// If the shapes do not match, or the number of channels is not a multiple of `groups`.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups: usize,
    epsilon: f64,
) -> Tensor<D> {
    group_norm_with(x, gain, offset, groups, epsilon, false)
}

/// Computes [`group_norm`] followed by [`silu`](super::silu), in one pass.
///
/// # Shapes
/// As for [`group_norm`].
///
/// # Panics
/// As for [`group_norm`].
pub fn group_norm_silu<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups: usize,
    epsilon: f64,
) -> Tensor<D> {
    group_norm_with(x, gain, offset, groups, epsilon, true)
}

fn layer_norm_with<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    epsilon: f64,
    root_mean_square: bool,
) -> Tensor<D> {
    let dims = x.dims();
    assert!(D >= 2, "the input of a layer normalization must have at least two dimensions, got {D}");
    let (batch, tokens, width) = (dims[0], dims[1..D - 1].iter().product(), dims[D - 1]);
    let norm = LayerNorm { samples: batch, tokens, width, epsilon, root_mean_square };
    normalize(norm, [batch, width], x, gain, offset, |x, gain, offset| {
        let x = x.reshape([batch, tokens, width]);
        let x = if root_mean_square { x } else { x.clone() - x.mean_dim(2) };
        let deviation = ((x.clone() * x.clone()).mean_dim(2) + epsilon).sqrt();
        (x / deviation * gain.unsqueeze_dim(1) + offset.unsqueeze_dim(1)).reshape(dims)
    })
}

/// Computes the layer normalization `gain · (x − mean) / √(variance + ε) + offset`, with the mean and variance over the
/// last dimension.
///
/// A modulation by the conditioning, `(1 + scale) y + shift`, is part of gain and offset: `gain (1 + scale)`,
/// `offset (1 + scale) + shift`.
///
/// # Shapes
/// `x: [batch, …, width]`, `gain, offset: [1 or batch, width]` → as `x`.
///
/// # Panics
/// If the shapes do not match.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gain: Tensor<2>, offset: Tensor<2>, epsilon: f64) -> Tensor<D> {
    layer_norm_with(x, gain, offset, epsilon, false)
}

/// Computes the RMS normalization `gain · x / √(mean(x²) + ε) + offset` over the last dimension.
///
/// # Shapes
/// As for [`layer_norm`].
///
/// # Panics
/// If the shapes do not match.
pub fn rms_norm<const D: usize>(x: Tensor<D>, gain: Tensor<2>, offset: Tensor<2>, epsilon: f64) -> Tensor<D> {
    layer_norm_with(x, gain, offset, epsilon, true)
}
