//! The scenarios of `tests/it` with a lease in real Redis servers, and what happens when those fail.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that fails shows what its replicas said")]

mod economy;
mod election;
mod faults;
mod hanging;
mod outage;
mod refusals;
mod scene;
mod traffic;
mod untrusted;

#[path = "../it/boot.rs"]
mod boot;
#[path = "../it/failure.rs"]
mod failure;
#[path = "../it/init.rs"]
mod init;
#[path = "../it/isolate.rs"]
mod isolate;
#[path = "../it/journal.rs"]
mod journal;
#[path = "../it/meddling.rs"]
mod meddling;
#[path = "../it/odds.rs"]
mod odds;
#[path = "../redis_server/mod.rs"]
mod redis_server;
#[path = "../it/replica.rs"]
mod replica;
#[path = "../it/revisions.rs"]
mod revisions;
#[path = "../it/roles.rs"]
mod roles;
#[path = "../it/stack.rs"]
mod stack;
#[path = "../it/steps.rs"]
mod steps;
#[path = "../it/takeover.rs"]
mod takeover;
#[path = "../it/volume.rs"]
mod volume;
#[path = "../it/wait.rs"]
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;
