//! A Redis that cannot be used: what a replica says, and that it tells no secret while it does.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::outage::silent_address;
use crate::redis_server::RedisServer;
use crate::stack::{Stack, Step};
use crate::wait::wait_until;

const SECRET: &str = "correct-horse";
const WRONG: &str = "battery-staple";

/// The last line of a replica that gives up on this server.
fn last_line(stack: &Stack, url: &str) -> String {
    let launch = stack.replica().env("BELLWETHER_REDIS_URL", url).env("BELLWETHER_REDIS_WAIT_SECS", "0.05");
    let mut replica = launch.start();
    assert_eq!(replica.wait(), 69, "{url}:\n{}", replica.log());
    let log = replica.log();
    assert!(!log.contains(SECRET) && !log.contains(WRONG), "{log}");
    let last = log.lines().last().unwrap().to_owned();
    assert!(last.contains("exit 69"), "{log}");
    last
}

/// Speaks as a server does that was asked in clear and wants TLS: an alert, and the end.
fn serve_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46");
        }
    });
    url
}

#[test]
fn each_kind_of_trouble_has_a_sentence_that_names_the_setting_to_look_at() {
    let stack = Stack::new().step(Step::quick("migrate"));
    let (_bound, nobody) = silent_address();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = mute.local_addr().unwrap();
    let open = RedisServer::start();
    let rights = ["on", ">correct-horse", "~*", "&*", "+@all", "-eval", "-evalsha"];
    assert_eq!(open.cli(&[&["ACL", "SETUSER", "shepherd"][..], &rights].concat()), "OK");
    let closed = RedisServer::start_with(&["--requirepass", SECRET]);
    let copy = RedisServer::start_with(&["--replicaof", "127.0.0.1", &closed.port().to_string()]);
    let at = |login: &str, redis: &RedisServer| format!("redis://{login}127.0.0.1:{}", redis.port());
    // A name this long is refused without asking anybody.
    let unknown = "x".repeat(64);
    let table = [
        (format!("redis://{nobody}"), "nobody listens at", "is it running?"),
        (format!("redis://{unknown}:6379"), "the host of redis://xxx", "is not known"),
        (format!("redis://{mute}"), "does not answer (within 0.25 s)", "firewall"),
        (at(&format!(":{WRONG}@"), &closed), "refuses this user or password", "look at"),
        (at("", &closed), "wants a password", "put it into"),
        (at(&format!(":{SECRET}@"), &open), "has no password, and refuses ours", "remove it from"),
        (at(&format!("shepherd:{WRONG}@"), &open), "refuses this user or password", "look at"),
        (at(&format!("shepherd:{SECRET}@"), &open), "does not permit what the lease needs", "+evalsha"),
        (at("", &open) + "/99", "has no such database", "look at"),
        (at("", &copy), "is a replica, which cannot be written", "name the primary"),
        (serve_tls(), "does not speak Redis in clear", "TLS"),
        ("unix:///no/such/socket".to_owned(), "the socket unix:///no/such/socket cannot be opened", "owner and mode"),
    ];
    for (url, sentence, advice) in &table {
        let last = last_line(&stack, url);
        // Rights are no setting of ours.
        let setting = if sentence.contains("permit") { "+eval" } else { "BELLWETHER_REDIS_URL" };
        for text in [sentence, advice, setting] {
            assert!(last.contains(text), "{text:?} is missing for {url}: {last}");
        }
    }
    assert_eq!(stack.journal().entries(), []);
}

#[test]
fn a_url_of_another_scheme_is_refused_before_anything_is_touched() {
    let stack = Stack::new().step(Step::quick("migrate"));
    for scheme in ["rediss", "redis+sentinel", "redis+cluster", "http", "valkey", "ftp"] {
        let url = format!("{scheme}://:{SECRET}@redis:6379/0");
        let mut replica = stack.replica().env("BELLWETHER_REDIS_URL", &url).start();
        assert_eq!(replica.wait(), 64, "{scheme}:\n{}", replica.log());
        assert!(replica.has_said("BELLWETHER_REDIS_URL") && !replica.has_said(SECRET), "{}", replica.log());
    }
    assert!(stack.names(".").is_empty());
}

/// The files below a directory that hold the secret, but for those where a user put it.
fn files_with_the_secret(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with_the_secret(&path));
        } else if kind.is_file() && String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(SECRET) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found
}

#[test]
fn the_password_stands_in_no_log_no_argument_no_key_and_no_file_on_the_volume() {
    let script = "begin; env; echo \"$BELLWETHER_REDIS_URL\" >&2; gate; finish";
    let late = Step::gated("late").after(&["migrate"]);
    let mut stack = Stack::new().step(Step::script("migrate", script)).step(late);
    let user = ["ACL", "SETUSER", "shepherd", "on", ">correct-horse", "~*", "&*", "+@all"];
    assert_eq!(stack.redis().cli(&user), "OK");
    let socket = stack.redis().socket();
    let url = format!("unix://{}?user=shepherd&pass={SECRET}", socket.display());
    fs::write(stack.scratch().join("redis-url"), &url).unwrap();
    stack = stack.env("BELLWETHER_REDIS_URL", &url);
    let file = stack.scratch().join("redis-url").display().to_string();
    let by_file = stack.replica().under(&["env", "-u", "BELLWETHER_REDIS_URL"]);
    let mut by_file = by_file.env("BELLWETHER_REDIS_URL_FILE", &file).start();
    by_file.wait_said("LEADER");
    let mut monitor = stack.redis().monitor();
    let mut follower = stack.start_follower();
    stack.journal().wait("start", "migrate", 1);
    wait_until("a holder", || stack.holder().is_some_and(|holder| holder["epoch"] == 1));
    for pid in [by_file.tree(), follower.tree()].concat() {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(SECRET), "{pid}");
    }
    let keys = stack.redis().cli(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 2, "{keys}");
    for key in keys.lines() {
        assert!(!stack.redis().cli(&["GET", key]).contains(SECRET), "{key}");
    }
    // What went wrong is told as well, and without it.
    by_file.signal(rustix::process::Signal::TERM);
    assert_eq!(by_file.wait(), 143);
    stack.journal().wait("start", "migrate", 2);
    follower.wait_said("***");
    let seen = monitor.lines(stack.redis());
    assert!(!seen.is_empty() && seen.iter().all(|line| !line.contains(SECRET)), "{seen:#?}");
    stack.redis_mut().kill();
    follower.wait_said("look at its log");
    stack.open_gate("migrate");
    wait_until("the mark", || stack.has(".migrate_done_v1"));
    follower.signal(rustix::process::Signal::TERM);
    assert_eq!(follower.wait(), 143);
    assert_eq!(files_with_the_secret(stack.scratch()), ["redis-url"]);
}
