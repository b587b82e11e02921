//! The instances: each a few kinds of fault, so many times each, in every order.

use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{
    Config, Election, LeaseTimes, MarkerWord, OnFailure, Plan, Policy, Revision, Step, StepEnd, StepId, StepName, Trust,
};

use super::Space;
use super::state::{Budget, Fault};

/// Who elects, and what the guard is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// No Redis.
    Guard,
    /// A lease, under a trusted guard.
    Lease,
    /// A lease, and a guard that everybody gets at once.
    NoTrust,
}

/// One bounded space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The revision of each replica.
    pub(crate) revs: &'static [&'static str],
    /// How many steps there are, one after another.
    pub(crate) steps: usize,
    pub(crate) attempts: u32,
    pub(crate) ends: &'static [StepEnd],
    pub(crate) on_failure: OnFailure,
    pub(crate) faults: &'static [(Fault, u8)],
    /// Distinct states; pinned.
    pub(crate) states: usize,
    /// Only with `BELLWETHER_MODEL=large`.
    pub(crate) large: bool,
}

const OK: StepEnd = StepEnd::Exit(0);
const BAD: StepEnd = StepEnd::Exit(1);

const USUAL: Instance = Instance {
    name: "",
    kind: Kind::Guard,
    revs: &["v1", "v1"],
    steps: 1,
    attempts: 2,
    ends: &[OK],
    on_failure: OnFailure::Exit,
    faults: &[],
    states: 0,
    large: false,
};

pub(crate) const INSTANCES: &[Instance] = &[
    Instance { name: "guard: no faults, two steps", steps: 2, ..USUAL },
    Instance { name: "guard: no faults, three", revs: &["v1", "v1", "v1"], ..USUAL },
    Instance { name: "lease: no faults", kind: Kind::Lease, ..USUAL },
    Instance { name: "no trust: no faults", kind: Kind::NoTrust, ..USUAL },
    Instance { name: "guard: crash", faults: &[(Fault::Crash, 1)], ..USUAL },
    Instance { name: "lease: crash", kind: Kind::Lease, faults: &[(Fault::Crash, 1)], ..USUAL },
    Instance { name: "no trust: crash", kind: Kind::NoTrust, faults: &[(Fault::Crash, 1)], ..USUAL },
    Instance { name: "guard: freeze", faults: &[(Fault::Freeze, 1)], ..USUAL },
    Instance { name: "lease: freeze", kind: Kind::Lease, faults: &[(Fault::Freeze, 1)], ..USUAL },
    Instance { name: "no trust: freeze", kind: Kind::NoTrust, faults: &[(Fault::Freeze, 1)], ..USUAL },
    Instance { name: "lease: wipe", kind: Kind::Lease, faults: &[(Fault::Wipe, 1)], ..USUAL },
    Instance { name: "no trust: wipe", kind: Kind::NoTrust, faults: &[(Fault::Wipe, 1)], ..USUAL },
];

impl Instance {
    pub(crate) fn space(&self) -> Space {
        let plan = Arc::new(self.plan());
        let trust = if self.kind == Kind::NoTrust { Trust::NotTrusted } else { Trust::Trusted };
        let configs = self.revs.iter().map(|_| self.config(&plan, trust)).collect::<Vec<_>>();
        Space {
            plan,
            stale_after: configs[0].policy.stale_after,
            configs,
            revs: self.revs.iter().map(|rev| Revision::parse(rev).expect("a revision")).collect(),
            trust,
            ends: self.ends.to_vec(),
            budget: Budget::of(self.faults),
        }
    }

    fn plan(&self) -> Plan {
        let step = |place: usize| Step {
            name: StepName::parse(&format!("s{place}")).expect("a name"),
            in_progress: MarkerWord::parse(&format!("s{place}")).expect("a word"),
            done: MarkerWord::parse(&format!("s{place}_done")).expect("a word"),
            after: place.checked_sub(1).map(StepId).into_iter().collect(),
            timeout: None,
            max_attempts: self.attempts,
        };
        Plan::new((0..self.steps).map(step).collect()).expect("steps in a row are a plan")
    }

    /// Times that fall together, so that fewer moments differ: a beat, a renewal and a poll each 5 s (without Redis each
    /// second).
    fn config(&self, plan: &Arc<Plan>, trust: Trust) -> Config {
        let secs = Duration::from_secs;
        let (ttl, grace, stale) = match self.kind {
            Kind::Guard => (0, Duration::ZERO, 6),
            Kind::Lease => (12, Duration::ZERO, 30),
            Kind::NoTrust => (24, Duration::from_millis(500), 30),
        };
        let election = if self.kind == Kind::Guard {
            Election::Guard
        } else {
            let times = LeaseTimes::new(secs(ttl), Some(secs(5)), grace, secs(1_000_000), trust);
            Election::Lease(times.expect("times that fit"))
        };
        let policy = Policy {
            stale_after: secs(stale),
            backoff: secs(5),
            on_failure: self.on_failure,
            ..Policy::default()
        };
        Config::new(Arc::clone(plan), election, trust, policy).expect("a legal configuration")
    }
}
