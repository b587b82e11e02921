//! Every crash point of a change of hands leaves something that a successor can go on from.

use super::super::testing::{ASSETS, DONE, MIGRATE, Scratch, claimed, run};
use crate::protocol::{Epoch, Occupant};

fn occupant(scratch: &Scratch) -> Option<Occupant> {
    scratch.replica(9, "v1").look().unwrap().view.steps[MIGRATE.0].occupant.clone()
}

/// A successor takes what a look shows it, does the work, and leaves nothing behind.
fn goes_on(scratch: &Scratch) {
    let successor = scratch.replica(9, "v1");
    successor.sweep().unwrap();
    let found = successor.look().unwrap().view.steps[MIGRATE.0].clone();
    if !found.done {
        let from = found.occupant.map(|occupant| occupant.claims).unwrap_or_default();
        let mut held = successor.claim(MIGRATE, Epoch(50), &from, &run()).unwrap().expect("nobody else is there");
        assert!(successor.commit(&mut held, &DONE).unwrap());
    }
    assert!(scratch.has(".migrated_v1"));
    assert!(!scratch.has(".migrating_in_progress_v1"));
    let mine = |name: &String| name.starts_with("migrate_v1.");
    assert!(!scratch.names(".bellwether/claims").iter().any(mine));
    assert!(occupant(scratch).is_none());
}

fn claim_file(scratch: &Scratch, epoch: u64) {
    scratch.write(&format!(".bellwether/claims/migrate_v1.{epoch}"), "");
}

#[test]
fn after_the_temporary_file() {
    let scratch = Scratch::new();
    scratch.write(".bellwether/tmp/1-0-x", "{");
    assert_eq!(occupant(&scratch), None);
    goes_on(&scratch);
}

#[test]
fn inside_the_gate() {
    let scratch = Scratch::new();
    claim_file(&scratch, 0);
    let found = occupant(&scratch).unwrap();
    assert_eq!((found.claims, found.stamp, found.age), (vec![Epoch(0)], None, None));
    goes_on(&scratch);
}

#[test]
fn between_claim_and_marker() {
    let scratch = Scratch::new();
    claim_file(&scratch, 5);
    assert_eq!(occupant(&scratch).unwrap().claims, [Epoch(5)]);
    goes_on(&scratch);
}

#[test]
fn with_claim_and_marker() {
    let scratch = Scratch::new();
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    let found = occupant(&scratch).unwrap();
    assert!(found.stamp.is_some() && found.age.is_some());
    goes_on(&scratch);
}

#[test]
fn between_the_renames_of_a_takeover() {
    let scratch = Scratch::new();
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    claim_file(&scratch, 6);
    // The takeover of 5 and 6 by 8 died after its first rename.
    std::fs::rename(scratch.path(".bellwether/claims/migrate_v1.5"), scratch.path(".bellwether/claims/migrate_v1.8"))
        .unwrap();
    assert_eq!(occupant(&scratch).unwrap().claims, [Epoch(6), Epoch(8)]);
    goes_on(&scratch);
}

#[test]
fn between_commit_and_clearing() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let _held = claimed(&volume, MIGRATE, 5, &[]);
    volume.ensure_data_file(MIGRATE, None).unwrap();
    std::fs::rename(scratch.path(".bellwether/claims/migrate_v1.5"), scratch.path(".migrated_v1")).unwrap();
    let view = scratch.replica(9, "v1").look().unwrap().view;
    assert!(view.steps[MIGRATE.0].done && view.steps[MIGRATE.0].occupant.is_none());
    goes_on(&scratch);
}

#[test]
fn a_commit_that_was_interrupted_after_its_rename_is_finished_by_a_retry() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 5, &[]);
    std::fs::rename(scratch.path(".bellwether/claims/migrate_v1.5"), scratch.path(".migrated_v1")).unwrap();
    // The same sequence is what a repeated NFS request looks like.
    assert!(volume.commit(&mut held, &DONE).unwrap());
    assert!(volume.commit(&mut held, &DONE).unwrap());
    assert!(!scratch.has(".migrating_in_progress_v1"));
}

#[test]
fn a_repeated_commit_is_recognised_after_a_takeover_too() {
    let scratch = Scratch::new();
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    let successor = scratch.replica(2, "v1");
    let mut held = claimed(&successor, MIGRATE, 6, &[5]);
    std::fs::rename(scratch.path(".bellwether/claims/migrate_v1.6"), scratch.path(".migrated_v1")).unwrap();
    assert!(successor.commit(&mut held, &DONE).unwrap());
}

#[test]
fn between_the_halves_of_a_retraction() {
    let scratch = Scratch::new();
    let held = claimed(&scratch.volume(), MIGRATE, 5, &[]);
    held.hide().unwrap();
    assert_eq!(occupant(&scratch).unwrap().claims, [Epoch(5)]);
    goes_on(&scratch);
}

#[test]
fn one_steps_leftovers_do_not_touch_its_siblings() {
    let scratch = Scratch::new();
    let _sibling = claimed(&scratch.volume(), ASSETS, 5, &[]);
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    goes_on(&scratch);
    assert_eq!(scratch.names(".bellwether/claims"), ["assets_v1.5"]);
    assert!(scratch.has(".assets_building_in_progress_v1"));
}
