//! Keyed standard normals.
//!
//! Each block of Philox4x32-10 yields four normals by two Box–Muller transforms. The counter of the block is the
//! position of the values, so every value depends only on the key, the counter `draw`, its row and its index in the
//! row.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011),
//! <https://doi.org/10.1145/2063384.2063405>.
use crate::math;
use crate::parallel::{CHUNK, Shared, for_each};
use crate::simd::{Float, Int, Level, MAX_LANES, Simd, dispatch};
use std::f32::consts::{FRAC_1_SQRT_2, PI};

/// Fills `out` with `rows` rows of `len` standard normals, |z| < 6.8.
///
/// Elements 4b to 4b + 3 of row `first_row + i` are computed from the four words w of Philox4x32-10 at the counter
/// `[b, draw, row, row >> 32]` with `key`: `r cos θ, r sin θ` with `r = √(−2 ln u(w₀))`, `θ = 2π u(w₁)`, then the same
/// with w₂ and w₃, where `u(w) = (w + ½) 2⁻³²`.
///
/// Computed in single precision, within 8 units in the last place of the exact value (or an absolute error of 1e-7 for
/// small values); **bit-identical on every instruction set**, because every operation is rounded once.
///
/// ```
/// use tweedie_kernels::fill_normals;
/// let (mut all, mut part) = ([0.0; 12], [0.0; 6]);
/// fill_normals([7, 0], 0, 0, 4, 3, &mut all);
/// fill_normals([7, 0], 0, 2, 2, 3, &mut part);
/// assert_eq!(all[6..], part);
/// ```
///
/// # Panics
/// If `out` does not have `rows × len` elements, or a row has more than 2³⁴.
pub fn fill_normals(key: [u32; 2], draw: u32, first_row: u64, rows: usize, len: usize, out: &mut [f32]) {
    assert_eq!(out.len(), rows * len, "the output must have {rows} rows of {len} elements");
    assert!(len.div_ceil(4) as u64 <= 1 << 32, "a row must have at most 2³⁴ elements, got {len}");
    if out.is_empty() {
        return;
    }
    let level = Level::get();
    let shared = Shared::new(out);
    // A task fills a chunk of a long row, or several short rows.
    let chunks = len.div_ceil(CHUNK);
    let step = if chunks > 1 { 1 } else { (CHUNK / len).max(1) };
    for_each(rows.div_ceil(step) * chunks, |task| {
        let (row, chunk) = (task / chunks * step, task % chunks);
        let last = rows.min(row + step);
        let at = Position { key, draw, row: first_row.wrapping_add(row as u64), block: (chunk * CHUNK / 4) as u32 };
        let start = row * len + chunk * CHUNK;
        let end = if chunks > 1 { (start + CHUNK).min((row + 1) * len) } else { last * len };
        // SAFETY: every task writes its own chunk or its own rows.
        normals_at(level, at, len, unsafe { shared.part(start..end) });
    });
}

/// Position of the first value of a task in the stream.
#[derive(Clone, Copy)]
struct Position {
    key: [u32; 2],
    draw: u32,
    row: u64,
    block: u32,
}

/// Fills a chunk of one row, or whole rows of `len` elements.
#[inline(always)]
fn normals<S: Simd>(s: S, at: Position, len: usize, out: &mut [f32]) {
    let l = S::LANES;
    if len >= 4 * l {
        for (i, out) in out.chunks_mut(len).enumerate() {
            let row = at.row.wrapping_add(i as u64);
            let (low, high) = (s.splat_int(row as u32), s.splat_int((row >> 32) as u32));
            let mut block = at.block;
            let mut runs = out.chunks_exact_mut(4 * l);
            for out in &mut runs {
                let four = four(s, [count(s, block), s.splat_int(at.draw), low, high], at.key);
                // SAFETY: the run has 4 LANES floats.
                unsafe { s.write_interleaved(out.as_mut_ptr(), four) };
                block = block.wrapping_add(l as u32);
            }
            let rest = runs.into_remainder();
            if !rest.is_empty() {
                let four = four(s, [count(s, block), s.splat_int(at.draw), low, high], at.key);
                let mut whole = [0.0; 4 * MAX_LANES];
                // SAFETY: the buffer has 4 MAX_LANES floats.
                unsafe { s.write_interleaved(whole.as_mut_ptr(), four) };
                rest.copy_from_slice(&whole[..rest.len()]);
            }
        }
        return;
    }
    // Short rows: one vector holds the blocks of several rows.
    let blocks = len.div_ceil(4);
    let total = out.len() / len * blocks;
    let mut first = 0;
    while first < total {
        let mut counters = [[0; MAX_LANES]; 3];
        for lane in 0..l.min(total - first) {
            let (row, block) = (at.row.wrapping_add(((first + lane) / blocks) as u64), (first + lane) % blocks);
            counters[0][lane] = block as u32;
            counters[1][lane] = row as u32;
            counters[2][lane] = (row >> 32) as u32;
        }
        // SAFETY: the counters have MAX_LANES words each, the buffer four times as many floats.
        let whole = unsafe {
            let read = |c: &[u32; MAX_LANES]| s.read_int(c.as_ptr());
            let four =
                four(s, [read(&counters[0]), s.splat_int(at.draw), read(&counters[1]), read(&counters[2])], at.key);
            let mut whole = [0.0; 4 * MAX_LANES];
            s.write_interleaved(whole.as_mut_ptr(), four);
            whole
        };
        for lane in 0..l.min(total - first) {
            let (row, block) = ((first + lane) / blocks, (first + lane) % blocks);
            let have = 4.min(len - 4 * block);
            out[row * len + 4 * block..][..have].copy_from_slice(&whole[4 * lane..][..have]);
        }
        first += l;
    }
}
dispatch! { fn normals_at(at: Position, len: usize, out: &mut [f32]) = normals; }

/// Vector of `first, first + 1, …`.
#[inline(always)]
fn count<S: Simd>(s: S, first: u32) -> S::I {
    const STEPS: [u32; MAX_LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    // SAFETY: `STEPS` has MAX_LANES words.
    s.splat_int(first) + unsafe { s.read_int(STEPS.as_ptr()) }
}

/// The four words of Philox4x32-10 at a counter.
#[inline(always)]
fn philox<S: Simd>(s: S, mut c: [S::I; 4], mut key: [u32; 2]) -> [S::I; 4] {
    let (m0, m1) = (s.splat_int(0xD251_1F53), s.splat_int(0xCD9E_8D57));
    for _ in 0..10 {
        let ((h0, l0), (h1, l1)) = (c[0].widening_mul(m0), c[2].widening_mul(m1));
        c = [h1 ^ c[1] ^ s.splat_int(key[0]), l1, h0 ^ c[3] ^ s.splat_int(key[1]), l0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// Four vectors of normals at a counter.
#[inline(always)]
fn four<S: Simd>(s: S, counter: [S::I; 4], key: [u32; 2]) -> [S::F; 4] {
    let [a, b, c, d] = philox(s, counter, key);
    let ((p, q), (r, t)) = (polar(s, a, b), polar(s, c, d));
    [p, q, r, t]
}

/// `w + ½` as a float, with one rounding.
#[inline(always)]
fn half_open<S: Simd>(s: S, high: S::I, w: S::I) -> S::F {
    let low = (w & s.splat_int(0xFFFF)).to_float() + s.splat(0.5);
    high.to_float().fma(s.splat(65536.0), low)
}

/// Box–Muller transform of two words to two independent standard normals.
#[inline(always)]
fn polar<S: Simd>(s: S, a: S::I, b: S::I) -> (S::F, S::F) {
    // For u near 1 the logarithm is computed from 1 − u, which has a small relative error.
    let scale = s.splat(1.0 / 4_294_967_296.0);
    let u = half_open(s, a.shr(16), a) * scale;
    let rest = half_open(s, (a ^ s.splat_int(!0)).shr(16), a ^ s.splat_int(!0)) * scale;
    let (f, k) = math::split(s, u);
    let near = s.splat(FRAC_1_SQRT_2).less(u);
    let (f, k) = (S::F::select(near, -rest, f), S::F::select(near, s.zero(), k));
    let ln = math::ln_of_parts(s, f, k);
    let radius = (ln * s.splat(-2.0)).max(s.zero()).sqrt();
    // The angle is a number of quarter turns plus a remainder in ±π/4.
    let quarter = (b + s.splat_int(1 << 29)).shr(30);
    let rest = b - quarter.shl(30);
    let angle = half_open(s, rest.sar(16), rest) * s.splat(2.0 * PI / 4_294_967_296.0);
    let (sin, cos) = math::sin_cos_small(s, angle);
    let odd = s.zero().less((quarter & s.splat_int(1)).to_float());
    let (x, y) = (S::F::select(odd, sin, cos), S::F::select(odd, cos, sin));
    // cos changes its sign in quarters 1 and 2, sin in 2 and 3.
    let flip = |v: S::F, quarter: S::I| (v.bits() ^ (quarter & s.splat_int(2)).shl(30)).as_float();
    (radius * flip(x, quarter + s.splat_int(1)), radius * flip(y, quarter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn scalar_philox(mut c: [u32; 4], mut k: [u32; 2]) -> [u32; 4] {
        for _ in 0..10 {
            let (p, q) = (u64::from(c[0]) * 0xD251_1F53, u64::from(c[2]) * 0xCD9E_8D57);
            c = [(q >> 32) as u32 ^ c[1] ^ k[0], q as u32, (p >> 32) as u32 ^ c[3] ^ k[1], p as u32];
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        c
    }

    fn exact(a: u32, b: u32) -> (f64, f64) {
        let unit = |w: u32| (f64::from(w) + 0.5) / 4_294_967_296.0;
        let rest = (f64::from(!a) + 0.5) / 4_294_967_296.0;
        let radius = (-2.0 * if a > 1 << 31 { (-rest).ln_1p() } else { unit(a).ln() }).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit(b)).sin_cos();
        (radius * cos, radius * sin)
    }

    #[test]
    fn philox_matches_the_known_answers() {
        // Random123 1.14, `kat_vectors`.
        assert_eq!(scalar_philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(scalar_philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn every_value_is_correct_and_bit_identical_on_every_instruction_set() {
        let key = [0x1234_5678, 0x9abc_def0];
        for len in [1, 2, 3, 4, 5, 8, 30, 31, 32, 33, 63, 64, 65, 200] {
            let at = Position { key, draw: 3, row: u64::from(u32::MAX) - 2, block: 0 };
            let results: Vec<Vec<u32>> = Level::available()
                .into_iter()
                .map(|level| {
                    let mut out = vec![f32::NAN; 7 * len];
                    normals_at(level, at, len, &mut out);
                    out.iter().map(|x| x.to_bits()).collect()
                })
                .collect();
            assert!(results.iter().all(|r| *r == results[0]), "instruction sets differ at length {len}");
            for (i, &bits) in results[0].iter().enumerate() {
                let (row, index) = (at.row + (i / len) as u64, i % len);
                let w = scalar_philox([(index / 4) as u32, 3, row as u32, (row >> 32) as u32], key);
                let pair = if index % 4 < 2 { exact(w[0], w[1]) } else { exact(w[2], w[3]) };
                let expected = if index % 2 == 0 { pair.0 } else { pair.1 };
                let got = f32::from_bits(bits);
                let off = (f64::from(got) - expected).abs();
                assert!(ulps(got, expected) < 8.0 || off < 1e-7, "{got} for {expected}");
            }
        }
    }

    #[test]
    fn values_at_the_ends_of_the_range_are_correct() {
        #[inline(always)]
        fn both<S: Simd>(s: S, a: u32, b: u32) -> (f32, f32) {
            let (p, q) = polar(s, s.splat_int(a), s.splat_int(b));
            (p.max_lane(), q.max_lane())
        }
        dispatch! { fn both_at(a: u32, b: u32) -> (f32, f32) = both; }
        for level in Level::available() {
            for a in
                [0, 1, 2, 1000, 0x7fff_ffff, 0x8000_0000, 0xb504_f332, 0xb504_f334, 0xb505_0000, !0 - 1000, !0 - 1, !0]
            {
                for b in [
                    0,
                    1,
                    0x1fff_ffff,
                    0x2000_0000,
                    0x3fff_ffff,
                    0x4000_0000,
                    0x5fff_ffff,
                    0x8000_0000,
                    0xa000_0000,
                    0xdfff_ffff,
                    0xe000_0000,
                    !0,
                ] {
                    let ((p, q), (x, y)) = (both_at(level, a, b), exact(a, b));
                    let radius = x.hypot(y);
                    assert!(
                        (f64::from(p) - x).abs() < 5e-7 * radius && (f64::from(q) - y).abs() < 5e-7 * radius,
                        "{a:#x} {b:#x}: {p} {q} for {x} {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_value_depends_only_on_its_position() {
        let key = [5, 6];
        let len = CHUNK + 12_345;
        let all = same_on_any_number_of_threads(|| {
            let mut out = vec![0.0; 3 * len];
            fill_normals(key, 1, 10, 3, len, &mut out);
            out
        });
        let mut one = vec![0.0; len];
        fill_normals(key, 1, 12, 1, len, &mut one);
        assert_eq!(one[..], all[2 * len..]);
        let mut short = vec![0.0; 1000];
        fill_normals(key, 1, 12, 1, 1000, &mut short);
        assert_eq!(short[..], one[..1000]);
    }

    #[test]
    fn the_moments_are_those_of_a_standard_normal() {
        let n = 1 << 20;
        let mut z = vec![0.0; n];
        fill_normals([1, 2], 0, 0, 1024, n / 1024, &mut z);
        let moment = |p: i32| z.iter().map(|&z| f64::from(z).powi(p)).sum::<f64>() / n as f64;
        // Five standard errors of each: variances of z, z², z³, z⁴ are 1, 2, 15, 96.
        for (p, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let off: f64 = moment(p) - expected;
            assert!(off.abs() < 5.0 * (variance / n as f64).sqrt(), "moment {p} is off by {off}");
        }
    }
}
