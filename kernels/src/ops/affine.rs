//! Maps `y = W(x) + b` that are linear in input and weight, with an optional bias.
use super::graph::{Context, Forward, Operation};

/// A map that is linear in its input x and its weight w, such as a linear layer or a convolution.
pub(super) trait Affine: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Shape of the output.
    fn output_shape(&self) -> Vec<usize>;
    /// Shapes of input, weight and bias.
    fn input_shapes(&self) -> [Vec<usize>; 3];
    /// Computes the output.
    fn output(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32>;
    /// Computes the gradient with respect to the input.
    fn input_gradient(&self, w: &[f32], dy: &[f32]) -> Vec<f32>;
    /// Computes the gradient with respect to the weight.
    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32>;
    /// Computes the gradient with respect to the bias.
    fn bias_gradient(&self, dy: &[f32]) -> Vec<f32>;
}

/// An affine map as an operation of input and weight, or of input, weight and bias.
#[derive(Clone, Debug)]
pub(super) struct AffineOp<A>(pub(super) A);

impl<A: Affine> Operation<2> for AffineOp<A> {
    const SAVES_INPUT: [bool; 2] = [true, true];
    fn shape(&self) -> Vec<usize> {
        self.0.output_shape()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.0.input_shapes()[i].clone()
    }
    fn forward(&self, [x, w]: [&[f32]; 2]) -> Forward {
        Forward { out: self.0.output(x, w, None), saved: vec![] }
    }
    fn backward(&self, context: Context<'_, 2>) -> [Option<Vec<f32>>; 2] {
        let ([x, w], [needs_dx, needs_dw], dy) = (context.inputs, context.needs_gradient, context.dy);
        [needs_dx.then(|| self.0.input_gradient(w, dy)), needs_dw.then(|| self.0.weight_gradient(x, dy))]
    }
}

impl<A: Affine> Operation<3> for AffineOp<A> {
    const SAVES_INPUT: [bool; 3] = [true, true, false];
    fn shape(&self) -> Vec<usize> {
        self.0.output_shape()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.0.input_shapes()[i].clone()
    }
    fn forward(&self, [x, w, b]: [&[f32]; 3]) -> Forward {
        Forward { out: self.0.output(x, w, Some(b)), saved: vec![] }
    }
    fn backward(&self, context: Context<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let ([x, w, _], [needs_dx, needs_dw, needs_db], dy) = (context.inputs, context.needs_gradient, context.dy);
        [
            needs_dx.then(|| self.0.input_gradient(w, dy)),
            needs_dw.then(|| self.0.weight_gradient(x, dy)),
            needs_db.then(|| self.0.bias_gradient(dy)),
        ]
    }
}
