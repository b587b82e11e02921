//! How work ends in memory: done, given up, retired, swept, undone.

use super::{Claimant, FakeVolume, revision, stamp_of};
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::{Occupant, Plan, Revision};

/// So many revisions keep their markers, besides the one that leads.
const KEPT_REVISIONS: usize = 5;

impl FakeVolume {
    /// Makes a claim the done marker, and clears what is left. May be repeated.
    pub fn commit(&mut self, step: &str, rev: &Revision, writer: Claimant) -> bool {
        let own = self.commit_claim(step, rev, writer);
        if own {
            self.clear(step, rev, writer);
        }
        own
    }

    /// The atomic part of it.
    pub(in super::super) fn commit_claim(&mut self, step: &str, rev: &Revision, (_, epoch): Claimant) -> bool {
        let key = (step.to_owned(), rev.clone());
        let own = self.remove_claim(&key, epoch);
        if own || mutant::is(Mutant::EpochNotCompared) {
            self.done.insert(key.clone(), epoch);
        }
        self.done.get(&key) == Some(&epoch)
    }

    /// What follows.
    pub(in super::super) fn clear(&mut self, step: &str, rev: &Revision, writer: Claimant) {
        self.hide(&(step.to_owned(), rev.clone()), writer);
        self.records.remove(step);
    }

    /// Gives a claim up.
    pub fn retract(&mut self, step: &str, rev: &Revision, writer: Claimant) {
        let key = (step.to_owned(), rev.clone());
        self.hide(&key, writer);
        self.remove_claim(&key, writer.1);
    }

    /// Clears away what was seen of a silent claimant. `false`: it has changed since.
    pub fn retire(&mut self, step: &str, rev: &Revision, seen: &Occupant) -> bool {
        let key = (step.to_owned(), rev.clone());
        for epoch in &seen.claims {
            if !self.remove_claim(&key, *epoch) {
                return false;
            }
        }
        let Some(stamp) = seen.stamp else { return true };
        let now = self.markers.get(&key).map(stamp_of);
        if now.is_some_and(|now| now != stamp && now.mtime >= stamp.mtime) {
            return false;
        }
        self.markers.remove(&key);
        true
    }

    /// Clears away what finished leaderships left, and the markers of revisions that five others have followed.
    pub fn sweep(&mut self, plan: &Plan, own: &Revision) {
        let done = &self.done;
        self.markers.retain(|key, _| !done.contains_key(key));
        self.claims.retain(|key, claims| !claims.is_empty() && !done.contains_key(key));
        self.records.retain(|step, kept| !done.contains_key(&(step.clone(), kept.rev().clone())));
        let mut followed: Vec<&Revision> = Vec::new();
        for rev in self.revisions.iter().rev() {
            if rev != own && !followed.contains(&rev) {
                followed.push(rev);
            }
        }
        for rev in followed.into_iter().skip(KEPT_REVISIONS) {
            self.ready.remove(rev);
            self.failed.remove(rev);
            self.done.retain(|(step, of), _| of != rev || plan.find(step).is_none());
        }
    }

    /// Whether every step is done, so that it is ready now.
    pub fn write_ready(&mut self, plan: &Plan, rev: &Revision) -> bool {
        let is_done = self.is_all_done(plan, rev);
        if is_done {
            self.ready.insert(rev.clone());
        }
        is_done
    }

    /// What `reset` does: a person undoes steps of a revision.
    pub fn reset(&mut self, rev: &Revision, steps: &[&str]) {
        self.ready.remove(rev);
        self.failed.remove(rev);
        for &step in steps {
            let key = (step.to_owned(), rev.clone());
            self.done.remove(&key);
            self.markers.remove(&key);
            self.claims.remove(&key);
            if self.records.get_mut(step).is_some_and(|kept| kept.forget(rev)) {
                self.records.remove(step);
            }
        }
    }

    /// What `retry` does: a person clears a failure.
    pub fn retry(&mut self, rev: &str) {
        self.failed.remove(&revision(rev));
        self.records.clear();
    }
}
