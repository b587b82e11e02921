//! What a machine is told once, at its birth. A configuration that could break a promise cannot be built.

use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;

/// Shortest and longest time between two beats of an in-progress marker.
const BEAT_BOUNDS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How often a follower looks when the guard alone elects; a look costs some twenty system calls.
const GUARD_POLL: Duration = Duration::from_secs(1);

/// How often a follower looks when nothing is announced in Redis.
const LEASE_POLL: Duration = Duration::from_secs(5);

/// Whether the volume's locks work between the replicas.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trust {
    /// The guard alone keeps two leaders from acting at once.
    Trusted,
    /// The guard may be held twice; the lease's deadline has to do.
    NotTrusted,
}

/// Who decides which replica should try to lead.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Election {
    /// No Redis: whoever gets the guard.
    Guard,
    /// Whoever has the lease in Redis.
    Lease(LeaseTimes),
}

/// The times of a lease, checked against each other.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct LeaseTimes {
    ttl: Duration,
    heartbeat: Duration,
    grace: Duration,
    redis_wait: Duration,
    /// This replica's share of the jitter, in thousandths.
    jitter: u32,
}

/// What is asked of a lease's times. What is left out is derived.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LeaseWish {
    /// The time to live (`LOCK_RENEW_TTL_SECS`).
    pub ttl: Option<Duration>,
    /// Time between two renewals (`LOCK_HEARTBEAT_SECS`).
    pub heartbeat: Option<Duration>,
    /// Time between TERM and KILL when a step is stopped (`BELLWETHER_STOP_GRACE_SECS`).
    pub grace: Option<Duration>,
}

/// Time to live of a lease if nothing is said, at the most. Less where a dead leader is to be noticed earlier.
const USUAL_TTL: Duration = Duration::from_secs(30);

/// Time to live of a lease, at the most: a leader whose host died is replaced no sooner.
const LONGEST_TTL: Duration = Duration::from_secs(10_000);

/// Time between TERM and KILL if nothing is said, at the most.
const USUAL_GRACE: Duration = Duration::from_secs(5);

/// What killing a step's tree may take after the grace.
const KILLING: Duration = Duration::from_millis(1500);

/// To this a derived time is rounded.
const GRAIN: Duration = Duration::from_millis(10);

/// Shortest STEP_STALE_SECS where only the lease's deadline keeps two leaders apart: with less there is no time to stop
/// a step within a lease that does not delay a takeover.
const LEAST_STALE_WITHOUT_TRUST: Duration = Duration::from_secs(6);

/// What is done when a step has failed for good.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OnFailure {
    /// End, with the reason.
    Exit,
    /// Stay alive, not ready, until somebody clears the failure.
    Hold,
}

/// What a replica of a superseded revision does when its own ready marker is still there.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OnDowngrade {
    /// Hand off, with a warning.
    Warn,
    /// End without handing off.
    Refuse,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Without Redis only the guard elects, so it has to be trustworthy.
    #[error("the volume's locks do not work between replicas, and without Redis nothing else elects a leader")]
    GuardNotTrusted,
    /// The lease is too short for its own renewals.
    #[error("a lease of {} s is too short; the smallest that works with these times is {} s",
        ttl.as_secs_f64(), smallest.as_secs_f64())]
    LeaseTooShort {
        /// The lease's time to live as configured.
        ttl: Duration,
        /// The smallest legal one, rounded up to 10 ms.
        smallest: Duration,
    },
    /// No lease is long enough for its other times.
    #[error("no lease of at most {} s is long enough for these times", longest.as_secs_f64())]
    NoLease {
        /// The longest one.
        longest: Duration,
    },
    /// Without trust in the guard, a step has to be stopped in time.
    #[error("{} s of silence are too short where the volume's locks do not work between replicas; at least {} s are needed",
        stale.as_secs_f64(), least.as_secs_f64())]
    StaleTooShort {
        /// STEP_STALE_SECS as configured.
        stale: Duration,
        /// The shortest legal one.
        least: Duration,
    },
}

impl Election {
    /// By a lease with these times, for the replica with this `policy`: one that never leads has none to keep, so nothing
    /// that is wished of it can be wrong. `seed` spreads what many replicas do at once.
    ///
    /// # Errors
    ///
    /// As [`LeaseTimes::new`].
    pub fn by_lease(
        wish: LeaseWish,
        redis_wait: Duration,
        policy: &Policy,
        trust: Trust,
        seed: u64,
    ) -> Result<Election, ConfigError> {
        let wish = if policy.may_lead { wish } else { LeaseWish::default() };
        let times = LeaseTimes::derive(wish, policy.stale_after, redis_wait, trust)?;
        Ok(Election::Lease(times.with_jitter(seed)))
    }

    /// The time between TERM and KILL when a step is stopped: what the lease leaves of it, or what was asked for.
    pub fn stop_grace(&self, asked: Option<Duration>) -> Duration {
        match self {
            Election::Lease(times) => times.grace(),
            Election::Guard => asked.unwrap_or(USUAL_GRACE),
        }
    }
}

impl LeaseTimes {
    /// Time between asking and the local deadline that a lease of `ttl` leaves: 99 % of it less 2 ms, for clocks that
    /// tick at different speeds.
    fn usable(ttl: Duration) -> Duration {
        (ttl * 99 / 100).saturating_sub(Duration::from_millis(2))
    }

    /// Longest time one request to Redis may take.
    fn request_limit_of(ttl: Duration) -> Duration {
        (ttl / 12).min(Duration::from_secs(2))
    }

    fn fits(ttl: Duration, heartbeat: Option<Duration>, grace: Duration, trust: Trust) -> bool {
        let heartbeat = heartbeat.unwrap_or(ttl / 6);
        let margin = if trust == Trust::Trusted { Duration::ZERO } else { grace + KILLING };
        Self::usable(ttl) >= heartbeat * 11 / 10 + Self::request_limit_of(ttl) * 5 + margin
    }

    /// Checks that a lease of `ttl`, renewed every `heartbeat` (unset: a sixth of it), leaves time for a renewal with
    /// five requests that time out and, where the guard is not trusted, for stopping a step (`grace` and 1.5 s).
    /// After `redis_wait` without Redis, without a beat and without a ready marker a replica gives up.
    ///
    /// # Errors
    ///
    /// [`ConfigError::LeaseTooShort`] with the smallest legal time to live.
    pub fn new(
        ttl: Duration,
        heartbeat: Option<Duration>,
        grace: Duration,
        redis_wait: Duration,
        trust: Trust,
    ) -> Result<LeaseTimes, ConfigError> {
        if !Self::fits(ttl, heartbeat, grace, trust) {
            let smallest = Self::smallest(heartbeat, grace, trust)?;
            return Err(ConfigError::LeaseTooShort { ttl, smallest });
        }
        Ok(LeaseTimes { ttl, heartbeat: heartbeat.unwrap_or(ttl / 6), grace, redis_wait, jitter: 0 })
    }

    /// Fills in what `wish` leaves out. Time to live: three quarters of `stale_after`, at most 30 s, so that the lease
    /// does not delay a takeover; more only as far as an explicit grace or heartbeat needs it. Grace: as much of 5 s as
    /// the time to live allows.
    ///
    /// # Errors
    ///
    /// As [`LeaseTimes::new`].
    pub fn derive(
        wish: LeaseWish,
        stale_after: Duration,
        redis_wait: Duration,
        trust: Trust,
    ) -> Result<LeaseTimes, ConfigError> {
        let LeaseWish { ttl, heartbeat, grace } = wish;
        let needed = grace.unwrap_or_default();
        let usual = (stale_after * 3 / 4).min(USUAL_TTL);
        let ttl = match ttl {
            Some(ttl) => ttl,
            None if Self::fits(usual, heartbeat, needed, trust) => usual,
            None => usual.max(Self::smallest(heartbeat, needed, trust)?),
        };
        let grace = grace.unwrap_or_else(|| Self::largest_grace(ttl, heartbeat, trust));
        Self::new(ttl, heartbeat, grace, redis_wait, trust)
    }

    /// The smallest time to live that fits, rounded up to 10 ms.
    fn smallest(heartbeat: Option<Duration>, grace: Duration, trust: Trust) -> Result<Duration, ConfigError> {
        let mut candidates = (1..=LONGEST_TTL.as_secs() * 100).map(|n| Duration::from_millis(n * 10));
        let smallest = candidates.find(|&ttl| Self::fits(ttl, heartbeat, grace, trust));
        smallest.ok_or(ConfigError::NoLease { longest: LONGEST_TTL })
    }

    /// The longest grace that fits, within the usual one.
    fn largest_grace(ttl: Duration, heartbeat: Option<Duration>, trust: Trust) -> Duration {
        let mut candidates = std::iter::successors(Some(USUAL_GRACE), |grace| grace.checked_sub(GRAIN));
        candidates.find(|&grace| Self::fits(ttl, heartbeat, grace, trust)).unwrap_or_default()
    }

    /// The same times for one of many replicas that were started together: `seed` says by how much, up to a tenth, it
    /// does things later than planned.
    #[must_use]
    pub fn with_jitter(self, seed: u64) -> LeaseTimes {
        LeaseTimes { jitter: u32::try_from(seed % 1000).unwrap_or_default(), ..self }
    }

    /// A wait of at least this, and up to a tenth more: this replica's share of the jitter.
    pub fn spread_out(&self, wait: Duration) -> Duration {
        wait + wait * self.jitter / 10_000
    }

    /// The lease's time to live.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Time between two renewals, with this replica's jitter.
    pub fn heartbeat(&self) -> Duration {
        self.spread_out(self.heartbeat)
    }

    /// Time between TERM and KILL when a step is stopped.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// How long a granted lease may be relied on, counted from before the request was sent.
    pub fn validity(&self) -> Duration {
        Self::usable(self.ttl)
    }

    /// Longest time one request to Redis may take.
    pub fn request_limit(&self) -> Duration {
        Self::request_limit_of(self.ttl)
    }

    /// How long stopping a step may take, at the most: the grace and 1.5 s for the killing.
    pub fn stop(&self) -> Duration {
        self.grace + KILLING
    }

    /// How long a replica goes on without Redis while nobody is seen at work.
    pub fn redis_wait(&self) -> Duration {
        self.redis_wait
    }
}

/// What is a matter of taste, with the defaults of the settings.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Policy {
    /// Whether this replica may lead at all (`IS_LEADER`).
    pub may_lead: bool,
    /// STEP_STALE_SECS: how long a marker may be silent.
    pub stale_after: Duration,
    /// The first back-off after a bad end; it doubles up to five minutes.
    pub backoff: Duration,
    /// How long a follower waits for the ready marker; `None`: for ever.
    pub ready_timeout: Option<Duration>,
    /// What is done when a step has failed for good.
    pub on_failure: OnFailure,
    /// What a superseded revision does that is ready.
    pub on_downgrade: OnDowngrade,
    /// Whether a superseded revision may lead again.
    pub allow_rollback: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            may_lead: true,
            stale_after: Duration::from_secs(120),
            backoff: Duration::from_secs(10),
            ready_timeout: None,
            on_failure: OnFailure::Exit,
            on_downgrade: OnDowngrade::Warn,
            allow_rollback: false,
        }
    }
}

/// What a machine is told once.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Config {
    plan: Arc<Plan>,
    election: Election,
    trust: Trust,
    /// What is a matter of taste.
    pub policy: Policy,
}

impl Config {
    /// Puts a configuration together.
    ///
    /// # Errors
    ///
    /// [`ConfigError::GuardNotTrusted`] if only an untrustworthy guard would elect a replica that may lead;
    /// [`ConfigError::StaleTooShort`] if a step could not be stopped in time under such a guard.
    pub fn new(plan: Arc<Plan>, election: Election, trust: Trust, policy: Policy) -> Result<Config, ConfigError> {
        if policy.may_lead && election == Election::Guard && trust == Trust::NotTrusted {
            return Err(ConfigError::GuardNotTrusted);
        }
        if policy.may_lead && trust == Trust::NotTrusted && policy.stale_after < LEAST_STALE_WITHOUT_TRUST {
            return Err(ConfigError::StaleTooShort { stale: policy.stale_after, least: LEAST_STALE_WITHOUT_TRUST });
        }
        Ok(Config { plan, election, trust, policy })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who elects.
    pub fn election(&self) -> &Election {
        &self.election
    }

    /// Whether the guard is trusted.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// How long a marker may be silent before its claim may be taken over: STEP_STALE_SECS. Without trust in the guard,
    /// at least as long as the step of a leader that has frozen may go on: to the end of its lease, counted from the
    /// beat before.
    pub fn stale_after(&self) -> Duration {
        match (&self.election, self.trust) {
            (Election::Lease(times), Trust::NotTrusted) => self.policy.stale_after.max(times.ttl() + self.beat_every()),
            _ => self.policy.stale_after,
        }
    }

    /// Time between two beats: a sixth of the time a marker may be silent, within 200 ms and 10 s.
    pub fn beat_every(&self) -> Duration {
        (self.policy.stale_after / 6).clamp(BEAT_BOUNDS.0, BEAT_BOUNDS.1)
    }

    /// Time between two looks of a follower to whom nothing is announced.
    pub fn poll(&self) -> Duration {
        match &self.election {
            Election::Guard => GUARD_POLL,
            Election::Lease(times) => times.spread_out(LEASE_POLL),
        }
    }
}
