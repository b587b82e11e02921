//! The lease: asked for while it is wanted, renewed while something depends on it, given back.

use std::time::Duration;

use super::{Guard, Machine, Role, Why};
use crate::protocol::action::{Action, Actions, Notice};
use crate::protocol::config::{Election, LeaseTimes, Trust};
use crate::protocol::lease::Ask;
use crate::protocol::time::Timestamp;

impl Machine {
    fn lease_times(&self) -> Option<&LeaseTimes> {
        match self.config.election() {
            Election::Guard => None,
            Election::Lease(times) => Some(times),
        }
    }

    pub(super) fn expire_lease(&mut self, now: Timestamp, out: &mut Actions) {
        if self.uses_lease() && self.lease.expire(now) {
            self.handle_lease_gone(now, out);
        }
    }

    pub(super) fn advance_lease(&mut self, now: Timestamp, out: &mut Actions) {
        let Some(times) = self.lease_times().cloned() else { return };
        let wanted = match self.role {
            Role::Following => self.is_competing(),
            Role::Claiming(_) | Role::Leading => true,
            Role::Winding(_) => self.lease.is_held(now),
            Role::Holding | Role::Ended(_) => false,
        };
        if !wanted {
            return;
        }
        if self.lease.next_deadline().is_none() {
            self.lease.ask_from(now);
        }
        match self.lease.due(now, &times) {
            Some(Ask::Acquire) => out.push(Action::AcquireLease),
            Some(Ask::Renew) => out.push(Action::RenewLease),
            None => {}
        }
    }

    pub(super) fn handle_lease_granted(&mut self, sent: Timestamp, out: &mut Actions) {
        let Some(times) = self.lease_times().cloned() else { return };
        let wanted = match self.role {
            Role::Following => self.is_competing(),
            Role::Claiming(_) | Role::Leading | Role::Winding(_) => true,
            Role::Holding | Role::Ended(_) => false,
        };
        if !wanted {
            return out.push(Action::ReleaseLease);
        }
        self.lease.handle_granted(sent, &times);
        let running = self.config.plan().ids().any(|step| self.is_running(step));
        if let Some(deadline) = self.lease.stop_at(&times, self.config.trust()).filter(|_| running) {
            out.push(Action::Extend { deadline });
        }
    }

    pub(super) fn handle_lease_denied(&mut self, now: Timestamp, left: Duration, out: &mut Actions) {
        if !self.uses_lease() {
            return;
        }
        let had = self.lease.is_held(now);
        self.lease.handle_denied(now, left, self.config.poll());
        if had {
            self.handle_lease_gone(now, out);
        }
    }

    pub(super) fn handle_lease_unreachable(&mut self, now: Timestamp) {
        if let Some(times) = self.lease_times().cloned() {
            self.lease.handle_unreachable(now, &times);
        }
    }

    pub(super) fn handle_announced(&mut self, now: Timestamp) {
        self.look_from(now);
        if self.role == Role::Following && self.is_competing() && !self.lease.is_held(now) {
            self.lease.ask_from(now);
        }
    }

    /// The lease was ours a moment ago and is not any more.
    ///
    /// Under a trusted guard what runs is finished and nothing is started; otherwise everything stops at once.
    fn handle_lease_gone(&mut self, now: Timestamp, out: &mut Actions) {
        match (&self.role, self.config.trust()) {
            (Role::Following, _) if self.guard == Guard::Asked => {
                self.guard = Guard::Free;
                out.push(Action::CloseGuard);
            }
            (Role::Claiming(_), _) | (Role::Leading | Role::Winding(_), Trust::NotTrusted) => {
                self.wind(now, Why::LeaseLost, out);
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
        let asking = match self.role {
            Role::Following => self.is_competing(),
            Role::Claiming(_) | Role::Leading | Role::Winding(_) => true,
            Role::Holding | Role::Ended(_) => false,
        };
        self.lease.next_deadline().filter(|_| asking)
    }

    /// When this follower gives up on Redis: unreachable, not ready, and nobody seen at work for that long.
    pub(super) fn redis_deadline(&self) -> Option<Timestamp> {
        let since = self.lease.unreachable_since()?;
        Some(since + self.lease_times()?.redis_wait())
    }
}
