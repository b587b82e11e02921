//! What a person does to a volume: `retry`, `skip`, `reset`.
//!
//! Each takes lease and guard like a leader, without waiting for them, looks, acts under an epoch of its own, and lets
//! go. `--force` overrides courtesy towards a step that may still be at work; never lease or guard.

#[cfg(feature = "redis")]
mod lease;
#[cfg(not(feature = "redis"))]
#[path = "no_lease.rs"]
mod lease;
mod reset;
mod retry;
mod skip;

use std::cell::OnceCell;
use std::time::Duration;

use super::brief::{self, Refusal};
use super::survey::Survey;
use super::{complain, print, words};
use crate::exit::Exit;
use crate::preset::Presets;
use crate::protocol::{ConfigError, Election, Epoch, Occupant, Standing, StepId, Trust};
use crate::settings::{CommandLine, Settings};
use crate::volume::{Guard, TrustKind, Volume, VolumeError};

use lease::HeldLease;
pub(super) use reset::reset;
pub(super) use retry::retry;
pub(super) use skip::skip;

/// `status` holds the guard for an instant when it tries it; that must not look like a leader.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// What to do after a repair.
const GO_ON: &str = "a replica that is waiting goes on by itself; if none is, start or restart one";

/// A person at work on the volume, with the guard in hand.
#[derive(Debug)]
struct Repair {
    settings: Settings,
    volume: Volume,
    // Closed before the lease is released: fields are dropped in this order.
    guard: Guard,
    lease: Option<HeldLease>,
    survey: Survey,
    /// Allotted when something is about to be written.
    epoch: OnceCell<Epoch>,
}

/// Runs a repair and tells how it went.
fn perform(line: &CommandLine, presets: Presets, act: impl FnOnce(&Repair) -> Result<String, Refusal>) -> Exit {
    let settings = match brief::settings(&line.overlay, presets) {
        Ok((settings, _)) => settings,
        Err(problems) => return super::decline(&Refusal::of_problems(&problems)),
    };
    match Repair::begin(settings).and_then(|repair| act(&repair)) {
        Ok(text) => {
            print(&text);
            Exit::Ok
        }
        Err(refusal) => super::decline(&refusal),
    }
}

impl Repair {
    /// Takes the guard and looks.
    fn begin(settings: Settings) -> Result<Repair, Refusal> {
        let volume = brief::volume(&settings);
        let finding = brief::trust(&settings, &volume)?;
        let explained = |error| Refusal { exit: Exit::Usage, reason: brief::explain(&error, &settings, &finding) };
        let config = brief::config(&settings, &volume, finding.trust).map_err(explained)?;
        let election = config.election();
        if *election == Election::Guard && finding.trust == Trust::NotTrusted {
            return Err(explained(ConfigError::GuardNotTrusted));
        }
        if finding.kind == TrustKind::Forgotten {
            complain(&format!(
                "{} is no mounted volume but lies in this container's own layer",
                volume.root().display()
            ));
        }
        let prepared = volume.prepare(volume.replica().id).map_err(of_volume)?;
        prepared.warnings.iter().for_each(|warning| complain(warning));
        let lease = lease::take(&settings, &volume, election, finding.trust, prepared.id)?;
        let guard = take_guard(&volume)?;
        let survey = Survey::take(&volume, config.stale_after(), &settings.mask).map_err(of_volume)?;
        Ok(Repair { settings, volume, guard, lease, survey, epoch: OnceCell::new() })
    }

    /// The epoch of this repair. Asked for before anything is written: refuses if it is too late for that.
    fn epoch(&self) -> Result<Epoch, Refusal> {
        if let Some(&epoch) = self.epoch.get() {
            return Ok(epoch);
        }
        self.lease.as_ref().map_or(Ok(()), HeldLease::expect_valid)?;
        let heard_of = self.lease.as_ref().map_or(Epoch(0), HeldLease::epoch);
        let epoch = self.volume.allot_epoch(self.survey.view.epoch.max(heard_of)).map_err(of_volume)?;
        // Whoever waits is told that it is us; not worth failing for.
        let _ = self.guard.describe(epoch);
        Ok(*self.epoch.get_or_init(|| epoch))
    }

    /// Only the newest revision may be worked on; `act` is what was to be done.
    fn expect_newest(&self, act: &str) -> Result<(), Refusal> {
        let Standing::Older { newest } = &self.survey.view.standing else { return Ok(()) };
        let rev = self.volume.revision();
        let reason = format!(
            "revision {rev} is superseded by {newest}, so there is nothing to {act}: only the newest revision is \
             worked on; set IMAGE_REV={newest}"
        );
        Err(Refusal { exit: Exit::Usage, reason })
    }

    /// Refuses while a step, of whatever revision, may still be at work: without the guard, but beating not long ago.
    fn expect_silence(&self, force: bool) -> Result<(), Refusal> {
        if force {
            return Ok(());
        }
        let view = &self.survey.view;
        let rev = self.volume.revision();
        let own = self.volume.plan().iter().zip(&view.steps);
        let own = own.filter_map(|((_, step), seen)| Some((step.name.as_str(), rev, seen.occupant.as_ref()?)));
        let foreign = view.foreign.iter().map(|foreign| (foreign.step.as_str(), &foreign.rev, &foreign.occupant));
        for (step, rev, occupant) in own.chain(foreign) {
            let work = self.survey.work(step, rev.as_str(), occupant);
            // A bare claim beside a guard that is ours has been left.
            if work.beat.is_some() && !work.is_stale {
                let after = words::span(occupant.limit(self.settings.stale));
                let reason = format!(
                    "step {step} of revision {rev} is in progress {}; nothing was touched. It counts as abandoned \
                     after {after} of silence (STEP_STALE_SECS); wait, or give --force if you know that nobody is at it",
                    work.words()
                );
                return Err(Refusal { exit: Exit::TryLater, reason });
            }
        }
        Ok(())
    }

    /// The step that `--step` names.
    fn step(&self, line: &CommandLine) -> Result<Option<StepId>, Refusal> {
        let Some(name) = &line.step else { return Ok(None) };
        let name = name.to_string_lossy();
        let found = self.volume.plan().find(&name);
        found.map(Some).ok_or_else(|| {
            let known: Vec<&str> = self.volume.plan().iter().map(|(_, step)| step.name.as_str()).collect();
            let reason = format!("--step: there is no step {name:?} in the plan; its steps are {}", known.join(", "));
            Refusal { exit: Exit::Usage, reason }
        })
    }

    fn name(&self, step: StepId) -> &str {
        self.volume.plan().step(step).name.as_str()
    }

    fn occupant(&self, step: StepId) -> Option<&Occupant> {
        self.survey.view.steps[step.0].occupant.as_ref()
    }
}

fn take_guard(volume: &Volume) -> Result<Guard, Refusal> {
    let mut guard = volume.open_guard().map_err(of_volume)?;
    for attempt in 1..=TRIES {
        if guard.try_take().map_err(of_volume)? {
            return Ok(guard);
        }
        if attempt < TRIES {
            std::thread::sleep(BETWEEN_TRIES);
        }
    }
    let holder = volume.guard_holder().ok().flatten();
    let pid = holder.as_ref().and_then(|holder| holder.pid).map(|pid| format!(" (pid {pid} here)"));
    let taker = holder.and_then(|holder| holder.note).map_or_else(|| "somebody".to_owned(), |note| words::taker(&note));
    let reason = format!(
        "the guard on {} is held by {taker}{}; nothing was touched. Stop that replica, or wait until it is through",
        volume.root().display(),
        pid.unwrap_or_default()
    );
    Err(Refusal { exit: Exit::TryLater, reason })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_volume(error: VolumeError) -> Refusal {
    Refusal::of_volume(&error)
}
