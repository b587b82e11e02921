//! The referee: what the steps and commands themselves have written down.

use std::fs;
use std::path::PathBuf;

use crate::wait::{Nanos, wait_for};

/// One line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// `start`, `end`, `member` (a process of a step), `overlap` (what must not be), `serve`, or a test's own word.
    pub(crate) what: String,
    pub(crate) step: String,
    pub(crate) rev: String,
    pub(crate) epoch: u64,
    pub(crate) pid: i32,
    pub(crate) at: Nanos,
}

impl Entry {
    fn parse(line: &str) -> Entry {
        let words: Vec<&str> = line.split(' ').collect();
        let [what, step, rev, epoch, pid, at] = words[..] else { panic!("no line of a journal: {line:?}") };
        let text = str::to_owned;
        Entry {
            what: text(what),
            step: text(step),
            rev: text(rev),
            epoch: epoch.parse().unwrap(),
            pid: pid.parse().unwrap(),
            at: at.parse().unwrap(),
        }
    }
}

/// The file. Lines are appended whole.
#[derive(Clone, Debug)]
pub(crate) struct Journal(pub(crate) PathBuf);

impl Journal {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.0).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(Entry::parse).collect()
    }

    /// The lines that say `what` of `step`.
    pub(crate) fn of(&self, what: &str, step: &str) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.what == what && entry.step == step).collect()
    }

    pub(crate) fn count(&self, what: &str, step: &str) -> usize {
        self.of(what, step).len()
    }

    /// Waits for the `nth` (from 1) line that says `what` of `step`.
    pub(crate) fn wait(&self, what: &str, step: &str, nth: usize) -> Entry {
        wait_for(&format!("{what} {step}, number {nth}"), || self.of(what, step).into_iter().nth(nth - 1))
    }

    /// Panics if somebody was alive who should not have been.
    pub(crate) fn assert_no_overlap(&self) {
        let overlaps: Vec<Entry> = self.entries().into_iter().filter(|entry| entry.what == "overlap").collect();
        assert!(overlaps.is_empty(), "{overlaps:#?}");
    }
}
