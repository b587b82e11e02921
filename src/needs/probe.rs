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
            Target::Redis { address, user, password, database } => {
                redis(address, user.as_deref(), password.as_deref(), *database).await
            }
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

#[cfg(not(feature = "redis"))]
async fn redis(address: &Address, _: Option<&str>, _: Option<&str>, _: u16) -> Result<(), Failure> {
    connect(address).await.map(drop)
}

#[cfg(feature = "redis")]
async fn redis(address: &Address, user: Option<&str>, password: Option<&str>, db: u16) -> Result<(), Failure> {
    use redis::IntoConnectionInfo as _;

    // Tells an unknown host from a closed port, which the client does not.
    drop(connect(address).await?);
    let ping = async {
        let mut settings = redis::RedisConnectionInfo::default().set_db(i64::from(db)).set_skip_set_lib_name();
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        let info = (address.host.as_str(), address.port).into_connection_info()?.set_redis_settings(settings);
        let mut connection = redis::Client::open(info)?.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<()>(&mut connection).await
    };
    ping.await.map_err(|error| of_redis(&error))
}

#[cfg(feature = "redis")]
fn of_redis(error: &redis::RedisError) -> Failure {
    let code = error.code().unwrap_or_default();
    let text = error.to_string();
    let says = |word: &str| code == word || text.contains(word);
    // The client drops the code when it is SELECT that was refused.
    if says("NOAUTH") || says("Authentication required") {
        return Failure::new(FailureClass::Password, "Redis asks for a password (NOAUTH); put it into the need's URL");
    }
    if says("WRONGPASS") || error.kind() == redis::ErrorKind::AuthenticationFailed {
        let text = "Redis refuses this user or password (WRONGPASS); look at the need's URL";
        return Failure::new(FailureClass::Password, text);
    }
    if says("NOPERM") {
        // Who may not PING has been let in all the same.
        return Failure::new(FailureClass::Password, "Redis forbids this user to PING (NOPERM)");
    }
    let class = if error.is_timeout() {
        FailureClass::Timeout
    } else if error.is_connection_refusal() {
        FailureClass::Refused
    } else if error.is_io_error() {
        FailureClass::Network
    } else {
        FailureClass::NotReady
    };
    Failure::new(class, text)
}
