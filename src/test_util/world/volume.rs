//! A directory in memory, with the same atomic operations as the real one.

mod end;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::protocol::{
    Action, Closing, ClosingEnd, Epoch, Fault, Foreign, LastEnd, Occupant, Plan, RecordView, Revision, Stamp, Standing,
    StepEnd, StepView, Timestamp, View,
};

use super::Life;
use super::record::{Counts, Kept};
use crate::protocol::mutant::{self, Mutant};

/// Who keeps the guard's lock: the open file is shared with the shims.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Holder {
    Leader(Life),
    Shim(u64),
}

/// A step of a revision, by name.
type Key = (String, Revision);

/// Whoever made a claim: one life under one epoch.
pub type Claimant = (Life, Epoch);

/// A person, or an entrypoint that knows no claims.
const STRANGER: Claimant = (Life(usize::MAX), Epoch(0));

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Marker {
    inode: u64,
    beaten: Timestamp,
    writer: Claimant,
    /// How often that one promised to beat, if it did.
    beat_every: Option<Duration>,
}

/// What a beat found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BeatFound {
    Refreshed,
    Rewritten,
    Replaced,
    Lost,
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
    /// Refuses everything, and why.
    pub broken: Option<Fault>,
    epoch: Epoch,
    claims: BTreeMap<Key, BTreeSet<Epoch>>,
    markers: BTreeMap<Key, Marker>,
    /// By the epoch under which it was done.
    done: BTreeMap<Key, Epoch>,
    records: BTreeMap<String, Kept>,
    inodes: u64,
}

impl FakeVolume {
    /// Why this is refused now, if it is. What a stopped leader gives back makes room, and is not.
    pub(super) fn refuses(&self, action: &Action) -> Option<Fault> {
        let stopped = Some(ClosingEnd::Own(StepEnd::Stopped));
        let needs_room = match action {
            Action::Look | Action::Beat(_) | Action::Sweep => false,
            Action::Retract(_, closing) => closing.end.is_some() && closing.end != stopped,
            _ => true,
        };
        self.broken.or((self.full && needs_room).then_some(Fault::Full))
    }

    pub fn look(&self, now: Timestamp, plan: &Plan, rev: &Revision) -> View {
        let standing = match self.revisions.last() {
            Some(last) if last == rev => Standing::Newest,
            Some(last) if self.revisions.contains(rev) => Standing::Older { newest: last.clone() },
            _ => Standing::New,
        };
        let steps = plan.iter().map(|(_, step)| {
            let key = (step.name.to_string(), rev.clone());
            let done = self.done.contains_key(&key);
            let record = if done { RecordView::BLANK } else { self.record(now, &key) };
            StepView { done, occupant: self.occupant(now, &key), record }
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
        if self.done.contains_key(key) {
            return None;
        }
        let claims: Vec<Epoch> = self.claims.get(key).into_iter().flatten().copied().collect();
        let marker = self.markers.get(key);
        if claims.is_empty() && marker.is_none() {
            return None;
        }
        Some(Occupant {
            claims,
            stamp: marker.map(stamp_of),
            age: marker.map(|m| age(now, m.beaten)),
            beat_every: marker.and_then(|m| m.beat_every),
        })
    }

    /// A record that the end of its step has left over tells nothing.
    fn record(&self, now: Timestamp, (step, rev): &Key) -> RecordView {
        let kept = self.records.get(step).filter(|kept| !self.done.contains_key(&(step.clone(), kept.rev().clone())));
        kept.map_or(RecordView::BLANK, |kept| kept.view(now, rev))
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

    /// The atomic part of a claim. May be repeated.
    pub fn claim(&mut self, step: &str, rev: &Revision, epoch: Epoch, from: &[Epoch]) -> bool {
        let key = (step.to_owned(), rev.clone());
        let is_done = self.done.contains_key(&key);
        let claims = self.claims.entry(key).or_default();
        let again = claims.contains(&epoch);
        let mut won = again || !from.is_empty() || claims.is_empty();
        if from.is_empty() && won {
            claims.insert(epoch);
        }
        let from: BTreeSet<Epoch> = from.iter().copied().filter(|&old| old != epoch).collect();
        for old in from {
            let renamed = claims.remove(&old);
            if renamed {
                claims.insert(epoch);
            } else if !again {
                won = false;
                break;
            }
        }
        let alone = claims.len() == 1 && claims.contains(&epoch);
        if !(won && alone && !is_done) {
            self.remove_claim(&(step.to_owned(), rev.clone()), epoch);
            return false;
        }
        true
    }

    /// The visible part of a claim. `false`: somebody has taken over in between.
    pub fn show(&mut self, now: Timestamp, step: &str, rev: &Revision, writer: Claimant, beat_every: Duration) -> bool {
        let key = (step.to_owned(), rev.clone());
        let is_ours = self.has_claim(&key, writer.1);
        if is_ours {
            self.mark(now, key, writer, Some(beat_every));
        }
        is_ours
    }

    fn mark(&mut self, now: Timestamp, key: Key, writer: Claimant, beat_every: Option<Duration>) {
        self.inodes += 1;
        self.markers.insert(key, Marker { inode: self.inodes, beaten: now, writer, beat_every });
    }

    fn has_claim(&self, key: &Key, epoch: Epoch) -> bool {
        self.claims.get(key).is_some_and(|claims| claims.contains(&epoch))
    }

    /// Whether it was there.
    fn remove_claim(&mut self, key: &Key, epoch: Epoch) -> bool {
        let Some(claims) = self.claims.get_mut(key) else { return false };
        let was_there = claims.remove(&epoch);
        if claims.is_empty() {
            self.claims.remove(key);
        }
        was_there
    }

    pub fn count(&mut self, step: &str, rev: &Revision, attempts: u32, deferred: Duration) {
        let counts = Counts { rev: rev.clone(), attempts, not_before: Timestamp::ZERO, deferred, for_good: false };
        self.write_record(step, counts, LastEnd::Open);
    }

    /// Writes down how a run ended.
    pub fn close(&mut self, now: Timestamp, step: &str, rev: &Revision, how: &Closing) {
        let Some(end) = how.end else { return };
        let for_good = end == ClosingEnd::Own(StepEnd::FOR_GOOD);
        let end = match end {
            ClosingEnd::Own(StepEnd::Stopped) => LastEnd::Stopped,
            ClosingEnd::Own(StepEnd::NOT_YET) => LastEnd::NotYet,
            ClosingEnd::Own(_) | ClosingEnd::TimedOut => LastEnd::Bad,
        };
        let not_before = if how.wait.is_zero() { Timestamp::ZERO } else { now + how.wait };
        let (attempts, deferred) = (how.attempts, how.deferred);
        self.write_record(step, Counts { rev: rev.clone(), attempts, not_before, deferred, for_good }, end);
    }

    fn write_record(&mut self, step: &str, counts: Counts, end: LastEnd) {
        let before = self.records.remove(step);
        self.records.insert(step.to_owned(), Kept::after(before, counts, end));
    }

    /// A beat reaches only the marker its writer made; one that a person removed is written again.
    pub fn beat(
        &mut self,
        now: Timestamp,
        step: &str,
        rev: &Revision,
        writer: Claimant,
        beat_every: Duration,
    ) -> BeatFound {
        let key = (step.to_owned(), rev.clone());
        let is_ours = self.has_claim(&key, writer.1);
        match self.markers.get_mut(&key) {
            Some(marker) if marker.writer == writer => {
                marker.beaten = now;
                BeatFound::Refreshed
            }
            _ if !is_ours => BeatFound::Lost,
            Some(_) => BeatFound::Replaced,
            None => {
                self.mark(now, key, writer, Some(beat_every));
                BeatFound::Rewritten
            }
        }
    }

    fn hide(&mut self, key: &Key, writer: Claimant) {
        if self.markers.get(key).is_some_and(|marker| marker.writer == writer) {
            self.markers.remove(key);
        }
    }

    /// When a marker that somebody else wrote was beaten last.
    pub(super) fn beaten_by_another(&self, step: &str, rev: &Revision, life: Life) -> Option<Timestamp> {
        let marker = self.markers.get(&(step.to_owned(), rev.clone()))?;
        (marker.writer.0 != life).then_some(marker.beaten)
    }

    /// Every in-progress marker, as `name@rev`, and when it was beaten last.
    pub(super) fn beaten(&self) -> impl Iterator<Item = (String, Timestamp)> {
        self.markers.iter().map(|((step, rev), marker)| (format!("{step}@{rev}"), marker.beaten))
    }

    /// Whether any marker was written by this life.
    pub(super) fn has_marker_of(&self, life: Life) -> bool {
        self.markers.values().any(|marker| marker.writer.0 == life)
    }

    /// Makes a marker look older than it is.
    pub fn age_marker(&mut self, step: &str, rev: &str, by: Duration) {
        if let Some(marker) = self.markers.get_mut(&(step.to_owned(), revision(rev))) {
            marker.beaten = marker.beaten - by;
        }
    }

    /// The epochs that have a claim to a step.
    pub fn claims_of(&self, step: &str, rev: &Revision) -> Vec<Epoch> {
        self.claims.get(&(step.to_owned(), rev.clone())).into_iter().flatten().copied().collect()
    }

    /// Who wrote a step's in-progress marker, and when it was refreshed last.
    pub fn marker_of(&self, step: &str, rev: &Revision) -> Option<(Life, Timestamp)> {
        self.markers.get(&(step.to_owned(), rev.clone())).map(|marker| (marker.writer.0, marker.beaten))
    }

    /// The same in a time that is `back` earlier, where it is `now`; nothing lies before `floor`.
    pub fn move_back(&mut self, back: Duration, now: Timestamp, floor: Timestamp) {
        for marker in self.markers.values_mut() {
            let mut stamp = stamp_of(marker);
            stamp.move_back(back, floor);
            marker.beaten = Timestamp::from_nanos(u64::try_from(stamp.mtime).expect("a time after 1970"));
        }
        for kept in self.records.values_mut() {
            kept.move_back(back, now);
        }
    }

    pub fn is_done(&self, step: &str, rev: &str) -> bool {
        self.done.contains_key(&(step.to_owned(), revision(rev)))
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

    /// Puts a marker of somebody else's in its place, as an older entrypoint might.
    pub fn replace_marker(&mut self, now: Timestamp, step: &str, rev: &Revision) {
        self.mark(now, (step.to_owned(), rev.clone()), STRANGER, None);
    }

    /// Attempts and last end in a step's record.
    pub fn recorded(&self, step: &str) -> Option<(u32, LastEnd)> {
        self.records.get(step).map(Kept::attempts_and_end)
    }

    /// Every step of the plan is done.
    pub fn is_all_done(&self, plan: &Plan, rev: &Revision) -> bool {
        let mut ids = plan.ids();
        ids.all(|id| self.done.contains_key(&(plan.step(id).name.to_string(), rev.clone())))
    }
}

fn stamp_of(marker: &Marker) -> Stamp {
    Stamp { inode: marker.inode, mtime: i128::from(marker.beaten.as_nanos()) }
}

/// By the volume's own clock.
fn age(now: Timestamp, beaten: Timestamp) -> Duration {
    let skew = if mutant::is(Mutant::StalenessByRemoteClock) { Duration::from_secs(3600) } else { Duration::ZERO };
    now.since(beaten) + skew
}

fn revision(text: &str) -> Revision {
    Revision::parse(text).expect("a revision")
}
