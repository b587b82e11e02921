//! `status`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{LEASE, SCOPE, scene};
use crate::redis_server::{RedisServer, free_port};
use crate::scene::{ENDLESS, FRAGILE, Scene};

/// The two lines about the lease.
fn lines(scene: &Scene, redis: &RedisServer) -> String {
    let shown = scene.shown(&["status"]).replace(&redis.url(), "[redis]");
    let about = |line: &&str| line.starts_with("lease ") || line.starts_with("redis ");
    shown.lines().filter(about).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_lease_is_shown_from_its_beginning_to_its_end() {
    let redis = RedisServer::start();
    let scene = scene(ENDLESS, &redis);
    assert_snapshot!(lines(&scene, &redis), @"
    lease nobody has it
    redis [redis]/0, epoch 0
    ");
    let leader = scene.leader();
    let status = scene.await_status(|status| status["lease"]["holder"]["epoch"] == 1);
    assert_snapshot!(lines(&scene, &redis), @"
    lease held by host [host] pid [pid], revision v1, epoch 1, [span] left
    redis [redis]/0, epoch 1
    ");
    let lease = &status["lease"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_snapshot!(keys(lease), @"server scope state holder left_secs epoch foreign failure");
    assert_snapshot!(keys(&lease["holder"]), @"host pid revision epoch");
    assert!(lease["left_secs"].as_f64().is_some_and(|left| left > 0.0 && left <= 30.0), "{lease}");
    assert_eq!(lease["holder"]["pid"], leader.id());
    leader.signal(rustix::process::Signal::TERM);
    assert_eq!(leader.code(), Some(143));
    let server = format!("{}/0", redis.url());
    let free = json!({ "server": server, "scope": SCOPE, "state": "free", "holder": null, "left_secs": null,
                       "epoch": 1, "foreign": null, "failure": null });
    assert_eq!(scene.status()["lease"], free);
}

#[test]
fn without_a_redis_there_is_no_lease() {
    let scene = Scene::new(FRAGILE);
    assert_eq!(scene.status()["lease"], Value::Null);
    assert!(!scene.shown(&["status"]).contains("lease"));
}

#[test]
fn before_anybody_was_here_it_is_not_known_what_to_ask_for() {
    let redis = RedisServer::start();
    let scene = Scene::new(FRAGILE).with("BELLWETHER_REDIS_URL", &redis.url());
    assert_snapshot!(lines(&scene, &redis), @"
    lease nobody has it
    redis [redis]/0, not asked: no replica has been here yet
    ");
    assert_eq!(scene.status()["lease"]["scope"], Value::Null);
    assert_eq!(std::fs::read_dir(scene.volume()).unwrap().count(), 0, "a look leaves nothing behind");
    scene.write("repaired", "");
    assert_eq!(scene.say(&["run", "--", "true"]).code, 0);
    let id = std::fs::read_to_string(scene.volume().join(".bellwether/id")).unwrap();
    assert_eq!(scene.status()["lease"]["scope"], id.trim());
    assert_snapshot!(lines(&scene, &redis), @"
    lease nobody has it
    redis [redis]/0, epoch 1
    ");
}

#[test]
fn what_stands_in_the_key_instead_is_shown_harmlessly() {
    let redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis);
    redis.cli(&["SET", LEASE, "my\x1b[2Jlock", "PX", "60000"]);
    assert_snapshot!(lines(&scene, &redis), @r#"
    lease nobody can have it: its key holds "my\u{1b}[2Jlock", which is none of ours, [span] left
    redis [redis]/0, epoch 0
    "#);
    redis.cli(&[
        "SET",
        LEASE,
        r#"{"token":"65432109-8765-4321-8765-432109876543","host":"w\u001b[2J","pid":7,"rev":"v2","epoch":null}"#,
    ]);
    assert_snapshot!(lines(&scene, &redis), @"
    lease held by host w [2J pid [pid], revision v2, without an end
    redis [redis]/0, epoch 0
    ");
    redis.cli(&["DEL", LEASE]);
    redis.cli(&["LPUSH", LEASE, "x"]);
    assert_snapshot!(lines(&scene, &redis), @"
    lease unknown
    redis something foreign stands in a key of ours at [redis]/0 (WRONGTYPE Operation against a key holding the wrong kind of value); look at it with redis-cli, and remove it if nobody needs it
    ");
    assert_eq!(redis.cli(&["TYPE", LEASE]), "list");
}

#[test]
fn a_redis_that_cannot_be_asked_is_a_line_and_no_failure() {
    let redis = RedisServer::start();
    let scene = scene(FRAGILE, &redis);
    redis.freeze();
    assert_snapshot!(lines(&scene, &redis), @"
    lease unknown
    redis [redis]/0 does not answer (within 1 s); look at BELLWETHER_REDIS_URL, at its load, and for a firewall on the way
    ");
    assert_eq!(scene.status()["lease"]["state"], "unknown");
    redis.thaw();
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let said = scene.say_with(&[("BELLWETHER_REDIS_URL", &nobody)], &["status"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let text = scene.redact(&said.out).replace(&nobody, "[redis]");
    assert_snapshot!(text, @"
    revision v1: nothing begun, new here
    volume [volume]
    epoch 0
    guard nobody holds it
    lease unknown
    redis nobody listens at [redis]/0 (Connection refused (os error 111)); is it running? look at BELLWETHER_REDIS_URL

    STEP STATE
    site not begun
    migrate waiting for site
    assets waiting for migrate
    ");
}

#[test]
fn no_secret_is_shown() {
    let redis = RedisServer::start_with(&["--requirepass", "hunter33"]);
    let url = redis.url().replace("redis://", "redis://:hunter33@");
    let scene = Scene::new(FRAGILE).with("BELLWETHER_REDIS_URL", &url).with("BELLWETHER_SCOPE", SCOPE);
    let wrong = Scene::new(FRAGILE).with("BELLWETHER_REDIS_URL", &url.replace("33", "44"));
    let wrong = wrong.with("BELLWETHER_SCOPE", SCOPE);
    assert_eq!(scene.status()["lease"]["state"], "free");
    assert_eq!(wrong.status()["lease"]["state"], "unknown");
    for (scene, command) in
        [(&scene, "status"), (&wrong, "status"), (&scene, "plan"), (&wrong, "plan"), (&wrong, "reset")]
    {
        for said in
            [scene.say(&[command]), scene.say(&[command, if command == "reset" { "--force" } else { "--json" }])]
        {
            assert!(!said.out.contains("hunter") && !said.err.contains("hunter"), "{said:?}");
        }
    }
}

#[test]
fn a_watch_tells_of_the_lease_as_it_changes() {
    let redis = RedisServer::start();
    let scene = scene(ENDLESS, &redis);
    let (_watch, lines) = scene.stream(&["status", "--watch"]);
    lines.await_line("lease    nobody has it");
    lines.await_line("assets");
    let leader = scene.leader();
    lines.await_line("lease: held by host ");
    redis.freeze();
    lines.await_line("lease: unknown");
    let line = lines.await_line("redis: ");
    assert!(line.contains("does not answer (within 1 s)"), "{line}");
    redis.thaw();
    lines.await_line("lease: held by host ");
    drop(leader);
}
