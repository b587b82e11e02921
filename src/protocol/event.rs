//! What may happen to a machine.

use std::time::Duration;

use super::names::Epoch;
use super::plan::StepId;
use super::time::Timestamp;
use super::view::View;

/// How one run of a step ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StepEnd {
    /// Its process, or its check, ended with this code.
    Exit(i32),
    /// A signal ended its process, and it was not ours.
    Signal(i32),
    /// It was stopped by us, as asked.
    Stopped,
    /// Its shim was killed; what was left of the tree has been stopped.
    Vanished,
}

impl StepEnd {
    /// The exit code by which a step asks to be tried again later.
    pub const NOT_YET: StepEnd = StepEnd::Exit(75);
    /// The exit code by which a step says that trying again is of no use.
    pub const FOR_GOOD: StepEnd = StepEnd::Exit(78);
}

/// Why the volume refused something, as far as the protocol cares.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// No space: will do after somebody made room.
    Full,
    /// Permission denied.
    Denied,
    /// Mounted read-only.
    ReadOnly,
    /// Anything else: a broken file system, a directory where a file should be.
    Broken,
}

/// What was being done on the volume.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Doing {
    /// Looking.
    Look,
    /// Trying whether the volume can be written.
    Prepare,
    /// Taking the guard.
    Guard,
    /// Appending the revision.
    Revision,
    /// Allotting the epoch.
    Epoch,
    /// Clearing away what finished leaderships left.
    Sweep,
    /// Claiming a step.
    Claim(StepId),
    /// Counting an attempt.
    Count(StepId),
    /// Marking a step done.
    Commit(StepId),
    /// Taking a claim back.
    Retract(StepId),
    /// Clearing a stale claim that is not taken over.
    Retire,
    /// Writing the ready marker.
    Ready,
    /// Writing the failed marker.
    Failed,
}

/// What happened, as told by the driver.
///
/// Volume events answer one action each, in the order of the actions. Events of Redis may be late, doubled or missing.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// The replica has started. The first event, once.
    Started,
    /// A deadline may have passed. May come at any time.
    Tick,
    /// Somebody asked this replica to stop (a signal). A second one kills the steps, a third one waits for
    /// the volume no longer.
    StopRequested,

    /// Answers `Look`.
    Looked(View),
    /// Answers `PrepareVolume`.
    VolumePrepared,
    /// Answers `AwaitNeeds`: all are there.
    NeedsMet,
    /// Answers `AwaitNeeds`: they did not come in time.
    NeedsUnmet,
    /// Answers `TakeGuard`, sooner or later.
    GuardGranted,
    /// An I/O through the guard's descriptor failed: it may have been granted to another.
    GuardLost,
    /// Answers `AppendRevision`.
    RevisionAppended,
    /// Answers `AllotEpoch`.
    EpochAllotted(Epoch),
    /// Answers `Sweep`.
    Swept,
    /// Answers `Claim`: the step is ours, its in-progress marker is written.
    Claimed(StepId),
    /// Answers `Claim`: another one was faster.
    ClaimLost(StepId),
    /// Answers `Count`: the attempt is on the volume.
    Counted(StepId),
    /// Answers `Spawn`, when the run has ended and all its descendants are gone.
    Ended(StepId, StepEnd),
    /// Answers `Beat`, well or not.
    Beaten(StepId),
    /// Answers `Commit`: the done marker is there.
    Committed(StepId),
    /// Answers `Commit`: the claim had been taken over.
    CommitLost(StepId),
    /// Answers `Retract`.
    Retracted(StepId),
    /// Answers `Retire`.
    Retired,
    /// Answers `RetireStep` or `RetireForeign`: it has changed since it was seen, and is left alone.
    RetireLost,
    /// Answers `WriteReady`.
    ReadyWritten,
    /// Answers `WriteFailed`.
    FailedWritten,
    /// Answers any of the actions on the volume: it did not work.
    VolumeFailed(Doing, Fault),

    /// The lease is ours.
    LeaseGranted {
        /// Read before the request that succeeded was sent.
        sent: Timestamp,
        /// The highest epoch that Redis has been told; 0 if it knows of none.
        epoch: Epoch,
    },
    /// Somebody else has the lease, for `left` more if it is not renewed.
    LeaseDenied {
        /// Read before the request was sent.
        sent: Timestamp,
        /// What is left of it.
        left: Duration,
    },
    /// The lease in Redis is not ours (any more).
    LeaseNotMine,
    /// Redis did not answer, or with an error: nothing is known.
    LeaseUnreachable,
    /// Somebody announced a change. A hint to look, never a fact.
    Announced,
}
