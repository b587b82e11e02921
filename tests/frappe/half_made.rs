//! What we have left half-made ourselves, and how sure we have to be that it was us.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::kill::Way::Container;
use crate::kill::{die, forget_stop, wait_stopped};
use crate::stack::{Image, ROOT_PASSWORD, SITE, Stack};
use crate::state::Whole;
use crate::wait::wait_until;

const RECORD: &str = ".bellwether/steps/site.data";

fn stack() -> Stack {
    Stack::of(&Image { has_baked_assets: true, ..Image::default() }, &[]).quick()
}

/// A creation of ours that died at that phase.
fn left_at(stack: &Stack, phase: &str) {
    let mut leader = stack.launch().env("STANDIN_STOP_AT", phase).start();
    let stopped = wait_stopped(stack, &mut leader);
    die(&mut leader, Container, &stopped);
    forget_stop(stack);
}

#[test]
fn a_torn_configuration_of_ours_does_not_stand_in_the_way() {
    for torn in ["", "{\"db_na", "{}"] {
        let stack = stack();
        left_at(&stack, "new-site:config");
        fs::write(stack.path(&format!("{SITE}/site_config.json")), torn).unwrap();
        stack.boot_well();
        Whole::default().check(&stack);
        assert!(stack.has(&format!("archived/{SITE}")), "what was there is kept: {torn:?}");
    }
}

#[test]
fn the_record_is_nobody_elses_to_read_and_names_the_server() {
    let stack = stack();
    left_at(&stack, "new-site:schema");
    let mode = fs::metadata(stack.path(RECORD)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let creating = stack.json(RECORD)["sites"][SITE]["creating"].clone();
    let name = stack.check(SITE)["db_name"].as_str().unwrap().to_owned();
    let port = stack.environment()["DB_PORT"].clone();
    assert_eq!(creating, json!(format!("mariadb://127.0.0.1:{port}/{name}")));
}

#[test]
fn a_database_of_the_same_name_elsewhere_is_not_ours() {
    let stack = stack();
    left_at(&stack, "new-site:schema");
    let elsewhere = stack.read(RECORD).replace("mariadb://127.0.0.1:", "mariadb://another:");
    fs::write(stack.path(RECORD), elsewhere).unwrap();
    let before = stack.check(SITE);
    let (code, log) = stack.boot();
    assert_eq!(code, 78, "{log}");
    assert!(log.contains("nor was it begun by us"), "{log}");
    assert_eq!(stack.check(SITE), before);
    assert!(stack.trace().of("drop-site").is_empty());
}

/// What a person brings back lacks, until it is all there, what makes a site whole.
#[test]
fn a_restore_in_progress_is_waited_for() {
    let stack = stack();
    left_at(&stack, "new-site:administrator");
    let name = stack.check(SITE)["db_name"].as_str().unwrap().to_owned();
    // A session in the site's database, as one that loads a dump has.
    let login = format!(
        "import pymysql, sys\npymysql.connect(host='127.0.0.1', port={}, user='root', password='{ROOT_PASSWORD}', \
         database='{name}')\nprint('in', flush=True)\nsys.stdin.read()",
        stack.environment()["DB_PORT"]
    );
    let mut person = Command::new(stack.bench().join("env/bin/python"));
    person.args(["-c", &login]).envs(stack.environment()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut person = person.spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(person.stdout.as_mut().unwrap()), &mut said).unwrap();
    assert_eq!(said, "in\n");
    let mut successor = stack.start();
    wait_until("patience", || successor.log().matches("somebody still uses the database").count() >= 2);
    assert!(stack.trace().of("drop-site").is_empty(), "{}", successor.log());
    drop(person.stdin.take());
    person.wait().unwrap();
    assert_eq!(successor.wait(), 0, "{}", successor.log());
    Whole::default().check(&stack);
}
