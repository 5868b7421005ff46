//! Layer normalization and RMS normalization.
use crate::parallel::{CHUNK, Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

/// Layer normalization or RMS normalization of the rows of `[samples, tokens, width]`.
///
/// Layer normalization: `y = γ (x − mean) / √(variance + ε) + β` with gain γ, offset β, and the mean and variance of
/// each row. With `root_mean_square`: `y = γ x / √(mean(x²) + ε) + β`.
///
/// Ba, Kiros and Hinton, "Layer normalization" (2016), <https://arxiv.org/abs/1607.06450>; Zhang and Sennrich, "Root
/// mean square layer normalization" (2019), <https://arxiv.org/abs/1910.07467>.
///
/// Largest error demanded by the tests, relative to the largest exact value: 1e-6 forward, 3e-6 for gradients.
///
/// ```
/// use tweedie_kernels::LayerNorm;
/// let norm = LayerNorm { samples: 1, tokens: 1, width: 2, epsilon: 0.0, root_mean_square: false };
/// let (mut y, mut stats) = ([0.0; 2], [0.0; 2]);
/// norm.forward(&[1.0, 3.0], &[2.0, 2.0], &[0.5, 0.5], &mut y, &mut stats);
/// assert_eq!(y, [-1.5, 2.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Number of samples; gain and offset may differ between samples.
    pub samples: usize,
    /// Number of rows per sample.
    pub tokens: usize,
    /// Number of elements per row.
    pub width: usize,
    /// ε, added to the variance. PyTorch's default: 1e-5.
    pub epsilon: f64,
    /// Whether the mean is not subtracted (RMS normalization).
    pub root_mean_square: bool,
}

impl LayerNorm {
    /// Checks the lengths of the slices.
    fn check(&self, x: usize, gain: &[f32], offset: &[f32], stats: usize) {
        let Self { samples, tokens, width, .. } = *self;
        assert_eq!(x, samples * tokens * width, "the length of the input must match {self:?}");
        assert!(
            gain.len() == width || gain.len() == samples * width,
            "the gain must be [width] or [samples, width] for {self:?}, got {} elements",
            gain.len()
        );
        assert_eq!(gain.len(), offset.len(), "gain and offset must have the same shape");
        assert_eq!(stats, samples * tokens * 2, "the statistics must be [samples, tokens, 2]");
    }

    /// Number of rows per task; the rows of a task have the same gain.
    fn rows_per_task(&self, gain: &[f32]) -> usize {
        if gain.len() == self.width { (CHUNK / 2 / self.width.max(1)).max(1) } else { self.tokens.max(1) }
    }

    /// Computes the output `y`, and for the backward pass mean and inverse standard deviation of each row in `stats`.
    ///
    /// # Shapes
    /// `x, y: [samples, tokens, width]`, `gain, offset: [width]` or `[samples, width]`, `stats: [samples, tokens, 2]`.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) {
        self.check(x.len(), gain, offset, stats.len());
        assert_eq!(x.len(), y.len(), "the output must have the shape of the input");
        let (rows, width, step) = (self.samples * self.tokens, self.width, self.rows_per_task(gain));
        if x.is_empty() {
            return stats.fill(0.0);
        }
        let level = Level::get();
        let (y, stats) = (Shared::new(y), Shared::new(stats));
        for_each(rows.div_ceil(step), |task| {
            let (first, last) = (task * step, rows.min(task * step + step));
            let at = if gain.len() == width { 0 } else { task * width };
            // SAFETY: every task writes its own rows.
            let (y, stats) = unsafe { (y.part(first * width..last * width), stats.part(2 * first..2 * last)) };
            let (gain, offset) = (&gain[at..][..width], &offset[at..][..width]);
            rows_forward_at(
                level,
                self.epsilon,
                self.root_mean_square,
                &x[first * width..last * width],
                gain,
                offset,
                y,
                stats,
            );
        });
    }

    /// Computes the gradients with respect to input, gain and offset; the last two have the shape of `gain`.
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward), whose `stats` are an input here.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn backward(
        &self,
        x: &[f32],
        gain: &[f32],
        stats: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        d_gain: &mut [f32],
        d_offset: &mut [f32],
    ) {
        self.check(x.len(), gain, d_offset, stats.len());
        assert!(x.len() == dy.len() && x.len() == dx.len(), "a gradient must have the shape of its variable");
        assert!(
            gain.len() == d_gain.len() && gain.len() == d_offset.len(),
            "a gradient must have the shape of its variable"
        );
        let (rows, width, step) = (self.samples * self.tokens, self.width, self.rows_per_task(gain));
        if x.is_empty() {
            d_gain.fill(0.0);
            return d_offset.fill(0.0);
        }
        let level = Level::get();
        let tasks = rows.div_ceil(step);
        let mut sums = Scratch::new(tasks * 2 * width);
        {
            let (dx, sums) = (Shared::new(dx), Shared::new(&mut sums));
            for_each(tasks, |task| {
                let (first, last) = (task * step, rows.min(task * step + step));
                let at = if gain.len() == width { 0 } else { task * width };
                // SAFETY: every task writes its own rows and its own sums.
                let (dx, sums) = unsafe {
                    (dx.part(first * width..last * width), sums.part(task * 2 * width..(task + 1) * 2 * width))
                };
                let (x, dy) = (&x[first * width..last * width], &dy[first * width..last * width]);
                let stats = &stats[2 * first..2 * last];
                rows_backward_at(level, self.root_mean_square, x, &gain[at..][..width], stats, dy, dx, sums);
            });
        }
        let per_sample = gain.len() != width || self.samples * width == width && tasks == 1;
        for (i, (d_gain, d_offset)) in d_gain.iter_mut().zip(d_offset).enumerate() {
            let (c, range) = if per_sample { (i % width, i / width..i / width + 1) } else { (i, 0..tasks) };
            *d_gain = range.clone().map(|t| f64::from(sums[t * 2 * width + c])).sum::<f64>() as f32;
            *d_offset = range.map(|t| f64::from(sums[(t * 2 + 1) * width + c])).sum::<f64>() as f32;
        }
    }
}

/// Normalizes some rows with the same gain and offset.
#[inline(always)]
fn rows_forward<S: Simd>(
    s: S,
    epsilon: f64,
    root_mean_square: bool,
    x: &[f32],
    gain: &[f32],
    offset: &[f32],
    y: &mut [f32],
    stats: &mut [f32],
) {
    let (l, width) = (S::LANES, gain.len());
    let n = width as f64;
    for ((x, y), stats) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(stats.chunks_exact_mut(2)) {
        let mean = if root_mean_square {
            0.0
        } else {
            let mut sum = [s.zero(); 2];
            let mut pairs = x.chunks_exact(2 * l);
            for x in &mut pairs {
                sum[0] = sum[0] + s.load(x);
                sum[1] = sum[1] + s.load(&x[l..]);
            }
            for x in pairs.remainder().chunks(l) {
                sum[0] = sum[0] + s.load_at(x, 0, 0.0);
            }
            ((sum[0] + sum[1]).sum() / n) as f32
        };
        let center = s.splat(mean);
        let mut squares = [s.zero(); 2];
        let mut pairs = x.chunks_exact(2 * l);
        for x in &mut pairs {
            let (p, q) = (s.load(x) - center, s.load(&x[l..]) - center);
            squares[0] = p.mul_add(p, squares[0]);
            squares[1] = q.mul_add(q, squares[1]);
        }
        for x in pairs.remainder().chunks(l) {
            let p = s.load_at(x, 0, mean) - center;
            squares[0] = p.mul_add(p, squares[0]);
        }
        let scale = (1.0 / ((squares[0] + squares[1]).sum() / n + epsilon).sqrt()) as f32;
        stats.copy_from_slice(&[mean, scale]);
        let unit = s.splat(scale);
        let mut i = 0;
        while i + l <= width {
            let normal = (s.load(&x[i..]) - center) * unit;
            s.store(&mut y[i..], normal.mul_add(s.load(&gain[i..]), s.load(&offset[i..])));
            i += l;
        }
        if i < width {
            let normal = (s.load_at(x, i, mean) - center) * unit;
            s.store_at(y, i, normal.mul_add(s.load_at(gain, i, 0.0), s.load_at(offset, i, 0.0)));
        }
    }
}
dispatch! {
    fn rows_forward_at(
        epsilon: f64, root_mean_square: bool, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32],
    ) = rows_forward;
}

/// Computes the gradients of some rows: `dx = scale (γ dy − mean(γ dy) − x̂ mean(γ dy x̂))` with the normalized input
/// x̂; `sums` receives the gradients with respect to gain and offset, summed over the rows.
#[inline(always)]
fn rows_backward<S: Simd>(
    s: S,
    root_mean_square: bool,
    x: &[f32],
    gain: &[f32],
    stats: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    sums: &mut [f32],
) {
    let (l, width) = (S::LANES, gain.len());
    let n = width as f64;
    sums.fill(0.0);
    let (d_gain, d_offset) = sums.split_at_mut(width);
    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for (((x, dy), dx), stats) in rows.zip(stats.chunks_exact(2)) {
        let (center, unit) = (s.splat(stats[0]), s.splat(stats[1]));
        let (mut sum, mut sum_x) = (s.zero(), s.zero());
        let mut i = 0;
        while i < width {
            let normal = (s.load_at(x, i, stats[0]) - center) * unit;
            let d = s.load_at(dy, i, 0.0);
            let g = d * s.load_at(gain, i, 0.0);
            sum = sum + g;
            sum_x = g.mul_add(normal, sum_x);
            s.store_at(d_gain, i, d.mul_add(normal, s.load_at(d_gain, i, 0.0)));
            s.store_at(d_offset, i, d + s.load_at(d_offset, i, 0.0));
            i += l;
        }
        let (mean, scale) = (f64::from(stats[0]), f64::from(stats[1]));
        let mean_g = if root_mean_square { 0.0 } else { sum.sum() / n };
        let slope = scale * scale * (sum_x.sum() / n);
        let (slope, constant) = (s.splat(-slope as f32), s.splat((mean * slope - scale * mean_g) as f32));
        i = 0;
        while i < width {
            let g = s.load_at(dy, i, 0.0) * s.load_at(gain, i, 0.0);
            s.store_at(dx, i, g.mul_add(unit, s.load_at(x, i, 0.0).mul_add(slope, constant)));
            i += l;
        }
    }
}
dispatch! {
    fn rows_backward_at(
        root_mean_square: bool, x: &[f32], gain: &[f32], stats: &[f32], dy: &[f32], dx: &mut [f32], sums: &mut [f32],
    ) = rows_backward;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn layer_reference(norm: &LayerNorm, x: &[f64], gain: &[f64], offset: &[f64]) -> Vec<f64> {
        let normals = normalize(x, norm.width, norm.epsilon, !norm.root_mean_square);
        let at = |i: usize| {
            if gain.len() == norm.width {
                i % norm.width
            } else {
                i / (norm.width * norm.tokens) * norm.width + i % norm.width
            }
        };
        normals.into_iter().enumerate().map(|(i, x)| x * gain[at(i)] + offset[at(i)]).collect()
    }

    #[test]
    fn layer_norm_and_rms_norm_and_their_gradients_are_correct() {
        let mut random = TestRng::new(9);
        let random = (0..10).map(|_| (random.below(4) + 1, random.below(9) + 1, random.below(90) + 3));
        for (samples, tokens, width) in
            [(1, 1, 1), (2, 3, 7), (2, 5, 16), (3, 4, 33), (1, 70, 300), (4, 1, 24)].into_iter().chain(random)
        {
            for (root_mean_square, per_sample) in [(false, false), (true, false), (false, true), (true, true)] {
                let norm = LayerNorm { samples, tokens, width, epsilon: 1e-6, root_mean_square };
                let x = random_values(samples * tokens * width, 5, 2.0);
                let rows = if per_sample { samples } else { 1 };
                let (gain, offset, dy) = (
                    random_values(rows * width, 6, 1.0),
                    random_values(rows * width, 7, 1.0),
                    random_values(x.len(), 8, 1.0),
                );
                let (mut y, mut stats) = (vec![f32::NAN; x.len()], vec![f32::NAN; samples * tokens * 2]);
                norm.forward(&x, &gain, &offset, &mut y, &mut stats);
                let (x64, g64, o64) = (to_f64(&x), to_f64(&gain), to_f64(&offset));
                let e = error(&y, &layer_reference(&norm, &x64, &g64, &o64));
                assert!(e < 1e-6, "{norm:?}: {e}");
                let (mut dx, mut dg, mut d_o) =
                    (vec![f32::NAN; x.len()], vec![f32::NAN; gain.len()], vec![f32::NAN; gain.len()]);
                norm.backward(&x, &gain, &stats, &dy, &mut dx, &mut dg, &mut d_o);
                // A row of one element is normalized to zero: its gradient is rounding error.
                if width > 1 {
                    assert_close(
                        "dx",
                        &dx,
                        &central_differences(&x, &dy, |x| layer_reference(&norm, x, &g64, &o64)),
                        3e-6,
                    );
                }
                assert_close(
                    "dγ",
                    &dg,
                    &central_differences(&gain, &dy, |g| layer_reference(&norm, &x64, g, &o64)),
                    3e-6,
                );
                assert_close(
                    "dβ",
                    &d_o,
                    &central_differences(&offset, &dy, |o| layer_reference(&norm, &x64, &g64, o)),
                    3e-6,
                );
            }
        }
    }

    #[test]
    fn a_sample_does_not_depend_on_its_batch_or_on_the_number_of_threads() {
        let norm = LayerNorm { samples: 300, tokens: 7, width: 30, epsilon: 1e-5, root_mean_square: false };
        let (x, gain) = (random_values(300 * 210, 1, 1.0), random_values(30, 2, 1.0));
        let run = |norm: LayerNorm, x: &[f32]| {
            let (mut y, mut stats) = (vec![0.0; x.len()], vec![0.0; norm.samples * 14]);
            norm.forward(x, &gain, &gain, &mut y, &mut stats);
            let (mut dx, mut dg, mut d_o) = (vec![0.0; x.len()], vec![0.0; 30], vec![0.0; 30]);
            norm.backward(x, &gain, &stats, x, &mut dx, &mut dg, &mut d_o);
            [y, dx, dg, d_o].concat()
        };
        let all = same_on_any_number_of_threads(|| run(norm, &x));
        let one = run(LayerNorm { samples: 1, ..norm }, &x[123 * 210..124 * 210]);
        assert_eq!(one[..210], all[123 * 210..124 * 210]);
        assert_eq!(one[210..420], all[x.len() + 123 * 210..][..210]);
    }
}
