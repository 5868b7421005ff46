//! Forward and backward pass of one head of one sample.
use super::rows::{copy_rows, product, transpose_rows, write_rows};
use super::shape::Attention;
use crate::math;
use crate::parallel::Scratch;
use crate::simd::{Init, Simd, dispatch};
use crate::softmax::{dot, exp_and_sum, row_max};
use std::ops::Range;

/// Number of queries whose scores are in memory at a time.
const STRIP: usize = 64;

/// Computes the outputs and the statistics of some queries of head h of sample b.
///
/// # Safety
/// The outputs of these queries must be writable and written by no other task.
#[inline(always)]
unsafe fn forward_head<S: Simd>(
    s: S,
    shape: &Attention,
    b: usize,
    h: usize,
    queries: Range<usize>,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: *mut f32,
    stats: &mut [f32],
) {
    let two = 2 * S::LANES;
    let (m, d, e) = (shape.keys, shape.key_width, shape.value_width);
    let [at_q, at_k, at_v, at_o] = shape.strides;
    let (q, k, v) = (&q[at_q.start(b, h)..], &k[at_k.start(b, h)..], &v[at_v.start(b, h)..]);
    // Row strides of scores, queries and values: whole panels, not multiples of the page size.
    let (row_m, row_d, row_e) = (m.next_multiple_of(two) + 16, d.next_multiple_of(two) + 16, e.next_multiple_of(two));
    let mut keys = Scratch::new(m.div_ceil(two) * two * d);
    let mut values = Scratch::new(m * row_e);
    let mut strip = Scratch::new(STRIP * (row_m + row_d + row_e));
    let (scores, rest) = strip.split_at_mut(STRIP * row_m);
    let (query, outputs) = rest.split_at_mut(STRIP * row_d);
    transpose_rows(s, k, at_k, m, d, &mut keys);
    copy_rows(s, v, at_v, m, e, 1.0, row_e, &mut values);
    let mut first = queries.start;
    while first < queries.end {
        let n = STRIP.min(queries.end - first);
        copy_rows(s, &q[first * at_q.row..], at_q, n, d, shape.scale as f32, row_d, query);
        // SAFETY: the shape of every product is that of its buffers, allocated above.
        unsafe {
            product(s, (n, d, m), (query.as_ptr(), row_d, 1), (&keys, two, two * d), (scores, row_m), Init::Zero);
        }
        for (scores, stats) in
            scores.chunks_exact_mut(row_m).zip(stats[2 * (first - queries.start)..].chunks_exact_mut(2)).take(n)
        {
            let most = row_max(s, &scores[..m]);
            let sum = exp_and_sum(s, scores.as_ptr(), m, most, scores.as_mut_ptr());
            stats.copy_from_slice(&[most, (1.0 / sum) as f32]);
        }
        // SAFETY: as above; the rows of the outputs are guaranteed by the caller.
        unsafe {
            product(s, (n, m, e), (scores.as_ptr(), row_m, 1), (&values, row_e, two), (outputs, row_e), Init::Zero);
            for (i, outputs) in outputs.chunks_exact_mut(row_e).take(n).enumerate() {
                let scale = s.splat(stats[2 * (first - queries.start + i) + 1]);
                let mut j = 0;
                while j < e {
                    let scaled = s.load(&outputs[j..]) * scale;
                    s.store(&mut outputs[j..], scaled);
                    j += S::LANES;
                }
            }
            write_rows(s, outputs, row_e, n, e, 1.0, out.add(at_o.start(b, h) + first * at_o.row), at_o);
        }
        first += n;
    }
}
dispatch! {
    pub(super) unsafe fn forward_head_at(
        shape: &Attention, b: usize, h: usize, queries: Range<usize>, q: &[f32], k: &[f32], v: &[f32], out: *mut f32,
        stats: &mut [f32],
    ) = forward_head;
}

/// Computes the gradients of head h of sample b.
///
/// With the probabilities P and δ = Σ dO O per query: `dV = Pᵀ dO`, `dS = P (dO Vᵀ − δ)`, `dQ = scale dS K`,
/// `dK = scale dSᵀ Q`.
///
/// # Safety
/// The rows of this head in the three gradients must be writable and written by no other task.
#[inline(always)]
unsafe fn backward_head<S: Simd>(
    s: S,
    shape: &Attention,
    b: usize,
    h: usize,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    out: &[f32],
    stats: &[f32],
    d_out: &[f32],
    gradients: [*mut f32; 3],
) {
    let (l, two) = (S::LANES, 2 * S::LANES);
    let (m, d, e) = (shape.keys, shape.key_width, shape.value_width);
    let [at_q, at_k, at_v, at_o] = shape.strides;
    let (q, k, v) = (&q[at_q.start(b, h)..], &k[at_k.start(b, h)..], &v[at_v.start(b, h)..]);
    let (out, d_out) = (&out[at_o.start(b, h)..], &d_out[at_o.start(b, h)..]);
    let (row_m, row_d, row_e) = (m.next_multiple_of(two) + 16, d.next_multiple_of(two), e.next_multiple_of(two));
    let panels = m.div_ceil(two) * two;
    let mut transposed = Scratch::new(panels * (d + e));
    let (keys_t, values_t) = transposed.split_at_mut(panels * d);
    let mut whole = Scratch::new(m * (2 * row_d + row_e));
    let (keys, rest) = whole.split_at_mut(m * row_d);
    let (d_keys, d_values) = rest.split_at_mut(m * row_d);
    let mut strip = Scratch::new(STRIP * (2 * row_m + 2 * row_d + 2 * row_e));
    let (p, rest) = strip.split_at_mut(STRIP * row_m);
    let (ds, rest) = rest.split_at_mut(STRIP * row_m);
    let (query, rest) = rest.split_at_mut(STRIP * row_d);
    let (d_query, rest) = rest.split_at_mut(STRIP * row_d);
    let (d_output, output) = rest.split_at_mut(STRIP * row_e);
    transpose_rows(s, k, at_k, m, d, keys_t);
    transpose_rows(s, v, at_v, m, e, values_t);
    copy_rows(s, k, at_k, m, d, 1.0, row_d, keys);
    d_keys.fill(0.0);
    d_values.fill(0.0);
    let mut first = 0;
    while first < shape.queries {
        let n = STRIP.min(shape.queries - first);
        copy_rows(s, &q[first * at_q.row..], at_q, n, d, shape.scale as f32, row_d, query);
        copy_rows(s, &d_out[first * at_o.row..], at_o, n, e, 1.0, row_e, d_output);
        copy_rows(s, &out[first * at_o.row..], at_o, n, e, 1.0, row_e, output);
        // SAFETY: the shape of every product is that of its buffers, allocated above.
        unsafe {
            product(s, (n, d, m), (query.as_ptr(), row_d, 1), (keys_t, two, two * d), (p, row_m), Init::Zero);
            product(s, (n, e, m), (d_output.as_ptr(), row_e, 1), (values_t, two, two * e), (ds, row_m), Init::Zero);
        }
        for i in 0..n {
            let stats = &stats[2 * (first + i)..];
            let delta = dot(s, &d_output[i * row_e..][..e], &output[i * row_e..][..e]) as f32;
            let (most, scale, delta) = (s.splat(stats[0]), s.splat(stats[1]), s.splat(delta));
            let (p, ds) = (&mut p[i * row_m..][..row_m], &mut ds[i * row_m..][..row_m]);
            let mut j = 0;
            // Whole vectors: rows are padded, and columns beyond the last key are not used.
            while j < m {
                let probability = math::exp_nonpositive(s, s.load(&p[j..]) - most) * scale;
                s.store(&mut p[j..], probability);
                let v = (s.load(&ds[j..]) - delta) * probability;
                s.store(&mut ds[j..], v);
                j += l;
            }
        }
        // SAFETY: as above; the rows of the gradient are guaranteed by the caller.
        unsafe {
            product(s, (m, n, e), (p.as_ptr(), 1, row_m), (d_output, row_e, two), (d_values, row_e), Init::Accumulate);
            product(s, (m, n, d), (ds.as_ptr(), 1, row_m), (query, row_d, two), (d_keys, row_d), Init::Accumulate);
            product(s, (n, m, d), (ds.as_ptr(), row_m, 1), (keys, row_d, two), (d_query, row_d), Init::Zero);
            let to = gradients[0].add(at_q.start(b, h) + first * at_q.row);
            write_rows(s, d_query, row_d, n, d, shape.scale as f32, to, at_q);
        }
        first += n;
    }
    // SAFETY: the rows of the gradients are guaranteed by the caller.
    unsafe {
        write_rows(s, d_keys, row_d, m, d, 1.0, gradients[1].add(at_k.start(b, h)), at_k);
        write_rows(s, d_values, row_e, m, e, 1.0, gradients[2].add(at_v.start(b, h)), at_v);
    }
}
dispatch! {
    pub(super) unsafe fn backward_head_at(
        shape: &Attention, b: usize, h: usize, q: &[f32], k: &[f32], v: &[f32], out: &[f32], stats: &[f32],
        d_out: &[f32], gradients: [*mut f32; 3],
    ) = backward_head;
}
