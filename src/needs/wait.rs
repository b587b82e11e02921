//! Waiting for all needs side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::Need;
use super::probe::{Failure, FailureClass, try_once};

/// Pause after the first failed try; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The same class of failure is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// What is worth a line in the log while waiting.
#[derive(Clone, Debug)]
pub enum NeedEvent<'a> {
    /// A try failed in a way that was not told within the last 30 s.
    Waiting {
        /// What is waited for.
        need: &'a Need,
        /// Why it is not met.
        failure: Failure,
        /// How long it was waited for so far.
        waited: Duration,
    },
    /// It is there now, after at least one failed try.
    Met {
        /// What was waited for.
        need: &'a Need,
        /// How long that took.
        waited: Duration,
    },
}

impl fmt::Display for NeedEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NeedEvent::Waiting { need, failure, waited } => {
                write!(f, "waiting for {need} for {:.1} s so far: {failure}{}", waited.as_secs_f64(), need.hint())
            }
            NeedEvent::Met { need, waited } => write!(f, "{need} is there after {:.1} s", waited.as_secs_f64()),
        }
    }
}

/// The limit passed, and some needs were not met.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NeedsError {
    /// How long was waited.
    pub limit: Duration,
    /// What is missing, in the plan's order, and how the last try failed.
    pub missing: Vec<(Need, Failure)>,
}

impl fmt::Display for NeedsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} s the plan still needs ", self.limit.as_secs_f64())?;
        for (index, (need, failure)) in self.missing.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{need} ({failure}{})", need.hint())?;
        }
        f.write_str("; BELLWETHER_NEEDS_WAIT_SECS says how long to wait")
    }
}

impl std::error::Error for NeedsError {}

/// Waits until every need is met, all side by side, for at most `limit` (`None`: for ever).
///
/// `log` is told each class of failure once and then every 30 s. Called by a replica that is about to lead; must run in
/// a tokio runtime with time and I/O. Dropping the future ends the wait. A host's name is looked up on a blocking thread,
/// so a runtime that must end at once is to be ended with `shutdown_background`.
///
/// # Errors
///
/// What is still missing after `limit`, and why.
pub async fn await_all(
    needs: &[Need],
    limit: Option<Duration>,
    log: impl Fn(&NeedEvent<'_>),
) -> Result<(), NeedsError> {
    await_with(needs, limit, log, try_once).await
}

/// [`await_all`] with a `try_need` of the caller's.
pub(super) async fn await_with(
    needs: &[Need],
    limit: Option<Duration>,
    log: impl Fn(&NeedEvent<'_>),
    try_need: impl AsyncFn(&Need) -> Result<(), Failure>,
) -> Result<(), NeedsError> {
    let begin = Instant::now();
    // `None` from a need means that it is met.
    let waits = needs.iter().map(|need| await_one(need, begin, limit, &log, &try_need));
    let ends = join_all(waits).await;
    let missing = needs.iter().zip(ends).filter_map(|(need, end)| Some((need.clone(), end?)));
    let missing: Vec<(Need, Failure)> = missing.collect();
    if missing.is_empty() { Ok(()) } else { Err(NeedsError { limit: limit.unwrap_or(Duration::MAX), missing }) }
}

/// Tries each need once, all side by side, and tells what became of it, in their order.
#[cfg(feature = "cli")]
pub(crate) async fn try_each(needs: &[Need]) -> Vec<Result<(), Failure>> {
    join_all(needs.iter().map(try_once)).await
}

/// Waits for one need; gives the last failure if the limit passed first.
async fn await_one(
    need: &Need,
    begin: Instant,
    limit: Option<Duration>,
    log: &impl Fn(&NeedEvent<'_>),
    try_need: &impl AsyncFn(&Need) -> Result<(), Failure>,
) -> Option<Failure> {
    let mut told: BTreeMap<FailureClass, Instant> = BTreeMap::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let result = try_need(need).await;
        let now = Instant::now();
        let waited = now.duration_since(begin);
        let failure = match result {
            Ok(()) => {
                if !told.is_empty() {
                    log(&NeedEvent::Met { need, waited });
                }
                return None;
            }
            Err(failure) => failure,
        };
        if told.get(&failure.class).is_none_or(|&last| now.duration_since(last) >= TELL_AGAIN) {
            told.insert(failure.class, now);
            log(&NeedEvent::Waiting { need, failure: failure.clone(), waited });
        }
        match limit.map(|limit| limit.saturating_sub(waited)) {
            Some(Duration::ZERO) => return Some(failure),
            Some(left) => tokio::time::sleep(pause.min(left)).await,
            None => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs all futures side by side in this task and gives their outputs in order.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<Pin<Box<_>>> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<T>> = running.iter().map(|_| None).collect();
    let mut all = pin!(poll_fn(|context| {
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                *output = match future.as_mut().poll(context) {
                    Poll::Ready(value) => Some(value),
                    Poll::Pending => None,
                };
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    }));
    all.as_mut().await;
    outputs.into_iter().flatten().collect()
}
