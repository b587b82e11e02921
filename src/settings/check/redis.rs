//! Which Redis holds the lease: the variables that may say it, in their order of precedence.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::time::Duration;

use super::Check;
use crate::lease::{Origin, Server, host_and_port};
use crate::settings::number::{LONGEST_SECS, port, seconds, seconds_between};
use crate::settings::parse;
use crate::settings::problem::{Notice, Problem};
use crate::settings::redis::RedisSettings;
use crate::settings::table::{find, names as n};

/// The shortest and the longest lease. In less, a request has no time to be answered; a leader whose host died is
/// replaced no sooner.
const TTL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10_000));
/// The shortest and the longest time between renewals.
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3600));

/// What is wrong has been told.
pub(super) struct Told;

impl Check<'_> {
    /// The Redis that is configured, if one is.
    pub(super) fn redis(&mut self) -> Result<Option<RedisSettings>, Told> {
        let server = self.server();
        let here = self.problems.len();
        let ttl = self.optional(n::TTL, |text| seconds_between(text, TTL.0, TTL.1));
        let heartbeat = self.optional(n::HEARTBEAT, |text| seconds_between(text, HEARTBEAT.0, HEARTBEAT.1));
        // What is wrong has been told; the place is looked at all the same, so that its mistakes are told, too.
        let wait = self.value(n::REDIS_WAIT, wait).unwrap_or_default();
        let scope = self.optional(n::SCOPE, parse::scope);
        let Some(server) = server? else {
            self.tell_of_unused();
            return Ok(None);
        };
        if !cfg!(feature = "redis") {
            let text = "this build knows no Redis; take one that does, \
                        or set BELLWETHER_REDIS_URL=none to let the guard on the volume elect alone";
            self.problems.insert(here, Problem::new(server.origin().place.clone(), text));
            return Err(Told);
        }
        Ok(Some(RedisSettings { server, ttl, heartbeat, wait, scope }))
    }

    /// The first source that is set says it all: parts of several would make a server that nobody meant.
    fn server(&mut self) -> Result<Option<Server>, Told> {
        if self.is_given(n::REDIS_URL) {
            return self.server_of_url();
        }
        let of_lock = self.lock_names().next();
        match of_lock {
            Some(n::LOCK_HOST) => {
                return self.server_of_parts([n::LOCK_HOST, n::LOCK_PORT, n::LOCK_PASS], "").map(Some);
            }
            Some(alone) => {
                return self.tell(Problem::new(alone, "is set, but LOCK_REDIS_HOST is not; set both or none"));
            }
            None => {}
        }
        let has_host = self.is_given(n::REDIS_HOST);
        if has_host && self.is_given(n::QUEUE_PORT) {
            return self.server_of_parts([n::REDIS_HOST, n::QUEUE_PORT, n::REDIS_PASS], APPLICATION).map(Some);
        }
        let found = if self.is_given(n::QUEUE) { self.server_of_queue()? } else { None };
        if found.is_none() && has_host {
            // The port of the queue tells it from a cache, which is emptied now and then, and the lease with it. Alone
            // it is any application's, as REDIS_QUEUE_PORT is: nothing to depend on unasked.
            let text = "does not hold the lease: without REDIS_QUEUE_PORT it may be a cache; set that or \
                        BELLWETHER_REDIS_URL (none: the guard on the volume elects alone)";
            self.notices.push(Notice::new(n::REDIS_HOST, text));
        }
        Ok(found)
    }

    fn server_of_url(&mut self) -> Result<Option<Server>, Told> {
        let picked = self.pick(n::REDIS_URL).ok_or(Told)?;
        if picked.text.eq_ignore_ascii_case("none") {
            self.tell_of_lock("is ignored, as BELLWETHER_REDIS_URL is none; unset one of them");
            return Ok(None);
        }
        // A password cannot be put into a flag.
        let is_flag = picked.culprit.starts_with("--");
        let password = if is_flag { format!("{}_FILE", n::REDIS_URL) } else { picked.culprit.clone() };
        let origin = Origin { password: password.into(), ..Origin::of(picked.culprit.clone()) };
        let server = match Server::parse(&picked.text) {
            Ok(server) => server.with_origin(origin),
            Err(error) => return self.tell(Problem::new(picked.culprit, error.to_string())),
        };
        if !self.is_given(n::LOCK_HOST) {
            self.tell_of_lock("is ignored, as BELLWETHER_REDIS_URL says all of it; put it there");
        } else if !self.lock_is_at(&server) {
            self.tell_of_lock("is another Redis than that of BELLWETHER_REDIS_URL, which counts; unset one of them");
        }
        Ok(Some(server))
    }

    /// `hint` is added to what is wrong.
    fn server_of_parts(&mut self, names: [&'static str; 3], hint: &str) -> Result<Server, Told> {
        let [of_host, of_port, of_password] = names;
        let before = self.problems.len();
        let host = self.optional(of_host, |text| host(text).map_err(|wrong| wrong + hint));
        let port = self.optional(of_port, |text| port(text).map_err(|wrong| wrong + hint));
        let password = self.pick(of_password).filter(|picked| !picked.text.is_empty());
        if self.problems.len() > before {
            return Err(Told);
        }
        let server = Server::tcp(&host.ok_or(Told)?, port.ok_or(Told)?);
        let origin = Origin::of(of_host);
        Ok(match password {
            Some(picked) => {
                server.with_password(&picked.text).with_origin(Origin { password: picked.culprit.into(), ..origin })
            }
            None => server.with_origin(Origin { password: of_password.into(), ..origin }),
        })
    }

    fn server_of_queue(&mut self) -> Result<Option<Server>, Told> {
        let picked = self.pick(n::QUEUE).ok_or(Told)?;
        if !picked.text.contains(':') {
            // Some frameworks call a queue's name so (REDIS_QUEUE=default).
            let text = "does not hold the lease: it is neither host:port nor a URL; \
                        set BELLWETHER_REDIS_URL (none: the guard on the volume elects alone)";
            self.notices.push(Notice::new(picked.culprit, text));
            return Ok(None);
        }
        let server = if picked.text.contains("://") {
            Server::parse(&picked.text).map_err(|error| error.to_string())
        } else {
            let address = host_and_port(&picked.text, None);
            let wrong = "is neither host:port nor a URL such as redis://host:6379";
            address.map(|(host, port)| Server::tcp(&host, port)).map_err(|_| wrong.to_owned())
        };
        match server {
            Ok(server) => Ok(Some(server.with_origin(Origin::of(picked.culprit)))),
            Err(wrong) => self.tell(Problem::new(picked.culprit, wrong + APPLICATION)),
        }
    }

    fn tell<T>(&mut self, problem: Problem) -> Result<T, Told> {
        self.problems.push(problem);
        Err(Told)
    }

    /// Something is said by the first of the names of `LOCK_REDIS_*` that are set, if any is.
    fn tell_of_lock(&mut self, text: &str) {
        let name = self.lock_names().next();
        self.notices.extend(name.map(|name| Notice::new(name, text)));
    }

    fn tell_of_unused(&mut self) {
        let text = "is ignored: no Redis is configured, the guard on the volume elects";
        let given = [n::TTL, n::HEARTBEAT, n::REDIS_WAIT, n::SCOPE].into_iter().filter(|name| self.is_given(name));
        let notices: Vec<Notice> = given.map(|name| Notice::new(name, text)).collect();
        self.notices.extend(notices);
    }

    fn lock_is_at(&self, server: &Server) -> bool {
        let text = |name| self.lookup(name).and_then(|value| value.into_string().ok());
        let host = text(n::LOCK_HOST).and_then(|text| host(&text).ok());
        let port = text(n::LOCK_PORT).map_or(Ok(6379), |text| port(&text));
        match (host, port) {
            (Some(host), Ok(port)) => server.is_at(&host, port),
            _ => false,
        }
    }

    /// Those of `LOCK_REDIS_*` that are set, as they are called.
    fn lock_names(&self) -> impl Iterator<Item = &'static str> {
        const NAMES: [&str; 4] = [n::LOCK_HOST, n::LOCK_PORT, n::LOCK_PASS, "LOCK_REDIS_PASS_FILE"];
        NAMES.into_iter().filter(|name| self.lookup(name).is_some())
    }

    /// Whether a setting is given, as a flag, a variable or a file.
    fn is_given(&self, name: &str) -> bool {
        self.overlay.contains_key(name)
            || self.lookup(name).is_some()
            || find(name).file && self.lookup(&format!("{name}_FILE")).is_some()
    }

    /// A variable, unless Kubernetes has set it. For a service called `redis-queue` it puts
    /// `REDIS_QUEUE_PORT=tcp://10.0.0.1:6379` into every container; whoever sets the port takes that place.
    pub(super) fn lookup(&self, name: &str) -> Option<OsString> {
        let value = self.env.lookup(name)?;
        let is_port = [n::LOCK_PORT, n::QUEUE_PORT].contains(&name);
        let is_link = is_port && value.as_encoded_bytes().starts_with(b"tcp://");
        (!is_link).then(|| value.to_owned())
    }
}

/// What to do about variables that the application may have for itself.
const APPLICATION: &str =
    "; if it is the application's alone, set BELLWETHER_REDIS_URL to the lease's Redis or to none";

/// A span of which 0 means "for ever", as with the other waits.
fn wait(text: &str) -> Result<Duration, String> {
    let span = seconds(text)?;
    Ok(if span.is_zero() { Duration::from_secs_f64(LONGEST_SECS) } else { span })
}

/// A name or an IP address. What was given is not shown: it may be a URL with a password.
fn host(text: &str) -> Result<String, String> {
    let bare = text.parse::<Ipv6Addr>().is_ok();
    let address = if bare { format!("[{text}]") } else { text.to_owned() };
    let wrong = "is no host; a name or an IP address is needed, without scheme and port";
    let has_port = if address.starts_with('[') { !address.ends_with(']') } else { address.contains(':') };
    let found = host_and_port(&address, Some(1)).ok().filter(|_| !has_port);
    found.map(|(host, _)| host).ok_or_else(|| wrong.to_owned())
}
