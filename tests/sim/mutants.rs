//! The simulator under each mutant: the first seed whose story breaks a promise, and which, so that its checks are seen
//! to fail; and the kept stories that say which mutant they notice.
//!
//! A mutant is on for a whole process, so each is played in one of its own.

use std::process::Command;

use bellwether::protocol::mutant::{self, ALL};

use crate::regressions;
use crate::stage::{Sabotage, play};
use crate::story::Story;

/// So many seeds are played, at the most: those of every day.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=7_500;

/// By its name: the first seed whose story breaks, and the promise, or whatever else is noticed.
const SEEN: [(&str, u64, &str); 19] = [
    ("guard-not-taken", 20, "P1"),
    ("guard-not-inherited", 61, "P1"),
    ("epoch-not-compared", 4_052, "P3"),
    ("release-before-reap", 5, "P6"),
    ("lease-before-guard", 1, "P6"),
    ("staleness-by-remote-clock", 2, "P5"),
    ("renew-creates", 2, "P8"),
    ("release-deletes-anothers", 2, "P8"),
    ("done-before-exit", 1, "P3"),
    ("bad-end-is-done", 2, "P3"),
    ("ready-before-last-done", 1, "P2"),
    ("beat-not-checked", 2, "P5"),
    ("acquire-not-idempotent", 226, "P6"),
    ("unanswered-forgotten", 45, "P6"),
    ("attempt-not-counted", 1, "P11"),
    ("hint-trusted-as-fact", 2, "P4"),
    ("predecessor-not-awaited", 1, "P1"),
    ("no-deadline-for-shim", 7_192, "P1"),
    ("epoch-from-redis-alone", 2, "P9"),
];

/// What no story of these seeds tells of, and the model does: a lease is counted on for a request's time too long, which is
/// less than the margin; and attempts are compared with what the machine itself has written down.
const NOT_SEEN: [&str; 2] = ["deadline-from-receipt", "failures-counted-per-replica"];

/// Which mutant a process of its own has to switch on; `none` is the control.
const VARIABLE: &str = "BELLWETHER_MUTANT";
const CONTROL: &str = "none";

#[test]
fn every_mutant_breaks_the_promise_that_is_said_or_is_known_not_to_be_seen() {
    let mut wrong = Vec::new();
    let said = regressions::said();
    assert!(said.len() >= 5, "{said:?}");
    let expected = SEEN.map(|(name, seed, promise)| (name, format!("seed {seed}: {promise}")));
    let unseen = NOT_SEEN.iter().chain([&CONTROL]).map(|name| (*name, "nothing".to_owned()));
    for (name, expected) in expected.into_iter().chain(unseen) {
        let told = look_for(name);
        let broken = told.lines().find_map(|line| line.strip_prefix("broken by: ")).unwrap_or(&told);
        crate::show(&format!("{name:30} {broken}"));
        if broken != expected {
            wrong.push(format!("{name}: expected was {expected:?}, but: {broken}"));
        }
        for (file, _, promise) in said.iter().filter(|(_, mutant, _)| mutant == name) {
            if !told.lines().any(|line| line == format!("kept: {file}: {promise}")) {
                wrong.push(format!("{name} does not break {promise} in {file}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mutant_has_its_place_in_one_of_the_lists() {
    let mut listed: Vec<&str> = SEEN.iter().map(|(name, ..)| *name).chain(NOT_SEEN).collect();
    let mut all = ALL.map(|(name, _)| name);
    listed.sort_unstable();
    all.sort_unstable();
    assert_eq!(listed, all);
}

/// What a process of its own tells of it.
fn look_for(name: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "mutants::one", "--ignored", "--nocapture"])
        .env(VARIABLE, name)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
#[ignore = "run by every_mutant_breaks, with the name of one in the environment"]
fn one() {
    let name = std::env::var(VARIABLE).expect("the name of a mutant");
    if name != CONTROL {
        mutant::switch_on(&name).expect("a mutant, and the only one");
    }
    let broken =
        SEEDS.into_iter().find_map(|seed| Some((seed, play(&Story::of(seed), Sabotage::None, false).err()?.promise)));
    let told = broken.map_or_else(|| "nothing".to_owned(), |(seed, promise)| format!("seed {seed}: {promise}"));
    crate::show(&format!("\nbroken by: {told}"));
    for (file, promise) in regressions::broken() {
        crate::show(&format!("kept: {file}: {promise}"));
    }
}
