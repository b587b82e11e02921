//! What reaches the loop from its threads and tasks.

use uuid::Uuid;

use crate::needs::NeedsError;
use crate::process::RunEnd;
use crate::protocol::{Doing, Event, StepId};
use crate::volume::{Guard, VolumeError};

/// One thing that happened.
#[derive(Debug)]
pub(super) enum Message {
    /// It is the machine's business as it is.
    Machine(Event),
    /// An operation on the volume failed.
    VolumeFailed(Doing, VolumeError),
    /// The guard was granted, or cannot be had.
    Guard(Result<Guard, VolumeError>),
    /// The volume's id, which is the scope of the election.
    Scope(Uuid),
    /// Redis has answered, or somebody has announced something there.
    #[cfg(feature = "redis")]
    Lease(crate::lease::Answer),
    /// The plan's needs are there, or did not come.
    Needs(Result<(), NeedsError>),
    /// A run is over; these were the last lines of its output.
    RunEnded(StepId, RunEnd, Vec<String>),
    /// Somebody asks this replica to stop.
    Stop,
    /// Nobody is interested in this replica any more: it stops, unless it was asked to before.
    Abandoned,
    /// The volume's thread has panicked: a bug, and nothing can go on.
    Panicked,
}
