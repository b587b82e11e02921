//! One try at one need.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Address, Need, Target};

/// The longest a single try may take.
pub(super) const TRY_LIMIT: Duration = Duration::from_secs(2);
/// A status line longer than this is none.
const LONGEST_STATUS_LINE: usize = 1024;

/// Why a need is not met, as far as it makes a difference to a person.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FailureClass {
    /// Nobody listens.
    Refused,
    /// No answer in time.
    Timeout,
    /// The host's name cannot be resolved.
    UnknownHost,
    /// Any other trouble on the way.
    Network,
    /// The server speaks, but not yet as it should (an HTTP status, a loading Redis).
    NotReady,
    /// Redis asks for a password, or for another one.
    Password,
    /// The file is not there.
    Missing,
    /// The file cannot be looked at.
    Unreadable,
}

/// One try that failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What kind of trouble it is.
    pub class: FailureClass,
    /// What it is, with what to look at. Holds no secret.
    pub text: String,
}

impl Failure {
    pub(super) fn new(class: FailureClass, text: impl Into<String>) -> Failure {
        Failure { class, text: text.into() }
    }

    fn of_io(error: &io::Error) -> Failure {
        let class = match error.kind() {
            io::ErrorKind::ConnectionRefused => FailureClass::Refused,
            io::ErrorKind::TimedOut => FailureClass::Timeout,
            _ => FailureClass::Network,
        };
        if class == FailureClass::Refused {
            return Failure::new(class, "connection refused: nobody listens there (yet)");
        }
        Failure::new(class, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Tries once, for at most [`TRY_LIMIT`].
pub(super) async fn try_once(need: &Need) -> Result<(), Failure> {
    let attempt = async {
        match &need.target {
            Target::Tcp(address) => connect(address).await.map(drop),
            Target::Http { address, path } => http(address, path).await,
            #[cfg(feature = "redis")]
            Target::Redis(server) => redis(server).await,
            #[cfg(not(feature = "redis"))]
            Target::Redis(server) => unreachable!("the parser refuses {server}"),
            Target::File(path) => file(path),
        }
    };
    match tokio::time::timeout(TRY_LIMIT, attempt).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(FailureClass::Timeout, format!("no answer within {} s", TRY_LIMIT.as_secs()))),
    }
}

async fn connect(address: &Address) -> Result<TcpStream, Failure> {
    let host = address.host.as_str();
    let resolved = tokio::net::lookup_host((host, address.port)).await;
    let resolved = resolved.map_err(|error| {
        let text = format!("the host {host:?} cannot be resolved: {error}");
        Failure::new(FailureClass::UnknownHost, text)
    })?;
    let mut last = Failure::new(FailureClass::UnknownHost, format!("the host {host:?} has no address"));
    for address in resolved {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Failure::of_io(&error),
        }
    }
    Err(last)
}

async fn http(address: &Address, path: &str) -> Result<(), Failure> {
    let mut stream = connect(address).await?;
    let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: bellwether/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        address.port,
        env!("CARGO_PKG_VERSION"),
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| Failure::of_io(&error))?;
    let line = status_line(&mut stream).await.map_err(|error| Failure::of_io(&error))?;
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
    match status {
        Some(200..400) => Ok(()),
        Some(status) => Err(Failure::new(FailureClass::NotReady, format!("answers with HTTP status {status}"))),
        None => Err(Failure::new(FailureClass::NotReady, "does not answer in HTTP")),
    }
}

/// What the server says up to the first line's end, its own end, or our patience's.
async fn status_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut chunk = [0; 256];
    while line.len() < LONGEST_STATUS_LINE && !line.contains(&b'\n') {
        match stream.read(&mut chunk).await? {
            0 => break,
            count => line.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn file(path: &Path) -> Result<(), Failure> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(FailureClass::Missing, "is not there"))
        }
        Err(error) => Err(Failure::new(FailureClass::Unreadable, format!("cannot be looked at: {error}"))),
    }
}

#[cfg(feature = "redis")]
async fn redis(server: &crate::lease::Server) -> Result<(), Failure> {
    use crate::lease::{self, FailureClass as Class};

    let reached = lease::ping(server, TRY_LIMIT).await;
    reached.map_err(|failure| {
        let class = match failure.class {
            Class::Refused => FailureClass::Refused,
            Class::Timeout => FailureClass::Timeout,
            Class::UnknownHost => FailureClass::UnknownHost,
            Class::Unreachable | Class::Closed => FailureClass::Network,
            Class::AuthRequired | Class::WrongPassword | Class::NoPasswordSet => FailureClass::Password,
            _ => FailureClass::NotReady,
        };
        Failure::new(class, failure.to_string())
    })
}
