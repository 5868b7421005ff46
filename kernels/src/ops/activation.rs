//! Element-wise activations.
use super::graph::{Context, Forward, Operation, apply, is_supported};
use crate::Activation;
use crate::memory::unwritten;
use burn::tensor::{Tensor, activation};

/// An [`Activation`] of a tensor of this shape.
#[derive(Clone, Debug)]
struct ActivationOp {
    function: Activation,
    shape: Vec<usize>,
}

impl Operation<1> for ActivationOp {
    const SAVES_INPUT: [bool; 1] = [true];
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }
    fn input_shape(&self, _: usize) -> Vec<usize> {
        self.shape.clone()
    }
    fn forward(&self, [x]: [&[f32]; 1]) -> Forward {
        let mut out = unwritten(x.len());
        self.function.forward(x, &mut out);
        Forward { out, saved: vec![] }
    }
    fn backward(&self, context: Context<'_, 1>) -> [Option<Vec<f32>>; 1] {
        let mut dx = unwritten(context.dy.len());
        self.function.backward(context.inputs[0], context.dy, &mut dx);
        [Some(dx)]
    }
}

fn activate<const D: usize>(
    function: Activation,
    x: Tensor<D>,
    fallback: impl Fn(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    let shape = x.dims().to_vec();
    let x = x.into_dispatch();
    if is_supported(&x) {
        Tensor::from_dispatch(apply(ActivationOp { function, shape }, [x]))
    } else {
        fallback(Tensor::from_dispatch(x))
    }
}

/// Computes SiLU element by element: `x σ(x)`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let x = Tensor::<1>::from_floats([0.0, 20.0], &Device::flex());
/// let y: Vec<f32> = tweedie_kernels::ops::silu(x).into_data().try_to_vec().unwrap();
/// assert_eq!(y, [0.0, 20.0]);
/// ```
#[doc(alias = "swish")]
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(Activation::Silu, x, activation::silu)
}

/// Computes GELU element by element: `x Φ(x) = ½ x (1 + erf(x/√2))`.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(Activation::Gelu, x, activation::gelu)
}

/// Computes the tanh approximation of GELU element by element: `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(Activation::GeluTanh, x, activation::gelu_approximate)
}
