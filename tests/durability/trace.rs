//! strace: one thread of a replica is followed, and something befalls one of its calls.
//!
//! A thread is caught at its first call to a file that nobody else has opened yet: that call is found by its path, stops
//! the replica, and then another strace attaches to that thread alone. From there on it counts no calls but this thread's.

use std::fmt::{self, Display};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::points::{Call, Point, Role, call};
use crate::replica::{Launch, Replica};
use crate::stack::Stack;
use crate::wait::{wait_for, wait_until};

/// What befalls the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Blow {
    /// Whoever makes the call dies, and it is not carried out.
    DeathBefore,
    /// It is carried out, and then whoever made it dies.
    DeathAfter,
    /// It is carried out, and then whoever made it stands still for the test to do something.
    Halt,
    /// It is not carried out, and says this.
    Error(&'static str),
}

/// A point and what befalls it.
#[derive(Clone, Debug)]
pub(crate) struct Strike(pub(crate) Point, pub(crate) Blow);

impl Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.0, self.1)
    }
}

/// A replica under strace.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) replica: Replica,
    log: PathBuf,
    /// That of a thread which was caught.
    tracer: Option<Child>,
    /// Of the blow, which kills.
    may_die: bool,
}

const STOPPED: &str = " --- stopped by SIGSTOP ---";

/// Of a signal that strace has sent itself. Attaching to who stands still is told as well, and not so.
const SENT: &str = "--- SIGSTOP {si_signo=SIGSTOP, si_code=SI_KERNEL}";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn lines(log: &Path) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(ToOwned::to_owned).collect()
}

/// Which process traces this one or, by a path below `/proc/<pid>/task`, this thread. `None`: it is gone.
fn tracer_of(process: &Path) -> Option<i32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:\t"))?.parse().ok()
}

/// Starts a replica and stops it at the first call by which a thread opens this file. The thread, unless the replica has
/// ended before.
fn catch(launch: Launch<'_>, stack: &Stack, file: &Path) -> (Replica, Option<i32>) {
    let log = stack.scratch().join("catch");
    let words = ["strace", "-D", "-I2", "-f", "--detach-on=execve", "-o", text(&log), "-P", text(file)];
    let mut replica =
        launch.under(&words).under(&["-e", "trace=openat", "-e", "inject=openat:signal=STOP:when=1"]).start();
    let caught = |lines: &[String]| -> Option<i32> {
        let thread = lines.iter().find(|line| line.contains(SENT))?.split(' ').next()?.to_owned();
        let stopped = lines.iter().any(|line| line.starts_with(&thread) && line.ends_with(STOPPED));
        stopped.then(|| thread.parse().unwrap())
    };
    let thread = wait_for("a thread that opens its first file, or an end", || match caught(&lines(&log)) {
        Some(thread) => Some(Some(thread)),
        None => (!replica.is_running()).then_some(None),
    });
    if thread.is_some() {
        let threads = PathBuf::from(format!("/proc/{}/task", replica.pid()));
        let tracer = tracer_of(&threads.join(replica.pid().to_string())).unwrap();
        crate::wait::signal(tracer, Signal::TERM);
        wait_until("nobody who traces it", || {
            fs::read_dir(&threads).unwrap().flatten().all(|thread| tracer_of(&thread.path()).is_none_or(|by| by == 0))
        });
    }
    (replica, thread)
}

impl Traced {
    /// Everything that is started is traced.
    fn tree(launch: Launch<'_>, stack: &Stack, expressions: &[&str], may_die: bool) -> Traced {
        let log = stack.scratch().join("trace");
        let replica = launch.under(&["strace", "-f", "-o", text(&log)]).under(expressions).start();
        Traced { replica, log, tracer: None, may_die }
    }

    /// The main thread is, or whoever opens this file.
    fn thread(launch: Launch<'_>, stack: &Stack, first: Option<&str>, expressions: &[&str], may_die: bool) -> Traced {
        let log = stack.scratch().join("trace");
        let launch = launch.under(&["strace", "-D", "-I2", "--detach-on=execve", "-o", text(&log)]);
        let launch = match first.map(|file| stack.path(file)) {
            Some(file) => launch.under(&["-f", "-P", text(&file)]),
            None => launch.under(&["-yy"]),
        };
        Traced { replica: launch.under(expressions).start(), log, tracer: None, may_die }
    }

    /// The thread that begins with this file is, from its second call on.
    fn caught(launch: Launch<'_>, stack: &Stack, first: &str, expressions: &[&str], may_die: bool) -> Traced {
        let log = stack.scratch().join("trace");
        let (replica, thread) = catch(launch, stack, &stack.path(first));
        let mut traced = Traced { replica, log, tracer: None, may_die };
        if let Some(thread) = thread {
            let mut command = Command::new("strace");
            command.args(["-y", "-o", text(&traced.log), "-p", &thread.to_string()]).args(expressions);
            traced.tracer = Some(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            wait_until("strace at the thread", || traced.lines().iter().any(|line| line.ends_with("SIGSTOP ---")));
            traced.replica.signal(Signal::CONT);
        }
        traced
    }

    /// Its log is read.
    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.log)
    }

    /// Whether the point was there, and the blow has been dealt.
    pub(crate) fn is_hit(&self, blow: Blow) -> bool {
        let sign = match blow {
            Blow::DeathBefore => "+++ killed by SIGKILL +++",
            Blow::DeathAfter | Blow::Halt => SENT,
            Blow::Error(_) => "(INJECTED)",
        };
        self.lines().iter().any(|line| line.contains(sign))
    }

    /// What was struck, if it was.
    fn struck(&self, Strike(point, blow): &Strike, volume: &Path) -> Option<Call> {
        if !self.is_hit(*blow) {
            return None;
        }
        let lines = self.lines();
        let mut calls =
            lines.iter().rev().filter(|line| !matches!(blow, Blow::Error(_)) || line.contains("(INJECTED)"));
        calls.find_map(|line| call(line, point.call.role, &[point.call.kind], volume))
    }

    /// Waits until it stands still, or has ended: `false`. Meanwhile `meddle` is done again and again.
    pub(crate) fn wait_halted(&mut self, mut meddle: impl FnMut(&mut Replica)) -> bool {
        wait_for("a halt or an end", || {
            meddle(&mut self.replica);
            // An end is looked for first, for its log is whole then.
            let is_running = self.replica.is_running();
            if self.is_hit(Blow::Halt) { Some(true) } else { (!is_running).then_some(false) }
        })
    }

    /// Kills whoever of a whole tree stands still, be it one shim after the other.
    fn kill_halted(&self) {
        for line in self.lines().iter().filter(|line| line.ends_with(STOPPED)) {
            let thread: i32 = line.split(' ').next().unwrap().parse().unwrap();
            // It may be dead already.
            let _ = kill_process(Pid::from_raw(thread).unwrap(), Signal::KILL);
        }
    }

    /// Waits for the end of all that is followed, which has to be no bug; the command may not have ended.
    pub(crate) fn wait(&mut self) {
        let status = self.replica.wait_end();
        assert_no_bug(status, self.may_die, &self.replica.log());
        self.wait_told();
    }

    /// Waits until strace has written down everything.
    fn wait_told(&mut self) {
        if let Some(tracer) = &mut self.tracer {
            wait_until("the end of strace", || tracer.try_wait().unwrap().is_some());
        }
        let is_strace =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "strace\n");
        wait_until("no strace", || !self.replica.tree().iter().any(is_strace));
    }
}

impl Strike {
    pub(crate) fn start(&self, stack: &Stack, launch: Launch<'_>) -> Traced {
        let Strike(Point { call: Call { role, kind, .. }, nth }, blow) = self;
        let what = match blow {
            Blow::DeathBefore => "signal=KILL".to_owned(),
            Blow::DeathAfter | Blow::Halt => "signal=STOP".to_owned(),
            Blow::Error(name) => format!("error={name}"),
        };
        let (trace, inject) = (format!("trace={kind}"), format!("inject={kind}:{what}:when={}", nth.max(&1)));
        let expressions = ["-e", trace.as_str(), "-e", inject.as_str()];
        let may_die = !matches!(blow, Blow::Error(_));
        match role.first_file() {
            Some(first) if *nth > 0 => Traced::caught(launch, stack, first, &expressions, may_die),
            first if *role != Role::Tree => Traced::thread(launch, stack, first, &expressions, may_die),
            _ => Traced::tree(launch, stack, &expressions, may_die),
        }
    }

    /// Boots under it, to the end of the replica; `meddle` is done again and again meanwhile. What it has struck.
    pub(crate) fn befall(
        &self,
        stack: &Stack,
        launch: Launch<'_>,
        mut meddle: impl FnMut(&mut Replica),
    ) -> Option<Call> {
        let mut traced = self.start(stack, launch);
        wait_until("an end", || {
            meddle(&mut traced.replica);
            if self.1 == Blow::DeathAfter && self.0.call.role == Role::Tree {
                traced.kill_halted();
            } else if self.1 == Blow::DeathAfter && traced.is_hit(self.1) && traced.replica.is_running() {
                traced.replica.signal(Signal::KILL);
            }
            !traced.replica.is_running()
        });
        traced.wait();
        if self.0.call.role != Role::Tree && matches!(self.1, Blow::Error(_)) {
            // The shims of a replica that has ended badly go on for a moment.
            wait_until("the end of all that it has started", || traced.replica.tree().is_empty());
        }
        traced.struck(self, stack.volume())
    }
}

/// What a replica that panics ends with, and a program whose panics nobody heeds.
const BUGS: [i32; 2] = [70, 101];

/// An error is no bug, and kills nobody. But the runtime panics where it has no descriptors to begin with; and a replica that
/// is refused its first thread, or the like, says that it cannot begin.
fn assert_no_bug(status: ExitStatus, may_die: bool, log: &str) {
    let mut panics = log.lines().filter(|line| line.contains("panicked")).peekable();
    let is_refused = panics.peek().is_some() || log.contains(": cannot begin: ");
    assert!(panics.all(|line| line.contains("/tokio-")), "{log}");
    match status.code() {
        Some(code) => assert!(is_refused || !BUGS.contains(&code), "{status}: {log}"),
        None => assert!(may_die && status.signal() == Some(Signal::KILL.as_raw()), "{status}: {log}"),
    }
}

/// Starts a replica of which this thread's calls of these kinds are only watched.
pub(crate) fn watch(stack: &Stack, launch: Launch<'_>, role: Role, kinds: &[&str]) -> Traced {
    let trace = format!("trace={}", kinds.join(","));
    let expressions = ["-e", trace.as_str()];
    match (role, role.first_file()) {
        (Role::Tree, _) => Traced::tree(launch, stack, &expressions, false),
        (_, Some(first)) => Traced::caught(launch, stack, first, &expressions, false),
        (_, None) => Traced::thread(launch, stack, None, &expressions, false),
    }
}
