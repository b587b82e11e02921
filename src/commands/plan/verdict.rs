//! The verdict: what a replica as a whole would do, and why.

use serde::Serialize;

use crate::commands::lease::Lease;
use crate::commands::report::{Report, State};
use crate::commands::words;
use crate::lease::lease_key;
use crate::protocol::{OnDowngrade, OnFailure};
use crate::settings::Settings;

/// What a replica as a whole would do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Become the command at once.
    HandOff,
    /// Take the guard, after the lease if that elects, and do the work.
    Lead,
    /// Wait for somebody else.
    Follow,
    /// Wait for the lease's key, which holds what is none of ours, or has no end.
    Wait,
    /// End, or stay without becoming the command.
    Refuse,
    /// Redis does not tell who has the lease.
    Unknown,
}

/// What the volume and the settings tell, before anybody is asked. `None`: it would compete for leadership.
pub(super) fn before_election(
    settings: &Settings,
    refusal: Option<String>,
    report: &Report,
) -> Option<(Verdict, String)> {
    let newest = newest(settings, report);
    if report.state == State::Ready && (report.superseded_by.is_none() || newest.is_some()) {
        return Some(when_ready(settings, newest));
    }
    if let Some(refusal) = refusal {
        return Some((Verdict::Refuse, refusal));
    }
    if report.state == State::Failed {
        let hold = match settings.on_failure {
            OnFailure::Exit => "exit 78",
            OnFailure::Hold => "stay, not ready (BELLWETHER_ON_FAILURE=hold)",
        };
        return Some((Verdict::Refuse, format!("a step has failed for good: {hold}; `bellwether retry` clears that")));
    }
    if let Some(newest) = newest {
        let text = format!("superseded by {newest}: it never leads, and waits for its own ready marker");
        return Some((Verdict::Follow, text));
    }
    if !settings.may_lead {
        return Some((Verdict::Follow, "this replica never leads (IS_LEADER is not 1)".to_owned()));
    }
    if report.guard.state == "held" {
        let taker = report.guard.last_taken_by.as_ref().map(words::taker);
        return Some((Verdict::Follow, format!("the guard is held by {}", taker.as_deref().unwrap_or("somebody"))));
    }
    None
}

/// What becomes of a replica that competes. `lease`: as Redis tells; `None`: the guard alone elects.
pub(super) fn of_election(lease: Option<&Lease>, settings: &Settings, report: &Report) -> (Verdict, String) {
    match lease {
        Some(lease) if lease.state != "free" => without_the_lease(lease),
        _ => (Verdict::Lead, how_it_leads(lease, settings, report)),
    }
}

/// The revision that keeps this one from leading.
fn newest<'a>(settings: &Settings, report: &'a Report) -> Option<&'a str> {
    report.superseded_by.as_deref().filter(|_| !settings.allow_rollback)
}

fn when_ready(settings: &Settings, newest: Option<&str>) -> (Verdict, String) {
    match (newest, settings.on_downgrade) {
        (None, _) => (Verdict::HandOff, "the revision is ready".to_owned()),
        (Some(newest), OnDowngrade::Warn) => {
            (Verdict::HandOff, format!("the revision is ready; with a warning, as {newest} has begun since"))
        }
        (Some(newest), OnDowngrade::Refuse) => {
            (Verdict::Refuse, format!("{newest} has begun since (BELLWETHER_ON_DOWNGRADE=refuse)"))
        }
    }
}

fn without_the_lease(lease: &Lease) -> (Verdict, String) {
    let left = lease.left();
    match (&lease.foreign, &lease.holder, lease.left_secs) {
        (Some(value), _, ends) => {
            let repair = if ends.is_none() { repair(lease) } else { String::new() };
            let what = format!("its key holds {value:?}, which is none of ours{left}{repair}");
            (Verdict::Wait, format!("nobody can have the lease: {what}"))
        }
        (None, Some(_), None) => (Verdict::Wait, format!("the lease is {}{left}{}", lease.words(), repair(lease))),
        (None, Some(_), Some(_)) => (Verdict::Follow, format!("the lease is {}{left}", lease.words())),
        (None, None, _) => (Verdict::Unknown, lease.source()),
    }
}

/// What a person can do about a key that does not end by itself.
fn repair(lease: &Lease) -> String {
    let key = lease.scope.as_deref().map(lease_key).unwrap_or_default();
    format!("; look at {key} with redis-cli, and remove it if nobody needs it")
}

fn how_it_leads(lease: Option<&Lease>, settings: &Settings, report: &Report) -> String {
    let guard = if report.guard.state == "free" { "nobody holds the guard" } else { "if nobody holds the guard" };
    let lease = lease.map(|lease| format!("; it asks {} for the lease first", lease.server));
    let rollback = report.superseded_by.as_ref().filter(|_| settings.allow_rollback);
    let rollback = rollback.map(|newest| format!("; it goes back from {newest} (BELLWETHER_ALLOW_ROLLBACK)"));
    format!("{guard}{}{}", lease.unwrap_or_default(), rollback.unwrap_or_default())
}
