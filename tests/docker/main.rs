//! Images, stacks and service trees on a real Docker engine. `tests/run docker` starts one and runs this.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apps;
mod backing;
mod docker;
mod history;
mod image;
mod image_apps;
mod image_binary;
mod image_boot;
mod leaders;
mod nginx;
mod overrides;
mod readme;
mod rollout;
mod s6;
mod s6_compose;
mod s6_examples;
mod s6_stage;
mod s6_trees;
mod stack;
mod tls;
#[path = "../waiting/mod.rs"]
mod waiting;
