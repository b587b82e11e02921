//! The commands for people, as the built binary: `status`, `plan`, `retry`, `skip`, `reset`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod plan;
mod repair;
mod scene;
mod status;
#[path = "../waiting/mod.rs"]
mod waiting;
mod watch;
