//! Does what machines ask for: the counterpart of the real driver.

use std::time::Duration;

use crate::protocol::{Action, Doing, Election, Event, Fault, Outcome, StepEnd, StepId, Timestamp};

use super::volume::Holder;
use super::{Due, Life, Run, World};

/// How long one operation on the volume, or one way to Redis, takes.
const LATENCY: Duration = Duration::from_millis(1);

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
            Due::Redis(life, action, sent) => self.perform_on_redis(life, &action, sent),
            Due::RunEnds(id, end) => self.end_run(id, end),
            Due::ShimDeadline(id) => self.enforce_deadline(id),
        }
    }

    pub(super) fn handle_event(&mut self, life: Life, event: Event) {
        let actions = self.replicas[life.0].machine.handle(self.now, event);
        for action in actions {
            self.perform(life, action);
        }
    }

    fn perform(&mut self, life: Life, action: Action) {
        match action {
            Action::AwaitNeeds => self.deliver_in(LATENCY, life, Event::NeedsMet),
            Action::TakeGuard => {
                self.replicas[life.0].waits_for_guard = true;
                self.volume.waiting.push_back(life);
                self.grant_guard();
            }
            Action::CloseGuard => self.close_guard(life),
            Action::AcquireLease | Action::RenewLease | Action::ReleaseLease => {
                self.ask_redis(life, action);
            }
            Action::Spawn { step, attempt, deadline } => self.spawn(life, step, attempt, deadline),
            Action::Extend { deadline } => self.extend(life, deadline),
            Action::StopStep(step, _) => self.stop_run(life, step, self.stopping_takes),
            Action::KillStep(step) => self.stop_run(life, step, LATENCY),
            Action::Say(notice) => self.referee.note(self.now, life, &format!("says {notice:?}")),
            Action::End(outcome) => self.end(life, outcome),
            on_volume => {
                let at = self.replicas[life.0].volume_free_at.max(self.now) + LATENCY;
                self.replicas[life.0].volume_free_at = at;
                self.schedule(at, Due::Volume(life, on_volume, 0));
            }
        }
    }

    fn end(&mut self, life: Life, outcome: Outcome) {
        self.referee.note(self.now, life, &format!("ends: {outcome:?}"));
        let replica = &mut self.replicas[life.0];
        replica.alive = false;
        if outcome == Outcome::HandOff {
            // P4, and P2 for the volume as it is now.
            let plan = replica.machine.config().plan();
            assert!(self.volume.ready.contains(&replica.rev), "P4: handed off before ready");
            assert!(self.volume.is_all_done(plan, &replica.rev), "P2: ready, but not done");
        }
        replica.outcome = Some(outcome);
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
        self.volume.guard.remove(&Holder::Leader(life));
        self.grant_guard();
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn perform_on_volume(&mut self, life: Life, action: Action, stage: u8) {
        let needs_room = !matches!(action, Action::Look | Action::Beat(_) | Action::Retract(..) | Action::Sweep);
        if self.volume.full && needs_room {
            return self.handle_event(life, Event::VolumeFailed(doing(&action), Fault::Full));
        }
        let replica = &self.replicas[life.0];
        let (now, rev, plan) = (self.now, replica.rev.clone(), replica.machine.config().plan());
        let name = |step: StepId| plan.step(step).name.to_string();
        let epoch = replica.machine.epoch();
        let answer = match &action {
            Action::Look => Event::Looked(self.volume.look(now, plan, &rev)),
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
            Action::Sweep => Event::Swept,
            Action::Claim { step, epoch, from, .. } if stage == 0 => {
                if self.volume.claim(&name(*step), &rev, *epoch, from) {
                    // The marker comes a moment later: a crash may fall between them.
                    return self.schedule(now + LATENCY, Due::Volume(life, action, 1));
                }
                Event::ClaimLost(*step)
            }
            Action::Claim { step, .. } => {
                self.volume.mark(now, &name(*step), &rev, life);
                Event::Claimed(*step)
            }
            Action::Count { step, attempt, deferred } => {
                self.volume.count(&name(*step), &rev, *attempt, *deferred);
                Event::Counted(*step)
            }
            Action::Beat(step) => {
                self.volume.beat(now, &name(*step), &rev, (epoch, life));
                Event::Beaten(*step)
            }
            Action::Commit(step) => {
                let won = epoch.is_some_and(|epoch| self.volume.commit(&name(*step), &rev, epoch));
                if won { Event::Committed(*step) } else { Event::CommitLost(*step) }
            }
            Action::Retract(step, closing) => {
                let epoch = epoch.expect("only a leader retracts");
                self.volume.retract(now, &name(*step), &rev, (epoch, life), closing);
                Event::Retracted(*step)
            }
            Action::RetireStep(step) => {
                self.volume.retire(&name(*step), &rev);
                Event::Retired
            }
            Action::RetireForeign(foreign) => {
                self.volume.retire(&foreign.step, &foreign.rev);
                Event::Retired
            }
            Action::WriteReady => {
                assert!(self.volume.is_all_done(plan, &rev), "P2: ready before the last step is done");
                self.volume.ready.insert(rev);
                Event::ReadyWritten
            }
            Action::WriteFailed(_) => {
                self.volume.failed.insert(rev);
                Event::FailedWritten
            }
            other => unreachable!("not an operation on the volume: {other:?}"),
        };
        self.deliver_in(Duration::ZERO, life, answer);
    }

    /// A request that stalls is given up after its limit, and carried out all the same.
    fn ask_redis(&mut self, life: Life, action: Action) {
        let Some(stalls) = self.redis.stalls else {
            return self.schedule(self.now + LATENCY, Due::Redis(life, action, Some(self.now)));
        };
        if let (Election::Lease(times), true) =
            (self.replicas[life.0].machine.config().election(), action != Action::ReleaseLease)
        {
            self.deliver_in(times.request_limit(), life, Event::LeaseUnreachable);
        }
        self.schedule(self.now + stalls, Due::Redis(life, action, None));
    }

    /// `sent`: if somebody waits for the answer.
    fn perform_on_redis(&mut self, life: Life, action: &Action, sent: Option<Timestamp>) {
        let Election::Lease(times) = self.replicas[life.0].machine.config().election() else {
            panic!("a lease is asked for where the guard elects");
        };
        let ttl = times.ttl();
        let answer = match action {
            Action::AcquireLease => self.redis.acquire(self.now, life, sent.unwrap_or_default(), ttl),
            Action::RenewLease => {
                let epoch = self.replicas[life.0].machine.epoch();
                self.redis.renew(self.now, life, sent.unwrap_or_default(), ttl, epoch)
            }
            _ => {
                if self.redis.release(life) {
                    let others: Vec<Life> = self.living().filter(|&other| other != life).collect();
                    for other in others {
                        self.deliver_in(LATENCY, other, Event::Announced);
                    }
                }
                return;
            }
        };
        if sent.is_some() {
            self.deliver_in(LATENCY, life, answer);
        }
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
        let script = (self.scripts)(&name, self.referee.begun(&label));
        self.referee.run_begins(self.now, id, life, &label, &predecessors);
        self.volume.guard.insert(Holder::Shim(id));
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
        self.referee.run_ends(self.now, id, end == StepEnd::Exit(0));
        self.past.push(self.told(&run, Some(end)));
        self.volume.guard.remove(&Holder::Shim(id));
        if !run.orphaned {
            self.deliver_in(Duration::ZERO, run.life, Event::Ended(run.step, end));
        }
        self.grant_guard();
    }
}

fn doing(action: &Action) -> Doing {
    match action {
        Action::PrepareVolume => Doing::Prepare,
        Action::AppendRevision => Doing::Revision,
        Action::AllotEpoch { .. } => Doing::Epoch,
        Action::Claim { step, .. } => Doing::Claim(*step),
        Action::Count { step, .. } => Doing::Count(*step),
        Action::Commit(step) => Doing::Commit(*step),
        Action::RetireStep(_) | Action::RetireForeign(_) => Doing::Retire,
        Action::WriteReady => Doing::Ready,
        Action::WriteFailed(_) => Doing::Failed,
        other => unreachable!("does not need room: {other:?}"),
    }
}
