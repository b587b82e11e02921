//! `tcp://db:3306`, taken apart.

use std::path::PathBuf;

use super::{Address, Need, Target};
use crate::lease::{self, Origin, Server, ServerError};
use crate::settings::percent_decoded;

/// Why a text is nothing one can wait for. Never shows a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NeedError {
    /// None of the four forms.
    #[error("is none of tcp://host:port, http://host[:port]/path, redis://host[:port] and file:///path")]
    Scheme,
    /// `https`, `rediss`: a server behind TLS.
    #[error("{0}:// is not supported; wait for the port as tcp://host:port")]
    Tls(&'static str),
    /// This binary was built without Redis.
    #[error("this build knows no Redis; wait for the port as tcp://host:port")]
    NoRedis,
    /// The host is missing or holds something no host's name holds.
    #[error("has no usable host; a name, an IPv4 address or an IPv6 address in [] is allowed")]
    Host,
    /// The port is missing or out of range.
    #[error("has no usable port; a number from 1 to 65535 is needed")]
    Port,
    /// User or password where none is supported, or one that cannot be read.
    #[error("holds a user or password that cannot be used here")]
    User,
    /// The path (or the database's number) cannot be used.
    #[error("has no usable path")]
    Path,
}

impl From<ServerError> for NeedError {
    fn from(error: ServerError) -> NeedError {
        match error {
            ServerError::Host => NeedError::Host,
            ServerError::Port => NeedError::Port,
            ServerError::User | ServerError::UserAlone => NeedError::User,
            // What is left is what follows a host: the scheme is ours.
            _ => NeedError::Path,
        }
    }
}

impl Need {
    /// Takes `text` apart.
    ///
    /// # Errors
    ///
    /// A [`NeedError`] that says which part is wrong.
    pub fn parse(text: &str) -> Result<Need, NeedError> {
        let (scheme, rest) = text.split_once("://").ok_or(NeedError::Scheme)?;
        let target = match scheme {
            "tcp" => Target::Tcp(address(rest, None)?),
            "http" => http(rest)?,
            "redis" if cfg!(feature = "redis") => {
                Target::Redis(Server::parse(text)?.with_origin(Origin::of("the need's URL")))
            }
            "redis" => return Err(NeedError::NoRedis),
            "file" => file(rest)?,
            "https" => return Err(NeedError::Tls("https")),
            "rediss" => return Err(NeedError::Tls("rediss")),
            _ => return Err(NeedError::Scheme),
        };
        Ok(Need { shown: shown(text, &target), target, settings: None })
    }
}

fn shown(text: &str, target: &Target) -> String {
    let Target::Redis(server) = target else { return text.to_owned() };
    if server.password().is_none() {
        return text.to_owned();
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (user_info, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (user, _password) = user_info.split_once(':').unwrap_or((user_info, ""));
    format!("{scheme}://{user}:***@{rest}")
}

fn address(text: &str, default_port: Option<u16>) -> Result<Address, NeedError> {
    let (host, port) = lease::host_and_port(text, default_port)?;
    Ok(Address { host, port })
}

fn http(rest: &str) -> Result<Target, NeedError> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(NeedError::User);
    }
    // Nothing that could end the request line early.
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(NeedError::Path);
    }
    let path = if path.is_empty() { "/" } else { path }.to_owned();
    Ok(Target::Http { address: address(authority, Some(80))?, path })
}

fn file(rest: &str) -> Result<Target, NeedError> {
    let path = percent_decoded(rest).filter(|path| path.len() > 1 && path.starts_with('/') && !path.contains('\0'));
    Ok(Target::File(PathBuf::from(path.ok_or(NeedError::Path)?)))
}
