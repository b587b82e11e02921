//! The leader's side of a step's process.
#![expect(unsafe_code, reason = "the shim must lead a session of its own from its first instruction on")]

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, pipe};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

use super::control::{Channel, StepControl};
use super::output::Output;
use super::reap::{self, OwnChild};
use super::shim;
use super::shim::wire::{Inbox, Report};
use super::signals::block_all_signals;
use super::spec::{RunEnd, RunEvent, RunHow, StepSpec};
use super::stop::Trace;
use super::sys::SignalSet;
use super::{boottime, sys, tree};
use crate::protocol::Timestamp;

/// How long output is still read when the run is over but somebody, no descendant of it, keeps the pipe open.
const STRAGGLER: Duration = Duration::from_secs(2);
/// The pauses between two looks for what a vanished shim has left.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How far a run is over.
#[derive(Debug)]
enum Phase {
    /// The shim lives.
    Running,
    /// The shim has vanished; what it left is being killed, and looked for again at that moment.
    Sweeping { next: Instant, pause: Duration },
    /// Nothing is left; output is read until its end, or that moment.
    Draining { until: Instant, end: RunEnd },
    /// Everything is told.
    Over,
}

/// What woke the reader of events.
enum Wake {
    Socket,
    Output,
    Shim,
    Time,
}

/// A step's process, below its shim.
///
/// [`next`](StepProcess::next) has to be polled for anything to be read. Dropping it makes the shim stop the tree.
#[derive(Debug)]
pub struct StepProcess {
    channel: Arc<Channel>,
    gone: AsyncFd<OwnedFd>,
    shim: Reaped,
    trace: Trace,
    begun: Timestamp,
    inbox: Inbox,
    is_heard: bool,
    pipe: Option<Receiver>,
    output: Output,
    events: VecDeque<RunEvent>,
    reported: Option<Report>,
    phase: Phase,
}

impl StepProcess {
    /// Starts a shim with this task. It and the step's main process inherit `guard`.
    ///
    /// A program that cannot be executed is no error here; the run ends with [`RunHow::CannotRun`].
    ///
    /// # Errors
    ///
    /// If there is no descriptor, memory or process left for the shim, or no way to watch it (Linux before 5.3).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time.
    pub fn spawn(spec: &StepSpec, guard: Option<BorrowedFd<'_>>) -> io::Result<StepProcess> {
        let begun = boottime::now();
        let run = format!("{}.{}", tree::own_pid(), begun.as_nanos());
        let (ours, theirs) = UnixStream::pair()?;
        let (output, output_end) = pipe()?;
        // As much as possible is done before there is a shim: what fails or panics then leaves nothing behind.
        ours.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(ours)?;
        let output = Receiver::from_owned_fd(OwnedFd::from(output))?;
        let task = spec.task(&run)?;
        let mut command = Command::new(&spec.executable);
        command.arg0(format!("bellwether: {} (epoch {})", spec.name, spec.epoch)).arg(shim::ARGUMENT);
        command.stdin(OwnedFd::from(theirs)).stderr(output_end);
        command.stdout(match guard {
            Some(guard) => Stdio::from(guard.try_clone_to_owned()?),
            None => Stdio::null(),
        });
        let mask = SignalSet::of_shim();
        let settle = move || {
            // An embedder's program may have threads before it comes to its shim. They inherit this, or one of them would
            // take the SIGCHLD that the shim waits for.
            mask.become_mask();
            Ok(rustix::process::setsid().map(drop)?)
        };
        // SAFETY: the closure makes two system calls and builds an error from a number.
        unsafe { command.pre_exec(settle) };
        let shim = OwnChild::spawn(&mut command)?;
        // Our copies of the shim's ends go here, or their end would never be seen.
        drop(command);
        let pid = shim.id();
        let shim = Reaped(Some(shim));
        let channel = Channel::open(socket, pid, task)?;
        let start = tree::Process::read(pid).map_or(0, |process| process.start);
        Ok(StepProcess {
            gone: sys::watch(channel.shim.try_clone()?)?,
            channel,
            trace: Trace { shim: pid, start, run, struck: BTreeSet::new() },
            shim,
            begun,
            inbox: Inbox::default(),
            is_heard: true,
            pipe: Some(output),
            output: Output::new(begun),
            events: VecDeque::new(),
            reported: None,
            phase: Phase::Running,
        })
    }

    /// The pid of the shim.
    pub fn shim_pid(&self) -> i32 {
        self.trace.shim
    }

    /// What gives orders to it; may be cloned and kept elsewhere.
    pub fn control(&self) -> StepControl {
        StepControl(Arc::clone(&self.channel))
    }

    /// See [`StepControl::stop`].
    pub fn stop(&self) {
        self.control().stop();
    }

    /// See [`StepControl::kill`].
    pub fn kill(&self) {
        self.control().kill();
    }

    /// See [`StepControl::set_deadline`].
    pub fn set_deadline(&self, deadline: Option<Timestamp>) {
        self.control().set_deadline(deadline);
    }

    /// The next event; `None` after [`RunEvent::Ended`]. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<RunEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if matches!(self.phase, Phase::Over) {
                return None;
            }
            self.turn().await;
        }
    }

    /// Waits for the end; output and notes go nowhere.
    pub async fn wait(&mut self) -> RunEnd {
        loop {
            match self.next().await {
                Some(RunEvent::Ended(end)) => return end,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    async fn turn(&mut self) {
        match self.wake().await {
            Wake::Socket => self.exchange(),
            Wake::Output => self.read_output(),
            Wake::Shim => self.handle_shim_gone(),
            Wake::Time => self.handle_time(),
        }
    }

    async fn wake(&self) -> Wake {
        let is_running = matches!(self.phase, Phase::Running);
        let moment = match self.phase {
            Phase::Sweeping { next, .. } => next,
            Phase::Draining { until, .. } => until,
            Phase::Running | Phase::Over => Instant::now(),
        };
        let output = async {
            match &self.pipe {
                Some(pipe) => drop(pipe.readable().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.channel.socket.readable(), if is_running && self.is_heard => Wake::Socket,
            _ = self.channel.socket.writable(), if is_running && self.channel.is_waiting() => Wake::Socket,
            () = self.channel.refilled.notified(), if is_running => Wake::Socket,
            _ = self.gone.readable(), if is_running => Wake::Shim,
            () = sleep_until(moment), if !is_running => Wake::Time,
            () = output => Wake::Output,
        }
    }

    /// Writes what is waiting, reads what is there.
    fn exchange(&mut self) {
        self.channel.flush();
        let mut bytes = [0; 4096];
        while self.is_heard {
            match self.channel.socket.try_read(&mut bytes) {
                Ok(0) => self.is_heard = false,
                Ok(read) => self.inbox.push(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.is_heard = false,
            }
        }
        while let Some(line) = self.inbox.next_line() {
            match serde_json::from_str(&line) {
                Ok(Report::Started { pid }) => self.events.push_back(RunEvent::Started { pid }),
                Ok(Report::Note { text }) => self.events.push_back(RunEvent::Note(text)),
                Ok(ended @ Report::Ended { .. }) => self.reported = Some(ended),
                Err(error) => self.events.push_back(RunEvent::Note(format!("the shim says {line:?}: {error}"))),
            }
        }
    }

    fn read_output(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut bytes = [0; 16 * 1024];
        match pipe.try_read(&mut bytes) {
            Ok(0) => self.end_output(),
            Ok(read) => {
                let (output, events) = (&mut self.output, &mut self.events);
                output.push(boottime::now(), &bytes[..read], |line| events.push_back(RunEvent::Line(line)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.end_output(),
        }
    }

    fn end_output(&mut self) {
        self.pipe = None;
        let (output, events) = (&mut self.output, &mut self.events);
        output.finish(|line| events.push_back(RunEvent::Line(line)));
        if matches!(self.phase, Phase::Draining { .. }) {
            self.finish();
        }
    }

    fn handle_shim_gone(&mut self) {
        // Its last words are in the socket.
        self.exchange();
        // It has ended, so this does not wait; an embedder that reaps everything has the status, and we do not need it.
        if let Some(mut shim) = self.shim.0.take() {
            let _ = shim.wait();
        }
        match self.reported.take() {
            Some(Report::Ended { how, stopped, checked, leftovers }) => self.drain(how, stopped, checked, leftovers),
            _ => self.phase = Phase::Sweeping { next: Instant::now(), pause: SHORTEST_PAUSE },
        }
    }

    fn handle_time(&mut self) {
        match self.phase {
            Phase::Sweeping { next, pause } if Instant::now() >= next => {
                let alive = self.trace.kill_remains();
                reap::reap_orphans();
                if alive.is_empty() {
                    self.drain(RunHow::ShimVanished, false, false, 0);
                } else {
                    let next = Instant::now() + pause;
                    self.phase = Phase::Sweeping { next, pause: (pause * 2).min(LONGEST_PAUSE) };
                }
            }
            Phase::Draining { until, .. } if Instant::now() >= until => self.end_output(),
            _ => {}
        }
    }

    fn drain(&mut self, how: RunHow, stopped: bool, checked: bool, leftovers: usize) {
        let duration = boottime::now().since(self.begun);
        let end = RunEnd { how, stopped, checked, leftovers, duration };
        self.phase = Phase::Draining { until: Instant::now() + STRAGGLER, end };
        if self.pipe.is_none() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Phase::Draining { end, .. } = std::mem::replace(&mut self.phase, Phase::Over) {
            self.events.push_back(RunEvent::Ended(end));
        }
    }
}

impl Drop for StepProcess {
    fn drop(&mut self) {
        self.channel.hang_up();
    }
}

/// A shim that is waited for in any case, by a thread if it must be. `None`: it was.
///
/// Whoever embeds us reaps nobody: with the runtime gone, the shim would stay behind as a zombie.
#[derive(Debug)]
struct Reaped(Option<OwnChild>);

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut shim) = self.0.take() {
            let wait = move || {
                block_all_signals();
                let _ = shim.wait();
            };
            let _ = thread::Builder::new().name("shim".to_owned()).spawn(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::path::PathBuf;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_runtime_without_io_is_noticed_before_there_is_a_shim() {
        let spec =
            StepSpec { executable: PathBuf::from("/nowhere/shim"), ..StepSpec::new("step", vec!["true".into()]) };
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let spawn = || runtime.block_on(async { StepProcess::spawn(&spec, None).map(drop) });
        // Starting the executable would have been an error.
        assert!(catch_unwind(std::panic::AssertUnwindSafe(spawn)).is_err());
    }

    #[test]
    fn a_shim_whose_start_has_failed_is_reaped() {
        let shim = OwnChild::spawn(&mut Command::new("true")).unwrap();
        let process = PathBuf::from(format!("/proc/{}", shim.id()));
        drop(Reaped(Some(shim)));
        while process.exists() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
