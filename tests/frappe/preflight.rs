//! Servers that are late, full, silent or locked: nothing is begun before they let us in, and nothing is begun twice.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::thread;

use crate::redis_server::{RedisServer, free_port};
use crate::replica::Replica;
use crate::stack::{Image, ROOT_PASSWORD, SITE, Stack};

fn quick() -> Stack {
    Stack::new().env("STANDIN_SPEED", "20").env("APPS", "alpha")
}

/// Nothing of a site, and nothing that sites share.
fn expect_untouched(stack: &Stack) {
    for name in [SITE, "common_site_config.json", "apps.txt", ".configured_v1"] {
        assert!(!stack.has(name), "{name}");
    }
    assert!(stack.trace().0.is_empty());
    assert!(fs::read_dir(stack.server("databases")).unwrap().next().is_none());
}

/// It serves, after one attempt at everything.
fn expect_served(stack: &Stack, mut replica: Replica) {
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    assert_eq!(replica.output(), "serves\n");
    assert_eq!(stack.trace().made("new-site").len(), 1);
    assert_eq!(stack.json(".configured_v1")["attempt"], 1);
    assert_eq!(stack.check(SITE)["whole"], true);
    assert!(!replica.has_said(ROOT_PASSWORD), "{}", replica.log());
}

#[test]
fn a_port_where_nobody_listens_yet_is_waited_for() {
    let port = free_port();
    let stack = quick().env("DB_PORT", &port.to_string());
    let mut replica = stack.start();
    replica.wait_said(&format!("waiting for tcp://127.0.0.1:{port}"));
    replica.wait_said("connection refused");
    replica.wait_said("DB_HOST and DB_PORT");
    expect_untouched(&stack);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    expect_served(&stack, replica);
}

#[test]
fn a_database_server_that_turns_clients_away_is_waited_for() {
    let table = [
        ("down", "the database server refuses the connection (is it up, and are DB_HOST, DB_PORT"),
        ("starting", "the database server is not ready to serve yet"),
        ("busy", "the database server is not ready to serve yet"),
    ];
    for (file, words) in table {
        let stack = quick();
        fs::write(stack.server(file), "").unwrap();
        let mut replica = stack.start();
        replica.wait_said(words);
        assert!(replica.has_said("LEADER"));
        expect_untouched(&stack);
        fs::remove_file(stack.server(file)).unwrap();
        expect_served(&stack, replica);
    }
}

/// The stand-in's driver waits as long as the real one would.
#[test]
fn a_silent_database_server_is_waited_for() {
    let stack = quick();
    fs::write(stack.server("silent"), "").unwrap();
    let mut replica = stack.start();
    replica.wait_said("the database server does not answer (look at DB_HOST, DB_PORT");
    expect_untouched(&stack);
    fs::remove_file(stack.server("silent")).unwrap();
    expect_served(&stack, replica);
}

/// A server that is being set up may not know its password yet.
#[test]
fn a_wrong_password_of_the_database_is_named_and_may_be_mended_at_the_server() {
    let stack = quick();
    let settings = stack.server("server.json");
    let right = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, right.replace(ROOT_PASSWORD, "another")).unwrap();
    let mut replica = stack.start();
    replica
        .wait_said("the database server refuses the login (look at DB_HOST, DB_PORT, DB_ROOT_USER and DB_ROOT_PASS)");
    replica.wait_said("Access denied for user 'root'");
    expect_untouched(&stack);
    // In one step, since the stand-in reads it at any moment.
    let temporary = stack.server("server.json-new");
    fs::write(&temporary, right).unwrap();
    fs::rename(temporary, settings).unwrap();
    expect_served(&stack, replica);
}

#[test]
fn a_host_that_nobody_knows_is_named_and_the_limit_ends_the_wait() {
    let stack = quick().env("DB_HOST", "db.invalid").env("BELLWETHER_NEEDS_WAIT_SECS", "0.5");
    let (code, log) = stack.boot();
    assert_eq!(code, 75, "{log}");
    for words in ["tcp://db.invalid:", "DB_HOST and DB_PORT", "BELLWETHER_NEEDS_WAIT_SECS"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    expect_untouched(&stack);
}

#[test]
fn a_login_that_is_refused_for_too_long_ends_the_wait_and_the_boot() {
    let stack =
        quick().env("DB_PASSWORD", "wr0ng-one").env("BELLWETHER_NEEDS_WAIT_SECS", "0.1").env("STEP_MAX_ATTEMPTS", "2");
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("refuses the login") && log.contains("(BELLWETHER_NEEDS_WAIT_SECS)"), "{log}");
    assert!(!log.contains("wr0ng-one"), "{log}");
    let failed = stack.json(".failed_v1");
    assert_eq!((&failed["step"], &failed["attempts"]), (&"config".into(), &2.into()), "{failed}");
    expect_untouched(&stack);
    // A replica that is told better goes on as soon as a person says so.
    let stack = stack.env("DB_PASSWORD", ROOT_PASSWORD);
    assert_eq!(stack.bellwether(&["retry"]).0, 0);
    expect_served(&stack, stack.start());
}

/// The cache, since without the queue nobody is elected.
fn with_cache(cache: &RedisServer, password: &str) -> Stack {
    quick().env("REDIS_CACHE", &format!("redis://{password}127.0.0.1:{}", cache.port()))
}

/// To none, if `new` is empty.
fn change_password(server: &RedisServer, old: &str, new: &str) {
    let mut stream = UnixStream::connect(server.socket()).unwrap();
    write!(stream, "AUTH {old}\r\nCONFIG SET requirepass \"{new}\"\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert_eq!([lines.next().unwrap(), lines.next().unwrap()], ["+OK", "+OK"]);
}

#[test]
fn a_cache_that_wants_another_password_is_waited_for() {
    for (password, words) in [("", "NOAUTH"), (":wr0ng-one@", "WRONGPASS")] {
        let cache = RedisServer::start_with(&["--requirepass", "right"]);
        let stack = with_cache(&cache, password);
        let mut replica = stack.start();
        replica.wait_said(words);
        replica.wait_said("REDIS_CACHE");
        assert!(!replica.has_said("wr0ng-one"), "{}", replica.log());
        expect_untouched(&stack);
        let wanted = if password.is_empty() { "" } else { "wr0ng-one" };
        change_password(&cache, "right", wanted);
        expect_served(&stack, replica);
    }
}

#[test]
fn a_cache_that_is_down_is_waited_for() {
    let mut cache = RedisServer::start();
    let stack = with_cache(&cache, "");
    cache.kill();
    let mut replica = stack.start();
    replica.wait_said(&format!("waiting for redis://127.0.0.1:{}", cache.port()));
    replica.wait_said("refused");
    expect_untouched(&stack);
    cache.restart();
    expect_served(&stack, replica);
}

#[test]
fn a_queue_that_is_down_is_waited_for() {
    let mut stack = quick();
    stack.queue.kill();
    let mut replica = stack.start();
    replica.wait_said("refused");
    replica.wait_said("REDIS_QUEUE");
    expect_untouched(&stack);
    stack.queue.restart();
    expect_served(&stack, replica);
}

#[test]
fn a_postgresql_server_is_waited_for_in_its_own_words() {
    let stack = Stack::of(&Image::default(), &["--type", "postgres"]).env("DB_TYPE", "postgres");
    let stack = stack.env("STANDIN_SPEED", "20").env("APPS", "alpha").env("DB_PASSWORD", "wr0ng-one");
    fs::write(stack.server("starting"), "").unwrap();
    let mut replica = stack.launch().env("DB_PASSWORD", ROOT_PASSWORD).start();
    replica.wait_said("the database server is not ready to serve yet");
    replica.wait_said("starting up");
    expect_untouched(&stack);
    fs::remove_file(stack.server("starting")).unwrap();
    expect_served(&stack, replica);
    let trace = stack.trace();
    let created = trace.made("new-site")[0];
    assert!(created.has("postgres") && !created.has("--no-mariadb-socket"), "{created:?}");
    let mut late =
        stack.launch().rev("v2").env("BELLWETHER_NEEDS_WAIT_SECS", "0.1").env("STEP_MAX_ATTEMPTS", "1").start();
    assert_eq!(late.wait(), 78);
    assert!(late.has_said("the database server refuses the login (look at DB_HOST"), "{}", late.log());
    assert!(late.has_said("password authentication failed"), "{}", late.log());
}

/// Its driver has other words, and `new-site` another option.
#[test]
fn a_newer_bench_is_spoken_to_in_its_own_words() {
    let stack = quick().env("STANDIN_NEW", "1");
    fs::write(stack.server("down"), "").unwrap();
    let mut replica = stack.start();
    replica.wait_said("the database server refuses the connection");
    expect_untouched(&stack);
    fs::remove_file(stack.server("down")).unwrap();
    expect_served(&stack, replica);
    let trace = stack.trace();
    let created = trace.made("new-site")[0];
    assert!(created.has("--mariadb-user-host-login-scope=%") && !created.has("--no-mariadb-socket"), "{created:?}");
}
