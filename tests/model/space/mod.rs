//! The space of all states: the real machines in a world that does everything that may happen, in every order.
//!
//! # What is in it
//!
//! Two or three replicas, each with its real `Machine`, the answers that wait for it, its operations on the volume (done
//! one after another; a claim and its marker are two), what it has decided and not begun; the volume and Redis of
//! `test_util::world`; the guard with all who share its lock; running steps; requests to Redis, and what is late.
//! Whatever is possible at a moment happens in every order. A step may end at any moment, or never.
//!
//! # Time
//!
//! Nothing takes time by itself: time passes when nobody has anything left to do, until the next thing is due. What takes
//! time against this rule is a fault: a replica that is frozen, a volume that hangs, an answer that is late, a tree of
//! processes that lingers. When time passes, it stays the same moment and everything else moves into the past
//! (`Machine::move_back`), so states that differ only in when they happen are one, and there is no horizon: every instance
//! is explored until nothing new is found. What lies further back than twice STEP_STALE_SECS is put there, and notices by
//! the clock are put off for ever.
//!
//! # Bounds
//!
//! Each kind of fault may happen as often as the instance says, at any moment. An answer of Redis that is more than 40 s
//! late does not come. Beats, renewals and polls fall together (see `Instance::config`); jitter is none. A step has no
//! timeout, and nobody waits for ready with a limit.
//!
//! # What it does not tell
//!
//! P2 across a power loss, P3's "its descendants are gone" and P12 need real disks and processes: `tests/it/durability.rs`,
//! `tests/process`, `tests/it`. Of P6 the order is here, and "one round trip" in `tests/it_redis`. P7 and P10 are of the
//! stories in `tests/protocol` and of chance in `tests/sim`; so is a crash between the parts of a commit or of a
//! retraction, which are one here. Volume and Redis are fake ones: that the real ones do the same shows `tests/differential`.

mod acts;
pub(crate) mod budget;
mod doing;
mod faults;
pub(crate) mod instances;
mod on_redis;
mod on_volume;
pub(crate) mod referee;
pub(crate) mod state;
pub(crate) mod story;
pub(crate) mod transitions;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{Config, Plan, Revision, StepEnd, Trust};
use bellwether::test_util::world::{FakeRedis, FakeVolume, Life};
use stateright::{Model, Property};

use acts::Act;
use budget::{Budget, Fault};
use state::{Memory, State};

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
    /// A file system that drops a living client's locks is the documented exception to P1, and to P5, which stands on the
    /// same trust: what has no marker yet is taken over at once.
    fn locks_are_dropped(&self) -> bool {
        self.budget.has(Fault::LocksDropped)
    }

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
            guard: BTreeSet::new(),
            runs: Vec::new(),
            asks: Vec::new(),
            late: Vec::new(),
            copied: false,
            left: self.budget,
            memory: Memory::default(),
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
