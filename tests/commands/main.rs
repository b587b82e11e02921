//! The commands for people, as the built binary: `status`, `plan`, `retry`, `skip`, `reset`, `doctor`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod doctor;
mod plan;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
#[expect(dead_code, reason = "not everything it can do is needed here")]
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod repair;
#[cfg(feature = "redis")]
#[path = "../redis_server/rights.rs"]
mod rights;
mod scene;
mod status;
#[path = "../waiting/mod.rs"]
mod waiting;
mod watch;
