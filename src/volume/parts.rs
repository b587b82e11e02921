//! What a step's own file tells people: the parts it goes through, and what brings back the state from before it.
//!
//! The file belongs to the step. If it holds a JSON object, two of its keys are read here; what cannot be understood is
//! left out, nothing is decided by it, and nothing here fails.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::end::cut;
use super::marker::{self, MARKER_LIMIT};
use super::record::{Found, find_record_at};
use super::{Marker, PRIVATE_DIRECTORY, Volume, VolumeError, files};
use crate::protocol::StepId;

/// A step's own file that is longer than this, in bytes, tells nothing.
const LIMIT: u64 = 64 * 1024;
/// So many parts are told of.
const MOST_PARTS: usize = 200;
/// So many lines of how to undo it.
const MOST_UNDO: usize = 100;
/// A name, a note is cut to so many characters.
const LONGEST: usize = 300;
/// A line of how to undo it: half a command would do harm.
const LONGEST_UNDO: usize = 2000;
/// No more files are read for one question.
const MOST_FILES: usize = 1000;

/// Hides secrets in a text.
pub type Masking<'a> = &'a dyn Fn(&str) -> String;

/// Where a part of a step stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// It has not begun.
    Waiting,
    /// It is being worked on.
    Running,
    /// It is done.
    Done,
    /// It has failed.
    Failed,
}

/// A piece of a step: one customer's database, say.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: PartState,
    /// More, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a step tells people of itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Said")]
pub struct StepNotes {
    /// The pieces it goes through.
    pub parts: Vec<Part>,
    /// What a person does to bring back the state from before the step, line by line.
    pub undo: Vec<String>,
}

/// The two keys, whatever stands there.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    parts: Value,
    #[serde(default)]
    undo: Value,
}

impl PartState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            PartState::Waiting => "waiting",
            PartState::Running => "running",
            PartState::Done => "done",
            PartState::Failed => "failed",
        }
    }
}

impl Part {
    fn read(value: &Value, mask: Masking<'_>) -> Option<Part> {
        let text =
            |key: &str| Some(one_line(&mask(value.get(key)?.as_str()?), LONGEST)).filter(|text| !text.is_empty());
        let state = PartState::deserialize(value.get("state")?).ok()?;
        Some(Part { name: text("name")?, state, note: text("note") })
    }

    /// Its state and its note.
    pub fn words(&self) -> String {
        let note = self.note.as_ref().map(|note| format!(", {note}"));
        format!("{}{}", self.state.word(), note.unwrap_or_default())
    }
}

impl From<Said> for StepNotes {
    fn from(said: Said) -> StepNotes {
        said.read(&str::to_owned).0
    }
}

impl Said {
    /// What can be understood, and what is wrong with the rest.
    fn read(&self, mask: Masking<'_>) -> (StepNotes, Vec<String>) {
        let mut problems = Vec::new();
        let mut complain = |problem: String| problems.push(problem);
        let parts = elements(&self.parts, "parts", &mut complain);
        let understood: Vec<Part> = parts.iter().filter_map(|part| Part::read(part, mask)).collect();
        if understood.len() < parts.len() {
            let lost = parts.len() - understood.len();
            complain(format!(
                "{lost} of its parts cannot be understood; a part has a name, and a state that is waiting, running, \
                 done or failed"
            ));
        }
        let undo = elements(&self.undo, "undo", &mut complain);
        let texts: Vec<&str> = undo.iter().filter_map(Value::as_str).collect();
        if texts.len() < undo.len() {
            complain(format!("{} of its undo lines are no text", undo.len() - texts.len()));
        }
        let lines: Vec<String> =
            texts.into_iter().flat_map(|text| mask(text).lines().map(undo_line).collect::<Vec<_>>()).collect();
        for (what, count, most) in [("parts", understood.len(), MOST_PARTS), ("undo lines", lines.len(), MOST_UNDO)] {
            if count > most {
                complain(format!("only the first {most} of its {count} {what} are shown"));
            }
        }
        let parts = understood.into_iter().take(MOST_PARTS).collect();
        let undo = lines.into_iter().filter(|line| !line.is_empty()).take(MOST_UNDO).collect();
        (StepNotes { parts, undo }, problems)
    }
}

fn elements<'a>(list: &'a Value, key: &str, complain: &mut impl FnMut(String)) -> &'a [Value] {
    match list {
        Value::Array(elements) => elements,
        Value::Null => &[],
        _ => {
            complain(format!("its {key:?} is no list"));
            &[]
        }
    }
}

/// A text that stays within its line, and is not too long.
fn undo_line(text: &str) -> String {
    one_line(text, LONGEST_UNDO)
}

fn one_line(text: &str, longest: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(plain.trim_end(), longest)
}

impl StepNotes {
    /// A step that tells nothing.
    pub const NONE: StepNotes = StepNotes { parts: Vec::new(), undo: Vec::new() };

    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.undo.is_empty()
    }

    /// What a step's own file tells, and what is wrong with it. Anything but a JSON object is none of our business.
    fn parse(content: &[u8], mask: Masking<'_>) -> (StepNotes, Vec<String>) {
        let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(content) else { return Default::default() };
        let mut take = |key: &str| object.remove(key).unwrap_or_default();
        Said { parts: take("parts"), undo: take("undo") }.read(mask)
    }

    fn read(path: &Path, mask: Masking<'_>) -> (StepNotes, Vec<String>) {
        match files::read_small(path, LIMIT) {
            Ok(Some((content, stat))) if stat.len() <= LIMIT => StepNotes::parse(&content, mask),
            // The step could not even be started with it.
            Err(VolumeError::NotAFile { found, .. }) => {
                (StepNotes::NONE, vec![format!("it is {found} where a regular file is expected; move it away")])
            }
            _ => Default::default(),
        }
    }

    /// As much of it as takes at most `room` bytes as JSON. How to undo it comes first.
    pub(super) fn bounded(&self, mut room: usize) -> StepNotes {
        let mut fits = |length: usize| {
            let fits = length <= room;
            room = if fits { room - length } else { 0 };
            fits
        };
        let undo = self.undo.iter().take_while(|line| fits(marker::line(line).len())).cloned().collect();
        let parts = self.parts.iter().take_while(|part| fits(marker::line(part).len())).cloned().collect();
        StepNotes { parts, undo }
    }

    /// In words, on several lines.
    pub(super) fn describe(&self) -> Vec<String> {
        let parts = self.parts.iter().map(|part| format!("{}: {}", part.name, part.words()));
        let mut text = titled("parts:".to_owned(), parts);
        text.extend(titled("to bring back what was before:".to_owned(), self.undo.iter().cloned()));
        text
    }
}

fn titled(title: String, lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    if lines.is_empty() { lines } else { [vec![title], lines].concat() }
}

/// How to bring back what was before a revision, in words: nothing, or lines that follow a sentence about it.
pub fn describe_undo(rev: &str, undo: &[String]) -> String {
    let lines = titled(format!("to bring back what was before {rev}:"), undo.iter().cloned());
    if lines.is_empty() { String::new() } else { format!("\n{}", lines.join("\n")) }
}

/// What the steps of a revision say of how to undo them, the step that began last first: of those that have not ended
/// well, from their own files, and of those that are done, from their markers. Whatever cannot be read says nothing.
pub fn undo_of(root: &Path, rev: &str, mask: Masking<'_>) -> Vec<String> {
    let mut told: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let steps = root.join(PRIVATE_DIRECTORY).join("steps");
    for step in names(&steps, false).iter().filter_map(|name| name.strip_suffix(".json")).take(MOST_FILES) {
        let Ok(Found::Record(kept)) = find_record_at(&steps.join(format!("{step}.json"))) else { continue };
        if kept.rev() == rev {
            let (notes, _) = StepNotes::read(&steps.join(format!("{step}.data")), mask);
            told.insert(step.to_owned(), (moment(kept.started_at()), notes.undo));
        }
    }
    let suffix = format!("_{rev}");
    let is_marker = |name: &&String| name.starts_with('.') && name.ends_with(&suffix);
    for file in names(root, true).iter().filter(is_marker).take(MOST_FILES) {
        let Ok(Some((content, _))) = files::read_small(&root.join(file), MARKER_LIMIT) else { continue };
        let Some(marker) = Marker::parse(&content).ok().filter(|marker| marker.rev == rev) else { continue };
        if let Some(step) = marker.step.filter(|_| !marker.notes.is_empty()) {
            told.entry(step).or_insert((moment(marker.started_at), marker.notes.undo));
        }
    }
    let mut told: Vec<(String, Vec<String>)> = told.into_values().collect();
    told.sort_by(|(one, _), (two, _)| two.cmp(one));
    told.into_iter().flat_map(|(_, undo)| undo).take(MOST_UNDO).collect()
}

/// A moment that sorts as text; an unknown one counts as the latest.
fn moment(known: Option<String>) -> String {
    known.unwrap_or_else(|| "unknown".to_owned())
}

fn names(directory: &Path, follow: bool) -> Vec<String> {
    let listed = files::list(directory, follow).ok().flatten().unwrap_or_default();
    listed.into_iter().map(|(name, _)| name).collect()
}

impl Volume {
    /// What a step's own file tells, and what is wrong with it, each naming the file. Nothing, if our revision was not
    /// the last to run the step.
    pub fn read_notes(&self, step: StepId, mask: Masking<'_>) -> (StepNotes, Vec<String>) {
        let name = &self.step(step).name;
        match self.find_record(name) {
            Ok(Found::Record(kept)) if kept.rev() == self.revision().as_str() => {
                let (notes, problems) = StepNotes::read(&self.data_path(step), mask);
                let file = format!("{PRIVATE_DIRECTORY}/steps/{name}.data");
                (notes, problems.into_iter().map(|problem| format!("{file}: {problem}")).collect())
            }
            _ => Default::default(),
        }
    }
}

#[cfg(test)]
mod tests;
