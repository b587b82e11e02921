//! What befalls replicas.

use std::time::Duration;

use crate::protocol::{Event, StepEnd};

use super::volume::Holder;
use super::{Due, Life, World};

impl World {
    /// Somebody announces something to everybody.
    pub fn announce(&mut self) {
        for life in self.living().collect::<Vec<Life>>() {
            self.deliver_in(Duration::ZERO, life, Event::Announced);
        }
    }

    /// SIGTERM.
    pub fn stop(&mut self, life: Life) {
        self.replicas[life.0].stops += 1;
        self.deliver_in(Duration::ZERO, life, Event::StopRequested);
    }

    /// SIGKILL: the process is gone; its shims notice, stop their trees, and only then let go of the guard.
    pub fn kill(&mut self, life: Life) {
        self.kill_leaving_orphans(life, self.stopping_takes);
    }

    /// SIGKILL, and what it ran takes so long to be gone. Until then its shims keep the guard.
    pub fn kill_leaving_orphans(&mut self, life: Life, gone_after: Duration) {
        self.referee.note(self.now, life, "killed");
        self.replicas[life.0].alive = false;
        self.replicas[life.0].waits_for_guard = false;
        self.volume.guard.retain(|holder| *holder != Holder::Leader(life));
        let gone = self.now + gone_after;
        let mut ends = Vec::new();
        for run in self.runs.iter_mut().filter(|run| run.life == life) {
            run.orphaned = true;
            ends.push(run.id);
        }
        for id in ends {
            self.schedule(gone, Due::RunEnds(id, StepEnd::Stopped));
        }
        self.grant_guard();
    }

    /// SIGSTOP.
    pub fn freeze(&mut self, life: Life) {
        self.referee.note(self.now, life, "frozen");
        self.replicas[life.0].frozen = true;
    }

    /// SIGCONT.
    pub fn thaw(&mut self, life: Life) {
        self.referee.note(self.now, life, "thawed");
        self.replicas[life.0].frozen = false;
        self.replicas[life.0].thawed = self.now;
        while let Some(due) = self.replicas[life.0].inbox.pop_front() {
            self.schedule(self.now, due);
        }
    }

    /// An I/O through the guard's descriptor fails. (The lock itself stays: a file system that drops it is the
    /// documented exception to P1.)
    pub fn lose_guard(&mut self, life: Life) {
        self.referee.note(self.now, life, "loses sight of the guard");
        self.deliver_in(Duration::ZERO, life, Event::GuardLost);
    }

    /// A copy of Redis takes over. Whoever has the lease in it may have given it back.
    pub fn fail_over_redis(&mut self) {
        self.redis.fail_over();
        if let Some(holder) = self.redis.holder(self.now) {
            self.replicas[holder.0].strayed = true;
        }
    }

    /// Whether it has neither ended nor been killed.
    pub fn is_alive(&self, life: Life) -> bool {
        self.replicas[life.0].alive
    }

    pub fn is_frozen(&self, life: Life) -> bool {
        self.replicas[life.0].frozen
    }
}
