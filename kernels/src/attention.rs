//! Attention, `softmax(scale · Q Kᵀ) V`, without a matrix of all scores.
//!
//! A task has one head of one sample. Scores live a strip of [`STRIP`] queries at a time in the thread's own memory; the
//! backward pass makes them again from each query's largest score and sum, which is all that is kept.
//!
//! Dao et al., "FlashAttention" (2022), <https://arxiv.org/abs/2205.14135>, for the idea of making scores again.
use crate::math;
use crate::parallel::{Scratch, Shared, for_each};
use crate::product::{Start, deep_panel};
use crate::simd::{Level, Simd, dispatch};
use crate::softmax::{dot, exponentials, largest};
use std::ops::Range;

/// Queries whose scores are in memory together.
const STRIP: usize = 64;
/// Queries of a task of the forward pass.
const TASK: usize = 256;

/// Where the rows of queries, keys, values or outputs lie: number d of row n of head h of sample b is at
/// `offset + b · sample + h · head + n · row + d · column`. Either `row` or `column` is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Begin of the first.
    pub offset: usize,
    /// From a sample to the next.
    pub sample: usize,
    /// From a head to the next.
    pub head: usize,
    /// From a row to the next.
    pub row: usize,
    /// From a number of a row to the next.
    pub column: usize,
}

impl Rows {
    /// Rows of `[batch, heads, count, width]`, one after the other.
    pub fn contiguous(heads: usize, count: usize, width: usize) -> Self {
        Self { offset: 0, sample: heads * count * width, head: count * width, row: width, column: 1 }
    }

    /// Rows of part `part` of `[batch, count, parts, heads, width]`: what one linear map gives for queries, keys and
    /// values together; with `parts` 1, all heads of a token side by side.
    pub fn fused(part: usize, parts: usize, heads: usize, count: usize, width: usize) -> Self {
        let row = parts * heads * width;
        Self { offset: part * heads * width, sample: count * row, head: width, row, column: 1 }
    }

    /// Rows of part `part` of `[batch, parts, heads, width, count]`: images of `count` pixels, whose channels a 1×1
    /// convolution has made.
    pub fn channels(part: usize, parts: usize, heads: usize, count: usize, width: usize) -> Self {
        let head = width * count;
        Self { offset: part * heads * head, sample: parts * heads * head, head, row: 1, column: count }
    }

    fn start(&self, b: usize, h: usize) -> usize {
        self.offset + b * self.sample + h * self.head
    }

    /// One past the last number.
    fn end(&self, shape: &Attention, count: usize, width: usize) -> usize {
        if shape.batch * shape.heads * count * width == 0 {
            return 0;
        }
        self.start(shape.batch - 1, shape.heads - 1) + (count - 1) * self.row + (width - 1) * self.column + 1
    }

    /// Whether no two rows share a number, so that tasks can write their heads at the same time.
    fn apart(&self, shape: &Attention, count: usize, width: usize) -> bool {
        let mut steps = [(self.column, width), (self.row, count), (self.head, shape.heads), (self.sample, shape.batch)];
        steps.sort_unstable();
        let mut reach = 1;
        steps.iter().filter(|(_, n)| *n > 1).all(|&(step, n)| {
            let apart = step >= reach;
            reach += step * (n - 1);
            apart
        })
    }
}

/// Sizes of an attention, and where its operands lie.
///
/// Largest error found by the tests, in terms of the largest exact value: 2e-6 forward, 5e-6 for gradients.
///
/// ```
/// use tweedie_kernels::Attention;
/// let attention = Attention::contiguous([1, 1, 2, 1], 2, 1);
/// let (mut out, mut stats) = ([0.0; 2], [0.0; 4]);
/// attention.forward(&[0.0, 0.0], &[1.0, 2.0], &[3.0, 5.0], &mut out, &mut stats);
/// assert_eq!(out, [4.0, 4.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Samples.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Queries of a head.
    pub queries: usize,
    /// Keys, and values, of a head.
    pub keys: usize,
    /// Numbers of a query or a key.
    pub key_width: usize,
    /// Numbers of a value.
    pub value_width: usize,
    /// Factor on the scores, `1/√key_width` by custom.
    pub scale: f64,
    /// Where queries, keys, values and outputs lie.
    pub places: [Rows; 4],
}

impl Attention {
    /// Queries `[batch, heads, queries, width]`, keys `[batch, heads, keys, width]` and values
    /// `[batch, heads, keys, value_width]` one after the other; the customary scale.
    pub fn contiguous(query: [usize; 4], keys: usize, value_width: usize) -> Self {
        let [batch, heads, queries, key_width] = query;
        let places = [
            Rows::contiguous(heads, queries, key_width),
            Rows::contiguous(heads, keys, key_width),
            Rows::contiguous(heads, keys, value_width),
            Rows::contiguous(heads, queries, value_width),
        ];
        let scale = 1.0 / (key_width.max(1) as f64).sqrt();
        Self { batch, heads, queries, keys, key_width, value_width, scale, places }
    }

    /// Queries, keys and values together as `[batch, tokens, 3, heads, width]`, outputs as
    /// `[batch, tokens, heads, width]`; the customary scale. All three operands are then the same slice.
    pub fn fused(batch: usize, tokens: usize, heads: usize, width: usize) -> Self {
        let part = |i| Rows::fused(i, 3, heads, tokens, width);
        let places = [part(0), part(1), part(2), Rows::fused(0, 1, heads, tokens, width)];
        Self { places, ..Self::contiguous([batch, heads, tokens, width], tokens, width) }
    }

    /// Queries, keys and values together as `[batch, 3, heads, width, pixels]`, outputs as `[batch, heads, width, pixels]`;
    /// the customary scale. All three operands are then the same slice.
    pub fn channels(batch: usize, pixels: usize, heads: usize, width: usize) -> Self {
        let part = |i| Rows::channels(i, 3, heads, pixels, width);
        let places = [part(0), part(1), part(2), Rows::channels(0, 1, heads, pixels, width)];
        Self { places, ..Self::contiguous([batch, heads, pixels, width], pixels, width) }
    }

    fn check(&self, q: usize, k: usize, v: usize, out: usize, stats: usize) {
        let [at_q, at_k, at_v, at_o] = self.places;
        assert!(q >= at_q.end(self, self.queries, self.key_width), "too few queries for {self:?}");
        assert!(k >= at_k.end(self, self.keys, self.key_width), "too few keys for {self:?}");
        assert!(v >= at_v.end(self, self.keys, self.value_width), "too few values for {self:?}");
        assert!(out >= at_o.end(self, self.queries, self.value_width), "too little room for the outputs of {self:?}");
        assert_eq!(stats, self.batch * self.heads * self.queries * 2, "statistics are [batch, heads, queries, 2]");
        assert!(self.places.iter().all(|at| at.row == 1 || at.column == 1), "rows or columns are next to one another");
        assert!(self.keys > 0 || self.queries == 0, "a query needs a key");
    }

    /// The outputs, and for the backward pass every query's largest score and inverse sum in `stats`.
    ///
    /// # Shapes
    /// `stats: [batch, heads, queries, 2]`, the others as [`places`](Self::places) say.
    ///
    /// # Panics
    /// If a slice is too short, or outputs overlap.
    pub fn forward(&self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], stats: &mut [f32]) {
        self.forward_at(Level::get(), q, k, v, out, stats);
    }

    fn forward_at(&self, level: Level, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], stats: &mut [f32]) {
        self.check(q.len(), k.len(), v.len(), out.len(), stats.len());
        assert!(self.places[3].apart(self, self.queries, self.value_width), "outputs overlap: {self:?}");
        let parts = self.queries.div_ceil(TASK);
        let (out, stats) = (Shared::new(out), Shared::new(stats));
        for_each(self.batch * self.heads * parts, |task| {
            let (head, part) = (task / parts, task % parts);
            let queries = part * TASK..self.queries.min((part + 1) * TASK);
            let first = 2 * (head * self.queries + queries.start);
            // SAFETY: every task has its own queries, whose outputs do not overlap and are inside of `out`, as checked.
            unsafe {
                let stats = stats.part(first..first + 2 * queries.len());
                head_at(level, self, head / self.heads, head % self.heads, queries, q, k, v, out.as_ptr(), stats);
            }
        });
    }

    /// The gradients by queries, keys and values, written where these lie; nothing else is written.
    ///
    /// For operands in one slice, give one slice for the gradients: [`Gradients::Fused`].
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward), whose `out` and `stats` this reads; `d_out` lies as `out` does.
    ///
    /// # Panics
    /// If a slice is too short, or gradients overlap.
    pub fn backward(
        &self,
        q: &[f32],
        k: &[f32],
        v: &[f32],
        out: &[f32],
        stats: &[f32],
        d_out: &[f32],
        gradients: Gradients<'_>,
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
        gradients: Gradients<'_>,
    ) {
        self.check(q.len(), k.len(), v.len(), out.len(), stats.len());
        assert!(d_out.len() >= out.len(), "the gradient by the output lies as the output does");
        let [at_q, at_k, at_v, _] = self.places;
        assert!(
            at_q.apart(self, self.queries, self.key_width)
                && at_k.apart(self, self.keys, self.key_width)
                && at_v.apart(self, self.keys, self.value_width),
            "gradients overlap: {self:?}"
        );
        let [dq, dk, dv] = match gradients {
            Gradients::Apart(dq, dk, dv) => [Shared::new(dq), Shared::new(dk), Shared::new(dv)],
            Gradients::Fused(all) => {
                let fused = Self::fused(self.batch, self.queries, self.heads, self.key_width);
                let channels = Self::channels(self.batch, self.queries, self.heads, self.key_width);
                assert!(
                    (self.places == fused.places || self.places == channels.places)
                        && self.keys == self.queries
                        && self.key_width == self.value_width,
                    "gradients share a slice only where the operands do"
                );
                [Shared::new(all); 3]
            }
        };
        self.check(dq.len(), dk.len(), dv.len(), out.len(), stats.len());
        for_each(self.batch * self.heads, |head| {
            let stats = &stats[2 * head * self.queries..][..2 * self.queries];
            let gradients = [dq.as_ptr(), dk.as_ptr(), dv.as_ptr()];
            // SAFETY: every task has its own head, whose rows do not overlap with others' and are inside, as checked.
            unsafe {
                head_back_at(level, self, head / self.heads, head % self.heads, q, k, v, out, stats, d_out, gradients);
            }
        });
    }
}

/// Where the gradients of an attention go.
#[derive(Debug)]
pub enum Gradients<'a> {
    /// By queries, keys and values.
    Apart(&'a mut [f32], &'a mut [f32], &'a mut [f32]),
    /// All three in one slice, for [`Attention::fused`] and [`Attention::channels`].
    Fused(&'a mut [f32]),
}

/// Rows of `width` numbers, copied one after the other with `row` numbers each, times `scale`, zeros after the width.
#[inline(always)]
fn copy_rows<S: Simd>(
    s: S,
    source: &[f32],
    at: Rows,
    count: usize,
    width: usize,
    scale: f32,
    row: usize,
    out: &mut [f32],
) {
    if at.column != 1 {
        assert!(source.len() >= (width - 1) * at.column + count && out.len() >= count * row);
        if width < row {
            out[..count * row].fill(0.0);
        }
        // SAFETY: `width` columns of `count` numbers in `source`, `count` rows of `row ≥ width` in `out`, as checked.
        unsafe { s.transpose(width, count, source.as_ptr(), at.column, out.as_mut_ptr(), row) }
        if scale != 1.0 {
            let mut i = 0;
            while i < count * row {
                let scaled = s.get(&out[..count * row], i, 0.0) * s.splat(scale);
                s.put(&mut out[..count * row], i, scaled);
                i += S::LANES;
            }
        }
        return;
    }
    let scale = s.splat(scale);
    for (i, out) in out.chunks_exact_mut(row).take(count).enumerate() {
        let source = &source[i * at.row..][..width];
        let mut j = 0;
        while j < width {
            s.put(out, j, s.get(source, j, 0.0) * scale);
            j += S::LANES;
        }
        if j < row {
            out[j..].fill(0.0);
        }
    }
}

/// The transpose of `count` rows of `width` numbers, in panels of two vectors: `out[panel, place, row of the panel]`.
#[inline(always)]
fn turn_rows<S: Simd>(s: S, source: &[f32], at: Rows, count: usize, width: usize, out: &mut [f32]) {
    let two = 2 * S::LANES;
    for (p, out) in out.chunks_exact_mut(two * width).enumerate() {
        let have = two.min(count - p * two);
        if have < two {
            out.fill(0.0);
        }
        let source = &source[p * two * at.row..];
        if at.column != 1 {
            for (d, out) in out.chunks_exact_mut(two).enumerate() {
                out[..have].copy_from_slice(&source[d * at.column..][..have]);
            }
            continue;
        }
        assert!(source.len() >= (have - 1) * at.row + width);
        // SAFETY: `have` rows of `width` numbers in `source`, `width` rows of `two ≥ have` in `out`.
        unsafe { s.transpose(have, width, source.as_ptr(), at.row, out.as_mut_ptr(), two) }
    }
}

/// `C = start + A B` with B in panels of two vectors, `panel` numbers from one to the next.
///
/// # Safety
/// `a` has `m` rows of `k` numbers at its strides, every panel of `b` k rows at its stride, `c` m rows of `n` rounded up
/// to whole vectors.
#[inline(always)]
unsafe fn product<S: Simd>(
    s: S,
    (m, k, n): (usize, usize, usize),
    a: (*const f32, usize, usize),
    b: (&[f32], usize, usize),
    c: (&mut [f32], usize),
    start: Start,
) {
    let two = 2 * S::LANES;
    let mut j = 0;
    while j < n {
        let cols = two.min((n - j).next_multiple_of(S::LANES));
        // SAFETY: the caller's.
        unsafe {
            let b = (b.0[j / two * b.2..].as_ptr(), b.1);
            deep_panel(s, m, k, a, b, (c.0.as_mut_ptr().add(j), c.1), cols, start);
        }
        j += two;
    }
}

/// # Safety
/// The outputs of these queries can be written and nobody else does.
#[inline(always)]
unsafe fn head<S: Simd>(
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
    let [at_q, at_k, at_v, at_o] = shape.places;
    let (q, k, v) = (&q[at_q.start(b, h)..], &k[at_k.start(b, h)..], &v[at_v.start(b, h)..]);
    // Rows of scores, queries and values: whole panels, off the page size.
    let (row_m, row_d, row_e) = (m.next_multiple_of(two) + 16, d.next_multiple_of(two) + 16, e.next_multiple_of(two));
    let mut keys = Scratch::new(m.div_ceil(two) * two * d);
    let mut values = Scratch::new(m * row_e);
    let mut strip = Scratch::new(STRIP * (row_m + row_d + row_e));
    let (scores, rest) = strip.split_at_mut(STRIP * row_m);
    let (query, outputs) = rest.split_at_mut(STRIP * row_d);
    turn_rows(s, k, at_k, m, d, &mut keys);
    copy_rows(s, v, at_v, m, e, 1.0, row_e, &mut values);
    let mut first = queries.start;
    while first < queries.end {
        let n = STRIP.min(queries.end - first);
        copy_rows(s, &q[first * at_q.row..], at_q, n, d, shape.scale as f32, row_d, query);
        // SAFETY: buffers as made above; every product's shape is that of its buffers.
        unsafe {
            product(s, (n, d, m), (query.as_ptr(), row_d, 1), (&keys, two, two * d), (scores, row_m), Start::Zero);
        }
        for (scores, stats) in
            scores.chunks_exact_mut(row_m).zip(stats[2 * (first - queries.start)..].chunks_exact_mut(2)).take(n)
        {
            let most = largest(s, &scores[..m]);
            let sum = exponentials(s, scores.as_ptr(), m, most, scores.as_mut_ptr());
            stats.copy_from_slice(&[most, (1.0 / sum) as f32]);
        }
        // SAFETY: as above; the outputs' rows are the caller's.
        unsafe {
            product(s, (n, m, e), (scores.as_ptr(), row_m, 1), (&values, row_e, two), (outputs, row_e), Start::Zero);
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
dispatch! { unsafe fn head_at(shape: &Attention, b: usize, h: usize, queries: Range<usize>, q: &[f32], k: &[f32], v: &[f32], out: *mut f32, stats: &mut [f32]) = head; }

/// With P the probabilities and δ = Σ dO O of each query: `dV = Pᵀ dO`, `dS = P (dO Vᵀ − δ)`, `dQ = scale dS K`,
/// `dK = scale dSᵀ Q`.
///
/// # Safety
/// This head's rows of the three gradients can be written and nobody else does.
#[inline(always)]
unsafe fn head_back<S: Simd>(
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
    let [at_q, at_k, at_v, at_o] = shape.places;
    let (q, k, v) = (&q[at_q.start(b, h)..], &k[at_k.start(b, h)..], &v[at_v.start(b, h)..]);
    let (out, d_out) = (&out[at_o.start(b, h)..], &d_out[at_o.start(b, h)..]);
    let (row_m, row_d, row_e) = (m.next_multiple_of(two) + 16, d.next_multiple_of(two), e.next_multiple_of(two));
    let panels = m.div_ceil(two) * two;
    let mut turned = Scratch::new(panels * (d + e));
    let (keys_t, values_t) = turned.split_at_mut(panels * d);
    let mut whole = Scratch::new(m * (2 * row_d + row_e));
    let (keys, rest) = whole.split_at_mut(m * row_d);
    let (d_keys, d_values) = rest.split_at_mut(m * row_d);
    let mut strip = Scratch::new(STRIP * (2 * row_m + 2 * row_d + 2 * row_e));
    let (p, rest) = strip.split_at_mut(STRIP * row_m);
    let (ds, rest) = rest.split_at_mut(STRIP * row_m);
    let (query, rest) = rest.split_at_mut(STRIP * row_d);
    let (d_query, rest) = rest.split_at_mut(STRIP * row_d);
    let (d_output, output) = rest.split_at_mut(STRIP * row_e);
    turn_rows(s, k, at_k, m, d, keys_t);
    turn_rows(s, v, at_v, m, e, values_t);
    copy_rows(s, k, at_k, m, d, 1.0, row_d, keys);
    d_keys.fill(0.0);
    d_values.fill(0.0);
    let mut first = 0;
    while first < shape.queries {
        let n = STRIP.min(shape.queries - first);
        copy_rows(s, &q[first * at_q.row..], at_q, n, d, shape.scale as f32, row_d, query);
        copy_rows(s, &d_out[first * at_o.row..], at_o, n, e, 1.0, row_e, d_output);
        copy_rows(s, &out[first * at_o.row..], at_o, n, e, 1.0, row_e, output);
        // SAFETY: buffers as made above; every product's shape is that of its buffers.
        unsafe {
            product(s, (n, d, m), (query.as_ptr(), row_d, 1), (keys_t, two, two * d), (p, row_m), Start::Zero);
            product(s, (n, e, m), (d_output.as_ptr(), row_e, 1), (values_t, two, two * e), (ds, row_m), Start::Zero);
        }
        for i in 0..n {
            let stats = &stats[2 * (first + i)..];
            let delta = dot(s, &d_output[i * row_e..][..e], &output[i * row_e..][..e]) as f32;
            let (most, scale, delta) = (s.splat(stats[0]), s.splat(stats[1]), s.splat(delta));
            let (p, ds) = (&mut p[i * row_m..][..row_m], &mut ds[i * row_m..][..row_m]);
            let mut j = 0;
            // Whole vectors: a row has room, and columns beyond the last key are not used.
            while j < m {
                let probability = math::exp_falling(s, s.load(&p[j..]) - most) * scale;
                s.store(&mut p[j..], probability);
                let v = (s.load(&ds[j..]) - delta) * probability;
                s.store(&mut ds[j..], v);
                j += l;
            }
        }
        // SAFETY: as above; the gradient's rows are the caller's.
        unsafe {
            product(s, (m, n, e), (p.as_ptr(), 1, row_m), (d_output, row_e, two), (d_values, row_e), Start::Old);
            product(s, (m, n, d), (ds.as_ptr(), 1, row_m), (query, row_d, two), (d_keys, row_d), Start::Old);
            product(s, (n, m, d), (ds.as_ptr(), row_m, 1), (keys, row_d, two), (d_query, row_d), Start::Zero);
            let to = gradients[0].add(at_q.start(b, h) + first * at_q.row);
            write_rows(s, d_query, row_d, n, d, shape.scale as f32, to, at_q);
        }
        first += n;
    }
    // SAFETY: the gradients' rows are the caller's.
    unsafe {
        write_rows(s, d_keys, row_d, m, d, 1.0, gradients[1].add(at_k.start(b, h)), at_k);
        write_rows(s, d_values, row_e, m, e, 1.0, gradients[2].add(at_v.start(b, h)), at_v);
    }
}
dispatch! { unsafe fn head_back_at(shape: &Attention, b: usize, h: usize, q: &[f32], k: &[f32], v: &[f32], out: &[f32], stats: &[f32], d_out: &[f32], gradients: [*mut f32; 3]) = head_back; }

/// Rows of `row` numbers, the first `width` of each times `scale`, to where they belong.
///
/// # Safety
/// `count` rows of `width` numbers can be written at `out`, placed as `at` says.
#[inline(always)]
unsafe fn write_rows<S: Simd>(
    s: S,
    source: &mut [f32],
    row: usize,
    count: usize,
    width: usize,
    scale: f32,
    out: *mut f32,
    at: Rows,
) {
    let factor = s.splat(scale);
    for (i, source) in source.chunks_exact_mut(row).take(count).enumerate() {
        let mut j = 0;
        while j < width {
            let scaled = s.load(&source[j..]) * factor;
            if at.column == 1 {
                // SAFETY: the caller's.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(i * at.row), width) };
                s.put(out, j, scaled);
            } else {
                s.store(&mut source[j..], scaled);
            }
            j += S::LANES;
        }
    }
    if at.column != 1 {
        assert!(source.len() >= count * row);
        // SAFETY: `count` rows of `row ≥ width` numbers in `source`; the caller's places.
        unsafe { s.transpose(count, width, source.as_ptr(), row, out, at.column) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    /// Outputs and gradients in double precision, all where the places say.
    fn reference(shape: &Attention, q: &[f32], k: &[f32], v: &[f32], d_out: &[f32], out_len: usize) -> [Vec<f64>; 4] {
        let mut result = [vec![0.0; out_len], vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
        let [at_q, at_k, at_v, at_o] = shape.places;
        let (m, d, e) = (shape.keys, shape.key_width, shape.value_width);
        for head in 0..shape.batch * shape.heads {
            let (b, h) = (head / shape.heads, head % shape.heads);
            let row = |at: &Rows, i: usize| at.start(b, h) + i * at.row;
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
    fn attention_and_its_gradients_are_right() {
        let mut random = Numbers::new(5);
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
            let (q, k) = (numbers(heads * query[2] * query[3], 1, 1.5), numbers(heads * keys * query[3], 2, 1.5));
            let (v, d_out) =
                (numbers(heads * keys * value_width, 3, 1.0), numbers(heads * query[2] * value_width, 4, 1.0));
            let [o64, dq64, dk64, dv64] = reference(&shape, &q, &k, &v, &d_out, d_out.len());
            for level in Level::available() {
                let (mut out, mut stats) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; heads * query[2] * 2]);
                shape.forward_at(level, &q, &k, &v, &mut out, &mut stats);
                assert!(error(&out, &o64) < 2e-6, "{shape:?} at {level:?}: {}", error(&out, &o64));
                let (mut dq, mut dk, mut dv) =
                    (vec![f32::NAN; q.len()], vec![f32::NAN; k.len()], vec![f32::NAN; v.len()]);
                shape.backward_at(level, &q, &k, &v, &out, &stats, &d_out, Gradients::Apart(&mut dq, &mut dk, &mut dv));
                let e = [error(&dv, &dv64), error(&dq, &dq64), error(&dk, &dk64)];
                assert!(e[0] < 5e-6 && (keys == 1 || e[1].max(e[2]) < 5e-6), "{shape:?} at {level:?}: {e:?}");
            }
        }
    }

    #[test]
    fn fused_operands_give_the_same_as_separate_ones() {
        let (batch, tokens, heads, width) = (3, 21, 4, 10);
        let shape = Attention::fused(batch, tokens, heads, width);
        let (qkv, d_out) =
            (numbers(batch * tokens * 3 * heads * width, 1, 1.5), numbers(batch * tokens * heads * width, 2, 1.0));
        let [o64, dq64, dk64, dv64] = reference(&shape, &qkv, &qkv, &qkv, &d_out, d_out.len());
        let all: Vec<f64> = dq64.iter().zip(&dk64).zip(&dv64).map(|((q, k), v)| q + k + v).collect();
        let (mut out, mut stats) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; batch * heads * tokens * 2]);
        shape.forward(&qkv, &qkv, &qkv, &mut out, &mut stats);
        assert!(error(&out, &o64) < 2e-6);
        let mut gradient = vec![f32::NAN; qkv.len()];
        shape.backward(&qkv, &qkv, &qkv, &out, &stats, &d_out, Gradients::Fused(&mut gradient));
        assert!(error(&gradient, &all) < 5e-6);
    }

    #[test]
    fn channels_give_the_same_as_rows() {
        let (batch, tokens, heads, width) = (2, 37, 3, 18);
        let rows = Attention::fused(batch, tokens, heads, width);
        let channels = Attention::channels(batch, tokens, heads, width);
        let qkv = numbers(batch * tokens * 3 * heads * width, 1, 1.5);
        let d_out = numbers(batch * tokens * heads * width, 2, 1.0);
        // `[batch, tokens, wide]` to `[batch, wide, tokens]`.
        let turn = |x: &[f32]| -> Vec<f32> {
            let wide = x.len() / batch / tokens;
            let source = |i: usize| (i / (wide * tokens) * tokens + i % tokens) * wide + i / tokens % wide;
            (0..x.len()).map(|i| x[source(i)]).collect()
        };
        let run = |shape: Attention, qkv: &[f32], d_out: &[f32]| {
            let (mut out, mut stats) = (vec![f32::NAN; d_out.len()], vec![f32::NAN; batch * heads * tokens * 2]);
            shape.forward(qkv, qkv, qkv, &mut out, &mut stats);
            let mut gradient = vec![f32::NAN; qkv.len()];
            shape.backward(qkv, qkv, qkv, &out, &stats, d_out, Gradients::Fused(&mut gradient));
            (out, gradient)
        };
        let (out, gradient) = run(rows, &qkv, &d_out);
        let turned = run(channels, &turn(&qkv), &turn(&d_out));
        assert_eq!(turned.0, turn(&out));
        assert_eq!(turned.1, turn(&gradient));
    }

    #[test]
    fn a_sample_does_not_know_its_batch_nor_the_threads() {
        let (tokens, heads, width) = (300, 2, 12);
        let len = tokens * heads * width;
        let (qkv, d_out) = (numbers(4 * 3 * len, 1, 1.0), numbers(4 * len, 2, 1.0));
        let run = |batch: usize, qkv: &[f32], d_out: &[f32]| {
            let shape = Attention::fused(batch, tokens, heads, width);
            let (mut out, mut stats) = (vec![0.0; d_out.len()], vec![0.0; batch * heads * tokens * 2]);
            shape.forward(qkv, qkv, qkv, &mut out, &mut stats);
            let mut gradient = vec![0.0; qkv.len()];
            shape.backward(qkv, qkv, qkv, &out, &stats, d_out, Gradients::Fused(&mut gradient));
            [out, gradient].concat()
        };
        let all = same_on_any_number_of_threads(|| run(4, &qkv, &d_out));
        let one = run(1, &qkv[2 * 3 * len..][..3 * len], &d_out[2 * len..][..len]);
        assert_eq!(one[..len], all[2 * len..][..len]);
        assert_eq!(one[len..], all[4 * len + 2 * 3 * len..][..3 * len]);
    }

    #[test]
    #[should_panic(expected = "outputs overlap")]
    fn outputs_that_overlap_are_refused() {
        let mut shape = Attention::contiguous([1, 2, 3, 4], 3, 4);
        shape.places[3].head = 0;
        shape.forward(&[0.0; 24], &[0.0; 24], &[0.0; 24], &mut [0.0; 24], &mut [0.0; 12]);
    }
}
