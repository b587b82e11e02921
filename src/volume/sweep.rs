//! Clearing away what crashes and old revisions left.

use std::time::Duration;

use super::check::TRY_PREFIX;
use super::clock::mtime_nanos;
use super::record::Found;
use super::scan::Scan;
use super::{Volume, VolumeError, files};
use crate::protocol::{Revision, StepName, parse_claim};

/// A temporary file is written in one go; one of this age has no writer any more.
const OLD: Duration = Duration::from_secs(3600);

/// So many revisions keep their markers, besides ours.
const KEPT: usize = 5;

impl Volume {
    /// Removes what is left over: markers, claims and records of steps that are done, old temporary files, and the
    /// markers of revisions that at least five others have followed. Nothing that is in progress, and nothing that we
    /// did not name, is touched. Called once at the start of a leadership, under the guard.
    ///
    /// # Errors
    ///
    /// The first [`VolumeError`]; everything else was swept all the same. Not worth ending a leadership for.
    pub fn sweep(&self) -> Result<(), VolumeError> {
        let scan = self.scan()?;
        let swept = [
            self.sweep_done(&scan),
            self.sweep_records(&scan),
            self.sweep_temporaries(&scan),
            self.prune_revisions(&scan),
        ];
        swept.into_iter().collect()
    }

    fn sweep_done(&self, scan: &Scan) -> Result<(), VolumeError> {
        for shown in &scan.shown {
            if self.is_done_in(scan, &shown.step, &shown.rev) {
                files::remove(&self.root().join(&shown.file_name))?;
            }
        }
        for claim in &scan.claims {
            if self.is_done_in(scan, &claim.step, &claim.rev) {
                files::remove(&self.private("claims").join(&claim.file_name))?;
            }
        }
        Ok(())
    }

    /// Records of steps that are done in the revision the record speaks of.
    fn sweep_records(&self, scan: &Scan) -> Result<(), VolumeError> {
        for (_, step) in self.plan().iter() {
            match self.find_record(&step.name)? {
                Found::Record(kept) if self.is_closed(scan, &step.name, kept.rev()) => {
                    self.clear_record(&step.name)?;
                }
                Found::Unreadable if self.is_closed(scan, &step.name, self.revision().as_str()) => {
                    self.clear_record(&step.name)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sweep_temporaries(&self, scan: &Scan) -> Result<(), VolumeError> {
        let Some(now) = self.clock() else { return Ok(()) };
        let directory = self.private("tmp");
        let temporaries = files::list(&directory, false)?.unwrap_or_default();
        let tries = scan.names.keys().filter(|name| name.starts_with(TRY_PREFIX)).map(|name| self.root().join(name));
        for path in temporaries.iter().map(|(name, _)| directory.join(name)).chain(tries) {
            if files::stat(&path)?.is_some_and(|stat| stat.is_file() && now.age(mtime_nanos(&stat)) > OLD) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Only revisions that stand in the list are pruned: anything else was named by somebody else. The ready marker
    /// goes first, so that no revision looks ready without its steps.
    fn prune_revisions(&self, scan: &Scan) -> Result<(), VolumeError> {
        for rev in outdated(&self.read_revisions()?, self.revision()) {
            let done = self.plan().iter().map(|(_, step)| step.done.done(&rev));
            for name in [rev.ready_marker(), rev.failed_marker()].into_iter().chain(done) {
                if scan.names.get(&name) == Some(&files::Kind::File) {
                    files::remove(&self.root().join(&name))?;
                }
            }
        }
        Ok(())
    }

    /// Removes every claim to a step of a revision.
    pub(super) fn remove_claims(&self, step: &StepName, rev: &Revision) -> Result<(), VolumeError> {
        let directory = self.private("claims");
        for (name, _) in files::list(&directory, false)?.unwrap_or_default() {
            let known = self.plan().iter().map(|(_, step)| &step.name);
            if parse_claim(&name, known).is_some_and(|(of, at, _)| of == *step && at == *rev) {
                files::remove(&directory.join(&name))?;
            }
        }
        Ok(())
    }
}

/// The revisions of the list that are neither ours nor among the last [`KEPT`] different ones.
fn outdated(revisions: &[Revision], own: &Revision) -> Vec<Revision> {
    let mut seen: Vec<Revision> = Vec::new();
    for rev in revisions.iter().rev() {
        if rev != own && !seen.contains(rev) {
            seen.push(rev.clone());
        }
    }
    seen.split_off(KEPT.min(seen.len()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ASSETS, DONE, MIGRATE, Scratch, claimed, record, rev};
    use super::*;
    use crate::protocol::Epoch;

    fn age(scratch: &Scratch, name: &str, seconds: u64) {
        let now = std::fs::metadata(scratch.path(".bellwether/clock")).unwrap().modified().unwrap();
        let file = std::fs::File::options().write(true).open(scratch.path(name)).unwrap();
        file.set_modified(now - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn what_a_crash_after_commit_left_is_removed() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        let _held = claimed(&volume, MIGRATE, 3, &[]);
        let other = claimed(&volume, ASSETS, 3, &[]);
        volume.write_record(MIGRATE, &record()).unwrap();
        volume.write_record(ASSETS, &record()).unwrap();
        volume.ensure_data_file(MIGRATE, None).unwrap();
        // The crash: the claim became the done marker, and no more; an older claim lies about.
        std::fs::rename(scratch.path(".bellwether/claims/migrate_v1.3"), scratch.path(".migrated_v1")).unwrap();
        scratch.write(".bellwether/claims/migrate_v1.2", "");
        volume.sweep().unwrap();
        assert_eq!(scratch.names(".bellwether/claims"), ["assets_v1.3"]);
        assert_eq!(scratch.names(".bellwether/steps"), ["assets.json"]);
        assert!(!scratch.has(".migrating_in_progress_v1") && scratch.has(".migrated_v1"));
        assert!(scratch.has(".assets_building_in_progress_v1"));
        volume.retract(&other).unwrap();
    }

    #[test]
    fn five_revisions_keep_their_markers_besides_ours() {
        let scratch = Scratch::new();
        for number in 1..=8 {
            let volume = scratch.replica(1, &format!("v{number}"));
            volume.append_revision().unwrap();
            for step in [MIGRATE, ASSETS] {
                let mut held = claimed(&volume, step, number, &[]);
                assert!(volume.commit(&mut held, &DONE).unwrap());
            }
            volume.write_ready(Epoch(number), "digest").unwrap();
        }
        for foreign in [".ready_other", ".migrated_2019", ".something_v1", ".migrating_in_progress_v1"] {
            scratch.write(foreign, "");
        }
        std::fs::remove_file(scratch.path(".migrated_v1")).unwrap();
        scratch.replica(2, "v8").sweep().unwrap();
        for number in 1..=8 {
            let kept = number >= 3;
            assert_eq!(scratch.has(&format!(".ready_v{number}")), kept, "{number}");
            assert_eq!(scratch.has(&format!(".assets_built_v{number}")), kept, "{number}");
        }
        for foreign in [".ready_other", ".migrated_2019", ".something_v1", ".migrating_in_progress_v1"] {
            assert!(scratch.has(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_revision_that_was_rolled_back_to_counts_by_its_last_line() {
        let list: Vec<Revision> = ["a", "b", "c", "d", "e", "f", "g", "b"].iter().map(|text| rev(text)).collect();
        assert_eq!(outdated(&list, &rev("b")), [rev("a")]);
        assert_eq!(outdated(&list, &rev("h")), [rev("c"), rev("a")]);
        assert_eq!(outdated(&list[..5], &rev("e")), []);
    }

    #[test]
    fn old_temporary_files_are_removed() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        volume.now().unwrap();
        for name in [".bellwether/tmp/1-old", ".bellwether/tmp/1-new", ".bellwether-try-old", ".bellwether-trial"] {
            scratch.write(name, "");
        }
        age(&scratch, ".bellwether/tmp/1-old", 3700);
        age(&scratch, ".bellwether-try-old", 3700);
        age(&scratch, ".bellwether-trial", 3700);
        volume.sweep().unwrap();
        assert_eq!(scratch.names(".bellwether/tmp"), ["1-new"]);
        assert!(!scratch.has(".bellwether-try-old") && scratch.has(".bellwether-trial"));
    }
}
