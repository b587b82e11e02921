//! What the tests of runs need: a volume that nobody writes to.

use std::sync::Arc;

use crate::protocol::{MarkerWord, Plan, Revision, Step, StepName};
use crate::volume::{Replica, Volume};

/// A volume that is not there, for a plan with one step.
pub(super) fn volume() -> (Volume, Arc<Plan>) {
    let step = Step {
        name: StepName::parse("step").unwrap(),
        in_progress: MarkerWord::parse("step").unwrap(),
        done: MarkerWord::parse("step_done").unwrap(),
        after: [].into(),
        timeout: None,
        max_attempts: 1,
    };
    let plan = Arc::new(Plan::new(vec![step]).unwrap());
    let revision = Revision::parse("v1").unwrap();
    (Volume::new("/nowhere".into(), revision, Arc::clone(&plan), Replica::of_this_process()), plan)
}
