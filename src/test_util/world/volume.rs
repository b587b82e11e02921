//! A directory in memory, with the same atomic operations as the real one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::protocol::{
    Closing, ClosingEnd, Epoch, Foreign, LastEnd, Occupant, Plan, RecordView, Revision, Stamp, Standing, StepEnd,
    StepView, Timestamp, View,
};

use super::Life;
use crate::protocol::mutant::{self, Mutant};

/// Who keeps the guard's lock: the open file is shared with the shims.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Holder {
    Leader(Life),
    Shim(u64),
}

/// A step of a revision, by name.
type Key = (String, Revision);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Marker {
    inode: u64,
    beaten: Timestamp,
    writer: Life,
}

impl Marker {
    fn stamp(&self) -> Stamp {
        Stamp { inode: self.inode, mtime: i128::from(self.beaten.as_nanos()) }
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Record {
    rev: Revision,
    attempts: u32,
    not_before: Timestamp,
    deferred: Duration,
    for_good: bool,
    end: LastEnd,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct FakeVolume {
    pub(super) guard: BTreeSet<Holder>,
    pub(super) waiting: VecDeque<Life>,
    pub revisions: Vec<Revision>,
    pub ready: BTreeSet<Revision>,
    pub failed: BTreeSet<Revision>,
    /// Refuses whatever needs room: new files, not beats.
    pub full: bool,
    epoch: Epoch,
    claims: BTreeMap<Key, BTreeSet<Epoch>>,
    markers: BTreeMap<Key, Marker>,
    done: BTreeSet<Key>,
    records: BTreeMap<String, Record>,
    inodes: u64,
}

impl FakeVolume {
    pub fn look(&self, now: Timestamp, plan: &Plan, rev: &Revision) -> View {
        let standing = match self.revisions.last() {
            Some(last) if last == rev => Standing::Newest,
            Some(last) if self.revisions.contains(rev) => Standing::Older { newest: last.clone() },
            _ => Standing::New,
        };
        let steps = plan.iter().map(|(_, step)| {
            let key = (step.name.to_string(), rev.clone());
            let done = self.done.contains(&key);
            StepView { done, occupant: self.occupant(now, &key), record: self.record(now, &key) }
        });
        let keys: BTreeSet<&Key> = self.claims.keys().chain(self.markers.keys()).collect();
        let own = |key: &Key| key.1 == *rev && plan.find(&key.0).is_some();
        let foreign = keys.into_iter().filter(|key| !own(key)).filter_map(|key| {
            let occupant = self.occupant(now, key)?;
            Some(Foreign { step: key.0.clone(), rev: key.1.clone(), occupant })
        });
        View {
            ready: self.ready.contains(rev),
            failed: self.failed.contains(rev),
            standing,
            steps: steps.collect(),
            foreign: foreign.collect(),
            epoch: self.epoch,
        }
    }

    fn occupant(&self, now: Timestamp, key: &Key) -> Option<Occupant> {
        if self.done.contains(key) {
            return None;
        }
        let claims: Vec<Epoch> = self.claims.get(key).into_iter().flatten().copied().collect();
        let marker = self.markers.get(key);
        if claims.is_empty() && marker.is_none() {
            return None;
        }
        let stamp = marker.map(Marker::stamp);
        Some(Occupant { claims, stamp, age: marker.map(|m| age(now, m.beaten)), beat_every: None })
    }

    fn record(&self, now: Timestamp, (step, rev): &Key) -> RecordView {
        let Some(record) = self.records.get(step) else { return RecordView::BLANK };
        if record.rev != *rev {
            return RecordView { last_end: record.end, ..RecordView::BLANK };
        }
        RecordView {
            attempts: record.attempts,
            wait: record.not_before.since(now),
            deferred: record.deferred,
            for_good: record.for_good,
            last_end: record.end,
        }
    }

    pub fn append_revision(&mut self, rev: &Revision) {
        if self.revisions.last() != Some(rev) {
            self.revisions.push(rev.clone());
        }
    }

    pub fn allot_epoch(&mut self, above: Epoch) -> Epoch {
        let known = if mutant::is(Mutant::EpochFromRedisAlone) { above } else { self.epoch.max(above) };
        self.epoch = Epoch(known.0 + 1);
        self.epoch
    }

    /// The atomic part of a claim.
    pub fn claim(&mut self, step: &str, rev: &Revision, epoch: Epoch, from: &[Epoch]) -> bool {
        if self.done.contains(&(step.to_owned(), rev.clone())) {
            return false;
        }
        let claims = self.claims.entry((step.to_owned(), rev.clone())).or_default();
        let all_there = from.iter().all(|old| claims.remove(old));
        claims.insert(epoch);
        let won = all_there && claims.len() == 1;
        if !won {
            claims.remove(&epoch);
            self.claims.retain(|_, claims| !claims.is_empty());
        }
        won
    }

    /// The visible part of a claim.
    pub fn mark(&mut self, now: Timestamp, step: &str, rev: &Revision, writer: Life) {
        self.inodes += 1;
        self.markers.insert((step.to_owned(), rev.clone()), Marker { inode: self.inodes, beaten: now, writer });
    }

    pub fn count(&mut self, step: &str, rev: &Revision, attempts: u32, deferred: Duration) {
        let (rev, not_before) = (rev.clone(), Timestamp::ZERO);
        let record = Record { rev, attempts, not_before, deferred, for_good: false, end: LastEnd::Open };
        self.records.insert(step.to_owned(), record);
    }

    /// A beat reaches only the marker its writer made; one that a person removed is written again, while the claim is
    /// the writer's.
    pub fn beat(&mut self, now: Timestamp, step: &str, rev: &Revision, (epoch, writer): (Option<Epoch>, Life)) {
        let key = (step.to_owned(), rev.clone());
        let claims = self.claims.get(&key);
        let is_claimed = epoch.is_some_and(|epoch| claims.is_some_and(|claims| claims.contains(&epoch)));
        match self.markers.get_mut(&key) {
            Some(marker) if marker.writer == writer => marker.beaten = now,
            None if is_claimed => self.mark(now, step, rev, writer),
            _ => {}
        }
    }

    pub fn commit(&mut self, step: &str, rev: &Revision, epoch: Epoch) -> bool {
        let key = (step.to_owned(), rev.clone());
        let own = self.claims.get_mut(&key).is_some_and(|claims| claims.remove(&epoch));
        let own = own || mutant::is(Mutant::EpochNotCompared);
        if own {
            self.claims.remove(&key);
            self.markers.remove(&key);
            self.records.remove(step);
            self.done.insert(key);
        }
        own
    }

    pub fn retract(
        &mut self,
        now: Timestamp,
        step: &str,
        rev: &Revision,
        (epoch, writer): (Epoch, Life),
        how: &Closing,
    ) {
        if let Some(end) = how.end {
            let for_good = end == ClosingEnd::Own(StepEnd::FOR_GOOD);
            let end = match end {
                ClosingEnd::Own(StepEnd::Stopped) => LastEnd::Stopped,
                ClosingEnd::Own(StepEnd::NOT_YET) => LastEnd::NotYet,
                ClosingEnd::Own(_) | ClosingEnd::TimedOut => LastEnd::Bad,
            };
            let (attempts, not_before, deferred) = (how.attempts, now + how.wait, how.deferred);
            let record = Record { rev: rev.clone(), attempts, not_before, deferred, for_good, end };
            self.records.insert(step.to_owned(), record);
        }
        let key = (step.to_owned(), rev.clone());
        if self.markers.get(&key).is_some_and(|marker| marker.writer == writer) {
            self.markers.remove(&key);
        }
        if let Some(claims) = self.claims.get_mut(&key) {
            claims.remove(&epoch);
        }
        self.claims.retain(|_, claims| !claims.is_empty());
    }

    pub fn retire(&mut self, step: &str, rev: &Revision) {
        self.claims.remove(&(step.to_owned(), rev.clone()));
        self.markers.remove(&(step.to_owned(), rev.clone()));
    }

    /// The epochs that have a claim to a step.
    pub fn claims_of(&self, step: &str, rev: &Revision) -> Vec<Epoch> {
        self.claims.get(&(step.to_owned(), rev.clone())).into_iter().flatten().copied().collect()
    }

    /// Who wrote a step's in-progress marker, and when it was refreshed last.
    pub fn marker_of(&self, step: &str, rev: &Revision) -> Option<(Life, Timestamp)> {
        self.markers.get(&(step.to_owned(), rev.clone())).map(|marker| (marker.writer, marker.beaten))
    }

    /// The occupant of a step, as a look shows it.
    pub fn occupant_of(&self, now: Timestamp, step: &str, rev: &Revision) -> Option<Occupant> {
        self.occupant(now, &(step.to_owned(), rev.clone()))
    }

    /// The same in a time that is `back` earlier, where it is `now`; nothing lies before `floor`.
    pub fn move_back(&mut self, back: Duration, now: Timestamp, floor: Timestamp) {
        for marker in self.markers.values_mut() {
            let mut stamp = marker.stamp();
            stamp.move_back(back, floor);
            marker.beaten = Timestamp::from_nanos(u64::try_from(stamp.mtime).expect("a time after 1970"));
        }
        for record in self.records.values_mut() {
            record.not_before = record.not_before - back;
            if record.not_before <= now {
                record.not_before = Timestamp::ZERO;
            }
        }
    }

    pub fn is_done(&self, step: &str, rev: &str) -> bool {
        self.done.contains(&(step.to_owned(), revision(rev)))
    }

    pub fn has_marker(&self, step: &str, rev: &str) -> bool {
        self.markers.contains_key(&(step.to_owned(), revision(rev)))
    }

    /// Whether any step of a revision is marked as in progress.
    pub fn has_any_marker(&self, rev: &str) -> bool {
        self.markers.keys().any(|(_, marked)| marked.as_str() == rev)
    }

    /// Removes an in-progress marker, as a person might.
    pub fn remove_marker(&mut self, step: &str, rev: &str) {
        self.markers.remove(&(step.to_owned(), revision(rev)));
    }

    /// Attempts and last end in a step's record.
    pub fn recorded(&self, step: &str) -> Option<(u32, LastEnd)> {
        self.records.get(step).map(|record| (record.attempts, record.end))
    }

    /// What `retry` does: a person clears a failure.
    pub fn retry(&mut self, rev: &str) {
        self.failed.remove(&revision(rev));
        self.records.clear();
    }

    /// Every step of the plan is done.
    pub fn is_all_done(&self, plan: &Plan, rev: &Revision) -> bool {
        let mut ids = plan.ids();
        ids.all(|id| self.done.contains(&(plan.step(id).name.to_string(), rev.clone())))
    }
}

/// By the volume's own clock.
fn age(now: Timestamp, beaten: Timestamp) -> Duration {
    let skew = if mutant::is(Mutant::StalenessByRemoteClock) { Duration::from_secs(3600) } else { Duration::ZERO };
    now.since(beaten) + skew
}

fn revision(text: &str) -> Revision {
    Revision::parse(text).expect("a revision")
}
