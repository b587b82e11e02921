//! The built binary, with bounds on its time and its memory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use bellwether::process::boottime::now;
use rustix::process::{Pid, Signal, kill_process_group};

/// A command of ours that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(15);
/// So much a replica may keep in memory, with all that it has started, each for itself; in KiB.
pub(crate) const MEMORY: u32 = 200 * 1024;

/// What became of it.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: it did not end in time, and was killed.
    pub(crate) status: Option<ExitStatus>,
    /// All that it and its steps have said.
    pub(crate) said: String,
}

/// What a command is started with.
pub(crate) struct Launch {
    command: Command,
}

impl Launch {
    /// `user`: as this one, who has to be able to execute `binary`.
    pub(crate) fn new(binary: &Path, user: Option<u32>, words: &[&str]) -> Launch {
        // Whatever wants more memory is refused it, and so ends by SIGABRT.
        let bounded = format!("ulimit -d {MEMORY}; ulimit -c 0; exec \"$@\"");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &bounded, "sh"]);
        if let Some(user) = user {
            let user = user.to_string();
            command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"]);
        }
        command.arg(binary).args(words).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Launch { command }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Ended {
        let mut output = tempfile::tempfile().unwrap();
        let to = |file: &File| file.try_clone().unwrap();
        let mut child = self.command.stdout(to(&output)).stderr(to(&output)).spawn().unwrap();
        let (began, mut pause) = (now(), Duration::from_millis(1));
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if now().since(began) >= LIMIT => {
                    let group = Pid::from_child(&child);
                    let _ = kill_process_group(group, Signal::KILL);
                    child.wait().unwrap();
                    break None;
                }
                None => thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        let mut said = Vec::new();
        output.rewind().unwrap();
        output.read_to_end(&mut said).unwrap();
        Ended { status, said: String::from_utf8_lossy(&said).into_owned() }
    }
}

/// A copy of the binary that anybody may execute.
pub(crate) fn copy_for_all(to: &Path) {
    // Not by us: a child of another test would have it open for writing, so that it could not be executed.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_bellwether")).arg(to).status().unwrap();
    assert!(copied.success(), "{copied}");
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}
