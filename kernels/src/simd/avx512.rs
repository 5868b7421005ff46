//! AVX-512 F, VL, BW and DQ: 512-bit vectors of x86-64.
use super::avx2::{F8, sum4, transpose8};
use super::panel::Panel;
use super::tile;
use super::traits::{Float, Int, Simd, operators};
use std::arch::x86_64::*;

/// Token of AVX-512 F, VL, BW and DQ.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor must have AVX-512 F, VL, BW and DQ, AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Sixteen floats.
#[derive(Clone, Copy)]
pub(crate) struct F16(__m512);
/// Sixteen 32-bit words.
#[derive(Clone, Copy)]
pub(crate) struct I16(__m512i);

operators!(F16: Add add _mm512_add_ps, Sub sub _mm512_sub_ps, Mul mul _mm512_mul_ps, Div div _mm512_div_ps);
operators!(I16: Add add _mm512_add_epi32, Sub sub _mm512_sub_epi32, BitAnd bitand _mm512_and_si512,
    BitOr bitor _mm512_or_si512, BitXor bitxor _mm512_xor_si512);

impl std::ops::Neg for F16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: the vector exists, so the processor has AVX-512 DQ.
        Self(unsafe { _mm512_xor_ps(self.0, _mm512_set1_ps(-0.0)) })
    }
}

// SAFETY of every intrinsic below: the token or the vector exists only if the processor has the instruction set; the
// memory that is read and written is covered by the contract of the function.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512 {
    type F = F16;
    type I = I16;
    const LANES: usize = 16;
    const TILE: usize = 8;
    const ROWS: usize = 12;
    #[inline(always)]
    unsafe fn panel_product(self, panel: Panel) {
        #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
        #[inline(never)]
        unsafe fn run(panel: Panel) {
            // SAFETY: guaranteed by the caller.
            unsafe { tile::run(Avx512(()), panel) }
        }
        // SAFETY: guaranteed by the caller; the token exists only if the processor has the features.
        unsafe { run(panel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F16 {
        F16(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    fn splat_int(self, x: u32) -> I16 {
        I16(unsafe { _mm512_set1_epi32(x as i32) })
    }
    #[inline(always)]
    unsafe fn read(self, p: *const f32) -> F16 {
        F16(unsafe { _mm512_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn write(self, p: *mut f32, v: F16) {
        unsafe { _mm512_storeu_ps(p, v.0) }
    }
    #[inline(always)]
    unsafe fn read_int(self, p: *const u32) -> I16 {
        I16(unsafe { _mm512_loadu_si512(p.cast()) })
    }
    #[inline(always)]
    unsafe fn transpose_tile(self, src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
        unsafe { transpose8(src, ss, dst, ds) }
    }
    #[inline(always)]
    fn load_partial(self, x: &[f32], fill: f32) -> F16 {
        assert!(x.len() <= 16);
        let mask = ((1u32 << x.len()) - 1) as __mmask16;
        F16(unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, x.as_ptr()) })
    }
    #[inline(always)]
    fn store_partial(self, y: &mut [f32], v: F16) {
        assert!(y.len() <= 16);
        let mask = ((1u32 << y.len()) - 1) as __mmask16;
        unsafe { _mm512_mask_storeu_ps(y.as_mut_ptr(), mask, v.0) }
    }
    #[inline(always)]
    unsafe fn write_interleaved(self, p: *mut f32, [a, b, c, d]: [F16; 4]) {
        unsafe {
            let (ab, ab2) = (_mm512_unpacklo_ps(a.0, b.0), _mm512_unpackhi_ps(a.0, b.0));
            let (cd, cd2) = (_mm512_unpacklo_ps(c.0, d.0), _mm512_unpackhi_ps(c.0, d.0));
            // Quarter i of q_j holds the four values of lane 4 i + j.
            let (q0, q1) = (_mm512_shuffle_ps::<0x44>(ab, cd), _mm512_shuffle_ps::<0xEE>(ab, cd));
            let (q2, q3) = (_mm512_shuffle_ps::<0x44>(ab2, cd2), _mm512_shuffle_ps::<0xEE>(ab2, cd2));
            let (e0, e1) = (_mm512_shuffle_f32x4::<0x44>(q0, q1), _mm512_shuffle_f32x4::<0x44>(q2, q3));
            let (f0, f1) = (_mm512_shuffle_f32x4::<0xEE>(q0, q1), _mm512_shuffle_f32x4::<0xEE>(q2, q3));
            _mm512_storeu_ps(p, _mm512_shuffle_f32x4::<0x88>(e0, e1));
            _mm512_storeu_ps(p.add(16), _mm512_shuffle_f32x4::<0xDD>(e0, e1));
            _mm512_storeu_ps(p.add(32), _mm512_shuffle_f32x4::<0x88>(f0, f1));
            _mm512_storeu_ps(p.add(48), _mm512_shuffle_f32x4::<0xDD>(f0, f1));
        }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl Float for F16 {
    type I = I16;
    type Mask = __mmask16;
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm512_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { _mm512_sqrt_ps(self.0) })
    }
    #[inline(always)]
    fn bits(self) -> I16 {
        I16(unsafe { _mm512_castps_si512(self.0) })
    }
    #[inline(always)]
    fn less(self, other: Self) -> __mmask16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        Self(unsafe { _mm512_mask_blend_ps(mask, no.0, yes.0) })
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        unsafe {
            let low = _mm512_cvtps_pd(_mm512_castps512_ps256(self.0));
            let high = _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(self.0));
            let eight = _mm512_add_pd(low, high);
            sum4(_mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd::<1>(eight)))
        }
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        unsafe { F8(_mm256_max_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0))).max_lane() }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl Int for I16 {
    type F = F16;
    #[inline(always)]
    fn shl(self, n: u32) -> Self {
        Self(unsafe { _mm512_sll_epi32(self.0, _mm_cvtsi32_si128(n as i32)) })
    }
    #[inline(always)]
    fn shr(self, n: u32) -> Self {
        Self(unsafe { _mm512_srl_epi32(self.0, _mm_cvtsi32_si128(n as i32)) })
    }
    #[inline(always)]
    fn sar(self, n: u32) -> Self {
        Self(unsafe { _mm512_sra_epi32(self.0, _mm_cvtsi32_si128(n as i32)) })
    }
    #[inline(always)]
    fn as_float(self) -> F16 {
        F16(unsafe { _mm512_castsi512_ps(self.0) })
    }
    #[inline(always)]
    fn to_float(self) -> F16 {
        F16(unsafe { _mm512_cvtepi32_ps(self.0) })
    }
    #[inline(always)]
    fn widening_mul(self, other: Self) -> (Self, Self) {
        unsafe {
            let even = _mm512_mul_epu32(self.0, other.0);
            let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(self.0), _mm512_srli_epi64::<32>(other.0));
            let high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64::<32>(even), odd);
            (Self(high), Self(_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64::<32>(odd))))
        }
    }
}
