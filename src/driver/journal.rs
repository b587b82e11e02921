//! What a run says: masked, logged, kept on the volume, its last lines remembered.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::info;

use super::log_thread::LogThread;
use crate::process::{Output, boottime};
use crate::protocol::StepId;
use crate::settings::Mask;

/// How many lines of a step's output the failed marker shows.
pub(super) const LAST_LINES: usize = 40;

/// The lines of one run.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) step: StepId,
    pub(super) name: String,
    pub(super) mask: Arc<Mask>,
    pub(super) logs: LogThread,
    last: VecDeque<String>,
}

impl Lines {
    pub(super) fn new(step: StepId, name: String, mask: Arc<Mask>, logs: LogThread) -> Lines {
        Lines { step, name, mask, logs, last: VecDeque::new() }
    }

    pub(super) fn take(&mut self, text: &str) {
        let line = self.mask.mask(text);
        info!(step = %self.name, "{line}");
        self.logs.line(self.step, &line);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.into_owned());
    }

    /// The last of them, at the end.
    pub(super) fn drain(&mut self) -> Vec<String> {
        self.last.drain(..).collect()
    }
}

/// The same for a task, whose clones of the context may speak all at once: bounded like a command's output.
pub(super) struct Journal(Mutex<(Output, Lines)>);

impl Journal {
    pub(super) fn new(lines: Lines) -> Journal {
        Journal(Mutex::new((Output::new(boottime::now()), lines)))
    }

    /// One line, or several.
    pub(super) fn say(&self, text: &str) {
        let (output, lines) = &mut *self.lock();
        for bytes in [text.as_bytes(), b"\n"] {
            output.push(boottime::now(), bytes, |line| lines.take(&line.text));
        }
    }

    /// The last lines, at the end.
    pub(super) fn finish(&self) -> Vec<String> {
        let (output, lines) = &mut *self.lock();
        output.finish(|line| lines.take(&line.text));
        lines.drain()
    }

    fn lock(&self) -> MutexGuard<'_, (Output, Lines)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}
