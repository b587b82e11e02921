//! strace: which system calls a boot makes, and what befalls one of them.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};

use crate::boot;
use crate::replica::{Launch, Replica};
use crate::stack::Stack;
use crate::wait::{wait_for, wait_until};

/// Calls that change files, or say who may.
pub(crate) const CHANGES: &[&str] = &[
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "fchmod",
    "fchown",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "utimensat",
    "flock",
];

/// Calls by which files are looked at.
pub(crate) const READS: &[&str] = &[
    "openat",
    "read",
    "pread64",
    "getdents64",
    "statx",
    "newfstatat",
    "fstat",
    "lstat",
    "stat",
    "statfs",
    "fstatfs",
    "lseek",
    "faccessat",
    "faccessat2",
    "access",
];

/// Calls by which processes are begun and ended, those of shims as well.
pub(crate) const PROCESSES: &[&str] = &[
    "execve",
    "clone",
    "clone3",
    "vfork",
    "prctl",
    "setsid",
    "socketpair",
    "pipe2",
    "wait4",
    "waitid",
    "kill",
    "flock",
];

/// Who is followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whom {
    /// The replica with all its threads.
    Leader,
    /// Its shims and steps as well.
    Tree,
}

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

/// The `nth` call (from 1) of a kind that any thread makes.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) whom: Whom,
    pub(crate) kind: &'static str,
    pub(crate) nth: usize,
}

/// A point and what befalls it.
#[derive(Clone, Debug)]
pub(crate) struct Strike(pub(crate) Point, pub(crate) Blow);

impl Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strike(Point { whom, kind, nth }, blow) = self;
        write!(f, "{kind} number {nth} of {whom:?}: {blow:?}")
    }
}

/// A replica under strace.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) replica: Replica,
    log: PathBuf,
    /// Of the blow, which kills.
    may_die: bool,
}

const STOPPED: &str = " --- stopped by SIGSTOP ---";

impl Traced {
    fn start(launch: Launch<'_>, stack: &Stack, whom: Whom, expressions: &[String], may_die: bool) -> Traced {
        let log = stack.scratch().join("trace");
        let mut words = vec!["strace", "-f", "-o", log.to_str().unwrap()];
        if whom == Whom::Leader {
            words.push("--detach-on=execve");
        }
        words.extend(expressions.iter().flat_map(|expression| ["-e", expression.as_str()]));
        let replica = launch.under(&words).start();
        Traced { replica, log, may_die }
    }

    /// Its log is read.
    fn lines(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(ToOwned::to_owned).collect()
    }

    /// Whether the point was there, and the blow has been dealt.
    pub(crate) fn is_hit(&self, blow: Blow) -> bool {
        let sign = match blow {
            Blow::DeathBefore => "+++ killed by SIGKILL +++",
            Blow::DeathAfter | Blow::Halt => STOPPED,
            Blow::Error(_) => "(INJECTED)",
        };
        self.lines().iter().any(|line| line.contains(sign))
    }

    /// Waits until it stands still, or has ended: `false`.
    pub(crate) fn wait_halted(&mut self) -> bool {
        wait_for("a halt or an end", || {
            if self.is_hit(Blow::Halt) { Some(true) } else { (!self.replica.is_running()).then_some(false) }
        })
    }

    /// Kills whoever stands still, be it one shim after the other.
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
    }

    /// The points of these kinds that it has come by. Every thread is counted by itself.
    pub(crate) fn points(&self, whom: Whom, kinds: &[&'static str]) -> Vec<Point> {
        let mut counts: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
        for line in self.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let Some((name, _)) = call.trim_start().split_once('(') else { continue };
            if let Some(kind) = kinds.iter().find(|kind| **kind == name) {
                *counts.entry((kind, thread.to_owned())).or_default() += 1;
            }
        }
        let most = |kind: &str| counts.iter().filter(|((of, _), _)| *of == kind).map(|(_, &count)| count).max();
        let of_kind = |&kind: &&'static str| (1..=most(kind).unwrap_or(0)).map(move |nth| Point { whom, kind, nth });
        kinds.iter().flat_map(of_kind).collect()
    }
}

impl Strike {
    pub(crate) fn start(&self, stack: &Stack, launch: Launch<'_>) -> Traced {
        let Strike(Point { whom, kind, nth }, blow) = self;
        let what = match blow {
            Blow::DeathBefore => "signal=KILL".to_owned(),
            Blow::DeathAfter | Blow::Halt => "signal=STOP".to_owned(),
            Blow::Error(name) => format!("error={name}"),
        };
        let inject = format!("inject={kind}:{what}:when={nth}");
        let may_die = !matches!(blow, Blow::Error(_));
        Traced::start(launch, stack, *whom, &[format!("trace={kind}"), inject], may_die)
    }

    /// Boots under it, to the end of the replica. Whether it has struck.
    pub(crate) fn befall(&self, stack: &Stack) -> bool {
        let mut traced = self.start(stack, boot::launch(stack));
        if self.1 == Blow::DeathAfter {
            wait_until("an end", || {
                traced.kill_halted();
                !traced.replica.is_running()
            });
        }
        traced.wait();
        if self.0.whom == Whom::Leader && !matches!(self.1, Blow::DeathBefore | Blow::DeathAfter) {
            // strace lets go of the replica when that becomes the command.
            wait_until("the end of the command", || traced.replica.tree().is_empty());
        }
        traced.is_hit(self.1)
    }
}

/// What a replica that panics ends with, and a program whose panics nobody heeds.
const BUGS: [i32; 2] = [70, 101];

/// An error is no bug, and kills nobody. But the runtime panics where it cannot wake itself up by a write into the kernel's
/// memory, or has no descriptors to begin with; and a replica that is refused its first thread says that it cannot begin.
fn assert_no_bug(status: ExitStatus, may_die: bool, log: &str) {
    let mut panics = log.lines().filter(|line| line.contains("panicked")).peekable();
    let is_refused = panics.peek().is_some() || log.contains("exit 75: cannot begin: ");
    assert!(panics.all(|line| line.contains("/tokio-")), "{log}");
    match status.code() {
        Some(code) => assert!(is_refused || !BUGS.contains(&code), "{status}: {log}"),
        None => assert!(may_die && status.signal() == Some(Signal::KILL.as_raw()), "{status}: {log}"),
    }
}

/// All points of these kinds that every boot comes by: how often one beats or wakes up depends on how long it takes.
pub(crate) fn points(stack: fn() -> Stack, whom: Whom, kinds: &[&'static str]) -> Vec<Point> {
    let boots = [(); 3].map(|()| {
        let stack = stack();
        let mut traced = watch(&stack, boot::launch(&stack), whom, kinds);
        traced.wait();
        assert!(traced.replica.has_said("handing off"), "{}", traced.replica.log());
        wait_until("the command", || stack.journal().count("serve", "-") == 1);
        traced.points(whom, kinds)
    });
    boots.into_iter().min_by_key(Vec::len).unwrap()
}

/// Starts a replica whose calls of these kinds are only watched.
pub(crate) fn watch(stack: &Stack, launch: Launch<'_>, whom: Whom, kinds: &[&str]) -> Traced {
    Traced::start(launch, stack, whom, &[format!("trace={}", kinds.join(","))], false)
}
