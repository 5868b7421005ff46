//! Operations of several kernels with their backward passes.
use super::queue::{Lazy, lazy};
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};
use burn_cubecl::Cube;
use std::fmt::Debug;

type AutodiffTensor = FloatTensor<Autodiff<Cube>>;

/// A differentiable operation of N inputs.
pub(super) trait Operation<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// Inputs that are saved for the backward pass.
    const SAVES_INPUT: [bool; N];
    /// Computes the output, and what the backward pass needs beside the inputs.
    fn forward(&self, inputs: [Lazy; N]) -> (Lazy, Vec<Lazy>);
    /// Computes the gradients with respect to the inputs that need one.
    fn backward(&self, inputs: [Option<Lazy>; N], saved: Vec<Lazy>, dy: Lazy, needs: [bool; N]) -> [Option<Lazy>; N];
}

#[derive(Clone, Debug)]
struct State<O, const N: usize> {
    operation: O,
    inputs: [Option<Lazy>; N],
    saved: Vec<Lazy>,
}

#[derive(Debug)]
struct Step<O>(std::marker::PhantomData<O>);

impl<O: Operation<N>, const N: usize> Backward<Cube, N> for Step<O> {
    type State = State<O, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Cube>(&ops.node);
        let State { operation, inputs, saved } = ops.state;
        let needs = ops.parents.each_ref().map(Option::is_some);
        for (parent, gradient) in ops.parents.into_iter().zip(operation.backward(inputs, saved, dy, needs)) {
            if let Some(parent) = parent {
                let gradient = gradient.expect("every gradient that is needed is computed");
                grads.register::<Cube>(parent.id, gradient);
            }
        }
    }
}

/// Whether a tensor is on a GPU, with or without autodiff.
pub(crate) fn is_gpu(x: &DispatchTensor) -> bool {
    match &x.kind {
        DispatchTensorKind::Cube(BackendTensor::Float(_)) => true,
        DispatchTensorKind::Autodiff(kind) => matches!(**kind, DispatchTensorKind::Cube(BackendTensor::Autodiff(_))),
        _ => false,
    }
}

/// Applies an operation to tensors for which [`is_gpu`] is true.
pub(super) fn apply<O: Operation<N>, const N: usize>(operation: O, inputs: [DispatchTensor; N]) -> DispatchTensor {
    let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, x| context.merge(x.autodiff));
    if context == DispatchAutodiffContext::Disabled {
        let (out, _) = operation.forward(inputs.map(lazy));
        return DispatchTensor { kind: DispatchTensorKind::Cube(BackendTensor::Float(out)), autodiff: context };
    }
    let mut nodes = Vec::with_capacity(N);
    let inputs = inputs.map(|x| {
        let tracked = match x.kind {
            DispatchTensorKind::Cube(BackendTensor::Float(x)) => AutodiffTensor::new(x),
            DispatchTensorKind::Autodiff(kind) => match *kind {
                DispatchTensorKind::Cube(BackendTensor::Autodiff(x)) => x,
                _ => unreachable!("the tensor is on a GPU"),
            },
            _ => unreachable!("the tensor is on a GPU"),
        };
        let (x, node) = tracked.into_parts();
        nodes.push(node);
        x
    });
    let nodes = nodes.try_into().expect("there is one node per input");
    let step = Step::<O>(std::marker::PhantomData);
    let out = match Backward::<Cube, N>::prepare::<NoCheckpointing>(step, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (out, saved) = operation.forward(inputs.clone());
            let mut saves = O::SAVES_INPUT.into_iter();
            let inputs = inputs.map(|x| saves.next().unwrap_or(false).then_some(x));
            prepared.finish(State { operation, inputs, saved }, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(operation.forward(inputs).0),
    };
    let kind = DispatchTensorKind::Cube(BackendTensor::Autodiff(out));
    DispatchTensor { kind: DispatchTensorKind::Autodiff(Box::new(kind)), autodiff: context }
}
