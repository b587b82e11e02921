//! Everything on a volume that a person may ask about, read at one moment. Reads only.

use std::time::Duration;

use crate::protocol::{Occupant, StepId, View};
use crate::settings::Mask;
use crate::volume::{
    Failure, GuardHolder, GuardNote, Marker, MarkerInfo, MarkerKind, Record, StepNotes, UnixMillis, Volume, VolumeError,
};

/// Whether somebody holds the guard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hold {
    Held,
    Free,
    /// It cannot be told from here.
    Unknown,
}

/// What is known of the guard.
#[derive(Clone, Debug)]
pub(super) struct GuardSight {
    pub(super) hold: Hold,
    /// The holder's process, where this kernel shows it to us.
    pub(super) pid: Option<u32>,
    /// Who took the guard last; it may have been given back since.
    pub(super) note: Option<GuardNote>,
}

impl GuardSight {
    pub(super) fn of(volume: &Volume) -> Result<GuardSight, VolumeError> {
        let GuardHolder { pid, note } = volume.guard_holder()?.unwrap_or(GuardHolder { pid: None, note: None });
        // The kernel's table tells without touching anything, but shows other containers' processes to nobody.
        let held = if pid.is_some() { Some(true) } else { volume.is_guard_held() };
        let hold = match held {
            Some(true) => Hold::Held,
            Some(false) => Hold::Free,
            None => Hold::Unknown,
        };
        Ok(GuardSight { hold, pid, note })
    }
}

/// Somebody's unfinished work.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// What its marker says, if it can be read.
    pub(super) marker: Option<Marker>,
    /// The newest claim.
    pub(super) epoch: Option<u64>,
    /// How long ago the last beat was; `None` without a marker.
    pub(super) beat: Option<Duration>,
    /// Silent for too long.
    pub(super) is_stale: bool,
}

impl Work {
    pub(super) fn host(&self) -> Option<&str> {
        Some(self.marker.as_ref()?.replica.as_ref()?.host.as_str())
    }

    /// Who and how long ago, as the end of a sentence.
    pub(super) fn words(&self) -> String {
        let host = self.host().map_or_else(|| "on an unknown host".to_owned(), |host| format!("on host {host}"));
        let beat = self.beat.map(|beat| format!(", last beat {} ago", super::words::span(beat)));
        format!("{host}{}", beat.unwrap_or_default())
    }
}

/// One reading of the volume.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) view: View,
    pub(super) problems: Vec<String>,
    /// By step.
    pub(super) records: Vec<Option<Record>>,
    /// What the steps that are not done tell of themselves, masked.
    pub(super) notes: Vec<StepNotes>,
    pub(super) failure: Option<Failure>,
    pub(super) guard: GuardSight,
    /// Whether ages are by the volume's own clock; else, where we cannot write, by the local one.
    pub(super) has_clock: bool,
    /// Now, by that clock.
    pub(super) now: UnixMillis,
    markers: Vec<MarkerInfo>,
    stale_after: Duration,
}

impl Survey {
    /// Reads the volume. Works on a read-only mount, and for whoever may read.
    pub(super) fn take(volume: &Volume, stale_after: Duration, mask: &Mask) -> Result<Survey, VolumeError> {
        let look = volume.look()?;
        let clock = volume.now();
        let records = volume.plan().ids().map(|id| volume.read_record(id)).collect::<Result<_, _>>()?;
        let markers = volume.markers()?;
        let mut problems: Vec<String> =
            look.problems.into_iter().map(|problem| told_to_outsiders(volume, problem)).collect();
        let others = markers.iter().filter(|marker| marker.kind != MarkerKind::InProgress);
        problems.extend(others.filter_map(|marker| {
            let problem = marker.problem.as_ref()?;
            Some(format!("{} {problem}; it counts by its existence", marker.file_name))
        }));
        let failure = volume.read_failed()?;
        if failure.as_ref().is_some_and(|failure| failure.step.is_empty()) {
            let name = volume.revision().failed_marker();
            problems.push(format!("{name} does not say which step has failed; it counts by its existence"));
        }
        let mut notes = Vec::new();
        for (id, seen) in volume.plan().ids().zip(&look.view.steps) {
            // Those of a step that is done stand in its marker.
            let told = (!seen.done).then(|| volume.read_notes(id, &|text| mask.mask(text).into_owned()));
            let (told, not_understood) = told.unwrap_or_default();
            notes.push(told);
            problems.extend(not_understood);
        }
        Ok(Survey {
            view: look.view,
            problems,
            records,
            notes,
            failure,
            guard: GuardSight::of(volume)?,
            has_clock: clock.is_some(),
            now: clock.unwrap_or_else(UnixMillis::wall_clock),
            markers,
            stale_after,
        })
    }

    /// The marker of our own revision that says this of a step, or of all.
    pub(super) fn marker(&self, kind: MarkerKind, step: Option<&str>, rev: &str) -> Option<&MarkerInfo> {
        let of = |marker: &&MarkerInfo| marker.kind == kind && marker.step.as_deref() == step && marker.rev == rev;
        self.markers.iter().filter(of).max_by_key(|marker| marker.touched)
    }

    /// How long ago a marker was touched.
    pub(super) fn age(&self, marker: &MarkerInfo) -> Duration {
        marker.age.unwrap_or_else(|| marker.touched.until(self.now))
    }

    /// What an occupant is about.
    pub(super) fn work(&self, step: &str, rev: &str, occupant: &Occupant) -> Work {
        let marker = self.marker(MarkerKind::InProgress, Some(step), rev);
        let beat = occupant.age.or_else(|| Some(self.age(marker?)));
        let is_stale = match beat {
            Some(beat) => beat >= occupant.limit(self.stale_after),
            // A bare claim: its leader is about to write the marker, or has died.
            None => self.guard.hold == Hold::Free,
        };
        let epoch = occupant.claims.last().map(|epoch| epoch.0);
        Work { marker: marker.and_then(|marker| marker.content.clone()), epoch, beat, is_stale }
    }

    /// For how long a step is backing off.
    pub(super) fn wait(&self, step: StepId, rev: &str) -> Duration {
        let record = self.records[step.0].as_ref().filter(|record| record.rev == rev);
        let until = record.and_then(|record| record.not_before).map_or(Duration::ZERO, |then| self.now.until(then));
        if self.has_clock { until.min(self.view.steps[step.0].record.wait) } else { until }
    }
}

/// Records are private: to whoever may only look, one that is not readable is nothing to worry about.
fn told_to_outsiders(volume: &Volume, problem: String) -> String {
    let Some((path, _)) = problem.split_once(" cannot be read; ") else { return problem };
    match std::fs::File::open(volume.root().join(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            format!("{path} cannot be read by this user; counts and back-off of that step are not shown")
        }
        _ => problem,
    }
}
