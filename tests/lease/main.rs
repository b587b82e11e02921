//! The lease against real Redis servers, and against some that only pretend.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod announcements;
mod fake;
mod logins;
mod outages;
mod refusals;
mod replica;
mod requests;
mod status;

#[path = "../redis_server/mod.rs"]
mod redis_server;
#[path = "../redis_server/rights.rs"]
mod rights;
