//! A replica as far as the lease goes.

use std::time::Duration;

use bellwether::lease::{Answer, Failure, FailureClass, Holder, LeaseClient, LeaseSetup, Server};
use bellwether::protocol::{Epoch, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::redis_server::RedisServer;

/// Everybody's.
pub(crate) const SCOPE: &str = "flock";
pub(crate) const LEASE: &str = "bellwether:{flock}:lease";
pub(crate) const EPOCH: &str = "bellwether:{flock}:epoch";

pub(crate) const TTL: Duration = Duration::from_secs(60);
/// Long enough for the busiest machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);
/// For requests that are not answered.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// A client, and what it tells.
pub(crate) struct Replica {
    pub(crate) client: LeaseClient,
    pub(crate) holder: Holder,
    /// Answers to what was asked, and releases that failed.
    answers: UnboundedReceiver<Answer>,
    /// What was told unasked.
    heard: UnboundedReceiver<Answer>,
}

pub(crate) fn server_of(redis: &RedisServer) -> Server {
    Server::parse(&redis.url()).unwrap()
}

/// The replica with this number at its server.
pub(crate) fn replica(number: u128, redis: &RedisServer) -> Replica {
    start(number, server_of(redis), PATIENT)
}

pub(crate) fn holder(number: u128) -> Holder {
    let pid = u32::try_from(number).unwrap();
    Holder {
        token: Uuid::from_u128(number),
        host: format!("web-{number}"),
        pid,
        rev: "v1".to_owned(),
        epoch: None,
        ttl_ms: u64::try_from(TTL.as_millis()).ok(),
    }
}

pub(crate) fn start(number: u128, server: Server, request_limit: Duration) -> Replica {
    let holder = holder(number);
    let setup = LeaseSetup { server, scope: SCOPE.to_owned(), holder: holder.clone(), ttl: TTL, request_limit };
    let (answer, answers) = unbounded_channel();
    let (hear, heard) = unbounded_channel();
    let client = LeaseClient::start(setup, move |told| {
        let unasked = matches!(told, Answer::Announced | Answer::Deaf(_));
        let _ = if unasked { hear.send(told) } else { answer.send(told) };
    });
    Replica { client, holder, answers, heard }
}

async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENT, future).await.unwrap_or_else(|_| panic!("never seen: {what}"))
}

/// Waits without keeping the runtime from its work.
pub(crate) async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    patiently(what, async {
        while !look() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

impl Replica {
    pub(crate) async fn answer(&mut self) -> Answer {
        patiently("an answer", self.answers.recv()).await.expect("the client lives")
    }

    pub(crate) async fn acquire(&mut self) -> Answer {
        self.client.acquire();
        self.answer().await
    }

    pub(crate) async fn renew(&mut self) -> Answer {
        self.client.renew();
        self.answer().await
    }

    /// Acquires, and it must be granted.
    pub(crate) async fn acquired(&mut self) -> (Timestamp, Epoch) {
        granted(self.acquire().await)
    }

    /// Releases, and waits until that is done: an answer to a later question says so.
    pub(crate) async fn release(&mut self) {
        self.client.release();
        let answer = self.renew().await;
        assert!(!matches!(answer, Answer::NotReleased(_)), "{answer:?}");
    }

    /// Acquires, and it must fail.
    pub(crate) async fn failure(&mut self) -> Failure {
        match self.acquire().await {
            Answer::Unreachable(failure) => failure,
            answer => panic!("{answer:?}"),
        }
    }

    pub(crate) async fn failure_class(&mut self) -> FailureClass {
        self.failure().await.class
    }

    /// The next thing told unasked.
    pub(crate) async fn hears(&mut self) -> Answer {
        patiently("something to hear", self.heard.recv()).await.expect("the client lives")
    }

    /// Whether something was told unasked that nobody has looked at yet.
    pub(crate) fn has_heard(&mut self) -> bool {
        !self.heard.is_empty()
    }

    /// Waits until it is subscribed.
    pub(crate) async fn is_listening(&mut self) {
        assert_eq!(self.hears().await, Answer::Announced);
    }

    /// Hears of failures until it hears again. The classes, in order.
    pub(crate) async fn deaf_classes(&mut self) -> Vec<FailureClass> {
        let mut classes = Vec::new();
        loop {
            match self.hears().await {
                Answer::Deaf(failure) => classes.push(failure.class),
                _ => return classes,
            }
        }
    }
}

pub(crate) fn granted(answer: Answer) -> (Timestamp, Epoch) {
    match answer {
        Answer::Granted { sent, epoch } => (sent, epoch),
        answer => panic!("{answer:?}"),
    }
}
