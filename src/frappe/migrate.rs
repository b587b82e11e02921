//! The step `migrate`: every site's database is brought to this revision, while nobody is served from it.
//!
//! What was before is kept where a successor finds it: the value of maintenance mode, and the path of a backup. A migration
//! that fails stays failed until a person has looked at it; one whose process was killed is continued.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::bench::Bench;
use super::call::Call;
use super::echo::Echo;
use super::names::SiteName;
use super::record::{Progress, Record};
use super::site_config::SiteConfig;
use super::stage::Stage;
use super::trouble::Trouble;
use crate::process::boottime;

/// Between two looks at the queue.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is kept about a site.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Begun {
    /// Maintenance mode before we turned it on; kept until it is restored, whichever revision does that.
    was_in_maintenance: Option<bool>,
    /// The backup from before the first migration that has not ended well since.
    backup: Option<String>,
    /// The revision that has been migrated to.
    done: Option<String>,
}

impl Begun {
    /// What has been done, for people.
    fn describe(&self) -> String {
        self.backup.as_ref().map_or_else(|| "migrated".to_owned(), |path| format!("migrated, backup {path}"))
    }
}

/// Migrates every site that is not done yet.
pub(super) fn perform(stage: &Stage) -> Result<(), Trouble> {
    if !stage.settings.migrations {
        stage.echo().note("RUN_MIGRATIONS_ON_BOOT=no: nothing is migrated");
        return Ok(());
    }
    // What fails because a server is away would count for the worst.
    stage.await_servers()?;
    stage.each_site(|site, record, echo| on_site(stage, site, record, echo))
}

fn on_site(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<String, Trouble> {
    let begun = record.of(site).own;
    if begun.done.as_ref() == Some(&stage.revision) {
        return Ok(begun.describe());
    }
    if begun.done.is_some() {
        // An earlier revision's migration of this site ended well, though others' did not: its backup is none of this one's.
        record.change(site, |record| (record.own.done, record.own.backup) = (None, None))?;
    }
    close(stage, site, record, echo)?;
    drain(stage, site, record, echo)?;
    if stage.settings.backup && record.of(site).own.backup.is_none() {
        back_up(stage, site, record, echo)?;
    }
    record.tell(site, Progress::Running, "migrating")?;
    migrate(stage, site, echo)?;
    stage.run(&clear_cache_call(site), echo)?;
    stage.servers().forget_assets(|text| echo.note(text))?;
    open(stage, site, record, echo)?;
    record.change(site, |record| record.own.done = Some(stage.revision.clone()))?;
    Ok(record.of(site).own.describe())
}

/// Nobody is served while tables change. What was before is written down once: a successor must not take our own "on" for it.
fn close(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    let is_on = is_in_maintenance(&stage.bench, site)?;
    if record.of(site).own.was_in_maintenance.is_none() {
        record.change(site, |record| record.own.was_in_maintenance = Some(is_on))?;
    }
    say_undo(stage, record)?;
    if is_on { Ok(()) } else { switch_maintenance(stage, site, true, echo) }
}

fn open(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    let was_on = record.of(site).own.was_in_maintenance;
    if was_on == Some(true) {
        echo.note(&format!("{site} was in maintenance mode before, and stays there"));
    } else if is_in_maintenance(&stage.bench, site)? {
        switch_maintenance(stage, site, false, echo)?;
    }
    record.change(site, |record| record.own.was_in_maintenance = None)?;
    say_undo(stage, record)
}

fn switch_maintenance(stage: &Stage, site: &SiteName, is_on: bool, echo: &Echo<'_>) -> Result<(), Trouble> {
    let directory = stage.bench.site(site.as_str());
    echo.note(&format!("maintenance mode {}", if is_on { "on" } else { "off" }));
    match SiteConfig::write_maintenance(&directory, is_on) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::NotYet(format!("somebody else is changing the configuration of {site}"))),
        Err(error) => Err(Trouble::of_file(&SiteConfig::path(&directory), &error)),
    }
}

fn is_in_maintenance(bench: &Bench, site: &SiteName) -> Result<bool, Trouble> {
    let directory = bench.site(site.as_str());
    let config =
        SiteConfig::read(&directory).map_err(|error| Trouble::of_file(&SiteConfig::path(&directory), &error))?;
    let config = config.ok_or_else(|| {
        Trouble::ForGood(format!("{} is gone, though the site was there", SiteConfig::path(&directory).display()))
    })?;
    Ok(config.is_in_maintenance())
}

/// Waits for jobs that are queued, as long as somebody is there to do them. Where a whole stack begins together nobody is.
fn drain(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    let limit = stage.settings.drain;
    let begun = boottime::now();
    let call = queue_call(site);
    loop {
        let finished = stage.bench.ask(&call)?;
        if finished.status.success() {
            return Ok(());
        }
        // It ends with the same code when it cannot look.
        if !finished.said("NOT READY") {
            return finished.expect_success(&call);
        }
        if stage.servers().workers()? == 0 {
            echo.note("jobs are queued, but no worker is alive to do them: they are left for later");
            return Ok(());
        }
        let waited = boottime::now().since(begun);
        if waited >= limit {
            let waited = waited.as_secs();
            echo.note(&format!(
                "jobs are still queued after {waited} s (BELLWETHER_DRAIN_SECS): going on all the same"
            ));
            return Ok(());
        }
        if record.of(site).note != WAITS_FOR_JOBS {
            echo.note(&format!("{WAITS_FOR_JOBS}, for at most {} s (BELLWETHER_DRAIN_SECS)", limit.as_secs_f64()));
            record.tell(site, Progress::Running, WAITS_FOR_JOBS)?;
        }
        sleep(LOOK_EVERY.min(limit));
    }
}

const WAITS_FOR_JOBS: &str = "waiting for queued jobs";

fn back_up(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    record.tell(site, Progress::Running, "backing up")?;
    let directory = stage.bench.site(site.as_str()).join("private/backups");
    let before = dumps(&directory);
    stage.run(&backup_call(site), echo)?;
    let after = dumps(&directory);
    // Their names begin with the time, in whole seconds: one that was interrupted just now may have had the same.
    let Some((path, _)) = after.difference(&before).last() else {
        return Err(Trouble::Failed(format!(
            "bench has ended well, but there is no new backup in {}",
            directory.display()
        )));
    };
    echo.note(&format!("backup: {}", path.display()));
    record.change(site, |record| record.own.backup = Some(path.display().to_string()))?;
    say_undo(stage, record)
}

/// The dumps of the database in a directory of backups.
fn dumps(directory: &Path) -> BTreeSet<(PathBuf, Option<SystemTime>)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_dump = |entry: &DirEntry| entry.file_name().to_string_lossy().ends_with("-database.sql.gz");
    let written = |entry: &DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
    entries.filter(is_dump).map(|entry| (entry.path(), written(&entry))).collect()
}

/// Says what brings back the state from before, for whoever has to roll back.
fn say_undo(stage: &Stage, record: &Record<Begun>) -> Result<(), Trouble> {
    let bench = stage.bench.root().display();
    let undo = |site: &SiteName| {
        let begun = record.of(site).own;
        let open = format!("bench --site {site} set-maintenance-mode off");
        match (begun.backup, begun.was_in_maintenance) {
            (Some(backup), _) => Some(format!("cd {bench} && bench --site {site} restore {backup} --force && {open}")),
            (None, Some(false)) => {
                Some(format!("cd {bench} && {open}   # after restoring {site} yourself: no backup was taken"))
            }
            (None, _) => None,
        }
    };
    record.say_undo(stage.settings.sites.iter().filter_map(undo).collect())
}

fn migrate(stage: &Stage, site: &SiteName, echo: &Echo<'_>) -> Result<(), Trouble> {
    let call = migrate_call(site);
    let finished = stage.bench.run(&call, echo)?;
    if finished.status.success() {
        return Ok(());
    }
    if finished.said("LockTimeoutError") {
        return Err(Trouble::NotYet(format!("somebody else is still migrating {site}")));
    }
    if finished.status.code().is_none() {
        // Killed from outside, as by the kernel where memory is short: it goes on where it was.
        return Err(Trouble::Failed(format!("{call} {}", finished.describe())));
    }
    Err(Trouble::ForGood(format!(
        "{call} {}; {site} is left in maintenance mode; a migration that has failed is not repeated before somebody has \
         looked: mend the cause, then `bellwether retry`",
        finished.describe()
    )))
}

pub(super) fn queue_call(site: &SiteName) -> Call {
    Call::on(site.as_str(), &["ready-for-migration"])
}

pub(super) fn backup_call(site: &SiteName) -> Call {
    Call::on(site.as_str(), &["backup"])
}

pub(super) fn migrate_call(site: &SiteName) -> Call {
    Call::on(site.as_str(), &["migrate"])
}

pub(super) fn clear_cache_call(site: &SiteName) -> Call {
    Call::on(site.as_str(), &["clear-cache"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dumps_of_databases_count_as_backups() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20261121-a-database.sql.gz", "20261120-a-database.sql.gz", "20261121-a-site_config_backup.json"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found: Vec<PathBuf> = dumps(dir.path()).into_iter().map(|(path, _)| path).collect();
        assert_eq!(found.last().unwrap(), &dir.path().join("20261121-a-database.sql.gz"));
        assert_eq!(found.len(), 2);
        assert!(dumps(Path::new("/nowhere")).is_empty());
    }
}
