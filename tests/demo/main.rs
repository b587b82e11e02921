//! `bellwether demo`: it shows what it promises, and leaves nothing behind, however it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../waiting/mod.rs"]
mod waiting;

use crate::waiting::wait_for;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::mem;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A demo with a temporary directory of its own, by whose path all of its processes are known.
struct Demo {
    child: Child,
    stdout: BufReader<ChildStdout>,
    seen: String,
    scratch: Rc<TempDir>,
}

/// What is left of a demo that has ended.
struct Over {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    scratch: Rc<TempDir>,
}

impl Demo {
    #[must_use]
    fn start(arguments: &[&str]) -> Demo {
        Demo::start_with(arguments, &std::env::var("PATH").unwrap())
    }

    /// Where programs are looked for in `path`.
    #[must_use]
    fn start_with(arguments: &[&str], path: &str) -> Demo {
        let scratch = Rc::new(TempDir::new().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        command.arg("demo").args(arguments).env("TMPDIR", scratch.path()).env("PATH", path);
        // None of the caller's settings are the replicas'.
        command.env("IMAGE_REV", "other").env("LOCK_REDIS_HOST", "redis.invalid");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Demo { child, stdout, seen: String::new(), scratch }
    }

    /// Reads on until a line holds `text`.
    fn see(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "never seen: {text}\n{}", self.seen);
            self.seen.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    fn end(mut self) -> Over {
        self.stdout.read_to_string(&mut self.seen).unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        Over { code, stdout: mem::take(&mut self.seen), stderr, scratch: Rc::clone(&self.scratch) }
    }
}

impl Drop for Demo {
    /// A test that has failed leaves no demo behind.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            signal(self.child.id().cast_signed(), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

impl Over {
    #[track_caller]
    fn assert_ended_with(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        assert_eq!(processes(self.scratch.path()), [], "nothing runs any more");
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        assert_eq!(fs::read_dir(self.scratch.path()).unwrap().count(), 0, "the temporary directory is empty again");
    }

    fn count(&self, text: &str) -> usize {
        self.stdout.lines().filter(|line| line.contains(text)).count()
    }
}

/// Processes in whose environment or command line the directory stands: their pids and command lines.
fn processes(scratch: &Path) -> Vec<(i32, String)> {
    let mark = scratch.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let marked = pids.filter_map(|pid| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let is_marked = words.contains(mark) || String::from_utf8_lossy(&read("environ")).contains(mark);
        is_marked.then_some((pid, words))
    });
    marked.collect()
}

/// Looks again and again, for longer than anything takes on the busiest machine.
fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(what, || look().then_some(()));
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[cfg(feature = "redis")]
#[test]
fn under_a_lease_the_leader_is_killed_another_takes_over_and_all_three_serve() {
    assert_all_is_shown(&[], "lease in a redis-server of its own, guard on the volume");
}

#[test]
fn under_the_guard_the_leader_is_killed_another_takes_over_and_all_three_serve() {
    assert_all_is_shown(&["--no-redis"], "guard only: --no-redis");
}

fn assert_all_is_shown(arguments: &[&str], election: &str) {
    let over = Demo::start(arguments).end();
    over.assert_ended_with(0);
    let first = over.stdout.lines().find(|line| line.contains("  —  ")).unwrap();
    assert!(first.ends_with(&format!("  —  election      {election}")), "{first}");
    over.assert_nothing_is_left();
    assert_eq!(over.stderr, "");
    for (text, count) in [
        ("  LEADER  ", 2),
        ("  kill -9 ", 1),
        ("whole tree gone (3 processes)", 1),
        ("  start ", 1),
        ("taken over from epoch 1 after ", 1),
        ("  HTTP 200  ", 3),
        ("still the replica's pid", 3),
        ("  FOLLOWER  ", 4),
        ("  election  ", 1),
        ("  warning  ", 0),
        ("  ok  ", 5),
        ("FAIL", 0),
        ("\x1b", 0),
    ] {
        assert_eq!(over.count(text), count, "{text:?} in\n{}", over.stdout);
    }
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let mut demo = Demo::start(&[]);
    demo.see("1 of 4 tables converted");
    let running = processes(demo.scratch.path());
    let is_there = |words: &str| running.iter().any(|(_, line)| line.contains(words));
    assert!(is_there("bellwether run --") && is_there("__shim") && is_there("__step-helper"), "{running:?}");
    assert_eq!(is_there("redis-server"), cfg!(feature = "redis"), "{running:?}");
    signal(demo.child.id().cast_signed(), Signal::INT);
    let over = demo.end();
    over.assert_ended_with(130);
    over.assert_nothing_is_left();
}

/// Whoever reads the logs is gone too, and nobody may die of that: the work is finished, and then everything ends.
#[test]
fn when_the_demo_itself_is_killed_the_replicas_finish_and_end() {
    let mut demo = Demo::start(&["--no-redis"]);
    demo.see("1 of 4 tables converted");
    signal(demo.child.id().cast_signed(), Signal::KILL);
    let over = demo.end();
    assert_eq!(over.code, None);
    let root = fs::read_dir(over.scratch.path()).unwrap().next().unwrap().unwrap().path();
    wait_until("the revision is ready", || root.join("volume/.ready_demo-1").exists());
    wait_until("nothing runs any more", || processes(over.scratch.path()).is_empty());
    let history = fs::read_to_string(root.join("volume/.bellwether/history.jsonl")).unwrap();
    assert_eq!(history.matches(r#""event":"elected""#).count(), 1, "the first leader has finished:\n{history}");
}

#[cfg(feature = "redis")]
/// The redis-server goes with it, so nobody gets a lease any more.
#[test]
fn when_the_demo_itself_is_killed_under_a_lease_what_runs_is_finished_and_everything_ends() {
    let mut demo = Demo::start(&[]);
    demo.see("1 of 4 tables converted");
    signal(demo.child.id().cast_signed(), Signal::KILL);
    let over = demo.end();
    let root = fs::read_dir(over.scratch.path()).unwrap().next().unwrap().unwrap().path();
    wait_until("nothing runs any more", || processes(over.scratch.path()).is_empty());
    assert!(root.join("volume/.migrated_demo-1").exists(), "a lost lease stops nobody under a trusted guard");
}

#[test]
fn without_a_redis_server_the_guard_elects() {
    let mut demo = Demo::start_with(&[], "/nonexistent");
    let line = demo.see("election");
    assert!(line.ends_with("  guard only: no redis-server in PATH\n"), "{line}");
    demo.see("LEADER");
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_build_without_redis_says_so() {
    let mut demo = Demo::start_with(&[], "/usr/bin");
    let line = demo.see("election");
    assert!(line.contains("guard only: "), "{line}");
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_server_that_does_not_come_up_is_told_of_and_the_guard_elects() {
    let programs = TempDir::new().unwrap();
    let fake = programs.path().join("redis-server");
    // By another process: what is open for writing here, any child of another test would hold as well.
    let script = format!("printf '#!/bin/sh\necho no memory today; exit 3\n' >{0}; chmod +x {0}", fake.display());
    assert!(Command::new("/bin/sh").args(["-c", &script]).status().unwrap().success());
    let mut demo = Demo::start_with(&[], programs.path().to_str().unwrap());
    let line = demo.see("election");
    let told = format!("guard only: {} did not come up: exit status: 3: no memory today\n", fake.display());
    assert!(line.ends_with(&told), "{line}");
    demo.see("LEADER");
}

#[test]
fn what_does_not_go_as_planned_is_told_and_cleaned_up() {
    let mut demo = Demo::start(&[]);
    demo.see("1 of 4 tables converted");
    let running = processes(demo.scratch.path());
    let (replica, _) = running.iter().find(|(_, line)| line.starts_with("bellwether run --")).unwrap();
    signal(*replica, Signal::KILL);
    let over = demo.end();
    over.assert_ended_with(70);
    over.assert_nothing_is_left();
    assert!(over.stderr.contains("has ended: signal: 9"), "{}", over.stderr);
    assert!(over.stderr.contains("1 of 4 tables converted"), "what was seen:\n{}", over.stderr);
}

#[test]
fn the_volume_is_kept_on_demand() {
    let over = Demo::start(&["--keep"]).end();
    over.assert_ended_with(0);
    let root = over.stdout.lines().find_map(|line| line.strip_prefix("kept: ")).expect("it says where");
    assert!(Path::new(root).join("volume/.ready_demo-1").exists(), "{root}");
}
