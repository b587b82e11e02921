//! Panics that are expected: a promise that is broken while a story is played is reported later, shrunk.

use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Does something whose panics say nothing; those of other threads do.
pub(crate) fn quietly<T>(act: impl FnOnce() -> T) -> T {
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                loud(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let done = act();
    IS_QUIET.set(false);
    done
}
