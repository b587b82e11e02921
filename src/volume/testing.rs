//! A scratch volume for the tests of this module.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::{DoneFacts, End, HeldClaim, How, Record, Replica, Run, StepNotes, UnixMillis, Volume};
use crate::protocol::{Epoch, MarkerWord, Plan, Revision, Step, StepId, StepName};

/// The first step of the plan: `migrate`, with the words `migrating` and `migrated`.
pub(super) const MIGRATE: StepId = StepId(0);
/// The second, after it: `assets`, with the words `assets_building` and `assets_built`.
pub(super) const ASSETS: StepId = StepId(1);

/// How a step that was run came to be done.
pub(super) const DONE: DoneFacts =
    DoneFacts { finished_at: UnixMillis(2_000), duration_ms: 1_000, how: How::Ran, notes: StepNotes::NONE };

pub(super) struct Scratch {
    directory: TempDir,
}

fn step(words: [&str; 3], after: &[StepId]) -> Step {
    Step {
        name: StepName::parse(words[0]).unwrap(),
        in_progress: MarkerWord::parse(words[1]).unwrap(),
        done: MarkerWord::parse(words[2]).unwrap(),
        after: after.iter().copied().collect(),
        timeout: None,
        max_attempts: 3,
    }
}

pub(super) fn plan() -> Arc<Plan> {
    let steps = vec![
        step(["migrate", "migrating", "migrated"], &[]),
        step(["assets", "assets_building", "assets_built"], &[MIGRATE]),
    ];
    Arc::new(Plan::new(steps).unwrap())
}

pub(super) fn rev(text: &str) -> Revision {
    Revision::parse(text).unwrap()
}

impl Scratch {
    /// A prepared volume.
    pub(super) fn new() -> Scratch {
        let scratch = Scratch::bare();
        scratch.volume().prepare(Uuid::from_u128(99)).unwrap();
        scratch
    }

    /// An empty directory.
    pub(super) fn bare() -> Scratch {
        Scratch { directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(super) fn volume(&self) -> Volume {
        self.replica(1, "v1")
    }

    /// The volume as another replica sees it.
    pub(super) fn replica(&self, number: u32, revision: &str) -> Volume {
        let replica = Replica { id: Uuid::from_u128(number.into()), host: format!("host{number}"), pid: number };
        Volume::new(self.root().to_owned(), rev(revision), plan(), replica)
    }

    pub(super) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The names in a directory of the volume, sorted.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(super) fn run() -> Run {
    Run { attempt: 1, beat_every: Duration::from_secs(1), started_at: UnixMillis(1_000) }
}

/// A FIFO: whoever opens it without care hangs.
pub(super) fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// A claim that must be won.
pub(super) fn claimed(volume: &Volume, step: StepId, epoch: u64, from: &[u64]) -> HeldClaim {
    let from: Vec<Epoch> = from.iter().copied().map(Epoch).collect();
    volume.claim(step, Epoch(epoch), &from, &run()).unwrap().expect("the claim is won")
}

/// The record of a first attempt that nobody has ended yet.
pub(super) fn record() -> Record {
    Record {
        rev: "v1".to_owned(),
        epoch: 3,
        attempts: 1,
        not_before: None,
        deferred_ms: 0,
        for_good: false,
        last_end: Some(End::Open),
        started_at: None,
        duration_ms: None,
    }
}
