//! Ctrl-C during training: the run stops after the current step, with a checkpoint.
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// 1 after the first Ctrl-C.
static STOP: AtomicU8 = AtomicU8::new(0);
/// Whether training handles Ctrl-C; otherwise it ends the process at once.
static LISTENING: AtomicBool = AtomicBool::new(false);

/// Starts handling Ctrl-C: the first requests a stop, the second ends the process at once.
pub(super) fn listen() {
    STOP.store(0, Ordering::SeqCst);
    LISTENING.store(true, Ordering::SeqCst);
    // A second call finds the handler installed.
    let _ = ctrlc::set_handler(|| {
        if !LISTENING.load(Ordering::SeqCst) || STOP.swap(1, Ordering::SeqCst) > 0 {
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
    });
}

/// Whether Ctrl-C was pressed since [`listen`].
pub(super) fn requested() -> bool {
    STOP.load(Ordering::SeqCst) > 0
}

/// Ends the handling of Ctrl-C: from now on it ends the process at once.
pub(super) fn stop_listening() {
    LISTENING.store(false, Ordering::SeqCst);
}
