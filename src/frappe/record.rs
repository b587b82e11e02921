//! A step's own file on the volume: how far each site has come, for the run that follows and for people.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files;
use super::names::SiteName;
use super::trouble::Trouble;

/// How far a site has come, as people see it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Progress {
    #[default]
    Waiting,
    Running,
    Done,
    Failed,
}

/// What is known about one site; `T` belongs to the step.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct SiteRecord<T> {
    pub(super) progress: Progress,
    pub(super) note: String,
    #[serde(flatten)]
    pub(super) own: T,
}

/// What status shows: the same, by the keys that Bellwether reads of a record.
#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    state: Progress,
    note: &'a str,
}

#[derive(Deserialize)]
#[serde(default, bound = "T: DeserializeOwned + Default")]
struct Read<T> {
    sites: BTreeMap<String, SiteRecord<T>>,
    undo: Vec<String>,
}

impl<T> Default for Read<T> {
    fn default() -> Read<T> {
        Read { sites: BTreeMap::new(), undo: Vec::new() }
    }
}

#[derive(Serialize)]
struct Written<'a, T> {
    parts: Vec<Part<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    undo: &'a [String],
    sites: &'a BTreeMap<String, SiteRecord<T>>,
}

struct Content<T> {
    sites: BTreeMap<String, SiteRecord<T>>,
    /// The sites of this run, in their order: what people see.
    shown: Vec<SiteName>,
    undo: Vec<String>,
}

/// The record, shared by the threads that work on sites.
pub(super) struct Record<T> {
    path: PathBuf,
    content: Mutex<Content<T>>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned> Record<T> {
    /// Reads what an earlier run has left. Sites that are not this step's any more are kept: what was begun there may not
    /// be forgotten.
    pub(super) fn open(path: PathBuf, sites: &[SiteName]) -> Result<Record<T>, Trouble> {
        let text = files::read(&path).map_err(|error| Trouble::of_file(&path, &error))?.unwrap_or_default();
        let read: Read<T> = if text.trim().is_empty() {
            Read::default()
        } else {
            // It is replaced whole, so nobody but a person can have torn it; to go on without it could do harm.
            serde_json::from_str(&text).map_err(|error| {
                Trouble::ForGood(format!(
                    "{} is no record of ours any more: {error}; remove it if you know why",
                    path.display()
                ))
            })?
        };
        let Read { sites: mut known, undo } = read;
        for site in sites {
            known.entry(site.to_string()).or_default();
        }
        Ok(Record { path, content: Mutex::new(Content { sites: known, shown: sites.to_vec(), undo }) })
    }

    fn lock(&self) -> MutexGuard<'_, Content<T>> {
        // Whoever panicked has not left half a value.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known about a site.
    pub(super) fn of(&self, site: &SiteName) -> SiteRecord<T> {
        self.lock().sites.get(site.as_str()).cloned().unwrap_or_default()
    }

    /// Changes it, on the volume as well: on return it survives a power loss.
    pub(super) fn change(&self, site: &SiteName, change: impl FnOnce(&mut SiteRecord<T>)) -> Result<(), Trouble> {
        let mut content = self.lock();
        change(content.sites.entry(site.to_string()).or_default());
        self.write(&content)
    }

    /// Changes what is known about every site.
    pub(super) fn change_all(&self, change: impl FnMut(&mut SiteRecord<T>)) -> Result<(), Trouble> {
        let mut content = self.lock();
        content.sites.values_mut().for_each(change);
        self.write(&content)
    }

    /// What a person sees of it.
    pub(super) fn tell(&self, site: &SiteName, progress: Progress, note: &str) -> Result<(), Trouble> {
        self.change(site, |record| (record.progress, record.note) = (progress, note.to_owned()))
    }

    /// What brings back the state from before the step; replaces what was said.
    pub(super) fn say_undo(&self, undo: Vec<String>) -> Result<(), Trouble> {
        let mut content = self.lock();
        content.undo = undo;
        self.write(&content)
    }

    fn write(&self, content: &Content<T>) -> Result<(), Trouble> {
        let Content { sites, shown, undo } = content;
        let parts = shown.iter().filter_map(|site| {
            let SiteRecord { progress, note, .. } = sites.get(site.as_str())?;
            Some(Part { name: site.as_str(), state: *progress, note })
        });
        let written = Written { parts: parts.collect(), undo, sites };
        let text = serde_json::to_vec_pretty(&written).map_err(|error| Trouble::Failed(error.to_string()))?;
        files::replace(&self.path, &text, 0o600).map_err(|error| Trouble::of_file(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
    #[serde(default)]
    struct Own {
        installing: Option<String>,
    }

    fn sites(names: &[&str]) -> Vec<SiteName> {
        names.iter().map(|name| SiteName::parse(name).unwrap()).collect()
    }

    #[test]
    fn the_next_run_finds_what_this_one_has_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("apps.data");
        let [a, b] = sites(&["a", "b"]).try_into().unwrap();
        let record: Record<Own> = Record::open(path.clone(), &[a.clone(), b.clone()]).unwrap();
        record.tell(&a, Progress::Running, "hrms").unwrap();
        record.change(&a, |record| record.own.installing = Some("hrms".to_owned())).unwrap();
        record.say_undo(vec!["restore".to_owned()]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["parts"][0]["state"], "running");
        assert_eq!(json["parts"][1]["name"], "b");
        assert_eq!(json["undo"][0], "restore");
        // A site that is no longer asked for is not shown, but known.
        let record: Record<Own> = Record::open(path.clone(), std::slice::from_ref(&b)).unwrap();
        assert_eq!(record.of(&a).own.installing.as_deref(), Some("hrms"));
        record.tell(&b, Progress::Done, "").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["parts"].as_array().unwrap().len(), 1);
        assert_eq!(json["sites"]["a"]["installing"], "hrms");
    }

    #[test]
    fn a_record_that_was_torn_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.data");
        std::fs::write(&path, "{\"sites\":").unwrap();
        let opened: Result<Record<Own>, Trouble> = Record::open(path, &[]);
        assert!(matches!(opened.err(), Some(Trouble::ForGood(text)) if text.contains("site.data")));
    }
}
