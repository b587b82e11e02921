//! The three scripts, one round trip each.

use std::borrow::Cow;
use std::time::Duration;

use redis::{Cmd, RedisError, Script};

use super::classify::is_unknown_script;
use super::connection::Connection;
use super::{Holder, LeaseSetup, channel, epoch_key, lease_key};
use crate::process::boottime;
use crate::protocol::Timestamp;
use crate::protocol::mutant::{self, Mutant};

const ACQUIRE: &str = include_str!("scripts/acquire.lua");
const RENEW: &str = include_str!("scripts/renew.lua");
const RELEASE: &str = include_str!("scripts/release.lua");

/// What there is to ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    Acquire,
    Renew,
    Release,
}

/// What a script answers.
#[derive(Debug)]
pub(super) struct Reply {
    /// Read immediately before the script was sent that answered.
    pub(super) sent: Timestamp,
    /// Whether the lease is ours; after a release, whether it was.
    pub(super) ours: bool,
    /// The epoch if it is ours, else the holder's value.
    pub(super) text: String,
    /// The PTTL of another's lease.
    pub(super) left_ms: i64,
}

/// A script and the digest by which a server that has seen it knows it.
#[derive(Debug)]
struct Lua {
    text: Cow<'static, str>,
    digest: String,
}

impl Lua {
    fn new(text: &'static str) -> Lua {
        let text = with_fault(text);
        let digest = Script::new(&text).get_hash().to_owned();
        Lua { text, digest }
    }
}

/// The scripts, and what they are told.
#[derive(Debug)]
pub(super) struct Scripts {
    acquire: Lua,
    renew: Lua,
    release: Lua,
    lease_key: String,
    epoch_key: String,
    channel: String,
    holder: Holder,
    ttl: Duration,
}

impl Scripts {
    pub(super) fn new(setup: &LeaseSetup) -> Scripts {
        Scripts {
            acquire: Lua::new(ACQUIRE),
            renew: Lua::new(RENEW),
            release: Lua::new(RELEASE),
            lease_key: lease_key(&setup.scope),
            epoch_key: epoch_key(&setup.scope),
            channel: channel(&setup.scope),
            holder: Holder { ttl_ms: Some(milliseconds(setup.ttl)), ..setup.holder.clone() },
            ttl: setup.ttl,
        }
    }

    /// From now on the value tells this epoch.
    pub(super) fn set_epoch(&mut self, epoch: Option<u64>) {
        self.holder.epoch = epoch;
    }

    /// Sends the script's digest, and its text only if the server does not know it (any more), or may have no time to
    /// say so.
    pub(super) async fn run(&self, request: Request, connection: &mut Connection) -> Result<Reply, RedisError> {
        let lua = self.lua(request);
        if request == Request::Release {
            // Nobody may be there any more to hear that the digest is not known.
            return send(&self.in_full(request), connection).await;
        }
        match send(&self.command(request, "EVALSHA", &lua.digest), connection).await {
            Err(error) if is_unknown_script(&error) => send(&self.in_full(request), connection).await,
            result => result,
        }
    }

    /// The command that needs nothing to be known to the server.
    pub(super) fn in_full(&self, request: Request) -> Cmd {
        self.command(request, "EVAL", &self.lua(request).text)
    }

    fn lua(&self, request: Request) -> &Lua {
        match request {
            Request::Acquire => &self.acquire,
            Request::Renew => &self.renew,
            Request::Release => &self.release,
        }
    }

    fn command(&self, request: Request, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script);
        match request {
            Request::Release => command.arg(1).arg(&self.lease_key).arg(self.holder.mark()),
            _ => command.arg(2).arg(&self.lease_key).arg(&self.epoch_key).arg(self.holder.mark()),
        };
        match request {
            Request::Release => command.arg(&self.channel).arg(self.holder.token.to_string()),
            _ => command.arg(self.holder.value()).arg(milliseconds(self.ttl)).arg(self.holder.epoch.unwrap_or(0)),
        };
        command
    }
}

fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

async fn send(command: &Cmd, connection: &mut Connection) -> Result<Reply, RedisError> {
    let sent = boottime::now();
    let (ours, text, left_ms): (bool, Option<Vec<u8>>, i64) = connection.query(command).await?;
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    Ok(Reply { sent, ours, text, left_ms })
}

/// The mutants that are faults of a script: which, and what stands there instead of what.
const FAULTS: [(Mutant, &str, &str, &str); 3] = [
    (Mutant::AcquireNotIdempotent, ACQUIRE, "ours = held and", "ours = false and"),
    (Mutant::RenewCreates, RENEW, "if not held or", "if held and"),
    (Mutant::ReleaseDeletesAnothers, RELEASE, "if ours then", "if held then"),
];

fn with_fault(text: &'static str) -> Cow<'static, str> {
    let fault = FAULTS.iter().find(|(fault, script, ..)| mutant::is(*fault) && *script == text);
    fault.map_or(Cow::from(text), |(_, _, words, instead)| Cow::from(text.replace(words, instead)))
}
