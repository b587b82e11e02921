//! Following: wait for the ready marker, and ask to lead if we may.

use super::{COMPLAIN_EVERY, Guard, Machine, NOTE_EVERY, Once, Role};
use crate::protocol::action::{Action, Actions, Notice, Outcome};
use crate::protocol::config::{OnDowngrade, OnFailure, Trust};
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::names::Revision;
use crate::protocol::staleness::{Judge, occupants};
use crate::protocol::time::Timestamp;
use crate::protocol::view::Standing;

impl Machine {
    pub(super) fn handle_looked_following(&mut self, now: Timestamp, out: &mut Actions) {
        if !self.is_competing() || !self.uses_lease() || self.lease.is_held(now) {
            self.look_from(now + self.config.poll());
        }
        let Some(view) = &self.view else { return };
        let (ready, failed) = (view.ready, view.failed);
        if ready {
            self.handle_ready_seen(now, out);
        } else if failed {
            self.handle_failed_seen(now, out);
        } else if self.is_superseded() {
            self.close(now, out);
        }
    }

    fn handle_ready_seen(&mut self, now: Timestamp, out: &mut Actions) {
        let newest = self.newer_revision();
        match newest {
            None => self.finish(now, Outcome::HandOff, out),
            // A rollback has to be written down by a leader before it counts.
            Some(_) if self.config.policy.allow_rollback && self.config.policy.may_lead => {}
            Some(newest) if self.config.policy.allow_rollback => {
                out.say(Notice::GoingBack { newest });
                self.finish(now, Outcome::HandOff, out);
            }
            Some(newest) if self.config.policy.on_downgrade == OnDowngrade::Warn => {
                out.say(Notice::Downgraded { newest });
                self.finish(now, Outcome::HandOff, out);
            }
            Some(newest) => self.finish(now, Outcome::DowngradeRefused { newest }, out),
        }
    }

    pub(super) fn handle_failed_seen(&mut self, now: Timestamp, out: &mut Actions) {
        match self.config.policy.on_failure {
            OnFailure::Exit => self.finish(now, Outcome::StepFailed, out),
            OnFailure::Hold => {
                self.close(now, out);
                self.hold(now, out);
            }
        }
    }

    /// Begins to wait for a person.
    pub(super) fn hold(&mut self, now: Timestamp, out: &mut Actions) {
        self.role = Role::Holding;
        self.note_at = now;
        self.look_from(now + self.config.poll());
        self.advance_holding(now, out);
    }

    pub(super) fn advance_holding(&mut self, now: Timestamp, out: &mut Actions) {
        if self.note_at <= now {
            self.note_at = now + NOTE_EVERY;
            out.say(Notice::Holding);
        }
    }

    pub(super) fn handle_looked_holding(&mut self, now: Timestamp, out: &mut Actions) {
        self.look_from(now + self.config.poll());
        let Some(view) = &self.view else { return };
        if view.ready || !view.failed {
            out.say(Notice::FailureCleared);
            self.follow(now, out);
            self.handle_looked_following(now, out);
        }
    }

    /// Begins to follow (again).
    pub(super) fn follow(&mut self, now: Timestamp, out: &mut Actions) {
        self.role = Role::Following;
        self.note_at = now + NOTE_EVERY;
        self.look_from(now);
        out.say(Notice::Following);
    }

    pub(super) fn handle_needs_unmet(&mut self, now: Timestamp, out: &mut Actions) {
        if self.role == Role::Following {
            self.finish(now, Outcome::NeedsUnmet, out);
        }
    }

    pub(super) fn advance_following(&mut self, now: Timestamp, out: &mut Actions) {
        if self.ready_deadline().is_some_and(|deadline| deadline <= now) {
            return self.finish(now, Outcome::GaveUp, out);
        }
        if self.gives_up_on_redis(now) {
            return self.finish(now, Outcome::RedisUnavailable, out);
        }
        self.say_whom_we_wait_for(now, out);
        if self.wants_to_lead() {
            self.compete(now, out);
        }
    }

    /// The next thing on the way to the guard: a volume that can be written, the plan's needs, the lease, the guard.
    fn compete(&mut self, now: Timestamp, out: &mut Actions) {
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        match (self.prepared, self.needs) {
            (Once::No, _) => {
                self.prepared = Once::Asked;
                out.push(Action::PrepareVolume);
            }
            (Once::Yes, Once::No) => {
                self.needs = Once::Asked;
                out.push(Action::AwaitNeeds);
            }
            (Once::Yes, Once::Yes) if !self.uses_lease() || self.lease.is_held(now) => self.take_guard(now, out),
            _ => {}
        }
    }

    fn take_guard(&mut self, now: Timestamp, out: &mut Actions) {
        if self.guard == Guard::Free {
            self.guard = Guard::Asked;
            if mutant::is(Mutant::GuardNotTaken) {
                return self.handle_guard_granted(now, out);
            }
            out.push(Action::TakeGuard);
        }
    }

    /// Whether this replica may lead and nothing it has seen forbids it.
    pub(super) fn wants_to_lead(&self) -> bool {
        self.role == Role::Following && self.config.policy.may_lead && self.view.is_some() && !self.is_superseded()
    }

    /// Whether everything is there that competing takes.
    pub(super) fn is_competing(&self) -> bool {
        self.wants_to_lead() && self.prepared == Once::Yes && self.needs == Once::Yes
    }

    fn newer_revision(&self) -> Option<Revision> {
        match &self.view.as_ref()?.standing {
            Standing::Older { newest } => Some(newest.clone()),
            Standing::New | Standing::Newest => None,
        }
    }

    fn say_whom_we_wait_for(&mut self, now: Timestamp, out: &mut Actions) {
        // A guard that stays busy over silent markers is worth more frequent words than a leader at work.
        let busy = self.guard == Guard::Asked && self.is_everything_stale();
        if busy && self.note_at > now + COMPLAIN_EVERY {
            self.note_at = now + COMPLAIN_EVERY;
        }
        if now < self.note_at {
            return;
        }
        self.note_at = now + if busy { COMPLAIN_EVERY } else { NOTE_EVERY };
        out.say(match self.newer_revision() {
            Some(newest) if self.is_superseded() => Notice::Superseded { newest },
            _ if busy => Notice::GuardBusy,
            _ => Notice::StillFollowing,
        });
    }

    /// Whether there are unfinished claims and every one of them would be stale to a holder of the guard.
    fn is_everything_stale(&self) -> bool {
        let Some(view) = &self.view else { return false };
        let judge = Judge { guarded: self.config.trust() == Trust::Trusted, ..self.judge() };
        let mut all = occupants(view).peekable();
        all.peek().is_some() && all.all(|(who, occupant)| self.watches.stale_at(&who, occupant, &judge) <= judge.now)
    }

    pub(super) fn ready_deadline(&self) -> Option<Timestamp> {
        self.config.policy.ready_timeout.map(|limit| self.born + limit)
    }
}
