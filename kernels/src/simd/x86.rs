//! AVX2 with FMA, and AVX-512.
use super::{Float, Int, Simd, operators};
use crate::product::{self, Panel};
use std::arch::x86_64::*;

/// The token of AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());
/// The token of AVX-512 F, VL, BW and DQ.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx2 {
    /// # Safety
    /// The processor has AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}
impl Avx512 {
    /// # Safety
    /// The processor has AVX-512 F, VL, BW and DQ, AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

#[derive(Clone, Copy)]
pub(crate) struct F8(__m256);
#[derive(Clone, Copy)]
pub(crate) struct I8(__m256i);
#[derive(Clone, Copy)]
pub(crate) struct F16(__m512);
#[derive(Clone, Copy)]
pub(crate) struct I16(__m512i);

operators!(F8: Add add _mm256_add_ps, Sub sub _mm256_sub_ps, Mul mul _mm256_mul_ps, Div div _mm256_div_ps);
operators!(I8: Add add _mm256_add_epi32, Sub sub _mm256_sub_epi32, BitAnd bitand _mm256_and_si256,
    BitOr bitor _mm256_or_si256, BitXor bitxor _mm256_xor_si256);
operators!(F16: Add add _mm512_add_ps, Sub sub _mm512_sub_ps, Mul mul _mm512_mul_ps, Div div _mm512_div_ps);
operators!(I16: Add add _mm512_add_epi32, Sub sub _mm512_sub_epi32, BitAnd bitand _mm512_and_si512,
    BitOr bitor _mm512_or_si512, BitXor bitxor _mm512_xor_si512);

impl std::ops::Neg for F8 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: the vector exists, so the processor has AVX.
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0)) })
    }
}
impl std::ops::Neg for F16 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: the vector exists, so the processor has AVX-512 DQ.
        Self(unsafe { _mm512_xor_ps(self.0, _mm512_set1_ps(-0.0)) })
    }
}

/// Rows of eight as columns.
///
/// # Safety
/// The processor has AVX; the places of an 8×8 tile can be read and written.
#[inline(always)]
unsafe fn transpose8(src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
    // SAFETY: the caller's.
    unsafe {
        let row = |i: usize| _mm256_loadu_ps(src.add(i * ss));
        let r: [__m256; 8] = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
        // Pairs, then fours, then halves.
        let (a0, a1) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
        let (a2, a3) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
        let (a4, a5) = (_mm256_unpacklo_ps(r[4], r[5]), _mm256_unpackhi_ps(r[4], r[5]));
        let (a6, a7) = (_mm256_unpacklo_ps(r[6], r[7]), _mm256_unpackhi_ps(r[6], r[7]));
        let (b0, b1) = (_mm256_shuffle_ps::<0x44>(a0, a2), _mm256_shuffle_ps::<0xEE>(a0, a2));
        let (b2, b3) = (_mm256_shuffle_ps::<0x44>(a1, a3), _mm256_shuffle_ps::<0xEE>(a1, a3));
        let (b4, b5) = (_mm256_shuffle_ps::<0x44>(a4, a6), _mm256_shuffle_ps::<0xEE>(a4, a6));
        let (b6, b7) = (_mm256_shuffle_ps::<0x44>(a5, a7), _mm256_shuffle_ps::<0xEE>(a5, a7));
        for (i, (low, high)) in [(b0, b4), (b1, b5), (b2, b6), (b3, b7)].into_iter().enumerate() {
            _mm256_storeu_ps(dst.add(i * ds), _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(dst.add((i + 4) * ds), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
}

// SAFETY of every intrinsic in these implementations: the token or the vector at hand exists only where the processor
// has the instruction set; for reads and writes, what the caller vouches for.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx2 {
    type F = F8;
    type I = I8;
    const LANES: usize = 8;
    const TILE: usize = 8;
    const ROWS: usize = 6;
    #[inline(always)]
    unsafe fn product(self, panel: Panel) {
        #[target_feature(enable = "avx2,fma")]
        #[inline(never)]
        unsafe fn run(panel: Panel) {
            // SAFETY: the caller's.
            unsafe { product::run(Avx2(()), panel) }
        }
        // SAFETY: the caller's; the token exists only where the processor has the features.
        unsafe { run(panel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F8 {
        F8(unsafe { _mm256_set1_ps(x) })
    }
    #[inline(always)]
    fn int(self, x: u32) -> I8 {
        I8(unsafe { _mm256_set1_epi32(x as i32) })
    }
    #[inline(always)]
    unsafe fn read(self, p: *const f32) -> F8 {
        F8(unsafe { _mm256_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn write(self, p: *mut f32, v: F8) {
        unsafe { _mm256_storeu_ps(p, v.0) }
    }
    #[inline(always)]
    unsafe fn read_int(self, p: *const u32) -> I8 {
        I8(unsafe { _mm256_loadu_si256(p.cast()) })
    }
    #[inline(always)]
    unsafe fn transpose_tile(self, src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
        unsafe { transpose8(src, ss, dst, ds) }
    }
    #[inline(always)]
    unsafe fn write_interleaved(self, p: *mut f32, [a, b, c, d]: [F8; 4]) {
        unsafe {
            let (ab, ab2) = (_mm256_unpacklo_ps(a.0, b.0), _mm256_unpackhi_ps(a.0, b.0));
            let (cd, cd2) = (_mm256_unpacklo_ps(c.0, d.0), _mm256_unpackhi_ps(c.0, d.0));
            let (q0, q1) = (_mm256_shuffle_ps::<0x44>(ab, cd), _mm256_shuffle_ps::<0xEE>(ab, cd));
            let (q2, q3) = (_mm256_shuffle_ps::<0x44>(ab2, cd2), _mm256_shuffle_ps::<0xEE>(ab2, cd2));
            _mm256_storeu_ps(p, _mm256_permute2f128_ps::<0x20>(q0, q1));
            _mm256_storeu_ps(p.add(8), _mm256_permute2f128_ps::<0x20>(q2, q3));
            _mm256_storeu_ps(p.add(16), _mm256_permute2f128_ps::<0x31>(q0, q1));
            _mm256_storeu_ps(p.add(24), _mm256_permute2f128_ps::<0x31>(q2, q3));
        }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512 {
    type F = F16;
    type I = I16;
    const LANES: usize = 16;
    const TILE: usize = 8;
    const ROWS: usize = 12;
    #[inline(always)]
    unsafe fn product(self, panel: Panel) {
        #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
        #[inline(never)]
        unsafe fn run(panel: Panel) {
            // SAFETY: the caller's.
            unsafe { product::run(Avx512(()), panel) }
        }
        // SAFETY: the caller's; the token exists only where the processor has the features.
        unsafe { run(panel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F16 {
        F16(unsafe { _mm512_set1_ps(x) })
    }
    #[inline(always)]
    fn int(self, x: u32) -> I16 {
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
    fn load_part(self, x: &[f32], fill: f32) -> F16 {
        assert!(x.len() <= 16);
        let mask = ((1u32 << x.len()) - 1) as __mmask16;
        F16(unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, x.as_ptr()) })
    }
    #[inline(always)]
    fn store_part(self, y: &mut [f32], v: F16) {
        assert!(y.len() <= 16);
        let mask = ((1u32 << y.len()) - 1) as __mmask16;
        unsafe { _mm512_mask_storeu_ps(y.as_mut_ptr(), mask, v.0) }
    }
    #[inline(always)]
    unsafe fn write_interleaved(self, p: *mut f32, [a, b, c, d]: [F16; 4]) {
        unsafe {
            let (ab, ab2) = (_mm512_unpacklo_ps(a.0, b.0), _mm512_unpackhi_ps(a.0, b.0));
            let (cd, cd2) = (_mm512_unpacklo_ps(c.0, d.0), _mm512_unpackhi_ps(c.0, d.0));
            // Quarter i of q_j holds the four numbers of lane 4 i + j.
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
impl Float for F8 {
    type I = I8;
    type Mask = __m256;
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn fused(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
    // The instruction gives its second operand where one is not a number.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(unsafe { _mm256_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(unsafe { _mm256_sqrt_ps(self.0) })
    }
    #[inline(always)]
    fn bits(self) -> I8 {
        I8(unsafe { _mm256_castps_si256(self.0) })
    }
    #[inline(always)]
    fn less(self, other: Self) -> __m256 {
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn select(mask: __m256, yes: Self, no: Self) -> Self {
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask) })
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        unsafe {
            let low = _mm256_cvtps_pd(_mm256_castps256_ps128(self.0));
            let high = _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.0));
            sum4(_mm256_add_pd(low, high))
        }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        unsafe {
            let m = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let m = _mm_max_ps(m, _mm_movehl_ps(m, m));
            _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)))
        }
    }
}

/// # Safety
/// The processor has AVX.
#[inline(always)]
unsafe fn sum4(v: __m256d) -> f64 {
    // SAFETY: the caller's.
    unsafe {
        let pair = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
        _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
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
    fn fused(self, b: Self, c: Self) -> Self {
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
    fn largest(self) -> f32 {
        unsafe { F8(_mm256_max_ps(_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0))).largest() }
    }
}

#[allow(clippy::undocumented_unsafe_blocks)]
impl Int for I8 {
    type F = F8;
    #[inline(always)]
    fn shl(self, n: u32) -> Self {
        Self(unsafe { _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(n as i32)) })
    }
    #[inline(always)]
    fn shr(self, n: u32) -> Self {
        Self(unsafe { _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(n as i32)) })
    }
    #[inline(always)]
    fn sar(self, n: u32) -> Self {
        Self(unsafe { _mm256_sra_epi32(self.0, _mm_cvtsi32_si128(n as i32)) })
    }
    #[inline(always)]
    fn float(self) -> F8 {
        F8(unsafe { _mm256_castsi256_ps(self.0) })
    }
    #[inline(always)]
    fn convert(self) -> F8 {
        F8(unsafe { _mm256_cvtepi32_ps(self.0) })
    }
    #[inline(always)]
    fn widening_mul(self, other: Self) -> (Self, Self) {
        unsafe {
            let even = _mm256_mul_epu32(self.0, other.0);
            let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(self.0), _mm256_srli_epi64::<32>(other.0));
            let high = _mm256_blend_epi32::<0xAA>(_mm256_srli_epi64::<32>(even), odd);
            (Self(high), Self(_mm256_blend_epi32::<0xAA>(even, _mm256_slli_epi64::<32>(odd))))
        }
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
    fn float(self) -> F16 {
        F16(unsafe { _mm512_castsi512_ps(self.0) })
    }
    #[inline(always)]
    fn convert(self) -> F16 {
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
