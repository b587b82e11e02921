//! The library as embedding programs use it: steps that are async functions, commands under a shim, stopping, dropping.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::async_yields_async, reason = "a replica is begun in the runtime and awaited later")]

#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
mod examples;
mod functions;
mod leaders;
mod mistakes;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
#[path = "../redis_server/mod.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod redis_server;
#[cfg(feature = "cli")]
mod retry;
mod scratch;
mod stopping;
#[path = "../waiting/mod.rs"]
mod waiting;
