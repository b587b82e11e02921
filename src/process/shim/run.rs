//! What the shim decides: when the tree has to go, and when it is gone.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use super::link::Asked;
use super::wire::{Report, Task};
use super::{Inheritance, child};
use crate::process::spec::RunHow;
use crate::process::sys::{self, Waited};
use crate::process::{boottime, stop, tree};
use crate::protocol::Timestamp;

/// Descendants that end by themselves this soon after the main process are no leftovers: the end of a pipeline.
const SETTLE: Duration = Duration::from_millis(200);
/// The pause between two passes of the kill loop, unless a child ends earlier.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// After so long in the kill loop, who is still there is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far one command of the step has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The main process runs.
    Running,
    /// It has ended by itself; others are left, which may end by themselves too until that moment.
    Settling(Timestamp),
    /// Everybody was asked to end, and may do so until that moment.
    Grace(Timestamp),
    /// The kill loop, with the moment of its next pass, the pause after that, and when it loses patience.
    Killing { next: Timestamp, pause: Duration, patience: Option<Timestamp> },
}

/// How one command of the step ended.
struct Outcome {
    how: RunHow,
    stopped: bool,
}

/// A step's run, seen from its shim.
pub(super) struct Run {
    inheritance: Inheritance,
    task: Task,
    grace: Duration,
    leftovers: usize,
}

impl Run {
    /// Takes what the leader has prepared, and waits for the task.
    pub(super) fn prepare() -> io::Result<Run> {
        let mut inheritance = Inheritance::take()?;
        let task = inheritance.link.receive_task()?;
        let grace = Duration::from_nanos(task.grace_nanos);
        Ok(Run { inheritance, task, grace, leftovers: 0 })
    }

    /// Runs the check, then the step; reports how it ended when nobody is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut checked = false;
        let mut outcome = None;
        if let Some(check) = self.task.check.take() {
            let end = self.run(&check, true)?;
            if let RunHow::CannotRun { message, .. } = &end.how {
                self.note(format!("the check cannot run, so the step runs: {message}"));
            }
            checked = end.how == RunHow::Exit(0) && !end.stopped;
            outcome = (checked || end.stopped).then_some(end);
        }
        let Outcome { how, stopped } = if let Some(end) = outcome {
            end
        } else {
            let command = std::mem::take(&mut self.task.run);
            self.run(&command, false)?
        };
        let leftovers = self.leftovers;
        self.inheritance.link.report(&Report::Ended { how, stopped, checked, leftovers });
        Ok(())
    }

    /// Runs one command until nothing of its tree is left.
    fn run(&mut self, command: &[OsString], is_check: bool) -> io::Result<Outcome> {
        self.inheritance.link.look()?;
        if self.asked(boottime::now()) > Asked::Nothing {
            // Nothing was started, so nothing has to be stopped.
            return Ok(Outcome { how: RunHow::Signal(libc::SIGTERM), stopped: true });
        }
        let main = match child::start(&self.task, command, &self.inheritance.output) {
            Ok(pid) => pid,
            Err(error) => {
                let how = RunHow::CannotRun { code: error.exit().code(), message: error.to_string() };
                return Ok(Outcome { how, stopped: false });
            }
        };
        if !is_check {
            self.inheritance.link.report(&Report::Started { pid: main });
        }
        Tree { run: self, main, how: None, stopped: false, stage: Stage::Running }.watch()
    }

    /// What has been asked of us by `now`; a deadline asks for a stop.
    fn asked(&self, now: Timestamp) -> Asked {
        let link = &self.inheritance.link;
        if link.deadline.is_some_and(|deadline| deadline <= now) { link.asked.max(Asked::Stop) } else { link.asked }
    }

    fn note(&self, text: String) {
        self.inheritance.link.report(&Report::Note { text });
    }
}

/// One command's processes: the main one and whatever it has started.
struct Tree<'a> {
    run: &'a mut Run,
    main: i32,
    /// How the main process ended; `None` while it lives (and so its pid is its own and its group's number).
    how: Option<RunHow>,
    /// Whether we asked the main process to end.
    stopped: bool,
    stage: Stage,
}

impl Tree<'_> {
    fn watch(mut self) -> io::Result<Outcome> {
        while self.reap() {
            let now = boottime::now();
            self.advance(now);
            let moment = self.next_moment();
            self.run.inheritance.link.wait(moment)?;
        }
        let how = self.how.unwrap_or(RunHow::ShimVanished);
        Ok(Outcome { how, stopped: self.stopped })
    }

    /// Takes every status there is. `false` when there is no child left, and so no descendant: whoever loses its
    /// parent becomes our child in the same instant.
    fn reap(&mut self) -> bool {
        loop {
            match sys::wait_any() {
                Waited::Ended(pid, status) if pid == self.main && self.how.is_none() => {
                    self.how = Some(sys::code_or_signal(status).map_or_else(RunHow::Signal, RunHow::Exit));
                }
                Waited::Ended(..) => {}
                Waited::Alive => return true,
                Waited::NoChild => return false,
            }
        }
    }

    fn advance(&mut self, now: Timestamp) {
        let asked = self.run.asked(now);
        match self.stage {
            Stage::Running if self.how.is_some() => {
                self.stage = Stage::Settling(now + SETTLE);
                self.advance(now);
            }
            Stage::Running if asked > Asked::Nothing => {
                self.stopped = true;
                if self.run.inheritance.link.asked == Asked::Nothing {
                    self.run.note("stopped at the lease's deadline".to_owned());
                }
                self.begin_stop(now, asked);
            }
            Stage::Settling(until) if asked > Asked::Nothing || now >= until => {
                self.run.leftovers += tree::own_descendants().len();
                self.begin_stop(now, asked);
            }
            Stage::Grace(until) if asked == Asked::Kill || now >= until => self.begin_kill(now),
            Stage::Killing { next, pause, patience } if now >= next => self.kill(now, pause, patience),
            _ => {}
        }
    }

    fn begin_stop(&mut self, now: Timestamp, asked: Asked) {
        if asked == Asked::Kill || self.run.grace.is_zero() {
            self.begin_kill(now);
            return;
        }
        stop::ask_descendants(self.main_group());
        self.stage = Stage::Grace(now + self.run.grace);
    }

    fn begin_kill(&mut self, now: Timestamp) {
        self.kill(now, SHORTEST_PAUSE, Some(now + PATIENCE));
    }

    fn kill(&mut self, now: Timestamp, pause: Duration, mut patience: Option<Timestamp>) {
        let alive = stop::kill_descendants(self.main_group());
        if patience.is_some_and(|patience| now >= patience) {
            patience = None;
            let who: Vec<String> = alive.iter().map(|p| format!("{} ({}, state {})", p.pid, p.name, p.state)).collect();
            self.run.note(format!("still there after KILL, so the guard is kept: {}", who.join(", ")));
        }
        self.stage = Stage::Killing { next: boottime::now() + pause, pause: (pause * 2).min(LONGEST_PAUSE), patience };
    }

    /// The main process's group, as long as its number cannot be anybody else's.
    fn main_group(&self) -> Option<i32> {
        self.how.is_none().then_some(self.main)
    }

    fn next_moment(&self) -> Option<Timestamp> {
        let deadline = self.run.inheritance.link.deadline;
        match self.stage {
            Stage::Running => deadline,
            Stage::Settling(until) => Some(deadline.map_or(until, |deadline| deadline.min(until))),
            Stage::Grace(until) => Some(until),
            Stage::Killing { next, .. } => Some(next),
        }
    }
}
