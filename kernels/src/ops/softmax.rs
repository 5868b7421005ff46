//! Softmax, its logarithm, and the cross-entropy.
use super::graph::{Context, Forward, Operation, apply, is_supported};
use crate::memory::unwritten;
use burn::tensor::{Tensor, TensorData, activation};

/// Softmax over the last dimension of a tensor of this shape, or its logarithm.
#[derive(Clone, Debug)]
struct SoftmaxOp {
    shape: Vec<usize>,
    log: bool,
}

impl Operation<1> for SoftmaxOp {
    const SAVES_INPUT: [bool; 1] = [false];
    const SAVES_OUTPUT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, _: usize) -> Vec<usize> {
        self.shape.clone()
    }
    fn forward(&self, [x]: [&[f32]; 1]) -> Forward {
        let (width, mut out) = (self.shape[self.shape.len() - 1], unwritten(x.len()));
        if self.log {
            crate::log_softmax(x, width, &mut out)
        } else {
            crate::softmax(x, width, &mut out)
        }
        Forward { out, saved: vec![] }
    }
    fn backward(&self, context: Context<'_, 1>) -> [Option<Vec<f32>>; 1] {
        let (width, mut dx) = (self.shape[self.shape.len() - 1], unwritten(context.dy.len()));
        if self.log {
            crate::log_softmax_gradient(context.out, context.dy, width, &mut dx);
        } else {
            crate::softmax_gradient(context.out, context.dy, width, &mut dx);
        }
        [Some(dx)]
    }
}

fn softmax_or_log<const D: usize>(x: Tensor<D>, log: bool) -> Tensor<D> {
    let shape = x.dims().to_vec();
    let x = x.into_dispatch();
    if is_supported(&x) && shape[D - 1] > 0 {
        return Tensor::from_dispatch(apply(SoftmaxOp { shape, log }, [x]));
    }
    #[cfg(feature = "gpu")]
    if !log && crate::gpu::is_gpu(&x) && super::graph::kernels_enabled() && shape.iter().all(|size| *size > 0) {
        return Tensor::from_dispatch(crate::gpu::softmax(shape, x));
    }
    let x = Tensor::from_dispatch(x);
    if log { activation::log_softmax(x, D - 1) } else { activation::softmax(x, D - 1) }
}

/// Computes the softmax over the last dimension: `y[i] = exp(x[i]) / Σⱼ exp(x[j])`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<2>::from_floats([[0.0, 0.0]], &Device::flex());
/// let p: Vec<f32> = tweedie_kernels::ops::softmax(x).into_data().try_to_vec().unwrap();
/// assert_eq!(p, [0.5, 0.5]);
/// ```
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    softmax_or_log(x, false)
}

/// Computes the logarithm of the softmax over the last dimension: `y[i] = x[i] − ln Σⱼ exp(x[j])`.
pub fn log_softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    softmax_or_log(x, true)
}

/// Cross-entropy of logits of this shape.
#[derive(Clone, Debug)]
struct CrossEntropyOp {
    shape: Vec<usize>,
    excluded: Option<usize>,
}

impl CrossEntropyOp {
    fn width(&self) -> usize {
        self.shape[self.shape.len() - 1]
    }
}

impl Operation<2> for CrossEntropyOp {
    const SAVES_INPUT: [bool; 2] = [true, true];
    fn shape(&self) -> Vec<usize> {
        [&self.shape[..self.shape.len() - 1], &[1]].concat()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape.clone() } else { self.shape() }
    }
    fn forward(&self, [x, target]: [&[f32]; 2]) -> Forward {
        let (mut out, mut saved) = (unwritten(target.len()), unwritten(2 * target.len()));
        crate::cross_entropy(x, self.width(), target, self.excluded, &mut out, &mut saved);
        Forward { out, saved }
    }
    fn backward(&self, context: Context<'_, 2>) -> [Option<Vec<f32>>; 2] {
        let [x, target] = context.inputs;
        let dx = context.needs_gradient[0].then(|| {
            let mut dx = vec![0.0; x.len()];
            let (stats, dy) = (context.saved, context.dy);
            crate::cross_entropy_gradient(x, self.width(), target, self.excluded, stats, dy, &mut dx);
            dx
        });
        [dx, context.needs_gradient[1].then(|| vec![0.0; target.len()])]
    }
}

/// Computes the cross-entropy of logits over the last dimension: `y = −ln softmax(x)[target]`.
///
/// Category `excluded`, if given, has probability zero: it is left out of the sum of the softmax. The only tensor of
/// the size of `x` that is allocated is its gradient.
///
/// # Shapes
/// `x: […, K]`, `target: […, 1]` with category indices → `[…, 1]`.
///
/// # Panics
/// If the shapes do not match, or a target is not below K.
#[doc(alias = "nll_loss")]
pub fn cross_entropy<const D: usize>(x: Tensor<D>, target: Tensor<D>, excluded: Option<usize>) -> Tensor<D> {
    let shape = x.dims().to_vec();
    let rows = [&shape[..D - 1], &[1]].concat();
    assert_eq!(target.dims().to_vec(), rows, "the targets must be one category index per row of logits {shape:?}");
    let (x, target) = (x.into_dispatch(), target.into_dispatch());
    if is_supported(&x) && is_supported(&target) && shape[D - 1] > 0 {
        return Tensor::from_dispatch(apply(CrossEntropyOp { shape, excluded }, [x, target]));
    }
    let (mut x, target) = (Tensor::<D>::from_dispatch(x), Tensor::<D>::from_dispatch(target));
    if let Some(excluded) = excluded {
        let mut row = [1; D];
        row[D - 1] = shape[D - 1];
        let penalty = (0..row[D - 1]).map(|i| if i == excluded { -1e30 } else { 0.0 }).collect::<Vec<f64>>();
        x = x.clone() + Tensor::from_data(TensorData::new(penalty, row), (&x.device(), x.dtype()));
    }
    activation::log_softmax(x, D - 1).gather(D - 1, target.int()).neg()
}
