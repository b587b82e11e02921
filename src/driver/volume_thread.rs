//! The thread on which everything on the volume is done, one thing after another.
//!
//! A file system may hang for minutes; the loop that renews and decides must not. What runs under this leader's
//! claims is kept here, because whoever holds a marker's descriptor beats it.

mod closing;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, warn};
use uuid::Uuid;

use super::message::Message;
use super::report::RunReport;
use super::words::going_back;
use crate::exit::chain;
use crate::process;
use crate::protocol::{Action, Closing, Doing, Epoch, Event, Occupant, Revision, StepId, StepView, View};
use crate::settings::Mask;
use crate::volume::{
    Beat, End, Failure, Guard, HeldClaim, HistoryKind, Record, Run, UnixMillis, Volume, VolumeError, undo_of,
};

/// Something to do on the volume.
#[derive(Debug)]
pub(super) enum Job {
    /// An action of the machine.
    Act(Action),
    /// Commit this step, whose run ended like this.
    Commit(StepId, RunReport),
    /// Give this step's claim back, after a run that ended like this (if there was one).
    Retract(StepId, Closing, Option<RunReport>),
    /// Write the failed marker for this step.
    WriteFailed(StepId, Box<Failure>),
    /// Beat, and prove the guard if it is given.
    Beat(StepId, Option<Arc<Guard>>),
    /// Begin a leadership: from now on everything is done under this epoch.
    Lead(Epoch, Arc<Guard>),
    /// Tell a person whom this replica waits for, and who has the lease as far as we know.
    Explain(super::words::Waiting, Option<String>),
    /// Tell a person that this revision leads again after this later one, and how to undo what that one did.
    SayGoingBack(Revision),
}

/// What the thread needs to know once.
pub(super) struct Office {
    pub(super) volume: Volume,
    pub(super) candidate: Uuid,
    pub(super) beat_every: Duration,
    pub(super) plan_digest: String,
    /// User and group of each step that runs as somebody else: its data file is theirs.
    pub(super) owners: Vec<Option<(u32, u32)>>,
    /// Hides secrets in what the steps tell of themselves.
    pub(super) mask: Arc<Mask>,
    /// Whether somebody waits for the volume's id.
    pub(super) wants_id: bool,
}

/// Starts the thread. It ends when the sender is dropped.
pub(super) fn start(office: Office, answers: UnboundedSender<Message>) -> std::io::Result<Sender<Job>> {
    let (jobs, inbox) = channel();
    let mut clerk = Clerk {
        office,
        answers,
        epoch: Epoch(0),
        held: HashMap::new(),
        seen: None,
        problems: Vec::new(),
        complaints: HashMap::new(),
    };
    thread::Builder::new().name("volume".to_owned()).spawn(move || {
        process::block_all_signals();
        clerk.work(&inbox);
    })?;
    Ok(jobs)
}

struct Clerk {
    office: Office,
    answers: UnboundedSender<Message>,
    epoch: Epoch,
    held: HashMap<StepId, HeldClaim>,
    /// The last look: what is taken over or retired is what was seen there.
    seen: Option<View>,
    problems: Vec<String>,
    /// What the last beat of each step had to complain of.
    complaints: HashMap<StepId, String>,
}

impl Drop for Clerk {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.answers.send(Message::Panicked);
        }
    }
}

impl Clerk {
    fn work(&mut self, inbox: &Receiver<Job>) {
        while let Ok(job) = inbox.recv() {
            let message = match job {
                Job::Lead(epoch, guard) => {
                    self.epoch = epoch;
                    if let Err(error) = guard.describe(epoch) {
                        debug!(%error, "the guard's file does not say who holds it");
                    }
                    continue;
                }
                Job::Explain(waiting, lease) => {
                    waiting.explain(&self.office.volume, lease);
                    continue;
                }
                Job::SayGoingBack(newest) => {
                    let Office { volume, mask, .. } = &self.office;
                    let undo = undo_of(volume.root(), newest.as_str(), &|text| mask.mask(text).into_owned());
                    warn!("{}", going_back(volume.revision().as_str(), newest.as_str(), &undo));
                    continue;
                }
                Job::Beat(step, guard) => self.beat(step, guard.as_deref()),
                Job::Act(action) => {
                    let doing = action.doing().unwrap_or(Doing::Look);
                    self.act(action).unwrap_or_else(|error| failed(doing, error))
                }
                Job::Commit(step, report) => {
                    self.commit(step, &report).unwrap_or_else(|error| failed(Doing::Commit(step), error))
                }
                Job::Retract(step, closing, report) => self
                    .retract(step, &closing, report.as_ref())
                    .unwrap_or_else(|error| failed(Doing::Retract(step), error)),
                Job::WriteFailed(step, failure) => {
                    self.write_failed(step, *failure).unwrap_or_else(|error| failed(Doing::Failed, error))
                }
            };
            if self.answers.send(message).is_err() {
                return;
            }
        }
    }

    fn act(&mut self, action: Action) -> Result<Message, VolumeError> {
        let volume = &self.office.volume;
        let event = match action {
            Action::Look => self.look()?,
            Action::PrepareVolume => {
                let prepared = volume.prepare(self.office.candidate)?;
                for warning in &prepared.warnings {
                    warn!(volume = %volume.root().display(), "{warning}");
                }
                self.tell_id(Some(prepared.id));
                Event::VolumePrepared
            }
            Action::AppendRevision => {
                volume.append_revision()?;
                Event::RevisionAppended
            }
            Action::AllotEpoch { above } => Event::EpochAllotted(volume.allot_epoch(above)?),
            Action::Sweep => {
                if let Err(error) = volume.sweep() {
                    warn!(error = %chain(&error), "left-overs of finished leaderships stay where they are");
                }
                volume.note(HistoryKind::Elected, self.epoch, None, None);
                Event::Swept
            }
            Action::Claim { step, epoch, from, attempt } => self.claim(step, epoch, &from, attempt)?,
            Action::Count { step, attempt, deferred } => {
                let record = self.record(attempt, deferred, Some(End::Open));
                volume.ensure_data_file(step, self.office.owners[step.0])?;
                volume.write_record(step, &Record { started_at: Some(UnixMillis::wall_clock()), ..record })?;
                volume.note(HistoryKind::Started, self.epoch, Some(step), Some(&format!("attempt {attempt}")));
                Event::Counted(step)
            }
            Action::RetireStep(step) => {
                let occupant = self.occupant(step);
                let retired = occupant.map_or(Ok(true), |occupant| volume.retire_step(step, &occupant))?;
                if retired { Event::Retired } else { Event::RetireLost }
            }
            Action::RetireForeign(foreign) => {
                if volume.retire_foreign(&foreign)? {
                    Event::Retired
                } else {
                    Event::RetireLost
                }
            }
            Action::WriteReady => self.write_ready()?,
            other => unreachable!("{other:?} is not done on the volume"),
        };
        Ok(Message::Machine(event))
    }

    fn look(&mut self) -> Result<Event, VolumeError> {
        let look = self.office.volume.look()?;
        for problem in look.problems.iter().filter(|problem| !self.problems.contains(problem)) {
            warn!("{problem}");
        }
        self.problems = look.problems;
        if self.office.wants_id {
            // Not there yet, or not readable: then whoever prepares the volume says so.
            let id = self.office.volume.read_id().ok().flatten();
            self.tell_id(id);
        }
        self.seen = Some(look.view.clone());
        Ok(Event::Looked(look.view))
    }

    /// Once.
    fn tell_id(&mut self, id: Option<Uuid>) {
        if let Some(id) = id.filter(|_| self.office.wants_id) {
            self.office.wants_id = false;
            let _ = self.answers.send(Message::Scope(id));
        }
    }

    fn occupant(&self, step: StepId) -> Option<Occupant> {
        let seen: Option<&StepView> = self.seen.as_ref().and_then(|view| view.steps.get(step.0));
        seen.and_then(|step| step.occupant.clone())
    }

    fn claim(&mut self, step: StepId, epoch: Epoch, from: &[Epoch], attempt: u32) -> Result<Event, VolumeError> {
        let run = Run { attempt, beat_every: self.office.beat_every, started_at: UnixMillis::wall_clock() };
        let taken_over = self.occupant(step).is_some();
        let Some(held) = self.office.volume.claim(step, epoch, from, &run)? else { return Ok(Event::ClaimLost(step)) };
        self.held.insert(step, held);
        if taken_over {
            let from: Vec<String> = from.iter().map(ToString::to_string).collect();
            let details = format!("from epoch {}", from.join(", "));
            self.office.volume.note(HistoryKind::TakenOver, epoch, Some(step), Some(&details));
        }
        Ok(Event::Claimed(step))
    }

    /// Beats. Neither its answer nor an error decides anything; only a guard that is lost does.
    fn beat(&mut self, step: StepId, guard: Option<&Guard>) -> Message {
        if let Some(Err(error)) = guard.map(Guard::check_sound) {
            warn!(%error, "the guard is lost");
            return Message::Machine(Event::GuardLost);
        }
        let complaint = self.held.get_mut(&step).and_then(|held| match self.office.volume.beat(held) {
            Ok(Beat::Refreshed) => None,
            Ok(Beat::Rewritten) => Some("somebody removed the in-progress marker; it is written again".to_owned()),
            Ok(Beat::Replaced) => Some("another file stands in the in-progress marker's place".to_owned()),
            Ok(Beat::Lost) => Some("the claim is not ours any more".to_owned()),
            Err(error) => Some(format!("a beat failed: {}", chain(&error))),
        });
        // Said once, not with every beat.
        if complaint != self.complaints.get(&step).cloned() {
            let name = &self.office.volume.plan().step(step).name;
            if let Some(complaint) = &complaint {
                warn!(step = %name, "{complaint}");
            }
            self.complaints.remove(&step);
            self.complaints.extend(complaint.map(|complaint| (step, complaint)));
        }
        Message::Machine(Event::Beaten(step))
    }

    fn write_ready(&mut self) -> Result<Event, VolumeError> {
        let volume = &self.office.volume;
        volume.write_ready(self.epoch, &self.office.plan_digest)?;
        volume.note(HistoryKind::Ready, self.epoch, None, None);
        Ok(Event::ReadyWritten)
    }

    fn record(&self, attempts: u32, deferred: Duration, last_end: Option<End>) -> Record {
        Record {
            rev: self.office.volume.revision().to_string(),
            epoch: self.epoch.0,
            attempts,
            not_before: None,
            deferred_ms: u64::try_from(deferred.as_millis()).unwrap_or(u64::MAX),
            for_good: false,
            last_end,
            started_at: None,
            duration_ms: None,
        }
    }
}

fn failed(doing: Doing, error: VolumeError) -> Message {
    Message::VolumeFailed(doing, error)
}
