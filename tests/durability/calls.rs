//! Every system call of a boot fails, or is the last thing that its process does.

use crate::boot;
use crate::cage::{TOLD, is_inside};
use crate::points::{CHANGES, PROCESSES, READS, Role, SOCKETS};
use crate::pool::{count, each, extent, is_whole};
use crate::referee::Wreck;
use crate::sample::{Case, assert_most, deaths, failures, points, sample, strike_all, tell};
use crate::scene::Scene;
use crate::trace::watch;
use crate::wait::wait_until;

const SIDE_BY_SIDE: usize = 12;

#[test]
fn a_replica_that_dies_at_any_change_of_a_file_leaves_the_truth() {
    if !is_inside("calls::a_replica_that_dies_at_any_change_of_a_file_leaves_the_truth") {
        return;
    }
    let (points, part) = (points(&Scene::all(), &Role::THREADS, CHANGES), 3);
    let cases = deaths(&sample(&points, part));
    tell("death at a change", &points, part, &cases, &strike_all(&cases));
}

#[test]
fn a_replica_with_any_change_of_a_file_refused_leaves_the_truth() {
    if !is_inside("calls::a_replica_with_any_change_of_a_file_refused_leaves_the_truth") {
        return;
    }
    let (points, part) = (points(&Scene::all(), &Role::THREADS, CHANGES), 3);
    let cases = failures(&sample(&points, part));
    tell("a change refused", &points, part, &cases, &strike_all(&cases));
}

#[test]
fn a_replica_that_cannot_read_leaves_the_truth() {
    if !is_inside("calls::a_replica_that_cannot_read_leaves_the_truth") {
        return;
    }
    let (points, part) = (points(&Scene::all(), &Role::THREADS, READS), 4);
    let cases = failures(&sample(&points, part));
    tell("a read refused", &points, part, &cases, &strike_all(&cases));
}

/// In all of its few calls, which are not to a file.
#[test]
fn a_replica_whose_connection_fails_leaves_the_truth() {
    if !is_inside("calls::a_replica_whose_connection_fails_leaves_the_truth") {
        return;
    }
    if !Scene::all().contains(&Scene::Redis) {
        return;
    }
    let points = points(&[Scene::Redis], &[Role::Main], SOCKETS);
    let cases = failures(&points);
    tell("a call to Redis refused", &points, 1, &cases, &strike_all(&cases));
}

/// Cold and without Redis.
#[test]
fn shims_and_steps_that_die_or_cannot_begin_leave_the_truth() {
    if !is_inside("calls::shims_and_steps_that_die_or_cannot_begin_leave_the_truth") {
        return;
    }
    let stack = boot::childless();
    let mut traced = watch(&stack, boot::launch(&stack), Role::Tree, PROCESSES);
    traced.wait();
    wait_until("the command", || stack.journal().count("serve", "-") == 1);
    let points: Vec<_> = traced.points_of_tree(PROCESSES).into_iter().map(|point| (Scene::Cold, point)).collect();
    // Not by different calls: here the number tells one process's from the other's.
    let some = |offset: usize| -> Vec<_> {
        let offset = if is_whole() { 0 } else { offset };
        points.iter().skip(offset).step_by(if is_whole() { 1 } else { 2 }).cloned().collect()
    };
    let cases = [deaths(&some(0)), failures(&some(1))].concat();
    let struck = each(SIDE_BY_SIDE, &cases, strike_tree);
    println!(
        "{TOLD}processes: {} of {} strikes have struck, at {} points ({})",
        count(&struck),
        cases.len(),
        points.len(),
        extent(2)
    );
    assert_most("processes", 85, count(&struck), cases.len());
}

fn strike_tree(case: &Case) -> bool {
    let stack = boot::childless();
    let struck = case.strike.befall(&stack, boot::launch(&stack), |_| {});
    let wreck = Wreck::look(&stack);
    if stack.has(".failed_v1") {
        // It has befallen every run of the step.
        boot::retry(&stack);
    }
    wreck.assert_goes_on(&stack);
    struck.is_some()
}
