//! Sharing work between threads, and buffers between calls.
//!
//! Work is cut by the problem's shape, never by the number of threads, and every sum over pieces is taken in the order
//! of the pieces. So results are the same to the last bit on any number of threads.
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Numbers in a piece of element-wise work: 128 KiB, several pieces to a second-level cache.
pub(crate) const CHUNK: usize = 1 << 15;

/// Calls `f` for every number below `n`, in any order, on this thread and rayon's.
///
/// The caller works too, and others join as they wake: nothing waits for a thread that has not begun, so a busy machine
/// costs little. A panic of any call is passed on, after all have ended.
pub(crate) fn for_each(n: usize, f: impl Fn(usize) + Sync + Send) {
    let helpers = rayon::current_num_threads().min(n).saturating_sub(1);
    if helpers == 0 {
        return (0..n).for_each(f);
    }
    let work: *const (dyn Fn(usize) + Sync + '_) = &f;
    // SAFETY: only the lifetime is forgotten. The team calls `work` while a number below n is left or being worked on,
    // and `JoinGuard` does not let this function end, not even by a panic, before that is over.
    let work: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(work) };
    let team = Arc::new(Team {
        work,
        n,
        next: AtomicUsize::new(0),
        active: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
    });
    for _ in 0..helpers {
        let team = team.clone();
        rayon::spawn(move || team.help());
    }
    let finish = JoinGuard(&team);
    team.work();
    drop(finish);
    assert!(!team.failed.load(Ordering::Relaxed), "a task of a kernel panicked: see the message above");
}

/// Threads that share the numbers below n.
struct Team {
    work: *const (dyn Fn(usize) + Sync + 'static),
    n: usize,
    next: AtomicUsize,
    /// Helpers between their first number and their last.
    active: AtomicUsize,
    failed: AtomicBool,
}

// SAFETY: `work` points at something that may be called from any thread; it is called only while it lives, see `for_each`.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    fn work(&self) {
        loop {
            // A helper has made itself active before it takes a number; whoever finds none left sees that.
            let i = self.next.fetch_add(1, Ordering::AcqRel);
            if i >= self.n {
                return;
            }
            // SAFETY: a number below n was left, so `for_each` has not ended, and will not before this call has.
            unsafe { (*self.work)(i) };
        }
    }

    fn help(&self) {
        self.active.fetch_add(1, Ordering::AcqRel);
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits on drop until no helper works any more.
struct JoinGuard<'a>(&'a Team);

impl Drop for JoinGuard<'_> {
    fn drop(&mut self) {
        // After a panic here, the helpers are given nothing more.
        self.0.next.fetch_max(self.0.n, Ordering::AcqRel);
        let mut waited = 0;
        while self.0.active.load(Ordering::Acquire) != 0 {
            waited += 1;
            if waited < 1000 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// Calls `f` with matching pieces of the inputs and of the output, `piece` numbers each but for the last.
pub(crate) fn for_chunks<const N: usize>(
    piece: usize,
    inputs: [&[f32]; N],
    out: &mut [f32],
    f: impl Fn([&[f32]; N], &mut [f32]) + Sync + Send,
) {
    let len = out.len();
    let out = Shared::new(out);
    for_each(len.div_ceil(piece), |i| {
        let range = i * piece..len.min((i + 1) * piece);
        // SAFETY: every task has its own piece.
        f(inputs.map(|x| &x[range.clone()]), unsafe { out.part(range.clone()) });
    });
}

/// Computes `out = Σ parts`, in the order of the parts, each as long as `out`.
pub(crate) fn sum_parts(parts: &[f32], out: &mut [f32]) {
    let len = out.len();
    let shared = Shared::new(out);
    for_each(len.div_ceil(CHUNK), |chunk| {
        let first = chunk * CHUNK;
        // SAFETY: every task writes its own chunk.
        let out = unsafe { shared.part(first..len.min(first + CHUNK)) };
        out.copy_from_slice(&parts[first..][..out.len()]);
        for part in parts.chunks_exact(len).skip(1) {
            for (out, x) in out.iter_mut().zip(&part[first..]) {
                *out += x;
            }
        }
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_visited_once() {
        for n in [0, 1, 2, 3, 100, 10_000] {
            let mut seen = vec![0.0; n];
            let shared = Shared::new(&mut seen);
            // SAFETY: every task has its own place.
            for_each(n, |i| unsafe { shared.part(i..i + 1)[0] += 1.0 });
            assert!(seen.iter().all(|s| *s == 1.0));
        }
    }

    #[test]
    fn a_panic_comes_through_and_leaves_the_threads_well() {
        for bad in [0, 500, 999] {
            let outcome = catch_unwind(|| for_each(1000, |i| assert!(i != bad, "on purpose")));
            assert!(outcome.is_err());
        }
        every_number_is_visited_once();
    }
}
