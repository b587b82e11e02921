//! The protocol, pure: no clock, no randomness, no I/O. Only std and thiserror.

mod action;
mod config;
mod event;
mod lease;
mod machine;
mod names;
mod plan;
mod staleness;
mod time;
mod view;

pub use action::{Action, Actions, Closing, ClosingEnd, Notice, Outcome, StopReason};
pub use config::{
    Config, ConfigError, Election, LeaseTimes, LeaseWish, OnDowngrade, OnFailure, Policy, Trust, USUAL_GRACE,
};
pub use event::{Doing, Event, Fault, StepEnd};
pub use machine::{ClaimStage, Machine, Role, Why};
pub use names::{
    Epoch, IN_PROGRESS_INFIX, MarkerWord, NameError, Revision, Scope, StepName, claim_name, parse_claim,
    parse_in_progress,
};
pub use plan::{Plan, PlanError, Step, StepId};
pub use time::Timestamp;
pub use view::{Foreign, LastEnd, Occupant, RecordView, Stamp, Standing, StepView, View};
