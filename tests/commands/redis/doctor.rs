//! `doctor`.

use insta::assert_snapshot;
use serde_json::json;

use super::{LEASE, SCOPE, scene};
use crate::doctor::{about, failure};
use crate::redis_server::{RedisServer, free_port};
use crate::rights::NEEDED;
use crate::scene::{FRAGILE, Said, Scene};

const PLAN: &str = r#"{ "steps": [{ "name": "migrate", "run": ["true"] }] }"#;

/// What is said of Redis, a line each, without the address and the time.
fn lines(said: &Said, redis: &RedisServer) -> String {
    let lines = about(said, "Redis").into_iter().map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().replace(&redis.url(), "[redis]");
        let seen = text("seen");
        let seen = seen.split(" answers PING in ").next().unwrap().to_owned();
        format!("{} {seen}\n  {}", text("state"), text("repair")).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn asked(scene: &Scene, url: &str) -> Said {
    scene.say_with(&[("BELLWETHER_REDIS_URL", url)], &["doctor", "--json"])
}

#[test]
fn all_is_well_and_nothing_is_written() {
    let redis = RedisServer::start();
    let scene = scene(PLAN, &redis);
    let mut monitor = redis.monitor();
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_snapshot!(lines(&said, &redis), @"
    ok [redis]/0 (of BELLWETHER_REDIS_URL)
    ok it is a primary, and its user may do what the lease needs
    ok maxmemory-policy is noeviction
    ");
    assert_eq!(about(&said, "lease")[0]["seen"], "nobody has it");
    assert_eq!(redis.cli(&["KEYS", "*"]), "");
    assert_eq!(
        redis.cli(&["INFO", "memory"]).lines().find(|line| line.starts_with("number_of_cached_scripts")),
        Some("number_of_cached_scripts:0")
    );
    let asked: Vec<String> = monitor.lines(&redis);
    // A key that nobody has is asked for by its name.
    for line in asked.iter().filter(|line| !line.contains(":doctor-")) {
        let harmless = ["PING", "INFO", "EVALSHA", "EVAL", "GET", "PTTL", "SUBSCRIBE", "KEYS", "CLIENT"];
        assert!(harmless.iter().any(|verb| line.contains(&format!(r#""{verb}""#))), "{line}");
    }
    assert!(asked.iter().all(|line| !line.contains(LEASE) || !line.contains(r#""SET""#)), "{asked:?}");
    assert_eq!(std::fs::read_dir(scene.volume()).unwrap().count(), 0);
}

#[test]
fn a_redis_that_is_away_is_told_beside_a_mistyped_setting() {
    let scene = Scene::new(PLAN).with("STEP_STALE_SECS", "x");
    let said = asked(&scene, &format!("redis://127.0.0.1:{}", free_port()));
    assert_eq!(said.code, 64, "{said:?}");
    assert!(about(&said, "settings")[0]["seen"].as_str().unwrap().starts_with("STEP_STALE_SECS: "));
    let redis = &about(&said, "Redis")[0];
    assert!(redis["seen"].as_str().unwrap().starts_with("nobody listens at "), "{said:?}");
    assert_eq!(redis["repair"], "is it running? look at BELLWETHER_REDIS_URL");
    let scene = Scene::new(PLAN);
    let away = format!("redis://127.0.0.1:{}", free_port());
    assert_eq!(asked(&scene, &away).code, 69);
    assert_eq!(asked(&scene.with("IS_LEADER", "0"), &away).code, 0, "whoever never leads needs none");
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let redis = RedisServer::start_with(&["--requirepass", "hunter33"]);
    let scene = Scene::new(FRAGILE).with("BELLWETHER_SCOPE", SCOPE);
    let with = |password: &str| redis.url().replace("redis://", &format!("redis://{password}"));
    let wrong = asked(&scene, &with(":hunter44@"));
    assert_eq!(wrong.code, 69, "{wrong:?}");
    assert_snapshot!(lines(&wrong, &redis), @"
    fail [redis]/0 refuses this user or password (WRONGPASS invalid username-password pair or user is disabled.)
      look at BELLWETHER_REDIS_URL
    ");
    let none = asked(&scene, &with(""));
    assert_snapshot!(lines(&none, &redis), @"
    fail [redis]/0 wants a password (NOAUTH Authentication required.)
      put it into BELLWETHER_REDIS_URL
    ");
    let right = asked(&scene, &with(":hunter33@"));
    assert_eq!(right.code, 0, "{right:?}");
    for said in [wrong, none, right] {
        assert!(!said.out.contains("hunter") && !said.err.contains("hunter"), "{said:?}");
    }
}

#[test]
fn a_replica_is_told() {
    let primary = RedisServer::start();
    let of = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &of]);
    let scene = scene(PLAN, &replica);
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(
        failure(&said).contains("which cannot be written") && failure(&said).contains("name the primary"),
        "{said:?}"
    );
    replica.cli(&["CONFIG", "SET", "replica-read-only", "no"]);
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!((said.code, &about(&said, "Redis")[1]["state"]), (0, &json!("warn")), "{said:?}");
}

#[test]
fn policies_that_evict_the_lease_are_told() {
    let redis = RedisServer::start_with(&["--maxmemory", "100mb"]);
    let scene = scene(PLAN, &redis);
    let mut seen = Vec::new();
    for policy in ["noeviction", "allkeys-lru", "volatile-ttl"] {
        redis.cli(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let said = scene.say(&["doctor", "--json"]);
        assert_eq!(said.code, 0);
        let last = about(&said, "Redis").pop().unwrap();
        seen.push(format!("{} {}", last["state"].as_str().unwrap(), last["seen"].as_str().unwrap()));
    }
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    let last = about(&scene.say(&["doctor", "--json"]), "Redis").pop().unwrap();
    seen.push(format!("{} {}", last["state"].as_str().unwrap(), last["seen"].as_str().unwrap()));
    assert_snapshot!(seen.join("\n"), @"
    ok maxmemory-policy is noeviction
    warn maxmemory-policy is allkeys-lru: the lease may be evicted when the memory is full
    warn maxmemory-policy is volatile-ttl: the lease may be evicted when the memory is full
    ok maxmemory-policy is volatile-ttl, but there is no maxmemory, so nothing is evicted
    ");
}

#[test]
fn what_the_user_may_not_do_is_told_command_by_command() {
    let redis = RedisServer::start();
    let scene = Scene::new(PLAN).with("BELLWETHER_SCOPE", SCOPE);
    let url = redis.url().replace("redis://", "redis://app:hunter33@");
    let with = |rules: &[&str]| {
        let all = [&["ACL", "SETUSER", "app", "reset", ">hunter33"], rules].concat();
        assert_eq!(redis.cli(&all), "OK");
        asked(&scene, &url)
    };
    let rights = [&["on"], &NEEDED[..]].concat();
    let said = with(&rights);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(about(&said, "Redis").pop().unwrap()["seen"].as_str().unwrap().contains("is not known"), "{said:?}");
    for rule in rights.iter().filter(|rule| !["on", "+select"].contains(*rule)) {
        let fewer: Vec<&str> = rights.iter().filter(|other| *other != rule).copied().collect();
        let said = with(&fewer);
        assert_eq!(said.code, 69, "without {rule}: {said:?}");
        assert!(failure(&said).contains("does not permit what the lease needs"), "without {rule}: {said:?}");
    }
}

#[test]
fn a_server_that_cannot_take_the_lease_is_told() {
    let redis = RedisServer::start();
    let scene = scene(PLAN, &redis);
    redis.cli(&["SET", "ballast", &"x".repeat(100_000)]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(failure(&said).contains("has no memory left"), "{said:?}");
}

#[test]
fn a_lease_that_nobody_gives_back_is_told() {
    let redis = RedisServer::start();
    let scene = scene(PLAN, &redis);
    redis.cli(&["SET", LEASE, "my lock"]);
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 69, "{said:?}");
    assert_snapshot!(failure(&said), @r#"lease: nobody can have it: its key holds "my lock", which is none of ours, without an end -> look at its key with redis-cli (GET 'bellwether:{shop}:lease'), and delete it if nobody needs it"#);
    assert_eq!(redis.cli(&["GET", LEASE]), "my lock");
}

#[test]
fn a_redis_that_hangs_does_not_hold_it_up() {
    let redis = RedisServer::start();
    let scene = scene(PLAN, &redis);
    redis.freeze();
    let said = scene.say(&["doctor", "--json"]);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(failure(&said).contains("does not answer (within 2 s)"), "{said:?}");
    redis.thaw();
}
