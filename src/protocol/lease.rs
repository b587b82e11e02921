//! What a machine knows of its lease: the key in Redis that says who *should try*.

use std::time::Duration;

use super::config::{LeaseTimes, Trust};
use super::mutant::{self, Mutant};
use super::names::Epoch;
use super::time::Timestamp;

/// The lease as seen from here. Only the local deadline counts, computed from before the request was sent.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Lease {
    /// Until when it may be relied on, while it is ours.
    valid_until: Option<Timestamp>,
    /// When to ask or renew next.
    ask_at: Option<Timestamp>,
    /// Whether somebody gave a reason to ask since the last question, which its answer knows nothing of.
    has_new_reason: bool,
    /// When it was asked for last, unless the answer said that it is another's: Redis may hold a key of ours, known or
    /// not.
    asked_at: Option<Timestamp>,
    /// When it was given back last: an answer to anything sent before tells nothing.
    released_at: Timestamp,
    /// Since when Redis has not answered and nobody was seen at work.
    unreachable_since: Option<Timestamp>,
    /// The highest epoch that Redis was seen to know.
    epoch: Epoch,
}

/// How soon Redis is asked again after it could not be reached, by a replica that holds nothing.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What to ask Redis.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Ask {
    /// For the lease.
    Acquire,
    /// To prolong it.
    Renew,
}

impl Lease {
    /// Whether it may be relied on now.
    pub(super) fn is_held(&self, now: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| now < until)
    }

    /// Whether Redis may hold a key of ours.
    pub(super) fn may_be_in_redis(&self) -> bool {
        self.asked_at.is_some()
    }

    /// The highest epoch that Redis was seen to know.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether an answer to what was sent then tells nothing, because the lease was given back since.
    pub(super) fn is_outdated(&self, sent: Timestamp) -> bool {
        sent < self.released_at
    }

    /// When to ask or renew next.
    pub(super) fn ask_at(&self) -> Option<Timestamp> {
        self.ask_at
    }

    /// Asks from `at` on, whatever the answer to a question asked before may say.
    pub(super) fn ask_from(&mut self, at: Timestamp) {
        self.has_new_reason = true;
        self.ask_at = Some(self.ask_at.map_or(at, |planned| planned.min(at)));
    }

    /// The question that is due, if any. The next one is due a heartbeat (or a request's limit) later, so that an
    /// answer that never comes is not waited for.
    pub(super) fn due(&mut self, now: Timestamp, times: &LeaseTimes) -> Option<Ask> {
        if self.ask_at.is_none_or(|at| now < at) {
            return None;
        }
        self.asked_at = Some(now);
        self.has_new_reason = false;
        self.ask_at = Some(now + times.heartbeat());
        Some(if self.is_held(now) { Ask::Renew } else { Ask::Acquire })
    }

    /// The next moment something is due: a question, or the end of the lease.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        [self.ask_at, self.valid_until].into_iter().flatten().min()
    }

    /// Redis says it is ours since a request sent at `sent`. A late answer never shortens what a later one gave.
    pub(super) fn handle_granted(&mut self, sent: Timestamp, epoch: Epoch, times: &LeaseTimes) {
        self.unreachable_since = None;
        self.epoch = self.epoch.max(epoch);
        if self.is_outdated(sent) {
            return;
        }
        // The question may be a later one than that whose denial came last.
        self.asked_at = self.asked_at.max(Some(sent));
        self.valid_until = self.valid_until.max(Some(sent + times.validity()));
        self.ask_at = Some(sent + times.heartbeat());
    }

    /// Redis says it is another's, or nobody's; ask again after `wait`. `sent` is when the question was.
    pub(super) fn handle_denied(&mut self, now: Timestamp, sent: Option<Timestamp>, wait: Duration) {
        self.unreachable_since = None;
        self.valid_until = None;
        let wanted = self.ask_at.filter(|_| self.has_new_reason);
        self.ask_at = Some(wanted.map_or(now + wait, |wanted| wanted.min(now + wait)));
        if sent.is_some_and(|sent| Some(sent) >= self.asked_at) {
            self.asked_at = None;
        }
    }

    /// Redis did not answer; ask again after a request's limit, or less often if there is nothing to lose.
    pub(super) fn handle_unreachable(&mut self, now: Timestamp, times: &LeaseTimes) {
        self.unreachable_since.get_or_insert(now);
        if mutant::is(Mutant::UnansweredForgotten) && !self.is_held(now) {
            self.asked_at = None;
        }
        let wait = if self.is_held(now) { times.request_limit() } else { times.request_limit().max(ASK_AGAIN) };
        self.ask_at = Some(now + wait);
    }

    /// Somebody was seen at work: being without Redis is no reason to give up yet.
    pub(super) fn handle_sign_of_life(&mut self, now: Timestamp) {
        if self.unreachable_since.is_some() {
            self.unreachable_since = Some(now);
        }
    }

    /// Since when nothing was heard of Redis nor of anybody at work.
    pub(super) fn unreachable_since(&self) -> Option<Timestamp> {
        self.unreachable_since
    }

    /// Forgets a lease that has ended by the local clock. Returns whether it did just now.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let ended = self.valid_until.is_some_and(|until| until <= now);
        if ended {
            self.valid_until = None;
        }
        ended
    }

    /// Given back, or not wanted any more.
    pub(super) fn release(&mut self, now: Timestamp) {
        *self = Lease { released_at: now, epoch: self.epoch, ..Lease::default() };
    }

    /// Until when it may be relied on.
    #[cfg(feature = "test-util")]
    pub(super) fn valid_until(&self) -> Option<Timestamp> {
        self.valid_until
    }

    /// Moves every moment; see [`Machine::move_back`](super::Machine::move_back).
    #[cfg(feature = "test-util")]
    pub(super) fn move_back(&mut self, shift: &dyn Fn(&mut Timestamp)) {
        shift(&mut self.released_at);
        let times = [&mut self.valid_until, &mut self.ask_at, &mut self.asked_at, &mut self.unreachable_since];
        times.into_iter().flatten().for_each(shift);
    }

    /// The moment by which the shims have to begin stopping their steps. `None` where the guard is trusted.
    pub(super) fn stop_at(&self, times: &LeaseTimes, trust: Trust) -> Option<Timestamp> {
        match trust {
            Trust::Trusted => None,
            Trust::NotTrusted => Some(self.valid_until.map_or(Timestamp::ZERO, |until| until - times.stop())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn times(trust: Trust) -> LeaseTimes {
        let second = Duration::from_secs(1);
        LeaseTimes::new(second * 12, None, second, second * 120, trust).unwrap()
    }

    #[test]
    fn the_deadline_counts_from_the_sending_and_a_late_answer_never_shortens_it() {
        let (mut lease, times) = (Lease::default(), times(Trust::NotTrusted));
        lease.handle_granted(at(10), Epoch(0), &times);
        let until = at(10) + times.validity();
        assert!(lease.is_held(until - Duration::from_nanos(1)) && !lease.is_held(until));
        lease.handle_granted(at(5), Epoch(0), &times);
        assert!(lease.is_held(until - Duration::from_nanos(1)));
        assert_eq!(lease.stop_at(&times, Trust::NotTrusted), Some(until - times.stop()));
        assert_eq!(lease.stop_at(&times, Trust::Trusted), None);
    }

    #[test]
    fn an_answer_to_what_was_asked_before_the_release_tells_nothing() {
        let (mut lease, times) = (Lease::default(), times(Trust::Trusted));
        lease.handle_granted(at(10), Epoch(0), &times);
        lease.release(at(12));
        lease.handle_granted(at(11), Epoch(0), &times);
        assert!(!lease.is_held(at(12)));
        lease.handle_granted(at(13), Epoch(0), &times);
        assert!(lease.is_held(at(13)));
    }

    #[test]
    fn only_the_answer_to_the_last_question_says_that_nothing_of_ours_is_in_redis() {
        let (mut lease, times) = (Lease::default(), times(Trust::Trusted));
        assert!(!lease.may_be_in_redis());
        lease.ask_from(at(10));
        assert_eq!(lease.due(at(10), &times), Some(Ask::Acquire));
        lease.handle_unreachable(at(11), &times);
        assert_eq!(lease.due(at(12), &times), Some(Ask::Acquire));
        lease.handle_denied(at(12), Some(at(10)), Duration::ZERO);
        assert!(lease.may_be_in_redis(), "the answer to the first question tells nothing of the second");
        lease.handle_denied(at(12), Some(at(12)), Duration::ZERO);
        assert!(!lease.may_be_in_redis());
        lease.handle_granted(at(13), Epoch(7), &times);
        lease.release(at(14));
        assert_eq!(lease.epoch(), Epoch(7), "what Redis knew is not forgotten with the lease");
    }

    #[test]
    fn a_lease_that_is_granted_after_a_denial_is_in_redis_though_both_were_asked_for_before_the_first_was_sent() {
        let (mut lease, times) = (Lease::default(), times(Trust::Trusted));
        for second in [10, 11] {
            lease.ask_from(at(second));
            assert_eq!(lease.due(at(second), &times), Some(Ask::Acquire));
        }
        lease.handle_denied(at(12), Some(at(12)), Duration::ZERO);
        lease.handle_granted(at(13), Epoch(0), &times);
        assert!(lease.is_held(at(14)) && lease.may_be_in_redis());
    }

    #[test]
    fn a_reason_to_ask_that_came_after_the_question_outlives_its_answer() {
        let (mut lease, times) = (Lease::default(), times(Trust::Trusted));
        let second = Duration::from_secs(1);
        lease.ask_from(at(10));
        assert_eq!(lease.due(at(10), &times), Some(Ask::Acquire));
        lease.ask_from(at(11));
        lease.handle_denied(at(11), Some(at(10)), second * 5);
        assert_eq!(lease.ask_at(), Some(at(11)));
        assert_eq!(lease.due(at(11), &times), Some(Ask::Acquire));
        lease.handle_denied(at(12), Some(at(11)), second * 5);
        assert_eq!(lease.ask_at(), Some(at(17)), "nothing new came since");
    }

    #[test]
    fn whoever_holds_nothing_asks_an_unreachable_redis_once_a_second_and_a_holder_more_often() {
        let second = Duration::from_secs(1);
        let times = LeaseTimes::new(second * 3, None, second, second * 120, Trust::Trusted).unwrap();
        let mut lease = Lease::default();
        lease.handle_unreachable(at(10), &times);
        assert_eq!(lease.ask_at(), Some(at(11)));
        lease.handle_granted(at(11), Epoch(0), &times);
        lease.handle_unreachable(at(12), &times);
        assert_eq!(lease.ask_at(), Some(at(12) + times.request_limit()));
        assert!(times.request_limit() < second);
    }

    #[test]
    fn what_is_asked_depends_on_whether_it_is_held() {
        let (mut lease, times) = (Lease::default(), times(Trust::Trusted));
        assert_eq!(lease.due(at(1), &times), None, "nothing is asked before it is wanted");
        lease.ask_from(at(1));
        assert_eq!(lease.due(at(1), &times), Some(Ask::Acquire));
        assert_eq!(lease.due(at(1), &times), None);
        lease.handle_granted(at(1), Epoch(0), &times);
        assert_eq!(lease.due(at(1) + times.heartbeat(), &times), Some(Ask::Renew));
        assert!(lease.expire(at(30)) && !lease.expire(at(30)));
    }
}
