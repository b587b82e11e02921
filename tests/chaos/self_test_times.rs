//! Journals made by hand in which it matters when something happened: each stands before a good one, or is one of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::breach::Breach::{ColdStart, FailedTooEarly, NeverServed, TakenWhileBeating, WrongExit};
use crate::breach::{Breach, Rules};
use crate::journal::{self, Entry, What};
use crate::jumps;
use crate::referee::judge;

/// In seconds: how long a replica waits for Redis.
const SHORT: u64 = 2;
const LONG: u64 = 120;

struct Case {
    name: &'static str,
    /// All that has to be found.
    found: Option<Breach>,
    redis_wait: u64,
    /// Times are in milliseconds.
    text: &'static str,
}

const fn case(name: &'static str, found: Option<Breach>, redis_wait: u64, text: &'static str) -> Case {
    Case { name, found, redis_wait, text }
}

/// What comes before the good journal.
const BEFORE: [Case; 27] = [
    case("a frozen Redis", None, SHORT, "fault redis-frozen 0 0 0 0 1000 - -\nexit - 0 0 0 12 3500 r3.1 69\n"),
    case(
        "two silences with little in between",
        None,
        SHORT,
        "fault redis-frozen 0 0 0 0 1000 - -\nheal redis-goes-on 0 0 0 0 1300 - -\nfault cut-both-ways 0 0 0 0 2000 r3.1 -\n\
         heal link-mended 0 0 0 0 2600 r3 -\nexit - 0 0 0 12 3100 r3.1 69\n",
    ),
    case("a pause", None, SHORT, "fault client-pause 0 0 0 0 1000 - 1800\nexit - 0 0 0 12 3200 r3.1 69\n"),
    case(
        "a pause whose end a clock puts off",
        None,
        SHORT,
        "fault client-pause 0 0 0 0 1000 - 400\nfault redis-clock-jump 0 0 0 0 1200 - -2s\nexit - 0 0 0 12 9000 r3.1 69\n",
    ),
    case(
        "a pause that goes on when all else is healed",
        None,
        SHORT,
        "fault client-pause 0 0 0 0 1000 - 3900\nheal everything 0 0 0 0 1020 - -\nexit - 0 0 0 12 4100 r3.1 69\n",
    ),
    case("all links cut", None, SHORT, "fault cut-from-redis 0 0 0 0 1000 all -\nexit - 0 0 0 12 3100 r3.1 69\n"),
    case(
        "given up with scripts flushed",
        Some(WrongExit),
        SHORT,
        "fault script-flush 0 0 0 0 1000 - -\nexit - 0 0 0 12 3500 r3.1 69\n",
    ),
    case(
        "given up with all flushed",
        Some(WrongExit),
        SHORT,
        "fault flushall 0 0 0 0 1000 - -\nexit - 0 0 0 12 3500 r3.1 69\n",
    ),
    case(
        "given up with the lease deleted",
        Some(WrongExit),
        SHORT,
        "fault lease-deleted 0 0 0 0 1000 - -\nexit - 0 0 0 12 3500 r3.1 69\n",
    ),
    case(
        "given up after too short a silence",
        Some(WrongExit),
        SHORT,
        "fault redis-frozen 0 0 0 0 1000 - -\nheal redis-goes-on 0 0 0 0 1400 - -\nexit - 0 0 0 12 3500 r3.1 69\n",
    ),
    case(
        "given up before its wait was over",
        Some(WrongExit),
        SHORT,
        "fault redis-frozen 0 0 0 0 1000 - -\nexit - 0 0 0 12 2500 r3.1 69\n",
    ),
    case(
        "given up long after it was over",
        Some(WrongExit),
        SHORT,
        "fault redis-frozen 0 0 0 0 1000 - -\nheal everything 0 0 0 0 4000 - -\nexit - 0 0 0 12 9500 r3.1 69\n",
    ),
    case(
        "another's link was cut",
        Some(WrongExit),
        SHORT,
        "fault cut-both-ways 0 0 0 0 1000 r1.1 -\nexit - 0 0 0 12 3500 r3.1 69\n",
    ),
    case(
        "given up though it waits for long",
        Some(WrongExit),
        LONG,
        "fault redis-frozen 0 0 0 0 1000 - -\nexit - 0 0 0 12 9000 r3.1 69\n",
    ),
    case(
        "a volume that is read-only",
        None,
        LONG,
        "fault volume-read-only 0 0 0 0 1000 - covered\nexit - 0 0 0 12 1500 r3.1 74\n",
    ),
    case(
        "a full volume is waited out",
        Some(WrongExit),
        LONG,
        "fault volume-full 0 0 0 0 1000 - -\nexit - 0 0 0 12 1500 r3.1 74\n",
    ),
    case(
        "taken over from a living leader",
        Some(TakenWhileBeating),
        LONG,
        "boot - 0 0 0 12 1 r3.1 -\nshown migrate 1 1 0 12 100 - 90\nbeaten migrate 1 0 0 12 1000 - 990\n\
         shown migrate 2 2 0 13 1900 - 1890\n",
    ),
    case(
        "taken over from a dead leader, and too early",
        Some(TakenWhileBeating),
        LONG,
        "boot - 0 0 0 12 1 r3.1 -\nshown migrate 1 1 0 12 100 - 90\nfault kill-leader 0 0 0 0 200 r3.1 12\n\
         exit - 0 0 0 12 210 r3.1 137\nshown migrate 2 2 0 13 900 - 890\n",
    ),
    case(
        "beaten by whoever has taken it over, then taken over again",
        Some(TakenWhileBeating),
        LONG,
        "shown migrate 1 1 0 12 100 - 90\nshown migrate 2 2 0 13 1200 - 1190\nbeaten migrate 2 0 0 13 2000 - 1990\n\
         shown migrate 3 2 0 14 2800 - 2790\n",
    ),
    case(
        "another step's marker is beaten",
        None,
        LONG,
        "shown migrate 1 1 0 12 100 - 90\nbeaten assets 1 0 0 12 1000 - 990\nshown migrate 2 2 0 13 1900 - 1890\n",
    ),
    case(
        "silent for long enough",
        None,
        LONG,
        "shown migrate 1 1 0 12 100 - 90\nbeaten migrate 1 0 0 12 1000 - 990\nshown migrate 2 2 0 13 2000 - 1990\n",
    ),
    case(
        "its leader has removed it",
        None,
        LONG,
        "shown migrate 1 1 0 12 100 - 90\nhidden migrate 0 0 0 0 1000 - -\nshown migrate 2 2 0 13 1010 - 1000\n",
    ),
    case(
        "the same leader shows it again",
        None,
        LONG,
        "shown migrate 1 1 0 12 100 - 90\nshown migrate 1 2 0 12 200 - 190\n",
    ),
    case(
        "thawed a moment too late",
        None,
        LONG,
        "boot - 0 0 0 12 1 r3.1 -\nshown migrate 1 1 0 12 100 - 90\nfault freeze-leader 0 0 0 0 200 r3.1 1_processes\n\
         beaten migrate 1 0 0 12 1500 - 1490\nshown migrate 2 2 0 13 1510 - 1500\n",
    ),
    case(
        "the watcher was late to see the beat",
        None,
        LONG,
        "shown migrate 1 1 0 12 100 - 90\nbeaten migrate 1 0 0 12 1900 - 800\nshown migrate 2 2 0 13 1900 - 800\n",
    ),
    case("78 without a failed marker", Some(WrongExit), LONG, "exit - 0 0 0 12 100 r3.1 78\n"),
    case("a warm start does not come through", Some(ColdStart), LONG, "late warm-start 0 0 0 0 100 somebody waits\n"),
];

const BAD_RUNS: &str = "start migrate 1 1 20 20 1 r1.1 -\nend migrate 1 1 20 20 2 r1.1 1\n\
                        start migrate 1 2 21 21 3 r1.1 -\nend migrate 1 2 21 21 4 r1.1 1\n";

/// Whole ones, after two runs that ended badly; the limit is three.
const AFTER_BAD_RUNS: [Case; 4] = [
    case(
        "as many as there may be",
        None,
        LONG,
        "start migrate 1 3 22 22 5 r1.1 -\nend migrate 1 3 22 22 6 r1.1 1\nfailed - 0 0 0 0 7 - -\nexit - 0 0 0 10 8 r1.1 78\n",
    ),
    case(
        "one was counted and killed before it was seen",
        None,
        LONG,
        "fault kill-leader 0 0 0 0 5 r1.1 10\nexit - 0 0 0 10 6 r1.1 137\nfailed - 0 0 0 0 7 - -\nexit - 0 0 0 11 8 r2.1 78\n",
    ),
    case("given up one too early", Some(FailedTooEarly), LONG, "failed - 0 0 0 0 7 - -\nexit - 0 0 0 10 8 r1.1 78\n"),
    case("neither ready nor failed", Some(NeverServed), LONG, ""),
];

fn rules(redis_wait: u64) -> Rules {
    let steps = vec![("migrate".to_owned(), Vec::new()), ("assets".to_owned(), vec!["migrate".to_owned()])];
    let (stale, redis_wait) = (Duration::from_secs(1), Duration::from_secs(redis_wait));
    Rules { steps, limit: 3, is_doomed: false, is_tight: true, is_trusted: true, stale, redis_wait }
}

/// With milliseconds for nanoseconds, where the watcher tells a moment, too.
fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let in_nanos = |entry: Entry| {
        let has_moment = matches!(entry.what, What::Shown | What::Beaten);
        let detail = if has_moment { format!("{}000000", entry.detail) } else { entry.detail };
        Entry { at: entry.at * 1_000_000, detail, ..entry }
    };
    Ok(journal::parse(text)?.into_iter().map(in_nanos).collect())
}

/// How many were tried and what they have shown, or what the referee said wrongly.
pub(crate) fn run(good: &str) -> Result<(usize, BTreeSet<Breach>), String> {
    let after_good = BEFORE.iter().map(|case| (case, format!("{}{good}", case.text)));
    let whole = AFTER_BAD_RUNS.iter().map(|case| (case, format!("{BAD_RUNS}{}", case.text)));
    for (case, text) in after_good.chain(whole) {
        let findings = judge(&rules(case.redis_wait), &parse(&text)?);
        let found: BTreeSet<Breach> = findings.iter().map(|finding| finding.breach).collect();
        if found != case.found.into_iter().collect() {
            return Err(format!("{} (to be found: {:?}): found {findings:?} in\n{text}", case.name, case.found));
        }
    }
    look_at_jumps()?;
    let shown = BEFORE.iter().chain(&AFTER_BAD_RUNS).filter_map(|case| case.found).collect();
    Ok((BEFORE.len() + AFTER_BAD_RUNS.len() + 1, shown))
}

/// Of four jumps, two are seen: one nobody said anything after, and one did not come about.
fn look_at_jumps() -> Result<(), String> {
    let entries = parse(
        "fault clock-jump 0 0 0 0 10000 all +3600s\nfault clock-jump 0 0 0 0 20000 r1.1 -7s\n\
         fault clock-jump 0 0 0 0 30000 r1.1 +7s\nfault clock-jump 0 0 0 0 40000 r2.1 -3600s\n",
    )?;
    let log = "11000000000 r1.1 1970-01-01T01:00:11.5Z  INFO an hour ahead\n\
               21000000000 r1.1 1970-01-01T00:00:14.000001Z  INFO behind\n\
               31000000000 r1.1 1970-01-01T00:00:31Z  INFO as ever\n\
               32000000000 r2.1 1970-01-01T00:00:39Z  INFO ahead, but another's\n\
               torn line\n";
    match jumps::of_replicas(&entries, log, 0) {
        2 => Ok(()),
        seen => Err(format!("{seen} of 2 jumps of clocks are seen in\n{log}")),
    }
}
