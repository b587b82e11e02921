//! The world of the tests against the real thing: the same operations, on the fake Redis and a real one, on the fake
//! volume and a real directory, have the same answers and leave the same behind.
//!
//! Operations are drawn on the fake side: four times in five so that somebody does one who can. So nearly all of them
//! act on something, and each kind comes to each of its answers as often as it is said there; that is asserted.
//!
//! A difference is shown with the fewest operations that lead to it. A fake that lies about any one answer is found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../sim/chance.rs"]
mod chance;
mod draw;
mod on_redis;
mod on_volume;
#[expect(dead_code, reason = "not everything it can do is needed here")]
#[path = "../redis_server/mod.rs"]
mod redis_server;
#[expect(dead_code, reason = "what the tests of the lease use")]
#[path = "../lease/replica.rs"]
mod replica;
mod shrink;
mod tally;
