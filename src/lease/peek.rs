//! Looking without asking for anything.

use std::time::Duration;

use tokio::time::timeout;

use super::classify::of_redis;
use super::connection::Connection;
use super::{Failure, Holder, Peek, Server, epoch_key, lease_key};

/// Who has the lease. One connection, one round trip on it, all within `limit`; a replica will do.
///
/// # Errors
///
/// A [`Failure`] if Redis cannot be used.
pub async fn peek(server: &Server, scope: &str, limit: Duration) -> Result<Peek, Failure> {
    let mut commands = redis::pipe();
    commands.cmd("GET").arg(lease_key(scope));
    commands.cmd("PTTL").arg(lease_key(scope));
    commands.cmd("GET").arg(epoch_key(scope));
    let looked = timeout(limit, async {
        let mut connection = Connection::open(server, limit).await?;
        connection.query_all(&commands).await.map_err(|error| of_redis(&error, server))
    });
    let (value, left_ms, epoch): (Option<Vec<u8>>, i64, Option<Vec<u8>>) =
        looked.await.unwrap_or_else(|_| Err(Failure::timeout(server, limit)))?;
    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    let holder = value.as_deref().and_then(Holder::parse);
    Ok(Peek {
        foreign: value.filter(|_| holder.is_none()),
        holder,
        left: u64::try_from(left_ms).ok().map(Duration::from_millis),
        epoch: epoch.and_then(|epoch| std::str::from_utf8(&epoch).ok()?.parse().ok()).unwrap_or(0),
    })
}

/// Whether Redis lets us in and answers, within `limit`.
pub(crate) async fn ping(server: &Server, limit: Duration) -> Result<(), Failure> {
    let opened = timeout(limit, Connection::open(server, limit)).await;
    opened.unwrap_or_else(|_| Err(Failure::timeout(server, limit))).map(drop)
}
