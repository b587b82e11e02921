//! The fewest operations that still lead to a difference.

use std::fmt::Debug;

const SEEDS: &str = "BELLWETHER_DIFFERENTIAL_SEEDS";

/// Whether other seeds than those of every day were asked for: then nobody knows how often what comes.
pub(crate) fn seeds_are_given() -> bool {
    std::env::var_os(SEEDS).is_some()
}

/// So many seeds are tried: those of every day, or as many as `BELLWETHER_DIFFERENTIAL_SEEDS` says.
pub(crate) fn seeds(of_every_day: u64) -> u64 {
    std::env::var(SEEDS).map_or(of_every_day, |count| count.parse().unwrap())
}

/// After which operation the two differ, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    pub(crate) at: usize,
    pub(crate) words: String,
}

/// What is left of `operations` when everything is dropped without which `difference` still finds one; and that one.
pub(crate) fn shrink<T: Clone>(
    operations: &[T],
    mut difference: impl FnMut(&[T]) -> Option<Difference>,
) -> Option<(Vec<T>, String)> {
    let mut found = difference(operations)?;
    // What came later has nothing to do with it.
    let mut left = operations[..=found.at].to_vec();
    let mut chunk = left.len() / 2;
    while chunk > 0 {
        let (before, mut at) = (left.len(), 0);
        while at < left.len() {
            let mut fewer = left.clone();
            fewer.drain(at..(at + chunk).min(left.len()));
            match difference(&fewer) {
                Some(again) => {
                    fewer.truncate(again.at + 1);
                    (left, found) = (fewer, again);
                }
                None => at += chunk,
            }
        }
        // One that was needed for another may go when that one has gone.
        if chunk > 1 || left.len() == before {
            chunk /= 2;
        }
    }
    Some((left, found.words))
}

/// What is left of the operations of a seed, in words, if they lead to a difference.
fn describe<T: Clone + Debug>(
    seed: u64,
    operations: &[T],
    difference: impl FnMut(&[T]) -> Option<Difference>,
) -> Option<String> {
    let (left, found) = shrink(operations, difference)?;
    let lines: Vec<String> = left.iter().map(|operation| format!("    {operation:?}")).collect();
    Some(format!("seed {seed}: {found}\nafter\n{}", lines.join("\n")))
}

/// Panics if operations lead to a difference.
pub(crate) fn check<T: Clone + Debug>(seed: u64, operations: &[T], difference: impl FnMut(&[T]) -> Option<Difference>) {
    if let Some(described) = describe(seed, operations, difference) {
        panic!("{described}");
    }
}

#[test]
fn what_has_nothing_to_do_with_a_difference_is_dropped() {
    let difference = |numbers: &[u32]| {
        let at = numbers.iter().position(|&number| number == 30)?;
        numbers[..at].contains(&7).then(|| Difference { at, words: "7 and 30".to_owned() })
    };
    let numbers: Vec<u32> = (0..100).collect();
    assert_eq!(shrink(&numbers, difference), Some((vec![7, 30], "7 and 30".to_owned())));
    assert_eq!(shrink(&numbers[..20], difference), None);
    let described = describe(5, &numbers, difference);
    assert_eq!(described.as_deref(), Some("seed 5: 7 and 30\nafter\n    7\n    30"));
}
