//! The lease: the key in Redis that says who *should try* to lead.
//!
//! | key | what |
//! |---|---|
//! | `bellwether:{<scope>}:lease` | who has the lease: a [`Holder`], for as long as its time to live |
//! | `bellwether:{<scope>}:epoch` | the highest epoch heard of; never lowered, a hint for whoever allots the next one |
//! | `bellwether:{<scope>}:events` | a channel, not a key: something has changed, look |
//!
//! `LeaseClient` (feature `redis`) asks and listens; it decides nothing and knows no time but the limit of a request. Every answer goes to
//! the function it was given. Two connections: one for requests, strictly one after another, and one for announcements.
//!
//! Who gives a request up does not know what became of it: a server that was only paused may still execute it. That does
//! no harm: acquiring again is answered as if it were the first time, and a lease nobody renews ends by itself.

mod answer;
#[cfg(feature = "redis")]
mod classify;
#[cfg(feature = "redis")]
mod client;
#[cfg(feature = "redis")]
mod connection;
#[cfg(all(feature = "redis", feature = "cli"))]
mod examine;
mod failure;
mod holder;
#[cfg(feature = "redis")]
mod listener;
#[cfg(feature = "redis")]
mod peek;
#[cfg(feature = "redis")]
mod requests;
#[cfg(feature = "redis")]
mod scripts;
#[cfg(feature = "redis")]
mod sentence;
mod server;

pub use answer::{Answer, LeaseSetup, Peek};
#[cfg(feature = "redis")]
pub use client::LeaseClient;
#[cfg(all(feature = "redis", feature = "cli"))]
pub(crate) use examine::{Eviction, Examination, examine};
pub use failure::{Failure, FailureClass};
pub use holder::Holder;
#[cfg(feature = "redis")]
pub use listener::Listener;
#[cfg(feature = "redis")]
pub use peek::peek;
#[cfg(feature = "redis")]
pub(crate) use peek::ping;
pub(crate) use server::host_and_port;
pub use server::{Origin, Server, ServerError};

/// The key that is the lease of a scope.
pub fn lease_key(scope: &str) -> String {
    format!("bellwether:{{{scope}}}:lease")
}

/// The key that holds the highest epoch heard of.
pub fn epoch_key(scope: &str) -> String {
    format!("bellwether:{{{scope}}}:epoch")
}

/// The channel of the announcements.
pub fn channel(scope: &str) -> String {
    format!("bellwether:{{{scope}}}:events")
}
