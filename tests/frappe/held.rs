//! A call of bench that is held at a phase, as `STANDIN_STOP_AT` says, until it is let go or killed.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::stack::Stack;
use crate::wait::{signal, wait_for};

/// The one call that is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pid: i32,
}

impl Held {
    /// Waits until a call has got to the phase that `STANDIN_STOP_AT` names.
    pub(crate) fn wait(stack: &Stack) -> Held {
        let path = stack.server("stopped-at");
        let text = wait_for("a call at its phase", || fs::read_to_string(&path).ok());
        let told: Value = serde_json::from_str(&text).unwrap();
        Held { pid: told["pid"].as_i64().unwrap().try_into().unwrap() }
    }

    /// Kills it, and it alone: its step finds that out.
    pub(crate) fn kill(self) {
        signal(self.pid, Signal::KILL);
    }
}
