//! What is done to a volume, by chance.

use crate::chance::Chance;
use crate::volume::STEPS;

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Look,
    /// An epoch above `number`.
    Allot,
    Append,
    /// From the claims seen last, from none, or from the epoch `number`.
    Claim,
    Beat,
    Commit,
    Retract,
    /// `number` attempts.
    Count,
    Close,
    RetireStep,
    RetireForeign,
    Ready,
    Failed,
    Reset,
    Sweep,
    /// By a person.
    RemoveMarker,
    /// Its writer has been silent.
    Age,
}

/// By a replica, of a revision, to a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) what: What,
    pub(crate) replica: usize,
    pub(crate) of: usize,
    pub(crate) step: usize,
    pub(crate) number: u64,
}

/// Each as often as it stands here.
const ODDS: [What; 34] = [
    What::Look,
    What::Look,
    What::Look,
    What::Look,
    What::Allot,
    What::Allot,
    What::Append,
    What::Claim,
    What::Claim,
    What::Claim,
    What::Claim,
    What::Claim,
    What::Claim,
    What::Claim,
    What::Beat,
    What::Beat,
    What::Commit,
    What::Commit,
    What::Commit,
    What::Retract,
    What::Retract,
    What::Count,
    What::Count,
    What::Close,
    What::Close,
    What::RetireStep,
    What::RetireForeign,
    What::Ready,
    What::Failed,
    What::Reset,
    What::Sweep,
    What::RemoveMarker,
    What::Age,
    What::Age,
];

/// Revisions there are; only the last of many are pruned.
pub(crate) const REVISIONS: usize = 8;

pub(crate) fn choose(chance: &mut Chance) -> Operation {
    let mut below = |limit: usize| usize::try_from(chance.below(limit as u64)).unwrap();
    let of = if below(3) > 0 { 1 + below(2) } else { 1 + below(REVISIONS) };
    let (replica, step, number) = (below(3), below(STEPS.len()), below(12) as u64);
    Operation { what: chance.of(&ODDS), replica, of, step, number }
}
