//! Who descends from whom, as `/proc` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group, pidfd_open, pidfd_send_signal};

/// One process, at the moment `/proc` was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Process {
    /// Its pid.
    pub(crate) pid: i32,
    /// Its parent.
    pub(crate) parent: i32,
    /// Its process group.
    pub(crate) group: i32,
    /// Its session.
    pub(crate) session: i32,
    /// When it started, in clock ticks after boot: with the pid, its identity.
    pub(crate) start: u64,
    /// The letter of its state.
    pub(crate) state: char,
    /// Its short name.
    pub(crate) name: String,
}

impl Process {
    /// Reads one process; `None` if there is no such process.
    pub(crate) fn read(pid: i32) -> Option<Process> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Process::parse(&String::from_utf8_lossy(&stat))
    }

    /// Parses `/proc/<pid>/stat`. The name may contain anything, parentheses and spaces too: the last `)` ends it.
    fn parse(stat: &str) -> Option<Process> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some(Process {
            pid: pid.parse().ok()?,
            parent: number(1)?,
            group: number(2)?,
            session: number(3)?,
            start: fields.get(19)?.parse().ok()?,
            state: fields.first()?.chars().next()?,
            name: name.to_owned(),
        })
    }

    /// Whether it has ended and only waits to be reaped.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Sends a signal to this very process, not to one that got its pid meanwhile.
    pub(crate) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        match pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
            Ok(pidfd) => {
                // The descriptor pins whoever has the pid now; that must be whom we have seen.
                if Process::read(self.pid).is_some_and(|now| now.start == self.start) {
                    let _ = pidfd_send_signal(pidfd, signal);
                }
            }
            Err(rustix::io::Errno::SRCH) => {}
            // An old kernel or a strict sandbox.
            Err(_) => drop(kill_process(pid, signal)),
        }
    }
}

/// Sends a signal to a process group. Refuses the numbers that `kill(2)` would understand as "everybody" or "us".
pub(crate) fn signal_group(group: i32, signal: Signal) {
    if group > 1
        && let Some(group) = Pid::from_raw(group)
    {
        let _ = kill_process_group(group, signal);
    }
}

/// Every process there is.
pub(crate) fn snapshot() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).collect()
}

/// All in `processes` that descend from one of `roots`, the roots themselves left out.
pub(crate) fn descendants(processes: Vec<Process>, roots: impl IntoIterator<Item = i32>) -> Vec<Process> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut open: Vec<i32> = roots.into_iter().collect();
    let mut found = Vec::new();
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).into_iter().flatten() {
            open.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// Everything alive below the calling process.
pub(crate) fn own_descendants() -> Vec<Process> {
    let mut found = descendants(snapshot(), [own_pid()]);
    found.retain(|process| !process.is_dead());
    found
}

/// The groups of `processes` that may be signalled as a whole: not our own, and in none of `sessions`.
///
/// A group lies within one session, and a session begun inside a tree has no members outside of it.
pub(crate) fn whole_groups(processes: &[Process], own_group: i32, foreign_session: Option<i32>) -> BTreeSet<i32> {
    let ours = processes.iter().filter(|process| Some(process.session) != foreign_session);
    ours.map(|process| process.group).filter(|&group| group > 1 && group != own_group).collect()
}

/// Ourselves, as `/proc` tells it: in a pid namespace, our group and our session may lie outside and are 0 then, which
/// the typed `getpgrp` and `getsid` of rustix cannot say.
pub(crate) fn own() -> Option<Process> {
    Process::read(own_pid())
}

/// Our pid.
pub(crate) fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process { pid, parent, group, session, start: 0, state: 'S', name: String::new() }
    }

    #[test]
    fn a_name_may_contain_anything() {
        let tail = "S 7 8 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 5555 0 0";
        let parsed = Process::parse(&format!("42 (a) R 1 (b) {tail}")).unwrap();
        assert_eq!(parsed, Process { start: 5555, name: "a) R 1 (b".to_owned(), ..process(42, 7, 8, 9) });
        assert_eq!(Process::parse("42 (short) S 1"), None);
        assert_eq!(Process::parse(""), None);
    }

    #[test]
    fn descent_goes_through_every_generation_and_survives_a_loop() {
        let all = vec![process(2, 1, 2, 2), process(3, 2, 3, 3), process(4, 3, 4, 3), process(9, 1, 9, 9)];
        let pids = |found: Vec<Process>| found.iter().map(|p| p.pid).collect::<BTreeSet<_>>();
        assert_eq!(pids(descendants(all, [2])), BTreeSet::from([3, 4]));
        let torn = vec![process(3, 4, 3, 3), process(4, 3, 4, 3)];
        assert_eq!(pids(descendants(torn, [3])), BTreeSet::from([3, 4]));
    }

    #[test]
    fn no_group_with_members_outside_is_signalled_as_a_whole() {
        let tree = [process(3, 2, 3, 2), process(4, 2, 2, 2), process(5, 3, 0, 0), process(6, 3, 6, 77)];
        assert_eq!(whole_groups(&tree, 2, Some(77)), BTreeSet::from([3]));
    }

    #[test]
    fn we_can_read_ourselves() {
        let me = own().unwrap();
        assert_eq!(me.pid, own_pid());
        assert!(!me.is_dead() && me.start > 0);
        assert!(
            snapshot().contains(&Process { state: me.state, ..me.clone() })
                || snapshot().iter().any(|p| p.pid == me.pid)
        );
    }
}
