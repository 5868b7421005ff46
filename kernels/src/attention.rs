//! Attention, `softmax(scale · Q Kᵀ) V`, without the matrix of all scores in memory.
//!
//! A task of the forward pass handles some queries of one head of one sample, with a strip of scores in scratch memory
//! at a time. The backward pass recomputes the scores from the maximum score and the sum of exponentials of each query,
//! which are all that is stored.
//!
//! Dao et al., "FlashAttention" (2022), <https://arxiv.org/abs/2205.14135>, for the idea of recomputing the scores.
use crate::parallel::{Shared, for_each};
use crate::simd::Level;
use head::{backward_head_at, forward_head_at};

mod head;
mod rows;
mod shape;

pub use shape::{Attention, AttentionGradients, Strides};

/// Number of queries per task of the forward pass.
const TASK: usize = 256;

impl Attention {
    /// Computes the outputs, and for the backward pass the maximum score of every query and the inverse of its sum of
    /// exponentials in `stats`.
    ///
    /// # Shapes
    /// `stats: [batch, heads, queries, 2]`, the others as described by [`strides`](Self::strides).
    ///
    /// # Panics
    /// If a slice is too short, or rows of the outputs overlap.
    pub fn forward(&self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], stats: &mut [f32]) {
        self.forward_at(Level::get(), q, k, v, out, stats);
    }

    fn forward_at(&self, level: Level, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], stats: &mut [f32]) {
        self.check(q.len(), k.len(), v.len(), out.len(), stats.len());
        assert!(
            self.strides[3].disjoint(self, self.queries, self.value_width),
            "rows of the outputs must not overlap: {self:?}"
        );
        let parts = self.queries.div_ceil(TASK);
        let (out, stats) = (Shared::new(out), Shared::new(stats));
        for_each(self.batch * self.heads * parts, |task| {
            let (head, part) = (task / parts, task % parts);
            let queries = part * TASK..self.queries.min((part + 1) * TASK);
            let first = 2 * (head * self.queries + queries.start);
            // SAFETY: every task writes the outputs of its own queries, which do not overlap and are inside `out`, as
            // checked.
            unsafe {
                let stats = stats.part(first..first + 2 * queries.len());
                forward_head_at(
                    level,
                    self,
                    head / self.heads,
                    head % self.heads,
                    queries,
                    q,
                    k,
                    v,
                    out.as_ptr(),
                    stats,
                );
            }
        });
    }

    /// Computes the gradients with respect to queries, keys and values, with the layouts of these; nothing else is
    /// written.
    ///
    /// If the operands are one slice, the gradients are too: [`AttentionGradients::Fused`].
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward), whose `out` and `stats` are inputs here; `d_out` has the layout of `out`.
    ///
    /// # Panics
    /// If a slice is too short, or rows of the gradients overlap.
    pub fn backward(
        &self,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &[f32],
        stats: &[f32],
        d_out: &[f32],
        gradients: AttentionGradients<'_>,
    ) {
        self.backward_at(Level::get(), q, k, v, out, stats, d_out, gradients);
    }

    fn backward_at(
        &self,
        level: Level,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &[f32],
        stats: &[f32],
        d_out: &[f32],
        gradients: AttentionGradients<'_>,
    ) {
        self.check(q.len(), k.len(), v.len(), out.len(), stats.len());
        assert!(d_out.len() >= out.len(), "the gradient of the output must have the layout of the output");
        let [at_q, at_k, at_v, _] = self.strides;
        assert!(
            at_q.disjoint(self, self.queries, self.key_width)
                && at_k.disjoint(self, self.keys, self.key_width)
                && at_v.disjoint(self, self.keys, self.value_width),
            "rows of the gradients must not overlap: {self:?}"
        );
        let [dq, dk, dv] = match gradients {
            AttentionGradients::Separate(dq, dk, dv) => [Shared::new(dq), Shared::new(dk), Shared::new(dv)],
            AttentionGradients::Fused(all) => {
                let fused = Self::fused(self.batch, self.queries, self.heads, self.key_width);
                let channels = Self::channels(self.batch, self.queries, self.heads, self.key_width);
                assert!(
                    (self.strides == fused.strides || self.strides == channels.strides)
                        && self.keys == self.queries
                        && self.key_width == self.value_width,
                    "gradients may share a slice only if the operands do"
                );
                [Shared::new(all); 3]
            }
        };
        self.check(dq.len(), dk.len(), dv.len(), out.len(), stats.len());
        for_each(self.batch * self.heads, |head| {
            let stats = &stats[2 * head * self.queries..][..2 * self.queries];
            let gradients = [dq.as_ptr(), dk.as_ptr(), dv.as_ptr()];
            // SAFETY: every task writes the rows of its own head, which do not overlap and are inside the slices, as
            // checked.
            unsafe {
                backward_head_at(
                    level,
                    self,
                    head / self.heads,
                    head % self.heads,
                    q,
                    k,
                    v,
                    out,
                    stats,
                    d_out,
                    gradients,
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    /// Outputs and gradients in double precision, with the layouts of the operands.
    fn reference(shape: &Attention, q: &[f32], k: &[f32], v: &[f32], d_out: &[f32], out_len: usize) -> [Vec<f64>; 4] {
        let mut result = [vec![0.0; out_len], vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
        let [at_q, at_k, at_v, at_o] = shape.strides;
        let (m, d, e) = (shape.keys, shape.key_width, shape.value_width);
        for head in 0..shape.batch * shape.heads {
            let (b, h) = (head / shape.heads, head % shape.heads);
            let row = |at: &Strides, i: usize| at.start(b, h) + i * at.row;
            for i in 0..shape.queries {
                let (qi, oi) = (row(&at_q, i), row(&at_o, i));
                let scores: Vec<f64> = (0..m)
                    .map(|j| {
                        (0..d).map(|x| f64::from(q[qi + x]) * f64::from(k[row(&at_k, j) + x])).sum::<f64>()
                            * shape.scale
                    })
                    .collect();
                let most = scores.iter().fold(f64::NEG_INFINITY, |m, s| m.max(*s));
                let sum: f64 = scores.iter().map(|s| (s - most).exp()).sum();
                let p: Vec<f64> = scores.iter().map(|s| (s - most).exp() / sum).collect();
                let dp: Vec<f64> = (0..m)
                    .map(|j| (0..e).map(|x| f64::from(d_out[oi + x]) * f64::from(v[row(&at_v, j) + x])).sum())
                    .collect();
                let mean: f64 = p.iter().zip(&dp).map(|(p, d)| p * d).sum();
                for j in 0..m {
                    let (kj, vj) = (row(&at_k, j), row(&at_v, j));
                    for x in 0..e {
                        result[0][oi + x] += p[j] * f64::from(v[vj + x]);
                        result[3][vj + x] += p[j] * f64::from(d_out[oi + x]);
                    }
                    let ds = p[j] * (dp[j] - mean) * shape.scale;
                    for x in 0..d {
                        result[1][qi + x] += ds * f64::from(k[kj + x]);
                        result[2][kj + x] += ds * f64::from(q[qi + x]);
                    }
                }
            }
        }
        result
    }

    #[test]
    fn attention_and_its_gradients_are_correct() {
        let mut random = TestRng::new(5);
        let mut size = |most| random.below(most) + 1;
        let random: Vec<_> =
            (0..12).map(|_| ([size(2), size(3), size(80), size(40)], size(80) + 1, size(40))).collect();
        for (query, keys, value_width) in [
            ([1, 1, 1, 1], 1, 1),
            ([2, 3, 5, 7], 9, 3),
            ([1, 2, 64, 64], 64, 64),
            ([2, 1, 70, 33], 130, 17),
            ([1, 1, 300, 16], 20, 40),
            ([1, 1, 3, 300], 270, 8),
        ]
        .into_iter()
        .chain(random)
        {
            let shape = Attention::contiguous(query, keys, value_width);
            let heads = query[0] * query[1];
            let (q, k) =
                (random_values(heads * query[2] * query[3], 1, 1.5), random_values(heads * keys * query[3], 2, 1.5));
            let (v, d_out) = (
                random_values(heads * keys * value_width, 3, 1.0),
                random_values(heads * query[2] * value_width, 4, 1.0),
            );
            let [o64, dq64, dk64, dv64] = reference(&shape, &q, &k, &v, &d_out, d_out.len());
            for level in Level::available() {
                let (mut out, mut stats) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; heads * query[2] * 2]);
                shape.forward_at(level, &q, &k, &v, &mut out, &mut stats);
                assert!(error(&out, &o64) < 2e-6, "{shape:?} at {level:?}: {}", error(&out, &o64));
                let (mut dq, mut dk, mut dv) =
                    (vec![f32::NAN; q.len()], vec![f32::NAN; k.len()], vec![f32::NAN; v.len()]);
                shape.backward_at(
                    level,
                    &q,
                    &k,
                    &v,
                    &out,
                    &stats,
                    &d_out,
                    AttentionGradients::Separate(&mut dq, &mut dk, &mut dv),
                );
                let e = [error(&dv, &dv64), error(&dq, &dq64), error(&dk, &dk64)];
                assert!(e[0] < 5e-6 && (keys == 1 || e[1].max(e[2]) < 5e-6), "{shape:?} at {level:?}: {e:?}");
            }
        }
    }

    #[test]
    fn fused_operands_have_the_same_result_as_separate_ones() {
        let (batch, tokens, heads, width) = (3, 21, 4, 10);
        let shape = Attention::fused(batch, tokens, heads, width);
        let (qkv, d_out) = (
            random_values(batch * tokens * 3 * heads * width, 1, 1.5),
            random_values(batch * tokens * heads * width, 2, 1.0),
        );
        let [o64, dq64, dk64, dv64] = reference(&shape, &qkv, &qkv, &qkv, &d_out, d_out.len());
        let all: Vec<f64> = dq64.iter().zip(&dk64).zip(&dv64).map(|((q, k), v)| q + k + v).collect();
        let (mut out, mut stats) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; batch * heads * tokens * 2]);
        shape.forward(&qkv, &qkv, &qkv, &mut out, &mut stats);
        assert!(error(&out, &o64) < 2e-6);
        let mut gradient = vec![f32::NAN; qkv.len()];
        shape.backward(&qkv, &qkv, &qkv, &out, &stats, &d_out, AttentionGradients::Fused(&mut gradient));
        assert!(error(&gradient, &all) < 5e-6);
    }

    #[test]
    fn channels_have_the_same_result_as_rows() {
        let (batch, tokens, heads, width) = (2, 37, 3, 18);
        let rows = Attention::fused(batch, tokens, heads, width);
        let channels = Attention::channels(batch, tokens, heads, width);
        let qkv = random_values(batch * tokens * 3 * heads * width, 1, 1.5);
        let d_out = random_values(batch * tokens * heads * width, 2, 1.0);
        // `[batch, tokens, wide]` to `[batch, wide, tokens]`.
        let transpose = |x: &[f32]| -> Vec<f32> {
            let wide = x.len() / batch / tokens;
            let source = |i: usize| (i / (wide * tokens) * tokens + i % tokens) * wide + i / tokens % wide;
            (0..x.len()).map(|i| x[source(i)]).collect()
        };
        let run = |shape: Attention, qkv: &[f32], d_out: &[f32]| {
            let (mut out, mut stats) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; batch * heads * tokens * 2]);
            shape.forward(qkv, qkv, qkv, &mut out, &mut stats);
            let mut gradient = vec![f32::NAN; qkv.len()];
            shape.backward(qkv, qkv, qkv, &out, &stats, d_out, AttentionGradients::Fused(&mut gradient));
            (out, gradient)
        };
        let (out, gradient) = run(rows, &qkv, &d_out);
        let transposed = run(channels, &transpose(&qkv), &transpose(&d_out));
        assert_eq!(transposed.0, transpose(&out));
        assert_eq!(transposed.1, transpose(&gradient));
    }

    #[test]
    fn a_sample_does_not_depend_on_its_batch_or_on_the_number_of_threads() {
        let (tokens, heads, width) = (300, 2, 12);
        let len = tokens * heads * width;
        let (qkv, d_out) = (random_values(4 * 3 * len, 1, 1.0), random_values(4 * len, 2, 1.0));
        let run = |batch: usize, qkv: &[f32], d_out: &[f32]| {
            let shape = Attention::fused(batch, tokens, heads, width);
            let (mut out, mut stats) = (vec![0.0; d_out.len()], vec![0.0; batch * heads * tokens * 2]);
            shape.forward(qkv, qkv, qkv, &mut out, &mut stats);
            let mut gradient = vec![0.0; qkv.len()];
            shape.backward(qkv, qkv, qkv, &out, &stats, d_out, AttentionGradients::Fused(&mut gradient));
            [out, gradient].concat()
        };
        let all = same_on_any_number_of_threads(|| run(4, &qkv, &d_out));
        let one = run(1, &qkv[2 * 3 * len..][..3 * len], &d_out[2 * len..][..len]);
        assert_eq!(one[..len], all[2 * len..][..len]);
        assert_eq!(one[len..], all[4 * len + 2 * 3 * len..][..3 * len]);
    }

    #[test]
    #[should_panic(expected = "rows of the outputs must not overlap")]
    fn overlapping_outputs_are_refused() {
        let mut shape = Attention::contiguous([1, 2, 3, 4], 3, 4);
        shape.strides[3].head = 0;
        shape.forward(&[0.0; 24], &[0.0; 24], &[0.0; 24], &mut [0.0; 24], &mut [0.0; 12]);
    }
}
