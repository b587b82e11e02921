//! The world of machines in virtual time, and what stands in it as a rule.

use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{MarkerWord, Plan, Step, StepId, StepName};

pub(crate) use bellwether::test_util::world::{Life, Script, World};

pub(crate) const STALE: Duration = Duration::from_secs(12);

/// A step of a plan, after the named ones.
pub(crate) fn step(name: &str, after: &[usize]) -> Step {
    Step {
        name: StepName::parse(name).unwrap(),
        in_progress: MarkerWord::parse(name).unwrap(),
        done: MarkerWord::parse(&format!("{name}_done")).unwrap(),
        after: after.iter().copied().map(StepId).collect(),
        timeout: None,
        max_attempts: 3,
    }
}

/// `site`, then `migrate`; `assets` beside both.
pub(crate) fn usual_plan() -> Arc<Plan> {
    Arc::new(Plan::new(vec![step("site", &[]), step("migrate", &[0]), step("assets", &[])]).unwrap())
}
