//! What is done to a volume, by chance, by somebody who can.

use bellwether::protocol::{Epoch, Revision};

use super::normal::Normal;
use super::pretended::Pretended;
use crate::chance::Chance;
use crate::draw::{draw, draw_story, find_scene};
use crate::tally::IDLE;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Look,
    /// An epoch above `number`.
    Allot,
    Append,
    /// From nobody.
    Claim,
    /// From the claims seen last.
    TakeOver,
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
    /// One step, or all.
    Reset,
    Sweep,
    /// By a person.
    RemoveMarker,
    /// By an entrypoint that knows no claims.
    ReplaceMarker,
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

impl Operation {
    /// One step, or all.
    pub(crate) fn to_reset(self) -> impl Iterator<Item = usize> {
        let all = self.number.is_multiple_of(3);
        let step = self.step;
        (0..STEPS.len()).filter(move |&other| all || other == step)
    }
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Done,
    /// It is another's, it has changed since it was seen, or it is refused.
    Lost,
    /// There is nothing to do it to.
    Absent,
    Looked(Box<Normal>),
    Allotted(Epoch),
    Listed(Vec<Revision>),
    Refreshed,
    Rewritten,
    Replaced,
}

impl Answer {
    pub(crate) fn of(done: bool) -> Answer {
        if done { Answer::Done } else { Answer::Lost }
    }

    /// Without what it tells.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Answer::Done | Answer::Allotted(_) | Answer::Listed(_) => "Done",
            Answer::Lost => "Lost",
            Answer::Absent | Answer::Looked(_) => IDLE,
            Answer::Refreshed => "Refreshed",
            Answer::Rewritten => "Rewritten",
            Answer::Replaced => "Replaced",
        }
    }
}

pub(crate) const STEPS: [&str; 3] = ["site", "migrate", "assets"];
const REPLICAS: usize = 3;

/// Where there is work; the others only stand in the list, so that markers are pruned.
const WORKING_REVISIONS: usize = 2;
const REVISIONS: usize = 8;

const LENGTH: usize = 120;

const DONE: &[&str] = &["Done"];

/// Each as often as it stands here.
const ODDS: &[(What, u64)] = &[
    (What::Look, 1),
    (What::Allot, 1),
    (What::Append, 1),
    (What::Claim, 6),
    (What::TakeOver, 14),
    (What::Beat, 18),
    (What::Commit, 9),
    (What::Retract, 3),
    (What::Count, 1),
    (What::Close, 2),
    (What::RetireStep, 4),
    (What::RetireForeign, 4),
    (What::Ready, 5),
    (What::Failed, 1),
    (What::Reset, 1),
    (What::Sweep, 4),
    (What::RemoveMarker, 1),
    (What::ReplaceMarker, 1),
    (What::Age, 2),
];

/// The operations of a seed, played on a fake volume meanwhile.
pub(crate) fn operations(seed: u64) -> Vec<Operation> {
    draw_story(seed, LENGTH, scene, |stage: &mut Pretended, operation| {
        stage.perform(operation);
    })
}

fn scene(chance: &mut Chance, stage: &Pretended) -> Vec<Operation> {
    let what = draw(chance, ODDS);
    let wanted = wanted(chance, what);
    let first = preparation(what, wanted);
    let prepare = |operation| first.map(|what| Operation { what, ..operation });
    let any = |chance: &mut Chance| any(chance, what);
    find_scene(chance, any, prepare, |scene| stage.foresees(scene, wanted))
}

/// What makes somebody able to, if nobody is.
fn preparation(what: What, wanted: &[&str]) -> Option<What> {
    match what {
        What::TakeOver | What::RetireStep | What::RetireForeign if wanted == DONE => Some(What::Look),
        What::Beat if wanted == ["Rewritten"] => Some(What::RemoveMarker),
        What::Beat if wanted == ["Replaced"] => Some(What::ReplaceMarker),
        What::Beat if wanted == ["Refreshed"] => Some(What::Claim),
        What::Commit | What::Retract if wanted == DONE => Some(What::Claim),
        What::Claim => Some(What::Allot),
        _ => None,
    }
}

/// What this operation is to come to: four times in five to what it is for.
fn wanted(chance: &mut Chance, what: What) -> &'static [&'static str] {
    match what {
        What::Look => &[IDLE],
        _ if chance.one_in(5) => &["Lost", IDLE],
        What::Beat => chance.of(&[&["Refreshed"], &["Rewritten"], &["Replaced"]]),
        _ => DONE,
    }
}

fn any(chance: &mut Chance, what: What) -> Operation {
    let revisions = if matches!(what, What::Append | What::Sweep) { REVISIONS } else { WORKING_REVISIONS };
    let (replica, of) = (below(chance, REPLICAS), 1 + below(chance, revisions));
    Operation { what, replica, of, step: below(chance, STEPS.len()), number: chance.below(12) }
}

fn below(chance: &mut Chance, limit: usize) -> usize {
    usize::try_from(chance.below(limit as u64)).unwrap()
}
