//! What is asked of a Redis, and what befalls it, by chance.

use super::pretended::Pretended;
use crate::chance::Chance;
use crate::draw::{draw, draw_story, find_scene};
use crate::tally::IDLE;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Acquire,
    Renew,
    Release,
    /// From now on this replica's epoch is told.
    Lead,
    Flush,
    /// What is left of the lease is set.
    Expire,
    /// It has run out by the server's clock.
    RunOut,
    /// Its expiry lies in the past.
    Past,
    /// The server's clock is put ahead.
    JumpAhead,
    JumpBack,
    /// What a failover leads to is copied now.
    Replicate,
    FailOver,
    Intrude,
    IntrudeForEver,
    Spoil,
    SpoilEpoch,
    /// Something that is no number stands in the epoch's key.
    Garble,
    ForgetScripts,
    ReadOnly,
    Writable,
}

/// By a replica, if it is a replica's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) what: What,
    pub(crate) replica: usize,
    pub(crate) number: u64,
}

pub(crate) const REPLICAS: usize = 3;
const LENGTH: usize = 60;

/// Each as often as it stands here.
const ODDS: &[(What, u64)] = &[
    (What::Acquire, 12),
    (What::Renew, 12),
    (What::Release, 6),
    (What::Lead, 2),
    (What::Flush, 1),
    (What::Expire, 2),
    (What::RunOut, 1),
    (What::Past, 1),
    (What::JumpAhead, 2),
    (What::JumpBack, 2),
    (What::Replicate, 2),
    (What::FailOver, 2),
    (What::Intrude, 1),
    (What::IntrudeForEver, 1),
    (What::Spoil, 1),
    (What::SpoilEpoch, 1),
    (What::Garble, 2),
    (What::ForgetScripts, 1),
    (What::ReadOnly, 1),
    (What::Writable, 2),
];

/// The operations of a seed, played on a fake Redis meanwhile.
pub(crate) fn operations(seed: u64) -> Vec<Operation> {
    draw_story(seed, LENGTH, scene, |stage: &mut Pretended, operation| {
        stage.perform(operation);
    })
}

fn scene(chance: &mut Chance, stage: &Pretended) -> Vec<Operation> {
    let what = draw(chance, ODDS);
    let wanted = wanted(chance, what);
    let any = |chance: &mut Chance| {
        let replica = usize::try_from(chance.below(REPLICAS as u64)).unwrap();
        Operation { what, replica, number: chance.below(20) }
    };
    let first = preparation(what, wanted);
    let prepare = |operation| first.map(|what| Operation { what, ..operation });
    find_scene(chance, any, prepare, |scene| stage.foresees(scene, wanted))
}

/// What makes somebody able to, if nobody is.
fn preparation(what: What, wanted: &[&str]) -> Option<What> {
    match (what, wanted) {
        (_, ["Unreachable" | "NotReleased"]) => Some(What::ReadOnly),
        (What::Acquire, ["Granted"]) => Some(What::Writable),
        (What::Renew, ["Granted"]) | (What::Release, ["Released"]) => Some(What::Acquire),
        _ => None,
    }
}

/// What this operation is to come to: four times in five to what it is for.
fn wanted(chance: &mut Chance, what: What) -> &'static [&'static str] {
    let is_for_it = !chance.one_in(5);
    match what {
        What::Acquire if chance.one_in(3) => &["Denied"],
        What::Acquire | What::Renew if is_for_it => &["Granted"],
        What::Renew if chance.one_in(2) => &["NotMine"],
        What::Acquire | What::Renew => &["Unreachable"],
        What::Release if is_for_it => &["Released"],
        What::Release if chance.one_in(3) => &["Announced"],
        What::Release => &["NotReleased"],
        _ if is_for_it => &["Done"],
        _ => &[IDLE],
    }
}
