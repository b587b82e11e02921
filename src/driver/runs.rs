//! The steps that run: their shims, their output, their last lines.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};

use super::log_thread::LogThread;
use super::message::Message;
use crate::process::{RunEnd, RunEvent, RunHow, StepControl, StepProcess, StepSpec};
use crate::protocol::{Epoch, StepId, Timestamp};
use crate::settings::{LoadedPlan, Mask};
use crate::volume::Volume;

/// How many lines of a step's output the failed marker shows.
pub(super) const LAST_LINES: usize = 40;

/// What a run is started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) step: StepId,
    pub(super) epoch: Epoch,
    pub(super) attempt: u32,
    pub(super) deadline: Option<Timestamp>,
}

/// The runs of this replica.
#[derive(Debug)]
pub(super) struct Runs {
    volume: Volume,
    plan: LoadedPlan,
    mask: Arc<Mask>,
    grace: Duration,
    logs: LogThread,
    answers: UnboundedSender<Message>,
    controls: HashMap<StepId, StepControl>,
}

impl Runs {
    pub(super) fn new(
        volume: Volume,
        plan: LoadedPlan,
        mask: Arc<Mask>,
        grace: Duration,
        answers: UnboundedSender<Message>,
    ) -> std::io::Result<Runs> {
        let logs = LogThread::start(volume.clone())?;
        Ok(Runs { volume, plan, mask, grace, logs, answers, controls: HashMap::new() })
    }

    /// Starts a step under its shim, which inherits the guard. Its end is told by a message, in any case.
    pub(super) fn start(&mut self, start: Start, guard: Option<BorrowedFd<'_>>) {
        let spec = self.spec(start);
        self.logs.begin(start.step);
        match StepProcess::spawn(&spec, guard) {
            Ok(process) => {
                self.controls.insert(start.step, process.control());
                let reader = Reader {
                    step: start.step,
                    name: spec.name,
                    mask: Arc::clone(&self.mask),
                    logs: self.logs.clone(),
                    answers: self.answers.clone(),
                    last: VecDeque::new(),
                };
                tokio::spawn(reader.read(process));
            }
            Err(error) => {
                let how = RunHow::CannotRun { code: 126, message: format!("cannot start a shim: {error}") };
                let end = RunEnd { how, stopped: false, checked: false, leftovers: 0, duration: Duration::ZERO };
                let _ = self.answers.send(Message::RunEnded(start.step, end, Vec::new()));
            }
        }
    }

    fn spec(&self, start: Start) -> StepSpec {
        let command = &self.plan.commands[start.step.0];
        let name = self.plan.plan.step(start.step).name.to_string();
        let os = |words: &[String]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut env: Vec<(OsString, OsString)> = command.env.iter().map(|(k, v)| (k.into(), v.into())).collect();
        env.extend([
            ("BELLWETHER_REV".into(), self.volume.revision().as_str().into()),
            ("BELLWETHER_STEP".into(), OsString::from(&name)),
            ("BELLWETHER_EPOCH".into(), start.epoch.to_string().into()),
            ("BELLWETHER_ATTEMPT".into(), start.attempt.to_string().into()),
            ("BELLWETHER_VOLUME".into(), self.volume.root().into()),
            ("BELLWETHER_RECORD".into(), self.volume.data_path(start.step).into()),
        ]);
        StepSpec {
            epoch: start.epoch.0,
            check: command.check.as_deref().map(os),
            env,
            cwd: command.cwd.clone(),
            user: command.user.clone(),
            grace: self.grace,
            deadline: start.deadline,
            ..StepSpec::new(&name, os(&command.run))
        }
    }

    pub(super) fn stop(&self, step: StepId) {
        if let Some(control) = self.controls.get(&step) {
            control.stop();
        }
    }

    pub(super) fn kill(&self, step: StepId) {
        if let Some(control) = self.controls.get(&step) {
            control.kill();
        }
    }

    pub(super) fn extend(&self, deadline: Timestamp) {
        for control in self.controls.values() {
            control.set_deadline(Some(deadline));
        }
    }

    /// Waits until the output of all runs that are over is on the volume.
    pub(super) fn flush_logs(&self) {
        self.logs.flush();
    }

    /// The run of this step is over.
    pub(super) fn forget(&mut self, step: StepId) {
        self.controls.remove(&step);
    }
}

/// Reads one run to its end.
struct Reader {
    step: StepId,
    name: String,
    mask: Arc<Mask>,
    logs: LogThread,
    answers: UnboundedSender<Message>,
    last: VecDeque<String>,
}

impl Reader {
    async fn read(mut self, mut process: StepProcess) {
        while let Some(event) = process.next().await {
            match event {
                RunEvent::Started { pid } => info!(step = %self.name, pid, "step started"),
                RunEvent::Line(line) => self.take_line(&line.text),
                RunEvent::Note(note) => warn!(step = %self.name, "{}", self.mask.mask(&note)),
                RunEvent::Ended(end) => {
                    if end.leftovers > 0 {
                        warn!(step = %self.name, processes = end.leftovers, "the step left processes behind; they have been stopped");
                    }
                    if let RunHow::CannotRun { message, .. } = &end.how {
                        // Its last words, as it were: where a person looks for them.
                        self.take_line(message);
                    }
                    let lines = self.last.drain(..).collect();
                    let _ = self.answers.send(Message::RunEnded(self.step, end, lines));
                }
            }
        }
    }

    fn take_line(&mut self, text: &str) {
        let line = self.mask.mask(text);
        info!(step = %self.name, "{line}");
        self.logs.line(self.step, &line);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.into_owned());
    }
}
