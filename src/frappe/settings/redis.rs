//! The three Redises of a Frappe stack, as URLs with an explicit port, which is what Frappe wants.

use super::read::Read;
use super::table::names as n;
use crate::Given;
use crate::settings::values;

/// URLs; they may hold passwords.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::frappe) struct Redises {
    pub(in crate::frappe) cache: String,
    pub(in crate::frappe) queue: String,
    pub(in crate::frappe) socketio: String,
}

impl Redises {
    /// Each, with what it is for and the settings that say where it is; one that serves for two comes once.
    pub(in crate::frappe) fn each(&self) -> Vec<(&'static str, &'static str, &str)> {
        let all = [
            ("the cache's Redis", "REDIS_CACHE, or REDIS_HOST, REDIS_CACHE_PORT and REDIS_PASS", &self.cache),
            ("the queue's Redis", "REDIS_QUEUE, or REDIS_HOST, REDIS_QUEUE_PORT and REDIS_PASS", &self.queue),
            (
                "the websocket server's Redis",
                "REDIS_SOCKETIO, or REDIS_HOST, REDIS_SOCKETIO_PORT and REDIS_PASS",
                &self.socketio,
            ),
        ];
        let is_first = |at: usize| all[..at].iter().all(|(_, _, earlier)| *earlier != all[at].2);
        (0..all.len()).filter(|&at| is_first(at)).map(|at| (all[at].0, all[at].1, all[at].2.as_str())).collect()
    }
}

/// The variables that may say where one of them is.
struct Sources {
    /// host:port or URL.
    whole: &'static str,
    /// With `REDIS_HOST`.
    port: &'static str,
    /// What Frappe prefers to its files.
    prevailing: Option<&'static str>,
}

const CACHE: Sources =
    Sources { whole: n::REDIS_CACHE, port: n::REDIS_CACHE_PORT, prevailing: Some(n::FRAPPE_REDIS_CACHE) };
const QUEUE: Sources =
    Sources { whole: n::REDIS_QUEUE, port: n::REDIS_QUEUE_PORT, prevailing: Some(n::FRAPPE_REDIS_QUEUE) };
const SOCKETIO: Sources = Sources { whole: n::REDIS_SOCKETIO, port: n::REDIS_SOCKETIO_PORT, prevailing: None };

impl Read<'_> {
    pub(super) fn redises(&mut self) -> Option<Redises> {
        let (cache, queue, socketio) = (self.redis(&CACHE), self.redis(&QUEUE), self.redis(&SOCKETIO));
        for (found, sources, what) in [(&cache, &CACHE, "the cache"), (&queue, &QUEUE, "the queue")] {
            if let Ok(None) = found {
                let text =
                    format!("is not set; set it to {what}'s host:port or URL, or set REDIS_HOST and {}", sources.port);
                self.missing(sources.whole, text);
            }
        }
        let (cache, queue) = (cache.ok()??, queue.ok()??);
        let socketio = socketio.ok()?.unwrap_or_else(|| queue.clone());
        Some(Redises { cache, queue, socketio })
    }

    /// `Err`: what is wrong has been told.
    fn redis(&mut self, sources: &Sources) -> Result<Option<String>, ()> {
        let whole = self.optional(sources.whole, url);
        let prevailing = sources.prevailing.map_or(Ok(None), |name| self.optional(name, url));
        let of_parts = self.of_parts(sources.port);
        let (whole, prevailing, of_parts) = (whole?, prevailing?, of_parts?);
        let given = [(sources.whole, whole), (sources.port, of_parts)];
        let mut given = given.into_iter().chain(sources.prevailing.map(|name| (name, prevailing)));
        let Some((name, first)) = given.by_ref().find_map(|(name, url)| Some((name, url?))) else { return Ok(None) };
        for (other, url) in given {
            if url.is_some_and(|url| url != first) {
                self.complain(other, format!("says another Redis than {name}; unset one of them"));
                return Err(());
            }
        }
        Ok(Some(first))
    }

    fn of_parts(&mut self, port_name: &str) -> Result<Option<String>, ()> {
        let number = self.optional(port_name, values::port);
        let (host, password) = (self.given(n::REDIS_HOST)?, self.given(n::REDIS_PASS)?);
        let (Some(host), Some(number)) = (host, number?) else { return Ok(None) };
        let host = if host.text.contains(':') { format!("[{}]", host.text) } else { host.text };
        let user_info = password.map_or_else(String::new, |Given { text, .. }| format!(":{}@", percent_encoded(&text)));
        Ok(Some(format!("redis://{user_info}{host}:{number}")))
    }
}

/// host:port, or a URL, as a URL that names its port.
fn url(text: &str) -> Result<String, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.contains('@') {
            return Err("holds a password; write it as a URL: redis://:PASSWORD@HOST:PORT".to_owned());
        }
        return has_port(text)
            .then(|| format!("redis://{text}"))
            .ok_or_else(|| "names no host:port such as redis:6379".to_owned());
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    match scheme {
        "unix" => Ok(text.to_owned()),
        "redis" | "rediss" if has_port(place) => Ok(text.trim_end_matches('/').to_owned()),
        "redis" | "rediss" => Err("names no port, and Frappe needs one: redis://HOST:6379".to_owned()),
        _ => Err(format!("is no URL of a Redis: {scheme}:// is none of redis://, rediss://, unix://")),
    }
}

fn has_port(place: &str) -> bool {
    let parts = place.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && values::port(port).is_ok())
}

/// As it has to stand in a URL.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_names_its_port() {
        assert_eq!(url("redis-cache:6379").unwrap(), "redis://redis-cache:6379");
        assert_eq!(url("redis://:p%40@cache:6379/1").unwrap(), "redis://:p%40@cache:6379/1");
        assert_eq!(url("redis://cache:6379/").unwrap(), "redis://cache:6379");
        assert_eq!(url("unix:///run/redis.sock").unwrap(), "unix:///run/redis.sock");
        for wrong in
            ["cache", "cache:", "cache:0", ":6379", "redis://cache", "redis://:p@cache", "http://x:1", ":p@x:1"]
        {
            let said = url(wrong).unwrap_err();
            assert!(!said.contains(":p@"), "{said}");
        }
    }

    #[test]
    fn passwords_are_encoded_for_urls() {
        assert_eq!(percent_encoded("a:b@c/ä~"), "a%3Ab%40c%2F%C3%A4~");
    }
}
