//! Redis fails in the middle of a step. The guard is trusted, so the step goes on, and nobody else runs it.

use std::mem;

use rustix::process::Signal;

use crate::scene::{Scene, two_steps};
use crate::stack::Stack;
use crate::wait::{SECOND, mtime, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";
const LOST: &str = "the lease is lost";
const BACK: &str = "Redis answers again";

fn stack() -> Stack {
    two_steps(Stack::new())
}

/// Removes what `how` says, and has everybody look at once, as an announcement does.
fn remove_and_announce(stack: &Stack, how: &str) {
    let script = format!("redis.call({how}) redis.call('PUBLISH', KEYS[2], 'test')");
    let answer = stack.redis().cli(&["EVAL", &script, "2", &stack.lease_key(), &stack.channel()]);
    assert!(!answer.starts_with('-'), "{answer}");
}

#[test]
fn a_lease_that_vanishes_and_becomes_anothers_changes_nothing_until_the_step_is_over() {
    for how in ["'FLUSHALL'", "'DEL', KEYS[1]"] {
        let stack = stack();
        let mut scene = Scene::start(&stack);
        let leader = scene.leader.pid();
        // The leader may be the first to ask again: until another was.
        wait_until("another holder", || {
            if stack.holder().is_some_and(|holder| holder["pid"] == leader) {
                remove_and_announce(&stack, how);
            }
            stack.holder().is_some_and(|holder| holder["pid"] != leader)
        });
        scene.leader.wait_said(LOST);
        assert_eq!(stack.journal().count("start", "migrate"), 1);
        assert!(scene.leader.is_running() && scene.followers.iter().all(|follower| !follower.has_said("LEADER")));
        stack.open_gate("migrate");
        let successor = stack.journal().wait("start", "late", 1);
        assert!(successor.epoch > 1, "who has neither lease nor step leads no more: {how}");
        scene.assert_goes_well(&stack);
    }
}

#[test]
fn a_flushed_redis_is_asked_again_under_the_same_epoch() {
    let stack = stack();
    let mut scene = Scene::start(&stack);
    assert_eq!(stack.redis().cli(&["FLUSHALL"]), "OK");
    scene.leader.wait_said(LOST);
    wait_until("a holder", || stack.holder().is_some());
    scene.assert_goes_well(&stack);
}

#[test]
fn a_killed_redis_stops_no_step_and_one_that_comes_back_empty_changes_nothing() {
    let mut stack = stack();
    let mut scene = Scene::start(&stack);
    stack.redis_mut().kill();
    scene.leader.wait_said("nobody listens at");
    scene.leader.wait_said(LOST);
    stack.redis_mut().restart();
    scene.leader.wait_said(BACK);
    scene.assert_goes_well(&stack);
}

#[test]
fn a_step_that_ends_while_redis_is_away_is_marked_and_the_rest_waits_for_redis() {
    let mut stack = stack();
    let mut scene = Scene::start(&stack);
    stack.redis_mut().kill();
    scene.leader.wait_said(LOST);
    stack.open_gate("migrate");
    wait_until("the mark", || stack.has(".migrate_done_v1"));
    assert!(scene.all().iter_mut().all(|replica| replica.is_running()));
    assert_eq!(stack.journal().count("start", "late"), 0);
    stack.redis_mut().restart();
    scene.assert_goes_well(&stack);
}

#[test]
fn a_redis_restarted_empty_changes_nothing() {
    let mut stack = stack();
    let mut scene = Scene::start(&stack);
    stack.redis_mut().restart();
    scene.leader.wait_said(LOST);
    wait_until("a holder", || stack.holder().is_some());
    scene.assert_goes_well(&stack);
}

#[test]
fn a_redis_paused_past_the_leases_end_changes_nothing() {
    let stack = stack();
    let mut scene = Scene::start(&stack);
    assert_eq!(stack.redis().cli(&["CLIENT", "PAUSE", "600000", "WRITE"]), "OK");
    scene.leader.wait_said("does not answer (within");
    scene.leader.wait_said(LOST);
    assert_eq!(stack.redis().cli(&["CLIENT", "UNPAUSE"]), "OK");
    scene.leader.wait_said(BACK);
    scene.assert_goes_well(&stack);
}

#[test]
fn a_frozen_redis_changes_nothing() {
    let stack = stack();
    let mut scene = Scene::start(&stack);
    stack.redis().freeze();
    scene.leader.wait_said(LOST);
    stack.redis().thaw();
    scene.leader.wait_said(BACK);
    scene.assert_goes_well(&stack);
}

#[test]
fn scripts_that_redis_has_forgotten_are_told_again_and_the_lease_is_kept() {
    let stack = stack();
    let scene = Scene::start(&stack);
    let mut monitor = stack.redis().monitor();
    assert_eq!(stack.redis().cli(&["SCRIPT", "FLUSH"]), "OK");
    let mut seen = Vec::new();
    wait_until("the script, and its digest", || {
        seen.extend(monitor.lines(stack.redis()));
        let told = seen.iter().position(|line| line.contains("\"EVAL\" \"-- Prolongs"));
        told.is_some_and(|told| seen[told..].iter().any(|line| line.contains("\"EVALSHA\"")))
    });
    assert!(!scene.leader.has_said(LOST));
    scene.assert_goes_well(&stack);
}

#[test]
fn a_lease_evicted_by_a_full_redis_stops_nobody() {
    let stack = stack();
    let mut scene = Scene::start(&stack);
    let set = |name: &str, value: &str| assert_eq!(stack.redis().cli(&["CONFIG", "SET", name, value]), "OK");
    set("maxmemory-policy", "allkeys-lru");
    // Less than an empty one needs, so whatever can be evicted is.
    set("maxmemory", "1");
    scene.leader.wait_said("has no memory left");
    assert!(stack.holder().is_none());
    scene.leader.wait_said(LOST);
    set("maxmemory", "0");
    wait_until("a holder", || stack.holder().is_some());
    scene.assert_goes_well(&stack);
}

#[test]
fn a_dead_leaders_lease_that_would_last_for_an_hour_keeps_nobody_waiting() {
    let stack = stack();
    let mut scene = Scene::start(&stack);
    // Redis's clock has been put back, or a copy of it took over whose clock is behind.
    scene.leader.kill_tree();
    assert_eq!(stack.redis().cli(&["PEXPIRE", &stack.lease_key(), "3600000"]), "1");
    stack.journal().wait("start", "migrate", 2);
    for step in ["migrate", "late"] {
        stack.open_gate(step);
    }
    for follower in &mut scene.followers {
        assert_eq!(follower.wait(), 0, "{}", follower.log());
    }
}

#[test]
fn a_full_redis_that_evicts_nothing_leaves_the_leader_its_lease() {
    let stack = stack();
    let scene = Scene::start(&stack);
    let set = |name: &str, value: &str| assert_eq!(stack.redis().cli(&["CONFIG", "SET", name, value]), "OK");
    set("maxmemory-policy", "noeviction");
    set("maxmemory", "1");
    assert!(stack.redis().cli(&["SET", "x", "y"]).starts_with("-OOM"));
    let left = || stack.redis().cli(&["PTTL", &stack.lease_key()]).parse::<i64>().unwrap();
    let mut before = left();
    for _ in 0..2 {
        wait_until("a renewal", || {
            let now = left();
            now > mem::replace(&mut before, now)
        });
    }
    stack.open_gate("migrate");
    assert_eq!(stack.journal().wait("start", "late", 1).epoch, 1);
    assert!(!scene.leader.has_said(LOST));
    scene.assert_goes_well(&stack);
}

#[test]
fn a_leader_frozen_past_its_leases_end_is_not_replaced_while_it_holds_the_guard() {
    for ends_in_the_freeze in [true, false] {
        let stack = stack();
        let mut scene = Scene::start(&stack);
        let leader = scene.leader.pid();
        scene.leader.signal(Signal::STOP);
        if ends_in_the_freeze {
            stack.open_gate("migrate");
            stack.journal().wait("end", "migrate", 1);
        }
        wait_until("another holder", || stack.holder().is_some_and(|holder| holder["pid"] != leader));
        wait_until("a long silence", || stack.now() > mtime(&stack.path(MARKER)).unwrap() + 3 * SECOND);
        assert!(scene.followers.iter().all(|follower| !follower.has_said("LEADER")));
        scene.leader.signal(Signal::CONT);
        scene.leader.wait_said(LOST);
        scene.assert_goes_well(&stack);
    }
}

#[test]
fn a_leader_can_be_stopped_without_redis_and_another_goes_on_when_it_is_back() {
    for is_killed in [true, false] {
        // Nobody could wait for its end: a Redis that was frozen has to hear that it is given back.
        let mut stack = stack().env("LOCK_RENEW_TTL_SECS", "600");
        let mut scene = Scene::start(&stack);
        if is_killed {
            stack.redis_mut().kill();
        } else {
            stack.redis().freeze();
        }
        scene.leader.signal(Signal::TERM);
        assert_eq!(scene.leader.wait(), 143, "{}", scene.leader.log());
        assert!(scene.leader.has_said("the lease is not given back"), "{}", scene.leader.log());
        assert!(!stack.has(MARKER) && stack.names(".bellwether/claims").is_empty());
        if is_killed {
            stack.redis_mut().restart();
        } else {
            stack.redis().thaw();
        }
        stack.journal().wait("start", "migrate", 2);
        for step in ["migrate", "late"] {
            stack.open_gate(step);
        }
        for replica in &mut scene.followers {
            assert_eq!(replica.wait(), 0, "{}", replica.log());
        }
        assert_eq!(stack.json(".migrate_done_v1")["attempt"], 1);
        assert_eq!((stack.told("stopped", "migrate"), stack.told("done", "migrate")), (1, 1));
    }
}
