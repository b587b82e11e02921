//! What people and crashes do to the volume under a leadership.

use std::fs;

use serde_json::json;

use crate::stack::{Stack, Step};

#[test]
fn revisions_that_take_turns_and_are_killed_each_time_reach_their_limit() {
    let stack = Stack::new()
        .without("LOCK_RENEW_TTL_SECS")
        .step(Step::script("migrate", "begin; gate; finish").with("max_attempts", json!(2)));
    let turn = |rev: &str| stack.replica().rev(rev).env("BELLWETHER_ALLOW_ROLLBACK", "1").start();
    for (nth, rev) in ["v1", "v2", "v1", "v2"].into_iter().enumerate() {
        let mut leader = turn(rev);
        stack.journal().wait("start", "migrate", nth + 1);
        assert_eq!(stack.record("migrate")["attempts"], nth / 2 + 1, "{rev}");
        leader.kill_tree();
    }
    for rev in ["v1", "v2"] {
        let mut last = turn(rev);
        assert_eq!(last.wait(), 78, "{}", last.log());
    }
    assert_eq!(stack.journal().count("start", "migrate"), 4);
    assert!(stack.has(".failed_v1") && stack.has(".failed_v2"));
}

#[test]
fn a_ready_revision_keeps_the_numbers_growing_without_our_directory() {
    let stack = Stack::new().step(Step::quick("migrate"));
    assert_eq!(stack.start_replica().wait(), 0);
    let before = stack.json(".ready_v1")["epoch"].as_u64().unwrap();
    fs::remove_dir_all(stack.path(".bellwether")).unwrap();
    let mut next = stack.replica().rev("v2").start();
    assert_eq!(next.wait(), 0, "{}", next.log());
    assert!(stack.json(".ready_v2")["epoch"].as_u64().unwrap() > before);
}

#[test]
fn a_done_marker_that_was_removed_is_named() {
    let stack = Stack::new().step(Step::quick("migrate")).step(Step::gated("assets").after(&["migrate"]));
    let mut leader = stack.start_replica();
    stack.journal().wait("start", "assets", 1);
    fs::remove_file(stack.path(".migrate_done_v1")).unwrap();
    stack.open_gate("assets");
    let exit = leader.wait();
    assert!(leader.log().contains(".migrate_done_v1 has been removed"), "{exit} {}", leader.log());
    assert!(!stack.has(".ready_v1"));
}
