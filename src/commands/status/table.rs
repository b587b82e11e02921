//! The report for people.

use std::fmt::Write as _;
use std::time::Duration;

use crate::commands::report::{Guard, Other, Report, State, Step, StepState};
use crate::commands::words::{self, span};
use crate::volume::{Failure, Part};

const HEADING: [&str; 7] = ["STEP", "STATE", "AGE", "LAST BEAT", "ATTEMPT", "TOOK", "NOTE"];

/// All of it.
pub(super) fn render(report: &Report) -> String {
    let mut lines = head(report);
    if report.steps.is_empty() {
        lines.push("\nno step has begun; with BELLWETHER_PLAN set, every step is shown".to_owned());
    } else {
        let rows: Vec<[String; 7]> = report.steps.iter().map(|step| row(step, &report.guard)).collect();
        lines.push(String::new());
        lines.extend(words::with_details(words::table(HEADING, &rows), report.steps.iter().map(notes)));
    }
    lines.extend(section("also at work", report.others.iter().map(other)));
    lines.extend(section("problems", report.problems.iter().cloned()));
    if let (State::Failed, Some(failure)) = (report.state, &report.failure) {
        lines.push(String::new());
        lines.push(describe(failure, &report.revision));
    }
    lines.join("\n")
}

/// What has changed, a line each.
pub(super) fn changes(before: &Report, after: &Report) -> String {
    let was = facts(before);
    let mut text = String::new();
    for (subject, now) in facts(after) {
        let before = was.iter().find(|(other, _)| *other == subject).map(|(_, before)| before);
        if before != Some(&now) {
            let _ = writeln!(text, "{subject}: {now}");
        }
    }
    text
}

fn facts(report: &Report) -> Vec<(String, String)> {
    let mut facts = vec![(format!("revision {}", report.revision), state(report)), guard(&report.guard)];
    facts.extend(
        report
            .lease
            .iter()
            .flat_map(|lease| [("lease".to_owned(), lease.words()), ("redis".to_owned(), lease.source())]),
    );
    facts.extend(report.steps.iter().map(|step| {
        let [_, state, _, _, attempt, _, note] = row(step, &report.guard);
        let attempt = if attempt.is_empty() { attempt } else { format!("attempt {attempt}") };
        let parts: Vec<String> = [state, attempt, note].into_iter().filter(|part| !part.is_empty()).collect();
        (step.name.clone(), parts.join(", "))
    }));
    let parts = report.steps.iter().flat_map(|step| step.notes.parts.iter().map(|part| (&step.name, part)));
    facts.extend(parts.map(|(step, part)| (format!("{step}, {}", part.name), part.words())));
    facts.extend(report.others.iter().map(|other| {
        let state = if other.is_stale { "stale" } else { "in progress" };
        (format!("{} of revision {}", other.step, other.revision), state.to_owned())
    }));
    facts.extend(report.problems.iter().map(|problem| ("problem".to_owned(), problem.clone())));
    facts
}

fn head(report: &Report) -> Vec<String> {
    let (_, guard) = guard(&report.guard);
    let is_local = report.clock == "local" && report.steps.iter().any(|step| step.beat_age_secs.is_some());
    let clock = if is_local { " (not writable here: beats are compared with the local clock)" } else { "" };
    let mut lines = vec![
        format!("revision {}: {}", report.revision, state(report)),
        format!("volume   {}{clock}", report.volume.display()),
        format!("epoch    {}", report.epoch),
        format!("guard    {guard}"),
    ];
    lines.extend(report.lease.iter().flat_map(|lease| {
        [format!("lease    {}{}", lease.words(), lease.left()), format!("redis    {}", lease.source())]
    }));
    lines
}

fn state(report: &Report) -> String {
    let state = match report.state {
        State::Ready => "ready",
        State::Failed => "failed",
        State::InProgress => "in progress",
        State::Waiting => "waiting",
        State::NothingBegun => "nothing begun",
    };
    let since = report.ready_at.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
    let standing = match (&report.superseded_by, report.standing) {
        (Some(newest), _) => format!(", superseded by {newest}"),
        (None, "newest") => ", the newest here".to_owned(),
        (None, _) => ", new here".to_owned(),
    };
    format!("{state}{since}{standing}")
}

fn guard(guard: &Guard) -> (String, String) {
    let taker = guard.last_taken_by.as_ref().map(words::taker);
    let here = guard.pid.map(|pid| format!(" (pid {pid} here)")).unwrap_or_default();
    let text = match (guard.state, taker) {
        ("held", Some(taker)) => format!("held by {taker}{here}"),
        ("held", None) => format!("held{here}"),
        ("free", _) => "nobody holds it".to_owned(),
        (_, Some(taker)) => format!("unknown; last taken by {taker}"),
        (_, None) => "unknown".to_owned(),
    };
    ("guard".to_owned(), text)
}

fn row(step: &Step, guard: &Guard) -> [String; 7] {
    let attempt = match (step.attempt, step.max_attempts) {
        (Some(attempt), Some(most)) => format!("{attempt} of {most}"),
        (Some(attempt), None) => attempt.to_string(),
        (None, _) => String::new(),
    };
    let took = step.duration_ms.map(|millis| span(Duration::from_millis(millis))).unwrap_or_default();
    [
        step.name.clone(),
        step_state(step),
        secs(step.age_secs),
        secs(step.beat_age_secs),
        attempt,
        took,
        note(step, guard),
    ]
}

/// The parts of a step, and how to undo it. A failure's description tells them itself.
fn notes(step: &Step) -> Vec<String> {
    if step.state == StepState::Failed {
        return Vec::new();
    }
    let columns =
        |part: &Part| [part.name.clone(), part.state.word().to_owned(), part.note.clone().unwrap_or_default()];
    let rows: Vec<[String; 3]> = step.notes.parts.iter().map(columns).collect();
    let parts = words::table([""; 3], &rows).into_iter().skip(1);
    parts.chain(words::undo(&step.notes)).collect()
}

fn step_state(step: &Step) -> String {
    match step.state {
        StepState::Done => "done".to_owned(),
        StepState::Failed => "failed".to_owned(),
        StepState::InProgress => "in progress".to_owned(),
        StepState::Stale => "stale".to_owned(),
        StepState::Waiting => format!("waiting for {}", step.waiting_for.join(", ")),
        StepState::BackingOff if step.wait_secs.is_none() => "backing off".to_owned(),
        StepState::BackingOff => format!("backing off, {} left", secs(step.wait_secs)),
        StepState::Open => "not begun".to_owned(),
    }
}

fn note(step: &Step, guard: &Guard) -> String {
    let how = step.how.map(|how| words::how(how).to_owned());
    let on = step.host.as_ref().map(|host| format!("on {host}"));
    let epoch = step.epoch.map(|epoch| format!("epoch {epoch}"));
    let end = step.last_end.as_ref().map(|end| format!("last run: {end}"));
    let parts = match step.state {
        StepState::Done => vec![how, epoch, on],
        StepState::InProgress | StepState::Stale => {
            // Only those who know no claims work without the guard.
            let is_left = step.epoch.is_some() && guard.state == "free";
            vec![epoch, on, is_left.then(|| "its leader is gone".to_owned())]
        }
        _ => vec![end],
    };
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn other(other: &Other) -> String {
    let state = if other.is_stale { "stale" } else { "in progress" };
    let on = other.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    let beat = other.beat_age_secs.map(|_| format!(", last beat {} ago", secs(other.beat_age_secs)));
    format!("{} of revision {}: {state}{on}{}", other.step, other.revision, beat.unwrap_or_default())
}

/// Everything a person needs at three in the morning.
fn describe(failure: &Failure, rev: &str) -> String {
    if failure.step.is_empty() {
        return "a step has failed for good, and its marker cannot be read; see --history and .bellwether/log/\n\
                to go on:\n    bellwether retry"
            .to_owned();
    }
    failure.describe(rev)
}

fn section(title: &str, lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    if lines.is_empty() { lines } else { [vec![format!("\n{title}:")], lines].concat() }
}

fn secs(secs: Option<f64>) -> String {
    secs.map(words::secs).unwrap_or_default()
}
