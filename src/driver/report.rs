//! What is known of a run that is over.

use std::time::Duration;

use crate::process::{RunEnd, RunHow};
use crate::protocol::{ClosingEnd, StepEnd};
use crate::volume::{End, UnixMillis};

/// One run of a step.
#[derive(Clone, Debug)]
pub(super) struct RunReport {
    /// How its process ended.
    pub(super) how: RunHow,
    /// Whether we stopped it.
    pub(super) stopped: bool,
    /// Whether that was because it took too long.
    pub(super) timed_out: bool,
    /// Whether its check said that there was nothing to do.
    pub(super) checked: bool,
    /// How long it took.
    pub(super) duration: Duration,
    /// When it began, by the local wall clock.
    pub(super) started_at: UnixMillis,
    /// The last lines of its output, masked.
    pub(super) lines: Vec<String>,
}

impl RunReport {
    pub(super) fn new(end: RunEnd, lines: Vec<String>) -> RunReport {
        let started_at = UnixMillis::wall_clock().before(end.duration);
        let RunEnd { how, stopped, checked, duration, .. } = end;
        RunReport { how, stopped, timed_out: false, checked, duration, started_at, lines }
    }

    /// How it ended, for the machine.
    pub(super) fn end(&self) -> StepEnd {
        match &self.how {
            RunHow::ShimVanished => StepEnd::Vanished,
            _ if self.stopped => StepEnd::Stopped,
            RunHow::Exit(code) | RunHow::CannotRun { code, .. } => StepEnd::Exit(*code),
            RunHow::Signal(signal) => StepEnd::Signal(*signal),
        }
    }

    pub(super) fn duration_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }

    /// How it ended, for people.
    pub(super) fn words(&self) -> String {
        let took = format!("after {:.1} s", self.duration.as_secs_f64());
        match &self.how {
            RunHow::CannotRun { message, .. } => message.clone(),
            RunHow::ShimVanished => format!("its shim was killed {took}"),
            _ if self.stopped && self.timed_out => format!("took longer than its timeout, stopped {took}"),
            _ if self.stopped => format!("stopped {took}"),
            _ if self.checked => format!("its check says that there is nothing to do, {took}"),
            RunHow::Exit(78) => format!("{}, {took}", End::Exit(78).words()),
            RunHow::Exit(code) => format!("exit {code} {took}"),
            RunHow::Signal(signal) => format!("killed by signal {signal} {took}"),
        }
    }
}

/// How a run ended, in the machine's words.
pub(super) fn words(end: ClosingEnd) -> String {
    match end {
        ClosingEnd::TimedOut => "took longer than its timeout".to_owned(),
        ClosingEnd::Own(StepEnd::NOT_YET) => "not yet (exit 75)".to_owned(),
        ClosingEnd::Own(StepEnd::Exit(code)) => End::Exit(code).words(),
        ClosingEnd::Own(StepEnd::Signal(signal)) => format!("killed by signal {signal}"),
        ClosingEnd::Own(StepEnd::Stopped) => "stopped".to_owned(),
        ClosingEnd::Own(StepEnd::Vanished) => "vanished with its shim".to_owned(),
    }
}
