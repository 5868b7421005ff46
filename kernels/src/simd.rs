//! Vectors of single-precision floats: one interface over several instruction sets.
//!
//! A kernel is written once, generic over [`Simd`], and compiled once per instruction set by [`dispatch!`];
//! [`Level::get`] selects one of them at run time. A value of the type of an instruction set is a *token*: it exists
//! only if the processor supports the instruction set, so the operators on its vectors are safe.
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
mod panel;
pub(crate) mod portable;
mod tile;
mod traits;

pub(crate) use panel::{Init, Panel};
pub(crate) use traits::{Float, Int, MAX_LANES, Simd};

/// Instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust on arrays of eight floats.
    Portable,
    /// NEON: 128-bit vectors of AArch64.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// AVX2 and FMA: 256-bit vectors of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, VL, BW and DQ: 512-bit vectors of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Returns the instruction sets that this processor supports, slowest first.
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

    /// Returns the instruction set in use.
    ///
    /// The one named by the environment variable `TWEEDIE_SIMD` (`portable`, `neon`, `avx2` or `avx512`) if the
    /// processor supports it. Default: the fastest available. Determined once per process.
    ///
    /// ```
    /// use tweedie_kernels::Level;
    /// assert!(Level::available().contains(&Level::get()));
    /// ```
    pub fn get() -> Level {
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            let available = Level::available();
            let requested = std::env::var("TWEEDIE_SIMD").unwrap_or_default();
            let named = available.iter().find(|level| format!("{level:?}").eq_ignore_ascii_case(&requested));
            *named.or(available.last()).expect("the portable level is always available")
        })
    }
}

/// Defines a function that runs a generic kernel at a [`Level`]: `dispatch! { fn name(args…) -> Result = kernel; }`
/// defines `name(level, args…)`, which calls `kernel(token, args…)`.
macro_rules! dispatch {
    (
        @[$vis:vis] [$($unsafe:tt)?] $name:ident $(<$($g:ident: $bound:ident),+>)?
        ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $kernel:path;
    ) => {
        #[doc = concat!("Runs [`", stringify!($kernel), "`] compiled for `level`.")]
        // A kernel on raw pointers is unsafe, one on slices is not; the calls below are written the same way for both.
        #[allow(unused_unsafe, clippy::missing_safety_doc, clippy::undocumented_unsafe_blocks)]
        $vis $($unsafe)? fn $name $(<$($g: $bound),+>)? (level: crate::simd::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                unsafe { $kernel(crate::simd::avx2::Avx2::new(), $($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
            unsafe fn avx512 $(<$($g: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                unsafe { $kernel(crate::simd::avx512::Avx512::new(), $($arg),*) }
            }
            // SAFETY: a level other than the portable one comes from `Level::available`, which has checked the
            // processor; the contract of the kernel itself is passed on to the caller.
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
    ($vis:vis unsafe fn $($rest:tt)*) => { dispatch! { @[$vis] [unsafe] $($rest)* } };
    ($vis:vis fn $($rest:tt)*) => { dispatch! { @[$vis] [] $($rest)* } };
}
pub(crate) use dispatch;
