//! The look: everything the protocol knows of what others do.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::clock::{VolumeNow, mtime_nanos};
use super::record::Found;
use super::scan::Scan;
use super::{Volume, VolumeError, files};
use crate::protocol::{Foreign, LastEnd, Occupant, RecordView, Revision, Stamp, StepId, StepName, StepView, View};

/// What one look told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// For the protocol.
    pub view: View,
    /// For people: files that are not as they should be and what they count as, each naming its file. The same as
    /// last time unless something changed, so a caller logs what is new.
    pub problems: Vec<String>,
}

/// Unfinished work: who has it, by step and revision.
type Work = BTreeMap<(String, Revision), Occupant>;

const NOBODY: Occupant = Occupant { claims: Vec::new(), stamp: None, age: None, beat_every: None };

/// What identifies a beat.
pub(super) fn stamp(stat: &Metadata) -> Stamp {
    Stamp { inode: stat.ino(), mtime: mtime_nanos(stat) }
}

/// The volume's clock, touched at the first question only: most looks need none.
type LazyClock<'a> = LazyCell<Option<VolumeNow>, &'a dyn Fn() -> Option<VolumeNow>>;

impl Volume {
    /// Looks at the volume: opens the directories afresh, reads the names, the markers of work in progress (of every
    /// revision) and the records of our steps. Works on a read-only mount, and before anybody prepared the volume.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`]; [`VolumeError::NotAFile`] if a directory, link or the like stands in a marker's place.
    pub fn look(&self) -> Result<Look, VolumeError> {
        files::expect_directory(&self.private("steps"))?;
        let read = || self.clock();
        let clock: LazyClock<'_> = LazyCell::new(&read);
        let scan = self.scan()?;
        let mut problems: Vec<String> = scan
            .shown
            .iter()
            .filter_map(|shown| {
                let problem = shown.content.as_ref().err()?;
                Some(format!("{} {problem}; it counts by its existence and age", shown.file_name))
            })
            .collect();
        let mut work = gather(&scan, &clock);
        let mut steps = Vec::new();
        for id in self.plan().ids() {
            let own = (self.step(id).name.to_string(), self.revision().clone());
            let occupant = work.remove(&own);
            let done = scan.has(self.root(), &self.step(id).done.done(self.revision()))?;
            let (occupant, record) = if done {
                (None, RecordView::BLANK)
            } else {
                (occupant, self.view_record(id, &scan, &clock, &mut problems)?)
            };
            steps.push(StepView { done, occupant, record });
        }
        work.retain(|(step, rev), _| !self.is_done_in(&scan, step, rev));
        let view = View {
            ready: scan.has(self.root(), &self.revision().ready_marker())?,
            failed: scan.has(self.root(), &self.revision().failed_marker())?,
            standing: self.standing()?,
            steps,
            foreign: work.into_iter().map(|((step, rev), occupant)| Foreign { step, rev, occupant }).collect(),
            epoch: self.highest_epoch()?,
        };
        Ok(Look { view, problems })
    }

    fn view_record(
        &self,
        id: StepId,
        scan: &Scan,
        clock: &LazyClock<'_>,
        problems: &mut Vec<String>,
    ) -> Result<RecordView, VolumeError> {
        let name = &self.step(id).name;
        match self.find_record(name)? {
            Found::Nothing => Ok(RecordView::BLANK),
            Found::Unreadable => {
                let text = "cannot be read; attempts count from 0 and the last run as unfinished";
                problems.push(format!(".bellwether/steps/{name}.json {text}"));
                Ok(RecordView { last_end: LastEnd::Open, ..RecordView::BLANK })
            }
            // Left over: its leader died between commit and clearing.
            Found::Record(kept) if self.is_closed(scan, name, kept.rev()) => Ok(RecordView::BLANK),
            Found::Record(kept) => {
                let now = kept.not_before(self.revision()).and_then(|_| **clock);
                Ok(kept.view(self.revision(), now.map(VolumeNow::millis)))
            }
        }
    }

    /// Whether the revision that a record speaks of has done the step.
    pub(super) fn is_closed(&self, scan: &Scan, step: &StepName, rev: &str) -> bool {
        Revision::parse(rev).is_ok_and(|rev| self.is_done_in(scan, step.as_str(), &rev))
    }
}

/// Pairs claims and markers.
fn gather(scan: &Scan, clock: &LazyClock<'_>) -> Work {
    let mut work = Work::new();
    for claim in &scan.claims {
        let occupant = work.entry((claim.step.clone(), claim.rev.clone())).or_insert(NOBODY);
        occupant.claims.push(claim.epoch);
    }
    for shown in &scan.shown {
        let occupant = work.entry((shown.step.clone(), shown.rev.clone())).or_insert(NOBODY);
        // Two markers for one step (a word was changed): the one that beats is the one that counts.
        if occupant.stamp.is_some_and(|other| other.mtime >= shown.stamp.mtime) {
            continue;
        }
        occupant.stamp = Some(shown.stamp);
        occupant.age = clock.map(|now| now.age(shown.stamp.mtime));
        occupant.beat_every = shown.content.as_ref().ok().and_then(super::Marker::promise);
    }
    for occupant in work.values_mut() {
        occupant.claims.sort_unstable();
    }
    work
}
