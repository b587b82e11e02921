//! What a seed says: who takes part, what is to be done, and what breaks when.

use std::time::Duration;

use crate::breach::Rules;
use crate::chance::Chance;
use crate::kind::{Kind, Takes};

/// One round, in every detail that we decide. What comes of it is decided by the machine as well.
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) replicas: Vec<Cast>,
    pub(crate) steps: Vec<Planned>,
    pub(crate) is_trusted: bool,
    pub(crate) has_redis: bool,
    /// A step never succeeds: the revision has to fail for good.
    pub(crate) is_doomed: bool,
    /// Attempts are so few that faults can use them up.
    pub(crate) is_tight: bool,
    /// Wall clocks can be moved: libfaketime for replicas.
    pub(crate) has_clocks: bool,
    pub(crate) limit: u32,
    pub(crate) stale: Duration,
    pub(crate) ttl: Option<Duration>,
    pub(crate) grace: Duration,
    /// Longest wait of a replica for Redis.
    pub(crate) redis_wait: Duration,
    pub(crate) faults: Vec<Fault>,
}

/// One replica.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) may_lead: bool,
    pub(crate) supervise: bool,
    /// Whether its command goes on, or ends at once.
    pub(crate) serves_on: bool,
    /// When it is started first.
    pub(crate) starts_at: Duration,
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) after: Vec<String>,
    pub(crate) takes: Duration,
    /// So many runs that come to their end do so with `code`.
    pub(crate) failures: u32,
    pub(crate) code: u8,
    pub(crate) is_deaf: bool,
    pub(crate) leaves: Leaves,
}

/// What a step leaves behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leaves {
    Nothing,
    /// A process whose parent is gone.
    Orphan,
    /// One that is in a session of its own and has closed all descriptors, too.
    Daemon,
}

/// One fault of a schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// After the one before.
    pub(crate) gap: Duration,
    pub(crate) kind: Kind,
    pub(crate) lasts: Duration,
    /// Whom it hits, if that is not said by its kind.
    pub(crate) whom: usize,
}

fn millis(from: u64, to: u64, chance: &mut Chance) -> Duration {
    Duration::from_millis(from + chance.below(to - from))
}

impl Scene {
    pub(crate) fn of(seed: u64) -> Scene {
        let mut chance = Chance::new(seed);
        let chance = &mut chance;
        let own = own_kind(seed);
        let is_trusted = own.takes() == Takes::Trust || !chance.one_in(5);
        // Volumes without trust cannot do without a Redis.
        let has_redis = own.takes() == Takes::Redis || !is_trusted || !chance.one_in(4);
        let has_daemons = own.takes() != Takes::NoDaemons && chance.one_in(2);
        let is_doomed = chance.one_in(15);
        let is_tight = !is_doomed && chance.one_in(2);
        let stale = if is_trusted { millis(1000, 2000, chance) } else { Duration::from_secs(6) };
        let ttl = if is_trusted { chance.of(&[None, None, Some(600), Some(1000)]) } else { Some(5000) };
        let mut scene = Scene {
            seed,
            replicas: replicas(chance),
            steps: steps(has_daemons, chance),
            is_trusted,
            has_redis,
            is_doomed,
            is_tight,
            has_clocks: own == Kind::ClockJump || chance.one_in(3),
            limit: if is_doomed || is_tight { 3 } else { 60 },
            stale,
            ttl: ttl.filter(|_| has_redis).map(Duration::from_millis),
            grace: Duration::from_millis(300),
            redis_wait: Duration::from_secs(chance.of(&[2, 120])),
            faults: Vec::new(),
        };
        if is_doomed {
            let last = scene.steps.last_mut().expect("there are steps");
            (last.failures, last.code) = (1000, 1);
        }
        if is_tight {
            let whom = usize::try_from(chance.below(scene.steps.len() as u64)).expect("small");
            (scene.steps[whom].failures, scene.steps[whom].code) = (chance.of(&[1, 2]), 1);
        }
        scene.faults = scene.schedule(own, chance);
        scene
    }

    /// The kinds that this scene can bear.
    fn allows(&self, kind: Kind) -> bool {
        let is_possible = match kind.takes() {
            Takes::Nothing => true,
            Takes::Trust => self.is_trusted,
            Takes::Redis => self.has_redis,
            Takes::NoDaemons => self.steps.iter().all(|step| step.leaves != Leaves::Daemon),
        };
        is_possible && (kind != Kind::ClockJump || self.has_clocks)
    }

    fn schedule(&self, own: Kind, chance: &mut Chance) -> Vec<Fault> {
        let kinds: Vec<Kind> = Kind::ALL.iter().map(|(kind, ..)| *kind).filter(|kind| self.allows(*kind)).collect();
        let count = 4 + chance.below(5);
        let longest = if self.is_trusted { 2500 } else { 4000 };
        let draw = |nth| {
            let kind = if nth == 0 { own } else { chance.of(&kinds) };
            // Whoever is frozen falls silent, and somebody else would like to go on.
            let is_frozen = matches!(kind, Kind::FreezeLeader | Kind::FreezeAny | Kind::FreezeTree);
            let least = if is_frozen { self.stale } else { Duration::ZERO };
            Fault {
                gap: if nth == 0 { millis(300, 900, chance) } else { millis(50, 900, chance) },
                kind,
                lasts: least + millis(300, longest, chance),
                whom: usize::try_from(chance.below(60)).expect("small"),
            }
        };
        (0..count).map(draw).collect()
    }

    pub(crate) fn rules(&self) -> Rules {
        let steps = self.steps.iter().map(|step| (step.name.clone(), step.after.clone())).collect();
        let Scene { limit, is_doomed, is_tight, is_trusted, stale, redis_wait, .. } = *self;
        Rules { steps, limit, is_doomed, is_tight, is_trusted, stale, redis_wait }
    }

    /// How long it may take until every replica is at its command, once the world is whole.
    pub(crate) fn bound(&self) -> Duration {
        Duration::from_secs(if self.is_trusted { 40 } else { 80 })
    }
}

/// Seeds take turns, so that each kind has its round.
fn own_kind(seed: u64) -> Kind {
    let count = u64::try_from(Kind::ALL.len()).expect("few kinds");
    Kind::ALL[usize::try_from(seed % count).expect("small")].0
}

fn replicas(chance: &mut Chance) -> Vec<Cast> {
    let count = 3 + chance.below(3);
    let cast = |nth| Cast {
        // There are always three that may lead.
        may_lead: nth < 3 || !chance.one_in(3),
        supervise: chance.one_in(3),
        serves_on: chance.one_in(2),
        starts_at: millis(0, 400, chance),
    };
    (0..count).map(cast).collect()
}

fn steps(has_daemons: bool, chance: &mut Chance) -> Vec<Planned> {
    let count = 2 + chance.below(3);
    let mut steps: Vec<Planned> = Vec::new();
    for nth in 0..count {
        // The first two may be side by side; the last waits for somebody.
        let predecessors: Vec<String> = steps.iter().map(|step| step.name.clone()).collect();
        let is_free = nth == 0 || nth < count - 1 && chance.one_in(2);
        let after = if is_free { Vec::new() } else { predecessors[predecessors.len() - 1..].to_vec() };
        let (failures, code) = chance.of(&[(0, 0), (0, 0), (0, 0), (1, 75), (1, 1), (2, 1)]);
        let leaves = chance.of(&[Leaves::Nothing, Leaves::Nothing, Leaves::Orphan, Leaves::Daemon]);
        steps.push(Planned {
            name: ["config", "migrate", "assets", "cache"][usize::try_from(nth).expect("small")].to_owned(),
            after,
            // Once so long that it can be thought abandoned while it runs.
            takes: if nth == 0 { millis(1500, 3500, chance) } else { millis(300, 900, chance) },
            failures,
            code,
            is_deaf: chance.one_in(4),
            leaves: if has_daemons || leaves != Leaves::Daemon { leaves } else { Leaves::Orphan },
        });
    }
    steps
}
