//! Against the odds: killed shims, full disks, broken logs, crowds, and kills at any moment.

use std::fs::{self, File};
use std::io::Write;

use rustix::process::Signal;
use serde_json::json;

use crate::isolate::{is_in_own_mounts, is_in_own_pids, mount};
use crate::replica::Replica;
use crate::stack::{Stack, Step};
use crate::wait::{SECOND, is_alive, mtime, parent, signal, wait_until};

const MARKER: &str = ".migrate_in_progress_v1";

#[test]
fn what_a_killed_shim_leaves_is_gone_before_the_next_attempt() {
    kill_the_shim_of_a_stubborn_step();
}

#[test]
fn what_a_killed_shim_leaves_is_gone_even_if_our_session_lies_outside_of_the_pid_namespace() {
    let name = "odds::what_a_killed_shim_leaves_is_gone_even_if_our_session_lies_outside_of_the_pid_namespace";
    if is_in_own_pids(name) {
        kill_the_shim_of_a_stubborn_step();
    }
}

fn kill_the_shim_of_a_stubborn_step() {
    let stack = Stack::new().step(Step::stubborn("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    let members = [1, 2].map(|nth| journal.wait("member", "migrate", nth).pid);
    let main = journal.wait("start", "migrate", 1).pid;
    let shim = parent(main).unwrap();
    assert_eq!(parent(shim), Some(leader.pid()));
    signal(shim, Signal::KILL);
    journal.wait("start", "migrate", 2);
    assert!(members.iter().all(|&pid| !is_alive(pid)));
    assert_eq!(leader.wait(), 0, "{}", leader.log());
    assert_eq!(stack.json(".migrate_done_v1")["attempt"], 2);
}

#[test]
fn a_process_without_any_mark_of_ours_does_not_outlive_its_killed_shim() {
    let script = "begin; if [ $BELLWETHER_ATTEMPT = 1 ]; then \
                  env -i setsid sleep 100000 </dev/null >/dev/null 2>&1 & journal member $!; wait; fi; finish";
    let stack = Stack::new().step(Step::script("migrate", script));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    let stray = journal.wait("member", "migrate", 1).pid;
    let is_bare = || fs::read(format!("/proc/{stray}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"));
    wait_until("a session of its own", is_bare);
    let shim = parent(journal.wait("start", "migrate", 1).pid).unwrap();
    signal(shim, Signal::KILL);
    journal.wait("start", "migrate", 2);
    assert!(!is_alive(stray), "orphans come to the leader, which ends them");
    assert_eq!(leader.wait(), 0, "{}", leader.log());
}

#[test]
fn a_leader_that_finds_its_guard_lost_kills_its_steps_and_ends() {
    if !is_in_own_mounts("odds::a_leader_that_finds_its_guard_lost_kills_its_steps_and_ends") {
        return;
    }
    // Not known to have working locks; trusted by the setting alone, so the guard is proved with each beat.
    let stack = Stack::new().env("BELLWETHER_VOLUME_LOCKS", "trusted").step(Step::stubborn("migrate"));
    mount(&["-t", "ramfs", "-o", "mode=755", "ramfs", stack.volume().to_str().unwrap()]);
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    let members = [1, 2].map(|nth| journal.wait("member", "migrate", nth).pid);
    fs::remove_file(stack.path(".bellwether/guard.lock")).unwrap();
    assert_eq!(leader.wait(), 74, "{}", leader.log());
    assert!(members.iter().all(|&pid| !is_alive(pid)));
    assert!(leader.has_said("the guard on the volume was lost"), "{}", leader.log());
}

#[test]
fn a_leader_stopped_on_a_full_disk_leaves_nothing_in_the_way() {
    if !is_in_own_mounts("odds::a_leader_stopped_on_a_full_disk_leaves_nothing_in_the_way") {
        return;
    }
    let stack = Stack::new().env("STEP_STALE_SECS", "600").step(Step::gated("migrate"));
    mount(&["-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", stack.volume().to_str().unwrap()]);
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    journal.wait("start", "migrate", 1);
    let mut ballast = File::create(stack.path("ballast")).unwrap();
    while ballast.write_all(&[b'x'; 4096]).is_ok() {}
    leader.signal(Signal::TERM);
    assert_eq!(leader.wait(), 143, "{}", leader.log());
    assert!(!stack.has(MARKER) && stack.names(".bellwether/claims").is_empty(), "{}", leader.log());
    let record = stack.record("migrate");
    assert_eq!((&record["last_end"], &record["attempts"]), (&json!("stopped"), &json!(0)));
    drop(ballast);
    fs::remove_file(stack.path("ballast")).unwrap();
    stack.open_gate("migrate");
    assert_eq!(stack.start_replica().wait(), 0);
}

#[test]
fn a_log_that_nobody_reads_any_more_stops_nobody() {
    for format in ["text", "json"] {
        let stack =
            Stack::new().env("BELLWETHER_LOG_FORMAT", format).step(Step::script("migrate", "begin; echo x; finish"));
        let deaf = ["bash", "-c", "exec 2> >(:); sleep 0.1; exec \"$@\"", "bash"];
        let mut leader = stack.replica().under(&deaf).start();
        assert_eq!(leader.wait(), 0);
        assert_eq!(stack.journal().count("serve", "-"), 1);
    }
}

#[test]
fn a_new_revision_mends_what_has_failed_for_good() {
    let script = "begin; [ \"$BELLWETHER_REV\" = v2 ] || exit 1; finish";
    let stack = Stack::new().step(Step::script("migrate", script));
    assert_eq!(stack.start_replica().wait(), 78);
    let mut new = stack.replica().rev("v2").start();
    assert_eq!(new.wait(), 0, "{}", new.log());
    assert_eq!(stack.json(".migrate_done_v2")["attempt"], 1);
    assert_eq!(stack.start_replica().wait(), 78, "v1 is as it was");
}

#[test]
fn a_back_off_outlives_its_leader_and_can_be_interrupted() {
    let script = "begin; [ \"$BELLWETHER_ATTEMPT\" = 2 ] || exit 1; finish";
    let stack = Stack::new().env("BELLWETHER_BACKOFF_SECS", "1.5").step(Step::script("migrate", script));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    leader.wait_said("it will be tried again");
    wait_until("the claim to be given back", || !stack.has(MARKER));
    leader.signal(Signal::TERM);
    assert_eq!(leader.wait(), 143);
    assert_eq!(stack.record("migrate")["attempts"], json!(1));
    assert_eq!(stack.start_replica().wait(), 0);
    let starts = journal.of("start", "migrate");
    assert!(starts[1].at >= starts[0].at + 3 * SECOND / 2);
}

#[test]
fn a_replica_that_waits_for_a_need_can_be_stopped() {
    let stack = Stack::new().step(Step::quick("migrate")).needs(&["file:///no/such/file".to_owned()]);
    let mut replica = stack.start_replica();
    replica.wait_said("waiting for file:///no/such/file");
    replica.signal(Signal::QUIT);
    assert_eq!(replica.wait(), 131);
}

#[test]
fn of_a_crowd_one_leads_and_all_serve() {
    let stack = Stack::new().step(Step::gated("migrate"));
    let mut crowd: Vec<Replica> = (0..24).map(|_| stack.start_replica()).collect();
    stack.journal().wait("start", "migrate", 1);
    for replica in &mut crowd {
        replica.wait_said("FOLLOWER");
    }
    stack.open_gate("migrate");
    assert!(crowd.iter_mut().all(|replica| replica.wait() == 0));
    assert_eq!(stack.journal().count("start", "migrate"), 1);
    assert_eq!(stack.journal().count("serve", "-"), 24);
    assert_eq!(crowd.iter().filter(|replica| replica.has_said("LEADER")).count(), 1);
}

#[test]
fn a_frozen_follower_keeps_nobody_from_serving() {
    let stack = Stack::new().step(Step::gated("migrate"));
    let mut leader = stack.start_leader();
    let [mut frozen, mut follower] = [stack.start_follower(), stack.start_follower()];
    // Whoever waits longest for the guard gets it next, frozen or not.
    frozen.signal(Signal::STOP);
    stack.open_gate("migrate");
    assert_eq!((leader.wait(), follower.wait()), (0, 0));
    assert!(frozen.is_running());
    frozen.signal(Signal::CONT);
    assert_eq!(frozen.wait(), 0);
}

#[test]
fn a_person_who_removes_all_that_is_ours_under_a_living_leader_makes_nothing_overlap() {
    let stack = Stack::new().env("STEP_STALE_SECS", "1").step(Step::gated("migrate"));
    let journal = stack.journal();
    let mut leader = stack.start_leader();
    journal.wait("start", "migrate", 1);
    fs::remove_dir_all(stack.path(".bellwether")).unwrap();
    let mut other = stack.start_leader();
    let removed = stack.now();
    wait_until("beats", || mtime(&stack.path(MARKER)).unwrap() >= removed + 2 * SECOND);
    assert_eq!(journal.count("start", "migrate"), 1, "the marker beats, so nobody else starts the step");
    stack.open_gate("migrate");
    assert_eq!((leader.wait(), other.wait()), (0, 0), "{}", leader.log());
    assert!(stack.has(".ready_v1") && !stack.has(MARKER));
}

/// A small generator (xorshift), so that a run can be repeated.
fn next(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    usize::try_from(*seed >> 33).unwrap()
}

#[test]
fn replicas_killed_and_stopped_at_any_moment_never_overlap_and_get_there() {
    let work = "begin; journal member; sleep 0.0$((BELLWETHER_EPOCH % 7 + 2)); finish";
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let stack = Stack::new()
        .without("LOCK_RENEW_TTL_SECS")
        .env("STEP_STALE_SECS", "1")
        .env("STEP_MAX_ATTEMPTS", "1000")
        .step(Step::script("site", work))
        .step(Step::script("apps", work).after(&["site"]))
        .step(Step::script("migrate", work).after(&["apps"]));
    let mut seed = seed + 1;
    let mut replicas = [stack.start_replica(), stack.start_replica(), stack.start_replica()];
    for _ in 0..12 {
        let lines = stack.journal().entries().len();
        let further = next(&mut seed) % 4;
        wait_until("progress", || stack.journal().entries().len() >= lines + further || stack.has(".ready_v1"));
        let victim = next(&mut seed) % replicas.len();
        let replica = &mut replicas[victim];
        if replica.is_running() {
            match next(&mut seed) % 3 {
                0 => replica.kill(),
                1 => replica.kill_tree(),
                _ => {
                    replica.signal(Signal::TERM);
                    replica.wait_end();
                }
            }
        }
        *replica = stack.start_replica();
    }
    for replica in &mut replicas {
        assert_eq!(replica.wait(), 0, "{}", replica.log());
    }
    for step in ["site", "apps", "migrate"] {
        assert!(stack.has(&format!(".{step}_done_v1")) && stack.journal().count("end", step) >= 1);
    }
    assert!(!stack.names(".").iter().any(|name| name.contains("in_progress")));
}
