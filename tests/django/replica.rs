//! One replica: `bellwether run`, later gunicorn, in a process group of its own.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process_group};

pub(crate) struct Replica {
    child: Child,
    log: PathBuf,
    killed: bool,
}

impl Replica {
    pub(crate) fn new(child: Child, log: PathBuf) -> Replica {
        Replica { child, log, killed: false }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.killed
    }

    /// Kills the replica itself; what it has started has to notice.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.killed = true;
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn has_begun_to_serve(&self) -> bool {
        self.log().contains("Starting gunicorn")
    }

    /// The port that gunicorn says it listens on.
    pub(crate) fn port(&self) -> Option<u16> {
        let log = self.log();
        let (_, rest) = log.split_once("Listening at: http://127.0.0.1:")?;
        rest.split_once(' ')?.0.parse().ok()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        #[expect(clippy::print_stderr, reason = "a failed test shows what the replicas said")]
        if std::thread::panicking() {
            eprintln!("{self:?}");
        }
        // Its steps' shims are not of this group: they end when their leader does.
        if !self.killed {
            // gunicorn's workers are of the group as well.
            let group = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            let _ = self.child.wait();
        }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "replica {} wrote:\n{}", self.pid(), self.log())
    }
}
