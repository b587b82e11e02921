//! Leading: start every step whose predecessors are done, side by side; watch whoever was at work before us.

use super::step::{Phase, StepState};
use super::{EVERY_SECOND, Machine, NOTE_EVERY, Why};
use crate::protocol::action::{Action, Actions, Notice};
use crate::protocol::config::Trust;
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::plan::StepId;
use crate::protocol::staleness::{Watched, occupants};
use crate::protocol::time::Timestamp;
use crate::protocol::view::Occupant;

/// Steps of a plan that run side by side at the most: each takes a shim and a handful of descriptors, of which a process
/// usually may have 1024.
const MOST_AT_ONCE: usize = 64;

impl Machine {
    /// Takes over what the volume says of every step. Called once, when the leadership begins.
    pub(super) fn adopt_view(&mut self, now: Timestamp, out: &mut Actions) {
        let Some(view) = &self.view else { return };
        for (id, (state, seen)) in self.steps.iter_mut().zip(&view.steps).enumerate() {
            let open = Phase::Open { not_before: now + seen.record.wait };
            let phase = if seen.done { Phase::Done } else { open };
            *state = StepState { phase, record: seen.record, ..StepState::default() };
            if seen.done {
                out.say(Notice::AlreadyDone(StepId(id)));
            }
        }
    }

    pub(super) fn handle_looked_leading(&mut self, now: Timestamp, out: &mut Actions) {
        let Some(view) = &self.view else { return };
        let mut claims = view.steps.iter().filter_map(|step| step.occupant.as_ref()).flat_map(|o| &o.claims);
        if claims.any(|&claim| Some(claim) > self.epoch) {
            return self.wind(now, Why::Superseded, out);
        }
        for (state, seen) in self.steps.iter_mut().zip(&view.steps) {
            let Phase::Open { not_before } = state.phase else { continue };
            let not_before = not_before.max(now + seen.record.wait);
            state.phase = if seen.done { Phase::Done } else { Phase::Open { not_before } };
            state.record = seen.record;
        }
        if self.config.trust() == Trust::NotTrusted {
            self.judge_claims(now, out);
        }
    }

    /// Where only the lease keeps two leaders apart, Redis may forget it and give it to another before we notice. So a
    /// step begins only when a look that began after its claim was there to be seen shows nobody else: of two who claim,
    /// at least one sees the other. Whoever finds a later epoch has been succeeded.
    fn judge_claims(&mut self, now: Timestamp, out: &mut Actions) {
        if self.view.as_ref().map(|view| view.epoch) > self.epoch {
            self.wind(now, Why::Superseded, out);
        } else {
            let go_on = !self.is_blocked(now);
            self.end_looking(now, go_on, out);
        }
    }

    pub(super) fn occupant(&self, step: StepId) -> Option<&Occupant> {
        self.view.as_ref()?.steps.get(step.0)?.occupant.as_ref()
    }

    pub(super) fn advance_leading(&mut self, now: Timestamp, out: &mut Actions) {
        if self.stop_deadline().is_some_and(|at| at <= now) {
            return self.wind(now, Why::LeaseLost, out);
        }
        if let Some(failed) = self.exhausted() {
            return self.wind(now, Why::Failed(failed), out);
        }
        let early = |state: &StepState| mutant::is(Mutant::ReadyBeforeLastDone) && state.is_active();
        if self.steps.iter().all(|state| state.phase == Phase::Done || early(state)) {
            return self.wind(now, Why::Ready, out);
        }
        if self.must_look {
            return;
        }
        let idle = !self.steps.iter().any(StepState::is_active) && self.retiring == 0;
        if idle && self.uses_lease() && !self.lease.is_held(now) {
            return self.wind(now, Why::LeaseLost, out);
        }
        let note_due = self.note_at <= now;
        if note_due {
            self.note_at = now + NOTE_EVERY;
        }
        if self.is_blocked(now) {
            if note_due {
                out.say(Notice::Watching);
            }
        } else if self.may_start(now) && self.retiring == 0 {
            self.retire_foreign(out);
            self.start_what_can_start(now, out);
        }
    }

    pub(super) fn exhausted(&self) -> Option<StepId> {
        self.steps.iter().position(|state| state.phase == Phase::Exhausted).map(StepId)
    }

    /// Whether somebody else, of whatever revision, has been heard of so recently that nothing may start yet. Plans
    /// the look that will tell: each second, and at the moment the last of them may be stale.
    fn is_blocked(&mut self, now: Timestamp) -> bool {
        let judge = self.judge();
        let Some(stale_at) = self.occupants().map(|(who, o)| self.watches.stale_at(&who, o, &judge)).max() else {
            return false;
        };
        if stale_at <= judge.now || mutant::is(Mutant::BeatNotChecked) {
            return false;
        }
        if !self.looks.in_flight {
            self.look_from(stale_at.max(now).min(self.looks.last + EVERY_SECOND));
        }
        true
    }

    /// Unfinished claims that are not ours.
    fn occupants(&self) -> impl Iterator<Item = (Watched, &Occupant)> {
        let is_ours = |who: &Watched| matches!(who, Watched::Own(step) if self.steps[step.0].is_active());
        self.view.iter().flat_map(occupants).filter(move |(who, _)| !is_ours(who))
    }

    /// Clears the stale claims of other revisions, so that their late owners find them gone.
    fn retire_foreign(&mut self, out: &mut Actions) {
        let foreign = self.view.as_mut().map(|view| std::mem::take(&mut view.foreign)).unwrap_or_default();
        self.retiring += foreign.len();
        out.extend(foreign.into_iter().map(Action::RetireForeign));
    }

    pub(super) fn handle_retire_lost(&mut self, now: Timestamp) {
        if self.retiring > 0 {
            self.retiring -= 1;
            self.must_look = true;
            self.looks.next = Some(now);
        }
    }

    fn start_what_can_start(&mut self, now: Timestamp, out: &mut Actions) {
        let plan = self.config.plan();
        let due = |state: &StepState| matches!(state.phase, Phase::Open { not_before } if not_before <= now);
        let startable = plan.ids().filter(|step| due(&self.steps[step.0]) && self.are_predecessors_done(*step));
        let (used_up, fresh): (Vec<StepId>, Vec<StepId>) =
            startable.partition(|step| self.steps[step.0].has_failed(plan.step(*step).max_attempts));
        if let Some(&first) = used_up.first() {
            for step in used_up {
                self.give_up(step, out);
            }
            self.wind(now, Why::Failed(first), out);
        } else if self.retiring == 0 {
            let active = self.steps.iter().filter(|state| state.is_active()).count();
            for step in fresh.into_iter().take(MOST_AT_ONCE.saturating_sub(active)) {
                self.start(step, out);
            }
        }
    }

    fn start(&mut self, step: StepId, out: &mut Actions) {
        if let Some(occupant) = self.occupant(step) {
            out.say(Notice::TakingOver { step, from: occupant.claims.clone() });
        }
        self.enter_phase(step, Phase::Claiming, out);
    }

    /// A step whose attempts are used up, or of no use, is not tried again; what a vanished leader left of it is cleared away.
    fn give_up(&mut self, step: StepId, out: &mut Actions) {
        self.steps[step.0].phase = Phase::Exhausted;
        out.say(Notice::GivenUp(step));
        if self.occupant(step).is_some() {
            self.retiring += 1;
            out.push(Action::RetireStep(step));
        }
    }

    fn are_predecessors_done(&self, step: StepId) -> bool {
        let unordered = mutant::is(Mutant::PredecessorNotAwaited);
        unordered || self.config.plan().step(step).after.iter().all(|after| self.steps[after.0].phase == Phase::Done)
    }

    /// When the next backed-off step may start.
    pub(super) fn next_start(&self) -> Option<Timestamp> {
        let waiting = self.config.plan().ids().filter(|step| self.are_predecessors_done(*step));
        let times = waiting.filter_map(|step| match self.steps[step.0].phase {
            Phase::Open { not_before } => Some(not_before),
            _ => None,
        });
        times.min()
    }
}
