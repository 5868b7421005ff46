//! How a kernel becomes an operation on burn's tensors, with its backward pass.
//!
//! Tensors in single precision on the `flex` back end go to the kernels. All others are handed back, so that the caller
//! can use burn's own operations.
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

type Plain = FloatTensor<Flex>;
type Tracked = FloatTensor<Autodiff<Flex>>;

/// What a forward pass gives.
pub(super) struct Made {
    /// The result.
    pub(super) out: Vec<f32>,
    /// What the backward pass needs beside inputs and result.
    pub(super) saved: Vec<f32>,
}

/// What a backward pass is given. An input that was not kept is empty.
pub(super) struct Seen<'a, const N: usize> {
    pub(super) inputs: [&'a [f32]; N],
    pub(super) out: &'a [f32],
    pub(super) saved: &'a [f32],
    /// The gradient by the result.
    pub(super) dy: &'a [f32],
    /// Which inputs' gradients are asked for.
    pub(super) wanted: [bool; N],
}

/// An operation of N inputs, all sizes known.
pub(super) trait Operation<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// Inputs that the backward pass needs.
    const KEPT: [bool; N];
    /// Whether the backward pass needs the result.
    const KEEPS_RESULT: bool = false;
    /// Sizes of the result.
    fn shape(&self) -> Vec<usize>;
    fn forward(&self, inputs: [&[f32]; N]) -> Made;
    /// The gradients asked for; others may be `None`.
    fn backward(&self, seen: Seen<'_, N>) -> [Option<Vec<f32>>; N];
    /// Sizes of input i.
    fn input_shape(&self, i: usize) -> Vec<usize>;
}

/// What is kept from the forward to the backward pass.
#[derive(Clone, Debug)]
struct State<O, const N: usize> {
    operation: O,
    inputs: [Option<Plain>; N],
    out: Option<Plain>,
    saved: Arc<Vec<f32>>,
}

#[derive(Debug)]
struct Step<O>(std::marker::PhantomData<O>);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = State<O, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let State { operation, inputs, out, saved } = ops.state;
        let seen = Seen {
            inputs: inputs.each_ref().map(|x| x.as_ref().map_or(&[][..], numbers)),
            out: out.as_ref().map_or(&[][..], numbers),
            saved: &saved,
            dy: numbers(&dy),
            wanted: ops.parents.each_ref().map(|parent| parent.is_some()),
        };
        let gradients = operation.backward(seen);
        for (i, (parent, gradient)) in ops.parents.into_iter().zip(gradients).enumerate() {
            if let Some(parent) = parent {
                let gradient = gradient.expect("a gradient that was asked for is computed");
                grads.register::<Flex>(parent.id, plain(gradient, operation.input_shape(i)));
            }
        }
    }
}

fn numbers(x: &Plain) -> &[f32] {
    x.as_slice().expect("made contiguous before")
}

fn contiguous(x: Plain) -> Plain {
    if x.as_slice::<f32>().is_some() { x } else { x.to_contiguous() }
}

fn plain(out: Vec<f32>, shape: Vec<usize>) -> Plain {
    Plain::from_data(TensorData::new(out, shape))
}

/// Whether the kernels are to be used at all: `TWEEDIE_KERNELS=off` leaves everything to burn's own operations, to compare.
pub(super) fn wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("TWEEDIE_KERNELS").is_none_or(|value| value != "off"))
}

/// Whether a kernel can take this tensor.
pub(super) fn fits(x: &DispatchTensor) -> bool {
    let flex = match &x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(_)) => true,
        DispatchTensorKind::Autodiff(kind) => matches!(**kind, DispatchTensorKind::Flex(BackendTensor::Autodiff(_))),
        #[allow(unreachable_patterns)]
        _ => false,
    };
    flex && x.dtype() == DType::F32 && wanted()
}

/// Runs an operation on tensors that [`fits`] has approved of.
pub(super) fn apply<O: Operation<N>, const N: usize>(operation: O, inputs: [DispatchTensor; N]) -> DispatchTensor {
    crate::keep_memory();
    let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, x| context.merge(x.autodiff));
    let run = |inputs: &[Plain; N]| {
        let Made { out, saved } = operation.forward(inputs.each_ref().map(numbers));
        (plain(out, operation.shape()), saved)
    };
    if context == DispatchAutodiffContext::Disabled {
        let (out, _) = run(&inputs.map(|x| match x.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(x)) => contiguous(x),
            _ => unreachable!("a tensor without autodiff is its back end's own"),
        }));
        return DispatchTensor { kind: DispatchTensorKind::Flex(BackendTensor::Float(out)), autodiff: context };
    }
    let mut nodes = Vec::with_capacity(N);
    let inputs = inputs.map(|x| {
        let tracked = match x.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(x)) => Tracked::new(x),
            DispatchTensorKind::Autodiff(kind) => match *kind {
                DispatchTensorKind::Flex(BackendTensor::Autodiff(x)) => x,
                _ => unreachable!("approved of before"),
            },
            #[allow(unreachable_patterns)]
            _ => unreachable!("approved of before"),
        };
        let (x, node) = tracked.into_parts();
        nodes.push(node);
        contiguous(x)
    });
    let nodes = nodes.try_into().expect("a node an input");
    let step = Step::<O>(std::marker::PhantomData);
    let out = match Backward::<Flex, N>::prepare::<NoCheckpointing>(step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (out, saved) = run(&inputs);
            let mut kept = O::KEPT.into_iter();
            let state = State {
                inputs: inputs.map(|x| kept.next().unwrap_or(false).then_some(x)),
                out: O::KEEPS_RESULT.then(|| out.clone()),
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

/// Whether a tensor is outside of autodiff.
pub(super) fn is_plain(x: &DispatchTensor) -> bool {
    x.autodiff == DispatchAutodiffContext::Disabled
}

fn into_plain(x: DispatchTensor) -> Plain {
    match x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(x)) => x,
        _ => unreachable!("approved of before"),
    }
}

/// Reads a tensor that [`fits`] and [`is_plain`] have approved of.
pub(super) fn with_numbers<R>(x: DispatchTensor, f: impl FnOnce(&[f32]) -> R) -> R {
    f(numbers(&contiguous(into_plain(x))))
}

/// Changes tensors that [`fits`] and [`is_plain`] have approved of; those that somebody else holds are copied first.
pub(super) fn in_place<const N: usize>(
    state: [DispatchTensor; N],
    other: DispatchTensor,
    f: impl FnOnce([&mut [f32]; N], &[f32]),
) -> [DispatchTensor; N] {
    let other = contiguous(into_plain(other));
    let mut state = state.map(|x| {
        let x = into_plain(x);
        // A view of part of a larger tensor must not let the rest be changed.
        let whole = x.is_contiguous() && x.storage::<f32>().len() == x.layout().num_elements();
        if whole { x } else { x.to_contiguous() }
    });
    f(state.each_mut().map(|x| x.storage_mut()), numbers(&other));
    state.map(|x| DispatchTensor {
        kind: DispatchTensorKind::Flex(BackendTensor::Float(x)),
        autodiff: DispatchAutodiffContext::Disabled,
    })
}
