//! A server that dies, freezes or comes back.

use bellwether::lease::{Answer, FailureClass};
use bellwether::process::boottime;
use tokio::time::Instant;

use crate::redis_server::RedisServer;
use crate::replica::{LEASE, PATIENT, SHORT, TTL, eventually, granted, replica, server_of, start};

fn is_timeout(answer: &Answer) -> bool {
    matches!(answer, Answer::Unreachable(failure) if failure.class == FailureClass::Timeout)
}

#[tokio::test]
async fn a_paused_server_is_given_up_in_time_and_used_again_afterwards() {
    let redis = RedisServer::start();
    let mut replica = start(1, server_of(&redis), SHORT);
    replica.acquired().await;
    redis.cli(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    let began = Instant::now();
    assert!(is_timeout(&replica.renew().await));
    assert!(began.elapsed() >= SHORT && began.elapsed() < PATIENT);
    redis.cli(&["CLIENT", "UNPAUSE"]);
    granted(replica.renew().await);
}

#[tokio::test]
async fn an_acquire_that_was_given_up_may_still_be_executed_and_asking_again_is_granted() {
    let redis = RedisServer::start();
    let mut late = start(1, server_of(&redis), SHORT);
    // Connected, and the script known, so that the request is in the server's socket as a whole.
    late.acquired().await;
    late.release().await;
    redis.freeze();
    assert!(is_timeout(&late.acquire().await));
    redis.thaw();
    eventually("the late acquire", || redis.cli(&["GET", LEASE]) == late.holder.value()).await;
    assert!(matches!(replica(2, &redis).acquire().await, Answer::Denied { .. }));
    assert_eq!(redis.cli(&["PEXPIRE", LEASE, "30000"]), "1");
    late.acquired().await;
    assert!(redis.cli(&["PTTL", LEASE]).parse::<u128>().unwrap() > TTL.as_millis() / 2);
    late.release().await;
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
}

#[tokio::test]
async fn a_release_works_after_a_request_that_was_given_up() {
    let redis = RedisServer::start();
    let mut replica = start(1, server_of(&redis), SHORT);
    replica.acquired().await;
    redis.freeze();
    assert!(is_timeout(&replica.renew().await));
    redis.thaw();
    replica.client.release();
    assert_eq!(replica.client.finish().await, Ok(()));
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
}

#[tokio::test]
async fn a_frozen_server_hears_of_the_release_when_it_goes_on_whatever_was_asked_before() {
    for is_connected in [true, false] {
        let redis = RedisServer::start();
        let mut replica = start(1, server_of(&redis), SHORT);
        replica.acquired().await;
        redis.freeze();
        if !is_connected {
            assert!(is_timeout(&replica.renew().await));
        }
        // It hangs, and the release follows it.
        replica.client.renew();
        replica.client.release();
        let failure = replica.client.clone().finish().await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Timeout);
        redis.thaw();
        eventually("the release", || redis.cli(&["EXISTS", LEASE]) == "0").await;
    }
}

#[tokio::test]
async fn what_a_server_that_is_away_did_not_confirm_is_said_at_the_end() {
    let mut redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.acquired().await;
    redis.kill();
    replica.client.release();
    assert_eq!(replica.client.finish().await.unwrap_err().class, FailureClass::Refused);
}

#[tokio::test]
async fn a_lease_is_valid_from_before_it_was_asked_for_however_late_the_answer() {
    let redis = RedisServer::start();
    let mut replica = start(1, server_of(&redis), PATIENT);
    // Nothing else is said any more, and the script is known.
    replica.is_listening().await;
    replica.acquired().await;
    granted(replica.renew().await);
    redis.freeze();
    replica.client.renew();
    eventually("the request in the server's socket", || waits_in_socket(redis.port())).await;
    let asked_by = boottime::now();
    redis.thaw();
    let (sent, _) = granted(replica.answer().await);
    assert!(sent <= asked_by);
}

/// Whether something that was sent to this port has not been read, as the kernel's table tells.
fn waits_in_socket(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&format!(":{port:04X}")) && !fields[4].ends_with(":00000000") && fields[3] == "01"
    })
}

#[tokio::test]
async fn an_unconfirmed_release_is_said() {
    let redis = RedisServer::start();
    let mut replica = start(1, server_of(&redis), SHORT);
    replica.acquired().await;
    redis.freeze();
    replica.client.release();
    assert!(matches!(replica.answer().await, Answer::NotReleased(failure) if failure.class == FailureClass::Timeout));
    redis.thaw();
}

#[tokio::test]
async fn a_dead_server_refuses_and_a_restarted_one_is_used() {
    let mut redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.acquired().await;
    redis.kill();
    assert_eq!(replica.failure_class().await, FailureClass::Refused);
    redis.restart();
    assert_eq!(replica.renew().await, Answer::NotMine, "it has forgotten everything");
    replica.acquired().await;
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_request() {
    let mut redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.acquired().await;
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    granted(replica.renew().await);
    redis.restart();
    replica.acquired().await;
}
