//! The interface of an instruction set: [`Simd`] and its vectors [`Float`] and [`Int`].
use super::panel::Panel;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Sub};

/// Maximum of [`Simd::LANES`] over the instruction sets.
pub(crate) const MAX_LANES: usize = 16;

/// An instruction set: constructs, loads and stores its vectors.
///
/// Everything that implements or uses this trait must be `#[inline(always)]`, so that it is inlined into a function
/// compiled with the features of the instruction set.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Vector of `LANES` floats.
    type F: Float<I = Self::I>;
    /// Vector of `LANES` 32-bit words.
    type I: Int<F = Self::F>;
    /// Number of lanes of a vector.
    const LANES: usize;
    /// Edge length of the square that [`transpose_tile`](Simd::transpose_tile) transposes.
    const TILE: usize;
    /// Maximum number of rows of the register tile of the matrix product, which is two vectors wide.
    const ROWS: usize;

    /// Vector with `x` in every lane.
    fn splat(self, x: f32) -> Self::F;
    /// Vector with the word `x` in every lane.
    fn splat_int(self, x: u32) -> Self::I;
    /// Loads a vector.
    ///
    /// # Safety
    /// `LANES` floats must be readable at `p`.
    unsafe fn read(self, p: *const f32) -> Self::F;
    /// Stores a vector.
    ///
    /// # Safety
    /// `LANES` floats must be writable at `p`.
    unsafe fn write(self, p: *mut f32, v: Self::F);
    /// Loads a vector of words.
    ///
    /// # Safety
    /// `LANES` words must be readable at `p`.
    unsafe fn read_int(self, p: *const u32) -> Self::I;
    /// Transposes a square tile: `dst[c · ds + r] = src[r · ss + c]` for `r, c < TILE`.
    ///
    /// # Safety
    /// These elements must be readable and writable.
    unsafe fn transpose_tile(self, src: *const f32, ss: usize, dst: *mut f32, ds: usize);
    /// Stores four vectors interleaved: `a₀ b₀ c₀ d₀ a₁ b₁ …`.
    ///
    /// # Safety
    /// `4 LANES` floats must be writable at `p`.
    unsafe fn write_interleaved(self, p: *mut f32, abcd: [Self::F; 4]);

    /// Computes a panel of a matrix product. Compiled once per instruction set and not inlined, because it is large.
    ///
    /// # Safety
    /// All elements of A and C at their strides must be readable, those of C writable, and of every row of B as many
    /// whole vectors as `cols` reaches into.
    unsafe fn panel_product(self, panel: Panel);

    /// Vector of zeros.
    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }
    /// Loads the first `LANES` elements of a slice.
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice is long enough, as just checked.
        unsafe { self.read(x.as_ptr()) }
    }
    /// Stores into the first `LANES` elements of a slice.
    #[inline(always)]
    fn store(self, y: &mut [f32], v: Self::F) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice is long enough, as just checked.
        unsafe { self.write(y.as_mut_ptr(), v) }
    }
    /// Loads a slice of at most `LANES` elements; the remaining lanes are `fill`.
    #[inline(always)]
    fn load_partial(self, x: &[f32], fill: f32) -> Self::F {
        let mut whole = [fill; MAX_LANES];
        whole[..x.len()].copy_from_slice(x);
        self.load(&whole)
    }
    /// Stores the first `y.len()` lanes, at most `LANES`.
    #[inline(always)]
    fn store_partial(self, y: &mut [f32], v: Self::F) {
        let mut whole = [0.0; MAX_LANES];
        self.store(&mut whole, v);
        y.copy_from_slice(&whole[..y.len()]);
    }
    /// Loads from `x[i]` on; lanes beyond the end of the slice are `fill`.
    #[inline(always)]
    fn load_at(self, x: &[f32], i: usize, fill: f32) -> Self::F {
        let rest = &x[i..];
        if rest.len() >= Self::LANES { self.load(rest) } else { self.load_partial(rest, fill) }
    }
    /// Stores from `y[i]` on; lanes beyond the end of the slice are dropped.
    #[inline(always)]
    fn store_at(self, y: &mut [f32], i: usize, v: Self::F) {
        let rest = &mut y[i..];
        if rest.len() >= Self::LANES { self.store(rest, v) } else { self.store_partial(rest, v) }
    }
    /// Transposes a matrix: `dst[c · ds + r] = src[r · ss + c]` for `r < rows, c < cols`.
    ///
    /// # Safety
    /// These elements must be readable and writable.
    #[inline(always)]
    unsafe fn transpose(self, rows: usize, cols: usize, src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
        let t = Self::TILE;
        // SAFETY: every index below is within `rows × cols`, which the caller guarantees.
        unsafe {
            let (full_rows, full_cols) = (rows / t * t, cols / t * t);
            let mut c = 0;
            while c < full_cols {
                let mut r = 0;
                while r < full_rows {
                    self.transpose_tile(src.add(r * ss + c), ss, dst.add(c * ds + r), ds);
                    r += t;
                }
                c += t;
            }
            for r in 0..rows {
                for c in (if r < full_rows { full_cols } else { 0 })..cols {
                    *dst.add(c * ds + r) = *src.add(r * ss + c);
                }
            }
        }
    }
}

/// Vector of single-precision floats.
pub(crate) trait Float:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    type I: Int<F = Self>;
    /// Result of a comparison, lane by lane.
    type Mask: Copy;
    /// `self · b + c`: fused (one rounding) if the instruction set has a fused multiply-add, otherwise with two
    /// roundings.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self · b + c` with one rounding on every instruction set, even if it is slow.
    fn fma(self, b: Self, c: Self) -> Self;
    /// Minimum, lane by lane; `self` if it is NaN.
    fn min(self, other: Self) -> Self;
    /// Maximum, lane by lane; `self` if it is NaN.
    fn max(self, other: Self) -> Self;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The bits of every lane.
    fn bits(self) -> Self::I;
    /// `self < other`, lane by lane.
    fn less(self, other: Self) -> Self::Mask;
    /// `yes` in the lanes of the mask, `no` in the others.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// Sum of all lanes, in double precision and in a fixed order.
    fn sum(self) -> f64;
    /// Maximum of all lanes.
    fn max_lane(self) -> f32;
}

/// Vector of 32-bit words.
pub(crate) trait Int:
    Copy + Add<Output = Self> + Sub<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self>
{
    /// Vector of `LANES` floats.
    type F: Float<I = Self>;
    /// Left shift.
    fn shl(self, n: u32) -> Self;
    /// Logical right shift.
    fn shr(self, n: u32) -> Self;
    /// Arithmetic right shift.
    fn sar(self, n: u32) -> Self;
    /// The floats with these bits.
    fn as_float(self) -> Self::F;
    /// Signed integers converted to floats.
    fn to_float(self) -> Self::F;
    /// High and low word of the unsigned product.
    fn widening_mul(self, other: Self) -> (Self, Self);
}

/// Implements the operators of a vector type by its intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! operators {
    ($vector:ident: $($op:ident $method:ident $intrinsic:expr),* $(,)?) => {$(
        impl std::ops::$op for $vector {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a vector exists only if the processor has the instruction set.
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        }
    )*};
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use operators;
