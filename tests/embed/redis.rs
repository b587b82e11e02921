//! Embedding programs whose replicas are elected by a lease in a real Redis.

use std::time::Duration;

use bellwether::{Bootstrap, Outcome, Step, StepContext, Trust};

use crate::redis_server::RedisServer;
use crate::scratch::{Scratch, outcome};

/// A step that waits to be stopped the first time, and is done the second.
fn twice(scratch: &Scratch) -> Step {
    let scratch = scratch.clone();
    Step::run("migrate", move |context: StepContext| {
        let scratch = scratch.clone();
        async move {
            scratch.note(&format!("epoch {}", context.epoch()));
            if scratch.notes().len() == 1 {
                context.cancelled().await;
                scratch.note("cancelled");
            }
            Ok(())
        }
    })
}

fn bootstrap(scratch: &Scratch, server: &RedisServer) -> Bootstrap {
    scratch.bootstrap("v1").redis(server.url()).step(twice(scratch))
}

#[tokio::test]
async fn the_lease_elects_and_a_dropped_leader_is_followed() {
    let (scratch, server) = (Scratch::new(), RedisServer::start());
    let start = || bootstrap(&scratch, &server).build().unwrap().start().unwrap();
    let leader = start();
    scratch.until_noted("epoch 1").await;
    let followers = [start(), start()];
    drop(leader);
    for follower in followers {
        assert_eq!(outcome(follower).await, Outcome::Ready);
    }
    assert_eq!(scratch.notes(), ["epoch 1", "cancelled", "epoch 2"]);
}

#[tokio::test]
async fn where_locks_are_not_trusted_a_step_is_cancelled_before_its_lease_ends() {
    let (scratch, mut server) = (Scratch::new(), RedisServer::start());
    let untrusted = bootstrap(&scratch, &server).trust(Trust::NotTrusted).stale_after(Duration::from_secs(6));
    let running = untrusted.build().unwrap().start().unwrap();
    scratch.until_noted("epoch 1").await;
    server.kill();
    scratch.until_noted("cancelled").await;
    running.stop();
    assert_eq!(outcome(running).await, Outcome::Stopped);
    assert!(!scratch.has(".migrate_done_v1"));
}
