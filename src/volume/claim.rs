//! Claims: one epoch's right to one step, and the in-progress marker that shows it.
//!
//! A first claim passes a *gate*: the claim of epoch 0, which no leadership ever has, is made by `link(2)`; while it is
//! held the directory is read; only then is it renamed to the claim's own name. So of any number of racing replicas
//! exactly one wins, and one that dies inside the gate leaves a claim that a takeover can take. A takeover renames the
//! old claims to its own name; whoever renames the first of them has won.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::{UnixMillis, touch};
use super::marker::MARKER_LIMIT;
use super::{Marker, Volume, VolumeError, files};
use crate::protocol::{Epoch, StepId, parse_claim};

/// The epoch of the gate.
const GATE: Epoch = Epoch(0);

/// What the in-progress marker tells people about a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How often we shall beat.
    pub beat_every: Duration,
    /// When it began, by the local wall clock.
    pub started_at: UnixMillis,
}

/// A claim we hold, and its in-progress marker, open for beating.
#[derive(Debug)]
pub struct HeldClaim {
    pub(super) step: StepId,
    pub(super) epoch: Epoch,
    pub(super) claim: PathBuf,
    pub(super) shown: PathBuf,
    pub(super) marker: Marker,
    pub(super) committed: bool,
    file: File,
    inode: u64,
}

impl HeldClaim {
    /// The claimed step.
    pub fn step(&self) -> StepId {
        self.step
    }

    /// The leadership that claimed it.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn hold(&mut self, file: File) -> Result<(), VolumeError> {
        self.inode = file.metadata().map_err(VolumeError::io("look at", &self.shown))?.ino();
        self.file = file;
        Ok(())
    }

    /// Removes the in-progress marker if it is still ours.
    pub(super) fn hide(&self) -> Result<(), VolumeError> {
        if files::inode(&self.shown)? == Some(self.inode) {
            files::remove(&self.shown)?;
        }
        Ok(())
    }
}

/// What a beat found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Beat {
    /// The marker is refreshed.
    Refreshed,
    /// Somebody had removed the marker; it is written again.
    Rewritten,
    /// Another file stands in the marker's place, and is left alone; the claim is still ours.
    Replaced,
    /// The claim is no longer ours: a successor has it, or the step is done.
    Lost,
}

impl Volume {
    /// Claims a step for `epoch`: `from` are the claims to take over, empty for a first claim. `None`: lost to somebody
    /// else, or the step is done.
    ///
    /// Called by the leader only, under a fresh epoch. May be called again with the same arguments after an error.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; on a full disk ([`Fault::Full`](crate::protocol::Fault::Full)) nothing of an earlier claim is lost.
    pub fn claim(
        &self,
        step: StepId,
        epoch: Epoch,
        from: &[Epoch],
        run: &Run,
    ) -> Result<Option<HeldClaim>, VolumeError> {
        let marker = self.in_progress_marker(step, epoch, run);
        let own = self.claim_path(step, epoch);
        let again = files::stat(&own)?.is_some();
        let won = if from.is_empty() && !again {
            self.pass_gate(step, epoch, &marker)?
        } else {
            self.take_over(step, epoch, from, again)?
        };
        let won = won && self.is_alone(step, epoch)? && files::stat(&self.done_path(step))?.is_none();
        if !won {
            files::remove(&own)?;
            return Ok(None);
        }
        if !from.is_empty() {
            // So that a repeated commit is recognised; not worth failing for, as where it is another user's.
            let _ = files::open_to_write(&own).map(|file| file.map(|file| files::overwrite(&file, &marker.line())));
        }
        files::sync_directory(&self.private("claims"))?;
        self.show(step, epoch, marker)
    }

    fn in_progress_marker(&self, step: StepId, epoch: Epoch, run: &Run) -> Marker {
        Marker {
            step: Some(self.step(step).name.to_string()),
            attempt: Some(run.attempt),
            started_at: Some(run.started_at.to_string()),
            beat_every: Some(run.beat_every),
            done: Some(self.step(step).done.to_string()),
            ..self.blank_marker(epoch)
        }
    }

    /// The first claim: through the gate. `false`: somebody else is inside, or was here before.
    fn pass_gate(&self, step: StepId, epoch: Epoch, marker: &Marker) -> Result<bool, VolumeError> {
        let gate = self.claim_path(step, GATE);
        if self.temporary(files::PUBLIC, &marker.line())?.link(&gate)?.is_none() && !self.is_ours(&gate, epoch)? {
            return Ok(false);
        }
        if !self.claims_of(step)?.iter().all(|&other| other == GATE) {
            files::remove(&gate)?;
            return Ok(false);
        }
        rename_claim(&gate, &self.claim_path(step, epoch))
    }

    /// The takeover of `from`; `again`: our own claim was there before, so some of them may be ours already.
    fn take_over(&self, step: StepId, epoch: Epoch, from: &[Epoch], again: bool) -> Result<bool, VolumeError> {
        let own = self.claim_path(step, epoch);
        let mut from: Vec<Epoch> = from.iter().copied().filter(|&old| old != epoch).collect();
        // All replicas go in the same order, so the first rename decides.
        from.sort_unstable();
        for old in from {
            if !rename_claim(&self.claim_path(step, old), &own)? && !again {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a claim's content names us and this epoch: left by an earlier, interrupted call.
    fn is_ours(&self, path: &Path, epoch: Epoch) -> Result<bool, VolumeError> {
        let Some((content, _)) = files::read_small(path, MARKER_LIMIT)? else { return Ok(false) };
        Ok(Marker::parse(&content)
            .is_ok_and(|marker| marker.is_of(epoch) && marker.replica.as_ref() == Some(self.replica())))
    }

    /// Whether ours is the step's only claim (but for others waiting in the gate: they see ours and leave).
    fn is_alone(&self, step: StepId, epoch: Epoch) -> Result<bool, VolumeError> {
        let claims = self.claims_of(step)?;
        Ok(claims.contains(&epoch) && claims.iter().all(|&other| other == epoch || other == GATE))
    }

    /// The epochs that have a claim to a step of our revision.
    ///
    /// Read twice: a name that is renamed during one reading may be missed by that one, under both its names.
    fn claims_of(&self, step: StepId) -> Result<Vec<Epoch>, VolumeError> {
        let known = || self.plan().iter().map(|(_, step)| &step.name);
        let mut epochs = Vec::new();
        for _ in 0..2 {
            for (name, _) in files::list(&self.private("claims"), false)?.unwrap_or_default() {
                let Some((name, rev, epoch)) = parse_claim(&name, known()) else { continue };
                if name == self.step(step).name && rev == *self.revision() {
                    epochs.push(epoch);
                }
            }
        }
        Ok(epochs)
    }

    /// Writes the in-progress marker of a claim that is won.
    fn show(&self, step: StepId, epoch: Epoch, marker: Marker) -> Result<Option<HeldClaim>, VolumeError> {
        let (claim, shown) = (self.claim_path(step, epoch), self.in_progress_path(step));
        let file = self.publish(&shown, files::PUBLIC, &marker.line())?;
        let inode = file.metadata().map_err(VolumeError::io("look at", &shown))?.ino();
        let held = HeldClaim { step, epoch, claim, shown, marker, committed: false, file, inode };
        if files::stat(&held.claim)?.is_none() {
            // Somebody took over while we wrote: the marker must not stand in the way of theirs.
            held.hide()?;
            return Ok(None);
        }
        Ok(Some(held))
    }

    /// Refreshes the in-progress marker through the descriptor held since it was written, and looks whether it is still
    /// in its place. Needs no space on the disk unless a person removed the marker.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; a failed beat is worth a log line, no more.
    pub fn beat(&self, held: &mut HeldClaim) -> Result<Beat, VolumeError> {
        touch(&held.file).map_err(VolumeError::io("refresh", &held.shown))?;
        match files::inode(&held.shown)? {
            Some(inode) if inode == held.inode => Ok(Beat::Refreshed),
            _ if files::stat(&held.claim)?.is_none() => Ok(Beat::Lost),
            Some(_) => Ok(Beat::Replaced),
            None => match self.temporary(files::PUBLIC, &held.marker.line())?.link(&held.shown)? {
                Some(file) => held.hold(file).map(|()| Beat::Rewritten),
                None => Ok(Beat::Replaced),
            },
        }
    }

    /// Gives a claim up: removes the in-progress marker (if it is still ours), then the claim. May be called again.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn retract(&self, held: &HeldClaim) -> Result<(), VolumeError> {
        held.hide()?;
        files::remove(&held.claim)?;
        Ok(())
    }
}

/// Renames a claim. "Not there" is looked at once more, because NFS repeats requests: if what stands under our name
/// is what stood under the old one, the rename had succeeded.
fn rename_claim(old: &Path, own: &Path) -> Result<bool, VolumeError> {
    let before = files::inode(old)?;
    Ok(before.is_some() && (files::rename(old, own)? || files::inode(own)? == before))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MIGRATE, Scratch, run};
    use super::*;
    use std::sync::Barrier;

    /// A volume with bare claims to the first step, by their epochs.
    fn with_claims(epochs: &[u64]) -> Scratch {
        let scratch = Scratch::new();
        for epoch in epochs {
            scratch.write(&format!(".bellwether/claims/migrate_v1.{epoch}"), "");
        }
        scratch
    }

    #[test]
    fn a_claim_is_alone_beside_the_gate_and_beside_nothing_else() {
        for (there, alone) in [(&[7][..], true), (&[0, 7], true), (&[7, 8], false), (&[6, 7], false), (&[0], false)] {
            let scratch = with_claims(there);
            assert_eq!(scratch.volume().is_alone(MIGRATE, Epoch(7)).unwrap(), alone, "{there:?}");
        }
    }

    #[test]
    fn the_gate_is_left_again_where_somebody_was_before() {
        let scratch = with_claims(&[3]);
        let volume = scratch.volume();
        let marker = volume.in_progress_marker(MIGRATE, Epoch(7), &run());
        assert!(!volume.pass_gate(MIGRATE, Epoch(7), &marker).unwrap());
        assert_eq!(scratch.names(".bellwether/claims"), ["migrate_v1.3"]);
    }

    #[test]
    fn a_takeover_that_finds_one_of_several_claims_gone_is_lost() {
        let scratch = with_claims(&[3]);
        let lost = scratch.volume().claim(MIGRATE, Epoch(7), &[Epoch(3), Epoch(4)], &run()).unwrap();
        assert!(lost.is_none() && scratch.names(".bellwether/claims").is_empty());
    }

    #[test]
    fn a_takeover_that_finds_another_claim_beside_is_lost_to_it() {
        let scratch = with_claims(&[3, 5]);
        let lost = scratch.volume().claim(MIGRATE, Epoch(7), &[Epoch(3)], &run()).unwrap();
        assert!(lost.is_none() && !scratch.has(".migrating_in_progress_v1"));
        assert_eq!(scratch.names(".bellwether/claims"), ["migrate_v1.5"]);
    }

    #[test]
    fn of_many_renames_of_one_claim_exactly_one_succeeds() {
        let scratch = Scratch::new();
        let at = |epoch: u64| scratch.volume().claim_path(MIGRATE, Epoch(epoch));
        let barrier = Barrier::new(4);
        for round in 0..200 {
            std::fs::write(at(3), "").unwrap();
            let won = std::thread::scope(|scope| {
                let racing: Vec<_> = (0..4)
                    .map(|number| {
                        let (old, own, barrier) = (at(3), at(100 + number), &barrier);
                        scope.spawn(move || {
                            barrier.wait();
                            rename_claim(&old, &own).unwrap()
                        })
                    })
                    .collect();
                racing.into_iter().map(|racer| racer.join().unwrap()).filter(|&won| won).count()
            });
            assert_eq!(won, 1, "round {round}");
        }
    }
}
