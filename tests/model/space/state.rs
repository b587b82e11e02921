//! What the checker tells apart: replicas with their real machines, volume, Redis, guard, running steps, and what is on
//! its way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{Action, Epoch, Event, Machine, Outcome, Revision, StepId, Timestamp};
use bellwether::test_util::world::{FakeRedis, FakeVolume, Life};

use super::budget::Budget;

/// What time it always is: when time passes, everything else moves into the past.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// Who keeps the guard's lock: the open file is shared with the shims.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Holder {
    Leader(Life),
    Shim(Life, StepId),
}

/// A wait for the guard cannot be taken back: what is not wanted any more is closed when it is granted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Wait {
    None,
    Waiting { wanted: bool },
    Granted { wanted: bool },
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Status {
    Alive,
    Killed,
    Ended(Outcome),
}

impl Status {
    /// What has handed off needs none of this any more.
    pub(crate) fn may_be_restarted(&self) -> bool {
        !matches!(self, Status::Alive | Status::Ended(Outcome::HandOff))
    }
}

/// One replica.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that may befall it")]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Replica {
    pub(crate) life: Life,
    pub(crate) status: Status,
    pub(crate) machine: Machine,
    pub(crate) frozen: bool,
    /// Nobody thaws it before a step of another runs.
    pub(crate) until_replaced: bool,
    /// Its volume does not answer at the moment.
    pub(crate) hanging: bool,
    /// What it has been told and not taken in yet.
    pub(crate) inbox: Vec<Event>,
    /// Operations on the volume, done one after another, and how far the first has got.
    pub(crate) jobs: VecDeque<Action>,
    pub(crate) half_done: bool,
    /// What the machine has asked for and is not begun yet: a process may be frozen between deciding and doing.
    pub(crate) undone: VecDeque<Action>,
    pub(crate) wait: Wait,
    /// The volume has failed it, or nobody waits for it any more: markers may stay behind.
    pub(crate) excused: bool,
    /// It waits no longer for a request that Redis has carried out since, or for a release that got lost: Redis may keep
    /// its lease until that ends.
    pub(crate) strayed: bool,
    /// How often it was asked to stop.
    pub(crate) stops: u8,
}

impl Replica {
    pub(crate) fn is_alive(&self) -> bool {
        self.status == Status::Alive
    }

    /// Whether it does anything at all.
    pub(crate) fn moves(&self) -> bool {
        self.is_alive() && !self.frozen
    }

    /// Whether its machine takes in what comes.
    pub(crate) fn listens(&self) -> bool {
        self.moves() && self.undone.is_empty()
    }

    pub(crate) fn is_tick_due(&self) -> bool {
        self.listens() && self.machine.next_deadline().is_some_and(|at| at <= NOW)
    }
}

/// A running tree of processes under its shim.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Run {
    pub(crate) life: Life,
    pub(crate) replica: usize,
    pub(crate) step: StepId,
    pub(crate) epoch: Epoch,
    /// When its shim stops it by itself.
    pub(crate) deadline: Option<Timestamp>,
    /// When it is gone at the latest, once it is being stopped. Time does not pass beyond that.
    pub(crate) gone_by: Option<Timestamp>,
    pub(crate) orphaned: bool,
    /// Keeps the guard for as long as it likes.
    pub(crate) lingers: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Request {
    Acquire,
    Renew,
    Release,
}

/// A request on its way to Redis.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Ask {
    pub(crate) life: Life,
    pub(crate) request: Request,
    pub(crate) sent: Timestamp,
    pub(crate) epoch: Option<Epoch>,
}

/// What arrives after its replica has given it up.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Late {
    Request(Ask),
    Answer(Life, Timestamp, Event),
}

/// What the referee has to remember.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Memory {
    pub(crate) epoch: Epoch,
    /// Runs that have ended well and are not marked done.
    pub(crate) succeeded: BTreeSet<(Life, StepId, Epoch)>,
    /// Runs that count, by revision and step.
    pub(crate) spent: BTreeMap<(Revision, StepId), u32>,
    /// Claims whose marker is not written yet, since when.
    pub(crate) bare: BTreeMap<(Revision, StepId), Timestamp>,
    /// What each replica's last look showed to be silent for STEP_STALE_SECS.
    pub(crate) silent: BTreeSet<(usize, Revision, StepId)>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct State {
    pub(crate) replicas: Vec<Arc<Replica>>,
    pub(crate) volume: Arc<FakeVolume>,
    pub(crate) redis: FakeRedis,
    pub(crate) guard: BTreeSet<Holder>,
    pub(crate) runs: Vec<Run>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) late: Vec<Late>,
    pub(crate) copied: bool,
    pub(crate) left: Budget,
    pub(crate) memory: Memory,
    /// The promise that was broken.
    pub(crate) broken: Option<&'static str>,
    /// The transitions that the last action made, by their place in the list.
    pub(crate) seen: u128,
}

impl State {
    pub(crate) fn replica(&mut self, index: usize) -> &mut Replica {
        Arc::make_mut(&mut self.replicas[index])
    }

    pub(crate) fn volume(&mut self) -> &mut FakeVolume {
        Arc::make_mut(&mut self.volume)
    }

    pub(crate) fn index_of(&self, life: Life) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.life == life)
    }

    /// Whether a replica has the guard and knows it. What was granted and is not taken in is closed when it is, or with
    /// the process.
    pub(crate) fn has_guard(&self, index: usize) -> bool {
        let replica = &self.replicas[index];
        replica.wait == Wait::None && self.guard.contains(&Holder::Leader(replica.life))
    }

    /// A release makes superfluous what was asked for before it and has not begun, and what was answered before it was
    /// answered at an earlier moment, however short that was.
    pub(crate) fn forget_what_was_asked(&mut self, index: usize) {
        let life = self.replicas[index].life;
        self.asks.retain(|ask| ask.life != life || ask.request == Request::Release);
        let mut late = std::mem::take(&mut self.late);
        let answers = late.iter_mut().filter_map(|late| match late {
            Late::Answer(of, _, event) if *of == life => Some(event),
            _ => None,
        });
        for event in answers.chain(&mut self.replica(index).inbox) {
            if let Event::LeaseGranted { sent, .. } | Event::LeaseDenied { sent, .. } = event {
                *sent = (*sent).min(NOW - Duration::from_nanos(1));
            }
        }
        self.late = late;
    }

    /// The first break counts.
    pub(crate) fn break_promise(&mut self, promise: &'static str) {
        self.broken.get_or_insert(promise);
    }

    /// Lets time pass: everything moves into the past.
    pub(crate) fn pass(&mut self, span: Duration, floor: Timestamp) {
        for replica in &mut self.replicas {
            let replica = Arc::make_mut(replica);
            if !replica.is_alive() {
                continue;
            }
            replica.machine.move_back(span, NOW, floor);
            replica.inbox.iter_mut().for_each(|event| move_event(event, span, floor));
            for job in replica.jobs.iter_mut().chain(&mut replica.undone) {
                move_action(job, span, floor);
            }
        }
        self.volume().move_back(span, NOW, floor);
        self.redis.move_back(span, NOW);
        for run in &mut self.runs {
            for at in [&mut run.deadline, &mut run.gone_by].into_iter().flatten() {
                *at = (*at - span).max(floor);
            }
        }
        for since in self.memory.bare.values_mut() {
            *since = (*since - span).max(floor);
        }
        for ask in &mut self.asks {
            ask.sent = ask.sent - span;
        }
        for late in &mut self.late {
            match late {
                Late::Request(ask) => ask.sent = ask.sent - span,
                Late::Answer(_, sent, event) => {
                    *sent = *sent - span;
                    move_event(event, span, floor);
                }
            }
        }
        self.late.retain(|late| {
            let (Late::Request(Ask { sent, .. }) | Late::Answer(_, sent, _)) = late;
            NOW.since(*sent) <= LATEST
        });
    }
}

/// What was sent so long ago does not arrive any more.
const LATEST: Duration = Duration::from_secs(40);

fn move_event(event: &mut Event, span: Duration, floor: Timestamp) {
    match event {
        Event::Looked(view) => view.move_back(span, floor),
        Event::LeaseGranted { sent, .. } | Event::LeaseDenied { sent, .. } => {
            *sent = (*sent - span).max(floor);
        }
        _ => {}
    }
}

fn move_action(action: &mut Action, span: Duration, floor: Timestamp) {
    match action {
        Action::Spawn { deadline: Some(deadline), .. } | Action::Extend { deadline } => {
            *deadline = (*deadline - span).max(floor);
        }
        Action::RetireForeign(foreign) => {
            foreign.occupant.stamp.iter_mut().for_each(|stamp| stamp.move_back(span, floor));
        }
        _ => {}
    }
}
