//! What is to be done: the steps of a preset, of a plan file, or of both.

use std::path::Path;

use super::{Check, limit};
use crate::preset::{Preset, PresetBrief, PresetPlan};
use crate::settings::file::read_text;
use crate::settings::number::count;
use crate::settings::pick::Given;
use crate::settings::plan_file::{Base, LoadedPlan, StepDefaults};
use crate::settings::problem::Problem;
use crate::settings::table::names as n;

impl Check<'_> {
    pub(super) fn step_defaults(&mut self) -> StepDefaults {
        // What is wrong has been told; the plan is read all the same, so that its mistakes are told, too.
        let timeout = self.value(n::TIMEOUT, limit).flatten();
        let max_attempts = self.value(n::ATTEMPTS, count).unwrap_or(1);
        StepDefaults { timeout, max_attempts }
    }

    /// The steps of the preset, and of the plan file beside it.
    pub(super) fn plan(&mut self, defaults: StepDefaults, volume: Option<&Path>, may_lead: bool) -> Option<LoadedPlan> {
        let base = match self.preset {
            Some(preset) => self.preset_base(preset, defaults, volume, may_lead),
            None => Some(Base::default()),
        };
        let Some(given) = self.pick(n::PLAN) else { return self.plan_of_base(base?) };
        self.plan_of_file(given, base.unwrap_or_default(), defaults)
    }

    fn preset_base(
        &mut self,
        preset: &'static dyn Preset,
        defaults: StepDefaults,
        volume: Option<&Path>,
        may_lead: bool,
    ) -> Option<Base> {
        let StepDefaults { timeout: step_timeout, max_attempts: step_attempts } = defaults;
        let brief = PresetBrief { env: self.env, volume, may_lead, step_timeout, step_attempts };
        match preset.plan(&brief) {
            Ok(PresetPlan { steps, commands, needs, secrets, notices }) => {
                self.secrets.extend(secrets);
                self.notices.extend(notices);
                Some(Base { name: Some(preset.name().to_owned()), steps, commands, needs })
            }
            Err(problems) => {
                let new = problems.into_iter().filter(|problem| !self.problems.contains(problem));
                let new: Vec<Problem> = new.collect();
                self.problems.extend(new);
                None
            }
        }
    }

    fn plan_of_base(&mut self, base: Base) -> Option<LoadedPlan> {
        if self.preset.is_none() {
            // A preset that is not known has been told.
            if !self.is_set(n::PRESET) {
                let text = "is not set; set it to the plan, a JSON file with the steps, or give --plan, \
                            or name a preset with BELLWETHER_PRESET";
                self.problems.push(Problem::new(n::PLAN, text));
            }
            return None;
        }
        let told = |error| Problem::new(n::PRESET, format!("its steps do not fit each other: {error}"));
        LoadedPlan::of_base(base).map_err(|errors| self.problems.extend(errors.into_iter().map(told))).ok()
    }

    fn plan_of_file(&mut self, given: Given, base: Base, defaults: StepDefaults) -> Option<LoadedPlan> {
        let Given { culprit, text: path } = given;
        let text = match read_text(Path::new(&path)) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(Problem::new(culprit, format!("cannot read {path}: {error}")));
                return None;
            }
        };
        LoadedPlan::parse_beside(base, &path, &text, defaults).map_err(|problems| self.problems.extend(problems)).ok()
    }
}
