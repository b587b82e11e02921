//! What is asked of Redis, and what becomes of the answers.

use bellwether::protocol::{Election, Event};
use bellwether::test_util::world::Life;

use super::Space;
use super::referee::{AGAIN, P8};
use super::state::{Ask, Late, NOW, Request, State};

/// What happens to a request and its answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Way {
    Well,
    RequestLost,
    AnswerLost,
    RequestLate,
    AnswerLate,
    AnswerTwice,
}

impl Space {
    /// The first request of this life arrives, or not.
    pub(crate) fn send(&self, state: &mut State, life: Life, way: Way) {
        let place = state.asks.iter().position(|ask| ask.life == life).expect("a request");
        let ask = state.asks.remove(place);
        match way {
            Way::Well => self.arrive(state, &ask, |space, state, answer| space.answer(state, life, answer)),
            Way::RequestLost => self.give_up(state, &ask),
            Way::AnswerLost => {
                self.give_up(state, &ask);
                self.arrive(state, &ask, |_, _, _| {});
            }
            Way::RequestLate => {
                self.give_up(state, &ask);
                state.late.push(Late::Request(ask));
            }
            Way::AnswerLate => {
                self.arrive(state, &ask, |_, state, answer| state.late.push(Late::Answer(life, NOW, answer)));
                self.give_up(state, &ask);
            }
            Way::AnswerTwice => self.arrive(state, &ask, |space, state, answer| {
                state.late.push(Late::Answer(life, NOW, answer.clone()));
                space.answer(state, life, answer);
            }),
        }
    }

    /// What was late comes after all.
    pub(crate) fn come_late(&self, state: &mut State, place: usize) {
        match state.late.remove(place) {
            Late::Request(ask) => {
                self.arrive(state, &ask, |_, _, _| {});
                stray(state, ask.life);
            }
            Late::Answer(life, _, answer) => self.answer(state, life, answer),
        }
    }

    fn answer(&self, state: &mut State, life: Life, answer: Event) {
        if let Some(index) = state.index_of(life) {
            self.deliver(state, index, answer);
        }
    }

    /// Nobody waits for the answer any more. Nobody waits for that of a release in any case.
    fn give_up(&self, state: &mut State, ask: &Ask) {
        if ask.request == Request::Release {
            stray(state, ask.life);
        } else {
            self.answer(state, ask.life, Event::LeaseUnreachable);
        }
    }

    /// Redis carries a request out.
    fn arrive(&self, state: &mut State, ask: &Ask, answer: impl FnOnce(&Space, &mut State, Event)) {
        let &Ask { life, request, sent, epoch } = ask;
        let Election::Lease(times) = self.config_of(life).election() else {
            unreachable!("a lease is asked for where the guard elects")
        };
        let before = state.redis.holder(NOW);
        let event = match request {
            Request::Acquire => state.redis.acquire(NOW, life, sent, times.ttl()),
            Request::Renew => state.redis.renew(NOW, life, sent, times.ttl(), epoch),
            Request::Release if state.redis.down => return self.give_up(state, ask),
            Request::Release => {
                let announced = state.redis.release(NOW, life);
                judge_request(state, ask, before, None);
                if announced {
                    self.announce(state, life);
                }
                return;
            }
        };
        state.redis.requests = 0;
        judge_request(state, ask, before, Some(&event));
        answer(self, state, event);
    }

    /// To everybody else.
    pub(crate) fn announce(&self, state: &mut State, by: Life) {
        for index in 0..state.replicas.len() {
            if state.replicas[index].life != by {
                self.deliver(state, index, Event::Announced);
            }
        }
    }
}

/// What a living replica has asked for last may not be what Redis has done.
fn stray(state: &mut State, life: Life) {
    if let Some(index) = state.index_of(life).filter(|&index| state.replicas[index].is_alive()) {
        state.replica(index).strayed = true;
    }
}

/// P8, and that asking again is answered well.
fn judge_request(state: &mut State, ask: &Ask, before: Option<Life>, answer: Option<&Event>) {
    let after = state.redis.holder(NOW);
    let is_anothers = before.is_some_and(|holder| holder != ask.life);
    let takes = ask.request == Request::Renew && before != Some(ask.life) || is_anothers;
    if takes && after != before {
        state.break_promise(P8);
    }
    if before == Some(ask.life) && ask.request == Request::Acquire && matches!(answer, Some(Event::LeaseDenied { .. }))
    {
        state.break_promise(AGAIN);
    }
}
