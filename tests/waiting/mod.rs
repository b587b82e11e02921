//! Waiting for something to be seen. No test sleeps for a fixed time instead.

use std::thread;
use std::time::Duration;

use bellwether::process::boottime::now;

/// Longer than anything takes on the busiest machine; with Docker, a stack of containers that has never been started.
pub(crate) const LIMIT: Duration = Duration::from_secs(if is_with_docker() { 240 } else { 90 });

/// Whether this is among the tests with Docker.
const fn is_with_docker() -> bool {
    matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"docker")
}

/// A look through Docker's client is a process, and several of them at a time would keep the stacks from getting on.
const TICK: Duration = Duration::from_millis(if is_with_docker() { 100 } else { 5 });

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
