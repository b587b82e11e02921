//! The step `migrate`: every site's database is brought to this revision, while nobody is served from it.
//!
//! What was before is kept where a successor finds it: the value of maintenance mode, and the path of a backup. A migration
//! that fails stays failed until a person has looked at it; one whose process was killed is continued.

use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backups::{self, restore_call};
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
    /// Whether we have turned maintenance mode on and not yet off.
    is_closed: bool,
    /// The oldest first; from before each migration since the step last ended well.
    backups: Vec<Backup>,
    /// The revision that has been migrated to.
    done: Option<String>,
}

/// A dump of a site's database.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Backup {
    /// The revision whose migration came next.
    before: String,
    path: String,
}

impl Begun {
    /// The newest one.
    fn backup_before(&self, revision: &str) -> Option<&Backup> {
        self.backups.iter().rfind(|backup| backup.before == revision)
    }

    /// What has been done, for people.
    fn describe(&self, revision: &str) -> String {
        let backup = self.backup_before(revision).map(|backup| format!(", backup {}", backup.path));
        format!("migrated{}", backup.unwrap_or_default())
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
    let done = stage.each_site(|site, record, echo| on_site(stage, site, record, echo));
    if let Err(Trouble::Failed(_) | Trouble::ForGood(_)) = &done {
        // Until somebody goes on, others may have brought back what was before, of every site.
        stage.reopen::<Begun>()?.change_all(|record| record.own.done = None)?;
    }
    done
}

fn on_site(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<String, Trouble> {
    let begun = record.of(site).own;
    if begun.done.as_ref() == Some(&stage.revision) {
        return Ok(begun.describe(&stage.revision));
    }
    let has_served_since = close(stage, site, record, echo)?;
    drain(stage, site, record, echo)?;
    if stage.settings.backup && (has_served_since || begun.backup_before(&stage.revision).is_none()) {
        back_up(stage, site, record, echo)?;
    }
    record.tell(site, Progress::Running, "migrating")?;
    migrate(stage, site, echo)?;
    stage.run(&clear_cache_call(site), echo)?;
    stage.servers().forget_assets(|text| echo.note(text))?;
    open(stage, site, record, echo)?;
    record.change(site, |record| record.own.done = Some(stage.revision.clone()))?;
    Ok(record.of(site).own.describe(&stage.revision))
}

/// Nobody is served while tables change. The site's own configuration says that it was us, so that no successor takes our "on"
/// for what was before. `true`: somebody has opened the site since, as after a rollback, and an earlier backup lacks what has
/// come in.
fn close(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<bool, Trouble> {
    let is_on = config_of(&stage.bench, site)?.is_in_maintenance();
    let begun = record.of(site).own;
    if !is_on {
        record.change(site, |record| record.own.is_closed = true)?;
        say_undo(stage, record)?;
        switch_maintenance(stage, site, true, echo)?;
    }
    Ok(!is_on && begun.backup_before(&stage.revision).is_some())
}

fn open(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    let config = config_of(&stage.bench, site)?;
    if config.is_closed_by_us() {
        switch_maintenance(stage, site, false, echo)?;
    } else if config.is_in_maintenance() {
        echo.note(&format!("{site} was in maintenance mode before, and stays there"));
    }
    record.change(site, |record| record.own.is_closed = false)?;
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

fn config_of(bench: &Bench, site: &SiteName) -> Result<SiteConfig, Trouble> {
    let directory = bench.site(site.as_str());
    let config =
        SiteConfig::read(&directory).map_err(|error| Trouble::of_file(&SiteConfig::path(&directory), &error))?;
    config.ok_or_else(|| {
        Trouble::ForGood(format!("{} is gone, though the site was there", SiteConfig::path(&directory).display()))
    })
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
            record.tell(site, Progress::Running, WAITS_FOR_JOBS)?;
            echo.note(&format!("{WAITS_FOR_JOBS}, for at most {} s (BELLWETHER_DRAIN_SECS)", limit.as_secs_f64()));
        }
        sleep(LOOK_EVERY.min(limit));
    }
}

const WAITS_FOR_JOBS: &str = "waiting for queued jobs";

fn back_up(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    record.tell(site, Progress::Running, "backing up")?;
    let directory = backups::directory(&stage.bench.site(site.as_str()));
    let before = backups::dumps(&directory);
    stage.run(&backup_call(site), echo)?;
    let after = backups::dumps(&directory);
    // Their names begin with the time, in whole seconds: one that was interrupted just now may have had the same.
    let Some((path, _)) = after.difference(&before).last() else {
        return Err(Trouble::Failed(format!(
            "bench has ended well, but there is no new backup in {}",
            directory.display()
        )));
    };
    echo.note(&format!("backup: {}", path.display()));
    let backup = Backup { before: stage.revision.clone(), path: path.display().to_string() };
    record.change(site, |record| record.own.backups.push(backup))?;
    say_undo(stage, record)
}

/// Says what brings back the state from before, for whoever has to roll back.
fn say_undo(stage: &Stage, record: &Record<Begun>) -> Result<(), Trouble> {
    let bench = stage.bench.root().display().to_string();
    let root = &stage.settings.database.root_user;
    let undo = |site: &SiteName| undo(&bench, site, root, &record.of(site).own);
    let mut lines: Vec<String> = stage.settings.sites.iter().flat_map(undo).collect();
    if !lines.is_empty() {
        let revision = &stage.revision;
        lines.push(format!(
            "IMAGE_REV={revision} bellwether reset   # so that {revision} begins anew when it comes again"
        ));
    }
    record.say_undo(lines)
}

/// The commands for one site. Maintenance mode is ours to turn off if we have turned it on.
fn undo(bench: &str, site: &SiteName, root: &str, begun: &Begun) -> Vec<String> {
    let open = if begun.is_closed { format!(" && {}", open_call(site)) } else { String::new() };
    let restore = |Backup { path, .. }: &Backup| format!("cd {bench} && {}{open}", restore_call(site, path, root));
    match begun.backups.as_slice() {
        [] if open.is_empty() => Vec::new(),
        [] => vec![format!("# {site}: restore a backup of your own, then"), format!("cd {bench}{open}")],
        [only] => vec![restore(only)],
        // Somebody may have worked in between, so which one is wanted is not for us to say. They stand in the order they were
        // taken in.
        [earlier @ .., last] => {
            let line = |backup: &Backup, note: &str| format!("{}   # before {}{note}", restore(backup), backup.before);
            earlier.iter().map(|backup| line(backup, "")).chain([line(last, ", the newest")]).collect()
        }
    }
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

/// For people: we write the file ourselves, in one step.
fn open_call(site: &SiteName) -> Call {
    Call::on(site.as_str(), &["set-maintenance-mode", "off"])
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
    fn what_brings_back_the_state_from_before_is_what_has_been_done() {
        let site = SiteName::parse("a.localhost").unwrap();
        let said = |is_closed, backups: &[(&str, &str)]| {
            let backup = |&(before, path): &(&str, &str)| Backup { before: before.to_owned(), path: path.to_owned() };
            let begun = Begun { is_closed, backups: backups.iter().map(backup).collect(), done: None };
            undo("/bench", &site, "root", &begun).join("\n")
        };
        assert_eq!(said(false, &[]), "");
        insta::assert_snapshot!(said(true, &[]), @"
        # a.localhost: restore a backup of your own, then
        cd /bench && bench --site a.localhost set-maintenance-mode off
        ");
        insta::assert_snapshot!(said(true, &[("v2", "/b/2.sql.gz")]), @"cd /bench && bench --site a.localhost restore /b/2.sql.gz --force --db-root-username root && bench --site a.localhost set-maintenance-mode off");
        insta::assert_snapshot!(said(false, &[("v2", "/b/2.sql.gz"), ("v3", "/b/3.sql.gz")]), @"
        cd /bench && bench --site a.localhost restore /b/2.sql.gz --force --db-root-username root   # before v2
        cd /bench && bench --site a.localhost restore /b/3.sql.gz --force --db-root-username root   # before v3, the newest
        ");
    }
}
