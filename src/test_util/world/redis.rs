//! One key with an expiry, and a network that may fail.

use std::time::Duration;

use crate::protocol::mutant::{self, Mutant};
use crate::protocol::{Epoch, Event, Timestamp};

use super::Life;

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct FakeRedis {
    lease: Option<(Life, Timestamp)>,
    /// The highest epoch it was told.
    pub epoch: Epoch,
    /// What a replica of it last saw: where a failover leads to.
    copy: Option<(Life, Timestamp)>,
    /// Refuses every request.
    pub down: bool,
    /// Carries requests out so much later, when nobody waits for the answer any more.
    pub stalls: Option<Duration>,
    /// How many requests were answered.
    pub requests: usize,
}

impl FakeRedis {
    /// The lease ends early: the server's clock has jumped.
    pub fn expire(&mut self) {
        self.lease = None;
    }

    /// The same in a time that is `back` earlier, where it is `now`.
    pub fn move_back(&mut self, back: Duration, now: Timestamp) {
        for lease in [&mut self.lease, &mut self.copy] {
            *lease = lease.map(|(life, until)| (life, until - back)).filter(|&(_, until)| now < until);
        }
        self.requests = 0;
    }

    /// FLUSHALL, or a restart without persistence.
    pub fn flush(&mut self) {
        self.lease = None;
        self.epoch = Epoch(0);
    }

    /// The copy that a failover will lead to is made now.
    pub fn replicate(&mut self) {
        self.copy = self.lease;
    }

    /// The copy takes over: what was written since it was made is forgotten.
    pub fn fail_over(&mut self) {
        self.lease = self.copy;
    }

    /// Until when this life has the lease.
    pub fn until(&self, now: Timestamp, life: Life) -> Option<Timestamp> {
        self.lease.filter(|&(holder, until)| holder == life && now < until).map(|(_, until)| until)
    }

    pub fn holder(&self, now: Timestamp) -> Option<Life> {
        self.lease.filter(|&(_, until)| now < until).map(|(life, _)| life)
    }

    pub fn acquire(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration) -> Event {
        let epoch = self.epoch;
        self.answer(|lease| match lease.filter(|&(_, until)| now < until) {
            Some((holder, until)) if holder != life || mutant::is(Mutant::AcquireNotIdempotent) => {
                Event::LeaseDenied { sent, left: until.since(now) }
            }
            _ => {
                *lease = Some((life, now + ttl));
                Event::LeaseGranted { sent, epoch }
            }
        })
    }

    pub fn renew(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration, own: Option<Epoch>) -> Event {
        if !self.down && self.holder(now) == Some(life) {
            self.epoch = self.epoch.max(own.unwrap_or_default());
        }
        let epoch = self.epoch;
        self.answer(|lease| match lease.filter(|&(_, until)| now < until) {
            held if held.is_none() && mutant::is(Mutant::RenewCreates) || held.is_some_and(|(by, _)| by == life) => {
                *lease = Some((life, now + ttl));
                Event::LeaseGranted { sent, epoch }
            }
            _ => Event::LeaseNotMine,
        })
    }

    /// Whether a release was announced.
    pub fn release(&mut self, life: Life) -> bool {
        if !self.down
            && self.lease.is_some_and(|(holder, _)| holder == life || mutant::is(Mutant::ReleaseDeletesAnothers))
        {
            self.lease = None;
        }
        !self.down
    }

    fn answer(&mut self, request: impl FnOnce(&mut Option<(Life, Timestamp)>) -> Event) -> Event {
        if self.down {
            return Event::LeaseUnreachable;
        }
        self.requests += 1;
        request(&mut self.lease)
    }
}
