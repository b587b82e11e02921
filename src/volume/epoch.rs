//! Epochs: the numbers of leaderships. They only grow, on the volume, even if Redis forgets everything.

use std::io;

use serde::Deserialize;

use super::end::FAILED_LIMIT;
use super::files::Kind;
use super::marker::MARKER_LIMIT;
use super::{Volume, VolumeError, files};
use crate::protocol::{Epoch, parse_claim};

/// So many of the latest epochs keep their file: a replica that read the directory long ago must still find the
/// highest taken.
const KEPT: usize = 16;

/// A number above this in a marker or a claim's name is none of ours: JSON holds it no more, and nobody leads so often.
const LIKELY: u64 = 1 << 53;

/// What every marker of ours tells, of whatever kind.
#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "schema")]
    _schema: u32,
    epoch: u64,
}

impl Volume {
    /// Allots a new epoch, higher than any on the volume and than `at_least`; on return it survives a power loss, and so
    /// do the markers that earlier leaderships left.
    ///
    /// Called once per leadership, after the guard is taken. Somebody may have removed `.bellwether` under a frozen
    /// leader: markers and claims tell how far its numbers had come, so that its late commit finds no claim by that name.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn allot_epoch(&self, at_least: Epoch) -> Result<Epoch, VolumeError> {
        // Whoever wrote the last of them may have died before the sync, and this leadership builds on them.
        files::sync_directory(self.root())?;
        let directory = self.private("epochs");
        let mut floor = at_least.max(self.highest_epoch()?).max(self.highest_trace()?);
        loop {
            let Some(number) = floor.0.checked_add(1) else {
                let problem = "holds the highest number there is; remove that file";
                return Err(VolumeError::Malformed { path: directory, problem });
            };
            let path = directory.join(number.to_string());
            match self.create(&path, files::PUBLIC) {
                Err(VolumeError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                    floor = Epoch(number);
                    continue;
                }
                created => created?.sync_all().map_err(VolumeError::io("sync", &path))?,
            }
            // Somebody who read the directory later may have come further, and removed the files in between.
            floor = self.highest_epoch()?;
            if floor == Epoch(number) {
                files::sync_directory(&directory)?;
                self.prune_epochs()?;
                return Ok(floor);
            }
            files::remove(&path)?;
        }
    }

    /// The highest epoch ever allotted on the volume; 0 if none was.
    pub(super) fn highest_epoch(&self) -> Result<Epoch, VolumeError> {
        Ok(self.epochs()?.last().copied().unwrap_or_default())
    }

    /// The highest epoch that a marker or a claim names. One that cannot be read, or is none of ours, names none.
    fn highest_trace(&self) -> Result<Epoch, VolumeError> {
        let claims = files::list(&self.private("claims"), false)?.unwrap_or_default();
        let known = || self.plan().iter().map(|(_, step)| &step.name);
        let of_claims = claims.iter().filter_map(|(name, _)| Some(parse_claim(name, known())?.2));
        let root = files::list(self.root(), true)?.unwrap_or_default();
        // Markers of any plan and revision: their words can be anything.
        let names =
            root.iter().filter(|(name, kind)| *kind == Kind::File && name.starts_with('.') && name.contains('_'));
        let of_markers = names.filter_map(|(name, _)| self.trace(name));
        Ok(of_claims.chain(of_markers).filter(|epoch| epoch.0 <= LIKELY).max().unwrap_or_default())
    }

    fn trace(&self, name: &str) -> Option<Epoch> {
        let limit = if name.starts_with(".failed_") { FAILED_LIMIT } else { MARKER_LIMIT };
        let (content, _) = files::read_small(&self.root().join(name), limit).ok()??;
        serde_json::from_slice(&content).ok().map(|trace: Trace| Epoch(trace.epoch))
    }

    fn epochs(&self) -> Result<Vec<Epoch>, VolumeError> {
        let names = files::list(&self.private("epochs"), false)?.unwrap_or_default();
        let mut epochs: Vec<Epoch> = names.iter().filter_map(|(name, _)| name.parse().ok().map(Epoch)).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    fn prune_epochs(&self) -> Result<(), VolumeError> {
        let epochs = self.epochs()?;
        for old in &epochs[..epochs.len().saturating_sub(KEPT)] {
            files::remove(&self.private("epochs").join(old.to_string()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::super::testing::{DONE, MIGRATE, Scratch, claimed};
    use super::*;

    #[test]
    fn epochs_grow_from_whichever_is_higher() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        assert_eq!(volume.allot_epoch(Epoch(0)).unwrap(), Epoch(1));
        assert_eq!(volume.allot_epoch(Epoch(0)).unwrap(), Epoch(2));
        assert_eq!(volume.allot_epoch(Epoch(40)).unwrap(), Epoch(41));
        assert_eq!(volume.allot_epoch(Epoch(7)).unwrap(), Epoch(42));
        scratch.write(".bellwether/epochs/readme", "not ours");
        assert_eq!(volume.highest_epoch().unwrap(), Epoch(42));
    }

    #[test]
    fn numbers_do_not_restart_when_our_directory_is_removed() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        let frozen = volume.allot_epoch(Epoch(30)).unwrap();
        let mut late = claimed(&volume, MIGRATE, frozen.0, &[]);
        std::fs::remove_dir_all(scratch.path(".bellwether")).unwrap();
        let successor = scratch.replica(2, "v1");
        successor.prepare(uuid::Uuid::from_u128(98)).unwrap();
        let epoch = successor.allot_epoch(Epoch(0)).unwrap();
        assert_eq!(epoch, Epoch(32));
        let _held = claimed(&successor, MIGRATE, epoch.0, &[]);
        assert!(!volume.commit(&mut late, &DONE).unwrap(), "the late leader took its successor's claim");
        assert!(!scratch.has(".migrated_v1"));
    }

    #[test]
    fn every_kind_of_marker_and_the_claims_tell_how_far_the_numbers_had_come() {
        for name in [".migrated_v0", ".elsewhere_done_v9", ".ready_v0", ".x_in_progress_v0"] {
            let scratch = Scratch::new();
            scratch.write(name, r#"{"schema":1,"rev":"v0","epoch":70}"#);
            assert_eq!(scratch.volume().allot_epoch(Epoch(0)).unwrap(), Epoch(71), "{name}");
        }
        let scratch = Scratch::new();
        scratch.volume().write_failed(Epoch(80), &Failure::default()).unwrap();
        assert_eq!(scratch.volume().allot_epoch(Epoch(0)).unwrap(), Epoch(81));
        scratch.write(".bellwether/claims/elsewhere_v7.90", "");
        assert_eq!(scratch.volume().allot_epoch(Epoch(0)).unwrap(), Epoch(91));
    }

    #[test]
    fn what_is_no_marker_of_ours_tells_nothing() {
        let scratch = Scratch::new();
        scratch.write(".migrated_v0", "2024-05-01");
        scratch.write(".migrated_v1", r#"{"schema":1,"epoch":18446744073709551615}"#);
        scratch.write(".app_state", r#"{"epoch":50}"#);
        scratch.write("site_config", r#"{"schema":1,"epoch":60}"#);
        scratch.write("elsewhere", r#"{"schema":1,"epoch":70}"#);
        std::os::unix::fs::symlink("elsewhere", scratch.path(".ready_v3")).unwrap();
        std::fs::create_dir(scratch.path(".ready_v4")).unwrap();
        assert_eq!(scratch.volume().allot_epoch(Epoch(0)).unwrap(), Epoch(1));
    }

    #[test]
    fn old_epochs_are_pruned_and_the_highest_is_kept() {
        let scratch = Scratch::new();
        for _ in 0..50 {
            scratch.volume().allot_epoch(Epoch(0)).unwrap();
        }
        assert_eq!(scratch.names(".bellwether/epochs").len(), KEPT);
        assert_eq!(scratch.volume().highest_epoch().unwrap(), Epoch(50));
    }

    #[test]
    fn racing_replicas_get_different_epochs_and_each_sees_its_own_grow() {
        let scratch = Scratch::new();
        let allotted = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|number| {
                    let volume = scratch.replica(number, "v1");
                    scope.spawn(move || (0..20).map(|_| volume.allot_epoch(Epoch(0)).unwrap()).collect::<Vec<_>>())
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(allotted.iter().all(|own| own.is_sorted_by(|one, two| one < two)), "{allotted:?}");
        let mut all: Vec<Epoch> = allotted.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 160);
    }

    #[test]
    fn the_end_of_numbers_is_an_error_not_a_wrap() {
        let scratch = Scratch::new();
        let error = scratch.volume().allot_epoch(Epoch(u64::MAX)).unwrap_err();
        assert!(error.to_string().contains("epochs"), "{error}");
    }
}
