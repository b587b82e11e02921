//! What becomes of a stack whose leader is killed, frozen, cut off or stopped in the middle.

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::backing::address_of;
use crate::docker::docker;
use crate::history::Past;
use crate::stack::{SMALL, STALE, Stack, get, inspect, wait_for_log};
use crate::waiting::wait_for;

/// Three replicas, of which the leader's bench stands still in this phase: the stack, its past, and the leader's container.
fn stopped_at(what: &str, phase: &str) -> (Stack, Past, String) {
    let stack = Stack::prepared(what, &[]);
    stack.set("STANDIN_STOP_AT", phase);
    let past = Past(stack.volume());
    stack.up(&[&["--scale", "web=3"], &SMALL[..]].concat());
    let leader = past.wait_until_stopped();
    (stack, past, leader)
}

/// Waits until somebody else has the lease.
fn wait_until_lease_leaves(stack: &Stack, leader: &str) {
    let redis = &stack.containers("redis-queue")[0];
    let ip = address_of(redis);
    let scope = std::fs::read_to_string(stack.volume().join(".bellwether/id")).unwrap();
    let question = format!("GET bellwether:{{{}}}:lease\r\nQUIT\r\n", scope.trim());
    wait_for("somebody else's lease", || {
        let answer = said_by_redis(&format!("{ip}:6379"), &question)?;
        (answer.contains("host") && !answer.contains(leader)).then_some(())
    });
}

fn said_by_redis(address: &str, words: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

#[track_caller]
fn assert_served_by_all(stack: &Stack, past: &Past, count: usize) {
    past.assert_all_done_once("v1");
    assert_eq!(stack.wait_until_answered_by(count).len(), count);
    let status = stack.status();
    assert_eq!(status["state"], "ready", "{status:#}");
    let is_done = |step: &Value| step["state"] == "done";
    assert!(status["steps"].as_array().unwrap().iter().all(is_done), "{status:#}");
}

#[test]
fn a_leader_killed_in_mid_migration_is_followed_by_another() {
    let (stack, past, leader) = stopped_at("kill", "migrate:patches");
    docker(&["kill", "--signal", "KILL", &leader]).ok();
    stack.wait_until_ready("v1");
    let migrations = past.hosts("started", "migrate");
    assert!(migrations.len() == 2 && migrations[0] == leader, "begun by {leader} and another: {migrations:?}");
    let next = &migrations[1];
    assert_ne!(*next, leader);
    assert_eq!(past.hosts("done", "migrate"), [next.as_str()]);
    let events = past.events();
    let begun = events.iter().rposition(|event| event["event"] == "started" && event["step"] == "migrate").unwrap();
    let is_election = |event: &Value| event["event"] == "elected" && event["host"] == next.as_str();
    assert!(events[..begun].iter().any(is_election), "nobody begins before he leads: {events:#?}");
    assert_eq!(past.hosts("started", "site").len(), 1, "the site was there");
    assert_eq!(stack.wait_until_answered_by(2).len(), 2, "the others serve without it");
    docker(&["start", &leader]).ok();
    assert_served_by_all(&stack, &past, 3);
}

#[test]
fn a_leader_frozen_beyond_its_lease_is_not_overlapped() {
    let (stack, past, leader) = stopped_at("pause", "migrate:patches");
    docker(&["pause", &leader]).ok();
    wait_until_lease_leaves(&stack, &leader);
    // Silent for so long that anybody may take its step over, but for the guard.
    let (marker, clock) = (stack.volume().join(".migrating_in_progress_v1"), stack.volume().join(".stand-in/clock"));
    wait_for("twice the time after which a step is stale", || {
        std::fs::write(&clock, "").unwrap();
        let age = modified(&clock).duration_since(modified(&marker)).unwrap_or_default();
        (age > 2 * STALE).then_some(())
    });
    past.let_go_on();
    assert_eq!(past.hosts("started", "migrate"), [leader.as_str()]);
    docker(&["unpause", &leader]).ok();
    stack.wait_until_ready("v1");
    assert_eq!(past.assert_one_after_another(&["new-site", "migrate"]), 2, "one of each");
    assert_eq!(past.hosts("done", "migrate"), [leader.as_str()]);
    assert_served_by_all(&stack, &past, 3);
}

#[test]
fn a_leader_cut_off_from_redis_finishes_its_step_and_hands_over() {
    let (stack, past, leader) = stopped_at("cut", "new-site:schema");
    let network = format!("{}_lease", stack.name);
    docker(&["network", "disconnect", &network, &leader]).ok();
    wait_until_lease_leaves(&stack, &leader);
    past.let_go_on();
    stack.wait_until_ready("v1");
    assert_eq!(past.hosts("done", "site"), [leader.as_str()], "what it had begun it has finished");
    let next = past.hosts("done", "apps");
    assert!(next.len() == 1 && next[0] != leader, "{next:?} went on, not {leader}");
    assert_eq!(past.assert_one_after_another(&["new-site", "install-app", "migrate"]), 2, "a site and a migration");
    // What is ready needs no Redis, so it serves where it is.
    assert_served_by_all(&stack, &past, 3);
    docker(&["network", "connect", &network, &leader]).ok();
}

/// `docker stop`, and the code that it ends with.
#[track_caller]
fn stop(container: &str) -> String {
    docker(&["stop", container]).ok();
    inspect(container, "{{.State.ExitCode}}")
}

#[test]
fn whoever_is_stopped_ends_in_time_with_the_documented_code() {
    let (stack, past, leader) = stopped_at("stop", "migrate:patches");
    let followers = stack.containers("web").into_iter().filter(|id| !id.starts_with(&leader));
    let followers: Vec<String> = followers.collect();
    let frontend = &stack.containers("frontend")[0];
    for waiting in [&followers[0], frontend] {
        wait_for_log(waiting, "FOLLOWER");
    }
    assert_eq!(stop(&followers[0]), "143", "a follower that waits");
    assert_eq!(stop(frontend), "131", "one that is stopped by QUIT");
    assert_eq!(past.hosts("started", "migrate"), [leader.as_str()], "the leader does not mind");
    assert!(past.hosts("done", "migrate").is_empty());
    assert_eq!(stop(&leader), "143", "a leader in mid-migration");
    past.let_go_on();
    docker(&["start", frontend]).ok();
    stack.wait_until_ready("v1");
    let is_start = |event: &&Value| event["event"] == "started" && event["step"] == "migrate";
    let events = past.events();
    let starts: Vec<&Value> = events.iter().filter(is_start).collect();
    assert_eq!(starts.len(), 2);
    // A step that we stopped ourselves has not used up an attempt.
    assert!(starts.iter().all(|event| event["details"] == "attempt 1"), "{starts:#?}");
    let hosts = stack.wait_until_answered_by(1);
    assert!(followers[1].starts_with(&hosts[0]), "{hosts:?}");
    let address = stack.address("8080");
    assert_eq!(stop(&followers[1]), "0", "serving");
    assert_eq!(stop(frontend), "0", "serving");
    assert!(get(&address, "/").is_none(), "nobody listens any more");
}

#[test]
fn what_is_ready_restarts_without_redis() {
    let stack = Stack::prepared("restart", &[]);
    stack.up(&[&["--scale", "web=3"], &SMALL[..]].concat());
    stack.wait_until_ready("v1");
    let before = stack.wait_until_answered_by(3);
    stack.compose(&["stop", "redis-queue", "redis-cache"]).ok();
    let mut everything = stack.containers("web");
    everything.extend(stack.containers("frontend"));
    everything.extend(stack.containers("db"));
    std::thread::scope(|scope| {
        for id in &everything {
            scope.spawn(|| docker(&["restart", id]).ok());
        }
    });
    assert_eq!(stack.wait_until_answered_by(3), before, "all three serve again");
    let running = inspect(&stack.containers("redis-queue")[0], "{{.State.Running}}");
    assert_eq!(running, "false", "and Redis is still away");
}
