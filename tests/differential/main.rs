//! The world of the tests against the real thing: the same operations, on the fake Redis and a real one, on the fake
//! volume and a real directory, have the same answers and leave the same behind.
//!
//! A difference is shown with the fewest operations that lead to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[expect(dead_code, reason = "what the simulator uses")]
#[path = "../sim/chance.rs"]
mod chance;
mod normal;
mod operations;
mod redis;
#[expect(dead_code, reason = "not everything it can do is needed here")]
#[path = "../redis_server/mod.rs"]
mod redis_server;
#[expect(dead_code, reason = "what the tests of the lease use")]
#[path = "../lease/replica.rs"]
mod replica;
mod shrink;
mod volume;
