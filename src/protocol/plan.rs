//! The plan as the protocol sees it: named steps with an order. What a step *does* is nobody's business here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::names::{MarkerWord, StepName};

/// A step's place in its plan.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StepId(pub usize);

/// One piece of one-off work.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Step {
    /// Its name, unique in the plan.
    pub name: StepName,
    /// The word of its in-progress marker.
    pub in_progress: MarkerWord,
    /// The word of its done marker.
    pub done: MarkerWord,
    /// The steps that must be done before this one starts.
    pub after: BTreeSet<StepId>,
    /// Longest time one run may take; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Runs that may end badly before the step has failed for good; at least 1.
    pub max_attempts: u32,
}

/// Steps with an order (a directed acyclic graph). Cannot be built with a cycle, a double name or ambiguous markers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
}

/// Why a set of steps is no plan. Every variant names the steps by their place, so that a caller can point at them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// There is no step at all.
    #[error("a plan needs at least one step")]
    Empty,
    /// Two steps share a name.
    #[error("the name {name:?} is used twice")]
    DoubleName {
        /// The second of the two.
        step: StepId,
        /// The name.
        name: String,
    },
    /// A file on the volume could belong to two steps (or to the plan itself).
    #[error("the marker word {word:?} could be mistaken for {other:?}; give one of them another name")]
    AmbiguousMarker {
        /// The step whose word is refused.
        step: StepId,
        /// The refused word.
        word: String,
        /// What it could be mistaken for.
        other: String,
    },
    /// A predecessor lies outside the plan.
    #[error("comes after step number {after}, which does not exist")]
    UnknownPredecessor {
        /// The step whose `after` is wrong.
        step: StepId,
        /// The place it names.
        after: usize,
    },
    /// Steps wait for each other.
    #[error("the steps {} wait for each other", names.join(" → "))]
    Cycle {
        /// The first step of the cycle.
        step: StepId,
        /// The names along the cycle, the first repeated at the end.
        names: Vec<String>,
    },
    /// A step that may never be tried.
    #[error("max_attempts is 0; at least one attempt is needed")]
    NoAttempts {
        /// The step.
        step: StepId,
    },
}

impl Plan {
    /// Checks `steps` and makes them a plan.
    ///
    /// # Errors
    ///
    /// Every [`PlanError`] found, not just the first.
    pub fn new(steps: Vec<Step>) -> Result<Plan, Vec<PlanError>> {
        let plan = Plan { steps };
        let mut errors = Vec::new();
        if plan.steps.is_empty() {
            errors.push(PlanError::Empty);
        }
        for (id, step) in plan.iter() {
            if step.max_attempts == 0 {
                errors.push(PlanError::NoAttempts { step: id });
            }
            errors.extend(plan.unknown_predecessors(id, step));
            errors.extend(plan.name_clashes(id, step));
        }
        errors.extend(plan.cycle());
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }

    /// The steps with their ids, in the order of the plan.
    pub fn iter(&self) -> impl Iterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().map(|(index, step)| (StepId(index), step))
    }

    /// The ids of all steps.
    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..self.steps.len()).map(StepId)
    }

    /// How many steps there are.
    #[expect(clippy::len_without_is_empty, reason = "a plan is never empty")]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// One step.
    ///
    /// # Panics
    ///
    /// If `id` belongs to another plan.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0]
    }

    /// The step of that name.
    pub fn find(&self, name: &str) -> Option<StepId> {
        self.iter().find(|(_, step)| step.name.as_str() == name).map(|(id, _)| id)
    }

    fn unknown_predecessors(&self, id: StepId, step: &Step) -> Vec<PlanError> {
        let unknown = step.after.iter().filter(|after| after.0 >= self.steps.len());
        unknown.map(|after| PlanError::UnknownPredecessor { step: id, after: after.0 }).collect()
    }

    /// Names and marker words that could be mistaken for an earlier step's, or for `ready` and `failed`.
    ///
    /// `.a_b` + revision `c` and `.a` + revision `b_c` are the same file, so one word may not begin another at an
    /// underscore. The same holds for names, which claims are made of.
    fn name_clashes(&self, id: StepId, step: &Step) -> Vec<PlanError> {
        let mut errors = Vec::new();
        let mut clash = |word: &str, other: &str| {
            let (word, other) = (word.to_owned(), other.to_owned());
            errors.push(PlanError::AmbiguousMarker { step: id, word, other });
        };
        for reserved in ["ready", "failed"] {
            // `.ready_in_progress_v1` must not read as "revision in_progress_v1 is ready".
            for word in [&step.done, &step.in_progress] {
                if alike(word.as_str(), reserved) {
                    clash(word.as_str(), reserved);
                }
            }
        }
        for (_, earlier) in self.iter().take(id.0) {
            if step.in_progress == earlier.in_progress {
                clash(step.in_progress.as_str(), earlier.in_progress.as_str());
            }
            if alike(step.done.as_str(), earlier.done.as_str()) {
                clash(step.done.as_str(), earlier.done.as_str());
            }
            if step.name != earlier.name && alike(step.name.as_str(), earlier.name.as_str()) {
                clash(step.name.as_str(), earlier.name.as_str());
            }
        }
        for (_, other) in self.iter() {
            // `.a_in_progress_v1` must not read as "a is done in revision in_progress_v1".
            let shown = format!("{}_in_progress", other.in_progress);
            if alike(step.done.as_str(), &shown) {
                clash(step.done.as_str(), other.in_progress.as_str());
            }
            // Nor `.a_in_progress_b_in_progress_v1` as "a is in progress in revision b_in_progress_v1".
            if step.in_progress.as_str() == shown || begins(step.in_progress.as_str(), &shown) {
                clash(step.in_progress.as_str(), other.in_progress.as_str());
            }
        }
        if self.iter().take(id.0).any(|(_, earlier)| earlier.name == step.name) {
            errors.push(PlanError::DoubleName { step: id, name: step.name.to_string() });
        }
        errors
    }

    /// One cycle, if there is any, found by walking back along `after` from every step.
    fn cycle(&self) -> Option<PlanError> {
        let mut finished = BTreeSet::new();
        self.ids().find_map(|id| self.cycle_from(id, &mut Vec::new(), &mut finished))
    }

    fn cycle_from(&self, id: StepId, path: &mut Vec<StepId>, finished: &mut BTreeSet<StepId>) -> Option<PlanError> {
        if let Some(start) = path.iter().position(|&seen| seen == id) {
            let around = path[start..].iter().chain([&id]);
            let mut names: Vec<String> = around.map(|&step| self.step(step).name.to_string()).collect();
            names.reverse();
            return Some(PlanError::Cycle { step: id, names });
        }
        if !finished.insert(id) {
            return None;
        }
        path.push(id);
        let inside = self.step(id).after.iter().filter(|after| after.0 < self.steps.len());
        let found = inside.copied().find_map(|after| self.cycle_from(after, path, finished));
        path.pop();
        found
    }
}

/// Whether two words are equal or one begins the other at an underscore.
fn alike(one: &str, two: &str) -> bool {
    one == two || begins(one, two) || begins(two, one)
}

/// Whether `short` begins the other word at an underscore.
fn begins(long: &str, short: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'))
}

#[cfg(test)]
impl Step {
    /// One for tests, with markers of its name, after the steps in these places.
    pub(crate) fn plain(name: &str, after: &[usize]) -> Step {
        Step {
            name: StepName::parse(name).unwrap(),
            in_progress: MarkerWord::parse(name).unwrap(),
            done: MarkerWord::parse(&format!("{name}_done")).unwrap(),
            after: after.iter().copied().map(StepId).collect(),
            timeout: None,
            max_attempts: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_without_a_cycle_is_a_plan() {
        let plan =
            Plan::new(vec![Step::plain("site", &[]), Step::plain("apps", &[0]), Step::plain("assets", &[])]).unwrap();
        assert_eq!(plan.len(), 3);
        assert_eq!(plan.find("apps"), Some(StepId(1)));
        assert_eq!(plan.step(StepId(1)).after, BTreeSet::from([StepId(0)]));
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut broken = Step::plain("apps", &[7]);
        broken.max_attempts = 0;
        let errors = Plan::new(vec![
            Step::plain("a", &[2]),
            Step::plain("b", &[0]),
            Step::plain("c", &[1]),
            broken,
            Step::plain("apps", &[]),
        ]);
        let texts: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
        let all = texts.join("\n");
        for expected in ["max_attempts is 0", "step number 7", "\"apps\" is used twice", "a → b → c → a"] {
            assert!(all.contains(expected), "{expected} in:\n{all}");
        }
        assert_eq!(Plan::new(Vec::new()), Err(vec![PlanError::Empty]));
    }

    #[test]
    fn words_that_could_name_the_same_file_are_refused() {
        let clash = |first: Step, second: Step| {
            let errors = Plan::new(vec![first, second]).unwrap_err();
            assert!(matches!(errors[..], [PlanError::AmbiguousMarker { .. }, ..]), "{errors:?}");
        };
        clash(Step::plain("a", &[]), Step::plain("a_b", &[]));
        let with_done = |word: &str| Step { done: MarkerWord::parse(word).unwrap(), ..Step::plain("x", &[]) };
        clash(Step::plain("y", &[]), with_done("ready"));
        clash(Step::plain("y", &[]), with_done("failed_badly"));
        clash(Step::plain("y", &[]), with_done("y_in_progress"));
        clash(Step::plain("y", &[]), with_done("y_done"));
        let with_in_progress =
            |word: &str| Step { in_progress: MarkerWord::parse(word).unwrap(), ..Step::plain("x", &[]) };
        for word in ["ready", "failed", "ready_soon", "y_in_progress", "y_in_progress_z"] {
            clash(Step::plain("y", &[]), with_in_progress(word));
        }
    }
}
