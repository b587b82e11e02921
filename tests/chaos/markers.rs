//! P5: whether somebody took a step over though its in-progress marker had been beaten a moment before. What counts is when the
//! watcher saw it, on its own clock: a beat was not before the moment at which the watcher last found nothing new, and a takeover
//! not after the one at which it was written down. So a watcher that is late makes silences longer, never shorter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::journal::Entry;
use crate::kind::Kind;

/// The kernel sets a file's times to the last tick, which is a few milliseconds ago.
const TICK: u64 = 20_000_000;

#[derive(Debug)]
struct Shown {
    epoch: u64,
    pid: i32,
    /// The last beat was not before.
    beaten: u64,
}

#[derive(Debug)]
pub(crate) struct Markers {
    stale: u64,
    /// The marker that each step has.
    shown: BTreeMap<String, Shown>,
    /// The lives of replicas, by their process.
    lives: BTreeMap<i32, String>,
    /// Those that were frozen: they may beat again a moment after they were found silent.
    frozen: BTreeSet<String>,
    ended: BTreeSet<i32>,
}

impl Markers {
    pub(crate) fn new(stale: Duration) -> Markers {
        Markers {
            stale: u64::try_from(stale.as_nanos()).expect("seconds"),
            shown: BTreeMap::new(),
            lives: BTreeMap::new(),
            frozen: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    pub(crate) fn look_at_boot(&mut self, entry: &Entry) {
        self.lives.insert(entry.pid, entry.life.clone());
    }

    pub(crate) fn look_at_exit(&mut self, entry: &Entry) {
        self.ended.insert(entry.pid);
    }

    pub(crate) fn look_at_fault(&mut self, kind: Kind, entry: &Entry) {
        if matches!(kind, Kind::FreezeLeader | Kind::FreezeAny | Kind::FreezeTree) {
            self.frozen.insert(entry.life.clone());
        }
    }

    pub(crate) fn look_at_beat(&mut self, entry: &Entry) {
        if let Some(shown) = self.shown.get_mut(&entry.name) {
            shown.beaten = not_before(entry);
        }
    }

    pub(crate) fn look_at_removal(&mut self, entry: &Entry) {
        self.shown.remove(&entry.name);
    }

    /// A new marker: what is wrong with it.
    pub(crate) fn look_at_marker(&mut self, entry: &Entry) -> Option<String> {
        let Entry { name, epoch, pid, .. } = entry;
        let fresh = Shown { epoch: *epoch, pid: *pid, beaten: not_before(entry) };
        let before = self.shown.insert(name.clone(), fresh)?;
        // At the most.
        let silence = entry.at.saturating_sub(before.beaten);
        let unknown = || format!("pid {}", before.pid);
        let leader = self.lives.get(&before.pid).cloned().unwrap_or_else(unknown);
        if before.epoch >= *epoch || silence + TICK >= self.stale || self.frozen.contains(&leader) {
            return None;
        }
        let state = if self.ended.contains(&before.pid) { "had ended" } else { "was alive" };
        let (silence, stale) = (Duration::from_nanos(silence), Duration::from_nanos(self.stale));
        Some(format!(
            "{name} by epoch {epoch} (pid {pid}) after at most {silence:?} of {stale:?} without a beat of epoch {}, \
             whose leader {leader} {state}",
            before.epoch
        ))
    }
}

/// What the watcher says of the moment before which it was not.
fn not_before(entry: &Entry) -> u64 {
    entry.detail.parse().expect("the watcher tells a moment")
}
