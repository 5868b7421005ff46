//! The one-dimensional transforms of F(M, 3): values to points and back.
use crate::simd::{Float, Simd};

// The two positive finite points of F(4×4).
const A: f64 = 0.625;
const B: f64 = 1.5;
/// Maximum number of points per dimension.
pub(super) const N: usize = 6;

/// Edge length M of a tile of outputs.
pub(in crate::conv) trait TileSize: Copy + Send + Sync {
    const M: usize;
}
/// F(2×2, 3×3).
#[derive(Clone, Copy)]
pub(in crate::conv) struct F2;
/// F(4×4, 3×3).
#[derive(Clone, Copy)]
pub(in crate::conv) struct F4;
impl TileSize for F2 {
    const M: usize = 2;
}
impl TileSize for F4 {
    const M: usize = 4;
}

/// Transforms the input: N values to N points.
#[inline(always)]
pub(super) fn transform_input<S: Simd, T: TileSize>(s: S, _: T, x: [S::F; N]) -> [S::F; N] {
    let c = |x: f64| s.splat(x as f32);
    if T::M == 4 {
        let end = |x: S::F, y: S::F, z: S::F| c(A * A * B * B).mul_add(x, c(-A * A - B * B).mul_add(y, z));
        let (even_a, odd_a) = (c(-B * B).mul_add(x[2], x[4]), c(-B * B).mul_add(x[1], x[3]));
        let (even_b, odd_b) = (c(-A * A).mul_add(x[2], x[4]), c(-A * A).mul_add(x[1], x[3]));
        [
            end(x[0], x[2], x[4]),
            c(A).mul_add(odd_a, even_a),
            c(-A).mul_add(odd_a, even_a),
            c(B).mul_add(odd_b, even_b),
            c(-B).mul_add(odd_b, even_b),
            end(x[1], x[3], x[5]),
        ]
    } else {
        [x[2] - x[0], x[1] + x[2], x[2] - x[1], x[3] - x[1], s.zero(), s.zero()]
    }
}

/// Transforms the output back: N points to M values.
#[inline(always)]
pub(super) fn transform_output<S: Simd, T: TileSize>(s: S, _: T, t: [S::F; N]) -> [S::F; 4] {
    let c = |x: f64| s.splat(x as f32);
    let (s1, d1) = (t[1] + t[2], t[1] - t[2]);
    if T::M == 4 {
        let (s2, d2) = (t[3] + t[4], t[3] - t[4]);
        [
            t[0] + (s1 + s2),
            c(A).mul_add(d1, c(B) * d2),
            c(A * A).mul_add(s1, c(B * B) * s2),
            c(A * A * A).mul_add(d1, c(B * B * B).mul_add(d2, t[5])),
        ]
    } else {
        [t[0] + s1, d1 + t[3], s.zero(), s.zero()]
    }
}

/// Transforms the kernel gradient back: N points to three values.
#[inline(always)]
pub(super) fn transform_gradient<S: Simd, T: TileSize>(s: S, _: T, t: [S::F; N]) -> [S::F; 3] {
    let c = |x: f64| s.splat(x as f32);
    let (s1, d1) = (t[1] + t[2], t[1] - t[2]);
    if T::M == 4 {
        let (s2, d2) = (t[3] + t[4], t[3] - t[4]);
        [t[0] + (s1 + s2), c(A).mul_add(d1, c(B) * d2), c(A * A).mul_add(s1, c(B * B).mul_add(s2, t[5]))]
    } else {
        [t[0] + s1, d1, s1 + t[3]]
    }
}

/// Transforms the kernel: `count` taps to N points. The kernel itself has three taps; for its gradient the M output
/// gradients of a tile take the place of the taps.
#[inline(always)]
pub(super) fn transform_kernel<S: Simd, T: TileSize>(s: S, _: T, count: usize, g: [S::F; 4]) -> [S::F; N] {
    let c = |x: f64| s.splat(x as f32);
    if T::M == 4 {
        // One over the derivative of the polynomial with the points as roots.
        let (na, nb) = (1.0 / (2.0 * A * A * (A * A - B * B)), 1.0 / (2.0 * B * B * (B * B - A * A)));
        let even = |n: f64, p: f64| c(n * p * p).mul_add(g[2], c(n) * g[0]);
        let odd = |n: f64, p: f64| {
            let linear = c(n * p) * g[1];
            if count == 4 { c(n * p * p * p).mul_add(g[3], linear) } else { linear }
        };
        let (ea, oa, eb, ob) = (even(na, A), odd(na, A), even(nb, B), odd(nb, B));
        [c(1.0 / (A * A * B * B)) * g[0], ea + oa, ea - oa, eb + ob, eb - ob, g[count - 1]]
    } else {
        let half = c(0.5);
        let even = if count == 3 { half * (g[0] + g[2]) } else { half * g[0] };
        let odd = half * g[1];
        [-g[0], even + odd, even - odd, g[count - 1], s.zero(), s.zero()]
    }
}
