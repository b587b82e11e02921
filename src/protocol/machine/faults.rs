//! Faults of the volume: what is waited out, and what ends the replica.

use super::step::Phase;
use super::{COMPLAIN_EVERY, EVERY_SECOND, Guard, Machine, Once, Role, Why};
use crate::protocol::action::{Actions, Notice, Outcome};
use crate::protocol::event::{Doing, Fault};
use crate::protocol::time::Timestamp;

impl Machine {
    /// Whether an answer to this is awaited.
    fn is_doing(&self, doing: Doing) -> bool {
        match doing {
            Doing::Look => self.looks.in_flight,
            Doing::Prepare => self.prepared == Once::Asked,
            Doing::Guard => self.guard == Guard::Asked,
            Doing::Retire => self.retiring > 0,
            Doing::Claim(step) => self.phase_is(step, |phase| matches!(phase, Phase::Claiming)),
            Doing::Count(step) => self.phase_is(step, |phase| matches!(phase, Phase::Counting)),
            Doing::Commit(step) => self.phase_is(step, |phase| matches!(phase, Phase::Committing)),
            Doing::Retract(step) => self.phase_is(step, |phase| matches!(phase, Phase::Retracting(_))),
            Doing::Revision | Doing::Epoch | Doing::Sweep | Doing::Ready | Doing::Failed => self.pending == Some(doing),
        }
    }

    pub(super) fn handle_volume_failed(&mut self, now: Timestamp, doing: Doing, fault: Fault, out: &mut Actions) {
        if !self.is_doing(doing) {
            return;
        }
        if doing == Doing::Look {
            self.looks.in_flight = false;
        }
        if doing == Doing::Retire {
            self.retiring -= 1;
        }
        if fault == Fault::Full {
            self.complain_of_full_volume(now, out);
        }
        let patient = fault == Fault::Full && !matches!(self.role, Role::Winding(why) if why.is_urgent());
        match doing {
            Doing::Claim(step) | Doing::Count(step) | Doing::Commit(step) | Doing::Retract(step) if patient => {
                self.steps[step.0].retry_at = Some(now + EVERY_SECOND);
            }
            Doing::Look | Doing::Retire if patient => self.look_from(now + EVERY_SECOND),
            _ if patient => {
                match doing {
                    Doing::Prepare => self.prepared = Once::No,
                    Doing::Guard => self.guard = Guard::Free,
                    _ => self.pending = None,
                }
                self.retry_at = Some(now + EVERY_SECOND);
            }
            _ => self.give_up_on(now, doing, fault, out),
        }
    }

    /// Something on the volume failed for good: what was being done is dropped, and the replica ends.
    fn give_up_on(&mut self, now: Timestamp, doing: Doing, fault: Fault, out: &mut Actions) {
        match doing {
            // It ended well and cannot be written down before we have to go: that is no failure of the step's.
            Doing::Commit(step) if fault == Fault::Full => self.give_back(step, out),
            Doing::Claim(step) | Doing::Commit(step) | Doing::Retract(step) => self.steps[step.0].abandon(),
            Doing::Count(step) => self.retract_unrun(step, out),
            _ => self.pending = None,
        }
        match self.role {
            Role::Following | Role::Holding => self.finish(now, Outcome::VolumeFailed(fault), out),
            Role::Claiming(_) | Role::Leading | Role::Winding(Why::Ready | Why::Failed(_)) => {
                self.wind(now, Why::Fault(fault), out);
            }
            Role::Winding(_) | Role::Ended(_) => {}
        }
    }

    fn complain_of_full_volume(&mut self, now: Timestamp, out: &mut Actions) {
        if self.full_note_at <= now {
            self.full_note_at = now + COMPLAIN_EVERY;
            out.say(Notice::VolumeFull);
        }
    }
}
