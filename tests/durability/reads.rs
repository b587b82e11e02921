//! What only looks, the probe and the start of a replica, fails to read: nobody serves before it is ready.

use std::fs;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::boot;
use crate::cage::{TOLD, is_inside};
use crate::points::{Point, READS, Role};
use crate::pool::{count, each, is_whole};
use crate::replica::Launch;
use crate::sample::assert_most;
use crate::stack::Stack;
use crate::trace::{Blow, Strike, watch};
use crate::wait::wait_until;

const SIDE_BY_SIDE: usize = 6;

const ERRORS: [&str; 3] = ["EIO", "ENOENT", "ESTALE"];

/// A volume on which everything is done but ready.
fn unready() -> Stack {
    let stack = ready();
    fs::remove_file(stack.path(".ready_v1")).unwrap();
    stack
}

fn ready() -> Stack {
    let stack = boot::stack();
    boot::assert_finishes(&stack, "v1");
    stack
}

/// A replica that may not lead and does not wait for long.
fn follower(stack: &Stack) -> Launch<'_> {
    boot::launch(stack).flag("--is-leader=0").env("BELLWETHER_READY_TIMEOUT_SECS", "0.2")
}

/// All points of what a thread of a replica does before that comes to its command, or gives up.
fn points_of(stack: &Stack, launch: Launch<'_>, role: Role) -> Vec<Point> {
    let mut traced = watch(stack, launch, role, READS);
    traced.wait();
    wait_until("its end", || traced.replica.tree().is_empty());
    traced.points_of_thread(role, READS, stack.volume())
}

/// In a short run one error for each point, and not the one that is an answer.
fn strikes(points: &[Point]) -> Vec<Strike> {
    let of = |point: &Point| -> Vec<Strike> {
        let chosen = if is_whole() { &ERRORS[..] } else { &ERRORS[..1] };
        chosen.iter().map(|error| Strike(point.clone(), Blow::Error(error))).collect()
    };
    points.iter().flat_map(of).collect()
}

/// How a probe has ended.
struct Probed {
    status: ExitStatus,
    /// The calls that have failed, with the files they name.
    failed: Vec<String>,
}

impl Probed {
    /// Whether its own look has failed, rather than what the dynamic linker or the runtime does before it.
    fn has_missed_marker(&self) -> bool {
        self.failed.iter().any(|call| call.contains("/.ready_v1"))
    }
}

/// Runs the probe with this call failing.
fn probe(stack: &Stack, words: &[&str], Strike(point, blow): &Strike) -> Probed {
    let Blow::Error(error) = blow else { panic!("not for a probe: {blow:?}") };
    let inject = format!("inject={}:error={error}:when={}", point.call.kind, point.nth);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", "trace=all", "-e", &inject, env!("CARGO_BIN_EXE_bellwether")]).args(words);
    let output = command.env_clear().envs(stack.environment()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = said.lines().filter(|line| line.contains("(INJECTED)")).map(ToOwned::to_owned).collect();
    Probed { status: output.status, failed }
}

/// How often the dynamic linker and the probe make each call, and far more than they do.
fn points_of_probe() -> Vec<Point> {
    let of_kind = |&kind: &&'static str| (1..=12).map(move |nth| Point::new(Role::Main, kind, "", nth));
    READS.iter().flat_map(of_kind).collect()
}

#[test]
fn a_probe_that_cannot_read_never_says_ready_of_what_is_not() {
    if !is_inside("reads::a_probe_that_cannot_read_never_says_ready_of_what_is_not") {
        return;
    }
    let (unready, ready) = (unready(), ready());
    let strikes = strikes(&points_of_probe());
    let ways = [&["ready"][..], &["ready", "-v"]].map(|words| (words, AtomicUsize::new(0)));
    let struck = each(SIDE_BY_SIDE, &strikes, |strike| {
        let probes = ways.each_ref().map(|(words, missed)| {
            let probed = probe(&unready, words, strike);
            assert!(!probed.status.success(), "{words:?}: {}", probed.status);
            // Of what is ready it may say that it cannot tell.
            let status = probe(&ready, words, strike).status;
            assert!(status.code().is_some(), "{words:?}: {status}");
            missed.fetch_add(usize::from(probed.has_missed_marker()), Ordering::Relaxed);
            probed
        });
        probes.iter().any(|probed| !probed.failed.is_empty())
    });
    let struck = count(&struck);
    println!("{TOLD}reads of the probe: {struck} points and errors");
    assert!(struck >= 18, "{struck}");
    for (words, missed) in ways {
        assert!(missed.into_inner() > 0, "the look at the marker of {words:?} has never failed");
    }
}

#[test]
fn a_replica_that_cannot_read_never_serves_what_is_not_ready() {
    if !is_inside("reads::a_replica_that_cannot_read_never_serves_what_is_not_ready") {
        return;
    }
    let first = unready();
    let points = [Role::Main, Role::Volume].map(|role| points_of(&first, follower(&first), role));
    let strikes = strikes(&points.concat());
    let struck = each(SIDE_BY_SIDE, &strikes, |strike| {
        let stack = unready();
        let struck = strike.befall(&stack, follower(&stack), |_| {});
        assert_eq!(stack.journal().count("serve", "-"), 1, "P4: {strike}");
        struck.is_some()
    });
    println!("{TOLD}reads of a follower: {} of {} have failed", count(&struck), strikes.len());
    assert_most("reads of a follower", 85, count(&struck), strikes.len());
}

#[test]
fn a_warm_start_that_cannot_read_does_nothing_twice() {
    if !is_inside("reads::a_warm_start_that_cannot_read_does_nothing_twice") {
        return;
    }
    let first = ready();
    let strikes = strikes(&points_of(&first, boot::launch(&first), Role::Main));
    let struck = each(SIDE_BY_SIDE, &strikes, |strike| {
        let stack = ready();
        let struck = strike.befall(&stack, boot::launch(&stack), |_| {});
        let journal = stack.journal();
        assert_eq!((journal.count("start", "site"), journal.count("start", "migrate")), (1, 1));
        assert_eq!(journal.entries().iter().filter(|entry| entry.what == "early").count(), 0);
        boot::assert_finishes(&stack, "v1");
        struck.is_some()
    });
    println!("{TOLD}reads of a warm start: {} of {} have failed", count(&struck), strikes.len());
    assert_most("reads of a warm start", 85, count(&struck), strikes.len());
}
