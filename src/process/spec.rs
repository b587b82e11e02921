//! What a run is given, and what it tells.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use super::output::Line;
use super::shim::wire::Task;
use super::stop::RUN_VARIABLE;
use crate::protocol::Timestamp;

/// What a step's process is started with.
#[derive(Clone)]
pub struct StepSpec {
    /// The step's name, and the epoch it runs under: for the shim's title in `ps`.
    pub name: String,
    /// The epoch.
    pub epoch: u64,
    /// The command.
    pub run: Vec<OsString>,
    /// A command to be run first; if it exits with 0, `run` is not run.
    pub check: Option<Vec<OsString>>,
    /// Added to the leader's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs; the leader's directory if `None`.
    pub cwd: Option<PathBuf>,
    /// Whom it runs as, by login name or number.
    pub user: Option<String>,
    /// How long the tree may take to end after TERM.
    pub grace: Duration,
    /// When the shim stops it by itself.
    pub deadline: Option<Timestamp>,
    /// The executable that is asked to be a shim: this one, `/proc/self/exe`, unless a test says otherwise.
    pub executable: PathBuf,
}

impl StepSpec {
    /// A step that runs `run` and nothing else, as we are, with 5 s of grace and no deadline.
    pub fn new(name: &str, run: Vec<OsString>) -> StepSpec {
        StepSpec {
            name: name.to_owned(),
            epoch: 0,
            run,
            check: None,
            env: Vec::new(),
            cwd: None,
            user: None,
            grace: Duration::from_secs(5),
            deadline: None,
            executable: PathBuf::from("/proc/self/exe"),
        }
    }

    /// The spec as the shim's first line, for the run of this id.
    pub(crate) fn task(&self, run: &str) -> io::Result<Vec<u8>> {
        let mut env = self.env.clone();
        env.push((RUN_VARIABLE.into(), run.into()));
        let task = Task {
            run: self.run.clone(),
            check: self.check.clone(),
            env,
            cwd: self.cwd.clone().map(PathBuf::into_os_string),
            user: self.user.clone(),
            grace_nanos: u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX),
            deadline_nanos: self.deadline.map(Timestamp::as_nanos),
        };
        let mut line = serde_json::to_vec(&task)?;
        line.push(b'\n');
        Ok(line)
    }
}

impl fmt::Debug for StepSpec {
    /// Without the values of the environment, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        let mut debug = f.debug_struct("StepSpec");
        debug.field("name", &self.name).field("epoch", &self.epoch).field("run", &self.run);
        debug.field("check", &self.check).field("env", &names).field("cwd", &self.cwd).field("user", &self.user);
        debug.field("grace", &self.grace).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunHow {
    /// The main process exited with this code.
    Exit(i32),
    /// A signal ended the main process.
    Signal(i32),
    /// The program could not be executed.
    CannotRun {
        /// 127 if it was not found, else 126.
        code: i32,
        /// Why.
        message: String,
    },
    /// The shim was killed. What was left of the step has been killed too; how the step ended is not known.
    ShimVanished,
}

/// The end of a run: nothing of it is left when this is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunEnd {
    /// How the main process ended (that of the check, if `checked`, or if it was stopped while checking).
    pub how: RunHow,
    /// Whether the main process was asked to end by us, at a deadline, or by a signal to the shim. It may have
    /// answered with any exit code, 0 included; a stopped run is not a done one.
    pub stopped: bool,
    /// Whether the check said that there is nothing to do.
    pub checked: bool,
    /// Processes that were left when a main process had ended by itself, and had to be stopped.
    pub leftovers: usize,
    /// From the start to here.
    pub duration: Duration,
}

/// What a step's process tells its leader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RunEvent {
    /// The main process of `run` (not of `check`) is there.
    Started {
        /// Its pid, in our namespace.
        pid: i32,
    },
    /// A line of output.
    Line(Line),
    /// The shim has noticed something that a person should know.
    Note(String),
    /// The run is over. Always the last event.
    Ended(RunEnd),
}
