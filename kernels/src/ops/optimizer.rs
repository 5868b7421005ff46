//! Steps of the optimizer, and the norm that gradients are clipped by.
use super::graph::{is_supported, is_untracked, update_in_place, with_values};
use crate::AdamW;
use burn::backend::DispatchTensor;
use burn::tensor::Tensor;

/// Computes one step of [`AdamW`] on a tensor, and of an exponential moving average of the parameters in the same pass.
///
/// Takes and returns `[parameters, first moment, second moment]` and the average, which is given with its decay d;
/// `step` counts from 1. A tensor without other references is updated in place.
///
/// # Shapes
/// All tensors have the same shape.
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
        "parameters, gradient, moments and average must have the same shape"
    );
    let state = [theta, first, second].map(Tensor::into_dispatch);
    let gradient = gradient.into_dispatch();
    let average = average.map(|(x, d)| (x.into_dispatch(), d));
    let supported = |x: &DispatchTensor| is_supported(x) && is_untracked(x);
    if state.iter().chain([&gradient]).chain(average.as_ref().map(|(x, _)| x)).all(supported) {
        let [theta, first, second] = state;
        return match average {
            None => {
                let state = update_in_place([theta, first, second], gradient, |[theta, first, second], gradient| {
                    rule.step(step, theta, gradient, first, second, None);
                });
                (state.map(Tensor::from_dispatch), None)
            }
            Some((average, d)) => {
                let state = [theta, first, second, average];
                let state = update_in_place(state, gradient, |[theta, first, second, average], gradient| {
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
    let direction = first.clone() / root * (rule.lr / correction(rule.beta1));
    let theta = theta * (1.0 - rule.lr * rule.weight_decay) - direction;
    let average = average.map(|(x, d)| Tensor::<D>::from_dispatch(x) * d + theta.clone() * (1.0 - d));
    ([theta, first, second], average)
}

/// Computes the Euclidean norm of all elements of some tensors together: `√Σ x²`, with the sum in double precision.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([3.0, 4.0], &Device::flex());
/// assert_eq!(tweedie_kernels::ops::global_norm([x]), 5.0);
/// ```
#[doc(alias = "grad_norm")]
#[doc(alias = "clip_grad_norm")]
pub fn global_norm<const D: usize>(tensors: impl IntoIterator<Item = Tensor<D>>) -> f64 {
    let (mut sum, mut others) = (0.0, vec![]);
    for x in tensors {
        let x = x.into_dispatch();
        if is_supported(&x) && is_untracked(&x) {
            sum += with_values(x, crate::sum_of_squares);
        } else {
            others.push(sum_of_squares(Tensor::<D>::from_dispatch(x)));
        }
    }
    if !others.is_empty() {
        // One synchronization with the device, not one per tensor.
        let others = Tensor::cat(others, 0).try_into_vec_as::<f64>();
        sum += others.expect("a tensor can be read back").into_iter().sum::<f64>();
    }
    sum.sqrt()
}

/// Computes the sum of the squares of all elements, outside of autodiff, as a tensor of one element, in the precision of the tensor; on
/// a GPU without waiting for it.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([3.0, 4.0], &Device::flex());
/// assert_eq!(tweedie_kernels::ops::sum_of_squares(x).into_scalar::<f32>(), 25.0);
/// ```
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let x = x.into_dispatch();
    #[cfg(feature = "gpu")]
    if crate::gpu::is_gpu(&x) && is_untracked(&x) && super::graph::kernels_enabled() {
        return Tensor::from_dispatch(crate::gpu::sum_of_squares(x));
    }
    let x = Tensor::<D>::from_dispatch(x);
    (x.clone() * x).sum()
}
