//! Patches of an image as a matrix (im2col), and their sum back into an image (col2im).
//!
//! Row `k = (c, p, q)` of the matrix holds, for every output pixel (i, j), the input value at channel c, line
//! `s i + p − pad`, column `s j + q − pad`, or zero if that lies in the padding.
use super::shape::Conv2d;
use std::ops::Range;

/// Pixels `x..x + len` of line `y` of the output, which are columns `to..to + len` of the matrix.
#[derive(Clone, Copy)]
struct Run {
    y: usize,
    x: usize,
    len: usize,
    to: usize,
}

/// Splits a range of output pixels into lines.
fn runs(pixels: Range<usize>, width: usize) -> impl Iterator<Item = Run> + Clone {
    let first = pixels.start;
    (pixels.start / width..pixels.end.div_ceil(width)).map(move |y| {
        let (begin, end) = (pixels.start.max(y * width), pixels.end.min((y + 1) * width));
        Run { y, x: begin - y * width, len: end - begin, to: begin - first }
    })
}

/// Gathers the patches of some output pixels: for each `k` in `ks`, which enumerates `(channel, p, q)`, a row of `out`.
///
/// # Shapes
/// `image: [in, h, w]`, `out: [ks, ld]`.
pub(super) fn gather(conv: &Conv2d, image: &[f32], ks: Range<usize>, pixels: Range<usize>, out: &mut [f32], ld: usize) {
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
            // Column of the first pixel, plus the padding to keep it non-negative.
            let x = run.x * step + q;
            let pad = conv.padding[1];
            // Pixels whose column lies inside the image.
            let begin = pad.saturating_sub(x).div_ceil(step).min(run.len);
            let end = (w + pad).saturating_sub(x).div_ceil(step).clamp(begin, run.len);
            out[..begin].fill(0.0);
            out[end..].fill(0.0);
            if begin < end {
                let line = &line[x + begin * step - pad..];
                let inside = &mut out[begin..end];
                if step == 1 {
                    inside.copy_from_slice(&line[..inside.len()]);
                } else if step == 2 {
                    // In pairs, which the compiler vectorizes; the last may lack its second element.
                    let (last, rest) = inside.split_last_mut().expect("there is at least one pixel");
                    *last = line[2 * rest.len()];
                    for (out, pair) in rest.iter_mut().zip(line.chunks_exact(2)) {
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

/// Adds the rows of a matrix of patches to the elements that [`gather`] reads: its transpose.
///
/// # Shapes
/// `planes: [channels, h, w]`, `patches: [count, ld]`.
pub(super) fn scatter(
    conv: &Conv2d,
    planes: &mut [f32],
    pixels: Range<usize>,
    patches: &[f32],
    ld: usize,
    count: usize,
) {
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
            let (step, pad) = (conv.stride[1], conv.padding[1]);
            let x = run.x * step + q;
            let begin = pad.saturating_sub(x).div_ceil(step).min(run.len);
            let end = (w + pad).saturating_sub(x).div_ceil(step).clamp(begin, run.len);
            if begin < end {
                let (line, patches) =
                    (&mut plane[y * w + x + begin * step - pad..], &row[run.to + begin..run.to + end]);
                if step == 1 {
                    line.iter_mut().zip(patches).for_each(|(x, patch)| *x += patch);
                    continue;
                }
                if step == 2 {
                    let (last, rest) = patches.split_last().expect("there is at least one pixel");
                    line[2 * rest.len()] += last;
                    line.chunks_exact_mut(2).zip(rest).for_each(|(pair, patch)| pair[0] += patch);
                    continue;
                }
                for (x, patch) in line.iter_mut().step_by(step).zip(patches) {
                    *x += patch;
                }
            }
        }
    }
}
