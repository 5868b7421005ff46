//! Two-dimensional convolutions and their gradients.
//!
//! `y[o, i, j] = b[o] + Σ_{c,p,q} w[o, c, p, q] x[c, s i + p − pad, s j + q − pad]`
//!
//! A 3×3 kernel at stride 1 with a border of one goes by Winograd's minimal filtering ([`winograd`]), everything else
//! by products with patches gathered a block at a time ([`patches`]).
use crate::parallel::{PIECE, Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

mod patches;
mod winograd;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The fastest for the shape of one sample.
    Auto,
    /// Products with gathered patches: the most accurate.
    Patches,
    /// Winograd's F(2×2, 3×3): 2.25 times fewer multiplications. Only for 3×3, stride 1, border 1.
    Winograd2,
    /// Winograd's F(4×4, 3×3): four times fewer multiplications. Only for 3×3, stride 1, border 1.
    Winograd4,
}

/// A convolution's shapes and how to compute it.
///
/// Every result for a sample depends on that sample alone; weight gradients sum the samples in fixed groups.
///
/// Largest error found by the tests, in terms of the largest exact value: patches 1e-6, F(2×2) 2e-6, F(4×4) 5e-6.
///
/// ```
/// use tweedie_kernels::Conv2d;
/// let conv = Conv2d::new([1, 1, 3, 3], [1, 1, 3, 3], [1, 1], [1, 1]);
/// let mut y = [0.0; 9];
/// conv.forward(&[1.0; 9], &[1.0; 9], Some(&[0.5]), &mut y);
/// assert_eq!(y, [4.5, 6.5, 4.5, 6.5, 9.5, 6.5, 4.5, 6.5, 4.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    pub(crate) batch: usize,
    pub(crate) ci: usize,
    pub(crate) co: usize,
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    method: Method,
}

impl Conv2d {
    /// A convolution of `input: [batch, in, height, width]` with `weight: [out, in, kernel height, kernel width]`.
    ///
    /// # Panics
    /// If the channels differ, a stride is zero, or the padded input is smaller than the kernel.
    pub fn new(input: [usize; 4], weight: [usize; 4], stride: [usize; 2], padding: [usize; 2]) -> Self {
        let [batch, ci, height, width] = input;
        let [co, ci2, kh, kw] = weight;
        assert_eq!(ci, ci2, "a convolution of {ci} channels with a kernel for {ci2}");
        assert!(stride[0] > 0 && stride[1] > 0, "a stride is at least 1");
        assert!(
            kh > 0 && kw > 0 && height + 2 * padding[0] >= kh && width + 2 * padding[1] >= kw,
            "a {kh}×{kw} kernel does not fit into {height}×{width} with a border of {padding:?}"
        );
        Self { batch, ci, co, size: [height, width], kernel: [kh, kw], stride, padding, method: Method::Auto }
    }

    /// The same by a method of one's choice.
    ///
    /// # Panics
    /// If the method does not allow the shape.
    pub fn by(self, method: Method) -> Self {
        let winograd = matches!(method, Method::Winograd2 | Method::Winograd4);
        assert!(!winograd || self.is_plain_3x3(), "Winograd's method is for 3×3 at stride 1 with a border of 1");
        Self { method, ..self }
    }

    fn is_plain_3x3(&self) -> bool {
        self.kernel == [3, 3] && self.stride == [1, 1] && self.padding == [1, 1]
    }

    /// Height and width of the output.
    pub fn output_size(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.size[i] + 2 * self.padding[i] - self.kernel[i]) / self.stride[i] + 1)
    }

    /// Sizes of input, kernel and output.
    pub fn shapes(&self) -> [[usize; 4]; 3] {
        let ([h, w], [kh, kw], [oh, ow]) = (self.size, self.kernel, self.output_size());
        [[self.batch, self.ci, h, w], [self.co, self.ci, kh, kw], [self.batch, self.co, oh, ow]]
    }

    fn input_len(&self) -> usize {
        self.batch * self.ci * self.size[0] * self.size[1]
    }

    fn weight_len(&self) -> usize {
        self.co * self.ci * self.kernel[0] * self.kernel[1]
    }

    fn output_len(&self) -> usize {
        let [h, w] = self.output_size();
        self.batch * self.co * h * w
    }

    /// The method for channels `ci → co`, by the work for one sample.
    fn choose(&self, ci: usize, co: usize) -> Method {
        if self.method != Method::Auto {
            return self.method;
        }
        if !self.is_plain_3x3() || ci < 8 || co < 8 {
            return Method::Patches;
        }
        // Products a channel pair, edges included; the transforms weigh about as much again for few tiles.
        let [h, w] = self.size;
        let four = h.div_ceil(4) * w.div_ceil(4) * 36;
        let two = h.div_ceil(2) * w.div_ceil(2) * 16;
        let direct = h * w * 9;
        if four <= two && four < direct {
            Method::Winograd4
        } else if two < direct {
            Method::Winograd2
        } else {
            Method::Patches
        }
    }

    /// The output `y` for the input `x`; the bias is `[out]`, or `[batch, out]` with a row for each sample.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn forward(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.forward_at(Level::get(), x, w, bias, y);
    }

    fn forward_at(&self, level: Level, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        self.check(x.len(), w.len(), y.len());
        assert!(bias.is_none_or(|b| self.bias_rows(b.len()).is_some()), "a bias is [out] or [batch, out]");
        match self.choose(self.ci, self.co) {
            Method::Winograd4 => winograd::correlate(level, winograd::Four, self, false, x, w, bias, y),
            Method::Winograd2 => winograd::correlate(level, winograd::Two, self, false, x, w, bias, y),
            _ => patches::forward(level, self, x, w, bias, y),
        }
    }

    /// The gradient `dx` by the input, from the gradient `dy` by the output.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn input_gradient(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        self.input_gradient_at(Level::get(), dy, w, dx);
    }

    fn input_gradient_at(&self, level: Level, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        self.check(dx.len(), w.len(), dy.len());
        match self.choose(self.co, self.ci) {
            Method::Winograd4 => winograd::correlate(level, winograd::Four, self, true, dy, w, None, dx),
            Method::Winograd2 => winograd::correlate(level, winograd::Two, self, true, dy, w, None, dx),
            _ => patches::input_gradient(level, self, dy, w, dx),
        }
    }

    /// The gradient `dw` by the kernel.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        self.weight_gradient_at(Level::get(), x, dy, dw);
    }

    fn weight_gradient_at(&self, level: Level, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        self.check(x.len(), dw.len(), dy.len());
        match self.choose(self.ci, self.co) {
            Method::Winograd4 => winograd::weight_gradient(level, winograd::Four, self, x, dy, dw),
            Method::Winograd2 => winograd::weight_gradient(level, winograd::Two, self, x, dy, dw),
            _ => patches::weight_gradient(level, self, x, dy, dw),
        }
    }

    /// Rows of a bias of so many numbers: 1 for all samples, or one for each.
    fn bias_rows(&self, len: usize) -> Option<usize> {
        [1, self.batch].into_iter().find(|rows| rows * self.co == len)
    }

    /// The part of a bias that is for sample n.
    fn bias_of<'a>(&self, bias: &'a [f32], n: usize) -> &'a [f32] {
        &bias[if bias.len() == self.co { 0 } else { n * self.co }..][..self.co]
    }

    /// The gradient `db` by the bias, `[out]` or `[batch, out]`: `dy` summed over places, and over samples for the first.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn bias_gradient(&self, dy: &[f32], db: &mut [f32]) {
        assert_eq!(dy.len(), self.output_len(), "the gradient by the output has the output's shape");
        let rows = self.bias_rows(db.len()).expect("a bias is [out] or [batch, out]");
        let [h, w] = self.output_size();
        let level = Level::get();
        let mut sums = Scratch::new(self.batch * self.co);
        if h * w == 0 || self.co == 0 {
            return db.fill(0.0);
        }
        {
            let sums = Shared::new(&mut sums);
            for_each(self.batch, |n| {
                // SAFETY: every sample has its own row.
                let sums = unsafe { sums.part(n * self.co..(n + 1) * self.co) };
                sums_at(level, &dy[n * self.co * h * w..][..self.co * h * w], sums);
            });
        }
        for (c, db) in db.iter_mut().enumerate() {
            *db = (0..self.batch / rows).map(|n| f64::from(sums[n * self.co + c])).sum::<f64>() as f32;
        }
    }

    fn check(&self, x: usize, w: usize, y: usize) {
        assert_eq!(x, self.input_len(), "the input of {self:?}");
        assert_eq!(w, self.weight_len(), "the kernel of {self:?}");
        assert_eq!(y, self.output_len(), "the output of {self:?}");
    }
}

/// `out = Σ parts`, in the order of the parts.
fn add_parts(parts: &[f32], out: &mut [f32]) {
    let len = out.len();
    let shared = Shared::new(out);
    for_each(len.div_ceil(PIECE), |piece| {
        let first = piece * PIECE;
        // SAFETY: every task has its own piece.
        let out = unsafe { shared.part(first..len.min(first + PIECE)) };
        out.copy_from_slice(&parts[first..][..out.len()]);
        for part in parts.chunks_exact(len).skip(1) {
            for (out, x) in out.iter_mut().zip(&part[first..]) {
                *out += x;
            }
        }
    });
}

/// The sums of as many equal parts of `x` as `out` has places.
#[inline(always)]
fn sums<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(x.len() / out.len()).zip(out) {
        let mut sum = [s.zero(); 2];
        let mut pairs = x.chunks_exact(2 * S::LANES);
        for x in &mut pairs {
            sum[0] = sum[0] + s.load(x);
            sum[1] = sum[1] + s.load(&x[S::LANES..]);
        }
        for x in pairs.remainder().chunks(S::LANES) {
            sum[0] = sum[0] + s.load_part(x, 0.0);
        }
        *out = (sum[0].sum() + sum[1].sum()) as f32;
    }
}
dispatch! { fn sums_at(x: &[f32], out: &mut [f32]) = sums; }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    /// Calls `f(output place, input place, kernel place)` for every product of the sum.
    fn every(conv: &Conv2d, mut f: impl FnMut(usize, usize, usize)) {
        let ([h, w], [oh, ow], [kh, kw]) = (conv.size, conv.output_size(), conv.kernel);
        for n in 0..conv.batch {
            for o in 0..conv.co {
                for (i, j) in (0..oh * ow).map(|p| (p / ow, p % ow)) {
                    for c in 0..conv.ci {
                        for (p, q) in (0..kh * kw).map(|t| (t / kw, t % kw)) {
                            let y = (i * conv.stride[0] + p).wrapping_sub(conv.padding[0]);
                            let x = (j * conv.stride[1] + q).wrapping_sub(conv.padding[1]);
                            if y < h && x < w {
                                f(
                                    ((n * conv.co + o) * oh + i) * ow + j,
                                    ((n * conv.ci + c) * h + y) * w + x,
                                    ((o * conv.ci + c) * kh + p) * kw + q,
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    struct Case {
        conv: Conv2d,
        x: Vec<f32>,
        w: Vec<f32>,
        b: Vec<f32>,
        dy: Vec<f32>,
    }

    fn case(conv: Conv2d, seed: u64) -> Case {
        Case {
            x: numbers(conv.input_len(), seed, 1.0),
            w: numbers(conv.weight_len(), seed + 1, 1.0),
            b: numbers(conv.co, seed + 2, 1.0),
            dy: numbers(conv.output_len(), seed + 3, 1.0),
            conv,
        }
    }

    /// Largest errors of output, input gradient, weight gradient and bias gradient.
    fn errors(case: &Case, level: Level) -> [f64; 4] {
        let Case { conv, x, w, b, dy } = case;
        let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (x64, w64, dy64) = (wide(x), wide(w), wide(dy));
        let plane: usize = conv.output_size().iter().product();
        let mut y = (0..conv.output_len()).map(|i| f64::from(b[i / plane % conv.co])).collect::<Vec<_>>();
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; conv.co]);
        every(conv, |o, i, k| {
            y[o] += w64[k] * x64[i];
            dx[i] += w64[k] * dy64[o];
            dw[k] += dy64[o] * x64[i];
        });
        for (i, d) in dy64.iter().enumerate() {
            db[i / plane % conv.co] += d;
        }
        let (mut y32, mut dx32) = (vec![f32::NAN; y.len()], vec![f32::NAN; dx.len()]);
        let (mut dw32, mut db32) = (vec![f32::NAN; dw.len()], vec![f32::NAN; db.len()]);
        conv.forward_at(level, x, w, Some(b), &mut y32);
        conv.input_gradient_at(level, dy, w, &mut dx32);
        conv.weight_gradient_at(level, x, dy, &mut dw32);
        conv.bias_gradient(dy, &mut db32);
        [error(&y32, &y), error(&dx32, &dx), error(&dw32, &dw), error(&db32, &db)]
    }

    #[test]
    fn plain_3x3_is_right_by_every_method_and_size() {
        let sizes = [
            (1, 8, 8, 8, 8),
            (2, 16, 32, 8, 8),
            (1, 9, 17, 7, 5),
            (3, 33, 15, 4, 4),
            (1, 40, 72, 9, 12),
            (2, 24, 8, 1, 1),
            (1, 12, 10, 2, 3),
            (1, 300, 20, 5, 6),
            (1, 16, 16, 33, 31),
            (5, 1, 3, 6, 6),
        ];
        for (seed, (n, ci, co, h, w)) in sizes.into_iter().enumerate() {
            let conv = Conv2d::new([n, ci, h, w], [co, ci, 3, 3], [1, 1], [1, 1]);
            for level in Level::available() {
                for (method, most) in [
                    (Method::Patches, 1e-6),
                    (Method::Winograd2, 2e-6),
                    (Method::Winograd4, 5e-6),
                    (Method::Auto, 5e-6),
                ] {
                    let e = errors(&case(conv.by(method), 10 * seed as u64), level);
                    assert!(e.iter().all(|e| *e < most), "{n} of {ci}→{co} at {h}×{w}, {method:?}, {level:?}: {e:?}");
                }
            }
        }
    }

    #[test]
    fn any_kernel_stride_and_border_is_right() {
        let cases = [
            ([2, 8, 9, 8], [12, 8, 3, 3], [2, 2], [1, 1]),
            ([1, 3, 16, 16], [40, 3, 4, 4], [4, 4], [0, 0]),
            ([2, 35, 10, 6], [16, 35, 1, 1], [1, 1], [0, 0]),
            ([1, 5, 7, 11], [6, 5, 5, 3], [1, 1], [2, 1]),
            ([1, 4, 8, 8], [4, 4, 3, 3], [1, 1], [0, 0]),
            ([1, 4, 5, 5], [7, 4, 3, 3], [3, 2], [2, 0]),
            ([3, 256, 4, 4], [19, 256, 1, 1], [1, 1], [0, 0]),
            ([2, 35, 37, 29], [16, 35, 1, 1], [1, 1], [0, 0]),
            ([1, 260, 20, 33], [9, 260, 1, 1], [1, 1], [0, 0]),
            ([1, 30, 20, 17], [33, 30, 3, 3], [2, 2], [1, 1]),
            ([1, 2, 3, 3], [3, 2, 1, 1], [1, 1], [2, 2]),
            ([1, 1, 1, 1], [1, 1, 7, 7], [1, 1], [3, 3]),
        ];
        for (seed, (input, weight, stride, padding)) in cases.into_iter().enumerate() {
            let conv = Conv2d::new(input, weight, stride, padding);
            for level in Level::available() {
                let e = errors(&case(conv, 7 * seed as u64), level);
                assert!(e.iter().all(|e| *e < 1e-6), "{conv:?} at {level:?}: {e:?}");
            }
        }
    }

    #[test]
    fn random_shapes_are_right() {
        let mut random = Numbers::new(11);
        for seed in 0..40 {
            let (n, ci, co) = (random.below(3) + 1, random.below(40) + 1, random.below(40) + 1);
            let [k, stride, pad] =
                [[3, 1, 1], [1, 1, 0], [3, 2, 1], [random.below(5) + 1, random.below(3) + 1, random.below(3)]]
                    [random.below(4)];
            let [h, w] = [0, 1].map(|_| k + random.below(if k == 1 { 30 } else { 12 }));
            let conv = Conv2d::new([n, ci, h, w], [co, ci, k, k], [stride; 2], [pad; 2]);
            for level in Level::available() {
                let e = errors(&case(conv, seed), level);
                assert!(e.iter().all(|e| *e < 5e-6), "{conv:?} at {level:?}: {e:?}");
            }
        }
    }

    #[test]
    fn a_bias_for_each_sample_is_added_to_that_sample() {
        for stride in [1, 2] {
            let conv = Conv2d::new([3, 9, 6, 7], [10, 9, 3, 3], [stride; 2], [1, 1]);
            let Case { conv, x, w, dy, .. } = case(conv, 5);
            let bias = numbers(30, 6, 1.0);
            let (mut y, mut plain) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
            conv.forward(&x, &w, Some(&bias), &mut y);
            conv.forward(&x, &w, None, &mut plain);
            let plane = dy.len() / 30;
            assert!(y.iter().zip(&plain).enumerate().all(|(i, (y, p))| *y == p + bias[i / plane]));
            let mut db = vec![f32::NAN; 30];
            conv.bias_gradient(&dy, &mut db);
            for (db, dy) in db.iter().zip(dy.chunks(plane)) {
                assert!((f64::from(*db) - dy.iter().map(|&d| f64::from(d)).sum::<f64>()).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_sample_does_not_know_its_batch_nor_the_threads() {
        let plain = ([32, 24, 12, 20], [40, 24, 3, 3], [1, 1], [1, 1]);
        let strided = ([32, 6, 9, 9], [10, 6, 3, 3], [2, 2], [1, 1]);
        for (input, weight, stride, padding) in [plain, strided] {
            let Case { conv, x, w, b, dy } = case(Conv2d::new(input, weight, stride, padding), 3);
            let run = |conv: &Conv2d, x: &[f32], dy: &[f32]| {
                let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                conv.forward(x, &w, Some(&b), &mut y);
                conv.input_gradient(dy, &w, &mut dx);
                (y, dx)
            };
            let all = same_on_any_number_of_threads(|| {
                let (mut y, dx) = run(&conv, &x, &dy);
                let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; b.len()]);
                conv.weight_gradient(&x, &dy, &mut dw);
                conv.bias_gradient(&dy, &mut db);
                y.extend(dx.into_iter().chain(dw).chain(db));
                y
            });
            let (xs, ys) = (x.len() / 32, dy.len() / 32);
            for (first, count) in [(0, 1), (31, 1), (7, 3)] {
                let part = Conv2d { batch: count, ..conv };
                let (y, dx) = run(&part, &x[first * xs..][..count * xs], &dy[first * ys..][..count * ys]);
                assert!(y[..] == all[first * ys..][..y.len()], "outputs {first}.. alone");
                assert!(dx[..] == all[dy.len() + first * xs..][..dx.len()], "gradients {first}.. alone");
            }
        }
    }
}
