//! What a record keeps of other revisions.

use std::time::Duration;

use super::super::record::Found;
use super::super::testing::{MIGRATE, Scratch, record, rev};
use super::super::{End, Record, UnixMillis};
use crate::protocol::{LastEnd, StepName};

/// A record of a run that has begun, as a leader of `revision` writes it.
fn counted(revision: &str, attempts: u32) -> Record {
    Record { rev: revision.to_owned(), epoch: 4, attempts, ..record() }
}

fn attempts(scratch: &Scratch, revision: &str) -> u32 {
    scratch.replica(1, revision).look().unwrap().view.steps[MIGRATE.0].record.attempts
}

#[test]
fn revisions_that_take_turns_each_keep_their_count() {
    let scratch = Scratch::new();
    for round in 1..=3 {
        for revision in ["v1", "v2"] {
            let before = attempts(&scratch, revision);
            assert_eq!(before, round - 1, "{revision}");
            scratch.replica(1, revision).write_record(MIGRATE, &counted(revision, before + 1)).unwrap();
        }
    }
    assert_eq!((attempts(&scratch, "v1"), attempts(&scratch, "v2"), attempts(&scratch, "v3")), (3, 3, 0));
    let text = scratch.read(".bellwether/steps/migrate.json");
    assert_eq!((text.matches(r#""rev":"v1""#).count(), text.matches(r#""rev":"v2""#).count()), (1, 1), "{text}");
}

#[test]
fn waits_and_deferrals_of_another_revision_are_kept_too() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let deferred = Record { not_before: Some(UnixMillis(10_000)), deferred_ms: 1_500, ..counted("v1", 2) };
    volume.write_record(MIGRATE, &deferred).unwrap();
    volume.write_record(MIGRATE, &counted("v2", 1)).unwrap();
    let name = StepName::parse("migrate").unwrap();
    let Found::Record(kept) = volume.find_record(&name).unwrap() else { panic!("it is there") };
    let view = kept.view(&rev("v1"), Some(UnixMillis(9_000)));
    assert_eq!((view.attempts, view.wait), (2, Duration::from_secs(1)));
    assert_eq!((view.deferred, view.last_end), (Duration::from_millis(1_500), LastEnd::Open));
    assert_eq!(kept.not_before(&rev("v1")), Some(UnixMillis(10_000)));
}

#[test]
fn a_revision_that_failed_for_good_stays_so_though_another_wrote_last() {
    let scratch = Scratch::new();
    let for_good = |revision| scratch.replica(1, revision).look().unwrap().view.steps[MIGRATE.0].record.for_good;
    scratch.volume().write_record(MIGRATE, &Record { for_good: true, ..counted("v1", 1) }).unwrap();
    assert_eq!((for_good("v1"), for_good("v2")), (true, false));
    scratch.volume().write_record(MIGRATE, &counted("v2", 1)).unwrap();
    assert_eq!((for_good("v1"), for_good("v2")), (true, false));
    assert!(scratch.volume().read_record(MIGRATE).unwrap().unwrap().for_good);
    scratch.volume().write_record(MIGRATE, &counted("v1", 0)).unwrap();
    assert!(!for_good("v1"));
}

#[test]
fn the_counts_of_the_last_six_other_revisions_are_kept() {
    let scratch = Scratch::new();
    for number in 0..9 {
        scratch.volume().write_record(MIGRATE, &counted(&format!("r{number}"), 2)).unwrap();
    }
    let kept: Vec<u32> = (0..9).map(|number| attempts(&scratch, &format!("r{number}"))).collect();
    assert_eq!(kept, [0, 0, 2, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn counts_of_our_revision_can_be_zeroed_though_another_wrote_last() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    volume.write_record(MIGRATE, &counted("v1", 3)).unwrap();
    volume.write_record(MIGRATE, &counted("v2", 1)).unwrap();
    let ours = volume.read_record(MIGRATE).unwrap().unwrap();
    assert_eq!((ours.rev.as_str(), ours.attempts, ours.last_end), ("v1", 3, Some(End::Open)));
    volume.write_record(MIGRATE, &Record { attempts: 0, ..ours }).unwrap();
    assert_eq!((attempts(&scratch, "v1"), attempts(&scratch, "v2")), (0, 1));
}

#[test]
fn a_reset_forgets_our_counts_in_another_revisions_record() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    volume.write_record(MIGRATE, &counted("v1", 3)).unwrap();
    volume.write_record(MIGRATE, &counted("v2", 1)).unwrap();
    volume.ensure_data_file(MIGRATE, None).unwrap();
    volume.reset(&[MIGRATE]).unwrap();
    assert_eq!((attempts(&scratch, "v1"), attempts(&scratch, "v2")), (0, 1));
    assert!(scratch.has(".bellwether/steps/migrate.data"));
}
