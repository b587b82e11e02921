//! Nobody but those who need a secret ever sees it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kill::{Way, die, forget_stop, wait_stopped};
use crate::replica::Replica;
use crate::stack::{Image, SITE, Stack};

/// Files that hold secrets by their nature, which bench writes, or we with mode 0600.
const CONFIGS: [&str; 2] = ["site_config.json", "common_site_config.json"];

/// Three passwords that no other test has: whoever starts servers has them in its command line for a moment.
fn own_secrets(test: &str) -> [String; 3] {
    ["r00t", "adm1n", "r3dis"].map(|whose| format!("{whose}-of-{test}-{}", std::process::id()))
}

fn stack([root, admin, redis]: &[String; 3]) -> Stack {
    let stack = Stack::with_redis(&Image::default(), &["--password", root], &["--requirepass", redis]).quick();
    let url = |port| format!("redis://:{redis}@127.0.0.1:{port}");
    let (cache, queue) = (url(stack.cache.port()), url(stack.queue.port()));
    let stack = stack.env("REDIS_CACHE", &cache).env("REDIS_QUEUE", &queue);
    stack.env("DB_PASSWORD", root).env("ADMIN_PASSWORD", admin)
}

/// All files below, links not followed.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

fn is_config(path: &Path) -> bool {
    CONFIGS.iter().any(|name| path.ends_with(name))
}

/// The passwords of the databases of all sites that there have been.
fn made_up(stack: &Stack) -> Vec<String> {
    let mut secrets = Vec::new();
    for path in files(&stack.path("")).iter().filter(|path| path.ends_with("site_config.json")) {
        // It may be torn at this moment.
        let config: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap_or_default();
        secrets.extend(config["db_password"].as_str().map(str::to_owned));
    }
    secrets
}

fn command_lines() -> String {
    let lines = fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.flatten().map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect()
}

/// Looks everywhere. `seen`: the secrets that there have been before, too.
fn nobody_knows(stack: &Stack, seen: &mut Vec<String>, logs: &[&Replica]) {
    seen.extend(made_up(stack));
    seen.sort();
    seen.dedup();
    let hide = |place: &str, text: &str| {
        let shown: Vec<_> = seen.iter().filter(|secret| text.contains(*secret)).collect();
        assert!(shown.is_empty(), "{shown:?} in {place}:\n{text}");
    };
    hide("the command lines", &command_lines());
    for replica in logs {
        hide("a log", &replica.log());
        hide("an output", &replica.output());
    }
    let all = [files(&stack.path("")), files(&stack.bench().join("logs"))].concat();
    for path in all.iter().filter(|path| !is_config(path)) {
        hide(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(path).unwrap()));
    }
    for redis in [&stack.cache, &stack.queue] {
        for key in redis.cli(&["KEYS", "*"]).lines() {
            hide("a key", &(key.to_owned() + &redis.cli(&["GET", key])));
        }
    }
    let common = stack.path("common_site_config.json");
    assert_eq!(fs::metadata(common).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_phase_of_a_boot_shows_a_secret() {
    let mut seen = own_secrets("phases").to_vec();
    let stack = stack(&own_secrets("phases"));
    let mut monitors = [stack.cache.monitor(), stack.queue.monitor()];
    let phases = ["new-site:schema", "drop-site:database", "install-app:sync", "migrate:schema", "clear-cache:clear"];
    let wishes = phases.map(|phase| format!("{phase}:1")).join(" ");
    let stack = stack.env("STANDIN_STOP_AT", &wishes);
    let mut replica = stack.start();
    let follower = stack.launch().env("IS_LEADER", "0").start();
    for phase in phases {
        let stopped = wait_stopped(&stack, &mut replica);
        assert!(phase.ends_with(&stopped.phase));
        nobody_knows(&stack, &mut seen, &[&replica, &follower]);
        die(&mut replica, Way::Call, &stopped);
        forget_stop(&stack);
    }
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    nobody_knows(&stack, &mut seen, &[&replica, &follower]);
    assert_eq!(seen.len(), 5, "ours, and that of each of two databases: {seen:?}");
    for (monitor, redis) in monitors.iter_mut().zip([&stack.cache, &stack.queue]) {
        let told = monitor.lines(redis).join("\n");
        let told: Vec<_> = seen.iter().filter(|secret| told.contains(*secret)).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

/// bench prints local variables with its tracebacks.
#[test]
fn no_traceback_shows_a_secret() {
    let failures = "new-site:schema:1 install-app:after_install:1 backup:dump:1 migrate:schema:1";
    let mut seen = own_secrets("tracebacks").to_vec();
    let stack = stack(&own_secrets("tracebacks")).env("STANDIN_FAIL_AT", failures).env("BELLWETHER_BACKUP", "1");
    let mut replica = stack.start();
    assert_eq!(replica.wait(), 78, "{}", replica.log());
    let log = replica.log();
    assert!(log.matches("Traceback").count() >= 4 && log.contains("***"), "{log}");
    nobody_knows(&stack, &mut seen, &[&replica]);
    for words in [&["status"][..], &["status", "--json"], &["status", "--history"], &["plan"], &["plan", "--json"]] {
        let (_, out, err) = stack.bellwether(words);
        let shown: Vec<_> = seen.iter().filter(|secret| out.contains(*secret) || err.contains(*secret)).collect();
        assert!(shown.is_empty(), "{words:?}: {shown:?}");
    }
    assert_eq!(stack.bellwether(&["retry"]).0, 0);
    stack.boot_well();
    assert_eq!(stack.check(SITE)["whole"], true);
}
