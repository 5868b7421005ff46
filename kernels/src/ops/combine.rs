//! Linear combinations of tensors in one pass, in single and in double precision.
use crate::parallel::{PIECE, Shared, for_each};
use burn::backend::tensor::FloatTensor;
use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex};
use burn::tensor::{DType, Tensor, TensorData};
use std::ops::{AddAssign, Mul};

type Plain = FloatTensor<Flex>;

/// `Σ wᵢ xᵢ`, rounded after each product and each sum as if the terms were added one by one.
///
/// A term of weight 0 is not looked at. On the `flex` back end without autodiff this is one pass over the numbers;
/// everywhere else it is burn's own operations.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([1.0, 2.0], &Device::flex());
/// let y: Vec<f32> = tweedie_kernels::ops::combine(vec![(2.0, x.clone()), (-1.0, x)]).into_data().try_to_vec().unwrap();
/// assert_eq!(y, [1.0, 2.0]);
/// ```
///
/// # Panics
/// If there is no term.
pub fn combine<const D: usize>(mut terms: Vec<(f64, Tensor<D>)>) -> Tensor<D> {
    if terms.len() > 1 && terms.iter().any(|(weight, _)| *weight != 0.0) {
        terms.retain(|(weight, _)| *weight != 0.0);
    }
    let dims = terms.first().expect("a combination has a term").1.dims();
    let dtype = terms[0].1.dtype();
    let alike = terms.iter().all(|(_, x)| x.dims() == dims && x.dtype() == dtype);
    if !(alike && matches!(dtype, DType::F32 | DType::F64)) {
        return by_parts(terms);
    }
    let terms: Vec<(f64, DispatchTensor)> = terms.into_iter().map(|(weight, x)| (weight, x.into_dispatch())).collect();
    if !terms.iter().all(|(_, x)| flex(x)) {
        return by_parts(terms.into_iter().map(|(weight, x)| (weight, Tensor::from_dispatch(x))).collect());
    }
    let plain: Vec<(f64, Plain)> = terms.into_iter().map(|(weight, x)| (weight, contiguous(x))).collect();
    const MADE: &str = "made contiguous before";
    let out = match dtype {
        DType::F64 => {
            let terms = plain.iter().map(|(weight, x)| (*weight, x.as_slice().expect(MADE)));
            TensorData::new(sum::<f64>(&terms.collect::<Vec<_>>()), dims)
        }
        _ => {
            let terms = plain.iter().map(|(weight, x)| (*weight as f32, x.as_slice().expect(MADE)));
            TensorData::new(sum::<f32>(&terms.collect::<Vec<_>>()), dims)
        }
    };
    let out = Plain::from_data(out);
    Tensor::from_dispatch(DispatchTensor {
        kind: DispatchTensorKind::Flex(BackendTensor::Float(out)),
        autodiff: DispatchAutodiffContext::Disabled,
    })
}

fn by_parts<const D: usize>(terms: Vec<(f64, Tensor<D>)>) -> Tensor<D> {
    let scaled = terms.into_iter().map(|(weight, x)| if weight == 1.0 { x } else { x * weight });
    scaled.reduce(|total, x| total + x).expect("a combination has a term")
}

/// Whether a tensor is the back end's own, outside of autodiff.
fn flex(x: &DispatchTensor) -> bool {
    x.autodiff == DispatchAutodiffContext::Disabled
        && matches!(x.kind, DispatchTensorKind::Flex(BackendTensor::Float(_)))
}

fn contiguous(x: DispatchTensor) -> Plain {
    let DispatchTensorKind::Flex(BackendTensor::Float(x)) = x.kind else { unreachable!("approved of before") };
    let sliced = match x.dtype() {
        DType::F64 => x.as_slice::<f64>().is_some(),
        _ => x.as_slice::<f32>().is_some(),
    };
    if sliced { x } else { x.to_contiguous() }
}

/// Numbers that stay in the first-level cache while the terms pass over them.
const BLOCK: usize = 512;

fn sum<T: Copy + Default + Mul<Output = T> + AddAssign + Send + Sync>(terms: &[(T, &[T])]) -> Vec<T> {
    let n = terms[0].1.len();
    let mut out = vec![T::default(); n];
    if n <= PIECE {
        add(terms, 0, &mut out);
        return out;
    }
    let shared = Shared::new(&mut out);
    for_each(n.div_ceil(PIECE), |piece| {
        let range = piece * PIECE..n.min((piece + 1) * PIECE);
        // SAFETY: every task has its own piece.
        let out = unsafe { shared.part(range.clone()) };
        add(terms, range.start, out);
    });
    out
}

/// The part of the sum that begins at `start`.
fn add<T: Copy + Mul<Output = T> + AddAssign>(terms: &[(T, &[T])], start: usize, out: &mut [T]) {
    for (i, out) in out.chunks_mut(BLOCK).enumerate() {
        let start = start + i * BLOCK;
        let (weight, x) = terms[0];
        for (out, x) in out.iter_mut().zip(&x[start..]) {
            *out = weight * *x;
        }
        for (weight, x) in &terms[1..] {
            for (out, x) in out.iter_mut().zip(&x[start..]) {
                *out += *weight * *x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::combine;
    use burn::tensor::{DType, Device, Tensor, TensorData};

    /// Numbers without a pattern that rounding would spare.
    fn tensor(n: usize, seed: f64, dtype: DType, device: &Device) -> Tensor<2> {
        let numbers: Vec<f64> = (0..n).map(|i| ((i as f64 + seed) * 1.618_033_9).sin()).collect();
        Tensor::from_data(TensorData::new(numbers, [n / 4, 4]), (device, dtype))
    }

    #[test]
    fn the_bits_are_those_of_one_operation_after_another() {
        let device = Device::flex();
        for (n, dtype) in [(8, DType::F32), (768, DType::F64), (100_000, DType::F32)] {
            let [a, b, c] = [0.1, 0.2, 0.3].map(|seed| tensor(n, seed, dtype, &device));
            let fused = combine(vec![(0.3, a.clone()), (0.0, c.clone()), (-1.7, b.clone()), (1.0, c.clone())]);
            let parts = a * 0.3 + b * -1.7 + c;
            assert_eq!(fused.dtype(), dtype);
            let bits = |x: Tensor<2>| -> Vec<u64> { x.into_data().iter::<f64>().map(f64::to_bits).collect() };
            assert!(bits(fused) == bits(parts), "{n} numbers");
        }
    }

    #[test]
    fn views_and_gradients_take_the_other_way() {
        let device = Device::flex();
        let x = tensor(16, 0.1, DType::F32, &device);
        let turned = combine(vec![(2.0, x.clone().transpose()), (1.0, x.clone().transpose())]);
        let plain = (x.clone() * 2.0 + x.clone()).transpose();
        let numbers = |x: Tensor<2>| -> Vec<f32> { x.into_data().try_to_vec().unwrap() };
        assert_eq!(numbers(turned), numbers(plain));
        let x = tensor(16, 0.1, DType::F32, &Device::flex().autodiff()).require_grad();
        let gradients = combine(vec![(2.0, x.clone()), (3.0, x.clone())]).sum().backward();
        assert_eq!(numbers(x.grad(&gradients).unwrap()), vec![5.0; 16]);
        // One row for all is broadcast.
        let row: Tensor<2> = tensor(4, 0.7, DType::F32, &device);
        let wide = combine(vec![(1.0, row.clone()), (1.0, tensor(16, 0.0, DType::F32, &device))]);
        assert_eq!(wide.dims(), [4, 4]);
    }
}
