//! A look without what differs between a directory and a fake: inodes, and times by less than anybody cares.

use std::time::Duration;

use bellwether::protocol::{Epoch, LastEnd, Occupant, RecordView, Stamp, Standing, View};

/// Claims, whether there is a marker, how old it is in thousands of seconds, and what its writer has promised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Work {
    claims: Vec<Epoch>,
    is_marked: bool,
    age: Option<u64>,
    beat_every: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    attempts: u32,
    /// In tens of seconds.
    wait: u64,
    deferred: Duration,
    for_good: bool,
    last_end: LastEnd,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Normal {
    ready: bool,
    failed: bool,
    standing: Standing,
    steps: Vec<(bool, Option<Work>, Known)>,
    foreign: Vec<(String, String, Work)>,
    epoch: Epoch,
}

fn rounded(span: Duration, to: u64) -> u64 {
    (span.as_secs() + to / 2) / to
}

impl From<&Occupant> for Work {
    fn from(occupant: &Occupant) -> Work {
        let &Occupant { ref claims, stamp, age, beat_every } = occupant;
        let age = age.map(|age| rounded(age, 1_000));
        Work { claims: claims.clone(), is_marked: stamp.is_some(), age, beat_every }
    }
}

impl From<&RecordView> for Known {
    fn from(record: &RecordView) -> Known {
        let &RecordView { attempts, wait, deferred, for_good, last_end } = record;
        Known { attempts, wait: rounded(wait, 10), deferred, for_good, last_end }
    }
}

pub(crate) fn normal(view: &View) -> Normal {
    let steps = view.steps.iter().map(|s| (s.done, s.occupant.as_ref().map(Work::from), Known::from(&s.record)));
    let foreign = view.foreign.iter().map(|f| (f.step.clone(), f.rev.to_string(), Work::from(&f.occupant)));
    Normal {
        ready: view.ready,
        failed: view.failed,
        standing: view.standing.clone(),
        steps: steps.collect(),
        foreign: foreign.collect(),
        epoch: view.epoch,
    }
}

/// For each step of the plan, whether its marker is another, or beaten, since the look before.
pub(crate) fn is_beaten(before: &View, now: &View) -> Vec<bool> {
    let stamps = |view: &View| -> Vec<Option<Stamp>> {
        view.steps.iter().map(|step| step.occupant.as_ref().and_then(|occupant| occupant.stamp)).collect()
    };
    stamps(before).iter().zip(stamps(now)).map(|(before, now)| *before != now).collect()
}
