//! The system calls of a boot, each by the thread that makes it and the file that it is made to.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;

use crate::trace::Traced;

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

/// Calls to Redis, if it is spoken to over TCP.
pub(crate) const SOCKETS: &[&str] = &["socket", "connect", "getsockopt", "setsockopt", "sendto", "writev", "recvfrom"];

/// What such a call names. Other sockets lead to shims, or from a thread to itself, and these do not fail.
const REDIS: [&str; 2] = ["<TCP:", "(AF_INET"];

/// Whose calls. strace counts them by thread, so each thread is struck alone: the n-th call of any would be the main
/// thread's, which comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Role {
    /// The thread that decides. It has looked at the volume before there is another.
    Main,
    /// The one on which everything on the volume is done.
    Volume,
    /// The one that waits for the guard.
    Guard,
    /// The one that keeps what the steps say.
    Logs,
    /// The replica with its shims and steps: every thread.
    Tree,
}

impl Role {
    /// All threads of a replica that touch the volume.
    pub(crate) const THREADS: [Role; 4] = [Role::Main, Role::Volume, Role::Guard, Role::Logs];

    /// The file that this thread opens first, and before any other does.
    pub(crate) fn first_file(self) -> Option<&'static str> {
        match self {
            Role::Volume => Some(".bellwether"),
            Role::Guard => Some(".bellwether/guard.lock"),
            Role::Logs => Some(".bellwether/log/site.log"),
            Role::Main | Role::Tree => None,
        }
    }
}

/// What is called, wherever it stands in a boot: calls of one kind to one file are as good as the same.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Call {
    pub(crate) role: Role,
    pub(crate) kind: &'static str,
    /// On the volume a path from its root, with `*` for what is not the same in each boot.
    pub(crate) file: String,
}

impl Call {
    pub(crate) fn is_on_volume(&self) -> bool {
        self.file.starts_with('.')
    }
}

/// The `nth` call of a kind by which a boot comes: from 1, or 0 for the one with which a thread begins.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) call: Call,
    pub(crate) nth: usize,
}

impl Point {
    pub(crate) fn new(role: Role, kind: &'static str, file: &str, nth: usize) -> Point {
        Point { call: Call { role, kind, file: file.to_owned() }, nth }
    }
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { role, kind, file } = &self.call;
        write!(f, "{kind} number {} of {role:?}, {file}", self.nth)
    }
}

/// Digits are a process, and so many hexadecimal ones a replica: `.bellwether/tmp/12-3-<id>`, `/proc/12/stat`.
fn mask(name: &str) -> String {
    let is_changing = |word: &str| {
        let is_id = word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id || (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let part = |part: &str| {
        part.split('-').map(|word| if is_changing(word) { "*" } else { word }).collect::<Vec<_>>().join("-")
    };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// The file that a call is made to: that of its descriptor, or the last that it names, of a rename where it goes.
fn file(call: &str, volume: &Path) -> Option<String> {
    let volume = volume.to_str().unwrap();
    let (_, arguments) = call.split_once('(')?;
    let arguments = arguments.rsplit_once(" = ").map_or(arguments, |(arguments, _)| arguments);
    let mut named = arguments.split(['"', '<', '>']).filter(|word| word.starts_with('/'));
    // What was written or read may look like a file, too.
    let has_descriptor = arguments.starts_with(|letter: char| letter.is_ascii_digit());
    let file = if has_descriptor { named.next() } else { named.next_back() }?;
    let masked = |path: &str| path.split('/').map(mask).collect::<Vec<_>>().join("/");
    let Some(below) = file.strip_prefix(volume) else { return Some(masked(file)) };
    let below = masked(below.trim_start_matches('/'));
    Some(if below.starts_with('.') { below } else { format!("./{below}") })
}

/// The call that a line of strace's is about, if it is of one of these kinds.
pub(crate) fn call(line: &str, role: Role, kinds: &[&'static str], volume: &Path) -> Option<Call> {
    let call = line.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start();
    let (name, _) = call.split_once('(')?;
    let kind = kinds.iter().find(|kind| **kind == name)?;
    let is_redis = SOCKETS.contains(kind) && REDIS.iter().any(|sign| call.contains(sign));
    let file = if is_redis { Some("Redis".to_owned()) } else { file(call, volume) };
    Some(Call { role, kind, file: file.unwrap_or_default() })
}

impl Traced {
    /// The points of one thread that touch files or Redis, from the first such call on. What comes before is the dynamic
    /// linker's.
    pub(crate) fn points_of_thread(&self, role: Role, kinds: &[&'static str], volume: &Path) -> Vec<Point> {
        let first = role.first_file().filter(|_| kinds.contains(&"openat"));
        let mut points: Vec<Point> = first.map(|file| Point::new(role, "openat", file, 0)).into_iter().collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut has_begun, mut strangers) = (false, BTreeMap::new());
        for call in self.lines().iter().filter_map(|line| call(line, role, kinds, volume)) {
            let nth = counts.entry(call.kind).or_default();
            *nth += 1;
            if SOCKETS.contains(&call.kind) && call.file.is_empty() {
                strangers.insert(call.kind, *nth);
            }
            has_begun = has_begun || call.is_on_volume() || call.file == "Redis";
            if has_begun && !call.file.is_empty() && !strangers.contains_key(call.kind) {
                points.push(Point { nth: *nth, call });
            }
        }
        // Of an answer there may be two parts, or two in one: well before a stranger's call nothing else can be struck.
        points.retain(|point| strangers.get(point.call.kind).is_none_or(|stranger| point.nth * 4 <= *stranger));
        points
    }

    /// The points of these kinds of every thread and process, each counted by itself.
    pub(crate) fn points_of_tree(&self, kinds: &[&'static str]) -> Vec<Point> {
        let mut counts: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
        for line in self.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let Some((name, _)) = call.trim_start().split_once('(') else { continue };
            if let Some(kind) = kinds.iter().find(|kind| **kind == name) {
                *counts.entry((kind, thread.to_owned())).or_default() += 1;
            }
        }
        let most = |kind: &str| counts.iter().filter(|((of, _), _)| *of == kind).map(|(_, &count)| count).max();
        let of_kind =
            |&kind: &&'static str| (1..=most(kind).unwrap_or(0)).map(move |nth| Point::new(Role::Tree, kind, "", nth));
        kinds.iter().flat_map(of_kind).collect()
    }
}
