//! One replica's state machine, from its start to the hand-off.

#[cfg(feature = "test-util")]
mod checked;
mod claiming;
mod election;
mod faults;
mod following;
mod leading;
mod step;
mod winding;

use std::time::Duration;

use super::action::{Action, Actions, Notice, Outcome};
use super::config::{Config, Election};
use super::event::{Doing, Event};
use super::lease::Lease;
use super::mutant::{self, Mutant};
use super::names::Epoch;
use super::plan::StepId;
use super::staleness::{Judge, Watches};
use super::time::Timestamp;
use super::view::{Standing, View};

use step::{Phase, StepState};

pub use claiming::ClaimStage;
pub use winding::Why;

/// How often a waiting replica says whom it waits for.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// How often a busy guard and a full volume are reported.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Announcements that come faster than this are obeyed together.
const BETWEEN_ANNOUNCED: Duration = Duration::from_millis(20);

/// How soon an operation that met a full volume is tried again, and a silent marker is looked at again.
const EVERY_SECOND: Duration = Duration::from_secs(1);

/// What a replica is at the moment.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    /// Waits for the ready marker, and asks to lead if it may.
    Following,
    /// Has the guard; reads the volume and allots its epoch.
    Claiming(ClaimStage),
    /// Runs the steps.
    Leading,
    /// Brings a leadership to its end: steps, marker, guard, lease, in that order.
    Winding(Why),
    /// A step has failed for good; waits until somebody clears that.
    Holding,
    /// Has ended.
    Ended(Outcome),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Guard {
    Free,
    Asked,
    Held,
}

/// How far something that is asked for once has got.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Once {
    No,
    Asked,
    Yes,
}

/// One look at a time, and when the next is due.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Looks {
    in_flight: bool,
    next: Option<Timestamp>,
    last: Timestamp,
}

/// The machine. Whoever drives it hands every [`Event`] to [`handle`](Machine::handle) with the time it is, does the
/// [`Actions`] in their order, and comes back with [`Event::Tick`] at [`next_deadline`](Machine::next_deadline).
///
/// ```text
///  Started
///     │
///     ▼              ready seen
///  Following ───────────────────────────────────────────────────────► Ended(HandOff)
///   ▲  │  │          failed seen
///   │  │  └────────────────────────► Holding ── cleared ──► Following
///   │  │ guard granted      │
///   │  ▼                    └ (OnFailure::Exit) ────────────────────► Ended(StepFailed)
///   │ Claiming: Look → Revision → Epoch → Sweep
///   │  │
///   │  ▼
///   │ Leading: per step  Open → Claiming → (Looking, without trust →) Counting → Running → Committing → Done
///   │  │                  ▲                              │
///   │  │                  └────────── Retracting ◄───────┘ ended badly, stopped
///   │  │                  └─ attempts used up, or exit 78 (for good) ─► Exhausted
///   │  ▼
///   │ Winding: steps drained or stopped → marker → guard closed → lease released
///   │  │  │
///   └──┘  └─ Ready ─► Ended(HandOff)      Failed ─► Holding or Ended(StepFailed)
///  lease lost,  Stop ─► Ended(Stopped)    Fault, GuardLost ─► Ended
///  superseded
/// ```
///
#[doc = include_str!("ways.md")]
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Machine {
    config: Config,
    role: Role,
    born: Timestamp,
    view: Option<View>,
    watches: Watches,
    looks: Looks,
    lease: Lease,
    guard: Guard,
    epoch: Option<Epoch>,
    steps: Vec<StepState>,
    prepared: Once,
    needs: Once,
    /// The operation of the role itself (not of a step) that has not been answered.
    pending: Option<Doing>,
    /// When that operation is tried again after the volume was full.
    retry_at: Option<Timestamp>,
    /// Whether the marker that ends this leadership is on the volume.
    marked: bool,
    /// Clearings that have not been answered.
    retiring: usize,
    /// Nothing is started before the next look: somebody has been heard of whom the last one called silent.
    must_look: bool,
    /// When the last announcement was, or will be, obeyed.
    announced_at: Timestamp,
    /// How often this replica was asked to stop.
    stops: u8,
    note_at: Timestamp,
    full_note_at: Timestamp,
    deadline: Option<Timestamp>,
}

impl Machine {
    /// A machine that has not started; its first event is [`Event::Started`].
    pub fn new(config: Config) -> Machine {
        let steps = config.plan().ids().map(|_| StepState::default()).collect();
        Machine {
            config,
            role: Role::Following,
            born: Timestamp::ZERO,
            view: None,
            watches: Watches::default(),
            looks: Looks { in_flight: false, next: None, last: Timestamp::ZERO },
            lease: Lease::default(),
            guard: Guard::Free,
            epoch: None,
            steps,
            prepared: Once::No,
            needs: Once::No,
            pending: None,
            retry_at: None,
            marked: false,
            retiring: 0,
            must_look: false,
            announced_at: Timestamp::ZERO,
            stops: 0,
            note_at: Timestamp::ZERO,
            full_note_at: Timestamp::ZERO,
            deadline: None,
        }
    }

    /// What the replica is at the moment.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The epoch of the current leadership.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the last look told.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Whether a process of this step may be running on behalf of this replica.
    pub fn is_running(&self, step: StepId) -> bool {
        matches!(self.steps[step.0].phase, Phase::Running { .. })
    }

    /// How many counted attempts of a step have begun, as far as this replica knows.
    pub fn attempts(&self, step: StepId) -> u32 {
        self.steps[step.0].record.attempts
    }

    /// Takes in what happened at `now` and says what to do. Unexpected, late and repeated events are harmless.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Actions {
        let mut out = Actions::default();
        if !matches!(self.role, Role::Ended(_)) {
            self.handle_event(now, event, &mut out);
            self.advance(now, &mut out);
            self.deadline = self.deadline_after(now);
        }
        out
    }

    fn handle_event(&mut self, now: Timestamp, event: Event, out: &mut Actions) {
        match event {
            Event::Started => self.handle_started(now, out),
            Event::Tick => {}
            Event::StopRequested => self.handle_stop_requested(now, out),
            Event::Looked(view) => self.handle_looked(now, view, out),
            Event::VolumePrepared => self.prepared = Once::Yes,
            Event::NeedsMet => self.needs = Once::Yes,
            Event::NeedsUnmet => self.handle_needs_unmet(now, out),
            Event::GuardGranted => self.handle_guard_granted(now, out),
            Event::GuardLost => self.handle_guard_lost(now, out),
            Event::RevisionAppended => self.handle_revision_appended(now, out),
            Event::EpochAllotted(epoch) => self.handle_epoch_allotted(now, epoch, out),
            Event::Swept => self.handle_swept(now, out),
            Event::Claimed(step) => self.handle_claimed(now, step, out),
            Event::ClaimLost(step) => self.handle_claim_lost(now, step),
            Event::Counted(step) => self.handle_counted(now, step, out),
            Event::Ended(step, end) => self.handle_ended(step, end, out),
            Event::Beaten(step) => self.handle_beaten(now, step),
            Event::Committed(step) => self.handle_committed(step),
            Event::CommitLost(step) => self.handle_commit_lost(now, step, out),
            Event::Retracted(step) => self.handle_retracted(now, step),
            Event::Retired => self.retiring = self.retiring.saturating_sub(1),
            Event::RetireLost => self.handle_retire_lost(now),
            Event::ReadyWritten => self.handle_marked(Doing::Ready),
            Event::FailedWritten => self.handle_marked(Doing::Failed),
            Event::VolumeFailed(doing, fault) => self.handle_volume_failed(now, doing, fault, out),
            Event::LeaseGranted { epoch, .. } if mutant::is(Mutant::DeadlineFromReceipt) => {
                self.handle_lease_granted(now, epoch, out);
            }
            Event::LeaseGranted { sent, epoch } => self.handle_lease_granted(sent, epoch, out),
            Event::LeaseDenied { sent, left } => self.handle_lease_denied(now, Some(sent), left, out),
            Event::LeaseNotMine => self.handle_lease_denied(now, None, Duration::ZERO, out),
            Event::LeaseUnreachable => self.handle_lease_unreachable(now),
            Event::Announced => self.handle_announced(now, out),
        }
    }

    /// Does whatever the state and the time ask for. Without news it does nothing.
    fn advance(&mut self, now: Timestamp, out: &mut Actions) {
        self.expire_lease(now, out);
        match self.role.clone() {
            Role::Following => self.advance_following(now, out),
            Role::Claiming(_) => self.advance_claiming(now, out),
            Role::Leading => self.advance_leading(now, out),
            Role::Holding => self.advance_holding(now, out),
            Role::Winding(_) | Role::Ended(_) => {}
        }
        // Leading may have just begun to wind, and winding may end in following or holding.
        if let Role::Winding(why) = self.role {
            self.advance_winding(now, why, out);
        }
        self.advance_steps(now, out);
        self.advance_lease(now, out);
        self.advance_looks(now, out);
    }

    fn advance_looks(&mut self, now: Timestamp, out: &mut Actions) {
        let ended = matches!(self.role, Role::Ended(_));
        if !ended && !self.looks.in_flight && self.looks.next.is_some_and(|next| next <= now) {
            self.looks = Looks { in_flight: true, next: None, last: self.looks.last };
            self.look_begins();
            out.push(Action::Look);
        }
    }

    fn look_from(&mut self, at: Timestamp) {
        self.looks.next = Some(self.looks.next.map_or(at, |planned| planned.min(at)));
    }

    /// The next moment at which [`Event::Tick`] is worth sending. `None`: only an event can change anything.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// Whatever is due at `now` and was not done just now waits for an event, not for a time.
    fn deadline_after(&self, now: Timestamp) -> Option<Timestamp> {
        let look = self.looks.next.filter(|_| !self.looks.in_flight);
        let own = match self.role {
            Role::Following => [Some(self.note_at), self.ready_deadline(), self.redis_deadline(), self.retry_at],
            Role::Claiming(_) => [self.retry_at, None, None, None],
            Role::Leading => [self.retry_at, Some(self.note_at), self.stop_deadline(), self.next_start()],
            Role::Winding(_) => [self.retry_at, self.stop_deadline(), None, None],
            Role::Holding => [Some(self.note_at), None, None, None],
            Role::Ended(_) => return None,
        };
        let lease = self.lease_deadline();
        let steps = self.steps.iter().filter_map(StepState::next_deadline);
        own.into_iter().flatten().chain(look).chain(lease).chain(steps).filter(|&at| at > now).min()
    }

    fn handle_started(&mut self, now: Timestamp, out: &mut Actions) {
        self.born = now;
        self.note_at = now + NOTE_EVERY;
        self.look_from(now);
        out.say(Notice::Following);
    }

    fn handle_looked(&mut self, now: Timestamp, mut view: View, out: &mut Actions) {
        self.looks.in_flight = false;
        self.looks.last = now;
        self.must_look = self.looks.next.is_some() && self.must_look;
        self.watches.observe(now, &view);
        if self.watches.has_changed() {
            self.lease.handle_sign_of_life(now);
        }
        for (seen, own) in view.steps.iter_mut().zip(&self.steps) {
            if mutant::is(Mutant::FailuresCountedPerReplica) {
                seen.record.attempts = own.record.attempts;
            }
            if own.is_active() {
                seen.occupant = None;
            }
        }
        let was_superseded = self.is_superseded();
        self.view = Some(view);
        if self.is_superseded() && !was_superseded {
            self.note_at = now;
        }
        match self.role {
            Role::Following => self.handle_looked_following(now, out),
            Role::Claiming(ClaimStage::Looking) => self.handle_looked_claiming(now, out),
            Role::Leading => self.handle_looked_leading(now, out),
            Role::Holding => self.handle_looked_holding(now, out),
            Role::Claiming(_) | Role::Winding(_) | Role::Ended(_) => {}
        }
    }

    fn judge(&self) -> Judge {
        let holds = self.guard == Guard::Held;
        Judge::new(self.config.stale_after(), self.config.trust(), holds, self.looks.last)
    }

    /// A later revision has begun and we are not allowed to go back.
    fn is_superseded(&self) -> bool {
        let older = self.view.as_ref().is_some_and(|view| matches!(view.standing, Standing::Older { .. }));
        older && !self.config.policy.allow_rollback
    }

    fn uses_lease(&self) -> bool {
        matches!(self.config.election(), Election::Lease(_))
    }
}
