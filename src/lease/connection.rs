//! Getting to the primary. Nothing else knows how.
//!
//! The socket and the login are ours, so that a failure is told as the system or the server tells it (the client library
//! keeps only a summary) and every name is looked up anew; what follows is the library's.

use std::io;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError, ToRedisArgs};
use rustix::net::sockopt;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::classify::{is_not_permitted, of_io, of_redis};
use super::server::Place;
use super::{Failure, FailureClass, Server};

/// A peer that is silent for this long is asked whether it is still there …
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(10);
/// … so often …
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// … this many times.
const KEEP_ALIVE_PROBES: u32 = 3;
/// What is sent may stay unconfirmed at least this long before the connection counts as broken.
const SHORTEST_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// A server's answer to a login is not longer.
const LONGEST_LINE: u64 = 4096;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection on which the server has let us in.
type Stream = BufReader<Box<dyn Duplex>>;

/// One for requests. When it is dropped, it is closed, and an answer still to come is nobody's.
#[derive(Debug)]
pub(super) struct Connection {
    redis: MultiplexedConnection,
    /// The one that reads and writes.
    _task: JoinSet<()>,
}

impl Connection {
    /// Connects within `limit`.
    pub(super) async fn open(server: &Server, limit: Duration) -> Result<Connection, Failure> {
        let stream = connect(server, limit).await?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&nothing_to_set_up(), stream, config).await;
        let (redis, driver) = made.map_err(|error| of_redis(&error, server))?;
        let mut task = JoinSet::new();
        task.spawn(driver);
        Ok(Connection { redis, _task: task })
    }

    /// Asks, and waits for the answer.
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        command.query_async(&mut self.redis).await
    }

    /// Asks several things in one round trip.
    pub(super) async fn query_all<T: FromRedisValue>(&mut self, commands: &redis::Pipeline) -> Result<T, RedisError> {
        let answer: Result<T, RedisError> = commands.query_async(&mut self.redis).await;
        answer.map_err(|error| {
            // The error of all hides what the server said to each.
            let first = error.clone().into_server_errors().and_then(|errors| errors.first().cloned());
            first.map_or(error, |(_, said)| said.into())
        })
    }
}

/// Subscribes to a channel.
pub(super) async fn subscribe(
    server: &Server,
    channel: impl ToRedisArgs,
    limit: Duration,
) -> Result<redis::aio::PubSubStream, Failure> {
    let stream = connect(server, limit).await?;
    let subscribed = async {
        let mut pubsub = PubSub::new(&nothing_to_set_up(), stream).await?;
        pubsub.subscribe(channel).await?;
        Ok(pubsub.into_on_message())
    };
    subscribed.await.map_err(|error: RedisError| of_redis(&error, server))
}

/// Logs in and says one thing, all in one writing: a server that hangs now will read it later.
pub(super) async fn tell(server: &Server, limit: Duration, command: &Cmd) -> Result<(), Failure> {
    let mut stream = open(server, limit).await?;
    let login = login_of(server);
    write(&mut stream, login.iter().chain([command]), server).await?;
    read_login(&mut stream, login.len(), server).await?;
    // What it answers takes one line if it is an error, and begins with one if it is not.
    let line = read_line(&mut stream, server).await?;
    if line.starts_with(b"-") {
        let answer = redis::parse_redis_value(&line).and_then(redis::Value::extract_error);
        answer.map(drop).map_err(|error| of_redis(&error, server))?;
    }
    Ok(())
}

/// The library's own login has nothing left to do.
fn nothing_to_set_up() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name()
}

/// A connection on which the server has let us in.
async fn connect(server: &Server, limit: Duration) -> Result<Stream, Failure> {
    let mut stream = open(server, limit).await?;
    let login = login_of(server);
    // Whoever has nothing to do with us may hang up before he has read this; what he said first is worth more.
    let written = write(&mut stream, &login, server).await;
    read_login(&mut stream, login.len(), server).await?;
    written.map(|()| stream)
}

/// The way to the primary. Each address of a name gets its share of `limit`.
async fn open(server: &Server, limit: Duration) -> Result<Stream, Failure> {
    let socket: Box<dyn Duplex> = match &server.place {
        Place::Tcp(host, port) => Box::new(connect_tcp(server, (host, *port), limit).await?),
        Place::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(|error| of_io(&error, server))?),
    };
    Ok(BufReader::new(socket))
}

async fn connect_tcp(server: &Server, at: (&str, u16), limit: Duration) -> Result<TcpStream, Failure> {
    let unknown = |detail: &str| Failure::new(FailureClass::UnknownHost, server, detail);
    let addresses: Vec<_> = lookup_host(at).await.map_err(|error| unknown(&error.to_string()))?.collect();
    let mut failure = unknown("it has no address");
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                set_options(&stream, limit).map_err(|error| of_io(&error, server))?;
                return Ok(stream);
            }
            Ok(Err(error)) => of_io(&error, server),
            Err(_) => Failure::timeout(server, share),
        }
    }
    Err(failure)
}

/// No waiting for more to send, and a peer that has vanished is noticed.
fn set_options(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    let user_timeout = (limit * 2).max(SHORTEST_USER_TIMEOUT).as_millis();
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(user_timeout).unwrap_or(u32::MAX))?;
    Ok(())
}

async fn write(stream: &mut Stream, commands: impl IntoIterator<Item = &Cmd>, server: &Server) -> Result<(), Failure> {
    let packed: Vec<u8> = commands.into_iter().flat_map(Cmd::get_packed_command).collect();
    stream.write_all(&packed).await.map_err(|error| of_io(&error, server))
}

async fn read_login(stream: &mut Stream, commands: usize, server: &Server) -> Result<(), Failure> {
    for left in (0..commands).rev() {
        let line = read_line(stream, server).await?;
        match redis::parse_redis_value(&line).and_then(redis::Value::extract_error) {
            // The last one is PING, and who may not PING has been let in all the same.
            Err(error) if left == 0 && is_not_permitted(&error) => {}
            Err(error) => return Err(of_redis(&error, server)),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// User, password and database, and a PING that shows that Redis answers: one round trip.
fn login_of(server: &Server) -> Vec<Cmd> {
    let mut commands = Vec::new();
    if let Some(password) = &server.password {
        commands.push(redis::cmd("AUTH").arg(&server.user).arg(password).to_owned());
    }
    if server.db != 0 {
        commands.push(redis::cmd("SELECT").arg(server.db).to_owned());
    }
    commands.push(redis::cmd("PING"));
    commands
}

/// One line of an answer, which is what a server of another kind does not give.
async fn read_line(stream: &mut Stream, server: &Server) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let read = stream.take(LONGEST_LINE).read_until(b'\n', &mut line).await;
    let strange = |detail: &str| Failure::new(FailureClass::NotRedis, server, detail);
    match line.first() {
        Some(b'+' | b'-' | b'*') if line.ends_with(b"\r\n") => Ok(line),
        Some(_) => Err(strange(&format!("it says {:?}", String::from_utf8_lossy(&line)))),
        None => Err(match read {
            Err(error) => strange(&error.to_string()),
            Ok(_) => strange("it hangs up at once"),
        }),
    }
}
