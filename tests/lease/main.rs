//! The lease against real Redis servers.

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
