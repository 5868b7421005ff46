//! Memory that a training step frees is what the next one needs.
use std::sync::Once;

/// Asks the C library to keep freed memory for the next request instead of handing it back to the system, which would
/// have to clear every page of it again: a fifth of a small net's step. Once a process; without effect where the program
/// brings an allocator of its own, on other C libraries than glibc, and where a variable of glibc's `MALLOC_…` says how to
/// deal with memory.
///
/// Called by every operation of [`ops`](crate::ops).
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
    // From glibc's malloc.h.
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_MAX: c_int = -4;
    let told = |name: &str| std::env::var_os(name).is_some();
    if ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_"].into_iter().any(told) {
        return;
    }
    // SAFETY: `mallopt` takes two integers and may be called at any time. No block is a mapping of its own, which would go
    // back to the system when freed, and the heap is not cut off below 2 GiB of free memory.
    unsafe {
        mallopt(M_TRIM_THRESHOLD, c_int::MAX);
        mallopt(M_MMAP_MAX, 0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep() {}

/// Numbers for a kernel to write over: whatever the memory held before.
///
/// ```
/// let mut y = tweedie_kernels::unwritten(3);
/// tweedie_kernels::Activation::Exp.forward(&[0.0; 3], &mut y);
/// assert_eq!(y, [1.0; 3]);
/// ```
pub fn unwritten(len: usize) -> Vec<f32> {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let mut numbers = Vec::<f32>::with_capacity(len);
        // SAFETY: the assembly is empty, but may for all the compiler knows have written any numbers to the memory whose
        // address it is given: afterwards it holds some, as every pattern of bits is a number. So what a kernel is going to
        // write over need not be filled with zeros first, a whole pass over memory.
        unsafe {
            std::arch::asm!("/* {0} */", in(reg) numbers.as_mut_ptr(), options(nostack, preserves_flags));
            numbers.set_len(len);
        }
        numbers
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    vec![0.0; len]
}
