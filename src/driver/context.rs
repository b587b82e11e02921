//! What an async step is given.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use super::journal::Journal;
use crate::protocol::{Epoch, StepId};
use crate::volume::{Guard, Volume, VolumeError};

/// What one run of an async step is given.
///
/// A clone is the same context. **The run is over when its function has ended and every clone is gone**; until then the
/// guard is held, and no other replica acts. So whatever goes on by itself (`spawn_blocking`, a task, a thread) is to
/// own a clone, and nothing that outlives the work may keep one.
///
/// ```
/// # use bellwether::{StepContext, StepError};
/// async fn index(context: StepContext) -> Result<(), StepError> {
///     let begun = context.record().read().await?;            // what an earlier run has left: "" at first
///     let worker = context.clone();
///     tokio::task::spawn_blocking(move || {
///         for shard in begun.lines().count()..8 {
///             if worker.is_cancelled() {
///                 return;
///             }
///             worker.log(&format!("shard {shard}"));
///         }
///     })
///     .await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StepContext(Arc<Inner>);

/// The guard stands before `_gone`: it is dropped before anybody is told.
#[derive(Debug)]
struct Inner {
    facts: Facts,
    cancel: watch::Receiver<bool>,
    journal: Arc<Journal>,
    _guard: Option<Arc<Guard>>,
    _gone: oneshot::Sender<()>,
}

/// Which run this is.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) step: StepId,
    pub(super) epoch: Epoch,
    pub(super) attempt: u32,
    pub(super) volume: Volume,
}

impl StepContext {
    /// A context, and what resolves (to an error) when its last clone is gone.
    pub(super) fn new(
        facts: Facts,
        cancel: watch::Receiver<bool>,
        journal: Arc<Journal>,
        guard: Option<Arc<Guard>>,
    ) -> (StepContext, oneshot::Receiver<()>) {
        let (gone, when_gone) = oneshot::channel();
        (StepContext(Arc::new(Inner { facts, cancel, journal, _guard: guard, _gone: gone })), when_gone)
    }

    /// The step's name.
    pub fn step(&self) -> &str {
        let Facts { step, volume, .. } = &self.0.facts;
        volume.plan().step(*step).name.as_str()
    }

    /// The revision that is being rolled out.
    pub fn revision(&self) -> &str {
        self.0.facts.volume.revision().as_str()
    }

    /// The number of this leadership; each later one, of any replica and revision, has a greater one.
    ///
    /// It is what a database of yours can be fenced with: let it remember the greatest epoch it has seen and refuse a
    /// smaller one, in the transaction that does the work. Then not even a leader that was paused for an hour, on a
    /// volume that has lost its locks, can change anything after its successor has begun.
    ///
    /// ```sql
    /// UPDATE fence SET epoch = :epoch WHERE epoch <= :epoch;   -- no row: somebody later is at work; roll back
    /// ```
    ///
    /// `examples/async_steps.rs` does that with SQLite.
    pub fn epoch(&self) -> u64 {
        self.0.facts.epoch.0
    }

    /// Which attempt of this revision this is, from 1. Runs that were stopped, or said "not yet", are not counted.
    pub fn attempt(&self) -> u32 {
        self.0.facts.attempt
    }

    /// The volume's root.
    pub fn volume(&self) -> &Path {
        self.0.facts.volume.root()
    }

    /// Resolves when this run is asked to end: the replica stops, the step took longer than its timeout, the lease ends.
    /// May be awaited by several, and again and again; then it resolves at once.
    ///
    /// After the stop grace the function is aborted at its next `await`. Whatever it returns after it was asked, the run
    /// counts as stopped: it is not done, and not an attempt (after a timeout: one that ended badly).
    pub async fn cancelled(&self) {
        let mut cancel = self.0.cancel.clone();
        // If the sender is gone, the runtime is ending.
        let _ = cancel.wait_for(|is_cancelled| *is_cancelled).await;
    }

    /// Whether this run was asked to end.
    pub fn is_cancelled(&self) -> bool {
        *self.0.cancel.borrow() || self.0.cancel.has_changed().is_err()
    }

    /// The step's own file on the volume, which its next run will find.
    pub fn record(&self) -> StepRecord {
        StepRecord(self.clone())
    }

    /// Says something, where a command's output goes as well: an event of [`tracing`], the step's log on the volume, and,
    /// if it is among the last lines of a run that failed for good, the failed marker. Secrets are masked; more than 200
    /// lines a second are left out.
    pub fn log(&self, text: &str) {
        self.0.journal.say(text);
    }
}

/// A step's own file (`BELLWETHER_RECORD` of a command): how far it has come, for the run that follows.
///
/// It survives stop, failure, takeover and a change of revision; when the step is done, it is cleared. The work is done
/// on a blocking thread, since a volume may hang, and is finished even if nobody awaits it any more.
///
/// Of a JSON object people are shown the keys `parts` and `undo` (see *Steps* on the crate's page).
#[derive(Clone, Debug)]
pub struct StepRecord(StepContext);

impl StepRecord {
    /// What was written last; empty if nothing was.
    ///
    /// # Errors
    ///
    /// What the volume says; [`io::ErrorKind::InvalidData`] if it holds no UTF-8.
    pub async fn read(&self) -> io::Result<String> {
        let content = self.on_volume(Volume::read_data).await?;
        String::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Replaces it. Whoever reads finds the old text or the new one, whole; on return it survives a power loss.
    ///
    /// # Errors
    ///
    /// What the volume says; the old text is then still there.
    pub async fn write(&self, text: &str) -> io::Result<()> {
        let content = text.as_bytes().to_owned();
        self.on_volume(move |volume, step| volume.write_data(step, &content)).await
    }

    /// Does it with a clone of the context, so that the run is not over before it is done.
    async fn on_volume<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volume, StepId) -> Result<T, VolumeError> + Send + 'static,
    ) -> io::Result<T> {
        let context = self.0.clone();
        let done = spawn_blocking(move || {
            let Facts { step, volume, .. } = &context.0.facts;
            work(volume, *step)
        });
        done.await.map_err(io::Error::other)?.map_err(io::Error::other)
    }
}
