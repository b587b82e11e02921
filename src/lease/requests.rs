//! The task that asks Redis, one request after another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::classify::{is_closed, of_redis};
use super::connection::{Connection, tell};
use super::scripts::{Reply, Request, Scripts};
use super::{Answer, Failure, Holder, LeaseSetup, lease_key};
use crate::protocol::Epoch;

/// Lua counts exactly up to here. An epoch above it is nobody's: whoever believed it could not count on for long.
const HIGHEST_EPOCH: u64 = 1 << 53;

/// What is told of a lease that has no end.
const ENDLESS: Duration = Duration::from_secs(5);

/// What a client wants done, in this order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    Ask(Request),
    SetEpoch(Option<Epoch>),
}

/// What has become of the releases that were asked for.
#[derive(Debug, Default)]
pub(super) struct Releases {
    /// So many are not over yet.
    pub(super) open: usize,
    /// Why the last one was not confirmed, if it was not.
    pub(super) failure: Option<Failure>,
}

/// To whom a client's answers go.
pub(super) type Answers = Arc<dyn Fn(Answer) + Send + Sync>;

/// The side of a client that asks.
pub(super) struct Requests {
    pub(super) setup: LeaseSetup,
    pub(super) scripts: Scripts,
    pub(super) answers: Answers,
    pub(super) releases: Arc<watch::Sender<Releases>>,
    pub(super) connection: Option<Connection>,
}

impl Requests {
    /// Ends when nobody can ask any more.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<Task>) {
        while let Some(task) = inbox.recv().await {
            match task {
                Task::SetEpoch(epoch) => self.scripts.set_epoch(epoch.map(|epoch| epoch.0)),
                Task::Ask(Request::Release) => {
                    let failure = self.release().await.err();
                    // A lease that is asked for again begins without an epoch.
                    self.scripts.set_epoch(None);
                    if let Some(failure) = failure.clone() {
                        (self.answers)(Answer::NotReleased(failure));
                    }
                    self.releases.send_modify(|releases| *releases = Releases { open: releases.open - 1, failure });
                }
                Task::Ask(request) => self.ask(request).await,
            }
        }
    }

    /// Nothing more is asked for, nor waited for, once there is a release to come. What was sent by then stays on its
    /// connection, where the release follows it.
    async fn ask(&mut self, request: Request) {
        let mut releases = self.releases.subscribe();
        tokio::select! {
            biased;
            _ = releases.wait_for(|releases| releases.open > 0) => {}
            answer = self.request(request) => {
                let answer = answer.map(|reply| self.understand(request, reply));
                (self.answers)(answer.unwrap_or_else(Answer::Unreachable));
            }
        }
    }

    /// Without a connection, all of it is sent at once: a server that hangs hears of it when it goes on, after whatever
    /// of ours it has not heard of yet.
    async fn release(&mut self) -> Result<(), Failure> {
        let limit = self.setup.request_limit;
        let tried = timeout(limit, async {
            if let Some(result) = self.try_kept(Request::Release).await {
                return result.map(drop);
            }
            tell(&self.setup.server, limit, &self.scripts.in_full(Request::Release)).await
        });
        let tried = tried.await;
        self.settle(tried)
    }

    async fn request(&mut self, request: Request) -> Result<Reply, Failure> {
        let tried = timeout(self.setup.request_limit, self.try_request(request)).await;
        self.settle(tried)
    }

    /// After any failure the connection is closed: a late answer must not be taken for the next one's, and the name may
    /// lead to another server by now.
    fn settle<T>(&mut self, tried: Result<Result<T, Failure>, Elapsed>) -> Result<T, Failure> {
        let LeaseSetup { server, request_limit, .. } = &self.setup;
        let result = tried.unwrap_or_else(|_| Err(Failure::timeout(server, *request_limit)));
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    async fn try_request(&mut self, request: Request) -> Result<Reply, Failure> {
        if let Some(result) = self.try_kept(request).await {
            return result;
        }
        let server = &self.setup.server;
        let connection = Connection::open(server, self.setup.request_limit).await?;
        let connection = self.connection.insert(connection);
        self.scripts.run(request, connection).await.map_err(|error| of_redis(&error, server))
    }

    /// Asks on the connection there is. `None` without one, or if it was closed while nobody used it, which need not mean
    /// anything: all scripts may be run twice.
    async fn try_kept(&mut self, request: Request) -> Option<Result<Reply, Failure>> {
        match self.scripts.run(request, self.connection.as_mut()?).await {
            Err(error) if is_closed(&error) => None,
            result => Some(result.map_err(|error| of_redis(&error, &self.setup.server))),
        }
    }

    fn understand(&self, request: Request, reply: Reply) -> Answer {
        let Reply { sent, ours, text, left_ms } = reply;
        if ours {
            return Answer::Granted { sent, epoch: epoch_of(&text) };
        }
        if request == Request::Renew {
            return Answer::NotMine;
        }
        let left = u64::try_from(left_ms).ok().map(Duration::from_millis);
        let endless = || Failure::endless(&self.setup.server, &lease_key(&self.setup.scope));
        let foreign = left.is_none().then(endless);
        Answer::Denied { sent, left: left.unwrap_or(ENDLESS), holder: Holder::parse(&text), foreign }
    }
}

/// The epoch that Redis has heard of; 0 if it makes no sense.
fn epoch_of(text: &str) -> Epoch {
    Epoch(text.parse().ok().filter(|&epoch| epoch < HIGHEST_EPOCH).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_makes_no_sense_is_none() {
        for (text, epoch) in
            [("7", 7), ("", 0), ("x", 0), ("-1", 0), ("18446744073709551615", 0), ("9007199254740991", (1 << 53) - 1)]
        {
            assert_eq!(epoch_of(text), Epoch(epoch), "{text}");
        }
    }
}
