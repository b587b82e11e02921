//! Looking without asking for the lease.

use bellwether::lease::{FailureClass, Peek, peek};
use bellwether::protocol::Epoch;

use crate::redis_server::{RedisServer, free_port};
use crate::replica::{LEASE, PATIENT, SCOPE, TTL, granted, replica, server_of};

async fn look(redis: &RedisServer) -> Peek {
    peek(&server_of(redis), SCOPE, PATIENT).await.unwrap()
}

#[tokio::test]
async fn who_has_the_lease_is_seen() {
    let redis = RedisServer::start();
    assert_eq!(look(&redis).await, Peek { holder: None, left: None, epoch: 0, foreign: None });
    let mut replica = replica(1, &redis);
    replica.acquired().await;
    replica.client.set_epoch(Some(Epoch(3)));
    granted(replica.renew().await);
    let seen = look(&redis).await;
    assert!(seen.left.is_some_and(|left| left <= TTL && left > TTL / 2));
    assert_eq!(seen.holder.map(|holder| (holder.host, holder.epoch)), Some(("web-1".to_owned(), Some(3))));
    assert_eq!((seen.epoch, seen.foreign), (3, None));
}

#[tokio::test]
async fn what_is_not_in_our_form_is_shown_as_it_is() {
    let redis = RedisServer::start();
    redis.cli(&["SET", LEASE, "locked"]);
    let foreign = Some("locked".to_owned());
    assert_eq!(look(&redis).await, Peek { holder: None, left: None, epoch: 0, foreign });
    redis.cli(&["DEL", LEASE]);
    redis.cli(&["RPUSH", LEASE, "x"]);
    let failure = peek(&server_of(&redis), SCOPE, PATIENT).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::ForeignKey);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said() {
    let server = bellwether::lease::Server::tcp("127.0.0.1", free_port());
    assert_eq!(peek(&server, SCOPE, PATIENT).await.unwrap_err().class, FailureClass::Refused);
}
