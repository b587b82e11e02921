//! One reading of the directories: every marker and claim of work in progress, and whose it is.

use std::collections::BTreeMap;
use std::path::Path;

use super::files::Kind;
use super::marker::MARKER_LIMIT;
use super::{Marker, PRIVATE_DIRECTORY, Volume, VolumeError, files, look};
use crate::protocol::{
    Epoch, Fault, IN_PROGRESS_INFIX, Revision, Stamp, StepId, StepName, claim_name, parse_claim, parse_in_progress,
};

/// An in-progress marker.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Its name in the root.
    pub(super) file_name: String,
    /// The step, as the plan, its content or else its name calls it.
    pub(super) step: String,
    pub(super) rev: Revision,
    pub(super) stamp: Stamp,
    /// What it says, or why that cannot be read.
    pub(super) content: Result<Marker, &'static str>,
}

/// A claim.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) file_name: String,
    pub(super) step: String,
    pub(super) rev: Revision,
    pub(super) epoch: Epoch,
}

/// Everything that a look reads of the directories. A missing `.bellwether` reads as an empty one.
#[derive(Debug)]
pub(super) struct Scan {
    /// The root's names.
    pub(super) names: BTreeMap<String, Kind>,
    pub(super) shown: Vec<Shown>,
    pub(super) claims: Vec<Claim>,
}

impl Scan {
    /// Whether a marker of that name is there.
    ///
    /// # Errors
    ///
    /// [`VolumeError::NotAFile`] if something else stands in its place.
    pub(super) fn has(&self, root: &Path, name: &str) -> Result<bool, VolumeError> {
        match self.names.get(name) {
            None => Ok(false),
            Some(kind) => kind.expect_file(&root.join(name)).map(|()| true),
        }
    }
}

impl Volume {
    /// Reads the directories. Claims come before the root: a commit makes a claim a done marker, so one that is not
    /// seen as a claim any more is seen as done.
    pub(super) fn scan(&self) -> Result<Scan, VolumeError> {
        files::list(&self.root().join(PRIVATE_DIRECTORY), false)?;
        let claims = self.scan_claims()?;
        let listed = files::list(self.root(), true)?;
        let names: BTreeMap<String, Kind> =
            listed.ok_or_else(|| VolumeError::Missing { path: self.root().to_owned() })?.into_iter().collect();
        let mut shown = Vec::new();
        for name in names.keys() {
            if let Some((word_step, rev)) = self.in_progress_of(name) {
                shown.extend(self.read_shown(name, word_step, rev)?);
            }
        }
        Ok(Scan { names, shown, claims })
    }

    /// Takes the name of an in-progress marker apart. The words of our plan are tried first; with them comes the step.
    fn in_progress_of(&self, name: &str) -> Option<(Result<StepId, String>, Revision)> {
        let of_plan = self.plan().iter().find_map(|(id, step)| {
            let rest = name.strip_prefix('.')?.strip_prefix(step.in_progress.as_str())?;
            Some((Ok(id), Revision::parse(rest.strip_prefix(IN_PROGRESS_INFIX)?).ok()?))
        });
        of_plan.or_else(|| parse_in_progress(name).map(|(word, rev)| (Err(word.to_string()), rev)))
    }

    /// Reads an in-progress marker; `None` if it has gone in the meantime.
    fn read_shown(
        &self,
        name: &str,
        known: Result<StepId, String>,
        rev: Revision,
    ) -> Result<Option<Shown>, VolumeError> {
        let path = self.root().join(name);
        let (content, stat) = match files::read_small(&path, MARKER_LIMIT) {
            Ok(Some((content, stat))) => (Marker::parse(&content), stat),
            Ok(None) => return Ok(None),
            // Another user's, and private: it counts by its existence.
            Err(error) if error.fault() == Fault::Denied => match files::stat(&path)? {
                Some(stat) => (Err("cannot be read by this user"), stat),
                None => return Ok(None),
            },
            Err(error) => return Err(error),
        };
        let said = content.as_ref().ok().and_then(|marker| marker.step.clone());
        // A step whose name cannot be a step's name could never be retired.
        let said = said.filter(|step| StepName::parse(step).is_ok());
        let step = match known {
            Ok(id) if rev == *self.revision() => self.step(id).name.to_string(),
            Ok(id) => said.unwrap_or_else(|| self.step(id).name.to_string()),
            Err(word) => said.unwrap_or(word),
        };
        Ok(Some(Shown { file_name: name.to_owned(), step, rev, stamp: look::stamp(&stat), content }))
    }

    fn scan_claims(&self) -> Result<Vec<Claim>, VolumeError> {
        let directory = self.private("claims");
        let mut claims = Vec::new();
        for (file_name, kind) in files::list(&directory, false)?.unwrap_or_default() {
            let known = self.plan().iter().map(|(_, step)| &step.name);
            let Some((mut step, mut rev, epoch)) = parse_claim(&file_name, known) else { continue };
            kind.expect_file(&directory.join(&file_name))?;
            if self.plan().find(step.as_str()).is_none() {
                // The name can be read in more than one way; its content tells which is meant.
                if let Some(said) = self.claim_says(&file_name, epoch) {
                    (step, rev) = said;
                }
            }
            claims.push(Claim { file_name, step: step.to_string(), rev, epoch });
        }
        Ok(claims)
    }

    fn claim_says(&self, file_name: &str, epoch: Epoch) -> Option<(StepName, Revision)> {
        let (content, _) = files::read_small(&self.private("claims").join(file_name), MARKER_LIMIT).ok()??;
        let marker = Marker::parse(&content).ok()?;
        let step = StepName::parse(marker.step.as_deref()?).ok()?;
        let rev = Revision::parse(&marker.rev).ok()?;
        (claim_name(&step, &rev, epoch) == file_name).then_some((step, rev))
    }

    /// The names of the in-progress markers that belong to a step of a revision.
    pub(super) fn shown_by(&self, step: &str, rev: &Revision) -> Result<Vec<String>, VolumeError> {
        let of = self.scan()?.shown.into_iter().filter(|shown| shown.step == step && shown.rev == *rev);
        Ok(of.map(|shown| shown.file_name).collect())
    }

    /// Whether unfinished work is known to be finished: its done marker is there. For steps of other plans the
    /// in-progress marker may say what that is called.
    pub(super) fn is_done_in(&self, scan: &Scan, step: &str, rev: &Revision) -> bool {
        let of_plan = self.plan().find(step).map(|id| self.step(id).done.to_string());
        let said = scan.shown.iter().filter(|shown| shown.step == step && shown.rev == *rev);
        let said = said.filter_map(|shown| shown.content.as_ref().ok()?.done.clone());
        of_plan.into_iter().chain(said).any(|word| scan.names.get(&format!(".{word}_{rev}")) == Some(&Kind::File))
    }
}
