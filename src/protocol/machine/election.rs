//! The lease: asked for while it is wanted, renewed while something depends on it, given back.

use std::time::Duration;

use super::{BETWEEN_ANNOUNCED, Guard, Machine, Role};
use crate::protocol::action::{Action, Actions, Notice, Outcome};
use crate::protocol::config::{Election, LeaseTimes, Trust};
use crate::protocol::lease::Ask;
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::names::Epoch;
use crate::protocol::staleness::occupants;
use crate::protocol::time::Timestamp;

impl Machine {
    fn lease_times(&self) -> Option<&LeaseTimes> {
        match self.config.election() {
            Election::Guard => None,
            Election::Lease(times) => Some(times),
        }
    }

    /// Whether a lease would be kept.
    fn has_use_for_lease(&self) -> bool {
        match self.role {
            Role::Following => self.is_competing(),
            Role::Claiming(_) | Role::Leading | Role::Winding(_) => true,
            Role::Holding | Role::Ended(_) => false,
        }
    }

    pub(super) fn expire_lease(&mut self, now: Timestamp, out: &mut Actions) {
        if self.uses_lease() && self.lease.expire(now) {
            self.handle_lease_gone(out);
        }
    }

    pub(super) fn advance_lease(&mut self, now: Timestamp, out: &mut Actions) {
        let Some(times) = self.lease_times().cloned() else { return };
        let is_ending = matches!(self.role, Role::Winding(_)) && !self.lease.is_held(now);
        if !self.has_use_for_lease() || is_ending {
            return;
        }
        if self.lease.next_deadline().is_none() {
            self.lease.ask_from(now);
        }
        if self.must_look_before_asking(now) {
            return;
        }
        match self.lease.due(now, &times) {
            Some(Ask::Acquire) => out.push(Action::AcquireLease),
            Some(Ask::Renew) => out.push(Action::RenewLease),
            None => {}
        }
    }

    /// A follower asks only when a look has just shown that there is something to lead: what is ready, or was
    /// announced so, costs Redis nothing. One look and one question are one poll.
    fn must_look_before_asking(&mut self, now: Timestamp) -> bool {
        if self.role != Role::Following || self.lease.is_held(now) {
            return false;
        }
        let Some(ask_at) = self.lease.ask_at().filter(|&at| at <= now) else { return false };
        if self.looks.last < ask_at && !self.looks.in_flight {
            self.look_from(now);
        }
        self.looks.in_flight || self.looks.next.is_some_and(|next| next <= now)
    }

    pub(super) fn handle_lease_granted(&mut self, sent: Timestamp, epoch: Epoch, out: &mut Actions) {
        let Some(times) = self.lease_times().cloned() else { return };
        if !self.has_use_for_lease() && !self.lease.is_outdated(sent) {
            return out.push(Action::ReleaseLease);
        }
        self.lease.handle_granted(sent, epoch, &times);
        if self.role == Role::Following {
            // From now on looks are planned for themselves: the next question is a renewal.
            self.look_from(sent + self.config.poll());
        }
        let running = self.config.plan().ids().any(|step| self.is_running(step));
        if let Some(deadline) = self.lease.stop_at(&times, self.config.trust()).filter(|_| running) {
            out.push(Action::Extend { deadline });
        }
    }

    pub(super) fn handle_lease_denied(
        &mut self,
        now: Timestamp,
        sent: Option<Timestamp>,
        left: Duration,
        out: &mut Actions,
    ) {
        let Some(times) = self.lease_times() else { return };
        let wait = times.spread_out(left).min(self.config.poll());
        let had = self.lease.is_held(now);
        self.lease.handle_denied(now, sent, wait);
        if had {
            self.handle_lease_gone(out);
        }
    }

    pub(super) fn handle_lease_unreachable(&mut self, now: Timestamp) {
        if let Some(times) = self.lease_times().cloned() {
            self.lease.handle_unreachable(now, &times);
        }
    }

    pub(super) fn handle_announced(&mut self, now: Timestamp, out: &mut Actions) {
        if mutant::is(Mutant::HintTrustedAsFact) && self.role == Role::Following {
            return self.finish(now, Outcome::HandOff, out);
        }
        if now < self.announced_at {
            // A look on account of the one before is still to come.
            return;
        }
        let at = now.max(self.announced_at + BETWEEN_ANNOUNCED);
        self.announced_at = at;
        self.look_from(at);
        if self.role == Role::Following && self.is_competing() && !self.lease.is_held(now) {
            self.lease.ask_from(at);
        }
    }

    /// The lease was ours a moment ago and is not any more.
    ///
    /// Under a trusted guard what runs is finished and nothing is started. Otherwise everything stops at once, because
    /// [`stop_deadline`](Machine::stop_deadline) has come; whoever is only claiming steps back by itself.
    fn handle_lease_gone(&mut self, out: &mut Actions) {
        match (&self.role, self.config.trust()) {
            (Role::Following, _) if self.guard == Guard::Asked => {
                self.guard = Guard::Free;
                out.push(Action::CloseGuard);
            }
            (Role::Leading, Trust::Trusted) => out.say(Notice::LeaseLost),
            _ => {}
        }
    }

    /// Whether a step may be started now: the lease (where there is one) is held, with margin if the guard is not
    /// trusted.
    pub(super) fn may_start(&self, now: Timestamp) -> bool {
        let Some(times) = self.lease_times() else { return true };
        let margin = self.lease.stop_at(times, self.config.trust()).is_none_or(|at| now + times.heartbeat() <= at);
        self.lease.is_held(now) && margin
    }

    /// When running steps have to be stopped because the lease ends and the guard is not trusted.
    pub(super) fn stop_deadline(&self) -> Option<Timestamp> {
        self.lease.stop_at(self.lease_times()?, self.config.trust())
    }

    pub(super) fn lease_deadline(&self) -> Option<Timestamp> {
        self.lease.next_deadline().filter(|_| self.has_use_for_lease())
    }

    /// When this follower gives up on Redis: unreachable, not ready, and nobody seen at work for that long. Whoever is
    /// not stale is at work, however short the wait.
    pub(super) fn redis_deadline(&self) -> Option<Timestamp> {
        let since = self.lease.unreachable_since()?;
        let waited = since + self.lease_times()?.redis_wait();
        let judge = self.judge();
        let at_work = self.view.iter().flat_map(occupants).map(|(who, o)| self.watches.stale_at(&who, o, &judge));
        at_work.chain([waited]).max()
    }

    /// Whether this follower gives up on Redis. Nobody is called idle before a last look.
    pub(super) fn gives_up_on_redis(&mut self, now: Timestamp) -> bool {
        let Some(deadline) = self.redis_deadline().filter(|&at| at <= now) else { return false };
        if self.looks.last < deadline && !self.looks.in_flight {
            self.look_from(now);
        }
        self.looks.last >= deadline
    }
}
