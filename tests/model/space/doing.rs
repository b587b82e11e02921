//! Does what machines ask for, and asks the referee about it.

use std::time::Duration;

use bellwether::protocol::mutant::{self, Mutant};
use bellwether::protocol::{Action, Election, Event, Machine, Outcome, StepEnd, StepId, Timestamp, Trust};
use bellwether::test_util::world::Life;

use super::Space;
use super::budget::Fault;
use super::referee::{P1, P2, P4, P6, uncount_run};
use super::state::{Ask, Holder, NOW, Replica, Request, Run, State, Status, Wait};
use super::transitions::Look;

/// How long a tree takes to be gone where no grace is configured.
const KILLING: Duration = Duration::from_millis(1500);

impl Space {
    /// An event reaches a replica, which takes it in at once if it can.
    pub(crate) fn deliver(&self, state: &mut State, index: usize, event: Event) {
        let replica = &state.replicas[index];
        if !replica.is_alive() {
            return;
        }
        if replica.listens() && replica.inbox.is_empty() {
            self.take_in(state, index, event);
        } else {
            state.replica(index).inbox.push(event);
        }
    }

    /// The machine handles it, unless it is a grant that is not wanted any more.
    pub(crate) fn take_in(&self, state: &mut State, index: usize, event: Event) {
        if event == Event::GuardGranted {
            let replica = state.replica(index);
            let wanted = replica.wait == (Wait::Granted { wanted: true });
            replica.wait = Wait::None;
            if !wanted {
                let life = replica.life;
                state.guard.remove(&Holder::Leader(life));
                return;
            }
        }
        let replica = state.replica(index);
        replica.stops += u8::from(event == Event::StopRequested);
        let is_failed = matches!(event, Event::VolumeFailed(..) | Event::CommitLost(_));
        replica.excused |= is_failed || replica.stops > 2;
        let before = Look::at(&replica.machine);
        let actions = replica.machine.handle(NOW, event);
        replica.machine.hush(NOW);
        replica.undone.extend(actions);
        let seen = before.changes(&Look::at(&replica.machine));
        state.seen |= seen;
        self.go_on(state, index, false);
    }

    /// Does what is undone, up to the next step to start if the replica may be frozen before that.
    pub(crate) fn go_on(&self, state: &mut State, index: usize, mut starts: bool) {
        while let Some(action) = state.replicas[index].undone.front() {
            let is_start = matches!(action, Action::Spawn { .. });
            if is_start && !starts && state.left.has(Fault::Freeze) {
                return;
            }
            starts &= !is_start;
            let action = state.replica(index).undone.pop_front().expect("it was there a moment ago");
            self.perform(state, index, action);
        }
    }

    fn perform(&self, state: &mut State, index: usize, action: Action) {
        let life = state.replicas[index].life;
        match action {
            Action::TakeGuard => {
                let replica = state.replica(index);
                replica.wait = match replica.wait {
                    Wait::Granted { .. } => Wait::Granted { wanted: true },
                    Wait::None | Wait::Waiting { .. } => Wait::Waiting { wanted: true },
                };
            }
            Action::CloseGuard => self.close_guard(state, index),
            Action::AcquireLease => ask(state, index, Request::Acquire),
            Action::RenewLease => ask(state, index, Request::Renew),
            Action::ReleaseLease => {
                if state.has_guard(index) {
                    state.break_promise(P6);
                }
                ask(state, index, Request::Release);
            }
            Action::Spawn { step, deadline, .. } => self.spawn(state, index, step, deadline),
            Action::Extend { deadline } => {
                for run in state.runs.iter_mut().filter(|run| run.life == life) {
                    run.deadline = Some(deadline);
                }
            }
            Action::StopStep(step, _) => stop_run(state, life, step),
            Action::KillStep(step) => {
                for run in state.runs.iter_mut().filter(|run| run.life == life && run.step == step) {
                    run.gone_by = Some(NOW);
                }
            }
            Action::Say(_) => {}
            Action::End(outcome) => self.end(state, index, outcome),
            on_volume => state.replica(index).jobs.push_back(on_volume),
        }
    }

    fn close_guard(&self, state: &mut State, index: usize) {
        let replica = state.replica(index);
        let life = replica.life;
        match replica.wait {
            Wait::Waiting { .. } => replica.wait = Wait::Waiting { wanted: false },
            Wait::Granted { .. } => replica.wait = Wait::Granted { wanted: false },
            Wait::None => {}
        }
        if !state.has_guard(index) {
            return;
        }
        let replica = &state.replicas[index];
        let rev = &self.revs[index];
        let left = self.plan.iter().any(|(_, step)| {
            let marker = state.volume.marker_of(step.name.as_str(), rev);
            marker.is_some_and(|(writer, _)| writer == life) && !replica.excused
        });
        if left || state.runs.iter().any(|run| run.life == life) {
            state.break_promise(P6);
        }
        state.guard.remove(&Holder::Leader(life));
    }

    fn spawn(&self, state: &mut State, index: usize, step: StepId, deadline: Option<Timestamp>) {
        if deadline.is_some_and(|at| at <= NOW) {
            // The shim looks at its deadline before it starts anything.
            return self.deliver(state, index, Event::Ended(step, StepEnd::Stopped));
        }
        let life = state.replicas[index].life;
        let rev = &self.revs[index];
        let after = &self.plan.step(step).after;
        let overlaps = state.runs.iter().any(|run| run.life != life || run.step == step || after.contains(&run.step));
        let done = |step: &StepId| state.volume.is_done(self.plan.step(*step).name.as_str(), rev.as_str());
        if overlaps && !self.locks_are_dropped() || !after.iter().all(done) {
            state.break_promise(P1);
        }
        self.count_run(state, rev, step);
        if state.guard.contains(&Holder::Leader(life)) && !mutant::is(Mutant::GuardNotInherited) {
            state.guard.insert(Holder::Shim(life, step));
        }
        let epoch = state.replicas[index].machine.epoch().expect("only a leader spawns");
        let (gone_by, orphaned, lingers) = (None, false, false);
        state.runs.push(Run { life, replica: index, step, epoch, deadline, gone_by, orphaned, lingers });
    }

    /// A run is over, with its whole tree.
    pub(crate) fn end_run(&self, state: &mut State, place: usize, end: StepEnd) {
        let run = state.runs.remove(place);
        state.guard.remove(&Holder::Shim(run.life, run.step));
        if run.orphaned {
            return;
        }
        if end == StepEnd::Exit(0) {
            state.memory.succeeded.insert((run.life, run.step, run.epoch));
        }
        if matches!(end, StepEnd::Stopped | StepEnd::NOT_YET) {
            uncount_run(state, &self.revs[run.replica], run.step);
        }
        self.deliver(state, run.replica, Event::Ended(run.step, end));
    }

    fn end(&self, state: &mut State, index: usize, outcome: Outcome) {
        let life = state.replicas[index].life;
        let rev = &self.revs[index];
        if outcome == Outcome::HandOff {
            if !state.volume.ready.contains(rev) {
                state.break_promise(P4);
            }
            if !state.volume.is_all_done(&self.plan, rev) {
                state.break_promise(P2);
            }
        }
        let releasing = state.asks.iter().any(|ask| ask.life == life && ask.request == Request::Release);
        let has_guard = state.has_guard(index);
        let strayed = state.replicas[index].strayed;
        let has_lease = state.redis.holder(NOW) == Some(life) && !releasing && !strayed;
        if has_lease || has_guard || state.runs.iter().any(|run| run.life == life) {
            state.break_promise(P6);
        }
        state.guard.remove(&Holder::Leader(life));
        self.lay_down(state, index, Status::Ended(outcome));
    }

    /// Nothing is left of a replica but what it was.
    pub(crate) fn lay_down(&self, state: &mut State, index: usize, status: Status) {
        let life = state.replicas[index].life;
        *state.replica(index) = Replica { status, ..self.blank(index, life) };
        state.memory.succeeded.retain(|(of, ..)| *of != life);
        state.memory.silent.retain(|(of, ..)| *of != index);
        // What has not begun does not begin any more, but that the last release is waited for.
        state.asks.retain(|ask| ask.life != life || ask.request == Request::Release);
    }
}

fn ask(state: &mut State, index: usize, request: Request) {
    let replica = &state.replicas[index];
    let epoch = replica.machine.epoch();
    if request == Request::Release {
        state.forget_what_was_asked(index);
    }
    let replica = &state.replicas[index];
    let ask = Ask { life: replica.life, request, sent: NOW, epoch };
    // Only the order among one replica's requests means anything.
    let place = state.asks.partition_point(|earlier| earlier.life <= ask.life);
    state.asks.insert(place, ask);
}

/// How long a tree takes to be gone once it is asked to end. Under a trusted guard that is nothing to anybody else.
pub(crate) fn stopping_takes(machine: &Machine) -> Duration {
    match (machine.config().trust(), machine.config().election()) {
        (Trust::Trusted, _) => Duration::ZERO,
        (Trust::NotTrusted, Election::Lease(times)) => times.stop(),
        (Trust::NotTrusted, Election::Guard) => KILLING,
    }
}

fn stop_run(state: &mut State, life: Life, step: StepId) {
    let Some(index) = state.index_of(life) else { return };
    let takes = stopping_takes(&state.replicas[index].machine);
    for run in state.runs.iter_mut().filter(|run| run.life == life && run.step == step) {
        run.gone_by.get_or_insert(NOW + takes);
    }
}
