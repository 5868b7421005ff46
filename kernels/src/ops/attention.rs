//! Attention of tokens and of pixels.
use super::autocast::{apply_product, matmul};
use super::graph::{Context, Forward, Operation, is_supported};
use super::softmax::softmax;
use crate::memory::unwritten;
use crate::{Attention, AttentionGradients};
use burn::tensor::Tensor;

/// An attention of separate queries, keys and values, or of one tensor of all three.
#[derive(Clone, Debug)]
struct AttentionOp {
    shape: Attention,
    /// Shapes of the inputs, then of the output.
    sizes: Vec<Vec<usize>>,
}

impl AttentionOp {
    fn run(&self, q: &[f32], k: &[f32], v: &[f32]) -> Forward {
        let mut out = unwritten(Operation::<1>::shape(self).iter().product());
        let mut saved = unwritten(2 * self.shape.batch * self.shape.heads * self.shape.queries);
        self.shape.forward(q, k, v, &mut out, &mut saved);
        Forward { out, saved }
    }
}

impl Operation<1> for AttentionOp {
    const SAVES_INPUT: [bool; 1] = [true];
    const SAVES_OUTPUT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.sizes[self.sizes.len() - 1].clone()
    }
    fn input_shape(&self, _: usize) -> Vec<usize> {
        self.sizes[0].clone()
    }
    fn forward(&self, [qkv]: [&[f32]; 1]) -> Forward {
        self.run(qkv, qkv, qkv)
    }
    fn backward(&self, context: Context<'_, 1>) -> [Option<Vec<f32>>; 1] {
        let [qkv] = context.inputs;
        let mut gradient = unwritten(qkv.len());
        self.shape.backward(
            qkv,
            qkv,
            qkv,
            context.out,
            context.saved,
            context.dy,
            AttentionGradients::Fused(&mut gradient),
        );
        [Some(gradient)]
    }
}

impl Operation<3> for AttentionOp {
    const SAVES_INPUT: [bool; 3] = [true, true, true];
    const SAVES_OUTPUT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.sizes[3].clone()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        self.sizes[i].clone()
    }
    fn forward(&self, [q, k, v]: [&[f32]; 3]) -> Forward {
        self.run(q, k, v)
    }
    fn backward(&self, context: Context<'_, 3>) -> [Option<Vec<f32>>; 3] {
        let [q, k, v] = context.inputs;
        let (mut dq, mut dk, mut dv) = (unwritten(q.len()), unwritten(k.len()), unwritten(v.len()));
        let gradients = AttentionGradients::Separate(&mut dq, &mut dk, &mut dv);
        self.shape.backward(q, k, v, context.out, context.saved, context.dy, gradients);
        [Some(dq), Some(dk), Some(dv)]
    }
}

/// Computes `softmax(q kᵀ / √d) v` with burn's own operations.
fn decomposed_attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let scale = 1.0 / (q.dims()[3] as f64).sqrt();
    matmul(softmax(matmul(q * scale, k.swap_dims(2, 3))), v)
}

/// Computes the attention `softmax(q kᵀ / √d) v` of every head.
///
/// # Shapes
/// `q: [batch, heads, tokens, d]`, `k: [batch, heads, keys, d]`, `v: [batch, heads, keys, e]` →
/// `[batch, heads, tokens, e]`.
///
/// # Panics
/// If the shapes do not match.
#[doc(alias = "scaled_dot_product_attention")]
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let ([batch, heads, tokens, d], key, value) = (q.dims(), k.dims(), v.dims());
    let (keys, e) = (key[2], value[3]);
    assert!(
        key == [batch, heads, keys, d] && value == [batch, heads, keys, e],
        "keys and values must match queries {:?}, got {key:?} and {value:?}",
        q.dims()
    );
    let shape = Attention::contiguous(q.dims(), keys, e);
    let sizes = vec![q.dims().to_vec(), key.to_vec(), value.to_vec(), vec![batch, heads, tokens, e]];
    let inputs = [q.into_dispatch(), k.into_dispatch(), v.into_dispatch()];
    if inputs.iter().all(is_supported) {
        return Tensor::from_dispatch(apply_product::<_, 3>(AttentionOp { shape, sizes }, inputs));
    }
    let [q, k, v] = inputs.map(Tensor::from_dispatch);
    decomposed_attention(q, k, v)
}

/// Computes the self-attention of tokens whose queries, keys and values are one tensor, the output of one linear layer.
/// Nothing is rearranged in memory.
///
/// # Shapes
/// `qkv: [batch, tokens, 3 · heads · d]`, queries of all heads, then keys, then values → `[batch, tokens, heads · d]`.
///
/// # Panics
/// If the last dimension is not a multiple of `3 heads`.
pub fn attention_fused(qkv: Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, tokens, wide] = qkv.dims();
    assert!(
        heads > 0 && wide.is_multiple_of(3 * heads),
        "the width of queries, keys and values must be a multiple of 3 · {heads}, got {wide}"
    );
    let d = wide / (3 * heads);
    let sizes = vec![vec![batch, tokens, wide], vec![batch, tokens, heads * d]];
    let qkv = qkv.into_dispatch();
    if is_supported(&qkv) {
        let shape = Attention::fused(batch, tokens, heads, d);
        return Tensor::from_dispatch(apply_product::<_, 1>(AttentionOp { shape, sizes }, [qkv]));
    }
    let parts = Tensor::<3>::from_dispatch(qkv).chunk(3, 2).into_iter();
    let [q, k, v]: [Tensor<4>; 3] = parts
        .map(|x| x.reshape([batch, tokens, heads, d]).swap_dims(1, 2))
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    decomposed_attention(q, k, v).swap_dims(1, 2).reshape([batch, tokens, heads * d])
}

/// Computes the self-attention of pixels whose queries, keys and values are one tensor, the output of one 1×1
/// convolution. Nothing is rearranged in memory.
///
/// # Shapes
/// `qkv: [batch, 3 · heads · d, h, w]`, queries of all heads, then keys, then values → `[batch, heads · d, h, w]`.
///
/// # Panics
/// If the number of channels is not a multiple of `3 heads`.
pub fn attention_pixels(qkv: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, wide, h, w] = qkv.dims();
    assert!(
        heads > 0 && wide.is_multiple_of(3 * heads),
        "the channels of queries, keys and values must be a multiple of 3 · {heads}, got {wide}"
    );
    let (d, pixels) = (wide / (3 * heads), h * w);
    let sizes = vec![vec![batch, wide, h, w], vec![batch, heads * d, h, w]];
    let qkv = qkv.into_dispatch();
    if is_supported(&qkv) {
        let shape = Attention::channels(batch, pixels, heads, d);
        return Tensor::from_dispatch(apply_product::<_, 1>(AttentionOp { shape, sizes }, [qkv]));
    }
    let parts = Tensor::<4>::from_dispatch(qkv).chunk(3, 1).into_iter();
    let [q, k, v]: [Tensor<4>; 3] = parts
        .map(|x| x.reshape([batch, heads, d, pixels]).swap_dims(2, 3))
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    decomposed_attention(q, k, v).swap_dims(2, 3).reshape([batch, heads * d, h, w])
}
