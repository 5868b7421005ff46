//! Images as tiles, transformed to points, with channels as the lanes of the vectors.
use super::transform::{N, TileSize, transform_input, transform_kernel};
use crate::conv::shape::Conv2d;
use crate::simd::Simd;
use std::ops::Range;

/// Tiles and channels of one pass, and their layout in memory.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    /// Channels in and out of the products.
    pub(super) ci: usize,
    pub(super) co: usize,
    /// Height and width of the image.
    pub(super) h: usize,
    pub(super) w: usize,
    /// Tiles in a column and in a row of the image.
    pub(super) th: usize,
    pub(super) tw: usize,
    /// Edge length of a tile of outputs.
    pub(super) m: usize,
}

impl Tiling {
    pub(super) fn new(conv: &Conv2d, m: usize, ci: usize, co: usize) -> Self {
        let [h, w] = conv.size;
        Self { ci, co, h, w, th: h.div_ceil(m), tw: w.div_ceil(m), m }
    }

    /// Stride from a tile to the next at one point: the channels in whole vectors, not a multiple of the page size.
    pub(super) fn row(channels: usize, lanes: usize) -> usize {
        let row = channels.next_multiple_of(lanes);
        if row.is_multiple_of(256) { row + lanes } else { row }
    }

    /// Number of columns of a padded line of pixels.
    pub(super) fn line(&self) -> usize {
        self.tw * self.m + 2
    }

    /// Rows of tiles per block: enough to amortize the loads of the kernel, few enough that the block fits the
    /// second-level cache and that there are several blocks.
    pub(super) fn rows_per_block(&self, rows: usize) -> usize {
        let floats = (self.m + 2) * (self.m + 2) * (self.ci + self.co);
        let tiles = ((1 << 18) / floats).clamp(24, 96);
        (tiles / self.tw).clamp(1, rows.div_ceil(4).max(1))
    }
}

/// Gathers lines `top..top + lines` of `lanes ≤ LANES` channel planes, with channels as lanes:
/// `out[line, column, lane]`, column `left` of `out` being column 0 of the image, zeros outside of the image.
///
/// # Safety
/// `x` must point at the first plane; `out` must hold `lines × line × LANES` floats, with zeros in the columns outside
/// of the image.
#[inline(always)]
unsafe fn gather<S: Simd>(
    s: S,
    at: &Tiling,
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

/// Transforms the input of some rows of tiles: `out[point, tile, channel]`, with strides `apart` for points and `row`
/// for tiles.
///
/// # Safety
/// `out` must have room for them.
#[inline(always)]
pub(super) unsafe fn input_tiles<S: Simd, T: TileSize>(
    s: S,
    size: T,
    at: &Tiling,
    rows: Range<usize>,
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
            // `line` columns and within `out`, as guaranteed by the caller.
            unsafe {
                let x = x.as_ptr().add((image * at.ci + c) * plane);
                gather(s, at, x, l.min(at.ci - c), top, n, 1, line, lines);
                for q in 0..line {
                    let p = lines.add(q * l);
                    let mut column = [s.zero(); N];
                    for i in 0..n {
                        column[i] = s.read(p.add(i * line * l));
                    }
                    let column = transform_input(s, size, column);
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
                        let across = transform_input(s, size, across);
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

/// Transforms the output gradient of some rows of tiles: `out[point, panel, tile, column]`, with stride `apart` for
/// points.
///
/// # Safety
/// `out` must have room for them.
#[inline(always)]
pub(super) unsafe fn output_gradient_tiles<S: Simd, T: TileSize>(
    s: S,
    size: T,
    at: &Tiling,
    rows: Range<usize>,
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
            // SAFETY: as in `input_tiles`; the columns of the output gradient have no padding on the left.
            unsafe {
                if lanes < l {
                    // Lanes beyond the last channel are columns of the products and must be zero.
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
                        let column = transform_kernel(s, size, T::M, column);
                        for i in 0..n {
                            columns[i][q] = column[i];
                        }
                    }
                    for i in 0..n {
                        let across = transform_kernel(s, size, T::M, columns[i]);
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
