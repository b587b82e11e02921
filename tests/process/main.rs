//! Real processes: shims and what they stop, orphans, hand-off, supervision.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod handoff;
mod leader;
mod output;
mod reap;
mod step;
mod stop;
mod supervise;
mod util;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../it/wait.rs"]
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;
