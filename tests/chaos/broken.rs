//! What was broken on purpose in a round, as far as it explains how lives end.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::journal::Entry;
use crate::kind::Kind;
use crate::silence::Silences;

/// What the round says before it kills whoever is left, as the name of something that is mended.
pub(crate) const CLEARING: &str = "clearing";

/// What explains how a life ends.
#[derive(Debug)]
pub(crate) struct Broken {
    killed: BTreeSet<String>,
    /// Asked to end, by SIGTERM.
    pub(crate) asked: BTreeSet<String>,
    pub(crate) without_shims: BTreeSet<String>,
    /// The volume refused to be written to. One that is full is waited out.
    volume: bool,
    redis: Silences,
    /// The round kills whoever is left.
    all: bool,
}

impl Broken {
    /// Where replicas wait so long for Redis.
    pub(crate) fn new(redis_wait: Duration) -> Broken {
        Broken {
            killed: BTreeSet::new(),
            asked: BTreeSet::new(),
            without_shims: BTreeSet::new(),
            volume: false,
            redis: Silences::new(redis_wait),
            all: false,
        }
    }

    pub(crate) fn look_at(&mut self, kind: Kind, entry: &Entry) {
        let life = || entry.life.clone();
        match kind {
            Kind::KillLeader | Kind::KillAny => drop(self.killed.insert(life())),
            Kind::KillShim => drop(self.without_shims.insert(life())),
            Kind::KillTree => {
                self.killed.insert(life());
                self.without_shims.insert(life());
            }
            Kind::TermLeader => drop(self.asked.insert(life())),
            Kind::VolumeReadOnly => self.volume = true,
            _ => self.redis.look_at(kind, entry),
        }
    }

    pub(crate) fn look_at_heal(&mut self, entry: &Entry) {
        self.all |= entry.name == CLEARING;
        self.redis.look_at_heal(entry);
    }

    /// Codes: Redis is away, the volume is, killed, stopped.
    pub(crate) fn explains(&self, code: i32, exit: &Entry) -> bool {
        let life = &exit.life;
        match code {
            69 => self.redis.explain(exit),
            74 => self.volume,
            137 => self.all || self.killed.contains(life),
            143 => self.asked.contains(life),
            _ => false,
        }
    }
}
