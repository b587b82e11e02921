//! The instances: each a few kinds of fault, so many times each, in every order.

use std::sync::Arc;
use std::time::Duration;

use bellwether::protocol::{
    Config, Election, LeaseTimes, MarkerWord, OnFailure, Plan, Policy, Revision, Step, StepEnd, StepId, StepName, Trust,
};

use super::Space;
use super::budget::Budget;
use super::budget::Fault::{
    self, Break, Crash, Delay, Double, FailOver, Freeze, FreezeUntilReplaced, Full, GuardLost, Hang, Jump,
    LocksDropped, Lose, Orphan, Outage, Restart, Retry, Stop, Wipe,
};

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
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The revision of each replica.
    pub(crate) revs: Vec<&'static str>,
    /// How many steps there are, one after another.
    pub(crate) steps: usize,
    /// Attempts that a step has.
    pub(crate) attempts: u32,
    /// How a step may end by itself.
    pub(crate) ends: Vec<StepEnd>,
    pub(crate) on_failure: OnFailure,
    /// How often each kind of fault may happen; those not named never do.
    pub(crate) faults: Vec<(Fault, u8)>,
    /// Distinct states; pinned.
    pub(crate) states: usize,
}

const OK: StepEnd = StepEnd::Exit(0);
const BAD: StepEnd = StepEnd::Exit(1);

impl Instance {
    /// Two replicas, a step that ends well if it ends, and no fault.
    pub(crate) fn new(name: &'static str, kind: Kind, states: usize) -> Instance {
        Instance {
            name,
            kind,
            revs: vec!["v1"; 2],
            steps: 1,
            attempts: 2,
            ends: vec![OK],
            on_failure: OnFailure::Exit,
            faults: Vec::new(),
            states,
        }
    }

    fn faults(self, faults: &[(Fault, u8)]) -> Instance {
        Instance { faults: faults.to_vec(), ..self }
    }

    fn ends(self, ends: &[StepEnd]) -> Instance {
        Instance { ends: ends.to_vec(), ..self }
    }

    fn two_steps(self) -> Instance {
        Instance { steps: 2, ..self }
    }

    fn three(self) -> Instance {
        Instance { revs: vec!["v1"; 3], ..self }
    }
}

/// Those of every run.
pub(crate) fn usual() -> Vec<Instance> {
    let guard = |name, states| Instance::new(name, Kind::Guard, states);
    let lease = |name, states| Instance::new(name, Kind::Lease, states);
    let no_trust = |name, states| Instance::new(name, Kind::NoTrust, states);
    vec![
        guard("guard: two steps", 10_772).two_steps(),
        guard("guard: two steps, crash", 21_452).two_steps().faults(&[(Crash, 1)]),
        guard("guard: two steps, stop", 33_800).two_steps().faults(&[(Stop, 1)]),
        guard("guard: three", 56_496).three(),
        guard("guard: crash", 378_130).faults(&[(Crash, 1), (Orphan, 1), (Restart, 1)]),
        guard("guard: crash, three", 362_334).faults(&[(Crash, 1), (Orphan, 1)]).three(),
        Instance { attempts: 1, ..guard("guard: crash, bad ends", 8_844).ends(&[OK, BAD]).faults(&[(Crash, 1)]) },
        guard("guard: freeze, hang", 657_722).faults(&[(Freeze, 1), (Hang, 1)]),
        guard("guard: stop, bad ends", 56_676).ends(&[OK, BAD]).faults(&[(Stop, 2)]),
        guard("guard: break, guard lost", 36_000).faults(&[(Break, 1), (GuardLost, 1)]),
        guard("guard: full, stop", 58_690).faults(&[(Full, 1), (Stop, 1)]),
        guard("guard: locks dropped", 179_475).faults(&[(LocksDropped, 1)]),
        Instance { on_failure: OnFailure::Hold, ..guard("guard: hold", 243_759) }
            .ends(&[BAD, StepEnd::FOR_GOOD])
            .faults(&[(Retry, 1)]),
        guard("guard: not yet", 19_030).ends(&[OK, StepEnd::NOT_YET]),
        Instance { revs: vec!["v1", "v2"], ..guard("guard: two revisions", 7_698) }.faults(&[(Crash, 1)]),
        lease("lease: three", 101_015).three(),
        lease("lease: crash", 16_154).faults(&[(Crash, 1), (Orphan, 1)]),
        lease("lease: crash, three", 241_346).faults(&[(Crash, 1)]).three(),
        lease("lease: two steps, crash, stop", 101_898).two_steps().faults(&[(Crash, 1), (Stop, 1)]),
        lease("lease: freeze", 1_474_755).faults(&[(Freeze, 1)]),
        lease("lease: stop", 24_548).faults(&[(Stop, 2)]),
        lease("lease: wipe", 128_404).faults(&[(Wipe, 1)]),
        lease("lease: jump", 128_292).faults(&[(Jump, 1)]),
        lease("lease: failover", 155_926).faults(&[(FailOver, 1)]),
        lease("lease: outage", 142_336).faults(&[(Outage, 1)]),
        lease("lease: lose, stop", 44_656).faults(&[(Lose, 1), (Stop, 1)]),
        lease("lease: delay", 31_414).faults(&[(Delay, 1)]),
        lease("lease: double", 33_702).faults(&[(Double, 1)]),
        lease("lease: hang", 61_215).faults(&[(Hang, 1)]),
        no_trust("no trust: crash", 309_738).faults(&[(Crash, 1), (Restart, 1)]),
        no_trust("no trust: two steps, crash", 60_156).two_steps().faults(&[(Crash, 1)]),
        no_trust("no trust: wipe", 1_258_824).faults(&[(Wipe, 1)]),
        no_trust("no trust: lose", 48_954).faults(&[(Lose, 1)]),
        no_trust("no trust: delay", 291_412).faults(&[(Delay, 1)]),
        no_trust("no trust: double", 325_654).faults(&[(Double, 1)]),
        no_trust("no trust: freeze until replaced", 1_628_486).faults(&[(FreezeUntilReplaced, 1)]),
        no_trust("no trust: hang", 277_927).faults(&[(Hang, 1)]),
    ]
}

/// Those that take longer: with `BELLWETHER_MODEL=large`, and in `examples/explore.rs`.
pub(crate) fn large() -> Vec<Instance> {
    let guard = |name, states| Instance::new(name, Kind::Guard, states);
    let lease = |name, states| Instance::new(name, Kind::Lease, states);
    let no_trust = |name, states| Instance::new(name, Kind::NoTrust, states);
    vec![
        guard("guard: two steps, crash, restart", 362_916).two_steps().faults(&[(Crash, 1), (Restart, 1)]),
        guard("guard: two steps, freeze", 296_921).two_steps().faults(&[(Freeze, 1)]),
        lease("lease: two steps, wipe", 734_722).two_steps().faults(&[(Wipe, 1)]),
        lease("lease: two steps, freeze", 6_778_427).two_steps().faults(&[(Freeze, 1)]),
        lease("lease: three, lose", 299_523).three().faults(&[(Lose, 1)]),
        lease("lease: three, wipe", 7_292_658).three().faults(&[(Wipe, 1)]),
        lease("lease: crash, restart", 211_070).faults(&[(Crash, 1), (Restart, 1)]),
        no_trust("no trust: freeze", 9_170_681).faults(&[(Freeze, 1)]),
        no_trust("no trust: jump", 1_259_479).faults(&[(Jump, 1)]),
        no_trust("no trust: failover", 1_808_793).faults(&[(FailOver, 1)]),
        Instance { revs: vec!["v1"], ..no_trust("no trust: alone, outage", 10_289_797) }.faults(&[
            (Freeze, 1),
            (Hang, 1),
            (Outage, 1),
        ]),
    ]
}

impl Instance {
    /// A fault that can never happen here: nothing is there that it could befall.
    pub(crate) fn idle_fault(&self) -> Option<Fault> {
        let has = |fault| self.faults.iter().any(|&(known, times)| known == fault && times > 0);
        let ends_lives = [Crash, Stop, Break, GuardLost].into_iter().any(has);
        let fails = self.ends.iter().any(|end| *end != OK) || has(Crash);
        let is_idle = |&(fault, times): &(Fault, u8)| {
            let befalls_somebody = match fault {
                Lose | Delay | Double | Wipe | FailOver | Jump | Outage => self.kind != Kind::Guard,
                LocksDropped => self.kind != Kind::NoTrust,
                Orphan => has(Crash),
                Restart => ends_lives || fails,
                Retry => fails,
                Crash | Freeze | FreezeUntilReplaced | Stop | Hang | Break | Full | GuardLost => true,
            };
            times == 0 || !befalls_somebody
        };
        self.faults.iter().find(|known| is_idle(known)).map(|&(fault, _)| fault)
    }

    /// The space with all that is in it.
    pub(crate) fn space(&self) -> Space {
        let plan = Arc::new(self.plan());
        let trust = if self.kind == Kind::NoTrust { Trust::NotTrusted } else { Trust::Trusted };
        let config = self.config(&plan, trust);
        Space {
            plan,
            stale_after: config.policy.stale_after,
            configs: vec![config; self.revs.len()],
            revs: self.revs.iter().map(|rev| Revision::parse(rev).expect("a revision")).collect(),
            trust,
            ends: self.ends.clone(),
            budget: Budget::of(&self.faults),
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
        let on_failure = self.on_failure;
        let policy = Policy { stale_after: secs(stale), backoff: secs(5), on_failure, ..Policy::default() };
        Config::new(Arc::clone(plan), election, trust, policy).expect("a legal configuration")
    }
}
