//! Many small cases at a time, since each of them waits most of its time.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What is wanted whole, not only what takes a minute: `all`, or a scene.
pub(crate) fn wanted() -> Option<String> {
    std::env::var("BELLWETHER_DURABILITY").ok().filter(|wanted| !wanted.is_empty())
}

pub(crate) fn is_whole() -> bool {
    wanted().is_some()
}

/// What is said of a part of all, where it stands beside figures.
pub(crate) fn extent(part: usize) -> String {
    if part == 1 || is_whole() {
        "all".to_owned()
    } else {
        format!("a sample of one in {part}; all with BELLWETHER_DURABILITY=all")
    }
}

/// Every case once, `side_by_side` at a time: what `work` gives for each, in their order. Each that panics is named, and
/// then the test fails.
pub(crate) fn each<T: Display + Sync, R: Send>(
    side_by_side: usize,
    cases: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let (next, given, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..side_by_side {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    let Ok(result) = catch_unwind(AssertUnwindSafe(|| work(case))) else {
                        println!("^^^ this was: {case}");
                        failed.lock().unwrap().push(case.to_string());
                        continue;
                    };
                    given.lock().unwrap().push((number, result));
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), cases.len());
    let mut given = given.into_inner().unwrap();
    given.sort_by_key(|(number, _)| *number);
    given.into_iter().map(|(_, result)| result).collect()
}

/// How many of them are so.
pub(crate) fn count(of: &[bool]) -> usize {
    of.iter().filter(|so| **so).count()
}
