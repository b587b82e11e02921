//! From what the client library and the server say to a [`Failure`].

use std::io;

use redis::{RedisError, ServerErrorKind};

use super::server::Place;
use super::{Failure, FailureClass, Server};

/// First words of a server's errors. Older servers put them behind a dash into the text of another error, when it was a
/// command of a script that failed.
const CODES: &[(&str, FailureClass)] = &[
    ("NOAUTH", FailureClass::AuthRequired),
    ("WRONGPASS", FailureClass::WrongPassword),
    ("DENIED", FailureClass::Protected),
    ("NOPERM", FailureClass::NotPermitted),
    ("READONLY", FailureClass::Replica),
    ("MASTERDOWN", FailureClass::MasterDown),
    ("MOVED", FailureClass::Cluster),
    ("ASK", FailureClass::Cluster),
    ("TRYAGAIN", FailureClass::Cluster),
    ("CROSSSLOT", FailureClass::Cluster),
    ("CLUSTERDOWN", FailureClass::Cluster),
    ("LOADING", FailureClass::Loading),
    ("BUSY", FailureClass::Busy),
    ("OOM", FailureClass::OutOfMemory),
    ("MISCONF", FailureClass::PersistenceBroken),
    ("WRONGTYPE", FailureClass::ForeignKey),
];

/// What servers say under the code ERR.
const PHRASES: &[(&str, FailureClass)] = &[
    ("max number of clients", FailureClass::TooManyClients),
    ("invalid password", FailureClass::WrongPassword),
    ("without any password configured", FailureClass::NoPasswordSet),
    ("no password is set", FailureClass::NoPasswordSet),
    ("executing the script can't", FailureClass::NotPermitted),
    ("unknown command", FailureClass::NotPermitted),
    ("DB index", FailureClass::NoSuchDatabase),
    ("cluster mode", FailureClass::Cluster),
    ("cluster support", FailureClass::Cluster),
];

/// Whether the server does not know the script (any more).
pub(super) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether nothing was wrong but that the other side has closed the connection.
pub(super) fn is_closed(error: &RedisError) -> bool {
    error.is_connection_dropped()
}

/// Whether the server answered, and what it answered is a lack of permission.
pub(super) fn is_not_permitted(error: &RedisError) -> bool {
    !error.is_io_error() && class_of_text(error) == FailureClass::NotPermitted
}

pub(super) fn of_redis(error: &RedisError, server: &Server) -> Failure {
    // On a connection that once worked.
    let class = match error {
        error if error.is_connection_dropped() => FailureClass::Closed,
        error if error.is_timeout() => FailureClass::Timeout,
        error if error.is_io_error() => FailureClass::Unreachable,
        error => class_of_text(error),
    };
    Failure::new(class, server, &text_of(error))
}

pub(super) fn of_io(error: &io::Error, server: &Server) -> Failure {
    let class = match (class_of_io(error), &server.place) {
        (FailureClass::Other, Place::Unix(_)) => FailureClass::NoSocket,
        (class, _) => class,
    };
    Failure::new(class, server, &error.to_string())
}

fn class_of_io(error: &io::Error) -> FailureClass {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FailureClass::Refused,
        io::ErrorKind::TimedOut => FailureClass::Timeout,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => FailureClass::Unreachable,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotConnected => FailureClass::Closed,
        _ => FailureClass::Other,
    }
}

fn class_of_text(error: &RedisError) -> FailureClass {
    let (code, text) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
    let by_code = CODES.iter().find(|(word, _)| *word == code);
    let by_dash = || CODES.iter().find(|(word, _)| text.contains(&format!("-{word} ")));
    let by_phrase = || PHRASES.iter().find(|(phrase, _)| text.contains(phrase));
    by_code.or_else(by_dash).or_else(by_phrase).map_or(FailureClass::Other, |(_, class)| *class)
}

/// What the server said, as it said it.
fn text_of(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(text), None) | (None, Some(text)) => text.to_owned(),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
