//! NEON: 128-bit vectors, which every AArch64 processor has.
use super::panel::Panel;
use super::tile;
use super::traits::{Float, Int, Simd, operators};
use std::arch::aarch64::*;

/// Token of NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// No condition: NEON is part of the AArch64 baseline. Unsafe for uniformity with the other tokens.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Four floats.
#[derive(Clone, Copy)]
pub(crate) struct F4(float32x4_t);
/// Four 32-bit words.
#[derive(Clone, Copy)]
pub(crate) struct I4(uint32x4_t);

operators!(F4: Add add vaddq_f32, Sub sub vsubq_f32, Mul mul vmulq_f32, Div div vdivq_f32);
operators!(I4: Add add vaddq_u32, Sub sub vsubq_u32, BitAnd bitand vandq_u32,
    BitOr bitor vorrq_u32, BitXor bitxor veorq_u32);

#[allow(unused_unsafe, clippy::undocumented_unsafe_blocks)]
impl std::ops::Neg for F4 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(unsafe { vnegq_f32(self.0) })
    }
}

// SAFETY of every intrinsic below: NEON is part of the baseline; the memory that is read and written is covered by the
// contract of the function.
#[allow(unused_unsafe, clippy::undocumented_unsafe_blocks)]
impl Simd for Neon {
    type F = F4;
    type I = I4;
    const LANES: usize = 4;
    const TILE: usize = 4;
    const ROWS: usize = 8;
    #[inline(always)]
    unsafe fn panel_product(self, panel: Panel) {
        #[inline(never)]
        unsafe fn run(panel: Panel) {
            // SAFETY: guaranteed by the caller.
            unsafe { tile::run(Neon(()), panel) }
        }
        // SAFETY: guaranteed by the caller; the token exists only if the processor has the features.
        unsafe { run(panel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F4 {
        F4(unsafe { vdupq_n_f32(x) })
    }
    #[inline(always)]
    fn splat_int(self, x: u32) -> I4 {
        I4(unsafe { vdupq_n_u32(x) })
    }
    #[inline(always)]
    unsafe fn read(self, p: *const f32) -> F4 {
        F4(unsafe { vld1q_f32(p) })
    }
    #[inline(always)]
    unsafe fn write(self, p: *mut f32, v: F4) {
        unsafe { vst1q_f32(p, v.0) }
    }
    #[inline(always)]
    unsafe fn read_int(self, p: *const u32) -> I4 {
        I4(unsafe { vld1q_u32(p) })
    }
    #[inline(always)]
    unsafe fn transpose_tile(self, src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
        unsafe {
            let row = |i: usize| vld1q_f32(src.add(i * ss));
            let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
            let wide = |v| vreinterpretq_f64_f32(v);
            let (a, b) = (wide(vtrn1q_f32(r0, r1)), wide(vtrn2q_f32(r0, r1)));
            let (c, d) = (wide(vtrn1q_f32(r2, r3)), wide(vtrn2q_f32(r2, r3)));
            let columns = [vtrn1q_f64(a, c), vtrn1q_f64(b, d), vtrn2q_f64(a, c), vtrn2q_f64(b, d)];
            for (i, column) in columns.into_iter().enumerate() {
                vst1q_f32(dst.add(i * ds), vreinterpretq_f32_f64(column));
            }
        }
    }
    #[inline(always)]
    unsafe fn write_interleaved(self, p: *mut f32, [a, b, c, d]: [F4; 4]) {
        unsafe { vst4q_f32(p, float32x4x4_t(a.0, b.0, c.0, d.0)) }
    }
}

#[allow(unused_unsafe, clippy::undocumented_unsafe_blocks)]
impl Float for F4 {
    type I = I4;
    type Mask = uint32x4_t;
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(unsafe { vfmaq_f32(c.0, self.0, b.0) })
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self::select(other.less(self), other, self)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self::select(self.less(other), other, self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { vsqrtq_f32(self.0) })
    }
    #[inline(always)]
    fn bits(self) -> I4 {
        I4(unsafe { vreinterpretq_u32_f32(self.0) })
    }
    #[inline(always)]
    fn less(self, other: Self) -> uint32x4_t {
        unsafe { vcltq_f32(self.0, other.0) }
    }
    #[inline(always)]
    fn select(mask: uint32x4_t, yes: Self, no: Self) -> Self {
        Self(unsafe { vbslq_f32(mask, yes.0, no.0) })
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        unsafe { vaddvq_f64(vaddq_f64(vcvt_f64_f32(vget_low_f32(self.0)), vcvt_high_f64_f32(self.0))) }
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        unsafe { vmaxvq_f32(self.0) }
    }
}

#[allow(unused_unsafe, clippy::undocumented_unsafe_blocks)]
impl Int for I4 {
    type F = F4;
    #[inline(always)]
    fn shl(self, n: u32) -> Self {
        Self(unsafe { vshlq_u32(self.0, vdupq_n_s32(n as i32)) })
    }
    #[inline(always)]
    fn shr(self, n: u32) -> Self {
        Self(unsafe { vshlq_u32(self.0, vdupq_n_s32(-(n as i32))) })
    }
    #[inline(always)]
    fn sar(self, n: u32) -> Self {
        let shifted = unsafe { vshlq_s32(vreinterpretq_s32_u32(self.0), vdupq_n_s32(-(n as i32))) };
        Self(unsafe { vreinterpretq_u32_s32(shifted) })
    }
    #[inline(always)]
    fn as_float(self) -> F4 {
        F4(unsafe { vreinterpretq_f32_u32(self.0) })
    }
    #[inline(always)]
    fn to_float(self) -> F4 {
        F4(unsafe { vcvtq_f32_s32(vreinterpretq_s32_u32(self.0)) })
    }
    #[inline(always)]
    fn widening_mul(self, other: Self) -> (Self, Self) {
        unsafe {
            let low = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(self.0), vget_low_u32(other.0)));
            let high = vreinterpretq_u32_u64(vmull_high_u32(self.0, other.0));
            (Self(vuzp2q_u32(low, high)), Self(vuzp1q_u32(low, high)))
        }
    }
}
