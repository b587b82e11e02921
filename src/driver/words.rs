//! What a person is told: one event per transition, and now and then whom a waiting replica waits for.

use std::path::Path;

use tracing::{error, info, warn};

use super::report;
use crate::protocol::{Notice, StepId};
use crate::volume::{GuardHolder, MarkerInfo, MarkerKind, TrustFinding, TrustKind, Volume, describe_undo};

/// What a waiting replica says about those it waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    /// As a follower.
    Following {
        /// Whether it may lead itself.
        may_lead: bool,
    },
    /// For the guard, over markers that are all stale.
    GuardBusy,
    /// For a person, since a step has failed for good.
    Holding,
    /// As a holder of the guard, for a predecessor's step to become stale.
    Watching,
}

/// Says a notice at once, or gives back what has to be looked up first.
pub(super) fn say(notice: &Notice, volume: &Volume, may_lead: bool) -> Option<Waiting> {
    let rev = volume.revision();
    let name = |step: &StepId| volume.plan().step(*step).name.clone();
    match notice {
        Notice::Leading(epoch) => info!(%rev, %epoch, "LEADER: doing the work of this revision"),
        Notice::Following => info!(%rev, may_lead, "FOLLOWER: waiting until this revision is ready"),
        Notice::StillFollowing => return Some(Waiting::Following { may_lead }),
        Notice::GuardBusy => return Some(Waiting::GuardBusy),
        Notice::Watching => return Some(Waiting::Watching),
        Notice::Holding => return Some(Waiting::Holding),
        Notice::Superseded { newest } => warn!(%rev, %newest,
            "a later revision has begun, so this one only waits for its own ready marker; \
             set IMAGE_REV to the later one, or BELLWETHER_ALLOW_ROLLBACK=1 to go back"),
        // Said by the driver itself, with what the volume tells.
        Notice::Downgraded { .. } | Notice::GoingBack { .. } => {}
        Notice::TakingOver { step, from } => {
            let from: Vec<String> = from.iter().map(ToString::to_string).collect();
            warn!(step = %name(step), from_epoch = %from.join(","), "taking over from a leader that has fallen silent");
        }
        Notice::AlreadyDone(step) => info!(step = %name(step), "step is done already"),
        Notice::WillRetry { step, end, wait } => {
            warn!(step = %name(step), wait_secs = wait.as_secs_f64(), "step ended badly: {}; it will be tried again", report::words(*end));
        }
        Notice::ClaimLost(step) => warn!(step = %name(step),
            "the step has ended well, but its claim on the volume is not ours any more (taken over, or removed by hand), \
             so it is not recorded as done and may run again"),
        Notice::GivenUp(step) => error!(step = %name(step), "step has failed for good"),
        Notice::VolumeFull => warn!(volume = %volume.root().display(), "the volume is full; waiting for room"),
        Notice::LeaseLost => warn!("the lease is lost; what runs goes on under the guard, nothing else is started"),
        Notice::FailureCleared => info!(%rev, "the failure has been cleared"),
    }
    None
}

/// A ready revision serves though a later one has begun, which may say how to `undo` what it did.
pub(crate) fn downgraded(rev: &str, newest: &str, undo: &[String]) -> String {
    format!(
        "revision {rev} is ready, but {newest} has begun since: this code may meet a newer schema \
         (BELLWETHER_ON_DOWNGRADE=refuse refuses that){}",
        describe_undo(newest, undo)
    )
}

/// A revision leads again, or serves, though a later one has begun: somebody wants it so.
pub(super) fn going_back(rev: &str, newest: &str, undo: &[String]) -> String {
    format!(
        "going back to {rev} from {newest} (BELLWETHER_ALLOW_ROLLBACK=1); this code may meet a newer schema{}",
        describe_undo(newest, undo)
    )
}

/// Somebody forgot to mount the volume.
pub(crate) const FORGOTTEN: &str = "THE VOLUME IS NOT MOUNTED: this directory lies in the container's own layer. Every \
                                    replica has its own, all of them will lead, and everything is lost with the container";
/// The repair.
pub(crate) const MOUNT: &str = "Mount a volume there";

/// Says loudly that somebody forgot to mount the volume, if so.
pub(crate) fn warn_of_forgotten_volume(finding: &TrustFinding, volume: &Path) {
    if finding.kind == TrustKind::Forgotten {
        warn!(volume = %volume.display(), "{FORGOTTEN}. {MOUNT}");
    }
}

impl Waiting {
    /// Looks up whom this replica waits for, and says so.
    pub(super) fn explain(self, volume: &Volume, lease: Option<String>) {
        let holder = || describe_holder(volume).or(lease).unwrap_or_else(|| "nobody".to_owned());
        let at_work = || describe_work(volume);
        match self {
            Waiting::Following { may_lead: true } => info!(holder = %holder(), "still waiting: {}", at_work()),
            Waiting::Following { may_lead: false } => {
                info!(holder = %holder(), "still waiting: {}; this replica may not lead (IS_LEADER)", at_work());
            }
            Waiting::Watching => info!("a step of an earlier leader is still in progress: {}", at_work()),
            Waiting::GuardBusy => warn!(holder = %holder(),
                "the guard is held though every step has fallen silent: {}; \
                 is its holder frozen, or a process of an old step still alive? It goes on when that process ends",
                at_work()),
            Waiting::Holding => error!("not ready, until `bellwether retry`: {}", volume.describe_failure()),
        }
    }
}

/// Who has the guard.
fn describe_holder(volume: &Volume) -> Option<String> {
    // What the last holder wrote stays there when it is gone.
    if volume.is_guard_held() == Some(false) {
        return None;
    }
    let holder = volume.guard_holder().ok().flatten();
    Some(holder.map_or_else(|| "unknown".to_owned(), |holder| describe(&holder)))
}

fn describe(holder: &GuardHolder) -> String {
    let pid = holder.pid.map(|pid| format!("pid {pid}"));
    let note = holder.note.as_ref().map(|note| {
        format!("host {} pid {}, epoch {}, revision {}", note.replica.host, note.replica.pid, note.epoch, note.rev)
    });
    [note, pid].into_iter().flatten().collect::<Vec<_>>().join(", here ")
}

fn describe_work(volume: &Volume) -> String {
    let markers = volume.markers().unwrap_or_default();
    let at_work: Vec<String> =
        markers.iter().filter(|marker| marker.kind == MarkerKind::InProgress).map(describe_marker).collect();
    if at_work.is_empty() { "no step in progress".to_owned() } else { at_work.join("; ") }
}

fn describe_marker(marker: &MarkerInfo) -> String {
    let host =
        marker.content.as_ref().and_then(|content| content.replica.as_ref()).map(|replica| replica.host.as_str());
    let age = marker.age.map_or_else(|| "unknown".to_owned(), |age| format!("{:.0} s ago", age.as_secs_f64()));
    let step = marker.step.as_deref().unwrap_or(&marker.file_name);
    format!("{step} of revision {} on {}, last beat {age}", marker.rev, host.unwrap_or("an unknown host"))
}
