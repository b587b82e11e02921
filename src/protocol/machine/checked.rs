//! What a model checker needs of a machine besides its events: its phases by name, and time that does not grow.
//!
//! A machine compares moments with each other and never with anything else, so moving all of them by the same span
//! changes nothing. What lies so far back that every comparison with it has been decided is put at one place. So states
//! that differ only in *when* they happen are one state.

use std::time::Duration;

use super::{BETWEEN_ANNOUNCED, COMPLAIN_EVERY, Machine, Phase, Role};
use crate::protocol::staleness::occupants;
use crate::protocol::time::Timestamp;

/// Notices are put off for so long: when something is said decides nothing.
const NEVER: Duration = Duration::from_secs(1_000_000);

/// Moves `at` by `back` into the past, but not before `floor`. Zero stands for "no such moment" and stays.
fn shift(at: &mut Timestamp, back: Duration, floor: Timestamp) {
    if *at != Timestamp::ZERO {
        *at = (*at - back).max(floor);
    }
}

#[doc(hidden)]
impl Machine {
    /// The phases of all steps, as the diagram calls them.
    pub fn phases(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|state| match state.phase {
            Phase::Open { .. } => "Open",
            Phase::Claiming => "Claiming",
            Phase::Looking { .. } => "Looking",
            Phase::Counting => "Counting",
            Phase::Running { .. } => "Running",
            Phase::Committing => "Committing",
            Phase::Retracting(_) => "Retracting",
            Phase::Done => "Done",
            Phase::Exhausted => "Exhausted",
        })
    }

    /// Until when it counts on the lease.
    pub fn lease_until(&self) -> Option<Timestamp> {
        self.lease.valid_until()
    }

    /// Says nothing any more by the clock. `now`: when it was handed an event last.
    pub fn hush(&mut self, now: Timestamp) {
        self.note_at = now + NEVER;
        self.full_note_at = now + NEVER + COMPLAIN_EVERY;
        self.deadline = self.deadline_after(now);
    }

    /// The same machine in a time that is `back` earlier, where it is `now`. Nothing lies before `floor`, which is longer
    /// ago than any marker may be silent and any answer of Redis may be late.
    pub fn move_back(&mut self, back: Duration, now: Timestamp, floor: Timestamp) {
        self.born = Timestamp::ZERO;
        shift(&mut self.looks.last, back, floor);
        let has_occupants = self.view.as_ref().is_some_and(|view| occupants(view).next().is_some());
        if self.role != Role::Following && !has_occupants {
            // Nobody is judged by it, and a follower looks anew.
            self.looks.last = floor;
        }
        let times = [&mut self.looks.next, &mut self.retry_at, &mut self.deadline];
        for at in times.into_iter().flatten() {
            shift(at, back, floor);
        }
        for at in [&mut self.note_at, &mut self.full_note_at] {
            *at = now + NEVER;
        }
        self.deadline = self.deadline.map(|at| if at > now + NEVER / 2 { now + NEVER } else { at });
        shift(&mut self.announced_at, back, floor);
        if self.announced_at + BETWEEN_ANNOUNCED <= now {
            self.announced_at = Timestamp::ZERO;
        }
        self.lease.move_back(&|at| shift(at, back, floor));
        let oldest = self.looks.last - now.since(floor);
        self.watches.move_back(&|at| shift(at, back, oldest), &|stamp| stamp.move_back(back, floor));
        if let Some(view) = &mut self.view {
            view.move_back(back, floor);
        }
        for state in &mut self.steps {
            if let Phase::Open { not_before } = &mut state.phase {
                shift(not_before, back, floor);
                if *not_before <= now {
                    *not_before = Timestamp::ZERO;
                }
            }
            if let Phase::Running { until: Some(until), .. } = &mut state.phase {
                shift(until, back, floor);
            }
            for at in [&mut state.beat_at, &mut state.retry_at].into_iter().flatten() {
                shift(at, back, floor);
            }
        }
    }
}
