//! A step's record in memory, with the same memory of other revisions as the real one.

use std::time::Duration;

use crate::protocol::{LastEnd, RecordView, Revision, Timestamp};

/// The counts of so many other revisions are kept beside those of the last.
const KEPT: usize = 6;

/// However clocks have jumped, nobody waits longer than this for the next attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What is counted for one revision.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Counts {
    pub(super) rev: Revision,
    pub(super) attempts: u32,
    pub(super) not_before: Timestamp,
    pub(super) deferred: Duration,
    pub(super) for_good: bool,
}

impl Counts {
    fn is_blank(&self) -> bool {
        self.attempts == 0 && self.deferred.is_zero() && self.not_before == Timestamp::ZERO && !self.for_good
    }
}

/// A record as it stands on the volume.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Kept {
    last: Counts,
    end: LastEnd,
    /// Other revisions, the latest first.
    earlier: Vec<Counts>,
}

impl Kept {
    /// The record that follows `before`: what that one counted for other revisions is kept.
    pub(super) fn after(before: Option<Kept>, last: Counts, end: LastEnd) -> Kept {
        let counted = before.into_iter().flat_map(|before| std::iter::once(before.last).chain(before.earlier));
        let mut earlier: Vec<Counts> = counted.filter(|counts| counts.rev != last.rev && !counts.is_blank()).collect();
        earlier.truncate(KEPT);
        Kept { last, end, earlier }
    }

    /// The revision that wrote it.
    pub(super) fn rev(&self) -> &Revision {
        &self.last.rev
    }

    pub(super) fn attempts_and_end(&self) -> (u32, LastEnd) {
        (self.last.attempts, self.end)
    }

    pub(super) fn view(&self, now: Timestamp, rev: &Revision) -> RecordView {
        let counts = std::iter::once(&self.last).chain(&self.earlier).find(|counts| counts.rev == *rev);
        counts.map_or(RecordView { last_end: self.end, ..RecordView::BLANK }, |counts| RecordView {
            attempts: counts.attempts,
            wait: counts.not_before.since(now).min(LONGEST_WAIT),
            deferred: counts.deferred,
            for_good: counts.for_good,
            last_end: self.end,
        })
    }

    /// The same in a time that is `back` earlier, where it is `now`.
    pub(super) fn move_back(&mut self, back: Duration, now: Timestamp) {
        for counts in std::iter::once(&mut self.last).chain(&mut self.earlier) {
            counts.not_before = counts.not_before - back;
            if counts.not_before <= now {
                counts.not_before = Timestamp::ZERO;
            }
        }
    }

    /// Forgets what it says of a revision. Returns whether nothing is left that is worth keeping.
    pub(super) fn forget(&mut self, rev: &Revision) -> bool {
        self.earlier.retain(|counts| counts.rev != *rev);
        self.last.rev == *rev
    }
}
