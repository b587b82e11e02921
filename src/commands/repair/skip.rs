//! `skip`: a person has done a step by hand.

use super::{GO_ON, Repair, of_volume, perform};
use crate::commands::brief::Refusal;
use crate::exit::Exit;
use crate::preset::Presets;
use crate::protocol::{Epoch, StepId};
use crate::settings::CommandLine;
use crate::volume::{DoneFacts, HistoryKind, How, Run, UnixMillis};

/// Records that a person did a step by hand.
pub(in crate::commands) fn skip(line: &CommandLine, presets: Presets) -> Exit {
    perform(line, presets, |repair| {
        let step = repair.step(line)?.expect("the scanner refuses `skip` without a step");
        repair.skip(step, line.has("force"))
    })
}

impl Repair {
    fn skip(&self, step: StepId, force: bool) -> Result<String, Refusal> {
        self.expect_newest("skip")?;
        let (rev, name) = (self.volume.revision(), self.name(step));
        if self.survey.view.steps[step.0].done {
            return Ok(format!("nothing to skip: step {name} of revision {rev} is done already"));
        }
        self.expect_silence(force)?;
        let epoch = self.epoch()?;
        // By hand or not, work on this revision has begun: an older one must not lead any more.
        self.volume.append_revision().map_err(of_volume)?;
        self.commit(step, epoch)?;
        self.volume.note(HistoryKind::Skipped, epoch, Some(step), Some("done by hand"));
        let mut lines = vec![format!("step {name} of revision {rev} is recorded as done by hand")];
        let failure = self.survey.failure.as_ref();
        if failure.is_some_and(|failure| failure.step == name) {
            self.volume.clear_failed().map_err(of_volume)?;
            lines.push("its failure is cleared".to_owned());
        } else if let Some(failure) = failure {
            let of = if failure.step.is_empty() { "a step" } else { &failure.step };
            lines.push(format!("the failure of {of} stays; `bellwether retry` clears it"));
        }
        let others = self.survey.view.steps.iter().enumerate().filter(|(id, seen)| !seen.done && *id != step.0);
        lines.push(match others.count() {
            0 => "every step is done now; the next replica to lead announces the revision as ready".to_owned(),
            1 => "1 step is left".to_owned(),
            left => format!("{left} steps are left"),
        });
        lines.push(GO_ON.to_owned());
        Ok(lines.join("\n"))
    }

    /// Claims the step, from whoever fell silent if need be, and makes the claim its done marker.
    fn commit(&self, step: StepId, epoch: Epoch) -> Result<(), Refusal> {
        let lost = || {
            let reason = format!("step {} was claimed by somebody else meanwhile; try again", self.name(step));
            Refusal { exit: Exit::TryLater, reason }
        };
        let now = UnixMillis::wall_clock();
        let from = self.occupant(step).map_or(Vec::new(), |occupant| occupant.claims.clone());
        let attempt = self.survey.view.steps[step.0].record.attempts;
        let run = Run { attempt, beat_every: self.settings.stale / 6, started_at: now };
        let mut held = self.volume.claim(step, epoch, &from, &run).map_err(of_volume)?.ok_or_else(lost)?;
        let notes = self.survey.notes[step.0].clone();
        let done = DoneFacts { finished_at: now, duration_ms: 0, how: How::Skipped, notes };
        match self.volume.commit(&mut held, &done) {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost()),
            Err(error) => {
                // A claim that is left would have to fall silent first.
                let _ = self.volume.retract(&held);
                Err(of_volume(error))
            }
        }
    }
}
