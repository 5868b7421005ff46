//! Normalisation: over groups of channels, over rows, and by the root mean square, each with what usually follows it.
//!
//! Gains and offsets are `[width]` for all samples or `[samples, width]` with a row for each: the second is how scale
//! and shift by a condition are folded in.
use crate::activation::{Identity, Silu, Unary};
use crate::parallel::{PIECE, Scratch, Shared, for_each};
use crate::simd::{Float, Level, Simd, dispatch};

/// Group normalisation of `[batch, channels, pixels]`, and SiLU after it if wished.
///
/// `y = f(gain · (x − mean) / √(variance + ε) + offset)`; mean and variance over a group's channels and pixels, f SiLU
/// or nothing.
///
/// Wu and He, "Group normalization" (2018), <https://arxiv.org/abs/1803.08494>.
///
/// Largest error found by the tests, in terms of the largest exact value: 2e-6 forward, 5e-6 for gradients.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// Samples.
    pub batch: usize,
    /// Channels, a multiple of the groups.
    pub channels: usize,
    /// Numbers of a channel.
    pub pixels: usize,
    /// Groups that share mean and variance.
    pub groups: usize,
    /// ε, added to the variance.
    pub epsilon: f64,
    /// Whether SiLU follows.
    pub silu: bool,
}

impl GroupNorm {
    fn check(&self, x: usize, gain: &[f32], offset: &[f32], stats: usize) {
        let Self { batch, channels, pixels, groups, .. } = *self;
        assert!(groups > 0 && channels % groups == 0, "{channels} channels do not fall into {groups} groups");
        assert_eq!(x, batch * channels * pixels, "the input of {self:?}");
        assert!(
            gain.len() == channels || gain.len() == batch * channels,
            "the gain of {self:?}, not {} numbers",
            gain.len()
        );
        assert_eq!(gain.len(), offset.len(), "gain and offset have the same shape");
        assert_eq!(stats, batch * groups * 2, "statistics are [batch, groups, 2]");
    }

    /// The gain's or offset's numbers for some channels of sample n.
    fn row<'a>(&self, values: &'a [f32], n: usize, group: usize) -> &'a [f32] {
        let wide = self.channels / self.groups;
        let first = if values.len() == self.channels { 0 } else { n * self.channels };
        &values[first + group * wide..][..wide]
    }

    /// The output `y`, and for the backward pass mean and inverse deviation of each group in `stats`.
    ///
    /// # Shapes
    /// `x, y: [batch, channels, pixels]`, `gain, offset: [channels]` or `[batch, channels]`,
    /// `stats: [batch, groups, 2]`.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) {
        self.check(x.len(), gain, offset, stats.len());
        assert_eq!(x.len(), y.len(), "a norm gives as many numbers as it takes");
        let len = self.channels / self.groups * self.pixels;
        if len == 0 {
            return stats.fill(0.0);
        }
        let level = Level::get();
        let (y, stats) = (Shared::new(y), Shared::new(stats));
        for_each(self.batch * self.groups, |i| {
            let (n, group) = (i / self.groups, i % self.groups);
            // SAFETY: every task has its own group of its own sample.
            let (y, stats) = unsafe { (y.part(i * len..(i + 1) * len), stats.part(2 * i..2 * i + 2)) };
            let (gain, offset) = (self.row(gain, n, group), self.row(offset, n, group));
            let x = &x[i * len..][..len];
            if self.silu {
                group_at(level, Silu, self.epsilon, x, gain, offset, y, stats);
            } else {
                group_at(level, Identity, self.epsilon, x, gain, offset, y, stats);
            }
        });
    }

    /// The gradients by input, gain and offset; the last two have the shape of `gain`.
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward), whose `stats` this reads.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
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
        assert!(x.len() == dy.len() && x.len() == dx.len(), "a gradient has as many numbers as its variable");
        assert!(
            gain.len() == d_gain.len() && gain.len() == d_offset.len(),
            "a gradient has as many numbers as its variable"
        );
        let wide = self.channels / self.groups;
        let len = wide * self.pixels;
        if len == 0 {
            d_gain.fill(0.0);
            return d_offset.fill(0.0);
        }
        let level = Level::get();
        // Gradients by gain and by offset, a pair for every sample and channel.
        let mut sums = Scratch::new(2 * self.batch * self.channels);
        {
            let (dx, sums) = (Shared::new(dx), Shared::new(&mut sums));
            for_each(self.batch * self.groups, |i| {
                let (n, group) = (i / self.groups, i % self.groups);
                // SAFETY: every task has its own group of its own sample.
                let (dx, sums) =
                    unsafe { (dx.part(i * len..(i + 1) * len), sums.part(2 * i * wide..2 * (i + 1) * wide)) };
                let (gain, offset) = (self.row(gain, n, group), self.row(offset, n, group));
                let (x, dy, stats) = (&x[i * len..][..len], &dy[i * len..][..len], [stats[2 * i], stats[2 * i + 1]]);
                if self.silu {
                    group_back_at(level, Silu, x, gain, offset, stats, dy, dx, sums);
                } else {
                    group_back_at(level, Identity, x, gain, offset, stats, dy, dx, sums);
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

/// One group: statistics about its first number, so that they do not cancel, then the affine map and the activation.
#[inline(always)]
fn group<S: Simd, U: Unary>(
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
        let v = s.get(part, 0, x[0]) - pivot;
        sum[0] = sum[0] + v;
        squares[0] = v.mul_add(v, squares[0]);
    }
    let total = |v: [S::F; 4]| (v[0].sum() + v[1].sum()) + (v[2].sum() + v[3].sum());
    let shifted = total(sum) / n;
    let variance = (total(squares) / n - shifted * shifted).max(0.0);
    let (mean, scale) = (shifted + f64::from(x[0]), 1.0 / (variance + epsilon).sqrt());
    stats.copy_from_slice(&[mean as f32, scale as f32]);
    let centre = s.splat(mean as f32);
    let pixels = x.len() / gain.len();
    for (c, (x, y)) in x.chunks_exact(pixels).zip(y.chunks_exact_mut(pixels)).enumerate() {
        let (a, b) = (s.splat((f64::from(gain[c]) * scale) as f32), s.splat(offset[c]));
        let (mut xs, mut ys) = (x.chunks_exact(2 * l), y.chunks_exact_mut(2 * l));
        for (x, y) in (&mut xs).zip(&mut ys) {
            let (p, q) = ((s.load(x) - centre).mul_add(a, b), (s.load(&x[l..]) - centre).mul_add(a, b));
            let (p, q) = (f.value(s, p), f.value(s, q));
            s.store(y, p);
            s.store(&mut y[l..], q);
        }
        for (x, y) in xs.remainder().chunks(l).zip(ys.into_remainder().chunks_mut(l)) {
            s.put(y, 0, f.value(s, (s.get(x, 0, 0.0) - centre).mul_add(a, b)));
        }
    }
}
dispatch! { fn group_at<U: Unary>(f: U, epsilon: f64, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) = group; }

/// The gradients of one group: `dx = scale (g dz − mean(g dz) − x̂ mean(g dz x̂))`, `dz` by the activation's input.
#[inline(always)]
fn group_back<S: Simd, U: Unary>(
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
    let (centre, unit) = (s.splat(stats[0]), s.splat(stats[1]));
    let (mut mean_dz, mut mean_dz_x) = (0.0, 0.0);
    let planes = x.chunks_exact(pixels).zip(dy.chunks_exact(pixels)).zip(dx.chunks_exact_mut(pixels));
    for (c, ((x, dy), dx)) in planes.enumerate() {
        let (a, b) = (s.splat((f64::from(gain[c]) * scale) as f32), s.splat(offset[c]));
        let (mut by_offset, mut by_gain) = ([s.zero(); 2], [s.zero(); 2]);
        let (mut xs, mut dys, mut dxs) = (x.chunks_exact(2 * l), dy.chunks_exact(2 * l), dx.chunks_exact_mut(2 * l));
        for ((x, dy), dx) in (&mut xs).zip(&mut dys).zip(&mut dxs) {
            for j in 0..2 {
                let x = s.load(&x[j * l..]) - centre;
                let dz = s.load(&dy[j * l..]) * f.slope(s, x.mul_add(a, b));
                s.store(&mut dx[j * l..], dz);
                by_offset[j] = by_offset[j] + dz;
                by_gain[j] = dz.mul_add(x * unit, by_gain[j]);
            }
        }
        let rest = xs.remainder().chunks(l).zip(dys.remainder().chunks(l));
        for ((x, dy), dx) in rest.zip(dxs.into_remainder().chunks_mut(l)) {
            let x = s.get(x, 0, 0.0) - centre;
            let dz = s.get(dy, 0, 0.0) * f.slope(s, x.mul_add(a, b));
            s.put(dx, 0, dz);
            by_offset[0] = by_offset[0] + dz;
            by_gain[0] = dz.mul_add(x * unit, by_gain[0]);
        }
        let (by_offset, by_gain) = (by_offset[0].sum() + by_offset[1].sum(), by_gain[0].sum() + by_gain[1].sum());
        sums[2 * c] = by_gain as f32;
        sums[2 * c + 1] = by_offset as f32;
        mean_dz += f64::from(gain[c]) * by_offset;
        mean_dz_x += f64::from(gain[c]) * by_gain;
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
            let v = a.mul_add(s.get(dx, 0, 0.0), s.get(x, 0, 0.0).mul_add(slope, constant));
            s.put(dx, 0, v);
        }
    }
}
dispatch! { fn group_back_at<U: Unary>(f: U, x: &[f32], gain: &[f32], offset: &[f32], stats: [f32; 2], dy: &[f32], dx: &mut [f32], sums: &mut [f32]) = group_back; }

/// Normalisation of rows `[samples, tokens, width]`.
///
/// Layer normalisation: `y = gain · (x − mean) / √(variance + ε) + offset` with each row's mean and variance. With
/// `root_mean_square`: `y = gain · x / √(mean of x² + ε) + offset`.
///
/// Ba, Kiros and Hinton, "Layer normalization" (2016), <https://arxiv.org/abs/1607.06450>; Zhang and Sennrich, "Root
/// mean square layer normalization" (2019), <https://arxiv.org/abs/1910.07467>.
///
/// Largest error found by the tests, in terms of the largest exact value: 1e-6 forward, 3e-6 for gradients.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Samples: gain and offset may differ from one to the next.
    pub samples: usize,
    /// Rows of a sample.
    pub tokens: usize,
    /// Numbers of a row.
    pub width: usize,
    /// ε, added to the variance.
    pub epsilon: f64,
    /// Whether only the size is normalised, not the mean.
    pub root_mean_square: bool,
}

impl LayerNorm {
    fn check(&self, x: usize, gain: &[f32], offset: &[f32], stats: usize) {
        let Self { samples, tokens, width, .. } = *self;
        assert_eq!(x, samples * tokens * width, "the input of {self:?}");
        assert!(
            gain.len() == width || gain.len() == samples * width,
            "the gain of {self:?}, not {} numbers",
            gain.len()
        );
        assert_eq!(gain.len(), offset.len(), "gain and offset have the same shape");
        assert_eq!(stats, samples * tokens * 2, "statistics are [samples, tokens, 2]");
    }

    /// Rows that share a gain and are handled by one task.
    fn rows_a_task(&self, gain: &[f32]) -> usize {
        if gain.len() == self.width { (PIECE / 2 / self.width.max(1)).max(1) } else { self.tokens.max(1) }
    }

    /// The output `y`, and for the backward pass mean and inverse deviation of each row in `stats`.
    ///
    /// # Shapes
    /// `x, y: [samples, tokens, width]`, `gain, offset: [width]` or `[samples, width]`, `stats: [samples, tokens, 2]`.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
    pub fn forward(&self, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) {
        self.check(x.len(), gain, offset, stats.len());
        assert_eq!(x.len(), y.len(), "a norm gives as many numbers as it takes");
        let (rows, width, step) = (self.samples * self.tokens, self.width, self.rows_a_task(gain));
        if x.is_empty() {
            return stats.fill(0.0);
        }
        let level = Level::get();
        let (y, stats) = (Shared::new(y), Shared::new(stats));
        for_each(rows.div_ceil(step), |task| {
            let (first, last) = (task * step, rows.min(task * step + step));
            let at = if gain.len() == width { 0 } else { task * width };
            // SAFETY: every task has its own rows.
            let (y, stats) = unsafe { (y.part(first * width..last * width), stats.part(2 * first..2 * last)) };
            let (gain, offset) = (&gain[at..][..width], &offset[at..][..width]);
            rows_at(
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

    /// The gradients by input, gain and offset; the last two have the shape of `gain`.
    ///
    /// # Shapes
    /// As for [`forward`](Self::forward), whose `stats` this reads.
    ///
    /// # Panics
    /// If a slice does not have the length of its shape.
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
        assert!(x.len() == dy.len() && x.len() == dx.len(), "a gradient has as many numbers as its variable");
        assert!(
            gain.len() == d_gain.len() && gain.len() == d_offset.len(),
            "a gradient has as many numbers as its variable"
        );
        let (rows, width, step) = (self.samples * self.tokens, self.width, self.rows_a_task(gain));
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
                // SAFETY: every task has its own rows and its own sums.
                let (dx, sums) = unsafe {
                    (dx.part(first * width..last * width), sums.part(task * 2 * width..(task + 1) * 2 * width))
                };
                let (x, dy) = (&x[first * width..last * width], &dy[first * width..last * width]);
                let stats = &stats[2 * first..2 * last];
                rows_back_at(level, self.root_mean_square, x, &gain[at..][..width], stats, dy, dx, sums);
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

#[inline(always)]
fn rows<S: Simd>(
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
                sum[0] = sum[0] + s.get(x, 0, 0.0);
            }
            ((sum[0] + sum[1]).sum() / n) as f32
        };
        let centre = s.splat(mean);
        let mut squares = [s.zero(); 2];
        let mut pairs = x.chunks_exact(2 * l);
        for x in &mut pairs {
            let (p, q) = (s.load(x) - centre, s.load(&x[l..]) - centre);
            squares[0] = p.mul_add(p, squares[0]);
            squares[1] = q.mul_add(q, squares[1]);
        }
        for x in pairs.remainder().chunks(l) {
            let p = s.get(x, 0, mean) - centre;
            squares[0] = p.mul_add(p, squares[0]);
        }
        let scale = (1.0 / ((squares[0] + squares[1]).sum() / n + epsilon).sqrt()) as f32;
        stats.copy_from_slice(&[mean, scale]);
        let unit = s.splat(scale);
        let mut i = 0;
        while i + l <= width {
            let normal = (s.load(&x[i..]) - centre) * unit;
            s.store(&mut y[i..], normal.mul_add(s.load(&gain[i..]), s.load(&offset[i..])));
            i += l;
        }
        if i < width {
            let normal = (s.get(x, i, mean) - centre) * unit;
            s.put(y, i, normal.mul_add(s.get(gain, i, 0.0), s.get(offset, i, 0.0)));
        }
    }
}
dispatch! { fn rows_at(epsilon: f64, root_mean_square: bool, x: &[f32], gain: &[f32], offset: &[f32], y: &mut [f32], stats: &mut [f32]) = rows; }

/// `dx = scale (g dy − mean(g dy) − x̂ mean(g dy x̂))`; `sums`: gradients by gain, then by offset.
#[inline(always)]
fn rows_back<S: Simd>(
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
    let (by_gain, by_offset) = sums.split_at_mut(width);
    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for (((x, dy), dx), stats) in rows.zip(stats.chunks_exact(2)) {
        let (centre, unit) = (s.splat(stats[0]), s.splat(stats[1]));
        let (mut sum, mut sum_x) = (s.zero(), s.zero());
        let mut i = 0;
        while i < width {
            let normal = (s.get(x, i, stats[0]) - centre) * unit;
            let d = s.get(dy, i, 0.0);
            let g = d * s.get(gain, i, 0.0);
            sum = sum + g;
            sum_x = g.mul_add(normal, sum_x);
            s.put(by_gain, i, d.mul_add(normal, s.get(by_gain, i, 0.0)));
            s.put(by_offset, i, d + s.get(by_offset, i, 0.0));
            i += l;
        }
        let (mean, scale) = (f64::from(stats[0]), f64::from(stats[1]));
        let mean_g = if root_mean_square { 0.0 } else { sum.sum() / n };
        let slope = scale * scale * (sum_x.sum() / n);
        let (slope, constant) = (s.splat(-slope as f32), s.splat((mean * slope - scale * mean_g) as f32));
        i = 0;
        while i < width {
            let g = s.get(dy, i, 0.0) * s.get(gain, i, 0.0);
            s.put(dx, i, g.mul_add(unit, s.get(x, i, 0.0).mul_add(slope, constant)));
            i += l;
        }
    }
}
dispatch! { fn rows_back_at(root_mean_square: bool, x: &[f32], gain: &[f32], stats: &[f32], dy: &[f32], dx: &mut [f32], sums: &mut [f32]) = rows_back; }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    /// Normalises `x`, cut into runs that share statistics, in double precision.
    fn normal(x: &[f64], run: usize, epsilon: f64, centred: bool) -> Vec<f64> {
        x.chunks(run)
            .flat_map(|x| {
                let n = x.len() as f64;
                let mean = if centred { x.iter().sum::<f64>() / n } else { 0.0 };
                let scale = 1.0 / (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n + epsilon).sqrt();
                x.iter().map(move |x| (x - mean) * scale).collect::<Vec<_>>()
            })
            .collect()
    }

    fn group_reference(norm: &GroupNorm, x: &[f64], gain: &[f64], offset: &[f64]) -> Vec<f64> {
        let run = norm.channels / norm.groups * norm.pixels;
        let at = |i: usize| if gain.len() == norm.channels { i / norm.pixels % norm.channels } else { i / norm.pixels };
        let normals = normal(x, run, norm.epsilon, true);
        let value = |(i, x): (usize, f64)| {
            let z = x * gain[at(i)] + offset[at(i)];
            if norm.silu { z / (1.0 + (-z).exp()) } else { z }
        };
        normals.into_iter().enumerate().map(value).collect()
    }

    fn layer_reference(norm: &LayerNorm, x: &[f64], gain: &[f64], offset: &[f64]) -> Vec<f64> {
        let normals = normal(x, norm.width, norm.epsilon, !norm.root_mean_square);
        let at = |i: usize| {
            if gain.len() == norm.width {
                i % norm.width
            } else {
                i / (norm.width * norm.tokens) * norm.width + i % norm.width
            }
        };
        normals.into_iter().enumerate().map(|(i, x)| x * gain[at(i)] + offset[at(i)]).collect()
    }

    /// The gradient of `Σ dy f(v)` by some places of v, by central differences.
    fn differences(v: &[f32], dy: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<(usize, f64)> {
        let dot = |v: &[f64]| f(v).iter().zip(dy).map(|(y, &d)| y * f64::from(d)).sum::<f64>();
        let mut v = wide(v);
        (0..v.len())
            .step_by(1 + v.len() / 23)
            .map(|i| {
                let (old, h) = (v[i], 1e-5);
                v[i] = old + h;
                let up = dot(&v);
                v[i] = old - h;
                let down = dot(&v);
                v[i] = old;
                (i, (up - down) / (2.0 * h))
            })
            .collect()
    }

    fn close(name: &str, got: &[f32], expected: &[(usize, f64)], most: f64) {
        let size = expected.iter().fold(1e-3, |m: f64, (_, e)| m.max(e.abs()));
        for &(i, e) in expected {
            assert!((f64::from(got[i]) - e).abs() / size < most, "{name}[{i}] is {}, not {e}", got[i]);
        }
    }

    #[test]
    fn group_norm_and_its_gradients_are_right() {
        let mut random = Numbers::new(7);
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
                let mut x = numbers(batch * channels * pixels, 5, 1.0);
                // A mean far from zero must not hurt.
                x.iter_mut().for_each(|x| *x += 3.0);
                let rows = if per_sample { batch } else { 1 };
                let (gain, offset, dy) =
                    (numbers(rows * channels, 6, 1.0), numbers(rows * channels, 7, 1.0), numbers(x.len(), 8, 1.0));
                let (mut y, mut stats) = (vec![f32::NAN; x.len()], vec![f32::NAN; batch * groups * 2]);
                norm.forward(&x, &gain, &offset, &mut y, &mut stats);
                let (x64, g64, o64) = (wide(&x), wide(&gain), wide(&offset));
                let e = error(&y, &group_reference(&norm, &x64, &g64, &o64));
                assert!(e < 2e-6, "{norm:?}: {e}");
                let (mut dx, mut dg, mut d_o) =
                    (vec![f32::NAN; x.len()], vec![f32::NAN; gain.len()], vec![f32::NAN; gain.len()]);
                norm.backward(&x, &gain, &offset, &stats, &dy, &mut dx, &mut dg, &mut d_o);
                // A group of one number is normalised to nothing: its gradient is rounding.
                if channels * pixels > groups {
                    close("dx", &dx, &differences(&x, &dy, |x| group_reference(&norm, x, &g64, &o64)), 5e-6);
                }
                close("d gain", &dg, &differences(&gain, &dy, |g| group_reference(&norm, &x64, g, &o64)), 5e-6);
                close("d offset", &d_o, &differences(&offset, &dy, |o| group_reference(&norm, &x64, &g64, o)), 5e-6);
            }
        }
    }

    #[test]
    fn row_norms_and_their_gradients_are_right() {
        let mut random = Numbers::new(9);
        let random = (0..10).map(|_| (random.below(4) + 1, random.below(9) + 1, random.below(90) + 3));
        for (samples, tokens, width) in
            [(1, 1, 1), (2, 3, 7), (2, 5, 16), (3, 4, 33), (1, 70, 300), (4, 1, 24)].into_iter().chain(random)
        {
            for (root_mean_square, per_sample) in [(false, false), (true, false), (false, true), (true, true)] {
                let norm = LayerNorm { samples, tokens, width, epsilon: 1e-6, root_mean_square };
                let x = numbers(samples * tokens * width, 5, 2.0);
                let rows = if per_sample { samples } else { 1 };
                let (gain, offset, dy) =
                    (numbers(rows * width, 6, 1.0), numbers(rows * width, 7, 1.0), numbers(x.len(), 8, 1.0));
                let (mut y, mut stats) = (vec![f32::NAN; x.len()], vec![f32::NAN; samples * tokens * 2]);
                norm.forward(&x, &gain, &offset, &mut y, &mut stats);
                let (x64, g64, o64) = (wide(&x), wide(&gain), wide(&offset));
                let e = error(&y, &layer_reference(&norm, &x64, &g64, &o64));
                assert!(e < 1e-6, "{norm:?}: {e}");
                let (mut dx, mut dg, mut d_o) =
                    (vec![f32::NAN; x.len()], vec![f32::NAN; gain.len()], vec![f32::NAN; gain.len()]);
                norm.backward(&x, &gain, &stats, &dy, &mut dx, &mut dg, &mut d_o);
                // A row of one number is normalised to nothing: its gradient is rounding.
                if width > 1 {
                    close("dx", &dx, &differences(&x, &dy, |x| layer_reference(&norm, x, &g64, &o64)), 3e-6);
                }
                close("d gain", &dg, &differences(&gain, &dy, |g| layer_reference(&norm, &x64, g, &o64)), 3e-6);
                close("d offset", &d_o, &differences(&offset, &dy, |o| layer_reference(&norm, &x64, &g64, o)), 3e-6);
            }
        }
    }

    #[test]
    fn a_sample_does_not_know_its_batch_nor_the_threads() {
        let norm = GroupNorm { batch: 9, channels: 12, pixels: 50, groups: 4, epsilon: 1e-5, silu: true };
        let (x, gain, offset) = (numbers(9 * 600, 1, 1.0), numbers(12, 2, 1.0), numbers(12, 3, 1.0));
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

        let norm = LayerNorm { samples: 300, tokens: 7, width: 30, epsilon: 1e-5, root_mean_square: false };
        let (x, gain) = (numbers(300 * 210, 1, 1.0), numbers(30, 2, 1.0));
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
