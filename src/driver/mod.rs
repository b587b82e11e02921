//! The driver: one loop that hands what happens to the machine and does what the machine says.
//!
//! ```text
//!  signals ─┐                                   ┌─► volume thread   (look, claim, count, beat, commit …)
//!  timers ──┼─► Message ─► Machine::handle ─► Action ─► guard thread    (flock)
//!  threads ─┤                                   ├─► runs            (shims, output) ─► log thread
//!  tasks ───┘                                   └─► lease desk      (Redis), needs
//! ```
//!
//! It decides nothing, installs no signal handler and never execs.

mod context;
mod failure;
mod guard_thread;
mod journal;
#[cfg(feature = "redis")]
mod lease_desk;
#[cfg(not(feature = "redis"))]
#[path = "no_lease.rs"]
mod lease_desk;
mod log_thread;
mod message;
mod perform;
mod report;
mod runs;
mod tasks;
#[cfg(test)]
mod testing;
mod volume_thread;
mod words;
mod work;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::lease::Server;
use crate::needs::NeedsError;
use crate::process::User;
use crate::process::boottime;
use crate::protocol::{Action, Config, Doing, Event, Fault, Machine, Notice, Outcome, StepId};
use crate::settings::Mask;
use crate::volume::{Guard, Volume, VolumeError};

use guard_thread::GuardWait;
use lease_desk::LeaseDesk;
use message::Message;
use report::RunReport;
use runs::{Runs, Terms};
use volume_thread::{Job, Office};

pub use context::{StepContext, StepRecord};
pub use failure::StepError;
pub use work::{StepFunction, StepResult, Work, WorkPlan};

use words::going_back;
#[cfg(feature = "cli")]
pub(crate) use words::{FORGOTTEN, MOUNT};
pub(crate) use words::{downgraded, warn_of_forgotten_volume};

/// What a driver is given.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The machine's configuration; its plan is `plan.plan`.
    pub config: Config,
    /// The volume.
    pub volume: Volume,
    /// Whether the guard has to be proved with each beat: it is on a shared file system.
    pub prove_guard: bool,
    /// What each step does, and what the plan needs.
    pub plan: WorkPlan,
    /// The executable that is asked to be a shim: for a program that calls [`process::shim`](crate::process::shim) in
    /// its first lines, `/proc/self/exe`.
    pub shim: PathBuf,
    /// How long the plan's needs are waited for; `None`: for ever.
    pub needs_wait: Option<Duration>,
    /// Time between TERM and KILL when a step is stopped.
    pub stop_grace: Duration,
    /// Hides secrets in the steps' output.
    pub mask: Mask,
    /// Becomes the volume's id if it has none.
    pub candidate: Uuid,
    /// Where the lease is, if the election is by a lease.
    pub lease: Option<LeaseSource>,
}

/// Where the lease is.
#[derive(Clone, Debug)]
pub struct LeaseSource {
    /// The Redis.
    pub server: Server,
    /// Which election there; `None`: the volume's id.
    pub scope: Option<String>,
}

/// How a replica's coordination ended. Nothing of it runs any more; the guard is closed.
#[derive(Debug)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// The error of the volume that ended it, if one did.
    pub volume_error: Option<VolumeError>,
    /// What the plan needs and did not come, if that ended it.
    pub needs_error: Option<NeedsError>,
    /// Why Redis did not answer the last request, if it did not.
    pub redis_failure: Option<String>,
}

/// Asks a driver to stop; may be cloned and sent elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(UnboundedSender<Message>);

impl Stopper {
    /// Stops the steps and ends. Asked a second time, without grace.
    pub fn stop(&self) {
        // If nobody listens, the driver has ended.
        let _ = self.0.send(Message::Stop);
    }

    /// The same, unless it was asked to stop already: nobody is in a hurry.
    pub(crate) fn abandon(&self) {
        let _ = self.0.send(Message::Abandoned);
    }
}

/// One replica's driver.
#[derive(Debug)]
pub struct Driver {
    machine: Machine,
    setup: Setup,
    inbox: UnboundedReceiver<Message>,
    answers: UnboundedSender<Message>,
    jobs: Sender<Job>,
    runs: Runs,
    guard_wait: GuardWait,
    guard: Option<Arc<Guard>>,
    desk: LeaseDesk,
    /// The task that waits for what the plan needs. It ends with us at the latest.
    needs: JoinSet<()>,
    reports: HashMap<StepId, RunReport>,
    asked_to_stop: bool,
    volume_error: Option<VolumeError>,
    needs_error: Option<NeedsError>,
}

impl Driver {
    /// Starts the threads; nothing else happens before [`run`](Driver::run).
    ///
    /// # Errors
    ///
    /// If a thread cannot be started.
    pub fn new(setup: Setup) -> io::Result<Driver> {
        let (answers, inbox) = unbounded_channel();
        let desk = LeaseDesk::new(&setup, answers.clone());
        let mask = Arc::new(setup.mask.clone());
        let office = Office {
            volume: setup.volume.clone(),
            candidate: setup.candidate,
            beat_every: setup.config.beat_every(),
            plan_digest: setup.plan.digest.clone(),
            owners: owners(&setup.plan),
            mask: Arc::clone(&mask),
            wants_id: desk.wants_scope(),
        };
        let jobs = volume_thread::start(office, answers.clone())?;
        let terms = Terms {
            volume: setup.volume.clone(),
            plan: setup.plan.clone(),
            mask,
            grace: setup.stop_grace,
            shim: setup.shim.clone(),
        };
        let runs = Runs::new(terms, answers.clone())?;
        Ok(Driver {
            machine: Machine::new(setup.config.clone()),
            setup,
            inbox,
            answers,
            jobs,
            runs,
            guard_wait: GuardWait::default(),
            guard: None,
            desk,
            needs: JoinSet::new(),
            reports: HashMap::new(),
            asked_to_stop: false,
            volume_error: None,
            needs_error: None,
        })
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.answers.clone())
    }

    /// Leads or follows until the end. In a tokio runtime with I/O and time.
    pub async fn run(mut self) -> End {
        self.desk.open(None);
        let mut event = Event::Started;
        loop {
            for action in self.machine.handle(boottime::now(), event) {
                if let Action::End(outcome) = action {
                    let redis_failure = self.desk.finish().await;
                    self.runs.flush_logs().await;
                    let (volume_error, needs_error) = (self.volume_error, self.needs_error);
                    return End { outcome, volume_error, needs_error, redis_failure };
                }
                match &action {
                    Action::Say(Notice::Downgraded { newest }) => self.perform_say_newer(newest, downgraded).await,
                    // Whoever may lead says it on the volume's thread, before it writes that down: leases do not wait.
                    Action::Say(Notice::GoingBack { newest }) if !self.setup.config.policy.may_lead => {
                        self.perform_say_newer(newest, going_back).await;
                    }
                    _ => self.perform(action),
                }
            }
            event = self.next_event().await;
        }
    }

    async fn next_event(&mut self) -> Event {
        loop {
            // The timers of the runtime stand still while the machine sleeps; ours do not.
            let rest = self.machine.next_deadline().map_or(Duration::MAX, |at| at.since(boottime::now()));
            tokio::select! {
                biased;
                message = self.inbox.recv() => {
                    let message = message.expect("the driver holds a sender itself");
                    if let Some(event) = self.handle_message(message) {
                        return event;
                    }
                }
                () = sleep(rest.min(Duration::from_secs(60))) => return Event::Tick,
            }
        }
    }

    fn handle_message(&mut self, message: Message) -> Option<Event> {
        Some(match message {
            Message::Machine(event) => {
                if let (Event::EpochAllotted(epoch), Some(guard)) = (&event, &self.guard) {
                    self.job(Job::Lead(*epoch, Arc::clone(guard)));
                    self.desk.set_epoch(Some(*epoch));
                }
                event
            }
            Message::VolumeFailed(doing, error) => self.handle_volume_failed(doing, error),
            Message::Scope(id) => {
                self.desk.open(Some(&id.to_string()));
                return None;
            }
            #[cfg(feature = "redis")]
            Message::Lease(answer) => return self.desk.take(answer),
            Message::Guard(granted) => return self.handle_guard(granted),
            Message::Needs(Ok(())) => Event::NeedsMet,
            Message::Needs(Err(error)) => {
                self.needs_error = Some(error);
                Event::NeedsUnmet
            }
            Message::RunEnded(step, end, lines) => {
                self.runs.forget(step);
                let report = RunReport::new(end, lines);
                let event = Event::Ended(step, report.end());
                let name = &self.setup.plan.plan.step(step).name;
                info!(step = %name, took_ms = report.duration_ms(), "step ended: {}", report.words());
                self.reports.insert(step, report);
                event
            }
            Message::Stop => {
                self.asked_to_stop = true;
                Event::StopRequested
            }
            Message::Abandoned if self.asked_to_stop => return None,
            Message::Abandoned => Event::StopRequested,
            Message::Panicked => panic!("the volume's thread has panicked"),
        })
    }

    fn handle_volume_failed(&mut self, doing: Doing, error: VolumeError) -> Event {
        let fault = error.fault();
        let text = crate::exit::chain(&error);
        if fault == Fault::Full {
            // Tried again each second; the machine says so now and then.
            debug!(error = %text, "no room on the volume");
        } else {
            warn!(error = %text, "the volume refuses something");
        }
        self.volume_error = Some(error);
        Event::VolumeFailed(doing, fault)
    }

    /// A guard that nobody wants any more is closed by dropping it.
    fn handle_guard(&mut self, granted: Result<Guard, VolumeError>) -> Option<Event> {
        let wanted = self.guard_wait.end();
        match granted {
            Ok(guard) if wanted => {
                self.guard = Some(Arc::new(guard));
                Some(Event::GuardGranted)
            }
            Err(error) if wanted => Some(self.handle_volume_failed(Doing::Guard, error)),
            _ => None,
        }
    }
}

/// The user and group of each step that runs as somebody else.
fn owners(plan: &WorkPlan) -> Vec<Option<(u32, u32)>> {
    let of = |work: &Work| match work {
        Work::Command(command) => User::find(command.user.as_ref()?).ok().map(|user| (user.uid, user.gid)),
        Work::Function(_) => None,
    };
    plan.works.iter().map(of).collect()
}
