//! The settings: every mistake, as `run` would print it.

use std::ffi::OsStr;
use std::time::Duration;

use crate::exit::Exit;
use crate::finding::Finding;
use crate::preset::Presets;
use crate::settings::{Env, Known, Mask, Overlay, Warm};

const WHAT: &str = "settings";

pub(super) fn findings(known: &Known) -> Vec<Finding> {
    let mut findings: Vec<Finding> = known
        .problems
        .iter()
        .map(|problem| {
            let otherwise = format!("look at {}", problem.culprit());
            Finding::of_message(WHAT, &problem.to_string(), &otherwise, Exit::Usage)
        })
        .collect();
    if let Some(settings) = &known.settings {
        let preset = settings.preset.map(|preset| format!("preset {}, ", preset.name()));
        let count = settings.plan.plan.len();
        let steps = if count == 1 { "step" } else { "steps" };
        let never = if settings.may_lead { "" } else { "; this replica never leads (IS_LEADER)" };
        let seen = format!(
            "revision {}, {}plan {} of {count} {steps}{never}",
            settings.rev,
            preset.unwrap_or_default(),
            settings.plan.name
        );
        findings.push(Finding::ok(WHAT, seen));
    }
    let notices = known.notices.iter().map(|notice| {
        let otherwise = format!("look at {}", notice.variable());
        Finding::of_message(WHAT, &notice.to_string(), &otherwise, Exit::Usage).as_warning()
    });
    findings.extend(notices);
    findings
}

/// They could not be read in time.
pub(super) fn stuck(limit: Duration) -> Finding {
    let seen = format!("could not be read within {} s: a file that they name, or the volume, hangs", limit.as_secs());
    let repair = "look at the mounts of BELLWETHER_PLAN, of the files of secrets and of the volume";
    Finding::fail(WHAT, seen, repair, Exit::VolumeIo)
}

/// What they say without any file being read.
pub(super) fn without_files(overlay: &Overlay, env: &Env, presets: Presets) -> Known {
    let warm = Warm::from(overlay, |name| env.lookup(name).map(OsStr::to_owned), presets).ok();
    let mut mask = Mask::new();
    mask.add_env(env);
    Known {
        settings: None,
        problems: Vec::new(),
        notices: Vec::new(),
        rev: warm.as_ref().map(|warm| warm.rev.clone()),
        volume: warm.map(|warm| warm.volume),
        redis: None,
        stale: None,
        may_lead: true,
        plan: None,
        preset: None,
        mask,
    }
}
