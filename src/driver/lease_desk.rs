//! The lease: what the machine asks of Redis, and what Redis answers.
//!
//! Requests and announcements have tasks of their own. Nothing here waits for the volume, and nothing of the volume
//! waits for this.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, info, warn};

use super::message::Message;
use super::{LeaseSource, Setup};
use crate::lease::{Answer, Failure, FailureClass, Holder, LeaseClient, LeaseSetup, Listener};
use crate::process::boottime;
use crate::protocol::{Action, Election, Epoch, Event, LeaseTimes, Timestamp};

/// How often the same class of failure is told.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// This replica's dealings with Redis.
#[derive(Debug)]
pub(super) struct LeaseDesk {
    source: Option<LeaseSource>,
    /// What is asked for; `None` for a replica that never leads and only listens.
    times: Option<LeaseTimes>,
    holder: Holder,
    answers: UnboundedSender<Message>,
    client: Option<LeaseClient>,
    listener: Option<Listener>,
    told: Told,
    /// Whether the lease was ours when Redis answered last.
    held: bool,
    is_recovery_due: bool,
    /// Why the last request was not answered.
    failure: Option<Failure>,
    /// Who had the lease when it was refused last.
    other: Option<Holder>,
}

/// When each class of failure was told last.
#[derive(Debug, Default)]
struct Told(HashMap<FailureClass, Timestamp>);

impl Told {
    /// Whether one of this class is to be told now: the first one, and then one every half minute.
    fn is_due(&mut self, class: FailureClass, now: Timestamp) -> bool {
        let is_due = self.0.get(&class).is_none_or(|&last| now.since(last) >= COMPLAIN_EVERY);
        if is_due {
            self.0.insert(class, now);
        }
        is_due
    }
}

impl LeaseDesk {
    pub(super) fn new(setup: &Setup, answers: UnboundedSender<Message>) -> LeaseDesk {
        let holder = Holder::of(setup.volume.replica(), setup.volume.revision());
        let times = match setup.config.election() {
            Election::Lease(times) if setup.config.policy.may_lead => Some(times.clone()),
            Election::Lease(_) | Election::Guard => None,
        };
        let source = setup.lease.clone();
        LeaseDesk {
            source,
            times,
            holder,
            answers,
            client: None,
            listener: None,
            told: Told::default(),
            held: false,
            is_recovery_due: false,
            failure: None,
            other: None,
        }
    }

    /// Whether the volume's id is still to be found out.
    pub(super) fn wants_scope(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.scope.is_none())
    }

    /// Connects, once it is known which election this is. Inside of a tokio runtime.
    pub(super) fn open(&mut self, id: Option<&str>) {
        let Some(source) = self.source.clone().filter(|_| self.client.is_none() && self.listener.is_none()) else {
            return;
        };
        let Some(scope) = source.scope.or_else(|| id.map(str::to_owned)) else { return };
        let answers = self.answers.clone();
        // Nobody listens any more at the end: what is answered then has no meaning.
        let tell = move |answer| drop(answers.send(Message::Lease(answer)));
        debug!(redis = %source.server, scope, "asking Redis about this scope");
        let holder = self.holder.clone();
        if let Some(times) = &self.times {
            let (ttl, request_limit) = (times.ttl(), times.request_limit());
            let setup = LeaseSetup { server: source.server, scope, holder, ttl, request_limit };
            self.client = Some(LeaseClient::start(setup, tell));
        } else {
            self.listener = Some(Listener::start(source.server, scope, holder.token, tell));
        }
    }

    /// The epoch of our leadership becomes part of what the lease tells.
    pub(super) fn set_epoch(&self, epoch: Option<Epoch>) {
        if let Some(client) = &self.client {
            client.set_epoch(epoch);
        }
    }

    pub(super) fn perform(&self, action: &Action) {
        let Some(client) = &self.client else {
            // The scope is not known: what cannot be asked yet is asked again, and there is nothing to release.
            if *action != Action::ReleaseLease {
                let _ = self.answers.send(Message::Machine(Event::LeaseUnreachable));
            }
            return;
        };
        match action {
            Action::AcquireLease => client.acquire(),
            Action::RenewLease => client.renew(),
            Action::ReleaseLease => client.release(),
            other => unreachable!("{other:?} is not asked of Redis"),
        }
    }

    /// What an answer means to the machine.
    pub(super) fn take(&mut self, answer: Answer) -> Option<Event> {
        Some(match answer {
            Answer::Granted { sent, epoch } => {
                self.recover();
                self.held = true;
                self.other = None;
                Event::LeaseGranted { sent, epoch }
            }
            Answer::Denied { sent, left, holder, foreign } => {
                self.recover();
                self.held = false;
                if let Some(foreign) = foreign {
                    self.complain(&foreign);
                }
                self.other = holder;
                Event::LeaseDenied { sent, left }
            }
            Answer::NotMine => {
                self.recover();
                self.held = false;
                Event::LeaseNotMine
            }
            Answer::Unreachable(failure) => {
                self.complain(&failure);
                self.failure = Some(failure);
                Event::LeaseUnreachable
            }
            Answer::NotReleased(failure) => {
                self.complain(&failure);
                return None;
            }
            Answer::Announced => Event::Announced,
            Answer::Deaf(failure) => {
                // To whoever never leads Redis only saves a few seconds.
                if self.times.is_some() {
                    self.complain(&failure);
                } else {
                    debug!("no announcements: {failure}");
                }
                return None;
            }
        })
    }

    /// Once, and then every half minute.
    fn complain(&mut self, failure: &Failure) {
        if self.told.is_due(failure.class, boottime::now()) {
            warn!("{failure}");
            self.is_recovery_due = true;
        }
    }

    fn recover(&mut self) {
        // What was not told need not be taken back.
        if self.failure.take().is_some() && std::mem::take(&mut self.is_recovery_due) {
            info!("Redis answers again");
        }
    }

    /// Who had the lease when we were refused last, for people.
    pub(super) fn other(&self) -> Option<String> {
        self.other.as_ref().map(ToString::to_string)
    }

    /// Waits for what was given back last, at most a request's limit. Why Redis did not answer, if it did not.
    pub(super) async fn finish(&mut self) -> Option<String> {
        if let Some(client) = self.client.take()
            && let Err(failure) = client.finish().await
            && self.held
        {
            let ends_in = self.times.as_ref().map_or(0.0, |times| times.ttl().as_secs_f64());
            warn!(
                "the lease is not given back ({failure}); unless Redis hears of it yet, it ends by itself in {ends_in} s"
            );
        }
        self.failure.take().map(|failure| failure.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_failure_is_told_once_and_then_every_half_minute() {
        let mut told = Told::default();
        let at = |secs: u64| Timestamp::from_millis(secs * 1000);
        assert!(told.is_due(FailureClass::Refused, at(100)));
        assert!(!told.is_due(FailureClass::Refused, at(129)));
        assert!(told.is_due(FailureClass::Timeout, at(129)), "another class");
        assert!(told.is_due(FailureClass::Refused, at(130)));
        assert!(!told.is_due(FailureClass::Refused, at(131)));
    }
}
