//! The signals that ask us to stop, as a stream that loses none.
//!
//! They are blocked and read from a `signalfd`, not caught: whatever nobody has read yet is still pending when the
//! runtime has ended, and [`hand_off`](super::hand_off) looks there right before the exec. A handler would have
//! swallowed what arrives in between. It also works for PID 1, to whom the kernel delivers only what is caught or blocked.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::unix::AsyncFd;

use super::sys::{self, STOP_SIGNALS, SignalSet};

/// TERM, INT, QUIT and HUP, which it keeps blocked in the thread that made it and in those begun later.
///
/// Made by the binary in its main thread before any other thread; the signals stay blocked when it is dropped.
/// Shims and handed-off commands do not inherit that; other children of the process would.
#[derive(Debug)]
pub struct StopSignals {
    fd: AsyncFd<OwnedFd>,
}

/// Blocks TERM, INT, QUIT and HUP until somebody listens to them or [`hand_off`](super::hand_off) honours them.
///
/// For the first line of a program that may be PID 1: to PID 1 the kernel drops what is neither caught nor blocked.
pub fn hold_stop_signals() {
    SignalSet::of(&STOP_SIGNALS).block();
}

/// Blocks every signal in the calling thread. For the first line of a thread of ours: a signal is for the main thread
/// to take, and one that comes to a thread that outlives the runtime would be lost there.
pub fn block_all_signals() {
    SignalSet::all_but(&[]).block();
}

impl StopSignals {
    /// Blocks the signals and begins to listen.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O.
    pub fn listen() -> io::Result<StopSignals> {
        hold_stop_signals();
        let set = SignalSet::of(&STOP_SIGNALS);
        Ok(StopSignals { fd: sys::watch(set.open()?)? })
    }

    /// The number of the next signal. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// If the descriptor cannot be read, which the kernel does not let happen.
    pub async fn next(&mut self) -> io::Result<i32> {
        loop {
            let mut ready = self.fd.readable().await?;
            if let Ok(signal) = ready.try_io(|fd| sys::read_signal(fd.get_ref().as_fd())) {
                return signal;
            }
        }
    }

    /// Stops listening and lets the signals have their effect again, those still pending too.
    pub fn release(self) {
        SignalSet::of(&STOP_SIGNALS).unblock();
    }
}
