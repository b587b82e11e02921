//! `reset`: a person wants steps to run again.

use super::{GO_ON, Repair, of_volume, perform};
use crate::commands::brief::Refusal;
use crate::exit::Exit;
use crate::preset::Presets;
use crate::protocol::{RecordView, Standing, StepId};
use crate::settings::CommandLine;
use crate::volume::HistoryKind;

/// Removes the markers of this revision: of one step, or of all. What the steps have written down for themselves stays:
/// what they had begun is still there. Works for superseded revisions, too.
pub(in crate::commands) fn reset(line: &CommandLine, presets: Presets) -> Exit {
    perform(line, presets, |repair| {
        let step = repair.step(line)?;
        repair.reset(step, line.has("force"))
    })
}

impl Repair {
    fn reset(&self, only: Option<StepId>, force: bool) -> Result<String, Refusal> {
        self.expect_silence(force)?;
        let plan = self.volume.plan();
        let steps: Vec<StepId> = only.map_or_else(|| plan.ids().collect(), |step| vec![step]);
        let (rev, view) = (self.volume.revision(), &self.survey.view);
        let is_blank = |step: &StepId| {
            let seen = &view.steps[step.0];
            !seen.done && seen.occupant.is_none() && seen.record == RecordView::BLANK
        };
        if !view.ready && !view.failed && steps.iter().all(is_blank) {
            return Ok(format!("nothing to reset: revision {rev} has no such markers here"));
        }
        let epoch = self.epoch()?;
        let removed = self.volume.reset(&steps).map_err(of_volume)?;
        let details = if removed.is_empty() { "counts only".to_owned() } else { removed.join(" ") };
        self.volume.note(HistoryKind::Reset, epoch, only, Some(&details));
        let mut lines: Vec<String> = removed.iter().map(|name| format!("removed {name}")).collect();
        let names: Vec<&str> = steps.iter().map(|&step| self.name(step)).collect();
        lines.push(format!("nothing is known of {} in revision {rev} any more", names.join(", ")));
        lines.extend(steps.iter().filter_map(|&step| self.kept(step)));
        let later: Vec<&str> = only.map_or_else(Vec::new, |step| self.done_after(step));
        if !later.is_empty() {
            lines.push(format!("done all the same, and not run again: {} (after it in the plan)", later.join(", ")));
        }
        lines.push(match &view.standing {
            Standing::Older { newest } => format!("it is superseded by {newest}, so it will not run again"),
            Standing::New | Standing::Newest => GO_ON.to_owned(),
        });
        Ok(lines.join("\n"))
    }

    /// Where a step finds what it had begun, if it has written that down.
    fn kept(&self, step: StepId) -> Option<String> {
        let path = self.volume.data_path(step);
        let is_empty = std::fs::symlink_metadata(&path).ok()?.len() == 0;
        let kept = format!("kept for {}: what it has written down, in {}", self.name(step), path.display());
        (!is_empty).then_some(kept)
    }

    /// The steps that come directly after this one and are done.
    fn done_after(&self, step: StepId) -> Vec<&str> {
        let later = self.volume.plan().iter().filter(|(_, later)| later.after.contains(&step));
        later.filter(|(id, _)| self.survey.view.steps[id.0].done).map(|(_, later)| later.name.as_str()).collect()
    }
}
