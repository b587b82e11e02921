//! One step of the plan under a leader, from its claim to its done marker.

use std::time::Duration;

use super::{EVERY_SECOND, Machine, Role, Why};
use crate::protocol::action::{Action, Actions, Closing, ClosingEnd, Notice, StopReason};
use crate::protocol::config::Trust;
use crate::protocol::event::StepEnd;
use crate::protocol::mutant::{self, Mutant};
use crate::protocol::plan::StepId;
use crate::protocol::time::Timestamp;
use crate::protocol::view::RecordView;

/// The longest back-off after a bad end.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// How long, in sum, a step may ask to be tried again later (exit 75) before that counts as a bad end.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(600);

/// Where a step stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Phase {
    /// Nobody of ours is at it; may be claimed from `not_before` on.
    Open { not_before: Timestamp },
    /// The claim and the in-progress marker are being written.
    Claiming,
    /// It is claimed, and the guard is not trusted: a look that begins after the claim has to show nobody else at work.
    Looking { begun: bool },
    /// The attempt is being counted.
    Counting,
    /// Its process runs.
    Running { until: Option<Timestamp>, stopping: Option<StopReason> },
    /// Its done marker is being written.
    Committing,
    /// Its claim is being given back.
    Retracting(Closing),
    /// Done.
    Done,
    /// Failed for good.
    Exhausted,
}

/// A step's phase, what its record says, and its timers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct StepState {
    pub(super) phase: Phase,
    pub(super) record: RecordView,
    /// When the next beat is due; `None` while there is no marker of ours, or a beat has not been answered.
    pub(super) beat_at: Option<Timestamp>,
    /// When the operation of this phase is tried again after the volume was full.
    pub(super) retry_at: Option<Timestamp>,
}

impl Default for StepState {
    fn default() -> StepState {
        let phase = Phase::Open { not_before: Timestamp::ZERO };
        StepState { phase, record: RecordView::BLANK, beat_at: None, retry_at: None }
    }
}

impl StepState {
    /// Whether something of ours is under way: an operation on the volume or a process.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Open { .. } | Phase::Done | Phase::Exhausted)
    }

    /// Gives up what was being done; the claim stays on the volume for a successor to find.
    pub(super) fn abandon(&mut self) {
        *self =
            StepState { phase: Phase::Open { not_before: Timestamp::ZERO }, record: self.record, ..Self::default() };
    }

    /// Whether no further run may begin: `limit` attempts are used up, or one has said that it is of no use.
    pub(super) fn has_failed(&self, limit: u32) -> bool {
        self.record.for_good || self.record.attempts >= limit
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let timeout = match self.phase {
            Phase::Running { until, stopping: None } => until,
            _ => None,
        };
        [self.beat_at, self.retry_at, timeout].into_iter().flatten().min()
    }
}

impl Machine {
    /// What the step's phase asks to be done on the volume.
    fn operation(&self, step: StepId) -> Option<Action> {
        let state = &self.steps[step.0];
        let attempt = state.record.attempts + 1;
        match &state.phase {
            Phase::Claiming => {
                let from = self.occupant(step).map_or(Vec::new(), |occupant| occupant.claims.clone());
                Some(Action::Claim { step, epoch: self.epoch?, from, attempt })
            }
            Phase::Counting => Some(Action::Count { step, attempt, deferred: state.record.deferred }),
            Phase::Committing => Some(Action::Commit(step)),
            Phase::Retracting(closing) => Some(Action::Retract(step, *closing)),
            Phase::Open { .. } | Phase::Looking { .. } | Phase::Running { .. } | Phase::Done | Phase::Exhausted => None,
        }
    }

    pub(super) fn enter_phase(&mut self, step: StepId, phase: Phase, out: &mut Actions) {
        let state = &mut self.steps[step.0];
        state.phase = phase;
        state.retry_at = None;
        if matches!(state.phase, Phase::Retracting(_)) {
            state.beat_at = None;
        }
        if let Some(action) = self.operation(step) {
            out.push(action);
        }
    }

    pub(super) fn phase_is(&self, step: StepId, expected: impl Fn(&Phase) -> bool) -> bool {
        self.steps.get(step.0).is_some_and(|state| expected(&state.phase))
    }

    fn expects(&self, step: StepId, phase: &Phase) -> bool {
        self.phase_is(step, |current| current == phase)
    }

    pub(super) fn handle_claimed(&mut self, now: Timestamp, step: StepId, out: &mut Actions) {
        if !self.expects(step, &Phase::Claiming) {
            return;
        }
        if let Some(seen) = self.view.as_mut().and_then(|view| view.steps.get_mut(step.0)) {
            seen.occupant = None;
        }
        self.steps[step.0].beat_at = Some(now + self.config.beat_every());
        match (&self.role, self.config.trust()) {
            (Role::Leading, Trust::Trusted) => self.begin_counting(now, step, out),
            (Role::Leading, Trust::NotTrusted) => {
                self.enter_phase(step, Phase::Looking { begun: false }, out);
                self.looks.next = Some(now);
            }
            _ => self.retract_unrun(step, out),
        }
    }

    fn begin_counting(&mut self, now: Timestamp, step: StepId, out: &mut Actions) {
        self.enter_phase(step, Phase::Counting, out);
        if mutant::is(Mutant::AttemptNotCounted) {
            out.drop_last();
            self.handle_counted(now, step, out);
        }
    }

    fn is_looking(&self, step: StepId) -> bool {
        self.phase_is(step, |phase| matches!(phase, Phase::Looking { .. }))
    }

    /// A look begins: it will show whoever works beside the claims that stand by now.
    pub(super) fn look_begins(&mut self) {
        for state in &mut self.steps {
            if let Phase::Looking { begun } = &mut state.phase {
                *begun = true;
            }
        }
    }

    /// A look has shown that nobody else works, or that somebody does: what was only claimed goes on, or is given back.
    pub(super) fn end_looking(&mut self, now: Timestamp, go_on: bool, out: &mut Actions) {
        for step in self.config.plan().ids() {
            if go_on && self.expects(step, &Phase::Looking { begun: true }) {
                self.begin_counting(now, step, out);
            } else if !go_on && self.is_looking(step) {
                self.retract_unrun(step, out);
            }
        }
    }

    pub(super) fn handle_claim_lost(&mut self, now: Timestamp, step: StepId) {
        if self.expects(step, &Phase::Claiming) {
            // Whoever was faster shows in the next look; until then nobody starts anything here.
            self.steps[step.0].phase = Phase::Open { not_before: now + EVERY_SECOND };
            self.steps[step.0].retry_at = None;
            self.look_from(now);
        }
    }

    pub(super) fn handle_counted(&mut self, now: Timestamp, step: StepId, out: &mut Actions) {
        if !self.expects(step, &Phase::Counting) {
            return;
        }
        let timeout = self.config.plan().step(step).timeout;
        let state = &mut self.steps[step.0];
        state.record.attempts += 1;
        let attempt = state.record.attempts;
        if self.role == Role::Leading && self.may_start(now) {
            let until = timeout.map(|limit| now + limit);
            self.enter_phase(step, Phase::Running { until, stopping: None }, out);
            let deadline = self.stop_deadline().filter(|_| !mutant::is(Mutant::NoDeadlineForShim));
            out.push(Action::Spawn { step, attempt, deadline });
            if mutant::is(Mutant::DoneBeforeExit) {
                self.enter_phase(step, Phase::Committing, out);
            }
        } else {
            self.give_back(step, out);
        }
    }

    pub(super) fn handle_ended(&mut self, step: StepId, end: StepEnd, out: &mut Actions) {
        let Some(Phase::Running { stopping, .. }) = self.steps.get(step.0).map(|state| &state.phase) else { return };
        match (end, stopping) {
            (StepEnd::Exit(_), _) if mutant::is(Mutant::BadEndIsDone) => self.enter_phase(step, Phase::Committing, out),
            (StepEnd::Exit(0), _) => self.enter_phase(step, Phase::Committing, out),
            (StepEnd::Stopped, Some(StopReason::Timeout)) => self.close_run(step, ClosingEnd::TimedOut, out),
            (end, _) => self.close_run(step, ClosingEnd::Own(end), out),
        }
    }

    /// A run has ended, and not well: what that means for the next one is written into the record.
    fn close_run(&mut self, step: StepId, end: ClosingEnd, out: &mut Actions) {
        let limit = self.config.plan().step(step).max_attempts;
        let first = self.config.policy.backoff;
        let record = &mut self.steps[step.0].record;
        record.for_good |= end == ClosingEnd::Own(StepEnd::FOR_GOOD);
        let wait = match end {
            ClosingEnd::Own(StepEnd::Stopped) => {
                record.attempts = record.attempts.saturating_sub(1);
                Duration::ZERO
            }
            ClosingEnd::Own(StepEnd::NOT_YET) if record.deferred < LONGEST_DEFERRAL => {
                record.attempts = record.attempts.saturating_sub(1);
                // 10 s, 20 s, 40 s …: each wait is the sum of those before it and the first.
                let wait = (record.deferred + first).min(LONGEST_DEFERRAL.saturating_sub(record.deferred));
                record.deferred += wait;
                wait
            }
            _ if record.for_good || record.attempts >= limit => Duration::ZERO,
            _ => backoff(first, record.attempts),
        };
        let closing = Closing { attempts: record.attempts, wait, deferred: record.deferred, end: Some(end) };
        if end != ClosingEnd::Own(StepEnd::Stopped) && !self.steps[step.0].has_failed(limit) {
            out.say(Notice::WillRetry { step, end, wait });
        }
        self.enter_phase(step, Phase::Retracting(closing), out);
    }

    /// Gives a claim and its attempt back, as if the run had been stopped.
    pub(super) fn give_back(&mut self, step: StepId, out: &mut Actions) {
        self.close_run(step, ClosingEnd::Own(StepEnd::Stopped), out);
    }

    /// Gives a claim back under which nothing was run.
    pub(super) fn retract_unrun(&mut self, step: StepId, out: &mut Actions) {
        let record = self.steps[step.0].record;
        let closing = Closing { attempts: record.attempts, wait: record.wait, deferred: record.deferred, end: None };
        self.enter_phase(step, Phase::Retracting(closing), out);
    }

    pub(super) fn handle_beaten(&mut self, now: Timestamp, step: StepId) {
        let every = self.config.beat_every();
        if let Some(state) = self.steps.get_mut(step.0)
            && matches!(
                state.phase,
                Phase::Looking { .. } | Phase::Counting | Phase::Running { .. } | Phase::Committing
            )
        {
            state.beat_at = Some(now + every);
        }
    }

    pub(super) fn handle_committed(&mut self, step: StepId) {
        if self.expects(step, &Phase::Committing) {
            self.steps[step.0] = StepState { phase: Phase::Done, ..StepState::default() };
            if let Some(seen) = self.view.as_mut().and_then(|view| view.steps.get_mut(step.0)) {
                seen.done = true;
            }
        }
    }

    pub(super) fn handle_commit_lost(&mut self, now: Timestamp, step: StepId, out: &mut Actions) {
        if self.expects(step, &Phase::Committing) {
            self.steps[step.0].abandon();
            out.say(Notice::ClaimLost(step));
            self.wind(now, Why::Superseded, out);
        }
    }

    pub(super) fn handle_retracted(&mut self, now: Timestamp, step: StepId) {
        let Some(Phase::Retracting(closing)) = self.steps.get(step.0).map(|s| s.phase.clone()) else { return };
        let phase = Phase::Open { not_before: now + closing.wait };
        let record = RecordView { wait: closing.wait, ..self.steps[step.0].record };
        self.steps[step.0] = StepState { phase, record, ..StepState::default() };
    }

    /// Beats, timeouts and repetitions of whatever is under way.
    pub(super) fn advance_steps(&mut self, now: Timestamp, out: &mut Actions) {
        for step in self.config.plan().ids() {
            let state = &mut self.steps[step.0];
            if state.beat_at.is_some_and(|at| at <= now) {
                state.beat_at = None;
                out.push(Action::Beat(step));
            }
            if state.retry_at.is_some_and(|at| at <= now) {
                state.retry_at = None;
                out.extend(self.operation(step));
            }
            if let Phase::Running { until: Some(until), stopping: None } = self.steps[step.0].phase
                && until <= now
            {
                self.stop_step(step, StopReason::Timeout, out);
            }
        }
    }

    pub(super) fn stop_step(&mut self, step: StepId, reason: StopReason, out: &mut Actions) {
        if let Phase::Running { stopping, .. } = &mut self.steps[step.0].phase {
            // A timeout that was under way does not hide that we were asked to stop, nor the other way round.
            if stopping.replace(reason).is_none() {
                out.push(Action::StopStep(step, reason));
            }
        }
    }

    pub(super) fn kill_steps(&self, out: &mut Actions) {
        let running = self.config.plan().ids().filter(|step| self.is_running(*step));
        out.extend(running.map(Action::KillStep));
    }
}

/// `first` after the first bad end, doubling with each, at most five minutes.
fn backoff(first: Duration, attempts: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1));
    first.saturating_mul(factor).min(LONGEST_BACKOFF)
}
