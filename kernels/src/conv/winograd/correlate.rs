//! The convolution itself, and its input gradient.
use super::tiles::{Tiling, input_tiles};
use super::transform::{N, TileSize, transform_kernel, transform_output};
use crate::conv::shape::Conv2d;
use crate::parallel::{Scratch, Shared, for_each};
use crate::product::{deep_panel, panel_width};
use crate::simd::{Init, Level, MAX_LANES, Simd, dispatch};
use std::ops::Range;

/// Computes a convolution with the kernel `w`, or its input gradient if `flip`: the correlation with the flipped
/// kernel.
pub(in crate::conv) fn correlate<T: TileSize>(
    level: Level,
    size: T,
    conv: &Conv2d,
    flip: bool,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let (ci, co) = if flip { (conv.co, conv.ci) } else { (conv.ci, conv.co) };
    let at = Tiling::new(conv, T::M, ci, co);
    let (points, width) = ((T::M + 2) * (T::M + 2), panel_width(level));
    let panels = co.div_ceil(width);
    let mut kernel = Scratch::new(points * panels * ci * width);
    {
        let shared = Shared::new(&mut kernel);
        for_each(panels, |p| {
            // SAFETY: every task writes its own panel, inside the buffer.
            unsafe { kernel_panel_at(level, size, w, flip, at, p, panels, shared.as_ptr()) }
        });
    }
    let rows = conv.batch * at.th;
    let step = at.rows_per_block(rows);
    let y = Shared::new(y);
    for_each(rows.div_ceil(step), |block| {
        let rows = block * step..rows.min(block * step + step);
        // SAFETY: blocks are disjoint rows of tiles, which correspond to disjoint rows of y.
        unsafe { output_rows_at(level, size, at, rows, x, &kernel, bias, y.as_ptr()) }
    });
}

/// Transforms panel p of the kernel: `out[point, panel, input channel, column]`.
///
/// # Safety
/// `out` must have room for all panels, and no other task may write panel p.
#[inline(always)]
unsafe fn kernel_panel<S: Simd, T: TileSize>(
    s: S,
    size: T,
    w: &[f32],
    flip: bool,
    at: Tiling,
    p: usize,
    panels: usize,
    out: *mut f32,
) {
    let (l, n) = (S::LANES, T::M + 2);
    for ci in 0..at.ci {
        for half in 0..2 {
            let first = p * 2 * l + half * l;
            let mut taps9 = [[0.0; MAX_LANES]; 9];
            for lane in 0..l.min(at.co.saturating_sub(first)) {
                let o = first + lane;
                let source = if flip { &w[(ci * at.co + o) * 9..][..9] } else { &w[(o * at.ci + ci) * 9..][..9] };
                for (k, taps) in taps9.iter_mut().enumerate() {
                    taps[lane] = source[if flip { 8 - k } else { k }];
                }
            }
            let g = |k: usize| s.load(&taps9[k]);
            let mut columns = [[s.zero(); 4]; N];
            for j in 0..3 {
                let t = transform_kernel(s, size, 3, [g(j), g(3 + j), g(6 + j), s.zero()]);
                for i in 0..n {
                    columns[i][j] = t[i];
                }
            }
            for i in 0..n {
                let t = transform_kernel(s, size, 3, columns[i]);
                for j in 0..n {
                    // SAFETY: point < N², panel p, channel ci, one half: inside the buffer.
                    unsafe { s.write(out.add((((i * n + j) * panels + p) * at.ci + ci) * 2 * l + half * l), t[j]) }
                }
            }
        }
    }
}
dispatch! {
    unsafe fn kernel_panel_at<T: TileSize>(
        size: T, w: &[f32], flip: bool, at: Tiling, p: usize, panels: usize, out: *mut f32,
    ) = kernel_panel;
}

/// Computes the output of some rows of tiles with the transformed `kernel`.
///
/// # Safety
/// These rows of y must be writable and written by no other task; `kernel` must be the result of [`kernel_panel`] for
/// all panels.
#[inline(always)]
unsafe fn output_rows<S: Simd, T: TileSize>(
    s: S,
    size: T,
    at: Tiling,
    rows: Range<usize>,
    x: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    y: *mut f32,
) {
    let (l, n, line) = (S::LANES, T::M + 2, at.line());
    let (points, width) = (n * n, 2 * l);
    let panels = at.co.div_ceil(width);
    let count = rows.len() * at.tw;
    let (in_row, out_row) = (Tiling::row(at.ci, l), Tiling::row(at.co, l));
    // The extra 16 floats spread the blocks of the points over the cache sets.
    let (in_apart, out_apart) = (count * in_row + 16, count * out_row + 16);
    let mut scratch = Scratch::new(points * (in_apart + out_apart) + n * line * l);
    let (inputs, rest) = scratch.split_at_mut(points * in_apart);
    let (outputs, lines) = rest.split_at_mut(points * out_apart);
    assert!(kernel.len() >= points * panels * at.ci * width);
    // SAFETY: the buffers have the lengths computed above.
    unsafe {
        input_tiles(s, size, &at, rows.clone(), x, inputs.as_mut_ptr(), in_apart, in_row, lines);
        for point in 0..points {
            for p in 0..panels {
                let a = (inputs.as_ptr().add(point * in_apart), in_row, 1);
                let b = (kernel.as_ptr().add((point * panels + p) * at.ci * width), width);
                let c = (outputs.as_mut_ptr().add(point * out_apart + p * width), out_row);
                // Whole vectors: the columns of the kernel beyond the last channel are zero.
                let cols = width.min((at.co - p * width).next_multiple_of(l));
                deep_panel(s, count, at.ci, a, b, c, cols, Init::Zero);
            }
        }
    }
    let (outputs, lines) = (outputs.as_ptr(), lines.as_mut_ptr());
    for (r, tile_row) in rows.enumerate() {
        let (image, down) = (tile_row / at.th, tile_row % at.th);
        let mut c = 0;
        while c < at.co {
            let lanes = l.min(at.co - c);
            let bias = match bias {
                Some(bias) => {
                    let row = if bias.len() == at.co { 0 } else { image * at.co };
                    s.load_partial(&bias[row + c..][..lanes], 0.0)
                }
                None => s.zero(),
            };
            // SAFETY: `outputs` holds every tile of the rows; `lines` has M ≤ N lines of M tw ≤ line columns; only the
            // lines and columns of the image itself are written to y.
            unsafe {
                for t in 0..at.tw {
                    let source = outputs.add((r * at.tw + t) * out_row + c);
                    let mut columns = [[s.zero(); N]; 4];
                    for i in 0..n {
                        let mut across = [s.zero(); N];
                        for j in 0..n {
                            across[j] = s.read(source.add((i * n + j) * out_apart));
                        }
                        let across = transform_output(s, size, across);
                        for q in 0..T::M {
                            columns[q][i] = across[q];
                        }
                    }
                    for q in 0..T::M {
                        let column = transform_output(s, size, columns[q]);
                        for i in 0..T::M {
                            s.write(lines.add((i * line + t * T::M + q) * l), column[i] + bias);
                        }
                    }
                }
                for i in 0..T::M.min(at.h - down * T::M) {
                    let out = y.add(((image * at.co + c) * at.h + down * T::M + i) * at.w);
                    s.transpose(at.w, lanes, lines.add(i * line * l), l, out, at.h * at.w);
                }
            }
            c += l;
        }
    }
}
dispatch! {
    unsafe fn output_rows_at<T: TileSize>(
        size: T, at: Tiling, rows: Range<usize>, x: &[f32], kernel: &[f32], bias: Option<&[f32]>, y: *mut f32,
    ) = output_rows;
}
