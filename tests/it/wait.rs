//! Waiting for something to be seen, and what can be seen of processes and files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) use crate::waiting::wait_for;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(what, || look().then_some(()));
}

/// A point in time on the clock of files, in nanoseconds since 1970.
pub(crate) type Nanos = u128;

pub(crate) const SECOND: Nanos = 1_000_000_000;

/// The time a file was modified; `None` if it is not there.
pub(crate) fn mtime(path: &Path) -> Option<Nanos> {
    let stat = fs::symlink_metadata(path).ok()?;
    Some(Nanos::try_from(stat.mtime()).unwrap() * SECOND + Nanos::try_from(stat.mtime_nsec()).unwrap())
}

/// The letter of a process's state; `None` if it is gone.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether it runs: neither gone nor waiting to be reaped.
pub(crate) fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The processes whose environment holds this entry, the dead left out.
pub(crate) fn bearing(entry: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let bears = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|found| found == entry.as_bytes()))
    };
    pids.filter(bears).filter(|&pid| is_alive(pid)).collect()
}

/// Kills all of them, and waits until they are gone.
pub(crate) fn kill_bearing(entry: &str) {
    wait_for("all of them gone", || {
        let found = bearing(entry);
        for &pid in &found {
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
        found.is_empty().then_some(())
    });
}

/// Mounts, namespaces and other users take root. A test that passed without them would be a lie.
pub(crate) fn require_root() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root; run it in a container");
}

/// A process's parent; `None` if the process is gone.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?.parse().ok()
}
