//! The manifests for Kubernetes, Nomad and Swarm: read by their own tools, and held to what the code and the pages say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kubernetes;
mod manifests;
mod nomad;
mod pages;
mod settings;
mod swarm;
mod timeouts;
mod tools;
#[path = "../django/venv.rs"]
mod venv;
