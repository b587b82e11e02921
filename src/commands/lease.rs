//! What stands in Redis about the lease, for people. Reads only.

use std::time::Duration;

use serde::Serialize;

use super::words;
use crate::exit::chain;
use crate::lease::{Holder, Peek, Server};
use crate::settings::RedisSettings;
use crate::volume::Volume;

/// Longest time to look.
const LIMIT: Duration = Duration::from_secs(1);
/// More of a value that is none of ours is not shown, in characters.
const LONGEST_VALUE: usize = 80;

/// The lease, as [`Lease::look`] saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Lease {
    /// The Redis, without user and password.
    pub(super) server: String,
    /// What is elected for; `null`: that is not settled, as no replica has been here yet.
    pub(super) scope: Option<String>,
    /// `held`, `free`, `foreign` (the key holds none of our values) or `unknown` (see `failure`).
    pub(super) state: &'static str,
    /// Who has it.
    pub(super) holder: Option<LeaseHolder>,
    /// What is left of it unless it is renewed; `null`: nobody has it, or it has no end.
    pub(super) left_secs: Option<f64>,
    /// The highest epoch that Redis has heard of.
    pub(super) epoch: Option<u64>,
    /// What stands in the key instead.
    pub(super) foreign: Option<String>,
    /// Why nothing can be told, in a sentence.
    pub(super) failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct LeaseHolder {
    pub(super) host: String,
    pub(super) pid: u32,
    pub(super) revision: String,
    /// `null`: it has no number yet.
    pub(super) epoch: Option<u64>,
}

impl Lease {
    /// Asks Redis, for a second at the longest.
    pub(super) fn look(redis: &RedisSettings, volume: &Volume) -> Lease {
        let blank = Lease::free(&redis.server);
        let scope = match &redis.scope {
            Some(scope) => Ok(Some(scope.to_string())),
            None => volume.read_id().map(|id| id.map(|id| id.to_string())),
        };
        match scope {
            Ok(None) => blank,
            Ok(Some(scope)) => match ask(&redis.server, &scope) {
                Ok(peek) => Lease { scope: Some(scope), ..blank.with(peek) },
                Err(failure) => Lease { scope: Some(scope), ..blank.unknown(failure) },
            },
            Err(error) => blank.unknown(chain(&error)),
        }
    }

    fn free(server: &Server) -> Lease {
        Lease {
            server: server.to_string(),
            scope: None,
            state: "free",
            holder: None,
            left_secs: None,
            epoch: None,
            foreign: None,
            failure: None,
        }
    }

    fn unknown(self, failure: String) -> Lease {
        Lease { state: "unknown", failure: Some(failure), ..self }
    }

    fn with(self, peek: Peek) -> Lease {
        let state = match (&peek.holder, &peek.foreign) {
            (Some(_), _) => "held",
            (None, Some(_)) => "foreign",
            (None, None) => "free",
        };
        Lease {
            state,
            holder: peek.holder.map(LeaseHolder::from),
            left_secs: peek.left.map(|left| left.as_secs_f64()),
            epoch: Some(peek.epoch),
            foreign: peek.foreign.map(|value| value.chars().take(LONGEST_VALUE).collect()),
            ..self
        }
    }

    /// The same without what changes by itself as time goes by.
    pub(super) fn at_rest(&self) -> Lease {
        Lease { left_secs: None, ..self.clone() }
    }

    /// Who has it.
    pub(super) fn words(&self) -> String {
        let text = match (&self.holder, &self.foreign) {
            (Some(LeaseHolder { host, pid, revision, epoch }), _) => {
                let epoch = epoch.map(|epoch| format!(", epoch {epoch}"));
                format!("held by host {host} pid {pid}, revision {revision}{}", epoch.unwrap_or_default())
            }
            (None, Some(value)) => format!("nobody can have it: its key holds {value:?}, which is none of ours"),
            (None, None) if self.failure.is_some() => "unknown".to_owned(),
            (None, None) => "nobody has it".to_owned(),
        };
        printable(&text)
    }

    /// How long yet, as the end of a sentence.
    pub(super) fn left(&self) -> String {
        match (self.state, self.left_secs) {
            ("free" | "unknown", _) => String::new(),
            (_, Some(left)) => format!(", {} left", words::secs(left)),
            (_, None) => ", without an end".to_owned(),
        }
    }

    /// Of which Redis that was asked, or why it could not be.
    pub(super) fn source(&self) -> String {
        match (&self.failure, self.epoch) {
            (Some(failure), _) => printable(failure),
            (None, Some(epoch)) => format!("{}, epoch {epoch}", self.server),
            (None, None) => format!("{}, not asked: no replica has been here yet", self.server),
        }
    }
}

impl From<Holder> for LeaseHolder {
    fn from(Holder { host, pid, rev, epoch, .. }: Holder) -> LeaseHolder {
        LeaseHolder { host, pid, revision: rev, epoch }
    }
}

/// Anybody may have written it, and it goes to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(feature = "redis")]
fn ask(server: &Server, scope: &str) -> Result<Peek, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot begin to ask Redis: {error}"))?;
    let peek = runtime.block_on(crate::lease::peek(server, scope, LIMIT));
    // A name that is being looked up must not hold us back.
    runtime.shutdown_background();
    peek.map_err(|failure| failure.to_string())
}

/// The settings refuse a Redis here, so nobody comes this far.
#[cfg(not(feature = "redis"))]
fn ask(server: &Server, _: &str) -> Result<Peek, String> {
    Err(format!("this build knows no Redis, and cannot ask {server} within {} s", LIMIT.as_secs()))
}
