//! Plain Rust on arrays of eight: runs on every processor, vectorized by the compiler for the baseline of the target.
use super::panel::Panel;
use super::tile;
use super::traits::{Float, Int, Simd};
use std::array::from_fn;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Sub};

const L: usize = 8;

/// Token of the portable implementation.
#[derive(Clone, Copy)]
pub(crate) struct Portable;
/// Eight floats.
#[derive(Clone, Copy)]
pub(crate) struct F([f32; L]);
/// Eight 32-bit words.
#[derive(Clone, Copy)]
pub(crate) struct I([u32; L]);

/// Implements the operators of a vector type lane by lane.
macro_rules! lanewise {
    ($vector:ident: $($op:ident $method:ident $f:expr),* $(,)?) => {$(
        impl $op for $vector {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(from_fn(|i| $f(self.0[i], other.0[i])))
            }
        }
    )*};
}
lanewise!(F: Add add |a: f32, b| a + b, Sub sub |a: f32, b| a - b, Mul mul |a: f32, b| a * b, Div div |a: f32, b| a / b);
lanewise!(I: Add add u32::wrapping_add, Sub sub u32::wrapping_sub, BitAnd bitand |a: u32, b| a & b,
    BitOr bitor |a: u32, b| a | b, BitXor bitxor |a: u32, b| a ^ b);
impl Neg for F {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|x| -x))
    }
}

impl Simd for Portable {
    type F = F;
    type I = I;
    const LANES: usize = L;
    const TILE: usize = 4;
    const ROWS: usize = 4;
    #[inline(always)]
    unsafe fn panel_product(self, panel: Panel) {
        #[inline(never)]
        unsafe fn run(panel: Panel) {
            // SAFETY: guaranteed by the caller.
            unsafe { tile::run(Portable, panel) }
        }
        // SAFETY: guaranteed by the caller; the token exists only if the processor has the features.
        unsafe { run(panel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F {
        F([x; L])
    }
    #[inline(always)]
    fn splat_int(self, x: u32) -> I {
        I([x; L])
    }
    #[inline(always)]
    unsafe fn read(self, p: *const f32) -> F {
        // SAFETY: guaranteed by the caller.
        F(unsafe { p.cast::<[f32; L]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn write(self, p: *mut f32, v: F) {
        // SAFETY: guaranteed by the caller.
        unsafe { p.cast::<[f32; L]>().write_unaligned(v.0) }
    }
    #[inline(always)]
    unsafe fn read_int(self, p: *const u32) -> I {
        // SAFETY: guaranteed by the caller.
        I(unsafe { p.cast::<[u32; L]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn transpose_tile(self, src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
        for r in 0..Self::TILE {
            for c in 0..Self::TILE {
                // SAFETY: guaranteed by the caller.
                unsafe { *dst.add(c * ds + r) = *src.add(r * ss + c) }
            }
        }
    }
    #[inline(always)]
    unsafe fn write_interleaved(self, p: *mut f32, v: [F; 4]) {
        for i in 0..L {
            for (j, v) in v.iter().enumerate() {
                // SAFETY: guaranteed by the caller.
                unsafe { *p.add(4 * i + j) = v.0[i] }
            }
        }
    }
}

impl Float for F {
    type I = I;
    type Mask = [bool; L];
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        Self(from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(from_fn(|i| if other.0[i] < self.0[i] { other.0[i] } else { self.0[i] }))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(from_fn(|i| if other.0[i] > self.0[i] { other.0[i] } else { self.0[i] }))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn bits(self) -> I {
        I(self.0.map(f32::to_bits))
    }
    #[inline(always)]
    fn less(self, other: Self) -> [bool; L] {
        from_fn(|i| self.0[i] < other.0[i])
    }
    #[inline(always)]
    fn select(mask: [bool; L], yes: Self, no: Self) -> Self {
        Self(from_fn(|i| if mask[i] { yes.0[i] } else { no.0[i] }))
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0.map(f64::from);
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}

impl Int for I {
    type F = F;
    #[inline(always)]
    fn shl(self, n: u32) -> Self {
        Self(self.0.map(|x| x << n))
    }
    #[inline(always)]
    fn shr(self, n: u32) -> Self {
        Self(self.0.map(|x| x >> n))
    }
    #[inline(always)]
    fn sar(self, n: u32) -> Self {
        Self(self.0.map(|x| (x as i32 >> n) as u32))
    }
    #[inline(always)]
    fn as_float(self) -> F {
        F(self.0.map(f32::from_bits))
    }
    #[inline(always)]
    fn to_float(self) -> F {
        F(self.0.map(|x| x as i32 as f32))
    }
    #[inline(always)]
    fn widening_mul(self, other: Self) -> (Self, Self) {
        let wide: [u64; L] = from_fn(|i| u64::from(self.0[i]) * u64::from(other.0[i]));
        (Self(wide.map(|x| (x >> 32) as u32)), Self(wide.map(|x| x as u32)))
    }
}
