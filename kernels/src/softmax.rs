//! Softmax of rows, and its logarithm.
use crate::math;
use crate::parallel::{CHUNK, for_chunks};
use crate::simd::{Float, Level, Simd, dispatch};

/// Computes the softmax of every row of `width` elements: `y = exp(x − max x) / Σ exp(x − max x)`.
///
/// ```
/// let mut y = [0.0; 2];
/// tweedie_kernels::softmax(&[0.0, 0.0], 2, &mut y);
/// assert_eq!(y, [0.5, 0.5]);
/// ```
///
/// Largest error demanded by the tests: 5e-7. An element of −∞ has probability zero; a row of −∞ only gives NaN.
///
/// # Panics
/// If the lengths of the slices differ or are not a multiple of `width`.
pub fn softmax(x: &[f32], width: usize, y: &mut [f32]) {
    let level = Level::get();
    check_rows(&[x.len(), y.len()], width);
    for_chunks(chunk_len(width), [x], y, |[x], y| softmax_at(level, x, width, y));
}

/// Computes the gradient with respect to the input of [`softmax`] from its output `y`: `dx = y (dy − Σ y dy)`.
///
/// # Panics
/// If the lengths of the slices differ or are not a multiple of `width`.
pub fn softmax_gradient(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    let level = Level::get();
    check_rows(&[y.len(), dy.len(), dx.len()], width);
    for_chunks(chunk_len(width), [y, dy], dx, |[y, dy], dx| softmax_gradient_at(level, y, dy, width, dx));
}

/// Computes the logarithm of the softmax of every row of `width` elements: `y = x − max x − ln Σ exp(x − max x)`.
///
/// Largest error demanded by the tests, relative to the largest value: 5e-7.
///
/// # Panics
/// If the lengths of the slices differ or are not a multiple of `width`.
pub fn log_softmax(x: &[f32], width: usize, y: &mut [f32]) {
    let level = Level::get();
    check_rows(&[x.len(), y.len()], width);
    for_chunks(chunk_len(width), [x], y, |[x], y| log_softmax_at(level, x, width, y));
}

/// Computes the gradient with respect to the input of [`log_softmax`] from its output `y`: `dx = dy − eʸ Σ dy`.
///
/// # Panics
/// If the lengths of the slices differ or are not a multiple of `width`.
pub fn log_softmax_gradient(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    let level = Level::get();
    check_rows(&[y.len(), dy.len(), dx.len()], width);
    for_chunks(chunk_len(width), [y, dy], dx, |[y, dy], dx| log_softmax_gradient_at(level, y, dy, width, dx));
}

/// Length of whole rows of about [`CHUNK`] elements.
fn chunk_len(width: usize) -> usize {
    (CHUNK / width).max(1) * width
}

/// Checks that all lengths are the same multiple of the width.
fn check_rows(lengths: &[usize], width: usize) {
    assert!(
        width > 0 && lengths.iter().all(|&n| n == lengths[0] && n % width == 0),
        "all lengths must be the same multiple of {width}, got {lengths:?}"
    );
}

/// Maximum of a row; NaN if it has a NaN.
#[inline(always)]
pub(crate) fn row_max<S: Simd>(s: S, x: &[f32]) -> f32 {
    let l = S::LANES;
    let least = s.splat(f32::NEG_INFINITY);
    let mut max = [least; 2];
    let mut pairs = x.chunks_exact(2 * l);
    for x in &mut pairs {
        // A NaN on the left is propagated.
        max[0] = s.load(x).max(max[0]);
        max[1] = s.load(&x[l..]).max(max[1]);
    }
    for x in pairs.remainder().chunks(l) {
        max[0] = s.load_at(x, 0, f32::NEG_INFINITY).max(max[0]);
    }
    max[0].max(max[1]).max_lane()
}

/// Computes `y = exp(x − max)` for n elements and returns the sum.
#[inline(always)]
pub(crate) fn exp_and_sum<S: Simd>(s: S, x: *const f32, n: usize, max: f32, y: *mut f32) -> f64 {
    let l = S::LANES;
    let m = s.splat(max);
    let mut sum = [s.zero(); 2];
    let mut i = 0;
    // SAFETY: the callers pass rows of n floats, which may be the same row.
    unsafe {
        while i + 2 * l <= n {
            for j in 0..2 {
                let e = math::exp_nonpositive(s, s.read(x.add(i + j * l)) - m);
                s.write(y.add(i + j * l), e);
                sum[j] = sum[j] + e;
            }
            i += 2 * l;
        }
        while i < n {
            let have = l.min(n - i);
            let part = s.load_at(std::slice::from_raw_parts(x.add(i), have), 0, f32::NEG_INFINITY);
            let e = math::exp_nonpositive(s, part - m);
            s.store_at(std::slice::from_raw_parts_mut(y.add(i), have), 0, e);
            sum[0] = sum[0] + e;
            i += l;
        }
    }
    (sum[0] + sum[1]).sum()
}

/// Dot product `Σ a b`.
#[inline(always)]
pub(crate) fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f64 {
    let l = S::LANES;
    let mut sum = [s.zero(); 2];
    let (mut xs, mut ys) = (a.chunks_exact(2 * l), b.chunks_exact(2 * l));
    for (a, b) in (&mut xs).zip(&mut ys) {
        sum[0] = s.load(a).mul_add(s.load(b), sum[0]);
        sum[1] = s.load(&a[l..]).mul_add(s.load(&b[l..]), sum[1]);
    }
    for (a, b) in xs.remainder().chunks(l).zip(ys.remainder().chunks(l)) {
        sum[0] = s.load_at(a, 0, 0.0).mul_add(s.load_at(b, 0, 0.0), sum[0]);
    }
    (sum[0] + sum[1]).sum()
}

/// Softmax of some rows.
#[inline(always)]
fn softmax_rows<S: Simd>(s: S, x: &[f32], width: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let sum = exp_and_sum(s, x.as_ptr(), width, row_max(s, x), y.as_mut_ptr());
        let scale = s.splat((1.0 / sum) as f32);
        let mut i = 0;
        while i < width {
            let v = s.load_at(y, i, 0.0) * scale;
            s.store_at(y, i, v);
            i += S::LANES;
        }
    }
}
dispatch! { fn softmax_at(x: &[f32], width: usize, y: &mut [f32]) = softmax_rows; }

/// Gradient of the softmax of some rows.
#[inline(always)]
fn softmax_rows_gradient<S: Simd>(s: S, y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    for ((y, dy), dx) in y.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let mean = s.splat(dot(s, y, dy) as f32);
        let mut i = 0;
        while i < width {
            s.store_at(dx, i, s.load_at(y, i, 0.0) * (s.load_at(dy, i, 0.0) - mean));
            i += S::LANES;
        }
    }
}
dispatch! { fn softmax_gradient_at(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) = softmax_rows_gradient; }

/// Logarithm of the softmax of some rows.
#[inline(always)]
fn log_softmax_rows<S: Simd>(s: S, x: &[f32], width: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let max = row_max(s, x);
        let sum = exp_and_sum(s, x.as_ptr(), width, max, y.as_mut_ptr());
        // In two steps: subtracting the maximum is exact for values close to it.
        let (max, ln) = (s.splat(max), s.splat(sum.ln() as f32));
        let mut i = 0;
        while i < width {
            s.store_at(y, i, (s.load_at(x, i, 0.0) - max) - ln);
            i += S::LANES;
        }
    }
}
dispatch! { fn log_softmax_at(x: &[f32], width: usize, y: &mut [f32]) = log_softmax_rows; }

/// Gradient of the logarithm of the softmax of some rows.
#[inline(always)]
fn log_softmax_rows_gradient<S: Simd>(s: S, y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    for ((y, dy), dx) in y.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let mut sum = s.zero();
        let mut i = 0;
        while i < width {
            sum = sum + s.load_at(dy, i, 0.0);
            i += S::LANES;
        }
        let sum = s.splat(-sum.sum() as f32);
        i = 0;
        while i < width {
            let p = math::exp_nonpositive(s, s.load_at(y, i, 0.0));
            s.store_at(dx, i, p.mul_add(sum, s.load_at(dy, i, 0.0)));
            i += S::LANES;
        }
    }
}
dispatch! {
    fn log_softmax_gradient_at(
        y: &[f32], dy: &[f32], width: usize, dx: &mut [f32],
    ) = log_softmax_rows_gradient;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn reference(x: &[f32], width: usize, log: bool) -> Vec<f64> {
        x.chunks(width)
            .flat_map(|x| {
                let max = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                let sum: f64 = x.iter().map(|&x| f64::from(x - max).exp()).sum();
                x.iter()
                    .map(|&x| if log { f64::from(x - max) - sum.ln() } else { f64::from(x - max).exp() / sum })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn softmax_and_log_softmax_and_their_gradients_are_correct_at_any_width() {
        let mut random = TestRng::new(13);
        let random = (0..10).map(|_| random.below(300) + 1);
        for width in [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 257, 1000].into_iter().chain(random) {
            let rows = 5;
            let (x, dy) = (random_values(rows * width, 3, 6.0), random_values(rows * width, 4, 1.0));
            let p = reference(&x, width, false);
            let by_row = |f: &dyn Fn(&[f64], &[f32]) -> Vec<f64>| -> Vec<f64> {
                p.chunks(width).zip(dy.chunks(width)).flat_map(|(p, d)| f(p, d)).collect()
            };
            let soft = by_row(&|p, d| {
                let mean: f64 = p.iter().zip(d).map(|(p, &d)| p * f64::from(d)).sum();
                p.iter().zip(d).map(|(p, &d)| p * (f64::from(d) - mean)).collect()
            });
            let log = by_row(&|p, d| {
                let sum: f64 = d.iter().map(|&d| f64::from(d)).sum();
                p.iter().zip(d).map(|(p, &d)| f64::from(d) - p * sum).collect()
            });
            for level in Level::available() {
                let (mut y, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
                softmax_at(level, &x, width, &mut y);
                assert!(error(&y, &p) < 5e-7);
                softmax_gradient_at(level, &y, &dy, width, &mut dx);
                if width > 1 {
                    assert!(error(&dx, &soft) < 5e-6, "{width}: {}", error(&dx, &soft));
                }
                log_softmax_at(level, &x, width, &mut y);
                assert!(width == 1 || error(&y, &reference(&x, width, true)) < 5e-7);
                log_softmax_gradient_at(level, &y, &dy, width, &mut dx);
                assert!(error(&dx, &log) < 5e-6 || width == 1, "{width}: {}", error(&dx, &log));
            }
        }
    }

    #[test]
    fn minus_infinity_has_probability_zero_and_the_number_of_threads_does_not_matter() {
        let mut y = [f32::NAN; 3];
        softmax(&[1.0, f32::NEG_INFINITY, 1.0], 3, &mut y);
        assert_eq!(y, [0.5, 0.0, 0.5]);
        softmax(&[1.0, f32::NAN, 1.0], 3, &mut y);
        assert!(y.iter().all(|y| y.is_nan()));
        let x = random_values(700 * 101, 3, 2.0);
        same_on_any_number_of_threads(|| {
            let mut y = vec![0.0; x.len()];
            softmax(&x, 101, &mut y);
            y
        });
    }
}
