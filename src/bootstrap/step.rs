//! One step, as an embedding program describes it.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver::{StepContext, StepFunction, StepResult, Work};
use crate::protocol::{self, MarkerWord, NameError, StepName};
use crate::settings::{Problem, STEP_VARIABLES, StepCommand};

/// How many runs of a step may end badly, unless it says otherwise.
const ATTEMPTS: u32 = 3;

/// One piece of one-off work: a command or an async function, and what is to be known about it.
///
/// What cannot be right (a name twice, a predecessor that does not exist) is told by
/// [`Bootstrap::build`](super::Bootstrap::build), all at once.
#[derive(Clone, Debug)]
#[must_use]
pub struct Step {
    pub(super) name: String,
    pub(super) after: Vec<String>,
    work: Work,
    markers: Option<(String, String)>,
    timeout: Option<Duration>,
    max_attempts: u32,
    /// What was asked of a function that only commands have.
    misplaced: Vec<&'static str>,
}

/// A step whose words are words.
pub(super) struct Checked {
    pub(super) step: protocol::Step,
    pub(super) work: Work,
    pub(super) after: Vec<String>,
}

impl Step {
    /// A step that runs a program with its arguments; no shell is involved.
    ///
    /// It sees the environment of this process and `BELLWETHER_REV`, `_STEP`, `_EPOCH`, `_ATTEMPT`, `_VOLUME` and
    /// `_RECORD`. Exit 0: done. Exit 75: not yet, tried again and not counted. Exit 78: failed for
    /// good, not tried again. Anything else counts as an attempt.
    ///
    /// Needs a shim: see [`shim_if_asked`](crate::shim_if_asked).
    pub fn command<W: Into<String>>(name: impl Into<String>, words: impl IntoIterator<Item = W>) -> Step {
        let run = words.into_iter().map(Into::into).collect();
        Step::new(name.into(), Work::Command(StepCommand { run, ..StepCommand::default() }))
    }

    /// A step that is an async function of this program. `Ok(())`: done.
    ///
    /// Each run is a task of the runtime. Whatever blocks (a synchronous database driver, a long computation) belongs
    /// into `spawn_blocking` with a clone of the context: where the runtime has one thread, the markers would not be beaten
    /// meanwhile; and nobody can abort what does not await.
    ///
    /// A process that the function starts itself (`tokio::process`) is not ours: it goes on after a stop, while the next
    /// leader acts, unless the function ends it. Use [`Step::command`], or `kill_on_drop` plus a process group.
    pub fn run<F, Fut>(name: impl Into<String>, function: F) -> Step
    where
        F: Fn(StepContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = StepResult> + Send + 'static,
    {
        Step::new(name.into(), Work::Function(StepFunction::new(function)))
    }

    fn new(name: String, work: Work) -> Step {
        let (after, misplaced) = (Vec::new(), Vec::new());
        Step { name, after, work, markers: None, timeout: None, max_attempts: ATTEMPTS, misplaced }
    }

    /// Starts it only when that step is done. May be called several times.
    pub fn after(mut self, step: impl Into<String>) -> Step {
        self.after.push(step.into());
        self
    }

    /// Names its markers on the volume: `.<in_progress>_in_progress_<rev>` and `.<done>_<rev>`; else
    /// `.<name>_in_progress_<rev>` and `.<name>_done_<rev>`.
    pub fn markers(mut self, in_progress: impl Into<String>, done: impl Into<String>) -> Step {
        self.markers = Some((in_progress.into(), done.into()));
        self
    }

    /// Stops a run that takes longer, and counts it as one that ended badly. Default: never.
    ///
    /// It asks a function to end and aborts it, which does not end what cannot be aborted: a thread, or a leaked clone
    /// of the context, keeps the run, the guard and everybody waiting.
    pub fn timeout(mut self, limit: Duration) -> Step {
        self.timeout = Some(limit);
        self
    }

    /// How many runs may end badly before the step has failed for good; at least 1. Default: 3.
    ///
    /// The revision then stays failed, also for replicas that are started later. A new revision begins anew; or
    /// `bellwether retry` counts from zero, with a plan file that has steps of the same names and markers.
    pub fn max_attempts(mut self, attempts: u32) -> Step {
        self.max_attempts = attempts;
        self
    }

    /// A program to be run first: if it exits with 0, there is nothing to do and the step is marked as done. Only for
    /// commands; a function may return at once.
    pub fn check<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Step {
        let words = words.into_iter().map(Into::into).collect();
        self.of_command("check", |command| command.check = Some(words))
    }

    /// Adds a variable to its environment. Values whose names sound secret are masked in output. Only for commands.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Step {
        self.of_command("env", |command| drop(command.env.insert(name.into(), value.into())))
    }

    /// The directory to run in; else this program's. Only for commands.
    pub fn cwd(self, directory: impl Into<PathBuf>) -> Step {
        self.of_command("cwd", |command| command.cwd = Some(directory.into()))
    }

    /// The user to run as, by login name or number, or as `uid:gid`; else this program's. Only for commands.
    pub fn user(self, user: impl Into<String>) -> Step {
        self.of_command("user", |command| command.user = Some(user.into()))
    }

    /// What the program will do, a line each, for people who ask `bellwether plan`. Only for commands.
    pub fn explain(self, lines: impl IntoIterator<Item = impl Into<String>>) -> Step {
        self.of_command("explain", |command| command.explanation.extend(lines.into_iter().map(Into::into)))
    }

    fn of_command(mut self, what: &'static str, set: impl FnOnce(&mut StepCommand)) -> Step {
        match &mut self.work {
            Work::Command(command) => set(command),
            Work::Function(_) => self.misplaced.push(what),
        }
        self
    }

    /// Whether it needs a shim.
    pub(super) fn is_command(&self) -> bool {
        matches!(self.work, Work::Command(_))
    }

    /// The step as the protocol knows it, still without predecessors; or everything that is wrong with it.
    pub(super) fn check_all(self) -> Result<Checked, Vec<Problem>> {
        let culprit = format!("step {:?}", self.name);
        let mut problems = Vec::new();
        let mut complain = |text: String| problems.push(Problem::new(&culprit, text));
        self.complain_of_work(&mut complain);
        let name = StepName::parse(&self.name).map_err(|error| complain(format!("its name {error}"))).ok();
        let (in_progress, done) = self.markers.unwrap_or_else(|| (self.name.clone(), format!("{}_done", self.name)));
        let mut marker = |word: &str| {
            let parsed = MarkerWord::parse(word);
            // A name that is wrong has been told.
            parsed.map_err(|error: NameError| complain(format!("the marker word {word:?} {error}"))).ok()
        };
        let words = name.map(|name| (name, marker(&in_progress), marker(&done)));
        let Some((name, Some(in_progress), Some(done))) = words else { return Err(problems) };
        if !problems.is_empty() {
            return Err(problems);
        }
        let (timeout, max_attempts, after) = (self.timeout, self.max_attempts, BTreeSet::new());
        let step = protocol::Step { name, in_progress, done, after, timeout, max_attempts };
        Ok(Checked { step, work: self.work, after: self.after })
    }

    fn complain_of_work(&self, complain: &mut impl FnMut(String)) {
        for what in &self.misplaced {
            complain(format!("{what:?} is for commands, and this step is a function"));
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            complain("its timeout is 0; leave it out to let it run for ever".to_owned());
        }
        if self.max_attempts == 0 {
            complain("max_attempts is 0; at least one attempt is needed".to_owned());
        }
        let Work::Command(StepCommand { run, check, env, cwd, user, .. }) = &self.work else { return };
        for (what, words) in [("command", Some(run)), ("check", check.as_ref())] {
            let Some(words) = words else { continue };
            if words.first().is_none_or(String::is_empty) {
                complain(format!("its {what} must begin with a program"));
            }
            if words.iter().any(|word| word.contains('\0')) {
                complain(format!("its {what} holds a NUL character"));
            }
        }
        for (name, value) in env {
            if name.is_empty() || name.contains(['=', '\0']) {
                complain(format!("{name:?} cannot be the name of a variable"));
            } else if STEP_VARIABLES.contains(&name.as_str()) {
                complain(format!("{name} is set by bellwether itself; remove it"));
            } else if value.contains('\0') {
                complain(format!("the variable {name} holds a NUL character"));
            }
        }
        if cwd.as_ref().is_some_and(|cwd| cwd.as_os_str().is_empty()) || user.as_ref().is_some_and(String::is_empty) {
            complain("its cwd or user is empty; leave it out instead".to_owned());
        }
    }
}
