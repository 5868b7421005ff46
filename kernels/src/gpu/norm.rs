//! Group and layer normalization, each in one kernel forward and two backward.
//!
//! A cube of threads normalizes one group (or token): it reads it for the mean, for the variance and for the output. Sums are taken
//! in single precision over the threads' own sums.
use super::{
    graph::{Operation, apply},
    queue::{Kernel, Lazy, queue},
};
use crate::{GroupNorm, LayerNorm};
use burn::backend::{DispatchTensor, TensorMetadata, ops::FloatTensorOps};
use burn::tensor::DType;
use burn_cubecl::{
    Cube, cubecl, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::{
    ir::{ElemType, FloatKind},
    prelude::*,
};

/// Threads of a cube.
pub(super) const THREADS: u32 = 128;

/// The sum over the threads of a cube.
#[cube]
pub(super) fn cube_sum(value: f32, shared: &mut Shared<[f32]>) -> f32 {
    cube_fold(value, shared, false)
}

/// The largest number of the threads of a cube, or their sum.
#[cube]
pub(super) fn cube_fold(value: f32, shared: &mut Shared<[f32]>, #[comptime] largest: bool) -> f32 {
    let thread = UNIT_POS_X as usize;
    shared[thread] = value;
    sync_cube();
    let mut half = CUBE_DIM_X as usize / 2;
    while half > 0 {
        if thread < half {
            let other = shared[thread + half];
            if largest {
                let own = shared[thread];
                if other > own {
                    shared[thread] = other;
                }
            } else {
                shared[thread] += other;
            }
        }
        sync_cube();
        half /= 2;
    }
    let folded = shared[0];
    sync_cube();
    folded
}

/// Normalizes a run of `length` numbers per cube. Gain and offset i of the run are at `(cube / per_sample) · sample_stride +
/// (cube % per_sample) · run_stride + i / step`.
#[cube(launch)]
fn normalize<F: Float>(
    x: &Tensor<F>,
    gain: &Tensor<F>,
    offset: &Tensor<F>,
    y: &mut Tensor<F>,
    stats: &mut Tensor<f32>,
    length: u32,
    per_sample: u32,
    sample_stride: u32,
    run_stride: u32,
    step: u32,
    epsilon: f32,
    #[comptime] silu: bool,
    #[comptime] centered: bool,
    #[define(F)] _dtype: ElemType,
) {
    let run = CUBE_POS as usize;
    let begin = run * length as usize;
    let first = run / per_sample as usize * sample_stride as usize + run % per_sample as usize * run_stride as usize;
    let threads = CUBE_DIM_X as usize;
    let thread = UNIT_POS_X as usize;
    let mut sums = Shared::new_slice(128usize);
    let mut mean = 0.0f32;
    if centered {
        let mut sum = 0.0f32;
        let mut i = thread;
        while i < length as usize {
            sum += f32::cast_from(x[begin + i]);
            i += threads;
        }
        mean = cube_sum(sum, &mut sums) / f32::cast_from(length);
    }
    let mut sum = 0.0f32;
    let mut i = thread;
    while i < length as usize {
        let deviation = f32::cast_from(x[begin + i]) - mean;
        sum += deviation * deviation;
        i += threads;
    }
    let variance = cube_sum(sum, &mut sums) / f32::cast_from(length);
    let scale = 1.0f32 / (variance + epsilon).sqrt();
    if thread == 0 {
        stats[2 * run] = mean;
        stats[2 * run + 1] = scale;
    }
    let mut i = thread;
    while i < length as usize {
        let place = first + i / step as usize;
        let normal = (f32::cast_from(x[begin + i]) - mean) * scale;
        let mut out = normal * f32::cast_from(gain[place]) + f32::cast_from(offset[place]);
        if silu {
            out = out / (1.0f32 + (0.0f32 - out).exp());
        }
        y[begin + i] = F::cast_from(out);
        i += threads;
    }
}

/// The derivative of the output's nonlinearity, times its gradient.
#[cube]
fn before_silu(z: f32, dy: f32, #[comptime] silu: bool) -> f32 {
    let mut dz = dy;
    if silu {
        let s = 1.0f32 / (1.0f32 + (0.0f32 - z).exp());
        dz = dy * s * (1.0f32 + z * (1.0f32 - s));
    }
    dz
}

/// Gradients of group normalization: of x, and of gain and offset per sample and channel. A cube takes a group, channel by channel.
#[cube(launch)]
fn group_gradients<F: Float>(
    x: &Tensor<F>,
    gain: &Tensor<F>,
    offset: &Tensor<F>,
    stats: &Tensor<f32>,
    dy: &Tensor<F>,
    dx: &mut Tensor<F>,
    d_gain: &mut Tensor<F>,
    d_offset: &mut Tensor<F>,
    groups: u32,
    channels_per_group: u32,
    pixels: u32,
    sample_stride: u32,
    #[comptime] silu: bool,
    #[define(F)] _dtype: ElemType,
) {
    let run = CUBE_POS as usize;
    let (per_group, pixels) = (channels_per_group as usize, pixels as usize);
    let first = run / groups as usize * sample_stride as usize + run % groups as usize * per_group;
    let threads = CUBE_DIM_X as usize;
    let thread = UNIT_POS_X as usize;
    let mut sums = Shared::new_slice(128usize);
    let mean = stats[2 * run];
    let scale = stats[2 * run + 1];
    let mut along_one = 0.0f32;
    let mut along_normal = 0.0f32;
    let mut channel = 0usize;
    while channel < per_group {
        let begin = (run * per_group + channel) * pixels;
        let gamma = f32::cast_from(gain[first + channel]);
        let beta = f32::cast_from(offset[first + channel]);
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        let mut i = thread;
        while i < pixels {
            let normal = (f32::cast_from(x[begin + i]) - mean) * scale;
            let dz = before_silu(normal * gamma + beta, f32::cast_from(dy[begin + i]), silu);
            sum += dz;
            product += dz * normal;
            i += threads;
        }
        let sum = cube_sum(sum, &mut sums);
        let product = cube_sum(product, &mut sums);
        if thread == 0 {
            d_gain[run * per_group + channel] = F::cast_from(product);
            d_offset[run * per_group + channel] = F::cast_from(sum);
        }
        along_one += gamma * sum;
        along_normal += gamma * product;
        channel += 1;
    }
    let length = per_group * pixels;
    along_one /= f32::cast_from(length as u32);
    along_normal /= f32::cast_from(length as u32);
    let begin = run * length;
    let mut i = thread;
    while i < length {
        let place = first + i / pixels;
        let gamma = f32::cast_from(gain[place]);
        let normal = (f32::cast_from(x[begin + i]) - mean) * scale;
        let z = normal * gamma + f32::cast_from(offset[place]);
        let dz = before_silu(z, f32::cast_from(dy[begin + i]), silu);
        dx[begin + i] = F::cast_from(scale * (dz * gamma - along_one - normal * along_normal));
        i += threads;
    }
}

/// Gradient of layer normalization with respect to x. A cube takes a token.
#[cube(launch)]
fn layer_gradient<F: Float>(
    x: &Tensor<F>,
    gain: &Tensor<F>,
    stats: &Tensor<f32>,
    dy: &Tensor<F>,
    dx: &mut Tensor<F>,
    width: u32,
    tokens: u32,
    sample_stride: u32,
    #[comptime] centered: bool,
    #[define(F)] _dtype: ElemType,
) {
    let run = CUBE_POS as usize;
    let width = width as usize;
    let begin = run * width;
    let first = run / tokens as usize * sample_stride as usize;
    let threads = CUBE_DIM_X as usize;
    let thread = UNIT_POS_X as usize;
    let mut sums = Shared::new_slice(128usize);
    let mean = stats[2 * run];
    let scale = stats[2 * run + 1];
    let mut sum = 0.0f32;
    let mut product = 0.0f32;
    let mut i = thread;
    while i < width {
        let dn = f32::cast_from(dy[begin + i]) * f32::cast_from(gain[first + i]);
        sum += dn;
        product += dn * (f32::cast_from(x[begin + i]) - mean) * scale;
        i += threads;
    }
    let mut along_one = 0.0f32;
    if centered {
        along_one = cube_sum(sum, &mut sums) / f32::cast_from(width as u32);
    }
    let along_normal = cube_sum(product, &mut sums) / f32::cast_from(width as u32);
    let mut i = thread;
    while i < width {
        let dn = f32::cast_from(dy[begin + i]) * f32::cast_from(gain[first + i]);
        let normal = (f32::cast_from(x[begin + i]) - mean) * scale;
        dx[begin + i] = F::cast_from(scale * (dn - along_one - normal * along_normal));
        i += threads;
    }
}

/// Gradients of layer normalization with respect to gain and offset, per sample: each thread sums one of them over the tokens.
#[cube(launch)]
fn layer_sums<F: Float>(
    x: &Tensor<F>,
    stats: &Tensor<f32>,
    dy: &Tensor<F>,
    d_gain: &mut Tensor<F>,
    d_offset: &mut Tensor<F>,
    width: u32,
    tokens: u32,
    count: u32,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS as usize;
    if place < count as usize {
        let (width, tokens) = (width as usize, tokens as usize);
        let sample = place / width;
        let i = place % width;
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        let mut token = 0usize;
        while token < tokens {
            let run = sample * tokens + token;
            let dy = f32::cast_from(dy[run * width + i]);
            sum += dy;
            product += dy * (f32::cast_from(x[run * width + i]) - stats[2 * run]) * stats[2 * run + 1];
            token += 1;
        }
        d_gain[place] = F::cast_from(product);
        d_offset[place] = F::cast_from(sum);
    }
}

pub(super) fn empty(like: &CubeTensor, shape: Vec<usize>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}
pub(super) fn element(dtype: DType) -> ElemType {
    let kind = match dtype {
        DType::F16 => FloatKind::F16,
        DType::BF16 => FloatKind::BF16,
        _ => FloatKind::F32,
    };
    ElemType::Float(kind)
}

/// Either normalization.
#[derive(Clone, Debug)]
enum Norm {
    Group(GroupNorm),
    Layer(LayerNorm),
}

/// A normalization with the shape of its input and the rows of gain and offset.
#[derive(Clone, Debug)]
struct NormOp {
    norm: Norm,
    shape: Vec<usize>,
    rows: usize,
}

impl NormOp {
    /// Samples and channels: the shape of gain and offset, if there is one for each sample.
    fn affine(&self) -> [usize; 2] {
        match &self.norm {
            Norm::Group(norm) => [norm.batch, norm.channels],
            Norm::Layer(norm) => [norm.samples, norm.width],
        }
    }
    /// Runs that are normalized, and their length.
    fn runs(&self) -> [usize; 2] {
        match &self.norm {
            Norm::Group(norm) => [norm.batch * norm.groups, norm.channels / norm.groups * norm.pixels],
            Norm::Layer(norm) => [norm.samples * norm.tokens, norm.width],
        }
    }
    fn sample_stride(&self) -> u32 {
        if self.rows == 1 { 0 } else { self.affine()[1] as u32 }
    }
}

#[derive(Clone, Debug)]
struct Forward(NormOp);

impl Kernel<3, 2> for Forward {
    fn outputs(&self, [x, ..]: [DType; 3]) -> [(Vec<usize>, DType); 2] {
        [(self.0.shape.clone(), x), (vec![self.0.runs()[0], 2], DType::F32)]
    }
    fn run(&self, inputs: [CubeTensor; 3]) -> [CubeTensor; 2] {
        let [x, gain, offset] = inputs.map(into_contiguous);
        let [runs, length] = self.0.runs();
        let (y, stats) = (empty(&x, self.0.shape.clone(), x.dtype), empty(&x, vec![runs, 2], DType::F32));
        let (per_sample, run_stride, step, epsilon, silu, centered) = match &self.0.norm {
            Norm::Group(n) => (n.groups, n.channels / n.groups, n.pixels, n.epsilon, n.silu, true),
            Norm::Layer(n) => (n.tokens, 0, 1, n.epsilon, false, !n.root_mean_square),
        };
        let (client, dtype) = (x.client.clone(), element(x.dtype));
        normalize::launch(
            &client,
            cubes(runs),
            CubeDim::new_1d(THREADS),
            x.into_tensor_arg(),
            gain.into_tensor_arg(),
            offset.into_tensor_arg(),
            y.clone().into_tensor_arg(),
            stats.clone().into_tensor_arg(),
            length as u32,
            per_sample as u32,
            self.0.sample_stride(),
            run_stride as u32,
            step as u32,
            epsilon as f32,
            silu,
            centered,
            dtype,
        );
        [y, stats]
    }
}

#[derive(Clone, Debug)]
struct Gradients(NormOp);

impl Kernel<5, 3> for Gradients {
    fn outputs(&self, [x, ..]: [DType; 5]) -> [(Vec<usize>, DType); 3] {
        [(self.0.shape.clone(), x), (self.0.affine().to_vec(), x), (self.0.affine().to_vec(), x)]
    }
    fn run(&self, inputs: [CubeTensor; 5]) -> [CubeTensor; 3] {
        let [x, gain, offset, stats, dy] = inputs.map(into_contiguous);
        let dx = empty(&x, self.0.shape.clone(), x.dtype);
        let [d_gain, d_offset] = [(); 2].map(|()| empty(&x, self.0.affine().to_vec(), x.dtype));
        let (client, dtype) = (x.client.clone(), element(x.dtype));
        let (runs, dim) = (self.0.runs()[0], CubeDim::new_1d(THREADS));
        match &self.0.norm {
            Norm::Group(norm) => group_gradients::launch(
                &client,
                cubes(runs),
                dim,
                x.into_tensor_arg(),
                gain.into_tensor_arg(),
                offset.into_tensor_arg(),
                stats.into_tensor_arg(),
                dy.into_tensor_arg(),
                dx.clone().into_tensor_arg(),
                d_gain.clone().into_tensor_arg(),
                d_offset.clone().into_tensor_arg(),
                norm.groups as u32,
                (norm.channels / norm.groups) as u32,
                norm.pixels as u32,
                self.0.sample_stride(),
                norm.silu,
                dtype,
            ),
            Norm::Layer(norm) => {
                let (width, tokens) = (norm.width as u32, norm.tokens as u32);
                layer_gradient::launch(
                    &client,
                    cubes(runs),
                    dim,
                    x.clone().into_tensor_arg(),
                    gain.into_tensor_arg(),
                    stats.clone().into_tensor_arg(),
                    dy.clone().into_tensor_arg(),
                    dx.clone().into_tensor_arg(),
                    width,
                    tokens,
                    self.0.sample_stride(),
                    !norm.root_mean_square,
                    dtype,
                );
                let count = norm.samples * norm.width;
                layer_sums::launch(
                    &client,
                    cubes(count.div_ceil(THREADS as usize)),
                    dim,
                    x.into_tensor_arg(),
                    stats.into_tensor_arg(),
                    dy.into_tensor_arg(),
                    d_gain.clone().into_tensor_arg(),
                    d_offset.clone().into_tensor_arg(),
                    width,
                    tokens,
                    count as u32,
                    dtype,
                );
            }
        }
        [dx, d_gain, d_offset]
    }
}

/// So many cubes, on as many axes as a device needs.
pub(super) fn cubes(count: usize) -> CubeCount {
    const MOST: u32 = 65_535;
    let count = count as u32;
    // The kernels take one run per cube: a remainder would be a run too many.
    match count <= MOST {
        true => CubeCount::Static(count, 1, 1),
        false => {
            let x = (1..=MOST).rev().find(|x| count.is_multiple_of(*x)).unwrap_or(1);
            CubeCount::Static(x, count / x, 1)
        }
    }
}

impl Operation<3> for NormOp {
    const SAVES_INPUT: [bool; 3] = [true; 3];
    fn forward(&self, inputs: [Lazy; 3]) -> (Lazy, Vec<Lazy>) {
        let [y, stats] = queue(Forward(self.clone()), inputs);
        (y, vec![stats])
    }
    fn backward(&self, inputs: [Option<Lazy>; 3], mut saved: Vec<Lazy>, dy: Lazy, _: [bool; 3]) -> [Option<Lazy>; 3] {
        let [x, gain, offset] = inputs.map(|x| x.expect("all inputs are saved"));
        let stats = saved.pop().expect("the statistics are saved");
        let [dx, d_gain, d_offset] = queue(Gradients(self.clone()), [x, gain, offset, stats, dy]);
        let sum = |x: Lazy| if self.rows == 1 && x.shape()[0] > 1 { Cube::float_sum_dim(x, 0) } else { x };
        [Some(dx), Some(sum(d_gain)), Some(sum(d_offset))]
    }
}

/// Group normalization of tensors on a GPU, of one type.
pub(crate) fn group_norm(
    norm: GroupNorm,
    shape: Vec<usize>,
    rows: usize,
    inputs: [DispatchTensor; 3],
) -> DispatchTensor {
    apply(NormOp { norm: Norm::Group(norm), shape, rows }, inputs)
}

/// Layer normalization of tensors on a GPU, of one type.
pub(crate) fn layer_norm(
    norm: LayerNorm,
    shape: Vec<usize>,
    rows: usize,
    inputs: [DispatchTensor; 3],
) -> DispatchTensor {
    apply(NormOp { norm: Norm::Layer(norm), shape, rows }, inputs)
}
