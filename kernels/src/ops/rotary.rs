//! Rotary position embedding of queries and keys.
use super::graph::{Context, Forward, Operation, apply, is_supported};
use crate::memory::unwritten;
use crate::parallel::for_chunks;
use burn::tensor::Tensor;

/// Shape of queries, keys and values: `[batch, tokens, 3 · heads · 2 · half]`.
#[derive(Clone, Debug)]
struct Rotary {
    batch: usize,
    tokens: usize,
    heads: usize,
    half: usize,
}

impl Rotary {
    /// Rotates by the angles, or by the negative angles if `sign` is −1. A task handles one sample.
    fn rotate(&self, x: &[f32], cos: &[f32], sin: &[f32], sign: f32) -> Vec<f32> {
        let (head, rotated) = (2 * self.half, 4 * self.half * self.heads);
        let wide = rotated / 2 * 3;
        let mut out = unwritten(x.len());
        for_chunks((self.tokens * wide).max(1), [x], &mut out, |[x], out| {
            let angles = cos.chunks_exact(self.half).zip(sin.chunks_exact(self.half));
            for ((x, out), (cos, sin)) in x.chunks_exact(wide).zip(out.chunks_exact_mut(wide)).zip(angles) {
                for (x, out) in x[..rotated].chunks_exact(head).zip(out[..rotated].chunks_exact_mut(head)) {
                    let ((a, b), (to_a, to_b)) = (x.split_at(self.half), out.split_at_mut(self.half));
                    for i in 0..self.half {
                        let s = sign * sin[i];
                        to_a[i] = a[i] * cos[i] - b[i] * s;
                        to_b[i] = b[i] * cos[i] + a[i] * s;
                    }
                }
                out[rotated..].copy_from_slice(&x[rotated..]);
            }
        });
        out
    }
}

impl Operation<3> for Rotary {
    const SAVES_INPUT: [bool; 3] = [false, true, true];
    fn shape(&self) -> Vec<usize> {
        vec![self.batch, self.tokens, 6 * self.heads * self.half]
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        if i == 0 { self.shape() } else { vec![self.tokens, self.half] }
    }
    fn forward(&self, [x, cos, sin]: [&[f32]; 3]) -> Forward {
        Forward { out: self.rotate(x, cos, sin, 1.0), saved: vec![] }
    }
    fn backward(&self, context: Context<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [_, cos, sin] = context.inputs;
        [Some(self.rotate(context.dy, cos, sin, -1.0)), None, None]
    }
}

/// Applies the rotary position embedding to queries and keys: in every head, elements i and i + d/2 of a token,
/// `(a, b)`, become `(a cos θ − b sin θ, b cos θ + a sin θ)` with the angle θ = θ[token, i]. Values are unchanged. The
/// angles are constants and receive no gradient.
///
/// Su et al., "RoFormer" (2021), <https://arxiv.org/abs/2104.09864>.
///
/// # Shapes
/// `qkv: [batch, tokens, 3 · heads · d]` as for [`attention_fused`](super::attention_fused), `cos, sin: [tokens, d/2]`
/// → as `qkv`.
///
/// # Panics
/// If the shapes do not match.
#[doc(alias = "rope")]
pub fn rotary(qkv: Tensor<3>, heads: usize, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<3> {
    let (dims @ [batch, tokens, wide], [rows, half]) = (qkv.dims(), cos.dims());
    assert!(
        rows == tokens && sin.dims() == [rows, half] && wide == 6 * heads * half,
        "cos and sin must be [tokens, d/2] for queries, keys and values {dims:?} of {heads} heads, got {:?} and {:?}",
        [rows, half],
        sin.dims()
    );
    let [cos, sin] = [cos, sin].map(|angles| angles.detach().set_require_grad(false).into_dispatch());
    let inputs = [qkv.into_dispatch(), cos, sin];
    if inputs.iter().all(is_supported) {
        return Tensor::from_dispatch(apply(Rotary { batch, tokens, heads, half }, inputs));
    }
    let [x, cos, sin] = inputs;
    let angle = |x| Tensor::<2>::from_dispatch(x).reshape([1, tokens, 1, half]);
    let (cos, sin) = (angle(cos), angle(sin));
    let x = Tensor::<3>::from_dispatch(x).reshape([batch, tokens, 3 * heads, 2 * half]);
    let (rotated, values) = (x.clone().narrow(2, 0, 2 * heads), x.narrow(2, 2 * heads, heads));
    let (a, b) = (rotated.clone().narrow(3, 0, half), rotated.narrow(3, half, half));
    let rotated = vec![a.clone() * cos.clone() - b.clone() * sin.clone(), b * cos + a * sin];
    Tensor::cat(vec![Tensor::cat(rotated, 3), values], 2).reshape(dims)
}
