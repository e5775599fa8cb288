//! Code of the host that may panic, and must harm nothing but its own answer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `host` returns, or `None` if it panics.
///
/// Nothing of ours is reachable from the closure but what it returns, so no broken state is seen.
pub(super) fn caught<T>(host: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(host)).map_err(discard).ok()
}

/// Drops what a panic carried, which may panic in turn; what that carries is leaked.
pub(super) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    #[test]
    fn a_panic_that_carries_a_panic_is_caught() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(caught(|| panic_any(Bomb)), None::<()>);
        assert_eq!(caught(|| 1), Some(1));
    }
}
