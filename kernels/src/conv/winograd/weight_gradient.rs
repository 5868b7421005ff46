//! The gradient with respect to the kernel.
use super::tiles::{Tiling, input_tiles, output_gradient_tiles};
use super::transform::{N, TileSize, transform_gradient};
use crate::conv::shape::Conv2d;
use crate::parallel::{Scratch, Shared, for_each, sum_parts};
use crate::product::{panel, panel_width};
use crate::simd::{Init, Level, MAX_LANES, Simd, dispatch};
use std::ops::Range;

/// Computes the gradient with respect to the kernel: F(3×3, M×M) with the output gradient as the kernel.
///
/// The rows of tiles of the batch are split into at most eight runs. The blocks of a run are summed in order and
/// transformed back to 3×3; then the runs are summed in order.
pub(in crate::conv) fn weight_gradient<T: TileSize>(
    level: Level,
    size: T,
    conv: &Conv2d,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let at = Tiling::new(conv, T::M, conv.ci, conv.co);
    let rows = conv.batch * at.th;
    let width = panel_width(level);
    let panels = at.co.div_ceil(width);
    let sums_len = (T::M + 2) * (T::M + 2) * panels * at.ci * width;
    let runs = (rows * at.tw / 32).clamp(1, 8).min(rows);
    let step = at.rows_per_block(rows);
    let len = dw.len();
    let mut parts = Scratch::new(runs * len);
    {
        let parts = Shared::new(&mut parts);
        for_each(runs, |run| {
            let (begin, end) = (rows * run / runs, rows * (run + 1) / runs);
            let mut sums = Scratch::new(sums_len);
            let mut row = begin;
            while row < end {
                let next = end.min(row + step);
                // SAFETY: `sums` has room for every panel at every point.
                unsafe { add_gradient_at(level, size, at, row..next, x, dy, &mut sums, row == begin) };
                row = next;
            }
            // SAFETY: every task writes its own part.
            let part = unsafe { parts.part(run * len..(run + 1) * len) };
            finish_gradient_at(level, size, at, &sums, part);
        });
    }
    sum_parts(&parts, dw);
}

/// Adds the products of some rows of tiles to `sums[point, panel, input channel, column]`, which they initialize if
/// `first`.
///
/// # Safety
/// `sums` must have room for all panels at all points.
#[inline(always)]
unsafe fn add_gradient<S: Simd, T: TileSize>(
    s: S,
    size: T,
    at: Tiling,
    rows: Range<usize>,
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
    first: bool,
) {
    let (l, n, line) = (S::LANES, T::M + 2, at.line());
    let (points, width) = (n * n, 2 * l);
    let panels = at.co.div_ceil(width);
    let count = rows.len() * at.tw;
    let in_row = Tiling::row(at.ci, l);
    let (in_apart, dy_apart) = (count * in_row + 16, count * panels * width + 16);
    let mut scratch = Scratch::new(points * (in_apart + dy_apart) + n * line * l);
    let (inputs, rest) = scratch.split_at_mut(points * in_apart);
    let (outputs, lines) = rest.split_at_mut(points * dy_apart);
    let init = if first { Init::Zero } else { Init::Accumulate };
    // SAFETY: the buffers have the lengths computed above.
    unsafe {
        input_tiles(s, size, &at, rows.clone(), x, inputs.as_mut_ptr(), in_apart, in_row, lines);
        output_gradient_tiles(s, size, &at, rows, dy, outputs.as_mut_ptr(), dy_apart, count, lines);
        for point in 0..points {
            for p in 0..panels {
                let a = (inputs.as_ptr().add(point * in_apart), 1, in_row);
                let b = (outputs.as_ptr().add(point * dy_apart + p * count * width), width);
                let c = (sums.as_mut_ptr().add((point * panels + p) * at.ci * width), width);
                let cols = width.min((at.co - p * width).next_multiple_of(l));
                panel(s, at.ci, count, a, b, c, cols, init);
            }
        }
    }
}
dispatch! {
    unsafe fn add_gradient_at<T: TileSize>(
        size: T, at: Tiling, rows: Range<usize>, x: &[f32], dy: &[f32], sums: &mut [f32], first: bool,
    ) = add_gradient;
}

/// Transforms the sums at all points back to the gradient of the 3×3 kernel.
#[inline(always)]
fn finish_gradient<S: Simd, T: TileSize>(s: S, size: T, at: Tiling, sums: &[f32], dw: &mut [f32]) {
    let (l, n, width) = (S::LANES, T::M + 2, 2 * S::LANES);
    let panels = at.co.div_ceil(width);
    for p in 0..panels {
        for ci in 0..at.ci {
            for half in 0..2 {
                let first = p * width + half * l;
                if first >= at.co {
                    continue;
                }
                let mut columns = [[s.zero(); N]; 3];
                for i in 0..n {
                    let mut across = [s.zero(); N];
                    for j in 0..n {
                        across[j] = s.load(&sums[(((i * n + j) * panels + p) * at.ci + ci) * width + half * l..]);
                    }
                    let across = transform_gradient(s, size, across);
                    for q in 0..3 {
                        columns[q][i] = across[q];
                    }
                }
                let mut taps9 = [[0.0; MAX_LANES]; 9];
                for q in 0..3 {
                    let column = transform_gradient(s, size, columns[q]);
                    for k in 0..3 {
                        s.store(&mut taps9[k * 3 + q], column[k]);
                    }
                }
                for lane in 0..l.min(at.co - first) {
                    let dw = &mut dw[((first + lane) * at.ci + ci) * 9..][..9];
                    for (dw, taps) in dw.iter_mut().zip(&taps9) {
                        *dw = taps[lane];
                    }
                }
            }
        }
    }
}
dispatch! { fn finish_gradient_at<T: TileSize>(size: T, at: Tiling, sums: &[f32], dw: &mut [f32]) = finish_gradient; }
