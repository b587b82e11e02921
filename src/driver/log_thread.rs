//! The thread that writes the steps' logs: their output must not wait for a slow volume, nor the loop for their output.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::process;
use crate::protocol::StepId;
use crate::volume::{StepLog, Volume};

/// Lines that may wait for the volume; what comes on top is left out of the log.
const WAITING: usize = 4096;

/// How long the end of this replica waits for its last lines; a volume that hangs does not get them.
const PATIENCE: Duration = Duration::from_secs(2);

enum Entry {
    Begin(StepId),
    Line(StepId, String),
    /// Everything before it is written when its sender is dropped.
    Flush(oneshot::Sender<()>),
}

/// The thread's mailbox.
#[derive(Clone, Debug)]
pub(super) struct LogThread(SyncSender<Entry>);

impl LogThread {
    pub(super) fn start(volume: Volume) -> std::io::Result<LogThread> {
        let (entries, inbox) = sync_channel(WAITING);
        thread::Builder::new().name("logs".to_owned()).spawn(move || {
            process::block_all_signals();
            write(&volume, &inbox);
        })?;
        Ok(LogThread(entries))
    }

    /// A new run of the step: a new log.
    pub(super) fn begin(&self, step: StepId) {
        let _ = self.0.try_send(Entry::Begin(step));
    }

    /// A line of its output, masked.
    pub(super) fn line(&self, step: StepId, line: &str) {
        let _ = self.0.try_send(Entry::Line(step, line.to_owned()));
    }

    /// Waits until all that was given to it is written. Without this, the process would end, or become the command,
    /// before the last words of a step are on the volume.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.0.try_send(Entry::Flush(done)).is_ok() {
            let _ = timeout(PATIENCE, written).await;
        }
    }
}

fn write(volume: &Volume, inbox: &Receiver<Entry>) {
    let mut logs: HashMap<StepId, StepLog> = HashMap::new();
    while let Ok(entry) = inbox.recv() {
        match entry {
            Entry::Begin(step) => match volume.open_log(step) {
                Ok(log) => drop(logs.insert(step, log)),
                Err(error) => {
                    logs.remove(&step);
                    warn!(%error, "the output of this step is not kept on the volume");
                }
            },
            Entry::Flush(done) => drop(done),
            Entry::Line(step, line) => {
                if let Some(Err(error)) = logs.get_mut(&step).map(|log| log.write_line(&line)) {
                    debug!(%error, "a line is not kept on the volume");
                }
            }
        }
    }
}
