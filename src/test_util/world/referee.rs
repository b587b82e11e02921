//! Watches over the promises from outside: it sees what is done to the volume and to Redis, and when runs begin and end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::time::Duration;

use crate::protocol::{Action, Epoch, Event, LastEnd, StepEnd, Timestamp};

use super::trace::Digest;
use super::{BEGINNING, Life};

/// How much of everything there was.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Lives of replicas.
    pub boots: u64,
    /// Epochs allotted.
    pub elections: u64,
    /// Claims taken from a predecessor.
    pub takeovers: u64,
    /// Runs of steps.
    pub runs: u64,
    /// How runs ended.
    pub run_ends: BTreeMap<&'static str, u64>,
    /// Lives that ended by themselves, by how.
    pub ends: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
pub struct Referee {
    /// Runs that have begun, by step and revision.
    begun: BTreeMap<String, usize>,
    /// Runs that have ended well, by step and revision.
    completed: BTreeMap<String, usize>,
    running: BTreeMap<u64, (Life, String)>,
    highest_epoch: Epoch,
    /// The newest claim that was won to each step.
    claims: BTreeMap<String, Epoch>,
    /// Whose run of each step ended last, and whether well.
    last_run: BTreeMap<String, (Life, bool)>,
    pub tally: Tally,
    digest: Digest,
    /// Whether every event and every action is told, too.
    pub is_verbose: bool,
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

    /// One number for all that every replica was told and did.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(super) fn event(&mut self, now: Timestamp, life: Life, event: &Event) {
        self.digest.add((now, life.0, event));
        if self.is_verbose {
            match event {
                Event::Tick => {}
                Event::Looked(_) => self.note(now, life, "<- Looked"),
                event => self.note(now, life, &format!("<- {event:?}")),
            }
        }
    }

    pub(super) fn action(&mut self, now: Timestamp, life: Life, action: &Action) {
        self.digest.add(action);
        if self.is_verbose && !matches!(action, Action::Say(_)) {
            self.note(now, life, &format!("   -> {action:?}"));
        }
    }

    /// P8: renewing never creates a lease, releasing never deletes another's; nobody takes one that is held.
    pub(super) fn lease_changed_hands(
        &mut self,
        life: Life,
        action: &Action,
        (before, after): (Option<Life>, Option<Life>),
    ) {
        let own = Some(life);
        let right = match action {
            Action::AcquireLease => before.is_none() && after == own,
            Action::ReleaseLease => before == own && after.is_none(),
            _ => false,
        };
        assert!(
            right || after == before,
            "P8: {action:?} of #{}: {before:?} had the lease, {after:?} has it\n{}",
            life.0,
            self.story
        );
    }

    pub(super) fn claimed(&mut self, label: &str, epoch: Epoch, taken_over: bool) {
        self.tally.takeovers += u64::from(taken_over);
        self.claims.insert(label.to_owned(), epoch);
    }

    /// P5: a beating step is never taken over.
    pub(super) fn taken_over(&mut self, label: &str, silent: Duration, limit: Duration) {
        assert!(silent >= limit, "P5: {label} is taken over after {silent:?} of silence\n{}", self.story);
    }

    /// P3: only the holder of the newest claim marks a step done, after its own run ended well, while none goes on.
    pub(super) fn committed(&mut self, life: Life, label: &str, epoch: Epoch) {
        let newest = self.claims.get(label);
        assert_eq!(newest, Some(&epoch), "P3: {label} is done by an older claim\n{}", self.story);
        let last = self.last_run.get(label);
        assert_eq!(last, Some(&(life, true)), "P3: {label} is done, but its run was not\n{}", self.story);
        let runs = self.running.values().any(|(_, step)| step == label);
        assert!(!runs, "P3: {label} is done, and goes on\n{}", self.story);
    }

    /// P11: an attempt is on the volume before it begins, and there are no more than the limit.
    pub(super) fn attempt_begins(&mut self, label: &str, attempt: u32, limit: u32, counted: Option<(u32, LastEnd)>) {
        assert!(attempt <= limit, "P11: attempt {attempt} of {label}, limit {limit}\n{}", self.story);
        let expected = Some((attempt, LastEnd::Open));
        assert_eq!(counted, expected, "P11: attempt {attempt} of {label} is not counted\n{}", self.story);
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
        self.tally.runs += 1;
        self.running.insert(id, (life, step.to_owned()));
        *self.begun.entry(step.to_owned()).or_default() += 1;
    }

    pub fn run_ends(&mut self, now: Timestamp, id: u64, end: StepEnd) {
        let well = end == StepEnd::Exit(0);
        *self.tally.run_ends.entry(name_of(end)).or_default() += 1;
        let (life, step) = self.running.remove(&id).expect("a run that began");
        self.note(now, life, &format!("{step} ends {}", if well { "well" } else { "badly" }));
        self.last_run.insert(step.clone(), (life, well));
        if well {
            *self.completed.entry(step).or_default() += 1;
        }
    }

    /// P9: epochs only grow.
    pub fn epoch_allotted(&mut self, epoch: Epoch) {
        assert!(epoch > self.highest_epoch, "P9: epoch {epoch} after {}\n{}", self.highest_epoch, self.story);
        self.highest_epoch = epoch;
        self.tally.elections += 1;
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

fn name_of(end: StepEnd) -> &'static str {
    match end {
        StepEnd::Exit(0) => "well",
        StepEnd::NOT_YET => "not yet",
        StepEnd::FOR_GOOD => "for good",
        StepEnd::Exit(_) => "badly",
        StepEnd::Signal(_) => "killed",
        StepEnd::Stopped => "stopped",
        StepEnd::Vanished => "vanished",
    }
}
