//! Group normalization.
use crate::activation::{Identity, Silu, Unary};
use crate::parallel::{Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

/// Group normalization of `[batch, channels, pixels]`, optionally followed by SiLU.
///
/// `y = f(γ (x − mean) / √(variance + ε) + β)` with gain γ, offset β, mean and variance over the channels and pixels of
/// a group, and f SiLU or the identity.
///
/// Wu and He, "Group normalization" (2018), <https://arxiv.org/abs/1803.08494>.
///
/// Largest error demanded by the tests, relative to the largest exact value: 2e-6 forward, 5e-6 for gradients.
///
/// ```
/// use tweedie_kernels::GroupNorm;
/// let norm = GroupNorm { batch: 1, channels: 1, pixels: 2, groups: 1, epsilon: 0.0, silu: false };
/// let (mut y, mut stats) = ([0.0; 2], [0.0; 2]);
/// norm.forward(&[1.0, 3.0], &[2.0], &[0.5], &mut y, &mut stats);
/// assert_eq!(y, [-1.5, 2.5]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// Number of samples.
    pub batch: usize,
    /// Number of channels, a multiple of `groups`.
    pub channels: usize,
    /// Number of pixels.
    pub pixels: usize,
    /// Number of groups of channels with a common mean and variance.
    pub groups: usize,
    /// ε, added to the variance. PyTorch's default: 1e-5.
    pub epsilon: f64,
    /// Whether SiLU is applied to the result.
    pub silu: bool,
}

impl GroupNorm {
    /// Checks the lengths of the slices.
    fn check(&self, x: usize, gain: &[f32], offset: &[f32], stats: usize) {
        let Self { batch, channels, pixels, groups, .. } = *self;
        assert!(
            groups > 0 && channels % groups == 0,
            "the channels must be a multiple of the groups, got {channels} channels and {groups} groups"
        );
        assert_eq!(x, batch * channels * pixels, "the length of the input must match {self:?}");
        assert!(
            gain.len() == channels || gain.len() == batch * channels,
            "the gain must be [channels] or [batch, channels] for {self:?}, got {} elements",
            gain.len()
        );
        assert_eq!(gain.len(), offset.len(), "gain and offset must have the same shape");
        assert_eq!(stats, batch * groups * 2, "the statistics must be [batch, groups, 2]");
    }

    /// The part of a gain or an offset for one group of sample n.
    fn row<'a>(&self, values: &'a [f32], n: usize, group: usize) -> &'a [f32] {
        let wide = self.channels / self.groups;
        let first = if values.len() == self.channels { 0 } else { n * self.channels };
        &values[first + group * wide..][..wide]
    }

    /// Computes the output `y`, and for the backward pass mean and inverse standard deviation of each group in `stats`.
    ///
    /// # Shapes
    /// `x, y: [batch, channels, pixels]`, `gain, offset: [channels]` or `[batch, channels]`,
    /// `stats: [batch, groups, 2]`.
    ///
    /// # Panics
    /// If the length of a slice does not match its shape.
    pub fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) {
        self.check(x.len(), gain, offset, stats.len());
        assert_eq!(x.len(), y.len(), "the output must have the shape of the input");
        let len = self.channels / self.groups * self.pixels;
        if len == 0 {
            return stats.fill(0.0);
        }
        let level = Level::get();
        let (y, stats) = (Shared::new(y), Shared::new(stats));
        for_each(self.batch * self.groups, |i| {
            let (n, group) = (i / self.groups, i % self.groups);
            // SAFETY: every task writes its own group of its own sample.
            let (y, stats) = unsafe { (y.part(i * len..(i + 1) * len), stats.part(2 * i..2 * i + 2)) };
            let (gain, offset) = (self.row(gain, n, group), self.row(offset, n, group));
            let x = &x[i * len..][..len];
            if self.silu {
                group_forward_at(level, Silu, self.epsilon, x, gain, offset, y, stats);
            } else {
                group_forward_at(level, Identity, self.epsilon, x, gain, offset, y, stats);
            }
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
        offset: &[f32],
        stats: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        d_gain: &mut [f32],
        d_offset: &mut [f32],
    ) {
        self.check(x.len(), gain, offset, stats.len());
        assert!(x.len() == dy.len() && x.len() == dx.len(), "a gradient must have the shape of its variable");
        assert!(
            gain.len() == d_gain.len() && gain.len() == d_offset.len(),
            "a gradient must have the shape of its variable"
        );
        let wide = self.channels / self.groups;
        let len = wide * self.pixels;
        if len == 0 {
            d_gain.fill(0.0);
            return d_offset.fill(0.0);
        }
        let level = Level::get();
        // Gradients with respect to gain and offset, a pair per sample and channel.
        let mut sums = Scratch::new(2 * self.batch * self.channels);
        {
            let (dx, sums) = (Shared::new(dx), Shared::new(&mut sums));
            for_each(self.batch * self.groups, |i| {
                let (n, group) = (i / self.groups, i % self.groups);
                // SAFETY: every task writes its own group of its own sample.
                let (dx, sums) =
                    unsafe { (dx.part(i * len..(i + 1) * len), sums.part(2 * i * wide..2 * (i + 1) * wide)) };
                let (gain, offset) = (self.row(gain, n, group), self.row(offset, n, group));
                let (x, dy, stats) = (&x[i * len..][..len], &dy[i * len..][..len], [stats[2 * i], stats[2 * i + 1]]);
                if self.silu {
                    group_backward_at(level, Silu, x, gain, offset, stats, dy, dx, sums);
                } else {
                    group_backward_at(level, Identity, x, gain, offset, stats, dy, dx, sums);
                }
            });
        }
        let rows = self.batch * self.channels / d_gain.len().max(1);
        for (c, (d_gain, d_offset)) in d_gain.iter_mut().zip(d_offset).enumerate() {
            let at = |n: usize, which: usize| f64::from(sums[2 * (n * self.channels + c) + which]);
            *d_gain = (0..rows).map(|n| at(n, 0)).sum::<f64>() as f32;
            *d_offset = (0..rows).map(|n| at(n, 1)).sum::<f64>() as f32;
        }
    }
}

/// Normalizes one group. The moments are taken about its first element, to avoid cancellation.
#[inline(always)]
fn group_forward<S: Simd, U: Unary>(
    s: S,
    f: U,
    epsilon: f64,
    x: &[f32],
    gain: &[f32],
    offset: &[f32],
    y: &mut [f32],
    stats: &mut [f32],
) {
    let (l, n) = (S::LANES, x.len() as f64);
    let pivot = s.splat(x[0]);
    let (mut sum, mut squares) = ([s.zero(); 4], [s.zero(); 4]);
    let mut fours = x.chunks_exact(4 * l);
    for x in &mut fours {
        for j in 0..4 {
            let v = s.load(&x[j * l..]) - pivot;
            sum[j] = sum[j] + v;
            squares[j] = v.mul_add(v, squares[j]);
        }
    }
    for part in fours.remainder().chunks(l) {
        let v = s.load_at(part, 0, x[0]) - pivot;
        sum[0] = sum[0] + v;
        squares[0] = v.mul_add(v, squares[0]);
    }
    let total = |v: [S::F; 4]| (v[0].sum() + v[1].sum()) + (v[2].sum() + v[3].sum());
    let shifted = total(sum) / n;
    let variance = (total(squares) / n - shifted * shifted).max(0.0);
    let (mean, scale) = (shifted + f64::from(x[0]), 1.0 / (variance + epsilon).sqrt());
    stats.copy_from_slice(&[mean as f32, scale as f32]);
    let center = s.splat(mean as f32);
    let pixels = x.len() / gain.len();
    for (c, (x, y)) in x.chunks_exact(pixels).zip(y.chunks_exact_mut(pixels)).enumerate() {
        let (a, b) = (s.splat((f64::from(gain[c]) * scale) as f32), s.splat(offset[c]));
        let (mut xs, mut ys) = (x.chunks_exact(2 * l), y.chunks_exact_mut(2 * l));
        for (x, y) in (&mut xs).zip(&mut ys) {
            let (p, q) = ((s.load(x) - center).mul_add(a, b), (s.load(&x[l..]) - center).mul_add(a, b));
            let (p, q) = (f.value(s, p), f.value(s, q));
            s.store(y, p);
            s.store(&mut y[l..], q);
        }
        for (x, y) in xs.remainder().chunks(l).zip(ys.into_remainder().chunks_mut(l)) {
            s.store_at(y, 0, f.value(s, (s.load_at(x, 0, 0.0) - center).mul_add(a, b)));
        }
    }
}
dispatch! {
    fn group_forward_at<U: Unary>(
        f: U, epsilon: f64, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32],
    ) = group_forward;
}

/// Computes the gradients of one group: `dx = scale (γ dz − mean(γ dz) − x̂ mean(γ dz x̂))` with the normalized input
/// x̂ and the gradient dz with respect to the input of the activation.
#[inline(always)]
fn group_backward<S: Simd, U: Unary>(
    s: S,
    f: U,
    x: &[f32],
    gain: &[f32],
    offset: &[f32],
    stats: [f32; 2],
    dy: &[f32],
    dx: &mut [f32],
    sums: &mut [f32],
) {
    let l = S::LANES;
    let (mean, scale) = (f64::from(stats[0]), f64::from(stats[1]));
    let pixels = x.len() / gain.len();
    let (center, unit) = (s.splat(stats[0]), s.splat(stats[1]));
    let (mut mean_dz, mut mean_dz_x) = (0.0, 0.0);
    let planes = x.chunks_exact(pixels).zip(dy.chunks_exact(pixels)).zip(dx.chunks_exact_mut(pixels));
    for (c, ((x, dy), dx)) in planes.enumerate() {
        let (a, b) = (s.splat((f64::from(gain[c]) * scale) as f32), s.splat(offset[c]));
        let (mut d_offset, mut d_gain) = ([s.zero(); 2], [s.zero(); 2]);
        let (mut xs, mut dys, mut dxs) = (x.chunks_exact(2 * l), dy.chunks_exact(2 * l), dx.chunks_exact_mut(2 * l));
        for ((x, dy), dx) in (&mut xs).zip(&mut dys).zip(&mut dxs) {
            for j in 0..2 {
                let x = s.load(&x[j * l..]) - center;
                let dz = s.load(&dy[j * l..]) * f.slope(s, x.mul_add(a, b));
                s.store(&mut dx[j * l..], dz);
                d_offset[j] = d_offset[j] + dz;
                d_gain[j] = dz.mul_add(x * unit, d_gain[j]);
            }
        }
        let rest = xs.remainder().chunks(l).zip(dys.remainder().chunks(l));
        for ((x, dy), dx) in rest.zip(dxs.into_remainder().chunks_mut(l)) {
            let x = s.load_at(x, 0, 0.0) - center;
            let dz = s.load_at(dy, 0, 0.0) * f.slope(s, x.mul_add(a, b));
            s.store_at(dx, 0, dz);
            d_offset[0] = d_offset[0] + dz;
            d_gain[0] = dz.mul_add(x * unit, d_gain[0]);
        }
        let (d_offset, d_gain) = (d_offset[0].sum() + d_offset[1].sum(), d_gain[0].sum() + d_gain[1].sum());
        sums[2 * c] = d_gain as f32;
        sums[2 * c + 1] = d_offset as f32;
        mean_dz += f64::from(gain[c]) * d_offset;
        mean_dz_x += f64::from(gain[c]) * d_gain;
    }
    let n = x.len() as f64;
    let slope = scale * scale * mean_dz_x / n;
    let (slope, constant) = (s.splat(-slope as f32), s.splat((mean * slope - scale * mean_dz / n) as f32));
    for (c, (x, dx)) in x.chunks_exact(pixels).zip(dx.chunks_exact_mut(pixels)).enumerate() {
        let a = s.splat((f64::from(gain[c]) * scale) as f32);
        let (mut xs, mut dxs) = (x.chunks_exact(l), dx.chunks_exact_mut(l));
        for (x, dx) in (&mut xs).zip(&mut dxs) {
            let v = a.mul_add(s.load(dx), s.load(x).mul_add(slope, constant));
            s.store(dx, v);
        }
        let (x, dx) = (xs.remainder(), dxs.into_remainder());
        if !x.is_empty() {
            let v = a.mul_add(s.load_at(dx, 0, 0.0), s.load_at(x, 0, 0.0).mul_add(slope, constant));
            s.store_at(dx, 0, v);
        }
    }
}
dispatch! {
    fn group_backward_at<U: Unary>(
        f: U, x: &[f32], gain: &[f32], offset: &[f32], stats: [f32; 2], dy: &[f32], dx: &mut [f32], sums: &mut [f32],
    ) = group_backward;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn group_reference(norm: &GroupNorm, x: &[f64], gain: &[f64], offset: &[f64]) -> Vec<f64> {
        let run = norm.channels / norm.groups * norm.pixels;
        let at = |i: usize| if gain.len() == norm.channels { i / norm.pixels % norm.channels } else { i / norm.pixels };
        let normals = normalize(x, run, norm.epsilon, true);
        let value = |(i, x): (usize, f64)| {
            let z = x * gain[at(i)] + offset[at(i)];
            if norm.silu { z / (1.0 + (-z).exp()) } else { z }
        };
        normals.into_iter().enumerate().map(value).collect()
    }

    #[test]
    fn group_norm_and_its_gradients_are_correct() {
        let mut random = TestRng::new(7);
        let random = (0..10).map(|_| {
            let (groups, wide) = (random.below(5) + 1, random.below(5) + 1);
            (random.below(3) + 1, groups * wide, random.below(70) + 2, groups)
        });
        for (batch, channels, pixels, groups) in
            [(1, 1, 1, 1), (2, 8, 9, 2), (3, 6, 35, 3), (1, 4, 64, 1), (2, 32, 17, 8), (1, 3, 100, 3)]
                .into_iter()
                .chain(random)
        {
            for (silu, per_sample) in [(false, false), (true, false), (false, true), (true, true)] {
                let norm = GroupNorm { batch, channels, pixels, groups, epsilon: 1e-5, silu };
                let mut x = random_values(batch * channels * pixels, 5, 1.0);
                // A mean far from zero must not increase the error.
                x.iter_mut().for_each(|x| *x += 3.0);
                let rows = if per_sample { batch } else { 1 };
                let (gain, offset, dy) = (
                    random_values(rows * channels, 6, 1.0),
                    random_values(rows * channels, 7, 1.0),
                    random_values(x.len(), 8, 1.0),
                );
                let (mut y, mut stats) = (vec![f32::NAN; x.len()], vec![f32::NAN; batch * groups * 2]);
                norm.forward(&x, &gain, &offset, &mut y, &mut stats);
                let (x64, g64, o64) = (to_f64(&x), to_f64(&gain), to_f64(&offset));
                let e = error(&y, &group_reference(&norm, &x64, &g64, &o64));
                assert!(e < 2e-6, "{norm:?}: {e}");
                let (mut dx, mut dg, mut d_o) =
                    (vec![f32::NAN; x.len()], vec![f32::NAN; gain.len()], vec![f32::NAN; gain.len()]);
                norm.backward(&x, &gain, &offset, &stats, &dy, &mut dx, &mut dg, &mut d_o);
                // A group of one element is normalized to zero: its gradient is rounding error.
                if channels * pixels > groups {
                    assert_close(
                        "dx",
                        &dx,
                        &central_differences(&x, &dy, |x| group_reference(&norm, x, &g64, &o64)),
                        5e-6,
                    );
                }
                assert_close(
                    "dγ",
                    &dg,
                    &central_differences(&gain, &dy, |g| group_reference(&norm, &x64, g, &o64)),
                    5e-6,
                );
                assert_close(
                    "dβ",
                    &d_o,
                    &central_differences(&offset, &dy, |o| group_reference(&norm, &x64, &g64, o)),
                    5e-6,
                );
            }
        }
    }

    #[test]
    fn a_sample_does_not_depend_on_its_batch_or_on_the_number_of_threads() {
        let norm = GroupNorm { batch: 9, channels: 12, pixels: 50, groups: 4, epsilon: 1e-5, silu: true };
        let (x, gain, offset) = (random_values(9 * 600, 1, 1.0), random_values(12, 2, 1.0), random_values(12, 3, 1.0));
        let run = |norm: GroupNorm, x: &[f32]| {
            let (mut y, mut stats) = (vec![0.0; x.len()], vec![0.0; norm.batch * 8]);
            norm.forward(x, &gain, &offset, &mut y, &mut stats);
            let (mut dx, mut dg, mut d_o) = (vec![0.0; x.len()], vec![0.0; 12], vec![0.0; 12]);
            norm.backward(x, &gain, &offset, &stats, x, &mut dx, &mut dg, &mut d_o);
            [y, dx, dg, d_o].concat()
        };
        let all = same_on_any_number_of_threads(|| run(norm, &x));
        let one = run(GroupNorm { batch: 1, ..norm }, &x[5 * 600..6 * 600]);
        assert_eq!(one[..600], all[5 * 600..6 * 600]);
        assert_eq!(one[600..1200], all[x.len() + 5 * 600..][..600]);
    }
}
