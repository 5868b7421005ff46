//! Convolutions.
use super::affine::{Affine, AffineOp};
use super::autocast::{apply_product, autocast, autocast_dtype, is_half, lowered, raised};
#[cfg(feature = "gpu")]
use super::graph::kernels_enabled;
use super::graph::{Operation, is_supported};
use crate::memory::unwritten;
use crate::{Conv2d, Conv3d};
#[cfg(feature = "gpu")]
use burn::backend::DispatchTensor;
use burn::backend::TensorMetadata;
use burn::tensor::{DType, Tensor, module, ops::ConvOptions};

/// A convolution, and the shape of its bias.
#[derive(Clone, Debug)]
struct Convolution<C> {
    conv: C,
    bias: Vec<usize>,
}

/// Convolutions of each rank as affine maps.
macro_rules! affine {
    ($($conv:ty),*) => {$(
impl Affine for Convolution<$conv> {
    fn output_shape(&self) -> Vec<usize> {
        self.conv.shapes()[2].to_vec()
    }
    fn input_shapes(&self) -> [Vec<usize>; 3] {
        let [x, w, _] = self.conv.shapes();
        [x.to_vec(), w.to_vec(), self.bias.clone()]
    }
    fn output(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let mut out = unwritten(self.conv.shapes()[2].iter().product());
        self.conv.forward(x, w, bias, &mut out);
        out
    }
    fn input_gradient(&self, w: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut dx = unwritten(self.conv.shapes()[0].iter().product());
        self.conv.input_gradient(dy, w, &mut dx);
        dx
    }
    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut dw = unwritten(self.conv.shapes()[1].iter().product());
        self.conv.weight_gradient(x, dy, &mut dw);
        dw
    }
    fn bias_gradient(&self, dy: &[f32]) -> Vec<f32> {
        let mut db = unwritten(self.bias.iter().product());
        self.conv.bias_gradient(dy, &mut db);
        db
    }
}
    )*};
}
affine!(Conv2d, Conv3d);

/// Computes a convolution, or what is `otherwise` on other back ends.
fn convolve<C, const D: usize>(
    conv: C,
    [x, weight]: [Tensor<D>; 2],
    bias: Option<Tensor<1>>,
    otherwise: impl FnOnce(Tensor<D>, Tensor<D>, Option<Tensor<1>>) -> Tensor<D>,
) -> Tensor<D>
where
    AffineOp<Convolution<C>>: Operation<2> + Operation<3>,
{
    let bias = match bias {
        Some(bias) if is_half(x.dtype()) => {
            return add_bias(convolve(conv, [x, weight], None, otherwise), Some(bias));
        }
        bias => bias,
    };
    let (x, w) = (x.into_dispatch(), weight.into_dispatch());
    match bias.map(Tensor::into_dispatch) {
        None if is_supported(&x) && is_supported(&w) => {
            Tensor::from_dispatch(apply_product(AffineOp(Convolution { conv, bias: vec![] }), [x, w]))
        }
        Some(b) if is_supported(&x) && is_supported(&w) && is_supported(&b) => {
            let bias = b.shape().iter().copied().collect();
            Tensor::from_dispatch(apply_product(AffineOp(Convolution { conv, bias }), [x, w, b]))
        }
        b => {
            let (x, w) = (lowered(Tensor::from_dispatch(x)), lowered(Tensor::from_dispatch(w)));
            raised(otherwise(x, w, b.map(Tensor::from_dispatch)))
        }
    }
}

/// Computes a convolution without a bias on a GPU; `None` elsewhere.
#[cfg(feature = "gpu")]
fn on_gpu<const D: usize, const N: usize>(
    x: &Tensor<D>,
    weight: &Tensor<D>,
    output: &[usize],
    stride: [usize; N],
    padding: [usize; N],
) -> Option<Tensor<D>> {
    let shapes = [x.dims().to_vec(), weight.dims().to_vec(), output.to_vec()];
    let inputs = [x, weight].map(|x| x.clone().into_dispatch());
    let supported = |x: &DispatchTensor| crate::gpu::is_gpu(x) && x.dtype() == DType::F32;
    (inputs.iter().all(supported) && kernels_enabled()).then(|| {
        let convolution = crate::gpu::Convolution { shapes, stride, padding, dtype: autocast_dtype() };
        Tensor::from_dispatch(crate::gpu::convolve(convolution, inputs))
    })
}
#[cfg(not(feature = "gpu"))]
fn on_gpu<const D: usize, const N: usize>(
    _: &Tensor<D>,
    _: &Tensor<D>,
    _: &[usize],
    _: [usize; N],
    _: [usize; N],
) -> Option<Tensor<D>> {
    None
}

/// Adds a bias of channels.
fn add_bias<const D: usize>(y: Tensor<D>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let Some(bias) = bias else { return y };
    let mut shape = [1; D];
    shape[1] = bias.dims()[0];
    y + bias.reshape(shape)
}

/// Whether a convolution with a weight of this shape, `[out, in, …]`, stays in single precision in the scope of
/// [`autocast`]: with so few channels, as the first and the last of a net have, half precision gains nothing, and GPU
/// back ends compute it by kernels that accumulate in the type of the operands.
fn is_thin(weight: &[usize]) -> bool {
    const FEWEST: usize = 8;
    autocast_dtype() != DType::F32 && weight[0].min(weight[1]) < FEWEST
}

/// Computes a two-dimensional convolution.
///
/// `y[n, o, i, j] = b[o] + Σ_{c,p,q} w[o, c, p, q] x[n, c, s i + p − pad, s j + q − pad]`
///
/// # Shapes
/// `x: [batch, in, h, w]`, `weight: [out, in, kh, kw]`, `bias: [out]` → `[batch, out, h′, w′]`,
/// `h′ = ⌊(h + 2 padding − kh) / stride⌋ + 1`.
///
/// # Panics
/// If the shapes do not match.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor<4> {
    if is_thin(&weight.dims()) {
        return autocast(DType::F32, || conv2d(x, weight, bias, stride, padding));
    }
    let conv = Conv2d::new(x.dims(), weight.dims(), stride, padding);
    if let Some(y) = on_gpu(&x, &weight, &conv.shapes()[2], stride, padding) {
        return add_bias(y, bias);
    }
    convolve(conv, [x, weight], bias, |x, w, b| module::conv2d(x, w, b, ConvOptions::new(stride, padding, [1, 1], 1)))
}

/// Computes a two-dimensional convolution with a bias per sample, such as an embedding of time and class, which is
/// added to the channels without a separate pass.
///
/// `y[n, o, i, j] = b[n, o] + Σ_{c,p,q} w[o, c, p, q] x[n, c, s i + p − pad, s j + q − pad]`
///
/// # Shapes
/// As for [`conv2d`], with `bias: [batch, out]`.
///
/// # Panics
/// If the shapes do not match.
pub fn conv2d_modulated(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<2>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor<4> {
    let conv = Conv2d::new(x.dims(), weight.dims(), stride, padding);
    let (batch, out) = (x.dims()[0], weight.dims()[0]);
    assert_eq!(bias.dims(), [batch, out], "a bias per sample must be [batch, out]");
    if is_thin(&weight.dims()) {
        return autocast(DType::F32, || conv2d_modulated(x, weight, bias, stride, padding));
    }
    if let Some(y) = on_gpu(&x, &weight, &conv.shapes()[2], stride, padding) {
        return y + bias.reshape([batch, out, 1, 1]);
    }
    if is_half(x.dtype()) {
        return conv2d(x, weight, None, stride, padding) + bias.reshape([batch, out, 1, 1]);
    }
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    if inputs.iter().all(is_supported) {
        return Tensor::from_dispatch(apply_product(AffineOp(Convolution { conv, bias: vec![batch, out] }), inputs));
    }
    let [x, w, b] = inputs;
    let options = ConvOptions::new(stride, padding, [1, 1], 1);
    module::conv2d(Tensor::from_dispatch(x), Tensor::from_dispatch(w), None, options)
        + Tensor::<2>::from_dispatch(b).reshape([batch, out, 1, 1])
}

/// Computes a three-dimensional convolution with a kernel of odd sizes k that is padded by ⌊k/2⌋, so that stride 1 keeps the
/// sizes.
///
/// # Shapes
/// `x: [batch, in, d, h, w]`, `weight: [out, in, kd, kh, kw]`, `bias: [out]` → `[batch, out, d′, h′, w′]`,
/// `d′ = ⌈d / stride⌉`.
///
/// # Panics
/// If the shapes do not match.
pub fn conv3d(x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>, stride: usize) -> Tensor<5> {
    if is_thin(&weight.dims()) {
        return autocast(DType::F32, || conv3d(x, weight, bias, stride));
    }
    let [_, _, kd, kh, kw] = weight.dims();
    let padding = [kd / 2, kh / 2, kw / 2];
    let conv = Conv3d::new(x.dims(), weight.dims(), [stride; 3], padding);
    if let Some(y) = on_gpu(&x, &weight, &conv.shapes()[2], [stride; 3], padding) {
        return add_bias(y, bias);
    }
    convolve(conv, [x, weight], bias, |x, w, b| {
        module::conv3d(x, w, b, ConvOptions::new([stride; 3], padding, [1; 3], 1))
    })
}
