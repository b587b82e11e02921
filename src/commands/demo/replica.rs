//! One replica: `bellwether run` in a process of its own, and everything it tells.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::UnboundedSender;

use super::serve::{self, Answer, Greeting};
use super::stage::{REDIS_WAIT_SECS, REV, STALE_SECS, Stage};
use super::timeline::NAMES;
use super::words::LogLine;
use crate::process::{OwnChild, tree};

/// What reaches the play; the number says from which replica.
#[derive(Debug)]
pub(super) enum News {
    /// A line of its log.
    Log(usize, LogLine),
    /// A line that is none: a panic, an error before the log begins.
    Stray(usize, String),
    /// Its command serves.
    Serves(usize, Greeting),
    /// Its command has answered.
    Answered(usize, Result<Answer, String>),
}

/// A replica's process: first `bellwether run`, then the command it has become.
#[derive(Debug)]
pub(super) struct Replica {
    child: OwnChild,
    /// Open as long as the demo lives; the command ends when it closes.
    _lifeline: Option<ChildStdin>,
}

impl Replica {
    /// Starts replica number `who`. Of our environment it gets what a program needs and no setting.
    pub(super) fn start(
        who: usize,
        stage: &Stage,
        redis_url: Option<&str>,
        news: &UnboundedSender<News>,
    ) -> io::Result<Replica> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("bellwether").args(["run", "--", "/proc/self/exe", serve::ARGUMENT, NAMES[who]]);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
        command.env("IMAGE_REV", REV).env("STEP_STALE_SECS", STALE_SECS).env("BELLWETHER_LOG_FORMAT", "json");
        command.env("BELLWETHER_PLAN", stage.plan_path()).env("BELLWETHER_VOLUME", stage.volume().root());
        if let Some(url) = redis_url {
            command.env("BELLWETHER_REDIS_URL", url).env("BELLWETHER_REDIS_WAIT_SECS", REDIS_WAIT_SECS);
        }
        // All three are on this machine, so whatever file system this is, its locks hold between them.
        command.env("BELLWETHER_VOLUME_LOCKS", "trusted");
        // A terminal's Ctrl-C is for the demo, which ends them itself.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = OwnChild::spawn(&mut command)?;
        let inner = child.child_mut();
        let (lifeline, stdout, stderr) = (inner.stdin.take(), inner.stdout.take(), inner.stderr.take());
        let piped = |pipe: Option<OwnedFd>| {
            let receiver = Receiver::from_owned_fd(pipe.ok_or(io::ErrorKind::BrokenPipe)?)?;
            Ok::<_, io::Error>(BufReader::new(receiver).lines())
        };
        tokio::spawn(read_log(who, piped(stderr.map(OwnedFd::from))?, news.clone()));
        tokio::spawn(read_greeting(who, piped(stdout.map(OwnedFd::from))?, news.clone()));
        Ok(Replica { child, _lifeline: lifeline })
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(super) fn kill(&self) {
        if let Some(process) = tree::Process::read(self.pid()) {
            process.signal(rustix::process::Signal::KILL);
        }
    }

    /// How it ended, if it has.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

async fn read_log(who: usize, mut lines: Lines<BufReader<Receiver>>, news: UnboundedSender<News>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = news.send(match serde_json::from_str(&line) {
            Ok(parsed) => News::Log(who, parsed),
            Err(_) => News::Stray(who, line),
        });
    }
}

async fn read_greeting(who: usize, mut lines: Lines<BufReader<Receiver>>, news: UnboundedSender<News>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = news.send(match serde_json::from_str(&line) {
            Ok(greeting) => News::Serves(who, greeting),
            Err(_) => News::Stray(who, line),
        });
    }
}
