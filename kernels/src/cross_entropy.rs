//! Cross-entropy of rows of logits, without the softmax in memory.
use crate::math;
use crate::parallel::{CHUNK, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};
use crate::softmax::row_max;

/// Computes the cross-entropy of every row of `width` logits with its target category.
///
/// `y = max x + ln Σ exp(x − max x) − x[target]`
///
/// Category `excluded`, if given, is left out of the sum. Nothing of the size of x is allocated. `stats` receives the
/// maximum and the logarithm of the sum of each row, which [`cross_entropy_gradient`] needs.
///
/// ```
/// let (mut y, mut stats) = ([0.0], [0.0; 2]);
/// tweedie_kernels::cross_entropy(&[0.0, 0.0, 9.0], 3, &[1.0], Some(2), &mut y, &mut stats);
/// assert!((y[0] - 2f32.ln()).abs() < 1e-6);
/// ```
///
/// # Panics
/// If the slices do not have one element per row (two for `stats`), or a target is not below `width`.
pub fn cross_entropy(
    x: &[f32],
    width: usize,
    target: &[f32],
    excluded: Option<usize>,
    y: &mut [f32],
    stats: &mut [f32],
) {
    let (level, n) = (Level::get(), y.len());
    assert!(
        x.len() == n * width && target.len() == n && stats.len() == 2 * n,
        "logits, targets and statistics must have {n} rows for rows of {width} logits"
    );
    let rows = (CHUNK / width.max(1)).max(1);
    let shared = Shared::new(stats);
    for_each(n.div_ceil(rows), |i| {
        let (from, to) = (i * rows, n.min((i + 1) * rows));
        // SAFETY: every task writes its own rows.
        let stats = unsafe { shared.part(2 * from..2 * to) };
        row_stats_at(level, &x[from * width..to * width], width, excluded, stats);
    });
    for (i, (y, stats)) in y.iter_mut().zip(stats.chunks_exact(2)).enumerate() {
        let target = target[i] as usize;
        assert!(target < width, "the target of row {i} must be below {width}, got {target}");
        *y = (stats[0] - x[i * width + target]) + stats[1];
    }
}

/// Computes the gradient with respect to the input of [`cross_entropy`]: `dx = dy (softmax(x) − onehot(target))`.
///
/// # Panics
/// As for [`cross_entropy`].
pub fn cross_entropy_gradient(
    x: &[f32],
    width: usize,
    target: &[f32],
    excluded: Option<usize>,
    stats: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let (level, n) = (Level::get(), dy.len());
    assert!(x.len() == n * width && dx.len() == x.len() && target.len() == n && stats.len() == 2 * n);
    let rows = (CHUNK / width.max(1)).max(1);
    let shared = Shared::new(dx);
    for_each(n.div_ceil(rows), |i| {
        let (from, to) = (i * rows, n.min((i + 1) * rows));
        // SAFETY: every task writes its own rows.
        let dx = unsafe { shared.part(from * width..to * width) };
        let x = &x[from * width..to * width];
        scaled_softmax_at(level, x, width, &stats[2 * from..2 * to], &dy[from..to], dx);
        for (row, dx) in dx.chunks_exact_mut(width).enumerate() {
            if let Some(excluded) = excluded {
                dx[excluded] = 0.0;
            }
            dx[target[from + row] as usize] -= dy[from + row];
        }
    });
}

/// Maximum and logarithm of the sum of exponentials of every row.
#[inline(always)]
fn row_stats<S: Simd>(s: S, x: &[f32], width: usize, excluded: Option<usize>, stats: &mut [f32]) {
    for (x, stats) in x.chunks_exact(width).zip(stats.chunks_exact_mut(2)) {
        let parts = match excluded {
            Some(i) => [&x[..i], &x[i + 1..]],
            None => [x, &x[..0]],
        };
        let max = parts.iter().fold(f32::NEG_INFINITY, |max, part| {
            let own = row_max(s, part);
            if own > max || own.is_nan() { own } else { max }
        });
        let m = s.splat(max);
        let mut total = 0.0_f64;
        for part in parts {
            let mut sum = [s.zero(); 2];
            let mut pairs = part.chunks_exact(2 * S::LANES);
            for x in &mut pairs {
                sum[0] = sum[0] + math::exp_nonpositive(s, s.load(x) - m);
                sum[1] = sum[1] + math::exp_nonpositive(s, s.load(&x[S::LANES..]) - m);
            }
            for x in pairs.remainder().chunks(S::LANES) {
                sum[0] = sum[0] + math::exp_nonpositive(s, s.load_at(x, 0, f32::NEG_INFINITY) - m);
            }
            total += (sum[0] + sum[1]).sum();
        }
        stats.copy_from_slice(&[max, total.ln() as f32]);
    }
}
dispatch! { fn row_stats_at(x: &[f32], width: usize, excluded: Option<usize>, stats: &mut [f32]) = row_stats; }

/// Computes `dx = dy softmax(x)` for every row; rows with dy = 0 are zero.
#[inline(always)]
fn scaled_softmax<S: Simd>(s: S, x: &[f32], width: usize, stats: &[f32], dy: &[f32], dx: &mut [f32]) {
    for (i, (x, dx)) in x.chunks_exact(width).zip(dx.chunks_exact_mut(width)).enumerate() {
        if dy[i] == 0.0 {
            dx.fill(0.0);
            continue;
        }
        let (max, ln, dy) = (s.splat(stats[2 * i]), s.splat(stats[2 * i + 1]), s.splat(dy[i]));
        let mut j = 0;
        while j < width {
            s.store_at(dx, j, math::exp_nonpositive(s, (s.load_at(x, j, 0.0) - max) - ln) * dy);
            j += S::LANES;
        }
    }
}
dispatch! { fn scaled_softmax_at(x: &[f32], width: usize, stats: &[f32], dy: &[f32], dx: &mut [f32]) = scaled_softmax; }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn values_and_gradients_are_correct_at_any_width() {
        for (width, excluded) in [(2, None), (7, Some(0)), (16, Some(15)), (33, Some(5)), (1000, None)] {
            let n = 5;
            let x = random_values(n * width, 3, 6.0);
            let dy = [1.0, -0.5, 0.0, 2.0, 0.1];
            let target: Vec<f32> = (0..n).map(|i| ((i * 3 + 1) % width) as f32).collect();
            let included = |j: usize| Some(j) != excluded;
            let (mut value, mut gradient) = (vec![], vec![]);
            for (i, x) in x.chunks(width).enumerate() {
                let sum: f64 = (0..width).filter(|j| included(*j)).map(|j| f64::from(x[j]).exp()).sum();
                let t = target[i] as usize;
                value.push(sum.ln() - f64::from(x[t]));
                gradient.extend((0..width).map(|j| {
                    let p = if included(j) { f64::from(x[j]).exp() / sum } else { 0.0 };
                    f64::from(dy[i]) * (p - f64::from(u8::from(j == t)))
                }));
            }
            let (mut y, mut stats, mut dx) = (vec![f32::NAN; n], vec![0.0; 2 * n], vec![f32::NAN; x.len()]);
            cross_entropy(&x, width, &target, excluded, &mut y, &mut stats);
            assert!(error(&y, &value) < 1e-6, "{width}: {}", error(&y, &value));
            cross_entropy_gradient(&x, width, &target, excluded, &stats, &dy, &mut dx);
            assert!(error(&dx, &gradient) < 5e-6, "{width}: {}", error(&dx, &gradient));
        }
    }
}
