//! When Redis was silent, and towards whom: what explains that a replica gave up on it.

use std::time::Duration;

use crate::faults::{LINK_MENDED, LINK_QUICK, REDIS_GOES_ON, REDIS_HAS_MEMORY, REDIS_STARTED};
use crate::journal::Entry;
use crate::kind::Kind;

/// What mends everything, as a name in the journal.
pub(crate) const EVERYTHING: &str = "everything";

/// Whom a fault hits that hits all.
pub(crate) const ALL: &str = "all";

/// A replica that holds nothing asks once a second, and each request has a limit of its own: it need not notice that Redis was
/// there in between, nor that it is again.
const ASKED_EVERY: u64 = 1_500_000_000;

/// From giving up to the end of the process, which takes its last words along, on a busy machine.
const ENDING: u64 = 5_000_000_000;

/// What ends a silence.
#[derive(Debug)]
enum End {
    /// This one, when it is mended.
    Mended(&'static str),
    /// Redis itself, after a while.
    Passed,
}

#[derive(Debug)]
struct Silence {
    /// A replica, or [`ALL`].
    whom: String,
    from: u64,
    until: u64,
    end: End,
}

#[derive(Debug)]
pub(crate) struct Silences {
    /// How long a replica waits.
    wait: u64,
    silences: Vec<Silence>,
}

impl Silences {
    pub(crate) fn new(wait: Duration) -> Silences {
        Silences { wait: u64::try_from(wait.as_nanos()).expect("minutes"), silences: Vec::new() }
    }

    pub(crate) fn look_at(&mut self, kind: Kind, entry: &Entry) {
        let (end, until) = match kind {
            Kind::RedisEmptied => (End::Mended(REDIS_STARTED), u64::MAX),
            Kind::RedisFrozen => (End::Mended(REDIS_GOES_ON), u64::MAX),
            // It refuses whatever would take memory.
            Kind::LeaseEvicted => (End::Mended(REDIS_HAS_MEMORY), u64::MAX),
            Kind::CutToRedis | Kind::CutFromRedis | Kind::CutBoth => (End::Mended(LINK_MENDED), u64::MAX),
            Kind::SlowLink => (End::Mended(LINK_QUICK), u64::MAX),
            Kind::RedisPaused => {
                let millis: u64 = entry.detail.parse().expect("a pause tells its milliseconds");
                (End::Passed, entry.at + millis * 1_000_000)
            }
            Kind::RedisClockJump => return self.prolong_pauses(entry.at),
            _ => return,
        };
        let is_of_link = matches!(end, End::Mended(LINK_MENDED | LINK_QUICK));
        let whom = if is_of_link { entry.replica() } else { ALL };
        self.silences.push(Silence { whom: whom.to_owned(), from: entry.at, until, end });
    }

    /// A server whose clock is put back in a pause pauses for as much longer.
    fn prolong_pauses(&mut self, at: u64) {
        let pauses =
            self.silences.iter_mut().filter(|silence| matches!(silence.end, End::Passed) && silence.until > at);
        pauses.for_each(|silence| silence.until = u64::MAX);
    }

    /// One that is mended ends one that was broken so.
    pub(crate) fn look_at_heal(&mut self, entry: &Entry) {
        if entry.name == EVERYTHING {
            // But a pause that ends by itself: nobody cuts that short.
            let healed = self.silences.iter_mut().filter(|silence| silence.until == u64::MAX);
            healed.for_each(|silence| silence.until = entry.at);
            return;
        }
        let ended = self.silences.iter_mut().find(|silence| {
            let is_so = matches!(silence.end, End::Mended(word) if word == entry.name);
            is_so && silence.until == u64::MAX && (silence.whom == ALL || silence.whom == entry.replica())
        });
        if let Some(silence) = ended {
            silence.until = entry.at;
        }
    }

    /// Whether this replica may have given up on Redis when it ended. Silences with little in between are one.
    pub(crate) fn explain(&self, exit: &Entry) -> bool {
        let is_heard = |silence: &&Silence| silence.whom == ALL || silence.whom == exit.replica();
        let mut heard: Vec<&Silence> = self.silences.iter().filter(is_heard).collect();
        heard.sort_by_key(|silence| silence.from);
        let mut whole: Option<(u64, u64)> = None;
        heard.into_iter().any(|silence| {
            let begun = whole.filter(|(_, until)| silence.from <= until.saturating_add(ASKED_EVERY));
            let (from, until) =
                begun.map_or((silence.from, silence.until), |(from, until)| (from, until.max(silence.until)));
            whole = Some((from, until));
            let has_lasted = until.min(exit.at).saturating_sub(from) + ASKED_EVERY >= self.wait;
            has_lasted && exit.at >= from + self.wait && exit.at <= until.saturating_add(ENDING)
        })
    }
}
