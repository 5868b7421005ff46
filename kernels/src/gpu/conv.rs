//! Convolutions by implicit matrix products, and directly where those do not fit.
use super::{
    graph::{Operation, apply},
    queue::{Kernel, Lazy, queue},
};
use burn::backend::{DispatchTensor, TensorMetadata};
use burn::tensor::{DType, ops::ConvOptions};
use burn_cubecl::{
    cubecl::zspace::striding::row_major_contiguous_strides,
    kernel::{
        cast,
        conv::{ConvStrategy, conv_data_backward, conv_forward, conv_weight_backward},
        into_contiguous,
    },
    tensor::CubeTensor,
};

/// A convolution over N axes.
#[derive(Clone, Debug)]
pub(crate) struct Convolution<const N: usize> {
    /// Shapes of input, weight and output.
    pub(crate) shapes: [Vec<usize>; 3],
    pub(crate) stride: [usize; N],
    pub(crate) padding: [usize; N],
    /// Type of the operands of its products.
    pub(crate) dtype: DType,
}

impl<const N: usize> Convolution<N> {
    fn options(&self) -> ConvOptions<N> {
        ConvOptions::new(self.stride, self.padding, [1; N], 1)
    }
    /// Whether the product is worth tensor cores, which take blocks of 8 channels.
    fn strategies(&self) -> Vec<(ConvStrategy, DType)> {
        let [x, w, _] = &self.shapes;
        // A direct convolution adds up in the type of its operands.
        let direct = (ConvStrategy::Direct, DType::F32);
        match x[1].is_multiple_of(8) && w[0].is_multiple_of(8) {
            true => vec![(ConvStrategy::ImplicitGemm, self.dtype), direct],
            false => vec![direct],
        }
    }
    /// Runs the first strategy that fits, and gives the result in single precision and row-major.
    fn first<E>(
        &self,
        inputs: [CubeTensor; 2],
        run: impl Fn([CubeTensor; 2], ConvStrategy) -> Result<CubeTensor, E>,
    ) -> CubeTensor {
        let operands = |dtype| inputs.clone().map(|x| cast(x, dtype));
        let found = self.strategies().into_iter().find_map(|(strategy, dtype)| run(operands(dtype), strategy).ok());
        let mut y = into_contiguous(cast(found.expect("a direct convolution always fits"), DType::F32));
        // An axis of size 1 that keeps another stride misleads what burn fuses with the result: it reads vectors along it.
        y.meta.strides = row_major_contiguous_strides(y.meta.shape());
        y
    }
}

/// `y = w ∗ x`.
#[derive(Clone, Debug)]
struct Forward<const N: usize>(Convolution<N>);
impl<const N: usize> Kernel<2, 1> for Forward<N> {
    fn outputs(&self, _: [DType; 2]) -> [(Vec<usize>, DType); 1] {
        [(self.0.shapes[2].clone(), DType::F32)]
    }
    fn run(&self, inputs: [CubeTensor; 2]) -> [CubeTensor; 1] {
        [self.0.first(inputs, |[x, w], strategy| conv_forward(x, w, None, self.0.options(), strategy))]
    }
}

/// The gradient with respect to x, of w and dy.
#[derive(Clone, Debug)]
struct DataGradient<const N: usize>(Convolution<N>);
impl<const N: usize> Kernel<2, 1> for DataGradient<N> {
    fn outputs(&self, _: [DType; 2]) -> [(Vec<usize>, DType); 1] {
        [(self.0.shapes[0].clone(), DType::F32)]
    }
    fn run(&self, inputs: [CubeTensor; 2]) -> [CubeTensor; 1] {
        let shape = || self.0.shapes[0].clone().into();
        [self.0.first(inputs, |[w, dy], strategy| conv_data_backward(dy, w, shape(), self.0.options(), strategy))]
    }
}

/// The gradient with respect to w, of x and dy.
#[derive(Clone, Debug)]
struct WeightGradient<const N: usize>(Convolution<N>);
impl<const N: usize> Kernel<2, 1> for WeightGradient<N> {
    fn outputs(&self, _: [DType; 2]) -> [(Vec<usize>, DType); 1] {
        [(self.0.shapes[1].clone(), DType::F32)]
    }
    fn run(&self, inputs: [CubeTensor; 2]) -> [CubeTensor; 1] {
        let shape = || self.0.shapes[1].clone().into();
        [self.0.first(inputs, |[x, dy], strategy| conv_weight_backward(x, dy, shape(), self.0.options(), strategy))]
    }
}

impl<const N: usize> Operation<2> for Convolution<N> {
    const SAVES_INPUT: [bool; 2] = [true; 2];
    fn forward(&self, inputs: [Lazy; 2]) -> (Lazy, Vec<Lazy>) {
        let [y] = queue(Forward(self.clone()), inputs);
        (y, vec![])
    }
    fn backward(
        &self,
        inputs: [Option<Lazy>; 2],
        _: Vec<Lazy>,
        dy: Lazy,
        [of_x, of_w]: [bool; 2],
    ) -> [Option<Lazy>; 2] {
        let [x, w] = inputs.map(|x| x.expect("both inputs are saved"));
        let dx = of_x.then(|| {
            let [dx] = queue(DataGradient(self.clone()), [w, dy.clone()]);
            dx
        });
        let dw = of_w.then(|| {
            let [dw] = queue(WeightGradient(self.clone()), [x, dy]);
            dw
        });
        [dx, dw]
    }
}

/// A convolution of tensors on a GPU, without a bias.
pub(crate) fn convolve<const N: usize>(convolution: Convolution<N>, inputs: [DispatchTensor; 2]) -> DispatchTensor {
    debug_assert!(inputs.iter().all(|x| x.dtype() == DType::F32));
    apply(convolution, inputs)
}
