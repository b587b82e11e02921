//! What a step tells of its parts and of how to undo it, wherever that is shown.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stack::{Stack, Step};

/// What the step writes first: two of three parts, and a line of undo that holds a secret.
const TOLD: &str = r#"{"parts": [{"name": "alpha", "state": "done", "note": "3 tables"},
    {"name": "beta", "state": "running"}, {"name": "gamma", "state": "waiting"}, {"name": "delta"}],
    "undo": ["restore REV.sql as root:correct-horse"], "next": "beta"}"#;

/// Tells, waits at its gate, and then ends like this.
fn telling(end: &str) -> Step {
    let told = "sed \"s/REV/$BELLWETHER_REV/\" \"$E2E/told\" >\"$BELLWETHER_RECORD\"";
    Step::script("migrate", &format!("begin\n{told}\njournal told\ngate\n{end}"))
}

fn stack(end: &str) -> Stack {
    let stack = Stack::new().env("DB_PASSWORD", "correct-horse").step(telling(end).with("max_attempts", json!(1)));
    std::fs::write(stack.scratch().join("told"), TOLD).unwrap();
    stack
}

fn say(stack: &Stack, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    let output = command.args(arguments).env_clear().envs(stack.environment()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn step(stack: &Stack) -> Value {
    let status: Value = serde_json::from_str(&say(stack, &["status", "--json"])).unwrap();
    status["steps"][0].clone()
}

fn told_parts() -> Value {
    json!([{"name": "alpha", "state": "done", "note": "3 tables"}, {"name": "beta", "state": "running"},
           {"name": "gamma", "state": "waiting"}])
}

const PARTS: &str = "    alpha  done     3 tables\n    beta   running\n    gamma  waiting\n";

#[test]
fn the_parts_are_shown_while_the_step_runs_and_from_its_marker_when_it_is_done() {
    let stack = stack("finish");
    let mut leader = stack.start_leader();
    stack.journal().wait("told", "migrate", 1);
    let status = say(&stack, &["status"]);
    assert!(status.contains(&format!("{PARTS}    undo: restore v1.sql as root:***\n")), "{status}");
    assert!(status.contains("steps/migrate.data: 1 of its parts cannot be understood"), "{status}");
    assert_eq!(
        (&step(&stack)["parts"], &step(&stack)["undo"]),
        (&told_parts(), &json!(["restore v1.sql as root:***"]))
    );
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    assert!(!stack.has(".bellwether/steps/migrate.data"));
    let marker = stack.json(".migrate_done_v1");
    assert_eq!((&marker["parts"], &marker["undo"]), (&told_parts(), &json!(["restore v1.sql as root:***"])));
    assert_eq!((&step(&stack)["state"], &step(&stack)["parts"]), (&json!("done"), &told_parts()));
    assert!(say(&stack, &["status"]).contains(PARTS));
    let history = say(&stack, &["status", "--history"]);
    assert!(history.contains("\n    undo: restore v1.sql as root:***\n"), "{history}");
    assert!(!stack.read(".bellwether/history.jsonl").contains("correct-horse"));
}

#[test]
fn a_failure_says_what_was_done_and_what_brings_back_what_was_before() {
    let stack = stack("exit 78");
    let mut leader = stack.start_leader();
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 78);
    let failed = stack.json(".failed_v1");
    assert_eq!((&failed["parts"], &failed["undo"]), (&told_parts(), &json!(["restore v1.sql as root:***"])));
    let words = "\nparts:\n    alpha: done, 3 tables\n    beta: running\n    gamma: waiting\n\
                 to bring back what was before:\n    restore v1.sql as root:***\nto go on:\n";
    assert!(leader.has_said(words), "{}", leader.log());
    let status = say(&stack, &["status"]);
    assert!(status.contains(words) && !status.contains(PARTS), "told once: {status}");
    assert_eq!(step(&stack)["parts"], told_parts());
    let history: Value = serde_json::from_str(&say(&stack, &["status", "--history", "--json"])).unwrap();
    let told = history.as_array().unwrap().iter().find(|event| event["event"] == "failed").unwrap();
    assert_eq!((&told["parts"], &told["undo"]), (&told_parts(), &json!(["restore v1.sql as root:***"])));
}

#[test]
fn a_record_that_is_none_of_our_business_changes_nothing() {
    let script = "begin\n{ printf '{\"undo\": [\"x\"]'; head -c 70000 /dev/zero | tr '\\0' ' '; printf '}'; } \
                  >\"$BELLWETHER_RECORD\"\nfinish";
    let stack = Stack::new().step(Step::script("migrate", script)).step(Step::script(
        "apps",
        "begin; mkfifo x.$$; \
                rm \"$BELLWETHER_RECORD\"; mv x.$$ \"$BELLWETHER_RECORD\"; finish",
    ));
    let mut leader = stack.start_leader();
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    for step in ["migrate", "apps"] {
        let marker = stack.json(&format!(".{step}_done_v1"));
        assert_eq!((&marker["how"], marker.get("undo"), marker.get("parts")), (&json!("ran"), None, None));
    }
}

/// v1 has been ready, then v2.
fn after_two_revisions() -> Stack {
    let stack = stack("finish");
    stack.open_gate("migrate");
    assert_eq!(stack.start_replica().wait(), 0);
    assert_eq!(stack.replica().rev("v2").start().wait(), 0);
    stack
}

const UNDO: &str = "\nto bring back what was before v2:\n    restore v2.sql as root:***\n";

#[test]
fn a_warm_start_of_an_older_revision_tells_how_to_undo_the_newer_one() {
    let stack = after_two_revisions();
    for (on_downgrade, exit) in [("warn", 0), ("refuse", 64)] {
        let mut old = stack.replica().env("BELLWETHER_ON_DOWNGRADE", on_downgrade).start();
        assert_eq!(old.wait(), exit);
        assert!(old.has_said(UNDO) && !old.log().contains("v1.sql"), "{}", old.log());
    }
    let mut newest = stack.replica().rev("v2").start();
    assert_eq!(newest.wait(), 0);
    assert_eq!(newest.log(), "", "nobody asks");
}

/// Where the log says so, all of it and once.
fn going_back(log: &str) -> usize {
    let words = "going back to v1 from v2 (BELLWETHER_ALLOW_ROLLBACK=1); this code may meet a newer schema";
    let said: Vec<usize> = log.match_indices(&format!("{words}{UNDO}")).map(|(at, _)| at).collect();
    assert!(said.len() == 1 && log.matches("v2.sql").count() == 1 && !log.contains("v1.sql"), "{log}");
    said[0]
}

#[test]
fn a_ready_revision_that_goes_back_on_purpose_tells_once_how_to_undo_the_newer_one() {
    let stack = after_two_revisions().env("BELLWETHER_ALLOW_ROLLBACK", "1");
    let mut worker = stack.replica().env("IS_LEADER", "0").start();
    assert_eq!(worker.wait(), 0);
    going_back(&worker.log());
    assert_eq!(stack.read(".bellwether/revisions"), "v1\nv2\n");
    let mut old = stack.start_replica();
    assert_eq!(old.wait(), 0);
    going_back(&old.log());
    assert_eq!(stack.read(".bellwether/revisions"), "v1\nv2\nv1\n");
    let mut again = stack.start_replica();
    assert_eq!(again.wait(), 0);
    assert_eq!(again.log(), "", "it is the newest now");
}

#[test]
fn a_revision_that_goes_back_before_it_is_ready_tells_that_before_it_begins() {
    let stack = after_two_revisions();
    for name in [".ready_v1", ".migrate_done_v1"] {
        std::fs::remove_file(stack.path(name)).unwrap();
    }
    let mut old = stack.replica().env("BELLWETHER_ALLOW_ROLLBACK", "1").start();
    assert_eq!(old.wait(), 0);
    let log = old.log();
    assert!(going_back(&log) < log.find("LEADER").unwrap(), "{log}");
    assert_eq!(stack.journal().count("start", "migrate"), 3);
}

#[test]
fn a_newer_revision_that_is_half_way_is_told_of_too_and_an_odd_volume_is_no_obstacle() {
    let script = "begin\nsed \"s/REV/$BELLWETHER_REV/\" \"$E2E/told\" >\"$BELLWETHER_RECORD\"\n\
                  [ $BELLWETHER_REV = v1 ] || { journal told; gate; }\nfinish";
    let stack = Stack::new().env("DB_PASSWORD", "correct-horse").step(Step::script("migrate", script));
    std::fs::write(stack.scratch().join("told"), TOLD).unwrap();
    assert_eq!(stack.start_replica().wait(), 0);
    let mut new = stack.replica().rev("v2").start();
    stack.journal().wait("told", "migrate", 1);
    let mut old = stack.start_replica();
    assert_eq!(old.wait(), 0);
    assert!(old.has_said(UNDO), "{}", old.log());
    new.signal(Signal::TERM);
    assert_eq!(new.wait(), 143);
    std::fs::write(stack.path(".bellwether/steps/migrate.json"), "torn {").unwrap();
    std::fs::create_dir(stack.path(".other_done_v2")).unwrap();
    let mut old = stack.start_replica();
    assert_eq!(old.wait(), 0);
    assert!(old.has_said("v2 has begun since") && !old.has_said("to bring back"), "{}", old.log());
}

#[test]
fn a_follower_that_finds_itself_ready_and_superseded_says_the_same() {
    for (on_downgrade, exit) in [("warn", 0), ("refuse", 64)] {
        let stack = after_two_revisions();
        std::fs::rename(stack.path(".ready_v1"), stack.path("kept")).unwrap();
        let mut old = stack.replica().env("BELLWETHER_ON_DOWNGRADE", on_downgrade).start();
        old.wait_said("a later revision has begun");
        std::fs::rename(stack.path("kept"), stack.path(".ready_v1")).unwrap();
        assert_eq!(old.wait(), exit);
        assert!(old.has_said(UNDO), "{}", old.log());
    }
}
