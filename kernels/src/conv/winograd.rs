//! Winograd's minimal filtering F(M×M, 3×3), M = 2 or 4.
//!
//! A tile of N×N = (M+2)×(M+2) inputs gives M×M outputs: data, kernel and result are carried to and from values of
//! polynomials at N points, where convolution is a product of numbers. For every one of the N² places there is one
//! matrix product, tiles × channels in × channels out.
//!
//! Points: 0, ±1, ∞ for M = 2; 0, ±5/8, ±3/2, ∞ for M = 4, whose products err three to five times less than with the
//! customary 0, ±1, ±2, ∞. All transforms run with channels as the vector's lanes.
//!
//! Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015), <https://arxiv.org/abs/1509.09308>.
use super::Conv2d;
use crate::parallel::{Scratch, Shared, for_each};
use crate::product::{Start, deep_panel, panel, panel_width};
use crate::simd::{Float, Level, Simd, dispatch};

// The two positive points of F(4×4) and their powers.
const A: f64 = 0.625;
const B: f64 = 1.5;
/// Largest number of points in one direction.
const N: usize = 6;

/// Edge of a tile of outputs.
pub(crate) trait Size: Copy + Send + Sync {
    const M: usize;
}
/// F(2×2, 3×3).
#[derive(Clone, Copy)]
pub(super) struct Two;
/// F(4×4, 3×3).
#[derive(Clone, Copy)]
pub(super) struct Four;
impl Size for Two {
    const M: usize = 2;
}
impl Size for Four {
    const M: usize = 4;
}

/// Data: N values to N points.
#[inline(always)]
fn data<S: Simd, T: Size>(s: S, _: T, x: [S::F; N]) -> [S::F; N] {
    let c = |x: f64| s.splat(x as f32);
    if T::M == 4 {
        let end = |x: S::F, y: S::F, z: S::F| c(A * A * B * B).mul_add(x, c(-A * A - B * B).mul_add(y, z));
        let (even_a, odd_a) = (c(-B * B).mul_add(x[2], x[4]), c(-B * B).mul_add(x[1], x[3]));
        let (even_b, odd_b) = (c(-A * A).mul_add(x[2], x[4]), c(-A * A).mul_add(x[1], x[3]));
        [
            end(x[0], x[2], x[4]),
            c(A).mul_add(odd_a, even_a),
            c(-A).mul_add(odd_a, even_a),
            c(B).mul_add(odd_b, even_b),
            c(-B).mul_add(odd_b, even_b),
            end(x[1], x[3], x[5]),
        ]
    } else {
        [x[2] - x[0], x[1] + x[2], x[2] - x[1], x[3] - x[1], s.zero(), s.zero()]
    }
}

/// Result: N points to M values.
#[inline(always)]
fn result<S: Simd, T: Size>(s: S, _: T, t: [S::F; N]) -> [S::F; 4] {
    let c = |x: f64| s.splat(x as f32);
    let (s1, d1) = (t[1] + t[2], t[1] - t[2]);
    if T::M == 4 {
        let (s2, d2) = (t[3] + t[4], t[3] - t[4]);
        [
            t[0] + (s1 + s2),
            c(A).mul_add(d1, c(B) * d2),
            c(A * A).mul_add(s1, c(B * B) * s2),
            c(A * A * A).mul_add(d1, c(B * B * B).mul_add(d2, t[5])),
        ]
    } else {
        [t[0] + s1, d1 + t[3], s.zero(), s.zero()]
    }
}

/// Kernel's gradient: N points to three values.
#[inline(always)]
fn three<S: Simd, T: Size>(s: S, _: T, t: [S::F; N]) -> [S::F; 3] {
    let c = |x: f64| s.splat(x as f32);
    let (s1, d1) = (t[1] + t[2], t[1] - t[2]);
    if T::M == 4 {
        let (s2, d2) = (t[3] + t[4], t[3] - t[4]);
        [t[0] + (s1 + s2), c(A).mul_add(d1, c(B) * d2), c(A * A).mul_add(s1, c(B * B).mul_add(s2, t[5]))]
    } else {
        [t[0] + s1, d1, s1 + t[3]]
    }
}

/// Kernel: R taps to N points. The kernel itself has three; its gradient takes M outputs as taps.
#[inline(always)]
fn taps<S: Simd, T: Size>(s: S, _: T, count: usize, g: [S::F; 4]) -> [S::F; N] {
    let c = |x: f64| s.splat(x as f32);
    if T::M == 4 {
        // One over the derivative of the points' polynomial.
        let (na, nb) = (1.0 / (2.0 * A * A * (A * A - B * B)), 1.0 / (2.0 * B * B * (B * B - A * A)));
        let even = |n: f64, p: f64| c(n * p * p).mul_add(g[2], c(n) * g[0]);
        let odd = |n: f64, p: f64| {
            let linear = c(n * p) * g[1];
            if count == 4 { c(n * p * p * p).mul_add(g[3], linear) } else { linear }
        };
        let (ea, oa, eb, ob) = (even(na, A), odd(na, A), even(nb, B), odd(nb, B));
        [c(1.0 / (A * A * B * B)) * g[0], ea + oa, ea - oa, eb + ob, eb - ob, g[count - 1]]
    } else {
        let half = c(0.5);
        let even = if count == 3 { half * (g[0] + g[2]) } else { half * g[0] };
        let odd = half * g[1];
        [-g[0], even + odd, even - odd, g[count - 1], s.zero(), s.zero()]
    }
}

/// Tiles and channels of one pass, and how they lie in memory.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Channels in and out of the products.
    ci: usize,
    co: usize,
    h: usize,
    w: usize,
    /// Tiles in a column and in a row of the image.
    th: usize,
    tw: usize,
    /// Edge of a tile.
    m: usize,
}

impl Layout {
    fn new(conv: &Conv2d, m: usize, ci: usize, co: usize) -> Self {
        let [h, w] = conv.size;
        Self { ci, co, h, w, th: h.div_ceil(m), tw: w.div_ceil(m), m }
    }

    /// Pixels between two tiles' data at one place and one point: channels in whole vectors, off the page size.
    fn row(channels: usize, lanes: usize) -> usize {
        let row = channels.next_multiple_of(lanes);
        if row.is_multiple_of(256) { row + lanes } else { row }
    }

    /// Columns of the padded line of pixels.
    fn line(&self) -> usize {
        self.tw * self.m + 2
    }
}

/// Convolution with w, or with `flip` the correlation that is its input's gradient.
pub(super) fn correlate<T: Size>(
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
    let at = Layout::new(conv, T::M, ci, co);
    let (points, width) = ((T::M + 2) * (T::M + 2), panel_width(level));
    let panels = co.div_ceil(width);
    let mut kernel = Scratch::new(points * panels * ci * width);
    {
        let shared = Shared::new(&mut kernel);
        for_each(panels, |p| {
            // SAFETY: panel p writes its own places, inside the buffer.
            unsafe { kernel_at(level, size, w, flip, at, p, panels, shared.as_ptr()) }
        });
    }
    let rows = conv.batch * at.th;
    let step = rows_a_block(&at, rows);
    let y = Shared::new(y);
    for_each(rows.div_ceil(step), |block| {
        let rows = block * step..rows.min(block * step + step);
        // SAFETY: blocks are disjoint rows of tiles, and every row has its own rows of y.
        unsafe { tiles_at(level, size, at, rows, x, &kernel, bias, y.as_ptr()) }
    });
}

/// Rows of tiles to a block: enough to use the kernel well, few enough that the block stays near the second-level
/// cache, and some blocks for every thread.
fn rows_a_block(at: &Layout, rows: usize) -> usize {
    let floats = (at.m + 2) * (at.m + 2) * (at.ci + at.co);
    let tiles = ((1 << 18) / floats).clamp(24, 96);
    (tiles / at.tw).clamp(1, rows.div_ceil(4).max(1))
}

type Rows = std::ops::Range<usize>;
dispatch! { unsafe fn kernel_at<T: Size>(size: T, w: &[f32], flip: bool, at: Layout, p: usize, panels: usize, out: *mut f32) = kernel; }
dispatch! { unsafe fn tiles_at<T: Size>(size: T, at: Layout, rows: Rows, x: &[f32], weights: &[f32], bias: Option<&[f32]>, y: *mut f32) = tiles; }
dispatch! { unsafe fn gradient_at<T: Size>(size: T, at: Layout, rows: Rows, x: &[f32], dy: &[f32], sums: &mut [f32], first: bool) = gradient; }
dispatch! { fn finish_at<T: Size>(size: T, at: Layout, sums: &[f32], dw: &mut [f32]) = finish; }

/// The kernel's panel p at all points: `out[point, panel, channel in, column]`.
///
/// # Safety
/// `out` has room for all panels, and nobody else writes panel p.
#[inline(always)]
unsafe fn kernel<S: Simd, T: Size>(
    s: S,
    size: T,
    w: &[f32],
    flip: bool,
    at: Layout,
    p: usize,
    panels: usize,
    out: *mut f32,
) {
    let (l, n) = (S::LANES, T::M + 2);
    for ci in 0..at.ci {
        for half in 0..2 {
            let first = p * 2 * l + half * l;
            let mut taps9 = [[0.0; crate::simd::MAX_LANES]; 9];
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
                let t = taps(s, size, 3, [g(j), g(3 + j), g(6 + j), s.zero()]);
                for i in 0..n {
                    columns[i][j] = t[i];
                }
            }
            for i in 0..n {
                let t = taps(s, size, 3, columns[i]);
                for j in 0..n {
                    // SAFETY: point < N², panel p, channel ci, one half: inside the buffer.
                    unsafe { s.write(out.add((((i * n + j) * panels + p) * at.ci + ci) * 2 * l + half * l), t[j]) }
                }
            }
        }
    }
}

/// Lines `top..top + lines` of `lanes ≤ LANES` channel planes from `x`, with channels as lanes:
/// `out[line, column, lane]`, the columns beginning one left of the image, zeros outside.
///
/// # Safety
/// `x` points at the first plane; `out` holds `lines × line × LANES` numbers, its border columns already zero.
#[inline(always)]
unsafe fn gather<S: Simd>(
    s: S,
    at: &Layout,
    x: *const f32,
    lanes: usize,
    top: isize,
    lines: usize,
    left: usize,
    line: usize,
    out: *mut f32,
) {
    let l = S::LANES;
    for i in 0..lines {
        let y = top + i as isize;
        // SAFETY: line y of each of `lanes` planes; `w ≤ line − left` columns of `out`.
        unsafe {
            let out = out.add(i * line * l);
            if y >= 0 && (y as usize) < at.h {
                s.transpose(lanes, at.w, x.add(y as usize * at.w), at.h * at.w, out.add(left * l), l);
            } else {
                std::slice::from_raw_parts_mut(out, line * l).fill(0.0);
            }
        }
    }
}

/// The data of tile rows at all points: `out[point, tile, channel]`, points `apart`, tiles `row` numbers.
///
/// # Safety
/// `out` has room for them; `lines` for `N × line × LANES` numbers.
#[inline(always)]
unsafe fn data_tiles<S: Simd, T: Size>(
    s: S,
    size: T,
    at: &Layout,
    rows: Rows,
    x: &[f32],
    out: *mut f32,
    apart: usize,
    row: usize,
    lines: &mut [f32],
) {
    let (l, n, line) = (S::LANES, T::M + 2, at.line());
    let plane = at.h * at.w;
    assert!(lines.len() >= n * line * l && x.len() >= rows.end.div_ceil(at.th) * at.ci * plane);
    lines.fill(0.0);
    let lines = lines.as_mut_ptr();
    for (r, tile_row) in rows.enumerate() {
        let (image, down) = (tile_row / at.th, tile_row % at.th);
        let top = (down * T::M) as isize - 1;
        let mut c = 0;
        while c < at.ci {
            // SAFETY: channels c.. of one image are in x, as checked; `lines` has N lines; the transform stays within
            // `line` columns and the caller's part of `out`.
            unsafe {
                let x = x.as_ptr().add((image * at.ci + c) * plane);
                gather(s, at, x, l.min(at.ci - c), top, n, 1, line, lines);
                for q in 0..line {
                    let p = lines.add(q * l);
                    let mut column = [s.zero(); N];
                    for i in 0..n {
                        column[i] = s.read(p.add(i * line * l));
                    }
                    let column = data(s, size, column);
                    for i in 0..n {
                        s.write(p.add(i * line * l), column[i]);
                    }
                }
                for t in 0..at.tw {
                    for i in 0..n {
                        let mut across = [s.zero(); N];
                        for j in 0..n {
                            across[j] = s.read(lines.add((i * line + t * T::M + j) * l));
                        }
                        let across = data(s, size, across);
                        for j in 0..n {
                            s.write(out.add((i * n + j) * apart + (r * at.tw + t) * row + c), across[j]);
                        }
                    }
                }
            }
            c += l;
        }
    }
}

/// Rows of tiles from x to y.
///
/// # Safety
/// These rows of y can be written and nobody else does; `kernel` is what [`kernel`] made.
#[inline(always)]
unsafe fn tiles<S: Simd, T: Size>(
    s: S,
    size: T,
    at: Layout,
    rows: Rows,
    x: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    y: *mut f32,
) {
    let (l, n, line) = (S::LANES, T::M + 2, at.line());
    let (points, width) = (n * n, 2 * l);
    let panels = at.co.div_ceil(width);
    let count = rows.len() * at.tw;
    let (in_row, out_row) = (Layout::row(at.ci, l), Layout::row(at.co, l));
    // The points' blocks begin a line apart in the cache.
    let (in_apart, out_apart) = (count * in_row + 16, count * out_row + 16);
    let mut scratch = Scratch::new(points * (in_apart + out_apart) + n * line * l);
    let (inputs, rest) = scratch.split_at_mut(points * in_apart);
    let (outputs, lines) = rest.split_at_mut(points * out_apart);
    assert!(kernel.len() >= points * panels * at.ci * width);
    // SAFETY: the buffers are as long as just computed.
    unsafe {
        data_tiles(s, size, &at, rows.clone(), x, inputs.as_mut_ptr(), in_apart, in_row, lines);
        for point in 0..points {
            for p in 0..panels {
                let a = (inputs.as_ptr().add(point * in_apart), in_row, 1);
                let b = (kernel.as_ptr().add((point * panels + p) * at.ci * width), width);
                let c = (outputs.as_mut_ptr().add(point * out_apart + p * width), out_row);
                // Whole vectors: the kernel's columns beyond the last channel are zero.
                let cols = width.min((at.co - p * width).next_multiple_of(l));
                deep_panel(s, count, at.ci, a, b, c, cols, Start::Zero);
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
                    s.load_part(&bias[row + c..][..lanes], 0.0)
                }
                None => s.zero(),
            };
            // SAFETY: `outputs` holds every tile of the rows; `lines` has M ≤ N lines of M tw ≤ line columns; of y only the
            // image's own lines and columns are written.
            unsafe {
                for t in 0..at.tw {
                    let source = outputs.add((r * at.tw + t) * out_row + c);
                    let mut columns = [[s.zero(); N]; 4];
                    for i in 0..n {
                        let mut across = [s.zero(); N];
                        for j in 0..n {
                            across[j] = s.read(source.add((i * n + j) * out_apart));
                        }
                        let across = result(s, size, across);
                        for q in 0..T::M {
                            columns[q][i] = across[q];
                        }
                    }
                    for q in 0..T::M {
                        let column = result(s, size, columns[q]);
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

/// The gradient by the kernel: F(3×3, M×M) with the output's gradient as the kernel.
///
/// The batch is cut into at most eight runs of tile rows. Each run's sum is taken over its blocks in order and carried
/// back to 3×3; then the runs are added in order.
pub(super) fn weight_gradient<T: Size>(level: Level, size: T, conv: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let at = Layout::new(conv, T::M, conv.ci, conv.co);
    let rows = conv.batch * at.th;
    let width = panel_width(level);
    let panels = at.co.div_ceil(width);
    let sums_len = (T::M + 2) * (T::M + 2) * panels * at.ci * width;
    let runs = (rows * at.tw / 32).clamp(1, 8).min(rows);
    let step = rows_a_block(&at, rows);
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
                unsafe { gradient_at(level, size, at, row..next, x, dy, &mut sums, row == begin) };
                row = next;
            }
            // SAFETY: every run has its own part.
            let part = unsafe { parts.part(run * len..(run + 1) * len) };
            finish_at(level, size, at, &sums, part);
        });
    }
    super::add_parts(&parts, dw);
}

/// Adds the products of some tile rows to `sums[point, panel, channel in, column]`, or begins with them.
///
/// # Safety
/// `sums` has room for all panels at all points.
#[inline(always)]
unsafe fn gradient<S: Simd, T: Size>(
    s: S,
    size: T,
    at: Layout,
    rows: Rows,
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
    first: bool,
) {
    let (l, n, line) = (S::LANES, T::M + 2, at.line());
    let (points, width) = (n * n, 2 * l);
    let panels = at.co.div_ceil(width);
    let count = rows.len() * at.tw;
    let in_row = Layout::row(at.ci, l);
    let (in_apart, dy_apart) = (count * in_row + 16, count * panels * width + 16);
    let mut scratch = Scratch::new(points * (in_apart + dy_apart) + n * line * l);
    let (inputs, rest) = scratch.split_at_mut(points * in_apart);
    let (outputs, lines) = rest.split_at_mut(points * dy_apart);
    let start = if first { Start::Zero } else { Start::Old };
    // SAFETY: the buffers are as long as just computed.
    unsafe {
        data_tiles(s, size, &at, rows.clone(), x, inputs.as_mut_ptr(), in_apart, in_row, lines);
        output_tiles(s, size, &at, rows, dy, outputs.as_mut_ptr(), dy_apart, count, lines);
        for point in 0..points {
            for p in 0..panels {
                let a = (inputs.as_ptr().add(point * in_apart), 1, in_row);
                let b = (outputs.as_ptr().add(point * dy_apart + p * count * width), width);
                let c = (sums.as_mut_ptr().add((point * panels + p) * at.ci * width), width);
                let cols = width.min((at.co - p * width).next_multiple_of(l));
                panel(s, at.ci, count, a, b, c, cols, start);
            }
        }
    }
}

/// The output's gradient at all points: `out[point, panel, tile, column]`.
///
/// # Safety
/// `out` has room for them; `lines` for `N × line × LANES` numbers.
#[inline(always)]
unsafe fn output_tiles<S: Simd, T: Size>(
    s: S,
    size: T,
    at: &Layout,
    rows: Rows,
    dy: &[f32],
    out: *mut f32,
    apart: usize,
    count: usize,
    lines: &mut [f32],
) {
    let (l, n, line) = (S::LANES, T::M + 2, at.line());
    let (plane, width) = (at.h * at.w, 2 * S::LANES);
    assert!(lines.len() >= n * line * l && dy.len() >= rows.end.div_ceil(at.th) * at.co * plane);
    lines.fill(0.0);
    let lines = lines.as_mut_ptr();
    for (r, tile_row) in rows.enumerate() {
        let (image, down) = (tile_row / at.th, tile_row % at.th);
        let mut c = 0;
        while c < at.co {
            let lanes = l.min(at.co - c);
            // SAFETY: as in `data_tiles`; here every column is an output's, so none is left of the image.
            unsafe {
                if lanes < l {
                    // Lanes beyond the last channel must be zero: they are columns of the products.
                    std::slice::from_raw_parts_mut(lines, n * line * l).fill(0.0);
                }
                let dy = dy.as_ptr().add((image * at.co + c) * plane);
                gather(s, at, dy, lanes, (down * T::M) as isize, T::M, 0, line, lines);
                let out = out.add(c / width * count * width + c % width);
                for t in 0..at.tw {
                    let mut columns = [[s.zero(); 4]; N];
                    for q in 0..T::M {
                        let mut column = [s.zero(); 4];
                        for i in 0..T::M {
                            column[i] = s.read(lines.add((i * line + t * T::M + q) * l));
                        }
                        let column = taps(s, size, T::M, column);
                        for i in 0..n {
                            columns[i][q] = column[i];
                        }
                    }
                    for i in 0..n {
                        let across = taps(s, size, T::M, columns[i]);
                        for j in 0..n {
                            s.write(out.add((i * n + j) * apart + (r * at.tw + t) * width), across[j]);
                        }
                    }
                }
            }
            c += l;
        }
    }
}

/// From points back to the 3×3 kernel's gradient.
#[inline(always)]
fn finish<S: Simd, T: Size>(s: S, size: T, at: Layout, sums: &[f32], dw: &mut [f32]) {
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
                    let across = three(s, size, across);
                    for q in 0..3 {
                        columns[q][i] = across[q];
                    }
                }
                let mut taps9 = [[0.0; crate::simd::MAX_LANES]; 9];
                for q in 0..3 {
                    let column = three(s, size, columns[q]);
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
