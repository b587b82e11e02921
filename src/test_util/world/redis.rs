//! One key with an expiry, and a network that may fail.

use std::time::Duration;

use crate::protocol::{Event, Timestamp};

use super::Life;

#[derive(Debug, Default)]
pub struct FakeRedis {
    lease: Option<(Life, Timestamp)>,
    /// Refuses every request.
    pub down: bool,
    /// How many requests were answered.
    pub requests: usize,
}

impl FakeRedis {
    /// FLUSHALL, or a restart without persistence.
    pub fn flush(&mut self) {
        self.lease = None;
    }

    pub fn holder(&self, now: Timestamp) -> Option<Life> {
        self.lease.filter(|&(_, until)| now < until).map(|(life, _)| life)
    }

    pub fn acquire(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration) -> Event {
        self.answer(|lease| match lease.filter(|&(_, until)| now < until) {
            Some((holder, until)) if holder != life => Event::LeaseDenied { left: until.since(now) },
            _ => {
                *lease = Some((life, now + ttl));
                Event::LeaseGranted { sent }
            }
        })
    }

    pub fn renew(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration) -> Event {
        self.answer(|lease| match lease.filter(|&(_, until)| now < until) {
            Some((holder, _)) if holder == life => {
                *lease = Some((life, now + ttl));
                Event::LeaseGranted { sent }
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
