//! Queues kernels among the operations that burn fuses.
use burn::backend::fusion::{
    ExecutionError,
    custom::{CustomOpIr, HandleContainer, Operation, OperationIr, OperationOutput, StreamId, TensorIr},
};
use burn::backend::{DispatchTensor, DispatchTensorKind, TensorMetadata, tensor::FloatTensor};
use burn::tensor::DType;
use burn_cubecl::{
    Cube, CubeBackend,
    fusion::{CubeFusionHandle, FusionCubeRuntime},
    tensor::CubeTensor,
};
use std::fmt::Debug;

/// A tensor that may still have to be computed.
pub(super) type Lazy = FloatTensor<Cube>;

/// A computation of O tensors from I tensors.
pub(super) trait Kernel<const I: usize, const O: usize>: Clone + Debug + Send + Sync + 'static {
    /// Shapes and types of the results for inputs of these types.
    fn outputs(&self, inputs: [DType; I]) -> [(Vec<usize>, DType); O];
    /// Launches the computation.
    fn run(&self, inputs: [CubeTensor; I]) -> [CubeTensor; O];
}

#[derive(Clone, Debug)]
struct Queued<K, const I: usize, const O: usize> {
    kernel: K,
    description: CustomOpIr,
}

impl<K: Kernel<I, O>, const I: usize, const O: usize> Operation<FusionCubeRuntime> for Queued<K, I, O> {
    fn execute(&self, handles: &mut HandleContainer<CubeFusionHandle>) -> Result<(), ExecutionError> {
        let (inputs, outputs) = self.description.as_fixed::<I, O>();
        let inputs = inputs.each_ref().map(|input| handles.get_float_tensor::<CubeBackend>(input));
        for (place, tensor) in outputs.iter().zip(self.kernel.run(inputs)) {
            handles.register_float_tensor::<CubeBackend>(&place.id, tensor);
        }
        Ok(())
    }
}

/// Queues a kernel.
pub(super) fn queue<K: Kernel<I, O>, const I: usize, const O: usize>(kernel: K, inputs: [Lazy; I]) -> [Lazy; O] {
    let client = inputs[0].client.clone();
    let outputs = kernel.outputs(inputs.each_ref().map(TensorMetadata::dtype));
    let outputs = outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape.into(), dtype));
    let name = std::any::type_name::<K>();
    let description = CustomOpIr::new(name, &inputs.map(|input| input.into_ir()), &outputs);
    let operation = Queued::<K, I, O> { kernel, description: description.clone() };
    client.register(StreamId::current(), OperationIr::Custom(description), operation).outputs()
}

/// The tensor of a dispatched one that is on a GPU and outside of autodiff.
pub(super) fn lazy(x: DispatchTensor) -> Lazy {
    match x.kind {
        DispatchTensorKind::Cube(x) => x.float(),
        _ => unreachable!("the tensor is on a GPU"),
    }
}
