//! End to end: the built binary, real processes, real signals, and a journal that only the steps write.
//!
//! Nothing sleeps for a fixed time; everything waits for something to be seen, and every test has a volume of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that fails shows what its replicas said")]

mod boot;
mod durability;
mod election;
mod failure;
mod init;
mod isolate;
mod journal;
mod log;
mod meddling;
mod odds;
mod parts;
mod probe;
mod replica;
mod revisions;
mod roles;
mod settings;
mod stack;
mod steps;
mod takeover;
mod volume;
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;
