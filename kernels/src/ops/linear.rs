//! Linear layers.
use super::affine::{Affine, AffineOp};
use super::autocast::{apply_product, is_half, lowered, raised};
use super::graph::is_supported;
use crate::memory::unwritten;
use crate::{Matrix, column_sums, matmul};
use burn::tensor::{Tensor, module};

/// `x W + b` for `rows` rows.
#[derive(Clone, Debug)]
struct Linear {
    shape: Vec<usize>,
    rows: usize,
    inputs: usize,
    outputs: usize,
}

fn product(a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    let mut out = unwritten(a.shape()[0] * b.shape()[1]);
    matmul(a, b, bias, &mut out);
    out
}

impl Affine for Linear {
    fn output_shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shapes(&self) -> [Vec<usize>; 3] {
        let x = [&self.shape[..self.shape.len() - 1], &[self.inputs]].concat();
        [x, vec![self.inputs, self.outputs], vec![self.outputs]]
    }
    fn output(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        product(Matrix::new(x, self.rows, self.inputs), Matrix::new(w, self.inputs, self.outputs), bias)
    }
    fn input_gradient(&self, w: &[f32], dy: &[f32]) -> Vec<f32> {
        let (w, dy) = (Matrix::new(w, self.inputs, self.outputs), Matrix::new(dy, self.rows, self.outputs));
        product(dy, w.transposed(), None)
    }
    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let (x, dy) = (Matrix::new(x, self.rows, self.inputs), Matrix::new(dy, self.rows, self.outputs));
        product(x.transposed(), dy, None)
    }
    fn bias_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let mut db = unwritten(self.outputs);
        column_sums(dy, &mut db);
        db
    }
}

/// Computes a linear layer over the last dimension: `x W + b`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device);
/// let w = Tensor::from_floats([[3.0], [4.0]], &device);
/// let b = Tensor::from_floats([0.5], &device);
/// let y: Vec<f32> = tweedie_kernels::ops::linear(x, w, Some(b)).into_data().try_to_vec().unwrap();
/// assert_eq!(y, [11.5]);
/// ```
///
/// # Shapes
/// `x: […, in]`, `weight: [in, out]`, `bias: [out]` → `[…, out]`.
///
/// # Panics
/// If the shapes do not match.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let ([inputs, outputs], dims) = (weight.dims(), x.dims());
    assert_eq!(dims[D - 1], inputs, "the last dimension of the input must be {inputs} as in the weight, got {dims:?}");
    let bias = match bias {
        Some(bias) if is_half(x.dtype()) => return linear(x, weight, None) + bias.unsqueeze(),
        bias => bias,
    };
    let shape = [&dims[..D - 1], &[outputs]].concat();
    let operation = AffineOp(Linear { shape, rows: dims[..D - 1].iter().product(), inputs, outputs });
    let (x, w) = (x.into_dispatch(), weight.into_dispatch());
    match bias.map(Tensor::into_dispatch) {
        None if is_supported(&x) && is_supported(&w) => Tensor::from_dispatch(apply_product(operation, [x, w])),
        Some(b) if is_supported(&x) && is_supported(&w) && is_supported(&b) => {
            Tensor::from_dispatch(apply_product(operation, [x, w, b]))
        }
        b => {
            let (x, w) = (lowered(Tensor::from_dispatch(x)), lowered(Tensor::from_dispatch(w)));
            raised(module::linear(x, w, b.map(Tensor::from_dispatch)))
        }
    }
}
