//! Hearing that something has changed.

use bellwether::lease::{Answer, FailureClass, Listener};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::redis_server::RedisServer;
use crate::replica::{PATIENT, SCOPE, holder, replica, server_of};

#[tokio::test]
async fn a_release_is_heard_by_the_others_and_not_by_oneself() {
    let redis = RedisServer::start();
    let (mut leader, mut follower) = (replica(1, &redis), replica(2, &redis));
    leader.is_listening().await;
    follower.is_listening().await;
    leader.acquired().await;
    leader.release().await;
    assert_eq!(follower.hears().await, Answer::Announced);
    // The server has sent ours, if any, before the one that follows.
    follower.release().await;
    assert_eq!(leader.hears().await, Answer::Announced);
    assert!(!leader.has_heard() && !follower.has_heard());
}

#[tokio::test]
async fn a_leader_that_has_lost_its_lease_is_heard_too() {
    let redis = RedisServer::start();
    let (mut leader, mut follower) = (replica(1, &redis), replica(2, &redis));
    follower.is_listening().await;
    leader.acquired().await;
    redis.cli(&["FLUSHALL"]);
    leader.release().await;
    assert_eq!(follower.hears().await, Answer::Announced);
}

#[tokio::test]
async fn a_lost_subscription_is_told_and_taken_again() {
    let redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.is_listening().await;
    redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(replica.deaf_classes().await, [FailureClass::Closed], "and then it hears again");
}

#[tokio::test]
async fn a_server_that_comes_back_is_heard_again() {
    let mut redis = RedisServer::start();
    let mut replica = replica(1, &redis);
    replica.is_listening().await;
    redis.kill();
    let told: Vec<Answer> = vec![replica.hears().await, replica.hears().await];
    let classes = told.iter().map(|told| match told {
        Answer::Deaf(failure) => failure.class,
        told => panic!("{told:?}"),
    });
    assert_eq!(classes.collect::<Vec<_>>(), [FailureClass::Closed, FailureClass::Refused]);
    redis.restart();
    assert!(replica.deaf_classes().await.iter().all(|class| *class == FailureClass::Refused));
}

#[tokio::test]
async fn a_listener_hears_and_asks_for_nothing() {
    let redis = RedisServer::start();
    let mut monitor = redis.monitor();
    let (hear, mut heard) = unbounded_channel();
    let hear = move |told| drop(hear.send(told));
    let listener = Listener::start(server_of(&redis), SCOPE.to_owned(), holder(1).token, hear);
    let mut next = async || timeout(PATIENT, heard.recv()).await.unwrap();
    assert_eq!(next().await, Some(Answer::Announced));
    let asked = monitor.lines(&redis).join("\n");
    assert_eq!(asked.lines().count(), 2, "{asked}");
    assert!(asked.contains(r#""PING""#) && asked.contains(r#""SUBSCRIBE" "bellwether:{flock}:events""#), "{asked}");
    redis.cli(&["PUBLISH", "bellwether:{flock}:events", "from a person"]);
    assert_eq!(next().await, Some(Answer::Announced));
    drop(listener);
    assert_eq!(next().await, None, "nobody is there to tell");
}
