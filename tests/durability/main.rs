//! Durability: at every system call of a boot the call fails, the replica dies or the power goes; then it is started
//! again, and what had been promised holds.
//!
//! `tests/run durability` strikes a sample over all kinds of boot, `BELLWETHER_DURABILITY=all tests/run durability` at every
//! point, and with the name of a scene at every point of that one. Every test is in namespaces of its own, with its files in
//! memory: mounts, loop devices and processes go with it, however it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that fails shows what its replicas said")]

mod boot;
mod cage;
mod calls;
mod disk;
mod points;
mod pool;
mod power;
mod reads;
mod referee;
mod sample;
mod scene;
mod trace;

#[path = "../sim/chance.rs"]
#[expect(dead_code, reason = "what the simulator uses")]
mod chance;
#[path = "../it/election.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod election;
#[path = "../it/journal.rs"]
mod journal;
#[path = "../redis_server/mod.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod redis_server;
#[path = "../it/replica.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod replica;
#[path = "../it/stack.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod stack;
#[path = "../it/wait.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;
