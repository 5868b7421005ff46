//! AVX2 with FMA: 256-bit vectors of x86-64.
use super::panel::Panel;
use super::tile;
use super::traits::{Float, Int, Simd, operators};
use std::arch::x86_64::*;

/// Token of AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor must have AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Eight floats.
#[derive(Clone, Copy)]
pub(crate) struct F8(pub(super) __m256);
/// Eight 32-bit words.
#[derive(Clone, Copy)]
pub(crate) struct I8(__m256i);

operators!(F8: Add add _mm256_add_ps, Sub sub _mm256_sub_ps, Mul mul _mm256_mul_ps, Div div _mm256_div_ps);
operators!(I8: Add add _mm256_add_epi32, Sub sub _mm256_sub_epi32, BitAnd bitand _mm256_and_si256,
    BitOr bitor _mm256_or_si256, BitXor bitxor _mm256_xor_si256);

impl std::ops::Neg for F8 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        // SAFETY: the vector exists, so the processor has AVX.
        Self(unsafe { _mm256_xor_ps(self.0, _mm256_set1_ps(-0.0)) })
    }
}

/// Transposes an 8×8 tile: `dst[c · ds + r] = src[r · ss + c]`.
///
/// # Safety
/// The processor must have AVX; the tile must be readable at `src` and writable at `dst`.
#[inline(always)]
pub(super) unsafe fn transpose8(src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let row = |i: usize| _mm256_loadu_ps(src.add(i * ss));
        let r: [__m256; 8] = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
        // Interleave pairs, then groups of four, then halves.
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

// SAFETY of every intrinsic below: the token or the vector exists only if the processor has the instruction set; the
// memory that is read and written is covered by the contract of the function.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx2 {
    type F = F8;
    type I = I8;
    const LANES: usize = 8;
    const TILE: usize = 8;
    const ROWS: usize = 6;
    #[inline(always)]
    unsafe fn panel_product(self, panel: Panel) {
        #[target_feature(enable = "avx2,fma")]
        #[inline(never)]
        unsafe fn run(panel: Panel) {
            // SAFETY: guaranteed by the caller.
            unsafe { tile::run(Avx2(()), panel) }
        }
        // SAFETY: guaranteed by the caller; the token exists only if the processor has the features.
        unsafe { run(panel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F8 {
        F8(unsafe { _mm256_set1_ps(x) })
    }
    #[inline(always)]
    fn splat_int(self, x: u32) -> I8 {
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
impl Float for F8 {
    type I = I8;
    type Mask = __m256;
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
    // The instruction returns its second operand if either is NaN.
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
    fn max_lane(self) -> f32 {
        unsafe {
            let m = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let m = _mm_max_ps(m, _mm_movehl_ps(m, m));
            _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)))
        }
    }
}

/// Sum of four doubles, in a fixed order.
///
/// # Safety
/// The processor must have AVX.
#[inline(always)]
pub(super) unsafe fn sum4(v: __m256d) -> f64 {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let pair = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
        _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
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
    fn as_float(self) -> F8 {
        F8(unsafe { _mm256_castsi256_ps(self.0) })
    }
    #[inline(always)]
    fn to_float(self) -> F8 {
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
