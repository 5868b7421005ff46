//! Softmax and its logarithm over rows.
use crate::math;
use crate::parallel::{CHUNK, for_chunks};
use crate::simd::{Float, Level, Simd, dispatch};

/// `y = exp(x − max x) / Σ exp(x − max x)` of every row of `width` numbers.
///
/// ```
/// let mut y = [0.0; 2];
/// tweedie_kernels::softmax(&[0.0, 0.0], 2, &mut y);
/// assert_eq!(y, [0.5, 0.5]);
/// ```
///
/// Largest error found by the tests: 5e-7. Minus infinity has probability zero; a row of nothing else gives NaN.
///
/// # Panics
/// If the slices differ in length or are not whole rows.
pub fn softmax(x: &[f32], width: usize, y: &mut [f32]) {
    let level = Level::get();
    whole_rows(&[x.len(), y.len()], width);
    for_chunks(piece(width), [x], y, |[x], y| softmax_at(level, x, width, y));
}

/// The gradient by the input of [`softmax`], from its output `y`: `dx = y (dy − Σ y dy)`.
///
/// # Panics
/// If the slices differ in length or are not whole rows.
pub fn softmax_gradient(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    let level = Level::get();
    whole_rows(&[y.len(), dy.len(), dx.len()], width);
    for_chunks(piece(width), [y, dy], dx, |[y, dy], dx| softmax_back_at(level, y, dy, width, dx));
}

/// `y = x − max x − ln Σ exp(x − max x)` of every row of `width` numbers.
///
/// Largest error found by the tests, in terms of the largest value: 5e-7.
///
/// # Panics
/// If the slices differ in length or are not whole rows.
pub fn log_softmax(x: &[f32], width: usize, y: &mut [f32]) {
    let level = Level::get();
    whole_rows(&[x.len(), y.len()], width);
    for_chunks(piece(width), [x], y, |[x], y| log_softmax_at(level, x, width, y));
}

/// The gradient by the input of [`log_softmax`], from its output `y`: `dx = dy − eʸ Σ dy`.
///
/// # Panics
/// If the slices differ in length or are not whole rows.
pub fn log_softmax_gradient(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    let level = Level::get();
    whole_rows(&[y.len(), dy.len(), dx.len()], width);
    for_chunks(piece(width), [y, dy], dx, |[y, dy], dx| log_softmax_back_at(level, y, dy, width, dx));
}

/// Whole rows of about a piece's length.
fn piece(width: usize) -> usize {
    (CHUNK / width).max(1) * width
}

fn whole_rows(lengths: &[usize], width: usize) {
    assert!(width > 0 && lengths.iter().all(|&n| n == lengths[0] && n % width == 0), "{lengths:?} in rows of {width}");
}

/// Largest number of a row.
#[inline(always)]
pub(crate) fn row_max<S: Simd>(s: S, x: &[f32]) -> f32 {
    let l = S::LANES;
    let least = s.splat(f32::NEG_INFINITY);
    let mut most = [least; 2];
    let mut pairs = x.chunks_exact(2 * l);
    for x in &mut pairs {
        // What is not a number is on the left, so that it stays.
        most[0] = s.load(x).max(most[0]);
        most[1] = s.load(&x[l..]).max(most[1]);
    }
    for x in pairs.remainder().chunks(l) {
        most[0] = s.load_at(x, 0, f32::NEG_INFINITY).max(most[0]);
    }
    most[0].max(most[1]).max_lane()
}

/// `y = exp(x − most)`; gives the sum.
#[inline(always)]
pub(crate) fn exp_and_sum<S: Simd>(s: S, x: *const f32, n: usize, most: f32, y: *mut f32) -> f64 {
    let l = S::LANES;
    let m = s.splat(most);
    let mut sum = [s.zero(); 2];
    let mut i = 0;
    // SAFETY: the callers hand over rows of n numbers, which may be the same row.
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

/// `Σ a b`.
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

#[inline(always)]
fn rows<S: Simd>(s: S, x: &[f32], width: usize, y: &mut [f32]) {
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
dispatch! { fn softmax_at(x: &[f32], width: usize, y: &mut [f32]) = rows; }

#[inline(always)]
fn rows_back<S: Simd>(s: S, y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
    for ((y, dy), dx) in y.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let mean = s.splat(dot(s, y, dy) as f32);
        let mut i = 0;
        while i < width {
            s.store_at(dx, i, s.load_at(y, i, 0.0) * (s.load_at(dy, i, 0.0) - mean));
            i += S::LANES;
        }
    }
}
dispatch! { fn softmax_back_at(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) = rows_back; }

#[inline(always)]
fn log_rows<S: Simd>(s: S, x: &[f32], width: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let most = row_max(s, x);
        let sum = exp_and_sum(s, x.as_ptr(), width, most, y.as_mut_ptr());
        // Two steps: the largest subtracts without rounding where it is near.
        let (most, ln) = (s.splat(most), s.splat(sum.ln() as f32));
        let mut i = 0;
        while i < width {
            s.store_at(y, i, (s.load_at(x, i, 0.0) - most) - ln);
            i += S::LANES;
        }
    }
}
dispatch! { fn log_softmax_at(x: &[f32], width: usize, y: &mut [f32]) = log_rows; }

#[inline(always)]
fn log_rows_back<S: Simd>(s: S, y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) {
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
dispatch! { fn log_softmax_back_at(y: &[f32], dy: &[f32], width: usize, dx: &mut [f32]) = log_rows_back; }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn reference(x: &[f32], width: usize, log: bool) -> Vec<f64> {
        x.chunks(width)
            .flat_map(|x| {
                let most = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
                let sum: f64 = x.iter().map(|&x| f64::from(x - most).exp()).sum();
                x.iter()
                    .map(|&x| if log { f64::from(x - most) - sum.ln() } else { f64::from(x - most).exp() / sum })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn both_and_their_gradients_are_right_at_any_width() {
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
                softmax_back_at(level, &y, &dy, width, &mut dx);
                if width > 1 {
                    assert!(error(&dx, &soft) < 5e-6, "{width}: {}", error(&dx, &soft));
                }
                log_softmax_at(level, &x, width, &mut y);
                assert!(width == 1 || error(&y, &reference(&x, width, true)) < 5e-7);
                log_softmax_back_at(level, &y, &dy, width, &mut dx);
                assert!(error(&dx, &log) < 5e-6 || width == 1, "{width}: {}", error(&dx, &log));
            }
        }
    }

    #[test]
    fn what_is_excluded_has_no_probability_and_threads_do_not_matter() {
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
