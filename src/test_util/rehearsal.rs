//! A plan, played through in virtual time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::world::{Life, Script, World};
use crate::protocol::{Config, Election, Outcome, Plan, Policy, StepEnd, Timestamp, Trust};

/// How long a run lasts, unless it is said.
const LASTS: Duration = Duration::from_secs(10);

/// An orchestrator starts anew what has ended, after so long.
const RESTART: Duration = Duration::from_secs(1);

/// A rehearsal goes on for so long after its last incident, and waits so long for each.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What a bootstrap demands of its `stale_after`, too.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// Replicas with a plan, on a volume in memory, in virtual time: what would happen if …?
///
/// The machines are the real ones, and a referee watches over them: a rehearsal in which two leaders act, or a step
/// begins before its predecessor is done, panics with the whole story. What a step *does* is not rehearsed; it takes its
/// time and ends as it is told.
///
/// It has the plan alone: names, order, timeouts and attempts. What else a `Bootstrap` was told (`stale_after`, `backoff`,
/// a lease) is not taken along: the guard elects, the back-off begins with 10 s, and the silence is that of
/// [`stale_after`](Rehearsal::stale_after). It is broken off a day, in virtual time, after its last incident; a step that
/// [`lasts`](Rehearsal::lasts) longer is then still going.
///
/// ```
/// # use bellwether::test_util::Rehearsal;
/// # use bellwether::protocol::{MarkerWord, Plan, Step, StepId, StepName};
/// # let step = |name: &str, after: &[usize]| Step {
/// #     name: StepName::parse(name).unwrap(),
/// #     in_progress: MarkerWord::parse(name).unwrap(),
/// #     done: MarkerWord::parse(&format!("{name}_done")).unwrap(),
/// #     after: after.iter().copied().map(StepId).collect(),
/// #     timeout: None,
/// #     max_attempts: 3,
/// # };
/// # let plan = Plan::new(vec![step("migrate", &[]), step("index", &[0])]).unwrap();
/// // `plan` has `migrate`, then `index`; from a `Bootstrap` it comes with `.plan()?`.
/// let account = Rehearsal::new(&plan).replicas(3).kill_leader_during("migrate").run();
///
/// let migrations: Vec<_> = account.runs_of("migrate").collect();
/// assert_eq!(migrations.len(), 2);
/// assert!(migrations[0].leader_died && migrations[1].is_done());
/// assert!(migrations[1].epoch > migrations[0].epoch);
/// assert_eq!(account.runs_of("index").count(), 1);
/// assert!(account.all_ready());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rehearsal {
    plan: Arc<Plan>,
    replicas: usize,
    policy: Policy,
    lasts: BTreeMap<String, Duration>,
    ends: BTreeMap<String, Vec<StepEnd>>,
    incidents: Vec<(Incident, String)>,
}

/// What happens to a leader, in the middle of a step.
#[derive(Clone, Copy, Debug)]
enum Incident {
    Kill,
    Stop,
    Freeze(Duration),
}

/// One run of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// The step's name.
    pub step: String,
    /// The leadership it ran under.
    pub epoch: u64,
    /// Which counted attempt it was, from 1.
    pub attempt: u32,
    /// Whose it was: the number of the replica, from 0.
    pub replica: usize,
    /// When it began, since the replicas were started.
    pub begun: Duration,
    /// When it ended; if it was still going, when the rehearsal was broken off.
    pub ended: Duration,
    /// How it ended; `None`: it was still going when the rehearsal was broken off.
    pub end: Option<StepEnd>,
    /// Whether its leader had died, and its shim stopped it.
    pub leader_died: bool,
}

impl Run {
    /// Whether it ended well.
    pub fn is_done(&self) -> bool {
        self.end == Some(StepEnd::Exit(0))
    }
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Account {
    /// All runs of all steps, in the order of their beginning.
    pub runs: Vec<Run>,
    /// How each replica ended, in its last life. [`HandOff`](Outcome::HandOff): it came to serve, which a program with a
    /// `Bootstrap` is told as its `Outcome::Ready`. `None`: it had not ended when the rehearsal was broken off.
    pub outcomes: Vec<Option<Outcome>>,
    /// From the start of the replicas until the last of them ended, or until nothing more happened.
    pub took: Duration,
    /// Everything, line by line, for people; its last lines name the steps that were still going.
    pub story: String,
}

impl Account {
    /// The runs of one step.
    pub fn runs_of<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.step == step)
    }

    /// Whether every replica came to serve.
    pub fn all_ready(&self) -> bool {
        self.outcomes.iter().all(|outcome| *outcome == Some(Outcome::HandOff))
    }
}

impl Rehearsal {
    /// Three replicas with this plan. Each run lasts 10 s and ends well.
    pub fn new(plan: &Plan) -> Rehearsal {
        Rehearsal {
            plan: Arc::new(plan.clone()),
            replicas: 3,
            policy: Policy::default(),
            lasts: BTreeMap::new(),
            ends: BTreeMap::new(),
            incidents: Vec::new(),
        }
    }

    /// So many replicas, at least one.
    pub fn replicas(mut self, count: usize) -> Rehearsal {
        self.replicas = count.max(1);
        self
    }

    /// How long a leader may be silent before another takes over; at least 1 s. Default: 120 s.
    ///
    /// # Panics
    ///
    /// If that is too short; a `Bootstrap` would not be built.
    #[track_caller]
    pub fn stale_after(mut self, silence: Duration) -> Rehearsal {
        assert!(silence >= SHORTEST_SILENCE, "stale_after is too short; at least 1 s is needed");
        self.policy.stale_after = silence;
        self
    }

    /// How long each run of a step lasts, unless its timeout ends it. Default: 10 s.
    pub fn lasts(mut self, step: &str, span: Duration) -> Rehearsal {
        self.lasts.insert(self.known(step), span);
        self
    }

    /// How the first runs of a step end; all later ones end well.
    pub fn ends(mut self, step: &str, ends: impl IntoIterator<Item = StepEnd>) -> Rehearsal {
        self.ends.insert(self.known(step), ends.into_iter().collect());
        self
    }

    /// Kills the leader in the middle of a run of this step (SIGKILL, a node that dies); a second later the replica is
    /// started anew. Incidents happen in the order in which they are asked for.
    pub fn kill_leader_during(self, step: &str) -> Rehearsal {
        self.incident(Incident::Kill, step)
    }

    /// Stops the leader in the middle of a run of this step (SIGTERM, a dropped handle); a second after its end the
    /// replica is started anew.
    pub fn stop_leader_during(self, step: &str) -> Rehearsal {
        self.incident(Incident::Stop, step)
    }

    /// Freezes the leader's process in the middle of a run of this step, for so long; the step's own goes on.
    pub fn freeze_leader_during(self, step: &str, span: Duration) -> Rehearsal {
        self.incident(Incident::Freeze(span), step)
    }

    fn incident(mut self, incident: Incident, step: &str) -> Rehearsal {
        self.incidents.push((incident, self.known(step)));
        self
    }

    #[track_caller]
    fn known(&self, step: &str) -> String {
        assert!(self.plan.find(step).is_some(), "there is no step {step:?} in the plan");
        step.to_owned()
    }

    /// Plays it to the end: until every replica has come to serve or has given up, at most for a day after the last
    /// incident.
    ///
    /// # Panics
    ///
    /// If a promise is broken (a bug of ours), or if something was to happen in the middle of a step that does not run
    /// within a day, or is over before its middle.
    #[track_caller]
    pub fn run(self) -> Account {
        let config = Config::new(Arc::clone(&self.plan), Election::Guard, Trust::Trusted, self.policy.clone());
        let config = config.expect("a trusted guard may elect");
        let mut world = World::new(true);
        let begun = world.now;
        let (lasts, ends) = (self.lasts.clone(), self.ends.clone());
        world.scripts = Box::new(move |step, earlier| Script {
            lasts: lasts.get(step).copied().unwrap_or(LASTS),
            end: ends.get(step).and_then(|ends| ends.get(earlier)).copied().unwrap_or(StepEnd::Exit(0)),
        });
        let mut cast = Cast { lives: Vec::new(), owners: Vec::new(), config };
        (0..self.replicas).for_each(|number| cast.start(&mut world, number));
        for (incident, step) in &self.incidents {
            cast.befall(&mut world, *incident, step, self.whole(step));
        }
        let ended = |world: &World| cast.lives.iter().all(|&life| world.outcome(life).is_some());
        world.go_on(LIMIT, ended);
        cast.account(&world, begun)
    }

    /// How long a run of this step goes on, if nothing happens to it.
    fn whole(&self, step: &str) -> Duration {
        let lasts = self.lasts.get(step).copied().unwrap_or(LASTS);
        let timeout = self.plan.find(step).and_then(|id| self.plan.step(id).timeout);
        timeout.map_or(lasts, |timeout| timeout.min(lasts))
    }
}

/// Who plays: the replicas in their present lives.
struct Cast {
    lives: Vec<Life>,
    /// Of each life, the replica.
    owners: Vec<usize>,
    config: Config,
}

impl Cast {
    fn start(&mut self, world: &mut World, number: usize) {
        let life = world.start("rehearsed", &self.config);
        self.owners.push(number);
        match self.lives.get_mut(number) {
            Some(old) => *old = life,
            None => self.lives.push(life),
        }
    }

    #[track_caller]
    fn befall(&mut self, world: &mut World, incident: Incident, step: &str, whole: Duration) {
        let runs = |world: &World| world.running().iter().any(|running| running == step);
        assert!(world.go_on(LIMIT, runs), "{step} did not run within a day:\n{}", story(world));
        // A run without length has no middle; what happens to it happens at once.
        if !whole.is_zero() {
            world.run_for(whole / 2);
        }
        let life = world.leader().filter(|_| runs(world));
        let Some(life) = life else { panic!("{step} was over before its middle:\n{}", story(world)) };
        let number = self.owners[life.0];
        match incident {
            Incident::Kill => world.kill(life),
            Incident::Stop => {
                world.stop(life);
                world.go_on(LIMIT, |world| world.outcome(life).is_some());
            }
            Incident::Freeze(span) => {
                world.freeze(life);
                world.run_for(span);
                return world.thaw(life);
            }
        }
        world.run_for(RESTART);
        self.start(world, number);
    }

    fn account(&self, world: &World, begun: Timestamp) -> Account {
        let runs = world.told_runs().into_iter().map(|run| Run {
            step: run.step,
            epoch: run.epoch.0,
            attempt: run.attempt,
            replica: self.owners[run.life.0],
            begun: run.begun.since(begun),
            ended: run.ended.since(begun),
            end: run.end,
            leader_died: run.leader_died,
        });
        Account {
            runs: runs.collect(),
            outcomes: self.lives.iter().map(|&life| world.outcome(life).cloned()).collect(),
            took: world.now.since(begun),
            story: story(world),
        }
    }
}

/// What has happened, and what still goes on.
fn story(world: &World) -> String {
    let mut story = world.referee.story().to_owned();
    for run in world.told_runs().iter().filter(|run| run.end.is_none()) {
        let _ = writeln!(story, "still going: {} of #{}, in attempt {}", run.step, run.life.0, run.attempt);
    }
    story
}

#[cfg(test)]
mod tests;
