//! One key with an expiry, and a network that may fail.

use std::time::Duration;

use crate::protocol::mutant::{self, Mutant};
use crate::protocol::{Epoch, Event, Timestamp};

use super::Life;

/// What is told of a lease that has no end.
const ENDLESS: Duration = Duration::from_secs(5);

/// What stands in the lease's key.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Key {
    #[default]
    Free,
    /// A replica's lease, or a text of somebody who is none of ours; perhaps without an end.
    Held { by: Option<Life>, until: Option<Timestamp> },
    /// Something that is no text.
    Spoiled,
}

impl Key {
    /// What is left of it now.
    fn at(self, now: Timestamp) -> Key {
        match self {
            Key::Held { until: Some(until), .. } if until <= now => Key::Free,
            key => key,
        }
    }
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own, and none excludes another")]
pub struct FakeRedis {
    lease: Key,
    /// The highest epoch it was told.
    pub epoch: Epoch,
    /// What a replica of it last saw, with whether the epoch was spoiled: where a failover leads to.
    copy: (Key, Epoch, bool),
    /// Refuses every request.
    pub down: bool,
    /// Refuses to write.
    pub read_only: bool,
    /// Whether something that is no text stands in the epoch's key.
    pub epoch_is_spoiled: bool,
    /// Carries requests out so much later.
    pub stalls: Option<Duration>,
    /// Announces nothing.
    pub mute: bool,
    /// How many requests were answered.
    pub requests: usize,
}

impl FakeRedis {
    /// The same in a time that is `back` earlier, where it is `now`.
    pub fn move_back(&mut self, back: Duration, now: Timestamp) {
        for lease in [&mut self.lease, &mut self.copy.0] {
            if let Key::Held { until: Some(until), .. } = lease {
                *until = *until - back;
            }
            *lease = lease.at(now);
        }
        self.requests = 0;
    }

    /// FLUSHALL, or a restart without persistence.
    pub fn flush(&mut self) {
        self.lease = Key::Free;
        self.epoch = Epoch(0);
        self.epoch_is_spoiled = false;
    }

    /// The copy that a failover will lead to is made now.
    pub fn replicate(&mut self) {
        self.copy = (self.lease, self.epoch, self.epoch_is_spoiled);
    }

    /// The copy takes over: what was written since it was made is forgotten.
    pub fn fail_over(&mut self) {
        (self.lease, self.epoch, self.epoch_is_spoiled) = self.copy;
    }

    /// The clock of the lease's expiry jumps ahead. What has run out by that is gone, also if the clock is put back.
    pub fn jump_ahead(&mut self, now: Timestamp, by: Duration) {
        self.move_end(now, |until| until - by);
    }

    /// The clock of the lease's expiry jumps back.
    pub fn jump_back(&mut self, now: Timestamp, by: Duration) {
        self.move_end(now, |until| until + by);
    }

    /// PEXPIRE: whatever stands there ends then.
    pub fn expire_at(&mut self, at: Timestamp) {
        if let Key::Held { until, .. } = &mut self.lease {
            *until = Some(at);
        }
    }

    /// Somebody writes something else into the lease's key.
    pub fn put(&mut self, key: Key) {
        self.lease = key;
    }

    fn move_end(&mut self, now: Timestamp, to: impl FnOnce(Timestamp) -> Timestamp) {
        self.lease = self.key(now);
        if let Key::Held { until: Some(until), .. } = &mut self.lease {
            *until = to(*until);
        }
        self.lease = self.key(now);
    }

    /// What stands in the lease's key now.
    pub fn key(&self, now: Timestamp) -> Key {
        self.lease.at(now)
    }

    /// Until when this life has the lease.
    pub fn until(&self, now: Timestamp, life: Life) -> Option<Timestamp> {
        match self.key(now) {
            Key::Held { by, until } if by == Some(life) => until,
            _ => None,
        }
    }

    pub fn holder(&self, now: Timestamp) -> Option<Life> {
        match self.key(now) {
            Key::Held { by, .. } => by,
            Key::Free | Key::Spoiled => None,
        }
    }

    pub fn acquire(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration) -> Event {
        if self.down {
            return Event::LeaseUnreachable;
        }
        self.requests += 1;
        match self.key(now) {
            Key::Spoiled => Event::LeaseUnreachable,
            Key::Held { by, until } if by != Some(life) || mutant::is(Mutant::AcquireNotIdempotent) => {
                // Everybody here asks for the same time, and nobody's lease lasts longer than what it asks for.
                let is_too_long = by.is_some() && until.is_some_and(|until| until > now + ttl);
                if is_too_long && self.read_only {
                    return Event::LeaseUnreachable;
                }
                let until = if is_too_long { Some(now + ttl) } else { until };
                self.lease = Key::Held { by, until };
                Event::LeaseDenied { sent, left: until.map_or(ENDLESS, |until| until.since(now)) }
            }
            Key::Held { .. } | Key::Free => self.grant(life, sent, now + ttl, None),
        }
    }

    pub fn renew(&mut self, now: Timestamp, life: Life, sent: Timestamp, ttl: Duration, own: Option<Epoch>) -> Event {
        if self.down {
            return Event::LeaseUnreachable;
        }
        self.requests += 1;
        match self.key(now) {
            Key::Spoiled => Event::LeaseUnreachable,
            Key::Held { by, .. } if by == Some(life) => self.grant(life, sent, now + ttl, own),
            Key::Free if mutant::is(Mutant::RenewCreates) => self.grant(life, sent, now + ttl, own),
            Key::Held { .. } | Key::Free => Event::LeaseNotMine,
        }
    }

    fn grant(&mut self, life: Life, sent: Timestamp, until: Timestamp, own: Option<Epoch>) -> Event {
        if self.epoch_is_spoiled || self.read_only {
            return Event::LeaseUnreachable;
        }
        self.lease = Key::Held { by: Some(life), until: Some(until) };
        self.epoch = self.epoch.max(own.unwrap_or_default());
        Event::LeaseGranted { sent, epoch: self.epoch }
    }

    /// Whether a release was announced.
    pub fn release(&mut self, now: Timestamp, life: Life) -> bool {
        let own = self.holder(now) == Some(life) || mutant::is(Mutant::ReleaseDeletesAnothers);
        if self.down || self.read_only && own {
            return false;
        }
        if own {
            self.lease = Key::Free;
        }
        true
    }
}
