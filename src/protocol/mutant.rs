//! Faults by name, for the proof that the checks can fail (feature `_mutants`, which no release has).
//!
//! A mutant is a promise broken on purpose, at one place of the code. At most one is on in a process. Without the
//! feature [`is`] is the constant `false`, and nothing is left of any of them in what is compiled.

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutant {
    /// Whoever has the lease acts without the guard.
    GuardNotTaken,
    /// The shim does not inherit the guard: a leader's death frees it under a living step.
    GuardNotInherited,
    /// A done marker is written by whoever ran the step, though a later epoch has claimed it.
    EpochNotCompared,
    /// On a stop, guard and lease go before the steps have ended.
    ReleaseBeforeReap,
    /// On a stop, the lease goes before the guard.
    LeaseBeforeGuard,
    /// A marker's age is taken by a clock of another machine, and believed without the guard.
    StalenessByRemoteClock,
    /// Renewing makes a lease where there is none.
    RenewCreates,
    /// Releasing deletes whatever lease there is.
    ReleaseDeletesAnothers,
    /// A step is marked done while its process runs.
    DoneBeforeExit,
    /// A step that ended badly is marked done.
    BadEndIsDone,
    /// The ready marker is written while the last step is still under way.
    ReadyBeforeLastDone,
    /// A new leader takes over without looking for beats.
    BeatNotChecked,
    /// A lease is counted from when the answer came, not from when the request was sent.
    DeadlineFromReceipt,
    /// Asking for a lease that is one's own already is refused.
    AcquireNotIdempotent,
    /// A request without an answer is forgotten, and with it a lease it may have brought.
    UnansweredForgotten,
    /// Every replica counts the failures it has seen itself.
    FailuresCountedPerReplica,
    /// An attempt is not written down before it begins.
    AttemptNotCounted,
    /// An announcement is taken for the ready marker.
    HintTrustedAsFact,
    /// The order of the steps is not kept.
    PredecessorNotAwaited,
    /// The shim is not told when the lease ends.
    NoDeadlineForShim,
    /// Epochs are allotted above what Redis knows, whatever the volume says.
    EpochFromRedisAlone,
}

/// All of them, by the names they are switched on with.
pub const ALL: [(&str, Mutant); 21] = [
    ("guard-not-taken", Mutant::GuardNotTaken),
    ("guard-not-inherited", Mutant::GuardNotInherited),
    ("epoch-not-compared", Mutant::EpochNotCompared),
    ("release-before-reap", Mutant::ReleaseBeforeReap),
    ("lease-before-guard", Mutant::LeaseBeforeGuard),
    ("staleness-by-remote-clock", Mutant::StalenessByRemoteClock),
    ("renew-creates", Mutant::RenewCreates),
    ("release-deletes-anothers", Mutant::ReleaseDeletesAnothers),
    ("done-before-exit", Mutant::DoneBeforeExit),
    ("bad-end-is-done", Mutant::BadEndIsDone),
    ("ready-before-last-done", Mutant::ReadyBeforeLastDone),
    ("beat-not-checked", Mutant::BeatNotChecked),
    ("deadline-from-receipt", Mutant::DeadlineFromReceipt),
    ("acquire-not-idempotent", Mutant::AcquireNotIdempotent),
    ("unanswered-forgotten", Mutant::UnansweredForgotten),
    ("failures-counted-per-replica", Mutant::FailuresCountedPerReplica),
    ("attempt-not-counted", Mutant::AttemptNotCounted),
    ("hint-trusted-as-fact", Mutant::HintTrustedAsFact),
    ("predecessor-not-awaited", Mutant::PredecessorNotAwaited),
    ("no-deadline-for-shim", Mutant::NoDeadlineForShim),
    ("epoch-from-redis-alone", Mutant::EpochFromRedisAlone),
];

#[cfg(feature = "_mutants")]
static ON: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();

/// Switches one on, for the rest of the process.
///
/// # Errors
///
/// The name, if there is no such mutant or one is on already.
#[cfg(feature = "_mutants")]
pub fn switch_on(name: &str) -> Result<(), String> {
    let known = ALL.iter().find(|(known, _)| *known == name).ok_or_else(|| name.to_owned())?;
    ON.set(known.1).map_err(|_| name.to_owned())
}

/// Whether this one is on.
#[cfg(feature = "_mutants")]
pub fn is(mutant: Mutant) -> bool {
    ON.get() == Some(&mutant)
}

/// Whether this one is on: never.
#[cfg(not(feature = "_mutants"))]
pub const fn is(_: Mutant) -> bool {
    false
}
