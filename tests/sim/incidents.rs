//! What befalls the replicas of a story, and the world around them.

use std::time::Duration;

use bellwether::protocol::Fault;
use bellwether::test_util::world::Link;

use crate::cast::PATIENCE;
use crate::stage::{Later, Stage};
use crate::story::{Incident, Kind, Who};

/// Revisions that are rolled out in one story, at the most.
const LAST_REV: u64 = 7;

impl Stage<'_> {
    fn find(&self, who: Who) -> usize {
        let slot = match who {
            Who::Leader => self.world.leader().and_then(|life| self.slots.iter().position(|slot| slot.life == life)),
            Who::Slot(slot) => Some(slot),
        };
        slot.unwrap_or(0) % self.slots.len()
    }

    /// Lets an incident happen. Whether it has befallen anybody now; what lasts may do so later.
    pub(crate) fn befall(&mut self, incident: &Incident) -> bool {
        let number = self.find(incident.who);
        let note = format!("incident: {} ({number})", incident.kind.word());
        self.world.referee.note(self.world.now, self.slots[number].life, &note);
        match incident.kind {
            Kind::Kill | Kind::Orphan | Kind::Freeze | Kind::FreezePastLease | Kind::Stop | Kind::Haste => {
                self.befall_life(incident, number)
            }
            Kind::Restart | Kind::RollOut | Kind::Upgrade | Kind::Downgrade | Kind::GoBack | Kind::Retry => {
                self.befall_slot(incident, number)
            }
            Kind::GuardBlip | Kind::MarkerRemoved => self.befall_leader(incident.kind, number),
            Kind::Full | Kind::Slow | Kind::BeatsLate | Kind::Broken | Kind::NeedsUnmet => self.befall_volume(incident),
            _ if self.story.scene.lease == 0 => false,
            Kind::CutRequests | Kind::CutReplies => self.befall_link(incident, number),
            Kind::RequestsLost | Kind::RepliesLost | Kind::RepliesDoubled | Kind::RepliesLate => {
                self.weather.set(Some((incident.kind, incident.span)));
                self.last(incident.kind, incident.span, Later::Heard)
            }
            Kind::Flush | Kind::FailOver | Kind::Announce | Kind::ClockAhead | Kind::ClockBack => {
                self.befall_redis_at_once(incident)
            }
            _ => self.befall_redis(incident),
        }
    }

    /// It lasts for so many milliseconds, and counts once somebody meets it.
    fn last(&mut self, kind: Kind, millis: u64, end: Later) -> bool {
        self.befallen.begin(kind, self.world.now + Duration::from_millis(millis), &self.world.met);
        self.after(millis, end);
        false
    }

    fn befall_life(&mut self, incident: &Incident, number: usize) -> bool {
        let life = self.slots[number].life;
        let freezes = matches!(incident.kind, Kind::Freeze | Kind::FreezePastLease);
        if !self.world.is_alive(life) || self.world.is_frozen(life) && freezes {
            return false;
        }
        match incident.kind {
            // Without a guard only the time that stopping may take keeps an orphan from its successor.
            Kind::Orphan if self.story.scene.trusted == 1 => {
                self.world.kill_leaving_orphans(life, Duration::from_millis(incident.span));
            }
            Kind::Kill | Kind::Orphan => self.world.kill(life),
            _ if freezes => {
                self.world.freeze(life);
                let past = if incident.kind == Kind::Freeze { 0 } else { 10_000 };
                self.after(past + incident.span, Later::Thaw(life));
            }
            _ => {
                let times = if incident.kind == Kind::Stop { 1 } else { 2 + incident.span % 2 };
                (0..times).for_each(|_| self.world.stop(life));
                self.after(PATIENCE, Later::Kill(life));
            }
        }
        incident.kind != Kind::Orphan || self.story.scene.trusted == 1
    }

    fn befall_slot(&mut self, incident: &Incident, number: usize) -> bool {
        let newest = self.newest;
        let slot = &mut self.slots[number];
        let before = (slot.rev, slot.may_go_back);
        match incident.kind {
            Kind::RollOut if newest == LAST_REV => return false,
            Kind::RollOut => {
                self.newest += 1;
                (slot.rev, slot.may_go_back) = (self.newest, false);
            }
            Kind::Upgrade => (slot.rev, slot.may_go_back) = (newest, false),
            Kind::Downgrade => (slot.rev, slot.may_go_back) = (newest.max(2) - 1, false),
            Kind::GoBack => {
                (slot.rev, slot.may_go_back) = (newest.max(2) - 1, true);
            }
            Kind::Retry => return self.befall_failed(number, incident.span.is_multiple_of(2)),
            _ => {}
        }
        let slot = &self.slots[number];
        let same = before == (slot.rev, slot.may_go_back);
        if same && incident.kind != Kind::Restart {
            return false;
        }
        self.begin_again(number, incident.span.is_multiple_of(2)) || !same
    }

    /// Whether there was a failure to be cleared.
    fn befall_failed(&mut self, number: usize, at_once: bool) -> bool {
        let rev = format!("v{}", self.slots[number].rev);
        let had_failed = self.world.volume.failed.iter().any(|failed| failed.as_str() == rev);
        self.world.volume.retry(&rev);
        if !self.world.is_alive(self.slots[number].life) {
            self.begin_again(number, at_once);
        }
        had_failed
    }

    fn befall_leader(&mut self, kind: Kind, number: usize) -> bool {
        let life = self.slots[number].life;
        let leads = self.world.leader() == Some(life) && self.world.is_alive(life);
        match kind {
            Kind::GuardBlip if leads => self.world.lose_guard(life),
            Kind::MarkerRemoved if leads => {
                let rev = format!("v{}", self.slots[number].rev);
                let running = self.world.running();
                self.world.volume.remove_marker(&running[0], &rev);
            }
            _ => return false,
        }
        true
    }

    fn befall_link(&mut self, incident: &Incident, number: usize) -> bool {
        let life = self.slots[number].life;
        if !self.world.is_alive(life) {
            return false;
        }
        let requests = incident.kind != Kind::CutRequests;
        self.world.set_link(life, Link { requests, replies: !requests });
        self.last(incident.kind, incident.span, Later::Link(life))
    }

    fn befall_volume(&mut self, incident: &Incident) -> bool {
        let span = Duration::from_millis(incident.span);
        let (volume, ends) = (&mut self.world.volume, incident.span);
        // Without a guard P1 holds as long as nothing is paused for longer than the lease's margin; a beat, neither.
        let longest = if self.story.scene.trusted == 1 { Duration::MAX } else { Duration::from_secs(1) };
        let (ends, end) = match incident.kind {
            Kind::Full => {
                volume.full = true;
                (ends, Later::Room)
            }
            Kind::Broken => {
                let faults = [Fault::Broken, Fault::Denied, Fault::ReadOnly];
                volume.broken = Some(faults[usize::try_from(ends % 3).unwrap()]);
                (ends / 4, Later::Whole)
            }
            Kind::Slow => {
                self.world.volume_takes = (span / 8).min(longest / 2);
                (ends, Later::QuickVolume)
            }
            Kind::BeatsLate => {
                self.world.beats_take = (span / 2).min(longest);
                (ends, Later::BeatsWell)
            }
            _ => {
                self.world.needs_met = false;
                (ends / 4, Later::NeedsMet)
            }
        };
        self.last(incident.kind, ends, end)
    }

    fn befall_redis(&mut self, incident: &Incident) -> bool {
        let redis = &mut self.world.redis;
        let end = match incident.kind {
            Kind::RedisDown => {
                redis.down = true;
                Later::RedisUp
            }
            Kind::Stall => {
                redis.stalls = Some(Duration::from_millis(incident.span) / 4);
                Later::Quick
            }
            _ => {
                redis.mute = true;
                Later::Announced
            }
        };
        self.last(incident.kind, incident.span, end)
    }

    /// Whether anything is different by it, and anybody there to notice.
    fn befall_redis_at_once(&mut self, incident: &Incident) -> bool {
        let (now, span) = (self.world.now, Duration::from_millis(incident.span));
        let before = self.world.redis.clone();
        match incident.kind {
            Kind::Flush => self.world.redis.flush(),
            // Every other failover leads to what the one before left behind.
            Kind::FailOver => {
                self.world.fail_over_redis();
                if incident.span.is_multiple_of(2) {
                    self.world.redis.replicate();
                }
            }
            Kind::Announce => self.world.announce(),
            Kind::ClockAhead => self.world.redis.jump_ahead(now, span),
            _ => self.world.redis.jump_back(now, span),
        }
        let after = &self.world.redis;
        let different =
            incident.kind == Kind::Announce || before.key(now) != after.key(now) || before.epoch != after.epoch;
        different && self.slots.iter().any(|slot| self.world.is_alive(slot.life))
    }
}
