//! The protocol, pure: no clock, no randomness, no I/O. Only std and thiserror.

mod names;
mod plan;
mod time;
mod view;

pub use names::{
    Epoch, IN_PROGRESS_INFIX, MarkerWord, NameError, Revision, StepName, claim_name, parse_claim, parse_in_progress,
};
pub use plan::{Plan, PlanError, Step, StepId};
pub use time::Timestamp;
pub use view::{Foreign, LastEnd, Occupant, RecordView, Stamp, Standing, StepView, View};
