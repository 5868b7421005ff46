//! Convolutions as matrix products with patches, gathered a block of pixels at a time.
//!
//! The patches of a block are a matrix `[in × kernel height × kernel width, pixels]`, of which only [`DEPTH`] rows are
//! in memory at a time. Pixels are the lanes of the vectors, so the output of a block is written in its final layout.
use super::im2col::{gather, scatter};
use super::shape::Conv2d;
use crate::parallel::{Scratch, Shared, for_each, sum_parts};
use crate::product::{DEPTH, deep_panel, panel, panel_width};
use crate::simd::{Init, Level, Simd, dispatch};
use std::ops::Range;

/// Output pixels per task.
const PIXELS: usize = 256;

/// Output pixels gathered together. A 1×1 kernel is limited by memory: its pixels are read once, in runs as long as the
/// second-level cache allows.
fn block_size(conv: &Conv2d) -> usize {
    let pixelwise = conv.kernel == [1, 1] && conv.size[0] == 1;
    if pixelwise { ((1 << 17) / conv.ci.clamp(1, DEPTH)).clamp(PIXELS, 1024) } else { PIXELS }
}

/// Row stride of a kernel `[out, in …]` with rows of `k` elements: not a multiple of the page size.
fn row_length(k: usize) -> usize {
    if k.is_multiple_of(256) { k + 16 } else { k }
}

/// The same convolution with all lines of an image joined into one if the kernel is 1×1, for which neighboring pixels
/// do not matter.
fn join_lines(conv: &Conv2d) -> Conv2d {
    let [h, w] = conv.size;
    let pixelwise = conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.padding == [0, 0];
    Conv2d { size: if pixelwise { [1, h * w] } else { [h, w] }, ..*conv }
}

/// Computes the output: the correlation of every image with the kernel. Also the input gradient at stride 1, with the
/// kernel flipped.
pub(super) fn forward(level: Level, conv: &Conv2d, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let conv = &join_lines(conv);
    let k = conv.ci * conv.kernel[0] * conv.kernel[1];
    let [oh, ow] = conv.output_size();
    let (pixels, ld) = (oh * ow, row_length(k));
    if conv.output_len() == 0 {
        return;
    }
    if k == 0 {
        for (o, y) in y.chunks_exact_mut(pixels).enumerate() {
            y.fill(bias.map_or(0.0, |b| conv.bias_of(b, o / conv.co)[o % conv.co]));
        }
        return;
    }
    let mut copy = Scratch::new(if ld == k { 0 } else { conv.co * ld });
    let weights = if ld == k {
        w
    } else {
        for (copy, w) in copy.chunks_exact_mut(ld).zip(w.chunks_exact(k)) {
            copy[..k].copy_from_slice(w);
        }
        &copy[..]
    };
    let size = block_size(conv);
    let blocks = pixels.div_ceil(size);
    let y = Shared::new(y);
    for_each(conv.batch * blocks, |task| {
        let (n, block) = (task / blocks, task % blocks);
        let range = block * size..pixels.min(block * size + size);
        let bias = bias.map(|bias| conv.bias_of(bias, n));
        let image = &x[n * conv.ci * conv.size[0] * conv.size[1]..][..conv.ci * conv.size[0] * conv.size[1]];
        // SAFETY: every task writes its own pixels of its own image; y has `co` planes of `pixels` elements per image.
        unsafe {
            output_block_at(level, conv, image, weights, ld, bias, range, pixels, y.as_ptr().add(n * conv.co * pixels))
        }
    });
}

/// Computes some pixels of the output of one image.
///
/// # Safety
/// `y` must point at `co` planes of `plane` pixels, and no other task may write these pixels.
#[inline(always)]
unsafe fn output_block<S: Simd>(
    s: S,
    conv: &Conv2d,
    image: &[f32],
    weights: &[f32],
    ld: usize,
    bias: Option<&[f32]>,
    pixels: Range<usize>,
    plane: usize,
    y: *mut f32,
) {
    let width = 2 * S::LANES;
    let k = conv.ci * conv.kernel[0] * conv.kernel[1];
    let row = pixels.len().next_multiple_of(width) + 16;
    let mut patches = Scratch::new(DEPTH.min(k) * row);
    let mut k0 = 0;
    while k0 < k {
        let depth = DEPTH.min(k - k0);
        gather(conv, image, k0..k0 + depth, pixels.clone(), &mut patches, row);
        let mut first = 0;
        while first < pixels.len() {
            let cols = width.min(pixels.len() - first);
            let init = match (k0, bias) {
                (0, Some(bias)) => Init::RowBias(bias.as_ptr()),
                (0, None) => Init::Zero,
                _ => Init::Accumulate,
            };
            assert!(weights.len() >= (conv.co - 1) * ld + k0 + depth);
            // SAFETY: `co` rows of weights; `depth` rows of patches, padded to whole vectors; y as guaranteed by the
            // caller.
            unsafe {
                let c = y.add(pixels.start + first);
                panel(
                    s,
                    conv.co,
                    depth,
                    (weights[k0..].as_ptr(), ld, 1),
                    (patches[first..].as_ptr(), row),
                    (c, plane),
                    cols,
                    init,
                );
            }
            first += width;
        }
        k0 += depth;
    }
}
dispatch! {
    unsafe fn output_block_at(
        conv: &Conv2d, image: &[f32], weights: &[f32], ld: usize, bias: Option<&[f32]>, pixels: Range<usize>,
        plane: usize, y: *mut f32,
    ) = output_block;
}

/// Computes the gradient with respect to the input.
pub(super) fn input_gradient(level: Level, conv: &Conv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let conv = &join_lines(conv);
    let [kh, kw] = conv.kernel;
    let taps = kh * kw;
    let fits = conv.padding[0] < kh && conv.padding[1] < kw;
    if conv.stride == [1, 1] && fits && conv.output_len() > 0 {
        // A correlation with the kernel flipped and its channels exchanged.
        let mut flipped = Scratch::new(w.len());
        for (i, out) in flipped.chunks_exact_mut(taps).enumerate() {
            let (ci, co) = (i / conv.co, i % conv.co);
            let source = &w[(co * conv.ci + ci) * taps..][..taps];
            for (out, w) in out.iter_mut().zip(source.iter().rev()) {
                *out = *w;
            }
        }
        let [oh, ow] = conv.output_size();
        let back = Conv2d {
            ci: conv.co,
            co: conv.ci,
            size: [oh, ow],
            padding: [kh - 1 - conv.padding[0], kw - 1 - conv.padding[1]],
            ..*conv
        };
        return forward(level, &back, dy, &flipped, None, dx);
    }
    // Gradients of the patches, a block of pixels at a time, summed back into the image. A task owns some channels of
    // one image.
    let plane = conv.size[0] * conv.size[1];
    if dx.is_empty() {
        return;
    }
    let group = (96 / taps).clamp(1, conv.ci);
    let groups = conv.ci.div_ceil(group);
    let k = conv.ci * taps;
    let dx = Shared::new(dx);
    for_each(conv.batch * groups, |task| {
        let (n, first) = (task / groups, task % groups * group);
        let last = conv.ci.min(first + group);
        // SAFETY: every task writes its own planes.
        let planes = unsafe { dx.part((n * conv.ci + first) * plane..(n * conv.ci + last) * plane) };
        planes.fill(0.0);
        let [oh, ow] = conv.output_size();
        let (pixels, len) = (oh * ow, conv.co * oh * ow);
        let dy = &dy[n * len..][..len];
        let mut begin = 0;
        while begin < pixels {
            let range = begin..pixels.min(begin + PIXELS);
            begin = range.end;
            let row = range.len().next_multiple_of(panel_width(level)) + 16;
            let count = (last - first) * taps;
            let mut patches = Scratch::new(count * row);
            patch_gradient_at(
                level,
                conv.co,
                dy,
                pixels,
                range.clone(),
                &w[first * taps..],
                k,
                count,
                &mut patches,
                row,
            );
            scatter(conv, planes, range, &patches, row, count);
        }
    });
}

/// Computes the gradient with respect to the patches, `patches[k, pixel] = Σ_o w[o, k] dy[o, pixel]`, for `count` rows
/// `k`.
#[inline(always)]
fn patch_gradient<S: Simd>(
    s: S,
    co: usize,
    dy: &[f32],
    plane: usize,
    pixels: Range<usize>,
    w: &[f32],
    k: usize,
    count: usize,
    patches: &mut [f32],
    row: usize,
) {
    let width = 2 * S::LANES;
    let mut packed = Scratch::new(DEPTH.min(co) * row);
    let mut o = 0;
    while o < co {
        let depth = DEPTH.min(co - o);
        for (packed, dy) in packed.chunks_exact_mut(row).zip(dy.chunks_exact(plane).skip(o).take(depth)) {
            packed[..pixels.len()].copy_from_slice(&dy[pixels.clone()]);
        }
        let init = if o == 0 { Init::Zero } else { Init::Accumulate };
        let mut first = 0;
        while first < pixels.len() {
            assert!(w.len() >= (o + depth - 1) * k + count && patches.len() >= count * row && row >= first + width);
            // SAFETY: as checked above; `packed` has `depth` rows of `row` floats.
            unsafe {
                let c = (patches.as_mut_ptr().add(first), row);
                panel(s, count, depth, (w.as_ptr().add(o * k), 1, k), (packed[first..].as_ptr(), row), c, width, init);
            }
            first += width;
        }
        o += depth;
    }
}
dispatch! {
    fn patch_gradient_at(
        co: usize, dy: &[f32], plane: usize, pixels: Range<usize>, w: &[f32], k: usize, count: usize,
        patches: &mut [f32], row: usize,
    ) = patch_gradient;
}

/// Computes the gradient with respect to the kernel: the product of the patches with the output gradient, summed over
/// the pixels.
///
/// Tasks are groups of input channels and groups of samples, both fixed by the shapes; the groups of samples are added
/// in order.
pub(super) fn weight_gradient(level: Level, conv: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let conv = &join_lines(conv);
    let taps = conv.kernel[0] * conv.kernel[1];
    let (k, len) = (conv.ci * taps, dw.len());
    let [oh, ow] = conv.output_size();
    if len == 0 || conv.batch * oh * ow == 0 {
        return dw.fill(0.0);
    }
    let slices = (k / 64).clamp(1, 4).min(conv.ci);
    let groups = (16 / slices).clamp(1, conv.batch);
    let mut parts = Scratch::new(groups * len);
    {
        let parts = Shared::new(&mut parts);
        for_each(slices * groups, |task| {
            let (group, slice) = (task / slices, task % slices);
            let samples = conv.batch * group / groups..conv.batch * (group + 1) / groups;
            let channels = conv.ci * slice / slices..conv.ci * (slice + 1) / slices;
            // SAFETY: every task writes its own columns of the part of its own group.
            unsafe { weight_slice_at(level, conv, x, dy, samples, channels, parts.as_ptr().add(group * len)) }
        });
    }
    sum_parts(&parts, dw);
}

/// Computes the kernel gradient for some input channels, summed over some samples.
///
/// # Safety
/// `out` must point at a whole kernel, and no other task may write these channels of it.
#[inline(always)]
unsafe fn weight_slice<S: Simd>(
    s: S,
    conv: &Conv2d,
    x: &[f32],
    dy: &[f32],
    samples: Range<usize>,
    channels: Range<usize>,
    out: *mut f32,
) {
    let width = 2 * S::LANES;
    let taps = conv.kernel[0] * conv.kernel[1];
    let [oh, ow] = conv.output_size();
    let pixels = oh * ow;
    let ks = channels.start * taps..channels.end * taps;
    let (rows, cols) = (ks.len(), conv.co.next_multiple_of(width));
    let block = block_size(conv).min(pixels);
    let row = block + 16;
    let (in_len, out_len) = (conv.ci * conv.size[0] * conv.size[1], conv.co * pixels);
    let mut scratch = Scratch::new(rows * (row + cols) + block * (cols + 8));
    let (patches, rest) = scratch.split_at_mut(rows * row);
    let (sums, dy_t) = rest.split_at_mut(rows * cols);
    // Columns beyond the last channel, and the sums, start at zero.
    sums.fill(0.0);
    dy_t.fill(0.0);
    let ld = cols + 8;
    for n in samples {
        let (image, dy) = (&x[n * in_len..][..in_len], &dy[n * out_len..][..out_len]);
        let mut begin = 0;
        while begin < pixels {
            let count = block.min(pixels - begin);
            gather(conv, image, ks.clone(), begin..begin + count, patches, row);
            // SAFETY: `count` columns of `co` planes of dy; `block × ld` floats in `dy_t`; `rows` rows of patches and
            // sums.
            unsafe {
                s.transpose(conv.co, count, dy.as_ptr().add(begin), pixels, dy_t.as_mut_ptr(), ld);
                let mut o = 0;
                while o < conv.co {
                    let a = (patches.as_ptr(), row, 1);
                    let have = width.min((conv.co - o).next_multiple_of(S::LANES));
                    let (b, sums) = ((dy_t.as_ptr().add(o), ld), (sums.as_mut_ptr().add(o), cols));
                    deep_panel(s, rows, count, a, b, sums, have, Init::Accumulate);
                    o += width;
                }
            }
            begin += count;
        }
    }
    // SAFETY: columns `ks` of the `co` rows of the kernel, as guaranteed by the caller.
    unsafe { s.transpose(rows, conv.co, sums.as_ptr(), cols, out.add(ks.start), conv.ci * taps) }
}
dispatch! {
    unsafe fn weight_slice_at(
        conv: &Conv2d, x: &[f32], dy: &[f32], samples: Range<usize>, channels: Range<usize>, out: *mut f32,
    ) = weight_slice;
}
