//! A path through the space, for people.

use std::fmt::Write as _;
use std::time::Duration;

use stateright::{Model, Path};

use super::Space;
use super::acts::Act;
use super::state::{State, Status};
use super::transitions::{TRANSITIONS, role};

/// What happened, in order: when, what, and what it made of the replicas.
pub(crate) fn story(space: &Space, path: Path<State, Act>) -> String {
    let mut text = String::new();
    let mut now = Duration::ZERO;
    let mut last: Option<State> = None;
    for (state, act) in path.into_vec() {
        if let Some(before) = last.filter(|before| before.seen != state.seen || changed(before, &state)) {
            tell_change(&mut text, &before, &state);
        } else if !text.is_empty() {
            text.push('\n');
        }
        let Some(act) = act else {
            last = Some(state);
            break;
        };
        if let Act::TimePasses(span) = act {
            now += span;
        }
        write!(text, "{:8.3} s  {}", now.as_secs_f64(), space.format_action(&act)).expect("a text takes everything");
        last = Some(state);
    }
    if let Some(broken) = last.and_then(|state| state.broken) {
        writeln!(text, "\n           and so is broken: {broken}").expect("a text takes everything");
    }
    text
}

fn changed(before: &State, after: &State) -> bool {
    before
        .replicas
        .iter()
        .zip(&after.replicas)
        .any(|(a, b)| a.machine.role() != b.machine.role() || a.status != b.status)
}

fn tell_change(text: &mut String, before: &State, after: &State) {
    for (index, (was, is)) in before.replicas.iter().zip(&after.replicas).enumerate() {
        if was.status != is.status && is.status != Status::Alive {
            write!(text, "   [{index} is {:?}]", is.status).expect("a text takes everything");
        } else if was.machine.role() != is.machine.role() {
            write!(text, "   [{index} is {}]", role(is.machine.role())).expect("a text takes everything");
        }
    }
    for (place, (from, to, _)) in TRANSITIONS.iter().enumerate() {
        if after.seen & (1 << place) != 0 && !from.contains('(') && !to.contains('(') {
            write!(text, "   [{from} → {to}]").expect("a text takes everything");
        }
    }
    text.push('\n');
}

impl Act {
    pub(crate) fn words(&self, replicas: usize) -> String {
        let who = |life: &bellwether::test_util::world::Life| life.0 % replicas;
        match self {
            Act::TimePasses(span) => format!("{:.3} s have passed", span.as_secs_f64()),
            Act::Tick(index) => format!("{index}: its deadline has come"),
            Act::TakeIn(index, place) => format!("{index}: takes in message {place} of those that wait"),
            Act::Start(index) => format!("{index}: starts the step it has decided upon"),
            Act::OnVolume(index) => format!("{index}: its next operation on the volume is done"),
            Act::GrantGuard(index) => format!("{index}: is granted the guard"),
            Act::ToRedis(life, way) => format!("{}: its oldest request to Redis: {way:?}", who(life)),
            Act::LateArrives(place) => format!("what was late ({place}) arrives"),
            Act::StepEnds(place, end) => format!("running step {place} ends: {end:?}"),
            Act::TreeGone(place) => format!("running step {place} was stopped and is gone"),
            other => format!("{other:?}"),
        }
    }
}
