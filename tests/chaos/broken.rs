//! What was broken on purpose in a round, as far as it explains how lives end.

use std::collections::BTreeSet;

use crate::journal::Entry;
use crate::kind::{Kind, Takes};

/// What the round says before it kills whoever is left, as the name of something that is mended.
pub(crate) const CLEARING: &str = "clearing";

/// What explains how a life ends.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    killed: BTreeSet<String>,
    /// Asked to end, by SIGTERM.
    pub(crate) asked: BTreeSet<String>,
    pub(crate) without_shims: BTreeSet<String>,
    volume: bool,
    redis: bool,
    /// The round kills whoever is left.
    all: bool,
}

impl Broken {
    pub(crate) fn look_at(&mut self, entry: &Entry) {
        let kind = Kind::of(&entry.name).expect("a kind of fault");
        let life = || entry.life.clone();
        match kind {
            Kind::KillLeader | Kind::KillAny => drop(self.killed.insert(life())),
            Kind::KillShim => drop(self.without_shims.insert(life())),
            Kind::KillTree => {
                self.killed.insert(life());
                self.without_shims.insert(life());
            }
            Kind::TermLeader => drop(self.asked.insert(life())),
            Kind::VolumeFull | Kind::VolumeReadOnly => self.volume = true,
            _ => self.redis |= kind.takes() == Takes::Redis,
        }
    }

    pub(crate) fn look_at_heal(&mut self, entry: &Entry) {
        self.all |= entry.name == CLEARING;
    }

    /// Codes: Redis is away, the volume is, killed, stopped.
    pub(crate) fn explains(&self, code: i32, life: &str) -> bool {
        match code {
            69 => self.redis,
            74 => self.volume,
            137 => self.all || self.killed.contains(life),
            143 => self.asked.contains(life),
            _ => false,
        }
    }
}
