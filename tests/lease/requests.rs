//! Acquiring, renewing and releasing on a server that answers.

use std::time::Duration;

use bellwether::lease::{Answer, FailureClass, Holder};
use bellwether::process::boottime;
use bellwether::protocol::Epoch;

use crate::redis_server::RedisServer;
use crate::replica::{EPOCH, LEASE, PATIENT, SHORT, TTL, eventually, granted, holder, replica, server_of, start};

fn left(redis: &RedisServer) -> Duration {
    Duration::from_millis(redis.cli(&["PTTL", LEASE]).parse().unwrap())
}

/// Makes the lease almost end.
fn wear_out(redis: &RedisServer) {
    assert_eq!(redis.cli(&["PEXPIRE", LEASE, "30000"]), "1");
}

#[tokio::test]
async fn one_is_granted_and_another_is_denied_with_holder_and_what_is_left() {
    let redis = RedisServer::start();
    let (mut first, mut second) = (replica(1, &redis), replica(2, &redis));
    let asked = boottime::now();
    let (sent, epoch) = first.acquired().await;
    assert!(asked < sent && sent < boottime::now());
    assert_eq!(epoch, Epoch(0), "Redis has heard of none");
    let Answer::Denied { sent: sent_later, left, holder, foreign } = second.acquire().await else { panic!() };
    assert!(sent < sent_later);
    assert!(left <= TTL && left > TTL / 2);
    assert_eq!((holder, foreign), (Some(first.holder.clone()), None));
    first.release().await;
    second.acquired().await;
}

#[tokio::test]
async fn acquiring_again_is_granted_again_and_prolongs() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    let (sent, _) = replica.acquired().await;
    wear_out(&redis);
    assert!(sent < replica.acquired().await.0);
    assert!(left(&redis) > TTL / 2);
    replica.client.set_epoch(Some(Epoch(4)));
    wear_out(&redis);
    assert_eq!(replica.acquired().await.1, Epoch(0), "an acquire allots and raises nothing");
    assert!(left(&redis) > TTL / 2);
    let led = Holder { epoch: Some(4), ..replica.holder.clone() };
    assert_eq!(Holder::parse(&redis.cli(&["GET", LEASE])), Some(led));
}

#[tokio::test]
async fn anothers_lease_lasts_no_longer_than_what_its_holder_asks_for() {
    let redis = RedisServer::start();
    let (mut first, mut second) = (replica(1, &redis), replica(2, &redis));
    first.acquired().await;
    // As after a clock that was put back by an hour, or a failover to a server whose clock is behind.
    assert_eq!(redis.cli(&["PEXPIRE", LEASE, "3600000"]), "1");
    let Answer::Denied { left: told, holder, .. } = second.acquire().await else { panic!() };
    assert_eq!((told, holder), (TTL, Some(first.holder.clone())));
    assert!(left(&redis) <= TTL && left(&redis) > TTL / 2, "whoever lives renews it in time");
    wear_out(&redis);
    let Answer::Denied { left: told, .. } = second.acquire().await else { panic!() };
    assert!(told <= TTL / 2 && left(&redis) <= TTL / 2, "nobody else's is prolonged");
}

#[tokio::test]
async fn a_lease_that_does_not_say_for_how_long_it_was_asked_is_left_alone() {
    let redis = RedisServer::start();
    let mut second = replica(2, &redis);
    let value = Holder { ttl_ms: None, ..holder(1) }.value();
    assert_eq!(redis.cli(&["SET", LEASE, &value, "PX", "3600000"]), "OK");
    let Answer::Denied { left: told, .. } = second.acquire().await else { panic!() };
    assert!(told > TTL && left(&redis) > TTL);
}

#[tokio::test]
async fn renewing_prolongs_and_raises_the_epoch_but_never_lowers_it() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.acquired().await;
    for (ours, known) in [(None, 0), (Some(Epoch(5)), 5), (Some(Epoch(3)), 5), (None, 5), (Some(Epoch(10)), 10)] {
        replica.client.set_epoch(ours);
        wear_out(&redis);
        assert_eq!(granted(replica.renew().await).1, Epoch(known));
        assert!(left(&redis) > TTL / 2);
        let value = Holder::parse(&redis.cli(&["GET", LEASE])).unwrap();
        assert_eq!(value.epoch.map(Epoch), ours);
    }
    assert_eq!(redis.cli(&["GET", EPOCH]), "10");
    assert_eq!(redis.cli(&["PTTL", EPOCH]), "-1");
    replica.release().await;
    assert_eq!(replica.acquired().await.1, Epoch(10));
}

#[tokio::test]
async fn renewing_never_creates_a_lease() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    assert_eq!(replica.renew().await, Answer::NotMine);
    replica.acquired().await;
    replica.client.set_epoch(Some(Epoch(7)));
    redis.cli(&["FLUSHALL"]);
    assert_eq!(replica.renew().await, Answer::NotMine);
    assert_eq!(redis.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn nobody_renews_or_releases_anothers() {
    let redis = RedisServer::start();
    let (mut first, mut second) = (replica(1, &redis), replica(2, &redis));
    first.acquired().await;
    wear_out(&redis);
    assert_eq!(second.renew().await, Answer::NotMine);
    second.release().await;
    assert_eq!(redis.cli(&["GET", LEASE]), first.holder.value());
    assert!(left(&redis) <= TTL / 2);
    first.release().await;
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_scripts_learns_them_again() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    for _ in 0..2 {
        replica.acquired().await;
        redis.cli(&["SCRIPT", "FLUSH"]);
        granted(replica.renew().await);
        redis.cli(&["SCRIPT", "FLUSH"]);
        replica.release().await;
        assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
        redis.cli(&["SCRIPT", "FLUSH"]);
    }
}

#[tokio::test]
async fn each_request_is_one_command_once_the_scripts_are_known() {
    let redis = RedisServer::start();
    let (mut replica, mut monitor) = (replica(1, &redis), redis.monitor());
    replica.is_listening().await;
    let commands = |lines: Vec<String>| -> Vec<String> {
        let asked = lines.into_iter().filter(|line| !line.contains("[0 lua]"));
        asked.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
    };
    replica.acquired().await;
    replica.release().await;
    let first = commands(monitor.lines(&redis));
    assert_eq!(first, ["PING", "SUBSCRIBE", "PING", "EVALSHA", "EVAL", "EVAL", "EVALSHA", "EVAL"]);
    for _ in 0..3 {
        replica.acquired().await;
        assert_eq!(commands(monitor.lines(&redis)), ["EVALSHA"]);
        granted(replica.renew().await);
        assert_eq!(commands(monitor.lines(&redis)), ["EVALSHA"]);
        replica.release().await;
        assert_eq!(commands(monitor.lines(&redis)), ["EVAL", "EVALSHA"], "a release, and a renewal that tells when");
    }
}

#[tokio::test]
async fn what_stands_in_the_key_and_is_not_ours_is_somebody_elses() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    redis.cli(&["SET", LEASE, "locked", "PX", "30000"]);
    let Answer::Denied { left, holder, foreign, .. } = replica.acquire().await else { panic!() };
    assert!(left <= Duration::from_secs(30) && left > Duration::ZERO);
    assert_eq!((holder, foreign), (None, None));
    redis.cli(&["PERSIST", LEASE]);
    let Answer::Denied { left, foreign, .. } = replica.acquire().await else { panic!() };
    assert_eq!(left, Duration::from_secs(5));
    let foreign = foreign.expect("a key without an end is foreign");
    assert_eq!(foreign.class, FailureClass::ForeignKey);
    assert!(foreign.to_string().contains("bellwether:{flock}:lease never expires"), "{foreign}");
    assert_eq!(replica.renew().await, Answer::NotMine);
    replica.release().await;
    assert_eq!(redis.cli(&["GET", LEASE]), "locked");
}

#[tokio::test]
async fn a_key_of_another_type_is_foreign_and_stays() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    redis.cli(&["RPUSH", LEASE, "x"]);
    assert_eq!(replica.failure_class().await, FailureClass::ForeignKey);
    replica.client.release();
    assert!(matches!(replica.renew().await, Answer::Unreachable(failure) if failure.class == FailureClass::ForeignKey));
    assert_eq!(redis.cli(&["TYPE", LEASE]), "list");
    redis.cli(&["DEL", LEASE]);
    redis.cli(&["SET", EPOCH, "not a number"]);
    assert_eq!(replica.acquired().await.1, Epoch(0));
}

#[tokio::test]
async fn a_release_overtakes_what_has_not_begun() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.is_listening().await;
    let mut monitor = redis.monitor();
    replica.client.acquire();
    replica.client.renew();
    replica.client.release();
    replica.client.acquire();
    granted(replica.answer().await);
    let scripts: Vec<String> = monitor.lines(&redis).into_iter().filter(|line| line.contains(r#""EVAL""#)).collect();
    assert_eq!(scripts.len(), 2, "{scripts:?}");
}

#[tokio::test]
async fn finishing_waits_for_the_release_and_leaves_no_connection() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.is_listening().await;
    replica.acquired().await;
    let clone = replica.client.clone();
    replica.client.release();
    replica.client.finish().await.unwrap();
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
    eventually("both connections closed", || !redis.cli(&["CLIENT", "LIST"]).contains("127.0.0.1:")).await;
    clone.acquire();
    clone.finish().await.unwrap();
    assert_eq!(redis.cli(&["EXISTS", LEASE]), "0");
}

#[tokio::test]
async fn finishing_without_a_release_waits_for_nothing() {
    let redis = RedisServer::start();
    let replica = replica(1, &redis);
    redis.freeze();
    replica.client.acquire();
    tokio::task::yield_now().await;
    // It would take the requests' limit, a minute, if it waited for the one under way.
    tokio::time::timeout(PATIENT / 2, replica.client.finish()).await.unwrap().unwrap();
    redis.thaw();
}

#[tokio::test]
async fn finishing_never_takes_longer_than_one_request() {
    let redis = RedisServer::start();
    let replica = start(1, server_of(&redis), SHORT);
    redis.freeze();
    replica.client.acquire();
    tokio::task::yield_now().await;
    replica.client.release();
    let began = tokio::time::Instant::now();
    replica.client.finish().await.unwrap_err();
    assert!(began.elapsed() >= SHORT, "it did wait");
    redis.thaw();
}

#[tokio::test]
async fn dropping_the_last_handle_ends_everything() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.is_listening().await;
    replica.acquired().await;
    let clone = replica.client.clone();
    drop(replica);
    clone.renew();
    eventually("a renewal", || redis.cli(&["INFO", "commandstats"]).contains("cmdstat_eval:calls=2")).await;
    drop(clone);
    eventually("both connections closed", || !redis.cli(&["CLIENT", "LIST"]).contains("127.0.0.1:")).await;
    assert_eq!(redis.cli(&["GET", LEASE]), holder(1).value());
}
