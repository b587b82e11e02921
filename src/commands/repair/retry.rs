//! `retry`: a person has repaired what made a step fail.

use super::{GO_ON, Repair, of_volume, perform};
use crate::commands::brief::Refusal;
use crate::exit::Exit;
use crate::preset::Presets;
use crate::protocol::StepId;
use crate::settings::CommandLine;
use crate::volume::{HistoryKind, Record};

/// Clears the failure of this revision and counts attempts from zero.
pub(in crate::commands) fn retry(line: &CommandLine, presets: Presets) -> Exit {
    perform(line, presets, |repair| repair.retry(line.has("force")))
}

impl Repair {
    fn retry(&self, force: bool) -> Result<String, Refusal> {
        self.expect_newest("retry")?;
        self.expect_silence(force)?;
        let rev = self.volume.revision();
        let counted = self.counted();
        let failed = self.survey.view.failed;
        if counted.is_empty() && !failed {
            return Ok(format!("nothing to retry: no step of revision {rev} has failed, and no attempt is counted"));
        }
        let epoch = self.epoch()?;
        // The counts come first: a failure cleared alone would be back at once.
        for (step, record) in &counted {
            let record = Record {
                epoch: epoch.0,
                attempts: 0,
                not_before: None,
                deferred_ms: 0,
                for_good: false,
                ..record.clone()
            };
            self.volume.write_record(*step, &record).map_err(of_volume)?;
        }
        if failed {
            self.volume.clear_failed().map_err(of_volume)?;
        }
        let failure = self.survey.failure.as_ref().filter(|failure| failed && !failure.step.is_empty());
        let step = failure.and_then(|failure| self.volume.plan().find(&failure.step));
        let mut lines = Vec::new();
        if failed {
            let of = failure.map_or_else(String::new, |failure| format!(" of step {}", failure.step));
            lines.push(format!("revision {rev}: the failure{of} is cleared"));
        }
        for (step, record) in &counted {
            lines.push(format!("step {}: attempts count from zero (there were {})", self.name(*step), record.attempts));
        }
        let counts: Vec<String> =
            counted.iter().map(|(step, record)| format!("{} had {}", self.name(*step), record.attempts)).collect();
        let details = format!("attempts to zero: {}", counts.join(", "));
        self.volume.note(
            HistoryKind::Retried,
            epoch,
            step,
            Some(&details).filter(|_| !counts.is_empty()).map(|d| &**d),
        );
        lines.push(GO_ON.to_owned());
        Ok(lines.join("\n"))
    }

    /// The records of this revision in which something is counted.
    fn counted(&self) -> Vec<(StepId, Record)> {
        let rev = self.volume.revision().as_str();
        let of = |step: StepId| Some((step, self.survey.records[step.0].clone()?));
        let ours = self.volume.plan().ids().filter(|step| !self.survey.view.steps[step.0].done).filter_map(of);
        let counted = |record: &Record| {
            record.attempts > 0 || record.deferred_ms > 0 || record.not_before.is_some() || record.for_good
        };
        ours.filter(|(_, record)| record.rev == rev && counted(record)).collect()
    }
}
