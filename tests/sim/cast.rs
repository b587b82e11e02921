//! The replicas of a story: how they are configured, what their steps do, and what befalls them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bellwether::protocol::{
    Config, Election, Fault, LeaseTimes, MarkerWord, OnDowngrade, OnFailure, Plan, Policy, Step, StepEnd, StepId,
    StepName, Trust,
};
use bellwether::test_util::world::{Life, Link, Script};

use crate::chance::Chance;
use crate::stage::{Later, Stage};
use crate::story::{Incident, Kind, Scene, Who};

pub(crate) const STALE: Duration = Duration::from_secs(12);
pub(crate) const TTL: Duration = Duration::from_secs(9);
const GRACE: Duration = Duration::from_millis(500);
const BACKOFF: Duration = Duration::from_secs(1);

/// Revisions that are rolled out in one story, at the most.
const LAST_REV: u64 = 7;

/// How long an orchestrator waits after SIGTERM, in milliseconds.
const PATIENCE: u64 = 10_000;

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

    /// Ends this life, and begins another after a while.
    pub(crate) fn begin_again(&mut self, number: usize, at_once: bool) {
        let slot = &self.slots[number];
        if !self.world.is_alive(slot.life) {
            if !slot.awaits_start {
                self.start(number);
            }
        } else if at_once {
            self.world.kill(slot.life);
        } else {
            self.world.stop(slot.life);
            self.after(PATIENCE, Later::Kill(self.slots[number].life));
        }
    }

    fn find(&self, who: Who) -> usize {
        let slot = match who {
            Who::Leader => self.world.leader().and_then(|life| self.slots.iter().position(|slot| slot.life == life)),
            Who::Slot(slot) => Some(slot),
        };
        slot.unwrap_or(0) % self.slots.len()
    }

    /// Lets an incident happen. Whether there was anything for it to befall.
    pub(crate) fn befall(&mut self, incident: &Incident) -> bool {
        let number = self.find(incident.who);
        let note = format!("incident: {} ({number})", incident.kind.word());
        self.world.referee.note(self.world.now, self.slots[number].life, &note);
        match incident.kind {
            Kind::Kill | Kind::Orphan | Kind::Freeze | Kind::FreezePastLease | Kind::Stop | Kind::Haste => {
                self.befall_life(incident, number)
            }
            Kind::Restart | Kind::RollOut | Kind::Upgrade | Kind::Downgrade | Kind::GoBack | Kind::Retry => {
                self.befall_slot(incident, number)
            }
            Kind::GuardBlip | Kind::MarkerRemoved => self.befall_leader(incident.kind, number),
            Kind::Full | Kind::Slow | Kind::BeatsLate | Kind::Broken | Kind::NeedsUnmet => {
                self.befall_volume(incident);
                true
            }
            _ if self.story.scene.lease == 0 => false,
            Kind::CutRequests | Kind::CutReplies => self.befall_link(incident, number),
            Kind::RequestsLost | Kind::RepliesLost | Kind::RepliesDoubled | Kind::RepliesLate => {
                self.weather.set(Some((incident.kind, incident.span)));
                self.after(incident.span, Later::Heard);
                true
            }
            _ => {
                self.befall_redis(incident);
                true
            }
        }
    }

    fn befall_life(&mut self, incident: &Incident, number: usize) -> bool {
        let life = self.slots[number].life;
        let freezes = matches!(incident.kind, Kind::Freeze | Kind::FreezePastLease);
        if !self.world.is_alive(life) || self.world.is_frozen(life) && freezes {
            return false;
        }
        match incident.kind {
            // Without a guard only the time that stopping may take keeps an orphan from its successor.
            Kind::Orphan if self.story.scene.trusted == 1 => {
                self.world.kill_leaving_orphans(life, Duration::from_millis(incident.span));
            }
            Kind::Kill | Kind::Orphan => self.world.kill(life),
            _ if freezes => {
                self.world.freeze(life);
                let past = if incident.kind == Kind::Freeze { 0 } else { 10_000 };
                self.after(past + incident.span, Later::Thaw(life));
            }
            _ => {
                let times = if incident.kind == Kind::Stop { 1 } else { 2 + incident.span % 2 };
                (0..times).for_each(|_| self.world.stop(life));
                self.after(PATIENCE, Later::Kill(life));
            }
        }
        incident.kind != Kind::Orphan || self.story.scene.trusted == 1
    }

    fn befall_slot(&mut self, incident: &Incident, number: usize) -> bool {
        let newest = self.newest;
        let slot = &mut self.slots[number];
        let before = (slot.rev, slot.may_go_back);
        match incident.kind {
            Kind::RollOut if newest == LAST_REV => return false,
            Kind::RollOut => {
                self.newest += 1;
                (slot.rev, slot.may_go_back) = (self.newest, false);
            }
            Kind::Upgrade => (slot.rev, slot.may_go_back) = (newest, false),
            Kind::Downgrade => (slot.rev, slot.may_go_back) = (newest.max(2) - 1, false),
            Kind::GoBack => {
                (slot.rev, slot.may_go_back) = (newest.max(2) - 1, true);
            }
            Kind::Retry => self.world.volume.retry(&format!("v{}", slot.rev)),
            _ => {}
        }
        let slot = &self.slots[number];
        let same = before == (slot.rev, slot.may_go_back);
        if same && incident.kind != Kind::Restart && incident.kind != Kind::Retry {
            return false;
        }
        if incident.kind != Kind::Retry || !self.world.is_alive(slot.life) {
            self.begin_again(number, incident.span.is_multiple_of(2));
        }
        true
    }

    fn befall_leader(&mut self, kind: Kind, number: usize) -> bool {
        let life = self.slots[number].life;
        let leads = self.world.leader() == Some(life) && self.world.is_alive(life);
        match kind {
            Kind::GuardBlip if leads => self.world.lose_guard(life),
            Kind::MarkerRemoved if leads => {
                let rev = format!("v{}", self.slots[number].rev);
                let running = self.world.running();
                self.world.volume.remove_marker(&running[0], &rev);
            }
            _ => return false,
        }
        true
    }

    fn befall_link(&mut self, incident: &Incident, number: usize) -> bool {
        let life = self.slots[number].life;
        if !self.world.is_alive(life) {
            return false;
        }
        let requests = incident.kind != Kind::CutRequests;
        self.world.set_link(life, Link { requests, replies: !requests });
        self.after(incident.span, Later::Link(life));
        true
    }

    fn befall_volume(&mut self, incident: &Incident) {
        let span = Duration::from_millis(incident.span);
        let (volume, ends) = (&mut self.world.volume, incident.span);
        // Without a guard P1 holds as long as nothing is paused for longer than the lease's margin; a beat, neither.
        let longest = if self.story.scene.trusted == 1 { Duration::MAX } else { Duration::from_secs(1) };
        match incident.kind {
            Kind::Full => {
                volume.full = true;
                self.after(ends, Later::Room);
            }
            Kind::Broken => {
                let faults = [Fault::Broken, Fault::Denied, Fault::ReadOnly];
                volume.broken = Some(faults[usize::try_from(ends % 3).unwrap()]);
                self.after(ends / 4, Later::Whole);
            }
            Kind::Slow => {
                self.world.volume_takes = (span / 8).min(longest / 2);
                self.after(ends, Later::QuickVolume);
            }
            Kind::BeatsLate => {
                self.world.beats_take = (span / 2).min(longest);
                self.after(ends, Later::BeatsWell);
            }
            _ => {
                self.world.needs_met = false;
                self.after(ends / 4, Later::NeedsMet);
            }
        }
    }

    fn befall_redis(&mut self, incident: &Incident) {
        let span = Duration::from_millis(incident.span);
        let (now, redis, ends) = (self.world.now, &mut self.world.redis, incident.span);
        match incident.kind {
            Kind::RedisDown => {
                redis.down = true;
                self.after(ends, Later::RedisUp);
            }
            Kind::Flush => redis.flush(),
            Kind::Stall => {
                redis.stalls = Some(span / 4);
                self.after(ends, Later::Quick);
            }
            // Every other failover leads to what the one before left behind.
            Kind::FailOver => {
                redis.fail_over();
                if ends.is_multiple_of(2) {
                    redis.replicate();
                }
            }
            Kind::Mute => {
                redis.mute = true;
                self.after(ends, Later::Announced);
            }
            Kind::Announce => self.world.announce(),
            Kind::ClockAhead => redis.jump_ahead(now, span),
            _ => redis.jump_back(now, span),
        }
    }
}
