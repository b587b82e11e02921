//! What can be wrong with a round, and by which rules that is decided.

use std::fmt;
use std::time::Duration;

/// What was to be done in a round.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Each step, and those before it.
    pub(crate) steps: Vec<(String, Vec<String>)>,
    /// Attempts of a step at the most.
    pub(crate) limit: u32,
    /// One step never succeeds.
    pub(crate) is_doomed: bool,
    /// So few attempts that faults can use them up: then the revision may fail for good as well.
    pub(crate) is_tight: bool,
    /// Runs are stopped only where their leader is, so that bad ends can be counted.
    pub(crate) is_trusted: bool,
    /// How long a step may be silent.
    pub(crate) stale: Duration,
    /// How long a replica waits for Redis.
    pub(crate) redis_wait: Duration,
}

impl Rules {
    /// Whether the revision may fail for good.
    pub(crate) fn may_fail(&self) -> bool {
        self.is_doomed || self.is_tight
    }
}

/// A kind of breach.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Breach {
    Overlap,
    OutOfOrder,
    DoneTooEarly,
    CompletionLost,
    RanAgain,
    OutlivedDone,
    OutlivedReady,
    ReadyTooEarly,
    ReadyLost,
    ServedEarly,
    NeverServed,
    ColdStart,
    TakenWhileBeating,
    Seized,
    EpochShrank,
    EpochTwice,
    TooManyAttempts,
    NeverFailed,
    FailedTooEarly,
    WrongExit,
    SecretShown,
    OutlivedStop,
    LeftBehind,
}

impl Breach {
    pub(crate) const ALL: [(Breach, &'static str, &'static str); 23] = [
        (Breach::Overlap, "P1", "overlap"),
        (Breach::OutOfOrder, "P1", "started before its predecessors were over"),
        (Breach::DoneTooEarly, "P3", "done marker without a successful end"),
        (Breach::CompletionLost, "P2", "lost completion"),
        (Breach::RanAgain, "P3", "ran again after it was done"),
        (Breach::OutlivedDone, "P3", "alive after it was done"),
        (Breach::OutlivedReady, "P1", "alive after ready"),
        (Breach::ReadyTooEarly, "P2", "ready before all was done"),
        (Breach::ReadyLost, "P2", "ready marker lost"),
        (Breach::ServedEarly, "P4", "command started before ready"),
        (Breach::NeverServed, "P7", "never reached its end"),
        (Breach::ColdStart, "P10", "a warm start needed something"),
        (Breach::TakenWhileBeating, "P5", "taken over before it was stale"),
        (Breach::Seized, "P8", "another's lease was touched"),
        (Breach::EpochShrank, "P9", "epoch shrank"),
        (Breach::EpochTwice, "P9", "one epoch for two leaders"),
        (Breach::TooManyAttempts, "P11", "too many attempts"),
        (Breach::NeverFailed, "P11", "never failed for good"),
        (Breach::FailedTooEarly, "P11", "failed for good with attempts left"),
        (Breach::WrongExit, "exit", "ended with a code that nothing explains"),
        (Breach::SecretShown, "P12", "secret shown"),
        (Breach::OutlivedStop, "P6", "alive after its leader was stopped"),
        (Breach::LeftBehind, "P6", "left in the way"),
    ];
}

/// One breach.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    pub(crate) breach: Breach,
    pub(crate) text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, promise, name) = Breach::ALL.iter().find(|(breach, ..)| *breach == self.breach).expect("in the table");
        write!(f, "{promise}: {name}: {}", self.text)
    }
}
