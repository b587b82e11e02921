//! The steps that run: their shims or tasks, their output, their last lines.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};

use super::context::Facts;
use super::journal::Lines;
use super::log_thread::LogThread;
use super::message::Message;
use super::tasks::{self, Order, TaskControl};
use super::work::{Work, WorkPlan};
use crate::process::{RunEnd, RunEvent, RunHow, StepControl, StepProcess, StepSpec};
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::{Epoch, StepId, Timestamp};
use crate::settings::{Mask, StepCommand};
use crate::volume::{Guard, Volume};

/// What a run is started with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) step: StepId,
    pub(super) epoch: Epoch,
    pub(super) attempt: u32,
    pub(super) deadline: Option<Timestamp>,
}

/// What gives orders to a run.
#[derive(Debug)]
enum Control {
    Process(StepControl),
    Task(TaskControl),
}

/// What holds for all runs.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) volume: Volume,
    pub(super) plan: WorkPlan,
    pub(super) mask: Arc<Mask>,
    pub(super) grace: Duration,
    /// The executable that is asked to be a shim.
    pub(super) shim: PathBuf,
}

/// The runs of this replica. When it is dropped they are stopped.
#[derive(Debug)]
pub(super) struct Runs {
    terms: Terms,
    logs: LogThread,
    answers: UnboundedSender<Message>,
    controls: HashMap<StepId, Control>,
}

impl Runs {
    pub(super) fn new(terms: Terms, answers: UnboundedSender<Message>) -> std::io::Result<Runs> {
        let logs = LogThread::start(terms.volume.clone())?;
        Ok(Runs { terms, logs, answers, controls: HashMap::new() })
    }

    /// Starts a step. It keeps the guard until nothing of it is left. Its end is told by a message, in any case.
    pub(super) fn start(&mut self, start: Start, guard: Option<&Arc<Guard>>) {
        self.logs.begin(start.step);
        let name = self.terms.plan.plan.step(start.step).name.to_string();
        let lines = Lines::new(start.step, name, Arc::clone(&self.terms.mask), self.logs.clone());
        match self.terms.plan.works[start.step.0].clone() {
            Work::Command(command) => self.start_process(start, &command, guard, lines),
            Work::Function(function) => {
                let Start { step, epoch, attempt, deadline } = start;
                let facts = Facts { step, epoch, attempt, volume: self.terms.volume.clone() };
                let order = Order { facts, guard: guard.cloned(), deadline, grace: self.terms.grace, lines };
                let control = tasks::start(function, order, self.answers.clone());
                self.controls.insert(step, Control::Task(control));
            }
        }
    }

    /// Under a shim, which inherits the guard.
    fn start_process(&mut self, start: Start, command: &StepCommand, guard: Option<&Arc<Guard>>, lines: Lines) {
        let spec = self.spec(start, command, &lines.name);
        let inherited = guard.filter(|_| !mutant::is(Mutant::GuardNotInherited));
        match StepProcess::spawn(&spec, inherited.map(|guard| guard.as_fd())) {
            Ok(process) => {
                self.controls.insert(start.step, Control::Process(process.control()));
                tokio::spawn(Reader { lines, answers: self.answers.clone() }.read(process));
            }
            Err(error) => {
                let how = RunHow::CannotRun { code: 126, message: format!("cannot start a shim: {error}") };
                let end = RunEnd { how, stopped: false, checked: false, leftovers: 0, duration: Duration::ZERO };
                let _ = self.answers.send(Message::RunEnded(start.step, end, Vec::new()));
            }
        }
    }

    fn spec(&self, start: Start, command: &StepCommand, name: &str) -> StepSpec {
        let volume = &self.terms.volume;
        let os = |words: &[String]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut env: Vec<(OsString, OsString)> = command.env.iter().map(|(k, v)| (k.into(), v.into())).collect();
        env.extend([
            ("BELLWETHER_REV".into(), volume.revision().as_str().into()),
            ("BELLWETHER_STEP".into(), OsString::from(name)),
            ("BELLWETHER_EPOCH".into(), start.epoch.to_string().into()),
            ("BELLWETHER_ATTEMPT".into(), start.attempt.to_string().into()),
            ("BELLWETHER_VOLUME".into(), volume.root().into()),
            ("BELLWETHER_RECORD".into(), volume.data_path(start.step).into()),
        ]);
        StepSpec {
            epoch: start.epoch.0,
            check: command.check.as_deref().map(os),
            env,
            cwd: command.cwd.clone(),
            user: command.user.clone(),
            grace: self.terms.grace,
            deadline: start.deadline,
            executable: self.terms.shim.clone(),
            ..StepSpec::new(name, os(&command.run))
        }
    }

    pub(super) fn stop(&self, step: StepId) {
        self.controls.get(&step).into_iter().for_each(Control::stop);
    }

    pub(super) fn kill(&self, step: StepId) {
        match self.controls.get(&step) {
            Some(Control::Process(process)) => process.kill(),
            Some(Control::Task(task)) => task.kill(),
            None => {}
        }
    }

    pub(super) fn extend(&self, deadline: Timestamp) {
        for control in self.controls.values() {
            match control {
                Control::Process(process) => process.set_deadline(Some(deadline)),
                Control::Task(task) => task.set_deadline(deadline),
            }
        }
    }

    /// Waits until the output of all runs that are over is on the volume.
    pub(super) async fn flush_logs(&self) {
        self.logs.flush().await;
    }

    /// The run of this step is over.
    pub(super) fn forget(&mut self, step: StepId) {
        self.controls.remove(&step);
    }
}

impl Drop for Runs {
    /// Without a leader nobody beats for them. At the end of a leadership there is none left.
    fn drop(&mut self) {
        self.controls.values().for_each(Control::stop);
    }
}

impl Control {
    fn stop(&self) {
        match self {
            Control::Process(process) => process.stop(),
            Control::Task(task) => task.stop(),
        }
    }
}

/// Reads one process's run to its end.
struct Reader {
    lines: Lines,
    answers: UnboundedSender<Message>,
}

impl Reader {
    async fn read(mut self, mut process: StepProcess) {
        while let Some(event) = process.next().await {
            let Lines { name, mask, .. } = &self.lines;
            match event {
                RunEvent::Started { pid } => info!(step = %name, pid, "step started"),
                RunEvent::Line(line) => self.lines.take(&line.text),
                RunEvent::Note(note) => warn!(step = %name, "{}", mask.mask(&note)),
                RunEvent::Ended(end) => {
                    if end.leftovers > 0 {
                        warn!(step = %name, processes = end.leftovers, "the step left processes behind; they have been stopped");
                    }
                    if let RunHow::CannotRun { message, .. } = &end.how {
                        // Its last words, as it were: where a person looks for them.
                        self.lines.take(message);
                    }
                    let _ = self.answers.send(Message::RunEnded(self.lines.step, end, self.lines.drain()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::*;
    use crate::driver::testing;
    use crate::driver::work::StepFunction;
    use crate::process::boottime;

    const LONG: Duration = Duration::from_secs(3600);

    /// The runs of a plan with one step.
    fn runs(work: Work) -> (Runs, UnboundedReceiver<Message>) {
        let (volume, plan) = testing::volume();
        let plan = WorkPlan { plan, works: vec![work], needs: Vec::new(), digest: String::new() };
        let terms = Terms { volume, plan, mask: Arc::new(Mask::new()), grace: LONG, shim: "/nowhere".into() };
        let (answers, inbox) = unbounded_channel();
        (Runs::new(terms, answers).unwrap(), inbox)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_puts_off_the_deadline_of_a_task() {
        let (release, released) = oneshot::channel::<()>();
        let released = Mutex::new(Some(released));
        let function = StepFunction::new(move |context| {
            let released = released.lock().unwrap().take().unwrap();
            async move {
                tokio::select! {
                    () = context.cancelled() => {}
                    _ = released => {}
                }
                Ok(())
            }
        });
        let (mut runs, mut inbox) = runs(Work::Function(function));
        let now = boottime::now();
        runs.start(Start { step: StepId(0), epoch: Epoch(1), attempt: 1, deadline: Some(now) }, None);
        runs.extend(now + LONG);
        // Long enough for many a look at the deadline, in a time that does not pass.
        sleep(Duration::from_secs(60)).await;
        release.send(()).expect("the step has lived on");
        let Some(Message::RunEnded(_, end, _)) = inbox.recv().await else { panic!("the channel is open") };
        assert!(!end.stopped, "{end:?}");
    }

    #[tokio::test]
    async fn dropped_runs_are_stopped() {
        let (mut runs, _inbox) = runs(Work::Function(StepFunction::new(|_| async { Ok(()) })));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let process = StepControl::of_socket(ours);
        // A runtime does not write before it has been told that it may.
        process.0.socket.writable().await.unwrap();
        runs.controls.insert(StepId(0), Control::Process(process.clone()));
        drop(runs);
        let mut order = [0; 5];
        theirs.set_nonblocking(true).unwrap();
        theirs.read_exact(&mut order).expect("an order is there already");
        assert_eq!(&order, b"stop\n");
        drop(process);
    }
}
