//! The volume: that it is there, whether its locks hold, whether one can lead on it, and what its markers say.

use std::sync::Arc;
use std::time::Duration;

use crate::commands::brief;
use crate::commands::report::{Report, State};
use crate::commands::status::sketch;
use crate::driver::{FORGOTTEN, MOUNT};
use crate::exit::{Exit, chain};
use crate::finding::Finding;
use crate::protocol::{OnDowngrade, Trust};
use crate::settings::Known;
use crate::volume::{Replica, TrustFinding, TrustKind, Volume, VolumeError};

const WHAT: &str = "volume";
/// Of the markers' silence, where the settings do not say.
const STALE: Duration = Duration::from_secs(120);
/// Something that is not as we would have made it.
const LOOK: &str = "`bellwether status` shows all of it";

pub(super) fn look(known: &Known, tell: &dyn Fn(Finding)) {
    let (Some(root), Some(rev)) = (&known.volume, &known.rev) else {
        let seen = "not looked at: the revision that it is for is not known";
        return tell(Finding::warn(WHAT, seen, "mend IMAGE_REV first"));
    };
    let plan = match &known.plan {
        Some(loaded) => Arc::clone(&loaded.plan),
        None => Arc::new(sketch::of(root, rev)),
    };
    let volume = Volume::new(root.clone(), rev.clone(), plan, Replica::of_this_process());
    if let Err(error) = volume.check_root() {
        return tell(refusal(WHAT, &error));
    }
    let finding = match trust(known, &volume) {
        Ok(finding) => finding,
        Err(error) => return tell(refusal(WHAT, &error)),
    };
    look_at_locks(known, &volume, &finding, tell);
    try_leading(known, &volume, &finding, tell);
    match volume.free_space() {
        Ok((_, Some(warning))) => tell(Finding::warn(WHAT, warning, "free some space, or enlarge the volume")),
        Ok((free, None)) => tell(Finding::ok(WHAT, format!("{} MiB are free", free / (1024 * 1024)))),
        Err(error) => tell(refusal(WHAT, &error)),
    }
    match Report::read(&volume, known.stale.unwrap_or(STALE), &known.mask, known.plan.is_some()) {
        Ok(report) => look_at_revision(known, &volume, &report, tell),
        Err(error) => tell(refusal("revision", &error)),
    }
}

/// What `run` would say of it, and end with.
fn refusal(what: &str, error: &VolumeError) -> Finding {
    let text = error.to_string();
    let finding = Finding::of_message(what, &text, "look at the volume", Exit::of_fault(error.fault()));
    let cause = chain(error).strip_prefix(&text).unwrap_or_default().to_owned();
    Finding { seen: finding.seen.clone() + &cause, ..finding }
}

fn trust(known: &Known, volume: &Volume) -> Result<TrustFinding, VolumeError> {
    match &known.settings {
        Some(settings) => volume.trust(brief::asked_trust(settings)),
        None => volume.trust(None),
    }
}

fn look_at_locks(known: &Known, volume: &Volume, finding: &TrustFinding, tell: &dyn Fn(Finding)) {
    if finding.kind == TrustKind::Forgotten {
        tell(Finding::warn(WHAT, FORGOTTEN, format!("{MOUNT}: {}", volume.root().display())));
    }
    let configured = known.settings.as_ref().map(|settings| (settings, brief::config(settings, volume, finding.trust)));
    if let Some((settings, Err(error))) = configured {
        return tell(Finding::of_message(WHAT, &brief::explain(&error, settings, finding), LOOK, Exit::Usage));
    }
    let seen = format!("{}: {}", volume.root().display(), finding.reason);
    tell(match finding.trust {
        Trust::Trusted => Finding::ok(WHAT, format!("{seen}; the guard is trusted")),
        Trust::NotTrusted => Finding::warn(
            WHAT,
            format!("{seen}; the guard is not trusted, so steps are stopped before their lease ends"),
            "if you know that its locks hold between all replicas, set BELLWETHER_VOLUME_LOCKS=trusted",
        ),
    });
}

/// Who never leads may have a volume that cannot be written.
fn try_leading(known: &Known, volume: &Volume, finding: &TrustFinding, tell: &dyn Fn(Finding)) {
    let error = match volume.try_leading() {
        Ok(()) => return tell(Finding::ok(WHAT, "this user can create, rename, link, lock, sync and remove files")),
        Err(error) => error,
    };
    if !known.may_lead {
        return tell(Finding::ok(WHAT, format!("{}, which a replica that never leads need not", chain(&error))));
    }
    if !error.is_for_want_of_locks() {
        return tell(refusal(WHAT, &error));
    }
    if finding.trust == Trust::Trusted {
        let seen = format!("its file system has no locks, though they are trusted: {}", chain(&error));
        let repair = "mount it with locks, or set BELLWETHER_VOLUME_LOCKS=untrusted, with a Redis";
        tell(Finding::fail(WHAT, seen, repair, Exit::of_fault(error.fault())));
    }
}

fn look_at_revision(known: &Known, volume: &Volume, report: &Report, tell: &dyn Fn(Finding)) {
    let rev = &report.revision;
    let what = "revision";
    tell(match report.state {
        State::Failed => {
            let text = volume.describe_failure();
            let (seen, rest) = text.split_once('\n').unwrap_or((&text, LOOK));
            Finding::fail(what, seen, rest, Exit::StepFailed)
        }
        State::Ready => {
            let since = report.ready_at.as_ref().map(|at| format!(" since {at}")).unwrap_or_default();
            Finding::ok(what, format!("{rev} is ready{since}: replicas start at once"))
        }
        State::InProgress => Finding::ok(what, format!("{rev} is in progress: somebody is at work")),
        State::Waiting => Finding::ok(what, format!("{rev} has begun, and nobody is at work on it now")),
        State::NothingBegun => Finding::ok(what, format!("nothing of {rev} has begun here")),
    });
    if let Some(newest) = &report.superseded_by {
        let seen = format!("{newest} has begun since, so {rev} does not lead");
        let repair = format!("set IMAGE_REV={newest}, or BELLWETHER_ALLOW_ROLLBACK=1 to go back to {rev}");
        let settings = known.settings.as_ref();
        let is_refused = settings.is_some_and(|settings| settings.on_downgrade == OnDowngrade::Refuse);
        let goes_back = settings.is_some_and(|settings| settings.allow_rollback);
        tell(if is_refused && !goes_back && report.state == State::Ready {
            Finding::fail(what, seen, repair, Exit::Usage)
        } else {
            Finding::warn(what, seen, repair)
        });
    }
    report.problems.iter().for_each(|problem| tell(Finding::warn(what, problem, LOOK)));
}
