//! Sites that somebody else has begun, and somebody else who is at work.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::kill::Way::Container;
use crate::kill::{at_once, die, forget_stop, wait_stopped};
use crate::stack::{ADMIN_PASSWORD, Image, PATIENT, ROOT_PASSWORD, SITE, Stack};
use crate::state::Whole;
use crate::wait::{signal, wait_until};

fn stack_of(kind: &str) -> Stack {
    let image = Image { has_baked_assets: true, ..Image::default() };
    let stack = Stack::of(&image, &["--type", kind]).quick().env("DB_TYPE", kind);
    // What a bench has before anything is installed.
    fs::write(stack.path("apps.txt"), "frappe\nalpha\nbeta\n").unwrap();
    fs::write(stack.path("common_site_config.json"), format!(r#"{{"db_type": "{kind}"}}"#)).unwrap();
    stack
}

/// `bench new-site` by a person.
fn new_site(stack: &Stack, more: &[&str], env: &[(&str, &str)]) -> Child {
    let mut command = Command::new(stack.bench().join("bench"));
    command
        .args(["new-site", SITE, "--db-root-password", ROOT_PASSWORD, "--admin-password", ADMIN_PASSWORD])
        .args(more);
    command.current_dir(stack.path("")).envs(stack.environment()).env_remove("STANDIN_TRACE");
    command.env("STANDIN_SPEED", "1").envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A person's `new-site` that was killed at that phase.
fn begin_site(stack: &Stack, phase: &str) {
    let mut call = new_site(stack, &[], &[("STANDIN_STOP_AT", phase)]);
    wait_until("a call that stops", || stack.server("stopped-at").exists());
    call.kill().unwrap();
    call.wait().unwrap();
    forget_stop(stack);
}

/// The commands that a refusal tells a person to run, after the words.
fn commands<'a>(log: &'a str, after: &str) -> Vec<&'a str> {
    let told = log.split_once(after).unwrap_or_else(|| panic!("{after:?} is not in {log}")).1;
    let lines = told.lines().skip(1).filter_map(|line| Some(line.split_once("     ")?.1.trim()));
    let mut commands = Vec::new();
    for line in lines {
        commands.push(line.trim_end_matches(" step=site"));
        if line.starts_with("bellwether retry") {
            break;
        }
    }
    commands
}

/// As a person would, who knows the root password.
fn type_in(stack: &Stack, command: &str) {
    let answers = stack.scratch().join("answers");
    fs::write(&answers, format!("{ROOT_PASSWORD}\n")).unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_bellwether")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", binaries.display(), stack.bench().display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env_clear().envs(stack.environment()).env("PATH", path).env_remove("STANDIN_TRACE");
    shell.env("LOCK_RENEW_TTL_SECS", PATIENT);
    let output = shell.stdin(fs::File::open(answers).unwrap()).output().unwrap();
    // The others may fail: not every one applies to every site.
    assert!(output.status.success() || !command.starts_with("bellwether"), "{command}: {output:?}");
}

#[test]
fn what_somebody_else_has_left_half_made_is_refused_until_a_person_removes_it() {
    let cases = [("mariadb", &["dir", "config", "schema", "administrator"][..]), ("postgres", &["schema"])];
    at_once(&cases, |(kind, phases)| {
        let stack = stack_of(kind);
        for phase in *phases {
            begin_site(&stack, &format!("new-site:{phase}"));
            let before = stack.check(SITE);
            let (code, log) = stack.boot();
            assert_eq!(code, 78, "{phase}: {log}");
            assert!(log.contains("is neither whole"), "{log}");
            assert_eq!(stack.check(SITE), before, "{phase}");
            assert_eq!(stack.trace().deeds().into_iter().filter(|deed| deed.ends_with("-site")).count(), 0);
            let commands = commands(&log, "move it away, and it is created anew:");
            let drops = commands.len() == 3 && commands[0].contains("drop-site");
            let has_database = ["schema", "administrator"].contains(phase);
            assert!(drops == has_database && commands.len() >= 2, "{commands:?} of {log}");
            assert_eq!(log.contains("drop-site"), has_database, "{log}");
            for command in commands {
                type_in(&stack, command);
            }
            assert!(!stack.has(SITE), "{phase}: {log}");
        }
        stack.boot_well();
        Whole::default().check(&stack);
    });
}

#[test]
fn a_database_without_a_site_is_refused_until_a_person_drops_it() {
    let stack = stack_of("mariadb");
    begin_site(&stack, "new-site:schema");
    fs::remove_dir_all(stack.path(SITE)).unwrap();
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    let name = fs::read_dir(stack.server("databases")).unwrap().next().unwrap().unwrap().file_name();
    assert!(log.contains(&format!("`DROP DATABASE {}` at the server", name.to_str().unwrap())), "{log}");
    fs::remove_dir_all(stack.server("databases").join(name)).unwrap();
    type_in(&stack, "bellwether retry");
    stack.boot_well();
    Whole::default().check(&stack);
}

#[test]
fn a_whole_site_that_was_there_before_us_is_adopted() {
    at_once(&["mariadb", "postgres"], |kind| {
        let stack = stack_of(kind);
        assert!(new_site(&stack, &["--install-app", "alpha"], &[]).wait().unwrap().success());
        stack.plant(SITE, "canary");
        stack.boot_well();
        Whole { planted: &["canary"], ..Whole::default() }.check(&stack);
        assert_eq!(stack.trace().deeds(), ["install-app", "migrate", "clear-cache"]);
    });
}

/// Somebody's session holds what is to be removed: it is waited for, not for a day, and not counted.
#[test]
fn a_half_made_database_that_is_in_use_is_removed_later() {
    at_once(&[false, true], |is_over| {
        let stack = stack_of("mariadb").env("STEP_MAX_ATTEMPTS", "2");
        let mut leader = stack.launch().env("STANDIN_STOP_AT", "new-site:schema").start();
        let stopped = wait_stopped(&stack, &mut leader);
        die(&mut leader, Container, &stopped);
        let name = stack.check(SITE)["db_name"].as_str().unwrap().to_owned();
        if *is_over {
            // Then bench has to create over what is left.
            fs::remove_file(stack.path(&format!("{SITE}/site_config.json"))).unwrap();
        }
        let lock = stack.server(&format!("metadata-lock-{name}"));
        fs::write(&lock, "").unwrap();
        let mut successor = stack.start();
        wait_until("several tries", || successor.log().matches("somebody still uses the database").count() >= 3);
        fs::remove_file(&lock).unwrap();
        assert_eq!(successor.wait(), 0, "{}", successor.log());
        Whole::default().check(&stack);
    });
}

/// Two creations at once: ours comes second, and what the first one leaves behind is not ours to remove.
#[test]
fn a_site_that_somebody_else_is_creating_is_waited_for_and_left_alone() {
    let stack = stack_of("mariadb").env("STEP_MAX_ATTEMPTS", "1");
    // Ours has looked, and lingers before the lock: the other one gets it.
    let mut replica = stack.launch().env("STANDIN_PACE", "new-site:dir=20000").start();
    wait_until("our directory", || stack.has(SITE) || !replica.is_running());
    let ours = i32::try_from(stack.trace().of("new-site").last().unwrap().pid).unwrap();
    signal(ours, Signal::STOP);
    let mut other = new_site(&stack, &["--force"], &[("STANDIN_STOP_AT", "new-site:schema")]);
    wait_until("the other's tables", || stack.server("stopped-at").exists());
    signal(ours, Signal::CONT);
    replica.wait_said("LockTimeoutError");
    wait_until("patience", || replica.log().matches("somebody else is creating").count() >= 3);
    assert_eq!(stack.trace().of("drop-site").len(), 0, "what somebody is at work on is not removed");
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(replica.wait(), 78, "{}", replica.log());
    assert!(replica.has_said("nor was it begun by us"), "{}", replica.log());
    assert_eq!(stack.trace().of("drop-site").len(), 0);
    assert!(stack.has(&format!("{SITE}/site_config.json")));
}

/// Somebody else's creation, begun before we looked, that ends well.
#[test]
fn a_site_that_somebody_else_has_created_meanwhile_is_adopted() {
    let stack = stack_of("mariadb");
    let mut other = new_site(&stack, &[], &[("STANDIN_PACE", "new-site:config=2000")]);
    wait_until("the other's site", || stack.has(&format!("{SITE}/site_config.json")));
    let pid = i32::try_from(other.id()).unwrap();
    signal(pid, Signal::STOP);
    let mut replica = stack.start();
    replica.wait_said("somebody else is creating");
    signal(pid, Signal::CONT);
    assert!(other.wait().unwrap().success());
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    let created = stack.trace().of("new-site").len();
    assert_eq!(created, 0);
    Whole::default().check(&stack);
}

/// A change of the site's configuration that somebody else is at is waited for, too.
#[test]
fn a_site_config_that_somebody_is_changing_is_waited_for() {
    let stack = stack_of("mariadb");
    assert!(new_site(&stack, &[], &[]).wait().unwrap().success());
    let lock = fs::File::create(stack.path(&format!("{SITE}/locks/site_config.lock"))).unwrap();
    lock.lock().unwrap();
    let mut replica = stack.start();
    replica.wait_said("somebody else is changing the configuration");
    assert_eq!(stack.check(SITE)["maintenance"], json!(0));
    drop(lock);
    assert_eq!(replica.wait(), 0, "{}", replica.log());
    Whole::default().check(&stack);
}
