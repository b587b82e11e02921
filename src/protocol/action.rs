//! What a machine wants done. This is the port: one `match` in the driver does it.

use std::time::Duration;

use super::event::{Doing, Fault, StepEnd};
use super::names::{Epoch, Revision};
use super::plan::StepId;
use super::time::Timestamp;
use super::view::Foreign;

/// What a claim is written with when it is given back: how the run ended, and what a successor needs to know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Closing {
    /// Attempts that count after this run.
    pub attempts: u32,
    /// How long the next attempt has to wait.
    pub wait: Duration,
    /// The sum of the waits after runs that asked to be tried later.
    pub deferred: Duration,
    /// How the run ended; `None` when nothing was run under this claim.
    pub end: Option<ClosingEnd>,
}

/// How a run ended, in the end.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ClosingEnd {
    /// As its process ended.
    Own(StepEnd),
    /// It took longer than its timeout and was stopped.
    TimedOut,
}

/// Why a step is stopped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StopReason {
    /// This replica was asked to stop.
    Asked,
    /// The step took longer than its timeout.
    Timeout,
    /// The lease is about to end and the guard is not trusted.
    Lease,
    /// The guard or the claim is lost, or the volume is broken.
    Lost,
}

/// Something worth telling a person.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Notice {
    /// This replica leads now, under this epoch.
    Leading(Epoch),
    /// This replica follows now.
    Following,
    /// Said every minute while following.
    StillFollowing,
    /// The guard is busy though everything is stale. Said every 30 s.
    GuardBusy,
    /// Another leader's step is being watched. Said every minute.
    Watching,
    /// A later revision has begun; this one may only follow. Said every minute.
    Superseded {
        /// The later revision.
        newest: Revision,
    },
    /// This ready but superseded revision hands off all the same.
    Downgraded {
        /// The later revision.
        newest: Revision,
    },
    /// This superseded revision goes back on purpose: it is about to be written down as the newest, or hands off.
    GoingBack {
        /// The later revision.
        newest: Revision,
    },
    /// A silent predecessor's step is taken over.
    TakingOver {
        /// The step.
        step: StepId,
        /// The claims that are replaced; empty for a marker without a claim.
        from: Vec<Epoch>,
    },
    /// A step is done already.
    AlreadyDone(StepId),
    /// A step ended badly and will be tried again.
    WillRetry {
        /// The step.
        step: StepId,
        /// How it ended.
        end: ClosingEnd,
        /// When.
        wait: Duration,
    },
    /// A step has ended well, but its claim is not ours any more: it is not recorded as done.
    ClaimLost(StepId),
    /// A step has failed for good.
    GivenUp(StepId),
    /// The volume is full; tried again every second. Said every 30 s.
    VolumeFull,
    /// The lease was lost; what runs goes on under the guard.
    LeaseLost,
    /// A step has failed for good, and this replica stays to be asked. Said every minute.
    Holding,
    /// The failure has been cleared: this replica goes on.
    FailureCleared,
}

/// How a machine ends.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// Ready: exec the command.
    HandOff,
    /// A step has failed for good.
    StepFailed,
    /// Stopped as asked.
    Stopped,
    /// The ready marker did not come in time.
    GaveUp,
    /// What the plan needs did not come in time.
    NeedsUnmet,
    /// Redis stayed unreachable and nobody was seen at work.
    RedisUnavailable,
    /// This revision is ready but superseded, and that is refused.
    DowngradeRefused {
        /// The later revision.
        newest: Revision,
    },
    /// The volume does not work.
    VolumeFailed(Fault),
    /// The guard was lost.
    GuardLost,
}

/// One thing to do. Actions are done in their order; those on the volume are answered by one event each.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Look at the volume.
    Look,
    /// Make the volume's layout and try whether it can be written.
    PrepareVolume,
    /// Wait for what the plan needs; answered when it is there (at once if it needs nothing).
    AwaitNeeds,
    /// Wait for the guard.
    TakeGuard,
    /// Close the guard, or stop waiting for it. Not answered.
    CloseGuard,
    /// Ask for the lease.
    AcquireLease,
    /// Renew the lease.
    RenewLease,
    /// Give the lease back and announce it. Not answered.
    ReleaseLease,
    /// Append our revision to the list.
    AppendRevision,
    /// Allot an epoch above this one.
    AllotEpoch {
        /// The highest epoch known.
        above: Epoch,
    },
    /// Clear away what finished leaderships left.
    Sweep,
    /// Claim a step and write its in-progress marker.
    Claim {
        /// The step.
        step: StepId,
        /// Whose right it becomes.
        epoch: Epoch,
        /// Claims taken over; empty for a first claim.
        from: Vec<Epoch>,
        /// The number the coming attempt will have.
        attempt: u32,
    },
    /// Write into the record that this attempt begins.
    Count {
        /// The step.
        step: StepId,
        /// The attempt, from 1.
        attempt: u32,
        /// Carried over from the record.
        deferred: Duration,
    },
    /// Start a claimed and counted step.
    Spawn {
        /// The step.
        step: StepId,
        /// The attempt, from 1.
        attempt: u32,
        /// When its shim has to stop it on its own, if the guard is not trusted.
        deadline: Option<Timestamp>,
    },
    /// Tell the shims of all running steps a later deadline. Not answered.
    Extend {
        /// The deadline.
        deadline: Timestamp,
    },
    /// Refresh a step's in-progress marker.
    Beat(StepId),
    /// Stop a step: its whole tree, with grace. Answered by `Ended`.
    StopStep(StepId, StopReason),
    /// Stop a step without grace. Answered by `Ended`.
    KillStep(StepId),
    /// Make a step's claim its done marker.
    Commit(StepId),
    /// Write how the run ended, remove the in-progress marker and the claim.
    Retract(StepId, Closing),
    /// Remove the stale claim and marker of a step that will not be run under it.
    RetireStep(StepId),
    /// The same, for another revision's step or one we do not know.
    RetireForeign(Foreign),
    /// Write the ready marker.
    WriteReady,
    /// Write the failed marker.
    WriteFailed(StepId),
    /// Tell a person.
    Say(Notice),
    /// End. The last action.
    End(Outcome),
}

impl Action {
    /// What is being done with this on the volume, as a failure names it. `None` for what does not touch the volume, or
    /// is answered well or not (a beat).
    pub fn doing(&self) -> Option<Doing> {
        Some(match self {
            Action::Look => Doing::Look,
            Action::PrepareVolume => Doing::Prepare,
            Action::AppendRevision => Doing::Revision,
            Action::AllotEpoch { .. } => Doing::Epoch,
            Action::Sweep => Doing::Sweep,
            Action::Claim { step, .. } => Doing::Claim(*step),
            Action::Count { step, .. } => Doing::Count(*step),
            Action::Commit(step) => Doing::Commit(*step),
            Action::Retract(step, _) => Doing::Retract(*step),
            Action::RetireStep(_) | Action::RetireForeign(_) => Doing::Retire,
            Action::WriteReady => Doing::Ready,
            Action::WriteFailed(_) => Doing::Failed,
            _ => return None,
        })
    }
}

/// What to do now, in this order. "Nothing" is an empty list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Actions(Vec<Action>);

impl Actions {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The actions, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Action> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, action: Action) {
        self.0.push(action);
    }

    /// For a mutant: takes back what was asked for last.
    pub(super) fn drop_last(&mut self) {
        self.0.pop();
    }

    pub(super) fn extend(&mut self, actions: impl IntoIterator<Item = Action>) {
        self.0.extend(actions);
    }

    pub(super) fn say(&mut self, notice: Notice) {
        self.0.push(Action::Say(notice));
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::vec::IntoIter<Action>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
