//! Leaders that die, freeze or are stopped, and what their successors do.

use serde_json::json;

use rustix::process::Signal;

use crate::journal::Journal;
use crate::stack::{Stack, Step};
use crate::wait::{SECOND, is_alive, mtime, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";

/// Waits until the step and its daemon are there, deaf to TERM: their pids.
fn wait_members(journal: &Journal) -> [i32; 2] {
    [1, 2].map(|nth| journal.wait("member", "migrate", nth).pid)
}

#[test]
fn the_tree_of_a_killed_leader_is_gone_before_its_step_is_taken_over_in_time() {
    // A lease that is not told how long it lasts does not delay this.
    let stack = Stack::new().without("LOCK_RENEW_TTL_SECS").step(Step::stubborn("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    let members = wait_members(&journal);
    let mut follower = stack.start_follower();
    leader.kill();
    let last_beat = mtime(&stack.path(MARKER)).unwrap();
    let taken_over = journal.wait("start", "migrate", 2).at;
    assert!(members.iter().all(|&pid| !is_alive(pid)));
    assert!(taken_over >= last_beat + 2 * SECOND, "{} ns too early", last_beat + 2 * SECOND - taken_over);
    let limit = last_beat + 3 * SECOND + SECOND / 2;
    assert!(taken_over <= limit, "{} ns too late", taken_over - limit);
    assert_eq!(follower.wait(), 0);
    assert!(follower.has_said("taking over"));
    assert_eq!(stack.json(".migrate_done_v1")["attempt"], 2);
}

#[test]
fn while_the_shim_of_a_killed_leader_still_gives_grace_nobody_leads() {
    let stack = Stack::new().env("STEP_STALE_SECS", "1").env("BELLWETHER_STOP_GRACE_SECS", "4");
    let stack = stack.step(Step::stubborn("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    let members = wait_members(&journal);
    let mut follower = stack.start_follower();
    leader.kill();
    follower.wait_said("LEADER");
    assert!(members.iter().all(|&pid| !is_alive(pid)), "the shim holds the guard until its whole tree is gone");
    assert_eq!(follower.wait(), 0);
}

#[test]
fn a_step_that_takes_ten_times_as_long_as_silence_may_last_is_left_alone() {
    let stack = Stack::new().env("STEP_STALE_SECS", "1").step(Step::gated("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    let begun = journal.wait("start", "migrate", 1).at;
    let mut follower = stack.start_follower();
    wait_until("ten seconds of beats", || mtime(&stack.path(MARKER)).unwrap() >= begun + 10 * SECOND);
    stack.open_gate("migrate");
    assert_eq!((leader.wait(), follower.wait()), (0, 0));
    assert_eq!(journal.count("start", "migrate"), 1);
    assert!(!follower.has_said("LEADER"));
}

#[test]
fn a_frozen_leaders_step_is_neither_disturbed_nor_repeated() {
    for ends_in_the_freeze in [true, false] {
        let stack = Stack::new().env("STEP_STALE_SECS", "1").step(Step::gated("migrate"));
        let journal = stack.journal();
        let mut leader = stack.start_leader();
        journal.wait("start", "migrate", 1);
        let mut follower = stack.start_follower();
        leader.signal(Signal::STOP);
        if ends_in_the_freeze {
            stack.open_gate("migrate");
            journal.wait("end", "migrate", 1);
        }
        wait_until("a long silence", || stack.now() > mtime(&stack.path(MARKER)).unwrap() + 3 * SECOND);
        assert!(!follower.has_said("LEADER"));
        leader.signal(Signal::CONT);
        stack.open_gate("migrate");
        assert_eq!((leader.wait(), follower.wait()), (0, 0));
        assert_eq!((journal.count("start", "migrate"), journal.count("end", "migrate")), (1, 1));
    }
}

#[test]
fn a_stopped_leader_leaves_a_record_and_nothing_in_the_way() {
    let stack = Stack::new().step(Step::stubborn("migrate"));
    let mut leader = stack.start_leader();
    let members = wait_members(&stack.journal());
    leader.signal(Signal::TERM);
    assert_eq!(leader.wait(), 143);
    assert!(members.iter().all(|&pid| !is_alive(pid)));
    assert!(!stack.has(MARKER));
    assert!(stack.names(".bellwether/claims").is_empty());
    let record = stack.record("migrate");
    assert_eq!((&record["last_end"], &record["attempts"]), (&json!("stopped"), &json!(0)));
}

#[test]
fn the_next_leader_starts_at_once_when_the_step_of_a_stopped_one_is_gone() {
    // So long that waiting for silence would break the test's deadline.
    let stack = Stack::new().env("STEP_STALE_SECS", "600").step(Step::stubborn("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    wait_members(&journal);
    let mut follower = stack.start_follower();
    leader.signal(Signal::TERM);
    journal.wait("start", "migrate", 2);
    assert_eq!((leader.wait(), follower.wait()), (143, 0));
    assert_eq!(stack.json(".migrate_done_v1")["attempt"], 1);
}

#[test]
fn a_marker_removed_under_a_living_leader_is_written_again() {
    let stack = Stack::new().step(Step::gated("migrate"));
    let mut leader = stack.start_leader();
    stack.journal().wait("start", "migrate", 1);
    let before = stack.json(MARKER);
    std::fs::remove_file(stack.path(MARKER)).unwrap();
    wait_until("the marker", || stack.has(MARKER));
    assert_eq!(stack.json(MARKER), before);
    leader.wait_said("somebody removed the in-progress marker");
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0);
    assert!(!stack.has(MARKER));
}

/// What an older entrypoint, or a crash at the wrong moment, leaves in a marker.
const ODD_CONTENTS: [&str; 3] = ["2024-05-01 10:00:00", "", "{\"schema\":1,\"step\":\"mig"];

#[test]
fn a_fresh_marker_that_cannot_be_read_delays_the_start_until_it_is_stale() {
    for content in ODD_CONTENTS {
        let stack = Stack::new().env("STEP_STALE_SECS", "1").step(Step::quick("migrate"));
        std::fs::write(stack.path(MARKER), content).unwrap();
        let written = mtime(&stack.path(MARKER)).unwrap();
        let mut leader = stack.start_replica();
        assert_eq!(leader.wait(), 0, "{}", leader.log());
        let begun = stack.journal().of("start", "migrate")[0].at;
        assert!(begun >= written + SECOND, "{content:?}: {} ns too early", written + SECOND - begun);
        assert!(leader.has_said(MARKER) && leader.has_said("it counts by its existence and age"), "{}", leader.log());
        assert!(!stack.has(MARKER));
    }
}

#[test]
fn an_old_marker_that_cannot_be_read_delays_nothing() {
    for content in ODD_CONTENTS {
        // So long that waiting for silence would break the test's deadline.
        let stack = Stack::new().env("STEP_STALE_SECS", "600").step(Step::quick("migrate"));
        std::fs::write(stack.path(MARKER), content).unwrap();
        let file = std::fs::File::options().write(true).open(stack.path(MARKER)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).unwrap();
        let mut leader = stack.start_replica();
        assert_eq!(leader.wait(), 0, "{}", leader.log());
        assert_eq!(stack.journal().count("start", "migrate"), 1);
    }
}
