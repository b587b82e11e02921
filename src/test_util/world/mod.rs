//! A world of machines in virtual time: one volume, one Redis, replicas that crash, freeze and are restarted.
//!
//! It does what a driver does, with latencies, and watches over promises P1 to P6 and P8 to P11 while doing it: breaking
//! one is a panic. Nothing here reads a clock.

mod driver;
mod incidents;
mod met;
mod record;
mod redis;
mod referee;
mod silence;
mod trace;
mod volume;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::protocol::{Action, Config, Epoch, Event, Machine, Outcome, Revision, StepEnd, StepId, Timestamp, View};

pub use met::Met;
pub use redis::{FakeRedis, Key};
pub use referee::{Referee, Tally};
pub use trace::Digest;
pub use volume::{BeatFound, Claimant, FakeVolume};
pub use wire::{Fate, Link};

use silence::Shown;
use wire::Request;

/// When every world begins.
const BEGINNING: Timestamp = Timestamp::from_millis(1_000_000);

/// One life of one replica; a restart gives a new one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Life(pub usize);

/// What is due at some moment.
#[derive(Clone, Debug)]
enum Due {
    Deliver(Life, Event),
    /// An operation of this replica on the volume, by its stage: some take effect in two.
    Volume(Life, Action, u8),
    Redis(Request),
    RunEnds(u64, StepEnd),
    ShimDeadline(u64),
}

/// What a run of a step does.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    pub lasts: Duration,
    pub end: StepEnd,
}

/// Says by a step's name and the number of earlier runs what a run does.
type Scripts = Box<dyn Fn(&str, usize) -> Script>;

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and none excludes another")]
struct Replica {
    machine: Machine,
    rev: Revision,
    alive: bool,
    frozen: bool,
    /// What arrived while it was frozen.
    inbox: VecDeque<Due>,
    /// Its volume operations are done one after another.
    volume_free_at: Timestamp,
    waits_for_guard: bool,
    outcome: Option<Outcome>,
    link: Link,
    /// Whether Redis was ever asked for anything.
    has_asked: bool,
    /// Whether its first look showed its revision ready, and no later one.
    is_warm: bool,
    stops: u8,
    /// What it last saw of the volume, and what that showed of others.
    seen: Option<View>,
    shown: Shown,
    thawed: Timestamp,
    /// When it last sent a release, and how many are under way.
    released: Timestamp,
    releasing: u32,
    /// What Redis has is not what it has last asked for: a request was carried out after it was given up, a release got
    /// lost, or what was forgotten came back. Redis may keep its lease until that ends.
    strayed: bool,
    /// Whether the volume ever refused it anything.
    was_refused: bool,
}

struct Run {
    id: u64,
    life: Life,
    step: StepId,
    epoch: Epoch,
    attempt: u32,
    begun: Timestamp,
    deadline: Option<Timestamp>,
    stopping: bool,
    orphaned: bool,
}

/// A run as it is told afterwards; without an end it still goes on.
#[derive(Clone, Debug)]
pub(super) struct ToldRun {
    pub(super) step: String,
    pub(super) life: Life,
    pub(super) epoch: Epoch,
    pub(super) attempt: u32,
    pub(super) begun: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) end: Option<StepEnd>,
    pub(super) leader_died: bool,
}

/// The world.
pub struct World {
    pub now: Timestamp,
    pub volume: FakeVolume,
    pub redis: FakeRedis,
    pub referee: Referee,
    /// What the runs of each step do, by name and by how many were started before.
    pub scripts: Scripts,
    /// How long a tree takes to be gone after it was told to stop.
    pub stopping_takes: Duration,
    /// How long one operation on the volume takes.
    pub volume_takes: Duration,
    /// How long a beat takes on top of that.
    pub beats_take: Duration,
    /// Whether what plans need is there.
    pub needs_met: bool,
    /// Whether releases are sent. They are, but where it has to be seen that somebody notices.
    pub releases: bool,
    /// Whom what is wrong has befallen.
    pub met: Met,
    /// What becomes of each request to Redis.
    pub fates: Box<dyn FnMut() -> Fate>,
    replicas: Vec<Replica>,
    runs: Vec<Run>,
    past: Vec<ToldRun>,
    /// Claims whose marker is not shown yet, by step and revision, since when.
    bare: BTreeMap<String, Timestamp>,
    due: BTreeMap<(Timestamp, u64), Due>,
    sequence: u64,
    trusted: bool,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("volume", &self.volume).finish_non_exhaustive()
    }
}

impl World {
    pub fn new(trusted: bool) -> World {
        let seconds_4 = Script { lasts: Duration::from_secs(4), end: StepEnd::Exit(0) };
        World {
            now: BEGINNING,
            volume: FakeVolume::default(),
            redis: FakeRedis::default(),
            referee: Referee::default(),
            scripts: Box::new(move |_, _| seconds_4),
            stopping_takes: Duration::from_millis(50),
            volume_takes: driver::LATENCY,
            beats_take: Duration::ZERO,
            needs_met: true,
            releases: true,
            met: Met::default(),
            fates: Box::new(|| Fate::Well),
            replicas: Vec::new(),
            runs: Vec::new(),
            past: Vec::new(),
            bare: BTreeMap::new(),
            due: BTreeMap::new(),
            sequence: 0,
            trusted,
        }
    }

    /// Starts a replica.
    pub fn start(&mut self, rev: &str, config: &Config) -> Life {
        let life = Life(self.replicas.len());
        let rev = Revision::parse(rev).expect("a revision");
        self.referee.note(self.now, life, &format!("starts, {rev}"));
        self.referee.tally.boots += 1;
        self.replicas.push(Replica {
            machine: Machine::new(config.clone()),
            is_warm: false,
            rev,
            alive: true,
            frozen: false,
            inbox: VecDeque::new(),
            volume_free_at: self.now,
            waits_for_guard: false,
            outcome: None,
            link: Link::WHOLE,
            has_asked: false,
            stops: 0,
            seen: None,
            shown: Shown::default(),
            thawed: Timestamp::ZERO,
            released: Timestamp::ZERO,
            releasing: 0,
            strayed: false,
            was_refused: false,
        });
        self.deliver_in(Duration::ZERO, life, Event::Started);
        life
    }

    /// Goes on until `done`, at most `limit`. Panics when the time is up: what was awaited did not happen.
    #[track_caller]
    pub fn run_until(&mut self, limit: Duration, what: &str, done: impl Fn(&World) -> bool) {
        let seen = self.go_on(limit, done);
        assert!(seen, "within {limit:?} not seen: {what}\n{}", self.referee.story());
    }

    /// Goes on until `done`, at most `limit`. Whether it came to that.
    pub(super) fn go_on(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if !self.step_until(end) {
                return false;
            }
        }
        true
    }

    /// Goes on for exactly this long.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step_until(end) {}
        self.now = end;
    }

    /// Does the next thing that is due not after `end`.
    fn step_until(&mut self, end: Timestamp) -> bool {
        let queued = self.due.first_key_value().map(|(&(at, _), _)| at);
        let tick = self.living().filter_map(|life| {
            let replica = &self.replicas[life.0];
            Some((replica.machine.next_deadline().filter(|_| !replica.frozen)?, life))
        });
        match (queued, tick.min_by_key(|&(at, life)| (at, life))) {
            (Some(at), tick) if at <= end && tick.is_none_or(|(tick, _)| at <= tick) => {
                self.now = self.now.max(at);
                let (_, due) = self.due.pop_first().expect("it was seen a moment ago");
                self.handle_due(due);
            }
            (_, Some((at, life))) if at <= end => {
                self.now = self.now.max(at);
                self.handle_event(life, Event::Tick);
            }
            _ => return false,
        }
        true
    }

    fn schedule(&mut self, at: Timestamp, due: Due) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), due);
    }

    fn deliver_in(&mut self, after: Duration, life: Life, event: Event) {
        self.schedule(self.now + after, Due::Deliver(life, event));
    }

    fn living(&self) -> impl Iterator<Item = Life> {
        let alive = self.replicas.iter().enumerate().filter(|(_, replica)| replica.alive);
        alive.map(|(index, _)| Life(index))
    }

    pub fn machine(&self, life: Life) -> &Machine {
        &self.replicas[life.0].machine
    }

    pub fn outcome(&self, life: Life) -> Option<&Outcome> {
        self.replicas[life.0].outcome.as_ref()
    }

    pub fn has_handed_off(&self, life: Life) -> bool {
        self.outcome(life) == Some(&Outcome::HandOff)
    }

    /// The steps that run now, by name.
    pub fn running(&self) -> Vec<String> {
        self.runs.iter().map(|run| self.step_name(run.life, run.step)).collect()
    }

    /// All runs so far, in the order of their beginning; those that still go on have no end.
    pub(super) fn told_runs(&self) -> Vec<ToldRun> {
        let mut told = self.past.clone();
        told.extend(self.runs.iter().map(|run| self.told(run, None)));
        told.sort_by_key(|run| run.begun);
        told
    }

    fn told(&self, run: &Run, end: Option<StepEnd>) -> ToldRun {
        let &Run { life, epoch, attempt, begun, orphaned: leader_died, .. } = run;
        let step = self.step_name(life, run.step);
        ToldRun { step, life, epoch, attempt, begun, ended: self.now, end, leader_died }
    }

    /// Who leads now, if anybody runs a step.
    pub fn leader(&self) -> Option<Life> {
        self.runs.first().map(|run| run.life)
    }

    fn step_name(&self, life: Life, step: StepId) -> String {
        self.replicas[life.0].machine.config().plan().step(step).name.to_string()
    }

    /// Whether any step of a revision is marked as in progress.
    pub fn has_any_marker(&self, rev: &str) -> bool {
        self.volume.has_any_marker(rev)
    }
}
