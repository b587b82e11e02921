//! Waiting for something to be seen. No test sleeps for a fixed time instead.

use std::thread;
use std::time::Duration;

/// Longer than anything takes on the busiest machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

const TICK: Duration = Duration::from_millis(5);

/// Waits until `look` sees something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LIMIT.as_millis() / TICK.as_millis() {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(TICK);
    }
    panic!("never seen: {what}");
}
