//! Runs kernels as operations on burn's tensors, with their backward passes.
//!
//! [`apply`] takes tensors in single precision on the `flex` back end, with or without autodiff; for all others
//! ([`is_supported`] is false) the caller runs burn's own operations.
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex, TensorMetadata,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};
use burn::tensor::{DType, TensorData};
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

pub(super) type FlexTensor = FloatTensor<Flex>;
type AutodiffTensor = FloatTensor<Autodiff<Flex>>;

/// Result of a forward pass.
pub(super) struct Forward {
    /// The output.
    pub(super) out: Vec<f32>,
    /// What the backward pass needs in addition to inputs and output.
    pub(super) saved: Vec<f32>,
}

/// Arguments of a backward pass. An input or output that was not saved is empty.
pub(super) struct Context<'a, const N: usize> {
    pub(super) inputs: [&'a [f32]; N],
    pub(super) out: &'a [f32],
    pub(super) saved: &'a [f32],
    /// Gradient with respect to the output.
    pub(super) dy: &'a [f32],
    /// Inputs whose gradient is needed.
    pub(super) needs_gradient: [bool; N],
}

/// A differentiable operation of N inputs with known shapes.
pub(super) trait Operation<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// Inputs that are saved for the backward pass.
    const SAVES_INPUT: [bool; N];
    /// Whether the output is saved for the backward pass.
    const SAVES_OUTPUT: bool = false;
    /// Shape of the output.
    fn shape(&self) -> Vec<usize>;
    /// Computes the output.
    fn forward(&self, inputs: [&[f32]; N]) -> Forward;
    /// Computes the gradients with respect to the inputs; those that are not needed may be `None`.
    fn backward(&self, context: Context<'_, N>) -> [Option<Vec<f32>>; N];
    /// Shape of input i.
    fn input_shape(&self, i: usize) -> Vec<usize>;
}

/// What is saved from the forward pass for the backward pass.
#[derive(Clone, Debug)]
struct State<O, const N: usize> {
    operation: O,
    inputs: [Option<FlexTensor>; N],
    out: Option<FlexTensor>,
    saved: Arc<Vec<f32>>,
}

/// The backward pass of an operation in burn's autodiff graph.
#[derive(Debug)]
struct Step<O>(std::marker::PhantomData<O>);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = State<O, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let State { operation, inputs, out, saved } = ops.state;
        let context = Context {
            inputs: inputs.each_ref().map(|x| x.as_ref().map_or(&[][..], values)),
            out: out.as_ref().map_or(&[][..], values),
            saved: &saved,
            dy: values(&dy),
            needs_gradient: ops.parents.each_ref().map(|parent| parent.is_some()),
        };
        let gradients = operation.backward(context);
        for (i, (parent, gradient)) in ops.parents.into_iter().zip(gradients).enumerate() {
            if let Some(parent) = parent {
                let gradient = gradient.expect("every gradient that is needed is computed");
                grads.register::<Flex>(parent.id, to_tensor(gradient, operation.input_shape(i)));
            }
        }
    }
}

fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("the tensor is contiguous")
}

pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.as_slice::<f32>().is_some() { x } else { x.to_contiguous() }
}

fn to_tensor(out: Vec<f32>, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(out, shape))
}

/// Whether the kernels are enabled: the environment variable `TWEEDIE_KERNELS` is not `off`. Read once per process.
pub(super) fn kernels_enabled() -> bool {
    static ENABLED: OnceLock<bool> = OnceLock::new();
    *ENABLED.get_or_init(|| std::env::var_os("TWEEDIE_KERNELS").is_none_or(|value| value != "off"))
}

/// Whether a kernel supports this tensor: single precision on the `flex` back end, with or without autodiff.
pub(super) fn is_supported(x: &DispatchTensor) -> bool {
    let flex = match &x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(_)) => true,
        DispatchTensorKind::Autodiff(kind) => matches!(**kind, DispatchTensorKind::Flex(BackendTensor::Autodiff(_))),
        #[allow(unreachable_patterns)]
        _ => false,
    };
    flex && x.dtype() == DType::F32 && kernels_enabled()
}

/// Runs an operation on tensors for which [`is_supported`] is true.
pub(super) fn apply<O: Operation<N>, const N: usize>(operation: O, inputs: [DispatchTensor; N]) -> DispatchTensor {
    crate::keep_memory();
    let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, x| context.merge(x.autodiff));
    let run = |inputs: &[FlexTensor; N]| {
        let Forward { out, saved } = operation.forward(inputs.each_ref().map(values));
        (to_tensor(out, operation.shape()), saved)
    };
    if context == DispatchAutodiffContext::Disabled {
        let (out, _) = run(&inputs.map(|x| match x.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(x)) => contiguous(x),
            _ => unreachable!("a supported tensor without autodiff is on flex"),
        }));
        return DispatchTensor { kind: DispatchTensorKind::Flex(BackendTensor::Float(out)), autodiff: context };
    }
    let mut nodes = Vec::with_capacity(N);
    let inputs = inputs.map(|x| {
        let tracked = match x.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(x)) => AutodiffTensor::new(x),
            DispatchTensorKind::Autodiff(kind) => match *kind {
                DispatchTensorKind::Flex(BackendTensor::Autodiff(x)) => x,
                _ => unreachable!("the tensor is supported"),
            },
            #[allow(unreachable_patterns)]
            _ => unreachable!("the tensor is supported"),
        };
        let (x, node) = tracked.into_parts();
        nodes.push(node);
        contiguous(x)
    });
    let nodes = nodes.try_into().expect("there is one node per input");
    let step = Step::<O>(std::marker::PhantomData);
    let out = match Backward::<Flex, N>::prepare::<NoCheckpointing>(step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (out, saved) = run(&inputs);
            let mut saves = O::SAVES_INPUT.into_iter();
            let state = State {
                inputs: inputs.map(|x| saves.next().unwrap_or(false).then_some(x)),
                out: O::SAVES_OUTPUT.then(|| out.clone()),
                saved: Arc::new(saved),
                operation,
            };
            prepared.finish(state, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(run(&inputs).0),
    };
    let kind = DispatchTensorKind::Flex(BackendTensor::Autodiff(out));
    DispatchTensor { kind: DispatchTensorKind::Autodiff(Box::new(kind)), autodiff: context }
}

/// Whether a tensor is not tracked by autodiff.
pub(super) fn is_untracked(x: &DispatchTensor) -> bool {
    x.autodiff == DispatchAutodiffContext::Disabled
}

fn into_flex(x: DispatchTensor) -> FlexTensor {
    match x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(x)) => x,
        _ => unreachable!("the tensor is supported"),
    }
}

/// Reads a tensor for which [`is_supported`] and [`is_untracked`] are true.
pub(super) fn with_values<R>(x: DispatchTensor, f: impl FnOnce(&[f32]) -> R) -> R {
    f(values(&contiguous(into_flex(x))))
}

/// Updates tensors for which [`is_supported`] and [`is_untracked`] are true; a tensor with other references is copied
/// first.
pub(super) fn update_in_place<const N: usize>(
    state: [DispatchTensor; N],
    other: DispatchTensor,
    f: impl FnOnce([&mut [f32]; N], &[f32]),
) -> [DispatchTensor; N] {
    let other = contiguous(into_flex(other));
    let mut state = state.map(|x| {
        let x = into_flex(x);
        // A view of a larger tensor is copied, because the storage includes the rest of that tensor.
        let whole = x.is_contiguous() && x.storage::<f32>().len() == x.layout().num_elements();
        if whole { x } else { x.to_contiguous() }
    });
    f(state.each_mut().map(|x| x.storage_mut()), values(&other));
    state.map(|x| DispatchTensor {
        kind: DispatchTensorKind::Flex(BackendTensor::Float(x)),
        autodiff: DispatchAutodiffContext::Disabled,
    })
}
