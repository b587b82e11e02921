//! Servers that answer, and do not do it.

use std::sync::Arc;
use std::thread;

use bellwether::lease::{FailureClass, peek};

use crate::redis_server::{RedisServer, free_port};
use crate::replica::{LEASE, PATIENT, SCOPE, eventually, granted, replica, server_of, start};

#[tokio::test]
async fn without_memory_nobody_acquires_but_whoever_has_it_keeps_it() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.acquired().await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    replica.client.set_epoch(Some(bellwether::protocol::Epoch(2)));
    granted(replica.renew().await);
    granted(replica.acquire().await);
    replica.release().await;
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
    let failure = replica.failure().await;
    assert_eq!(failure.class, FailureClass::OutOfMemory, "{failure}");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    replica.acquired().await;
}

#[tokio::test]
async fn a_replica_is_recognized_and_can_be_looked_at() {
    let primary = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port().to_string();
    let copy = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    assert_eq!(replica(1, &copy).failure_class().await, FailureClass::Replica);
    replica(1, &primary).acquired().await;
    eventually("the copy", || copy.cli(&["EXISTS", LEASE]) == "1").await;
    let seen = peek(&server_of(&copy), SCOPE, PATIENT).await.unwrap();
    assert_eq!(seen.holder.map(|holder| holder.host), Some("web-1".to_owned()));
    let nowhere = free_port().to_string();
    let orphan = RedisServer::start_with(&["--replicaof", "127.0.0.1", &nowhere, "--replica-serve-stale-data", "no"]);
    assert_eq!(replica(1, &orphan).failure_class().await, FailureClass::MasterDown);
}

#[tokio::test]
async fn somebodys_endless_script_is_recognized() {
    let redis = Arc::new(RedisServer::start_with(&["--busy-reply-threshold", "1"]));
    let mut replica = replica(1, &redis);
    let endless = {
        let redis = Arc::clone(&redis);
        thread::spawn(move || redis.cli(&["EVAL", "while true do end", "0"]))
    };
    eventually("a busy server", || redis.cli(&["PING"]).starts_with("-BUSY")).await;
    assert_eq!(replica.failure_class().await, FailureClass::Busy);
    redis.cli(&["SCRIPT", "KILL"]);
    assert!(endless.join().unwrap().contains("killed"));
    replica.acquired().await;
}

#[tokio::test]
async fn a_cluster_is_recognized() {
    let redis = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    assert_eq!(replica(1, &redis).failure_class().await, FailureClass::Cluster);
    assert_eq!(start(1, server_of(&redis).with_db(1), PATIENT).failure_class().await, FailureClass::Cluster);
}

#[tokio::test]
async fn a_server_that_is_full_is_recognized() {
    let redis = RedisServer::start_with(&["--maxclients", "1"]);
    // The one that may come in.
    let monitor = redis.monitor();
    let mut replica = replica(1, &redis);
    assert_eq!(replica.failure_class().await, FailureClass::TooManyClients);
    drop(monitor);
}
