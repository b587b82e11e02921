//! Where the lease lives: `redis://…` and `unix://…`, taken apart.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::settings::percent_decoded;

const DEFAULT_PORT: u16 = 6379;

/// A Redis server, and how to log in there.
///
/// Shown without user and password, by `Display` and by `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Server {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: u16,
    pub(super) origin: Origin,
}

/// How to get to the primary.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Place {
    /// A host (a name or an IP address, without brackets) and a port.
    Tcp(String, u16),
    Unix(PathBuf),
}

/// The names of the settings a server came from, so that a failure can say which one to look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Says where it is.
    pub place: Cow<'static, str>,
    /// Says the user.
    pub user: Cow<'static, str>,
    /// Says the password.
    pub password: Cow<'static, str>,
    /// Says the database.
    pub db: Cow<'static, str>,
}

/// Why a text names no Redis server. Never shows any of it: it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ServerError {
    /// None of the forms.
    #[error("is neither redis://[user:password@]host[:port][/db] nor unix:///path/to/socket")]
    Form,
    /// `rediss`.
    #[error("TLS (rediss://) is not in this version; use redis:// within a network you trust, or a tunnel")]
    Tls,
    /// `redis+sentinel`.
    #[error("Sentinel (redis+sentinel://) is not in this version; name the primary as redis://host:port")]
    Sentinel,
    /// `redis+cluster`.
    #[error(
        "Redis Cluster (redis+cluster://) is not in this version; name a server that is no cluster's as redis://host:port"
    )]
    Cluster,
    /// `valkey`, which is spelled as Redis is.
    #[error("valkey:// is spelled redis:// here")]
    Valkey,
    /// A web server.
    #[error("{0}:// is a web server's; a Redis server is redis://host:port")]
    Web(&'static str),
    /// The host is missing or holds something no host's name holds.
    #[error("has no usable host; a name, an IPv4 address or an IPv6 address in [] is allowed")]
    Host,
    /// The port is missing or out of range.
    #[error("has no usable port; a number from 1 to 65535 is needed")]
    Port,
    /// The user or the password cannot be read.
    #[error("holds a user or password that cannot be read; write / ? # @ in it as %2F %3F %23 %40")]
    User,
    /// A user without a password.
    #[error("holds a user without a password; a password alone is written redis://:PASSWORD@host")]
    UserAlone,
    /// What follows the host is no number of a database.
    #[error("has no usable database; a number is needed, as in redis://host:6379/0")]
    Database,
    /// The socket's path.
    #[error("has no usable path; an absolute one is needed, as in unix:///run/redis.sock")]
    Path,
    /// An option we do not know.
    #[error("holds an option that is none of db, user and pass")]
    Option,
}

impl Server {
    /// Takes a URL apart: `redis://[user:password@]host[:port][/db]`, or `unix:///path[?db=n&user=…&pass=…]`. Users,
    /// passwords and paths are percent-decoded.
    ///
    /// # Errors
    ///
    /// A [`ServerError`] that says which part is wrong.
    pub fn parse(url: &str) -> Result<Server, ServerError> {
        let (scheme, rest) = url.split_once("://").ok_or(ServerError::Form)?;
        match scheme {
            "redis" => tcp(rest),
            "unix" | "redis+unix" => unix(rest),
            "rediss" | "valkeys" => Err(ServerError::Tls),
            "redis+sentinel" | "rediss+sentinel" | "redis-sentinel" => Err(ServerError::Sentinel),
            "redis+cluster" | "rediss+cluster" | "redis-cluster" => Err(ServerError::Cluster),
            "valkey" => Err(ServerError::Valkey),
            "http" => Err(ServerError::Web("http")),
            "https" => Err(ServerError::Web("https")),
            _ => Err(ServerError::Form),
        }
    }

    /// A server on this port of a host (a name or an IP address, without brackets).
    pub fn tcp(host: &str, port: u16) -> Server {
        Server::at(Place::Tcp(host.to_owned(), port))
    }

    fn at(place: Place) -> Server {
        Server { place, user: None, password: None, db: 0, origin: Origin::default() }
    }

    /// Logs in as this user; an empty one is none.
    #[must_use]
    pub fn with_user(self, user: &str) -> Server {
        Server { user: filled(user), ..self }
    }

    /// Logs in with this password; an empty one is none.
    #[must_use]
    pub fn with_password(self, password: &str) -> Server {
        Server { password: filled(password), ..self }
    }

    /// Uses this database.
    #[must_use]
    pub fn with_db(self, db: u16) -> Server {
        Server { db, ..self }
    }

    /// Says which settings a failure should point at.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Server {
        Server { origin, ..self }
    }

    /// Which settings a failure points at.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it is on this port of this host, as far as names tell.
    pub(crate) fn is_at(&self, host: &str, port: u16) -> bool {
        matches!(&self.place, Place::Tcp(own, at) if own.eq_ignore_ascii_case(host) && *at == port)
    }

    /// The password, for [`Mask`](crate::settings::Mask).
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let db = self.db;
        match &self.place {
            Place::Tcp(host, port) if host.contains(':') => write!(f, "redis://[{host}]:{port}/{db}"),
            Place::Tcp(host, port) => write!(f, "redis://{host}:{port}/{db}"),
            Place::Unix(path) if db == 0 => write!(f, "unix://{}", path.display()),
            Place::Unix(path) => write!(f, "unix://{}?db={db}", path.display()),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl Origin {
    /// All of it came from this one setting.
    pub fn of(setting: impl Into<Cow<'static, str>>) -> Origin {
        let setting = setting.into();
        Origin { place: setting.clone(), user: setting.clone(), password: setting.clone(), db: setting }
    }
}

impl Default for Origin {
    fn default() -> Origin {
        Origin::of("BELLWETHER_REDIS_URL")
    }
}

fn filled(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn tcp(rest: &str) -> Result<Server, ServerError> {
    // At the last one: what stands before it may be a password.
    let (user_info, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = host_and_port(authority, Some(DEFAULT_PORT))?;
    let db = match path {
        "" | "/" => 0,
        path => path.strip_prefix('/').and_then(database).ok_or(ServerError::Database)?,
    };
    Server::tcp(&host, port).with_db(db).with_user(&part(user)?).with_password(&part(password)?).checked()
}

fn unix(rest: &str) -> Result<Server, ServerError> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = percent_decoded(path).filter(|path| path.starts_with('/') && path.len() > 1 && !path.contains('\0'));
    let mut server = Server::at(Place::Unix(PathBuf::from(path.ok_or(ServerError::Path)?)));
    for option in options.split('&').filter(|option| !option.is_empty()) {
        server = match option.split_once('=').ok_or(ServerError::Option)? {
            ("db", db) => server.with_db(database(db).ok_or(ServerError::Database)?),
            ("user" | "username", user) => server.with_user(&part(user)?),
            ("pass" | "password", password) => server.with_password(&part(password)?),
            _ => return Err(ServerError::Option),
        };
    }
    server.checked()
}

impl Server {
    fn checked(self) -> Result<Server, ServerError> {
        if self.user.is_some() && self.password.is_none() { Err(ServerError::UserAlone) } else { Ok(self) }
    }
}

/// Takes `host:port` apart; an IPv6 address stands in brackets, and is given back without.
pub(crate) fn host_and_port(text: &str, default_port: Option<u16>) -> Result<(String, u16), ServerError> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').ok_or(ServerError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| ServerError::Host)?;
        (host, port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(ServerError::Host);
        }
        (host, port)
    };
    let port = match port.strip_prefix(':') {
        Some(port) => number(port).filter(|&port| port > 0),
        None => default_port.filter(|_| port.is_empty()),
    };
    Ok((host.to_owned(), port.ok_or(ServerError::Port)?))
}

/// Digits only, no leading zeros.
fn number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// The number of a database. Nobody has ten thousand.
fn database(text: &str) -> Option<u16> {
    number(text).filter(|&db| db < 10_000)
}

/// A user or a password as written in a URL.
fn part(text: &str) -> Result<String, ServerError> {
    let strange = |character: char| "/?#@".contains(character) || character.is_control();
    percent_decoded(text).filter(|_| !text.contains(strange)).ok_or(ServerError::User)
}

#[cfg(test)]
mod tests;
