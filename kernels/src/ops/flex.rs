//! Tensors of the `flex` back end outside of autodiff, in single or double precision, as slices.
use super::graph::kernels_enabled;
use crate::memory::unwritten;
use burn::backend::{BackendTensor, DispatchAutodiffContext, DispatchDevice, DispatchTensor, DispatchTensorKind};
use burn::tensor::{DType, Device, Element, Tensor, TensorData};
use std::ops::{Add, Div, Mul};

pub(super) use super::graph::FlexTensor;

/// Wraps a tensor of the back end.
pub(super) fn to_tensor<const D: usize>(x: FlexTensor) -> Tensor<D> {
    Tensor::from_dispatch(DispatchTensor {
        kind: DispatchTensorKind::Flex(BackendTensor::Float(x)),
        autodiff: DispatchAutodiffContext::Disabled,
    })
}

/// Whether a tensor is on the `flex` back end, not tracked by autodiff, in single or double precision, and has the type
/// and shape of `like`, if given.
pub(super) fn is_plain(x: &DispatchTensor, like: Option<&FlexTensor>) -> bool {
    match &x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(own)) if x.autodiff == DispatchAutodiffContext::Disabled => {
            match like {
                Some(like) => own.dtype() == like.dtype() && own.layout().shape() == like.layout().shape(),
                None => matches!(own.dtype(), DType::F32 | DType::F64) && kernels_enabled(),
            }
        }
        _ => false,
    }
}

/// Unwraps a tensor for which [`is_plain`] is true, and makes it contiguous.
pub(super) fn into_plain(x: DispatchTensor) -> FlexTensor {
    match x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(x)) if x.is_contiguous() => x,
        DispatchTensorKind::Flex(BackendTensor::Float(x)) => x.to_contiguous(),
        _ => unreachable!("the tensor is plain"),
    }
}

/// Element type of a tensor: `f32` or `f64`.
pub(super) trait Scalar:
    Copy + Default + PartialOrd + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Send + Sync + Element
{
    /// Absolute value.
    fn abs(self) -> Self;
    /// Rounds a double to this type.
    fn of(x: f64) -> Self;
    /// Allocates elements that must all be written before they are read.
    fn allocate(len: usize) -> Vec<Self>;
    /// Elements of a contiguous tensor.
    fn elements(x: &FlexTensor) -> &[Self];
    /// Elements of a contiguous tensor without other references that is not part of a larger one; otherwise `None`.
    fn exclusive(x: &mut FlexTensor) -> Option<&mut [Self]>;
}
macro_rules! scalar {
    ($scalar:ty, |$x:ident| $of:expr, $allocate:expr) => {
        impl Scalar for $scalar {
            #[inline(always)]
            fn abs(self) -> Self {
                <$scalar>::abs(self)
            }
            fn of($x: f64) -> Self {
                $of
            }
            fn allocate(len: usize) -> Vec<Self> {
                $allocate(len)
            }
            fn elements(x: &FlexTensor) -> &[Self] {
                x.as_slice().expect("the tensor is contiguous")
            }
            fn exclusive(x: &mut FlexTensor) -> Option<&mut [Self]> {
                let n = x.layout().num_elements();
                x.try_storage_mut().filter(|elements| elements.len() == n)
            }
        }
    };
}
scalar!(f32, |x| x as f32, unwritten);
scalar!(f64, |x| x, |len| vec![0.0; len]);

/// Creates a tensor in single precision from its elements in row-major order: [`Tensor::from_data`] with less overhead
/// on the `flex` back end.
///
/// # Panics
/// If the number of elements does not match the shape.
pub fn from_vec<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    let data = TensorData::new(values, shape);
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => to_tensor(FlexTensor::from_data(data)),
        #[allow(unreachable_patterns)]
        _ => Tensor::from_data(data, (device, DType::F32)),
    }
}

/// Whether the kernels of this crate run on a device: the processor, unless they are switched off.
///
/// On other devices an operation costs a launch, and reading a number waits for all that was launched before.
pub fn is_host(device: &Device) -> bool {
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Flex(_) => kernels_enabled(),
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// Settles how burn fuses operations on GPUs, before the first of them is opened; later it has no effect.
pub fn prepare_gpus() {
    #[cfg(feature = "gpu")]
    crate::gpu::prepare();
}
