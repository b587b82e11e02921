//! What the tests of runs need: a volume that nobody writes to.

use std::sync::Arc;

use crate::protocol::{Plan, Revision, Step};
use crate::volume::{Replica, Volume};

/// A volume that is not there, for a plan with one step.
pub(super) fn volume() -> (Volume, Arc<Plan>) {
    let plan = Arc::new(Plan::new(vec![Step::plain("step", &[])]).unwrap());
    let revision = Revision::parse("v1").unwrap();
    (Volume::new("/nowhere".into(), revision, Arc::clone(&plan), Replica::of_this_process()), plan)
}
