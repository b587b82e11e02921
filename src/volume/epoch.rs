//! Epochs: the numbers of leaderships. They only grow, on the volume, even if Redis forgets everything.

use std::io;

use super::{Volume, VolumeError, files};
use crate::protocol::Epoch;

/// So many of the latest epochs keep their file: a replica that read the directory long ago must still find the
/// highest taken.
const KEPT: usize = 16;

impl Volume {
    /// Allots a new epoch, higher than any on the volume and than `at_least`; on return it survives a power loss.
    ///
    /// Called once per leadership, after the guard is taken.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn allot_epoch(&self, at_least: Epoch) -> Result<Epoch, VolumeError> {
        let directory = self.private("epochs");
        let mut floor = at_least.max(self.highest_epoch()?);
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
    use super::super::testing::Scratch;
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
