//! The steps' own journal, and what can be judged from it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::protocol::Timestamp;

/// What a step notes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mark {
    Start,
    End,
}

/// One line of the journal, written by the step's own process.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Entry {
    pub(super) step: String,
    pub(super) epoch: u64,
    pub(super) attempt: u32,
    pub(super) mark: Mark,
    /// Nanoseconds on the boot-time clock, which all processes here share.
    pub(super) at: u64,
}

impl Entry {
    /// Adds it to the journal.
    pub(super) fn append(&self, journal: &Path) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(journal)?.write_all(&line)
    }
}

/// A tree of processes that was seen to be gone: nothing of the run can have happened later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Gone {
    pub(super) step: String,
    pub(super) epoch: u64,
    pub(super) at: Timestamp,
}

/// One run of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) step: String,
    pub(super) epoch: u64,
    pub(super) attempt: u32,
    pub(super) start: Timestamp,
    /// When it said that it had finished; `None`: it never did.
    pub(super) finished: Option<Timestamp>,
    /// When it was over at the latest; `None` if nobody knows.
    pub(super) over: Option<Timestamp>,
}

/// The runs in a journal, by their start. Runs without an end were over when their trees were gone.
pub(super) fn spans(journal: &Path, gone: &[Gone]) -> io::Result<Vec<Span>> {
    let text = fs::read_to_string(journal)?;
    let entries: Vec<Entry> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(pair(&entries, gone))
}

fn pair(entries: &[Entry], gone: &[Gone]) -> Vec<Span> {
    let same = |one: &Entry, two: &Entry| {
        (&one.step, one.epoch, one.attempt, two.mark) == (&two.step, two.epoch, two.attempt, Mark::End)
    };
    let mut spans: Vec<Span> = Vec::new();
    for start in entries.iter().filter(|entry| entry.mark == Mark::Start) {
        let end = entries.iter().find(|entry| same(start, entry)).map(|entry| Timestamp::from_nanos(entry.at));
        let killed = gone.iter().find(|gone| gone.step == start.step && gone.epoch == start.epoch).map(|gone| gone.at);
        spans.push(Span {
            step: start.step.clone(),
            epoch: start.epoch,
            attempt: start.attempt,
            start: Timestamp::from_nanos(start.at),
            finished: end,
            over: end.or(killed),
        });
    }
    spans.sort_by_key(|span| span.start);
    spans
}

/// Whether no step overlapped itself, and no leader's steps those of another.
pub(super) fn is_never_two_at_once(spans: &[Span]) -> bool {
    let pairs = spans.iter().enumerate().flat_map(|(at, one)| spans[at + 1..].iter().map(move |two| (one, two)));
    let mut rivals = pairs.filter(|(one, two)| one.step == two.step || one.epoch != two.epoch);
    // `one` began first.
    rivals.all(|(one, two)| one.over.is_some_and(|over| over <= two.start))
}

/// Whether every run began after these predecessors of its step had finished.
pub(super) fn is_after(spans: &[Span], step: &str, predecessors: &[String]) -> bool {
    spans.iter().filter(|span| span.step == step).all(|span| {
        predecessors.iter().all(|predecessor| {
            let mut ends = spans.iter().filter(|other| other.step == *predecessor).filter_map(|other| other.finished);
            ends.any(|end| end <= span.start)
        })
    })
}

/// Two different steps of one leader that ran at the same time.
pub(super) fn side_by_side(spans: &[Span]) -> Option<(&str, &str)> {
    let pairs = spans.iter().enumerate().flat_map(|(at, one)| spans[at + 1..].iter().map(move |two| (one, two)));
    let mut both = pairs.filter(|(one, two)| one.epoch == two.epoch && one.over.is_some_and(|over| over > two.start));
    both.next().map(|(one, two)| (one.step.as_str(), two.step.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(step: &str, epoch: u64, mark: Mark, at: u64) -> Entry {
        Entry { step: step.to_owned(), epoch, attempt: 1, mark, at }
    }

    fn gone(step: &str, at: u64) -> Gone {
        Gone { step: step.to_owned(), epoch: 1, at: Timestamp::from_nanos(at) }
    }

    #[test]
    fn a_run_without_an_end_is_over_when_its_tree_is_gone() {
        let entries = [entry("m", 1, Mark::Start, 10), entry("m", 2, Mark::Start, 30), entry("m", 2, Mark::End, 40)];
        assert!(is_never_two_at_once(&pair(&entries, &[gone("m", 20)])));
        assert!(!is_never_two_at_once(&pair(&entries, &[gone("m", 31)])), "it was still there");
        assert!(!is_never_two_at_once(&pair(&entries, &[])), "nobody has seen its end");
    }

    #[test]
    fn steps_of_one_leader_may_run_side_by_side_and_those_of_two_may_not() {
        let two = |epoch| {
            let first = [entry("m", 1, Mark::Start, 10), entry("m", 1, Mark::End, 30)];
            let second = [entry("a", epoch, Mark::Start, 20), entry("a", epoch, Mark::End, 40)];
            pair(&[first, second].concat(), &[])
        };
        assert!(is_never_two_at_once(&two(1)));
        assert_eq!(side_by_side(&two(1)), Some(("m", "a")));
        assert!(!is_never_two_at_once(&two(2)));
        assert_eq!(side_by_side(&two(2)), None);
    }

    #[test]
    fn a_predecessor_has_to_have_finished_not_only_to_be_over() {
        let before = ["s".to_owned()];
        let next = [entry("m", 1, Mark::Start, 30), entry("m", 1, Mark::End, 40)];
        let finished = [&[entry("s", 1, Mark::Start, 10), entry("s", 1, Mark::End, 20)], &next[..]].concat();
        assert!(is_after(&pair(&finished, &[]), "m", &before));
        let killed = [&[entry("s", 1, Mark::Start, 10)], &next[..]].concat();
        assert!(!is_after(&pair(&killed, &[gone("s", 20)]), "m", &before));
        assert!(is_after(&pair(&killed, &[]), "s", &[]));
    }
}
