//! How little Redis is asked, and that announcements, not polls, make replicas go on.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;

use crate::replica::Replica;
use crate::scene::Scene;
use crate::stack::{Stack, Step};
use crate::traffic::{Asked, Traffic};
use crate::wait::{Nanos, SECOND, wait_until};

/// How often a follower looks and asks when nothing is announced.
const POLL: Nanos = 5 * SECOND;

/// So long a lease that nobody asks because of its end.
const LONG: &str = "60";

fn stack() -> Stack {
    Stack::new().env("LOCK_RENEW_TTL_SECS", LONG).env("STEP_STALE_SECS", "600")
}

fn token_of(stack: &Stack, replica: &Replica) -> String {
    let holder = stack.holder().unwrap();
    assert_eq!(holder["pid"], replica.pid());
    holder["token"].as_str().unwrap().to_owned()
}

/// Has every follower look and ask, and waits for it: when each of them did.
fn call(stack: &Stack, traffic: &mut Traffic<'_>, leader: &str, followers: usize) -> BTreeMap<String, Nanos> {
    let from = traffic.look().len();
    stack.redis().cli(&["PUBLISH", &stack.channel(), "test"]);
    let mut asked = BTreeMap::new();
    wait_until("everybody asking", || {
        asked = last_of_each(&traffic.look()[from..]);
        asked.remove(leader);
        asked.len() >= followers
    });
    asked
}

/// When each replica asked last.
fn last_of_each(seen: &[Asked]) -> BTreeMap<String, Nanos> {
    seen.iter().filter_map(|asked| Some((asked.token.clone()?, asked.at))).collect()
}

/// The release that Redis has understood: the first time it has to be told the script.
fn release(seen: &[Asked]) -> usize {
    seen.iter().rposition(|asked| asked.is_release).expect("a release")
}

#[test]
fn a_waiting_crowd_asks_once_a_poll_each_and_nothing_any_more_when_it_is_ready() {
    const FOLLOWERS: usize = 20;
    let stack = stack().step(Step::gated("migrate"));
    let mut traffic = Traffic::open(stack.redis());
    let mut leader = stack.start_leader();
    stack.journal().wait("start", "migrate", 1);
    let led = token_of(&stack, &leader);
    let mut crowd: Vec<Replica> = (0..FOLLOWERS).map(|_| stack.start_replica()).collect();
    stack.wait_listeners(FOLLOWERS + 1);
    wait_until("a crowd that has asked", || {
        let mut asked = last_of_each(traffic.look());
        asked.remove(&led);
        asked.len() == FOLLOWERS
    });
    let settled = traffic.look().to_vec();
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    let mut connecting = 0;
    // The other two are the test's own.
    for command in settled.iter().filter(|command| !matches!(&*command.verb, "PUBSUB" | "GET")) {
        match &command.token {
            Some(token) => *asked.entry(token).or_default() += 1,
            None => connecting += 1,
        }
    }
    // Two connections: both are shown to work, and one subscribes. Whoever has just subscribed asks again, as something
    // may have been announced before.
    assert!(connecting <= 3 * (FOLLOWERS + 1), "{connecting} commands without a lease");
    assert!(asked.values().all(|&count| count <= 7), "{asked:#?}");

    let from = settled.len();
    wait_until("a poll of everybody", || {
        let mut asked = last_of_each(&traffic.look()[from..]);
        asked.remove(&led);
        asked.len() == FOLLOWERS
    });
    let mut last = BTreeMap::new();
    for asked in &traffic.look()[from..] {
        assert_eq!(asked.verb, "EVALSHA", "{asked:?}");
        let before = last.insert(asked.token.clone(), asked.at);
        // Redis may have read the earlier one late.
        assert!(before.is_none_or(|before| asked.at >= before + POLL * 9 / 10), "{asked:?} {before:?}");
    }

    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0);
    assert!(crowd.iter_mut().all(|replica| replica.wait() == 0));
    let seen = traffic.look();
    let after = release(seen);
    assert!(seen[after + 1..].is_empty(), "{:#?}", &seen[after + 1..]);
}

#[test]
fn acquiring_renewing_and_releasing_are_one_round_trip_each() {
    let stack = stack().env("LOCK_HEARTBEAT_SECS", "0.3").step(Step::gated("migrate"));
    // Somebody has told Redis the scripts.
    let other = Stack::new().step(Step::quick("migrate"));
    let url = format!("unix://{}", stack.redis().socket().display());
    let mut first = other.replica().env("BELLWETHER_REDIS_URL", &url).start();
    assert_eq!(first.wait(), 0);
    let mut traffic = Traffic::open(stack.redis());
    let mut leader = stack.start_leader();
    wait_until("renewals", || traffic.look().iter().filter(|asked| asked.verb == "EVALSHA").count() >= 5);
    stack.open_gate("migrate");
    assert_eq!(leader.wait(), 0);
    let seen = traffic.look();
    let mut verbs: Vec<&str> = seen.iter().map(|asked| asked.verb.as_str()).collect();
    let release = seen.last().unwrap();
    assert!(release.is_release && release.token.is_some(), "{seen:#?}");
    // Two connections, each shown to work, and the release in full; the rest are the lease's scripts by their digests.
    verbs.retain(|verb| *verb != "EVALSHA");
    verbs.sort_unstable();
    assert_eq!(verbs, ["EVAL", "PING", "PING", "SUBSCRIBE"], "{seen:#?}");
}

#[test]
fn the_step_of_a_stopped_leader_is_begun_again_one_announcement_later() {
    let stack = stack().step(Step::script("migrate", "begin; gate; finish"));
    let mut scene = Scene::start(&stack);
    let leader = token_of(&stack, &scene.leader);
    let mut traffic = Traffic::open(stack.redis());
    let asked = call(&stack, &mut traffic, &leader, 2);
    scene.leader.signal(Signal::TERM);
    let begun = stack.journal().wait("start", "migrate", 2);
    assert_eq!(scene.leader.wait(), 143);
    let seen = traffic.look().to_vec();
    let holder = stack.holder().expect("it leads until its step may end");
    let elected = holder["token"].as_str().unwrap().to_owned();
    // The leader's; the end of the next one's leadership is still to come.
    let announced = release(&seen);
    assert_eq!(seen[announced].token.as_ref(), Some(&leader));
    // The very next command asks for the lease, and whoever sends it has got it: nobody else could be before.
    let after = &seen[announced + 1..];
    let next = after.first().expect("somebody who asks");
    assert_eq!(
        (next.verb.as_str(), next.token.as_ref(), next.epoch),
        ("EVALSHA", Some(&elected), Some(0)),
        "{after:#?}"
    );
    let last = asked[&elected];
    assert!(next.at >= seen[announced].at && next.at < last + POLL, "a poll was due: {next:?}");
    // Until the step began, nothing else but what tells the epoch.
    let own = after.iter().filter(|asked| asked.at < begun.at && asked.token.as_ref() == Some(&elected));
    let told: Vec<Option<u64>> = own.map(|asked| asked.epoch).collect();
    assert!(told == [Some(0)] || told == [Some(0), Some(2)], "{after:#?}");
    assert!(begun.at > next.at);
    stack.open_gate("migrate");
    assert_eq!(scene.followers.each_mut().map(Replica::wait), [0, 0]);
}

#[test]
fn what_is_announced_ready_is_served_before_anybody_polls() {
    let stack = stack().step(Step::gated("migrate"));
    let mut scene = Scene::start(&stack);
    let mut worker = stack.replica().env("IS_LEADER", "0").start();
    stack.wait_listeners(4);
    let mut traffic = Traffic::open(stack.redis());
    let leader = token_of(&stack, &scene.leader);
    let asked = call(&stack, &mut traffic, &leader, 2);
    let due = asked.values().min().unwrap() + POLL;
    stack.open_gate("migrate");
    for replica in scene.all() {
        assert_eq!(replica.wait(), 0, "{}", replica.log());
    }
    assert_eq!(worker.wait(), 0);
    let seen = traffic.look();
    let announced = release(seen);
    let asked: BTreeSet<_> = seen[announced + 1..].iter().map(|asked| &asked.verb).collect();
    assert!(asked.is_empty(), "{asked:?}");
    for served in stack.journal().of("serve", "-") {
        assert!(served.at < due, "a poll was due {} ns before", served.at - due);
    }
}
