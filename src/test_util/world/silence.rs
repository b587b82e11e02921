//! P5: a beating step is never taken over. What counts is what the successor's last look could show.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::Timestamp;

use super::driver::LATENCY;
use super::{Life, World};

/// So many operations on the volume may come between a look and the takeover that follows from it.
const BETWEEN: u32 = 4;

/// What a replica's last look showed.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) at: Timestamp,
    /// For how long nothing had been heard of each step (`name@rev`) that is in progress.
    silent: BTreeMap<String, Duration>,
}

impl World {
    /// What a look shows at this moment.
    pub(super) fn shown(&self) -> Shown {
        let since = |at: Timestamp| self.now.since(at);
        let mut silent: BTreeMap<String, Duration> =
            self.bare.iter().map(|(label, at)| (label.clone(), since(*at))).collect();
        silent.extend(self.volume.beaten().map(|(label, at)| (label, since(at))));
        Shown { at: self.now, silent }
    }

    /// Whoever is taken over was silent for long enough when the successor last looked, and that look is no old one if
    /// somebody has been heard of since. A successor that was frozen meanwhile could not look.
    pub(super) fn check_silence(&mut self, life: Life, label: &str, beaten: Option<Timestamp>) {
        let Some(beaten) = beaten else { return };
        let (replica, limit) = (&self.replicas[life.0], self.machine(life).config().stale_after());
        let shown = replica.shown.silent.get(label).copied().unwrap_or_default();
        let looked = replica.shown.at;
        let age = self.now.since(looked);
        let longest = BETWEEN * self.volume_takes.max(LATENCY);
        let is_old = beaten > looked && replica.thawed < looked && age > longest;
        self.referee.taken_over(label, shown, limit);
        assert!(
            !is_old,
            "P5: {label} is taken over by a look of {age:?} ago, and has beaten since\n{}",
            self.referee.story()
        );
    }
}
