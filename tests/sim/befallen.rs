//! Which incidents have befallen anybody: one that nobody met is none.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bellwether::protocol::Timestamp;
use bellwether::test_util::world::Met;

use crate::story::Kind;

/// How many requests each kind of weather has met.
pub(crate) type Hits = Rc<RefCell<BTreeMap<Kind, u64>>>;

/// Something that lasts and that nobody has met yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    /// How often somebody had met such a thing before.
    before: u64,
    ends: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Befallen {
    pub(crate) counts: BTreeMap<Kind, u64>,
    pub(crate) hits: Hits,
    open: Vec<Open>,
}

impl Befallen {
    pub(crate) fn count(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Something begins that lasts.
    pub(crate) fn begin(&mut self, kind: Kind, ends: Timestamp, met: &Met) {
        self.open.push(Open { kind, before: self.met(kind, met), ends });
    }

    /// Counts what somebody has met since, and forgets what has ended without.
    pub(crate) fn look(&mut self, now: Timestamp, met: &Met) {
        for open in std::mem::take(&mut self.open) {
            if self.met(open.kind, met) > open.before {
                self.count(open.kind);
            } else if open.ends > now {
                self.open.push(open);
            }
        }
    }

    fn met(&self, kind: Kind, met: &Met) -> u64 {
        match kind {
            Kind::RedisDown => met.down,
            Kind::Stall => met.stalled,
            Kind::CutRequests => met.requests_cut,
            Kind::CutReplies => met.replies_cut,
            Kind::Mute => met.muted,
            Kind::Full => met.full,
            Kind::Broken => met.broken,
            Kind::Slow => met.slow,
            Kind::BeatsLate => met.late_beats,
            Kind::NeedsUnmet => met.needs_unmet,
            weather => self.hits.borrow().get(&weather).copied().unwrap_or(0),
        }
    }
}
