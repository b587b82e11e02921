//! Every mutant is caught, and by what: a check that cannot fail proves nothing.
//!
//! A mutant is on for a whole process, so each is looked for in one of its own.

use std::process::Command;

use bellwether::protocol::mutant::{self, ALL};
use stateright::{Checker, HasDiscoveries, Model};

use crate::space::instances::{Instance, usual};
use crate::space::referee::{self, AGAIN, COUNTED_ON, P1, P2, P3, P4, P5, P6, P8, P9, P11};
use crate::space::story::story;

/// By its name: the property that has to be the first to fail, and the instance in which it is looked for. That nothing
/// fails there without it is seen in the same run, since it is one of the usual instances.
const CAUGHT: [(&str, &str, &str); ALL.len()] = [
    ("guard-not-taken", P5, "guard: freeze, hang"),
    ("guard-not-inherited", P1, "guard: crash"),
    ("epoch-not-compared", P3, "no trust: freeze until replaced"),
    ("release-before-reap", P6, "guard: stop, bad ends"),
    ("lease-before-guard", P6, "lease: stop"),
    ("staleness-by-remote-clock", P5, "no trust: wipe"),
    ("renew-creates", P8, "lease: wipe"),
    ("release-deletes-anothers", P8, "lease: wipe"),
    ("done-before-exit", P3, "guard: two steps"),
    ("bad-end-is-done", P3, "guard: stop, bad ends"),
    ("ready-before-last-done", P2, "guard: two steps"),
    ("beat-not-checked", P5, "no trust: wipe"),
    ("deadline-from-receipt", COUNTED_ON, "no trust: delay"),
    ("acquire-not-idempotent", AGAIN, "lease: lose, stop"),
    ("unanswered-forgotten", P6, "lease: lose, stop"),
    ("failures-counted-per-replica", P11, "guard: crash, bad ends"),
    ("attempt-not-counted", P11, "guard: crash, bad ends"),
    ("hint-trusted-as-fact", P4, "lease: stop"),
    ("predecessor-not-awaited", P1, "guard: two steps"),
    ("no-deadline-for-shim", P1, "no trust: freeze until replaced"),
    ("epoch-from-redis-alone", P9, "guard: crash"),
];

/// Which of them a process of its own has to look for.
const VARIABLE: &str = "BELLWETHER_MUTANT";

#[test]
fn every_mutant_is_caught_by_the_property_that_is_said() {
    let wrong: Vec<String> = CAUGHT
        .iter()
        .filter_map(|&(name, property, _)| {
            let caught = look_for(name);
            println!("{name:30} {caught}");
            (caught != property).then(|| format!("{name}: to be caught by {property:?}, but: {caught}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mutant_has_its_place_in_the_list() {
    assert_eq!(CAUGHT.map(|(name, ..)| name), ALL.map(|(name, _)| name));
}

/// What catches it, in a process of its own.
fn look_for(name: &str) -> String {
    let this = std::env::current_exe().expect("a path");
    let output = Command::new(this)
        .args(["--exact", "mutants::one", "--ignored", "--nocapture"])
        .env(VARIABLE, name)
        .output()
        .expect("this program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let caught = text.lines().find_map(|line| line.strip_prefix("caught by: "));
    caught.map_or_else(|| format!("nothing: {text}{}", String::from_utf8_lossy(&output.stderr)), str::to_owned)
}

#[test]
#[ignore = "run by every_mutant_is_caught, with the name of one in the environment"]
fn one() {
    let name = std::env::var(VARIABLE).expect("the name of a mutant");
    mutant::switch_on(&name).expect("a mutant, and the only one");
    let &(.., instance) = CAUGHT.iter().find(|(known, ..)| *known == name).expect("it is in the list");
    let instance = usual().into_iter().find(|known| known.name == instance).expect("a usual instance");
    println!("\n{}", first_broken(&instance).unwrap_or_else(|| "no promise breaks".to_owned()));
}

/// The promise that breaks first, whichever it is, and the way there. One thread goes through the states in an order of
/// its own, so that it is always the same.
fn first_broken(instance: &Instance) -> Option<String> {
    let space = instance.space();
    let promises: Vec<&'static str> = referee::properties().iter().map(|property| property.name).collect();
    let until = HasDiscoveries::AnyOf(promises.iter().copied().collect());
    let checker = space.clone().checker().threads(1).finish_when(until).spawn_bfs().join();
    let broken = promises.into_iter().filter_map(|promise| Some((promise, checker.discovery(promise)?)));
    let (promise, path) = broken.min_by_key(|(_, path)| path.clone().into_vec().len())?;
    Some(format!("{}\ncaught by: {promise}", story(&space, path)))
}
