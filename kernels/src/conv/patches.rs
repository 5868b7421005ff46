//! Convolutions as products with patches, gathered a block of pixels at a time.
//!
//! The patches of a block are a matrix `[in × kernel height × kernel width, pixels]`; it is never there as a whole. With
//! pixels as the vector's lanes the output of a block lands where it belongs.
use super::Conv2d;
use crate::parallel::{Scratch, Shared, for_each};
use crate::product::{DEPTH, Start, deep_panel, panel, panel_width};
use crate::simd::{Level, Simd, dispatch};
use std::ops::Range;

/// Output pixels of a task.
const PIXELS: usize = 256;

/// Output pixels gathered together. Those of a 1×1 kernel are read line by line once, in runs as long as the second-level
/// cache allows: memory is what it waits for.
fn block_size(conv: &Conv2d) -> usize {
    let pixelwise = conv.kernel == [1, 1] && conv.size[0] == 1;
    if pixelwise { ((1 << 17) / conv.ci.clamp(1, DEPTH)).clamp(PIXELS, 1024) } else { PIXELS }
}

/// A kernel `[out, in …]` as rows a whole number of chains long, and off the page size.
fn row_length(k: usize) -> usize {
    if k.is_multiple_of(256) { k + 16 } else { k }
}

/// The same convolution of images whose lines are one: pixels of a 1×1 kernel have no neighbours.
fn flat(conv: &Conv2d) -> Conv2d {
    let [h, w] = conv.size;
    let pixelwise = conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.padding == [0, 0];
    Conv2d { size: if pixelwise { [1, h * w] } else { [h, w] }, ..*conv }
}

/// Pixels `first..first + len` of one line of the output, which go to `to..` of the block.
#[derive(Clone, Copy)]
struct Run {
    y: usize,
    x: usize,
    len: usize,
    to: usize,
}

/// The lines that a range of pixels consists of.
fn runs(pixels: Range<usize>, width: usize) -> impl Iterator<Item = Run> + Clone {
    let first = pixels.start;
    (pixels.start / width..pixels.end.div_ceil(width)).map(move |y| {
        let (begin, end) = (pixels.start.max(y * width), pixels.end.min((y + 1) * width));
        Run { y, x: begin - y * width, len: end - begin, to: begin - first }
    })
}

/// The patches of some output pixels: for each `k` of `ks`, which counts `(channel, p, q)`, a row of `out`.
fn gather(conv: &Conv2d, image: &[f32], ks: Range<usize>, pixels: Range<usize>, out: &mut [f32], ld: usize) {
    let [h, w] = conv.size;
    let [kh, kw] = conv.kernel;
    let runs = runs(pixels, conv.output_size()[1]);
    for (k, row) in ks.zip(out.chunks_mut(ld)) {
        let (c, p, q) = (k / (kh * kw), k / kw % kh, k % kw);
        let plane = &image[c * h * w..][..h * w];
        for run in runs.clone() {
            let out = &mut row[run.to..][..run.len];
            let y = (run.y * conv.stride[0] + p).wrapping_sub(conv.padding[0]);
            if y >= h {
                out.fill(0.0);
                continue;
            }
            let line = &plane[y * w..][..w];
            let step = conv.stride[1];
            // Column of the first pixel, one border to the right to stay positive.
            let x = run.x * step + q;
            let border = conv.padding[1];
            // Pixels whose column is inside of the image.
            let begin = border.saturating_sub(x).div_ceil(step).min(run.len);
            let end = (w + border).saturating_sub(x).div_ceil(step).clamp(begin, run.len);
            out[..begin].fill(0.0);
            out[end..].fill(0.0);
            if begin < end {
                let line = &line[x + begin * step - border..];
                let inside = &mut out[begin..end];
                if step == 1 {
                    inside.copy_from_slice(&line[..inside.len()]);
                } else if step == 2 {
                    // In pairs, which the compiler makes vectors of; the last may lack its second.
                    let (last, most) = inside.split_last_mut().expect("a pixel at least");
                    *last = line[2 * most.len()];
                    for (out, pair) in most.iter_mut().zip(line.chunks_exact(2)) {
                        *out = pair[0];
                    }
                } else {
                    for (out, x) in inside.iter_mut().zip(line.iter().step_by(step)) {
                        *out = *x;
                    }
                }
            }
        }
    }
}

/// Adds the rows of patches back to where they came from.
fn scatter(conv: &Conv2d, planes: &mut [f32], pixels: Range<usize>, patches: &[f32], ld: usize, count: usize) {
    let [h, w] = conv.size;
    let [kh, kw] = conv.kernel;
    let runs = runs(pixels, conv.output_size()[1]);
    for (k, row) in patches.chunks(ld).take(count).enumerate() {
        let (c, p, q) = (k / (kh * kw), k / kw % kh, k % kw);
        let plane = &mut planes[c * h * w..][..h * w];
        for run in runs.clone() {
            let y = (run.y * conv.stride[0] + p).wrapping_sub(conv.padding[0]);
            if y >= h {
                continue;
            }
            let (step, border) = (conv.stride[1], conv.padding[1]);
            let x = run.x * step + q;
            let begin = border.saturating_sub(x).div_ceil(step).min(run.len);
            let end = (w + border).saturating_sub(x).div_ceil(step).clamp(begin, run.len);
            if begin < end {
                let (line, patches) =
                    (&mut plane[y * w + x + begin * step - border..], &row[run.to + begin..run.to + end]);
                if step == 1 {
                    line.iter_mut().zip(patches).for_each(|(x, patch)| *x += patch);
                    continue;
                }
                if step == 2 {
                    let (last, most) = patches.split_last().expect("a pixel at least");
                    line[2 * most.len()] += last;
                    line.chunks_exact_mut(2).zip(most).for_each(|(pair, patch)| pair[0] += patch);
                    continue;
                }
                for (x, patch) in line.iter_mut().step_by(step).zip(patches) {
                    *x += patch;
                }
            }
        }
    }
}

/// One correlation of an image with a kernel: also the input's gradient at stride 1, with the kernel turned about.
pub(super) fn forward(level: Level, conv: &Conv2d, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let conv = &flat(conv);
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
        // SAFETY: every task has its own pixels of its own image; y has `co` planes of `pixels` an image.
        unsafe { pixels_at(level, conv, image, weights, ld, bias, range, pixels, y.as_ptr().add(n * conv.co * pixels)) }
    });
}

/// Some pixels of one image's output.
///
/// # Safety
/// `y` points at `co` planes of `plane` pixels, of which nobody else writes these.
#[inline(always)]
unsafe fn block<S: Simd>(
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
            let start = match (k0, bias) {
                (0, Some(bias)) => Start::RowBias(bias.as_ptr()),
                (0, None) => Start::Zero,
                _ => Start::Old,
            };
            assert!(weights.len() >= (conv.co - 1) * ld + k0 + depth);
            // SAFETY: `co` rows of weights; `depth` rows of patches, each a whole number of vectors and more; the caller's y.
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
                    start,
                );
            }
            first += width;
        }
        k0 += depth;
    }
}
dispatch! { unsafe fn pixels_at(conv: &Conv2d, image: &[f32], weights: &[f32], ld: usize, bias: Option<&[f32]>, pixels: Range<usize>, plane: usize, y: *mut f32) = block; }

/// The gradient by the input.
pub(super) fn input_gradient(level: Level, conv: &Conv2d, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let conv = &flat(conv);
    let [kh, kw] = conv.kernel;
    let taps = kh * kw;
    let fits = conv.padding[0] < kh && conv.padding[1] < kw;
    if conv.stride == [1, 1] && fits && conv.output_len() > 0 {
        // A correlation with the kernel turned about and its channels exchanged.
        let mut turned = Scratch::new(w.len());
        for (i, out) in turned.chunks_exact_mut(taps).enumerate() {
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
        return forward(level, &back, dy, &turned, None, dx);
    }
    // Patches' gradients, a block of pixels at a time, added back. A task has some channels of one image to itself.
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
        // SAFETY: every task has its own planes.
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
            back_at(level, conv.co, dy, pixels, range.clone(), &w[first * taps..], k, count, &mut patches, row);
            scatter(conv, planes, range, &patches, row, count);
        }
    });
}

/// `patches[k, pixel] = Σ_o w[o, k] dy[o, pixel]` for `count` rows `k`.
#[inline(always)]
fn back<S: Simd>(
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
        let start = if o == 0 { Start::Zero } else { Start::Old };
        let mut first = 0;
        while first < pixels.len() {
            assert!(w.len() >= (o + depth - 1) * k + count && patches.len() >= count * row && row >= first + width);
            // SAFETY: as just checked; `packed` has `depth` rows of `row` numbers.
            unsafe {
                let c = (patches.as_mut_ptr().add(first), row);
                panel(s, count, depth, (w.as_ptr().add(o * k), 1, k), (packed[first..].as_ptr(), row), c, width, start);
            }
            first += width;
        }
        o += depth;
    }
}
dispatch! { fn back_at(co: usize, dy: &[f32], plane: usize, pixels: Range<usize>, w: &[f32], k: usize, count: usize, patches: &mut [f32], row: usize) = back; }

/// The gradient by the kernel: patches times the output's gradient, summed over the pixels.
///
/// Tasks are groups of channels in and groups of samples, both fixed by the shapes; the groups of samples are added in
/// order.
pub(super) fn weight_gradient(level: Level, conv: &Conv2d, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let conv = &flat(conv);
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
            // SAFETY: every task has its own columns of its own group's part.
            unsafe { slice_at(level, conv, x, dy, samples, channels, parts.as_ptr().add(group * len)) }
        });
    }
    super::add_parts(&parts, dw);
}

/// The kernel's gradient for some channels in, summed over some samples.
///
/// # Safety
/// `out` points at a whole kernel, and nobody else writes these channels of it.
#[inline(always)]
unsafe fn slice<S: Simd>(
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
    let (sums, turned) = rest.split_at_mut(rows * cols);
    // Columns beyond the last channel, and old sums, must not be seen.
    sums.fill(0.0);
    turned.fill(0.0);
    let ld = cols + 8;
    for n in samples {
        let (image, dy) = (&x[n * in_len..][..in_len], &dy[n * out_len..][..out_len]);
        let mut begin = 0;
        while begin < pixels {
            let count = block.min(pixels - begin);
            gather(conv, image, ks.clone(), begin..begin + count, patches, row);
            // SAFETY: `count` columns of `co` planes of dy; `block × ld` numbers in `turned`; `rows` rows of patches and sums.
            unsafe {
                s.transpose(conv.co, count, dy.as_ptr().add(begin), pixels, turned.as_mut_ptr(), ld);
                let mut o = 0;
                while o < conv.co {
                    let a = (patches.as_ptr(), row, 1);
                    let have = width.min((conv.co - o).next_multiple_of(S::LANES));
                    let (b, sums) = ((turned.as_ptr().add(o), ld), (sums.as_mut_ptr().add(o), cols));
                    deep_panel(s, rows, count, a, b, sums, have, Start::Old);
                    o += width;
                }
            }
            begin += count;
        }
    }
    // SAFETY: columns `ks` of `co` rows of the caller's.
    unsafe { s.transpose(rows, conv.co, sums.as_ptr(), cols, out.add(ks.start), conv.ci * taps) }
}
dispatch! { unsafe fn slice_at(conv: &Conv2d, x: &[f32], dy: &[f32], samples: Range<usize>, channels: Range<usize>, out: *mut f32) = slice; }
