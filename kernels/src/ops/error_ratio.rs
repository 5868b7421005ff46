//! The error norm of adaptive solvers.
use super::flex::{FlexTensor, Scalar, into_plain, is_plain, to_tensor};
use crate::simd::{Level, Simd, dispatch};
use burn::tensor::{DType, Tensor, TensorData};

/// Number of ratios whose maxima are in registers at a time.
const BLOCK: usize = 32;

/// Computes the maximum of `|error| / (absolute + relative · |value|)`, which an adaptive solver keeps below 1; NaN if
/// one of these ratios is not finite.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let [error, value] = [[0.1, -0.3], [1.0, 2.0]].map(|x| Tensor::<1>::from_floats(x, &Device::flex()));
/// let ratio = tweedie_kernels::ops::max_error_ratio(error, value, 1.0, 0.5);
/// assert!((ratio - 0.15).abs() < 1e-7);
/// ```
///
/// # Panics
/// If the shapes differ.
#[doc(alias = "error_norm")]
pub fn max_error_ratio<const D: usize>(error: Tensor<D>, value: Tensor<D>, absolute: f64, relative: f64) -> f64 {
    assert_eq!(error.dims(), value.dims(), "the error must have the shape of the value");
    let (error, value) = (error.into_dispatch(), value.into_dispatch());
    if is_plain(&error, None) {
        let error = into_plain(error);
        if !is_plain(&value, Some(&error)) {
            return decomposed::<D>(to_tensor(error), Tensor::from_dispatch(value), absolute, relative);
        }
        let value = into_plain(value);
        return match error.dtype() {
            DType::F64 => fused::<f64>(&error, &value, absolute, relative),
            _ => fused::<f32>(&error, &value, absolute, relative),
        };
    }
    decomposed::<D>(Tensor::from_dispatch(error), Tensor::from_dispatch(value), absolute, relative)
}

/// Computes [`max_error_ratio`] of each row of the first axis, with the relative tolerance of the row.
///
/// # Panics
/// If the shapes differ, or the number of rows is not that of `relative`.
pub fn max_error_ratios<const D: usize>(
    error: Tensor<D>,
    value: Tensor<D>,
    absolute: f64,
    relative: &[f64],
) -> Vec<f64> {
    assert_eq!(error.dims(), value.dims(), "the error must have the shape of the value");
    assert_eq!(error.dims()[0], relative.len(), "there must be a tolerance for each row");
    let (rows, dims, dtype) = (relative.len(), error.dims(), error.dtype());
    let width = dims[1..].iter().product::<usize>();
    let (error, value) = (error.into_dispatch(), value.into_dispatch());
    let (error, value) = if is_plain(&error, None) {
        let error = into_plain(error);
        if is_plain(&value, Some(&error)) {
            let value = into_plain(value);
            return match dtype {
                DType::F64 => fused_rows::<f64>(&error, &value, absolute, relative, width),
                _ => fused_rows::<f32>(&error, &value, absolute, relative, width),
            };
        }
        (to_tensor(error), Tensor::from_dispatch(value))
    } else {
        (Tensor::<D>::from_dispatch(error), Tensor::<D>::from_dispatch(value))
    };
    let mut shape = [1; D];
    shape[0] = rows;
    let relative = Tensor::<D>::from_data(TensorData::new(relative.to_vec(), shape), (&value.device(), dtype));
    let ratio = (error.abs() / (value.abs() * relative + absolute)).reshape([rows, width]);
    // 0 · ∞ and 0 · NaN are NaN.
    let worst = ratio.clone().max_dim(1) + (ratio * 0.0).sum_dim(1);
    worst.into_data().iter::<f64>().collect()
}

fn fused_rows<T: Scalar>(
    error: &FlexTensor,
    value: &FlexTensor,
    absolute: f64,
    relative: &[f64],
    width: usize,
) -> Vec<f64> {
    let (error, value, level) = (T::elements(error), T::elements(value), Level::get());
    let row = |(row, relative): (usize, &f64)| {
        let range = row * width..(row + 1) * width;
        max_ratio_at(level, &error[range.clone()], &value[range], T::of(absolute), T::of(*relative))
    };
    relative.iter().enumerate().map(row).collect()
}

fn decomposed<const D: usize>(error: Tensor<D>, value: Tensor<D>, absolute: f64, relative: f64) -> f64 {
    let ratio = error.abs() / (value.abs() * relative + absolute);
    // 0 · ∞ and 0 · NaN are NaN.
    let worst = ratio.clone().max() + (ratio * 0.0).sum();
    worst.into_data().iter::<f64>().next().expect("there is one element")
}

fn fused<T: Scalar>(error: &FlexTensor, value: &FlexTensor, absolute: f64, relative: f64) -> f64 {
    max_ratio_at(Level::get(), T::elements(error), T::elements(value), T::of(absolute), T::of(relative))
}

/// Maximum of the ratios; [`BLOCK`] elements at a time, so that the compiler vectorizes the loops.
#[inline(always)]
fn max_ratio<S: Simd, T: Scalar>(_: S, error: &[T], value: &[T], absolute: T, relative: T) -> f64 {
    let (mut largest, mut non_finite) = ([T::default(); BLOCK], [T::default(); BLOCK]);
    for (error, value) in error.chunks(BLOCK).zip(value.chunks(BLOCK)) {
        for (((e, v), largest), non_finite) in error.iter().zip(value).zip(&mut largest).zip(&mut non_finite) {
            let ratio = e.abs() / (absolute + relative * v.abs());
            *largest = if ratio > *largest { ratio } else { *largest };
            // 0 · ∞ and 0 · NaN are NaN.
            *non_finite = *non_finite + ratio * T::default();
        }
    }
    largest.iter().zip(&non_finite).fold(0.0, |worst: f64, (largest, non_finite)| {
        let largest = (*largest + *non_finite).elem::<f64>();
        if worst.is_nan() || largest.is_nan() { f64::NAN } else { worst.max(largest) }
    })
}
dispatch! { fn max_ratio_at<T: Scalar>(error: &[T], value: &[T], absolute: T, relative: T) -> f64 = max_ratio; }

#[cfg(test)]
mod tests {
    use super::max_error_ratio;
    use burn::tensor::{DType, Device, Tensor, TensorData};

    /// Elements without a pattern, so that their sums are rounded.
    fn tensor(n: usize, seed: f64, dtype: DType, device: &Device) -> Tensor<2> {
        let values: Vec<f64> = (0..n).map(|i| ((i as f64 + seed) * 1.618_033_9).sin()).collect();
        Tensor::from_data(TensorData::new(values, [n / 4, 4]), (device, dtype))
    }

    #[test]
    fn the_worst_error_of_each_row() {
        let device = Device::flex();
        let relative: Vec<f64> = (0..25).map(|i| 0.1 + f64::from(i) * 0.02).collect();
        for on in [device.clone(), device.clone().autodiff()] {
            let (error, value) = (tensor(100, 0.1, DType::F32, &on), tensor(100, 0.2, DType::F32, &on));
            let all = super::max_error_ratios(error.clone(), value.clone(), 0.01, &relative);
            for (row, found) in all.iter().enumerate() {
                let alone = |x: &Tensor<2>| x.clone().narrow(0, row, 1) * 1.0;
                let goal = max_error_ratio(alone(&error), alone(&value), 0.01, relative[row]);
                assert!((found / goal - 1.0).abs() < 1e-6, "{row}: {found} is not {goal}");
            }
            let hole = error.clone().slice_fill([3..4, 1..2], f32::NAN);
            let all = super::max_error_ratios(hole, value.clone(), 0.01, &relative);
            assert!(all[3].is_nan() && all[2].is_finite());
        }
    }

    #[test]
    fn the_worst_of_errors() {
        let device = Device::flex();
        for (n, dtype) in [(8, DType::F32), (100, DType::F32), (768, DType::F64)] {
            let (error, value) = (tensor(n, 0.1, dtype, &device), tensor(n, 0.2, dtype, &device));
            let goal = (error.clone().abs() / (value.clone().abs() * 0.3 + 0.01)).max().into_data();
            let goal: f64 = goal.iter::<f64>().next().unwrap();
            let found = max_error_ratio(error.clone(), value.clone(), 0.01, 0.3);
            assert!((found / goal - 1.0).abs() < 1e-6, "{found} is not {goal}");
            let tracked = max_error_ratio(error.clone(), tensor(n, 0.2, dtype, &device.clone().autodiff()), 0.01, 0.3);
            assert!((tracked / goal - 1.0).abs() < 1e-6);
            let turned = |x: &Tensor<2>| x.clone().transpose();
            assert_eq!(max_error_ratio(turned(&error), turned(&value), 0.01, 0.3), found);
            for nothing in [f64::NAN, f64::INFINITY] {
                let hole =
                    error.clone().mask_fill(error.clone().equal(error.clone().max().expand([n / 4, 4])), nothing);
                assert!(max_error_ratio(hole, value.clone(), 0.01, 0.3).is_nan());
            }
        }
    }
}
