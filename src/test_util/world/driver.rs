//! Does what machines ask for: the counterpart of the real driver.

use std::time::Duration;

use crate::protocol::mutant::{self, Mutant};
use crate::protocol::{Action, Epoch, Event, Fault, Occupant, Outcome, Revision, Standing, StepEnd, StepId, Timestamp};

use super::volume::Holder;
use super::{Due, Life, Run, World};

/// How long one operation on the volume, or one way to Redis, takes.
pub(super) const LATENCY: Duration = Duration::from_millis(1);

impl World {
    pub(super) fn handle_due(&mut self, due: Due) {
        if let Due::Deliver(life, _) | Due::Volume(life, ..) = &due {
            let replica = &mut self.replicas[life.0];
            if !replica.alive {
                return;
            }
            if replica.frozen {
                return replica.inbox.push_back(due);
            }
        }
        match due {
            Due::Deliver(life, event) => self.handle_event(life, event),
            Due::Volume(life, action, stage) => self.perform_on_volume(life, action, stage),
            Due::Redis(request) => self.perform_on_redis(request),
            Due::RunEnds(id, end) => self.end_run(id, end),
            Due::ShimDeadline(id) => self.enforce_deadline(id),
        }
    }

    pub(super) fn handle_event(&mut self, life: Life, event: Event) {
        self.referee.event(self.now, life, &event);
        let actions = self.replicas[life.0].machine.handle(self.now, event);
        for action in actions {
            self.referee.action(self.now, life, &action);
            self.perform(life, action);
        }
    }

    fn perform(&mut self, life: Life, action: Action) {
        match action {
            Action::AwaitNeeds => {
                self.met.needs_unmet += u64::from(!self.needs_met);
                let answer = if self.needs_met { Event::NeedsMet } else { Event::NeedsUnmet };
                self.deliver_in(LATENCY, life, answer);
            }
            Action::TakeGuard => {
                self.replicas[life.0].waits_for_guard = true;
                self.volume.waiting.push_back(life);
                self.grant_guard();
            }
            Action::CloseGuard => self.close_guard(life),
            Action::ReleaseLease if !self.releases => {}
            Action::AcquireLease | Action::RenewLease | Action::ReleaseLease => {
                let holds = self.volume.guard.contains(&Holder::Leader(life));
                assert!(!holds || action != Action::ReleaseLease, "P6: the lease is released before the guard");
                self.ask_redis(life, action);
            }
            Action::Spawn { step, attempt, deadline } => self.spawn(life, step, attempt, deadline),
            Action::Extend { deadline } => self.extend(life, deadline),
            Action::StopStep(step, _) => self.stop_run(life, step, self.stopping_takes),
            Action::KillStep(step) => self.stop_run(life, step, LATENCY),
            Action::Say(notice) => self.referee.note(self.now, life, &format!("says {notice:?}")),
            Action::End(outcome) => self.end(life, outcome),
            on_volume => {
                let takes = self.operation_takes(matches!(on_volume, Action::Beat(_)));
                let at = self.replicas[life.0].volume_free_at.max(self.now) + takes;
                let in_two = matches!(on_volume, Action::Claim { .. } | Action::Commit(_) | Action::Retract(..));
                self.replicas[life.0].volume_free_at = if in_two { at + self.volume_takes } else { at };
                self.schedule(at, Due::Volume(life, on_volume, 0));
            }
        }
    }

    fn end(&mut self, life: Life, outcome: Outcome) {
        self.referee.note(self.now, life, &format!("ends: {outcome:?}"));
        *self.referee.tally.ends.entry(name_of(&outcome)).or_default() += 1;
        let replica = &mut self.replicas[life.0];
        replica.alive = false;
        if outcome == Outcome::Stopped && !replica.was_refused && replica.stops < 3 {
            assert!(!self.volume.has_marker_of(life), "P6: a stopped leader's marker is in the way");
        }
        assert!(!self.volume.guard.contains(&Holder::Leader(life)), "P6: ended with the guard");
        if outcome == Outcome::HandOff {
            // P4, and P2 for the volume as it is now.
            let plan = replica.machine.config().plan();
            assert!(self.volume.ready.contains(&replica.rev), "P4: handed off before ready");
            assert!(self.volume.is_all_done(plan, &replica.rev), "P2: ready, but not done");
            assert!(!(replica.is_warm && replica.has_asked), "P10: a warm start asked Redis");
        }
        replica.outcome = Some(outcome);
        self.check_lease_left(life);
        let left = self.runs.iter().any(|run| run.life == life);
        assert!(!left, "ended with a step running\n{}", self.referee.story());
    }

    /// Gives the guard to whoever waits, if it is free. Without trust everybody gets it: the worst that can be.
    pub(super) fn grant_guard(&mut self) {
        while !self.trusted || self.volume.guard.is_empty() {
            let Some(life) = self.volume.waiting.pop_front() else { return };
            if std::mem::take(&mut self.replicas[life.0].waits_for_guard) {
                self.volume.guard.insert(Holder::Leader(life));
                self.deliver_in(LATENCY, life, Event::GuardGranted);
            }
        }
    }

    fn close_guard(&mut self, life: Life) {
        self.replicas[life.0].waits_for_guard = false;
        let held = self.volume.guard.remove(&Holder::Leader(life));
        let runs = self.runs.iter().any(|run| run.life == life);
        assert!(!(held && runs), "P6: the guard is closed before the steps are gone");
        self.grant_guard();
    }

    fn perform_on_volume(&mut self, life: Life, action: Action, stage: u8) {
        if let Some(fault) = self.volume.refuses(&action) {
            self.replicas[life.0].was_refused = true;
            let met = if fault == Fault::Full { &mut self.met.full } else { &mut self.met.broken };
            *met += 1;
            return match action {
                Action::Beat(step) => self.handle_event(life, Event::Beaten(step)),
                action => {
                    let doing = action.doing().expect("an operation on the volume");
                    self.handle_event(life, Event::VolumeFailed(doing, fault));
                }
            };
        }
        let answer = match &action {
            Action::Claim { step, epoch, from, .. } => {
                let (step, from) = (*step, from.clone());
                if stage == 0 && self.claim(life, step, *epoch, &from) {
                    return self.go_on_later(life, action);
                }
                let shown = stage == 1 && self.show(life, step, *epoch);
                if shown { Event::Claimed(step) } else { Event::ClaimLost(step) }
            }
            Action::Count { step, .. } | Action::Beat(step) | Action::Commit(step) | Action::Retract(step, _) => {
                match self.perform_on_step(life, *step, &action, stage) {
                    Some(answer) => answer,
                    None => return self.go_on_later(life, action),
                }
            }
            _ => self.perform_for_all(life, &action),
        };
        self.deliver_in(Duration::ZERO, life, answer);
    }

    /// The rest of an operation comes a moment later: a crash may fall between.
    fn go_on_later(&mut self, life: Life, action: Action) {
        self.schedule(self.now + self.volume_takes, Due::Volume(life, action, 1));
    }

    /// A step of this replica: its name, its revision, and both as one.
    fn named(&self, life: Life, step: StepId) -> (String, Revision, String) {
        let rev = self.replicas[life.0].rev.clone();
        let name = self.step_name(life, step);
        let label = format!("{name}@{rev}");
        (name, rev, label)
    }

    fn claim(&mut self, life: Life, step: StepId, epoch: Epoch, from: &[Epoch]) -> bool {
        let (name, rev, label) = self.named(life, step);
        let beaten = self.volume.beaten_by_another(&name, &rev, life);
        let won = self.volume.claim(&name, &rev, epoch, from);
        if won {
            self.check_silence(life, &label, beaten);
            self.bare.insert(label.clone(), self.now);
            self.referee.claimed(&label, epoch, !from.is_empty());
        }
        won
    }

    fn show(&mut self, life: Life, step: StepId, epoch: Epoch) -> bool {
        let (name, rev, label) = self.named(life, step);
        let beat_every = self.replicas[life.0].machine.config().beat_every();
        let shown = self.volume.show(self.now, &name, &rev, (life, epoch), beat_every);
        if shown {
            self.bare.remove(&label);
        }
        shown
    }

    /// Nothing is answered when only the first of two parts is done.
    fn perform_on_step(&mut self, life: Life, step: StepId, action: &Action, stage: u8) -> Option<Event> {
        let (name, rev, label) = self.named(life, step);
        let (now, epoch) = (self.now, self.replicas[life.0].machine.epoch());
        let Some(epoch) = epoch else {
            // The leadership has ended, and this was still to be done.
            assert!(matches!(action, Action::Beat(_)), "P1: {action:?} without a leadership");
            self.referee.note(now, life, &format!("a beat of {label} comes after its leadership"));
            return Some(Event::Beaten(step));
        };
        let claimant = (life, epoch);
        let answer = match action {
            Action::Count { attempt, deferred, .. } => {
                self.volume.count(&name, &rev, *attempt, *deferred);
                Event::Counted(step)
            }
            Action::Beat(_) => {
                let beat_every = self.replicas[life.0].machine.config().beat_every();
                self.volume.beat(now, &name, &rev, claimant, beat_every);
                Event::Beaten(step)
            }
            Action::Commit(_) if stage == 0 => {
                if self.volume.commit_claim(&name, &rev, claimant) {
                    self.referee.committed(life, &label, epoch);
                    return None;
                }
                Event::CommitLost(step)
            }
            Action::Commit(_) => {
                self.volume.clear(&name, &rev, claimant);
                Event::Committed(step)
            }
            Action::Retract(_, closing) if stage == 0 => {
                if !self.volume.full {
                    self.volume.close(now, &name, &rev, closing);
                }
                return None;
            }
            Action::Retract(..) => {
                self.volume.retract(&name, &rev, claimant);
                Event::Retracted(step)
            }
            other => unreachable!("not an operation on a claimed step: {other:?}"),
        };
        Some(answer)
    }

    fn perform_for_all(&mut self, life: Life, action: &Action) -> Event {
        let replica = &self.replicas[life.0];
        let (now, rev, plan) = (self.now, replica.rev.clone(), replica.machine.config().plan());
        match action {
            Action::Look => {
                let (view, shown) = (self.volume.look(now, plan, &rev), self.shown());
                let replica = &mut self.replicas[life.0];
                let is_older = matches!(view.standing, Standing::Older { .. });
                replica.is_warm |= replica.seen.is_none() && view.ready && !is_older;
                (replica.seen, replica.shown) = (Some(view.clone()), shown);
                Event::Looked(view)
            }
            Action::PrepareVolume => Event::VolumePrepared,
            Action::AppendRevision => {
                self.volume.append_revision(&rev);
                Event::RevisionAppended
            }
            Action::AllotEpoch { above } => {
                let epoch = self.volume.allot_epoch(*above);
                self.referee.epoch_allotted(epoch);
                Event::EpochAllotted(epoch)
            }
            Action::Sweep => {
                self.volume.sweep(plan, &rev);
                Event::Swept
            }
            Action::RetireStep(step) => {
                let seen = replica.seen.as_ref().and_then(|view| view.steps[step.0].occupant.clone());
                let name = plan.step(*step).name.to_string();
                seen.map_or(Event::Retired, |seen| self.retire(life, &name, &rev, &seen))
            }
            Action::RetireForeign(foreign) => self.retire(life, &foreign.step, &foreign.rev, &foreign.occupant),
            Action::WriteReady => {
                assert!(self.volume.write_ready(plan, &rev), "P2: ready before the last step is done");
                Event::ReadyWritten
            }
            Action::WriteFailed(_) => {
                self.volume.failed.insert(rev);
                Event::FailedWritten
            }
            other => unreachable!("not an operation on the volume: {other:?}"),
        }
    }

    fn retire(&mut self, life: Life, step: &str, rev: &Revision, seen: &Occupant) -> Event {
        let beaten = self.volume.beaten_by_another(step, rev, life);
        if !self.volume.retire(step, rev, seen) {
            return Event::RetireLost;
        }
        self.check_silence(life, &format!("{step}@{rev}"), beaten);
        Event::Retired
    }

    fn spawn(&mut self, life: Life, step: StepId, attempt: u32, deadline: Option<Timestamp>) {
        self.sequence += 1;
        let id = self.sequence;
        let replica = &self.replicas[life.0];
        let at_rev = |name: &str| format!("{name}@{}", replica.rev);
        let plan = replica.machine.config().plan();
        let name = plan.step(step).name.to_string();
        let predecessors = plan.step(step).after.iter().map(|after| at_rev(plan.step(*after).name.as_str()));
        let (label, predecessors) = (at_rev(&name), predecessors.collect::<Vec<_>>());
        assert!(!self.volume.is_done(&name, replica.rev.as_str()), "P3: {label} is done, and begins again");
        let (counted, limit) = (self.volume.recorded(&name), plan.step(step).max_attempts);
        let script = (self.scripts)(&name, self.referee.begun(&label));
        self.referee.attempt_begins(&label, attempt, limit, counted);
        self.referee.run_begins(self.now, id, life, &label, &predecessors);
        if !mutant::is(Mutant::GuardNotInherited) {
            self.volume.guard.insert(Holder::Shim(id));
        }
        let (epoch, begun) = (replica.machine.epoch().expect("only a leader spawns"), self.now);
        let (stopping, orphaned) = (false, false);
        self.runs.push(Run { id, life, step, epoch, attempt, begun, deadline, stopping, orphaned });
        self.schedule(self.now + script.lasts, Due::RunEnds(id, script.end));
        if let Some(deadline) = deadline {
            self.schedule(deadline, Due::ShimDeadline(id));
        }
    }

    fn extend(&mut self, life: Life, deadline: Timestamp) {
        let mut extended = Vec::new();
        for run in self.runs.iter_mut().filter(|run| run.life == life) {
            run.deadline = Some(deadline);
            extended.push(run.id);
        }
        for id in extended {
            self.schedule(deadline, Due::ShimDeadline(id));
        }
    }

    fn stop_run(&mut self, life: Life, step: StepId, takes: Duration) {
        if let Some(run) = self.runs.iter_mut().find(|run| run.life == life && run.step == step) {
            run.stopping = true;
            let id = run.id;
            self.schedule(self.now + takes, Due::RunEnds(id, StepEnd::Stopped));
        }
    }

    fn enforce_deadline(&mut self, id: u64) {
        let now = self.now;
        if let Some(run) = self.runs.iter_mut().find(|run| run.id == id && run.deadline.is_some_and(|at| at <= now)) {
            run.stopping = true;
            self.schedule(self.now + self.stopping_takes, Due::RunEnds(id, StepEnd::Stopped));
        }
    }

    fn end_run(&mut self, id: u64, end: StepEnd) {
        let Some(index) = self.runs.iter().position(|run| run.id == id) else { return };
        let own = end != StepEnd::Stopped;
        if own && (self.runs[index].stopping || self.runs[index].orphaned) {
            return;
        }
        let run = self.runs.remove(index);
        self.referee.run_ends(self.now, id, end);
        self.past.push(self.told(&run, Some(end)));
        self.volume.guard.remove(&Holder::Shim(id));
        if !run.orphaned {
            self.deliver_in(Duration::ZERO, run.life, Event::Ended(run.step, end));
        }
        self.grant_guard();
    }
}

fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::HandOff => "handed off",
        Outcome::StepFailed => "step failed",
        Outcome::Stopped => "stopped",
        Outcome::GaveUp => "gave up",
        Outcome::NeedsUnmet => "needs unmet",
        Outcome::RedisUnavailable => "Redis unavailable",
        Outcome::DowngradeRefused { .. } => "downgrade refused",
        Outcome::VolumeFailed(_) => "volume failed",
        Outcome::GuardLost => "guard lost",
    }
}
