//! The protocol without any I/O: every state by every event, and whole stories in virtual time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod diagram;
mod found;
mod stories;
mod stories_forgotten;
mod stories_lease;
mod table;
mod world;
