//! The plan of a bootstrap: the steps of a file and those of the program, as one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::step::{Checked, Step};
use crate::driver::{Work, WorkPlan};
use crate::needs::Need;
use crate::protocol::{self, Plan, PlanError, StepId};
use crate::settings::{LoadedPlan, Problem, StepCommand, StepDefaults, plan_digest, read_text, spelling_hint};

/// What holds for steps of a file that do not say otherwise.
const DEFAULTS: StepDefaults = StepDefaults { timeout: None, max_attempts: 3 };

/// Reads a plan file.
pub(super) fn load(path: &Path) -> Result<LoadedPlan, Vec<Problem>> {
    let shown = path.display().to_string();
    match read_text(path) {
        Ok(text) => LoadedPlan::parse(&shown, &text, DEFAULTS),
        Err(error) => Err(vec![Problem::new(shown, format!("cannot be read: {error}"))]),
    }
}

/// Puts the steps of `loaded` and `own` ones together. Every mistake goes to `problems`.
pub(super) fn assemble(
    loaded: Option<LoadedPlan>,
    own: Vec<Step>,
    needs: &[String],
    problems: &mut Vec<Problem>,
) -> Option<WorkPlan> {
    let before = problems.len();
    let names: Vec<String> = own.iter().map(|step| step.name.clone()).collect();
    let mut draft = Draft::of(loaded);
    for step in own {
        match step.check_all() {
            Ok(step) => draft.add(step),
            Err(found) => problems.extend(found),
        }
    }
    draft.order(&names, problems);
    for text in needs {
        match Need::parse(text) {
            Ok(need) => draft.needs.push(need),
            Err(error) => problems.push(Problem::new(format!("need {:?}", shown(text)), error.to_string())),
        }
    }
    let Draft { steps, works, needs, .. } = draft;
    // Without a step that was refused, what is left of the plan looks worse than it is.
    if problems.len() > before && steps.is_empty() {
        return None;
    }
    let called: Vec<String> = steps.iter().map(|step| format!("step {:?}", step.name.as_str())).collect();
    match Plan::new(steps) {
        Ok(plan) => {
            let digest = plan_digest(&plan, &works.iter().map(words).collect::<Vec<_>>());
            Some(WorkPlan { plan: Arc::new(plan), works, needs, digest })
        }
        Err(errors) => {
            problems.extend(errors.iter().map(|error| Problem::new(culprit(error, &called), error.to_string())));
            None
        }
    }
}

/// The steps of a preset, their commands, and what they need.
pub(crate) type CheckedCommands = (Vec<protocol::Step>, Vec<StepCommand>, Vec<Need>);

/// Checks steps that have to be commands, and `needs`.
pub(crate) fn checked_commands(steps: Vec<Step>, needs: &[String]) -> Result<CheckedCommands, Vec<Problem>> {
    let mut problems: Vec<Problem> = steps
        .iter()
        .filter(|step| !step.is_command())
        .map(|step| Problem::new(format!("step {:?}", step.name), "is a function; a preset's steps are commands"))
        .collect();
    let plan = assemble(None, steps, needs, &mut problems);
    match plan {
        Some(WorkPlan { plan, works, needs, .. }) if problems.is_empty() => {
            let steps = plan.iter().map(|(_, step)| step.clone()).collect();
            Ok((steps, works.iter().map(words).collect(), needs))
        }
        _ => Err(problems),
    }
}

/// A need that cannot be used, without what may be a password: all before the last `@`, and what looks like one without it.
fn shown(need: &str) -> String {
    let host_at = need.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = need.split_at(host_at);
    match rest.rsplit_once('@') {
        Some((_user_info, host)) => format!("{scheme}***@{host}"),
        None if rest.starts_with(':') => format!("{scheme}***"),
        None => need.to_owned(),
    }
}

/// Steps on their way to a plan.
#[derive(Default)]
struct Draft {
    steps: Vec<protocol::Step>,
    works: Vec<Work>,
    needs: Vec<Need>,
    /// Of each step of ours, those it waits for.
    after: BTreeMap<StepId, Vec<String>>,
}

impl Draft {
    fn of(loaded: Option<LoadedPlan>) -> Draft {
        let Some(loaded) = loaded else { return Draft::default() };
        let steps = loaded.plan.iter().map(|(_, step)| step.clone()).collect();
        let WorkPlan { works, needs, .. } = loaded.into();
        Draft { steps, works, needs, after: BTreeMap::new() }
    }

    fn add(&mut self, Checked { step, work, after }: Checked) {
        self.after.insert(StepId(self.steps.len()), after);
        self.steps.push(step);
        self.works.push(work);
    }

    /// Finds the predecessors. `written` are the names of our own steps, those that cannot be used as well.
    fn order(&mut self, written: &[String], problems: &mut Vec<Problem>) {
        let ids: BTreeMap<String, StepId> =
            self.steps.iter().enumerate().rev().map(|(index, step)| (step.name.to_string(), StepId(index))).collect();
        for (id, names) in &self.after {
            let step = &mut self.steps[id.0];
            for name in names {
                if let Some(&before) = ids.get(name) {
                    step.after.insert(before);
                } else if !written.contains(name) {
                    let hint = spelling_hint(name, ids.keys().map(String::as_str));
                    let text = format!("comes after {name:?}, but there is no such step{hint}");
                    problems.push(Problem::new(format!("step {:?}", step.name.as_str()), text));
                }
            }
        }
    }
}

/// A step's command. A function has no words that could tell one from another.
fn words(work: &Work) -> StepCommand {
    match work {
        Work::Command(command) => command.clone(),
        Work::Function(_) => StepCommand::default(),
    }
}

fn culprit(error: &PlanError, called: &[String]) -> String {
    match error {
        PlanError::Empty => "plan".to_owned(),
        PlanError::DoubleName { step, .. }
        | PlanError::AmbiguousMarker { step, .. }
        | PlanError::UnknownPredecessor { step, .. }
        | PlanError::Cycle { step, .. }
        | PlanError::NoAttempts { step } => called[step.0].clone(),
    }
}
