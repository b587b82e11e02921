//! `.bellwether/history.jsonl`: what happened on the volume, for people. Nothing is decided by it.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::{PRIVATE_DIRECTORY, SCHEMA, StepNotes, UnixMillis, Volume, VolumeError, files, marker};
use crate::protocol::{Epoch, StepId};

/// With more lines than this it is cut.
const MOST: usize = 1000;
/// So many are left then.
const KEPT: usize = 500;
/// No more of it is read, in bytes.
const LIMIT: u64 = 8 * 1024 * 1024;
/// What a step has told of itself takes so many bytes of a line at most: all lines have to stay below the limit.
const NOTES_LIMIT: usize = 4 * 1024;

/// What happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryKind {
    /// A leadership began.
    Elected,
    /// A run of a step began.
    Started,
    /// A step is done.
    Done,
    /// A run of a step ended badly.
    Failed,
    /// A run of a step was stopped, because its leader was.
    Stopped,
    /// A stale claim was taken over.
    TakenOver,
    /// Every step is done.
    Ready,
    /// A person said that a step was done by hand.
    Skipped,
    /// A person removed markers.
    Reset,
    /// A person cleared a failure.
    Retried,
}

/// One line of the history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HistoryEvent {
    /// When, by the writer's wall clock (RFC 3339).
    pub time: String,
    /// What.
    pub event: HistoryKind,
    /// For which revision.
    pub rev: String,
    /// In which leadership.
    pub epoch: u64,
    /// The writer's host.
    pub host: String,
    /// The writer's process id, in its own namespace; 0 in lines of an earlier version.
    #[serde(default)]
    pub pid: u32,
    /// The step, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// More, in words; masked by the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Done and failed: what the step has told of itself.
    #[serde(flatten, skip_serializing_if = "StepNotes::is_empty")]
    pub notes: StepNotes,
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a HistoryEvent,
}

impl Volume {
    /// Adds a line to the history, as well as it goes: a full disk is no reason to do anything else.
    pub fn note(&self, event: HistoryKind, epoch: Epoch, step: Option<StepId>, details: Option<&str>) {
        self.note_end(event, epoch, step, details, &StepNotes::NONE);
    }

    /// The same of a run that has ended, with what the step has told of itself.
    pub fn note_end(
        &self,
        event: HistoryKind,
        epoch: Epoch,
        step: Option<StepId>,
        details: Option<&str>,
        notes: &StepNotes,
    ) {
        let event = HistoryEvent {
            time: UnixMillis::wall_clock().to_string(),
            event,
            rev: self.revision().to_string(),
            epoch: epoch.0,
            host: self.replica().host.clone(),
            pid: self.replica().pid,
            step: step.map(|step| self.step(step).name.to_string()),
            details: details.map(ToOwned::to_owned),
            notes: notes.bounded(NOTES_LIMIT),
        };
        if let Err(error) = self.append_history(&event) {
            tracing::debug!(%error, "history not written");
        }
    }

    fn append_history(&self, event: &HistoryEvent) -> Result<(), VolumeError> {
        let path = self.private("history.jsonl");
        let failed = |error: io::Error| VolumeError::io("write", &path)(error);
        let mut line = marker::line(&Line { schema: SCHEMA, event });
        let mut file = self.append_or_create(&path, files::PUBLIC)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut last = *b"\n";
        if length > 0 {
            file.read_at(&mut last, length - 1).map_err(failed)?;
        }
        if last != *b"\n" {
            // A line that a crash cut off must not spoil the next.
            line.insert(0, b'\n');
        }
        file.write_all(&line).map_err(failed)?;
        self.bound_history()
    }

    fn bound_history(&self) -> Result<(), VolumeError> {
        let path = self.private("history.jsonl");
        let Some((content, _)) = files::read_small(&path, LIMIT)? else { return Ok(()) };
        let lines: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
        if lines.len() <= MOST {
            return Ok(());
        }
        let last = lines[lines.len() - KEPT..].concat();
        self.publish(&path, files::PUBLIC, &last).map(drop)
    }

    /// The history, oldest first; lines that cannot be read are left out. Works on a read-only mount.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn history(&self) -> Result<Vec<HistoryEvent>, VolumeError> {
        files::expect_directory(&self.root().join(PRIVATE_DIRECTORY))?;
        let content = files::read_small(&self.private("history.jsonl"), LIMIT)?;
        let (content, _) = content.unzip();
        let content = content.unwrap_or_default();
        Ok(content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MIGRATE, Scratch, make_fifo};
    use super::*;

    #[test]
    fn events_read_as_they_were_noted() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        assert_eq!(volume.history().unwrap(), []);
        volume.note(HistoryKind::Elected, Epoch(3), None, None);
        volume.note(HistoryKind::TakenOver, Epoch(3), Some(MIGRATE), Some("from epoch 2"));
        let history = volume.history().unwrap();
        assert_eq!(
            history.iter().map(|event| event.event).collect::<Vec<_>>(),
            [HistoryKind::Elected, HistoryKind::TakenOver]
        );
        assert_eq!(history[1].step.as_deref(), Some("migrate"));
        assert_eq!((history[1].epoch, history[1].host.as_str()), (3, "host1"));
        assert!(scratch.read(".bellwether/history.jsonl").contains(r#""event":"taken_over""#));
    }

    #[test]
    fn a_link_or_fifo_in_its_place_is_not_written_to() {
        let scratch = Scratch::new();
        let path = scratch.path(".bellwether/history.jsonl");
        scratch.write("elsewhere", "kept\n");
        std::os::unix::fs::symlink(scratch.path("elsewhere"), &path).unwrap();
        let refused = |path| matches!(files::open_to_append(path), Err(VolumeError::NotAFile { .. }));
        assert!(refused(&path));
        scratch.volume().note(HistoryKind::Ready, Epoch(1), None, None);
        assert_eq!(scratch.read("elsewhere"), "kept\n");
        std::fs::remove_file(&path).unwrap();
        make_fifo(&path);
        assert!(refused(&path));
        scratch.volume().note(HistoryKind::Ready, Epoch(1), None, None);
    }

    #[test]
    fn two_writers_do_not_overwrite_each_other() {
        let scratch = Scratch::new();
        let path = scratch.path(".bellwether/history.jsonl");
        let open = || scratch.volume().append_or_create(&path, files::PUBLIC).unwrap();
        let (one, other) = (open(), open());
        for (mut writer, line) in [(&one, "a\n"), (&other, "b\n"), (&one, "c\n")] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(scratch.read(".bellwether/history.jsonl"), "a\nb\nc\n");
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        scratch.write(".bellwether/history.jsonl", r#"{"schema":1,"time":"#);
        volume.note(HistoryKind::Ready, Epoch(1), None, None);
        assert_eq!(volume.history().unwrap().len(), 1);
    }

    #[test]
    fn the_history_is_bounded_and_keeps_the_latest() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        scratch.write(".bellwether/history.jsonl", &"old\n".repeat(MOST - 1));
        volume.note(HistoryKind::Elected, Epoch(1), None, None);
        assert_eq!(scratch.read(".bellwether/history.jsonl").lines().count(), MOST);
        volume.note(HistoryKind::Ready, Epoch(1), None, None);
        assert_eq!(scratch.read(".bellwether/history.jsonl").lines().count(), KEPT);
        assert_eq!(volume.history().unwrap().last().unwrap().event, HistoryKind::Ready);
    }

    #[test]
    fn where_nothing_can_be_written_nothing_happens() {
        let scratch = Scratch::bare();
        scratch.volume().note(HistoryKind::Ready, Epoch(1), None, None);
        assert_eq!(scratch.volume().history().unwrap(), []);
    }
}
