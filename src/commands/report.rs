//! The report: what `status --json` prints, and what everything else that is shown to people is made of.
//!
//! The keys are stable. What is not known, or does not apply, is `null`. Times are RFC 3339; ages and waits are decimal
//! seconds, counted on the clock that `clock` names.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::lease::Lease;
use super::survey::{Hold, Survey, Work};
use super::words;
use crate::protocol::{Standing, StepId};
use crate::settings::Mask;
use crate::volume::{End, Failure, GuardNote, How, MarkerKind, Record, SCHEMA, StepNotes, Volume, VolumeError};

/// Where a revision stands as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Every step is done.
    Ready,
    /// A step has failed for good.
    Failed,
    /// Somebody is at work.
    InProgress,
    /// Work has begun, and nobody is at it now.
    Waiting,
    NothingBegun,
}

/// Where one step stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepState {
    Done,
    Failed,
    /// Somebody beats.
    InProgress,
    /// Somebody has beaten, and fell silent.
    Stale,
    /// For its predecessors.
    Waiting,
    /// After a run that ended badly.
    BackingOff,
    /// It could start.
    Open,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) schema: u32,
    pub(super) revision: String,
    pub(super) volume: PathBuf,
    pub(super) state: State,
    /// `new`, `newest` or `superseded`.
    pub(super) standing: &'static str,
    pub(super) superseded_by: Option<String>,
    pub(super) ready_at: Option<String>,
    /// The highest ever allotted here.
    pub(super) epoch: u64,
    /// `volume`, or `local` where nothing can be written.
    pub(super) clock: &'static str,
    pub(super) guard: Guard,
    /// `null`: the guard alone elects.
    pub(super) lease: Option<Lease>,
    pub(super) steps: Vec<Step>,
    /// Work in progress of other revisions, or of steps that the plan does not know.
    pub(super) others: Vec<Other>,
    pub(super) failure: Option<Failure>,
    pub(super) problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Guard {
    /// `held`, `free` or `unknown`.
    pub(super) state: &'static str,
    /// The holder, where this kernel shows it.
    pub(super) pid: Option<u32>,
    /// Who took it last. If it is free, this is about the past.
    pub(super) last_taken_by: Option<GuardNote>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) state: StepState,
    /// Predecessors that are not done.
    pub(super) waiting_for: Vec<String>,
    /// How long it is still backing off.
    pub(super) wait_secs: Option<f64>,
    /// Since it was done, or began.
    pub(super) age_secs: Option<f64>,
    /// Since its last beat.
    pub(super) beat_age_secs: Option<f64>,
    /// Of the run in progress, or the last one.
    pub(super) attempt: Option<u32>,
    /// Whether a run has said that further attempts are of no use.
    pub(super) for_good: bool,
    /// As the plan says; `null` without a plan.
    pub(super) max_attempts: Option<u32>,
    /// How long the last run took.
    pub(super) duration_ms: Option<u64>,
    pub(super) how: Option<How>,
    /// How the last run ended, in words.
    pub(super) last_end: Option<String>,
    pub(super) epoch: Option<u64>,
    pub(super) host: Option<String>,
    pub(super) pid: Option<u32>,
    pub(super) started_at: Option<String>,
    pub(super) finished_at: Option<String>,
    /// `parts` and `undo`: what it has told of itself.
    #[serde(flatten)]
    pub(super) notes: StepNotes,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Other {
    pub(super) step: String,
    pub(super) revision: String,
    pub(super) is_stale: bool,
    pub(super) beat_age_secs: Option<f64>,
    pub(super) host: Option<String>,
    pub(super) epoch: Option<u64>,
}

impl Report {
    /// Reads the volume. `is_planned`: the volume's plan is the real one, not a guess from markers.
    pub(super) fn read(
        volume: &Volume,
        stale_after: Duration,
        mask: &Mask,
        is_planned: bool,
    ) -> Result<Report, VolumeError> {
        let survey = Survey::take(volume, stale_after, mask)?;
        let rev = volume.revision().as_str();
        let reader = Reader { volume, survey: &survey, rev, is_planned };
        let steps: Vec<Step> = volume.plan().ids().map(|id| reader.step(id)).collect();
        let (standing, superseded_by) = match &survey.view.standing {
            Standing::New => ("new", None),
            Standing::Newest => ("newest", None),
            Standing::Older { newest } => ("superseded", Some(newest.to_string())),
        };
        let ready = survey.marker(MarkerKind::Ready, None, rev);
        Ok(Report {
            schema: SCHEMA,
            revision: rev.to_owned(),
            volume: volume.root().to_owned(),
            state: reader.state(&steps),
            standing,
            superseded_by,
            ready_at: ready.and_then(|marker| marker.content.as_ref()?.finished_at.clone()),
            epoch: survey.view.epoch.0,
            clock: if survey.has_clock { "volume" } else { "local" },
            guard: reader.guard(),
            lease: None,
            steps,
            others: reader.others(),
            failure: survey.failure.clone(),
            problems: survey.problems.clone(),
        })
    }

    /// The same with what stands in Redis.
    pub(super) fn with_lease(self, lease: Option<Lease>) -> Report {
        Report { lease, ..self }
    }

    /// The same without what changes by itself as time goes by.
    pub(super) fn at_rest(&self) -> Report {
        let mut report = self.clone();
        report.lease = report.lease.as_ref().map(Lease::at_rest);
        for step in &mut report.steps {
            (step.wait_secs, step.age_secs, step.beat_age_secs) = (None, None, None);
        }
        for other in &mut report.others {
            other.beat_age_secs = None;
        }
        report
    }
}

struct Reader<'a> {
    volume: &'a Volume,
    survey: &'a Survey,
    rev: &'a str,
    is_planned: bool,
}

impl Reader<'_> {
    fn state(&self, steps: &[Step]) -> State {
        let view = &self.survey.view;
        let is_begun = |step: &Step| step.attempt.is_some() || matches!(step.state, StepState::Done | StepState::Stale);
        if view.ready {
            State::Ready
        } else if view.failed {
            State::Failed
        } else if steps.iter().any(|step| step.state == StepState::InProgress) {
            State::InProgress
        } else if steps.iter().any(is_begun) || view.standing == Standing::Newest {
            State::Waiting
        } else {
            State::NothingBegun
        }
    }

    fn guard(&self) -> Guard {
        let sight = &self.survey.guard;
        let state = match sight.hold {
            Hold::Held => "held",
            Hold::Free => "free",
            Hold::Unknown => "unknown",
        };
        Guard { state, pid: sight.pid, last_taken_by: sight.note.clone() }
    }

    fn others(&self) -> Vec<Other> {
        let foreign = self.survey.view.foreign.iter();
        let other = foreign.map(|foreign| {
            let work = self.survey.work(&foreign.step, foreign.rev.as_str(), &foreign.occupant);
            Other {
                step: foreign.step.clone(),
                revision: foreign.rev.to_string(),
                is_stale: work.is_stale,
                beat_age_secs: secs(work.beat),
                host: work.host().map(ToOwned::to_owned),
                epoch: work.epoch,
            }
        });
        other.collect()
    }

    fn step(&self, id: StepId) -> Step {
        let (planned, seen) = (self.volume.plan().step(id), &self.survey.view.steps[id.0]);
        let name = planned.name.as_str();
        let blank = Step { max_attempts: self.is_planned.then_some(planned.max_attempts), ..Step::open(name) };
        if seen.done {
            return self.done(name, blank);
        }
        let record = self.survey.records[id.0].as_ref().filter(|record| record.rev == self.rev);
        let blank = record.map_or(blank.clone(), |record| blank.with_record(record));
        let blank = Step { notes: self.survey.notes[id.0].clone(), ..blank };
        let failed = self.survey.failure.as_ref().filter(|failure| self.survey.view.failed && failure.step == name);
        if let Some(failure) = failed {
            let (attempt, end) = (Some(failure.attempts), Some(failure.end.clone()));
            let notes = if blank.notes.is_empty() { failure.notes.clone() } else { blank.notes };
            return Step { state: StepState::Failed, attempt, last_end: end, notes, ..blank };
        }
        if let Some(occupant) = &seen.occupant {
            return blank.with_work(&self.survey.work(name, self.rev, occupant));
        }
        let open = planned.after.iter().filter(|after| !self.survey.view.steps[after.0].done);
        let waiting_for: Vec<String> = open.map(|&after| self.volume.plan().step(after).name.to_string()).collect();
        let wait = self.survey.wait(id, self.rev);
        if !waiting_for.is_empty() {
            Step { state: StepState::Waiting, waiting_for, ..blank }
        } else if !wait.is_zero() {
            Step { state: StepState::BackingOff, wait_secs: secs(Some(wait)), ..blank }
        } else {
            blank
        }
    }

    fn done(&self, name: &str, blank: Step) -> Step {
        let marker = self.survey.marker(MarkerKind::Done, Some(name), self.rev);
        let touched = marker.map(|marker| self.survey.age(marker));
        let content = marker.and_then(|marker| marker.content.clone()).unwrap_or_default();
        let replica = content.replica.as_ref();
        Step {
            state: StepState::Done,
            age_secs: secs(content.finished_at.as_deref().and_then(words::age).or(touched)),
            attempt: content.attempt.filter(|&attempt| attempt > 0),
            duration_ms: content.duration_ms.filter(|_| content.how != Some(How::Skipped)),
            how: content.how,
            epoch: Some(content.epoch).filter(|&epoch| epoch > 0),
            host: replica.map(|replica| replica.host.clone()),
            pid: replica.map(|replica| replica.pid),
            started_at: content.started_at,
            finished_at: content.finished_at,
            notes: content.notes,
            ..blank
        }
    }
}

impl Step {
    fn open(name: &str) -> Step {
        Step {
            name: name.to_owned(),
            state: StepState::Open,
            waiting_for: Vec::new(),
            wait_secs: None,
            age_secs: None,
            beat_age_secs: None,
            attempt: None,
            for_good: false,
            max_attempts: None,
            duration_ms: None,
            how: None,
            last_end: None,
            epoch: None,
            host: None,
            pid: None,
            started_at: None,
            finished_at: None,
            notes: StepNotes::NONE,
        }
    }

    /// What the record of its last run tells.
    fn with_record(self, record: &Record) -> Step {
        Step {
            attempt: Some(record.attempts).filter(|&attempts| attempts > 0),
            for_good: record.for_good,
            duration_ms: record.duration_ms,
            last_end: record.last_end.map(End::words),
            epoch: Some(record.epoch),
            ..self
        }
    }

    /// What its claim and its in-progress marker tell.
    fn with_work(self, work: &Work) -> Step {
        let marker = work.marker.clone().unwrap_or_default();
        let replica = marker.replica.as_ref();
        Step {
            state: if work.is_stale { StepState::Stale } else { StepState::InProgress },
            age_secs: secs(marker.started_at.as_deref().and_then(words::age)),
            beat_age_secs: secs(work.beat),
            attempt: marker.attempt.or(self.attempt),
            duration_ms: None,
            // What the record tells of the run in progress is no end.
            last_end: None,
            epoch: work.epoch.or(Some(marker.epoch)).filter(|&epoch| epoch > 0),
            host: replica.map(|replica| replica.host.clone()),
            pid: replica.map(|replica| replica.pid),
            started_at: marker.started_at,
            ..self
        }
    }
}

fn secs(span: Option<Duration>) -> Option<f64> {
    // Whole milliseconds: more digits would only look exact.
    span.map(|span| (span.as_secs_f64() * 1000.0).round() / 1000.0)
}
