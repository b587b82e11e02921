//! The lease of a repair: asked for once, and given back at the end.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use uuid::Uuid;

use crate::commands::brief::Refusal;
use crate::commands::{complain, words};
use crate::exit::Exit;
use crate::lease::{Answer, Holder, LeaseClient, LeaseSetup};
use crate::process::{boottime, hold_stop_signals};
use crate::protocol::{Election, Epoch, LeaseTimes, Timestamp, Trust};
use crate::settings::{RedisSettings, Settings};
use crate::volume::Volume;

/// A person waits for a busy Redis at least so long. Nothing is begun after the lease, however late its answer was.
const PATIENCE: Duration = Duration::from_secs(2);

/// The lease, until it is dropped. It is not renewed: a repair takes a moment, and the lease ends by itself if it does
/// not.
#[derive(Debug)]
pub(super) struct HeldLease {
    epoch: Epoch,
    /// Nothing is begun after this.
    until: Timestamp,
    desk: Desk,
}

/// Takes the lease if it is free; `None` where none elects. `id` is the volume's.
pub(super) fn take(
    settings: &Settings,
    volume: &Volume,
    election: &Election,
    trust: Trust,
    id: Uuid,
) -> Result<Option<HeldLease>, Refusal> {
    let (Some(redis), Election::Lease(times)) = (&settings.redis, election) else { return Ok(None) };
    // Whoever is interrupted from here on ends what he does, and gives the lease back.
    hold_stop_signals();
    let mut desk = Desk::open(setup(redis, times, volume, id))?;
    match desk.acquire() {
        Answer::Granted { sent, epoch } => Ok(Some(HeldLease { epoch, until: until(sent, times, trust), desk })),
        Answer::Unreachable(failure) => {
            // It may be carried out yet: giving the lease back is tried in any case.
            desk.release();
            Err(Refusal { exit: Exit::Unavailable, reason: format!("{failure}; nothing was touched") })
        }
        Answer::Denied { foreign: Some(failure), .. } => {
            Err(Refusal { exit: Exit::Unavailable, reason: format!("{failure}; nothing was touched") })
        }
        denied => Err(Refusal { exit: Exit::TryLater, reason: why(denied) }),
    }
}

/// When it is too late to begin. Where nothing else keeps a leader away, so long before the lease ends as a leader would
/// have begun to stop its steps.
fn until(sent: Timestamp, times: &LeaseTimes, trust: Trust) -> Timestamp {
    let valid_until = sent + times.validity();
    match trust {
        Trust::Trusted => valid_until,
        Trust::NotTrusted => valid_until - times.stop(),
    }
}

fn setup(redis: &RedisSettings, times: &LeaseTimes, volume: &Volume, id: Uuid) -> LeaseSetup {
    LeaseSetup {
        server: redis.server.clone(),
        scope: redis.scope.as_ref().map_or_else(|| id.to_string(), ToString::to_string),
        holder: Holder::of(volume.replica(), volume.revision()),
        ttl: times.ttl(),
        request_limit: times.request_limit().max(PATIENCE),
    }
}

/// Why it is denied.
fn why(denied: Answer) -> String {
    let (holder, left) = match denied {
        Answer::Denied { holder, left, .. } => (holder, words::span(left)),
        other => return format!("the lease is not granted ({other:?}); nothing was touched"),
    };
    let taker = holder.map_or_else(|| "somebody".to_owned(), |holder| holder.to_string());
    format!(
        "the lease is held by {taker}; nothing was touched. Stop that replica, or wait until it is through; if it has \
         died, its lease ends in {left}"
    )
}

impl HeldLease {
    /// The highest epoch that Redis has heard of.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Refuses if the lease may have ended, or is about to where nothing else keeps a leader away.
    pub(super) fn expect_valid(&self) -> Result<(), Refusal> {
        if boottime::now() < self.until {
            return Ok(());
        }
        let reason = "looking at the volume took longer than the lease lasts, so somebody else may lead now; nothing was \
                      touched. Try again, or raise LOCK_RENEW_TTL_SECS";
        Err(Refusal { exit: Exit::TryLater, reason: reason.to_owned() })
    }
}

impl Drop for HeldLease {
    /// Gives the lease back and announces that there is something to look at.
    fn drop(&mut self) {
        if let Some(failure) = self.desk.release() {
            complain(&format!("{failure}; so the lease is not given back, and nothing announced: it ends by itself"));
        }
    }
}

/// Where Redis is asked, one thing after another.
#[derive(Debug)]
struct Desk {
    /// Both are there until they are taken for the end.
    client: Option<LeaseClient>,
    runtime: Option<Runtime>,
    answers: UnboundedReceiver<Answer>,
}

impl Desk {
    fn open(setup: LeaseSetup) -> Result<Desk, Refusal> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Refusal::of_beginning(" to ask Redis", &error))?;
        let (told, answers) = unbounded_channel();
        let client = runtime.block_on(async { LeaseClient::start(setup, move |answer| drop(told.send(answer))) });
        Ok(Desk { client: Some(client), runtime: Some(runtime), answers })
    }

    /// Asks for the lease, and waits for the answer, for a request's limit at the longest.
    fn acquire(&mut self) -> Answer {
        let (client, runtime) = (self.client.as_ref(), self.runtime.as_ref());
        let (client, runtime) = client.zip(runtime).expect("nothing is asked after the end");
        runtime.block_on(async {
            client.acquire();
            loop {
                match self.answers.recv().await.expect("the client keeps the other end") {
                    Answer::Announced | Answer::Deaf(_) => {}
                    answer => return answer,
                }
            }
        })
    }

    /// Gives the lease back and waits for that, for a request's limit at the longest. Why Redis did not confirm it, if
    /// it did not.
    fn release(&mut self) -> Option<String> {
        let (client, runtime) = self.client.take().zip(self.runtime.as_ref())?;
        client.release();
        runtime.block_on(client.finish()).err().map(|failure| failure.to_string())
    }
}

impl Drop for Desk {
    /// A name that is being looked up must not hold us back.
    fn drop(&mut self) {
        self.client = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lease::Server;
    use crate::protocol::LeaseWish;

    fn times(trust: Trust) -> LeaseTimes {
        let (stale, wait) = (Duration::from_secs(120), Duration::from_secs(1));
        LeaseTimes::derive(LeaseWish::default(), stale, wait, trust).unwrap()
    }

    #[test]
    fn it_is_too_late_when_the_lease_may_have_ended_and_earlier_without_trust() {
        let sent = Timestamp::from_millis(1_000_000);
        let [trusted, not_trusted] = [Trust::Trusted, Trust::NotTrusted].map(|trust| until(sent, &times(trust), trust));
        assert_eq!(trusted.since(sent), Duration::from_millis(29_698));
        assert_eq!(not_trusted.since(sent), Duration::from_millis(23_198));
    }

    #[test]
    fn whoever_took_too_long_does_not_begin() {
        let holder =
            Holder { token: Uuid::nil(), host: String::new(), pid: 1, rev: String::new(), epoch: None, ttl_ms: None };
        let (ttl, request_limit) = (Duration::from_secs(1), Duration::from_millis(1));
        let server = Server::parse("unix:///nonexistent").unwrap();
        let desk = Desk::open(LeaseSetup { server, scope: String::new(), holder, ttl, request_limit }).unwrap();
        let mut lease = HeldLease { epoch: Epoch(0), until: boottime::now() + Duration::from_secs(60), desk };
        assert!(lease.expect_valid().is_ok());
        lease.until = boottime::now();
        let refusal = lease.expect_valid().unwrap_err();
        assert_eq!(refusal.exit, Exit::TryLater);
        assert!(refusal.reason.contains("nothing was touched"), "{}", refusal.reason);
    }
}
