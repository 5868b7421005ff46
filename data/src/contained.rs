//! Readers of other crates, whose panics on damaged files become errors.
use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// Whether a panic on this thread is one that becomes an error.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a reader; if it panics, the error is what the panic says. Nothing is printed: the panic hook, which prints, is
/// replaced once by one that leaves out panics in here and passes on all others.
pub(crate) fn contained<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !CONTAINED.get() {
                before(panic);
            }
        }));
    });
    let outer = CONTAINED.replace(true);
    // What `read` has borrowed is dropped or not read again after an error.
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    CONTAINED.set(outer);
    result.map_err(|panic| {
        let text =
            panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        format!("the reader failed: {}", text.unwrap_or_else(|| "for an unknown reason".into()).replace('\n', " "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_nested_ones_too() {
        assert_eq!(contained(|| 3), Ok(3));
        assert_eq!(
            contained(|| panic!("out of\nbounds {}", 7)),
            Err::<(), _>("the reader failed: out of bounds 7".into())
        );
        let nested = contained(|| (contained(|| panic!("inside")), CONTAINED.get()));
        assert_eq!(nested, Ok((Err::<(), _>("the reader failed: inside".into()), true)));
        assert!(!CONTAINED.get());
    }
}
