//! Processes: steps under their shims, orphans, signals, and the hand-off to the real command.
//!
//! | who | what | where |
//! |---|---|---|
//! | the leader | starts a step under a [`shim`], reads its output, learns how it ended | [`StepProcess`] |
//! | the shim | runs the step, stops its whole tree, holds the guard until nobody is left | [`shim`] |
//! | PID 1, or a subreaper | reaps orphans, and never a child that somebody waits for | [`reap_orphans`], [`OwnChild`] |
//! | the binary | hears TERM, INT, QUIT and HUP without ever losing one | [`StopSignals`] |
//! | the binary | becomes the command, or stays as its parent | [`hand_off`], [`supervise`] |
//!
//! All of `unsafe` in this crate is here.

pub mod boottime;
mod control;
mod exec;
mod find;
mod handoff;
mod output;
mod reap;
pub mod shim;
mod signals;
mod spawn;
mod spec;
pub(crate) mod stop;
mod supervise;
mod sys;
pub(crate) mod tree;
mod user;

pub use control::StepControl;
pub use exec::HandOffError;
pub use find::find_program;
pub use handoff::hand_off;
pub use output::Line;
pub(crate) use output::Output;
pub use reap::{OwnChild, become_subreaper, reap_continuously, reap_orphans, resign_subreaper};
pub use signals::{StopSignals, block_all_signals, hold_stop_signals};
pub use spawn::StepProcess;
pub use spec::{RunEnd, RunEvent, RunHow, StepSpec};
pub use supervise::supervise;
pub use user::{User, UserError};

/// Ends this process with `exit` after `limit` (whole seconds), whatever it hangs in: a probe's own alarm.
///
/// For the binary's main thread. SIGALRM must not be blocked.
pub fn exit_after(limit: std::time::Duration, exit: crate::exit::Exit) {
    sys::exit_after(limit, exit.code());
}
