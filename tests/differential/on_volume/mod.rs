//! The fake volume against a real directory, on which the real code works.

mod normal;
mod operations;
mod pretended;
mod real;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bellwether::process::boottime;
use bellwether::protocol::{ClosingEnd, MarkerWord, Plan, Revision, Step, StepEnd, StepName, View};
use bellwether::volume::{End, Record, UnixMillis};

use crate::shrink::{Difference, check, seeds, shrink};
use crate::tally::{IDLE, Minimum, Tally};
use normal::{is_beaten, normal};
use operations::{Operation, STEPS, What, operations};
use pretended::{Lie, Pretended};
use real::Real;

const SEEDS: u64 = 100;

/// By so much a marker is made older at once.
const LONG: Duration = Duration::from_secs(1_000);

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let steps = STEPS.iter().map(|name| Step {
        name: StepName::parse(name).unwrap(),
        in_progress: MarkerWord::parse(&format!("{name}_at_work")).unwrap(),
        done: MarkerWord::parse(&format!("{name}_is_done")).unwrap(),
        after: [].into(),
        timeout: None,
        max_attempts: 3,
    });
    Arc::new(Plan::new(steps.collect()).unwrap())
});

/// How often what comes.
const MINIMA: &[Minimum<What>] = &[
    (What::Look, IDLE, 500),
    (What::Allot, "Done", 200),
    (What::Append, "Done", 130),
    (What::Append, IDLE, 9),
    (What::Claim, "Done", 900),
    (What::Claim, "Lost", 170),
    (What::TakeOver, "Done", 250),
    (What::TakeOver, "Lost", 200),
    (What::Beat, "Lost", 180),
    (What::Beat, "Refreshed", 250),
    (What::Beat, "Replaced", 110),
    (What::Beat, "Rewritten", 120),
    (What::Commit, "Done", 400),
    (What::Commit, "Lost", 80),
    (What::Retract, "Done", 150),
    (What::Retract, IDLE, 20),
    (What::Count, "Done", 100),
    (What::Count, IDLE, 1),
    (What::Close, "Done", 250),
    (What::Close, IDLE, 1),
    (What::RetireStep, "Done", 120),
    (What::RetireStep, IDLE, 3),
    (What::RetireStep, "Lost", 90),
    (What::RetireForeign, "Done", 100),
    (What::RetireForeign, IDLE, 11),
    (What::RetireForeign, "Lost", 60),
    (What::Ready, "Done", 120),
    (What::Ready, IDLE, 70),
    (What::Ready, "Lost", 60),
    (What::Failed, "Done", 80),
    (What::Failed, IDLE, 11),
    (What::Reset, "Done", 120),
    (What::Reset, IDLE, 6),
    (What::Sweep, "Done", 150),
    (What::Sweep, IDLE, 70),
    (What::RemoveMarker, "Done", 160),
    (What::RemoveMarker, IDLE, 20),
    (What::ReplaceMarker, "Done", 200),
    (What::Age, "Done", 80),
    (What::Age, IDLE, 50),
];

fn rev(number: usize) -> Revision {
    Revision::parse(&format!("v{number}")).unwrap()
}

fn beat_every(operation: &Operation) -> Duration {
    Duration::from_secs([1, 20, 300][usize::try_from(operation.number % 3).unwrap()])
}

fn wait_of(operation: &Operation) -> Duration {
    Duration::from_secs(operation.number % 3 * 200)
}

/// How a run ended, by a number: as the record and as the protocol call it.
fn end_of(number: u64) -> (End, ClosingEnd) {
    match number % 5 {
        0 => (End::Exit(1), ClosingEnd::Own(StepEnd::Exit(1))),
        1 => (End::Stopped, ClosingEnd::Own(StepEnd::Stopped)),
        2 => (End::NotYet, ClosingEnd::Own(StepEnd::NOT_YET)),
        3 => (End::Exit(78), ClosingEnd::Own(StepEnd::FOR_GOOD)),
        _ => (End::TimedOut, ClosingEnd::TimedOut),
    }
}

/// A record as the driver writes it.
fn record(operation: &Operation, end: End, not_before: Option<UnixMillis>) -> Record {
    Record {
        rev: rev(operation.of).to_string(),
        epoch: 1,
        attempts: u32::try_from(operation.number % 4).unwrap(),
        not_before,
        deferred_ms: operation.number / 4 * 1_000,
        for_good: end == End::Exit(78),
        last_end: Some(end),
        started_at: None,
        duration_ms: None,
    }
}

struct Both {
    real: Real,
    pretended: Pretended,
    /// What was seen of each revision after the operation before, really and in the fake.
    last: BTreeMap<usize, (View, View)>,
}

impl Both {
    /// The first difference. What comes of operations until then is counted.
    fn differ(operations: &[Operation], lie: Option<Lie>, tally: &mut Tally) -> Option<Difference> {
        let (real, pretended, beginning) = (Real::new(), Pretended::new(lie), boottime::now());
        let mut both = Both { real, pretended, last: BTreeMap::new() };
        for (at, operation) in operations.iter().enumerate() {
            both.pretended.keep_up(boottime::now().since(beginning));
            let (real, fake) = (both.real.perform(operation), both.pretended.perform(operation));
            let came_to = fake.as_ref().map(|told| told.came_to);
            let fake = fake.map(|told| told.answer);
            if real != fake {
                return Some(tell(at, operation, &format!("{real:?}"), &format!("{fake:?}")));
            }
            let views: Vec<usize> = if operation.of == 1 { vec![1] } else { vec![operation.of, 1] };
            let difference = views.into_iter().find_map(|of| both.look(at, operation, of));
            if difference.is_some() {
                return difference;
            }
            if let Some(came_to) = came_to {
                tally.add(operation.what, came_to);
            }
        }
        None
    }

    /// What a replica of this revision sees then, and which markers it takes for beaten.
    fn look(&mut self, at: usize, operation: &Operation, of: usize) -> Option<Difference> {
        let now = (self.real.look(of), self.pretended.look(of));
        let before = self.last.insert(of, now.clone());
        let (real, fake) = (normal(&now.0), normal(&now.1));
        if real != fake {
            return Some(tell(at, operation, &format!("v{of} sees {real:?}"), &format!("v{of} sees {fake:?}")));
        }
        let before = before?;
        let (real, fake) = (is_beaten(&before.0, &now.0), is_beaten(&before.1, &now.1));
        (real != fake).then(|| tell(at, operation, &format!("v{of} sees beats {real:?}"), &format!("{fake:?}")))
    }
}

fn tell(at: usize, operation: &Operation, real: &str, fake: &str) -> Difference {
    Difference { at, words: format!("operation {at}, {operation:?}:\n really    {real}\n pretended {fake}") }
}

/// A fake that forgets what an operation does, for each that does something; one that says it is done, for each that
/// does not; and some that are untrue in less.
fn lies() -> Vec<(What, Lie)> {
    let of = |&(what, came_to, _): &Minimum<What>| match came_to {
        IDLE => None,
        "Lost" | "Replaced" => Some((what, Lie::Boasts(what, came_to))),
        _ => Some((what, Lie::Forgets(what, came_to))),
    };
    let subtle = [
        (What::RetireStep, Lie::RetiresBlindly),
        (What::Commit, Lie::LeavesMarkers),
        (What::Claim, Lie::HidesPromises),
    ];
    MINIMA.iter().filter_map(of).chain(subtle).collect()
}

#[test]
fn each_lie_of_a_fake_volume_is_found_out() {
    let mut stories: Vec<Vec<Operation>> = Vec::new();
    for (what, lie) in lies() {
        let mut differ = |operations: &[Operation]| Both::differ(operations, Some(lie), &mut Tally::default());
        let shrunk = (0..60).find_map(|number| {
            if number == stories.len() {
                stories.push(operations(number as u64 + 1));
            }
            shrink(&stories[number], &mut differ)
        });
        let (left, found) = shrunk.unwrap_or_else(|| panic!("nobody has found out: {lie:?}"));
        assert!(left.iter().any(|operation| operation.what == what), "{lie:?}: {found}\n{left:?}");
        assert!(left.len() <= 10, "{lie:?}: {found}\n{left:?}");
    }
}

#[test]
fn the_fake_volume_is_as_a_real_directory() {
    let mut tally = Tally::default();
    for seed in 1..=seeds(SEEDS) {
        let operations = operations(seed);
        check(seed, &operations, |operations| Both::differ(operations, None, &mut tally));
    }
    tally.check(10_000, MINIMA);
}
