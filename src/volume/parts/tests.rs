//! What is understood of a step's own file, where that goes, and what never breaks.

use super::super::testing::{ASSETS, DONE, MIGRATE, Scratch, claimed, make_fifo, record};
use super::super::{DoneFacts, Failure, HistoryKind, Record, UnixMillis};
use super::*;
use crate::protocol::Epoch;

fn plain(text: &str) -> String {
    text.to_owned()
}

fn part(name: &str, state: PartState, note: Option<&str>) -> Part {
    Part { name: name.to_owned(), state, note: note.map(ToOwned::to_owned) }
}

fn parsed(content: &str) -> StepNotes {
    let (notes, problems) = StepNotes::parse(content.as_bytes(), &plain);
    assert_eq!(problems, Vec::<String>::new(), "{content}");
    notes
}

fn undo(lines: &[&str]) -> StepNotes {
    StepNotes { undo: lines.iter().map(|&line| line.to_owned()).collect(), ..StepNotes::NONE }
}

/// As much as a step can tell in 64 KiB, with characters that grow as JSON grows.
fn plenty(unit: &str) -> StepNotes {
    let text = |number: usize| cut(&format!("{number}{}", unit.repeat(LONGEST)), LONGEST);
    let parts = (0..MOST_PARTS).map(|number| part(&text(number), PartState::Waiting, Some(&text(number)))).collect();
    StepNotes { parts, undo: (0..MOST_UNDO).map(text).collect() }
}

#[test]
fn parts_and_undo_are_read_and_everything_else_is_the_steps_own() {
    let notes = parsed(
        r#"{"apps": ["shop"], "parts": [
            {"name": "a", "state": "done", "note": "3 tables", "more": 1},
            {"name": "b", "state": "running"}, {"name": "c", "state": "waiting", "note": 7},
            {"name": "d", "state": "failed", "note": null}], "undo": ["restore a.sql", "restart"]}"#,
    );
    let expected = [
        part("a", PartState::Done, Some("3 tables")),
        part("b", PartState::Running, None),
        part("c", PartState::Waiting, None),
        part("d", PartState::Failed, None),
    ];
    assert_eq!((&notes.parts[..], &notes.undo[..]), (&expected[..], &undo(&["restore a.sql", "restart"]).undo[..]));
    assert_eq!(
        notes.describe().join("\n"),
        "parts:\n    a: done, 3 tables\n    b: running\n    c: waiting\n    \
        d: failed\nto bring back what was before:\n    restore a.sql\n    restart"
    );
}

#[test]
fn what_is_no_json_object_tells_nothing_and_is_no_problem() {
    for content in ["", "installing: shop", "{\"parts\": [", "[1]", "[[], [\"x\"]]", "null", "7", "{}", "\u{feff}{}"] {
        assert_eq!(parsed(content), StepNotes::NONE, "{content}");
    }
    assert_eq!(parsed(r#"{"parts": null, "undo": null}"#), StepNotes::NONE);
    assert!(StepNotes::parse(b"\xff\xfe", &plain).1.is_empty());
    let deep = format!(r#"{{"parts": {}}}"#, "[".repeat(30_000));
    assert_eq!(parsed(&deep), StepNotes::NONE);
}

#[test]
fn what_cannot_be_understood_is_left_out_and_told_of() {
    let (notes, problems) = StepNotes::parse(
        br#"{"parts": [1, {"name": "a"}, {"name": "", "state": "done"}, {"name": "b", "state": "fine"},
            {"name": 5, "state": "done"}, {"name": "c", "state": "done"}], "undo": ["x", 5, ["y"]]}"#,
        &plain,
    );
    assert_eq!(notes, StepNotes { parts: vec![part("c", PartState::Done, None)], ..undo(&["x"]) });
    assert_eq!(
        problems,
        [
            "5 of its parts cannot be understood; a part has a name, and a state that is waiting, running, done or \
             failed",
            "2 of its undo lines are no text"
        ]
    );
    let (notes, problems) = StepNotes::parse(br#"{"parts": {"a": "done"}, "undo": "x"}"#, &plain);
    assert_eq!(
        (notes, problems.join("; ")),
        (StepNotes::NONE, r#"its "parts" is no list; its "undo" is no list"#.to_owned())
    );
}

#[test]
fn there_is_a_bound_to_everything() {
    let parts: Vec<String> = (0..300).map(|n| format!(r#"{{"name": "p{n}", "state": "done"}}"#)).collect();
    let content =
        format!(r#"{{"parts": [{}], "undo": [{}"{}"]}}"#, parts.join(","), r#""","a\nb","#.repeat(60), "é".repeat(400));
    let (notes, problems) = StepNotes::parse(content.as_bytes(), &plain);
    assert_eq!((notes.parts.len(), notes.undo.len(), problems.len()), (200, 100, 2), "{problems:?}");
    let long = parsed(&format!(r#"{{"undo": ["{}"]}}"#, "é".repeat(LONGEST_UNDO + 1)));
    assert_eq!(long.undo[0], format!("{}…", "é".repeat(LONGEST_UNDO - 1)));
}

#[test]
fn a_text_stays_on_its_line_and_shows_no_secret_not_even_where_it_is_cut() {
    let secret = "s3cret-value";
    let mask = |text: &str| text.replace(secret, "***");
    let content = serde_json::json!({
        "parts": [{"name": format!("a\u{1b}[2J\n{secret}"), "state": "done", "note": secret}],
        "undo": [format!("mysql -p{secret} <a.sql\r\n\n  second"), format!("{}{secret}", "x".repeat(LONGEST_UNDO - 5))],
    });
    let (notes, _) = StepNotes::parse(content.to_string().as_bytes(), &mask);
    assert_eq!(notes.parts, [part("a [2J ***", PartState::Done, Some("***"))]);
    assert_eq!(notes.undo, ["mysql -p*** <a.sql", "  second", &format!("{}***", "x".repeat(LONGEST_UNDO - 5))]);
}

#[test]
fn a_steps_notes_are_those_of_the_revision_that_ran_it_last() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let notes = || volume.read_notes(MIGRATE, &plain);
    volume.write_data(MIGRATE, br#"{"undo": ["x", 1]}"#).unwrap();
    assert_eq!(notes(), Default::default(), "nobody knows whose it is");
    volume.write_record(MIGRATE, &record()).unwrap();
    assert_eq!(notes().0, undo(&["x"]));
    assert_eq!(notes().1, [".bellwether/steps/migrate.data: 1 of its undo lines are no text"]);
    volume.write_record(MIGRATE, &Record { rev: "v2".to_owned(), ..record() }).unwrap();
    assert_eq!(notes(), Default::default());
    assert_eq!(scratch.replica(2, "v2").read_notes(MIGRATE, &plain).0, undo(&["x"]));
}

#[test]
fn a_huge_file_changes_nothing_and_one_that_is_none_is_told() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    volume.write_record(MIGRATE, &record()).unwrap();
    let padded = |length: usize| format!(r#"{{"undo": ["x"]{}}}"#, " ".repeat(length - 15));
    volume.write_data(MIGRATE, padded(64 * 1024).as_bytes()).unwrap();
    assert_eq!(volume.read_notes(MIGRATE, &plain).0, undo(&["x"]));
    volume.write_data(MIGRATE, padded(64 * 1024 + 1).as_bytes()).unwrap();
    assert_eq!(volume.read_notes(MIGRATE, &plain), Default::default());
    std::fs::remove_file(volume.data_path(MIGRATE)).unwrap();
    make_fifo(&volume.data_path(MIGRATE));
    let told = "steps/migrate.data: it is a FIFO where a regular file is expected; move it away";
    assert_eq!(volume.read_notes(MIGRATE, &plain), (StepNotes::NONE, vec![format!(".bellwether/{told}")]));
    assert_eq!(undo_of(scratch.root(), "v1", &plain), Vec::<String>::new());
}

#[test]
fn a_done_marker_carries_them_and_can_always_be_read_again() {
    for (unit, kept) in [("x", 100), ("\\", 81), ("\u{fffd}", 54)] {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        let mut held = claimed(&volume, MIGRATE, 3, &[]);
        assert!(volume.commit(&mut held, &DoneFacts { notes: plenty(unit), ..DONE }).unwrap());
        assert!(scratch.path(".migrated_v1").metadata().unwrap().len() < MARKER_LIMIT);
        let marker = volume.markers().unwrap()[0].content.clone().unwrap();
        assert_eq!((marker.duration_ms, marker.notes.undo.len()), (Some(1_000), kept), "{unit}");
        assert_eq!(marker.notes.parts.is_empty(), unit != "x");
    }
}

#[test]
fn markers_of_others_are_read_with_the_same_care() {
    let read = |text: &str| Marker::parse(text.as_bytes()).unwrap().notes;
    assert_eq!(read(r#"{"schema":1,"rev":"v1","parts":5,"undo":{"a":1}}"#), StepNotes::NONE);
    assert_eq!(read(r#"{"schema":1,"rev":"v1","undo":["a",5]}"#), undo(&["a"]));
    let line = Marker::default().line();
    assert!(!String::from_utf8(line).unwrap().contains("undo"), "what is not there takes no room");
}

#[test]
fn a_failed_marker_carries_them_beside_its_lines() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    let lines: Vec<String> = (10..50).map(|number| format!("{number}{}", "é".repeat(2_000))).collect();
    let failure = Failure { step: "migrate".to_owned(), lines, notes: plenty("é"), ..Failure::default() };
    volume.write_failed(Epoch(3), &failure).unwrap();
    assert!(scratch.path(".failed_v1").metadata().unwrap().len() < 64 * 1024);
    let read = volume.read_failed().unwrap().unwrap();
    assert!(read.notes.undo.len() > 30 && read.lines.len() > 10, "{} {}", read.notes.undo.len(), read.lines.len());
    let short = Failure { notes: undo(&["restore a.sql"]), ..failure };
    volume.write_failed(Epoch(3), &short).unwrap();
    assert!(volume.describe_failure().contains("\nto bring back what was before:\n    restore a.sql\nto go on:"));
}

#[test]
fn the_history_keeps_what_fits() {
    let scratch = Scratch::new();
    let volume = scratch.volume();
    volume.note_end(HistoryKind::Done, Epoch(3), Some(MIGRATE), None, &plenty("\\"));
    volume.note(HistoryKind::Ready, Epoch(3), None, None);
    assert!(scratch.read(".bellwether/history.jsonl").len() < 5 * 1024);
    let history = volume.history().unwrap();
    assert_eq!((history[0].notes.undo.len(), history[1].notes.is_empty()), (6, true));
}

#[test]
fn how_to_undo_a_revision_is_told_the_last_step_first() {
    let scratch = Scratch::new();
    let (old, new) = (scratch.volume(), scratch.replica(2, "v2"));
    let commit = |volume: &Volume, lines: &[&str]| {
        let mut held = claimed(volume, MIGRATE, 3, &[]);
        assert!(volume.commit(&mut held, &DoneFacts { notes: undo(lines), ..DONE }).unwrap());
    };
    commit(&old, &["of v1"]);
    commit(&new, &["restore the database", "restart"]);
    let begun = Record { rev: "v2".to_owned(), started_at: Some(UnixMillis(9_000)), ..record() };
    new.write_record(ASSETS, &begun).unwrap();
    new.write_data(ASSETS, br#"{"undo": ["rm -r new s3cret-value"]}"#).unwrap();
    let mask = |text: &str| text.replace("s3cret-value", "***");
    assert_eq!(undo_of(scratch.root(), "v2", &mask), ["rm -r new ***", "restore the database", "restart"]);
    assert_eq!(undo_of(scratch.root(), "v1", &plain), ["of v1"]);
    assert_eq!(undo_of(scratch.root(), "1", &plain), Vec::<String>::new());
    // A leader that died between the commit and the clearing.
    new.write_record(MIGRATE, &begun).unwrap();
    new.write_data(MIGRATE, br#"{"undo": ["restore the database", "restart"]}"#).unwrap();
    assert_eq!(undo_of(scratch.root(), "v2", &mask).len(), 3);
}

#[test]
fn on_an_odd_volume_nothing_is_told() {
    let scratch = Scratch::bare();
    assert_eq!(undo_of(scratch.root(), "v2", &plain), Vec::<String>::new());
    assert_eq!(undo_of(&scratch.path("nowhere"), "v2", &plain), Vec::<String>::new());
    scratch.write(".bellwether", "no directory");
    scratch.write(".migrated_v2", "torn {");
    std::fs::create_dir(scratch.path(".assets_built_v2")).unwrap();
    make_fifo(&scratch.path(".other_v2"));
    std::os::unix::fs::symlink(scratch.path(".migrated_v2"), scratch.path(".link_v2")).unwrap();
    assert_eq!(undo_of(scratch.root(), "v2", &plain), Vec::<String>::new());
    assert_eq!(describe_undo("v2", &[]), "");
    assert_eq!(
        describe_undo("v2", &["a".to_owned(), "b".to_owned()]),
        "\nto bring back what was before v2:\n    a\n    b"
    );
}
