//! The kinds of fault.

/// How the world is broken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    KillLeader,
    KillAny,
    KillShim,
    KillTree,
    TermLeader,
    FreezeLeader,
    FreezeAny,
    FreezeTree,
    RedisEmptied,
    RedisFrozen,
    RedisPaused,
    RedisFlushed,
    ScriptsFlushed,
    LeaseDeleted,
    LeaseEvicted,
    StaleFailover,
    CutToRedis,
    CutFromRedis,
    CutBoth,
    SlowLink,
    VolumeFull,
    VolumeReadOnly,
    ClockJump,
    RedisClockJump,
}

/// What a kind takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Takes {
    /// Nothing.
    Nothing,
    /// A volume whose locks are trusted (P1 holds without only while nothing is paused).
    Trust,
    /// A Redis.
    Redis,
    /// No step that leaves a daemon behind: if shim and leader are killed at once, it stays.
    NoDaemons,
}

impl Kind {
    /// Each, with its word and what it takes.
    pub(crate) const ALL: [(Kind, &'static str, Takes); 24] = [
        (Kind::KillLeader, "kill-leader", Takes::Nothing),
        (Kind::FreezeLeader, "freeze-leader", Takes::Trust),
        (Kind::RedisEmptied, "redis-killed-and-restarted-empty", Takes::Redis),
        (Kind::CutBoth, "cut-both-ways", Takes::Redis),
        (Kind::TermLeader, "term-leader", Takes::Nothing),
        (Kind::RedisFlushed, "flushall", Takes::Redis),
        (Kind::KillTree, "kill-leader-with-all-it-started", Takes::Nothing),
        (Kind::VolumeFull, "volume-full", Takes::Nothing),
        (Kind::StaleFailover, "failover-to-a-stale-copy", Takes::Redis),
        (Kind::FreezeTree, "freeze-leader-with-all-it-started", Takes::Trust),
        (Kind::CutToRedis, "cut-towards-redis", Takes::Redis),
        (Kind::KillShim, "kill-shims", Takes::NoDaemons),
        (Kind::RedisFrozen, "redis-frozen", Takes::Redis),
        (Kind::ClockJump, "clock-jump", Takes::Nothing),
        (Kind::LeaseDeleted, "lease-deleted", Takes::Redis),
        (Kind::VolumeReadOnly, "volume-read-only", Takes::Trust),
        (Kind::RedisPaused, "client-pause", Takes::Redis),
        (Kind::CutFromRedis, "cut-from-redis", Takes::Redis),
        (Kind::FreezeAny, "freeze-any", Takes::Trust),
        (Kind::LeaseEvicted, "lease-evicted", Takes::Redis),
        (Kind::SlowLink, "slow-link", Takes::Redis),
        (Kind::KillAny, "kill-any", Takes::Nothing),
        (Kind::RedisClockJump, "redis-clock-jump", Takes::Redis),
        (Kind::ScriptsFlushed, "script-flush", Takes::Redis),
    ];

    pub(crate) fn word(self) -> &'static str {
        Kind::entry(self).1
    }

    pub(crate) fn takes(self) -> Takes {
        Kind::entry(self).2
    }

    pub(crate) fn of(word: &str) -> Option<Kind> {
        Kind::ALL.iter().find(|(_, known, _)| *known == word).map(|(kind, ..)| *kind)
    }

    fn entry(self) -> &'static (Kind, &'static str, Takes) {
        Kind::ALL.iter().find(|(kind, ..)| *kind == self).expect("each is in the table")
    }
}
