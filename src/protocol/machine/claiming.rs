//! Claiming: with the guard in hand, read the volume, write down the revision, allot the epoch, clear left-overs.

use super::{Guard, Machine, Role, Why};
use crate::protocol::action::{Action, Actions, Notice};
use crate::protocol::event::Doing;
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::names::Epoch;
use crate::protocol::staleness::occupants;
use crate::protocol::time::Timestamp;
use crate::protocol::view::Standing;

/// What a claiming replica is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ClaimStage {
    /// It looks, now that nobody else may act.
    Looking,
    /// It appends its revision.
    Revision,
    /// It allots its epoch.
    Epoch,
    /// It clears away what finished leaderships left.
    Sweep,
}

impl ClaimStage {
    fn doing(self) -> Option<Doing> {
        match self {
            ClaimStage::Looking => None,
            ClaimStage::Revision => Some(Doing::Revision),
            ClaimStage::Epoch => Some(Doing::Epoch),
            ClaimStage::Sweep => Some(Doing::Sweep),
        }
    }
}

impl Machine {
    pub(super) fn handle_guard_granted(&mut self, now: Timestamp, out: &mut Actions) {
        if self.guard == Guard::Asked && self.is_competing() {
            self.guard = Guard::Held;
            self.role = Role::Claiming(ClaimStage::Looking);
            // A look that is under way began before the guard was ours: it is not the one to act upon.
            self.looks.next = Some(now);
        } else if self.guard != Guard::Held {
            self.guard = Guard::Free;
            out.push(Action::CloseGuard);
        }
    }

    pub(super) fn handle_looked_claiming(&mut self, now: Timestamp, out: &mut Actions) {
        if self.looks.next.is_some() {
            return;
        }
        let Some(view) = &self.view else { return };
        let rollback = matches!(view.standing, Standing::Older { .. }) && self.config.policy.allow_rollback;
        if view.failed || view.ready && !rollback {
            return self.step_back(now, out);
        }
        match &view.standing {
            Standing::Older { .. } if !rollback => self.step_back(now, out),
            Standing::Older { newest } => {
                out.say(Notice::GoingBack { newest: newest.clone() });
                self.enter(ClaimStage::Revision, out);
            }
            Standing::New => self.enter(ClaimStage::Revision, out),
            Standing::Newest => self.enter(ClaimStage::Epoch, out),
        }
    }

    pub(super) fn handle_revision_appended(&mut self, now: Timestamp, out: &mut Actions) {
        self.answered(Doing::Revision);
        if self.role != Role::Claiming(ClaimStage::Revision) {
            return;
        }
        let Some(view) = &mut self.view else { return };
        view.standing = Standing::Newest;
        if view.ready {
            self.step_back(now, out);
        } else {
            self.enter(ClaimStage::Epoch, out);
        }
    }

    /// There is nothing to lead after all: the look under the guard is judged as a follower's.
    fn step_back(&mut self, now: Timestamp, out: &mut Actions) {
        self.close(now, out);
        self.role = Role::Following;
        self.handle_looked_following(now, out);
    }

    pub(super) fn handle_epoch_allotted(&mut self, now: Timestamp, epoch: Epoch, out: &mut Actions) {
        self.answered(Doing::Epoch);
        if self.role == Role::Claiming(ClaimStage::Epoch) {
            self.epoch = Some(epoch);
            // The lease tells whose epoch it is, and Redis remembers the highest.
            self.lease.ask_from(now);
            self.enter(ClaimStage::Sweep, out);
        }
    }

    pub(super) fn handle_swept(&mut self, now: Timestamp, out: &mut Actions) {
        self.answered(Doing::Sweep);
        if self.role == Role::Claiming(ClaimStage::Sweep) {
            self.lead(now, out);
        }
    }

    pub(super) fn advance_claiming(&mut self, now: Timestamp, out: &mut Actions) {
        let Role::Claiming(stage) = self.role else { return };
        if self.uses_lease() && !self.lease.is_held(now) {
            self.wind(now, Why::LeaseLost, out);
        } else if self.retry_at.is_some_and(|at| at <= now) {
            self.enter(stage, out);
        }
    }

    fn enter(&mut self, stage: ClaimStage, out: &mut Actions) {
        self.role = Role::Claiming(stage);
        self.pending = stage.doing();
        self.retry_at = None;
        match stage {
            ClaimStage::Looking => {}
            ClaimStage::Revision => out.push(Action::AppendRevision),
            ClaimStage::Epoch => {
                out.push(Action::AllotEpoch { above: self.highest_epoch() });
            }
            ClaimStage::Sweep => out.push(Action::Sweep),
        }
    }

    /// The highest epoch seen, be it in Redis or of a claim whose epoch somebody has removed.
    fn highest_epoch(&self) -> Epoch {
        let Some(view) = self.view.as_ref().filter(|_| !mutant::is(Mutant::EpochFromRedisAlone)) else {
            return self.lease.epoch();
        };
        let claims = occupants(view).flat_map(|(_, occupant)| &occupant.claims);
        claims.copied().chain([view.epoch]).fold(self.lease.epoch(), Epoch::max)
    }

    /// The answer to an operation of the role has come.
    pub(super) fn answered(&mut self, doing: Doing) {
        if self.pending == Some(doing) {
            self.pending = None;
        }
    }

    fn lead(&mut self, now: Timestamp, out: &mut Actions) {
        let Some(epoch) = self.epoch else { return };
        self.role = Role::Leading;
        self.must_look = false;
        // If somebody has to be watched first, that is said at once.
        self.note_at = now;
        out.say(Notice::Leading(epoch));
        self.adopt_view(now, out);
    }
}
