//! What `/proc` tells of the processes of a round, which are all there are in its namespace.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Of the flags in `/proc/<pid>/stat`: it ends, and runs nothing of its program any more.
const EXITING: u64 = 0x4;

/// The words of `/proc/<pid>/stat` from the state on.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// Whether it can still do anything: neither gone, nor ending, nor waiting to be reaped. Stopped is alive.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|words| {
        let flags: u64 = words[6].parse().unwrap_or(0);
        !matches!(&*words[0], "Z" | "X") && flags & EXITING == 0
    })
}

/// Whether nothing of it is left but its exit status: no descriptor, no port. These go with the last thread, which need not
/// be the first one, by which a process is shown as a zombie.
pub(crate) fn is_over(pid: i32) -> bool {
    stat(pid).is_none_or(|words| {
        let threads: u64 = words[17].parse().expect("a number of threads");
        matches!(&*words[0], "Z" | "X") && threads <= 1
    })
}

/// Whether it is frozen.
pub(crate) fn is_stopped(pid: i32) -> bool {
    stat(pid).is_some_and(|words| words[0] == "T")
}

pub(crate) fn parent(pid: i32) -> Option<i32> {
    stat(pid)?[1].parse().ok()
}

/// All of them.
pub(crate) fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The living whose environment holds this entry.
pub(crate) fn bearing(entry: &str) -> Vec<i32> {
    let bears = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|found| found == entry.as_bytes()))
    };
    all().into_iter().filter(bears).filter(|&pid| is_alive(pid)).collect()
}

/// Kills the living whose environment holds this entry, and tells who they were.
pub(crate) fn kill_all_bearing(entry: &str) -> Vec<i32> {
    // Stopped first, so that nobody begins anything meanwhile.
    let mut hit = bearing(entry);
    signal_all(&hit, Signal::STOP);
    // One that was changing its program shows no environment for a moment, so nobody can tell whose it is.
    for _ in 0..200 {
        let living = bearing(entry);
        if living.is_empty() && !is_any_changing() {
            break;
        }
        signal_all(&living, Signal::KILL);
        hit.extend(living);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    hit
}

/// Whether a living process has no environment, as all have between the old program and the new one.
fn is_any_changing() -> bool {
    let is_bare = |pid: &i32| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| environment.is_empty());
    all().into_iter().filter(is_bare).any(is_alive)
}

/// The living whose program is called so, and whose parent is this one.
pub(crate) fn children_called(parent_pid: i32, program: &std::path::Path) -> Vec<i32> {
    let is_called = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|found| found == program);
    all().into_iter().filter(|&pid| parent(pid) == Some(parent_pid) && is_called(pid) && is_alive(pid)).collect()
}

/// All but the round itself.
pub(crate) fn all_but_first() -> Vec<i32> {
    all().into_iter().filter(|&pid| pid > 1).collect()
}

pub(crate) fn signal_all(pids: &[i32], kind: Signal) {
    for &pid in pids {
        signal(pid, kind);
    }
}

/// It may have ended at this moment, which is as well.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// The first process whose command line holds this text.
pub(crate) fn told_in_argv(text: &str) -> Option<i32> {
    let tells = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
    };
    all().into_iter().find(tells)
}
