//! Plan files.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether::Problem;
use bellwether::protocol::Revision;
use bellwether::settings::{LoadedPlan, StepDefaults};

use super::{is_message, is_password_alone, is_sentence};

pub(crate) const PATH: &str = "shop/plan.json";
pub(crate) const DEFAULTS: StepDefaults = StepDefaults { timeout: Some(Duration::from_secs(5)), max_attempts: 3 };

/// What mutations begin with.
pub(crate) const SEEDS: &[&str] = &[
    r#"{"steps":[{"name":"a","run":["x"]}]}"#,
    r#"{
  "name": "shop",
  "needs": ["tcp://db:3306", "redis://u:hunter2-of-the-abuse@db/1", "file:///srv/x"],
  "steps": [
    {"name": "site", "run": ["./make", "ä"], "in_progress": "site_creating", "done": "site_created"},
    {"name": "migrate", "run": ["./manage.py", "migrate"], "after": ["site"], "check": ["true"],
     "env": {"K": "V", "DB_URL": "pg://u:hunter2-of-the-abuse@db/x"}, "cwd": "/srv", "user": "app",
     "timeout_secs": 1.5, "max_attempts": 3}
  ]
}"#,
];

/// Longer than any message needs to be, though what a person wrote may be quoted.
const LONGEST: usize = 2100;

pub(crate) fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match LoadedPlan::parse(PATH, &text, DEFAULTS) {
        Ok(plan) => is_sound(&plan),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in &problems {
                names_a_place(problem, &text);
            }
        }
    }
}

/// The culprit is `path:line:column`, and there is something there, or the end of the line.
pub(crate) fn names_a_place(problem: &Problem, text: &str) {
    let place = problem.culprit().strip_prefix(PATH).and_then(|rest| rest.strip_prefix(':'));
    let (line, column) = place.and_then(|place| place.split_once(':')).expect("path:line:column");
    let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
    let found = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("there is no line {line}: {problem}"));
    assert!((1..=found.chars().count() + 1).contains(&column), "there is no column {column}: {problem}");
    let said = problem.to_string();
    if is_password_alone(text) { is_message(&said, LONGEST) } else { is_sentence(&said, LONGEST) }
}

/// What was taken can be acted upon: no two names on the volume are one file, whatever the revisions are.
fn is_sound(plan: &LoadedPlan) {
    assert_eq!(plan.commands.len(), plan.plan.len());
    assert!(plan.commands.iter().all(|command| !command.run.is_empty()));
    assert!(plan.digest.len() == 16 && plan.digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if plan.plan.len() > 8 {
        return;
    }
    let mut meaning: BTreeMap<String, String> = BTreeMap::new();
    for rev in revisions(plan) {
        let mut is = |name: String, what: String| {
            let before = meaning.insert(name.clone(), what.clone());
            assert!(before.as_ref().is_none_or(|before| *before == what), "{name} is {what}, and {before:?}");
        };
        is(rev.ready_marker(), format!("{rev} is ready"));
        is(rev.failed_marker(), format!("{rev} has failed"));
        for (_, step) in plan.plan.iter() {
            is(step.in_progress.in_progress(&rev), format!("{} of {rev} is in progress", step.name));
            is(step.done.done(&rev), format!("{} of {rev} is done", step.name));
        }
    }
}

/// Revisions that could make one marker's name another's: each is what is left of a name behind an underscore.
fn revisions(plan: &LoadedPlan) -> Vec<Revision> {
    let first = Revision::parse("v1").unwrap();
    let names = plan.plan.iter().flat_map(|(_, step)| [step.in_progress.in_progress(&first), step.done.done(&first)]);
    let names: Vec<String> = names.chain([first.ready_marker(), first.failed_marker()]).collect();
    let ends = names.iter().flat_map(|name| name.match_indices('_').map(|(at, _)| &name[at + 1..]));
    let mut revisions: Vec<Revision> = ends.filter_map(|end| Revision::parse(end).ok()).collect();
    revisions.push(first);
    revisions.sort();
    revisions.dedup();
    revisions
}
