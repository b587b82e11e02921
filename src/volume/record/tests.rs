//! Records, and the steps' own files.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::super::testing::{MIGRATE, Scratch, rev};
use super::*;

fn record(end: End) -> Record {
    Record {
        rev: "v1".to_owned(),
        epoch: 4,
        attempts: 2,
        not_before: Some(UnixMillis(10_000)),
        deferred_ms: 1_500,
        for_good: false,
        last_end: Some(end),
        started_at: Some(UnixMillis(5)),
        duration_ms: None,
    }
}

fn kept(end: End) -> Kept {
    Kept { record: record(end), earlier: Vec::new() }
}

#[test]
fn a_steps_own_file_is_replaced_as_a_whole_and_stays_private() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    assert_eq!(volume.read_data(MIGRATE).unwrap(), b"");
    volume.ensure_data_file(MIGRATE, None).unwrap();
    volume.write_data(MIGRATE, b"table 7 of 9").unwrap();
    volume.write_data(MIGRATE, b"table 8").unwrap();
    assert_eq!(volume.read_data(MIGRATE).unwrap(), b"table 8");
    let mode = std::fs::metadata(volume.data_path(MIGRATE)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_record_reads_as_it_was_written_and_is_private() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    assert_eq!(volume.read_record(MIGRATE).unwrap(), None);
    for end in [End::Open, End::Exit(2), End::Signal(9), End::Stopped, End::NotYet, End::TimedOut, End::Vanished] {
        volume.write_record(MIGRATE, &record(end)).unwrap();
        assert_eq!(volume.read_record(MIGRATE).unwrap(), Some(record(end)));
    }
    let mode = scratch.path(".bellwether/steps/migrate.json").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(scratch.names(".bellwether/tmp").is_empty());
}

#[test]
fn a_view_is_translated_to_the_revision_that_looks() {
    let now = Some(UnixMillis(9_000));
    let own = kept(End::Exit(1)).view(&rev("v1"), now);
    assert_eq!((own.attempts, own.wait, own.last_end), (2, Duration::from_secs(1), LastEnd::Bad));
    assert_eq!(own.deferred, Duration::from_millis(1_500));
    let other = kept(End::Open).view(&rev("v2"), now);
    assert_eq!(other, RecordView { last_end: LastEnd::Open, ..RecordView::BLANK });
}

#[test]
fn waits_are_bounded_however_clocks_jump() {
    let wait = |now| kept(End::NotYet).view(&rev("v1"), now).wait;
    assert_eq!(wait(Some(UnixMillis(11_000))), Duration::ZERO);
    assert_eq!(wait(None), Duration::ZERO);
    let mut jumped = kept(End::NotYet);
    jumped.record.not_before = Some(UnixMillis(u64::MAX));
    assert_eq!(jumped.view(&rev("v1"), Some(UnixMillis(0))).wait, LONGEST_WAIT);
}

#[test]
fn the_steps_own_file_is_created_once_and_kept() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let path = volume.ensure_data_file(MIGRATE, None).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    std::fs::write(&path, "installing: shop").unwrap();
    assert_eq!(scratch.replica(2, "v2").ensure_data_file(MIGRATE, None).unwrap(), path);
    volume.write_record(MIGRATE, &record(End::Stopped)).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "installing: shop");
}

#[test]
fn a_torn_record_is_told_from_none() {
    let scratch = Scratch::new();
    let name = StepName::parse("migrate").unwrap();
    assert_eq!(scratch.volume().find_record(&name).unwrap(), Found::Nothing);
    for torn in ["", r#"{"schema":1,"rev":"v1","#, "[]", "null"] {
        scratch.write(".bellwether/steps/migrate.json", torn);
        assert_eq!(scratch.volume().find_record(&name).unwrap(), Found::Unreadable, "{torn}");
    }
}
