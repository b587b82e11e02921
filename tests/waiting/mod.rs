//! Waiting for something to be seen. No test sleeps for a fixed time instead.

use std::thread;
use std::time::Duration;

use bellwether::process::boottime::now;

/// Longer than anything takes on the busiest machine, a stack of containers that has never been started included.
pub(crate) const LIMIT: Duration = Duration::from_secs(240);

const TICK: Duration = Duration::from_millis(5);

/// Waits until `look` sees something. By a clock, because a look may take longer than the time between two.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(now().since(began) < LIMIT, "never seen: {what}");
        thread::sleep(TICK);
    }
}
