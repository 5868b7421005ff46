//! Matrix products in half precision.
use super::graph::{Context, Forward, Operation, apply};
use crate::half::Half;
use burn::backend::DispatchTensor;
use burn::tensor::{DType, Tensor};
use std::cell::Cell;

thread_local! {
    static DTYPE: Cell<DType> = const { Cell::new(DType::F32) };
}

/// Sets the type of matrix products on this thread back to what it was, after a panic too.
struct Restore(DType);

impl Drop for Restore {
    fn drop(&mut self) {
        DTYPE.set(self.0);
    }
}

/// Runs `f` with matrix products in half precision: inside, the products of [`linear`](super::linear),
/// [`conv2d`](super::conv2d), [`conv2d_modulated`](super::conv2d_modulated), [`conv3d`](super::conv3d),
/// [`attention`](super::attention()), [`attention_fused`](super::attention_fused),
/// [`attention_pixels`](super::attention_pixels), [`cross_attention`](super::cross_attention) and
/// [`matmul`](super::matmul) take operands of type `dtype`, `BF16` or `F16`, and give a result of that type, which is
/// converted to single precision. `F32` computes them in single precision.
///
/// Parameters, biases, norms, softmax, activations and losses stay in single precision, as do convolutions from or to
/// fewer than 8 channels, such as the first and the last of a net; tensors in double precision are left as they are. A gradient is computed in the precision of its operation, wherever the backward pass runs. The
/// scope is that of the thread, the innermost counts, and a part that is [recomputed](super::recompute) has the
/// precision it had first.
///
/// Sums of products are accumulated in single precision by the kernels of this crate, which round operands and results
/// to the format, and on other back ends as the device does.
///
/// ```
/// use burn::tensor::{DType, Device, Tensor};
/// use tweedie_kernels::ops;
/// let device = Device::flex();
/// let (x, w) = (Tensor::<2>::from_floats([[1.001]], &device), Tensor::from_floats([[1.0]], &device));
/// let y = ops::autocast(DType::BF16, || ops::linear(x, w, None));
/// assert_eq!(y.dtype(), DType::F32);
/// assert_eq!(y.into_scalar::<f32>(), 1.0); // 8 significant bits
/// ```
///
/// Micikevicius et al., "Mixed Precision Training" (2018), <https://arxiv.org/abs/1710.03740>.
///
/// # Panics
/// If `dtype` is none of the three.
#[doc(alias("amp", "mixed_precision", "bfloat16", "float16"))]
pub fn autocast<R>(dtype: DType, f: impl FnOnce() -> R) -> R {
    let known = matches!(dtype, DType::F32 | DType::BF16 | DType::F16);
    assert!(known, "matrix products are computed in F32, BF16 or F16, got {dtype:?}");
    let _restore = Restore(DTYPE.replace(dtype));
    f()
}

/// The type of matrix products on this thread: that of the innermost [`autocast`]. Default: `F32`.
pub fn autocast_dtype() -> DType {
    DTYPE.get()
}

/// Whether products of tensors of this type are computed in half precision here.
pub(super) fn is_half(dtype: DType) -> bool {
    DTYPE.get() != DType::F32 && dtype != DType::F64
}

/// The operand of a product, in the type of products.
pub(super) fn lowered<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_half(x.dtype()) { x.cast(DTYPE.get()) } else { x }
}

/// The result of a product, in single precision.
pub(super) fn raised<const D: usize>(y: Tensor<D>) -> Tensor<D> {
    if is_half(y.dtype()) { y.cast(DType::F32) } else { y }
}

/// Computes the matrix product of the last two dimensions, over the others row by row: burn's, in the precision of
/// [`autocast`].
///
/// # Shapes
/// `a: […, n, k]`, `b: […, k, m]` → `[…, n, m]`.
///
/// # Panics
/// If the shapes do not match.
#[doc(alias = "bmm")]
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    raised(lowered(a).matmul(lowered(b)))
}

/// [`apply`] in the precision of [`autocast`].
pub(super) fn apply_product<O: Operation<N>, const N: usize>(
    operation: O,
    inputs: [DispatchTensor; N],
) -> DispatchTensor {
    match DTYPE.get() {
        DType::BF16 => apply(Rounded { operation, half: Half::Bf16 }, inputs),
        DType::F16 => apply(Rounded { operation, half: Half::F16 }, inputs),
        _ => apply(operation, inputs),
    }
}

/// An operation whose inputs, output and gradients are rounded to half precision.
#[derive(Clone, Debug)]
struct Rounded<O> {
    operation: O,
    half: Half,
}

impl<O: Operation<N>, const N: usize> Operation<N> for Rounded<O> {
    const SAVES_INPUT: [bool; N] = O::SAVES_INPUT;
    const SAVES_OUTPUT: bool = O::SAVES_OUTPUT;
    fn shape(&self) -> Vec<usize> {
        self.operation.shape()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.operation.input_shape(i)
    }
    fn forward(&self, inputs: [&[f32]; N]) -> Forward {
        let inputs = inputs.map(|x| self.half.round(x));
        let Forward { out, saved } = self.operation.forward(inputs.each_ref().map(|x| &x[..]));
        Forward { out: self.half.round(&out), saved }
    }
    fn backward(&self, context: Context<'_, N>) -> [Option<Vec<f32>>; N] {
        let (inputs, dy) = (context.inputs.map(|x| self.half.round(x)), self.half.round(context.dy));
        let gradients =
            self.operation.backward(Context { inputs: inputs.each_ref().map(|x| &x[..]), dy: &dy, ..context });
        gradients.map(|gradient| gradient.map(|gradient| self.half.round(&gradient)))
    }
}
