//! Winding: bring a leadership to its end in the order of promise P6: steps, markers, guard, lease.

use super::step::StepState;
use super::{Guard, Machine, Role};
use crate::protocol::action::{Action, Actions, Outcome, StopReason};
use crate::protocol::config::OnFailure;
use crate::protocol::event::{Doing, Fault};
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::plan::StepId;
use crate::protocol::time::Timestamp;

/// Why a leadership ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Why {
    /// Every step is done: the ready marker is written, then everybody hands off.
    Ready,
    /// This step has failed for good: siblings finish, then the failed marker is written.
    Failed(StepId),
    /// The lease is another's, or about to be.
    LeaseLost,
    /// A later epoch has claimed what was ours.
    Superseded,
    /// This replica was asked to stop.
    Stop,
    /// The volume does not work.
    Fault(Fault),
    /// The guard may have been granted to another.
    GuardLost,
}

impl Why {
    /// Whether running steps are stopped, and why.
    fn stops_steps(self) -> Option<StopReason> {
        match self {
            Why::Ready | Why::Failed(_) => None,
            Why::Stop => Some(StopReason::Asked),
            Why::LeaseLost => Some(StopReason::Lease),
            Why::Superseded | Why::Fault(_) | Why::GuardLost => Some(StopReason::Lost),
        }
    }

    /// Whether an operation that meets a full volume is given up instead of repeated.
    pub(super) fn is_urgent(self) -> bool {
        self.stops_steps().is_some()
    }

    /// The marker to write before the guard is closed.
    fn marker(self) -> Option<(Doing, Action)> {
        match self {
            Why::Ready => Some((Doing::Ready, Action::WriteReady)),
            Why::Failed(step) => Some((Doing::Failed, Action::WriteFailed(step))),
            _ => None,
        }
    }

    /// A reason does not give way to a weaker one.
    fn rank(self) -> u8 {
        match self {
            Why::Ready | Why::Failed(_) => 0,
            Why::LeaseLost | Why::Superseded => 1,
            Why::Stop => 2,
            Why::Fault(_) => 3,
            Why::GuardLost => 4,
        }
    }
}

/// So many requests to stop end a replica without waiting for the volume: the first stops the steps, the second kills
/// them.
const NO_MORE_PATIENCE: u8 = 3;

impl Machine {
    pub(super) fn handle_stop_requested(&mut self, now: Timestamp, out: &mut Actions) {
        match self.role {
            Role::Following | Role::Holding => self.finish(now, Outcome::Stopped, out),
            Role::Claiming(_) | Role::Leading | Role::Winding(_) => {
                self.stops = self.stops.saturating_add(1);
                self.wind(now, Why::Stop, out);
                if self.stops == 2 {
                    self.kill_steps(out);
                }
            }
            Role::Ended(_) => {}
        }
    }

    pub(super) fn handle_guard_lost(&mut self, now: Timestamp, out: &mut Actions) {
        if self.guard == Guard::Held {
            self.wind(now, Why::GuardLost, out);
            self.kill_steps(out);
        }
    }

    /// Begins to wind, or changes the reason for a stronger one.
    pub(super) fn wind(&mut self, now: Timestamp, why: Why, out: &mut Actions) {
        if let Role::Winding(already) = self.role
            && already.rank() >= why.rank()
        {
            return;
        }
        self.role = Role::Winding(why);
        self.looks.next = None;
        self.retry_at = None;
        self.end_looking(now, false, out);
        if let Some(reason) = why.stops_steps() {
            for step in self.config.plan().ids() {
                self.stop_step(step, reason, out);
                self.hurry(now, step);
            }
        }
    }

    /// What waits for room on the volume is not waited for any more: it is tried once again now.
    fn hurry(&mut self, now: Timestamp, step: StepId) {
        let state = &mut self.steps[step.0];
        if state.retry_at.is_some() {
            state.retry_at = Some(now);
        }
    }

    pub(super) fn advance_winding(&mut self, now: Timestamp, why: Why, out: &mut Actions) {
        if self.stop_deadline().is_some_and(|at| at <= now) && why.rank() < Why::LeaseLost.rank() {
            self.wind(now, Why::LeaseLost, out);
        }
        let Role::Winding(why) = self.role else { return };
        let running = self.config.plan().ids().any(|step| self.is_running(step));
        if self.stops >= NO_MORE_PATIENCE && !running {
            // The volume hangs, and somebody has had enough of it; a successor finds the claims and waits for silence.
            return self.finish(now, Outcome::Stopped, out);
        }
        let active = self.steps.iter().any(StepState::is_active) || self.retiring > 0;
        let ignored = mutant::is(Mutant::ReleaseBeforeReap) && why == Why::Stop
            || mutant::is(Mutant::ReadyBeforeLastDone) && why == Why::Ready;
        let active = active && !ignored;
        if active || self.is_marking(now, why, out) {
            return;
        }
        self.close(now, out);
        self.marked = false;
        for state in &mut self.steps {
            *state = StepState::default();
        }
        self.end_winding(now, why, out);
    }

    /// Writes the marker this reason asks for, once. Returns whether an operation is still under way.
    fn is_marking(&mut self, now: Timestamp, why: Why, out: &mut Actions) -> bool {
        if self.pending.is_some() {
            return true;
        }
        let Some((doing, action)) = why.marker().filter(|_| !self.marked) else { return false };
        if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = None;
            self.pending = Some(doing);
            out.push(action);
        }
        true
    }

    /// The ready or the failed marker is on the volume.
    pub(super) fn handle_marked(&mut self, doing: Doing) {
        self.marked |= self.pending == Some(doing);
        self.answered(doing);
    }

    fn end_winding(&mut self, now: Timestamp, why: Why, out: &mut Actions) {
        match why {
            Why::Ready => self.finish(now, Outcome::HandOff, out),
            Why::Failed(_) if self.config.policy.on_failure == OnFailure::Hold => self.hold(now, out),
            Why::Failed(_) => self.finish(now, Outcome::StepFailed, out),
            Why::LeaseLost | Why::Superseded => self.follow(now, out),
            Why::Stop => self.finish(now, Outcome::Stopped, out),
            Why::Fault(fault) => self.finish(now, Outcome::VolumeFailed(fault), out),
            Why::GuardLost => self.finish(now, Outcome::GuardLost, out),
        }
    }

    /// Ends a replica that has no step under way: guard, then lease, then the end.
    pub(super) fn finish(&mut self, now: Timestamp, outcome: Outcome, out: &mut Actions) {
        self.close(now, out);
        self.looks.next = None;
        self.role = Role::Ended(outcome.clone());
        out.push(Action::End(outcome));
    }

    /// Closes the guard and releases the lease, in this order (P6). Whoever had the guard has something to announce,
    /// though the lease may be another's by now.
    pub(super) fn close(&mut self, now: Timestamp, out: &mut Actions) {
        let acted = self.uses_lease() && self.guard == Guard::Held;
        if mutant::is(Mutant::LeaseBeforeGuard) && acted {
            out.push(Action::ReleaseLease);
        }
        if self.guard != Guard::Free {
            self.guard = Guard::Free;
            out.push(Action::CloseGuard);
        }
        if acted || self.lease.may_be_in_redis() {
            self.lease.release(now);
            out.push(Action::ReleaseLease);
        }
        self.epoch = None;
    }
}
