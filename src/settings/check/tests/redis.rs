//! Which Redis is meant, and what is said when none can be.

use super::*;
#[cfg(feature = "redis")]
use crate::settings::redis::RedisSettings;

fn bench(env: &[(&str, &str)]) -> Bench {
    env.iter().fold(Bench::new(), |bench, (name, value)| bench.set(name, value))
}

#[cfg(feature = "redis")]
fn found(env: &[(&str, &str)]) -> RedisSettings {
    bench(env).settings().redis.expect("a Redis")
}

/// Place, password, and what is named for both.
#[cfg(feature = "redis")]
fn told(env: &[(&str, &str)]) -> String {
    let server = found(env).server;
    let (password, origin) = (server.password().unwrap_or("-"), server.origin());
    format!("{server} {password} ({}, {})", origin.place, origin.password)
}

const URL: (&str, &str) = ("BELLWETHER_REDIS_URL", "redis://u:p@url:1/2");
const LOCK: [(&str, &str); 3] =
    [("LOCK_REDIS_HOST", "lock"), ("LOCK_REDIS_PORT", "2"), ("LOCK_REDIS_PASS", "lock-pass")];
const APP: [(&str, &str); 3] = [("REDIS_HOST", "app"), ("REDIS_QUEUE_PORT", "3"), ("REDIS_PASS", "app-pass")];
const QUEUE: (&str, &str) = ("REDIS_QUEUE", "queue:4");
/// What Kubernetes sets for services called `lock-redis` and `redis-queue`.
const LINKS: [(&str, &str); 2] =
    [("LOCK_REDIS_PORT", "tcp://10.0.0.1:6379"), ("REDIS_QUEUE_PORT", "tcp://10.0.0.2:6379")];

#[test]
#[cfg(feature = "redis")]
fn the_first_source_that_is_set_says_it_all() {
    let all: Vec<(&str, &str)> = [URL].into_iter().chain(LOCK).chain(APP).chain([QUEUE]).collect();
    for (env, expected) in [
        (&all[..], "redis://url:1/2 p (BELLWETHER_REDIS_URL, BELLWETHER_REDIS_URL)"),
        (&all[1..], "redis://lock:2/0 lock-pass (LOCK_REDIS_HOST, LOCK_REDIS_PASS)"),
        (&all[4..], "redis://app:3/0 app-pass (REDIS_HOST, REDIS_PASS)"),
        (&all[5..], "redis://queue:4/0 - (REDIS_QUEUE, REDIS_QUEUE)"),
        (&all[1..2], "redis://lock:6379/0 - (LOCK_REDIS_HOST, LOCK_REDIS_PASS)"),
        (&[LOCK[0], APP[2], QUEUE], "redis://lock:6379/0 - (LOCK_REDIS_HOST, LOCK_REDIS_PASS)"),
        (&[APP[0], APP[1]], "redis://app:3/0 - (REDIS_HOST, REDIS_PASS)"),
        (&[APP[0], QUEUE], "redis://queue:4/0 - (REDIS_QUEUE, REDIS_QUEUE)"),
        (&[LOCK[0], LINKS[0]], "redis://lock:6379/0 - (LOCK_REDIS_HOST, LOCK_REDIS_PASS)"),
        (&[LINKS[0], LINKS[1], APP[0], QUEUE], "redis://queue:4/0 - (REDIS_QUEUE, REDIS_QUEUE)"),
        (&[("REDIS_QUEUE", "redis://:p%40ss@queue/1")], "redis://queue:6379/1 p@ss (REDIS_QUEUE, REDIS_QUEUE)"),
        (&[("REDIS_QUEUE", "[::1]:6379")], "redis://[::1]:6379/0 - (REDIS_QUEUE, REDIS_QUEUE)"),
        (&[("LOCK_REDIS_HOST", "::1"), LOCK[1]], "redis://[::1]:2/0 - (LOCK_REDIS_HOST, LOCK_REDIS_PASS)"),
        (&[("BELLWETHER_REDIS_URL", ""), QUEUE], "redis://queue:4/0 - (REDIS_QUEUE, REDIS_QUEUE)"),
    ] {
        assert_eq!(told(env), expected, "{env:?}");
    }
}

#[test]
fn without_a_source_there_is_no_redis() {
    let none = ("BELLWETHER_REDIS_URL", "none");
    for env in [
        &[][..],
        &[none, QUEUE, APP[0], APP[1]],
        &[("BELLWETHER_REDIS_URL", "None"), LOCK[0]],
        &[APP[1], APP[2]],
        &LINKS,
        &[("REDIS_QUEUE", "default")],
        &[APP[0]],
    ] {
        assert_eq!(bench(env).settings().redis, None, "{env:?}");
    }
    let bench = bench(&[QUEUE]).flag("BELLWETHER_REDIS_URL", "none");
    assert_eq!((bench.settings().redis.is_none(), bench.notices().as_str()), (true, ""));
}

#[test]
#[cfg(feature = "redis")]
fn secrets_come_from_files_and_stay_hidden_however_short() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (pass, url) = (file("pass", "p/q\n"), file("url", "redis://:p%2Fq@db\n"));
    for (env, expected) in [
        (
            &[LOCK[0], ("LOCK_REDIS_PASS_FILE", &*pass)][..],
            "redis://lock:6379/0 p/q (LOCK_REDIS_HOST, LOCK_REDIS_PASS_FILE)",
        ),
        (&[APP[0], APP[1], ("REDIS_PASS_FILE", &*pass)], "redis://app:3/0 p/q (REDIS_HOST, REDIS_PASS_FILE)"),
        (
            &[("BELLWETHER_REDIS_URL_FILE", &*url)],
            "redis://db:6379/0 p/q (BELLWETHER_REDIS_URL_FILE, BELLWETHER_REDIS_URL_FILE)",
        ),
        (&[("REDIS_QUEUE_FILE", &*url)], "redis://db:6379/0 p/q (REDIS_QUEUE_FILE, REDIS_QUEUE_FILE)"),
    ] {
        assert_eq!(told(env), expected);
        let settings = bench(env).settings();
        assert_eq!(settings.mask.mask("-p/q-p%2Fq-").into_owned(), "-***-***-", "{env:?}");
        assert!(!format!("{settings:?}").contains("p/q") && !format!("{settings:?}").contains("p%2Fq"), "{settings:?}");
    }
    // What is not used may be the application's alone, and unreadable.
    let env = [("BELLWETHER_REDIS_URL", "redis://db"), ("REDIS_PASS_FILE", "/nowhere"), ("REDIS_PASS", "app-pass")];
    assert_eq!(bench(&env).settings().mask.mask("app-pass"), "***");
    assert_eq!(bench(&[("REDIS_PASS", "app")]).settings().mask.mask("app"), "app");
    let flag = bench(&[("BELLWETHER_REDIS_URL_FILE", &url)]).flag("BELLWETHER_REDIS_URL", "redis://flag").settings();
    let server = flag.redis.unwrap().server;
    let origin = server.origin();
    assert_eq!((&*origin.place, &*origin.password), ("--redis-url", "BELLWETHER_REDIS_URL_FILE"));
}

#[test]
fn what_is_wrong_is_told_without_secrets() {
    let refused = |env: &[(&str, &str)]| {
        let text = bench(env).refused();
        assert!(!text.contains("hunter2"), "{text}");
        text
    };
    let url = |text| refused(&[("BELLWETHER_REDIS_URL", text)]);
    for text in ["db:6379", ":hunter2@db:6379", "://:hunter2@db", "redis://", "nothing", "rediss://:hunter2@db"] {
        assert!(url(text).starts_with("BELLWETHER_REDIS_URL: "), "{text}");
    }
    insta::assert_snapshot!(url("db:6379"), @"BELLWETHER_REDIS_URL: is neither redis://[user:password@]host[:port][/db] nor unix:///path/to/socket");
    insta::assert_snapshot!(url("redis://:hunter2@"), @"BELLWETHER_REDIS_URL: has no usable host; a name, an IPv4 address or an IPv6 address in [] is allowed");
    insta::assert_snapshot!(refused(&LOCK[1..]), @"LOCK_REDIS_PORT: is set, but LOCK_REDIS_HOST is not; set both or none");
    insta::assert_snapshot!(refused(&LOCK[2..]), @"LOCK_REDIS_PASS: is set, but LOCK_REDIS_HOST is not; set both or none");
    insta::assert_snapshot!(refused(&[("LOCK_REDIS_PASS_FILE", "/nowhere"), QUEUE]), @"LOCK_REDIS_PASS_FILE: is set, but LOCK_REDIS_HOST is not; set both or none");
    insta::assert_snapshot!(refused(&[LOCK[0], ("LOCK_REDIS_PASS_FILE", "/nowhere")]), @"LOCK_REDIS_PASS_FILE: cannot read /nowhere: No such file or directory (os error 2)");
    insta::assert_snapshot!(refused(&[("LOCK_REDIS_HOST", "redis://:hunter2@db:1"), ("LOCK_REDIS_PORT", "0")]), @r"
    LOCK_REDIS_HOST: is no host; a name or an IP address is needed, without scheme and port
    LOCK_REDIS_PORT: is no port; a number from 1 to 65535 is needed
    ");
    insta::assert_snapshot!(refused(&[("REDIS_HOST", "db:1"), ("REDIS_QUEUE_PORT", "65536")]), @r"
    REDIS_HOST: is no host; a name or an IP address is needed, without scheme and port; if it is the application's alone, set BELLWETHER_REDIS_URL to the lease's Redis or to none
    REDIS_QUEUE_PORT: is no port; a number from 1 to 65535 is needed; if it is the application's alone, set BELLWETHER_REDIS_URL to the lease's Redis or to none
    ");
    insta::assert_snapshot!(refused(&[("REDIS_QUEUE", ":hunter2@db:1")]), @"REDIS_QUEUE: is neither host:port nor a URL such as redis://host:6379; if it is the application's alone, set BELLWETHER_REDIS_URL to the lease's Redis or to none");
    insta::assert_snapshot!(refused(&[QUEUE, ("REDIS_QUEUE_FILE", "/nowhere")]), @"REDIS_QUEUE_FILE: cannot read /nowhere: No such file or directory (os error 2)");
}

#[test]
#[cfg(feature = "redis")]
fn what_is_ignored_is_noticed() {
    let notices = |env: &[(&str, &str)]| bench(env).notices();
    insta::assert_snapshot!(notices(&[URL, LOCK[0]]), @"LOCK_REDIS_HOST: is another Redis than that of BELLWETHER_REDIS_URL, which counts; unset one of them");
    insta::assert_snapshot!(notices(&[URL, LOCK[1], LOCK[2]]), @"LOCK_REDIS_PORT: is ignored, as BELLWETHER_REDIS_URL says all of it; put it there");
    insta::assert_snapshot!(notices(&[("BELLWETHER_REDIS_URL", "none"), LOCK[0], LOCK[2]]), @"LOCK_REDIS_HOST: is ignored, as BELLWETHER_REDIS_URL is none; unset one of them");
    insta::assert_snapshot!(notices(&[APP[0], APP[2]]), @"REDIS_HOST: does not hold the lease: without REDIS_QUEUE_PORT it may be a cache; set that or BELLWETHER_REDIS_URL (none: the guard on the volume elects alone)");
    insta::assert_snapshot!(notices(&[("REDIS_QUEUE", "default")]), @"REDIS_QUEUE: does not hold the lease: it is neither host:port nor a URL; set BELLWETHER_REDIS_URL (none: the guard on the volume elects alone)");
    let times = [("LOCK_RENEW_TTL_SECS", "9"), ("LOCK_HEARTBEAT_SECS", "1"), ("BELLWETHER_SCOPE", "shop")];
    insta::assert_snapshot!(notices(&times), @r"
    LOCK_RENEW_TTL_SECS: is ignored: no Redis is configured, the guard on the volume elects
    LOCK_HEARTBEAT_SECS: is ignored: no Redis is configured, the guard on the volume elects
    BELLWETHER_SCOPE: is ignored: no Redis is configured, the guard on the volume elects
    ");
    for quiet in [
        &[URL, ("LOCK_REDIS_HOST", "url"), ("LOCK_REDIS_PORT", "1"), ("LOCK_REDIS_PASS", "other")][..],
        &[("BELLWETHER_REDIS_URL", "redis://url"), ("LOCK_REDIS_HOST", "url")],
        &[URL, APP[0], APP[1], QUEUE],
        &[LOCK[0], APP[0], QUEUE],
        &[APP[0], QUEUE],
        &[URL, times[0], times[2]],
        &[("BELLWETHER_REDIS_URL", "none"), APP[0], ("REDIS_QUEUE", "default")],
        &LINKS,
    ] {
        assert_eq!(notices(quiet), "", "{quiet:?}");
    }
}

#[test]
#[cfg(feature = "redis")]
fn times_and_scope_are_read() {
    let plain = found(&[QUEUE]);
    assert_eq!((plain.ttl, plain.heartbeat, plain.scope), (None, None, None));
    assert_eq!(plain.wait, Duration::from_secs(120));
    let all = found(&[
        QUEUE,
        ("LOCK_RENEW_TTL_SECS", "0.75"),
        ("LOCK_HEARTBEAT_SECS", ".1"),
        ("BELLWETHER_REDIS_WAIT_SECS", "0"),
        ("BELLWETHER_SCOPE", "shop.v1"),
    ]);
    assert_eq!((all.ttl, all.heartbeat), (Some(Duration::from_millis(750)), Some(Duration::from_millis(100))));
    assert_eq!((all.wait, all.scope.unwrap().as_str()), (Duration::from_secs(1_000_000_000), "shop.v1"));
    let wrong = bench(&[
        QUEUE,
        ("LOCK_RENEW_TTL_SECS", "10000.1"),
        ("LOCK_HEARTBEAT_SECS", "0.04"),
        ("BELLWETHER_SCOPE", "a b"),
    ]);
    insta::assert_snapshot!(wrong.refused(), @r"
    LOCK_RENEW_TTL_SECS: 10000.1 s is out of range; 0.5 to 10000 s are allowed
    LOCK_HEARTBEAT_SECS: 0.04 s is out of range; 0.05 to 3600 s are allowed
    BELLWETHER_SCOPE: holds ' ' at position 2; allowed are letters, digits and, after the first, '.', '_' and '-'
    ");
}

#[test]
#[cfg(feature = "redis")]
fn with_a_redis_untrusted_locks_elect_nobody() {
    let untrusted = ("BELLWETHER_VOLUME_LOCKS", "untrusted");
    assert_eq!(bench(&[untrusted, QUEUE]).settings().locks, VolumeLocks::Untrusted);
    assert_eq!(bench(&[untrusted, ("IS_LEADER", "0")]).settings().redis, None);
    insta::assert_snapshot!(bench(&[untrusted, QUEUE, ("STEP_STALE_SECS", "5")]).refused(), @"STEP_STALE_SECS: 5 s is too short; at least 6 s are needed");
    insta::assert_snapshot!(bench(&[untrusted, ("BELLWETHER_REDIS_URL", "none")]).refused(), @"BELLWETHER_VOLUME_LOCKS: untrusted locks cannot elect a leader, and without Redis nothing else does; set BELLWETHER_REDIS_URL, or use a volume whose locks hold between the replicas");
    // One mistake is one problem.
    insta::assert_snapshot!(bench(&[untrusted, ("BELLWETHER_REDIS_URL", "db")]).refused(), @"BELLWETHER_REDIS_URL: is neither redis://[user:password@]host[:port][/db] nor unix:///path/to/socket");
}

#[test]
#[cfg(feature = "redis")]
fn a_glance_sees_the_same_redis() {
    let glance = |env: &[(&str, &str)]| {
        let bench = bench(env);
        Glance::from(&bench.env.iter().cloned().collect(), &bench.overlay, Presets::default())
    };
    assert_eq!(glance(&LOCK).unwrap().redis, Some(found(&LOCK)));
    assert_eq!(glance(&[]).unwrap().redis, None);
    let problems = glance(&[("REDIS_QUEUE", "queue:")]).unwrap_err();
    insta::assert_snapshot!(Problem::render(&problems), @r"
    there is 1 problem with the settings; nothing was touched
      REDIS_QUEUE: is neither host:port nor a URL such as redis://host:6379; if it is the application's alone, set BELLWETHER_REDIS_URL to the lease's Redis or to none
    ");
}

#[test]
#[cfg(not(feature = "redis"))]
fn without_the_feature_a_configured_redis_is_refused() {
    for env in [&LOCK[..], &APP, &[QUEUE], &[URL]] {
        let text = bench(env).refused();
        assert!(
            text.contains(": this build knows no Redis; take one that does, or set BELLWETHER_REDIS_URL=none to"),
            "{text}"
        );
    }
    assert_eq!(bench(&[("BELLWETHER_REDIS_URL", "none"), QUEUE]).settings().redis, None);
}
