//! What the environment says: mistakes, secrets in files, the environments of the field, and the commands beside `run`.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::isolate::{is_in_own_mounts, mount};
use crate::redis_server::RedisServer;
use crate::replica::Launch;
use crate::stack::{ADMIN_PASSWORD, ROOT_PASSWORD, SITE, Stack};

/// What every test here changes: nothing takes longer than it has to.
pub(crate) fn quick() -> Stack {
    Stack::new().env("STANDIN_SPEED", "20")
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// What differs from run to run.
pub(crate) fn redacted(stack: &Stack, text: &str) -> String {
    let port = stack.environment()["DB_PORT"].clone();
    let mut text = text.replace(&stack.scratch().display().to_string(), "[stack]");
    for (port, name) in
        [(port, "[database]"), (stack.cache.port().to_string(), "[cache]"), (stack.queue.port().to_string(), "[queue]")]
    {
        text =
            text.replace(&format!(":{port}"), &format!(":{name}")).replace(&format!("={port} "), &format!("={name} "));
    }
    text
}

#[test]
fn all_mistakes_are_told_at_once_and_nothing_is_touched() {
    let stack = quick()
        .env("SITE", "../etc")
        .env("DB_TYPE", "oracle")
        .env("DB_PORT", "none")
        .env("REDIS_CACHE", "redis")
        .env("APPS", "alpha -x")
        .env("BELLWETHER_ASSETS", "maybe")
        .env("BELLWETHER_SITE_JOBS", "many")
        .env("STEP_STALE_SECS", "soon")
        .without("ADMIN_PASSWORD");
    let before = names(&stack.path(""));
    for words in [["run", "--", "true"].as_slice(), &["plan"]] {
        let (code, out, err) = stack.bellwether(words);
        assert_eq!((code, out.as_str()), (64, ""), "{err}");
        let culprits = [
            "SITE: ",
            "DB_TYPE: ",
            "DB_PORT: ",
            "REDIS_CACHE: ",
            "APPS: ",
            "BELLWETHER_ASSETS: ",
            "BELLWETHER_SITE_JOBS: ",
            "STEP_STALE_SECS: ",
            "ADMIN_PASS: ",
        ];
        for culprit in culprits {
            assert_eq!(err.matches(culprit).count(), 1, "{culprit} in {err}");
        }
        assert!(!err.contains(ROOT_PASSWORD), "{err}");
    }
    assert_eq!(names(&stack.path("")), before);
    assert!(stack.trace().0.is_empty());
}

#[test]
fn a_directory_around_which_there_is_no_bench_is_refused() {
    let stack = quick();
    let elsewhere = stack.scratch().join("elsewhere/sites");
    fs::create_dir_all(&elsewhere).unwrap();
    let stack = stack.env("SITES_DIR", elsewhere.to_str().unwrap());
    let (code, _, err) = stack.bellwether(&["run", "--", "true"]);
    assert_eq!(code, 64);
    assert_snapshot!(redacted(&stack, err.trim_end()), @"
    there is 1 problem with the settings; nothing was touched
      BELLWETHER_VOLUME: [stack]/elsewhere/env/bin/python is not there, so [stack]/elsewhere is no bench; mount the volume at the bench's directory `sites`
    ");
    assert!(names(&elsewhere).is_empty());
}

#[test]
fn an_app_that_is_not_in_the_image_is_refused_before_anything_is_touched() {
    let stack = quick().env("APPS", "alpha, gamma delta");
    let before = names(&stack.path(""));
    let (code, _, err) = stack.bellwether(&["run", "--", "true"]);
    assert_eq!(code, 64);
    assert_snapshot!(redacted(&stack, err.trim_end()), @"
    there is 1 problem with the settings; nothing was touched
      APPS: this image has no gamma, no delta; it has frappe, alpha, beta
    ");
    assert_eq!(names(&stack.path("")), before);
}

#[test]
fn secrets_come_from_files_under_every_name() {
    for (admin, root) in
        [("ADMIN_PASS", "DB_ROOT_PASS"), ("ADMIN_PASSWORD", "DB_ROOT_PASSWORD"), ("ADMIN_PASS", "DB_PASSWORD")]
    {
        let stack = quick().without("ADMIN_PASSWORD").without("DB_PASSWORD").env("APPS", "alpha");
        let file = |name: &str, secret: &str| {
            let path = stack.scratch().join(name);
            fs::write(&path, format!("{secret}\n")).unwrap();
            path.display().to_string()
        };
        let (admin_file, root_file) = (file("admin", ADMIN_PASSWORD), file("root", ROOT_PASSWORD));
        let (queue, cache) = (file("queue", &stack.queue.url()), file("cache", &stack.cache.url()));
        let site_password = file("site", "of-the-sites-own-user");
        let stack = stack
            .env(&format!("{admin}_FILE"), &admin_file)
            .env(&format!("{root}_FILE"), &root_file)
            .env("DB_PASS_FILE", &site_password)
            .env("REDIS_QUEUE_FILE", &queue)
            .env("REDIS_CACHE_FILE", &cache)
            .without("REDIS_QUEUE")
            .without("REDIS_CACHE");
        let log = stack.boot_well();
        assert!(stack.check(SITE)["whole"] == true, "{log}");
        assert_eq!(stack.json(&format!("{SITE}/site_config.json"))["db_password"], "of-the-sites-own-user");
        let trace = stack.trace();
        let created = trace.made("new-site");
        assert!(created[0].has(ADMIN_PASSWORD) && created[0].has(ROOT_PASSWORD), "read, without the newline");
        assert!(!log.contains(ADMIN_PASSWORD) && !log.contains(ROOT_PASSWORD), "{log}");
    }
}

/// A worker, told nothing but where the lease is.
fn bare(stack: &Stack) -> Launch<'_> {
    let names = ["ADMIN_PASSWORD", "DB_HOST", "DB_PORT", "DB_PASSWORD", "REDIS_CACHE", "SITE"];
    names.iter().fold(stack.launch().env("IS_LEADER", "0"), |launch, name| launch.env(name, ""))
}

#[test]
fn a_replica_that_never_leads_needs_neither_database_nor_passwords() {
    let stack = quick();
    let mut worker = bare(&stack).start();
    let mut alone = bare(&stack).env("REDIS_QUEUE", "").start();
    worker.wait_said("FOLLOWER");
    alone.wait_said("FOLLOWER");
    assert!(stack.trace().0.is_empty(), "nobody is here who may lead");
    stack.boot_well();
    for replica in [&mut worker, &mut alone] {
        assert_eq!(replica.wait(), 0, "{}", replica.log());
        assert_eq!(replica.output(), "serves\n");
        assert!(!replica.has_said("LEADER"), "{}", replica.log());
    }
    assert_eq!(stack.trace().made("new-site").len(), 1);
    // Afterwards as well, and what it is told must be right all the same.
    let mut late = bare(&stack).start();
    assert_eq!(late.wait(), 0, "{}", late.log());
    let mut wrong = bare(&stack).env("DB_PORT", "none").rev("v2").start();
    assert_eq!(wrong.wait(), 64);
    assert!(wrong.has_said("DB_PORT: is no port"), "{}", wrong.log());
}

/// `frappe_docker`'s own variables, and what a person adds for a new site.
#[test]
fn the_environment_of_frappe_docker_boots() {
    let stack = quick().env("SOCKETIO_PORT", "9001").env("APPS", "alpha");
    let names = ["DB_HOST", "DB_PORT", "REDIS_CACHE", "REDIS_QUEUE", "SOCKETIO_PORT", "DB_PASSWORD", "ADMIN_PASSWORD"];
    assert!(names.iter().all(|name| stack.environment().contains_key(*name)));
    stack.boot_well();
    let config = stack.json("common_site_config.json");
    let port = |name: &str| stack.environment()[name].rsplit(':').next().unwrap().parse::<u16>().unwrap();
    assert_eq!((&config["db_host"], &config["db_port"]), (&"127.0.0.1".into(), &port("DB_PORT").into()));
    assert_eq!(
        (&config["redis_cache"], &config["redis_queue"]),
        (&stack.cache.url().into(), &stack.queue.url().into())
    );
    assert_eq!((&config["redis_socketio"], &config["socketio_port"]), (&stack.queue.url().into(), &9001.into()));
    // A later revision, whose replicas are told no password: the site is there.
    let stack = stack.without("DB_PASSWORD").without("ADMIN_PASSWORD").env("SKIP_INIT", "1").env("IMAGE_REV", "v2");
    stack.boot_well();
    assert_eq!(stack.check(SITE)["whole"], true);
}

#[test]
fn the_environment_of_the_production_image_boots() {
    const PASSWORD: &str = "r3dis/p@ss";
    let with_password = || RedisServer::start_with(&["--requirepass", PASSWORD]);
    let (cache, queue, socketio, lock) = (with_password(), with_password(), with_password(), with_password());
    let stack = quick()
        .without("REDIS_CACHE")
        .without("REDIS_QUEUE")
        .without("DB_PASSWORD")
        .without("ADMIN_PASSWORD")
        .env("DB_ROOT_USER", "root")
        .env("DB_ROOT_PASS", ROOT_PASSWORD)
        .env("ADMIN_PASS", ADMIN_PASSWORD)
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PASS", PASSWORD)
        .env("REDIS_CACHE_PORT", &cache.port().to_string())
        .env("REDIS_QUEUE_PORT", &queue.port().to_string())
        .env("REDIS_SOCKETIO_PORT", &socketio.port().to_string())
        .env("LOCK_REDIS_HOST", "127.0.0.1")
        .env("LOCK_REDIS_PORT", &lock.port().to_string())
        .env("LOCK_REDIS_PASS", PASSWORD)
        .env("APPS", "alpha,beta")
        .env("AUTO_INSTALL_NEW_APPS", "1")
        .env("ENABLE_SCHEDULER", "0");
    let log = stack.boot_well();
    let config = stack.json("common_site_config.json");
    for (key, server) in [("redis_cache", &cache), ("redis_queue", &queue), ("redis_socketio", &socketio)] {
        assert_eq!(config[key], format!("redis://:r3dis%2Fp%40ss@127.0.0.1:{}", server.port()));
    }
    assert!(log.contains(&format!("redis=redis://127.0.0.1:{}", lock.port())), "{log}");
    assert!(!log.contains(PASSWORD) && !log.contains("r3dis%2Fp%40ss"), "{log}");
    assert_eq!(stack.check(SITE)["apps"], serde_json::json!(["frappe", "alpha", "beta"]));
}

#[test]
fn passwords_of_redis_come_from_files_as_well() {
    let stack = quick().without("REDIS_CACHE").without("REDIS_QUEUE");
    let path = stack.scratch().join("redis-password");
    fs::write(&path, "r3dis/p@ss\n").unwrap();
    let path = path.display().to_string();
    let stack = stack
        .env("REDIS_HOST", "redis")
        .env("REDIS_PASS_FILE", &path)
        .env("REDIS_CACHE_PORT", "6379")
        .env("REDIS_QUEUE_PORT", "6380")
        .env("LOCK_REDIS_HOST", "lock")
        .env("LOCK_REDIS_PASS_FILE", &path)
        .env("REDIS_SOCKETIO_FILE", &path);
    let (code, _, err) = stack.bellwether(&["plan"]);
    assert_eq!(code, 64);
    assert!(err.contains("REDIS_SOCKETIO_FILE: ") && !err.contains("r3dis"), "{err}");
    let (code, out, err) = stack.without("REDIS_SOCKETIO_FILE").bellwether(&["plan"]);
    assert_eq!(code, 0, "{err}");
    for words in
        ["redis_cache=redis://***@redis:6379", "redis_socketio=redis://***@redis:6380", "redis://:***@redis:6379"]
    {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(!out.contains("r3dis"), "{out}");
}

#[test]
fn the_commands_beside_run_know_where_the_preset_has_its_volume() {
    if !is_in_own_mounts("settings::the_commands_beside_run_know_where_the_preset_has_its_volume") {
        return;
    }
    let stack = quick().without("SITES_DIR").env("STANDIN_FAIL_AT", "migrate:patches:1").env("APPS", "alpha");
    mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/home"]);
    fs::create_dir_all("/home/frappe/frappe-bench").unwrap();
    mount(&["--bind", stack.bench().to_str().unwrap(), "/home/frappe/frappe-bench"]);
    let exit = |words: &[&str]| stack.bellwether(words).0;
    assert_eq!((exit(&["ready"]), exit(&["plan"])), (1, 0));
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert_eq!(exit(&["ready"]), 1);
    let (code, status, _) = stack.bellwether(&["status"]);
    assert!(code == 0 && status.contains("volume   /home/frappe/frappe-bench/sites"), "{status}");
    assert!(status.contains("bench --site a.localhost migrate ended with exit code 1"), "{status}");
    let (code, retried, _) = stack.bellwether(&["retry"]);
    assert!(code == 0 && retried.contains("migrate"), "{retried}");
    stack.boot_well();
    assert_eq!(exit(&["ready"]), 0);
    // Who only looks need not know what the work needs, not even which site it is.
    let stack = stack.without("SITE").without("DB_HOST").without("DB_PASSWORD").without("ADMIN_PASSWORD");
    let exit = |words: &[&str]| stack.bellwether(words).0;
    assert_eq!((exit(&["ready"]), exit(&["status"])), (0, 0));
}
