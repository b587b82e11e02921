//! A redis-server of the demo's own, and who elects.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::stage::Stage;
use crate::commands::complain;
use crate::exit::Exit;
use crate::process::{OwnChild, tree};

/// Asks to become a redis-server that does not outlive whoever started it: his pid, the program, its arguments.
pub(super) const ARGUMENT: &str = "__redis";
/// Its name in PATH.
const PROGRAM: &str = "redis-server";

/// Who elects among the replicas.
#[derive(Debug)]
pub(super) enum Election {
    /// The lease in this Redis.
    Lease(OwnRedis),
    /// The guard on the volume alone, for this reason.
    Guard(String),
}

impl Election {
    /// Starts a redis-server if there is one.
    pub(super) async fn begin(stage: &Stage, is_wanted: bool) -> Election {
        let wanted =
            if is_wanted { find(PROGRAM).ok_or(format!("no {PROGRAM} in PATH")) } else { Err("--no-redis".to_owned()) };
        let begun = match wanted {
            Ok(program) if cfg!(feature = "redis") => OwnRedis::start(&program, stage).await,
            Ok(_) => Err("this build knows no Redis".to_owned()),
            Err(reason) => Err(reason),
        };
        begun.map_or_else(Election::Guard, Election::Lease)
    }

    /// Where the lease is.
    pub(super) fn redis_url(&self) -> Option<String> {
        match self {
            Election::Lease(redis) => Some(redis.url()),
            Election::Guard(_) => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Election::Lease(_) => format!("lease in a {PROGRAM} of its own, guard on the volume"),
            Election::Guard(reason) => format!("guard only: {reason}"),
        }
    }
}

/// The redis-server. It is killed with all other descendants of the demo, and by the kernel if the demo is killed.
#[derive(Debug)]
pub(super) struct OwnRedis {
    child: OwnChild,
    socket: PathBuf,
}

impl OwnRedis {
    async fn start(program: &Path, stage: &Stage) -> Result<OwnRedis, String> {
        let log = stage.redis_path("log");
        let failed = |error: io::Error| format!("{} cannot be started: {error}", program.display());
        let mut redis = OwnRedis::spawn(program, stage.redis_path("sock"), &log).map_err(failed)?;
        redis.answers(&log).await.map_err(|reason| format!("{} did not come up: {reason}", program.display()))?;
        Ok(redis)
    }

    fn spawn(program: &Path, socket: PathBuf, log: &Path) -> io::Result<OwnRedis> {
        let log = File::create(log)?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("bellwether").arg(ARGUMENT).arg(std::process::id().to_string()).arg(program);
        // It keeps nothing, and nobody else gets in.
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocketperm", "700", "--unixsocket"]);
        command.arg(&socket).arg("--dir").arg(socket.parent().unwrap_or(Path::new("/")));
        // A terminal's Ctrl-C is for the demo, which ends it itself.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(OwnRedis { child: OwnChild::spawn(&mut command)?, socket })
    }

    fn url(&self) -> String {
        let path = self.socket.display().to_string().replace('%', "%25").replace('?', "%3F");
        format!("unix://{path}")
    }

    /// How it ended, if it has.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it answers, or says why it does not.
    #[cfg(feature = "redis")]
    async fn answers(&mut self, log: &Path) -> Result<(), String> {
        use crate::lease::{Server, ping};
        use crate::process::boottime;

        /// Longest wait for it to come up.
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

        let server = Server::parse(&self.url()).map_err(|error| format!("{}: {error}", self.url()))?;
        let deadline = boottime::now() + PATIENCE;
        loop {
            let failure = match ping(&server, PATIENCE).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if let Some(status) = self.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("{status}{}", last_line(log)));
            }
            if boottime::now() >= deadline {
                return Err(failure.to_string());
            }
            tokio::time::sleep(super::LOOK).await;
        }
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_async, reason = "where there is a Redis, it is waited for")]
    async fn answers(&mut self, log: &Path) -> Result<(), String> {
        Err(last_line(log))
    }
}

impl Drop for OwnRedis {
    /// Nor is a socket without a server worth anything to somebody who looks at what was kept.
    fn drop(&mut self) {
        if let Some(process) = tree::Process::read(self.child.id()) {
            process.signal(Signal::KILL);
        }
        let _ = fs::remove_file(&self.socket);
    }
}

fn last_line(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().rfind(|line| !line.trim().is_empty()).map_or_else(String::new, |line| format!(": {}", line.trim()))
}

/// The program of that name in PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let is_program =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(is_program)
}

/// Becomes the server.
pub(super) fn become_server(arguments: &[OsString]) -> Exit {
    match try_become(arguments) {
        Ok(never) => match never {},
        Err(error) => {
            complain(&format!("cannot become a {PROGRAM}: {error}"));
            Exit::CannotExecute
        }
    }
}

fn try_become(arguments: &[OsString]) -> io::Result<std::convert::Infallible> {
    let [starter, program, rest @ ..] = arguments else { return Err(io::ErrorKind::InvalidInput.into()) };
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If he has died in between, nobody is told any more.
    let parent = getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    if starter.to_str() != Some(&parent.to_string()) {
        return Err(io::Error::other("whoever started it has gone"));
    }
    Err(Command::new(program).args(rest).exec())
}
