//! The kernels as operations on burn's tensors, with their backward passes.
//!
//! On the `flex` back end in single precision, with or without autodiff, these run the kernels of this crate;
//! everywhere else they are burn's own operations. So a net is written once.
//!
//! Row, sample or image i of a result does not depend on the others, nor on how many there are (with the kernels; burn's
//! own operations do not promise it).
use crate::memory::unwritten;
use crate::{Activation, AdamW, Attention, AttentionGradients, Conv2d, GroupNorm, LayerNorm, Matrix, matmul};
use burn::backend::{DispatchTensor, TensorMetadata};
use burn::tensor::{Tensor, TensorData, activation, module, ops::ConvOptions};
use graph::{Made, Operation, Seen, apply, fits, in_place, is_plain, with_numbers};

mod combine;
mod graph;
mod rotary;
pub use combine::{Sum, Terms, combine, of_numbers, worst};
pub use rotary::rotary;

#[derive(Clone, Debug)]
struct Map {
    f: Activation,
    shape: Vec<usize>,
}

impl Operation<1> for Map {
    const KEPT: [bool; 1] = [true];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, _: usize) -> Vec<usize> {
        self.shape.clone()
    }
    fn forward(&self, [x]: [&[f32]; 1]) -> Made {
        let mut out = unwritten(x.len());
        self.f.forward(x, &mut out);
        Made { out, saved: vec![] }
    }
    fn backward(&self, seen: Seen<'_, 1>) -> [Option<Vec<f32>>; 1] {
        let mut dx = unwritten(seen.dy.len());
        self.f.backward(seen.inputs[0], seen.dy, &mut dx);
        [Some(dx)]
    }
}

fn map<const D: usize>(f: Activation, x: Tensor<D>, otherwise: impl Fn(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
    let shape = x.dims().to_vec();
    let x = x.into_dispatch();
    if fits(&x) { Tensor::from_dispatch(apply(Map { f, shape }, [x])) } else { otherwise(Tensor::from_dispatch(x)) }
}

/// `x σ(x)`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([0.0, 20.0], &Device::flex());
/// let y: Vec<f32> = tweedie_kernels::ops::silu(x).into_data().try_to_vec().unwrap();
/// assert_eq!(y, [0.0, 20.0]);
/// ```
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    map(Activation::Silu, x, activation::silu)
}

/// `x Φ(x)`, by the error function.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    map(Activation::Gelu, x, activation::gelu)
}

/// GELU's approximation by the hyperbolic tangent.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    map(Activation::GeluTanh, x, activation::gelu_approximate)
}

#[derive(Clone, Debug)]
struct Softmax {
    shape: Vec<usize>,
    log: bool,
}

impl Operation<1> for Softmax {
    const KEPT: [bool; 1] = [false];
    const KEEPS_RESULT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, _: usize) -> Vec<usize> {
        self.shape.clone()
    }
    fn forward(&self, [x]: [&[f32]; 1]) -> Made {
        let (width, mut out) = (self.shape[self.shape.len() - 1], unwritten(x.len()));
        if self.log {
            crate::log_softmax(x, width, &mut out)
        } else {
            crate::softmax(x, width, &mut out)
        }
        Made { out, saved: vec![] }
    }
    fn backward(&self, seen: Seen<'_, 1>) -> [Option<Vec<f32>>; 1] {
        let (width, mut dx) = (self.shape[self.shape.len() - 1], unwritten(seen.dy.len()));
        if self.log {
            crate::log_softmax_gradient(seen.out, seen.dy, width, &mut dx);
        } else {
            crate::softmax_gradient(seen.out, seen.dy, width, &mut dx);
        }
        [Some(dx)]
    }
}

fn soft<const D: usize>(x: Tensor<D>, log: bool) -> Tensor<D> {
    let shape = x.dims().to_vec();
    let x = x.into_dispatch();
    if fits(&x) && shape[D - 1] > 0 {
        return Tensor::from_dispatch(apply(Softmax { shape, log }, [x]));
    }
    let x = Tensor::from_dispatch(x);
    if log { activation::log_softmax(x, D - 1) } else { activation::softmax(x, D - 1) }
}

/// Softmax over the last dimension.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    soft(x, false)
}

/// The logarithm of softmax over the last dimension.
pub fn log_softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    soft(x, true)
}

/// −ln softmax at one category, of logits of these sizes.
#[derive(Clone, Debug)]
struct CrossEntropy {
    shape: Vec<usize>,
    without: Option<usize>,
}

impl CrossEntropy {
    fn width(&self) -> usize {
        self.shape[self.shape.len() - 1]
    }
}

impl Operation<2> for CrossEntropy {
    const KEPT: [bool; 2] = [true, true];
    fn shape(&self) -> Vec<usize> {
        [&self.shape[..self.shape.len() - 1], &[1]].concat()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape.clone() } else { self.shape() }
    }
    fn forward(&self, [x, target]: [&[f32]; 2]) -> Made {
        let (mut out, mut saved) = (unwritten(target.len()), unwritten(2 * target.len()));
        crate::cross_entropy(x, self.width(), target, self.without, &mut out, &mut saved);
        Made { out, saved }
    }
    fn backward(&self, seen: Seen<'_, 2>) -> [Option<Vec<f32>>; 2] {
        let [x, target] = seen.inputs;
        let dx = seen.wanted[0].then(|| {
            let mut dx = vec![0.0; x.len()];
            crate::cross_entropy_gradient(x, self.width(), target, self.without, seen.saved, seen.dy, &mut dx);
            dx
        });
        [dx, seen.wanted[1].then(|| vec![0.0; target.len()])]
    }
}

/// −ln softmax over the last dimension at category number `target`, where category `without` has no share.
///
/// Neither forward nor backward makes anything of the size of x but its gradient.
///
/// # Shapes
/// `x: […, K]`, `target: […, 1]` → `[…, 1]`.
///
/// # Panics
/// If the shapes do not fit, or a target is not below K.
pub fn cross_entropy<const D: usize>(x: Tensor<D>, target: Tensor<D>, without: Option<usize>) -> Tensor<D> {
    let shape = x.dims().to_vec();
    let rows = [&shape[..D - 1], &[1]].concat();
    assert_eq!(target.dims().to_vec(), rows, "categories of logits of sizes {shape:?}");
    let (x, target) = (x.into_dispatch(), target.into_dispatch());
    if fits(&x) && fits(&target) && shape[D - 1] > 0 {
        return Tensor::from_dispatch(apply(CrossEntropy { shape, without }, [x, target]));
    }
    let (mut x, target) = (Tensor::<D>::from_dispatch(x), Tensor::<D>::from_dispatch(target));
    if let Some(without) = without {
        let mut row = [1; D];
        row[D - 1] = shape[D - 1];
        let never = (0..row[D - 1]).map(|i| if i == without { -1e30 } else { 0.0 }).collect::<Vec<f64>>();
        x = x.clone() + Tensor::from_data(TensorData::new(never, row), (&x.device(), x.dtype()));
    }
    activation::log_softmax(x, D - 1).gather(D - 1, target.int()).neg()
}

/// `x W + b` over the last dimension; `BIAS` is 1 where there is a b.
#[derive(Clone, Debug)]
struct Linear {
    shape: Vec<usize>,
    rows: usize,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    fn run(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Made {
        let mut out = unwritten(self.rows * self.outputs);
        let x = Matrix::new(x, self.rows, self.inputs);
        matmul(x, Matrix::new(w, self.inputs, self.outputs), bias, &mut out);
        Made { out, saved: vec![] }
    }

    fn back(&self, x: &[f32], w: &[f32], dy: &[f32], wanted: [bool; 2]) -> [Option<Vec<f32>>; 2] {
        let (x, w) = (Matrix::new(x, self.rows, self.inputs), Matrix::new(w, self.inputs, self.outputs));
        let dy = Matrix::new(dy, self.rows, self.outputs);
        let product = |a, b, len| {
            let mut out = unwritten(len);
            matmul(a, b, None, &mut out);
            out
        };
        [
            wanted[0].then(|| product(dy, w.transposed(), self.rows * self.inputs)),
            wanted[1].then(|| product(x.transposed(), dy, self.inputs * self.outputs)),
        ]
    }

    fn shape_of(&self, i: usize) -> Vec<usize> {
        match i {
            0 => [&self.shape[..self.shape.len() - 1], &[self.inputs]].concat(),
            1 => vec![self.inputs, self.outputs],
            _ => vec![self.outputs],
        }
    }
}

impl Operation<2> for Linear {
    const KEPT: [bool; 2] = [true, true];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.shape_of(i)
    }
    fn forward(&self, [x, w]: [&[f32]; 2]) -> Made {
        self.run(x, w, None)
    }
    fn backward(&self, seen: Seen<'_, 2>) -> [Option<Vec<f32>>; 2] {
        let [x, w] = seen.inputs;
        self.back(x, w, seen.dy, seen.wanted)
    }
}

impl Operation<3> for Linear {
    const KEPT: [bool; 3] = [true, true, false];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.shape_of(i)
    }
    fn forward(&self, [x, w, b]: [&[f32]; 3]) -> Made {
        self.run(x, w, Some(b))
    }
    fn backward(&self, seen: Seen<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [x, w, _] = seen.inputs;
        let [dx, dw] = self.back(x, w, seen.dy, [seen.wanted[0], seen.wanted[1]]);
        let db = seen.wanted[2].then(|| {
            let mut db = unwritten(self.outputs);
            crate::product::column_sums(seen.dy, &mut db);
            db
        });
        [dx, dw, db]
    }
}

/// `x W + b` over the last dimension.
///
/// # Shapes
/// `x: […, in]`, `weight: [in, out]`, `bias: [out]` → `[…, out]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let ([inputs, outputs], dims) = (weight.dims(), x.dims());
    assert_eq!(dims[D - 1], inputs, "a linear map of {inputs} numbers applied to {dims:?}");
    let operation =
        Linear { shape: [&dims[..D - 1], &[outputs]].concat(), rows: dims[..D - 1].iter().product(), inputs, outputs };
    let (x, w) = (x.into_dispatch(), weight.into_dispatch());
    match bias.map(Tensor::into_dispatch) {
        None if fits(&x) && fits(&w) => Tensor::from_dispatch(apply(operation, [x, w])),
        Some(b) if fits(&x) && fits(&w) && fits(&b) => Tensor::from_dispatch(apply(operation, [x, w, b])),
        b => module::linear(Tensor::from_dispatch(x), Tensor::from_dispatch(w), b.map(Tensor::from_dispatch)),
    }
}

/// A convolution, and the sizes of its bias.
#[derive(Clone, Debug)]
struct Convolution(Conv2d, Vec<usize>);

impl Convolution {
    fn run(&self, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Made {
        let mut out = unwritten(self.0.shapes()[2].iter().product());
        self.0.forward(x, w, b, &mut out);
        Made { out, saved: vec![] }
    }

    fn back(&self, x: &[f32], w: &[f32], dy: &[f32], wanted: [bool; 2]) -> [Option<Vec<f32>>; 2] {
        [
            wanted[0].then(|| {
                let mut dx = unwritten(x.len());
                self.0.input_gradient(dy, w, &mut dx);
                dx
            }),
            wanted[1].then(|| {
                let mut dw = unwritten(w.len());
                self.0.weight_gradient(x, dy, &mut dw);
                dw
            }),
        ]
    }

    fn shape_of(&self, i: usize) -> Vec<usize> {
        let [x, w, _] = self.0.shapes();
        match i {
            0 => x.to_vec(),
            1 => w.to_vec(),
            _ => self.1.clone(),
        }
    }
}

impl Operation<2> for Convolution {
    const KEPT: [bool; 2] = [true, true];
    fn shape(&self) -> Vec<usize> {
        self.0.shapes()[2].to_vec()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.shape_of(i)
    }
    fn forward(&self, [x, w]: [&[f32]; 2]) -> Made {
        self.run(x, w, None)
    }
    fn backward(&self, seen: Seen<'_, 2>) -> [Option<Vec<f32>>; 2] {
        let [x, w] = seen.inputs;
        self.back(x, w, seen.dy, seen.wanted)
    }
}

impl Operation<3> for Convolution {
    const KEPT: [bool; 3] = [true, true, false];
    fn shape(&self) -> Vec<usize> {
        self.0.shapes()[2].to_vec()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.shape_of(i)
    }
    fn forward(&self, [x, w, b]: [&[f32]; 3]) -> Made {
        self.run(x, w, Some(b))
    }
    fn backward(&self, seen: Seen<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [x, w, _] = seen.inputs;
        let [dx, dw] = self.back(x, w, seen.dy, [seen.wanted[0], seen.wanted[1]]);
        let db = seen.wanted[2].then(|| {
            let mut db = unwritten(self.1.iter().product());
            self.0.bias_gradient(seen.dy, &mut db);
            db
        });
        [dx, dw, db]
    }
}

/// A two-dimensional convolution.
///
/// # Shapes
/// `x: [batch, in, h, w]`, `weight: [out, in, kh, kw]`, `bias: [out]` → `[batch, out, h′, w′]`,
/// `h′ = (h + 2 padding − kh) / stride + 1`.
///
/// # Panics
/// If the shapes do not fit.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor<4> {
    let conv = Conv2d::new(x.dims(), weight.dims(), stride, padding);
    let (x, w) = (x.into_dispatch(), weight.into_dispatch());
    match bias.map(Tensor::into_dispatch) {
        None if fits(&x) && fits(&w) => Tensor::from_dispatch(apply(Convolution(conv, vec![]), [x, w])),
        Some(b) if fits(&x) && fits(&w) && fits(&b) => {
            let operation = Convolution(conv, b.shape().iter().copied().collect());
            Tensor::from_dispatch(apply(operation, [x, w, b]))
        }
        b => {
            let options = ConvOptions::new(stride, padding, [1, 1], 1);
            module::conv2d(Tensor::from_dispatch(x), Tensor::from_dispatch(w), b.map(Tensor::from_dispatch), options)
        }
    }
}

/// A two-dimensional convolution with a bias for each sample: what a net is told by time and condition is added to the
/// channels without a pass of its own.
///
/// # Shapes
/// As for [`conv2d`], with `bias: [batch, out]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn conv2d_told(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<2>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor<4> {
    let conv = Conv2d::new(x.dims(), weight.dims(), stride, padding);
    let (batch, out) = (x.dims()[0], weight.dims()[0]);
    assert_eq!(bias.dims(), [batch, out], "a bias for each of {batch} samples is [batch, out]");
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    if inputs.iter().all(fits) {
        return Tensor::from_dispatch(apply(Convolution(conv, vec![batch, out]), inputs));
    }
    let [x, w, b] = inputs;
    let options = ConvOptions::new(stride, padding, [1, 1], 1);
    module::conv2d(Tensor::from_dispatch(x), Tensor::from_dispatch(w), None, options)
        + Tensor::<2>::from_dispatch(b).reshape([batch, out, 1, 1])
}

#[derive(Clone, Debug)]
struct Groups {
    norm: GroupNorm,
    shape: Vec<usize>,
    gain: Vec<usize>,
}

impl Operation<3> for Groups {
    const KEPT: [bool; 3] = [true, true, true];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape.clone() } else { self.gain.clone() }
    }
    fn forward(&self, [x, gain, offset]: [&[f32]; 3]) -> Made {
        let (mut out, mut saved) = (unwritten(x.len()), unwritten(2 * self.norm.batch * self.norm.groups));
        self.norm.forward(x, gain, offset, &mut out, &mut saved);
        Made { out, saved }
    }
    fn backward(&self, seen: Seen<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [x, gain, offset] = seen.inputs;
        let (mut dx, mut d_gain, mut d_offset) = (unwritten(x.len()), unwritten(gain.len()), unwritten(gain.len()));
        self.norm.backward(x, gain, offset, seen.saved, seen.dy, &mut dx, &mut d_gain, &mut d_offset);
        [Some(dx), Some(d_gain), Some(d_offset)]
    }
}

fn groups<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups: usize,
    epsilon: f64,
    silu: bool,
) -> Tensor<D> {
    let (dims, [rows, wide]) = (x.dims(), gain.dims());
    let (batch, channels, pixels) = (dims[0], dims[1], dims[2..].iter().product());
    assert!(groups > 0 && channels % groups == 0, "{channels} channels do not fall into {groups} groups");
    assert!(
        wide == channels && (rows == 1 || rows == batch) && offset.dims() == [rows, wide],
        "gain {:?} and offset {:?} for {dims:?}: both are [1 or batch, channels]",
        [rows, wide],
        offset.dims()
    );
    let norm = GroupNorm { batch, channels, pixels, groups, epsilon, silu };
    let inputs = [x.into_dispatch(), gain.into_dispatch(), offset.into_dispatch()];
    if inputs.iter().all(fits) {
        return Tensor::from_dispatch(apply(Groups { norm, shape: dims.to_vec(), gain: vec![rows, wide] }, inputs));
    }
    let [x, gain, offset] = inputs;
    let (gain, offset) = (Tensor::<2>::from_dispatch(gain), Tensor::<2>::from_dispatch(offset));
    let x = Tensor::<D>::from_dispatch(x).reshape([batch, groups, channels / groups * pixels]);
    let x = x.clone() - x.mean_dim(2);
    let deviation = ((x.clone() * x.clone()).mean_dim(2) + epsilon).sqrt();
    let x = (x / deviation).reshape([batch, channels, pixels]);
    let y = (x * gain.unsqueeze_dim(2) + offset.unsqueeze_dim(2)).reshape(dims);
    if silu { activation::silu(y) } else { y }
}

/// Group normalisation: `gain · (x − mean) / √(variance + ε) + offset`, mean and variance over a group's channels and
/// pixels.
///
/// Scale and shift by a condition are folded into gain and offset: `gain (1 + scale)`, `offset (1 + scale) + shift`.
///
/// # Shapes
/// `x: [batch, channels, …]`, `gain, offset: [1 or batch, channels]` → as `x`.
///
/// # Panics
/// If the shapes do not fit.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups_: usize,
    epsilon: f64,
) -> Tensor<D> {
    groups(x, gain, offset, groups_, epsilon, false)
}

/// [`group_norm`], then [`silu`], in one pass.
///
/// # Shapes
/// As for [`group_norm`].
///
/// # Panics
/// If the shapes do not fit.
pub fn group_norm_silu<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    groups_: usize,
    epsilon: f64,
) -> Tensor<D> {
    groups(x, gain, offset, groups_, epsilon, true)
}

#[derive(Clone, Debug)]
struct Lines {
    norm: LayerNorm,
    shape: Vec<usize>,
    gain: Vec<usize>,
}

impl Operation<3> for Lines {
    const KEPT: [bool; 3] = [true, true, false];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape.clone() } else { self.gain.clone() }
    }
    fn forward(&self, [x, gain, offset]: [&[f32]; 3]) -> Made {
        let (mut out, mut saved) = (unwritten(x.len()), unwritten(2 * self.norm.samples * self.norm.tokens));
        self.norm.forward(x, gain, offset, &mut out, &mut saved);
        Made { out, saved }
    }
    fn backward(&self, seen: Seen<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [x, gain, _] = seen.inputs;
        let (mut dx, mut d_gain, mut d_offset) = (unwritten(x.len()), unwritten(gain.len()), unwritten(gain.len()));
        self.norm.backward(x, gain, seen.saved, seen.dy, &mut dx, &mut d_gain, &mut d_offset);
        [Some(dx), Some(d_gain), Some(d_offset)]
    }
}

fn lines<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<2>,
    offset: Tensor<2>,
    epsilon: f64,
    root_mean_square: bool,
) -> Tensor<D> {
    let (dims, [rows, wide]) = (x.dims(), gain.dims());
    let (batch, tokens, width) = (dims[0], dims[1..D - 1].iter().product(), dims[D - 1]);
    assert!(D >= 2, "a norm over rows needs a batch of them");
    assert!(
        wide == width && (rows == 1 || rows == batch) && offset.dims() == [rows, wide],
        "gain {:?} and offset {:?} for {dims:?}: both are [1 or batch, width]",
        [rows, wide],
        offset.dims()
    );
    let norm = LayerNorm { samples: batch, tokens, width, epsilon, root_mean_square };
    let inputs = [x.into_dispatch(), gain.into_dispatch(), offset.into_dispatch()];
    if inputs.iter().all(fits) {
        return Tensor::from_dispatch(apply(Lines { norm, shape: dims.to_vec(), gain: vec![rows, wide] }, inputs));
    }
    let [x, gain, offset] = inputs;
    let (gain, offset) = (Tensor::<2>::from_dispatch(gain), Tensor::<2>::from_dispatch(offset));
    let x = Tensor::<D>::from_dispatch(x).reshape([batch, tokens, width]);
    let x = if root_mean_square { x } else { x.clone() - x.mean_dim(2) };
    let deviation = ((x.clone() * x.clone()).mean_dim(2) + epsilon).sqrt();
    (x / deviation * gain.unsqueeze_dim(1) + offset.unsqueeze_dim(1)).reshape(dims)
}

/// Layer normalisation over the last dimension: `gain · (x − mean) / √(variance + ε) + offset`.
///
/// A modulation by a condition is folded into gain and offset: `gain (1 + scale)`, `offset (1 + scale) + shift`.
///
/// # Shapes
/// `x: [batch, …, width]`, `gain, offset: [1 or batch, width]` → as `x`.
///
/// # Panics
/// If the shapes do not fit.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gain: Tensor<2>, offset: Tensor<2>, epsilon: f64) -> Tensor<D> {
    lines(x, gain, offset, epsilon, false)
}

/// Normalisation by the root mean square of the last dimension: `gain · x / √(mean of x² + ε) + offset`.
///
/// # Shapes
/// As for [`layer_norm`].
///
/// # Panics
/// If the shapes do not fit.
pub fn rms_norm<const D: usize>(x: Tensor<D>, gain: Tensor<2>, offset: Tensor<2>, epsilon: f64) -> Tensor<D> {
    lines(x, gain, offset, epsilon, true)
}

#[derive(Clone, Debug)]
struct Attend {
    shape: Attention,
    /// Sizes of queries, keys, values and outputs; of the first three only one where they are together.
    sizes: Vec<Vec<usize>>,
}

impl Attend {
    fn run(&self, q: &[f32], k: &[f32], v: &[f32]) -> Made {
        let mut out = unwritten(Operation::<1>::shape(self).iter().product());
        let mut saved = unwritten(2 * self.shape.batch * self.shape.heads * self.shape.queries);
        self.shape.forward(q, k, v, &mut out, &mut saved);
        Made { out, saved }
    }
}

impl Operation<1> for Attend {
    const KEPT: [bool; 1] = [true];
    const KEEPS_RESULT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.sizes[self.sizes.len() - 1].clone()
    }
    fn input_shape(&self, _: usize) -> Vec<usize> {
        self.sizes[0].clone()
    }
    fn forward(&self, [qkv]: [&[f32]; 1]) -> Made {
        self.run(qkv, qkv, qkv)
    }
    fn backward(&self, seen: Seen<'_, 1>) -> [Option<Vec<f32>>; 1] {
        let [qkv] = seen.inputs;
        let mut gradient = unwritten(qkv.len());
        self.shape.backward(qkv, qkv, qkv, seen.out, seen.saved, seen.dy, AttentionGradients::Fused(&mut gradient));
        [Some(gradient)]
    }
}

impl Operation<3> for Attend {
    const KEPT: [bool; 3] = [true, true, true];
    const KEEPS_RESULT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.sizes[3].clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.sizes[i].clone()
    }
    fn forward(&self, [q, k, v]: [&[f32]; 3]) -> Made {
        self.run(q, k, v)
    }
    fn backward(&self, seen: Seen<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [q, k, v] = seen.inputs;
        let (mut dq, mut dk, mut dv) = (unwritten(q.len()), unwritten(k.len()), unwritten(v.len()));
        let gradients = AttentionGradients::Separate(&mut dq, &mut dk, &mut dv);
        self.shape.backward(q, k, v, seen.out, seen.saved, seen.dy, gradients);
        [Some(dq), Some(dk), Some(dv)]
    }
}

/// `softmax(q kᵀ / √d) v` with burn's own operations; rows are tokens.
fn attention_by_parts(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let scale = 1.0 / (q.dims()[3] as f64).sqrt();
    activation::softmax((q * scale).matmul(k.swap_dims(2, 3)), 3).matmul(v)
}

/// `softmax(q kᵀ / √d) v`.
///
/// # Shapes
/// `q: [batch, heads, tokens, d]`, `k: [batch, heads, keys, d]`, `v: [batch, heads, keys, e]` →
/// `[batch, heads, tokens, e]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let ([batch, heads, tokens, d], key, value) = (q.dims(), k.dims(), v.dims());
    let (keys, e) = (key[2], value[3]);
    assert!(
        key == [batch, heads, keys, d] && value == [batch, heads, keys, e],
        "attention of {:?} to {key:?} with {value:?}",
        q.dims()
    );
    let shape = Attention::contiguous(q.dims(), keys, e);
    let sizes = vec![q.dims().to_vec(), key.to_vec(), value.to_vec(), vec![batch, heads, tokens, e]];
    let inputs = [q.into_dispatch(), k.into_dispatch(), v.into_dispatch()];
    if inputs.iter().all(fits) {
        return Tensor::from_dispatch(apply::<_, 3>(Attend { shape, sizes }, inputs));
    }
    let [q, k, v] = inputs.map(Tensor::from_dispatch);
    attention_by_parts(q, k, v)
}

/// Attention among tokens, from what one linear map gives for queries, keys and values together: nothing is
/// rearranged in memory.
///
/// # Shapes
/// `qkv: [batch, tokens, 3 · heads · d]`: queries of all heads, then keys, then values → `[batch, tokens, heads · d]`.
///
/// # Panics
/// If the last size is not a multiple of `3 heads`.
pub fn attention_fused(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, tokens, wide] = qkv.dims();
    assert!(
        heads > 0 && wide.is_multiple_of(3 * heads),
        "{wide} numbers are not queries, keys and values of {heads} heads"
    );
    let d = wide / (3 * heads);
    let sizes = vec![vec![batch, tokens, wide], vec![batch, tokens, heads * d]];
    let qkv = qkv.into_dispatch();
    if fits(&qkv) {
        let shape = Attention::fused(batch, tokens, heads, d);
        return Tensor::from_dispatch(apply::<_, 1>(Attend { shape, sizes }, [qkv]));
    }
    let parts = Tensor::<3>::from_dispatch(qkv).chunk(3, 2).into_iter();
    let [q, k, v]: [Tensor<4>; 3] = parts
        .map(|x| x.reshape([batch, tokens, heads, d]).swap_dims(1, 2))
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    attention_by_parts(q, k, v).swap_dims(1, 2).reshape([batch, tokens, heads * d])
}

/// Attention among pixels, from what one 1×1 convolution gives for queries, keys and values together: nothing is
/// rearranged in memory.
///
/// # Shapes
/// `qkv: [batch, 3 · heads · d, h, w]`: queries of all heads, then keys, then values → `[batch, heads · d, h, w]`.
///
/// # Panics
/// If the channels are not a multiple of `3 heads`.
pub fn attention_pixels(qkv: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, wide, h, w] = qkv.dims();
    assert!(
        heads > 0 && wide.is_multiple_of(3 * heads),
        "{wide} channels are not queries, keys and values of {heads} heads"
    );
    let (d, pixels) = (wide / (3 * heads), h * w);
    let sizes = vec![vec![batch, wide, h, w], vec![batch, heads * d, h, w]];
    let qkv = qkv.into_dispatch();
    if fits(&qkv) {
        let shape = Attention::channels(batch, pixels, heads, d);
        return Tensor::from_dispatch(apply::<_, 1>(Attend { shape, sizes }, [qkv]));
    }
    let parts = Tensor::<4>::from_dispatch(qkv).chunk(3, 1).into_iter();
    let [q, k, v]: [Tensor<4>; 3] = parts
        .map(|x| x.reshape([batch, heads, d, pixels]).swap_dims(2, 3))
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    attention_by_parts(q, k, v).swap_dims(2, 3).reshape([batch, heads * d, h, w])
}

/// One step of [`AdamW`] on a tensor, in place where nobody else holds it, and of a moving average in the same pass.
///
/// Takes and returns parameters, first and second moments, and the average, which comes with its decay d; `step` counts
/// from 1.
///
/// # Shapes
/// All of one shape.
///
/// # Panics
/// If the shapes differ.
pub fn adamw<const D: usize>(
    rule: &AdamW,
    step: u64,
    [theta, first, second]: [Tensor<D>; 3],
    gradient: Tensor<D>,
    average: Option<(Tensor<D>, f64)>,
) -> ([Tensor<D>; 3], Option<Tensor<D>>) {
    let dims = theta.dims();
    assert!(
        [&first, &second, &gradient].into_iter().chain(average.as_ref().map(|(x, _)| x)).all(|x| x.dims() == dims),
        "parameters, gradient, moments and average of one shape"
    );
    let state = [theta, first, second].map(Tensor::into_dispatch);
    let gradient = gradient.into_dispatch();
    let average = average.map(|(x, d)| (x.into_dispatch(), d));
    let ours = |x: &DispatchTensor| fits(x) && is_plain(x);
    if state.iter().chain([&gradient]).chain(average.as_ref().map(|(x, _)| x)).all(ours) {
        let [theta, first, second] = state;
        return match average {
            None => {
                let state = in_place([theta, first, second], gradient, |[theta, first, second], gradient| {
                    rule.step(step, theta, gradient, first, second, None);
                });
                (state.map(Tensor::from_dispatch), None)
            }
            Some((average, d)) => {
                let state = [theta, first, second, average];
                let state = in_place(state, gradient, |[theta, first, second, average], gradient| {
                    rule.step(step, theta, gradient, first, second, Some((average, d)));
                });
                let [theta, first, second, average] = state.map(Tensor::from_dispatch);
                ([theta, first, second], Some(average))
            }
        };
    }
    let [theta, first, second] = state.map(Tensor::<D>::from_dispatch);
    let g = Tensor::<D>::from_dispatch(gradient) * rule.gradient_scale;
    let first = first * rule.beta1 + g.clone() * (1.0 - rule.beta1);
    let second = second * rule.beta2 + g.clone() * g * (1.0 - rule.beta2);
    let correction = |beta: f64| 1.0 - beta.powf(step as f64);
    let root = (second.clone() / correction(rule.beta2)).sqrt() + rule.epsilon;
    let direction = first.clone() / root * (rule.rate / correction(rule.beta1));
    let theta = theta * (1.0 - rule.rate * rule.decay) - direction;
    let average = average.map(|(x, d)| Tensor::<D>::from_dispatch(x) * d + theta.clone() * (1.0 - d));
    ([theta, first, second], average)
}

/// The Euclidean norm over all numbers of some tensors, summed in double precision.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([3.0, 4.0], &Device::flex());
/// assert_eq!(tweedie_kernels::ops::norm([x]), 5.0);
/// ```
pub fn norm<const D: usize>(tensors: impl IntoIterator<Item = Tensor<D>>) -> f64 {
    let (mut sum, mut others) = (0.0, vec![]);
    for x in tensors {
        let x = x.into_dispatch();
        if fits(&x) && is_plain(&x) {
            sum += with_numbers(x, crate::sum_of_squares);
        } else {
            let x = Tensor::<D>::from_dispatch(x);
            others.push((x.clone() * x).sum());
        }
    }
    if !others.is_empty() {
        // One wait for the device, not one a tensor.
        let others = Tensor::cat(others, 0).try_into_vec_as::<f64>();
        sum += others.expect("a tensor can be read back").into_iter().sum::<f64>();
    }
    sum.sqrt()
}
