//! How work ends: done, ready, failed, retired.

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::marker::{self, MARKER_LIMIT};
use super::{HeldClaim, How, Marker, SCHEMA, StepNotes, Volume, VolumeError, files};
use crate::exit::chain;
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::{Epoch, Foreign, Occupant, Revision, StepId, StepName, claim_name};

/// No more of a failed marker is read, in bytes: earlier versions wrote the step's last lines whole.
pub(super) const FAILED_LIMIT: u64 = 1024 * 1024;

/// A line in a failed marker is cut to so many characters.
const LINE_LIMIT: usize = 1000;

/// All lines in a failed marker take so many bytes at most, as they are written; the last are kept.
const LINES_LIMIT: usize = 48 * 1024;

/// What a step has told of itself takes so many bytes at most in its done marker, so that this can be read again.
const DONE_NOTES: usize = 48 * 1024;

/// And so many in a failed marker, in the room of its lines.
const FAILED_NOTES: usize = 24 * 1024;

/// What a done marker tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DoneFacts {
    /// When it was done, by the local wall clock.
    pub finished_at: UnixMillis,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// How it came about.
    pub how: How,
    /// What the step has told of itself, masked.
    pub notes: StepNotes,
}

/// What the failed marker tells: everything a person needs to go on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Failure {
    /// The step that failed for good.
    pub step: String,
    /// How its last run ended, in words.
    pub end: String,
    /// How many runs ended badly.
    pub attempts: u32,
    /// The last lines of its output, masked.
    pub lines: Vec<String>,
    /// Where the rest of it is.
    pub log: String,
    /// Commands to go on with.
    pub commands: Vec<String>,
    /// What the step has told of itself, masked.
    #[serde(flatten)]
    pub notes: StepNotes,
}

impl Failure {
    /// In words, on several lines.
    pub fn describe(&self, rev: &str) -> String {
        let Failure { step, end, attempts, lines, log, commands, notes } = self;
        let mut text = vec![format!("step {step} of revision {rev} has failed for good: {end}, attempt {attempts}")];
        if !lines.is_empty() {
            text.push("its last words:".to_owned());
            text.extend(lines.iter().map(|line| format!("    {line}")));
        }
        text.push(format!("its log: {log}"));
        text.extend(notes.describe());
        text.push("to go on:".to_owned());
        text.extend(commands.iter().map(|command| format!("    {command}")));
        text.join("\n")
    }

    /// The same, so short that its marker can always be read again.
    fn bounded(&self) -> Failure {
        let notes = self.notes.bounded(FAILED_NOTES);
        let mut room = LINES_LIMIT.saturating_sub(marker::line(&notes).len());
        let last = self.lines.iter().rev().map(|line| cut(line, LINE_LIMIT)).take_while(|line| {
            // As JSON: one control character takes six bytes.
            let length = marker::line(line).len();
            let fits = length <= room;
            room = room.saturating_sub(length);
            fits
        });
        let mut lines: Vec<String> = last.collect();
        lines.reverse();
        let [step, end] = [&self.step, &self.end].map(|text| cut(text, LINE_LIMIT));
        Failure { step, end, lines, notes, ..self.clone() }
    }
}

/// At most `limit` characters of a line.
pub(super) fn cut(line: &str, limit: usize) -> String {
    if line.chars().nth(limit).is_none() {
        return line.to_owned();
    }
    line.chars().take(limit - 1).chain(['…']).collect()
}

/// The failed marker as it is written.
#[derive(Serialize)]
struct FailedMarker<'a> {
    schema: u32,
    rev: &'a str,
    epoch: u64,
    replica: &'a super::Replica,
    failed_at: String,
    #[serde(flatten)]
    failure: &'a Failure,
}

impl Volume {
    /// Makes a claim the done marker; then clears the in-progress marker, the record and the step's data. `false`: the
    /// claim was no longer ours, and nothing has been touched.
    ///
    /// Called after the step's own process succeeded and its descendants are gone. May be called again after an error.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]. The step may be done nevertheless; call again, or look.
    pub fn commit(&self, held: &mut HeldClaim, done: &DoneFacts) -> Result<bool, VolumeError> {
        let path = self.done_path(held.step);
        if !held.committed {
            // "Not there" is looked at once more: NFS repeats requests.
            let is_ours = files::rename(&held.claim, &path)? || self.is_done_by(held)?;
            if !is_ours && !mutant::is(Mutant::EpochNotCompared) {
                return Ok(false);
            }
            held.committed = true;
        }
        files::sync_directory(self.root())?;
        let full = Marker {
            finished_at: Some(done.finished_at.to_string()),
            duration_ms: Some(done.duration_ms),
            how: Some(done.how),
            beat_every: None,
            done: None,
            notes: done.notes.bounded(DONE_NOTES),
            ..held.marker.clone()
        };
        // What counts is that it is there; on a full disk it keeps what the claim said.
        let _ = self.publish(&path, files::PUBLIC, &full.line());
        held.hide()?;
        self.clear_record(&self.step(held.step).name)?;
        Ok(true)
    }

    fn is_done_by(&self, held: &HeldClaim) -> Result<bool, VolumeError> {
        let Some((content, _)) = files::read_small(&self.done_path(held.step), MARKER_LIMIT)? else { return Ok(false) };
        Ok(Marker::parse(&content).is_ok_and(|marker| marker.is_of(held.epoch)))
    }

    /// Announces that every step is done; on return that survives a power loss.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; [`VolumeError::Vanished`] if a done marker is missing. Nothing is announced then.
    pub fn write_ready(&self, epoch: Epoch, plan_digest: &str) -> Result<(), VolumeError> {
        for step in self.plan().ids() {
            let path = self.done_path(step);
            match files::open_to_read(&path)? {
                // Whoever wrote it may have been cut off before the sync. Of its name, the allotment of our epoch saw to that.
                Some(file) => file.sync_all().map_err(VolumeError::io("sync", &path))?,
                None => return Err(VolumeError::Vanished { path }),
            }
        }
        let now = UnixMillis::wall_clock();
        let marker = Marker {
            finished_at: Some(now.to_string()),
            plan: Some(plan_digest.to_owned()),
            ..self.blank_marker(epoch)
        };
        self.publish(&self.root().join(self.revision().ready_marker()), files::PUBLIC, &marker.line()).map(drop)
    }

    /// Whether `.ready_<rev>` is there. Works on a read-only mount.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`], also when something else than a file stands there.
    pub fn is_ready(&self) -> Result<bool, VolumeError> {
        let path = self.root().join(self.revision().ready_marker());
        Ok(files::open_to_read(&path)?.is_some())
    }

    /// Writes `.failed_<rev>`. Lines beyond 1000 characters are cut, and of very many only the last are kept.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn write_failed(&self, epoch: Epoch, failure: &Failure) -> Result<(), VolumeError> {
        let content = FailedMarker {
            schema: SCHEMA,
            rev: self.revision().as_str(),
            epoch: epoch.0,
            replica: self.replica(),
            failed_at: UnixMillis::wall_clock().to_string(),
            failure: &failure.bounded(),
        };
        let path = self.root().join(self.revision().failed_marker());
        self.publish(&path, files::PUBLIC, &marker::line(&content)).map(drop)
    }

    /// What `.failed_<rev>` tells; one that cannot be read tells an empty [`Failure`]. `None`: it is not there.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn read_failed(&self) -> Result<Option<Failure>, VolumeError> {
        let path = self.root().join(self.revision().failed_marker());
        let content = files::read_small(&path, FAILED_LIMIT)?;
        Ok(content.map(|(content, _)| serde_json::from_slice(&content).unwrap_or_default()))
    }

    /// Removes `.failed_<rev>`; `false` if it was not there.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn clear_failed(&self) -> Result<bool, VolumeError> {
        let removed = files::remove(&self.root().join(self.revision().failed_marker()))?;
        files::sync_directory(self.root())?;
        Ok(removed)
    }

    /// Why the revision has failed, with everything a person needs at three in the morning.
    pub fn describe_failure(&self) -> String {
        match self.read_failed() {
            Ok(Some(failure)) if failure.step.is_empty() => self.describe_unreadable(),
            Ok(Some(failure)) => failure.describe(self.revision().as_str()),
            Ok(None) => "a step has failed for good".to_owned(),
            Err(error) => format!("a step has failed for good; its marker cannot be read: {}", chain(&error)),
        }
    }

    fn describe_unreadable(&self) -> String {
        let (rev, marker) = (self.revision(), self.root().join(self.revision().failed_marker()));
        let lines = [
            format!(
                "a step of revision {rev} has failed for good; {} cannot be read and does not say which",
                marker.display()
            ),
            format!("the steps' logs: {}", self.private("log").display()),
            "to go on:".to_owned(),
            "    bellwether retry    # after the repair: counts attempts from zero".to_owned(),
            "    bellwether skip --step STEP    # if you have done that step by hand".to_owned(),
        ];
        lines.join("\n")
    }

    /// Removes a stale occupant of a step of ours without taking over. `false`: it has changed since it was looked at,
    /// and what is left of it stays.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn retire_step(&self, step: StepId, occupant: &Occupant) -> Result<bool, VolumeError> {
        let shown = [self.step(step).in_progress.in_progress(self.revision())];
        self.retire(&self.step(step).name, self.revision(), &shown, occupant)
    }

    /// The same for stale work of another revision or plan.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn retire_foreign(&self, foreign: &Foreign) -> Result<bool, VolumeError> {
        let shown: Vec<String> = self.shown_by(&foreign.step, &foreign.rev)?;
        let Ok(name) = StepName::parse(&foreign.step) else { return Ok(false) };
        self.retire(&name, &foreign.rev, &shown, &foreign.occupant)
    }

    fn retire(
        &self,
        step: &StepName,
        rev: &Revision,
        shown: &[String],
        occupant: &Occupant,
    ) -> Result<bool, VolumeError> {
        for &epoch in &occupant.claims {
            if !files::remove(&self.private("claims").join(claim_name(step, rev, epoch)))? {
                return Ok(false);
            }
        }
        let Some(seen) = occupant.stamp else { return Ok(true) };
        for name in shown {
            let path = self.root().join(name);
            let Some(stat) = files::stat(&path)? else { continue };
            let stamp = super::look::stamp(&stat);
            // Of two markers for one step the look told of the later; the other was silent even longer.
            if stamp != seen && stamp.mtime >= seen.mtime {
                return Ok(false);
            }
            files::remove(&path)?;
        }
        Ok(true)
    }

    /// Undoes steps of our revision: the ready marker goes first, then the failed marker, then all that says that
    /// these steps are, or were, at work or done. Gives the names of the markers removed. The steps' data stays.
    ///
    /// Called under the guard, for `reset`.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; what was removed until then stays removed.
    pub fn reset(&self, steps: &[StepId]) -> Result<Vec<String>, VolumeError> {
        let mut names = vec![self.revision().ready_marker(), self.revision().failed_marker()];
        names.extend(steps.iter().map(|&step| self.step(step).done.done(self.revision())));
        names.extend(steps.iter().map(|&step| self.step(step).in_progress.in_progress(self.revision())));
        let mut removed = Vec::new();
        for name in names {
            if files::remove(&self.root().join(&name))? {
                files::sync_directory(self.root())?;
                removed.push(name);
            }
        }
        for &step in steps {
            self.remove_claims(&self.step(step).name, self.revision())?;
            self.forget_record(step, removed.contains(&self.step(step).done.done(self.revision())))?;
        }
        Ok(removed)
    }
}
