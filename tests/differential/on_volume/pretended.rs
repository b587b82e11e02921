//! The fake side: the fake volume, and what replicas know of it. It can lie.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bellwether::protocol::{Closing, Epoch, Occupant, Timestamp, View};
use bellwether::test_util::world::{BeatFound, Claimant, FakeVolume, Life};

use super::normal::normal;
use super::operations::{Answer, Operation, STEPS, What};
use super::{LONG, PLAN, beat_every, end_of, record, rev, wait_of};
use crate::tally::IDLE;

/// A time that leaves room before it.
const BEGINNING: Timestamp = Timestamp::from_millis(1_000_000_000);

/// What one replica of a revision has in hand, and what it saw last.
#[derive(Clone, Default)]
struct Memory {
    held: BTreeMap<usize, (Epoch, Duration)>,
    epoch: Option<Epoch>,
    seen: Option<Rc<View>>,
}

/// How the fake is untrue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lie {
    /// What such an operation has changed is as before.
    Forgets(What, &'static str),
    /// Such an operation is said to be done.
    Boasts(What, &'static str),
    /// What has changed since it was seen is cleared away, too.
    RetiresBlindly,
    /// A commit leaves the in-progress marker.
    LeavesMarkers,
    /// How often writers beat is not seen.
    HidesPromises,
}

/// What came of an operation.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) answer: Answer,
    pub(crate) came_to: &'static str,
}

#[derive(Clone)]
pub(crate) struct Pretended {
    volume: FakeVolume,
    now: Timestamp,
    memories: BTreeMap<(usize, usize), Memory>,
    lie: Option<Lie>,
}

impl Default for Pretended {
    fn default() -> Pretended {
        Pretended { volume: FakeVolume::default(), now: BEGINNING, memories: BTreeMap::new(), lie: None }
    }
}

impl Pretended {
    pub(crate) fn new(lie: Option<Lie>) -> Pretended {
        Pretended { lie, ..Pretended::default() }
    }

    /// So much time has really gone by since the beginning.
    pub(crate) fn keep_up(&mut self, since_beginning: Duration) {
        self.now = self.now.max(BEGINNING + since_beginning);
    }

    /// `None`: it is nobody's to do. Each takes a millisecond at least.
    pub(crate) fn perform(&mut self, operation: &Operation) -> Option<Told> {
        self.now = self.now + Duration::from_millis(1);
        let before = self.volume.clone();
        let answer = self.answer(operation)?;
        let is_idle = answer.word() == "Done" && self.volume == before;
        let came_to = if is_idle { IDLE } else { answer.word() };
        let answer = self.lie(operation, answer, before);
        Some(Told { answer, came_to })
    }

    /// Whether the last of these would come to what is wanted.
    pub(crate) fn foresees(&self, scene: &[Operation], wanted: &[&str]) -> bool {
        if let [alone] = scene
            && !self.may_try(alone)
        {
            return false;
        }
        let mut stage = self.clone();
        let last = scene.iter().map(|operation| stage.perform(operation)).last().flatten();
        last.is_some_and(|told| wanted.contains(&told.came_to))
    }

    /// Whether it is somebody's at all, said more quickly than by trying.
    fn may_try(&self, operation: &Operation) -> bool {
        let memory = self.memories.get(&(operation.replica, operation.of));
        match operation.what {
            What::Claim | What::Ready | What::Failed => memory.is_some_and(|memory| memory.epoch.is_some()),
            What::TakeOver | What::RetireStep | What::RetireForeign => {
                memory.is_some_and(|memory| memory.seen.is_some())
            }
            What::Beat | What::Commit | What::Retract => {
                memory.is_some_and(|memory| memory.held.contains_key(&operation.step))
            }
            _ => true,
        }
    }

    fn lie(&mut self, operation: &Operation, answer: Answer, before: FakeVolume) -> Answer {
        let (is, word) = (operation.what, answer.word());
        let (name, own) = (STEPS[operation.step], rev(operation.of));
        match self.lie {
            Some(Lie::Forgets(what, came_to)) if (what, came_to) == (is, word) => self.volume = before,
            Some(Lie::Boasts(what, came_to)) if (what, came_to) == (is, word) => return Answer::Done,
            Some(Lie::RetiresBlindly) if (What::RetireStep, "Lost") == (is, word) => {
                self.volume.remove_marker(name, own.as_str());
            }
            Some(Lie::LeavesMarkers) if (What::Commit, "Done") == (is, word) => {
                self.volume.replace_marker(self.now, name, &own);
            }
            _ => {}
        }
        answer
    }

    pub(crate) fn look(&self, of: usize) -> View {
        let mut view = self.volume.look(self.now, &PLAN, &rev(of));
        if self.lie == Some(Lie::HidesPromises) {
            let own = view.steps.iter_mut().filter_map(|step| step.occupant.as_mut());
            own.chain(view.foreign.iter_mut().map(|foreign| &mut foreign.occupant)).for_each(|o| o.beat_every = None);
        }
        view
    }

    fn memory(&mut self, operation: &Operation) -> &mut Memory {
        self.memories.entry((operation.replica, operation.of)).or_default()
    }

    /// What this replica saw of the operation's step last.
    fn seen(&mut self, operation: &Operation) -> Option<Occupant> {
        self.memory(operation).seen.as_ref()?.steps[operation.step].occupant.clone()
    }

    fn answer(&mut self, operation: &Operation) -> Option<Answer> {
        match operation.what {
            What::Look => {
                let seen = self.look(operation.of);
                let told = Answer::Looked(Box::new(normal(&seen)));
                self.memory(operation).seen = Some(Rc::new(seen));
                Some(told)
            }
            What::Allot => {
                let epoch = self.volume.allot_epoch(Epoch(operation.number));
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
                Some(Answer::of(self.volume.retire(STEPS[operation.step], &rev(operation.of), &seen)))
            }
            What::RetireForeign => {
                let seen = self.memory(operation).seen.clone()?;
                let at = usize::try_from(operation.number).unwrap() % seen.foreign.len().max(1);
                let foreign = seen.foreign.get(at)?;
                Some(Answer::of(self.volume.retire(&foreign.step, &foreign.rev, &foreign.occupant)))
            }
            What::Count | What::Close => Some(self.write_record(operation)),
            What::RemoveMarker | What::ReplaceMarker | What::Age => Some(self.meddle(operation)),
            _ => self.act_on_revision(operation),
        }
    }

    fn claim(&mut self, operation: &Operation, from: &[Epoch]) -> Option<Answer> {
        let (name, own) = (STEPS[operation.step], rev(operation.of));
        let epoch = self.memory(operation).epoch?;
        let every = beat_every(operation);
        let won = self.volume.claim(name, &own, epoch, from)
            && self.volume.show(self.now, name, &own, claimant(operation, epoch), every);
        if won {
            self.memory(operation).held.insert(operation.step, (epoch, every));
        }
        Some(Answer::of(won))
    }

    /// What takes a claim that was won, though it may be lost by now.
    fn act_on_held(&mut self, operation: &Operation) -> Option<Answer> {
        let (name, own) = (STEPS[operation.step], rev(operation.of));
        let &(epoch, every) = self.memory(operation).held.get(&operation.step)?;
        let claimant = claimant(operation, epoch);
        Some(match operation.what {
            What::Beat => match self.volume.beat(self.now, name, &own, claimant, every) {
                BeatFound::Refreshed => Answer::Refreshed,
                BeatFound::Rewritten => Answer::Rewritten,
                BeatFound::Replaced => Answer::Replaced,
                BeatFound::Lost => Answer::Lost,
            },
            What::Commit => {
                let done = self.volume.commit(name, &own, claimant);
                if done {
                    self.memory(operation).held.remove(&operation.step);
                }
                Answer::of(done)
            }
            _ => {
                self.volume.retract(name, &own, claimant);
                Answer::Done
            }
        })
    }

    fn write_record(&mut self, operation: &Operation) -> Answer {
        let (name, own) = (STEPS[operation.step], rev(operation.of));
        let (end, closing_end) = end_of(operation.number);
        let record = record(operation, end, None);
        let (attempts, deferred) = (record.attempts, Duration::from_millis(record.deferred_ms));
        if operation.what == What::Count {
            self.volume.count(name, &own, attempts, deferred);
        } else {
            let closing = Closing { attempts, wait: wait_of(operation), deferred, end: Some(closing_end) };
            self.volume.close(self.now, name, &own, &closing);
        }
        Answer::Done
    }

    /// A person removes a marker, an older entrypoint writes it, or its writer has been silent for long.
    fn meddle(&mut self, operation: &Operation) -> Answer {
        let (name, own) = (STEPS[operation.step], rev(operation.of));
        let is_there = self.volume.has_marker(name, own.as_str());
        match operation.what {
            What::RemoveMarker => self.volume.remove_marker(name, own.as_str()),
            What::Age => self.volume.age_marker(name, own.as_str(), LONG),
            _ => {
                self.volume.replace_marker(self.now, name, &own);
                return Answer::Done;
            }
        }
        if is_there { Answer::Done } else { Answer::Absent }
    }

    /// What concerns a whole revision.
    fn act_on_revision(&mut self, operation: &Operation) -> Option<Answer> {
        let own = rev(operation.of);
        // Only a leader says so.
        let is_leader = self.memory(operation).epoch.is_some();
        match operation.what {
            What::Ready | What::Failed if !is_leader => return None,
            What::Ready => return Some(Answer::of(self.volume.write_ready(&PLAN, &own))),
            What::Failed => {
                self.volume.failed.insert(own);
            }
            What::Append => {
                self.volume.append_revision(&own);
                return Some(Answer::Listed(self.volume.revisions.clone()));
            }
            What::Reset => {
                let names: Vec<&str> = operation.to_reset().map(|step| STEPS[step]).collect();
                self.volume.reset(&own, &names);
            }
            _ => self.volume.sweep(&PLAN, &own),
        }
        Some(Answer::Done)
    }
}

/// Nobody else has this number, and nobody else its epochs.
fn claimant(operation: &Operation, epoch: Epoch) -> Claimant {
    (Life(operation.replica * 100 + operation.of), epoch)
}
