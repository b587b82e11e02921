//! One step of a plan file, with the places of everything that can be wrong about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::protocol::{MarkerWord, NameError, StepName};
use crate::settings::number::LONGEST_SECS;
use crate::settings::spelling;
use crate::settings::table::STEP_VARIABLES;

use super::StepCommand;
use super::source::{Source, Value};

const KEYS: &[&str] =
    &["name", "run", "in_progress", "done", "after", "check", "env", "cwd", "user", "timeout_secs", "max_attempts"];

/// A step as it is written. What is `None` was left out, or was wrong and has been told.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    /// The step's name as text, even if it cannot be used, so that `after` finds it.
    pub(super) written_name: Option<String>,
    pub(super) name: Option<StepName>,
    pub(super) in_progress: Option<MarkerWord>,
    pub(super) done: Option<MarkerWord>,
    pub(super) after: Vec<(String, &'a str)>,
    /// Zero: for ever.
    pub(super) timeout: Option<Duration>,
    pub(super) max_attempts: Option<u32>,
    pub(super) command: StepCommand,
    /// Where the step begins, and where its keys have their values.
    pub(super) whole: &'a str,
    pub(super) places: BTreeMap<String, &'a str>,
}

impl<'a> Draft<'a> {
    /// Where the value of `key` stands, or the step's beginning.
    pub(super) fn place(&self, key: &str) -> &'a str {
        self.places.get(key).copied().unwrap_or(self.whole)
    }

    pub(super) fn read(source: &mut Source<'a>, value: Value<'a>) -> Option<Draft<'a>> {
        let members = source.object("a step", value)?;
        let mut draft = Draft { whole: value.get(), ..Draft::default() };
        let mut meant = Vec::new();
        for (key, place, value) in members {
            if KEYS.contains(&key.as_str()) {
                draft.places.insert(key.clone(), value.get());
                draft.read_member(source, &key, value);
            } else {
                meant.extend(spelling::nearest(&key, KEYS.iter().copied()));
                source.complain(place, format!("unknown key {key:?}{}", spelling::hint(&key, KEYS.iter().copied())));
            }
        }
        for required in ["name", "run"] {
            // A misspelt key has been told already.
            if !draft.places.contains_key(required) && !meant.contains(&required) {
                source.complain(draft.whole, format!("the step has no {required:?}"));
            }
        }
        draft.complete_words(source);
        Some(draft)
    }

    fn read_member(&mut self, source: &mut Source<'a>, key: &str, value: Value<'a>) {
        match key {
            "name" => {
                self.written_name = source.text_of("\"name\"", value);
                self.name =
                    self.written_name.as_deref().and_then(|text| checked(source, key, value, StepName::parse(text)));
            }
            "in_progress" => self.in_progress = marker(source, key, value),
            "done" => self.done = marker(source, key, value),
            "run" => self.command.run = words(source, "\"run\"", value).unwrap_or_default(),
            "check" => self.command.check = words(source, "\"check\"", value),
            "after" => {
                for element in source.list("\"after\"", value).unwrap_or_default() {
                    let name = source.text_of("a predecessor", element);
                    self.after.extend(name.map(|name| (name, element.get())));
                }
            }
            "env" => self.command.env = environment(source, value),
            "cwd" => self.command.cwd = filled(source, "\"cwd\"", value).map(PathBuf::from),
            "user" => self.command.user = filled(source, "\"user\"", value),
            "timeout_secs" => self.timeout = timeout(source, value),
            "max_attempts" => self.max_attempts = attempts(source, value),
            _ => unreachable!("only called for keys in the list"),
        }
    }

    /// Marker words that were left out: `name` and `name_done`.
    fn complete_words(&mut self, source: &mut Source<'a>) {
        let Some(name) = &self.name else { return };
        if !self.places.contains_key("in_progress") {
            self.in_progress = MarkerWord::parse(name.as_str()).ok();
        }
        if !self.places.contains_key("done") {
            match MarkerWord::parse(&format!("{name}_done")) {
                Ok(word) => self.done = Some(word),
                Err(error) => {
                    let text = format!("the marker word \"{name}_done\" {error}; give a shorter one as \"done\"");
                    source.complain(self.place("name"), text);
                }
            }
        }
    }
}

fn checked<T>(source: &mut Source<'_>, key: &str, value: Value<'_>, result: Result<T, NameError>) -> Option<T> {
    result.map_err(|error| source.complain(value.get(), format!("{key:?} {error}"))).ok()
}

fn marker<'a>(source: &mut Source<'a>, key: &str, value: Value<'a>) -> Option<MarkerWord> {
    let text = source.text_of(&format!("{key:?}"), value)?;
    checked(source, key, value, MarkerWord::parse(&text))
}

/// A program with its arguments.
fn words<'a>(source: &mut Source<'a>, what: &str, value: Value<'a>) -> Option<Vec<String>> {
    if value.get().starts_with('"') {
        let text = format!("{what} must be a list of words such as [\"sh\", \"-c\", \"…\"], not one text");
        source.complain(value.get(), text);
        return None;
    }
    let elements = source.list(what, value)?;
    if elements.is_empty() {
        source.complain(value.get(), format!("{what} is empty; it must begin with a program"));
        return None;
    }
    let mut words = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let word = source.text_of(&format!("a word of {what}"), element)?;
        if index == 0 && word.is_empty() {
            source.complain(element.get(), format!("{what} must begin with a program, not with an empty word"));
            return None;
        }
        words.push(word);
    }
    Some(words)
}

fn filled<'a>(source: &mut Source<'a>, what: &str, value: Value<'a>) -> Option<String> {
    let text = source.text_of(what, value)?;
    if text.is_empty() {
        source.complain(value.get(), format!("{what} is empty; leave it out instead"));
        return None;
    }
    Some(text)
}

fn environment<'a>(source: &mut Source<'a>, value: Value<'a>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, place, value) in source.object("\"env\"", value).unwrap_or_default() {
        if name.is_empty() || name.contains('=') {
            source.complain(place, format!("{name:?} cannot be the name of a variable"));
        } else if STEP_VARIABLES.contains(&name.as_str()) {
            source.complain(place, format!("{name} is set by bellwether itself; remove it"));
        } else if let Some(text) = source.text_of(&format!("the variable {name}"), value) {
            variables.insert(name, text);
        }
    }
    variables
}

fn timeout<'a>(source: &mut Source<'a>, value: Value<'a>) -> Option<Duration> {
    let secs = source.number("\"timeout_secs\"", value)?;
    match Duration::try_from_secs_f64(secs) {
        Ok(span) if secs <= LONGEST_SECS => Some(span),
        _ => {
            let text = format!("\"timeout_secs\" must lie between 0 (for ever) and {LONGEST_SECS}");
            source.complain(value.get(), text);
            None
        }
    }
}

fn attempts<'a>(source: &mut Source<'a>, value: Value<'a>) -> Option<u32> {
    let number = source.number("\"max_attempts\"", value)?;
    if number.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&number) {
        source.complain(value.get(), format!("\"max_attempts\" must be a whole number from 1 to {}", u32::MAX));
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked above")]
    Some(number as u32)
}
