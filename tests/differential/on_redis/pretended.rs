//! The fake side: the fake Redis, and the epochs of those who ask it. It can lie.

use std::time::Duration;

use bellwether::protocol::{Epoch, Event, Timestamp};
use bellwether::test_util::world::{FakeRedis, Key, Life};

use super::operations::{Operation, REPLICAS, What};
use super::{Answer, Left, Seen, expiry_of, span_of};
use crate::replica::TTL;
use crate::tally::IDLE;

/// How the fake is untrue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lie {
    /// What such an operation has changed is as before.
    Forgets(What, &'static str),
    /// Such an answer is another.
    Says(What, &'static str, Answer),
}

/// What came of an operation.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) answer: Answer,
    pub(crate) left: Left,
    pub(crate) came_to: &'static str,
}

#[derive(Clone, Default)]
pub(crate) struct Pretended {
    redis: FakeRedis,
    epochs: [Option<Epoch>; REPLICAS],
    now: Timestamp,
    lie: Option<Lie>,
}

impl Pretended {
    pub(crate) fn new(lie: Option<Lie>) -> Pretended {
        Pretended { lie, ..Pretended::default() }
    }

    /// It is this time.
    pub(crate) fn keep_up(&mut self, now: Timestamp) {
        self.now = now;
    }

    pub(crate) fn perform(&mut self, operation: &Operation) -> Told {
        let before = (self.redis.clone(), self.epochs);
        let (answer, left) = self.answer(operation);
        // That something was asked is no change.
        self.redis.requests = 0;
        let is_changed = before != (self.redis.clone(), self.epochs);
        let came_to = match answer {
            Answer::Announced if is_changed => "Released",
            Answer::Nothing if is_changed => "Done",
            Answer::Nothing => IDLE,
            _ => answer.word(),
        };
        let answer = match self.lie {
            Some(Lie::Forgets(what, word)) if (what, word) == (operation.what, came_to) => {
                (self.redis, self.epochs) = before;
                answer
            }
            Some(Lie::Says(what, word, other)) if (what, word) == (operation.what, came_to) => other,
            _ => answer,
        };
        Told { answer, left, came_to }
    }

    /// Whether the last of these would come to what is wanted.
    pub(crate) fn foresees(&self, scene: &[Operation], wanted: &[&str]) -> bool {
        let mut stage = self.clone();
        let last = scene.iter().map(|operation| stage.perform(operation)).last();
        last.is_some_and(|told| wanted.contains(&told.came_to))
    }

    fn answer(&mut self, operation: &Operation) -> (Answer, Left) {
        let (now, life, redis) = (self.now, Life(operation.replica), &mut self.redis);
        let event = match operation.what {
            What::Acquire => redis.acquire(now, life, now, TTL),
            What::Renew => redis.renew(now, life, now, TTL, self.epochs[life.0]),
            What::Release => {
                self.epochs[life.0] = None;
                let is_announced = redis.release(now, life);
                return (if is_announced { Answer::Announced } else { Answer::NotReleased }, Duration::ZERO);
            }
            What::Lead => {
                self.epochs[life.0] = Some(Epoch(operation.number));
                return (Answer::Nothing, Duration::ZERO);
            }
            _ => {
                befall(redis, operation, now);
                return (Answer::Nothing, Duration::ZERO);
            }
        };
        match event {
            Event::LeaseGranted { epoch, .. } => (Answer::Granted(epoch), Duration::ZERO),
            Event::LeaseDenied { left, .. } => (Answer::Denied, left),
            Event::LeaseNotMine => (Answer::NotMine, Duration::ZERO),
            Event::LeaseUnreachable => (Answer::Unreachable, Duration::ZERO),
            event => panic!("{event:?}"),
        }
    }

    pub(crate) fn look(&self) -> (Seen, Left) {
        let (who, until) = match self.redis.key(self.now) {
            Key::Free => ("(nil)".to_owned(), None),
            Key::Held { by: Some(life), until } => (life.0.to_string(), until),
            Key::Held { by: None, until } => ("intruder".to_owned(), until),
            Key::Spoiled => ("spoiled".to_owned(), None),
        };
        let epoch = if self.redis.epoch_is_spoiled { 0 } else { self.redis.epoch.0 };
        (Seen { who, epoch }, until.map_or(Duration::ZERO, |until| until.since(self.now)))
    }
}

/// What others do to the server.
fn befall(redis: &mut FakeRedis, operation: &Operation, now: Timestamp) {
    let intruder = |until| Key::Held { by: None, until };
    match operation.what {
        What::ReadOnly => redis.read_only = true,
        What::Writable => redis.read_only = false,
        What::ForgetScripts => {}
        // A replica takes no orders.
        _ if redis.read_only => {}
        What::Flush => redis.flush(),
        What::Expire => redis.expire_at(now + expiry_of(operation)),
        What::JumpAhead => redis.jump_ahead(now, span_of(operation)),
        What::JumpBack => redis.jump_back(now, span_of(operation)),
        What::Replicate => redis.replicate(),
        What::FailOver => redis.fail_over(),
        // A list may expire as well.
        What::Past | What::RunOut => redis.put(Key::Free),
        What::Intrude => redis.put(intruder(Some(now + Duration::from_secs(900)))),
        What::IntrudeForEver => redis.put(intruder(None)),
        What::Spoil => redis.put(Key::Spoiled),
        What::SpoilEpoch => redis.epoch_is_spoiled = true,
        What::Garble => (redis.epoch, redis.epoch_is_spoiled) = (Epoch(0), false),
        other => unreachable!("{other:?} is a replica's"),
    }
}
