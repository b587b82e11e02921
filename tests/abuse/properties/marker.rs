//! Files on the volume, of any content.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;

use bellwether::protocol::{Epoch, Plan, Revision, StepId};
use bellwether::settings::LoadedPlan;
use bellwether::volume::{End, HistoryKind, Record, Replica, Volume, VolumeError, standing_at, undo_of};
use tempfile::TempDir;

use super::plan::DEFAULTS;

/// Which file the first byte of the input stands for.
pub(crate) const FILES: [&str; 15] = [
    ".ready_v1",
    ".failed_v1",
    ".site_done_v1",
    ".migrate_in_progress_v1",
    ".elsewhere_in_progress_v0",
    ".bellwether/id",
    ".bellwether/guard.lock",
    ".bellwether/revisions",
    ".bellwether/history.jsonl",
    ".bellwether/claims/migrate_v1.3",
    ".bellwether/claims/else_where_v0.4",
    ".bellwether/steps/migrate.json",
    ".bellwether/steps/migrate.data",
    ".bellwether/log/migrate.log",
    ".bellwether/epochs/7",
];

/// What mutations begin with.
pub(crate) const SEEDS: &[&str] = &[
    r#"{"schema":1,"step":"migrate","rev":"v1","epoch":3,"replica":{"id":"65432109-8765-4321-8765-432109876543","host":"w","pid":7},"attempt":2,"started_at":"2024-05-01T10:00:00Z","beat_every":0.2,"done":"migrate_done","how":"ran","parts":[{"name":"a","state":"running","note":"1 of 2"}],"undo":["bench restore"]}"#,
    r#"{"schema":1,"rev":"v1","epoch":3,"attempts":1,"not_before":1714557600000,"deferred_ms":5,"last_end":{"exit":1},"started_at":1714557600000,"earlier":[{"rev":"v0","attempts":2}]}"#,
    r#"{"schema":1,"time":"2024-05-01T10:00:00Z","event":"failed","rev":"v1","epoch":3,"host":"w","pid":7,"step":"migrate","details":"exit 1"}"#,
    r#"{"schema":1,"rev":"v1","step":"migrate","end":"exit 1","attempts":3,"lines":["no"],"log":"l","commands":["bellwether retry"]}"#,
    "65432109-8765-4321-8765-432109876543\n",
    "v0\nv1\n",
    "2024-05-01 10:00:00",
];

const MIGRATE: StepId = StepId(1);

struct Scratch {
    dir: TempDir,
    volume: Volume,
}

impl Scratch {
    fn new() -> Scratch {
        // In memory: everything is synced, and that is not what is looked at here.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a scratch directory");
        let volume = volume(&dir);
        volume.prepare(volume.replica().id).expect("a volume of our own");
        Scratch { dir, volume }
    }
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

fn plan() -> Arc<Plan> {
    let text = r#"{"steps":[{"name":"site","run":["x"]},{"name":"migrate","run":["x"],"after":["site"]}]}"#;
    LoadedPlan::parse("plan", text, DEFAULTS).expect("a good plan").plan
}

fn volume(dir: &TempDir) -> Volume {
    let rev = Revision::parse("v1").expect("a good revision");
    Volume::new(dir.path().to_owned(), rev, plan(), Replica::of_this_process())
}

pub(crate) fn holds(input: &[u8]) {
    let Some((&which, content)) = input.split_first() else { return };
    let name = FILES[usize::from(which) % FILES.len()];
    SCRATCH.with_borrow_mut(|scratch| {
        // Taken out: one that a failure has left half-done is not used again.
        let whole = scratch.take().unwrap_or_else(Scratch::new);
        let path = whole.dir.path().join(name);
        let before = fs::read(&path).ok();
        fs::write(&path, content).expect("a scratch file");
        is_read(&whole, name);
        is_recovered_from(&whole.volume, name);
        restore(&whole, before.as_deref(), name);
        *scratch = Some(whole);
    });
}

/// Everything that reads, and what it may say.
fn is_read(scratch: &Scratch, name: &str) {
    let Scratch { dir, volume } = scratch;
    let told = |error: VolumeError| {
        assert!(error.path().starts_with(dir.path()) && error.to_string().contains(name), "{name}: {error}");
    };
    if let Ok(look) = volume.look().map_err(told) {
        assert!(look.problems.iter().all(|problem| problem.contains(name)), "{name}: {:?}", look.problems);
    }
    let markers = volume.markers().expect("what stands there is a file");
    let shown = markers.iter().filter(|marker| marker.problem.is_some());
    assert!(shown.clone().all(|marker| marker.file_name == name), "{name}: {markers:?}");
    assert_eq!(volume.is_ready().ok(), Some(name == ".ready_v1"));
    drop(volume.read_failed().map_err(told));
    assert!(!volume.describe_failure().is_empty());
    drop(volume.history().map_err(told));
    drop(volume.read_revisions().map_err(told));
    drop(standing_at(dir.path(), volume.revision()).map_err(told));
    let _ = volume.read_id().map_err(told);
    drop(volume.guard_holder().map_err(told));
    drop(volume.read_record(MIGRATE).map_err(told));
    assert!(volume.log_tail(MIGRATE, 40).len() <= 41);
    let (_, problems) = volume.read_notes(MIGRATE, &str::to_owned);
    assert!(problems.iter().all(|problem| problem.contains(name)), "{name}: {problems:?}");
    assert!(undo_of(dir.path(), "v1", &str::to_owned).len() < 10_000);
}

/// Whoever leads next writes what can be read again, or is told which file is in the way.
fn is_recovered_from(volume: &Volume, name: &str) {
    let record = Record {
        rev: "v1".to_owned(),
        epoch: 9,
        attempts: 2,
        not_before: None,
        deferred_ms: 0,
        for_good: false,
        last_end: Some(End::Open),
        started_at: None,
        duration_ms: None,
    };
    volume.write_record(MIGRATE, &record).expect("a record can always be written");
    assert_eq!(volume.read_record(MIGRATE).expect("it was just written"), Some(record));
    match volume.append_revision() {
        Ok(()) => assert_eq!(volume.read_revisions().expect("just written").last(), Some(volume.revision())),
        Err(error) => assert!(error.to_string().contains(name), "{error}"),
    }
    volume.note(HistoryKind::Ready, Epoch(9), None, None);
    let last = volume.history().expect("just written").pop().expect("just written");
    assert_eq!((last.event, last.epoch), (HistoryKind::Ready, 9), "the line of a crash spoils the next");
    let epoch = volume.allot_epoch(Epoch(0)).expect("an epoch");
    assert!(epoch > Epoch(0));
    fs::remove_file(volume.root().join(format!(".bellwether/epochs/{epoch}"))).expect("the epoch's file");
}

fn restore(scratch: &Scratch, before: Option<&[u8]>, name: &str) {
    for written in [name, ".bellwether/steps/migrate.json", ".bellwether/revisions", ".bellwether/history.jsonl"] {
        // It may have been pruned, or never been there.
        let _ = fs::remove_file(scratch.dir.path().join(written));
    }
    if let Some(before) = before {
        fs::write(scratch.dir.path().join(name), before).expect("a scratch file");
    }
}
