//! collect
mod mutants;
mod space;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use space::{Instance, TRANSITIONS, large, story, usual};
use stateright::{Checker, Expectation, Model};

/// Goes through the whole space: what is wrong with it, and the transitions that happened.
fn explore(instance: &Instance, found: &mut BTreeSet<&'static str>) -> String {
    let space = instance.space();
    let checker = space.clone().checker().threads(2).spawn_bfs().join();
    let mut wrong = String::new();
    for property in space.properties() {
        let Some(path) = checker.discovery(property.name) else { continue };
        if property.expectation == Expectation::Sometimes {
            found.insert(property.name);
        } else {
            writeln!(wrong, "{}: broken is {}\n{}", instance.name, property.name, story(&space, path)).unwrap();
        }
    }
    let states = checker.unique_state_count();
    println!("{:28} {states:9} states, depth {}", instance.name, checker.max_depth());
    if wrong.is_empty() && states != instance.states {
        writeln!(wrong, "{}: {states} states, but {} are pinned", instance.name, instance.states).unwrap();
    }
    wrong
}

#[test]
fn the_promises_hold_in_every_instance_and_every_transition_happens() {
    let mut found = BTreeSet::new();
    let wrong: String = usual().iter().map(|instance| explore(instance, &mut found)).collect();
    let missing: Vec<&str> = TRANSITIONS.iter().map(|t| t.2).filter(|name| !found.contains(name)).collect();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(missing.is_empty(), "never seen: {missing:#?}");
}
