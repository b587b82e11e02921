//! The network between replicas and Redis: slow, lossy, or cut in one direction.

use std::time::Duration;

use crate::protocol::{Action, Election, Epoch, Event, Timestamp};

use super::driver::LATENCY;
use super::{Due, Life, World};

/// What becomes of one request and its reply.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Well,
    RequestLost,
    /// It is carried out, and nobody hears of it.
    ReplyLost,
    /// The reply comes twice, the second time so much later.
    Doubled(Duration),
    /// The reply comes so much later, also after the request was given up.
    Late(Duration),
}

impl Fate {
    /// How much later each reply comes; `None`: the request does not arrive.
    fn replies(self) -> Option<Vec<Duration>> {
        match self {
            Fate::Well => Some(vec![Duration::ZERO]),
            Fate::RequestLost => None,
            Fate::ReplyLost => Some(Vec::new()),
            Fate::Doubled(apart) => Some(vec![Duration::ZERO, apart]),
            Fate::Late(by) => Some(vec![by]),
        }
    }
}

/// What a replica's way to Redis lets through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    pub requests: bool,
    /// Replies and announcements.
    pub replies: bool,
}

impl Link {
    pub const WHOLE: Link = Link { requests: true, replies: true };
}

/// A request under way.
#[derive(Clone, Debug)]
pub(super) struct Request {
    life: Life,
    action: Action,
    sent: Timestamp,
    /// What is told with it.
    epoch: Option<Epoch>,
    replies: Vec<Duration>,
}

impl World {
    /// A request that is not answered within its limit is given up, and perhaps carried out all the same.
    pub(super) fn ask_redis(&mut self, life: Life, action: Action) {
        let replica = &self.replicas[life.0];
        let Election::Lease(times) = replica.machine.config().election() else {
            panic!("a lease is asked for where the guard elects");
        };
        let (limit, link, epoch) = (times.request_limit(), replica.link, replica.machine.epoch());
        let takes = self.redis.stalls.unwrap_or(LATENCY);
        let replica = &mut self.replicas[life.0];
        replica.has_asked = true;
        if action == Action::ReleaseLease {
            (replica.released, replica.releasing) = (self.now, replica.releasing + 1);
        }
        let carried_out = (self.fates)().replies().filter(|_| link.requests);
        let replies = carried_out.clone().unwrap_or_default();
        self.met.requests_cut += u64::from(!link.requests);
        self.met.replies_cut += u64::from(!link.replies && !replies.is_empty());
        self.met.stalled += u64::from(self.redis.stalls.is_some() && carried_out.is_some());
        let replies = if link.replies { replies } else { Vec::new() };
        let in_time = replies.first().is_some_and(|&later| takes + later + LATENCY <= limit);
        if !in_time && action != Action::ReleaseLease {
            self.deliver_in(limit, life, Event::LeaseUnreachable);
        }
        if carried_out.is_some() {
            let sent = self.now;
            self.schedule(sent + takes, Due::Redis(Request { life, action, sent, epoch, replies }));
        } else if action == Action::ReleaseLease {
            self.lose_release(life);
        }
    }

    pub(super) fn perform_on_redis(&mut self, request: Request) {
        let Request { life, action, sent, epoch, replies } = request;
        let Election::Lease(times) = self.replicas[life.0].machine.config().election() else { return };
        let (ttl, limit, before) = (times.ttl(), times.request_limit(), self.redis.holder(self.now));
        self.met.down += u64::from(self.redis.down);
        let is_release = action == Action::ReleaseLease;
        let answer = match action {
            Action::AcquireLease => Some(self.redis.acquire(self.now, life, sent, ttl)),
            Action::RenewLease => Some(self.redis.renew(self.now, life, sent, ttl, epoch)),
            _ if self.redis.down => {
                self.lose_release(life);
                None
            }
            _ => {
                self.replicas[life.0].releasing -= 1;
                if self.redis.release(self.now, life) {
                    self.announce_to_others(life);
                }
                None
            }
        };
        let after = self.redis.holder(self.now);
        self.referee.lease_changed_hands(life, &action, (before, after));
        if !is_release && after == Some(life) {
            let replica = &mut self.replicas[life.0];
            replica.strayed = self.now.since(sent) > limit || replica.released >= sent;
        }
        self.check_lease_left(life);
        let Some(answer) = answer else { return };
        for later in replies {
            self.deliver_in(LATENCY + later, life, answer.clone());
        }
    }

    /// It does not get through, or is refused.
    fn lose_release(&mut self, life: Life) {
        let replica = &mut self.replicas[life.0];
        (replica.strayed, replica.releasing) = (true, replica.releasing - 1);
    }

    /// P6: who has ended by itself has released its lease, or the release is under way; but if an outage swallowed it, or
    /// Redis does not know what it was told.
    pub(super) fn check_lease_left(&self, life: Life) {
        let replica = &self.replicas[life.0];
        if replica.outcome.is_some() && replica.releasing == 0 && !replica.strayed {
            let is_left = self.redis.holder(self.now) == Some(life);
            assert!(!is_left, "P6: it has ended, and its lease is left\n{}", self.referee.story());
        }
    }

    fn announce_to_others(&mut self, life: Life) {
        let others: Vec<Life> = self.living().filter(|&other| other != life).collect();
        if self.redis.mute {
            self.met.muted += u64::from(!others.is_empty());
            return;
        }
        for other in others {
            if self.replicas[other.0].link.replies {
                self.deliver_in(LATENCY, other, Event::Announced);
            } else {
                self.met.replies_cut += 1;
            }
        }
    }

    /// Cuts, or mends, a replica's way to Redis.
    pub fn set_link(&mut self, life: Life, link: Link) {
        self.referee.note(self.now, life, &format!("reaches Redis: {}, hears it: {}", link.requests, link.replies));
        self.replicas[life.0].link = link;
    }
}
