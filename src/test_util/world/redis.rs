//! One key with an expiry, and a network that may fail.

use std::time::Duration;

use crate::protocol::{Epoch, Event, Timestamp};

use super::Life;

#[derive(Debug, Default)]
pub struct FakeRedis {
    lease: Option<(Life, Timestamp)>,
    /// The highest epoch it was told.
    pub epoch: Epoch,
    /// What a replica of it last saw: where a failover leads to.
    copy: (Option<(Life, Timestamp)>, Epoch),
    /// Refuses every request.
    pub down: bool,
    /// Carries requests out so much later.
    pub stalls: Option<Duration>,
    /// Announces nothing.
    pub mute: bool,
    /// How many requests were answered.
    pub requests: usize,
}

impl FakeRedis {
    /// FLUSHALL, or a restart without persistence.
    pub fn flush(&mut self) {
        self.lease = None;
        self.epoch = Epoch(0);
    }

    /// The copy that a failover will lead to is made now.
    pub fn replicate(&mut self) {
        self.copy = (self.lease, self.epoch);
    }

    /// The copy takes over: what was written since it was made is forgotten.
    pub fn fail_over(&mut self) {
        (self.lease, self.epoch) = self.copy;
    }

    /// The clock of the lease's expiry jumps ahead.
    pub fn jump_ahead(&mut self, by: Duration) {
        self.lease = self.lease.map(|(life, until)| (life, until - by));
    }

    /// The clock of the lease's expiry jumps back.
    pub fn jump_back(&mut self, by: Duration) {
        self.lease = self.lease.map(|(life, until)| (life, until + by));
    }

    pub fn holder(&self, now: Timestamp) -> Option<Life> {
        self.lease.filter(|&(_, until)| now < until).map(|(life, _)| life)
    }

    pub fn acquire(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration) -> Event {
        let epoch = self.epoch;
        self.answer(|lease| match lease.filter(|&(_, until)| now < until) {
            Some((holder, until)) if holder != life => Event::LeaseDenied { sent, left: until.since(now) },
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
            Some((holder, _)) if holder == life => {
                *lease = Some((life, now + ttl));
                Event::LeaseGranted { sent, epoch }
            }
            _ => Event::LeaseNotMine,
        })
    }

    /// Whether a release was announced.
    pub fn release(&mut self, life: Life) -> bool {
        if !self.down && self.lease.is_some_and(|(holder, _)| holder == life) {
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
