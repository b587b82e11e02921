//! Journals made by hand: a good one, in which the referee has to find nothing, and for each breach some that differ from it as
//! little as can be, in which it has to find that breach.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::breach::{Breach, Rules};
use crate::journal;
use crate::monitor;
use crate::referee::judge;
use crate::self_test_times;

/// Two steps; the first leader dies in the second, and the next one finishes.
const GOOD: &str = "\
boot - 0 0 0 10 1 r1.1 -
boot - 0 0 0 11 2 r2.1 -
start migrate 1 1 20 20 3 r1.1 -
member migrate 1 1 20 21 4 r1.1 -
beat migrate 1 1 20 20 5 r1.1 -
end migrate 1 1 20 20 6 r1.1 0
done migrate 1 1 0 0 7 - -
start assets 1 1 22 22 8 r1.1 -
beat assets 1 1 22 22 9 r1.1 -
fault kill-leader 0 0 0 10 10 r1.1 -
exit - 0 0 0 10 11 r1.1 137
start assets 2 2 30 30 12 r2.1 -
beat assets 2 2 30 30 13 r2.1 -
end assets 2 2 30 30 14 r2.1 0
done assets 2 2 0 0 15 - -
ready - 0 0 0 0 16 - -
serve - 0 0 0 11 17 r2.1 ready
exit - 0 0 0 11 18 r2.1 0
";

/// One in which everything is excused: an attempt that a stop gives back, a step that outlives its shim, a volume that
/// cannot be written to, and whoever is killed in the end.
const EXCUSED: &str = "\
start migrate 1 1 20 20 1 r1.1 -
end migrate 1 1 20 20 2 r1.1 0
done migrate 1 1 0 0 3 - -
start assets 1 1 21 21 4 r1.1 -
fault kill-shims 0 0 0 10 5 r1.1 11
fault term-leader 0 0 0 10 6 r1.1 -
end assets 1 1 21 21 7 r1.1 1
exit - 0 0 0 10 8 r1.1 143
beat assets 1 1 21 22 9 r1.1 -
start assets 2 1 30 30 10 r2.1 -
end assets 2 1 30 30 11 r2.1 1
start assets 2 2 31 31 12 r2.1 -
end assets 2 2 31 31 13 r2.1 1
fault volume-read-only 0 0 0 0 16 - remounted
exit - 0 0 0 11 17 r2.1 74
start assets 4 3 40 40 18 r1.2 -
end assets 4 3 40 40 19 r1.2 1
fault kill-leader 0 0 0 13 20 r1.2 -
exit - 0 0 0 13 21 r1.2 137
start assets 5 3 50 50 22 r3.2 -
end assets 5 3 50 50 23 r3.2 0
done assets 5 3 0 0 24 - -
ready - 0 0 0 0 25 - -
serve - 0 0 0 14 26 r3.2 ready
heal clearing 0 0 0 0 27 - -
exit - 0 0 0 14 28 r3.2 137
";

struct Case {
    name: &'static str,
    breach: Breach,
    /// This line, which is in the good journal …
    line: &'static str,
    /// … becomes this.
    instead: &'static str,
    is_doomed: bool,
}

const fn case(name: &'static str, breach: Breach, line: &'static str, instead: &'static str) -> Case {
    Case { name, breach, line, instead, is_doomed: false }
}

const END: &str = "beat assets 2 2 30 30 13 r2.1 -\n";
const KILL: &str = "fault kill-leader 0 0 0 10 10 r1.1 -\n";
const EXIT: &str = "exit - 0 0 0 10 11 r1.1 137\n";
const KILLED: &str = "fault kill-leader 0 0 0 10 10 r1.1 -\nexit - 0 0 0 10 11 r1.1 137\n";
const STOPPED_TOO_EARLY: &str =
    "fault term-leader 0 0 0 10 10 r1.1 -\nexit - 0 0 0 10 11 r1.1 143\nbeat assets 1 1 22 22 11 r1.1 -\n";
const DONE: &str = "done assets 2 2 0 0 15 - -\n";
const SERVE: &str = "serve - 0 0 0 11 17 r2.1 ready\n";

const CASES: [Case; 46] = [
    case("seen alive by the next", Breach::Overlap, END, "overlap assets 2 2 30 30 13 r2.1 22\n"),
    case("an earlier leader's step", Breach::Overlap, END, "beat assets 1 1 22 22 13 r1.1 -\n"),
    case("an earlier leader's other step", Breach::Overlap, END, "beat migrate 1 1 20 20 13 r1.1 -\n"),
    case("a descendant of an earlier step", Breach::Overlap, END, "beat migrate 1 1 20 21 13 r1.1 -\n"),
    case("a descendant that begins late", Breach::Overlap, END, "member assets 1 1 22 23 13 r1.1 -\n"),
    case("an earlier run ends late", Breach::Overlap, END, "end assets 1 1 22 22 13 r1.1 0\n"),
    case(
        "an earlier attempt of the same leader",
        Breach::Overlap,
        END,
        "start assets 2 3 31 31 13 r2.1 -\nbeat assets 2 2 30 30 13 r2.1 -\n",
    ),
    case(
        "a descendant of a predecessor",
        Breach::Overlap,
        "beat assets 1 1 22 22 9 r1.1 -\n",
        "beat migrate 1 1 20 21 9 r1.1 -\n",
    ),
    case(
        "before its predecessor",
        Breach::OutOfOrder,
        "beat migrate 1 1 20 20 5 r1.1 -\n",
        "start assets 1 1 22 22 5 r1.1 -\n",
    ),
    case("no end", Breach::DoneTooEarly, "end assets 2 2 30 30 14 r2.1 0\n", ""),
    case("a bad end", Breach::DoneTooEarly, "end assets 2 2 30 30 14 r2.1 0\n", "end assets 2 2 30 30 14 r2.1 1\n"),
    case("not yet", Breach::DoneTooEarly, "end assets 2 2 30 30 14 r2.1 0\n", "end assets 2 2 30 30 14 r2.1 75\n"),
    case("another epoch's end", Breach::DoneTooEarly, "done assets 2 2 0 0 15 - -\n", "done assets 3 2 0 0 15 - -\n"),
    case(
        "a done marker goes",
        Breach::CompletionLost,
        SERVE,
        "undone migrate 0 0 0 0 17 - -\nserve - 0 0 0 11 17 r2.1 ready\n",
    ),
    case("again by the next leader", Breach::RanAgain, END, "start migrate 2 1 31 31 13 r2.1 -\n"),
    case(
        "again under another epoch, unseen",
        Breach::RanAgain,
        DONE,
        "start assets 3 1 31 31 14 r2.2 -\ndone assets 2 2 0 0 15 - -\n",
    ),
    case(
        "a descendant outlives done",
        Breach::OutlivedDone,
        DONE,
        "done assets 2 2 0 0 15 - -\nbeat assets 2 2 30 33 15 r2.1 -\n",
    ),
    case(
        "a descendant begins after done",
        Breach::OutlivedDone,
        DONE,
        "done assets 2 2 0 0 15 - -\nmember assets 2 2 30 33 15 r2.1 -\n",
    ),
    case(
        "an end after done",
        Breach::OutlivedDone,
        DONE,
        "done assets 2 2 0 0 15 - -\nend assets 2 2 30 30 15 r2.1 0\n",
    ),
    case(
        "a step outlives ready",
        Breach::OutlivedReady,
        SERVE,
        "serve - 0 0 0 11 17 r2.1 ready\nbeat migrate 1 1 20 21 18 r1.1 -\n",
    ),
    case(
        "a step begins after ready",
        Breach::OutlivedReady,
        SERVE,
        "start migrate 3 1 31 31 17 r2.2 -\nserve - 0 0 0 11 17 r2.1 ready\n",
    ),
    case(
        "the same number once more",
        Breach::Overlap,
        END,
        "start assets 2 2 31 31 13 r2.1 -\nbeat assets 2 2 30 33 13 r2.1 -\n",
    ),
    case("one step is not done", Breach::ReadyTooEarly, "done assets 2 2 0 0 15 - -\n", ""),
    case("done a moment too late", Breach::ReadyTooEarly, END, "ready - 0 0 0 0 13 - -\n"),
    case(
        "the ready marker goes",
        Breach::ReadyLost,
        SERVE,
        "unready - 0 0 0 0 17 - -\nserve - 0 0 0 11 17 r2.1 ready\n",
    ),
    case("no ready marker", Breach::ServedEarly, SERVE, "serve - 0 0 0 11 17 r2.1 early\n"),
    case(
        "a replica is late",
        Breach::NeverServed,
        SERVE,
        "serve - 0 0 0 11 17 r2.1 ready\nlate - 0 0 0 0 18 r1.2 waits\n",
    ),
    case("nobody is ever ready", Breach::NeverServed, "ready - 0 0 0 0 16 - -\n", ""),
    case("two leaders share one", Breach::EpochTwice, END, "start assets 2 2 31 31 13 r1.2 -\n"),
    case("too high a number", Breach::TooManyAttempts, END, "start assets 2 4 31 31 13 r2.1 -\n"),
    case("no number", Breach::TooManyAttempts, END, "start assets 2 0 31 31 13 r2.1 -\n"),
    case(
        "too many bad ends",
        Breach::TooManyAttempts,
        "beat assets 1 1 22 22 9 r1.1 -\n",
        "end assets 1 1 22 22 9 r1.1 1\nend assets 1 1 22 22 9 r1.1 1\nend assets 1 1 22 22 9 r1.1 1\nend assets 1 1 22 22 9 r1.1 1\n",
    ),
    case(
        "not counted, though it outlived its leader",
        Breach::TooManyAttempts,
        "exit - 0 0 0 10 11 r1.1 137\nstart assets 2 2 30 30 12 r2.1 -\n",
        "exit - 0 0 0 10 11 r1.1 137\nbeat assets 1 1 22 22 11 r1.1 -\nstart assets 2 1 30 30 12 r2.1 -\n",
    ),
    case("a panic", Breach::WrongExit, "exit - 0 0 0 10 11 r1.1 137\n", "exit - 0 0 0 10 11 r1.1 101\n"),
    case("killed by nobody", Breach::WrongExit, KILL, ""),
    case("another was killed", Breach::WrongExit, KILL, "fault kill-any 0 0 0 11 10 r2.1 -\n"),
    case("stopped by nobody", Breach::WrongExit, EXIT, "exit - 0 0 0 10 11 r1.1 143\n"),
    case("no Redis, though nobody broke it", Breach::WrongExit, EXIT, "exit - 0 0 0 10 11 r1.1 69\n"),
    case("no volume, though nobody broke it", Breach::WrongExit, EXIT, "exit - 0 0 0 10 11 r1.1 74\n"),
    case("it gave up", Breach::WrongExit, EXIT, "exit - 0 0 0 10 11 r1.1 75\n"),
    case("no permission", Breach::WrongExit, EXIT, "exit - 0 0 0 10 11 r1.1 77\n"),
    case("it outlives its stop", Breach::OutlivedStop, KILLED, STOPPED_TOO_EARLY),
    case(
        "a marker in the way",
        Breach::LeftBehind,
        SERVE,
        "serve - 0 0 0 11 17 r2.1 ready\nleft - 0 0 0 0 18 - assets_v1.1\n",
    ),
    case("0 without a command", Breach::WrongExit, "exit - 0 0 0 10 11 r1.1 137\n", "exit - 0 0 0 10 11 r1.1 0\n"),
    case("told by Redis", Breach::Seized, SERVE, "seized - 0 0 0 0 17 - r2_renewed\nserve - 0 0 0 11 17 r2.1 ready\n"),
    case("told in argv", Breach::SecretShown, SERVE, "serve - 0 0 0 11 17 r2.1 ready\nsecret - 0 0 0 0 18 - argv\n"),
];

/// What cannot be reached by one change of the good journal.
fn others() -> Vec<(Case, String)> {
    let shrunk = GOOD.replace(" 2 2 30 30 ", " 1 2 30 30 ").replace("start assets 1 1 22", "start assets 2 1 22");
    let shrunk = shrunk.replace("assets 1 1 22 22 9", "assets 2 1 22 22 9").replace("done assets 2", "done assets 1");
    vec![
        (case("an older leader comes after", Breach::EpochShrank, "", ""), shrunk),
        (Case { is_doomed: true, ..case("it succeeds", Breach::NeverFailed, "", "") }, GOOD.to_owned()),
    ]
}

fn rules(is_doomed: bool) -> Rules {
    let steps = vec![("migrate".to_owned(), Vec::new()), ("assets".to_owned(), vec!["migrate".to_owned()])];
    let (stale, redis_wait) = (Duration::from_secs(1), Duration::from_secs(2));
    Rules { steps, limit: 3, is_doomed, is_tight: false, is_trusted: true, stale, redis_wait }
}

fn breaches(text: &str, is_doomed: bool) -> Result<BTreeSet<Breach>, String> {
    let findings = judge(&rules(is_doomed), &journal::parse(text)?);
    Ok(findings.into_iter().map(|finding| finding.breach).collect())
}

/// Whether the referee tells good journals from bad ones: how many were tried, or what it said wrongly.
pub(crate) fn run() -> Result<usize, String> {
    for good in [GOOD, EXCUSED] {
        let found = breaches(good, false)?;
        if !found.is_empty() {
            return Err(format!("found {found:?} in this good journal:\n{good}"));
        }
    }
    let of_table = CASES.into_iter().map(|case| {
        assert!(GOOD.contains(case.line), "{}: {:?} is in the good journal", case.name, case.line);
        let text = GOOD.replacen(case.line, case.instead, 1);
        (case, text)
    });
    let (mut count, mut proven) = self_test_times::run(GOOD)?;
    count += 2 + monitor::self_test()?;
    for (case, text) in of_table.chain(others()) {
        let found = breaches(&text, case.is_doomed)?;
        if !found.contains(&case.breach) {
            return Err(format!("{} ({:?}): found {found:?} in\n{text}", case.name, case.breach));
        }
        proven.insert(case.breach);
        count += 1;
    }
    match Breach::ALL.iter().find(|(breach, ..)| !proven.contains(breach)) {
        Some((breach, ..)) => Err(format!("no journal shows {breach:?}")),
        None => Ok(count),
    }
}
