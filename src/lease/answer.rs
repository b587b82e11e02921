//! What goes into a client, and what comes out of it.

use std::time::Duration;

use super::{Failure, Holder, Server};
use crate::protocol::{Epoch, Timestamp};

/// What a client is given.
#[derive(Clone, Debug)]
pub struct LeaseSetup {
    /// Where the lease lives.
    pub server: Server,
    /// Whose lease it is: the volume's id.
    pub scope: String,
    /// Who we are.
    pub holder: Holder,
    /// The lease's time to live.
    pub ttl: Duration,
    /// The longest one request may take, connecting included.
    pub request_limit: Duration,
}

/// What a client tells. Each `acquire` and each `renew` is answered by exactly one of the first four, unless a release
/// that was asked for later overtakes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The lease is ours.
    Granted {
        /// Read immediately before the request was sent that succeeded.
        sent: Timestamp,
        /// The highest epoch Redis has heard of; 0 if none.
        epoch: Epoch,
    },
    /// Somebody else has the lease. Answers `acquire` only.
    Denied {
        /// Read immediately before the request was sent.
        sent: Timestamp,
        /// What is left of it. 5 s if it has no end.
        left: Duration,
        /// Who, if the value says so in our form.
        holder: Option<Holder>,
        /// The key has no end: it is nobody's lease, and a person has to remove it.
        foreign: Option<Failure>,
    },
    /// The lease is not ours. Answers `renew` only.
    NotMine,
    /// Redis did not answer, or with an error.
    Unreachable(Failure),
    /// Redis did not confirm a release. The lease ends by itself, but nothing may have been announced.
    NotReleased(Failure),
    /// Something was announced, or may have been while nobody listened: this is also told after each subscribing.
    Announced,
    /// Announcements are not heard. Told for each try that failed; the next one follows in 1 s to 6 s.
    Deaf(Failure),
}

/// What stands in Redis, as `peek` saw it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peek {
    /// Who has the lease.
    pub holder: Option<Holder>,
    /// What is left of it. `None` if there is no lease, or one without an end.
    pub left: Option<Duration>,
    /// The highest epoch heard of.
    pub epoch: u64,
    /// What stands in the lease's key, if that is not in our form.
    pub foreign: Option<String>,
}
