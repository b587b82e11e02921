//! The volume: everything replicas know of each other that outlives them.
//!
//! Synchronous and stateless: a [`Volume`] is a path, a revision, a plan and a replica; what is true is on the disk
//! and read again at each look. The driver calls it from one worker thread, in this order:
//!
//! 1. [`Volume::check_root`], [`Volume::trust`] and [`Volume::look`], which work on a read-only mount too;
//! 2. about to compete: [`Volume::prepare`], [`Volume::open_guard`];
//! 3. leading: [`Volume::allot_epoch`], [`Volume::append_revision`], [`Volume::sweep`];
//! 4. for each step: [`Volume::claim`], [`Volume::write_record`], then [`Volume::beat`] until [`Volume::commit`] or
//!    [`Volume::retract`];
//! 5. [`Volume::write_ready`] or [`Volume::write_failed`].
//!
//! Whatever others may read is written as a temporary file, synced, and renamed or linked to its place; then the
//! directory is synced. No symbolic link is followed below the root.

mod check;
mod claim;
mod clock;
mod end;
mod epoch;
mod error;
mod examine;
mod files;
mod guard;
mod history;
mod locks;
mod log;
mod look;
mod marker;
mod mounts;
mod parts;
mod record;
mod revisions;
mod scan;
mod status;
mod sweep;
mod trust;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::protocol::{Epoch, Plan, Revision, Step, StepId, claim_name};

pub use check::Prepared;
pub use claim::{Beat, HeldClaim, Run};
pub use clock::UnixMillis;
pub use end::{DoneFacts, Failure};
pub use error::VolumeError;
pub use guard::{Guard, GuardHolder, GuardNote};
pub use history::{HistoryEvent, HistoryKind};
pub use log::StepLog;
pub use look::Look;
pub use marker::{How, Marker, SCHEMA};
pub use parts::{Masking, Part, PartState, StepNotes, describe_undo, undo_of};
pub use record::{End, Record};
pub use revisions::standing_at;
pub use status::{MarkerInfo, MarkerKind};
pub use trust::{TrustFinding, TrustKind};

/// One process running `bellwether`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Replica {
    /// Its token, new in every process.
    pub id: Uuid,
    /// Its host's name; in a container, the container's id.
    pub host: String,
    /// Its process id, in its own namespace.
    pub pid: u32,
}

impl Replica {
    /// This process, under a token of its own; may be made more than once in a process.
    #[expect(clippy::disallowed_methods, reason = "a replica's id is made here and handed on")]
    pub fn of_this_process() -> Replica {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
        Replica { id: Uuid::new_v4(), host: host.to_owned(), pid: std::process::id() }
    }

    /// A number that differs from replica to replica, to spread what many do at once.
    pub fn seed(&self) -> u64 {
        self.id.as_u64_pair().1
    }
}

/// The shared directory as one replica sees it, for one revision and plan.
#[derive(Clone, Debug)]
pub struct Volume {
    root: PathBuf,
    rev: Revision,
    plan: Arc<Plan>,
    replica: Replica,
    /// Numbers temporary files; shared by clones.
    temporaries: Arc<AtomicU64>,
}

/// The directory that holds all that people need not see.
const PRIVATE_DIRECTORY: &str = ".bellwether";
/// Those in it.
const PRIVATE_DIRECTORIES: [&str; 5] = ["epochs", "claims", "steps", "log", "tmp"];

impl Volume {
    /// Names a volume; nothing is read or written.
    pub fn new(root: PathBuf, rev: Revision, plan: Arc<Plan>, replica: Replica) -> Volume {
        Volume { root, rev, plan, replica, temporaries: Arc::default() }
    }

    /// The volume's root, as it was given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Our revision.
    pub fn revision(&self) -> &Revision {
        &self.rev
    }

    /// Our plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who we are.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    fn step(&self, step: StepId) -> &Step {
        self.plan.step(step)
    }

    /// A path below `.bellwether/`.
    fn private(&self, name: &str) -> PathBuf {
        self.root.join(PRIVATE_DIRECTORY).join(name)
    }

    fn in_progress_path(&self, step: StepId) -> PathBuf {
        self.root.join(self.step(step).in_progress.in_progress(&self.rev))
    }

    fn done_path(&self, step: StepId) -> PathBuf {
        self.root.join(self.step(step).done.done(&self.rev))
    }

    fn claim_path(&self, step: StepId, epoch: Epoch) -> PathBuf {
        self.private("claims").join(claim_name(&self.step(step).name, &self.rev, epoch))
    }
}
