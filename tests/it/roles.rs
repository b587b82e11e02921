//! Replicas that never lead, that give up waiting, and that wait for what the plan needs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use crate::election::Election;
use crate::stack::{Stack, Step};
use crate::wait::wait_until;

/// The lines of a trace that show something being written, sent or started on behalf of the volume.
fn traces_of_writing(trace: &Path, volume: &Path) -> Vec<String> {
    let volume = volume.display().to_string();
    let changing =
        ["O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "rename", "unlink", " link(", "linkat", "utimens", "chown", "chmod"];
    let text = fs::read_to_string(trace).unwrap();
    let writes = |line: &&str| line.contains(&volume) && changing.iter().any(|word| line.contains(word));
    text.lines().filter(writes).map(str::to_owned).collect()
}

#[test]
fn a_replica_that_may_not_lead_touches_nothing_and_serves_when_ready() {
    let stack = Stack::new().step(Step::quick("migrate"));
    let trace = stack.scratch().join("trace");
    let strace = ["strace", "-f", "-qq", "-e", "trace=%file,%desc", "-o", trace.to_str().unwrap()];
    let mut follower = stack.replica().env("IS_LEADER", "0").under(&strace).start();
    let root = format!("\"{}\", O_RDONLY", stack.volume().display());
    wait_until("looks", || {
        assert!(follower.is_running(), "{}", follower.log());
        fs::read_to_string(&trace).is_ok_and(|text| text.matches(&root).count() >= Election::LOOKS)
    });
    assert_eq!(stack.names("."), [""; 0]);
    assert_eq!(traces_of_writing(&trace, stack.volume()), [""; 0]);
    assert!(!follower.has_said("LEADER"));
    assert_eq!(stack.start_replica().wait(), 0);
    assert_eq!(follower.wait(), 0);
    assert_eq!(traces_of_writing(&trace, stack.volume()), [""; 0]);
    assert_eq!(stack.journal().count("serve", "-"), 2);
}

#[test]
fn a_warm_start_starts_no_thread_writes_nothing_and_needs_no_other_setting() {
    let stack = Stack::new().step(Step::quick("migrate"));
    assert_eq!(stack.start_replica().wait(), 0);
    let trace = stack.scratch().join("trace");
    let strace = ["strace", "-f", "-qq", "-o", trace.to_str().unwrap()];
    let broken = stack
        .replica()
        .env("STEP_STALE_SECS", "abc")
        .env("BELLWETHER_PLAN", "/no/such/plan")
        .env("BELLWETHER_LOG", "?");
    let mut warm = broken.under(&strace).command(&["/bin/true"]).start();
    assert_eq!(warm.wait(), 0, "{}", warm.log());
    let text = fs::read_to_string(&trace).unwrap();
    // The line of our own exec names our path, which may hold any word.
    let (_, ours) = text.split_once("execve(").and_then(|(_, ours)| ours.split_once('\n')).unwrap();
    let (ours, _) = ours.split_once("execve(\"/bin/true\"").unwrap();
    for call in ["clone", "fork(", "O_WRONLY", "O_RDWR", "O_CREAT", "socket(", "epoll", "eventfd", "unlink", "rename"] {
        assert!(!ours.contains(call), "{call}:\n{ours}");
    }
    assert_eq!(warm.log(), "");
}

#[test]
fn a_follower_gives_up_when_it_is_told_to() {
    let stack = Stack::new().step(Step::quick("migrate")).env("BELLWETHER_READY_TIMEOUT_SECS", "0.5");
    let mut follower = stack.replica().env("IS_LEADER", "0").start();
    assert_eq!(follower.wait(), 75);
    assert!(follower.has_said("BELLWETHER_READY_TIMEOUT_SECS"));
    assert_eq!(stack.journal().entries(), []);
}

#[test]
fn what_the_plan_needs_is_waited_for_before_leading() {
    // Bound, so that it is ours, and not listening yet.
    let server = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&server, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&server).unwrap()).unwrap();
    let stack = Stack::new().step(Step::quick("migrate")).needs(&[format!("tcp://{address}")]);
    let mut hasty = stack.replica().env("BELLWETHER_NEEDS_WAIT_SECS", "0.2").start();
    assert_eq!(hasty.wait(), 75);
    assert!(hasty.has_said(&format!("the plan still needs tcp://{address}")), "{}", hasty.log());
    assert!(hasty.has_said("BELLWETHER_NEEDS_WAIT_SECS"));
    let mut patient = stack.start_replica();
    patient.wait_said(&format!("waiting for tcp://{address}"));
    assert_eq!(stack.journal().entries(), []);
    listen(&server, 8).unwrap();
    assert_eq!(patient.wait(), 0, "{}", patient.log());
    assert!(patient.has_said(&format!("tcp://{address} is there")));
}

#[test]
fn some_commands_are_not_kept_waiting() {
    let stack = Stack::new().step(Step::quick("migrate"));
    let bellwether = env!("CARGO_BIN_EXE_bellwether");
    let mut version = stack.replica().rev("").command(&[bellwether, "--version"]).start();
    assert_eq!(version.wait(), 0, "{}", version.log());
    assert!(version.output().starts_with("bellwether "));
    let mut shell = stack.replica().rev("").flag("--no-wait").command(&["/bin/sh", "-c", "echo now"]).start();
    assert_eq!((shell.wait(), shell.output()), (0, "now\n".to_owned()));
    assert!(stack.names(".").is_empty());
}

#[test]
fn a_command_that_cannot_be_executed_is_named_with_the_usual_exit() {
    let stack = Stack::new().step(Step::quick("migrate"));
    for (command, exit) in [("/no/such/server", 127), ("/etc/passwd", 126)] {
        let mut replica = stack.replica().command(&[command]).start();
        assert_eq!(replica.wait(), exit, "{}", replica.log());
        assert!(replica.has_said(command));
    }
}
