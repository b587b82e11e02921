//! Waiting for the guard: a thread that blocks in `flock(2)`.
//!
//! Such a wait cannot be taken back. So one that is not wanted any more goes on, and what it brings is closed at once.

use std::thread;

use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::message::Message;
use crate::process;
use crate::protocol::Trust;
use crate::volume::{Guard, Volume, VolumeError};

/// At most one thread, whoever asked last.
#[derive(Debug, Default)]
pub(super) struct GuardWait {
    waiting: bool,
    wanted: bool,
}

impl GuardWait {
    /// Waits for the guard, unless a thread does so already.
    pub(super) fn begin(
        &mut self,
        volume: &Volume,
        trust: Trust,
        answers: &UnboundedSender<Message>,
    ) -> std::io::Result<()> {
        self.wanted = true;
        if self.waiting {
            return Ok(());
        }
        let (volume, answers) = (volume.clone(), answers.clone());
        let wait = move || {
            process::block_all_signals();
            let granted = volume.open_guard().and_then(|guard| wait(guard, trust));
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

/// Where locks are not trusted anyway, a file system without any is no obstacle: the lease alone keeps leaders apart.
fn wait(mut guard: Guard, trust: Trust) -> Result<Guard, VolumeError> {
    match guard.wait() {
        Err(error) if trust == Trust::NotTrusted && error.is_for_want_of_locks() => {
            warn!(%error, "the volume has no locks at all; only the lease keeps two leaders apart");
            Ok(guard)
        }
        waited => waited.map(|()| guard),
    }
}
