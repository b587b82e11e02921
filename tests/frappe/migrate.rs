//! Migrations: who is let in meanwhile, what is waited for, what is kept, and how a person gets back.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};

use fs2::FileExt as _;
use serde_json::{Value, json};

use crate::kill::{Way, die, wait_stopped};
use crate::replica::Replica;
use crate::stack::{ADMIN_PASSWORD, Image, ROOT_PASSWORD, SITE, Stack};
use crate::trace::Trace;
use crate::wait::wait_until;

/// v1 is ready, and the image is that of v2.
fn after_v1() -> Stack {
    let stack = Stack::new().env("STANDIN_SPEED", "20").env("APPS", "alpha").env("BELLWETHER_ASSETS", "skip");
    stack.boot_well();
    stack.plant(SITE, "of v1");
    stack.make_image("v2", &Image::default());
    stack.env("IMAGE_REV", "v2")
}

fn maintenance(stack: &Stack) -> Value {
    stack.check(SITE)["maintenance"].clone()
}

/// What has been called since there were so many calls.
fn since(stack: &Stack, calls: usize) -> Trace {
    Trace(stack.trace().0.split_off(calls))
}

fn calls(stack: &Stack) -> usize {
    stack.trace().0.len()
}

fn expect_served(mut replica: Replica) -> String {
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    assert_eq!(replica.output(), "serves\n");
    replica.log()
}

fn status(stack: &Stack) -> Value {
    serde_json::from_str(&stack.bellwether(&["status", "--json"]).1).unwrap()
}

fn step(stack: &Stack, name: &str) -> Value {
    let status = status(stack);
    status["steps"].as_array().unwrap().iter().find(|step| step["name"] == name).unwrap().clone()
}

#[test]
fn nobody_is_let_in_meanwhile_and_what_was_before_is_restored() {
    for was_on in [false, true] {
        let stack = after_v1().env("STANDIN_STOP_AT", "migrate:patches");
        if was_on {
            assert!(stack.bench_call(&["--site", SITE, "set-maintenance-mode", "on"]).status.success());
        }
        let before = calls(&stack);
        let mut replica = stack.start();
        let stopped = wait_stopped(&stack, &mut replica);
        assert_eq!(maintenance(&stack), 1);
        // A process that vanishes is not the failure of a migration: it goes on, with our "on" in the file.
        die(&mut replica, Way::Call, &stopped);
        expect_served(replica);
        assert_eq!(maintenance(&stack), i32::from(was_on));
        assert_eq!(since(&stack, before).deeds(), ["migrate", "migrate", "clear-cache"]);
        assert_eq!(stack.json(".migrated_v2")["attempt"], 2);
        assert_eq!(stack.check(SITE)["patches_run"], json!({"alpha.patches.v2": 1, "frappe.patches.v2": 1}));
    }
}

#[test]
fn a_failure_is_final_until_somebody_has_looked() {
    let stack = after_v1().env("STANDIN_FAIL_AT", "migrate:patches:1");
    let before = calls(&stack);
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert_eq!(since(&stack, before).of("migrate").len(), 1, "{log}");
    let failed = stack.json(".failed_v2");
    assert_eq!((&failed["step"], &failed["attempts"]), (&"migrate".into(), &1.into()));
    for words in ["a.localhost is left in maintenance mode", "mend the cause, then `bellwether retry`"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert_eq!(maintenance(&stack), 1);
    // The traceback shows the site's own password.
    let password = stack.json(&format!("{SITE}/site_config.json"))["db_password"].as_str().unwrap().to_owned();
    assert!(log.contains("db_password") && !log.contains(&password), "{log}");
    let logs = fs::read_dir(stack.path(".bellwether/log")).unwrap();
    let kept: String = logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap()).collect();
    assert!(kept.contains("db_password") && !kept.contains(&password), "{kept}");
    assert!(!failed.to_string().contains(&password), "{failed}");
    // Whoever comes next does not try it.
    let before = calls(&stack);
    let (code, log) = stack.boot();
    assert_eq!((code, calls(&stack)), (78, before), "{log}");
    let (code, said, err) = stack.bellwether(&["retry"]);
    assert_eq!(code, 0, "{said}{err}");
    stack.boot_well();
    assert_eq!(since(&stack, before).of("migrate").len(), 1);
    assert_eq!(maintenance(&stack), 0, "as it was before the first of both");
    assert!(!stack.has(".failed_v2") && stack.has(".migrated_v2"));
}

#[test]
fn somebody_elses_migration_is_waited_for_and_not_counted() {
    let stack = after_v1();
    let lock = File::create(stack.path(&format!("{SITE}/locks/bench_migrate.lock"))).unwrap();
    lock.lock_exclusive().unwrap();
    let mut replica = stack.start();
    replica.wait_said("somebody else is still migrating a.localhost");
    let note = "somebody else is still migrating a.localhost";
    wait_until("the same in the status", || step(&stack, "migrate")["parts"][0]["note"] == note);
    drop(lock);
    expect_served(replica);
    assert_eq!(stack.json(".migrated_v2")["attempt"], 1);
    assert!(stack.trace().of("migrate").len() >= 3);
    assert!(stack.has(&format!("{SITE}/locks/bench_migrate.lock")), "a left-over file means nothing");
}

const WORKER: &str = "rq:worker:f1";

/// Jobs are queued. `is_alive`: a worker is there; one that has died leaves its name.
fn with_jobs(stack: &Stack, is_alive: bool) {
    fs::write(stack.server(&format!("queued-{SITE}")), "").unwrap();
    assert_eq!(stack.queue.cli(&["SADD", "rq:workers", WORKER, "rq:worker:dead"]), "2");
    if is_alive {
        assert_eq!(stack.queue.cli(&["SET", WORKER, "busy"]), "OK");
    }
}

#[test]
fn queued_jobs_are_waited_for_while_a_worker_is_there() {
    let stack = after_v1();
    with_jobs(&stack, true);
    let before = calls(&stack);
    let mut replica = stack.start();
    replica.wait_said("waiting for queued jobs, for at most 60 s (BELLWETHER_DRAIN_SECS)");
    let part = &step(&stack, "migrate")["parts"][0];
    assert_eq!((&part["state"], &part["note"]), (&"running".into(), &"waiting for queued jobs".into()));
    assert_eq!(maintenance(&stack), 1, "no new jobs come");
    assert!(since(&stack, before).deeds().is_empty());
    fs::remove_file(stack.server(&format!("queued-{SITE}"))).unwrap();
    let log = expect_served(replica);
    assert!(!log.contains("jobs are still queued"), "{log}");
}

#[test]
fn queued_jobs_are_not_waited_for_too_long_and_not_at_all_without_a_worker() {
    let stack = after_v1().env("BELLWETHER_DRAIN_SECS", "0.3");
    with_jobs(&stack, true);
    let log = stack.boot_well();
    assert!(log.contains("jobs are still queued after 0 s (BELLWETHER_DRAIN_SECS): going on all the same"), "{log}");
    let stack = after_v1();
    with_jobs(&stack, false);
    let log = stack.boot_well();
    assert!(log.contains("jobs are queued, but no worker is alive to do them: they are left for later"), "{log}");
}

#[test]
fn a_backup_is_taken_once_and_told_of_everywhere() {
    let stack = after_v1().env("BELLWETHER_BACKUP", "1").env("STANDIN_STOP_AT", "migrate:schema");
    let before = calls(&stack);
    let mut replica = stack.start();
    wait_stopped(&stack, &mut replica);
    replica.kill_tree();
    stack.boot_well();
    let trace = since(&stack, before);
    assert_eq!((trace.of("backup").len(), trace.of("migrate").len()), (1, 2));
    let part = stack.json(".migrated_v2")["parts"][0].clone();
    let note = part["note"].as_str().unwrap();
    let path = note.strip_prefix("migrated, backup ").unwrap();
    assert!(fs::metadata(path).unwrap().is_file());
    assert_eq!((&part["name"], &part["state"]), (&SITE.into(), &"done".into()));
    let bench = stack.bench().display().to_string();
    let undo = json!([
        format!("cd {bench} && bench --site {SITE} restore {path} --force --db-root-username root"),
        "IMAGE_REV=v2 bellwether reset   # so that v2 begins anew when it comes again",
    ]);
    assert_eq!(stack.json(".migrated_v2")["undo"], undo, "maintenance mode is as it was");
    let (_, history, _) = stack.bellwether(&["status", "--history"]);
    assert!(history.contains(path), "{history}");
    let (_, shown, _) = stack.bellwether(&["status"]);
    assert!(shown.contains(path), "{shown}");
}

#[test]
fn migrations_can_be_left_to_somebody_else() {
    let stack = after_v1().env("RUN_MIGRATIONS_ON_BOOT", "no");
    let before = calls(&stack);
    let log = stack.boot_well();
    assert!(log.contains("RUN_MIGRATIONS_ON_BOOT=no: nothing is migrated"), "{log}");
    assert!(since(&stack, before).deeds().is_empty());
    assert!(stack.has(".migrated_v2"));
    assert_eq!(stack.check(SITE)["patches_run"], json!({}));
}

#[test]
fn the_cache_forgets_what_was_before() {
    let stack = after_v1();
    let name = stack.check(SITE)["db_name"].as_str().unwrap().to_owned();
    let keys = ["assets_json".to_owned(), format!("{name}|user_permissions"), "another|key".to_owned()];
    for key in &keys {
        assert_eq!(stack.cache.cli(&["SET", key, "old"]), "OK");
    }
    stack.boot_well();
    assert_eq!(keys.map(|key| stack.cache.cli(&["EXISTS", &key])), ["0", "0", "1"]);
}

/// A person's shell in the bench, with the password for whoever asks.
fn shell(stack: &Stack, command: &str) -> String {
    let path = format!("{}:/usr/bin:/bin", stack.bench().display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-ec", command]).env_clear().envs(stack.environment()).env("PATH", path).env_remove("STANDIN_TRACE");
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{ROOT_PASSWORD}").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command}: {said}");
    said
}

/// The lines that stand after these words, as far as they are indented.
fn lines_after(log: &str, words: &str) -> Vec<String> {
    let rest = log.split_once(words).unwrap_or_else(|| panic!("{words:?} in {log}")).1;
    let lines = rest.lines().skip(1).take_while(|line| line.starts_with("    "));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[test]
fn after_a_failed_revision_the_one_before_says_how_to_get_back_and_that_is_so() {
    let stack = after_v1();
    let before = stack.check(SITE);
    let stack = stack.env("BELLWETHER_BACKUP", "1").env("STANDIN_FAIL_AT", "migrate:schema");
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert!(!lines_after(&log, "to bring back what was before:").is_empty());
    stack.plant(SITE, "lost");
    let half = stack.check(SITE);
    assert_eq!((&half["maintenance"], &half["patches_run"]["frappe.patches.v2"]), (&1.into(), &1.into()));
    assert_ne!(half["patch_log"], before["patch_log"]);
    // The image before is rolled out again.
    stack.make_image("v1", &Image::default());
    let stack = stack.env("IMAGE_REV", "v1").without("STANDIN_FAIL_AT");
    let calls_before = calls(&stack);
    let warned = stack.boot_well();
    let mut refused = stack.launch().env("BELLWETHER_ON_DOWNGRADE", "refuse").start();
    assert_eq!(refused.wait(), 64);
    assert_eq!(refused.output(), "");
    let [told, again] = [&warned, &refused.log()].map(|log| lines_after(log, "to bring back what was before v2:"));
    assert_eq!(told, again);
    let [command, anew] = told.as_slice() else { panic!("{told:?}") };
    assert!(anew.starts_with("IMAGE_REV=v2 bellwether reset"), "{anew}");
    assert!(command.contains("restore /") && command.ends_with("set-maintenance-mode off"), "{command}");
    assert_eq!(calls(&stack), calls_before, "nothing is done of its own accord");
    shell(&stack, command);
    let after = stack.check(SITE);
    let keys = ["whole", "apps", "patch_log", "canary", "maintenance", "hooks_run", "patches_run", "db_name"];
    for key in keys {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert!(!warned.contains(ADMIN_PASSWORD) && !warned.contains(ROOT_PASSWORD));
}

/// Without a backup of ours, what we have switched on is what we can say.
#[test]
fn without_a_backup_it_says_what_is_left_in_the_way() {
    let stack = after_v1().env("STANDIN_FAIL_AT", "migrate:patches");
    assert_eq!(stack.boot().0, 78);
    let stack = stack.env("IMAGE_REV", "v1");
    let log = stack.boot_well();
    let told = lines_after(&log, "to bring back what was before v2:");
    assert_eq!(told[0], format!("# {SITE}: restore a backup of your own, then"));
    shell(&stack, &told[1]);
    assert_eq!(maintenance(&stack), 0);
}

/// Between both, people may have worked with v1.
#[test]
fn each_revision_has_a_backup_of_its_own_and_none_is_forgotten() {
    let stack = after_v1().env("BELLWETHER_BACKUP", "1").env("STANDIN_FAIL_AT", "migrate:schema:2");
    assert_eq!(stack.boot().0, 78);
    let stack = stack.env("IMAGE_REV", "v3");
    stack.make_image("v3", &Image::default());
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    let undo = lines_after(&log, "to bring back what was before:");
    assert_eq!(undo.len(), 3, "{undo:?}");
    assert!(undo[0].ends_with("# before v2") && undo[1].ends_with("# before v3, the newest"), "{undo:?}");
    assert_eq!(stack.bellwether(&["retry"]).0, 0);
    stack.boot_well();
    assert_eq!(stack.trace().of("backup").len(), 2);
    assert_eq!(maintenance(&stack), 0);
}

/// A person has brought back all sites, also the one whose migration went well.
#[test]
fn what_was_brought_back_is_migrated_again() {
    let stack = Stack::new().env("STANDIN_SPEED", "20").env("APPS", "alpha").env("BELLWETHER_ASSETS", "skip");
    let stack = stack.env("SITE", "").env("SITES", "a.localhost b.localhost");
    stack.boot_well();
    stack.make_image("v2", &Image::default());
    let stack = stack.env("IMAGE_REV", "v2").env("BELLWETHER_BACKUP", "1").env("STANDIN_FAIL_AT", "migrate:schema:1");
    let stack = stack.env("BELLWETHER_ON_SITE_FAILURE", "continue");
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    for command in lines_after(&log, "to bring back what was before:").iter().filter(|line| line.starts_with("cd ")) {
        shell(&stack, command);
    }
    let patches = |site: &str| stack.check(site)["patch_log"].to_string().contains("v2");
    assert!(!patches("a.localhost") && !patches("b.localhost"));
    assert_eq!(stack.bellwether(&["retry"]).0, 0);
    stack.boot_well();
    assert!(patches("a.localhost") && patches("b.localhost"));
}

/// Whatever a person does with the step: what we have closed, we open.
#[test]
fn our_own_maintenance_mode_is_never_taken_for_what_was_before() {
    for words in [["skip", "--step", "migrate"].as_slice(), &["reset", "--step", "migrate"]] {
        let stack = after_v1().env("STANDIN_FAIL_AT", "migrate:patches:1");
        assert_eq!(stack.boot().0, 78);
        let (code, _, err) = stack.bellwether(words);
        assert_eq!((code, maintenance(&stack)), (0, json!(1)), "{err}");
        stack.boot_well();
        stack.make_image("v3", &Image::default());
        let stack = stack.env("IMAGE_REV", "v3");
        stack.boot_well();
        assert_eq!(maintenance(&stack), 0, "{words:?}");
        assert!(!stack.read(&format!("{SITE}/site_config.json")).contains("bellwether"));
    }
}
