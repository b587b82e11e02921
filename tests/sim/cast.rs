//! The replicas of a story: how they are configured, what their steps do, and how their lives begin.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bellwether::protocol::{
    Config, Election, LeaseTimes, MarkerWord, OnDowngrade, OnFailure, Plan, Policy, Step, StepEnd, StepId, StepName,
    Trust,
};
use bellwether::test_util::world::{Life, Script};

use crate::chance::Chance;
use crate::stage::{Later, Stage};
use crate::story::Scene;

pub(crate) const STALE: Duration = Duration::from_secs(12);
pub(crate) const TTL: Duration = Duration::from_secs(9);
const GRACE: Duration = Duration::from_millis(500);
const BACKOFF: Duration = Duration::from_secs(1);

/// How long an orchestrator waits after SIGTERM, in milliseconds.
pub(crate) const PATIENCE: u64 = 10_000;

/// One place for a replica: its lives follow one another.
pub(crate) struct Slot {
    pub(crate) life: Life,
    pub(crate) rev: u64,
    pub(crate) may_lead: bool,
    pub(crate) may_go_back: bool,
    pub(crate) awaits_start: bool,
}

/// `site`, then `migrate`; `assets` beside both.
const STEPS: [(&str, &[usize]); 3] = [("site", &[]), ("migrate", &[0]), ("assets", &[])];

static NAMES: LazyLock<[(StepName, MarkerWord, MarkerWord); 3]> = LazyLock::new(|| {
    STEPS.map(|(name, _)| {
        let word = MarkerWord::parse(name).unwrap();
        (StepName::parse(name).unwrap(), word, MarkerWord::parse(&format!("{name}_done")).unwrap())
    })
});

fn plan(scene: &Scene) -> Arc<Plan> {
    let steps = STEPS.iter().zip(NAMES.iter()).map(|((_, after), (name, in_progress, done))| Step {
        name: name.clone(),
        in_progress: in_progress.clone(),
        done: done.clone(),
        after: after.iter().copied().map(StepId).collect(),
        timeout: (scene.timeout > 0).then(|| Duration::from_millis(scene.timeout)),
        max_attempts: u32::try_from(scene.attempts).unwrap(),
    });
    Arc::new(Plan::new(steps.collect()).unwrap())
}

fn config(scene: &Scene, number: usize, slot: &Slot) -> Config {
    let trust = if scene.trusted == 1 { Trust::Trusted } else { Trust::NotTrusted };
    let wait = Duration::from_millis(scene.redis_wait);
    let times = || LeaseTimes::new(TTL, None, GRACE, wait, trust).unwrap().with_jitter(number as u64 * 331);
    let election = if scene.lease == 1 { Election::Lease(times()) } else { Election::Guard };
    let policy = Policy {
        may_lead: slot.may_lead,
        stale_after: STALE,
        backoff: BACKOFF,
        ready_timeout: (scene.ready_timeout > 0).then(|| Duration::from_millis(scene.ready_timeout)),
        on_failure: if scene.holds == 1 { OnFailure::Hold } else { OnFailure::Exit },
        on_downgrade: if scene.refuses == 1 { OnDowngrade::Refuse } else { OnDowngrade::Warn },
        allow_rollback: slot.may_go_back,
    };
    Config::new(plan(scene), election, trust, policy).unwrap()
}

type Scripts = Box<dyn Fn(&str, usize) -> Script>;

/// What runs do: by the scene's odds, and well once the world has healed.
pub(crate) fn scripts(scene: &Scene, calm: Rc<Cell<bool>>) -> Scripts {
    let Scene { seed, lasts, bad, later, useless, .. } = *scene;
    Box::new(move |step, begun| {
        let mut chance = Chance::new(seed ^ ((step.len() as u64) << 32) ^ ((begun as u64) << 40));
        let millis = 1 + chance.below(lasts);
        if calm.get() {
            return Script { lasts: Duration::from_millis(millis.min(4_000)), end: StepEnd::Exit(0) };
        }
        let end = match chance.below(100) {
            n if n < bad => chance.of(&[StepEnd::Exit(1), StepEnd::Signal(9), StepEnd::Vanished]),
            n if n < bad + later => StepEnd::NOT_YET,
            n if n < bad + later + useless => StepEnd::FOR_GOOD,
            _ => StepEnd::Exit(0),
        };
        Script { lasts: Duration::from_millis(millis), end }
    })
}

impl Stage<'_> {
    /// A new place, and its first life.
    pub(crate) fn enter(&mut self, number: usize) {
        let scene = &self.story.scene;
        let may_lead = number < usize::try_from(scene.replicas - scene.workers).unwrap();
        let slot = Slot { life: Life(0), rev: 1, may_lead, may_go_back: false, awaits_start: false };
        self.slots.push(slot);
        self.start(number);
    }

    /// A new life.
    pub(crate) fn start(&mut self, number: usize) {
        let config = config(&self.story.scene, number, &self.slots[number]);
        let slot = &mut self.slots[number];
        slot.awaits_start = false;
        slot.life = self.world.start(&format!("v{}", slot.rev), &config);
    }

    /// Ends this life, and begins another after a while. Whether that is not under way already.
    pub(crate) fn begin_again(&mut self, number: usize, at_once: bool) -> bool {
        let slot = &self.slots[number];
        if !self.world.is_alive(slot.life) {
            if slot.awaits_start {
                return false;
            }
            self.start(number);
        } else if at_once {
            self.world.kill(slot.life);
        } else {
            self.world.stop(slot.life);
            self.after(PATIENCE, Later::Kill(self.slots[number].life));
        }
        true
    }
}
