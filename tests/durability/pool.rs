//! Many small cases at a time, since each of them waits most of its time.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Whether everything is wanted, not only what takes a minute.
pub(crate) fn is_whole() -> bool {
    std::env::var("BELLWETHER_DURABILITY").is_ok_and(|wanted| wanted == "all")
}

/// Every case once, `side_by_side` at a time. Gives how many of them `work` has said `true` of. Each that panics is
/// named, and then the test fails.
pub(crate) fn each<T: Display + Sync>(side_by_side: usize, cases: &[T], work: impl Fn(&T) -> bool + Sync) -> usize {
    let (next, hits, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..side_by_side {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Ok(hit) = catch_unwind(AssertUnwindSafe(|| work(case))) else {
                        println!("^^^ this was: {case}");
                        failed.lock().unwrap().push(case.to_string());
                        continue;
                    };
                    hits.fetch_add(usize::from(hit), Ordering::Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), cases.len());
    hits.into_inner()
}
