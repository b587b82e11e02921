//! The plan file: JSON in, a plan with commands out, or every mistake with its line and column.

mod digest;
mod source;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::source::{Source, Value};
use self::step::Draft;
use super::problem::Problem;
use super::spelling;
use crate::needs::Need;
use crate::protocol::{Plan, PlanError, Step, StepId};

/// The JSON Schema (draft 2020-12) of plan files.
///
/// It cannot say everything: cycles, unknown predecessors, double names and markers that could be mistaken for one
/// another are found by [`LoadedPlan::parse`] only.
pub const PLAN_SCHEMA: &str = include_str!("../plan.schema.json");

/// More steps than any plan has; keeps the checks of all pairs short.
const MOST_STEPS: usize = 1000;

const KEYS: &[&str] = &["name", "needs", "steps", "$schema"];

/// What a step runs, and how. `Debug` does not show values of `env`, because they may be secret.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct StepCommand {
    /// The program and its arguments; never empty.
    pub run: Vec<String>,
    /// A program that ends with 0 if there is nothing to do.
    pub check: Option<Vec<String>>,
    /// Variables added to the replica's own.
    pub env: BTreeMap<String, String>,
    /// The directory to run in; else the replica's own.
    pub cwd: Option<PathBuf>,
    /// The user to run as; else the replica's own.
    pub user: Option<String>,
    /// What the program will do, a line each, for people who ask `bellwether plan`; none in a plan file. Not part of the
    /// digest.
    pub explanation: Vec<String>,
}

/// A plan with everything that the protocol does not care about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoadedPlan {
    /// The steps and their order.
    pub plan: Arc<Plan>,
    /// What each step runs, by [`StepId`].
    pub commands: Vec<StepCommand>,
    /// What to wait for before leading.
    pub needs: Vec<Need>,
    /// What the plan is called; `plan` if it does not say.
    pub name: String,
    /// 16 hexadecimal digits that change when the work of the plan changes: names, order, markers, commands; not
    /// layout, needs, limits or the values of secret variables. FNV-1a: no protection against forgery.
    pub digest: String,
}

/// What the steps of a file are added to: those of a preset.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// What the plan is called if the file does not say.
    pub(super) name: Option<String>,
    pub(super) steps: Vec<Step>,
    pub(super) commands: Vec<StepCommand>,
    pub(super) needs: Vec<Need>,
}

/// What holds for steps that do not say otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StepDefaults {
    /// Longest time of one run; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Runs that may end badly; at least 1.
    pub max_attempts: u32,
}

/// The digest of a plan's work, as in [`LoadedPlan::digest`]; a step without words is none of a file's.
pub(crate) fn plan_digest(plan: &Plan, commands: &[StepCommand]) -> String {
    digest::of(plan, commands)
}

impl LoadedPlan {
    /// Reads a plan. `path` is what messages call the file.
    ///
    /// # Errors
    ///
    /// Every mistake in it, in the order of the file, with line and column (counted in characters from 1).
    pub fn parse(path: &str, text: &str, defaults: StepDefaults) -> Result<LoadedPlan, Vec<Problem>> {
        LoadedPlan::parse_beside(Base::default(), path, text, defaults)
    }

    /// Reads a plan whose steps are added to those of `base` and may come after them.
    ///
    /// # Errors
    ///
    /// As [`LoadedPlan::parse`].
    pub(super) fn parse_beside(
        base: Base,
        path: &str,
        text: &str,
        defaults: StepDefaults,
    ) -> Result<LoadedPlan, Vec<Problem>> {
        let mut source = Source::new(path, text);
        let loaded = read_document(&mut source, base, defaults);
        match loaded {
            Some(plan) if source.is_flawless() => Ok(plan),
            _ => Err(source.into_problems()),
        }
    }

    /// A plan without a file.
    ///
    /// # Errors
    ///
    /// How its steps do not fit each other.
    pub(super) fn of_base(base: Base) -> Result<LoadedPlan, Vec<PlanError>> {
        let Base { name, steps, commands, needs } = base;
        let plan = Plan::new(steps)?;
        Ok(LoadedPlan::new(plan, commands, needs, name))
    }

    fn new(plan: Plan, commands: Vec<StepCommand>, needs: Vec<Need>, name: Option<String>) -> LoadedPlan {
        let digest = digest::of(&plan, &commands);
        LoadedPlan { plan: Arc::new(plan), commands, needs, name: name.unwrap_or_else(|| "plan".to_owned()), digest }
    }

    /// What a step runs.
    ///
    /// # Panics
    ///
    /// If `id` belongs to another plan.
    pub fn command(&self, id: StepId) -> &StepCommand {
        &self.commands[id.0]
    }
}

fn read_document(source: &mut Source<'_>, base: Base, defaults: StepDefaults) -> Option<LoadedPlan> {
    let document = source.document()?;
    let members = source.object("a plan", document)?;
    let Base { mut name, steps, commands, mut needs } = base;
    let (mut drafts, mut meant) = (None, Vec::new());
    for (key, place, value) in members {
        match key.as_str() {
            "name" => name = source.text_of("\"name\"", value).or(name),
            "needs" => needs.extend(read_needs(source, value)),
            "steps" => drafts = Some(read_steps(source, value)),
            // Editors look it up; it says nothing to us.
            "$schema" => drop(source.text_of("\"$schema\"", value)),
            _ => {
                meant.extend(spelling::nearest(&key, KEYS.iter().copied()));
                source.complain(place, format!("unknown key {key:?}{}", spelling::hint(&key, KEYS.iter().copied())));
            }
        }
    }
    if drafts.is_none() && !meant.contains(&"steps") {
        source.complain(document.get(), "the plan has no \"steps\"");
    }
    let (plan, commands) = assemble(source, (steps, commands), drafts?, defaults)?;
    Some(LoadedPlan::new(plan, commands, needs, name))
}

fn read_needs<'a>(source: &mut Source<'a>, value: Value<'a>) -> Vec<Need> {
    let mut needs = Vec::new();
    for element in source.list("\"needs\"", value).unwrap_or_default() {
        match source.text_of("a need", element).map(|text| Need::parse(&text)) {
            Some(Ok(need)) => needs.push(need),
            Some(Err(error)) => source.complain(element.get(), format!("the need {error}")),
            None => {}
        }
    }
    needs
}

fn read_steps<'a>(source: &mut Source<'a>, value: Value<'a>) -> Vec<Draft<'a>> {
    let Some(elements) = source.list("\"steps\"", value) else { return Vec::new() };
    if elements.is_empty() {
        source.complain(value.get(), PlanError::Empty.to_string());
    }
    if elements.len() > MOST_STEPS {
        let text = format!("a plan may have {MOST_STEPS} steps, not {}; let one step do more", elements.len());
        source.complain(value.get(), text);
        return Vec::new();
    }
    elements.into_iter().filter_map(|element| Draft::read(source, element)).collect()
}

/// Makes a plan of the steps that are there already and of those of the file that can be told apart, and says what is
/// wrong with their order and their markers.
fn assemble(
    source: &mut Source<'_>,
    (mut steps, mut commands): (Vec<Step>, Vec<StepCommand>),
    drafts: Vec<Draft<'_>>,
    defaults: StepDefaults,
) -> Option<(Plan, Vec<StepCommand>)> {
    let is_usable = |draft: &Draft<'_>| draft.name.is_some() && draft.in_progress.is_some() && draft.done.is_some();
    let written: Vec<(String, bool)> =
        drafts.iter().filter_map(|draft| Some((draft.written_name.clone()?, is_usable(draft)))).collect();
    let (usable, _): (Vec<_>, Vec<_>) = drafts.into_iter().partition(is_usable);
    let first = steps.len();
    let of_file = usable.iter().map(|draft| draft.written_name.clone());
    let names = steps.iter().map(|step| Some(step.name.to_string())).chain(of_file);
    let ids: Vec<(String, StepId)> =
        names.enumerate().filter_map(|(index, name)| Some((name?, StepId(index)))).collect();
    // The first of a name that is there twice.
    let ids: BTreeMap<String, StepId> = ids.into_iter().rev().collect();
    for draft in &usable {
        steps.push(Step {
            name: draft.name.clone()?,
            in_progress: draft.in_progress.clone()?,
            done: draft.done.clone()?,
            after: predecessors(source, draft, &ids, &written),
            timeout: draft.timeout.or(defaults.timeout).filter(|timeout| !timeout.is_zero()),
            max_attempts: draft.max_attempts.unwrap_or(defaults.max_attempts),
        });
    }
    if steps.is_empty() {
        return None;
    }
    match Plan::new(steps) {
        Ok(plan) => {
            commands.extend(usable.into_iter().map(|draft| draft.command));
            Some((plan, commands))
        }
        Err(errors) => {
            point_out(source, &Drafts { first, of_file: &usable }, &errors);
            None
        }
    }
}

/// What a step comes after. A step that exists but cannot be used has been told already.
fn predecessors(
    source: &mut Source<'_>,
    draft: &Draft<'_>,
    ids: &BTreeMap<String, StepId>,
    written: &[(String, bool)],
) -> BTreeSet<StepId> {
    let mut after = BTreeSet::new();
    for (name, place) in &draft.after {
        match ids.get(name) {
            Some(&id) => drop(after.insert(id)),
            None if source.is_full() || written.iter().any(|(written, _)| written == name) => {}
            None => {
                let hint = spelling::hint(name, ids.keys().map(String::as_str));
                source.complain(place, format!("comes after {name:?}, but there is no such step{hint}"));
            }
        }
    }
    after
}

/// The steps of a file, found by their place in the whole plan.
struct Drafts<'a, 'b> {
    first: usize,
    of_file: &'b [Draft<'a>],
}

impl<'a, 'b> Drafts<'a, 'b> {
    /// `None`: the step is none of the file's.
    fn find(&self, id: StepId) -> Option<&'b Draft<'a>> {
        self.of_file.get(id.0.checked_sub(self.first)?)
    }
}

fn point_out(source: &mut Source<'_>, drafts: &Drafts<'_, '_>, errors: &[PlanError]) {
    let doubles: BTreeSet<StepId> = errors
        .iter()
        .filter_map(|error| match error {
            PlanError::DoubleName { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    for error in errors {
        let step = match error {
            PlanError::Empty => continue,
            PlanError::DoubleName { step, .. }
            | PlanError::AmbiguousMarker { step, .. }
            | PlanError::UnknownPredecessor { step, .. }
            | PlanError::Cycle { step, .. }
            | PlanError::NoAttempts { step } => step,
        };
        // Steps that were there before the file were checked; it is always a later one that does not fit.
        let Some(draft) = drafts.find(*step) else { continue };
        let place = match error {
            PlanError::Empty => continue,
            PlanError::DoubleName { .. } => draft.place("name"),
            PlanError::AmbiguousMarker { word, .. } => {
                let given = [("done", &draft.done), ("in_progress", &draft.in_progress)];
                let written = given.iter().find(|(key, value)| {
                    draft.places.contains_key(*key) && value.as_ref().is_some_and(|value| value.as_str() == word)
                });
                // Two steps of one name have the same markers: told once, as the double name.
                if written.is_none() && doubles.contains(step) {
                    continue;
                }
                draft.place(written.map_or("name", |(key, _)| key))
            }
            PlanError::UnknownPredecessor { .. } | PlanError::Cycle { .. } => draft.place("after"),
            PlanError::NoAttempts { .. } => draft.place("max_attempts"),
        };
        source.complain(place, error.to_string());
    }
}

impl fmt::Debug for StepCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepCommand { run, check, env, cwd, user, explanation } = self;
        let names: Vec<&String> = env.keys().collect();
        f.debug_struct("StepCommand")
            .field("run", run)
            .field("check", check)
            .field("env", &names)
            .field("cwd", cwd)
            .field("user", user)
            .field("explanation", explanation)
            .finish()
    }
}

#[cfg(test)]
mod tests;
