//! What `status` shows of the markers.

use std::time::Duration;

use super::clock::{VolumeNow, mtime_nanos};
use super::marker::MARKER_LIMIT;
use super::scan::Shown;
use super::{Marker, UnixMillis, Volume, VolumeError, files};

/// What a marker says by its name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MarkerKind {
    /// Somebody is, or was, at work.
    InProgress,
    /// A step is done.
    Done,
    /// Every step is done.
    Ready,
    /// A step has failed for good; [`Volume::read_failed`] tells more.
    Failed,
}

/// One marker, for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MarkerInfo {
    /// Its name in the root.
    pub file_name: String,
    /// What it says by its name.
    pub kind: MarkerKind,
    /// The step, if it is about one.
    pub step: Option<String>,
    /// The revision.
    pub rev: String,
    /// What it says by its content; `None` if that cannot be read, and for a failed marker.
    pub content: Option<Marker>,
    /// When it was last touched, by the volume's clock.
    pub touched: UnixMillis,
    /// How long ago that was, by the same clock; `None` where we cannot write.
    pub age: Option<Duration>,
    /// What is wrong with it, as the rest of a sentence that begins with its name.
    pub problem: Option<String>,
}

impl Volume {
    /// The markers of our revision, and those in progress of every revision, by name. What stands in a marker's place
    /// without being one is listed with its problem. Works on a read-only mount.
    ///
    /// # Errors
    ///
    /// A [`VolumeError`].
    pub fn markers(&self) -> Result<Vec<MarkerInfo>, VolumeError> {
        let scan = self.scan()?;
        let now = self.clock();
        let mut infos: Vec<MarkerInfo> = scan.shown.into_iter().map(|shown| info_of(shown, now)).collect();
        let rev = self.revision();
        let done = self.plan().iter().map(|(_, step)| (step.done.done(rev), MarkerKind::Done, Some(&step.name)));
        let others = [(rev.ready_marker(), MarkerKind::Ready, None), (rev.failed_marker(), MarkerKind::Failed, None)];
        for (name, kind, step) in done.chain(others) {
            if scan.names.contains_key(&name) {
                infos.extend(self.info(name, kind, step.map(ToString::to_string), now));
            }
        }
        infos.sort_by(|one, two| one.file_name.cmp(&two.file_name));
        Ok(infos)
    }

    fn info(
        &self,
        file_name: String,
        kind: MarkerKind,
        step: Option<String>,
        now: Option<VolumeNow>,
    ) -> Option<MarkerInfo> {
        let path = self.root().join(&file_name);
        let (content, problem, touched) = match files::read_small(&path, MARKER_LIMIT) {
            // Gone in the meantime.
            Ok(None) => return None,
            Ok(Some((_, stat))) if kind == MarkerKind::Failed => (None, None, Some(mtime_nanos(&stat))),
            Ok(Some((content, stat))) => {
                let parsed = Marker::parse(&content);
                let problem = parsed.as_ref().err().map(|&problem| problem.to_owned());
                (parsed.ok(), problem, Some(mtime_nanos(&stat)))
            }
            Err(error) => (None, Some(error.to_string()), None),
        };
        let rev = self.revision().to_string();
        let age = now.zip(touched).map(|(now, touched)| now.age(touched));
        Some(MarkerInfo { file_name, kind, step, rev, content, touched: millis(touched.unwrap_or(0)), age, problem })
    }
}

fn info_of(shown: Shown, now: Option<VolumeNow>) -> MarkerInfo {
    let problem = shown.content.as_ref().err().map(|&problem| problem.to_owned());
    MarkerInfo {
        file_name: shown.file_name,
        kind: MarkerKind::InProgress,
        step: Some(shown.step),
        rev: shown.rev.to_string(),
        content: shown.content.ok(),
        touched: millis(shown.stamp.mtime),
        age: now.map(|now| now.age(shown.stamp.mtime)),
        problem,
    }
}

fn millis(nanos: i128) -> UnixMillis {
    UnixMillis(u64::try_from(nanos / 1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::super::testing::{ASSETS, DONE, MIGRATE, Scratch, claimed};
    use super::*;
    use crate::protocol::Epoch;

    #[test]
    fn markers_are_listed_with_what_is_wrong_with_them() {
        let scratch = Scratch::new();
        let volume = scratch.volume();
        let mut held = claimed(&volume, MIGRATE, 3, &[]);
        volume.commit(&mut held, &DONE).unwrap();
        let _held = claimed(&volume, ASSETS, 3, &[]);
        volume.write_failed(Epoch(3), &Failure::default()).unwrap();
        scratch.write(".migrating_in_progress_v0", "2024-05-01");
        scratch.write(".migrated_v0", "");
        scratch.write(".ready_v1", "");
        let markers = volume.markers().unwrap();
        let summary: Vec<(&str, MarkerKind, Option<&str>)> =
            markers.iter().map(|info| (info.file_name.as_str(), info.kind, info.problem.as_deref())).collect();
        assert_eq!(
            summary,
            [
                (".assets_building_in_progress_v1", MarkerKind::InProgress, None),
                (".failed_v1", MarkerKind::Failed, None),
                (".migrated_v1", MarkerKind::Done, None),
                (".migrating_in_progress_v0", MarkerKind::InProgress, Some("is not a marker of ours")),
                (".ready_v1", MarkerKind::Ready, Some("is empty")),
            ]
        );
        assert_eq!(markers[2].content.as_ref().unwrap().duration_ms, Some(1_000));
        assert_eq!(markers[3].step.as_deref(), Some("migrate"));
        assert!(markers[0].age.is_some() && markers[0].touched > UnixMillis(0));
    }

    #[test]
    fn a_directory_in_a_done_markers_place_is_listed_with_its_problem() {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path(".migrated_v1")).unwrap();
        let markers = scratch.volume().markers().unwrap();
        assert!(markers[0].problem.as_ref().unwrap().contains("is a directory"), "{markers:?}");
    }
}
