//! `plan`.

use insta::{allow_duplicates, assert_snapshot};
use serde_json::{Value, json};

use super::{LEASE, SCOPE, scene};
use crate::redis_server::RedisServer;
use crate::scene::{ENDLESS, FRAGILE, Scene};

/// The line with the verdict, of people and of programs, and where the lease stands.
fn verdict(scene: &Scene, redis: &RedisServer) -> String {
    let shown = scene.shown(&["plan"]).replace(&redis.url(), "[redis]");
    let forecast = scene.say(&["plan", "--json"]).json();
    format!("{}\n{} {}", shown.lines().next().unwrap(), forecast["verdict"], forecast["lease"]["state"])
}

#[test]
fn it_says_who_elects() {
    let redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis);
    let shown = scene.shown(&["plan"]).replace(&redis.url(), "[redis]");
    let head: Vec<&str> = shown.lines().take_while(|line| !line.is_empty()).collect();
    let head: Vec<&str> =
        head.into_iter().filter(|line| !line.starts_with("plan") && !line.starts_with("guard")).collect();
    assert_snapshot!(head.join("\n"), @"
    run would lead: nobody holds the guard; it asks [redis]/0 for the lease first
    revision v1
    volume [volume]
    election by a lease in [redis]/0: TTL [span], heartbeat [span], grace [span]
    ");
    let election = |env: &[(&str, &str)]| scene.say_with(env, &["plan", "--json"]).json()["election"].clone();
    let lease = json!({ "server": format!("{}/0", redis.url()), "scope": SCOPE,
                        "times": { "ttl_secs": 30.0, "heartbeat_secs": 5.0, "grace_secs": 0.2 } });
    assert_eq!((&election(&[])["by"], &election(&[])["lease"]), (&json!("lease"), &lease));
    assert_eq!(election(&[("IS_LEADER", "0")])["lease"]["times"], Value::Null);
    let alone = election(&[("BELLWETHER_REDIS_URL", "none"), ("BELLWETHER_SCOPE", "")]);
    assert_eq!((&alone["by"], &alone["lease"]), (&json!("guard"), &Value::Null));
}

#[test]
fn it_refuses_what_run_would_refuse_in_the_same_words() {
    let redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis);
    let untrusted = ("BELLWETHER_VOLUME_LOCKS", "untrusted");
    let forecast = scene.say_with(&[untrusted], &["plan", "--json"]).json();
    assert_eq!((&forecast["verdict"], &forecast["election"]["is_trusted"]), (&json!("lead"), &json!(false)));
    for env in
        [&[("LOCK_RENEW_TTL_SECS", "2"), ("LOCK_HEARTBEAT_SECS", "2")][..], &[("LOCK_RENEW_TTL_SECS", "3"), untrusted]]
    {
        let forecast = scene.say_with(env, &["plan", "--json"]).json();
        let env = [env, &[("BELLWETHER_LOG", "error")]].concat();
        let run = scene.say_with(&env, &["run", "--", "true"]);
        assert_eq!((run.code, &forecast["verdict"]), (64, &json!("refuse")));
        let reason = forecast["reason"].as_str().unwrap();
        assert!(reason.contains("LOCK_RENEW_TTL_SECS") && run.err.contains(reason), "{reason}\n{}", run.err);
    }
}

#[test]
fn nobody_leads_while_a_dead_leaders_lease_lasts() {
    let redis = RedisServer::start();
    let dead = scene(ENDLESS, &redis);
    let leader = dead.leader();
    dead.await_status(|status| status["lease"]["holder"]["epoch"] == 1);
    drop(leader);
    dead.await_status(|status| status["guard"]["state"] == "free");
    // Longer than anything takes on the busiest machine.
    assert_eq!(redis.cli(&["PEXPIRE", LEASE, "60000"]), "1");
    // And the same scope on another volume.
    for scene in [dead, scene(FRAGILE, &redis)] {
        allow_duplicates! { assert_snapshot!(verdict(&scene, &redis), @r#"
    run would follow: the lease is held by host [host] pid [pid], revision v1, epoch 1, [span] left
    "follow" "held"
    "#); }
        let lease = scene.say(&["plan", "--json"]).json()["lease"].clone();
        let looked = scene.status()["lease"].clone();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((keys(&lease), &lease["holder"]), (keys(&looked), &looked["holder"]));
    }
    redis.cli(&["DEL", LEASE]);
    assert_snapshot!(verdict(&scene(FRAGILE, &redis), &redis), @r#"
    run would lead: nobody holds the guard; it asks [redis]/0 for the lease first
    "lead" "free"
    "#);
}

#[test]
fn a_key_that_is_none_of_ours_is_waited_for() {
    let redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis);
    redis.cli(&["SET", LEASE, "my\x1b[2Jlock"]);
    assert_snapshot!(verdict(&scene, &redis), @r#"
    run would wait: nobody can have the lease: its key holds "my\u{1b}[2Jlock", which is none of ours, without an end; look at bellwether:{shop}:lease with redis-cli, and remove it if nobody needs it
    "wait" "foreign"
    "#);
    redis.cli(&["PEXPIRE", LEASE, "60000"]);
    assert_snapshot!(verdict(&scene, &redis), @r#"
    run would wait: nobody can have the lease: its key holds "my\u{1b}[2Jlock", which is none of ours, [span] left
    "wait" "foreign"
    "#);
    let endless = r#"{"token":"65432109-8765-4321-8765-432109876543","host":"w","pid":7,"rev":"v2","epoch":null}"#;
    redis.cli(&["SET", LEASE, endless]);
    assert_snapshot!(verdict(&scene, &redis), @r#"
    run would wait: the lease is held by host w pid [pid], revision v2, without an end; look at bellwether:{shop}:lease with redis-cli, and remove it if nobody needs it
    "wait" "held"
    "#);
    redis.cli(&["DEL", LEASE]);
    redis.cli(&["LPUSH", LEASE, "x"]);
    assert_snapshot!(verdict(&scene, &redis), @r#"
    it cannot be told whether run would lead: something foreign stands in a key of ours at [redis]/0 (WRONGTYPE Operation against a key holding the wrong kind of value); look at it with redis-cli, and remove it if nobody needs it
    "unknown" "unknown"
    "#);
}

#[test]
fn a_redis_that_cannot_be_asked_leaves_it_open() {
    let mut redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis);
    redis.freeze();
    assert_snapshot!(verdict(&scene, &redis), @r#"
    it cannot be told whether run would lead: [redis]/0 does not answer (within 1 s); look at BELLWETHER_REDIS_URL, at its load, and for a firewall on the way
    "unknown" "unknown"
    "#);
    redis.kill();
    assert_snapshot!(verdict(&scene, &redis), @r#"
    it cannot be told whether run would lead: nobody listens at [redis]/0 (Connection refused (os error 111)); is it running? look at BELLWETHER_REDIS_URL
    "unknown" "unknown"
    "#);
    assert_eq!(std::fs::read_dir(scene.volume()).unwrap().count(), 0, "a look leaves nothing behind");
}

#[test]
fn before_anybody_was_here_the_lease_is_free() {
    let redis = RedisServer::start();
    let scene = Scene::new(FRAGILE).with("BELLWETHER_REDIS_URL", &redis.url());
    let mut monitor = redis.monitor();
    assert_snapshot!(verdict(&scene, &redis), @r#"
    run would lead: nobody holds the guard; it asks [redis]/0 for the lease first
    "lead" "free"
    "#);
    assert_eq!(monitor.lines(&redis), [""; 0]);
}

#[test]
fn what_does_not_depend_on_the_lease_is_told_without_redis() {
    let redis = RedisServer::start();
    let (busy, scene) = (scene(ENDLESS, &redis), scene(FRAGILE, &redis));
    let forecast = |scene: &Scene, env: &[(&str, &str)]| {
        let mut monitor = redis.monitor();
        let forecast = scene.say_with(env, &["plan", "--json"]).json();
        assert_eq!((monitor.lines(&redis), &forecast["lease"]), (Vec::new(), &Value::Null));
        forecast["verdict"].clone()
    };
    assert_eq!(forecast(&scene, &[("IS_LEADER", "0")]), "follow");
    assert_eq!(forecast(&scene, &[("LOCK_RENEW_TTL_SECS", "2"), ("LOCK_HEARTBEAT_SECS", "2")]), "refuse");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 78);
    assert_eq!(forecast(&scene, &[]), "refuse");
    scene.write("repaired", "");
    assert_eq!(scene.say(&["retry"]).code, 0);
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    assert_eq!(forecast(&scene, &[]), "hand_off");
    // A leader that knows no lease asks nothing meanwhile.
    let _leader = busy.leader_with(&[("BELLWETHER_REDIS_URL", "none"), ("BELLWETHER_SCOPE", "")]);
    assert_eq!(forecast(&busy, &[]), "follow");
}
