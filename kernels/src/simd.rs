//! Vectors of single-precision numbers, one interface over several instruction sets.
//!
//! A kernel is written once, generic over [`Simd`], and compiled once for every instruction set by [`dispatch!`];
//! which one runs is decided at run time by [`Level::get`]. A value of an instruction set's type is a *token*: it
//! exists only where the processor has been asked, so that operators on its vectors are safe.
use crate::product::Panel;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Sub};
use std::sync::OnceLock;

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// The most lanes any instruction set here has.
pub(crate) const MAX_LANES: usize = 16;

/// An instruction set the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust on arrays of eight numbers.
    Portable,
    /// AArch64's 128-bit vectors.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// x86-64 with AVX2 and FMA, 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512 F, VL, BW and DQ, 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The levels this processor can run, slowest first.
    pub fn available() -> Vec<Level> {
        #[allow(unused_mut)]
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "aarch64")]
        levels.push(Level::Neon);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            levels.push(Level::Avx2);
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
            {
                levels.push(Level::Avx512);
            }
        }
        levels
    }

    /// The level in use: the fastest available, or the one the environment variable `TWEEDIE_SIMD` names
    /// (`portable`, `neon`, `avx2`, `avx512`) if the processor has it. Decided once per process.
    pub fn get() -> Level {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            let available = Level::available();
            let asked = std::env::var("TWEEDIE_SIMD").unwrap_or_default();
            let named = available.iter().find(|level| format!("{level:?}").eq_ignore_ascii_case(&asked));
            *named.or(available.last()).expect("the portable level is always there")
        })
    }
}

/// An instruction set: how its vectors are made, read and written.
///
/// Everything that implements or uses this must be `#[inline(always)]`, so that it becomes part of a function compiled
/// with the instruction set's features.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    type F: Float<I = Self::I>;
    type I: Int<F = Self::F>;
    /// Numbers in a vector.
    const LANES: usize;
    /// Edge of the square that [`transpose_tile`](Simd::transpose_tile) turns.
    const TILE: usize;
    /// Rows of the matrix product's register tile, which is two vectors wide.
    const ROWS: usize;

    fn splat(self, x: f32) -> Self::F;
    fn int(self, x: u32) -> Self::I;
    /// # Safety
    /// `LANES` numbers can be read at `p`.
    unsafe fn read(self, p: *const f32) -> Self::F;
    /// # Safety
    /// `LANES` numbers can be written at `p`.
    unsafe fn write(self, p: *mut f32, v: Self::F);
    /// # Safety
    /// `LANES` words can be read at `p`.
    unsafe fn read_int(self, p: *const u32) -> Self::I;
    /// `dst[c · ds + r] = src[r · ss + c]` for `r, c < TILE`.
    ///
    /// # Safety
    /// All those places can be read and written.
    unsafe fn transpose_tile(self, src: *const f32, ss: usize, dst: *mut f32, ds: usize);
    /// Writes `a₀ b₀ c₀ d₀ a₁ b₁ …`.
    ///
    /// # Safety
    /// `4 LANES` numbers can be written at `p`.
    unsafe fn write_interleaved(self, p: *mut f32, abcd: [Self::F; 4]);

    /// Runs [`run`](crate::product::run), compiled once for each instruction set and not inlined: it is large.
    ///
    /// # Safety
    /// As for that.
    unsafe fn product(self, panel: Panel);

    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }
    /// The first `LANES` numbers of a slice.
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice is long enough, as just checked.
        unsafe { self.read(x.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, y: &mut [f32], v: Self::F) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice is long enough, as just checked.
        unsafe { self.write(y.as_mut_ptr(), v) }
    }
    /// A slice of fewer than `LANES` numbers, filled up.
    #[inline(always)]
    fn load_part(self, x: &[f32], fill: f32) -> Self::F {
        let mut whole = [fill; MAX_LANES];
        whole[..x.len()].copy_from_slice(x);
        self.load(&whole)
    }
    #[inline(always)]
    fn store_part(self, y: &mut [f32], v: Self::F) {
        let mut whole = [0.0; MAX_LANES];
        self.store(&mut whole, v);
        y.copy_from_slice(&whole[..y.len()]);
    }
    /// The vector from `x[i]` on, filled up where the slice ends first.
    #[inline(always)]
    fn get(self, x: &[f32], i: usize, fill: f32) -> Self::F {
        let rest = &x[i..];
        if rest.len() >= Self::LANES { self.load(rest) } else { self.load_part(rest, fill) }
    }
    /// Writes a vector from `y[i]` on, as much of it as there is room for.
    #[inline(always)]
    fn put(self, y: &mut [f32], i: usize, v: Self::F) {
        let rest = &mut y[i..];
        if rest.len() >= Self::LANES { self.store(rest, v) } else { self.store_part(rest, v) }
    }
    /// `dst[c · ds + r] = src[r · ss + c]` for `r < rows, c < cols`.
    ///
    /// # Safety
    /// All those places can be read and written.
    #[inline(always)]
    unsafe fn transpose(self, rows: usize, cols: usize, src: *const f32, ss: usize, dst: *mut f32, ds: usize) {
        let t = Self::TILE;
        // SAFETY: every index below is within `rows × cols`, which the caller vouches for.
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

/// A vector of single-precision numbers.
pub(crate) trait Float:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    type I: Int<F = Self>;
    type Mask: Copy;
    /// `self · b + c`, in one rounding where the instruction set has it, else in two.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `self · b + c` in one rounding on every instruction set, however slow.
    fn fused(self, b: Self, c: Self) -> Self;
    /// The smaller; `self` where it is not a number.
    fn min(self, other: Self) -> Self;
    /// The larger; `self` where it is not a number.
    fn max(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    fn bits(self) -> Self::I;
    fn less(self, other: Self) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// The sum of all lanes, in double precision and in a fixed order.
    fn sum(self) -> f64;
    /// The largest lane.
    fn largest(self) -> f32;
}

/// A vector of 32-bit words.
pub(crate) trait Int:
    Copy + Add<Output = Self> + Sub<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self>
{
    type F: Float<I = Self>;
    fn shl(self, n: u32) -> Self;
    /// Shift right, zeros entering.
    fn shr(self, n: u32) -> Self;
    /// Shift right, the sign entering.
    fn sar(self, n: u32) -> Self;
    /// The float with these bits.
    fn float(self) -> Self::F;
    /// The signed integer as a float.
    fn convert(self) -> Self::F;
    /// The high and the low word of the unsigned product.
    fn widening_mul(self, other: Self) -> (Self, Self);
}

/// Makes a function that runs a generic kernel at a [`Level`]:
/// `dispatch! { fn name(args…) -> Result = kernel; }` gives `name(level, args…)`, which calls `kernel(token, args…)`.
macro_rules! dispatch {
    (unsafe fn $($rest:tt)*) => { dispatch! { @[unsafe] $($rest)* } };
    (fn $($rest:tt)*) => { dispatch! { @[] $($rest)* } };
    (@[$($unsafe:tt)?] $name:ident $(<$($g:ident: $bound:ident),+>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $kernel:path;) => {
        #[doc = concat!("Runs [`", stringify!($kernel), "`] compiled for `level`.")]
        // A kernel on raw pointers is unsafe, one on slices is not; the calls below look alike.
        #[allow(unused_unsafe, clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks)]
        $($unsafe)? fn $name $(<$($g: $bound),+>)? (level: crate::simd::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                unsafe { $kernel(crate::simd::x86::Avx2::new(), $($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
            unsafe fn avx512 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                unsafe { $kernel(crate::simd::x86::Avx512::new(), $($arg),*) }
            }
            // SAFETY: a level other than the portable one comes from `Level::available`, which has asked the
            // processor; what the kernel itself demands of its arguments is passed on to the caller.
            match level {
                crate::simd::Level::Portable => unsafe { $kernel(crate::simd::portable::Portable, $($arg),*) },
                #[cfg(target_arch = "aarch64")]
                crate::simd::Level::Neon => unsafe { $kernel(crate::simd::neon::Neon::new(), $($arg),*) },
                #[cfg(target_arch = "x86_64")]
                crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}
pub(crate) use dispatch;

/// Operators of a vector type by its intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! operators {
    ($vector:ident: $($op:ident $method:ident $intrinsic:expr),* $(,)?) => {$(
        impl std::ops::$op for $vector {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a vector exists only where the processor has the instruction set.
                Self(unsafe { $intrinsic(self.0, other.0) })
            }
        }
    )*};
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use operators;
