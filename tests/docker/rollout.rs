//! A new revision beside the old one, and what to do at night when its migration fails: by the commands of the pages.

use std::process::Command;

use crate::docker::{PROJECT, Said, command};
use crate::history::Past;
use crate::stack::{PASSWORD, SMALL, Stack, get, inspect, wait_for_log};
use crate::waiting::wait_for;

/// A block of a page of `compose/`, by the words behind its language.
#[track_caller]
pub(crate) fn block(page: &str, words: &str) -> String {
    let text = std::fs::read_to_string(std::path::Path::new(PROJECT).join("compose").join(page)).unwrap();
    let start = text.find(&format!("```sh {words}\n")).unwrap_or_else(|| panic!("no block '{words}' in {page}"));
    let text = text[start..].split_once('\n').unwrap().1;
    text[..text.find("```").unwrap()].to_owned()
}

/// Runs what a page says, as somebody who types it in the directory of the stack.
pub(crate) fn type_in(stack: &Stack, script: &str) -> Said {
    let docker = command(stack.scratch.path());
    let directory = std::path::Path::new(docker.get_program()).parent().unwrap().to_owned();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script]).current_dir(stack.scratch.path());
    shell.env("PATH", format!("{}:{}", directory.display(), std::env::var("PATH").unwrap()));
    shell.stdin(std::process::Stdio::null()).output().unwrap().into()
}

/// Two replicas that serve `v1`, and two of `v2`, whose migration fails as often as this.
fn failed_rollout(what: &str, failures: &str) -> (Stack, Past) {
    let stack = Stack::prepared(what, &[]);
    stack.set("STANDIN_FAIL_AT", "");
    stack.up(&[&["--scale", "web=2"], &SMALL[..]].concat());
    let past = Past(stack.volume());
    stack.wait_until_ready("v1");
    stack.wait_until_answered_by(2);
    stack.set_revision("v2");
    stack.set("STANDIN_FAIL_AT", &format!("migrate:patches:{failures}"));
    type_in(&stack, &block("README.md", "update-beside").replace("web=6", "web=4")).ok();
    let failed = stack.volume().join(".failed_v2");
    wait_for(".failed_v2", || failed.exists().then_some(()));
    (stack, past)
}

/// The site is closed, and the old replicas live on all the same.
#[track_caller]
fn assert_in_maintenance(stack: &Stack) {
    let address = stack.address("8080");
    wait_for("503", || get(&address, "/api/method/ping").filter(|answer| answer.is(503)).map(|_| ()));
    for container in stack.containers("web").iter().take(2) {
        // Its healthcheck has been asked again since.
        let checks = || inspect(container, "{{range .State.Health.Log}}{{.End}} {{end}}");
        let before = checks();
        wait_for("another healthcheck", || (checks() != before).then_some(()));
        assert_eq!(inspect(container, "{{.State.Health.Status}}"), "healthy");
    }
}

#[test]
fn a_failed_migration_is_repaired_by_the_page() {
    let (stack, past) = failed_rollout("retry", "1");
    assert_in_maintenance(&stack);
    let seen = type_in(&stack, &block("FAILED-MIGRATION.md", "look")).ok();
    for words in
        ["revision v2: failed", "migrate  failed", "the test wants patches to fail", "bellwether retry", "restore"]
    {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert!(!seen.contains(PASSWORD), "a password in {seen}");
    // Who follows holds, as who leads: nobody is started again and again.
    stack.up(&["--no-recreate", "worker-short"]);
    let worker = &stack.containers("worker-short")[0];
    wait_for_log(worker, "until `bellwether retry`");
    assert_eq!(inspect(worker, "{{.State.Status}} {{.RestartCount}}"), "running 0");
    type_in(&stack, &block("FAILED-MIGRATION.md", "retry")).ok();
    stack.wait_until_ready("v2");
    stack.wait_until_answered_by(4);
    wait_for_log(worker, "started");
    assert_eq!(inspect(worker, "{{.State.Status}} {{.RestartCount}}"), "running 0");
    let new = stack.containers("web").split_off(2);
    type_in(&stack, &block("README.md", "update-finish").replace("web=3", "web=2")).ok();
    // The old ones are gone, and the new ones have gone on serving all the while.
    assert_eq!(stack.containers("web"), new);
    assert!(new.iter().all(|id| inspect(id, "{{.Config.Image}}").ends_with(":v2")));
    stack.wait_until_answered_by(2);
    past.assert_all_done_once("v2");
    let seen = type_in(&stack, &block("FAILED-MIGRATION.md", "afterwards")).ok();
    assert!(seen.contains("revision v2: ready") && seen.contains("healthy"), "{seen}");
    let failed = past.events().iter().filter(|e| e["event"] == "failed" && e["step"] == "migrate").count();
    assert_eq!(failed, 1, "{:#?}", past.events());
}

#[test]
fn a_failed_migration_is_undone_by_the_page() {
    let (stack, past) = failed_rollout("undo", "9");
    assert_in_maintenance(&stack);
    // What its migration has put into the database before it failed, or a person.
    let query = |sql: &str| {
        let sql = format!("USE `{}`; {sql}", database(&stack));
        stack.compose(&["exec", "-T", "db", "mariadb", "-uroot", &format!("-p{PASSWORD}"), "-N", "-e", &sql]).ok()
    };
    query("CREATE TABLE left_behind (x int)");
    let said = type_in(&stack, &block("FAILED-MIGRATION.md", "undo").replace("web=3", "web=2")).ok();
    assert!(said.contains("has been restored"), "{said}");
    let hosts = stack.wait_until_answered_by(2);
    assert!(!query("SHOW TABLES").contains("left_behind"));
    let containers = stack.containers("web");
    assert_eq!(containers.len(), 2);
    for container in &containers {
        assert!(inspect(container, "{{.Config.Image}}").ends_with(":v1"));
        assert!(hosts.iter().any(|host| host.starts_with(container)));
    }
    assert!(!stack.volume().join(".failed_v2").exists(), "v2 begins anew when it comes again");
    assert_eq!(past.hosts("done", "migrate").len(), 1);
    // And so it does, once it is repaired.
    stack.set_revision("v2");
    stack.set("STANDIN_FAIL_AT", "");
    stack.up(&[&["--scale", "web=2"], &SMALL[..]].concat());
    stack.wait_until_ready("v2");
    past.assert_all_done_once("v1");
    stack.wait_until_answered_by(2);
}

fn database(stack: &Stack) -> String {
    let config = stack.volume().join(crate::stack::SITE).join("site_config.json");
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    config["db_name"].as_str().unwrap().to_owned()
}
