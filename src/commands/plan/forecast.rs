//! The forecast: what `plan --json` prints. Its keys are stable; values of variables are masked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::verdict::{self, Verdict};
use crate::commands::report::{self, Report, StepState};
use crate::commands::{lease, words};
use crate::protocol::{self, LeaseTimes, StepId, Trust};
use crate::settings::Settings;
use crate::volume::{SCHEMA, TrustFinding, Volume};

/// What would be done about a step by a replica that leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Deed {
    /// It is done.
    Skip,
    Run,
    /// Until something is over.
    Wait,
    /// From somebody who fell silent, and run.
    TakeOver,
    /// It has failed.
    Refuse,
}

#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    pub(super) schema: u32,
    pub(super) plan: String,
    pub(super) digest: String,
    pub(super) revision: String,
    pub(super) volume: PathBuf,
    pub(super) verdict: Verdict,
    pub(super) reason: String,
    pub(super) election: Election,
    /// As in `status --json`; `null`: there is no Redis, or it was not asked, as the verdict does not depend on it.
    pub(super) lease: Option<lease::Lease>,
    pub(super) needs: Vec<String>,
    /// `null`: for ever.
    pub(super) needs_wait_secs: Option<f64>,
    pub(super) steps: Vec<Step>,
    pub(super) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Election {
    /// `lease`, or `guard`: there is no Redis.
    pub(super) by: &'static str,
    /// `null` if the guard elects.
    pub(super) lease: Option<Lease>,
    /// Whether the guard is.
    pub(super) is_trusted: bool,
    pub(super) file_system: String,
    /// Why the guard is trusted, or is not.
    pub(super) reason: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Lease {
    /// The Redis, without user and password.
    pub(super) server: String,
    /// What is elected for; `null`: the volume's id.
    pub(super) scope: Option<String>,
    /// `null` for a replica that never leads, and where `run` would refuse them.
    pub(super) times: Option<Times>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "a number alone would not tell its unit")]
pub(super) struct Times {
    /// How long a lease lasts without renewal.
    pub(super) ttl_secs: f64,
    /// Between two renewals, without the jitter.
    pub(super) heartbeat_secs: f64,
    /// Between TERM and KILL when a step is stopped.
    pub(super) grace_secs: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) action: Deed,
    pub(super) reason: String,
    /// What a preset's program will do, a line each; empty for others.
    pub(super) does: Vec<String>,
    pub(super) run: Vec<String>,
    pub(super) check: Option<Vec<String>>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) after: Vec<String>,
    pub(super) attempts_left: u32,
    pub(super) max_attempts: u32,
    /// `null`: for ever.
    pub(super) timeout_secs: Option<f64>,
}

impl Election {
    /// `elected`: as `run` would have it, unless it would refuse.
    pub(super) fn of(settings: &Settings, finding: &TrustFinding, elected: Option<&protocol::Election>) -> Election {
        let times = match elected {
            Some(protocol::Election::Lease(times)) if settings.may_lead => Some(Times::of(times)),
            _ => None,
        };
        let lease = settings.redis.as_ref().map(|redis| Lease {
            server: redis.server.to_string(),
            scope: redis.scope.as_ref().map(ToString::to_string),
            times,
        });
        Election {
            by: if lease.is_some() { "lease" } else { "guard" },
            lease,
            is_trusted: finding.trust == Trust::Trusted,
            file_system: finding.fs_name.clone(),
            reason: finding.reason.clone(),
        }
    }
}

impl Times {
    fn of(times: &LeaseTimes) -> Times {
        // Each replica's share of the jitter is another one each time.
        let times = times.clone().with_jitter(0);
        Times {
            ttl_secs: times.ttl().as_secs_f64(),
            heartbeat_secs: times.heartbeat().as_secs_f64(),
            grace_secs: times.grace().as_secs_f64(),
        }
    }
}

impl Forecast {
    /// `refusal`: why `run` would refuse this configuration, unless it has nothing left to do. Asks Redis for the lease's
    /// holder if the verdict depends on it.
    pub(super) fn of(
        settings: &Settings,
        election: Election,
        refusal: Option<String>,
        report: &Report,
        volume: &Volume,
    ) -> Forecast {
        let settled = verdict::before_election(settings, refusal, report);
        let redis = settings.redis.as_ref().filter(|_| settled.is_none());
        let lease = redis.map(|redis| lease::Lease::look(redis, volume));
        let (verdict, reason) = settled.unwrap_or_else(|| verdict::of_election(lease.as_ref(), settings, report));
        let plan = &settings.plan;
        Forecast {
            schema: SCHEMA,
            plan: plan.name.clone(),
            digest: plan.digest.clone(),
            revision: report.revision.clone(),
            volume: report.volume.clone(),
            verdict,
            reason,
            election,
            lease,
            needs: plan.needs.iter().map(ToString::to_string).collect(),
            needs_wait_secs: settings.needs_wait.map(|wait| wait.as_secs_f64()),
            steps: plan.plan.ids().map(|id| step(settings, report, id)).collect(),
            problems: report.problems.clone(),
        }
    }
}

fn step(settings: &Settings, report: &Report, id: StepId) -> Step {
    let (plan, mask) = (&settings.plan, &settings.mask);
    let (planned, command, seen) = (plan.plan.step(id), plan.command(id), &report.steps[id.0]);
    let (action, reason) = deed(report, seen);
    let masked = |words: &Vec<String>| words.iter().map(|word| mask.mask(word).into_owned()).collect();
    let counted = match seen.state {
        // The run in progress has been counted already.
        StepState::Done => 0,
        _ => seen.attempt.unwrap_or(0),
    };
    let env = command.env.iter().map(|(name, value)| (name.clone(), mask.mask_variable(name, value).into_owned()));
    Step {
        name: seen.name.clone(),
        action,
        reason,
        does: masked(&command.explanation),
        run: masked(&command.run),
        check: command.check.as_ref().map(masked),
        env: env.collect(),
        cwd: command.cwd.clone(),
        user: command.user.clone(),
        after: planned.after.iter().map(|&after| plan.plan.step(after).name.to_string()).collect(),
        attempts_left: if seen.for_good { 0 } else { planned.max_attempts.saturating_sub(counted) },
        max_attempts: planned.max_attempts,
        timeout_secs: planned.timeout.map(|timeout| timeout.as_secs_f64()),
    }
}

fn deed(report: &Report, step: &report::Step) -> (Deed, String) {
    let on = step.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    let ago = |secs: Option<f64>| secs.map(words::secs).unwrap_or_default();
    let used_up = step.attempt.zip(step.max_attempts).is_some_and(|(attempt, most)| attempt >= most);
    let useless = step.for_good.then_some("its last run has failed for good (exit 78)");
    let refused = useless.or(used_up.then_some("its attempts are used up"));
    match (step.state, refused) {
        (StepState::Done, _) => (Deed::Skip, format!("done ({})", step.how.map_or("nobody says how", words::how))),
        (StepState::Failed, _) => {
            (Deed::Refuse, format!("it has failed for good: {}", step.last_end.as_deref().unwrap_or("")))
        }
        (StepState::InProgress, _) => {
            (Deed::Wait, format!("in progress{on}, last beat {} ago", ago(step.beat_age_secs)))
        }
        (StepState::Waiting, _) => (Deed::Wait, format!("for {}", step.waiting_for.join(", "))),
        (_, Some(refused)) => (Deed::Refuse, refused.to_owned()),
        (StepState::Stale, None) => {
            let beat = step.beat_age_secs.map(|_| format!(" for {}", ago(step.beat_age_secs)));
            (Deed::TakeOver, format!("its leader{on} has been silent{}", beat.unwrap_or_default()))
        }
        (StepState::BackingOff, None) => (Deed::Wait, format!("backing off, {} left", ago(step.wait_secs))),
        (StepState::Open, None) => match somebody_at_work(report) {
            Some(who) => (Deed::Wait, format!("while {who} is in progress")),
            None if step.last_end.is_some() => {
                (Deed::Run, format!("the last run: {}", step.last_end.as_deref().unwrap_or_default()))
            }
            None => (Deed::Run, "not begun".to_owned()),
        },
    }
}

/// A step that beats: nothing else is started beside a predecessor's work.
fn somebody_at_work(report: &Report) -> Option<String> {
    let own = report.steps.iter().find(|step| step.state == StepState::InProgress);
    let other = report.others.iter().find(|other| !other.is_stale);
    let own = own.map(|step| format!("step {}", step.name));
    own.or_else(|| other.map(|other| format!("step {} of revision {}", other.step, other.revision)))
}
