//! One replica: the built binary, started as a user would.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::stack::Stack;
use crate::wait::{is_alive, kill_bearing, wait_for, wait_until};

/// Everything a replica is started with.
#[must_use]
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    stack: &'a Stack,
    env: Vec<(String, String)>,
    prefix: Vec<String>,
    binary: String,
    flags: Vec<String>,
    command: Option<Vec<String>>,
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl<'a> Launch<'a> {
    pub(crate) fn new(stack: &'a Stack) -> Launch<'a> {
        let binary = env!("CARGO_BIN_EXE_bellwether").to_owned();
        Launch { stack, env: Vec::new(), prefix: Vec::new(), binary, flags: owned(&["run"]), command: None }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Launch<'a> {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn rev(self, rev: &str) -> Launch<'a> {
        self.env("IMAGE_REV", rev)
    }

    /// A command before the binary: `setpriv`, `unshare`, `strace`.
    pub(crate) fn under(mut self, prefix: &[&str]) -> Launch<'a> {
        self.prefix.extend(owned(prefix));
        self
    }

    /// As another user, who may not be let into the directory where the binary was built.
    pub(crate) fn run_by_nobody(mut self) -> Launch<'a> {
        let copy = self.stack.scratch().join("bellwether");
        if !copy.exists() {
            // Not by us: a child of another test would have it open for writing, so that it could not be executed.
            let copied = Command::new("cp").arg(&self.binary).arg(&copy).status().unwrap();
            assert!(copied.success(), "{copied}");
        }
        self.binary = copy.display().to_string();
        self.under(&["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
    }

    pub(crate) fn flag(mut self, flag: &str) -> Launch<'a> {
        self.flags.push(flag.to_owned());
        self
    }

    /// Another command than the one that writes `serve` in the journal and ends.
    pub(crate) fn command(mut self, command: &[&str]) -> Launch<'a> {
        self.command = Some(owned(command));
        self
    }

    pub(crate) fn start(self) -> Replica {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("E2E_REPLICA={}-{number}", std::process::id());
        let path = |kind: &str| self.stack.scratch().join(format!("replica-{number:03}.{kind}"));
        let serve = owned(&["/bin/sh", "-c", ". \"$E2E/lib.sh\"; serve"]);
        let words: Vec<String> =
            [self.prefix, vec![self.binary], self.flags, owned(&["--"]), self.command.unwrap_or(serve)]
                .into_iter()
                .flatten()
                .collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(self.stack.environment()).envs(self.env);
        command.env("E2E_REPLICA", mark.split_once('=').unwrap().1);
        command.current_dir(self.stack.scratch()).stdin(Stdio::null());
        command.stdout(File::create(path("out")).unwrap()).stderr(File::create(path("err")).unwrap());
        let child = command.spawn().unwrap();
        Replica { child, mark, out: path("out"), err: path("err") }
    }
}

/// A running replica. Dropping it kills it and everything it has started.
#[must_use]
#[derive(Debug)]
pub(crate) struct Replica {
    child: Child,
    mark: String,
    out: PathBuf,
    err: PathBuf,
}

impl Replica {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Everything it has written to stderr so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into_owned()
    }

    /// Everything it, or its command, has written to stdout so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    /// Waits until its log says `text`.
    pub(crate) fn wait_said(&mut self, text: &str) {
        wait_until(text, || {
            let said = self.has_said(text);
            assert!(said || self.try_wait().is_none(), "ended without saying {text:?}:\n{}", self.log());
            said
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        crate::wait::signal(self.pid(), signal);
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Waits for its end, whatever that is.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        wait_for("the end of a replica", || self.try_wait())
    }

    /// Waits for its end: its exit code. It must not have died of a signal.
    pub(crate) fn wait(&mut self) -> i32 {
        let status = self.wait_end();
        status.code().unwrap_or_else(|| panic!("{status}:\n{}", self.log()))
    }

    /// Kills it, and it alone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it and everything it has started, at the same moment as far as that can be done.
    pub(crate) fn kill_tree(&mut self) {
        for signal in [Signal::STOP, Signal::KILL] {
            for pid in self.tree().into_iter().filter_map(Pid::from_raw) {
                // What the replica has started may end at any moment.
                let _ = kill_process(pid, signal);
            }
        }
        self.child.wait().unwrap();
        kill_bearing(&self.mark);
    }

    /// Itself and everything it has started.
    pub(crate) fn tree(&self) -> Vec<i32> {
        crate::wait::bearing(&self.mark)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if is_alive(self.pid()) {
            // It may end at this moment.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        kill_bearing(&self.mark);
    }
}
