//! Waiting for something to be seen, with a deadline.

use std::fs;
use std::thread;
use std::time::Duration;

/// Longer than anything takes on the busiest machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(10);

/// Waits until `look` sees something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LIMIT.as_millis() / TICK.as_millis() {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(TICK);
    }
    panic!("waited in vain for {what}");
}

/// Whether a process runs: neither gone nor waiting to be reaped.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
