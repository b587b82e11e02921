//! Every transition of the diagram on `protocol::Machine`: each has to happen somewhere, and no other may.

use bellwether::protocol::{ClaimStage, Machine, Outcome, Role, Why};
use stateright::Property;

use super::Space;
use super::state::State;

/// A machine went a way that is not in the list.
const UNLISTED: &str = "every transition is listed";

/// Seen was one that is not.
const ELSEWHERE: u128 = 1 << 127;

macro_rules! transitions {
    ($($from:literal => $to:literal,)*) => {
        /// From, to, and both for people.
        pub(crate) const TRANSITIONS: &[(&str, &str, &str)] = &[$(($from, $to, concat!($from, " → ", $to)),)*];
    };
}

transitions! {
    "Following" => "Claiming(Look)",
    "Claiming" => "Counting",
    "Claiming" => "Looking",
    "Claiming" => "Open",
    "Claiming" => "Retracting",
    "Claiming(Epoch)" => "Claiming(Sweep)",
    "Claiming(Epoch)" => "Ended(Stopped)",
    "Claiming(Epoch)" => "Ended(VolumeFailed)",
    "Claiming(Epoch)" => "Winding(GuardLost)",
    "Claiming(Epoch)" => "Winding(LeaseLost)",
    "Claiming(Epoch)" => "Winding(Stop)",
    "Claiming(Look)" => "Claiming(Epoch)",
    "Claiming(Look)" => "Claiming(Revision)",
    "Claiming(Look)" => "Ended(GuardLost)",
    "Claiming(Look)" => "Ended(HandOff)",
    "Claiming(Look)" => "Ended(StepFailed)",
    "Claiming(Look)" => "Ended(Stopped)",
    "Claiming(Look)" => "Ended(VolumeFailed)",
    "Claiming(Look)" => "Following",
    "Claiming(Look)" => "Holding",
    "Claiming(Look)" => "Winding(LeaseLost)",
    "Claiming(Revision)" => "Claiming(Epoch)",
    "Claiming(Revision)" => "Ended(Stopped)",
    "Claiming(Revision)" => "Ended(VolumeFailed)",
    "Claiming(Revision)" => "Winding(GuardLost)",
    "Claiming(Revision)" => "Winding(LeaseLost)",
    "Claiming(Revision)" => "Winding(Stop)",
    "Claiming(Sweep)" => "Ended(Stopped)",
    "Claiming(Sweep)" => "Ended(VolumeFailed)",
    "Claiming(Sweep)" => "Following",
    "Claiming(Sweep)" => "Leading",
    "Claiming(Sweep)" => "Winding(Failed)",
    "Claiming(Sweep)" => "Winding(GuardLost)",
    "Claiming(Sweep)" => "Winding(LeaseLost)",
    "Claiming(Sweep)" => "Winding(Ready)",
    "Claiming(Sweep)" => "Winding(Stop)",
    "Committing" => "Done",
    "Committing" => "Retracting",
    "Counting" => "Retracting",
    "Counting" => "Running",
    "Following" => "Ended(HandOff)",
    "Following" => "Ended(NeedsUnmet)",
    "Following" => "Ended(StepFailed)",
    "Following" => "Ended(Stopped)",
    "Following" => "Ended(VolumeFailed)",
    "Following" => "Holding",
    "Holding" => "Following",
    "Leading" => "Ended(GuardLost)",
    "Leading" => "Ended(Stopped)",
    "Leading" => "Ended(VolumeFailed)",
    "Leading" => "Following",
    "Leading" => "Winding(Failed)",
    "Leading" => "Winding(Fault)",
    "Leading" => "Winding(GuardLost)",
    "Leading" => "Winding(LeaseLost)",
    "Leading" => "Winding(Ready)",
    "Leading" => "Winding(Stop)",
    "Leading" => "Winding(Superseded)",
    "Looking" => "Counting",
    "Looking" => "Retracting",
    "Open" => "Claiming",
    "Open" => "Done",
    "Open" => "Exhausted",
    "Retracting" => "Claiming",
    "Retracting" => "Exhausted",
    "Retracting" => "Open",
    "Running" => "Committing",
    "Running" => "Retracting",
    "Winding(Failed)" => "Ended(StepFailed)",
    "Winding(Failed)" => "Holding",
    "Winding(Failed)" => "Winding(Stop)",
    "Winding(Fault)" => "Ended(VolumeFailed)",
    "Winding(Fault)" => "Winding(GuardLost)",
    "Winding(GuardLost)" => "Ended(GuardLost)",
    "Winding(LeaseLost)" => "Following",
    "Winding(Ready)" => "Ended(HandOff)",
    "Winding(Ready)" => "Ended(Stopped)",
    "Winding(Ready)" => "Ended(VolumeFailed)",
    "Winding(Ready)" => "Following",
    "Winding(Ready)" => "Winding(GuardLost)",
    "Winding(Ready)" => "Winding(LeaseLost)",
    "Winding(Ready)" => "Winding(Stop)",
    "Winding(Stop)" => "Ended(Stopped)",
    "Winding(Superseded)" => "Following",
}

/// What is looked at before and after an event.
pub(crate) struct Look {
    role: &'static str,
    phases: Vec<&'static str>,
}

impl Look {
    pub(crate) fn at(machine: &Machine) -> Look {
        Look { role: role(machine.role()), phases: machine.phases().collect() }
    }

    /// The transitions that lead to `later`, by their places in the list.
    pub(crate) fn changes(&self, later: &Look) -> u128 {
        // What a leadership leaves behind is forgotten with it.
        let leads = later.role == "Leading" || later.role.starts_with("Winding");
        let phases = self.phases.iter().zip(&later.phases).filter(|_| leads);
        let changed = phases.chain([(&self.role, &later.role)]).filter(|(from, to)| from != to);
        let places = changed.map(|(from, to)| TRANSITIONS.iter().position(|&(f, t, _)| (f, t) == (*from, *to)));
        places.fold(0, |seen, place| seen | place.map_or(ELSEWHERE, |place| 1 << place))
    }
}

pub(crate) fn role(role: &Role) -> &'static str {
    match role {
        Role::Following => "Following",
        Role::Claiming(ClaimStage::Looking) => "Claiming(Look)",
        Role::Claiming(ClaimStage::Revision) => "Claiming(Revision)",
        Role::Claiming(ClaimStage::Epoch) => "Claiming(Epoch)",
        Role::Claiming(ClaimStage::Sweep) => "Claiming(Sweep)",
        Role::Leading => "Leading",
        Role::Winding(Why::Ready) => "Winding(Ready)",
        Role::Winding(Why::Failed(_)) => "Winding(Failed)",
        Role::Winding(Why::LeaseLost) => "Winding(LeaseLost)",
        Role::Winding(Why::Superseded) => "Winding(Superseded)",
        Role::Winding(Why::Stop) => "Winding(Stop)",
        Role::Winding(Why::Fault(_)) => "Winding(Fault)",
        Role::Winding(Why::GuardLost) => "Winding(GuardLost)",
        Role::Holding => "Holding",
        Role::Ended(outcome) => ended(outcome),
    }
}

fn ended(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::HandOff => "Ended(HandOff)",
        Outcome::StepFailed => "Ended(StepFailed)",
        Outcome::Stopped => "Ended(Stopped)",
        Outcome::GaveUp => "Ended(GaveUp)",
        Outcome::NeedsUnmet => "Ended(NeedsUnmet)",
        Outcome::RedisUnavailable => "Ended(RedisUnavailable)",
        Outcome::DowngradeRefused { .. } => "Ended(DowngradeRefused)",
        Outcome::VolumeFailed(_) => "Ended(VolumeFailed)",
        Outcome::GuardLost => "Ended(GuardLost)",
    }
}

fn saw<const PLACE: usize>(_: &Space, state: &State) -> bool {
    state.seen & (1 << PLACE) != 0
}

macro_rules! each {
    ($($place:literal)*) => { [$(saw::<$place>,)*] };
}

/// One for each place in the list: a property cannot carry anything.
const SAW: [fn(&Space, &State) -> bool; 110] = each!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
    40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77
    78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109
);

pub(crate) fn properties() -> impl Iterator<Item = Property<Space>> {
    let listed = Property::always(UNLISTED, |_: &Space, state: &State| state.seen & ELSEWHERE == 0);
    let seen = TRANSITIONS.iter().zip(SAW).map(|(&(.., name), saw)| Property::sometimes(name, saw));
    seen.chain([listed])
}
