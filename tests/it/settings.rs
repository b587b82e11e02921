//! What a replica is told, what it says, and what it keeps to itself.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stack::{Stack, Step};

#[test]
fn every_mistake_is_reported_at_once_and_nothing_is_touched() {
    let stack = Stack::new()
        .step(Step::quick("site").after(&["apps"]))
        .step(Step::quick("apps").after(&["site"]).with("timeuot_secs", json!(1)))
        .env("STEP_STALE_SECS", "abc");
    let mut replica = stack.replica().rev("../x").flag("--redis-pass=correct-horse").start();
    assert_eq!(replica.wait(), 64);
    for text in ["IMAGE_REV", "wait for each other", "timeuot_secs", "STEP_STALE_SECS", "--redis-pass", "5 problems"] {
        assert!(replica.has_said(text), "{text} is missing:\n{}", replica.log());
    }
    assert!(!replica.has_said("correct-horse"));
    assert!(stack.names(".").is_empty());
    assert_eq!(stack.journal().entries(), []);
}

#[test]
fn a_limit_that_leaves_nothing_to_begin_with_is_no_bug() {
    let stack = Stack::new().step(Step::quick("migrate"));
    let mut replica = stack.replica().under(&["prlimit", "--nofile=5"]).start();
    assert_eq!(replica.wait(), 75);
    assert!(replica.has_said("cannot begin: Too many open files"), "{}", replica.log());
    assert!(replica.has_said("limits of processes, open files and memory"), "{}", replica.log());
    assert!(stack.names(".").is_empty());
}

#[test]
fn the_json_log_is_one_object_a_line() {
    let script = "begin; printf 'a \"quoted\"\\tline\\nand \\033[1mmore'; exit 1";
    let stack = Stack::new()
        .env("BELLWETHER_LOG_FORMAT", "json")
        .step(Step::script("migrate", script).with("max_attempts", json!(1)));
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 78);
    let log = replica.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(lines.iter().all(|line| line.is_object() && line["level"].is_string() && line["message"].is_string()));
    let said = |text: &str| lines.iter().any(|line| line["message"].as_str().unwrap().contains(text));
    assert!(said("LEADER") && said("FOLLOWER") && said("a \"quoted\"\tline") && said("has failed for good"), "{log}");
}

#[test]
fn no_secret_stands_in_the_arguments_of_any_process() {
    let step = Step::gated("migrate").with("env", json!({"SHOP_TOKEN": "tok-from-the-plan"}));
    let stack = Stack::new().env("DB_PASSWORD", "correct-horse").step(step);
    let mut leader = stack.start_leader();
    stack.journal().wait("start", "migrate", 1);
    let tree = leader.tree();
    assert!(tree.len() >= 3, "leader, shim and step: {tree:?}");
    for pid in tree {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        assert!(!arguments.contains("correct-horse") && !arguments.contains("tok-from"), "{arguments}");
    }
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0);
}

#[test]
fn names_of_older_entrypoints_are_accepted_and_noticed() {
    let stack = Stack::new().step(Step::quick("migrate")).env("MIGRATION_LOCK_TIMEOUT", "300");
    let mut replica = stack.start_replica();
    assert_eq!(replica.wait(), 0);
    assert!(replica.has_said("MIGRATION_LOCK_TIMEOUT"), "{}", replica.log());
}

#[test]
fn two_requests_to_stop_need_no_grace() {
    // So long that waiting for it would break the test's deadline.
    let stack = Stack::new().env("BELLWETHER_STOP_GRACE_SECS", "600").step(Step::stubborn("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    journal.wait("member", "migrate", 2);
    leader.signal(Signal::TERM);
    leader.wait_said("asked to stop");
    leader.signal(Signal::INT);
    assert_eq!(leader.wait(), 143, "the first signal counts");
    assert!(!stack.has(".migrate_in_progress_v1"));
}
