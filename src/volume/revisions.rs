//! `.bellwether/revisions`: which revisions have led here, in order. Only the last may lead.

use std::path::Path;

use super::{PRIVATE_DIRECTORY, Volume, VolumeError, files};
use crate::protocol::{Revision, Standing};

/// Far more than anybody releases; beyond it, forgetting an old revision in silence would be worse than stopping.
const LIMIT: u64 = 4 * 1024 * 1024;

impl Volume {
    /// All lines of `revisions`, oldest first. A revision that was rolled back to stands there twice.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn read_revisions(&self) -> Result<Vec<Revision>, VolumeError> {
        read_revisions(self.root())
    }

    /// Where our revision stands. Works on a read-only mount.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn standing(&self) -> Result<Standing, VolumeError> {
        Ok(standing(&self.read_revisions()?, self.revision()))
    }

    /// Makes our revision the newest, unless it is. Called by a claim for a new revision, and for a rollback that the
    /// settings allow; under the guard.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; the earlier list is then still whole.
    pub fn append_revision(&self) -> Result<(), VolumeError> {
        let mut revisions = self.read_revisions()?;
        if revisions.last() == Some(self.revision()) {
            return Ok(());
        }
        revisions.push(self.revision().clone());
        let lines: Vec<&str> = revisions.iter().map(Revision::as_str).collect();
        let content = lines.join("\n") + "\n";
        self.publish(&self.private("revisions"), files::PUBLIC, content.as_bytes()).map(drop)
    }
}

/// Where `rev` stands on the volume at `root`: all that a warm start has to know besides the ready marker.
///
/// # Errors
///
/// A [`VolumeError`].
pub fn standing_at(root: &Path, rev: &Revision) -> Result<Standing, VolumeError> {
    Ok(standing(&read_revisions(root)?, rev))
}

fn read_revisions(root: &Path) -> Result<Vec<Revision>, VolumeError> {
    let path = root.join(PRIVATE_DIRECTORY).join("revisions");
    let Some((content, stat)) = files::read_small(&path, LIMIT)? else { return Ok(Vec::new()) };
    if stat.len() > LIMIT {
        return Err(VolumeError::Malformed { path, problem: "is far too long; keep only its last lines" });
    }
    Ok(String::from_utf8_lossy(&content).lines().filter_map(|line| Revision::parse(line.trim()).ok()).collect())
}

fn standing(revisions: &[Revision], own: &Revision) -> Standing {
    match revisions.last() {
        Some(newest) if newest == own => Standing::Newest,
        Some(newest) if revisions.contains(own) => Standing::Older { newest: newest.clone() },
        _ => Standing::New,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, rev};
    use super::*;

    #[test]
    fn only_the_last_line_may_lead_and_a_rollback_appends_again() {
        let scratch = Scratch::new();
        let (old, new) = (scratch.replica(1, "v1"), scratch.replica(2, "v2"));
        assert_eq!(old.standing().unwrap(), Standing::New);
        old.append_revision().unwrap();
        old.append_revision().unwrap();
        assert_eq!(old.standing().unwrap(), Standing::Newest);
        assert_eq!(new.standing().unwrap(), Standing::New);
        new.append_revision().unwrap();
        assert_eq!(old.standing().unwrap(), Standing::Older { newest: rev("v2") });
        old.append_revision().unwrap();
        assert_eq!(scratch.read(".bellwether/revisions"), "v1\nv2\nv1\n");
        assert_eq!(new.standing().unwrap(), Standing::Older { newest: rev("v1") });
    }

    #[test]
    fn lines_that_are_no_revision_do_not_count() {
        let scratch = Scratch::new();
        scratch.write(".bellwether/revisions", "v1\n\n../x\nv2\n  \n");
        assert_eq!(scratch.volume().read_revisions().unwrap(), [rev("v1"), rev("v2")]);
        assert_eq!(Scratch::bare().volume().read_revisions().unwrap(), []);
    }
}
