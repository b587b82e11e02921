//! The leader that is killed, and everything it runs at that moment.

use std::fmt;
use std::fs;

use super::journal::Gone;
use crate::process::{boottime, tree};
use crate::protocol::Timestamp;
use crate::volume::{MarkerKind, UnixMillis, Volume};

/// The processes of one step: its shim, and all below it.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) step: String,
    pub(super) processes: Vec<tree::Process>,
}

/// A killed leader.
#[derive(Debug)]
pub(super) struct Victim {
    pub(super) who: usize,
    pub(super) epoch: u64,
    pub(super) killed_at: Timestamp,
    steps: Vec<String>,
    trees: Vec<Tree>,
}

impl Victim {
    /// Looks at whatever runs below process `pid`, which is about to be killed.
    pub(super) fn look(who: usize, epoch: u64, pid: i32) -> Victim {
        let all = tree::snapshot();
        let shims = all.iter().filter(|process| process.parent == pid && !process.is_dead()).cloned();
        let tree_of = |shim: tree::Process| {
            let mut processes = tree::descendants(all.clone(), [shim.pid]);
            let step = step_of(shim.pid);
            processes.push(shim);
            Tree { step, processes }
        };
        let trees: Vec<Tree> = shims.map(tree_of).collect();
        let steps = trees.iter().map(|tree| tree.step.clone()).collect();
        Victim { who, epoch, killed_at: boottime::now(), steps, trees }
    }

    /// When the markers of its steps were touched last.
    pub(super) fn last_beats(&self, volume: &Volume) -> Vec<(String, UnixMillis)> {
        let markers = volume.markers().unwrap_or_default();
        let in_progress = markers.into_iter().filter(|marker| marker.kind == MarkerKind::InProgress);
        let named = in_progress.filter_map(|marker| Some((marker.step?, marker.touched)));
        named.filter(|(step, _)| self.steps.contains(step)).collect()
    }

    /// The trees of which nothing is left; each is told once.
    pub(super) fn take_gone(&mut self) -> Vec<Tree> {
        let (alive, gone) = std::mem::take(&mut self.trees).into_iter().partition(Tree::is_alive);
        self.trees = alive;
        gone
    }

    /// Whether all are gone.
    pub(super) fn is_gone(&self) -> bool {
        self.trees.is_empty()
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> =
            self.trees.iter().map(|tree| format!("{} processes of {}", tree.processes.len(), tree.step)).collect();
        write!(f, "{}", words.join(", "))
    }
}

impl Tree {
    fn is_alive(&self) -> bool {
        let is_there = |process: &tree::Process| {
            tree::Process::read(process.pid).is_some_and(|now| now.start == process.start && !now.is_dead())
        };
        self.processes.iter().any(is_there)
    }

    pub(super) fn gone(&self, epoch: u64, at: Timestamp) -> Gone {
        Gone { step: self.step.clone(), epoch, at }
    }
}

/// The step's name, as its shim shows it in the list of processes: `bellwether: migrate (epoch 1)`.
fn step_of(shim: i32) -> String {
    let line = fs::read(format!("/proc/{shim}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    let name = line.strip_prefix("bellwether: ").and_then(|rest| rest.split(' ').next());
    name.map_or_else(|| format!("process {shim}"), ToOwned::to_owned)
}
