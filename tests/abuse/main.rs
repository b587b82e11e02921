//! Input that nobody should give: no panic, no hang, and always a message that names the culprit and no secret.
//!
//! `properties` say what holds of any input. Chance looks for what breaks them here, quickly and always in the same way;
//! `tests/fuzz` does it by hand, for as long as one likes. The rest is end to end: odd files on the volume, odd revisions,
//! and secrets everywhere.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a test that fails shows its input")]

mod campaign;
#[path = "../sim/chance.rs"]
mod chance;
mod expected;
#[path = "../it/isolate.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod isolate;
mod mutate;
mod odd_files;
mod places;
mod properties;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod replica;
mod revisions;
mod secrets;
mod stage;
#[path = "../it/wait.rs"]
#[expect(dead_code, reason = "other targets use the rest")]
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;
