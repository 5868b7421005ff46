//! Parts of nets that keep their inputs alone in training (gradient checkpointing).
use crate::rng::Rng;
use burn::{module::Module, tensor::Tensor};
use std::sync::{Arc, Mutex};
use tweedie_kernels::ops;

/// Computes `f(module, x, vectors, rng)`, in training with `checkpointing` so that what lies between is computed again for the
/// gradient ([`ops::recompute`]), with the same random numbers.
///
/// What several parts share, as the embedding of the condition, is best mapped to vectors outside of `f`: then the gradients of
/// all parts are added up in the same order with and without.
pub(super) fn part<M: Module + 'static, const D: usize>(
    checkpointing: bool,
    module: &M,
    x: Tensor<D>,
    vectors: Vec<Tensor<2>>,
    rng: &mut Option<Rng>,
    f: impl Fn(&M, Tensor<D>, Vec<Tensor<2>>, &mut Option<Rng>) -> Tensor<D> + Send + Sync + 'static,
) -> Tensor<D> {
    if !checkpointing || rng.is_none() {
        return f(module, x, vectors, rng);
    }
    let (begin, end) = (rng.clone(), Arc::new(Mutex::new(None)));
    let after = end.clone();
    let y = ops::recompute(module, x, vectors, move |module, x, vectors| {
        let mut rng = begin.clone();
        let y = f(module, x, vectors, &mut rng);
        *after.lock().expect("no other thread computes this part") = rng;
        y
    });
    *rng = end.lock().expect("the part has been computed").take();
    y
}
