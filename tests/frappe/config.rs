//! What all sites share: `common_site_config.json` and `apps.txt`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::redis_server::RedisServer;
use crate::stack::{Image, SITE, Stack};

const COMMON: &str = "common_site_config.json";

fn quick() -> Stack {
    Stack::new().env("STANDIN_SPEED", "20").env("APPS", "alpha").env("BELLWETHER_ASSETS", "skip")
}

/// What tells a file from one that was written anew.
fn identity(stack: &Stack, name: &str) -> (u64, i64, i64) {
    let found = fs::metadata(stack.path(name)).unwrap();
    (found.ino(), found.mtime(), found.mtime_nsec())
}

fn mode(stack: &Stack, name: &str) -> u32 {
    fs::metadata(stack.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_others_wrote_stays_and_what_is_equal_is_not_written_again() {
    let stack = quick();
    let before = json!({"developer_mode": 1, "db_host": "old", "limits": {"space": 3}, "default_site": "gone"});
    fs::write(stack.path(COMMON), before.to_string()).unwrap();
    stack.boot_well();
    let config = stack.json(COMMON);
    let port: u16 = stack.environment()["DB_PORT"].parse().unwrap();
    let expected = json!({
        "developer_mode": 1, "db_host": "127.0.0.1", "limits": {"space": 3}, "default_site": SITE, "db_port": port,
        "db_type": "mariadb", "redis_cache": stack.cache.url(), "redis_queue": stack.queue.url(),
        "redis_socketio": stack.queue.url(), "socketio_port": 9000,
    });
    assert_eq!(config, expected);
    assert_eq!(mode(&stack, COMMON), 0o644);
    assert_eq!(stack.read("apps.txt"), "frappe\nalpha\nbeta\n");
    let identities = [COMMON, "apps.txt"].map(|name| identity(&stack, name));
    let stack = stack.env("IMAGE_REV", "v2");
    let log = stack.boot_well();
    assert_eq!([COMMON, "apps.txt"].map(|name| identity(&stack, name)), identities);
    assert!(!log.contains("written"), "{log}");
    assert_eq!(stack.trace().of("set-config").len() + stack.trace().of("use").len(), 0);
}

#[test]
fn apps_txt_follows_the_image() {
    let stack = quick().env("APPS", "");
    stack.boot_well();
    assert_eq!(stack.read("apps.txt"), "frappe\nalpha\nbeta\n");
    stack.make_image("v2", &Image { apps: "frappe,alpha,beta,gamma", ..Image::default() });
    let stack = stack.env("IMAGE_REV", "v2");
    stack.boot_well();
    assert_eq!(stack.read("apps.txt"), "frappe\nalpha\nbeta\ngamma\n");
}

#[test]
fn a_file_with_a_password_is_its_owners_alone() {
    let cache = RedisServer::start_with(&["--requirepass", "s3cret"]);
    let stack = quick();
    stack.boot_well();
    assert_eq!(mode(&stack, COMMON), 0o644);
    let stack = stack.env("REDIS_CACHE", &format!("redis://:s3cret@127.0.0.1:{}", cache.port())).env("IMAGE_REV", "v2");
    let log = stack.boot_well();
    assert_eq!(mode(&stack, COMMON), 0o600);
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn a_torn_file_is_refused_in_words_and_left_as_it_is() {
    let stack = quick();
    for torn in ["{\"db_host\": \"1", "[]"] {
        fs::write(stack.path(COMMON), torn).unwrap();
        let before = identity(&stack, COMMON);
        let (code, log) = stack.boot();
        assert_eq!(code, 78, "{log}");
        assert!(log.contains(&format!("{} is no JSON object", stack.path(COMMON).display())), "{log}");
        assert!(log.contains("repair it, or move it away to begin anew"), "{log}");
        assert_eq!((stack.read(COMMON).as_str(), identity(&stack, COMMON)), (torn, before));
        let failed = stack.json(".failed_v1");
        assert_eq!(
            (&failed["step"], &failed["attempts"]),
            (&"config".into(), &1.into()),
            "it would change nothing to try again"
        );
        assert!(!stack.has(SITE) && stack.trace().0.is_empty());
        assert_eq!(stack.bellwether(&["retry"]).0, 0);
    }
    fs::write(stack.path(COMMON), "{}").unwrap();
    stack.boot_well();
}

#[test]
fn no_reader_ever_sees_half_a_file() {
    let stack = quick();
    // Long, so that a file that is truncated and written again would be seen so.
    let long = json!({"note": "x".repeat(200_000), "db_host": "old"});
    fs::write(stack.path(COMMON), long.to_string()).unwrap();
    let is_over = AtomicBool::new(false);
    let path = stack.path(COMMON);
    let hosts = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut hosts: Vec<(String, u64)> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).expect("a whole file");
                let seen = (config["db_host"].as_str().unwrap().to_owned(), config["db_port"].as_u64().unwrap_or(0));
                if hosts.last() != Some(&seen) {
                    hosts.push(seen);
                }
            }
            hosts
        });
        let mut replica = stack.start();
        let code = replica.wait();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(code, 0, "{}", replica.log());
        reader.join().unwrap()
    });
    let port = stack.environment()["DB_PORT"].parse().unwrap();
    assert_eq!(hosts, [("old".to_owned(), 0), ("127.0.0.1".to_owned(), port)], "the old one, then the new one");
    assert_eq!(stack.check_all(&[])["left_over"], json!([]));
}
