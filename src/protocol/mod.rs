//! The protocol, pure: no clock, no randomness, no I/O. Only std and thiserror.
//!
//! # The machine by hand
//!
//! ```
//! use std::sync::Arc;
//! use bellwether::protocol::{
//!     Action, Config, Election, Event, Machine, MarkerWord, Plan, Policy, Step, StepName, Timestamp, Trust, View,
//! };
//!
//! let migrate = Step {
//!     name: StepName::parse("migrate")?,
//!     in_progress: MarkerWord::parse("migrating")?,
//!     done: MarkerWord::parse("migrated")?,
//!     after: Default::default(),
//!     timeout: None,
//!     max_attempts: 3,
//! };
//! let plan = Arc::new(Plan::new(vec![migrate]).expect("one step is a plan"));
//! let config = Config::new(plan, Election::Guard, Trust::Trusted, Policy::default())?;
//!
//! let mut replica = Machine::new(config);
//! let now = Timestamp::from_millis(1);
//! let first = replica.handle(now, Event::Started);
//! assert!(first.iter().any(|action| *action == Action::Look));
//! // An empty volume: nothing is ready, so this replica prepares to compete.
//! let next = replica.handle(now, Event::Looked(View::blank(1)));
//! assert!(next.iter().any(|action| *action == Action::PrepareVolume));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod config;
mod event;
mod lease;
mod machine;
#[doc(hidden)]
pub mod mutant;
mod names;
mod plan;
mod staleness;
mod time;
mod view;

pub use action::{Action, Actions, Closing, ClosingEnd, Notice, Outcome, StopReason};
pub use config::{Config, ConfigError, Election, LeaseTimes, LeaseWish, OnDowngrade, OnFailure, Policy, Trust};
pub use event::{Doing, Event, Fault, StepEnd};
pub use machine::{ClaimStage, Machine, Role, Why};
pub use names::{
    Epoch, IN_PROGRESS_INFIX, MarkerWord, NameError, Revision, Scope, StepName, claim_name, parse_claim,
    parse_in_progress,
};
pub use plan::{Plan, PlanError, Step, StepId};
pub use time::Timestamp;
pub use view::{Foreign, LastEnd, Occupant, RecordView, Stamp, Standing, StepView, View};
