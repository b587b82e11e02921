//! What may happen next.

use std::time::Duration;

use bellwether::protocol::{Event, Machine, StepEnd, Trust};
use bellwether::test_util::world::Life;

use super::Space;
use super::budget::Fault;
use super::doing::stopping_takes;
use super::faults::list_faults;
use super::on_redis::Way;
use super::state::{Holder, NOW, Replica, Run, State, Status, Wait};

/// One thing that happens. Replicas are told by their place, requests by whose they are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Act {
    /// Nothing is left to do now: time passes until something is due.
    TimePasses(Duration),
    /// A machine's deadline has come.
    Tick(usize),
    /// A machine takes in what it was told, the one in this place of its inbox.
    TakeIn(usize, usize),
    /// A step that was decided upon is started.
    Start(usize),
    /// The next operation on the volume is done.
    OnVolume(usize),
    /// The guard is granted.
    GrantGuard(usize),
    /// The oldest request of this life.
    ToRedis(Life, Way),
    /// What was late arrives.
    LateArrives(usize),
    /// A step ends by itself.
    StepEnds(usize, StepEnd),
    /// The last of a stopped tree is gone.
    TreeGone(usize),
    Kill(usize),
    /// Its steps' trees linger.
    KillLeavingOrphan(usize),
    Restart(usize),
    Freeze(usize),
    /// While its step runs.
    FreezeUntilReplaced(usize),
    Thaw(usize),
    Terminate(usize),
    VolumeHangs(usize),
    VolumeBreaks(usize),
    VolumeFull(usize),
    GuardLost(usize),
    RedisWiped,
    RedisCopied,
    RedisFailsOver,
    RedisClockJumps,
    RedisDown,
    RedisUp,
    LocksDropped,
    FailureCleared,
}

/// Longer than anything that is waited for: notices are as good as never.
const FOREVER: Duration = Duration::from_secs(3600);

impl Space {
    /// Everything that may happen now. Time passes only when nobody has anything left to do.
    pub(crate) fn list_acts(&self, state: &State, acts: &mut Vec<Act>) {
        for (index, replica) in state.replicas.iter().enumerate() {
            self.list_moves(state, index, replica, acts);
        }
        for (place, ask) in state.asks.iter().enumerate() {
            if !state.asks[..place].iter().any(|earlier| earlier.life == ask.life) {
                acts.push(Act::ToRedis(ask.life, Way::Well));
            }
        }
        acts.extend((0..state.runs.len()).filter(|&place| is_due(&state.runs[place])).map(Act::TreeGone));
        if acts.is_empty()
            && let Some(span) = next_span(state)
        {
            acts.push(Act::TimePasses(span));
        }
        for (place, run) in state.runs.iter().enumerate() {
            if run.gone_by.is_some() {
                if !is_due(run) {
                    acts.push(Act::TreeGone(place));
                }
            } else {
                acts.extend(self.ends.iter().map(|end| Act::StepEnds(place, *end)));
            }
        }
        list_unhurried(state, acts);
        list_faults(state, acts);
    }

    fn list_moves(&self, state: &State, index: usize, replica: &Replica, acts: &mut Vec<Act>) {
        if !replica.moves() {
            return;
        }
        if replica.undone.is_empty() {
            let kinds: Vec<u8> = replica.inbox.iter().map(kind).collect();
            let firsts = (0..kinds.len()).filter(|&place| !kinds[..place].contains(&kinds[place]));
            acts.extend(firsts.map(|place| Act::TakeIn(index, place)));
            if replica.is_tick_due() {
                acts.push(Act::Tick(index));
            }
        } else {
            acts.push(Act::Start(index));
        }
        if !replica.jobs.is_empty() && !replica.hanging {
            acts.push(Act::OnVolume(index));
        }
        let is_free = state.guard.is_empty() || self.trust == Trust::NotTrusted;
        if is_free && matches!(replica.wait, Wait::Waiting { .. }) {
            acts.push(Act::GrantGuard(index));
        }
    }

    pub(crate) fn act(&self, state: &mut State, act: Act) {
        match act {
            Act::TimePasses(span) => self.pass(state, span),
            Act::Tick(index) => self.take_in(state, index, Event::Tick),
            Act::TakeIn(index, place) => {
                let event = state.replica(index).inbox.remove(place);
                self.take_in(state, index, event);
            }
            Act::Start(index) => self.go_on(state, index, true),
            Act::OnVolume(index) => self.work_on_volume(state, index),
            Act::GrantGuard(index) => self.grant_guard(state, index),
            Act::ToRedis(life, way) => {
                match way {
                    Way::Well => {}
                    Way::RequestLost | Way::AnswerLost => state.left.spend(Fault::Lose),
                    Way::RequestLate | Way::AnswerLate => state.left.spend(Fault::Delay),
                    Way::AnswerTwice => state.left.spend(Fault::Double),
                }
                self.send(state, life, way);
            }
            Act::LateArrives(place) => self.come_late(state, place),
            Act::StepEnds(place, end) => self.end_run(state, place, end),
            Act::TreeGone(place) => self.end_run(state, place, StepEnd::Stopped),
            fault => self.fail(state, fault),
        }
    }

    fn grant_guard(&self, state: &mut State, index: usize) {
        let replica = state.replica(index);
        let Wait::Waiting { wanted } = replica.wait else { return };
        replica.wait = Wait::Granted { wanted };
        let life = replica.life;
        state.guard.insert(Holder::Leader(life));
        self.deliver(state, index, Event::GuardGranted);
    }

    fn pass(&self, state: &mut State, span: Duration) {
        state.pass(span, NOW - self.stale_after * 2);
        for run in &mut state.runs {
            if run.gone_by.is_none()
                && let Some(deadline) = run.deadline.filter(|&at| at <= NOW)
            {
                let machine = &state.replicas[run.replica].machine;
                run.gone_by = Some(deadline + stopping_takes(machine));
            }
        }
    }

    pub(crate) fn start(&self, state: &mut State, index: usize, life: Life) {
        *state.replica(index) = self.blank(index, life);
        self.deliver(state, index, Event::Started);
    }

    /// A replica that has not been told that it has started.
    pub(crate) fn blank(&self, index: usize, life: Life) -> Replica {
        Replica {
            life,
            status: Status::Alive,
            machine: Machine::new(self.configs[index].clone()),
            frozen: false,
            until_replaced: false,
            hanging: false,
            inbox: Vec::new(),
            jobs: std::collections::VecDeque::new(),
            half_done: false,
            undone: std::collections::VecDeque::new(),
            wait: Wait::None,
            excused: false,
            strayed: false,
            stops: 0,
        }
    }
}

/// Whether time may not pass before this tree is gone.
fn is_due(run: &Run) -> bool {
    !run.lingers && run.gone_by.is_some_and(|at| at <= NOW)
}

/// Answers of one kind come in their order; those of different kinds come by ways of their own.
fn kind(event: &Event) -> u8 {
    match event {
        Event::StopRequested => 0,
        Event::Ended(..) => 1,
        Event::GuardGranted | Event::GuardLost => 2,
        Event::LeaseGranted { .. } | Event::LeaseDenied { .. } | Event::LeaseNotMine | Event::LeaseUnreachable => 3,
        Event::Announced => 4,
        _ => 5,
    }
}

/// What happens some time, or not.
fn list_unhurried(state: &State, acts: &mut Vec<Act>) {
    acts.extend((0..state.late.len()).map(Act::LateArrives));
    for (index, replica) in state.replicas.iter().enumerate() {
        let is_replaced = || state.runs.iter().any(|run| run.life != replica.life);
        if replica.is_alive() && replica.frozen && (!replica.until_replaced || is_replaced()) {
            acts.push(Act::Thaw(index));
        }
        if replica.moves() && replica.hanging {
            acts.push(Act::OnVolume(index));
        }
    }
    if state.redis.down {
        acts.push(Act::RedisUp);
    }
    if state.copied {
        acts.push(Act::RedisFailsOver);
    }
}

/// How long it is until the next thing is due.
fn next_span(state: &State) -> Option<Duration> {
    let alive = state.replicas.iter().filter(|replica| replica.is_alive());
    let machines = alive.filter_map(|replica| replica.machine.next_deadline());
    let runs = state.runs.iter().filter(|run| !run.lingers);
    let runs = runs.filter_map(|run| run.gone_by.or(run.deadline));
    let soon = machines.chain(runs).filter(|&at| at > NOW).map(|at| at.since(NOW));
    soon.min().filter(|&span| span < FOREVER)
}
