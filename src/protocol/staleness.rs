//! Who is silent, and for how long: observed time on the local clock, never a remote clock's word.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::Trust;
use super::mutant::{self, Mutant};
use super::names::Revision;
use super::plan::StepId;
use super::time::Timestamp;
use super::view::{Occupant, Stamp, View};

/// Whose silence is measured.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Watched {
    /// A step of our plan in our revision.
    Own(StepId),
    /// Another revision's step, or one we do not know.
    Foreign(String, Revision),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Watch {
    stamp: Option<Stamp>,
    since: Timestamp,
}

/// What this replica has watched so far. Lives as long as the replica, whatever its role.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Watches {
    watches: BTreeMap<Watched, Watch>,
    changed: bool,
}

/// How to judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// STEP_STALE_SECS.
    pub(super) stale_after: Duration,
    /// Whether we hold a guard that is trusted: then the marker's age on the volume's clock is enough as well, since
    /// the guard gives safety and the age is courtesy.
    pub(super) guarded: bool,
    /// Now.
    pub(super) now: Timestamp,
}

impl Judge {
    /// A judge for a replica that holds the guard or not.
    pub(super) fn new(stale_after: Duration, trust: Trust, holds_guard: bool, now: Timestamp) -> Judge {
        let guarded = holds_guard && trust == Trust::Trusted || mutant::is(Mutant::StalenessByRemoteClock);
        Judge { stale_after, guarded, now }
    }
}

/// Everybody whose work is unfinished, of our plan and revision or not.
pub(super) fn occupants(view: &View) -> impl Iterator<Item = (Watched, &Occupant)> {
    let own = view.steps.iter().enumerate();
    let own = own.filter_map(|(id, step)| Some((Watched::Own(StepId(id)), step.occupant.as_ref()?)));
    let foreign = view.foreign.iter().map(|f| (Watched::Foreign(f.step.clone(), f.rev.clone()), &f.occupant));
    own.chain(foreign)
}

impl Watches {
    /// Takes in a look. Whoever is not in it any more is forgotten.
    pub(super) fn observe(&mut self, now: Timestamp, view: &View) {
        let seen: BTreeMap<Watched, Watch> = occupants(view)
            .map(|(who, occupant)| {
                let stamp = occupant.stamp;
                let known = self.watches.get(&who).filter(|watch| watch.stamp == stamp);
                (who, Watch { stamp, since: known.map_or(now, |watch| watch.since) })
            })
            .collect();
        self.changed = seen != self.watches;
        self.watches = seen;
    }

    /// Whether the last look showed any beat, arrival or departure since the one before.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Moves every moment; see [`Machine::move_back`](super::Machine::move_back).
    #[cfg(feature = "test-util")]
    pub(super) fn move_back(&mut self, shift: &dyn Fn(&mut Timestamp), stamp: &dyn Fn(&mut Stamp)) {
        for watch in self.watches.values_mut() {
            shift(&mut watch.since);
            watch.stamp.iter_mut().for_each(stamp);
        }
    }

    /// When `occupant` will be stale if it stays silent; a moment not after `judge.now` means it is stale.
    ///
    /// Without a marker there is nobody to be courteous to: under a trusted guard a bare claim is stale at once.
    pub(super) fn stale_at(&self, who: &Watched, occupant: &Occupant, judge: &Judge) -> Timestamp {
        let limit = occupant.limit(judge.stale_after);
        let since = self.watches.get(who).map_or(judge.now, |watch| watch.since);
        let watched = since + limit;
        if !judge.guarded {
            return watched;
        }
        match (occupant.stamp, occupant.age) {
            (None, _) => judge.now,
            (Some(_), Some(age)) => watched.min(judge.now + limit.saturating_sub(age)),
            (Some(_), None) => watched,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::names::Epoch;

    const STALE: Duration = Duration::from_secs(6);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn occupant(mtime: Option<i128>, age: Option<u64>) -> Occupant {
        Occupant {
            claims: vec![Epoch(1)],
            stamp: mtime.map(|mtime| Stamp { inode: 7, mtime }),
            age: age.map(Duration::from_secs),
            beat_every: None,
        }
    }

    fn view(occupant: Occupant) -> View {
        let mut view = View::blank(1);
        view.steps[0].occupant = Some(occupant);
        view
    }

    fn stale_at(watches: &Watches, occupant: &Occupant, now: Timestamp, guarded: bool) -> Timestamp {
        watches.stale_at(&Watched::Own(StepId(0)), occupant, &Judge { stale_after: STALE, guarded, now })
    }

    #[test]
    fn silence_is_counted_from_the_first_look_that_showed_the_same_stamp() {
        let mut watches = Watches::default();
        watches.observe(at(10), &view(occupant(Some(1), None)));
        watches.observe(at(12), &view(occupant(Some(1), None)));
        assert_eq!(stale_at(&watches, &occupant(Some(1), None), at(12), false), at(16));
        watches.observe(at(15), &view(occupant(Some(2), None)));
        assert_eq!(stale_at(&watches, &occupant(Some(2), None), at(15), false), at(21), "a beat starts it anew");
    }

    #[test]
    fn the_age_on_the_volume_counts_only_under_a_trusted_guard() {
        let mut watches = Watches::default();
        let old = occupant(Some(1), Some(3600));
        watches.observe(at(10), &view(old.clone()));
        assert_eq!(stale_at(&watches, &old, at(10), true), at(10));
        assert_eq!(stale_at(&watches, &old, at(10), false), at(16));
        assert_eq!(stale_at(&watches, &occupant(Some(1), Some(4)), at(10), true), at(12));
    }

    #[test]
    fn a_bare_claim_is_stale_at_once_under_a_trusted_guard_and_watched_without() {
        let mut watches = Watches::default();
        watches.observe(at(10), &view(occupant(None, None)));
        assert_eq!(stale_at(&watches, &occupant(None, None), at(10), true), at(10));
        assert_eq!(stale_at(&watches, &occupant(None, None), at(10), false), at(16));
    }

    #[test]
    fn a_writer_that_beats_more_slowly_is_given_three_beats() {
        let mut watches = Watches::default();
        let slow = Occupant { beat_every: Some(Duration::from_secs(10)), ..occupant(Some(1), None) };
        watches.observe(at(0), &view(slow.clone()));
        assert_eq!(stale_at(&watches, &slow, at(0), false), at(30));
    }
}
