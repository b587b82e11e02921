//! A plan made from what stands on the volume, for who looks without the plan file.
//!
//! Steps that have not begun, and the order, are not known then.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::protocol::{MarkerWord, Plan, Revision, Step, StepName, parse_in_progress};
use crate::volume::{Marker, Record};

/// The only step of a sketch where nothing was found, because a plan is never empty. Never shown.
pub(super) const NOTHING: &str = "nothing-begun-here";

/// No more of a file is read, in bytes.
const LIMIT: u64 = 64 * 1024;

#[derive(Debug, Default)]
struct Found {
    in_progress: Option<MarkerWord>,
    done: Option<MarkerWord>,
    /// When it was begun, to put the steps in their order.
    started: Option<String>,
}

/// The steps of `rev` of which the volume tells. What cannot be read is not told of.
pub(in crate::commands) fn of(root: &Path, rev: &Revision) -> Plan {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let suffix = format!("_{rev}");
    for (name, path) in files(root) {
        if !name.starts_with('.') || !name.ends_with(&suffix) {
            continue;
        }
        let Some(marker) = content::<Marker>(&path).filter(|marker| marker.rev == rev.as_str()) else { continue };
        let Some(step) = marker.step else { continue };
        let entry = found.entry(step).or_default();
        if name == rev.failed_marker() {
            continue;
        }
        if let Some((word, _)) = parse_in_progress(&name).filter(|(_, of)| of == rev) {
            entry.in_progress = Some(word);
            entry.done = entry.done.take().or(marker.done.and_then(|word| MarkerWord::parse(&word).ok()));
        } else if let Some(word) = name.strip_prefix('.').and_then(|name| name.strip_suffix(&suffix)) {
            entry.done = MarkerWord::parse(word).ok();
        }
        entry.started = entry.started.take().or(marker.started_at);
    }
    for (name, path) in files(&root.join(".bellwether/steps")) {
        let step = name.strip_suffix(".json").filter(|step| !found.contains_key(*step));
        if let (Some(step), Some(record)) = (step, content::<Record>(&path).filter(|record| record.rev == rev.as_str()))
        {
            let started = record.started_at.map(|at| at.to_string());
            found.insert(step.to_owned(), Found { started, ..Found::default() });
        }
    }
    assemble(found)
}

fn assemble(found: BTreeMap<String, Found>) -> Plan {
    let mut found: Vec<(String, Found)> = found.into_iter().collect();
    found.sort_by(|(_, one), (_, two)| one.started.cmp(&two.started));
    let mut plan: Option<Plan> = None;
    for (name, found) in found {
        let Some(step) = step(&name, found.in_progress, found.done) else { continue };
        let known = plan.iter().flat_map(Plan::iter).map(|(_, step)| step.clone());
        // Two whose markers could be mistaken for each other are no plan; the first of them is.
        plan = Plan::new(known.chain([step]).collect()).ok().or(plan);
    }
    let nothing = || step(NOTHING, None, None).and_then(|step| Plan::new(vec![step]).ok());
    plan.or_else(nothing).expect("a single step with words of its own is a plan")
}

fn step(name: &str, in_progress: Option<MarkerWord>, done: Option<MarkerWord>) -> Option<Step> {
    Some(Step {
        name: StepName::parse(name).ok()?,
        in_progress: in_progress.or_else(|| MarkerWord::parse(name).ok())?,
        done: done.or_else(|| MarkerWord::parse(&format!("{name}_done")).ok())?,
        after: std::collections::BTreeSet::new(),
        timeout: None,
        max_attempts: 1,
    })
}

/// The regular files in a directory; none if it cannot be read.
fn files(directory: &Path) -> Vec<(String, std::path::PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let regular = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let small = regular.filter(|entry| entry.metadata().is_ok_and(|stat| stat.len() <= LIMIT));
    let mut files: Vec<_> =
        small.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect();
    files.sort();
    files
}

fn content<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
