//! Watches over the promises from outside: it sees runs begin and end and markers appear, and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::protocol::{Epoch, Timestamp};

use super::{BEGINNING, Life};

#[derive(Debug, Default)]
pub struct Referee {
    /// Runs that have begun, by step and revision.
    begun: BTreeMap<String, usize>,
    /// Runs that have ended well, by step and revision.
    completed: BTreeMap<String, usize>,
    running: BTreeMap<u64, (Life, String)>,
    highest_epoch: Epoch,
    story: String,
}

impl Referee {
    pub fn note(&mut self, now: Timestamp, life: Life, what: &str) {
        let millis = now.since(BEGINNING).as_millis();
        writeln!(self.story, "{millis:>9} ms  #{} {what}", life.0).expect("a text takes everything");
    }

    pub fn story(&self) -> &str {
        &self.story
    }

    /// P1: at most one leader's steps run, and no step overlaps itself or a predecessor.
    pub fn run_begins(&mut self, now: Timestamp, id: u64, life: Life, step: &str, predecessors: &[String]) {
        self.note(now, life, &format!("{step} begins"));
        for (other_life, other) in self.running.values() {
            assert_eq!(*other_life, life, "P1: {step} begins while {other} of another runs\n{}", self.story);
            assert_ne!(other, step, "P1: {step} overlaps itself\n{}", self.story);
            assert!(!predecessors.contains(other), "P1: {step} overlaps its predecessor {other}\n{}", self.story);
        }
        for predecessor in predecessors {
            assert!(self.completed(predecessor) > 0, "P1: {step} begins before {predecessor}\n{}", self.story);
        }
        self.running.insert(id, (life, step.to_owned()));
        *self.begun.entry(step.to_owned()).or_default() += 1;
    }

    pub fn run_ends(&mut self, now: Timestamp, id: u64, well: bool) {
        let (life, step) = self.running.remove(&id).expect("a run that began");
        self.note(now, life, &format!("{step} ends {}", if well { "well" } else { "badly" }));
        if well {
            *self.completed.entry(step).or_default() += 1;
        }
    }

    /// P9: epochs only grow.
    pub fn epoch_allotted(&mut self, epoch: Epoch) {
        assert!(epoch > self.highest_epoch, "P9: epoch {epoch} after {}\n{}", self.highest_epoch, self.story);
        self.highest_epoch = epoch;
    }

    /// How often a step (`name@rev`) was begun.
    pub fn begun(&self, step: &str) -> usize {
        self.begun.get(step).copied().unwrap_or(0)
    }

    /// How often a step (`name@rev`) has ended well.
    pub fn completed(&self, step: &str) -> usize {
        self.completed.get(step).copied().unwrap_or(0)
    }
}
