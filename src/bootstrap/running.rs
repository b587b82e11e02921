//! A replica, from its start to its outcome.

use std::future::Future;
use std::io;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::driver::{Driver, End, Setup, Stopper};
use crate::exit::chain;
use crate::protocol::{self, Plan};
use crate::volume::{Volume, VolumeError};

/// How a replica's part in a release ended, where nothing is broken.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every step of the revision is done, by whomever: serve.
    Ready,
    /// Stopped as asked. If this replica led, its steps have been stopped and their markers removed.
    Stopped,
    /// A step has failed for good. The revision stays failed, also for replicas that are started later. A new revision begins
    /// anew; or `bellwether retry` counts from zero, with a plan file that has steps of the same names and markers (see *A
    /// step that has failed for good* on the crate's page).
    #[non_exhaustive]
    StepFailed {
        /// The step; empty if its marker cannot be read.
        step: String,
        /// What a person needs to know, on several lines: how it ended, its last words, where its log is.
        report: String,
    },
    /// The revision was not ready within the [`ready_timeout`](super::Bootstrap::ready_timeout).
    GaveUp,
    /// What the plan needs did not come in time.
    #[non_exhaustive]
    NeedsUnmet {
        /// What is missing.
        report: String,
    },
    /// Redis stayed unreachable and nobody was seen at work.
    #[non_exhaustive]
    RedisUnavailable {
        /// How it failed last, and what to look at.
        report: String,
    },
    /// The revision is ready, but a later one has begun, and [`refuse_downgrade`](super::Bootstrap::refuse_downgrade) was
    /// asked for.
    #[non_exhaustive]
    Superseded {
        /// The later revision.
        newest: String,
    },
}

impl Outcome {
    /// Whether it is time to serve.
    pub fn is_ready(&self) -> bool {
        *self == Outcome::Ready
    }
}

/// Why a replica ended without an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// [`Replica::run`] and [`Replica::start`] need a tokio runtime with I/O and time.
    #[error("there is no tokio runtime here; call run_blocking, or start from within one")]
    NoRuntime,
    /// The runtime lacks I/O or time. Nothing has been touched.
    #[error("the tokio runtime has no {0}; build it with enable_all()")]
    RuntimeLacks(&'static str),
    /// [`Replica::run_blocking`] would block a runtime.
    #[error("this is within a tokio runtime, which run_blocking would block; call run")]
    WithinRuntime,
    /// A thread or a runtime could not be started.
    #[error("cannot begin")]
    Begin(#[source] io::Error),
    /// The volume does not work. The text names path and repair.
    #[error("the volume does not work")]
    Volume(#[source] VolumeError),
    /// The file system dropped our lock, so the steps have been stopped.
    #[error("the guard on the volume was lost, so the steps have been stopped; the file system has dropped our lock")]
    GuardLost,
    /// The runtime was shut down.
    #[error("the runtime was shut down")]
    ShutDown,
    /// The driver has panicked: a bug of ours.
    #[error("the driver has panicked, which is a bug: {0}")]
    Panicked(String),
}

/// A replica that has been checked and has not begun. Made by [`Bootstrap::build`](super::Bootstrap::build).
#[derive(Debug)]
#[must_use = "it does nothing before it is started or run"]
pub struct Replica {
    pub(super) setup: Setup,
}

impl Replica {
    /// The plan, for tests of it.
    pub fn plan(&self) -> &Plan {
        self.setup.config.plan()
    }

    /// Begins: a task of the driver, two threads for the volume, and a third while it waits for the guard; each run of a
    /// function is one more task. Nothing is lost if the caller is dropped.
    ///
    /// # Errors
    ///
    /// [`RunError::NoRuntime`], [`RunError::RuntimeLacks`], or [`RunError::Begin`] if there is no thread left.
    pub fn start(self) -> Result<Running, RunError> {
        let runtime = Handle::try_current().map_err(|_| RunError::NoRuntime)?;
        probe_runtime()?;
        let volume = self.setup.volume.clone();
        let driver = Driver::new(self.setup).map_err(RunError::Begin)?;
        let stopper = driver.stopper();
        Ok(Running { stopper, end: Some(runtime.spawn(conduct(driver, volume))) })
    }

    /// Leads or follows until the end. If the future is dropped, the replica stops in the background, like a [`Running`]
    /// one.
    ///
    /// # Errors
    ///
    /// A [`RunError`].
    pub async fn run(self) -> Result<Outcome, RunError> {
        self.start()?.await
    }

    /// The same for a program without a runtime: it makes one of a single thread, and blocks.
    ///
    /// # Errors
    ///
    /// A [`RunError`].
    pub fn run_blocking(self) -> Result<Outcome, RunError> {
        if Handle::try_current().is_ok() {
            return Err(RunError::WithinRuntime);
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(RunError::Begin)?;
        let outcome = runtime.block_on(self.run());
        // A name that is being looked up must not hold us back.
        runtime.shutdown_background();
        outcome
    }
}

/// A replica at work. Awaiting it gives the [`Outcome`], once: polled again after that, it is pending for ever, so a
/// `select!` in a loop may keep it as `&mut running`.
///
/// **Dropping it asks the replica to stop.** That is done in the background, in the usual order: the steps are stopped,
/// their markers removed, the guard closed. It needs the runtime to live on for as long; if the runtime is dropped as
/// well, the shims stop the commands' processes by themselves, tasks are dropped at their next `await`, and the guard is
/// free when the last of them is gone; the markers stay until they are stale.
#[derive(Debug)]
#[must_use = "dropping it stops the replica"]
pub struct Running {
    stopper: Stopper,
    /// Until it has told its outcome.
    end: Option<JoinHandle<Result<Outcome, RunError>>>,
}

impl Running {
    /// Stops the steps, with the stop grace, and ends. Asked a second time, without grace; a third time, without waiting
    /// for the volume.
    ///
    /// A function's run is over when the function has ended and every clone of its [`StepContext`](crate::StepContext) is
    /// gone, however often this is asked: a clone that is kept for good keeps the run, the guard, and with them this
    /// replica and everybody who waits for it. Every 30 s an event of [`tracing`] tells which step it is.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// The same for others: for a signal handler's task, say.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Whether it has ended, so that awaiting it takes no time. It stays so when the outcome has been taken.
    pub fn is_finished(&self) -> bool {
        self.end.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Future for Running {
    type Output = Result<Outcome, RunError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(end) = &mut self.end else { return Poll::Pending };
        let end = ready!(Pin::new(end).poll(context));
        self.end = None;
        Poll::Ready(end.unwrap_or_else(|error| Err(RunError::of_task(&error))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A driver that has ended does not listen.
        self.stopper.abandon();
    }
}

impl RunError {
    fn of_task(error: &JoinError) -> RunError {
        if error.is_panic() { RunError::Panicked(error.to_string()) } else { RunError::ShutDown }
    }
}

/// Whether the runtime can do what we shall ask of it, before anything is touched.
///
/// A runtime does not tell what it lacks except by a panic, at the first use. So each is used once; the panic's message
/// is told as usual, by the program's panic hook. Errors are left to whoever needs the thing.
fn probe_runtime() -> Result<(), RunError> {
    let probe = |what, use_it: fn()| catch_unwind(use_it).map_err(|_| RunError::RuntimeLacks(what));
    probe("time", || drop(tokio::time::sleep(Duration::ZERO)))?;
    probe("I/O", || drop(UnixDatagram::unbound()))
}

async fn conduct(driver: Driver, volume: Volume) -> Result<Outcome, RunError> {
    let end = driver.run().await;
    if end.outcome != protocol::Outcome::StepFailed {
        return judge(end, &volume);
    }
    // The failed marker is read, and the volume may hang.
    let judged = spawn_blocking(move || judge(end, &volume)).await;
    judged.unwrap_or_else(|error| Err(RunError::of_task(&error)))
}

fn judge(end: End, volume: &Volume) -> Result<Outcome, RunError> {
    let End { outcome, volume_error, needs_error, redis_failure } = end;
    Ok(match outcome {
        protocol::Outcome::HandOff => Outcome::Ready,
        protocol::Outcome::Stopped => Outcome::Stopped,
        protocol::Outcome::StepFailed => {
            let failure = volume.read_failed().ok().flatten().unwrap_or_default();
            Outcome::StepFailed { step: failure.step, report: volume.describe_failure() }
        }
        protocol::Outcome::GaveUp => Outcome::GaveUp,
        protocol::Outcome::NeedsUnmet => {
            Outcome::NeedsUnmet { report: needs_error.map(|error| chain(&error)).unwrap_or_default() }
        }
        protocol::Outcome::RedisUnavailable => Outcome::RedisUnavailable { report: redis_failure.unwrap_or_default() },
        protocol::Outcome::DowngradeRefused { newest } => Outcome::Superseded { newest: newest.to_string() },
        protocol::Outcome::GuardLost => return Err(RunError::GuardLost),
        protocol::Outcome::VolumeFailed(fault) => {
            let unknown = || VolumeError::Io {
                action: "use",
                path: volume.root().to_owned(),
                source: io::Error::other(format!("{fault:?}")),
            };
            return Err(RunError::Volume(volume_error.unwrap_or_else(unknown)));
        }
    })
}
