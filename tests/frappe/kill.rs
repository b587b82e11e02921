//! Ways to die, and where in a bench call.

use std::fs;
use std::path::Path;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::replica::Replica;
use crate::stack::Stack;
use crate::wait::{is_alive, parent, wait_for, wait_until};

/// Who dies, and of what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Everything in the leader's container, at once.
    Container,
    /// The leader's process alone: its shims notice.
    Leader,
    /// The leader is asked to stop.
    Stop,
    /// The process of bench that does the work; the leader goes on.
    Call,
    /// The process of bench that the step has started, whose children stay; the leader goes on.
    Parent,
}

/// A death at a phase, as in `install-app:sync`.
pub(crate) type Death = (&'static str, Way);

/// A bench call that has stopped where it was asked to.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) pid: i32,
    pub(crate) phase: String,
}

/// Waits until a bench call of this replica has stopped.
pub(crate) fn wait_stopped(stack: &Stack, replica: &mut Replica) -> Stopped {
    let report = wait_for("a call that stops", || {
        let text = fs::read_to_string(stack.server("stopped-at")).ok();
        assert!(text.is_some() || replica.is_running(), "ended without a stop:\n{}", replica.log());
        text
    });
    let report: Value = serde_json::from_str(&report).unwrap();
    let pid = i32::try_from(report["pid"].as_i64().unwrap()).unwrap();
    Stopped { pid, phase: report["phase"].as_str().unwrap().to_owned() }
}

/// Lets the call that has stopped go on, and all others that would stop.
pub(crate) fn let_go(stack: &Stack) {
    fs::write(stack.server("go-on"), "").unwrap();
}

/// Lets calls stop again.
pub(crate) fn forget_stop(stack: &Stack) {
    fs::remove_file(stack.server("stopped-at")).unwrap();
}

/// Kills in that way. Whether the replica goes on.
pub(crate) fn die(replica: &mut Replica, way: Way, Stopped { pid, .. }: &Stopped) -> bool {
    match way {
        Way::Container => replica.kill_tree(),
        Way::Leader => {
            replica.kill();
            wait_until("its shims to have stopped the call", || !is_alive(*pid));
        }
        Way::Stop => {
            replica.signal(Signal::TERM);
            assert_eq!(replica.wait(), 143, "{}", replica.log());
            assert!(!is_alive(*pid), "a stopped leader has left a bench call behind");
        }
        Way::Call => crate::wait::signal(*pid, Signal::KILL),
        Way::Parent => crate::wait::signal(first_of_bench(*pid), Signal::KILL),
    }
    matches!(way, Way::Call | Way::Parent)
}

/// The bench call that this process is part of: of its ancestors the last that runs Python.
fn first_of_bench(pid: i32) -> i32 {
    let is_python =
        |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| name(&exe).starts_with("python"));
    std::iter::successors(Some(pid), |&pid| parent(pid)).take_while(is_python).last().unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Tries all of them at once: what they wait for costs nothing.
pub(crate) fn at_once<T: Sync>(all: &[T], attempt: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for one in all {
            scope.spawn(|| attempt(one));
        }
    });
}

/// One replica after the other comes up and dies in its way; the last one serves. `revs`: of the first, the second …; the
/// last goes on for all others.
pub(crate) fn survive(stack: &Stack, revs: &[&str], deaths: &[Death]) {
    let wishes: Vec<String> = deaths.iter().map(|(phase, _)| format!("{phase}:1")).collect();
    let wishes = wishes.join(" ");
    let mut revs = revs.iter().copied();
    let mut rev = revs.next().unwrap();
    let start = |rev: &str| stack.launch().rev(rev).env("STANDIN_STOP_AT", &wishes).start();
    let mut replica = start(rev);
    for (phase, way) in deaths {
        let stopped = wait_stopped(stack, &mut replica);
        assert_eq!(phase.split_once(':').unwrap().1, stopped.phase, "{deaths:?}");
        let goes_on = die(&mut replica, *way, &stopped);
        forget_stop(stack);
        if !goes_on {
            if let Some(next) = revs.next() {
                rev = next;
                stack.make_newer(rev);
            }
            replica = start(rev);
        }
    }
    assert_eq!(replica.wait(), 0, "{deaths:?}\n{}", replica.log());
    assert_eq!(replica.output(), "serves\n");
}
