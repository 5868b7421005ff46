//! Parts of a net whose activations are computed again in the backward pass.
use super::autocast::{autocast, autocast_dtype};
use super::graph::{FlexTensor, contiguous, is_supported};
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex, TensorMetadata,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    tensor::FloatTensor,
};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use std::fmt;
use std::sync::{Arc, Mutex};

type AutodiffTensor = FloatTensor<Autodiff<Flex>>;

/// Computes the output of the part from its inputs.
type Part = dyn Fn(Vec<DispatchTensor>) -> DispatchTensor + Send + Sync;

/// What is kept from the forward pass: the inputs, parameters included.
#[derive(Clone)]
struct Kept {
    inputs: Vec<FlexTensor>,
    part: Arc<Part>,
    context: DispatchAutodiffContext,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("inputs", &self.inputs.len()).finish_non_exhaustive()
    }
}

fn plain(x: FlexTensor) -> DispatchTensor {
    let kind = DispatchTensorKind::Flex(BackendTensor::Float(x));
    DispatchTensor { kind, autodiff: DispatchAutodiffContext::Disabled }
}

fn tracked(x: AutodiffTensor, autodiff: DispatchAutodiffContext) -> DispatchTensor {
    let kind = DispatchTensorKind::Flex(BackendTensor::Autodiff(x));
    DispatchTensor { kind: DispatchTensorKind::Autodiff(Box::new(kind)), autodiff }
}

/// A supported tensor as one of autodiff, which is not tracked if it was none.
fn into_autodiff(x: DispatchTensor) -> AutodiffTensor {
    match x.kind {
        DispatchTensorKind::Flex(BackendTensor::Float(x)) => AutodiffTensor::new(x),
        DispatchTensorKind::Autodiff(kind) => match *kind {
            DispatchTensorKind::Flex(BackendTensor::Autodiff(x)) => x,
            _ => unreachable!("the tensor is supported"),
        },
        #[allow(unreachable_patterns)]
        _ => unreachable!("the tensor is supported"),
    }
}

fn zeros(shape: Vec<usize>) -> FlexTensor {
    let values = vec![0.0_f32; shape.iter().product()];
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The backward pass of a part in burn's autodiff graph.
#[derive(Debug)]
struct Recompute;

impl<const N: usize> Backward<Flex, N> for Recompute {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let Kept { inputs, part, context } = ops.state;
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|x| x.shape().iter().copied().collect()).collect();
        // A graph of its own: leaves in the place of the inputs, and on them nodes as deep in it as the inputs are.
        let leaves: Vec<AutodiffTensor> = inputs
            .into_iter()
            .zip(&ops.parents)
            .map(|(x, parent)| {
                let x = AutodiffTensor::new(x);
                if parent.is_some() { x.require_grad() } else { x }
            })
            .collect();
        let order = |i: usize| ops.parents[i].as_ref().map_or(0, |node| node.order);
        let nodes: Vec<AutodiffTensor> =
            leaves.iter().enumerate().map(|(i, leaf)| deepened(leaf.clone(), order(i))).collect();
        let out = into_autodiff(part(nodes.iter().map(|x| tracked(x.clone(), context)).collect()));
        // Sums are rounded: the first input's gradient is added up in the order in which it would be without this
        // operation, after what its other uses have contributed.
        let first = match &ops.parents[0] {
            Some(node) if node.order > 0 => {
                grads.register::<Flex>(node.id, zeros(vec![1; shapes[0].len()]));
                let others = grads.consume::<Flex>(node);
                let none = others.shape().iter().product::<usize>() != shapes[0].iter().product::<usize>();
                if none { None } else { Some(others) }
            }
            _ => None,
        };
        let mut found = out.is_tracked().then(|| {
            let ends = [nodes[0].node(), out.node()];
            let sum = match Backward::<Flex, 2>::prepare::<NoCheckpointing>(Seed, ends).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish([first.clone(), Some(dy)], zeros(vec![1])),
                OpsKind::UnTracked(_) => unreachable!("the output is tracked"),
            };
            drop((nodes, out));
            sum.backward()
        });
        for (i, (leaf, parent)) in leaves.iter().zip(&ops.parents).enumerate() {
            let Some(node) = parent else { continue };
            let gradient = found.as_mut().and_then(|found| leaf.grad_remove(found));
            match gradient.or_else(|| if i == 0 { first.clone() } else { None }) {
                Some(gradient) => grads.register::<Flex>(node.id, gradient),
                // Without an effect on the output: a node of the graph still waits for its gradient, a parameter has none.
                None if node.order > 0 => grads.register::<Flex>(node.id, zeros(shapes[i].clone())),
                None => (),
            }
        }
    }
}

/// Most nodes that [`deepened`] adds: more than a part has between a parameter and where it meets an input.
const DEPTH: usize = 64;

/// A tensor `order` nodes deeper in the graph. burn's graph adds the gradients of a tensor's uses up from the deepest one on, so
/// a part must be as deep in relation to its parameters as it was.
fn deepened(mut x: AutodiffTensor, order: usize) -> AutodiffTensor {
    for _ in 0..order.min(DEPTH) {
        let (value, node) = x.into_parts();
        x = match Backward::<Flex, 1>::prepare::<NoCheckpointing>(Same, [node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((), value),
            OpsKind::UnTracked(prepared) => prepared.finish(value),
        };
    }
    x
}

/// The identity.
#[derive(Debug)]
struct Same;

impl Backward<Flex, 1> for Same {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, gradient);
        }
    }
}

/// The root of the graph of one part, whose backward pass gives the first input and the output the gradients they begin
/// with.
#[derive(Debug)]
struct Seed;

impl Backward<Flex, 2> for Seed {
    type State = [Option<FlexTensor>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        grads.consume::<Flex>(&ops.node);
        for (parent, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

fn apply<const N: usize>(inputs: Vec<DispatchTensor>, part: Arc<Part>) -> DispatchTensor {
    let context = inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, x| context.merge(x.autodiff));
    let mut nodes = Vec::with_capacity(N);
    let mut values = Vec::with_capacity(inputs.len());
    for x in inputs {
        let (x, node) = into_autodiff(x).into_parts();
        nodes.push(node);
        values.push(x);
    }
    nodes.extend((values.len()..N).map(|_| AutodiffTensor::new(zeros(vec![1])).node()));
    let nodes: [_; N] = nodes.try_into().expect("at most N inputs");
    let output = |values: &[FlexTensor]| {
        let out = into_autodiff(part(values.iter().cloned().map(plain).collect()));
        out.into_primitive()
    };
    let out = match Backward::<Flex, N>::prepare::<NoCheckpointing>(Recompute, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let out = output(&values);
            prepared.finish(Kept { inputs: values, part, context }, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output(&values)),
    };
    tracked(out, context)
}

/// The parameters of a module, in the order in which it visits them.
fn parameters<M: Module>(module: &M) -> Vec<DispatchTensor> {
    struct Visitor(Vec<DispatchTensor>);
    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.val().into_dispatch());
        }
    }
    let mut visitor = Visitor(vec![]);
    module.visit(&mut visitor);
    visitor.0
}

/// The module with other tensors in the place of its parameters.
fn with_parameters<M: Module>(module: M, tensors: Vec<DispatchTensor>) -> M {
    struct Mapper(std::vec::IntoIter<DispatchTensor>);
    impl ModuleMapper for Mapper {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, _, mapper) = param.consume();
            let tensor = Tensor::from_dispatch(self.0.next().expect("as many tensors as parameters"));
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    module.map(&mut Mapper(tensors.into_iter()))
}

/// Most inputs, parameters included, of an operation of burn's graph here.
const MOST: usize = 256;

/// Computes `f(module, x, vectors)` without keeping what lies between: if a gradient is recorded, the backward pass
/// computes it again from `x`, the vectors and the parameters (gradient checkpointing).
///
/// Output and gradients have the same bits as without, if `f` is a function of its arguments alone, and if `x` has no
/// other use after this one, whose gradient would be added in another order. What else `f` reads, as a mask, it holds
/// itself, and no gradient reaches that. On back ends other than `flex`, and for modules of more than
/// 250 parameters, it is `f(module, x, vectors)` and nothing else.
///
/// Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016), <https://arxiv.org/abs/1604.06174>.
#[doc(alias("checkpoint", "gradient_checkpointing", "remat"))]
pub fn recompute<M: Module + 'static, const D: usize, const E: usize>(
    module: &M,
    x: Tensor<D>,
    vectors: Vec<Tensor<2>>,
    f: impl Fn(&M, Tensor<D>, Vec<Tensor<2>>) -> Tensor<E> + Send + Sync + 'static,
) -> Tensor<E> {
    let own = parameters(module);
    let inputs: Vec<DispatchTensor> =
        [x.into_dispatch()].into_iter().chain(vectors.into_iter().map(Tensor::into_dispatch)).collect();
    let recorded = inputs.iter().chain(&own).any(|x| x.autodiff != DispatchAutodiffContext::Disabled);
    let supported = inputs.iter().chain(&own).all(is_supported) && inputs.len() + own.len() <= MOST;
    let arguments = |mut inputs: Vec<DispatchTensor>| {
        let x = Tensor::<D>::from_dispatch(inputs.remove(0));
        (x, inputs.into_iter().map(Tensor::<2>::from_dispatch).collect::<Vec<_>>())
    };
    if !recorded || !supported {
        let (x, vectors) = arguments(inputs);
        return f(module, x, vectors);
    }
    // Of the module nothing is kept that burn's graph counts as a use of its parameters.
    let inner = own.iter().map(|x| plain(into_autodiff(x.clone()).into_primitive())).collect();
    let skeleton = Mutex::new(with_parameters(module.clone(), inner));
    // The backward pass may run outside of the scope, and on another thread.
    let (count, dtype) = (inputs.len(), autocast_dtype());
    let part: Arc<Part> = Arc::new(move |mut tensors| {
        let parameters = tensors.split_off(count);
        let module = with_parameters(skeleton.lock().expect("no part panics twice").clone(), parameters);
        let (x, vectors) = arguments(tensors);
        autocast(dtype, || f(&module, x, vectors)).into_dispatch()
    });
    let all: Vec<DispatchTensor> = inputs.into_iter().chain(own).collect();
    Tensor::from_dispatch(match all.len() {
        ..=16 => apply::<16>(all, part),
        17..=32 => apply::<32>(all, part),
        33..=64 => apply::<64>(all, part),
        _ => apply::<MOST>(all, part),
    })
}
