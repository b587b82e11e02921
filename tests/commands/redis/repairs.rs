//! `retry`, `skip` and `reset`.

use insta::assert_snapshot;
use rustix::process::Signal;

use super::{LEASE, scene};
use crate::redis_server::RedisServer;
use crate::scene::{ENDLESS, FRAGILE, Scene, wait_until};

const EPOCH: &str = "bellwether:{shop}:epoch";

fn failed(redis: &RedisServer) -> Scene {
    let scene = scene(FRAGILE, redis);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    scene
}

fn refusal(scene: &Scene, redis: &RedisServer, arguments: &[&str]) -> (i32, String) {
    let said = scene.say(arguments);
    assert_eq!(said.out, "");
    (said.code, scene.redact(&said.err).replace(&redis.url(), "[redis]"))
}

/// Everything on the volume: names and sizes.
fn files(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    let mut directories = vec![scene.volume()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let size = entry.metadata().unwrap().len();
            names.push(format!("{} {size}", entry.path().display()));
            directories.extend(entry.file_type().unwrap().is_dir().then(|| entry.path()));
        }
    }
    names.sort();
    names
}

#[test]
fn a_repair_takes_the_lease_gives_it_back_and_announces() {
    let redis = RedisServer::start();
    let scene = failed(&redis);
    redis.cli(&["SET", EPOCH, "40"]);
    for (arguments, epoch) in [(&["skip", "--step", "migrate"][..], 41), (&["retry"], 41), (&["reset"], 42)] {
        let mut monitor = redis.monitor();
        assert_eq!(scene.say(arguments).code, 0);
        let asked = monitor.lines(&redis);
        let position = |part: &str| asked.iter().position(|line| line.contains("[0 lua]") && line.contains(part));
        let (set, deleted, published) =
            (position(r#""SET""#), position(r#""DEL""#), position(r#""PUBLISH" "bellwether:{shop}:events""#));
        assert!(set.is_some() && set < deleted && deleted < published, "{asked:#?}");
        assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
        assert_eq!(scene.status()["epoch"], epoch, "what Redis knows counts; {arguments:?}");
    }
}

#[test]
fn a_replica_that_holds_goes_on_after_the_announcement() {
    let redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis).with("BELLWETHER_ON_FAILURE", "hold");
    let (holding, _lines) = scene.stream(&["run", "--", "echo", "serving"]);
    scene.await_status(|status| status["state"] == "failed" && status["lease"]["state"] == "free");
    scene.write("repaired", "");
    assert_eq!(scene.say(&["retry"]).code, 0);
    assert_eq!(holding.code(), Some(0));
}

#[test]
fn whoever_has_the_lease_is_named_and_force_does_not_matter() {
    let redis = RedisServer::start();
    let scene = scene(ENDLESS, &redis);
    let _leader = scene.leader();
    scene.await_status(|status| status["lease"]["holder"]["epoch"] == 1);
    let before = files(&scene);
    for arguments in [&["retry"][..], &["skip", "--step", "assets"], &["reset"], &["reset", "--force"]] {
        let (code, text) = refusal(&scene, &redis, arguments);
        assert_eq!(code, 75);
        insta::allow_duplicates! { assert_snapshot!(text, @"the lease is held by host [host] pid [pid], epoch 1, revision v1; nothing was touched. Stop that replica, or wait until it is through; if it has died, its lease ends in [span]"); }
    }
    assert_eq!(files(&scene), before);
    assert_eq!(scene.status()["lease"]["holder"]["epoch"], 1, "the leader's is still there");
}

#[test]
fn a_lease_that_is_nobodys_is_told_of() {
    let redis = RedisServer::start();
    let scene = failed(&redis);
    redis.cli(&["SET", LEASE, "mine"]);
    let (code, text) = refusal(&scene, &redis, &["retry"]);
    assert_eq!(code, 69);
    assert_snapshot!(text, @"something foreign stands in a key of ours at [redis]/0 (bellwether:{shop}:lease never expires); look at it with redis-cli, and remove it if nobody needs it; nothing was touched");
    assert_eq!(redis.cli(&["GET", LEASE]), "mine");
}

#[test]
fn without_redis_nothing_is_touched() {
    let mut redis = RedisServer::start();
    let scene = failed(&redis);
    redis.kill();
    let before = files(&scene);
    for arguments in [&["retry"][..], &["skip", "--step", "migrate"], &["reset", "--force"]] {
        let (code, text) = refusal(&scene, &redis, arguments);
        assert_eq!(code, 69);
        insta::allow_duplicates! { assert_snapshot!(text, @"nobody listens at [redis]/0 (Connection refused (os error 111)); is it running? look at BELLWETHER_REDIS_URL; nothing was touched"); }
    }
    assert_eq!(files(&scene), before);
}

#[test]
fn no_lease_is_left_behind_where_the_guard_is_busy() {
    let redis = RedisServer::start();
    let scene = scene(ENDLESS, &redis);
    // A leader that knows no lease.
    let alone = scene.leader_with(&[("BELLWETHER_REDIS_URL", "none"), ("BELLWETHER_SCOPE", "")]);
    let mut monitor = redis.monitor();
    let (code, text) = refusal(&scene, &redis, &["reset", "--force"]);
    assert_eq!(code, 75);
    assert!(text.starts_with("the guard on [volume] is held by host "), "{text}");
    let asked = monitor.lines(&redis);
    assert!(asked.iter().any(|line| line.contains(r#""DEL""#)), "it was taken before the guard: {asked:#?}");
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
    drop(alone);
}

#[test]
fn repairs_work_where_locks_are_not_trusted() {
    let redis = RedisServer::start();
    let scene = failed(&redis).with("BELLWETHER_VOLUME_LOCKS", "untrusted");
    for arguments in [&["skip", "--step", "migrate"][..], &["retry"], &["reset"]] {
        assert_eq!(scene.say(arguments).code, 0);
        assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
    }
    assert!(!scene.has(".failed_v1") && !scene.has(".site_done_v1"));
}

/// Killed, it would leave the lease to whoever waits for its end.
#[test]
fn whoever_interrupts_a_repair_interrupts_it_before_or_after() {
    let redis = RedisServer::start();
    let scene = failed(&redis);
    redis.freeze();
    let (repair, _lines) = scene.stream(&["retry"]);
    wait_until(|| repair.has_blocked(Signal::TERM));
    repair.signal(Signal::TERM);
    redis.thaw();
    let code = repair.code();
    // The latter on a machine that is busy enough for a request to time out.
    assert!(code == Some(0) && redis.cli(&["EXISTS", LEASE]) == "0" || code == Some(69), "{code:?}");
}
