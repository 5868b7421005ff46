//! Reuse of freed memory, and buffers that are not filled with zeros.
use std::sync::Once;

/// Asks the C library to keep freed memory for the next allocation.
///
/// A training step frees the memory that the next one needs; glibc returns large blocks to the system, which then
/// clears every page again: a fifth of the time of a small net's step. Takes effect once per process, called by every
/// operation of [`ops`](crate::ops). It has no effect if the program has its own allocator, on C libraries other than
/// glibc, or if an environment variable of glibc sets the policy (`MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_` or
/// `MALLOC_MMAP_MAX_`).
pub fn keep_memory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(keep);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep() {
    use std::ffi::c_int;
    unsafe extern "C" {
        fn mallopt(param: c_int, value: c_int) -> c_int;
    }
    // Constants of glibc's malloc.h.
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_MAX: c_int = -4;
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_"].into_iter().any(is_set) {
        return;
    }
    // SAFETY: `mallopt` takes two integers and may be called at any time. Blocks are no longer mapped one by one, which
    // would return them to the system when freed, and the heap is not trimmed below 2 GiB of free memory.
    unsafe {
        mallopt(M_TRIM_THRESHOLD, c_int::MAX);
        mallopt(M_MMAP_MAX, 0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep() {}

/// Returns a vector of `len` arbitrary values, for a kernel to overwrite.
///
/// ```
/// let mut y = tweedie_kernels::unwritten(3);
/// tweedie_kernels::Activation::Exp.forward(&[0.0; 3], &mut y);
/// assert_eq!(y, [1.0; 3]);
/// ```
#[doc(alias = "empty")]
#[doc(alias = "uninitialized")]
pub fn unwritten(len: usize) -> Vec<f32> {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let mut values = Vec::<f32>::with_capacity(len);
        // SAFETY: the assembly is empty, but the compiler must assume that it has written to the memory whose address
        // it receives. So the memory counts as initialized with unknown values, and every bit pattern is a valid float.
        // This saves the pass over memory that would fill it with zeros before a kernel overwrites it.
        unsafe {
            std::arch::asm!("/* {0} */", in(reg) values.as_mut_ptr(), options(nostack, preserves_flags));
            values.set_len(len);
        }
        values
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    vec![0.0; len]
}
