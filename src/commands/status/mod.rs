//! `status`: who leads, and every step. Reads only; needs a revision and a volume, and no right but to read. A Redis that
//! cannot be asked is told of, and no more.
//!
//! Replicas that wait leave no trace on the volume, so they are neither shown nor counted.

mod history;
pub(super) mod sketch;
mod table;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::brief::{self, Refusal};
use super::lease::Lease;
use super::report::Report;
use crate::exit::Exit;
use crate::preset::Presets;
use crate::process::boottime;
use crate::settings::{CommandLine, Glance};
use crate::volume::{Replica, Volume, VolumeError};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after a look that took long.
const PAUSE: Duration = Duration::from_millis(250);

/// Puts the cursor in the upper left corner and clears what is below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Shows the status, once or until interrupted.
pub(super) fn status(line: &CommandLine, presets: Presets) -> Exit {
    let glance = match brief::glance(&line.overlay, presets) {
        Ok(glance) => glance,
        Err(problems) => return super::decline(&Refusal::of_problems(&problems)),
    };
    let show = Show { json: line.has("json"), watch: line.has("watch"), redraw: std::io::stdout().is_terminal() };
    let shown = if line.has("history") { history::show(&glance, show) } else { show.steps(&glance) };
    match shown {
        Ok(()) => Exit::Ok,
        Err(error) => super::decline(&Refusal::of_volume(&error)),
    }
}

/// How to show things.
#[derive(Clone, Copy, Debug)]
struct Show {
    json: bool,
    watch: bool,
    /// On a terminal, ages are kept up to date in place.
    redraw: bool,
}

impl Show {
    fn steps(self, glance: &Glance) -> Result<(), VolumeError> {
        let mut before: Option<Report> = None;
        loop {
            let next = boottime::now() + EVERY;
            match read(glance) {
                Ok(report) => {
                    let rest = report.at_rest();
                    let text = self.text(&report, before.as_ref().filter(|before| **before != rest), before.is_none());
                    if !text.is_empty() && !emit(&text) {
                        return Ok(());
                    }
                    before = Some(rest);
                }
                // It may be mounted again.
                Err(error) if self.watch && before.is_some() => super::complain(&crate::exit::chain(&error)),
                Err(error) => return Err(error),
            }
            if !self.watch {
                return Ok(());
            }
            // A Redis that does not answer takes its time out of this.
            std::thread::sleep(next.since(boottime::now()).max(PAUSE));
        }
    }

    /// What to print of a report: all of it, what has changed since `before`, or nothing.
    fn text(self, report: &Report, before: Option<&Report>, is_first: bool) -> String {
        let has_changed = is_first || before.is_some();
        match (self.json, before) {
            (true, _) if !has_changed => String::new(),
            (true, _) if self.watch => serde_json::to_string(report).unwrap_or_default(),
            (true, _) => serde_json::to_string_pretty(report).unwrap_or_default(),
            (false, _) if self.watch && self.redraw => format!("{CLEAR}{}", table::render(report)),
            (false, Some(before)) => table::changes(before, report),
            (false, None) if is_first => table::render(report),
            (false, None) => String::new(),
        }
    }
}

/// The volume with the plan we were told, or the one that its markers tell.
fn volume(glance: &Glance) -> Result<Volume, VolumeError> {
    let plan = match &glance.plan {
        Some(loaded) => Arc::clone(&loaded.plan),
        None => Arc::new(sketch::of(&glance.volume, &glance.rev)),
    };
    let volume = Volume::new(glance.volume.clone(), glance.rev.clone(), plan, Replica::of_this_process());
    volume.check_root()?;
    Ok(volume)
}

fn read(glance: &Glance) -> Result<Report, VolumeError> {
    let volume = volume(glance)?;
    let lease = glance.redis.as_ref().map(|redis| Lease::look(redis, &volume));
    let mut report = Report::read(&volume, glance.stale, &glance.mask, glance.plan.is_some())?.with_lease(lease);
    report.steps.retain(|step| step.name != sketch::NOTHING);
    Ok(report)
}

/// Prints a text. `false`: nobody reads any more.
fn emit(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()).is_ok()
}
