//! Plays a story in the world of the tests: every incident, what it leads to, and in the end the healing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use bellwether::protocol::{Outcome, Revision, Standing, Timestamp};
use bellwether::test_util::world::{Fate, Life, Link, Tally, World};

use crate::befallen::{Befallen, Hits};
use crate::cast::{self, Slot};
use crate::chance::Chance;
use crate::quiet;
use crate::story::{Kind, Story};

/// P7: so long after the world has healed every replica has reached its command: the longest back-off that is left
/// from before (300 s), and then, for each revision that had begun, silence, lease and three steps.
pub(crate) const BOUND: Duration = Duration::from_secs(600);

/// A run that began before the healing, and ends badly, has ended by then.
const RUNS_END: Duration = Duration::from_secs(60);

/// What a killed leader ran is gone by then.
const ORPHANS_END: Duration = Duration::from_secs(40);

/// What there was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) tally: Tally,
    /// How often each kind of incident has befallen anybody.
    pub(crate) faults: BTreeMap<Kind, u64>,
    pub(crate) digest: u64,
    /// Virtual time, and how much of it was needed after the healing.
    pub(crate) took: Duration,
    pub(crate) settled: Duration,
    pub(crate) trace: String,
}

/// A promise was broken.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    /// `P1` and so on, or the first line of whatever went wrong.
    pub(crate) promise: String,
    pub(crate) what: String,
    pub(crate) trace: String,
}

/// What breaks promises on purpose, so that it can be seen that this is noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sabotage {
    None,
    /// The volume's locks do not work, and everybody is told that they do.
    GuardIsNone,
    /// A Redis that is down in the end stays so.
    NothingHeals,
    /// Nobody gives a lease back.
    NeverReleases,
}

/// Ends what began with an incident, or follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Later {
    Thaw(Life),
    Link(Life),
    RedisUp,
    Quick,
    Heard,
    Announced,
    Room,
    QuickVolume,
    BeatsWell,
    Whole,
    NeedsMet,
    Start(usize),
    /// An orchestrator's patience with a stop is over.
    Kill(Life),
}

/// What becomes of requests to Redis, while it lasts.
pub(crate) type Weather = Rc<Cell<Option<(Kind, u64)>>>;

pub(crate) struct Stage<'a> {
    pub(crate) story: &'a Story,
    pub(crate) world: World,
    pub(crate) slots: Vec<Slot>,
    pub(crate) newest: u64,
    pub(crate) weather: Weather,
    pub(crate) calm: Rc<Cell<bool>>,
    pub(crate) befallen: Befallen,
    sabotage: Sabotage,
    later: BTreeMap<(Timestamp, u64), Later>,
    sequence: u64,
    begun: Timestamp,
    /// Given out in the end.
    report: Report,
}

/// Plays it. `verbose`: the trace tells every event and every action.
pub(crate) fn play(story: &Story, sabotage: Sabotage, verbose: bool) -> Result<Report, Broken> {
    let mut stage = Stage::new(story, sabotage);
    stage.world.referee.is_verbose = verbose;
    let played = quiet::quietly(|| catch_unwind(AssertUnwindSafe(|| stage.play())));
    let Err(panic) = played else {
        stage.report.tally = stage.world.referee.tally.clone();
        stage.report.digest = stage.world.referee.digest();
        stage.world.referee.story().clone_into(&mut stage.report.trace);
        return Ok(stage.report);
    };
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
    let what = text.lines().next().unwrap_or_default().to_owned();
    let promise = what.find('P').map(|at| &what[at..]).and_then(|rest| rest.split_once(':'));
    let promise = promise.map(|(name, _)| name).filter(|name| name.len() <= 3).unwrap_or(&what).to_owned();
    Err(Broken { promise, what, trace: stage.world.referee.story().to_owned() })
}

impl<'a> Stage<'a> {
    fn new(story: &'a Story, sabotage: Sabotage) -> Stage<'a> {
        let scene = &story.scene;
        let mut world = World::new(scene.trusted == 1 && sabotage != Sabotage::GuardIsNone);
        let calm = Rc::new(Cell::new(false));
        world.scripts = cast::scripts(scene, Rc::clone(&calm));
        world.stopping_takes = Duration::from_millis(scene.stopping);
        let weather = Weather::default();
        world.releases = sabotage != Sabotage::NeverReleases;
        let befallen = Befallen::default();
        world.fates = fates(scene.seed, Rc::clone(&weather), Rc::clone(&befallen.hits));
        let begun = world.now;
        Stage {
            story,
            world,
            slots: Vec::new(),
            newest: 1,
            weather,
            calm,
            befallen,
            sabotage,
            later: BTreeMap::new(),
            sequence: 0,
            begun,
            report: Report::default(),
        }
    }

    fn play(&mut self) {
        for number in 0..usize::try_from(self.story.scene.replicas).unwrap() {
            self.enter(number);
        }
        for incident in &self.story.incidents {
            self.go_on(Duration::from_millis(incident.gap));
            self.befallen.look(self.world.now, &self.world.met);
            if self.befall(incident) {
                self.befallen.count(incident.kind);
            }
        }
        self.befallen.look(self.world.now, &self.world.met);
        self.report.faults = std::mem::take(&mut self.befallen.counts);
        self.heal();
        let healed = self.world.now;
        while !(0..self.slots.len()).all(|slot| self.is_settled(slot)) {
            self.go_on(Duration::from_millis(500));
            let took = self.world.now.since(healed);
            if took < RUNS_END {
                self.clear_failures();
            }
            assert!(took <= BOUND, "P7: {took:?} after the world has healed: {}", self.who_is_missing());
        }
        self.report.settled = self.world.now.since(healed);
        self.check_what_is_left();
        self.report.took = self.world.now.since(self.begun);
    }

    /// Goes on for so long, and does what follows from earlier incidents in its time.
    fn go_on(&mut self, span: Duration) {
        let end = self.world.now + span;
        while let Some((&(at, sequence), &later)) = self.later.first_key_value().filter(|((at, _), _)| *at <= end) {
            self.later.remove(&(at, sequence));
            self.world.run_for(at.since(self.world.now));
            self.perform_later(later);
            self.start_the_ended();
        }
        self.world.run_for(end.since(self.world.now));
        self.start_the_ended();
    }

    pub(crate) fn after(&mut self, millis: u64, later: Later) {
        self.sequence += 1;
        self.later.insert((self.world.now + Duration::from_millis(millis), self.sequence), later);
    }

    fn perform_later(&mut self, later: Later) {
        match later {
            Later::Thaw(life) => self.world.thaw(life),
            Later::Link(life) => self.world.set_link(life, Link::WHOLE),
            Later::RedisUp => self.world.redis.down &= self.sabotage == Sabotage::NothingHeals,
            Later::Quick => self.world.redis.stalls = None,
            Later::Heard => self.weather.set(None),
            Later::Announced => self.world.redis.mute = false,
            Later::Room => self.world.volume.full = false,
            Later::QuickVolume => self.world.volume_takes = Duration::from_millis(1),
            Later::BeatsWell => self.world.beats_take = Duration::ZERO,
            Later::Whole => self.world.volume.broken = None,
            Later::NeedsMet => self.world.needs_met = true,
            Later::Start(slot) => self.start(slot),
            Later::Kill(life) if self.world.is_alive(life) => self.world.kill(life),
            Later::Kill(_) => {}
        }
    }

    /// What an orchestrator does: whoever ended without serving is started again, unless that is of no use.
    fn start_the_ended(&mut self) {
        for number in 0..self.slots.len() {
            let slot = &self.slots[number];
            let of_no_use = |outcome: &Outcome| {
                let refused = matches!(outcome, Outcome::DowngradeRefused { .. });
                refused || matches!(outcome, Outcome::HandOff | Outcome::StepFailed)
            };
            let ended = !self.world.is_alive(slot.life) && !self.world.outcome(slot.life).is_some_and(of_no_use);
            if ended && !slot.awaits_start {
                self.slots[number].awaits_start = true;
                self.after(1_000 + 100 * number as u64, Later::Start(number));
            }
        }
    }

    /// Everything works again, all steps end well, and a person clears failures and completes the roll-out.
    fn heal(&mut self) {
        let follow_ups = std::mem::take(&mut self.later);
        self.calm.set(true);
        for later in [Later::RedisUp, Later::Quick, Later::Heard, Later::Announced, Later::Room, Later::QuickVolume] {
            self.perform_later(later);
        }
        for later in [Later::BeatsWell, Later::Whole, Later::NeedsMet] {
            self.perform_later(later);
        }
        for later in follow_ups.into_values().filter(|later| matches!(later, Later::Start(_) | Later::Kill(_))) {
            self.after(1_000, later);
        }
        for number in 0..self.slots.len() {
            let life = self.slots[number].life;
            self.world.set_link(life, Link::WHOLE);
            if self.world.is_frozen(life) {
                self.world.thaw(life);
            }
        }
        if self.newest > 1 {
            // An older image may have been seen for the first time after the newest.
            let first = &mut self.slots[0];
            (first.rev, first.may_go_back) = (self.newest, true);
            self.begin_again(0, false);
        }
        for rev in 1..=self.newest {
            self.world.volume.retry(&format!("v{rev}"));
        }
        self.clear_failures();
    }

    /// A person clears failures, and starts whoever has ended because of one.
    fn clear_failures(&mut self) {
        let failed: Vec<Revision> = self.world.volume.failed.iter().cloned().collect();
        for rev in failed {
            self.world.volume.retry(rev.as_str());
        }
        for number in 0..self.slots.len() {
            let slot = &self.slots[number];
            if self.world.outcome(slot.life) == Some(&Outcome::StepFailed) && !slot.awaits_start {
                self.start(number);
            }
        }
    }

    /// Whether a replica has reached its command, or an end that is documented: its revision is superseded.
    fn is_settled(&self, number: usize) -> bool {
        let slot = &self.slots[number];
        let is_superseded = || {
            let standing = self.world.machine(slot.life).view().map(|view| &view.standing);
            let older = matches!(standing, Some(Standing::Older { .. }));
            let nobody_leads = slot.rev != self.newest && !slot.may_lead;
            self.newest > 1 && number != 0 && (older || nobody_leads)
        };
        match self.world.outcome(slot.life) {
            Some(Outcome::HandOff) => true,
            Some(Outcome::DowngradeRefused { .. } | Outcome::GaveUp) | None => is_superseded(),
            Some(_) => false,
        }
    }

    fn who_is_missing(&self) -> String {
        let missing = (0..self.slots.len()).filter(|&number| !self.is_settled(number));
        let described = missing.map(|number| {
            let slot = &self.slots[number];
            let (role, outcome) = (self.world.machine(slot.life).role(), self.world.outcome(slot.life));
            format!("replica {number} (#{}, v{}): {role:?}, {outcome:?}", slot.life.0, slot.rev)
        });
        described.collect::<Vec<_>>().join("; ")
    }

    /// P6: when all have ended, and what they ran is gone, no marker says that anybody works. That nobody leaves a lease
    /// behind is asked of each life when it ends, and once more when its last request has arrived.
    fn check_what_is_left(&mut self) {
        if self.slots.iter().any(|slot| self.world.is_alive(slot.life) || slot.awaits_start) {
            return;
        }
        self.world.run_for(ORPHANS_END);
        let newest = format!("v{}", self.newest);
        assert!(!self.world.has_any_marker(&newest), "P6: a marker is left over");
        assert!(self.world.running().is_empty(), "P4: all serve, and a step runs");
    }
}

/// Each request meets what the weather is like, two times in three.
fn fates(seed: u64, weather: Weather, hits: Hits) -> Box<dyn FnMut() -> Fate> {
    let mut chance = Chance::new(seed ^ 0xfa7e);
    Box::new(move || {
        let Some((kind, worst)) = weather.get() else { return Fate::Well };
        if chance.one_in(3) {
            return Fate::Well;
        }
        *hits.borrow_mut().entry(kind).or_default() += 1;
        let later = Duration::from_millis(chance.below(worst.max(1)));
        match kind {
            Kind::RequestsLost => Fate::RequestLost,
            Kind::RepliesLost => Fate::ReplyLost,
            Kind::RepliesDoubled => Fate::Doubled(later),
            _ => Fate::Late(later),
        }
    })
}
