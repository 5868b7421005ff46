//! Tensors of any rank as tensors of rank 4.
use burn::tensor::Tensor;

/// The last D dimensions, of which the others are 1.
pub fn flat<const D: usize>(x: &Tensor<4>) -> Tensor<D> {
    let dims = x.dims();
    let mut shape = [1; D];
    shape.copy_from_slice(&dims[4 - D..]);
    x.clone().reshape(shape)
}

/// The same values, with dimensions of size 1 before the others.
pub fn four<const D: usize>(x: Tensor<D>) -> Tensor<4> {
    let mut shape = [1; 4];
    shape[4 - D..].copy_from_slice(&x.dims());
    x.reshape(shape)
}
