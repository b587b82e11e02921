//! A scratch volume, and what the steps of a test leave there.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bellwether::{Bootstrap, Replica, RunError, Running, Step, StepContext};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::waiting::{LIMIT, wait_for};

/// A volume that is gone when the last clone is.
#[derive(Clone, Debug)]
pub(crate) struct Scratch(Arc<TempDir>);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A replica with the times of impatient people.
    pub(crate) fn bootstrap(&self, rev: &str) -> Bootstrap {
        let bootstrap = Bootstrap::new(rev, self.root()).stale_after(Duration::from_secs(1));
        bootstrap.backoff(Duration::from_millis(100)).stop_grace(Duration::from_millis(200))
    }

    pub(crate) fn replica(&self, rev: &str, step: Step) -> Replica {
        self.bootstrap(rev).step(step).build().unwrap()
    }

    pub(crate) fn start(&self, rev: &str, step: Step) -> Running {
        self.replica(rev, step).start().unwrap()
    }

    /// Adds a line to a file of the test's own.
    pub(crate) fn note(&self, line: &str) {
        let journal = self.path("journal");
        let mut journal = OpenOptions::new().append(true).create(true).open(journal).unwrap();
        writeln!(journal, "{line}").unwrap();
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.text("journal").lines().map(str::to_owned).collect()
    }

    /// A step that notes that it begins and does not end before it is asked to.
    pub(crate) fn endless(&self) -> Step {
        let scratch = self.clone();
        Step::run("endless", move |context: StepContext| {
            let scratch = scratch.clone();
            async move {
                scratch.note(&format!("epoch {}", context.epoch()));
                context.cancelled().await;
                scratch.note("cancelled");
                Ok(())
            }
        })
    }

    /// Whether somebody holds the guard.
    pub(crate) fn is_guarded(&self) -> bool {
        let Ok(file) = fs::File::open(self.path(".bellwether/guard.lock")) else { return false };
        fs2::FileExt::try_lock_shared(&file).is_err()
    }

    pub(crate) async fn until_noted(&self, line: &str) {
        until(&format!("the note {line:?}"), || self.notes().iter().any(|noted| noted == line)).await;
    }

    /// Nothing of a leader is left: no marker in progress, nobody with the guard.
    pub(crate) async fn until_left(&self) {
        until("nothing of the leader to be left", || {
            let names = fs::read_dir(self.root()).unwrap().flatten().map(|entry| entry.file_name());
            !self.is_guarded() && !names.into_iter().any(|name| name.to_string_lossy().contains("_in_progress_"))
        })
        .await;
    }
}

/// Waits until something is so, without blocking the runtime.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let tick = Duration::from_millis(5);
    for _ in 0..LIMIT.as_millis() / tick.as_millis() {
        if is_so() {
            return;
        }
        sleep(tick).await;
    }
    panic!("never seen: {what}");
}

/// The same where there is no runtime.
pub(crate) fn until_blocking(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// How it ended, within the patience of a test.
pub(crate) async fn outcome(
    replica: impl IntoFuture<Output = Result<bellwether::Outcome, RunError>>,
) -> bellwether::Outcome {
    tokio::time::timeout(LIMIT, replica.into_future()).await.expect("an outcome").unwrap()
}
