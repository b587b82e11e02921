//! Two revisions on one volume.

use std::fs;

use rustix::process::Signal;

use crate::replica::{Launch, Replica};
use crate::stack::{Stack, Step};
use crate::wait::{SECOND, mtime, wait_until};

/// Writes into its data where it is, and shows what it has found there.
fn remembering() -> Step {
    let script = "begin\ncp \"$BELLWETHER_RECORD\" \"$E2E/found-$BELLWETHER_REV\"\n\
                  echo \"installing shop for $BELLWETHER_REV\" >\"$BELLWETHER_RECORD\"\njournal written\n\
                  gate; finish";
    Step::script("migrate", script)
}

#[test]
fn a_new_revision_knows_what_a_stopped_one_was_doing() {
    let stack = Stack::new().step(remembering());
    let mut old = stack.start_leader();
    stack.journal().wait("written", "migrate", 1);
    old.signal(Signal::TERM);
    assert_eq!(old.wait(), 143);
    assert_eq!(
        (stack.record("migrate")["rev"].clone(), stack.record("migrate")["last_end"].clone()),
        ("v1".into(), "stopped".into())
    );
    stack.open_gate("migrate");
    let mut new = stack.replica().rev("v2").env("STEP_STALE_SECS", "600").start();
    assert_eq!(new.wait(), 0, "{}", new.log());
    assert_eq!(fs::read_to_string(stack.scratch().join("found-v2")).unwrap(), "installing shop for v1\n");
    assert!(stack.has(".ready_v2") && !stack.has(".ready_v1"));
    assert!(!stack.has(".bellwether/steps/migrate.data"), "done clears it");
}

#[test]
fn a_new_revision_waits_until_a_killed_one_is_silent_and_then_clears_what_it_left() {
    let stack = Stack::new().step(remembering());
    let mut old = stack.start_leader();
    stack.journal().wait("written", "migrate", 1);
    old.kill_tree();
    let last_beat = mtime(&stack.path(".migrate_in_progress_v1")).unwrap();
    stack.open_gate("migrate");
    let mut new = stack.replica().rev("v2").start();
    assert_eq!(new.wait(), 0, "{}", new.log());
    assert!(stack.journal().of("start", "migrate")[1].at >= last_beat + 2 * SECOND);
    assert_eq!(fs::read_to_string(stack.scratch().join("found-v2")).unwrap(), "installing shop for v1\n");
    assert!(!stack.has(".migrate_in_progress_v1") && stack.names(".bellwether/claims").is_empty());
}

#[test]
fn a_new_revision_waits_while_an_older_one_works_and_leads_then() {
    let stack = Stack::new().step(Step::gated("migrate"));
    let journal = stack.journal();
    let mut old = [stack.start_leader(), stack.start_follower()];
    journal.wait("start", "migrate", 1);
    let mut new = stack.replica().rev("v2").start();
    new.wait_said("FOLLOWER");
    stack.open_gate("migrate");
    assert_eq!(old.each_mut().map(Replica::wait), [0, 0]);
    assert_eq!(new.wait(), 0);
    let order: Vec<(String, String)> = journal
        .of("start", "migrate")
        .into_iter()
        .chain(journal.of("end", "migrate"))
        .map(|entry| (entry.what, entry.rev))
        .collect();
    let expected = [("start", "v1"), ("start", "v2"), ("end", "v1"), ("end", "v2")];
    assert_eq!(order, expected.map(|(what, rev)| (what.to_owned(), rev.to_owned())));
    assert!(journal.of("end", "migrate")[0].at < journal.of("start", "migrate")[1].at);
    assert_eq!(stack.read(".bellwether/revisions"), "v1\nv2\n");
}

#[test]
fn a_late_replica_of_an_older_revision_only_follows_and_says_so() {
    let stack = Stack::new().step(Step::gated("migrate"));
    let mut old = stack.start_leader();
    old.signal(Signal::TERM);
    assert_eq!(old.wait(), 143);
    let mut new = stack.replica().rev("v2").start();
    new.wait_said("LEADER");
    let mut late = stack.start_replica();
    late.wait_said("a later revision has begun");
    stack.open_gate("migrate");
    assert_eq!(new.wait(), 0);
    wait_until("v2", || stack.has(".ready_v2"));
    // The guard is free now; whoever wanted it would have it within a poll.
    let mut newest = stack.replica().rev("v3").start();
    assert_eq!(newest.wait(), 0);
    assert!(late.is_running() && !late.has_said("LEADER"));
    assert_eq!(stack.read(".bellwether/revisions"), "v1\nv2\nv3\n");
    late.signal(Signal::TERM);
    assert_eq!(late.wait(), 143);
}

/// Both revisions have been ready, v2 last.
fn after_two_revisions() -> Stack {
    let stack = Stack::new().step(Step::quick("migrate"));
    assert_eq!(stack.start_replica().wait(), 0);
    assert_eq!(stack.replica().rev("v2").start().wait(), 0);
    stack
}

fn end(launch: Launch<'_>) -> (i32, String) {
    let mut replica = launch.start();
    (replica.wait(), replica.log())
}

#[test]
fn an_older_revision_that_is_ready_serves_with_a_warning_or_refuses() {
    let stack = after_two_revisions();
    let (exit, log) = end(stack.replica());
    assert!(exit == 0 && log.contains("v2 has begun since"), "{exit} {log}");
    assert_eq!(stack.journal().of("serve", "-").last().unwrap().rev, "v1");
    let (exit, log) = end(stack.replica().env("BELLWETHER_ON_DOWNGRADE", "refuse"));
    assert!(exit == 64 && log.contains("BELLWETHER_ALLOW_ROLLBACK=1"), "{exit} {log}");
    assert_eq!(stack.journal().count("serve", "-"), 3);
    assert_eq!(stack.read(".bellwether/revisions"), "v1\nv2\n");
}

#[test]
fn whoever_refuses_a_downgrade_does_not_serve_when_nobody_can_tell_which_revision_is_the_newest() {
    let stack = after_two_revisions();
    let revisions = stack.path(".bellwether/revisions");
    fs::remove_file(&revisions).unwrap();
    fs::create_dir(&revisions).unwrap();
    let (exit, log) = end(stack.replica().env("BELLWETHER_ON_DOWNGRADE", "refuse"));
    assert!(exit == 74 && log.contains(".bellwether/revisions"), "{exit} {log}");
    assert_eq!(stack.journal().count("serve", "-"), 2);
    let (exit, log) = end(stack.replica());
    assert_eq!(exit, 0, "a ready revision needs nothing else, if nobody asks for it: {log}");
}

#[test]
fn a_rollback_that_is_allowed_is_written_down() {
    let stack = after_two_revisions();
    let (exit, log) = end(stack.replica().env("BELLWETHER_ALLOW_ROLLBACK", "1"));
    assert_eq!(exit, 0, "{log}");
    assert_eq!(stack.read(".bellwether/revisions"), "v1\nv2\nv1\n");
    assert_eq!(stack.journal().count("start", "migrate"), 2, "nothing is done again");
    let (exit, log) = end(stack.replica().env("BELLWETHER_ON_DOWNGRADE", "refuse"));
    assert_eq!(exit, 0, "{log}");
    let (exit, log) = end(stack.replica().rev("v2").env("BELLWETHER_ON_DOWNGRADE", "refuse"));
    assert_eq!(exit, 64, "{log}");
}
