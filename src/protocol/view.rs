//! What one look at the volume told: the protocol's only knowledge of what others do.

use std::time::Duration;

use super::names::{Epoch, Revision};
#[cfg(feature = "test-util")]
use super::time::Timestamp;

/// Where our revision stands in `.bellwether/revisions`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Standing {
    /// Not in the list yet: a claim appends it.
    New,
    /// The last line: may lead.
    Newest,
    /// Superseded by a later line: may only follow.
    Older {
        /// The revision in the last line.
        newest: Revision,
    },
}

/// What identifies one beat of a marker: as long as it does not change, its writer is silent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stamp {
    /// The marker's inode.
    pub inode: u64,
    /// Its modification time, in nanoseconds since 1970 by whatever clock the volume has.
    pub mtime: i128,
}

#[cfg(feature = "test-util")]
#[doc(hidden)]
impl Stamp {
    /// The same beat in a time that is `back` earlier, but not before `floor`.
    pub fn move_back(&mut self, back: Duration, floor: Timestamp) {
        let back = i128::try_from(back.as_nanos()).unwrap_or(i128::MAX);
        self.mtime = (self.mtime - back).max(i128::from(floor.as_nanos()));
    }
}

#[cfg(feature = "test-util")]
#[doc(hidden)]
impl View {
    /// The same look in a time that is `back` earlier; nothing lies before `floor`.
    pub fn move_back(&mut self, back: Duration, floor: Timestamp) {
        let own = self.steps.iter_mut().filter_map(|step| step.occupant.as_mut());
        let all = own.chain(self.foreign.iter_mut().map(|foreign| &mut foreign.occupant));
        all.filter_map(|occupant| occupant.stamp.as_mut()).for_each(|stamp| stamp.move_back(back, floor));
    }
}

/// Beats that may be missed before a writer that beats more slowly than we expect is called silent.
const MISSED_BEATS: u32 = 3;

/// Somebody's unfinished claim to a step: claims, an in-progress marker, or both.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Occupant {
    /// Epochs that have a claim, ascending. Empty for a marker from an entrypoint that knows no claims.
    pub claims: Vec<Epoch>,
    /// The in-progress marker's last beat; `None` when there is only a claim.
    pub stamp: Option<Stamp>,
    /// How old the beat is by the volume's own clock; `None` when that is not known (no marker, or nothing writable).
    pub age: Option<Duration>,
    /// How often its writer promised to beat, if the marker says so.
    pub beat_every: Option<Duration>,
}

impl Occupant {
    /// Silence that makes this occupant stale: STEP_STALE_SECS, longer if its writer beats more slowly than ours would.
    pub fn limit(&self, stale_after: Duration) -> Duration {
        let slow_writer = self.beat_every.map_or(Duration::ZERO, |every| every * MISSED_BEATS);
        stale_after.max(slow_writer)
    }
}

/// How the last run of a step ended, as its record tells.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LastEnd {
    /// There is no record of a run.
    None,
    /// A run began and nobody wrote down how it ended: its leader is running it now, or has vanished.
    Open,
    /// We stopped it.
    Stopped,
    /// It asked to be tried again later (exit 75).
    NotYet,
    /// It ended badly.
    Bad,
}

/// What a step's record says that matters to the protocol, already translated to this revision.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RecordView {
    /// Counted attempts of *this* revision.
    pub attempts: u32,
    /// How long to wait before the next attempt; zero when it may start at once.
    pub wait: Duration,
    /// For how long, in sum, this revision's runs have asked to be tried again later (exit 75).
    pub deferred: Duration,
    /// Whether one of this revision's runs has said that trying again is of no use (exit 78).
    pub for_good: bool,
    /// How the last run ended (of any revision).
    pub last_end: LastEnd,
}

impl RecordView {
    /// The record of a step that was never tried.
    pub const BLANK: RecordView = RecordView {
        attempts: 0,
        wait: Duration::ZERO,
        deferred: Duration::ZERO,
        for_good: false,
        last_end: LastEnd::None,
    };
}

/// One step of our plan and revision.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StepView {
    /// Whether its done marker is there. Done wins over a left-over in-progress marker or claim.
    pub done: bool,
    /// Who is, or was, at work on it. `None` when done.
    pub occupant: Option<Occupant>,
    /// What its record says.
    pub record: RecordView,
}

/// Work in progress that is none of our plan in our revision: another revision's, or a step we do not know.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Foreign {
    /// The step, as its claim or marker calls it.
    pub step: String,
    /// Its revision.
    pub rev: Revision,
    /// Who is, or was, at work on it.
    pub occupant: Occupant,
}

/// Everything one look told.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct View {
    /// `.ready_<rev>` is there.
    pub ready: bool,
    /// `.failed_<rev>` is there.
    pub failed: bool,
    /// Where our revision stands.
    pub standing: Standing,
    /// The steps of our plan, by [`StepId`](super::StepId).
    pub steps: Vec<StepView>,
    /// Unfinished work of others.
    pub foreign: Vec<Foreign>,
    /// The highest epoch ever allotted on the volume.
    pub epoch: Epoch,
}

impl View {
    /// An empty volume, for a plan of `steps` steps.
    pub fn blank(steps: usize) -> View {
        let step = StepView { done: false, occupant: None, record: RecordView::BLANK };
        View {
            ready: false,
            failed: false,
            standing: Standing::New,
            steps: vec![step; steps],
            foreign: Vec::new(),
            epoch: Epoch(0),
        }
    }
}
