//! Whether a server would do for the lease, found out without asking for the lease.

use std::time::Duration;

use redis::Cmd;
use tokio::time::timeout;

use super::classify::{is_not_permitted, is_unknown_script, of_redis};
use super::connection::{Connection, subscribe};
use super::{Failure, Server, channel, epoch_key, lease_key};
use crate::process::boottime;

/// What [`examine`] saw of a server that lets us in.
#[derive(Clone, Debug)]
pub(crate) struct Examination {
    /// How long it took to be let in and answered.
    pub(crate) answered_in: Duration,
    /// What the lease needs and would not get.
    pub(crate) refusal: Option<Failure>,
    /// `master` or `slave`. `None`: this user may not know.
    pub(crate) role: Option<String>,
    /// What becomes of keys when its memory is full, if this user may know.
    pub(crate) eviction: Option<Eviction>,
}

/// What becomes of keys when the memory is full.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Eviction {
    pub(crate) policy: String,
    /// Whether there is a `maxmemory` at all.
    pub(crate) has_limit: bool,
}

/// Logs in, asks what it is, and tries the commands of the lease on a key that nobody has (named after `unique`): nothing is
/// written, and nobody is told anything. `limit` is for the login, and once more for the rest.
///
/// # Errors
///
/// A [`Failure`] if Redis cannot be used at all.
pub(crate) async fn examine(
    server: &Server,
    scope: &str,
    unique: &str,
    limit: Duration,
) -> Result<Examination, Failure> {
    let late = || Failure::timeout(server, limit);
    let asked = boottime::now();
    let opened = timeout(limit, Connection::open(server, limit)).await;
    let mut connection = opened.unwrap_or_else(|_| Err(late()))?;
    let answered_in = boottime::now().since(asked);
    let rest = async {
        let replication = info(&mut connection, "replication").await;
        let memory = info(&mut connection, "memory").await;
        let refusal = match try_all(&mut connection, server, scope, unique).await {
            None => subscribe(server, channel(scope), limit).await.err(),
            refused => refused,
        };
        let role = replication.and_then(|text| field(&text, "role"));
        Examination { answered_in, refusal, role, eviction: memory.and_then(|text| eviction(&text)) }
    };
    timeout(limit, rest).await.map_err(|_| late())
}

async fn info(connection: &mut Connection, section: &str) -> Option<String> {
    connection.query(redis::cmd("INFO").arg(section)).await.ok()
}

/// Every command of the lease, as far as it can be tried without doing anything. The first that is refused counts.
async fn try_all(connection: &mut Connection, server: &Server, scope: &str, unique: &str) -> Option<Failure> {
    let (lease, epoch) = (lease_key(scope), epoch_key(scope));
    let nobodys = format!("bellwether:{{{scope}}}:doctor-{unique}");
    let command = |words: &[&str]| {
        let (name, arguments) = words.split_first().expect("a command has a name");
        arguments.iter().fold(redis::cmd(name), |mut command, word| command.arg(word).to_owned())
    };
    let no_script = "0".repeat(40);
    let harmless = [
        command(&["EVALSHA", &no_script, "2", &lease, &epoch]),
        // It does not compile, so it is not kept.
        command(&["EVAL", "(", "2", &lease, &epoch]),
        command(&["GET", &lease]),
        command(&["PTTL", &lease]),
        // Only where there is one already.
        command(&["SET", &nobodys, "", "XX"]),
        command(&["PEXPIRE", &nobodys, "1"]),
        command(&["DEL", &nobodys]),
        command(&["PUBLISH", &nobodys, ""]),
    ];
    for command in &harmless {
        if let Some(failure) = refused(connection, server, command).await {
            return Some(failure);
        }
    }
    None
}

async fn refused(connection: &mut Connection, server: &Server, command: &Cmd) -> Option<Failure> {
    let answer: Result<redis::Value, _> = connection.query(command).await;
    let error = answer.err()?;
    let is_script = command.args_iter().next() == Some(redis::Arg::Simple(b"EVAL"));
    let is_expected = is_unknown_script(&error) || is_script && !error.is_io_error() && !is_not_permitted(&error);
    (!is_expected).then(|| of_redis(&error, server))
}

/// The value of a line `name:value`.
fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn eviction(text: &str) -> Option<Eviction> {
    let has_limit = field(text, "maxmemory").is_none_or(|limit| limit != "0");
    Some(Eviction { policy: field(text, "maxmemory_policy")?, has_limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_info_says_is_taken_apart() {
        let text = "# Memory\r\nused_memory:1\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert_eq!(eviction(text), Some(Eviction { policy: "allkeys-lru".to_owned(), has_limit: false }));
        assert!(eviction(&text.replace("maxmemory:0", "maxmemory:1")).unwrap().has_limit);
        assert_eq!(eviction("# Memory\r\n"), None);
        assert_eq!(field("role:slave\r\n", "role").as_deref(), Some("slave"));
    }
}
