//! The preset for Frappe: the built binary against a stand-in for bench that has every hazard of the real one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apps;
mod assets;
mod boot;
mod border;
mod canary;
mod config;
mod doctor;
mod half_made;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../it/isolate.rs"]
mod isolate;
mod kill;
mod kills;
mod migrate;
mod plan;
mod preflight;
#[path = "../redis_server/mod.rs"]
mod redis_server;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../it/replica.rs"]
mod replica;
mod root;
mod scenario;
mod secrets;
mod settings;
mod sites;
mod stack;
mod stand_in;
mod state;
mod strangers;
mod trace;
#[expect(dead_code, reason = "what other tests use")]
#[path = "../it/wait.rs"]
mod wait;
#[path = "../waiting/mod.rs"]
mod waiting;
