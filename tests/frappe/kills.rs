//! Whatever dies wherever, another replica brings the same about.

use std::fs;

use crate::kill::Way::{Call, Container, Leader, Parent, Stop};
use crate::kill::{Death, at_once, die, survive, wait_stopped};
use crate::stack::{Image, Stack};
use crate::state::Whole;

/// Quick, and with assets that need no bench.
fn stack() -> Stack {
    Stack::of(&Image { has_baked_assets: true, ..Image::default() }, &[]).quick().env("BELLWETHER_BACKUP", "1")
}

/// Every replica is of the same revision.
fn survives(deaths: &[Death]) {
    let stack = stack();
    survive(&stack, &["v1"], deaths);
    Whole::default().check(&stack);
}

/// Assets are built beside the rest, which may die anywhere.
fn survives_while_building(deaths: &[Death]) {
    let stack = Stack::new().quick();
    survive(&stack, &["v1"], deaths);
    Whole { by_chance: true, ..Whole::default() }.check(&stack);
}

/// Each replica that comes up in place of a dead one has another revision. `since`: the one with which each app has come.
fn other_revisions_survive(rev: u32, since: &'static [u32], deaths: &[Death]) {
    let stack = stack();
    survive(&stack, &["v1", "v2", "v3", "v4", "v5"], deaths);
    Whole { rev, since, ..Whole::default() }.check(&stack);
}

/// A test for each line. In each pair of brackets: who dies where, one after the other.
macro_rules! survived {
    ($($name:ident: $survives:expr, $([$($phase:literal $way:ident),+])+;)+) => {$(
        #[test]
        fn $name() {
            let rows: &[&[Death]] = &[$(&[$(($phase, $way)),+]),+];
            at_once(rows, |row| $survives(row));
        }
    )+};
}

survived! {
    containers_while_a_site_is_made: survives,
        ["new-site:dir" Container, "install-app:sync" Container, "backup:dump" Container]
        ["new-site:lock" Container, "install-app:after_install" Container, "migrate:patches" Container]
        ["new-site:config" Container, "drop-site:database" Container, "migrate:schema" Container]
        ["new-site:database" Container, "drop-site:move" Container, "migrate:finish" Container];
    containers_while_a_site_is_finished: survives,
        ["new-site:schema" Container, "clear-cache:clear" Container]
        ["new-site:administrator" Container, "install-app:sync" Leader, "migrate:patches" Leader]
        ["new-site:finish" Container, "install-app:after_install" Leader, "migrate:schema" Stop];
    leaders_killed_or_stopped: survives,
        ["new-site:database" Leader, "install-app:sync" Stop, "backup:dump" Leader, "migrate:finish" Leader]
        ["new-site:schema" Leader, "drop-site:database" Stop, "clear-cache:clear" Leader]
        ["new-site:config" Stop, "drop-site:move" Stop, "install-app:after_install" Stop]
        ["new-site:administrator" Stop, "backup:dump" Stop, "clear-cache:clear" Stop];
    calls: survives,
        ["new-site:dir" Call, "install-app:sync" Call, "backup:dump" Call]
        ["new-site:administrator" Call, "drop-site:database" Call, "install-app:after_install" Call,
            "migrate:patches" Call, "clear-cache:clear" Call]
        ["new-site:finish" Call, "migrate:schema" Call, "migrate:finish" Call]
        ["new-site:schema" Call, "drop-site:move" Call];
    builds: survives_while_building,
        ["build:manifest" Container, "build:bundles" Stop]
        ["build:manifest" Leader, "build:bundles" Container]
        ["build:manifest" Parent, "build:bundles" Call];
    other_revisions_make_a_site_again: |deaths| other_revisions_survive(4, &[2, 3, 3], deaths),
        ["new-site:schema" Container, "install-app:sync" Container, "migrate:patches" Container];
    other_revisions_take_a_site_over: |deaths| other_revisions_survive(5, &[1, 3, 3], deaths),
        ["new-site:finish" Leader, "install-app:after_install" Leader, "migrate:schema" Stop,
            "clear-cache:clear" Container];
    other_revisions_repair_a_site: |deaths| other_revisions_survive(5, &[3, 3, 3], deaths),
        ["new-site:config" Container, "drop-site:database" Leader, "backup:dump" Container, "migrate:finish" Stop];
    other_revisions_remove_a_site: |deaths| other_revisions_survive(3, &[3, 3, 3], deaths),
        ["new-site:database" Stop, "drop-site:move" Stop];
}

/// A server that is set up again while the leader dies lets nobody in for a while.
#[test]
fn a_successor_waits_for_servers_that_are_not_ready_yet() {
    at_once(&[("install-app:sync", "starting"), ("migrate:schema", "down")], |(phase, file)| {
        let stack = stack();
        let mut leader = stack.launch().env("STANDIN_STOP_AT", phase).start();
        let stopped = wait_stopped(&stack, &mut leader);
        die(&mut leader, Container, &stopped);
        fs::write(stack.server(file), "").unwrap();
        let mut successor = stack.start();
        successor.wait_said("waiting: the database server");
        fs::remove_file(stack.server(file)).unwrap();
        assert_eq!(successor.wait(), 0, "{}", successor.log());
        Whole::default().check(&stack);
    });
}
