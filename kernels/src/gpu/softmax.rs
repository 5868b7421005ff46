//! Softmax in one kernel forward and one backward, and the norm of many numbers.
use super::{
    graph::{Operation, apply},
    norm::{THREADS, cube_fold, cube_sum, cubes, element, empty},
    queue::{Kernel, Lazy, lazy, queue},
};
use burn::backend::{
    BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, TensorMetadata, ops::FloatTensorOps,
};
use burn::tensor::DType;
use burn_cubecl::{Cube, cubecl, kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

/// `y = exp(x) / Σ exp(x)` of a row per cube.
#[cube(launch)]
fn softmax_rows<F: Float>(x: &Tensor<F>, y: &mut Tensor<F>, width: u32, #[define(F)] _dtype: ElemType) {
    let width = width as usize;
    let begin = CUBE_POS as usize * width;
    let threads = CUBE_DIM_X as usize;
    let thread = UNIT_POS_X as usize;
    let mut shared = Shared::new_slice(128usize);
    // Where a thread has no element, that of another.
    let mut most = f32::cast_from(x[begin]);
    let mut i = thread;
    while i < width {
        let value = f32::cast_from(x[begin + i]);
        if value > most {
            most = value;
        }
        i += threads;
    }
    let most = cube_fold(most, &mut shared, true);
    let mut sum = 0.0f32;
    let mut i = thread;
    while i < width {
        sum += (f32::cast_from(x[begin + i]) - most).exp();
        i += threads;
    }
    let scale = 1.0f32 / cube_sum(sum, &mut shared);
    let mut i = thread;
    while i < width {
        y[begin + i] = F::cast_from((f32::cast_from(x[begin + i]) - most).exp() * scale);
        i += threads;
    }
}

/// `dx = y (dy − Σ y dy)` of a row per cube.
#[cube(launch)]
fn softmax_gradients<F: Float>(
    y: &Tensor<F>,
    dy: &Tensor<F>,
    dx: &mut Tensor<F>,
    width: u32,
    #[define(F)] _dtype: ElemType,
) {
    let width = width as usize;
    let begin = CUBE_POS as usize * width;
    let threads = CUBE_DIM_X as usize;
    let thread = UNIT_POS_X as usize;
    let mut shared = Shared::new_slice(128usize);
    let mut sum = 0.0f32;
    let mut i = thread;
    while i < width {
        sum += f32::cast_from(y[begin + i]) * f32::cast_from(dy[begin + i]);
        i += threads;
    }
    let along = cube_sum(sum, &mut shared);
    let mut i = thread;
    while i < width {
        dx[begin + i] = F::cast_from(f32::cast_from(y[begin + i]) * (f32::cast_from(dy[begin + i]) - along));
        i += threads;
    }
}

/// Sums of squares of parts of `part` numbers, one per cube.
#[cube(launch)]
fn square_sums<F: Float>(x: &Tensor<F>, sums: &mut Tensor<f32>, length: u32, part: u32, #[define(F)] _dtype: ElemType) {
    let begin = CUBE_POS as usize * part as usize;
    let mut end = begin + part as usize;
    if end > length as usize {
        end = length as usize;
    }
    let threads = CUBE_DIM_X as usize;
    let mut shared = Shared::new_slice(128usize);
    let mut sum = 0.0f32;
    let mut i = begin + UNIT_POS_X as usize;
    while i < end {
        let value = f32::cast_from(x[i]);
        sum += value * value;
        i += threads;
    }
    let total = cube_sum(sum, &mut shared);
    if UNIT_POS_X == 0 {
        sums[CUBE_POS as usize] = total;
    }
}

/// Softmax over the last axis of a tensor of this shape.
#[derive(Clone, Debug)]
struct Softmax(Vec<usize>);
impl Softmax {
    fn rows(&self) -> [usize; 2] {
        let width = self.0[self.0.len() - 1];
        [self.0.iter().product::<usize>() / width, width]
    }
}

#[derive(Clone, Debug)]
struct Forward(Softmax);
impl Kernel<1, 1> for Forward {
    fn outputs(&self, [x]: [DType; 1]) -> [(Vec<usize>, DType); 1] {
        [(self.0.0.clone(), x)]
    }
    fn run(&self, inputs: [CubeTensor; 1]) -> [CubeTensor; 1] {
        let [x] = inputs.map(into_contiguous);
        let ([rows, width], y) = (self.0.rows(), empty(&x, self.0.0.clone(), x.dtype));
        let (client, dtype, dim) = (x.client.clone(), element(x.dtype), CubeDim::new_1d(THREADS));
        let (x, out) = (x.into_tensor_arg(), y.clone().into_tensor_arg());
        softmax_rows::launch(&client, cubes(rows), dim, x, out, width as u32, dtype);
        [y]
    }
}

#[derive(Clone, Debug)]
struct Gradient(Softmax);
impl Kernel<2, 1> for Gradient {
    fn outputs(&self, [y, _]: [DType; 2]) -> [(Vec<usize>, DType); 1] {
        [(self.0.0.clone(), y)]
    }
    fn run(&self, inputs: [CubeTensor; 2]) -> [CubeTensor; 1] {
        let [y, dy] = inputs.map(into_contiguous);
        let ([rows, width], dx) = (self.0.rows(), empty(&y, self.0.0.clone(), y.dtype));
        let (client, dtype, dim) = (y.client.clone(), element(y.dtype), CubeDim::new_1d(THREADS));
        let (y, dy, out) = (y.into_tensor_arg(), dy.into_tensor_arg(), dx.clone().into_tensor_arg());
        softmax_gradients::launch(&client, cubes(rows), dim, y, dy, out, width as u32, dtype);
        [dx]
    }
}

impl Operation<1> for Softmax {
    const SAVES_INPUT: [bool; 1] = [false];
    fn forward(&self, inputs: [Lazy; 1]) -> (Lazy, Vec<Lazy>) {
        let [y] = queue(Forward(self.clone()), inputs);
        (y.clone(), vec![y])
    }
    fn backward(&self, _: [Option<Lazy>; 1], mut saved: Vec<Lazy>, dy: Lazy, _: [bool; 1]) -> [Option<Lazy>; 1] {
        let y = saved.pop().expect("the output is saved");
        let [dx] = queue(Gradient(self.clone()), [y, dy]);
        [Some(dx)]
    }
}

/// Softmax over the last axis, of at least one element, of a tensor on a GPU.
pub(crate) fn softmax(shape: Vec<usize>, x: DispatchTensor) -> DispatchTensor {
    apply(Softmax(shape), [x])
}

/// Sums of squares of parts of a tensor of so many elements.
#[derive(Clone, Debug)]
struct SquareSums(usize);
impl SquareSums {
    const PART: usize = 8192;
}
impl Kernel<1, 1> for SquareSums {
    fn outputs(&self, _: [DType; 1]) -> [(Vec<usize>, DType); 1] {
        [(vec![1, self.0.div_ceil(Self::PART)], DType::F32)]
    }
    fn run(&self, inputs: [CubeTensor; 1]) -> [CubeTensor; 1] {
        let [x] = inputs.map(into_contiguous);
        let parts = self.0.div_ceil(Self::PART);
        let sums = empty(&x, vec![1, parts], DType::F32);
        let (client, dtype, dim) = (x.client.clone(), element(x.dtype), CubeDim::new_1d(THREADS));
        let (x, out) = (x.into_tensor_arg(), sums.clone().into_tensor_arg());
        square_sums::launch(&client, cubes(parts), dim, x, out, self.0 as u32, Self::PART as u32, dtype);
        [sums]
    }
}

/// The sum of the squares of a tensor on a GPU and outside of autodiff, `[1]`.
pub(crate) fn sum_of_squares(x: DispatchTensor) -> DispatchTensor {
    let mut x = lazy(x);
    // Each pass sums thousands of numbers; after the first they are positive, so their roots are summed as squares again.
    loop {
        let length = x.shape().iter().product();
        let [sums] = queue(SquareSums(length), [x]);
        if length <= SquareSums::PART {
            let sum = Cube::float_reshape(sums, vec![1].into());
            let kind = DispatchTensorKind::Cube(BackendTensor::Float(sum));
            return DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled };
        }
        x = Cube::float_sqrt(sums);
    }
}
