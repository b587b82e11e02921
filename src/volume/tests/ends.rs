//! Done, ready, failed, retired, reset.

use super::super::testing::{ASSETS, MIGRATE, Scratch, claimed, record, rev};
use super::super::{DoneFacts, Failure, How, Marker, StepNotes, UnixMillis, VolumeError};
use crate::protocol::{Epoch, Fault, Foreign, Occupant};

const CHECKED: DoneFacts =
    DoneFacts { finished_at: UnixMillis(2_000), duration_ms: 1_000, how: How::Checked, notes: StepNotes::NONE };

fn finish(scratch: &Scratch, steps: &[crate::protocol::StepId]) {
    for &step in steps {
        let mut held = claimed(&scratch.volume(), step, 3, &[]);
        assert!(scratch.volume().commit(&mut held, &CHECKED).unwrap());
    }
}

#[test]
fn a_commit_leaves_the_done_marker_and_nothing_else() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 3, &[]);
    volume.write_record(MIGRATE, &record()).unwrap();
    volume.ensure_data_file(MIGRATE, None).unwrap();
    assert!(volume.commit(&mut held, &CHECKED).unwrap());
    assert_eq!(scratch.names("."), [".bellwether", ".migrated_v1"]);
    for directory in ["claims", "steps", "tmp"] {
        assert!(scratch.names(&format!(".bellwether/{directory}")).is_empty(), "{directory}");
    }
    let marker = Marker::parse(scratch.read(".migrated_v1").as_bytes()).unwrap();
    assert_eq!((marker.epoch, marker.duration_ms, marker.how), (3, Some(1_000), Some(How::Checked)));
    assert_eq!(marker.finished_at.as_deref(), Some("1970-01-01T00:00:02.000Z"));
    assert_eq!((marker.beat_every, marker.done), (None, None));
}

#[test]
fn ready_is_written_only_when_every_step_is_done() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    finish(&scratch, &[MIGRATE]);
    let error = volume.write_ready(Epoch(3), "digest").unwrap_err();
    assert_eq!((error.path(), error.fault()), (&*scratch.path(".assets_built_v1"), Fault::Broken));
    let text = error.to_string();
    assert!(text.contains("/.assets_built_v1 has been removed") && text.contains("runs again"), "{text}");
    assert!(!volume.is_ready().unwrap());
    finish(&scratch, &[ASSETS]);
    volume.write_ready(Epoch(3), "digest").unwrap();
    assert!(volume.is_ready().unwrap());
    let marker = Marker::parse(scratch.read(".ready_v1").as_bytes()).unwrap();
    assert_eq!((marker.plan.as_deref(), marker.step), (Some("digest"), None));
    assert!(!scratch.replica(2, "v2").is_ready().unwrap());
}

#[test]
fn a_directory_is_not_ready() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path(".ready_v1")).unwrap();
    let error = scratch.volume().is_ready().unwrap_err();
    assert!(error.to_string().contains(".ready_v1 is a directory"), "{error}");
}

#[test]
fn a_failure_reads_as_it_was_written() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    assert_eq!(volume.read_failed().unwrap(), None);
    let failure = Failure {
        step: "migrate".to_owned(),
        end: "exit 1".to_owned(),
        attempts: 3,
        lines: vec!["a \"b\"".to_owned(), "c".to_owned()],
        log: "/v/.bellwether/log/migrate.log".to_owned(),
        commands: vec!["bellwether retry".to_owned()],
        notes: StepNotes { undo: vec!["restore".to_owned()], ..StepNotes::NONE },
    };
    volume.write_failed(Epoch(3), &failure).unwrap();
    assert_eq!(volume.read_failed().unwrap(), Some(failure));
    assert!(volume.look().unwrap().view.failed);
    assert!(volume.clear_failed().unwrap());
    assert!(!volume.clear_failed().unwrap());
    scratch.write(".failed_v1", "torn {");
    assert_eq!(volume.read_failed().unwrap(), Some(Failure::default()));
}

#[test]
fn a_failure_with_long_lines_is_cut_and_reads_again() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    for (unit, kept) in [("é", 24), ("\u{1}", 8), ("x", 40)] {
        let lines: Vec<String> = (10..50).map(|number| format!("{number}{}", unit.repeat(8_190))).collect();
        let failure = Failure { step: "migrate".to_owned(), end: "exit 1".to_owned(), lines, ..Failure::default() };
        volume.write_failed(Epoch(3), &failure).unwrap();
        assert!(scratch.path(".failed_v1").metadata().unwrap().len() < 64 * 1024);
        let read = volume.read_failed().unwrap().unwrap();
        assert_eq!((read.step.as_str(), read.lines.len()), ("migrate", kept), "{unit:?}");
        assert_eq!(read.lines.last().unwrap(), &format!("49{}…", unit.repeat(997)));
    }
    let whole = Failure { step: "migrate".to_owned(), lines: vec!["x".repeat(1000)], ..Failure::default() };
    volume.write_failed(Epoch(3), &whole).unwrap();
    assert_eq!(volume.read_failed().unwrap(), Some(whole));
}

#[test]
fn a_long_failed_marker_of_an_earlier_version_is_read() {
    let scratch = Scratch::new();
    let lines = vec!["x".repeat(8 * 1024); 40];
    let text = serde_json::json!({"schema": 1, "epoch": 9, "step": "migrate", "end": "exit 1", "lines": lines});
    scratch.write(".failed_v1", &text.to_string());
    let read = scratch.volume().read_failed().unwrap().unwrap();
    assert_eq!((read.step.as_str(), read.lines.len()), ("migrate", 40));
    assert_eq!(scratch.volume().allot_epoch(Epoch(0)).unwrap(), Epoch(10));
}

#[test]
fn a_failed_marker_that_cannot_be_read_still_says_how_to_go_on() {
    let scratch = Scratch::new();
    for content in ["torn {", "", "{}"] {
        scratch.write(".failed_v1", content);
        let text = scratch.volume().describe_failure();
        for part in ["revision v1", "/.failed_v1 ", "/.bellwether/log", "bellwether retry", "bellwether skip --step"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("attempt 0"), "{text}");
    }
}

#[test]
fn a_stale_occupant_is_retired_as_it_was_seen() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    drop(claimed(&volume, MIGRATE, 3, &[]));
    let seen = volume.look().unwrap().view.steps[MIGRATE.0].occupant.clone().unwrap();
    assert!(volume.retire_step(MIGRATE, &seen).unwrap());
    assert!(!scratch.has(".migrating_in_progress_v1") && scratch.names(".bellwether/claims").is_empty());
    assert!(!volume.retire_step(MIGRATE, &seen).unwrap(), "its claim has gone already");
}

#[test]
fn an_occupant_that_moved_is_not_retired() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let mut held = claimed(&volume, MIGRATE, 3, &[]);
    let mut seen = volume.look().unwrap().view.steps[MIGRATE.0].occupant.clone().unwrap();
    // A beat in between: the same file, another time.
    seen.stamp.as_mut().unwrap().mtime -= 1;
    seen.claims.clear();
    assert!(!volume.retire_step(MIGRATE, &seen).unwrap());
    assert!(scratch.has(".migrating_in_progress_v1"));
    volume.beat(&mut held).unwrap();
}

#[test]
fn foreign_work_is_retired_by_what_a_look_called_it() {
    let scratch = Scratch::new();
    let old = scratch.replica(1, "v0");
    drop(claimed(&old, MIGRATE, 2, &[]));
    scratch.write(".collecting_in_progress_v0", r#"{"schema":1,"step":"collect_static","rev":"v0","epoch":2}"#);
    scratch.write(
        ".bellwether/claims/collect_static_v0.2",
        r#"{"schema":1,"step":"collect_static","rev":"v0","epoch":2}"#,
    );
    scratch.write(".compiling_in_progress_v0", "2024-05-01");
    let volume = scratch.volume();
    let foreign = volume.look().unwrap().view.foreign;
    let steps: Vec<(&str, usize, bool)> = foreign
        .iter()
        .map(|one| (one.step.as_str(), one.occupant.claims.len(), one.occupant.stamp.is_some()))
        .collect();
    assert_eq!(steps, [("collect_static", 1, true), ("compiling", 0, true), ("migrate", 1, true)]);
    for one in &foreign {
        assert!(volume.retire_foreign(one).unwrap(), "{one:?}");
    }
    assert_eq!(volume.look().unwrap().view.foreign, []);
    assert_eq!(scratch.names("."), [".bellwether"]);
}

#[test]
fn of_two_markers_for_one_step_the_later_counts_and_both_are_retired() {
    let scratch = Scratch::new();
    let content = r#"{"schema":1,"step":"other","rev":"v0","epoch":2}"#;
    scratch.write(".a_in_progress_v0", content);
    scratch.write(".b_in_progress_v0", content);
    let old = std::fs::File::options().write(true).open(scratch.path(".a_in_progress_v0")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let volume = scratch.volume();
    let foreign = volume.look().unwrap().view.foreign;
    assert_eq!(foreign.len(), 1);
    assert!(foreign[0].occupant.stamp.unwrap().mtime > 0);
    assert!(volume.retire_foreign(&foreign[0]).unwrap());
    assert_eq!(scratch.names("."), [".bellwether"]);
}

#[test]
fn foreign_work_that_is_gone_is_no_error() {
    let scratch = Scratch::new();
    let occupant = Occupant { claims: vec![Epoch(3)], stamp: None, age: None, beat_every: None };
    let gone = Foreign { step: "other".to_owned(), rev: rev("v0"), occupant };
    assert!(!scratch.volume().retire_foreign(&gone).unwrap());
}

#[test]
fn a_reset_removes_one_revisions_traces() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    finish(&scratch, &[MIGRATE, ASSETS]);
    volume.write_ready(Epoch(3), "digest").unwrap();
    // Its leader died before it had cleared what the step had written down.
    volume.write_record(MIGRATE, &record()).unwrap();
    volume.write_data(MIGRATE, b"begun").unwrap();
    scratch.write(".bellwether/claims/migrate_v1.9", "");
    scratch.write(".migrated_v0", "");
    assert_eq!(volume.reset(&[MIGRATE]).unwrap(), [".ready_v1", ".migrated_v1"]);
    assert!(scratch.has(".assets_built_v1") && scratch.has(".migrated_v0"));
    assert!(scratch.names(".bellwether/claims").is_empty() && scratch.names(".bellwether/steps").is_empty());
    assert!(!volume.look().unwrap().view.steps[MIGRATE.0].done);
}

#[test]
fn a_reset_keeps_what_a_step_that_is_not_done_has_written_down() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    volume.write_record(MIGRATE, &record()).unwrap();
    volume.write_data(MIGRATE, b"begun").unwrap();
    assert!(volume.reset(&[MIGRATE, ASSETS]).unwrap().is_empty());
    assert_eq!(scratch.names(".bellwether/steps"), ["migrate.data"]);
    assert_eq!(volume.read_data(MIGRATE).unwrap(), b"begun");
}

#[test]
fn publishing_over_a_directory_is_an_error_that_names_it() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path(".failed_v1")).unwrap();
    let error = scratch.volume().write_failed(Epoch(1), &Failure::default()).unwrap_err();
    assert!(matches!(error, VolumeError::Io { .. }) && error.path().ends_with(".failed_v1"), "{error}");
    assert!(scratch.names(".bellwether/tmp").is_empty(), "the temporary file is gone");
}
