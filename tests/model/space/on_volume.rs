//! What machines ask of the volume, and what the referee says to it.

use bellwether::protocol::Fault as VolumeFault;
use bellwether::protocol::{Action, ClosingEnd, Epoch, Event, Foreign, Occupant, StepEnd, StepId};

use super::Space;
use super::referee::{P2, P3, P9, uncount_run};
use super::state::{NOW, State};

impl Space {
    /// Does the first thing this replica wants of its volume.
    pub(crate) fn work_on_volume(&self, state: &mut State, index: usize) {
        let replica = state.replica(index);
        replica.hanging = false;
        let action = replica.jobs.front().cloned().expect("an operation is due");
        if let (Action::Claim { step, epoch, from, .. }, false) = (&action, replica.half_done) {
            if self.claim(state, index, *step, *epoch, from) {
                // The marker comes a moment later: a crash, a look or a takeover may fall between them.
                state.replica(index).half_done = true;
                return;
            }
            state.replica(index).jobs.pop_front();
            return self.deliver(state, index, Event::ClaimLost(*step));
        }
        let replica = state.replica(index);
        replica.half_done = false;
        replica.jobs.pop_front();
        let answer = self.operate(state, index, &action);
        self.deliver(state, index, answer);
    }

    /// The first operation does not work.
    pub(crate) fn fail_on_volume(&self, state: &mut State, index: usize, fault: VolumeFault) {
        let replica = state.replica(index);
        replica.hanging = false;
        replica.half_done = false;
        let action = replica.jobs.pop_front().expect("an operation is due");
        let answer = match action.doing() {
            Some(doing) => Event::VolumeFailed(doing, fault),
            None => match action {
                Action::Beat(step) => Event::Beaten(step),
                _ => Event::NeedsUnmet,
            },
        };
        self.deliver(state, index, answer);
    }

    fn claim(&self, state: &mut State, index: usize, step: StepId, epoch: Epoch, from: &[Epoch]) -> bool {
        let (name, rev) = (self.plan.step(step).name.as_str(), &self.revs[index]);
        let shown = state.volume.marker_of(name, rev);
        let won = state.volume().claim(name, rev, epoch, from);
        if won {
            self.judge_takeover(state, index, (rev, step), shown);
            state.memory.bare.insert((rev.clone(), step), NOW);
        }
        won
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn operate(&self, state: &mut State, index: usize, action: &Action) -> Event {
        let rev = &self.revs[index];
        let name = |step: StepId| self.plan.step(step).name.as_str();
        let life = state.replicas[index].life;
        match action {
            Action::Look => {
                self.note_look(state, index);
                Event::Looked(state.volume.look(NOW, &self.plan, rev))
            }
            Action::PrepareVolume => Event::VolumePrepared,
            Action::AwaitNeeds => Event::NeedsMet,
            Action::AppendRevision => {
                state.volume().append_revision(rev);
                Event::RevisionAppended
            }
            Action::AllotEpoch { above } => {
                let epoch = state.volume().allot_epoch(*above);
                if epoch <= state.memory.epoch {
                    state.break_promise(P9);
                }
                state.memory.epoch = epoch;
                Event::EpochAllotted(epoch)
            }
            Action::Sweep => {
                state.volume().sweep(&self.plan, rev);
                Event::Swept
            }
            Action::Claim { step, epoch, .. } => {
                // Somebody may have taken over while we wrote.
                let beat_every = state.replicas[index].machine.config().beat_every();
                if !state.volume().show(NOW, name(*step), rev, (life, *epoch), beat_every) {
                    return Event::ClaimLost(*step);
                }
                state.memory.bare.remove(&(rev.clone(), *step));
                Event::Claimed(*step)
            }
            Action::Count { step, attempt, deferred } => {
                state.volume().count(name(*step), rev, *attempt, *deferred);
                Event::Counted(*step)
            }
            Action::Beat(step) => {
                // The leadership may have ended while this was still to be done.
                let machine = &state.replicas[index].machine;
                if let Some((epoch, beat_every)) = machine.epoch().map(|epoch| (epoch, machine.config().beat_every())) {
                    state.volume().beat(NOW, name(*step), rev, (life, epoch), beat_every);
                }
                Event::Beaten(*step)
            }
            Action::Commit(step) => self.commit(state, index, *step),
            Action::Retract(step, closing) => {
                let epoch = state.replicas[index].machine.epoch().expect("only a leader retracts");
                let stopped = closing.end == Some(ClosingEnd::Own(StepEnd::Stopped));
                if stopped && state.memory.succeeded.remove(&(life, *step, epoch)) {
                    // It ended well and could not be written down: that is no failure of the step's.
                    uncount_run(state, rev, *step);
                }
                state.volume().close(NOW, name(*step), rev, closing);
                state.volume().retract(name(*step), rev, (life, epoch));
                Event::Retracted(*step)
            }
            Action::RetireStep(step) => {
                let seen = state.replicas[index].machine.view().and_then(|v| v.steps[step.0].occupant.clone());
                seen.map_or(Event::Retired, |seen| self.retire(state, index, (name(*step), rev.as_str()), &seen))
            }
            Action::RetireForeign(Foreign { step, rev, occupant }) => {
                self.retire(state, index, (step, rev.as_str()), occupant)
            }
            Action::WriteReady => {
                if !state.volume().write_ready(&self.plan, rev) {
                    state.break_promise(P2);
                }
                Event::ReadyWritten
            }
            Action::WriteFailed(_) => {
                state.volume().failed.insert(rev.clone());
                Event::FailedWritten
            }
            other => unreachable!("not an operation on the volume: {other:?}"),
        }
    }

    fn commit(&self, state: &mut State, index: usize, step: StepId) -> Event {
        let (name, rev) = (self.plan.step(step).name.as_str(), &self.revs[index]);
        let replica = &state.replicas[index];
        let (life, epoch) = (replica.life, replica.machine.epoch().expect("only a leader commits"));
        let newest = state.volume.claims_of(name, rev).into_iter().max();
        if !state.volume().commit(name, rev, (life, epoch)) {
            return Event::CommitLost(step);
        }
        let succeeded = state.memory.succeeded.remove(&(life, step, epoch));
        let runs = state.runs.iter().any(|run| run.step == step && run.life == life);
        if newest != Some(epoch) || !succeeded || runs {
            state.break_promise(P3);
        }
        Event::Committed(step)
    }

    /// What has changed since it was seen is left alone, but for a claim whose marker alone has changed.
    fn retire(&self, state: &mut State, index: usize, (name, rev): (&str, &str), seen: &Occupant) -> Event {
        let Some(owner) = self.revs.iter().find(|known| known.as_str() == rev) else { return Event::RetireLost };
        let step = self.plan.find(name).expect("a step of the plan");
        let (shown, claims) = (state.volume.marker_of(name, owner), state.volume.claims_of(name, owner));
        let retired = state.volume().retire(name, owner, seen);
        if retired || state.volume.claims_of(name, owner) != claims {
            self.judge_takeover(state, index, (owner, step), shown);
        }
        if retired { Event::Retired } else { Event::RetireLost }
    }
}
