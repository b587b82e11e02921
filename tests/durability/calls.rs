//! Every system call of a boot fails, or is the last thing that its process does.

use std::collections::BTreeMap;

use crate::boot;
use crate::cage::{TOLD, is_inside};
use crate::pool::{each, is_whole};
use crate::referee::Wreck;
use crate::stack::Stack;
use crate::trace::{Blow, CHANGES, PROCESSES, Point, READS, Strike, Whom, points};

/// Most of them wait for a dead leader to grow stale.
const SIDE_BY_SIDE: usize = 12;

/// What a call of this kind may say when the disk or the connection to it is in trouble.
fn errors(kind: &str) -> &'static [&'static str] {
    match kind {
        "openat" | "write" | "pwrite64" => &["EIO", "ENOSPC", "EROFS", "EINTR"],
        "mkdir" | "mkdirat" | "link" | "linkat" | "rename" | "renameat" | "renameat2" => &["EIO", "ENOSPC", "EROFS"],
        "fsync" | "fdatasync" | "ftruncate" => &["EIO", "ENOSPC", "EINTR"],
        "flock" => &["ENOLCK", "EINTR"],
        "unlink" | "unlinkat" | "fchmod" | "fchown" | "utimensat" => &["EIO", "EROFS"],
        "read" => &["EIO", "EINTR"],
        "wait4" | "waitid" => &["EINTR"],
        "clone" | "clone3" | "vfork" => &["EAGAIN"],
        "execve" => &["EIO", "ENOENT"],
        "socketpair" | "pipe2" => &["EMFILE"],
        _ => &["EIO"],
    }
}

/// Each of them boots under its blow; then the next replica goes on. Gives how many have struck.
fn strike_all(stack: fn() -> Stack, strikes: &[Strike]) -> usize {
    each(SIDE_BY_SIDE, strikes, |strike| {
        let stack = stack();
        let struck = strike.befall(&stack);
        let wreck = Wreck::look(&stack);
        if strike.0.whom == Whom::Tree && stack.has(".failed_v1") {
            // It has befallen every run of the step.
            boot::retry(&stack);
        }
        wreck.assert_goes_on(&stack);
        struck
    })
}

fn tell(what: &str, points: usize, strikes: usize, struck: usize) {
    println!("{TOLD}{what}: {points} points, {struck} of {strikes} strikes have struck");
    // What beats and wake-ups make is not in every boot.
    assert!(struck * 100 >= strikes * 85, "{what}: {struck} of {strikes}");
}

/// One of `part`, in a short run.
fn some<T: Clone>(all: &[T], part: usize) -> Vec<T> {
    all.iter().step_by(if is_whole() { 1 } else { part }).cloned().collect()
}

fn deaths(points: &[Point]) -> Vec<Strike> {
    let both = |point: &Point| [Blow::DeathBefore, Blow::DeathAfter].map(|blow| Strike(point.clone(), blow));
    points.iter().flat_map(both).collect()
}

/// In a short run one of each `part` points is struck, and with one error, the one that its kind of call was least struck with:
/// by its number alone a point would be tied to an error, as it is to the sample. The first calls of a thread are left room: one
/// that is begun anew for each look would find none again and again, and a full volume is waited for, for ever.
fn failures(points: &[Point], part: usize) -> Vec<Strike> {
    let mut struck: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut strikes = Vec::new();
    for point in some(points, part) {
        let mut names: Vec<_> =
            errors(point.kind).iter().filter(|&&name| name != "ENOSPC" || point.nth > 2).copied().collect();
        names.sort_by_key(|&name| struck.get(&(point.kind, name)));
        names.truncate(if is_whole() { names.len() } else { 1 });
        for name in names {
            *struck.entry((point.kind, name)).or_default() += 1;
            strikes.push(Strike(point.clone(), Blow::Error(name)));
        }
    }
    assert_every_error(&strikes);
    strikes
}

/// Each call that is struck often enough is struck with each of its errors.
fn assert_every_error(strikes: &[Strike]) {
    let mut of: BTreeMap<&str, Vec<Blow>> = BTreeMap::new();
    for Strike(point, blow) in strikes {
        of.entry(point.kind).or_default().push(*blow);
    }
    for (kind, blows) in of.iter().filter(|(kind, blows)| blows.len() >= errors(kind).len()) {
        for name in errors(kind) {
            assert!(blows.contains(&Blow::Error(name)), "{kind} is never struck with {name}: {blows:?}");
        }
    }
}

#[test]
fn a_replica_that_dies_at_any_change_of_a_file_leaves_the_truth() {
    if !is_inside("calls::a_replica_that_dies_at_any_change_of_a_file_leaves_the_truth") {
        return;
    }
    let points = points(boot::stack, Whom::Leader, CHANGES);
    assert!(points.len() >= 100, "{}", points.len());
    let strikes = some(&deaths(&points), 3);
    let struck = strike_all(boot::stack, &strikes);
    tell("death at a change", points.len(), strikes.len(), struck);
}

#[test]
fn a_replica_with_any_change_of_a_file_refused_leaves_the_truth() {
    if !is_inside("calls::a_replica_with_any_change_of_a_file_refused_leaves_the_truth") {
        return;
    }
    let points = points(boot::stack, Whom::Leader, CHANGES);
    let strikes = failures(&points, 2);
    let struck = strike_all(boot::stack, &strikes);
    tell("a change refused", points.len(), strikes.len(), struck);
}

#[test]
fn a_replica_that_cannot_read_leaves_the_truth() {
    if !is_inside("calls::a_replica_that_cannot_read_leaves_the_truth") {
        return;
    }
    let points = points(boot::stack, Whom::Leader, READS);
    let strikes = failures(&points, 5);
    let struck = strike_all(boot::stack, &strikes);
    tell("a read refused", points.len(), strikes.len(), struck);
}

#[test]
fn shims_and_steps_that_die_or_cannot_begin_leave_the_truth() {
    if !is_inside("calls::shims_and_steps_that_die_or_cannot_begin_leave_the_truth") {
        return;
    }
    let points: Vec<Point> = points(boot::childless, Whom::Tree, PROCESSES);
    let strikes = [some(&deaths(&points), 2), failures(&points, 2)].concat();
    let struck = strike_all(boot::childless, &strikes);
    tell("processes", points.len(), strikes.len(), struck);
}
