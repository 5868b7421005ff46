//! Tasks on several threads, and scratch buffers that are reused between calls.
//!
//! Work is split into tasks by the shape of the problem, never by the number of threads, and sums over tasks are taken
//! in the order of the tasks. So results are bit-identical on any number of threads.
use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Number of elements per task of element-wise work: 128 KiB, a fraction of a second-level cache.
pub(crate) const CHUNK: usize = 1 << 15;

/// Calls `f` for every task index below `n`, in any order, on this thread and the threads of rayon.
///
/// The calling thread takes part and the others join when they wake up. No thread that has not started is waited for,
/// so the overhead is small on a busy machine. A panic in any call is propagated after all calls have ended.
pub(crate) fn for_each(n: usize, f: impl Fn(usize) + Sync + Send) {
    let helpers = rayon::current_num_threads().min(n).saturating_sub(1);
    if helpers == 0 {
        return (0..n).for_each(f);
    }
    let work: *const (dyn Fn(usize) + Sync + '_) = &f;
    // SAFETY: only the lifetime is erased. The team calls `work` only while a task below n is unclaimed or running, and
    // `JoinGuard` does not let this function return, not even by a panic, before all tasks have ended.
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
    let guard = JoinGuard(&team);
    team.work();
    drop(guard);
    assert!(!team.failed.load(Ordering::Relaxed), "a task of a kernel panicked, see the message above");
}

/// State shared by the threads that work on the tasks below n.
struct Team {
    work: *const (dyn Fn(usize) + Sync + 'static),
    n: usize,
    next: AtomicUsize,
    /// Number of helpers that are working.
    active: AtomicUsize,
    failed: AtomicBool,
}

// SAFETY: `work` points at a `Sync` function, which is called only while it is alive, see `for_each`.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    fn work(&self) {
        loop {
            // A helper increments `active` before it claims a task, so a thread that finds no task left sees that it is
            // active.
            let i = self.next.fetch_add(1, Ordering::AcqRel);
            if i >= self.n {
                return;
            }
            // SAFETY: task i was unclaimed, so `for_each` has not returned, and does not before this call has ended.
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

/// Waits on drop until no helper is working.
struct JoinGuard<'a>(&'a Team);

impl Drop for JoinGuard<'_> {
    fn drop(&mut self) {
        // After a panic on this thread, no further task is handed out.
        self.0.next.fetch_max(self.0.n, Ordering::AcqRel);
        let mut waited = 0;
        while self.0.active.load(Ordering::Acquire) != 0 {
            waited += 1;
            if waited < 1000 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// Calls `f` with corresponding chunks of the inputs and the output, of `chunk` elements each except for the last.
pub(crate) fn for_chunks<const N: usize>(
    chunk: usize,
    inputs: [&[f32]; N],
    out: &mut [f32],
    f: impl Fn([&[f32]; N], &mut [f32]) + Sync + Send,
) {
    let len = out.len();
    let out = Shared::new(out);
    for_each(len.div_ceil(chunk), |i| {
        let range = i * chunk..len.min((i + 1) * chunk);
        // SAFETY: every task writes its own chunk.
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

/// Slice that several tasks write concurrently, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T = f32> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: access to a `Shared` is `unsafe`; whoever takes a part guarantees that no other task uses it.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// Returns one part.
    ///
    /// # Safety
    /// No other part that is in use may overlap it.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "the part must lie inside the slice");
        // SAFETY: inside the slice, as checked above; not aliased, as guaranteed by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_ptr(&self) -> *mut T {
        self.start
    }
}

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Scratch memory, aligned to cache lines, taken from a pool of the thread and returned to it on drop.
///
/// Its initial contents are arbitrary.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        let need = len.div_ceil(16);
        let mut lines = FREE.with_borrow_mut(|free| {
            // The smallest buffer that is large enough, otherwise the largest.
            let fit = (0..free.len()).min_by_key(|&i| {
                let size = free[i].len();
                (size < need, if size < need { usize::MAX - size } else { size })
            });
            fit.map(|i| free.swap_remove(i)).unwrap_or_default()
        });
        if lines.len() < need {
            // The old contents need not be copied.
            lines = vec![Line([0.0; 16]); need];
        }
        Self { lines, len }
    }
}

impl std::ops::Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is sixteen floats without padding, and there are enough lines.
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
        // A thread that is ending has no pool any more: the memory is freed.
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
    fn every_task_runs_once() {
        for n in [0, 1, 2, 3, 100, 10_000] {
            let mut seen = vec![0.0; n];
            let shared = Shared::new(&mut seen);
            // SAFETY: every task writes its own element.
            for_each(n, |i| unsafe { shared.part(i..i + 1)[0] += 1.0 });
            assert!(seen.iter().all(|s| *s == 1.0));
        }
    }

    #[test]
    fn a_panic_is_propagated_and_the_threads_remain_usable() {
        for bad in [0, 500, 999] {
            let outcome = catch_unwind(|| for_each(1000, |i| assert!(i != bad, "on purpose")));
            assert!(outcome.is_err());
        }
        every_task_runs_once();
    }
}
