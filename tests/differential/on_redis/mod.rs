//! The fake Redis against a real server, which is asked by the real client with its scripts.

mod operations;
mod pretended;
mod real;

use std::time::Duration;

use bellwether::process::boottime;
use bellwether::protocol::Epoch;
use tokio::runtime::Runtime;

use crate::shrink::{Difference, check, seeds, shrink};
use crate::tally::{IDLE, Minimum, Tally};
use operations::{Operation, What, operations};
use pretended::{Lie, Pretended};
use real::Real;

const SEEDS: u64 = 200;

/// What was left of a lease differs by less: between both no more time goes by than an operation takes.
const TOLERANCE: Duration = Duration::from_secs(10);

/// How often what comes.
const MINIMA: &[Minimum<What>] = &[
    (What::Acquire, "Denied", 400),
    (What::Acquire, "Granted", 950),
    (What::Acquire, "Unreachable", 200),
    (What::Renew, "Granted", 600),
    (What::Renew, "NotMine", 200),
    (What::Renew, "Unreachable", 100),
    (What::Release, "Announced", 70),
    (What::Release, "NotReleased", 40),
    (What::Release, "Released", 500),
    (What::Lead, "Done", 300),
    (What::Lead, IDLE, 4),
    (What::Flush, "Done", 80),
    (What::Flush, IDLE, 12),
    (What::Expire, "Done", 120),
    (What::Expire, IDLE, 50),
    (What::RunOut, "Done", 80),
    (What::RunOut, IDLE, 20),
    (What::Past, "Done", 70),
    (What::Past, IDLE, 20),
    (What::JumpAhead, "Done", 90),
    (What::JumpAhead, IDLE, 50),
    (What::JumpBack, "Done", 90),
    (What::JumpBack, IDLE, 50),
    (What::Replicate, "Done", 130),
    (What::Replicate, IDLE, 40),
    (What::FailOver, "Done", 150),
    (What::FailOver, IDLE, 30),
    (What::Intrude, "Done", 100),
    (What::Intrude, IDLE, 7),
    (What::IntrudeForEver, "Done", 100),
    (What::IntrudeForEver, IDLE, 14),
    (What::Spoil, "Done", 90),
    (What::Spoil, IDLE, 20),
    (What::SpoilEpoch, "Done", 90),
    (What::SpoilEpoch, IDLE, 10),
    (What::Garble, "Done", 50),
    (What::Garble, IDLE, 60),
    (What::ForgetScripts, IDLE, 40),
    (What::ReadOnly, "Done", 300),
    (What::ReadOnly, IDLE, 7),
    (What::Writable, "Done", 250),
    (What::Writable, IDLE, 50),
];

/// An answer without its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Granted(Epoch),
    Denied,
    NotMine,
    Unreachable,
    /// Of a release: it is carried out, and announced.
    Announced,
    /// Neither is so.
    NotReleased,
    /// Of a release, whatever else there may be.
    Odd {
        is_released: bool,
        announcements: usize,
    },
    /// It was nobody's question.
    Nothing,
}

/// Of a lease.
type Left = Duration;

/// Who has the lease, and the epoch.
#[derive(Debug, PartialEq)]
struct Seen {
    who: String,
    epoch: u64,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Answer::Granted(_) => "Granted",
            Answer::Denied => "Denied",
            Answer::NotMine => "NotMine",
            Answer::Unreachable => "Unreachable",
            Answer::Announced => "Announced",
            Answer::NotReleased => "NotReleased",
            Answer::Odd { .. } => "Odd",
            Answer::Nothing => IDLE,
        }
    }
}

fn expiry_of(operation: &Operation) -> Duration {
    Duration::from_secs(20 + 100 * (operation.number % 3))
}

/// By so much a clock jumps: never to where a lease has just ended.
fn span_of(operation: &Operation) -> Duration {
    Duration::from_secs([37, 101][usize::try_from(operation.number % 2).unwrap()])
}

struct Both {
    runtime: Runtime,
    real: Real,
}

impl Both {
    fn new() -> Both {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let real = runtime.block_on(async { Real::new() });
        Both { runtime, real }
    }

    /// The first difference. What comes of operations until then is counted.
    fn differ(&mut self, operations: &[Operation], lie: Option<Lie>, tally: &mut Tally) -> Option<Difference> {
        let (real, mut pretended) = (&mut self.real, Pretended::new(lie));
        self.runtime.block_on(async {
            real.reset().await;
            for (at, operation) in operations.iter().enumerate() {
                let (answer, left) = real.perform(operation).await;
                pretended.keep_up(boottime::now());
                let told = pretended.perform(operation);
                if answer != told.answer || left.abs_diff(told.left) > TOLERANCE {
                    return Some(tell(at, operation, &(answer, left), &(told.answer, told.left)));
                }
                let seen = real.look();
                pretended.keep_up(boottime::now());
                let pretended_seen = pretended.look();
                if seen.0 != pretended_seen.0 || seen.1.abs_diff(pretended_seen.1) > TOLERANCE {
                    return Some(tell(at, operation, &seen, &pretended_seen));
                }
                tally.add(operation.what, told.came_to);
            }
            None
        })
    }
}

fn tell<T: std::fmt::Debug>(at: usize, operation: &Operation, real: &T, fake: &T) -> Difference {
    Difference { at, words: format!("operation {at}, {operation:?}:\n really    {real:?}\n pretended {fake:?}") }
}

/// What a fake forgets or says that is not so; each is found, and shown with so many operations at most.
const LIES: &[(Lie, usize)] = &[
    (Lie::Forgets(What::Acquire, "Granted"), 1),
    (Lie::Forgets(What::Acquire, "Denied"), 4),
    (Lie::Forgets(What::Renew, "Granted"), 4),
    (Lie::Forgets(What::Release, "Released"), 2),
    (Lie::Forgets(What::Flush, "Done"), 2),
    (Lie::Forgets(What::RunOut, "Done"), 2),
    (Lie::Forgets(What::JumpAhead, "Done"), 2),
    (Lie::Forgets(What::JumpBack, "Done"), 2),
    (Lie::Forgets(What::Replicate, "Done"), 4),
    (Lie::Forgets(What::FailOver, "Done"), 4),
    (Lie::Forgets(What::SpoilEpoch, "Done"), 4),
    (Lie::Forgets(What::ReadOnly, "Done"), 3),
    (Lie::Says(What::Acquire, "Unreachable", Answer::Denied), 3),
    (Lie::Says(What::Acquire, "Denied", Answer::Unreachable), 3),
    (Lie::Says(What::Renew, "NotMine", Answer::Granted(Epoch(0))), 1),
    (Lie::Says(What::Renew, "Unreachable", Answer::NotMine), 3),
    (Lie::Says(What::Release, "Released", Answer::NotReleased), 2),
    (Lie::Says(What::Release, "Announced", Answer::NotReleased), 1),
    (Lie::Says(What::Release, "NotReleased", Answer::Announced), 3),
];

#[test]
fn each_lie_of_a_fake_redis_is_found_out() {
    let mut both = Both::new();
    let stories: Vec<Vec<Operation>> = (1..=20).map(operations).collect();
    for &(lie, most) in LIES {
        let mut differ = |operations: &[Operation]| both.differ(operations, Some(lie), &mut Tally::default());
        let shrunk = stories.iter().find_map(|operations| shrink(operations, &mut differ));
        let (left, found) = shrunk.unwrap_or_else(|| panic!("nobody has found out: {lie:?}"));
        assert!(left.len() <= most, "{lie:?}: {found}\n{left:?}");
    }
}

#[test]
fn the_fake_redis_answers_as_a_real_one() {
    let (mut both, mut tally) = (Both::new(), Tally::default());
    for seed in 1..=seeds(SEEDS) {
        let operations = operations(seed);
        check(seed, &operations, |operations| both.differ(operations, None, &mut tally));
    }
    tally.check(10_000, MINIMA);
}
