//! The real side: a directory, on which the real code works, and what replicas know of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether::protocol::{Epoch, Occupant, StepId, View};
use bellwether::volume::{Beat, DoneFacts, End, Failure, HeldClaim, How, Replica, Run, StepNotes, UnixMillis, Volume};
use tempfile::TempDir;
use uuid::Uuid;

use super::normal::normal;
use super::operations::{Answer, Operation, What};
use super::{LONG, PLAN, beat_every, end_of, record, rev, wait_of};

const DONE: DoneFacts =
    DoneFacts { finished_at: UnixMillis(2_000), duration_ms: 1_000, how: How::Ran, notes: StepNotes::NONE };

/// What one replica of a revision has in hand, and what it saw last.
#[derive(Default)]
struct Memory {
    held: BTreeMap<usize, HeldClaim>,
    epoch: Option<Epoch>,
    seen: Option<View>,
}

pub(crate) struct Real {
    root: TempDir,
    memories: BTreeMap<(usize, usize), Memory>,
}

impl Real {
    /// In memory, where there is such a place: nothing here is about power loss.
    pub(crate) fn new() -> Real {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let real = Real { root, memories: BTreeMap::new() };
        real.volume(0, 1).prepare(Uuid::from_u128(9_999)).unwrap();
        real
    }

    fn volume(&self, replica: usize, of: usize) -> Volume {
        let id = Uuid::from_u128((replica * 100 + of) as u128);
        let replica = Replica { id, host: format!("host{replica}"), pid: 1 };
        Volume::new(self.root.path().to_owned(), rev(of), Arc::clone(&PLAN), replica)
    }

    pub(crate) fn look(&self, of: usize) -> View {
        self.volume(0, of).look().unwrap().view
    }

    fn memory(&mut self, operation: &Operation) -> &mut Memory {
        self.memories.entry((operation.replica, operation.of)).or_default()
    }

    /// What this replica saw of the operation's step last.
    fn seen(&mut self, operation: &Operation) -> Option<Occupant> {
        self.memory(operation).seen.as_ref()?.steps[operation.step].occupant.clone()
    }

    /// `None`: it is nobody's to do.
    pub(crate) fn perform(&mut self, operation: &Operation) -> Option<Answer> {
        let volume = self.volume(operation.replica, operation.of);
        match operation.what {
            What::Look => {
                let seen = self.look(operation.of);
                let told = Answer::Looked(Box::new(normal(&seen)));
                self.memory(operation).seen = Some(seen);
                Some(told)
            }
            What::Allot => {
                let epoch = volume.allot_epoch(Epoch(operation.number)).unwrap();
                self.memory(operation).epoch = Some(epoch);
                Some(Answer::Allotted(epoch))
            }
            What::Claim => self.claim(operation, &[]),
            What::TakeOver => {
                let claims = self.seen(operation)?.claims;
                if claims.is_empty() { None } else { self.claim(operation, &claims) }
            }
            What::Beat | What::Commit | What::Retract => self.act_on_held(operation),
            What::RetireStep => {
                let seen = self.seen(operation)?;
                Some(Answer::of(volume.retire_step(StepId(operation.step), &seen).unwrap()))
            }
            What::RetireForeign => {
                let seen = self.memory(operation).seen.as_ref()?;
                let at = usize::try_from(operation.number).unwrap() % seen.foreign.len().max(1);
                Some(Answer::of(volume.retire_foreign(seen.foreign.get(at)?).unwrap()))
            }
            What::Count | What::Close => Some(write_record(&volume, operation)),
            What::RemoveMarker | What::ReplaceMarker | What::Age => Some(self.meddle(operation)),
            _ => self.act_on_revision(operation),
        }
    }

    fn claim(&mut self, operation: &Operation, from: &[Epoch]) -> Option<Answer> {
        let volume = self.volume(operation.replica, operation.of);
        let epoch = self.memory(operation).epoch?;
        let run = Run { attempt: 1, beat_every: beat_every(operation), started_at: UnixMillis(1_000) };
        let held = volume.claim(StepId(operation.step), epoch, from, &run).unwrap();
        let won = held.is_some();
        self.memory(operation).held.extend(held.map(|held| (operation.step, held)));
        Some(Answer::of(won))
    }

    /// What takes a claim that was won, though it may be lost by now.
    fn act_on_held(&mut self, operation: &Operation) -> Option<Answer> {
        let volume = self.volume(operation.replica, operation.of);
        let mut held = self.memory(operation).held.remove(&operation.step)?;
        let answer = match operation.what {
            What::Beat => {
                self.await_a_tick(operation);
                match volume.beat(&mut held).unwrap() {
                    Beat::Refreshed => Answer::Refreshed,
                    Beat::Rewritten => Answer::Rewritten,
                    Beat::Replaced => Answer::Replaced,
                    Beat::Lost => Answer::Lost,
                }
            }
            What::Commit => {
                let done = volume.commit(&mut held, &DONE).unwrap();
                if done {
                    return Some(Answer::Done);
                }
                Answer::Lost
            }
            _ => {
                volume.retract(&held).unwrap();
                Answer::Done
            }
        };
        self.memory(operation).held.insert(operation.step, held);
        Some(answer)
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

    /// A person removes a marker, an older entrypoint writes it, or its writer has been silent for long.
    fn meddle(&self, operation: &Operation) -> Answer {
        let marker = self.marker(operation);
        match operation.what {
            What::RemoveMarker if std::fs::remove_file(&marker).is_err() => Answer::Absent,
            What::RemoveMarker => Answer::Done,
            What::Age => {
                let Ok(file) = File::options().write(true).open(marker) else { return Answer::Absent };
                let beaten = file.metadata().unwrap().modified().unwrap();
                file.set_modified(beaten.checked_sub(LONG).unwrap()).unwrap();
                Answer::Done
            }
            _ => {
                // Another file than the one that stood there.
                let bare = self.root.path().join("bare");
                std::fs::write(&bare, "Thu Jan  1 00:00:00 UTC 1970\n").unwrap();
                std::fs::rename(bare, marker).unwrap();
                Answer::Done
            }
        }
    }

    /// What concerns a whole revision.
    fn act_on_revision(&mut self, operation: &Operation) -> Option<Answer> {
        let volume = self.volume(operation.replica, operation.of);
        let epoch = self.memory(operation).epoch;
        match operation.what {
            What::Ready => return Some(Answer::of(volume.write_ready(epoch?, "digest").is_ok())),
            What::Failed => volume.write_failed(epoch?, &Failure::default()).unwrap(),
            What::Append => {
                volume.append_revision().unwrap();
                return Some(Answer::Listed(volume.read_revisions().unwrap()));
            }
            What::Reset => {
                let steps: Vec<StepId> = operation.to_reset().map(StepId).collect();
                volume.reset(&steps).unwrap();
            }
            _ => volume.sweep().unwrap(),
        }
        Some(Answer::Done)
    }
}

fn write_record(volume: &Volume, operation: &Operation) -> Answer {
    let record = if operation.what == What::Count {
        record(operation, End::Open, None)
    } else {
        let wait = wait_of(operation);
        let not_before = volume.now().filter(|_| !wait.is_zero()).map(|now| now.after(wait));
        record(operation, end_of(operation.number).0, not_before)
    };
    volume.write_record(StepId(operation.step), &record).unwrap();
    Answer::Done
}
