//! What a look makes of what it finds.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::super::testing::{ASSETS, MIGRATE, Scratch, claimed, plan, rev};
use super::super::{End, Record, UnixMillis, VolumeError};
use crate::protocol::{Epoch, LastEnd, RecordView, Standing, View};

fn view(scratch: &Scratch) -> View {
    scratch.volume().look().unwrap().view
}

fn record(revision: &str, not_before: Option<UnixMillis>) -> Record {
    Record {
        rev: revision.to_owned(),
        epoch: 3,
        attempts: 2,
        not_before,
        deferred_ms: 7,
        for_good: false,
        last_end: Some(End::Exit(1)),
        started_at: None,
        duration_ms: None,
    }
}

#[test]
fn an_empty_volume_is_blank_before_and_after_it_is_prepared() {
    let bare = Scratch::bare();
    assert_eq!(view(&bare), View::blank(plan().len()));
    assert_eq!(bare.names("."), [""; 0], "a look creates nothing where nothing was prepared");
    assert_eq!(view(&Scratch::new()), View::blank(plan().len()));
}

#[test]
fn a_root_that_is_gone_is_an_error() {
    let scratch = Scratch::bare();
    let volume = scratch.volume();
    drop(scratch);
    assert!(matches!(volume.look(), Err(VolumeError::Missing { .. })));
}

#[test]
fn epochs_revisions_ready_and_failed_are_seen() {
    let scratch = Scratch::new();
    scratch.volume().allot_epoch(Epoch(41)).unwrap();
    scratch.volume().append_revision().unwrap();
    scratch.replica(2, "v2").append_revision().unwrap();
    scratch.write(".ready_v1", "");
    scratch.write(".failed_v1", "");
    let view = view(&scratch);
    assert_eq!((view.epoch, view.ready, view.failed), (Epoch(42), true, true));
    assert_eq!(view.standing, Standing::Older { newest: rev("v2") });
}

#[test]
fn an_occupant_has_its_claims_its_beat_and_its_promise() {
    let scratch = Scratch::new();
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    scratch.write(".bellwether/claims/migrate_v1.4", "");
    let occupant = view(&scratch).steps[MIGRATE.0].occupant.clone().unwrap();
    assert_eq!(occupant.claims, [Epoch(4), Epoch(5)]);
    assert_eq!(occupant.beat_every, Some(Duration::from_secs(1)));
    assert!(occupant.age.unwrap() < Duration::from_secs(60));
    assert_eq!(view(&scratch).steps[ASSETS.0].occupant, None);
}

#[test]
fn ages_are_told_by_the_volumes_clock() {
    let scratch = Scratch::new();
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    scratch.volume().now().unwrap();
    let now = scratch.path(".bellwether/clock").metadata().unwrap().modified().unwrap();
    let marker = std::fs::File::options().write(true).open(scratch.path(".migrating_in_progress_v1")).unwrap();
    marker.set_modified(now - Duration::from_secs(500)).unwrap();
    let age = view(&scratch).steps[MIGRATE.0].occupant.clone().unwrap().age.unwrap();
    assert!(age >= Duration::from_secs(500) && age < Duration::from_secs(560), "{age:?}");
    marker.set_modified(now + Duration::from_secs(500)).unwrap();
    assert_eq!(view(&scratch).steps[MIGRATE.0].occupant.clone().unwrap().age, Some(Duration::ZERO));
}

#[test]
fn a_marker_that_cannot_be_parsed_counts_by_its_existence() {
    for content in ["", "{\"schema\":1,\"st", "2024-05-01 10:00", "\u{0}\u{0}\u{0}"] {
        let scratch = Scratch::bare();
        scratch.write(".migrating_in_progress_v1", content);
        let look = scratch.volume().look().unwrap();
        let occupant = look.view.steps[MIGRATE.0].occupant.clone().unwrap();
        assert!(occupant.claims.is_empty() && occupant.stamp.is_some() && occupant.beat_every.is_none());
        assert_eq!(look.problems.len(), 1, "{content:?}");
        assert!(look.problems[0].starts_with(".migrating_in_progress_v1 "), "{:?}", look.problems);
    }
}

#[test]
fn a_huge_marker_is_read_in_part_only() {
    let scratch = Scratch::bare();
    let huge = std::fs::File::create(scratch.path(".migrating_in_progress_v1")).unwrap();
    huge.set_len(1 << 40).unwrap();
    assert!(view(&scratch).steps[MIGRATE.0].occupant.is_some());
}

#[test]
fn done_wins_over_what_is_left_in_progress() {
    let scratch = Scratch::new();
    drop(claimed(&scratch.volume(), MIGRATE, 5, &[]));
    scratch.write(".migrated_v1", "");
    scratch.volume().write_record(MIGRATE, &record("v1", None)).unwrap();
    let step = view(&scratch).steps[MIGRATE.0].clone();
    assert!(step.done && step.occupant.is_none());
    assert_eq!(step.record, RecordView::BLANK);
}

#[test]
fn work_of_other_revisions_is_foreign_until_it_is_done() {
    let scratch = Scratch::new();
    scratch.write(".migrating_in_progress_v0", "2024-05-01");
    drop(claimed(&scratch.replica(2, "v2"), ASSETS, 6, &[]));
    let foreign = view(&scratch).foreign;
    let seen: Vec<(&str, &str)> = foreign.iter().map(|one| (one.step.as_str(), one.rev.as_str())).collect();
    assert_eq!(seen, [("assets", "v2"), ("migrate", "v0")]);
    assert_eq!(foreign[0].occupant.claims, [Epoch(6)]);
    assert!(foreign[0].occupant.stamp.is_some(), "claim and marker are one");
    scratch.write(".migrated_v0", "");
    scratch.write(".assets_built_v2", "");
    assert_eq!(view(&scratch).foreign, []);
}

#[test]
fn a_foreign_marker_may_say_what_its_done_marker_is_called() {
    let scratch = Scratch::new();
    scratch.write(".x_in_progress_v0", r#"{"schema":1,"step":"other","rev":"v0","done":"x_ready"}"#);
    assert_eq!(view(&scratch).foreign[0].step, "other");
    scratch.write(".x_ready_v0", "");
    assert_eq!(view(&scratch).foreign, []);
}

#[test]
fn a_marker_of_our_plan_is_ours_whatever_it_says() {
    let scratch = Scratch::new();
    scratch.write(".migrating_in_progress_v1", r#"{"schema":1,"step":"../../etc","rev":"v9"}"#);
    scratch.write(".other_in_progress_v1", r#"{"schema":1,"step":"../../etc","rev":"v1"}"#);
    let view = view(&scratch);
    assert!(view.steps[MIGRATE.0].occupant.is_some());
    assert_eq!(view.foreign[0].step, "other", "a name that cannot be one is not believed");
}

#[test]
fn what_is_no_file_in_a_markers_place_is_an_error_naming_it() {
    let places = [
        ".migrating_in_progress_v1",
        ".migrated_v1",
        ".ready_v1",
        ".failed_v1",
        ".migrating_in_progress_v0",
        ".other_in_progress_v7",
        ".bellwether/steps/migrate.json",
        ".bellwether/revisions",
        ".bellwether/claims/migrate_v1.3",
    ];
    for place in places {
        for kind in ["a directory", "a symbolic link", "a FIFO"] {
            let scratch = Scratch::new();
            scratch.write("target", "");
            let path = scratch.path(place);
            match kind {
                "a directory" => std::fs::create_dir(&path).unwrap(),
                "a FIFO" => {
                    let mode = rustix::fs::Mode::from_raw_mode(0o600);
                    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
                }
                _ => symlink(scratch.path("target"), &path).unwrap(),
            }
            let error = scratch.volume().look().unwrap_err();
            let expected = format!("{} is {kind}", path.display());
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn a_dangling_link_and_a_link_for_a_directory_are_errors_too() {
    let scratch = Scratch::new();
    symlink("/nowhere", scratch.path(".migrating_in_progress_v1")).unwrap();
    assert!(matches!(scratch.volume().look(), Err(VolumeError::NotAFile { .. })));
    let scratch = Scratch::bare();
    symlink("/tmp", scratch.path(".bellwether")).unwrap();
    assert!(matches!(scratch.volume().look(), Err(VolumeError::NotADirectory { .. })));
}

#[test]
fn records_are_translated_and_what_is_torn_is_said() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let later = volume.now().unwrap().after(Duration::from_secs(60));
    volume.write_record(MIGRATE, &record("v1", Some(later))).unwrap();
    volume.write_record(ASSETS, &record("v0", Some(later))).unwrap();
    let steps = view(&scratch).steps;
    let own = steps[MIGRATE.0].record;
    assert_eq!((own.attempts, own.last_end, own.deferred), (2, LastEnd::Bad, Duration::from_millis(7)));
    assert!(own.wait > Duration::from_secs(1) && own.wait <= Duration::from_secs(60), "{:?}", own.wait);
    assert_eq!(steps[ASSETS.0].record, RecordView { last_end: LastEnd::Bad, ..RecordView::BLANK });
    scratch.write(".bellwether/steps/migrate.json", "{\"sch");
    let look = volume.look().unwrap();
    let torn = RecordView { last_end: LastEnd::Open, ..RecordView::BLANK };
    assert_eq!(look.view.steps[MIGRATE.0].record, torn);
    assert!(look.problems[0].contains("steps/migrate.json cannot be read"), "{:?}", look.problems);
}

#[test]
fn a_record_left_by_a_revision_that_is_done_does_not_count() {
    let scratch = Scratch::new();
    scratch.volume().write_record(MIGRATE, &record("v0", None)).unwrap();
    scratch.write(".migrated_v0", "");
    assert_eq!(view(&scratch).steps[MIGRATE.0].record, RecordView::BLANK);
}
