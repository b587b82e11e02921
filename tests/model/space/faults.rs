//! What may go wrong, while there is a budget for it.

use bellwether::protocol::{Event, Fault as VolumeFault, Role};
use bellwether::test_util::world::{Key, Life};

use super::Space;
use super::acts::Act;
use super::budget::Fault;
use super::doing::stopping_takes;
use super::on_redis::Way;
use super::state::{Holder, NOW, Request, State, Status, Wait};

pub(crate) fn list_faults(state: &State, acts: &mut Vec<Act>) {
    let has = |fault| state.left.has(fault);
    for (index, replica) in state.replicas.iter().enumerate() {
        let mut may = |fault: Fault, also: bool, act: Act| {
            if has(fault) && also {
                acts.push(act);
            }
        };
        let (alive, moves) = (replica.is_alive(), replica.moves());
        let runs = state.runs.iter().any(|run| run.life == replica.life && !run.orphaned);
        may(Fault::Crash, alive, Act::Kill(index));
        may(Fault::Orphan, alive && runs && has(Fault::Crash), Act::KillLeavingOrphan(index));
        may(Fault::Restart, replica.status.may_be_restarted(), Act::Restart(index));
        let matters = *replica.machine.role() != Role::Following || replica.wait != Wait::None;
        let matters = matters || state.redis.holder(NOW) == Some(replica.life);
        may(Fault::Freeze, moves && matters, Act::Freeze(index));
        may(Fault::FreezeUntilReplaced, index == 0 && moves && runs, Act::FreezeUntilReplaced(index));
        may(Fault::Stop, moves, Act::Terminate(index));
        let works = moves && !replica.hanging && !replica.jobs.is_empty();
        may(Fault::Hang, works, Act::VolumeHangs(index));
        may(Fault::Break, works, Act::VolumeBreaks(index));
        may(Fault::Full, works, Act::VolumeFull(index));
        let holds = state.guard.contains(&Holder::Leader(replica.life));
        may(Fault::GuardLost, moves && holds, Act::GuardLost(index));
    }
    let leased = state.redis.holder(NOW).is_some();
    let global = [
        (Fault::Wipe, leased || state.redis.epoch.0 > 0, Act::RedisWiped),
        (Fault::FailOver, !state.copied, Act::RedisCopied),
        (Fault::Jump, leased, Act::RedisClockJumps),
        (Fault::Outage, !state.redis.down, Act::RedisDown),
        (Fault::LocksDropped, !state.guard.is_empty(), Act::LocksDropped),
        (Fault::Retry, !state.volume.failed.is_empty(), Act::FailureCleared),
    ];
    acts.extend(global.into_iter().filter(|&(fault, also, _)| also && has(fault)).map(|(.., act)| act));
    for (place, ask) in state.asks.iter().enumerate() {
        if state.asks[..place].iter().any(|earlier| earlier.life == ask.life) {
            continue;
        }
        let answered = ask.request != Request::Release;
        let ways = [
            (Fault::Lose, true, Way::RequestLost),
            (Fault::Lose, answered, Way::AnswerLost),
            (Fault::Delay, true, Way::RequestLate),
            (Fault::Delay, answered, Way::AnswerLate),
            (Fault::Double, answered, Way::AnswerTwice),
        ];
        let ways = ways.into_iter().filter(|&(fault, also, _)| also && has(fault));
        acts.extend(ways.map(|(.., way)| Act::ToRedis(ask.life, way)));
    }
}

impl Space {
    pub(crate) fn fail(&self, state: &mut State, act: Act) {
        match act {
            Act::Kill(index) => self.kill(state, index, false),
            Act::KillLeavingOrphan(index) => self.kill(state, index, true),
            Act::Restart(index) => {
                state.left.spend(Fault::Restart);
                let life = Life(state.replicas[index].life.0 + state.replicas.len());
                self.start(state, index, life);
            }
            Act::Freeze(index) => {
                state.left.spend(Fault::Freeze);
                state.replica(index).frozen = true;
            }
            Act::FreezeUntilReplaced(index) => {
                state.left.spend(Fault::FreezeUntilReplaced);
                let replica = state.replica(index);
                (replica.frozen, replica.until_replaced) = (true, true);
            }
            Act::Thaw(index) => {
                let replica = state.replica(index);
                (replica.frozen, replica.until_replaced) = (false, false);
            }
            Act::Terminate(index) => {
                state.left.spend(Fault::Stop);
                self.deliver(state, index, Event::StopRequested);
            }
            Act::VolumeHangs(index) => {
                state.left.spend(Fault::Hang);
                state.replica(index).hanging = true;
            }
            Act::VolumeBreaks(index) => {
                state.left.spend(Fault::Break);
                self.fail_on_volume(state, index, VolumeFault::Broken);
            }
            Act::VolumeFull(index) => {
                state.left.spend(Fault::Full);
                self.fail_on_volume(state, index, VolumeFault::Full);
            }
            Act::GuardLost(index) => {
                state.left.spend(Fault::GuardLost);
                self.deliver(state, index, Event::GuardLost);
            }
            _ => self.fail_everywhere(state, act),
        }
    }

    fn fail_everywhere(&self, state: &mut State, act: Act) {
        match act {
            Act::RedisWiped => {
                state.left.spend(Fault::Wipe);
                state.redis.flush();
            }
            Act::RedisCopied => {
                state.left.spend(Fault::FailOver);
                state.copied = true;
                state.redis.replicate();
            }
            Act::RedisFailsOver => {
                state.copied = false;
                state.redis.fail_over();
            }
            Act::RedisClockJumps => {
                state.left.spend(Fault::Jump);
                state.redis.put(Key::Free);
            }
            Act::RedisDown => {
                state.left.spend(Fault::Outage);
                state.redis.down = true;
            }
            Act::RedisUp => state.redis.down = false,
            Act::LocksDropped => {
                state.left.spend(Fault::LocksDropped);
                state.guard.clear();
            }
            Act::FailureCleared => {
                state.left.spend(Fault::Retry);
                for rev in &self.revs {
                    state.volume().retry(rev.as_str());
                }
                state.memory.spent.clear();
            }
            other => unreachable!("{other:?} is of one replica"),
        }
    }

    fn kill(&self, state: &mut State, index: usize, lingers: bool) {
        state.left.spend(Fault::Crash);
        if lingers {
            state.left.spend(Fault::Orphan);
        }
        let life = state.replicas[index].life;
        let takes = stopping_takes(&state.replicas[index].machine);
        for run in state.runs.iter_mut().filter(|run| run.life == life) {
            run.orphaned = true;
            run.lingers = lingers;
            run.gone_by.get_or_insert(NOW + takes);
        }
        state.guard.remove(&Holder::Leader(life));
        self.lay_down(state, index, Status::Killed);
    }
}
