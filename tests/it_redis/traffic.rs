//! What a Redis server is asked, as MONITOR shows it.

use crate::redis_server::{Monitor, RedisServer};
use crate::wait::Nanos;

/// One command that somebody sent. What scripts do on their own is no round trip, and left out.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Nanos,
    pub(crate) verb: String,
    /// Of the replica whose lease it is about, if it is about a lease.
    pub(crate) token: Option<String>,
    pub(crate) is_release: bool,
    /// The one that this command tells, if it is about a lease: 0 before one is allotted. A release tells none.
    pub(crate) epoch: Option<u64>,
}

impl Asked {
    fn parse(line: &str) -> Option<Asked> {
        let (at, rest) = line.split_once(' ')?;
        let (client, rest) = rest.split_once("] ")?;
        let verb = rest.split('"').nth(1)?.to_owned();
        if client.ends_with("lua") {
            return None;
        }
        let (seconds, micros) = at.split_once('.')?;
        let at = (seconds.parse::<Nanos>().ok()? * 1_000_000 + micros.parse::<Nanos>().ok()?) * 1000;
        let token = rest.split_once(r#"{\"token\":\""#).map(|(_, rest)| rest[..36].to_owned());
        // The other two scripts are told two keys.
        let is_release = verb.starts_with("EVAL") && rest.contains(r#"" "1" "bellwether:"#);
        let told = token.is_some() && !is_release;
        let epoch = rest.rsplit('"').nth(1).filter(|_| told).and_then(|last| last.parse().ok());
        Some(Asked { at, verb, token, is_release, epoch })
    }
}

/// Everything that was asked since it was opened.
pub(crate) struct Traffic<'a> {
    redis: &'a RedisServer,
    monitor: Monitor,
    seen: Vec<Asked>,
}

impl Traffic<'_> {
    pub(crate) fn open(redis: &RedisServer) -> Traffic<'_> {
        Traffic { redis, monitor: redis.monitor(), seen: Vec::new() }
    }

    /// What a test asks itself (ECHO is left out already) is not to be seen here.
    pub(crate) fn look(&mut self) -> &[Asked] {
        let lines = self.monitor.lines(self.redis);
        self.seen.extend(lines.iter().filter_map(|line| Asked::parse(line)));
        &self.seen
    }
}
