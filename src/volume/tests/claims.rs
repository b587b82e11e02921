//! Claims: races, takeovers, beats.

use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;

use super::super::testing::{ASSETS, DONE, MIGRATE, Scratch, claimed, run};
use super::super::{Beat, Marker};
use crate::protocol::Epoch;
use crate::protocol::Fault;

fn epochs(numbers: &[u64]) -> Vec<Epoch> {
    numbers.iter().copied().map(Epoch).collect()
}

/// Which of `racers` replicas win, all claiming at once, each under an epoch of its own, from what `from` says.
fn winners(scratch: &Scratch, racers: u32, from: impl Fn(u32) -> Vec<u64>) -> Vec<Epoch> {
    let barrier = Barrier::new(racers as usize);
    std::thread::scope(|scope| {
        let racing: Vec<_> = (0..racers)
            .map(|number| {
                let (volume, from, barrier) = (scratch.replica(number, "v1"), epochs(&from(number)), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    volume.claim(MIGRATE, Epoch(100 + u64::from(number)), &from, &run()).unwrap()
                })
            })
            .collect();
        racing.into_iter().filter_map(|racer| Some(racer.join().unwrap()?.epoch())).collect()
    })
}

#[test]
fn a_claim_is_visible_with_its_marker() {
    let scratch = Scratch::new();
    let held = claimed(&scratch.volume(), MIGRATE, 7, &[]);
    assert_eq!((held.step(), held.epoch()), (MIGRATE, Epoch(7)));
    assert_eq!(scratch.names(".bellwether/claims"), ["migrate_v1.7"]);
    assert!(scratch.names(".bellwether/tmp").is_empty());
    let text = scratch.read(".migrating_in_progress_v1");
    let marker = Marker::parse(text.as_bytes()).unwrap();
    assert_eq!((marker.epoch, marker.attempt, marker.step.as_deref()), (7, Some(1), Some("migrate")));
    assert_eq!(marker.started_at.as_deref(), Some("1970-01-01T00:00:01.000Z"));
    assert!(text.starts_with(r#"{"schema":1,"step":"migrate","rev":"v1","epoch":7,"replica":{"id":"#), "{text}");
}

#[test]
fn of_many_first_claims_exactly_one_wins() {
    for _ in 0..40 {
        let scratch = Scratch::new();
        let won = winners(&scratch, 8, |_| Vec::new());
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(scratch.names(".bellwether/claims"), [format!("migrate_v1.{}", won[0])]);
        assert!(scratch.names(".bellwether/tmp").is_empty());
    }
}

#[test]
fn of_many_takeovers_exactly_one_wins() {
    for _ in 0..40 {
        let scratch = Scratch::new();
        let _old = claimed(&scratch.volume(), MIGRATE, 3, &[]);
        let won = winners(&scratch, 8, |_| vec![3]);
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(scratch.names(".bellwether/claims"), [format!("migrate_v1.{}", won[0])]);
    }
}

#[test]
fn of_many_takeovers_of_several_claims_exactly_one_wins() {
    for _ in 0..40 {
        let scratch = Scratch::new();
        for old in ["migrate_v1.3", "migrate_v1.4", "migrate_v1.0"] {
            scratch.write(&format!(".bellwether/claims/{old}"), "");
        }
        let won = winners(&scratch, 8, |number| if number % 2 == 0 { vec![3, 0, 4] } else { vec![4, 3, 0] });
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(scratch.names(".bellwether/claims"), [format!("migrate_v1.{}", won[0])]);
    }
}

#[test]
fn first_claims_and_takeovers_that_race_have_one_winner() {
    for _ in 0..40 {
        let scratch = Scratch::new();
        let _old = claimed(&scratch.volume(), MIGRATE, 3, &[]);
        let won = winners(&scratch, 8, |number| if number % 2 == 0 { vec![3] } else { Vec::new() });
        assert_eq!(won.len(), 1, "{won:?}");
    }
}

#[test]
fn a_first_claim_is_lost_to_an_earlier_one() {
    let scratch = Scratch::new();
    let held = claimed(&scratch.volume(), MIGRATE, 7, &[]);
    let second = scratch.replica(2, "v1");
    assert!(second.claim(MIGRATE, Epoch(8), &[], &run()).unwrap().is_none());
    assert_eq!(scratch.names(".bellwether/claims"), ["migrate_v1.7"]);
    // Other steps and other revisions are another matter.
    claimed(&second, ASSETS, 8, &[]);
    claimed(&scratch.replica(3, "v2"), MIGRATE, 9, &[]);
    scratch.volume().retract(&held).unwrap();
    claimed(&second, MIGRATE, 8, &[]);
}

#[test]
fn a_claim_to_a_step_that_is_done_is_lost() {
    let scratch = Scratch::new();
    let mut held = claimed(&scratch.volume(), MIGRATE, 7, &[]);
    assert!(scratch.volume().commit(&mut held, &DONE).unwrap());
    let late = scratch.replica(2, "v1");
    assert!(late.claim(MIGRATE, Epoch(8), &[], &run()).unwrap().is_none());
    assert!(scratch.names(".bellwether/claims").is_empty());
    assert!(!scratch.has(".migrating_in_progress_v1"));
}

#[test]
fn a_retried_claim_changes_nothing() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    drop(claimed(&volume, MIGRATE, 7, &[]));
    drop(claimed(&volume, MIGRATE, 7, &[]));
    let other = scratch.replica(2, "v1");
    drop(claimed(&other, MIGRATE, 8, &[7]));
    let mut held = claimed(&other, MIGRATE, 8, &[7]);
    assert_eq!(scratch.names(".bellwether/claims"), ["migrate_v1.8"]);
    assert_eq!(other.beat(&mut held).unwrap(), Beat::Refreshed);
    assert!(volume.claim(MIGRATE, Epoch(7), &[], &run()).unwrap().is_none(), "taken over in the meantime");
}

#[test]
fn a_claim_interrupted_in_the_gate_is_finished_by_a_retry_or_taken_over() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let into_the_gate = || {
        let held = claimed(&volume, MIGRATE, 7, &[]);
        held.hide().unwrap();
        std::fs::rename(
            scratch.path(".bellwether/claims/migrate_v1.7"),
            scratch.path(".bellwether/claims/migrate_v1.0"),
        )
        .unwrap();
    };
    into_the_gate();
    let other = scratch.replica(2, "v1");
    assert!(other.claim(MIGRATE, Epoch(8), &[], &run()).unwrap().is_none(), "the gate is closed");
    let held = claimed(&volume, MIGRATE, 7, &[]);
    volume.retract(&held).unwrap();
    into_the_gate();
    claimed(&other, MIGRATE, 8, &[0]);
    assert!(volume.claim(MIGRATE, Epoch(7), &[], &run()).unwrap().is_none());
    assert_eq!(scratch.names(".bellwether/claims"), ["migrate_v1.8"]);
}

#[test]
fn a_takeover_replaces_marker_and_claim_and_the_late_leader_touches_neither() {
    let scratch = Scratch::new();
    let (early, late) = (scratch.replica(1, "v1"), scratch.replica(2, "v1"));
    let mut old = claimed(&early, MIGRATE, 3, &[]);
    let mut new = claimed(&late, MIGRATE, 4, &[3]);
    let before = scratch.path(".migrating_in_progress_v1").metadata().unwrap();
    assert_eq!(early.beat(&mut old).unwrap(), Beat::Lost);
    let after = scratch.path(".migrating_in_progress_v1").metadata().unwrap();
    assert_eq!((before.ino(), before.modified().unwrap()), (after.ino(), after.modified().unwrap()));
    early.retract(&old).unwrap();
    assert!(!early.commit(&mut old, &DONE).unwrap());
    assert!(!scratch.has(".migrated_v1"));
    assert_eq!(late.beat(&mut new).unwrap(), Beat::Refreshed);
    assert!(late.commit(&mut new, &DONE).unwrap());
    assert!(!early.commit(&mut old, &DONE).unwrap(), "done by another epoch is lost");
    assert_eq!(Marker::parse(scratch.read(".migrated_v1").as_bytes()).unwrap().epoch, 4);
}

#[test]
fn beats_keep_the_inode_and_renew_the_time() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 3, &[]);
    let path = scratch.path(".migrating_in_progress_v1");
    let first = path.metadata().unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    for _ in 0..3 {
        assert_eq!(volume.beat(&mut held).unwrap(), Beat::Refreshed);
    }
    let last = path.metadata().unwrap();
    assert_eq!(first.ino(), last.ino());
    assert!(last.modified().unwrap() >= first.modified().unwrap());
}

#[test]
fn a_marker_that_a_person_removed_is_written_again() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 3, &[]);
    let content = scratch.read(".migrating_in_progress_v1");
    std::fs::remove_file(scratch.path(".migrating_in_progress_v1")).unwrap();
    assert_eq!(volume.beat(&mut held).unwrap(), Beat::Rewritten);
    assert_eq!(scratch.read(".migrating_in_progress_v1"), content);
    assert_eq!(volume.beat(&mut held).unwrap(), Beat::Refreshed);
    volume.retract(&held).unwrap();
    assert!(!scratch.has(".migrating_in_progress_v1"), "the new file is ours as well");
}

#[test]
fn a_strangers_marker_in_our_place_is_left_alone() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 3, &[]);
    std::fs::remove_file(scratch.path(".migrating_in_progress_v1")).unwrap();
    scratch.write(".migrating_in_progress_v1", "mine");
    assert_eq!(volume.beat(&mut held).unwrap(), Beat::Replaced);
    volume.retract(&held).unwrap();
    assert_eq!(scratch.read(".migrating_in_progress_v1"), "mine");
    assert!(scratch.names(".bellwether/claims").is_empty());
}

#[test]
fn without_its_claim_a_removed_marker_stays_removed() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 3, &[]);
    std::fs::remove_file(scratch.path(".migrating_in_progress_v1")).unwrap();
    std::fs::remove_file(scratch.path(".bellwether/claims/migrate_v1.3")).unwrap();
    assert_eq!(volume.beat(&mut held).unwrap(), Beat::Lost);
    assert!(!scratch.has(".migrating_in_progress_v1"));
}

#[test]
fn an_unprepared_volume_is_an_error_not_a_lost_claim() {
    let scratch = Scratch::bare();
    let error = scratch.volume().claim(MIGRATE, Epoch(1), &[], &run()).unwrap_err();
    assert_eq!(error.fault(), Fault::Broken);
    assert!(error.to_string().contains(".bellwether/tmp"), "{error}");
}
