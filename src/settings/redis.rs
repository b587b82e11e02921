//! Where the lease lives and how it is kept, as far as the settings say it.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::number::port;
use super::problem::Problem;
use super::secret::url_passwords;
use crate::protocol::Scope;

/// The Redis of the lease, and the lease's times. Part of [`Settings`](super::Settings).
///
/// Whether the times fit each other depends on the trust in the volume's locks, so that is not looked at here but by
/// [`LeaseTimes`](crate::protocol::LeaseTimes).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisSettings {
    /// Which server.
    pub place: RedisPlace,
    /// What to name when something is wrong with it.
    pub origin: RedisOrigin,
    /// How long a lease lasts without renewal; more than 0 and at most an hour. `None`: as the other times ask for.
    pub ttl: Option<Duration>,
    /// Time between two renewals; more than 0 and at most 20 minutes. `None`: a sixth of the lease.
    pub heartbeat: Option<Duration>,
    /// How long a Redis that cannot be reached is waited for while nobody is at work. "For ever" is thirty years.
    pub wait: Duration,
    /// What is elected for. `None`: the volume's id.
    pub scope: Option<Scope>,
}

/// A Redis server. Shown without user and password, by `Display` and by `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub enum RedisPlace {
    /// As one URL, which may hold a password (percent-encoded).
    Url(String),
    /// In parts.
    Parts {
        /// A name or an IP address, without brackets.
        host: String,
        /// From 1 up.
        port: u16,
        /// As it is, not encoded; not empty.
        password: Option<String>,
    },
}

/// The settings that say where Redis is: the names of variables or flags, for people who have to repair something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisOrigin {
    /// Where scheme, host and port came from, and database and user, if there are any.
    pub place: String,
    /// Where the password came from, or could be put.
    pub password: String,
}

impl RedisSettings {
    /// Checks the place as a whole, when all of the variables have been read. This is the one point at which a server
    /// is made of it: everything that is wrong with a URL is a problem of [`RedisOrigin::place`].
    ///
    /// # Errors
    ///
    /// What is wrong, without the URL.
    pub(super) fn server(&self) -> Result<(), Problem> {
        if !cfg!(feature = "redis") {
            let text = "this build knows no Redis; take one that does, \
                        or set BELLWETHER_REDIS_URL=none to let the guard on the volume elect alone";
            return Err(Problem::new(&self.origin.place, text));
        }
        match &self.place {
            RedisPlace::Url(url) if !is_url(url) => {
                let text = "is no URL; write it as redis://host:6379";
                Err(Problem::new(&self.origin.place, text))
            }
            RedisPlace::Url(_) | RedisPlace::Parts { .. } => Ok(()),
        }
    }
}

impl RedisPlace {
    /// The passwords in it, as they are written: for [`Mask`](super::Mask).
    pub fn passwords(&self) -> Vec<&str> {
        match self {
            RedisPlace::Url(url) => url_passwords(url).collect(),
            RedisPlace::Parts { password, .. } => password.as_deref().into_iter().collect(),
        }
    }

    /// Whether both are one server, as far as names tell. Users, passwords and databases do not count.
    pub(super) fn is_at(&self, other: &RedisPlace) -> bool {
        match (self.address(), other.address()) {
            (Some((host, port)), Some((other, of_other))) => host.eq_ignore_ascii_case(&other) && port == of_other,
            _ => false,
        }
    }

    fn address(&self) -> Option<(String, u16)> {
        match self {
            RedisPlace::Parts { host, port, .. } => Some((host.clone(), *port)),
            RedisPlace::Url(url) => {
                let (_, rest) = url.split_once("://")?;
                let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
                let address = authority.rsplit_once('@').map_or(authority, |(_user_info, address)| address);
                host_and_port(address).or_else(|_| host(address).map(|host| (host, DEFAULT_PORT))).ok()
            }
        }
    }
}

const DEFAULT_PORT: u16 = 6379;

impl fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedisPlace::Url(url) => f.write_str(&without_secrets(url)),
            RedisPlace::Parts { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            RedisPlace::Parts { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Debug for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisPlace({self})")
    }
}

/// A URL without all that stands where users, passwords and options stand, even if it is none that anybody can use.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.contains('@') {
        return format!("{scheme}://***");
    }
    let query = if query.is_empty() { "" } else { "?***" };
    match place.rsplit_once('@') {
        Some((_user_info, place)) => format!("{scheme}://***@{place}{query}"),
        None => format!("{scheme}://{place}{query}"),
    }
}

/// `scheme://` and something behind it.
pub(super) fn is_url(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    text.split_once("://").is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
}

/// A name or an IP address. What was given is not shown: it may be a URL with a password.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if bracketed.unwrap_or(text).parse::<Ipv6Addr>().is_ok() {
        return Ok(bracketed.unwrap_or(text).to_owned());
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err("is no host; a name or an IP address is needed, without scheme and port".to_owned())
}

/// `host:port`, `[::1]:port`.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || "is neither host:port nor a URL such as redis://host:6379".to_owned();
    let (name, number) = text.rsplit_once(':').ok_or_else(wrong)?;
    if name.contains(':') && !name.starts_with('[') {
        return Err(wrong());
    }
    Ok((host(name).map_err(|_| wrong())?, port(number).map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RedisPlace {
        RedisPlace::Url(text.to_owned())
    }

    fn parts(host: &str, port: u16) -> RedisPlace {
        RedisPlace::Parts { host: host.to_owned(), port, password: Some("hunter2".to_owned()) }
    }

    #[test]
    fn places_are_shown_without_secrets() {
        for (place, shown) in [
            (url("redis://db:6379/1"), "redis://db:6379/1"),
            (url("redis://me:hunter2@db/1"), "redis://***@db/1"),
            (url("redis://:hun/ter2@db"), "redis://***@db"),
            (url("redis://:hun?ter2@db"), "redis://***"),
            (url("unix:///run/redis.sock?pass=hunter2"), "unix:///run/redis.sock?***"),
            (url("unix:///run/redis.sock?pass=hunter@2"), "unix://***"),
            (url(":hunter2@db"), "***"),
            (parts("db", 6379), "db:6379"),
            (parts("::1", 1), "[::1]:1"),
        ] {
            assert_eq!((place.to_string(), format!("{place:?}")), (shown.to_owned(), format!("RedisPlace({shown})")));
        }
        assert_eq!(url("redis://me:hunter2@db?password=p2").passwords(), ["hunter2", "p2"]);
        assert_eq!(parts("db", 1).passwords(), ["hunter2"]);
    }

    #[test]
    fn one_server_is_known_by_host_and_port() {
        for same in ["redis://db", "redis://DB:6379/3", "rediss://u:p@db:6379?x=y"] {
            assert!(url(same).is_at(&parts("db", 6379)), "{same}");
        }
        assert!(url("redis://[::1]:7").is_at(&parts("::1", 7)));
        for other in ["redis://db2", "redis://db:6380", "unix:///db", "redis+sentinel://db,db2/x", "db:6379"] {
            assert!(!url(other).is_at(&parts("db", 6379)), "{other}");
        }
    }

    #[test]
    fn hosts_and_ports_are_checked() {
        assert_eq!(host_and_port("redis-queue:6379"), Ok(("redis-queue".to_owned(), 6379)));
        assert_eq!(host_and_port("[fe80::1]:1"), Ok(("fe80::1".to_owned(), 1)));
        assert_eq!(host("fe80::1"), Ok("fe80::1".to_owned()));
        for text in ["db", "db:", ":1", "db:0", "db:65536", "::1", "::1:6379", ":hunter2@db:1", "db:1/2", "a b:1"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
        for text in ["", "db:1", "redis://db", "[db]", "a b", "u@db"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_have_a_scheme_and_something_behind_it() {
        assert!(["redis://x", "redis+sentinel://a,b/c", "unix:///x"].into_iter().all(is_url));
        assert!(
            !["", "db:6379", "://db", "redis://", "redis:db", ":p://x", "1://x", "a b://c"].into_iter().any(is_url)
        );
    }
}
