//! Attention to the tokens of another sequence, without those that are padding.
use super::autocast::{apply_product, matmul};
use super::graph::{Context, Forward, Operation, is_supported};
use super::softmax::softmax;
use crate::memory::unwritten;
use crate::{Attention, AttentionGradients, Strides};
use burn::tensor::{Bool, Tensor};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// An attention of the places of each sample to its tokens that are kept.
#[derive(Clone, Debug)]
struct CrossOp {
    /// `[batch, places, width]`.
    query: [usize; 3],
    tokens: usize,
    heads: usize,
    /// The tokens of each sample that are attended to, in their order.
    kept: Arc<Vec<Vec<usize>>>,
}

impl CrossOp {
    /// The attention of one sample to `keys` tokens.
    fn sample(&self, keys: usize) -> Attention {
        let ([_, places, width], heads) = (self.query, self.heads);
        let d = width / heads;
        let (query, part) = (Strides::fused(0, 1, heads, places, d), |i| Strides::fused(i, 2, heads, keys, d));
        let strides = [query, part(0), part(1), query];
        Attention { strides, ..Attention::contiguous([1, heads, places, d], keys, d) }
    }

    fn range(&self, sample: usize) -> Range<usize> {
        let [_, places, width] = self.query;
        sample * places * width..(sample + 1) * places * width
    }

    fn stats(&self, sample: usize) -> Range<usize> {
        let each = 2 * self.heads * self.query[1];
        sample * each..(sample + 1) * each
    }

    /// Keys and values of the tokens of a sample that are kept, `[kept, 2 · width]`.
    fn rows<'a>(&self, kv: &'a [f32], sample: usize) -> Cow<'a, [f32]> {
        let (kept, wide) = (&self.kept[sample], 2 * self.query[2]);
        let kv = &kv[sample * self.tokens * wide..][..self.tokens * wide];
        if kept.iter().enumerate().all(|(i, token)| i == *token) {
            return Cow::Borrowed(&kv[..kept.len() * wide]);
        }
        Cow::Owned(kept.iter().flat_map(|token| &kv[token * wide..][..wide]).copied().collect())
    }
}

impl Operation<2> for CrossOp {
    const SAVES_INPUT: [bool; 2] = [true, true];
    const SAVES_OUTPUT: bool = true;
    fn shape(&self) -> Vec<usize> {
        self.query.to_vec()
    }
    fn input_shape(&self, i: usize) -> Vec<usize> {
        let [batch, _, width] = self.query;
        if i == 0 { self.query.to_vec() } else { vec![batch, self.tokens, 2 * width] }
    }
    fn forward(&self, [q, kv]: [&[f32]; 2]) -> Forward {
        let [batch, places, _] = self.query;
        let (mut out, mut saved) = (unwritten(q.len()), unwritten(2 * batch * self.heads * places));
        for sample in 0..batch {
            let (kv, range) = (self.rows(kv, sample), self.range(sample));
            let stats = &mut saved[self.stats(sample)];
            self.sample(self.kept[sample].len()).forward(&q[range.clone()], &kv, &kv, &mut out[range], stats);
        }
        Forward { out, saved }
    }
    fn backward(&self, context: Context<'_, 2>) -> [Option<Vec<f32>>; 2] {
        let ([q, kv], [batch, _, width]) = (context.inputs, self.query);
        let (mut dq, mut d_kv) = (unwritten(q.len()), vec![0.0; kv.len()]);
        for sample in 0..batch {
            let (kv, range) = (self.rows(kv, sample), self.range(sample));
            // Keys and values in one layout, each in its half.
            let (mut dk, mut dv) = (unwritten(kv.len()), unwritten(kv.len()));
            self.sample(self.kept[sample].len()).backward(
                &q[range.clone()],
                &kv,
                &kv,
                &context.out[range.clone()],
                &context.saved[self.stats(sample)],
                &context.dy[range.clone()],
                AttentionGradients::Separate(&mut dq[range], &mut dk, &mut dv),
            );
            for (i, token) in self.kept[sample].iter().enumerate() {
                let row = &mut d_kv[(sample * self.tokens + token) * 2 * width..][..2 * width];
                row[..width].copy_from_slice(&dk[i * 2 * width..][..width]);
                row[width..].copy_from_slice(&dv[i * 2 * width + width..][..width]);
            }
        }
        [Some(dq), Some(d_kv)]
    }
}

/// Computes the attention of `q` to the tokens of another sequence that are not padding, `softmax(q kᵀ / √d) v` of every head of
/// width d. Nothing is rearranged in memory, no scores are stored, and padding costs nothing.
///
/// A sample whose tokens are all padding attends to all of them.
///
/// # Shapes
/// `q: [batch, places, heads · d]`, `kv: [batch, tokens, 2 · heads · d]`, keys of all heads, then values; `padding: [batch,
/// tokens]`, true at a token that is not attended to → `[batch, places, heads · d]`.
///
/// # Panics
/// If the shapes do not match.
pub fn cross_attention(q: Tensor<3>, kv: Tensor<3>, padding: Tensor<2, Bool>, heads: usize) -> Tensor<3> {
    let ([batch, places, width], [_, tokens, _]) = (q.dims(), kv.dims());
    assert!(
        heads > 0 && width.is_multiple_of(heads) && kv.dims() == [batch, tokens, 2 * width],
        "keys and values of {heads} heads must be {:?}, got {:?}",
        [batch, tokens, 2 * width],
        kv.dims()
    );
    assert_eq!(padding.dims(), [batch, tokens], "padding must be known of each token of each sample");
    let (q, kv) = (q.into_dispatch(), kv.into_dispatch());
    if is_supported(&q) && is_supported(&kv) {
        let padding: Vec<bool> = padding.into_data().iter::<bool>().collect();
        let kept = |row: &[bool]| match row.iter().all(|padding| *padding) {
            true => (0..tokens).collect(),
            false => (0..tokens).filter(|token| !row[*token]).collect(),
        };
        let kept = Arc::new(padding.chunks(tokens).map(kept).collect());
        let operation = CrossOp { query: [batch, places, width], tokens, heads, kept };
        return Tensor::from_dispatch(apply_product::<_, 2>(operation, [q, kv]));
    }
    let part = |x: Tensor<3>, n: usize| x.reshape([batch, n, heads, width / heads]).swap_dims(1, 2);
    let q = part(Tensor::<3>::from_dispatch(q) * ((width / heads) as f64).powf(-0.5), places);
    let [k, v]: [Tensor<3>; 2] = Tensor::<3>::from_dispatch(kv).chunk(2, 2).try_into().expect("keys and values");
    let padding = padding.reshape([batch, 1, 1, tokens]).expand([batch, heads, places, tokens]);
    // The exponential of such a score is exactly zero.
    let scores = matmul(q, part(k, tokens).swap_dims(2, 3)).mask_fill(padding, -1e9);
    matmul(softmax(scores), part(v, tokens)).swap_dims(1, 2).reshape([batch, places, width])
}
