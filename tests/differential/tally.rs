//! How often operations of each kind came to what.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::shrink::seeds_are_given;

/// What an operation comes to that changes nothing.
pub(crate) const IDLE: &str = "Idle";

/// So often, at least, an operation of a kind comes to that: about half as often as when this was written.
pub(crate) type Minimum<W> = (W, &'static str, usize);

/// By kind, and by what it came to.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(String, &'static str), usize>);

impl Tally {
    pub(crate) fn add(&mut self, what: impl Debug, came_to: &'static str) {
        *self.0.entry((format!("{what:?}"), came_to)).or_default() += 1;
    }

    /// Of how many operations, and how many of them acted on something.
    fn sums(&self) -> (usize, usize) {
        let idle: usize = self.0.iter().filter(|((_, came_to), _)| *came_to == IDLE).map(|(_, count)| count).sum();
        let all: usize = self.0.values().sum();
        (all, all - idle)
    }

    #[expect(clippy::print_stdout, reason = "figures for whoever runs it")]
    fn show(&self) {
        let (all, acted) = self.sums();
        println!("{all} operations, of which {acted} acted");
        for ((what, came_to), count) in &self.0 {
            println!("{what:16} {came_to:12} {count:6}");
        }
    }

    /// Shows them. Panics, unless other seeds than those of every day were asked for, if they are not as they should be.
    pub(crate) fn check<W: Debug + Copy>(&self, acted_at_least: usize, minima: &[Minimum<W>]) {
        self.show();
        if !seeds_are_given() {
            self.assert(acted_at_least, minima);
        }
    }

    /// Panics if too few operations acted, if a kind came to something too seldom, or to something that is not said.
    fn assert<W: Debug + Copy>(&self, acted_at_least: usize, minima: &[Minimum<W>]) {
        let (all, acted) = self.sums();
        assert!(acted >= acted_at_least, "{acted} of {all} operations acted on anything");
        let mut left = self.0.clone();
        for &(what, came_to, minimum) in minima {
            let count = left.remove(&(format!("{what:?}"), came_to)).unwrap_or_default();
            assert!(count >= minimum, "{what:?} came to {came_to} {count} times, which should be {minimum} at least");
        }
        assert!(left.is_empty(), "of these nobody has said how often they should come: {left:?}");
    }
}

#[test]
#[should_panic(expected = "2 of 3 operations acted")]
fn what_changes_nothing_has_not_acted() {
    let mut tally = Tally::default();
    for came_to in ["Done", "Lost", IDLE] {
        tally.add("Commit", came_to);
    }
    tally.assert::<&str>(3, &[]);
}

#[test]
#[should_panic(expected = "came to Lost 0 times")]
fn a_kind_that_never_comes_to_something_is_noticed() {
    let mut tally = Tally::default();
    tally.add('c', "Done");
    tally.assert(1, &[('c', "Done", 1), ('c', "Lost", 1)]);
}

#[test]
#[should_panic(expected = "nobody has said")]
fn what_comes_and_is_not_in_the_table_is_noticed() {
    let mut tally = Tally::default();
    tally.add('c', "Done");
    tally.add('d', "Done");
    tally.assert(1, &[('c', "Done", 1)]);
}
