//! Where the lease lives and how it is kept, as far as the settings say it.

use std::time::Duration;

use crate::lease::Server;
use crate::protocol::Scope;

/// The Redis of the lease, and the lease's times. Part of [`Settings`](super::Settings).
///
/// Whether the times fit each other depends on the trust in the volume's locks, so that is not looked at here but by
/// [`LeaseTimes`](crate::protocol::LeaseTimes).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisSettings {
    /// Which server, and which settings say so.
    pub server: Server,
    /// How long a lease lasts without renewal; 0.5 s to 10,000 s. `None`: as the other times ask for.
    pub ttl: Option<Duration>,
    /// Time between two renewals; 50 ms to an hour. `None`: a sixth of the lease.
    pub heartbeat: Option<Duration>,
    /// How long a Redis that cannot be reached is waited for while nobody is at work. "For ever" is thirty years.
    pub wait: Duration,
    /// What is elected for. `None`: the volume's id.
    pub scope: Option<Scope>,
}
