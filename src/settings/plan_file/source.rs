//! JSON with places: `serde_json` does the parsing, and slices of the source tell where everything stands.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::settings::problem::Problem;
use crate::settings::secret;

/// So many mistakes are told at once. Whoever has more has given the wrong file, and finding each place takes time.
const MOST_PROBLEMS: usize = 100;

/// A value in the source: its text, which is a slice of the source.
pub(super) type Value<'a> = &'a RawValue;

/// The source, and every mistake found in it so far.
#[derive(Debug)]
pub(super) struct Source<'a> {
    path: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

/// The members of an object, in the order in which they are written, each with its key as it is written.
struct Members<'a>(Vec<(Value<'a>, Value<'a>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<'a>(PhantomData<&'a ()>);

        impl<'de> Visitor<'de> for InOrder<'de> {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

impl<'a> Source<'a> {
    /// `path` is what the file is called in messages.
    pub(super) fn new(path: &'a str, text: &'a str) -> Source<'a> {
        Source { path, text, problems: Vec::new() }
    }

    /// All problems, in the order in which they stand in the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let place = |problem: &Problem| {
            let mut numbers = problem.culprit().rsplit(':').map(|part| part.parse::<usize>().unwrap_or(0));
            let column = numbers.next();
            (numbers.next(), column)
        };
        let mut problems = self.problems;
        problems.sort_by_key(place);
        problems.dedup();
        problems
    }

    pub(super) fn is_flawless(&self) -> bool {
        self.problems.is_empty()
    }

    /// Says what is wrong with `part`, which is a slice of the source.
    pub(super) fn complain(&mut self, part: &str, text: impl Into<String>) {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        self.complain_at(offset, text);
    }

    /// Whether there is no use in looking for more mistakes.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MOST_PROBLEMS
    }

    fn complain_at(&mut self, offset: usize, text: impl Into<String>) {
        if self.is_full() {
            return;
        }
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // What is quoted may be a URL in a place where none belongs.
        let text = secret::without_passwords(&text.into());
        self.problems.push(Problem::new(format!("{}:{line}:{column}", self.path), text));
    }

    /// The whole document.
    pub(super) fn document(&mut self) -> Option<Value<'a>> {
        match serde_json::from_str(self.text) {
            Ok(value) => Some(value),
            Err(error) => {
                let lines = self.text.split_inclusive('\n').take(error.line().saturating_sub(1));
                let mut offset = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
                while !self.text.is_char_boundary(offset.min(self.text.len())) {
                    offset -= 1;
                }
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                self.complain_at(offset.min(self.text.len()), format!("no JSON: {text}"));
                None
            }
        }
    }

    /// The members of an object: keys as text with their places. Double keys are told; the first one counts.
    pub(super) fn object(&mut self, what: &str, value: Value<'a>) -> Option<Vec<(String, &'a str, Value<'a>)>> {
        self.expect(what, value, "an object {…}", |first| first == '{')?;
        let Members(members) = self.parse(what, value)?;
        let mut known: Vec<(String, &'a str, Value<'a>)> = Vec::new();
        let mut keys: BTreeSet<String> = BTreeSet::new();
        for (raw_key, value) in members {
            let Some(key) = self.text_of("the key", raw_key) else { continue };
            if keys.insert(key.clone()) {
                known.push((key, raw_key.get(), value));
            } else {
                self.complain(raw_key.get(), format!("the key {key:?} stands here twice"));
            }
        }
        Some(known)
    }

    /// The elements of a list.
    pub(super) fn list(&mut self, what: &str, value: Value<'a>) -> Option<Vec<Value<'a>>> {
        self.expect(what, value, "a list […]", |first| first == '[')?;
        self.parse(what, value)
    }

    /// A text without NUL, which neither arguments nor file names may hold.
    pub(super) fn text_of(&mut self, what: &str, value: Value<'a>) -> Option<String> {
        self.expect(what, value, "a text in \"\"", |first| first == '"')?;
        let text: String = self.parse(what, value)?;
        if text.contains('\0') {
            self.complain(value.get(), format!("{what} holds a NUL character"));
            return None;
        }
        Some(text)
    }

    /// A number.
    pub(super) fn number(&mut self, what: &str, value: Value<'a>) -> Option<f64> {
        self.expect(what, value, "a number", |first| first == '-' || first.is_ascii_digit())?;
        self.parse(what, value)
    }

    fn expect(&mut self, what: &str, value: Value<'a>, wanted: &str, fits: impl Fn(char) -> bool) -> Option<()> {
        let first = value.get().chars().next().unwrap_or_default();
        if fits(first) {
            return Some(());
        }
        let found = match first {
            '{' => "an object",
            '[' => "a list",
            '"' => "a text",
            't' | 'f' => "true or false",
            'n' => "null",
            _ => "a number",
        };
        self.complain(value.get(), format!("{what} must be {wanted}, not {found}"));
        None
    }

    fn parse<T: Deserialize<'a>>(&mut self, what: &str, value: Value<'a>) -> Option<T> {
        match serde_json::from_str(value.get()) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                self.complain(value.get(), format!("{what} cannot be read: {text}"));
                None
            }
        }
    }
}
