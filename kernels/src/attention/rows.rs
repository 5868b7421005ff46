//! Rows of strided operands, copied into and out of the buffers of a head, and products of these buffers.
use super::shape::Strides;
use crate::product::deep_panel;
use crate::simd::{Init, Simd};

/// Copies `count` rows of `width` elements, times `scale`, with row stride `row` in `out` and zeros after the width.
#[inline(always)]
pub(super) fn copy_rows<S: Simd>(
    s: S,
    source: &[f32],
    at: Strides,
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
        // SAFETY: `width` columns of `count` floats in `source`, `count` rows of `row ≥ width` in `out`, as checked.
        unsafe { s.transpose(width, count, source.as_ptr(), at.column, out.as_mut_ptr(), row) }
        if scale != 1.0 {
            let mut i = 0;
            while i < count * row {
                let scaled = s.load_at(&out[..count * row], i, 0.0) * s.splat(scale);
                s.store_at(&mut out[..count * row], i, scaled);
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
            s.store_at(out, j, s.load_at(source, j, 0.0) * scale);
            j += S::LANES;
        }
        if j < row {
            out[j..].fill(0.0);
        }
    }
}

/// Transposes `count` rows of `width` elements into panels of two vectors: `out[panel, column, row of the panel]`.
#[inline(always)]
pub(super) fn transpose_rows<S: Simd>(s: S, source: &[f32], at: Strides, count: usize, width: usize, out: &mut [f32]) {
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
        // SAFETY: `have` rows of `width` floats in `source`, `width` rows of `two ≥ have` in `out`.
        unsafe { s.transpose(have, width, source.as_ptr(), at.row, out.as_mut_ptr(), two) }
    }
}

/// Computes `C = init + A B` for shapes `(m, k, n)`: `a` with strides of rows and columns, `b` in panels of two vectors
/// with strides of rows and panels, `c` with a stride of rows.
///
/// # Safety
/// `a` must have `m` rows of `k` floats at its strides, every panel of `b` k rows, and `c` m rows of `n` floats rounded
/// up to whole vectors.
#[inline(always)]
pub(super) unsafe fn product<S: Simd>(
    s: S,
    (m, k, n): (usize, usize, usize),
    a: (*const f32, usize, usize),
    b: (&[f32], usize, usize),
    c: (&mut [f32], usize),
    init: Init,
) {
    let two = 2 * S::LANES;
    let mut j = 0;
    while j < n {
        let cols = two.min((n - j).next_multiple_of(S::LANES));
        // SAFETY: guaranteed by the caller.
        unsafe {
            let b = (b.0[j / two * b.2..].as_ptr(), b.1);
            deep_panel(s, m, k, a, b, (c.0.as_mut_ptr().add(j), c.1), cols, init);
        }
        j += two;
    }
}

/// Writes `count` rows, the first `width` elements of each times `scale`, with the strides `at`; the rows of `source`
/// have stride `row`.
///
/// # Safety
/// `count` rows of `width` floats must be writable at `out` with the strides `at`.
#[inline(always)]
pub(super) unsafe fn write_rows<S: Simd>(
    s: S,
    source: &mut [f32],
    row: usize,
    count: usize,
    width: usize,
    scale: f32,
    out: *mut f32,
    at: Strides,
) {
    let factor = s.splat(scale);
    for (i, source) in source.chunks_exact_mut(row).take(count).enumerate() {
        let mut j = 0;
        while j < width {
            let scaled = s.load(&source[j..]) * factor;
            if at.column == 1 {
                // SAFETY: guaranteed by the caller.
                let out = unsafe { std::slice::from_raw_parts_mut(out.add(i * at.row), width) };
                s.store_at(out, j, scaled);
            } else {
                s.store(&mut source[j..], scaled);
            }
            j += S::LANES;
        }
    }
    if at.column != 1 {
        assert!(source.len() >= count * row);
        // SAFETY: `count` rows of `row ≥ width` floats in `source`; `out` as guaranteed by the caller.
        unsafe { s.transpose(count, width, source.as_ptr(), row, out, at.column) }
    }
}
