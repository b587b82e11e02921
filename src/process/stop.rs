//! Ending whole trees of processes: the walk and the kill loop that shim and leader share.
//!
//! A tree is found by its descent, not by its process group: a daemon leaves the group, closes every descriptor and
//! lets its parent die, but the kernel hands it to the nearest subreaper, so it stays a descendant of ours.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;

use super::reap;
use super::tree::{self, Process};

/// The variable by which processes of a run are recognised when their shim is gone. Every step sees it.
pub(crate) const RUN_VARIABLE: &str = "BELLWETHER_RUN";

/// A pass of the kill loop looks again this often for processes that were forked while it looked.
const LOOKS_PER_PASS: usize = 32;

/// Asks everything below us to end: TERM, and CONT for whoever is stopped.
///
/// The step's own group, if its leader has not been reaped yet, is asked as a whole; whoever left it is asked by name.
pub(crate) fn ask_descendants(main_group: Option<i32>) {
    if let Some(group) = main_group {
        tree::signal_group(group, Signal::TERM);
        tree::signal_group(group, Signal::CONT);
    }
    for process in tree::own_descendants() {
        if Some(process.group) != main_group {
            process.signal(Signal::TERM);
            process.signal(Signal::CONT);
        }
    }
}

/// One pass of the kill loop of a shim: KILL to everything below us. Says who was still alive when it looked last.
///
/// Only the kernel can say that nobody is left: the caller repeats this until a wait answers "no child".
pub(crate) fn kill_descendants(main_group: Option<i32>) -> Vec<Process> {
    if let Some(group) = main_group {
        tree::signal_group(group, Signal::KILL);
    }
    // A shim leads its session: every group of that session, other than its own, is part of its tree.
    kill_all(tree::own_descendants, None, &mut BTreeSet::new())
}

/// How the leader recognises the processes of one run when the shim above them has vanished.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The shim's pid, which was the id of its session too.
    pub(crate) shim: i32,
    /// When the shim started, in clock ticks after boot.
    pub(crate) start: u64,
    /// The value of [`RUN_VARIABLE`].
    pub(crate) run: String,
    /// Whom we have killed so far, by pid and start.
    pub(crate) struck: BTreeSet<(i32, u64)>,
}

impl Trace {
    /// One pass of the kill loop of a leader: KILL to everything the vanished shim left. Says who was still alive.
    pub(crate) fn kill_remains(&mut self) -> Vec<Process> {
        let mut struck = std::mem::take(&mut self.struck);
        let mut alive = kill_all(|| self.remains(), tree::own().map(|own| own.session), &mut struck);
        // A dying process loses its environment first and its descriptors, the guard perhaps, later: it is no longer
        // recognised, but it is not gone yet.
        struck.retain(|&(pid, start)| Process::read(pid).is_some_and(|now| now.start == start && !now.is_dead()));
        alive.extend(struck.iter().filter_map(|&(pid, _)| Process::read(pid)));
        self.struck = struck;
        alive
    }

    /// Who is left: the shim's session, whoever bears the run's variable, children of ours that we did not start
    /// (if orphans come to us at all), and the descendants of all these.
    fn remains(&self) -> Vec<Process> {
        let all = tree::snapshot();
        let adopted = reap::is_adopting().then(reap::own_children);
        let is_root = |process: &&Process| {
            process.start >= self.start
                && process.pid != tree::own_pid()
                && (process.session == self.shim
                    || adopted.as_ref().is_some_and(|own| self.is_orphan(process, own))
                    || self.is_marked(process.pid))
        };
        let roots: BTreeSet<i32> = all.iter().filter(is_root).map(|process| process.pid).collect();
        let mut found: Vec<Process> = all.iter().filter(|process| roots.contains(&process.pid)).cloned().collect();
        found.extend(tree::descendants(all, roots.iter().copied()).into_iter().filter(|p| !roots.contains(&p.pid)));
        found.retain(|process| !process.is_dead() && process.pid != tree::own_pid());
        found
    }

    fn is_orphan(&self, process: &Process, own: &BTreeSet<i32>) -> bool {
        process.parent == tree::own_pid() && process.pid != self.shim && !own.contains(&process.pid)
    }

    fn is_marked(&self, pid: i32) -> bool {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        let mark = format!("{RUN_VARIABLE}={}", self.run);
        environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    }
}

/// Kills whatever `look` finds, and looks again until nobody new turns up: a killed process forks no more.
fn kill_all(
    look: impl Fn() -> Vec<Process>,
    foreign_session: Option<i32>,
    struck: &mut BTreeSet<(i32, u64)>,
) -> Vec<Process> {
    let own_group = tree::own().map_or(0, |own| own.group);
    let mut alive = Vec::new();
    for _ in 0..LOOKS_PER_PASS {
        alive = look();
        let fresh: Vec<Process> = alive.iter().filter(|p| !struck.contains(&(p.pid, p.start))).cloned().collect();
        if fresh.is_empty() {
            break;
        }
        // A group dies at one blow, however fast its members fork.
        for group in tree::whole_groups(&fresh, own_group, foreign_session) {
            tree::signal_group(group, Signal::KILL);
        }
        for process in fresh {
            process.signal(Signal::KILL);
            struck.insert((process.pid, process.start));
        }
    }
    alive
}
