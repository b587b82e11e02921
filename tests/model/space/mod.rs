//! The space of all states: the real machines in a world that does everything that may happen, in every order.

mod acts;
mod doing;
mod instances;
mod on_redis;
mod on_volume;
pub(crate) mod referee;
mod state;
mod story;
mod transitions;

use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{Config, Plan, Revision, StepEnd, Trust};
use bellwether::test_util::world::{FakeRedis, FakeVolume, Life};
use stateright::{Model, Property};

pub(crate) use acts::Act;
pub(crate) use instances::{Instance, Kind, large, usual};
pub(crate) use state::State;
pub(crate) use story::story;
pub(crate) use transitions::TRANSITIONS;

pub(crate) use state::{FAULTS, Fault};
use state::Budget;

/// One instance of the model.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) plan: Arc<Plan>,
    pub(crate) configs: Vec<Config>,
    pub(crate) revs: Vec<Revision>,
    pub(crate) trust: Trust,
    /// STEP_STALE_SECS.
    pub(crate) stale_after: Duration,
    /// How a step may end by itself.
    pub(crate) ends: Vec<StepEnd>,
    pub(crate) budget: Budget,
}

impl Space {
    /// Whether Redis may lose a lease before its time.
    fn redis_forgets(&self) -> bool {
        [Fault::Wipe, Fault::Jump, Fault::FailOver].into_iter().any(|fault| self.budget.has(fault))
    }

    pub(crate) fn config_of(&self, life: Life) -> &Config {
        &self.configs[life.0 % self.configs.len()]
    }
}

impl Model for Space {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let lives = (0..self.configs.len()).map(Life);
        let mut state = State {
            replicas: lives.clone().map(|life| Arc::new(self.blank(life.0, life))).collect(),
            volume: Arc::new(FakeVolume::default()),
            redis: FakeRedis::default(),
            guard: Default::default(),
            runs: Vec::new(),
            asks: Vec::new(),
            late: Vec::new(),
            copied: false,
            left: self.budget,
            memory: Default::default(),
            broken: None,
            seen: 0,
        };
        for life in lives {
            self.start(&mut state, life.0, life);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        if state.broken.is_none() {
            self.list_acts(state, actions);
        }
    }

    fn next_state(&self, last: &State, act: Act) -> Option<State> {
        let mut state = last.clone();
        state.seen = 0;
        self.act(&mut state, act);
        Some(state)
    }

    fn format_action(&self, act: &Act) -> String {
        act.words(self.configs.len())
    }

    fn properties(&self) -> Vec<Property<Space>> {
        let mut properties = referee::properties();
        properties.extend(transitions::properties());
        properties
    }
}
