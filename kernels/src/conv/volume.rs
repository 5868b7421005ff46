//! Three-dimensional convolutions by two-dimensional ones.
//!
//! A plane of the output is the convolution of the planes of the input that its kernel covers, whose channels are stacked:
//! `k · in` channels for k planes. So the fast methods of two dimensions serve three.
use super::Conv2d;
use crate::memory::unwritten;
use crate::parallel::{Shared, for_each};

/// Three-dimensional convolution of given shapes, with its gradients.
///
/// `y[n, o, l, i, j] = b[o] + Σ_{c,r,p,q} w[o, c, r, p, q] x[n, c, s l + r − pad, s i + p − pad, s j + q − pad]`
///
/// The result for a sample depends on that sample alone.
///
/// ```
/// use tweedie_kernels::Conv3d;
/// let conv = Conv3d::new([1, 1, 3, 1, 1], [1, 1, 3, 1, 1], [1; 3], [1, 0, 0]);
/// let mut y = [0.0; 3];
/// conv.forward(&[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0], Some(&[0.5]), &mut y);
/// assert_eq!(y, [3.5, 6.5, 5.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conv3d {
    /// The convolution of stacked planes; its batch is that of samples and planes of the output.
    planes: Conv2d,
    batch: usize,
    channels: [usize; 2],
    /// Planes of input and output.
    depth: [usize; 2],
    /// Planes of the kernel.
    taps: usize,
    stride: usize,
    padding: usize,
}

impl Conv3d {
    /// Creates a convolution of `input: [batch, in, depth, height, width]` with `weight: [out, in, kernel sizes…]`.
    ///
    /// # Panics
    /// If the channels differ, a stride is zero, or the padded input is smaller than the kernel.
    pub fn new(input: [usize; 5], weight: [usize; 5], stride: [usize; 3], padding: [usize; 3]) -> Self {
        let ([batch, ci, depth, h, w], [co, ci2, taps, kh, kw]) = (input, weight);
        assert_eq!(
            ci, ci2,
            "the kernel of a convolution must have as many input channels as the input, {ci}, got {ci2}"
        );
        assert!(stride[0] > 0, "the stride of a convolution must be at least 1, got {stride:?}");
        assert!(
            taps > 0 && depth + 2 * padding[0] >= taps,
            "a kernel of {taps} planes must fit into the padded input, got {depth} with padding {padding:?}"
        );
        let out = (depth + 2 * padding[0] - taps) / stride[0] + 1;
        let stacked = [batch * out, taps * ci, h, w];
        Self {
            planes: Conv2d::new(stacked, [co, taps * ci, kh, kw], [stride[1], stride[2]], [padding[1], padding[2]]),
            batch,
            channels: [ci, co],
            depth: [depth, out],
            taps,
            stride: stride[0],
            padding: padding[0],
        }
    }

    /// Returns the shapes of input, kernel and output.
    pub fn shapes(&self) -> [[usize; 5]; 3] {
        let ([[_, _, h, w], [_, _, kh, kw], [_, _, oh, ow]], [ci, co]) = (self.planes.shapes(), self.channels);
        let [depth, out] = self.depth;
        [[self.batch, ci, depth, h, w], [co, ci, self.taps, kh, kw], [self.batch, co, out, oh, ow]]
    }

    /// The plane of the input that tap r of plane `out` of the output reads; `None` in the padding.
    fn source(&self, out: usize, tap: usize) -> Option<usize> {
        (out * self.stride + tap).checked_sub(self.padding).filter(|plane| *plane < self.depth[0])
    }

    /// Stacks the planes of the input: `[batch · planes, taps · in, h, w]`.
    fn stack(&self, x: &[f32]) -> Vec<f32> {
        let ([[_, _, depth, h, w], ..], [ci, _]) = (self.shapes(), self.channels);
        let (size, each) = (h * w, self.taps * ci * h * w);
        let mut stacked = unwritten(self.batch * self.depth[1] * each);
        let parts = Shared::new(&mut stacked);
        for_each(self.batch * self.depth[1], |task| {
            let (n, out) = (task / self.depth[1], task % self.depth[1]);
            // SAFETY: every task writes the planes of its own row.
            let part = unsafe { parts.part(task * each..(task + 1) * each) };
            for (i, to) in part.chunks_exact_mut(size.max(1)).enumerate() {
                match self.source(out, i / ci) {
                    Some(plane) => to.copy_from_slice(&x[((n * ci + i % ci) * depth + plane) * size..][..size]),
                    None => to.fill(0.0),
                }
            }
        });
        stacked
    }

    /// The gradient of the input from that of [`stack`](Self::stack).
    fn unstack(&self, stacked: &[f32], dx: &mut [f32]) {
        let ([[_, _, depth, h, w], ..], [ci, _]) = (self.shapes(), self.channels);
        let (size, each) = (h * w, self.taps * ci * h * w);
        let parts = Shared::new(dx);
        for_each(self.batch * ci, |task| {
            let (n, c) = (task / ci, task % ci);
            // SAFETY: every task writes its own channel.
            let part = unsafe { parts.part(task * depth * size..(task + 1) * depth * size) };
            part.fill(0.0);
            for out in 0..self.depth[1] {
                for tap in 0..self.taps {
                    let Some(plane) = self.source(out, tap) else { continue };
                    let from = &stacked[(n * self.depth[1] + out) * each + (tap * ci + c) * size..][..size];
                    part[plane * size..][..size].iter_mut().zip(from).for_each(|(sum, x)| *sum += x);
                }
            }
        });
    }

    /// Exchanges the axes of planes and channels of the output: from `[batch, out, planes, …]` if `back`, else to it.
    fn exchange(&self, from: &[f32], to: &mut [f32], back: bool) {
        let ([.., [_, co, out, h, w]], size) =
            (self.shapes(), from.len() / (self.batch * self.channels[1] * self.depth[1]).max(1));
        debug_assert_eq!(size, h * w);
        let [rows, columns] = if back { [co, out] } else { [out, co] };
        let each = rows * columns * size;
        let parts = Shared::new(to);
        for_each(self.batch, |n| {
            // SAFETY: every task writes its own sample.
            let part = unsafe { parts.part(n * each..(n + 1) * each) };
            for (i, to) in part.chunks_exact_mut(size.max(1)).enumerate() {
                let (column, row) = (i / rows, i % rows);
                to.copy_from_slice(&from[n * each + (row * columns + column) * size..][..size]);
            }
        });
    }

    fn planes_first(&self, y: &[f32]) -> Vec<f32> {
        let mut planes = unwritten(y.len());
        self.exchange(y, &mut planes, true);
        planes
    }

    /// The kernel with the axes of its planes and input channels exchanged: `[out, in, taps, …]` from `[out, taps, in, …]`
    /// if `back`, else to it.
    fn kernel(&self, w: &[f32], back: bool) -> Vec<f32> {
        let ([_, [co, ci, taps, kh, kw], _], mut to) = (self.shapes(), vec![0.0; w.len()]);
        let size = kh * kw;
        for o in 0..co {
            for c in 0..ci {
                for r in 0..taps {
                    let (channels, stacked) = (((o * ci + c) * taps + r) * size, ((o * taps + r) * ci + c) * size);
                    let (source, target) = if back { (stacked, channels) } else { (channels, stacked) };
                    to[target..][..size].copy_from_slice(&w[source..][..size]);
                }
            }
        }
        to
    }

    fn check(&self, x: usize, w: usize, y: usize) {
        let [input, kernel, output] = self.shapes().map(|shape| shape.iter().product::<usize>());
        assert_eq!(x, input, "the length of the input must match {self:?}");
        assert_eq!(w, kernel, "the length of the kernel must match {self:?}");
        assert_eq!(y, output, "the length of the output must match {self:?}");
    }

    /// Computes the output `y` for the input `x`; the bias is `[out]`.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.check(x.len(), w.len(), y.len());
        assert!(bias.is_none_or(|b| b.len() == self.channels[1]), "the bias of a convolution must be [out]");
        let mut planes = unwritten(y.len());
        self.planes.forward(&self.stack(x), &self.kernel(w, false), bias, &mut planes);
        self.exchange(&planes, y, false);
    }

    /// Computes the gradient `dx` with respect to the input from the gradient `dy` with respect to the output.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn input_gradient(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        self.check(dx.len(), w.len(), dy.len());
        let mut stacked = unwritten(self.planes.shapes()[0].iter().product());
        self.planes.input_gradient(&self.planes_first(dy), &self.kernel(w, false), &mut stacked);
        self.unstack(&stacked, dx);
    }

    /// Computes the gradient `dw` with respect to the kernel.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        self.check(x.len(), dw.len(), dy.len());
        let mut gradient = unwritten(dw.len());
        self.planes.weight_gradient(&self.stack(x), &self.planes_first(dy), &mut gradient);
        dw.copy_from_slice(&self.kernel(&gradient, true));
    }

    /// Computes the gradient `db` with respect to the bias: the sum of `dy` over samples and places.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn bias_gradient(&self, dy: &[f32], db: &mut [f32]) {
        let [.., [batch, co, out, h, w]] = self.shapes();
        Conv2d::new([batch, co, out * h, w], [co, co, 1, 1], [1; 2], [0; 2]).bias_gradient(dy, db);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{error, random_values, same_on_any_number_of_threads};

    /// Output and gradients in double precision.
    fn reference(
        conv: &Conv3d,
        stride: [usize; 3],
        padding: [usize; 3],
        x: &[f32],
        w: &[f32],
        dy: &[f32],
    ) -> [Vec<f64>; 3] {
        let [[batch, ci, d, h, wide], [co, _, kd, kh, kw], [_, _, od, oh, ow]] = conv.shapes();
        let mut result = [vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
        let inside = |out: usize, tap: usize, i: usize, size: usize| {
            (out * stride[i] + tap).checked_sub(padding[i]).filter(|place| *place < size)
        };
        for (n, o, l, i, j) in itertools(batch, co, od, oh, ow) {
            let at = (((n * co + o) * od + l) * oh + i) * ow + j;
            for (c, r, p, q, _) in itertools(ci, kd, kh, kw, 1) {
                let (Some(z), Some(y), Some(v)) = (inside(l, r, 0, d), inside(i, p, 1, h), inside(j, q, 2, wide))
                else {
                    continue;
                };
                let from = (((n * ci + c) * d + z) * h + y) * wide + v;
                let tap = (((o * ci + c) * kd + r) * kh + p) * kw + q;
                result[0][at] += f64::from(w[tap]) * f64::from(x[from]);
                result[1][from] += f64::from(w[tap]) * f64::from(dy[at]);
                result[2][tap] += f64::from(x[from]) * f64::from(dy[at]);
            }
        }
        result
    }

    fn itertools(
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
    ) -> impl Iterator<Item = (usize, usize, usize, usize, usize)> {
        (0..a * b * c * d * e)
            .map(move |i| (i / (b * c * d * e), i / (c * d * e) % b, i / (d * e) % c, i / e % d, i % e))
    }

    #[test]
    fn convolutions_of_volumes_and_their_gradients_are_correct() {
        for (input, weight, stride, padding) in [
            ([2, 3, 4, 5, 6], [4, 3, 3, 3, 3], [1; 3], [1; 3]),
            ([1, 9, 5, 8, 8], [8, 9, 3, 3, 3], [1; 3], [1; 3]),
            ([2, 4, 5, 7, 6], [3, 4, 3, 3, 3], [2; 3], [1; 3]),
            ([1, 2, 1, 1, 1], [2, 2, 3, 3, 3], [1; 3], [1; 3]),
            ([1, 2, 6, 3, 4], [5, 2, 2, 1, 3], [3, 1, 2], [0, 0, 1]),
        ] {
            let conv = Conv3d::new(input, weight, stride, padding);
            let [x, w, y] = conv.shapes().map(|shape| shape.iter().product::<usize>());
            let (x, w, dy) = (random_values(x, 1, 1.0), random_values(w, 2, 1.0), random_values(y, 3, 1.0));
            let [y64, dx64, dw64] = reference(&conv, stride, padding, &x, &w, &dy);
            let all = same_on_any_number_of_threads(|| {
                let (mut y, mut dx, mut dw) =
                    (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]);
                conv.forward(&x, &w, None, &mut y);
                conv.input_gradient(&dy, &w, &mut dx);
                conv.weight_gradient(&x, &dy, &mut dw);
                [y, dx, dw].concat()
            });
            let (y, rest) = all.split_at(dy.len());
            let (dx, dw) = rest.split_at(x.len());
            for (found, expected) in [(y, y64), (dx, dx64), (dw, dw64)] {
                assert!(error(found, &expected) < 5e-6, "{input:?}: {}", error(found, &expected));
            }
        }
    }
}
