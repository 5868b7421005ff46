//! Sharing work between threads, and buffers between calls.
//!
//! Work is cut by the problem's shape, never by the number of threads, and every sum over pieces is taken in the order
//! of the pieces. So results are the same to the last bit on any number of threads.
use rayon::prelude::*;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

/// Numbers in a piece of element-wise work: 128 KiB, several pieces to a second-level cache.
pub(crate) const PIECE: usize = 1 << 15;

/// Calls `f` for every number below `n`, in any order, on rayon's threads.
pub(crate) fn for_each(n: usize, f: impl Fn(usize) + Sync + Send) {
    match n {
        0 => (),
        1 => f(0),
        _ => (0..n).into_par_iter().for_each(f),
    }
}

/// A slice that several tasks write at once, each a part of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T = f32> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: a `Shared` gives nothing without `unsafe`; whoever takes a part vouches that no other task has it.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// One part.
    ///
    /// # Safety
    /// No other part that is in use overlaps it.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a part outside of the slice");
        // SAFETY: inside the slice, as just checked; not aliased, as the caller vouches.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_ptr(&self) -> *mut T {
        self.start
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Scratch memory on a cache line's border, taken from and given back to the thread's own store.
///
/// What it holds at first is whatever the last user left.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        let need = len.div_ceil(16);
        let mut lines = FREE.with_borrow_mut(|free| {
            // The smallest that is large enough, else the largest.
            let fit = (0..free.len()).min_by_key(|&i| {
                let size = free[i].len();
                (size < need, if size < need { usize::MAX - size } else { size })
            });
            fit.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if lines.len() < need {
            // Nothing of the old content is worth copying.
            lines = vec![Line([0.0; 16]); need];
        }
        Self { lines, len }
    }
}

impl std::ops::Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is sixteen numbers and nothing else, and there are enough of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // A thread that is ending has no store any more: then the memory is simply freed.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < 8
            {
                free.push(lines);
            }
        });
    }
}
