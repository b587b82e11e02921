//! Whom what is wrong with the world has befallen: a fault that nobody met is none.

use super::World;

/// How often somebody met each of these.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    /// A request found Redis down.
    pub down: u64,
    /// A request had to wait for a Redis that stalls.
    pub stalled: u64,
    /// A request did not get through.
    pub requests_cut: u64,
    /// A reply or an announcement did not get through.
    pub replies_cut: u64,
    /// An announcement that somebody would have heard was lost.
    pub muted: u64,
    /// An operation found the volume full.
    pub full: u64,
    /// An operation found the volume broken.
    pub broken: u64,
    /// An operation had to wait for a slow volume.
    pub slow: u64,
    /// A beat came late.
    pub late_beats: u64,
    /// Somebody asked for what plans need, and it was not there.
    pub needs_unmet: u64,
}

impl World {
    /// What an operation on the volume takes, with what makes it slow.
    pub(super) fn operation_takes(&mut self, is_beat: bool) -> std::time::Duration {
        self.met.slow += u64::from(self.volume_takes > super::driver::LATENCY);
        let late = is_beat && !self.beats_take.is_zero();
        self.met.late_beats += u64::from(late);
        self.volume_takes + if late { self.beats_take } else { std::time::Duration::ZERO }
    }
}
