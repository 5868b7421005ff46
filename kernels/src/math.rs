//! Transcendental functions of vectors.
//!
//! Largest errors demanded by the tests, in units in the last place of the exact value: `exp` 1.5, `sigmoid` 3,
//! `tanh` 3, `erf` 2. `exp` underflows gradually and overflows to infinity; every function gives NaN for NaN.
use crate::simd::{Float, Int, Simd};
use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

/// Polynomial by Horner's method, with the coefficients from the highest power down.
#[inline(always)]
pub(crate) fn poly<S: Simd, const N: usize>(s: S, x: S::F, falling: [f32; N]) -> S::F {
    let mut sum = s.splat(falling[0]);
    for &c in &falling[1..] {
        sum = sum.mul_add(x, s.splat(c));
    }
    sum
}

/// Adding this constant rounds to an integer, which is in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// `(e^r, n + ROUND)` with `x = n ln 2 + r`, `|r| ≤ ½ ln 2`: the polynomial of Cephes' `expf` (Moshier).
#[inline(always)]
fn exp_core<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let shifted = x.mul_add(s.splat(LOG2_E), s.splat(ROUND));
    let n = shifted - s.splat(ROUND);
    // ln 2 in two parts, the first of which has few bits, so that its product with n is exact.
    let r = n.mul_add(s.splat(-0.693_359_4), x);
    let r = n.mul_add(s.splat(2.121_944_4e-4), r);
    let p = poly(s, r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    (p.mul_add(r * r, r + s.splat(1.0)), shifted)
}

/// Exponential function eˣ.
///
/// The power of two is applied in two factors, so that the results at the ends of the range are correct.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let x = x.min(s.splat(89.0)).max(s.splat(-104.0));
    let (p, shifted) = exp_core(s, x);
    let n = shifted.bits() - s.splat_int(ROUND.to_bits());
    let half = n.sar(1);
    let power = |n: S::I| (n + s.splat_int(127)).shl(23).as_float();
    p * power(half) * power(n - half)
}

/// eˣ for `x ≤ 0`, as in a softmax: results below 2⁻¹²⁶ are zero.
#[inline(always)]
pub(crate) fn exp_nonpositive<S: Simd>(s: S, x: S::F) -> S::F {
    let floor = s.splat(-87.336_54);
    let y = x.max(floor);
    let (p, shifted) = exp_core(s, y);
    let e = (p.bits() + shifted.bits().shl(23)).as_float();
    S::F::select(x.less(floor), s.zero(), e)
}

/// Logistic function `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    s.splat(1.0) / (s.splat(1.0) + exp(s, -x))
}

/// Hyperbolic tangent: `1 − 2 / (1 + e²ˣ)`, and near zero the polynomial of Cephes' `tanhf` (Moshier).
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let far = one - s.splat(2.0) / (one + exp(s, x + x));
    let z = x * x;
    let p = poly(s, z, [-5.704_989e-3, 2.063_908_8e-2, -5.373_971_6e-2, 1.333_144_3e-1, -3.333_328e-1]);
    let near = (p * z).mul_add(x, x);
    S::F::select(z.less(s.splat(0.625 * 0.625)), near, far)
}

/// Error function.
///
/// `x + x P(x²)` below 0.95 and `1 − exp(−x Q(x))` above; P and Q are minimax fits of this function in the relative
/// error of the result (3e-8 and 1e-9).
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    let sign = x.bits() & s.splat_int(0x8000_0000);
    let t = (x.bits() ^ sign).as_float();
    let z = x * x;
    let p = poly(
        s,
        z,
        [8.185_111e-5, -8.097_709e-4, 5.196_952_7e-3, -2.685_770_6e-2, 1.128_366_4e-1, -3.761_263_2e-1, 1.283_791_7e-1],
    );
    let near = p.mul_add(x, x);
    let u = t.min(s.splat(4.0));
    let q = poly(
        s,
        u,
        [1.233_895_3e-5, -3.339_552_5e-4, 3.688_088e-3, -2.385_923e-2, 1.063_505_2e-1, 6.350_820_7e-1, 1.128_665_7],
    );
    let far = s.splat(1.0) - exp_nonpositive(s, -(u * q));
    S::F::select(t.less(s.splat(0.95)), near, (far.bits() | sign).as_float())
}

/// Natural logarithm of `(1 + f) 2^k`, the parts of which [`split`] returns: the polynomial of Cephes' `logf`
/// (Moshier), with one rounding per step, so that the bits are the same on every instruction set.
#[inline(always)]
pub(crate) fn ln_of_parts<S: Simd>(s: S, f: S::F, k: S::F) -> S::F {
    let mut p = s.splat(7.037_683_6e-2);
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.fma(f, s.splat(c));
    }
    let z = f * f;
    let ln = (z * f).fma(p, z.fma(s.splat(-0.5), f));
    k.fma(s.splat(LN_2), ln)
}

/// Sine and cosine of `|x| ≤ π/4`: the polynomials of Cephes' `sinf` and `cosf` (Moshier), with one rounding per step.
#[inline(always)]
pub(crate) fn sin_cos_small<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let z = x * x;
    let p = s.splat(-1.951_529_6e-4).fma(z, s.splat(8.332_161e-3)).fma(z, s.splat(-1.666_665_5e-1));
    let sin = (p * z).fma(x, x);
    let q = s.splat(2.443_315_7e-5).fma(z, s.splat(-1.388_731_6e-3)).fma(z, s.splat(4.166_664_6e-2));
    let cos = (q * z).fma(z, z.fma(s.splat(-0.5), s.splat(1.0)));
    (sin, cos)
}

/// Splits a positive number into `(f, k)` with `x = (1 + f) 2^k` and `1 + f ∈ [√½, √2)`.
#[inline(always)]
pub(crate) fn split<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let k = (x.bits() - s.splat_int(FRAC_1_SQRT_2.to_bits())).sar(23);
    ((x.bits() - k.shl(23)).as_float() - s.splat(1.0), k.to_float())
}

/// SiLU: `x σ(x)`.
#[inline(always)]
pub(crate) fn silu<S: Simd>(s: S, x: S::F) -> S::F {
    x / (s.splat(1.0) + exp(s, -x))
}

/// Derivative of [`silu`]: `σ (1 + x (1 − σ))`.
#[inline(always)]
pub(crate) fn silu_slope<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let g = sigmoid(s, x);
    g * x.mul_add(one - g, one)
}

// √(2/π) and the coefficient of the cubic term, both doubled because of σ(2u) = ½ (1 + tanh u).
const GELU_1: f32 = 2.0 * 0.797_884_6;
const GELU_3: f32 = GELU_1 * 0.044_715;

/// Tanh approximation of GELU: `x σ(2u)`, `u = √(2/π) (x + 0.044715 x³)`.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let u2 = x * (x * x).mul_add(s.splat(GELU_3), s.splat(GELU_1));
    x / (s.splat(1.0) + exp(s, -u2))
}

/// Derivative of [`gelu_tanh`]: `g + g x (1 − g) (2u)′`.
#[inline(always)]
pub(crate) fn gelu_tanh_slope<S: Simd>(s: S, x: S::F) -> S::F {
    let z = x * x;
    let u2 = x * z.mul_add(s.splat(GELU_3), s.splat(GELU_1));
    let slope = z.mul_add(s.splat(3.0 * GELU_3), s.splat(GELU_1));
    let g = sigmoid(s, u2);
    g.mul_add(x * (s.splat(1.0) - g) * slope, g)
}

/// GELU: `x Φ(x) = ½ x (1 + erf(x/√2))`.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    let half = x * s.splat(0.5);
    half.mul_add(erf(s, x * s.splat(FRAC_1_SQRT_2)), half)
}

/// Derivative of [`gelu`]: `Φ(x) + x φ(x)`.
#[inline(always)]
pub(crate) fn gelu_slope<S: Simd>(s: S, x: S::F) -> S::F {
    let cdf = erf(s, x * s.splat(FRAC_1_SQRT_2)).mul_add(s.splat(0.5), s.splat(0.5));
    let density = exp_nonpositive(s, x * x * s.splat(-0.5)) * s.splat(0.398_942_3);
    x.mul_add(density, cdf)
}
