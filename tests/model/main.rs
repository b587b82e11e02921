//! The model: the real machines of `protocol`, in every order of everything that may happen within stated bounds.
//!
//! It runs optimized, since a debug build takes ten times as long:
//!
//! ```text
//! cargo test --locked --config 'profile.dev.package.bellwether.opt-level=2' \
//!     --no-default-features --features _mutants --test model
//! ```
//!
//! `BELLWETHER_MODEL=large` adds the large instances, `BELLWETHER_MODEL="lease: wipe"` takes that one alone. What is in a
//! state, what may happen, and what is left out stands in `space`; the instances with their bounds and pinned counts in
//! `space/instances.rs`; what is asserted in `space/referee.rs` and `space/transitions.rs`. A broken promise is told as
//! the list of actions that lead to it, a short one. `examples/explore.rs` shows the space in a browser.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(clippy::print_stdout, reason = "how many states there are is told while it goes on")]

mod diagram;
mod mutants;
mod space;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use space::budget::Fault;
use space::instances::{Instance, Kind, large, usual};
use space::story::story;
use space::transitions::TRANSITIONS;
use stateright::{Checker, Expectation, Model};

/// What needs a freeze without trust in the guard, among two: millions of states.
const ONLY_IN_LARGE: [&str; 1] = ["Winding(Ready) → Following"];

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

/// Those that `BELLWETHER_MODEL` asks for: the usual ones, with `large` the others as well, or one by its name.
fn wanted() -> Vec<Instance> {
    match std::env::var("BELLWETHER_MODEL").as_deref() {
        Err(_) => usual(),
        Ok("large") => usual().into_iter().chain(large()).collect(),
        Ok(name) => usual().into_iter().chain(large()).filter(|instance| instance.name == name).collect(),
    }
}

#[test]
fn no_instance_has_a_fault_that_cannot_happen() {
    for instance in usual().iter().chain(&large()) {
        assert_eq!(instance.idle_fault(), None, "{}", instance.name);
    }
    let own = |kind, faults: &[(Fault, u8)]| {
        Instance { faults: faults.to_vec(), ..Instance::new("of one's own", kind, 0) }.idle_fault()
    };
    assert_eq!(own(Kind::Guard, &[(Fault::Crash, 1), (Fault::Wipe, 1)]), Some(Fault::Wipe));
    assert_eq!(own(Kind::Lease, &[(Fault::Orphan, 1)]), Some(Fault::Orphan));
    assert_eq!(own(Kind::Lease, &[(Fault::Restart, 1)]), Some(Fault::Restart));
    assert_eq!(own(Kind::Lease, &[(Fault::Freeze, 0)]), Some(Fault::Freeze));
    assert_eq!(own(Kind::NoTrust, &[(Fault::LocksDropped, 1)]), Some(Fault::LocksDropped));
}

#[test]
fn the_promises_hold_in_every_instance_and_every_transition_happens() {
    let instances = wanted();
    assert!(!instances.is_empty(), "BELLWETHER_MODEL is `large` or the name of an instance");
    let mut found = BTreeSet::new();
    let mut wrong: String = instances.iter().map(|instance| explore(instance, &mut found)).collect();
    let of_all = instances.len() > usual().len();
    let unseen = TRANSITIONS.iter().map(|(.., name)| *name).filter(|name| !found.contains(name));
    for name in unseen.filter(|name| instances.len() > 1 && (of_all || !ONLY_IN_LARGE.contains(name))) {
        writeln!(wrong, "never seen: {name}").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
}
