//! Steps that cannot succeed: how often they are tried, what is said about it, and how it goes on.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::replica::Replica;
use crate::stack::{Stack, Step};
use crate::wait::wait_until;

/// Says much, and fails until somebody has repaired it.
fn failing() -> Step {
    let script = "begin\n[ -e \"$E2E/repaired\" ] && { finish; exit; }\n\
                  i=0; while [ $i -lt 60 ]; do i=$((i + 1)); echo \"line $i\"; done\necho 'the cause' >&2\nexit 3";
    Step::script("migrate", script)
}

fn repair(stack: &Stack) {
    fs::write(stack.scratch().join("repaired"), "").unwrap();
}

/// What the failed marker tells a person to do.
fn clear_failure(stack: &Stack) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bellwether")).arg("retry").env_clear().envs(stack.environment()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!stack.has(".failed_v1"));
}

fn assert_is_explained(stack: &Stack, replica: &Replica) {
    let log = stack.path(".bellwether/log/migrate.log").display().to_string();
    for text in ["step migrate of revision v1 has failed for good", "exit 3", "the cause", "bellwether retry", &log] {
        assert!(replica.has_said(text), "{text:?} is missing:\n{}", replica.log());
    }
}

#[test]
fn a_step_that_always_fails_is_tried_as_often_as_allowed_however_many_replicas_restart_for_ever() {
    let stack = Stack::new().step(failing());
    let journal = stack.journal();
    let mut replicas = [stack.start_replica(), stack.start_replica(), stack.start_replica()];
    for _ in 0..3 {
        for replica in &mut replicas {
            assert_eq!(replica.wait(), 78, "{}", replica.log());
            assert_is_explained(&stack, replica);
            *replica = stack.start_replica();
        }
    }
    for replica in &mut replicas {
        assert_eq!(replica.wait(), 78);
    }
    assert_eq!((journal.count("start", "migrate"), journal.count("serve", "-")), (3, 0));
    let failed = stack.json(".failed_v1");
    assert_eq!((&failed["step"], &failed["attempts"], &failed["rev"]), (&json!("migrate"), &json!(3), &json!("v1")));
    assert!(failed["end"].as_str().unwrap().starts_with("exit 3"), "{failed}");
    let lines = failed["lines"].as_array().unwrap();
    assert_eq!((lines.len(), lines.first(), lines.last()), (40, Some(&json!("line 22")), Some(&json!("the cause"))));
    assert!(fs::read_to_string(failed["log"].as_str().unwrap()).unwrap().contains("line 1\n"));
    assert!(failed["commands"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains("retry")));

    repair(&stack);
    clear_failure(&stack);
    assert_eq!(stack.start_replica().wait(), 0);
    assert_eq!(journal.count("start", "migrate"), 4);
    assert!(stack.has(".ready_v1"));
}

#[test]
fn a_step_that_dies_with_its_leader_each_time_is_given_up_too() {
    let script = "begin; echo 'last words'; gate; finish";
    let stack =
        Stack::new().without("LOCK_RENEW_TTL_SECS").env("STEP_STALE_SECS", "1").step(Step::script("migrate", script));
    let journal = stack.journal();
    for attempt in 1..=3 {
        let mut leader = stack.start_replica();
        journal.wait("start", "migrate", attempt);
        let log = stack.path(".bellwether/log/migrate.log");
        wait_until("the last words", || fs::read_to_string(&log).is_ok_and(|text| text.contains("last words")));
        assert_eq!(stack.record("migrate")["attempts"], json!(attempt));
        leader.kill_tree();
    }
    let mut heir = stack.start_replica();
    assert_eq!(heir.wait(), 78, "{}", heir.log());
    assert_eq!(journal.count("start", "migrate"), 3);
    let failed = stack.json(".failed_v1");
    assert_eq!((&failed["attempts"], &failed["lines"]), (&json!(3), &json!(["last words"])));
    assert!(failed["end"].as_str().unwrap().contains("vanished"), "{failed}");
    assert!(heir.has_said("last words") && !stack.has(".migrate_in_progress_v1"));
}

#[test]
fn siblings_of_a_failed_step_may_finish_and_nothing_else_is_started() {
    let failing = Step::script("assets", "begin; gate; exit 4").with("max_attempts", json!(1));
    let stack = Stack::new().step(failing).step(Step::gated("site")).step(Step::quick("apps").after(&["site"]));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    journal.wait("start", "site", 1);
    stack.open_gate("assets");
    leader.wait_said("step has failed for good");
    assert!(leader.is_running() && !stack.has(".failed_v1"));
    stack.open_gate("site");
    assert_eq!(leader.wait(), 78);
    assert_eq!((journal.count("end", "site"), journal.count("start", "apps")), (1, 0));
    assert!(stack.has(".site_done_v1") && stack.has(".failed_v1"));
}

#[test]
fn a_replica_told_to_hold_stays_alive_and_goes_on_when_the_failure_is_cleared() {
    let stack = Stack::new().env("BELLWETHER_ON_FAILURE", "hold").step(failing());
    let mut replicas = [stack.start_replica(), stack.start_replica()];
    for replica in &mut replicas {
        replica.wait_said("not ready, until");
        assert_is_explained(&stack, replica);
    }
    assert!(replicas.iter_mut().all(Replica::is_running));
    assert_eq!(stack.journal().count("serve", "-"), 0);
    repair(&stack);
    clear_failure(&stack);
    assert_eq!(replicas.each_mut().map(Replica::wait), [0, 0]);
    assert_eq!(stack.journal().count("start", "migrate"), 4);
}

#[test]
fn a_replica_that_holds_can_be_stopped() {
    let stack = Stack::new().env("BELLWETHER_ON_FAILURE", "hold").step(failing());
    let mut replica = stack.start_replica();
    wait_until("the failed marker", || stack.has(".failed_v1"));
    replica.signal(rustix::process::Signal::INT);
    assert_eq!(replica.wait(), 130);
}

#[test]
fn exit_75_is_tried_again_and_not_counted() {
    let script = "begin; [ \"$(grep -c '^start' \"$E2E/journal\")\" -ge 5 ] || exit 75; finish";
    let stack = Stack::new().step(Step::script("migrate", script).with("max_attempts", json!(1)));
    let mut leader = stack.start_leader();
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    assert_eq!(stack.journal().count("start", "migrate"), 5);
    assert_eq!(stack.json(".migrate_done_v1")["attempt"], 1);
}

#[test]
fn exit_78_fails_for_good_at_once_and_stays_so_until_a_retry() {
    let script = "begin; [ -e \"$E2E/repaired\" ] && { finish; exit; }; echo 'of no use'; exit 78";
    let stack = Stack::new().step(Step::script("migrate", script)).step(Step::quick("apps").after(&["migrate"]));
    let journal = stack.journal();
    let mut replicas = [stack.start_replica(), stack.start_replica()];
    for replica in &mut replicas {
        assert_eq!(replica.wait(), 78, "{}", replica.log());
        assert!(replica.has_said("has failed for good: exit 78: for good, after") && replica.has_said("of no use"));
    }
    // Its leader might have died before it said so.
    fs::remove_file(stack.path(".failed_v1")).unwrap();
    assert_eq!(stack.record("migrate")["for_good"], json!(true));
    let mut heir = stack.start_replica();
    assert_eq!(heir.wait(), 78, "{}", heir.log());
    assert!(heir.has_said("has failed for good: exit 78: for good, attempt 1"), "{}", heir.log());
    assert_eq!((journal.count("start", "migrate"), journal.count("start", "apps")), (1, 0));
    assert_eq!(stack.json(".failed_v1")["attempts"], json!(1));

    repair(&stack);
    clear_failure(&stack);
    assert_eq!(stack.record("migrate").get("for_good"), None);
    assert_eq!(stack.start_replica().wait(), 0);
    assert_eq!(journal.count("start", "migrate"), 2);
}

#[test]
fn exit_78_of_a_step_that_was_stopped_does_not_count() {
    let script = "begin\n[ -e \"$E2E/repaired\" ] && { finish; exit; }\ntrap 'exit 78' TERM\n\
                  journal ready; while :; do sleep 0.05; done";
    let stack = Stack::new().step(Step::script("migrate", script));
    let mut leader = stack.start_leader();
    stack.journal().wait("ready", "migrate", 1);
    leader.signal(rustix::process::Signal::TERM);
    assert_eq!(leader.wait(), 143);
    assert_eq!(stack.record("migrate")["last_end"], json!("stopped"));
    repair(&stack);
    assert_eq!(stack.start_replica().wait(), 0);
}

#[test]
fn a_step_that_takes_longer_than_its_timeout_is_stopped_and_counted() {
    let step = Step::gated("migrate").with("timeout_secs", json!(0.3)).with("max_attempts", json!(2));
    let stack = Stack::new().step(step);
    let mut leader = stack.start_leader();
    assert_eq!(leader.wait(), 78, "{}", leader.log());
    assert_eq!((stack.journal().count("start", "migrate"), stack.journal().count("end", "migrate")), (2, 0));
    assert_eq!(stack.record("migrate")["last_end"], json!("timed_out"));
    let failed: Value = stack.json(".failed_v1");
    assert!(failed["end"].as_str().unwrap().contains("timeout"), "{failed}");
}
