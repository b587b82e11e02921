//! Waiting for the guard: a thread that blocks in `flock(2)`.
//!
//! Such a wait cannot be taken back. So one that is not wanted any more goes on, and what it brings is closed at once.

use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::message::Message;
use crate::process;
use crate::volume::Volume;

/// At most one thread, whoever asked last.
#[derive(Debug, Default)]
pub(super) struct GuardWait {
    waiting: bool,
    wanted: bool,
}

impl GuardWait {
    /// Waits for the guard, unless a thread does so already.
    pub(super) fn begin(&mut self, volume: &Volume, answers: &UnboundedSender<Message>) -> std::io::Result<()> {
        self.wanted = true;
        if self.waiting {
            return Ok(());
        }
        let (volume, answers) = (volume.clone(), answers.clone());
        let wait = move || {
            process::block_all_signals();
            let granted = volume.open_guard().and_then(|mut guard| guard.wait().map(|()| guard));
            // Nobody listens any more: dropping the message closes the guard.
            let _ = answers.send(Message::Guard(granted));
        };
        thread::Builder::new().name("guard".to_owned()).spawn(wait)?;
        self.waiting = true;
        Ok(())
    }

    /// Loses interest.
    pub(super) fn cancel(&mut self) {
        self.wanted = false;
    }

    /// The thread has ended. Whether what it brings is wanted.
    pub(super) fn end(&mut self) -> bool {
        self.waiting = false;
        std::mem::take(&mut self.wanted)
    }
}
