//! Queries and keys turned by angles.
use super::graph::{Made, Operation, Seen, apply, fits};
use crate::memory::unwritten;
use crate::parallel::for_chunks;
use burn::tensor::Tensor;

/// Sizes of what is turned: `[batch, tokens, 3 · heads · 2 · half]`.
#[derive(Clone, Debug)]
struct Rotary {
    batch: usize,
    tokens: usize,
    heads: usize,
    half: usize,
}

impl Rotary {
    /// A rotation by the angles, or back where `sign` is −1. A sample is a task.
    fn turn(&self, x: &[f32], cos: &[f32], sin: &[f32], sign: f32) -> Vec<f32> {
        let (head, turned) = (2 * self.half, 4 * self.half * self.heads);
        let wide = turned / 2 * 3;
        let mut out = unwritten(x.len());
        for_chunks((self.tokens * wide).max(1), [x], &mut out, |[x], out| {
            let angles = cos.chunks_exact(self.half).zip(sin.chunks_exact(self.half));
            for ((x, out), (cos, sin)) in x.chunks_exact(wide).zip(out.chunks_exact_mut(wide)).zip(angles) {
                for (x, out) in x[..turned].chunks_exact(head).zip(out[..turned].chunks_exact_mut(head)) {
                    let ((a, b), (to_a, to_b)) = (x.split_at(self.half), out.split_at_mut(self.half));
                    for i in 0..self.half {
                        let s = sign * sin[i];
                        to_a[i] = a[i] * cos[i] - b[i] * s;
                        to_b[i] = b[i] * cos[i] + a[i] * s;
                    }
                }
                out[turned..].copy_from_slice(&x[turned..]);
            }
        });
        out
    }
}

impl Operation<3> for Rotary {
    const KEPT: [bool; 3] = [false, true, true];
    fn shape(&self) -> Vec<usize> {
        vec![self.batch, self.tokens, 6 * self.heads * self.half]
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape() } else { vec![self.tokens, self.half] }
    }
    fn forward(&self, [x, cos, sin]: [&[f32]; 3]) -> Made {
        Made { out: self.turn(x, cos, sin, 1.0), saved: vec![] }
    }
    fn backward(&self, seen: Seen<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [_, cos, sin] = seen.inputs;
        [Some(self.turn(seen.dy, cos, sin, -1.0)), None, None]
    }
}

/// Queries and keys of each token turned, in every head, in the planes of the numbers i and i + d/2: `(a, b)` becomes
/// `(a cos − b sin, b cos + a sin)` with the token's angle i. Values stay. The angles are constants: no gradient reaches
/// them.
///
/// # Shapes
/// `qkv: [batch, tokens, 3 · heads · d]`, as [`attention_fused`](super::attention_fused) takes it; `cos, sin: [tokens, d/2]` → as
/// `qkv`.
///
/// # Panics
/// If the shapes do not fit.
pub fn rotary(qkv: Tensor<3>, heads: usize, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<3> {
    let (dims @ [batch, tokens, wide], [rows, half]) = (qkv.dims(), cos.dims());
    assert!(
        rows == tokens && sin.dims() == [rows, half] && wide == 6 * heads * half,
        "angles {:?} and {:?} for queries, keys and values {dims:?} of {heads} heads",
        [rows, half],
        sin.dims()
    );
    let inputs = [qkv.into_dispatch(), cos.detach().into_dispatch(), sin.detach().into_dispatch()];
    if inputs.iter().all(fits) {
        return Tensor::from_dispatch(apply(Rotary { batch, tokens, heads, half }, inputs));
    }
    let [x, cos, sin] = inputs;
    let angle = |x| Tensor::<2>::from_dispatch(x).reshape([1, tokens, 1, half]);
    let (cos, sin) = (angle(cos), angle(sin));
    let x = Tensor::<3>::from_dispatch(x).reshape([batch, tokens, 3 * heads, 2 * half]);
    let (turned, values) = (x.clone().narrow(2, 0, 2 * heads), x.narrow(2, 2 * heads, heads));
    let (a, b) = (turned.clone().narrow(3, 0, half), turned.narrow(3, half, half));
    let turned = vec![a.clone() * cos.clone() - b.clone() * sin.clone(), b * cos + a * sin];
    Tensor::cat(vec![Tensor::cat(turned, 3), values], 2).reshape(dims)
}
