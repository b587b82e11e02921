//! What the driver does for each action of the machine: it hands it to a thread, a task or a process.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use super::message::Message;
use super::report::RunReport;
use super::runs::Start;
use super::volume_thread::Job;
use super::{Driver, words};
use crate::needs::{self, NeedEvent};
use crate::protocol::{Action, ClosingEnd, Doing, Notice, Revision, StepId};
use crate::volume::{Failure, StepNotes, VolumeError, undo_of};

/// How long a hand-off waits for what the volume tells of undoing a later revision.
const UNDO_PATIENCE: Duration = Duration::from_secs(2);

impl Driver {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::AwaitNeeds => self.perform_await_needs(),
            Action::TakeGuard => self.perform_take_guard(),
            Action::CloseGuard => {
                self.guard_wait.cancel();
                self.guard = None;
            }
            Action::Spawn { step, attempt, deadline } => {
                let epoch = self.machine.epoch().expect("only a leader spawns");
                self.runs.start(Start { step, epoch, attempt, deadline }, self.guard.as_ref());
            }
            Action::Extend { deadline } => self.runs.extend(deadline),
            Action::StopStep(step, _) => self.runs.stop(step),
            Action::KillStep(step) => self.runs.kill(step),
            Action::Beat(step) => {
                let proved = self.guard.clone().filter(|_| self.setup.prove_guard);
                self.job(Job::Beat(step, proved));
            }
            Action::Commit(step) => {
                let report = self.reports.get(&step).cloned().expect("only a run that is over is committed");
                self.job(Job::Commit(step, report));
            }
            Action::Retract(step, closing) => {
                let report = self.reports.get_mut(&step).filter(|_| closing.end.is_some());
                let report = report.map(|report| {
                    report.timed_out = closing.end == Some(ClosingEnd::TimedOut);
                    report.clone()
                });
                self.job(Job::Retract(step, closing, report));
            }
            Action::WriteFailed(step) => {
                let failure = Box::new(self.failure(step));
                self.job(Job::WriteFailed(step, failure));
            }
            Action::Say(notice) => self.perform_say(&notice),
            Action::AcquireLease | Action::RenewLease | Action::ReleaseLease => self.desk.perform(&action),
            Action::End(_) => unreachable!("the loop ends before"),
            on_volume => {
                if let Action::Count { step, .. } = on_volume {
                    // What is told of the coming run must not be told of the last one.
                    self.reports.remove(&step);
                }
                self.job(Job::Act(on_volume));
            }
        }
    }

    pub(super) fn job(&self, job: Job) {
        self.jobs.send(job).expect("the volume's thread lives as long as the driver");
    }

    fn perform_await_needs(&mut self) {
        let (needs, limit, answers) = (self.setup.plan.needs.clone(), self.setup.needs_wait, self.answers.clone());
        self.needs.abort_all();
        self.needs.spawn(async move {
            let met = needs::await_all(&needs, limit, say_need).await;
            let _ = answers.send(Message::Needs(met));
        });
    }

    fn perform_take_guard(&mut self) {
        if let Err(error) = self.guard_wait.begin(&self.setup.volume, self.setup.config.trust(), &self.answers) {
            let error = VolumeError::Io {
                action: "start a thread to lock",
                path: self.setup.volume.root().into(),
                source: error,
            };
            let _ = self.answers.send(Message::VolumeFailed(Doing::Guard, error));
        }
    }

    fn perform_say(&self, notice: &Notice) {
        let policy = &self.setup.config.policy;
        if let Notice::GoingBack { newest } = notice {
            self.job(Job::SayGoingBack(newest.clone()));
        } else if let Some(waiting) = words::say(notice, &self.setup.volume, policy.may_lead) {
            self.job(Job::Explain(waiting, self.desk.other()));
        }
    }

    /// Apart from other notices: what it tells is read from the volume, which may hang, and a hand-off follows.
    pub(super) async fn perform_say_newer(&self, newest: &Revision, words: fn(&str, &str, &[String]) -> String) {
        let (volume, mask, of) = (self.setup.volume.clone(), self.setup.mask.clone(), newest.to_string());
        let read = move || undo_of(volume.root(), &of, &|text| mask.mask(text).into_owned());
        let undo = timeout(UNDO_PATIENCE, spawn_blocking(read)).await;
        let undo = undo.ok().and_then(Result::ok).unwrap_or_default();
        warn!("{}", words(self.setup.volume.revision().as_str(), newest.as_str(), &undo));
    }

    /// What the failed marker tells. Of runs that were others', the volume's thread knows more.
    fn failure(&self, step: StepId) -> Failure {
        let name = &self.setup.plan.plan.step(step).name;
        let report = self.reports.get(&step);
        Failure {
            step: name.to_string(),
            end: report.map(RunReport::words).unwrap_or_default(),
            attempts: self.machine.attempts(step),
            lines: report.map(|report| report.lines.clone()).unwrap_or_default(),
            log: self.setup.volume.log_path(step).display().to_string(),
            commands: vec![
                "bellwether retry    # after the repair: counts attempts from zero".to_owned(),
                format!("bellwether skip --step {name}    # if you have done this step by hand"),
            ],
            notes: StepNotes::NONE,
        }
    }
}

fn say_need(event: &NeedEvent<'_>) {
    match event {
        NeedEvent::Met { .. } => info!("{event}"),
        NeedEvent::Waiting { .. } => warn!("{event}"),
    }
}
