//! The record: what is known about a step, kept for successors; and the file of data that belongs to the step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::UnixMillis;
use super::marker::{self, MARKER_LIMIT};
use super::{SCHEMA, Volume, VolumeError, files};
use crate::protocol::{Fault, LastEnd, RecordView, Revision, StepId, StepName};

/// However clocks have jumped, nobody waits longer than this for the next attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The counts of so many other revisions are kept beside those of the last.
const KEPT: usize = 6;

/// How a run ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It has not, as far as was written down.
    Open,
    /// It ended with this exit code, other than 0 and 75.
    Exit(i32),
    /// It was ended by this signal.
    Signal(i32),
    /// We stopped it.
    Stopped,
    /// A successor found it open: its leader vanished.
    Vanished,
    /// It took longer than its timeout.
    TimedOut,
    /// It asked to be tried again later (exit 75).
    NotYet,
}

impl End {
    /// In words.
    pub fn words(self) -> String {
        match self {
            End::Open => "not known to have ended".to_owned(),
            End::Exit(78) => "exit 78: for good".to_owned(),
            End::Exit(code) => format!("exit {code}"),
            End::Signal(signal) => format!("killed by signal {signal}"),
            End::Stopped => "stopped".to_owned(),
            End::Vanished => "vanished with its leader".to_owned(),
            End::TimedOut => "took longer than its timeout".to_owned(),
            End::NotYet => "not yet (exit 75)".to_owned(),
        }
    }
}

/// What is known about a step. Written and synced before each spawn and after each end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// The revision whose attempts these are.
    pub rev: String,
    /// The leadership that wrote it.
    pub epoch: u64,
    /// Counted attempts of that revision.
    pub attempts: u32,
    /// The next attempt may begin at this time on the volume's clock ([`Volume::now`]).
    #[serde(default)]
    pub not_before: Option<UnixMillis>,
    /// For how long, in sum, its runs have asked to be tried again later, in milliseconds.
    #[serde(default)]
    pub deferred_ms: u64,
    /// Whether one of that revision's runs has said that trying again is of no use (exit 78).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_good: bool,
    /// How the last run ended; `None`: none ever began.
    pub last_end: Option<End>,
    /// When the last run began, by its leader's wall clock.
    #[serde(default)]
    pub started_at: Option<UnixMillis>,
    /// How long the last run took, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

/// What was counted for a revision that is not the record's own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Counts {
    rev: String,
    attempts: u32,
    #[serde(default)]
    not_before: Option<UnixMillis>,
    #[serde(default)]
    deferred_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    for_good: bool,
}

/// A record as it stands on the volume.
///
/// With the counts of other revisions: where a roll-out and its rollback take turns, each must reach its limit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    record: Record,
    /// Other revisions, the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Counts>,
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    kept: &'a Kept,
}

/// A record as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    Nothing,
    Record(Kept),
    /// It is there and cannot be read. Attempts then begin at 0, but the last run counts as open: the next attempt
    /// writes a good record, so a crash loop stays bounded, and a run is never taken for one that ended well.
    Unreadable,
}

impl Counts {
    fn of(record: &Record) -> Counts {
        let &Record { ref rev, attempts, not_before, deferred_ms, for_good, .. } = record;
        Counts { rev: rev.clone(), attempts, not_before, deferred_ms, for_good }
    }

    fn is_blank(&self) -> bool {
        self.attempts == 0 && self.deferred_ms == 0 && self.not_before.is_none() && !self.for_good
    }
}

impl Kept {
    /// The revision that wrote it.
    pub(super) fn rev(&self) -> &str {
        &self.record.rev
    }

    /// When its last run began (RFC 3339).
    pub(super) fn started_at(&self) -> Option<String> {
        self.record.started_at.map(|at| at.to_string())
    }

    /// When the next attempt of `rev` may begin, on the volume's clock.
    pub(super) fn not_before(&self, rev: &Revision) -> Option<UnixMillis> {
        self.counts(rev.as_str())?.not_before
    }

    fn counts(&self, rev: &str) -> Option<Counts> {
        if self.record.rev == rev {
            return Some(Counts::of(&self.record));
        }
        self.earlier.iter().find(|counts| counts.rev == rev).cloned()
    }

    /// The record that follows this one: what this one counted for other revisions is kept.
    fn followed_by(self, record: Record) -> Kept {
        let own = Counts::of(&self.record);
        let mut earlier: Vec<Counts> = std::iter::once(own).chain(self.earlier).collect();
        earlier.retain(|counts| counts.rev != record.rev && !counts.is_blank());
        earlier.truncate(KEPT);
        Kept { record, earlier }
    }

    /// The record as it concerns `rev`: with its counts if they are known, else as its writer left it.
    fn seen_by(self, rev: &str) -> Record {
        if self.record.rev == rev {
            return self.record;
        }
        match self.counts(rev) {
            None => self.record,
            Some(Counts { rev, attempts, not_before, deferred_ms, for_good }) => {
                // When that revision's own last run was is not known any more.
                let run = Record { started_at: None, duration_ms: None, ..self.record };
                Record { rev, attempts, not_before, deferred_ms, for_good, ..run }
            }
        }
    }

    /// What the protocol needs to know, for `rev`, at `now` on the volume's clock. Where there is no such clock we
    /// cannot write either, and the wait does not matter.
    pub(super) fn view(&self, rev: &Revision, now: Option<UnixMillis>) -> RecordView {
        let last_end = match self.record.last_end {
            None => LastEnd::None,
            Some(End::Open) => LastEnd::Open,
            Some(End::Stopped) => LastEnd::Stopped,
            Some(End::NotYet) => LastEnd::NotYet,
            Some(End::Exit(_) | End::Signal(_) | End::Vanished | End::TimedOut) => LastEnd::Bad,
        };
        let Some(counts) = self.counts(rev.as_str()) else { return RecordView { last_end, ..RecordView::BLANK } };
        let wait = now.zip(counts.not_before).map_or(Duration::ZERO, |(now, then)| now.until(then));
        RecordView {
            attempts: counts.attempts,
            wait: wait.min(LONGEST_WAIT),
            deferred: Duration::from_millis(counts.deferred_ms),
            for_good: counts.for_good,
            last_end,
        }
    }
}

impl Volume {
    fn record_path(&self, name: &StepName) -> PathBuf {
        self.private("steps").join(format!("{name}.json"))
    }

    fn data_path_of(&self, name: &StepName) -> PathBuf {
        self.private("steps").join(format!("{name}.data"))
    }

    /// Writes a step's record; on return it survives a power loss. What an earlier record counted for other revisions
    /// stays known.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; the earlier record is then still whole.
    pub fn write_record(&self, step: StepId, record: &Record) -> Result<(), VolumeError> {
        let name = &self.step(step).name;
        let record = record.clone();
        let kept = match self.find_record(name)? {
            Found::Record(before) => before.followed_by(record),
            Found::Nothing | Found::Unreadable => Kept { record, earlier: Vec::new() },
        };
        self.publish_record(name, &kept)
    }

    fn publish_record(&self, name: &StepName, kept: &Kept) -> Result<(), VolumeError> {
        let line = marker::line(&Line { schema: SCHEMA, kept });
        self.publish(&self.record_path(name), files::PRIVATE, &line).map(drop)
    }

    /// A step's record: with the counts of our revision if any are known, else that of whatever revision wrote last.
    /// `None`: there is none, or it cannot be read (a look says which).
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn read_record(&self, step: StepId) -> Result<Option<Record>, VolumeError> {
        Ok(match self.find_record(&self.step(step).name)? {
            Found::Record(kept) => Some(kept.seen_by(self.revision().as_str())),
            Found::Nothing | Found::Unreadable => None,
        })
    }

    /// Forgets what a step's record says of our revision. One that another revision wrote tells that one's successors
    /// what they need to know, and stays. The step's data stays in any case, unless our run was `done` and its leader
    /// died before it had cleared it.
    pub(super) fn forget_record(&self, step: StepId, done: bool) -> Result<(), VolumeError> {
        let name = &self.step(step).name;
        let own = self.revision().as_str();
        match self.find_record(name)? {
            Found::Record(mut kept) if kept.rev() != own => {
                let before = kept.earlier.len();
                kept.earlier.retain(|counts| counts.rev != own);
                if kept.earlier.len() < before { self.publish_record(name, &kept) } else { Ok(()) }
            }
            Found::Record(_) if done => self.clear_record(name),
            _ => files::remove(&self.record_path(name)).map(drop),
        }
    }

    pub(super) fn find_record(&self, name: &StepName) -> Result<Found, VolumeError> {
        find_record_at(&self.record_path(name))
    }

    /// Removes a step's data, then its record; both may be missing.
    pub(super) fn clear_record(&self, name: &StepName) -> Result<(), VolumeError> {
        files::remove(&self.data_path_of(name))?;
        files::remove(&self.record_path(name))?;
        Ok(())
    }

    /// The file that belongs to the step itself (`BELLWETHER_RECORD`). It survives stop, failure, takeover, a reset and a
    /// change of revision; only done clears it. It is no part of the record, so that a step cannot damage our counts.
    pub fn data_path(&self, step: StepId) -> PathBuf {
        self.data_path_of(&self.step(step).name)
    }

    /// What the step's own file holds; nothing if there is none.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn read_data(&self, step: StepId) -> Result<Vec<u8>, VolumeError> {
        let found = files::read_small(&self.data_path(step), u64::MAX)?;
        Ok(found.map(|(content, _)| content).unwrap_or_default())
    }

    /// Replaces what the step's own file holds; on return that survives a power loss.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; the earlier content is then still whole.
    pub fn write_data(&self, step: StepId, content: &[u8]) -> Result<(), VolumeError> {
        self.publish(&self.data_path(step), files::PRIVATE, content).map(drop)
    }

    /// Creates the step's own file, empty and with mode 0600, if it is missing, and gives it to `owner` (user, group)
    /// if the step runs as another user. Gives its path.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn ensure_data_file(&self, step: StepId, owner: Option<(u32, u32)>) -> Result<PathBuf, VolumeError> {
        let path = self.data_path(step);
        let file = self.open_or_create(&path, files::PRIVATE)?;
        if let Some((uid, gid)) = owner {
            let given = std::os::unix::fs::fchown(&file, Some(uid), Some(gid));
            given.map_err(VolumeError::io("give away", &path))?;
        }
        Ok(path)
    }
}

/// The record in this file.
pub(super) fn find_record_at(path: &Path) -> Result<Found, VolumeError> {
    let content = match files::read_small(path, MARKER_LIMIT) {
        Ok(Some((content, _))) => content,
        Ok(None) => return Ok(Found::Nothing),
        // It is private; whoever may only look must be able to look at the rest.
        Err(error) if error.fault() == Fault::Denied => return Ok(Found::Unreadable),
        Err(error) => return Err(error),
    };
    Ok(serde_json::from_slice(&content).map_or(Found::Unreadable, Found::Record))
}

#[cfg(test)]
mod tests;
