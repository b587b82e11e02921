//! The fake volume against a real directory, on which the real code works.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bellwether::protocol::{
    Closing, ClosingEnd, Epoch, MarkerWord, Plan, Revision, Step, StepEnd, StepId, StepName, Timestamp, View,
};
use bellwether::test_util::world::{FakeVolume, Life};
use bellwether::volume::{
    DoneFacts, End, Failure, HeldClaim, How, Record, Replica, Run, StepNotes, UnixMillis, Volume,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::chance::Chance;
use crate::normal::normal;
use crate::operations::{Operation, What, choose};
use crate::shrink::{check, seeds, shrink};

const SEEDS: u64 = 200;
const LENGTH: usize = 60;

/// A time that leaves room before it. In the fake each operation takes a millisecond.
const BEGINNING: Timestamp = Timestamp::from_millis(1_000_000_000);

/// By so much a marker is made older at once.
const LONG: Duration = Duration::from_secs(1_000);

pub(crate) const STEPS: [&str; 3] = ["site", "migrate", "assets"];

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

const DONE: DoneFacts =
    DoneFacts { finished_at: UnixMillis(2_000), duration_ms: 1_000, how: How::Ran, notes: StepNotes::NONE };

/// What one replica of a revision has in hand, and what it saw last, really and in the fake.
#[derive(Default)]
struct Memory {
    held: BTreeMap<usize, (HeldClaim, Epoch)>,
    epoch: Option<Epoch>,
    seen: Option<(View, View)>,
}

struct Both {
    root: TempDir,
    fake: FakeVolume,
    /// In the fake.
    now: Timestamp,
    memories: BTreeMap<(usize, usize), Memory>,
    /// The fake forgets every new revision.
    lies: bool,
}

/// What it came to, really and in the fake.
type Told = (String, String);

fn same<T: std::fmt::Debug, U: std::fmt::Debug>(real: T, fake: U) -> Told {
    (format!("{real:?}"), format!("{fake:?}"))
}

fn rev(number: usize) -> Revision {
    Revision::parse(&format!("v{number}")).unwrap()
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

impl Both {
    /// In memory, where there is such a place: nothing here is about power loss.
    fn new(lies: bool) -> Both {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let both = Both { root, fake: FakeVolume::default(), now: BEGINNING, memories: BTreeMap::new(), lies };
        both.volume(0, 1).prepare(Uuid::from_u128(9_999)).unwrap();
        both
    }

    fn volume(&self, replica: usize, of: usize) -> Volume {
        let id = Uuid::from_u128((replica * 100 + of) as u128);
        let replica = Replica { id, host: format!("host{replica}"), pid: 1 };
        Volume::new(self.root.path().to_owned(), rev(of), Arc::clone(&PLAN), replica)
    }

    /// The first difference, in words.
    fn differ(operations: &[Operation], lies: bool) -> Option<String> {
        let mut both = Both::new(lies);
        for (number, operation) in operations.iter().enumerate() {
            both.now = both.now + Duration::from_millis(1);
            let (real, fake) = both.perform(operation);
            if real != fake {
                return Some(format!("operation {number}, {operation:?}:\n really   {real}\n pretended {fake}"));
            }
            for of in [operation.of, 1] {
                let (real, fake) = both.look(of);
                let (real, fake) = (normal(&real), normal(&fake));
                if real != fake {
                    let after = format!("after operation {number}, {operation:?}, as v{of} sees it");
                    return Some(format!("{after}:\n really   {real:?}\n pretended {fake:?}"));
                }
            }
        }
        None
    }

    fn look(&self, of: usize) -> (View, View) {
        (self.volume(0, of).look().unwrap().view, self.fake.look(self.now, &PLAN, &rev(of)))
    }

    fn memory(&mut self, operation: &Operation) -> &mut Memory {
        self.memories.entry((operation.replica, operation.of)).or_default()
    }

    /// Does it really and in the fake.
    fn perform(&mut self, operation: &Operation) -> Told {
        match operation.what {
            What::Look => {
                let (real, fake) = self.look(operation.of);
                let told = same(normal(&real), normal(&fake));
                self.memory(operation).seen = Some((real, fake));
                told
            }
            What::Allot => {
                let above = Epoch(operation.number);
                let real = self.volume(operation.replica, operation.of).allot_epoch(above).unwrap();
                self.memory(operation).epoch = Some(real);
                same(real, self.fake.allot_epoch(above))
            }
            What::Claim => self.claim(operation),
            What::Beat | What::Commit | What::Retract => self.perform_held(operation),
            What::Count | What::Close => self.write_record(operation),
            What::RetireStep => self.retire_step(operation),
            What::RetireForeign => self.retire_foreign(operation),
            What::RemoveMarker | What::Age => self.meddle(operation),
            _ => self.perform_whole(operation),
        }
    }

    /// What concerns a whole revision.
    fn perform_whole(&mut self, operation: &Operation) -> Told {
        let &Operation { replica, of, step, .. } = operation;
        let (volume, own) = (self.volume(replica, of), rev(of));
        let epoch = self.memory(operation).epoch;
        match operation.what {
            // Only a leader says so.
            What::Ready | What::Failed if epoch.is_none() => same((), ()),
            What::Append => {
                volume.append_revision().unwrap();
                if !self.lies {
                    self.fake.append_revision(&own);
                }
                same(volume.read_revisions().unwrap(), &self.fake.revisions)
            }
            What::Ready => {
                same(volume.write_ready(epoch.unwrap(), "digest").is_ok(), self.fake.write_ready(&PLAN, &own))
            }
            What::Failed => {
                self.fake.failed.insert(own);
                same(volume.write_failed(epoch.unwrap(), &Failure::default()).is_ok(), true)
            }
            What::Reset => {
                self.fake.reset(&own, &[STEPS[step]]);
                volume.reset(&[StepId(step)]).unwrap();
                same((), ())
            }
            _ => {
                self.fake.sweep(&PLAN, &own);
                same(volume.sweep().is_ok(), true)
            }
        }
    }

    /// Under the epoch of this replica, which nobody else has.
    fn claim(&mut self, operation: &Operation) -> Told {
        let &Operation { replica, of, step, number, .. } = operation;
        let volume = self.volume(replica, of);
        let memory = self.memories.entry((replica, of)).or_default();
        let Some(epoch) = memory.epoch else { return same((), ()) };
        let seen = memory.seen.as_ref().and_then(|(real, _)| real.steps[step].occupant.as_ref());
        let from = match number {
            0..2 => Vec::new(),
            2..4 => vec![Epoch(number)],
            _ => seen.map(|occupant| occupant.claims.clone()).unwrap_or_default(),
        };
        let run = Run { attempt: 1, beat_every: Duration::from_secs(1), started_at: UnixMillis(1_000) };
        let held = volume.claim(StepId(step), epoch, &from, &run).unwrap();
        let real = held.is_some();
        memory.held.extend(held.map(|held| (step, (held, epoch))));
        let (name, claimant) = (STEPS[step], (Life(replica * 100 + of), epoch));
        let won = self.fake.claim(name, &rev(of), epoch, &from);
        same(real, won && self.fake.show(self.now, name, &rev(of), claimant))
    }

    /// What takes a claim that was won; nothing, without one.
    fn perform_held(&mut self, operation: &Operation) -> Told {
        let &Operation { what, replica, of, step, .. } = operation;
        let volume = self.volume(replica, of);
        let Some((mut held, epoch)) = self.memory(operation).held.remove(&step) else { return same((), ()) };
        let (name, own, claimant) = (STEPS[step], rev(of), (Life(replica * 100 + of), epoch));
        match what {
            What::Beat => {
                self.await_a_tick(operation);
                let real = volume.beat(&mut held).unwrap();
                self.memory(operation).held.insert(step, (held, epoch));
                same(real, self.fake.beat(self.now, name, &own, claimant))
            }
            What::Commit => same(volume.commit(&mut held, &DONE).unwrap(), self.fake.commit(name, &own, claimant)),
            _ => {
                volume.retract(&held).unwrap();
                self.fake.retract(name, &own, claimant);
                same((), ())
            }
        }
    }

    fn marker(&self, operation: &Operation) -> PathBuf {
        let word = &PLAN.step(StepId(operation.step)).in_progress;
        self.root.path().join(word.in_progress(&rev(operation.of)))
    }

    /// Until a beat now would be later than the one before: a file system's clock ticks some hundred times a second.
    fn await_a_tick(&self, operation: &Operation) {
        let modified = |path: &Path| path.metadata().and_then(|stat| stat.modified()).ok();
        let Some(beaten) = modified(&self.marker(operation)) else { return };
        let clock = self.root.path().join("clock");
        loop {
            std::fs::write(&clock, "x").unwrap();
            if modified(&clock) > Some(beaten) {
                return;
            }
        }
    }

    fn write_record(&mut self, operation: &Operation) -> Told {
        let (volume, own) = (self.volume(operation.replica, operation.of), rev(operation.of));
        let (id, name) = (StepId(operation.step), STEPS[operation.step]);
        if matches!(operation.what, What::Count) {
            let record = record(operation, End::Open, None);
            volume.write_record(id, &record).unwrap();
            self.fake.count(name, &own, record.attempts, Duration::from_millis(record.deferred_ms));
        } else {
            let (end, closing_end) = end_of(operation.number);
            let wait = Duration::from_secs(operation.number % 3 * 200);
            let not_before = volume.now().filter(|_| !wait.is_zero()).map(|now| now.after(wait));
            let record = record(operation, end, not_before);
            volume.write_record(id, &record).unwrap();
            let (attempts, deferred) = (record.attempts, Duration::from_millis(record.deferred_ms));
            self.fake.close(self.now, name, &own, &Closing { attempts, wait, deferred, end: Some(closing_end) });
        }
        same((), ())
    }

    /// As it was seen last.
    fn retire_step(&mut self, operation: &Operation) -> Told {
        let (volume, own, step) = (self.volume(operation.replica, operation.of), rev(operation.of), operation.step);
        let Some((real, fake)) = self.memory(operation).seen.clone() else { return same((), ()) };
        let seen = real.steps[step].occupant.as_ref().zip(fake.steps[step].occupant.as_ref());
        let Some((real, fake)) = seen else { return same((), ()) };
        let retired = volume.retire_step(StepId(step), real).unwrap();
        same(retired, self.fake.retire(STEPS[step], &own, fake))
    }

    fn retire_foreign(&mut self, operation: &Operation) -> Told {
        let volume = self.volume(operation.replica, operation.of);
        let Some((real, fake)) = self.memory(operation).seen.clone() else { return same((), ()) };
        let at = usize::try_from(operation.number).unwrap() % real.foreign.len().max(1);
        let Some((real, fake)) = real.foreign.get(at).zip(fake.foreign.get(at)) else { return same((), ()) };
        let retired = volume.retire_foreign(real).unwrap();
        same(retired, self.fake.retire(&fake.step, &fake.rev, &fake.occupant))
    }

    /// A person removes a marker, or its writer has been silent for long.
    fn meddle(&mut self, operation: &Operation) -> Told {
        let (name, own) = (STEPS[operation.step], rev(operation.of));
        let marker = self.marker(operation);
        if matches!(operation.what, What::RemoveMarker) {
            let is_there = std::fs::remove_file(marker).is_ok();
            let fake = self.fake.has_marker(name, own.as_str());
            self.fake.remove_marker(name, own.as_str());
            return same(is_there, fake);
        }
        if let Ok(file) = File::options().write(true).open(marker) {
            let beaten = file.metadata().unwrap().modified().unwrap();
            file.set_modified(beaten.checked_sub(LONG).unwrap()).unwrap();
        }
        self.fake.age_marker(name, own.as_str(), LONG);
        same((), ())
    }
}

fn operations(seed: u64) -> Vec<Operation> {
    let mut chance = Chance::new(seed);
    (0..LENGTH).map(|_| choose(&mut chance)).collect()
}

#[test]
fn a_fake_volume_that_forgets_is_found_out() {
    let (left, found) = shrink(&operations(1), |operations| Both::differ(operations, true)).unwrap();
    assert!(matches!(left[..], [Operation { what: What::Append, .. }]), "{left:?}");
    assert!(found.contains("Append"), "{found}");
}

#[test]
fn the_fake_volume_is_as_a_real_directory() {
    let mut done = 0;
    for seed in 1..=seeds(SEEDS) {
        let operations = operations(seed);
        check(seed, &operations, |operations| Both::differ(operations, false));
        done += operations.len();
    }
    assert!(done >= 10_000, "{done}");
}
