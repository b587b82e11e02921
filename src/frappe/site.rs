//! The step `site`: every site exists and is whole.
//!
//! bench leaves a directory behind whatever goes wrong, and then says that the site exists. What tells a whole site is the
//! row with Administrator's password, which is written last. A site that lacks it is mended only if our own record proves
//! that we were creating it, on a database that was not there before; everything else is left to a person.

mod judge;
mod refusal;

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bench::{Bench, Finished, is_there, shown};
use super::call::Call;
use super::config;
use super::echo::Echo;
use super::files;
use super::names::SiteName;
use super::record::{Progress, Record};
use super::servers::Own;
use super::settings::{Database, Kind, Settings, is_folded};
use super::site_config::SiteConfig;
use super::stage::Stage;
use super::trouble::Trouble;
use crate::LocalBrief;
use judge::{Facts, Verdict, judge};
use refusal::{refusal, skipped, unreadable};

/// While a half-made site is removed, nothing waits longer for a lock that somebody else's session holds.
const LOCK_WAIT_SECS: u32 = 30;

/// Where the directories of half-made sites go, on the volume.
const ARCHIVE: &str = "archived";

/// What is kept about a site.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Begun {
    /// The database that we are creating, and its server; it was not there before.
    creating: Option<String>,
}

/// Every site exists, and the first is the default one.
pub(super) fn perform(stage: &Stage) -> Result<(), Trouble> {
    stage.each_site(|site, record, echo| on_site(stage, site, record, echo))?;
    let first = &stage.settings.sites[0];
    if config::choose_default(stage.bench.sites(), first.as_str())? {
        stage.echo().note(&format!("{first} is the default site"));
    }
    Ok(())
}

fn on_site(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<String, Trouble> {
    let facts = look(stage, site, record, echo)?;
    let verdict = judge(&facts);
    if stage.settings.skip_init && !matches!(verdict, Verdict::Keep) {
        return Err(Trouble::ForGood(skipped(stage, site, &facts)));
    }
    let found = facts.found.clone().unwrap_or_default();
    match verdict {
        Verdict::Keep => {
            if !facts.own.login {
                let path = SiteConfig::path(&stage.bench.site(site.as_str()));
                echo.note(&format!("{site} is whole, but its own user cannot log in: look at {}", path.display()));
            }
            // It is whole, so whatever was begun has ended.
            record.change(site, |record| record.own = Begun::default())?;
            return Ok("exists".to_owned());
        }
        Verdict::Refuse(why) => return Err(Trouble::ForGood(refusal(stage, site, &found, why))),
        Verdict::Repair | Verdict::CreateOver if found.sessions > 0 => return Err(somebody_uses(site)),
        Verdict::Repair => {
            echo.note(&format!("{site} was left half-made by us: it is removed and created again"));
            record.tell(site, Progress::Running, "removing what was left half-made")?;
            remove(stage, site, &found.name, echo)?;
        }
        Verdict::CreateOver => set_aside(stage, site, echo)?,
        Verdict::Create => {}
    }
    create(stage, site, record, echo)?;
    Ok("created".to_owned())
}

/// Everything that tells what a site is, unless somebody is creating it just now.
fn look(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<Facts, Trouble> {
    if is_being_created(&stage.bench, site) {
        return Err(somebody_creates(site));
    }
    let directory = stage.bench.site(site.as_str());
    let creating = record.of(site).own.creating;
    let config = match SiteConfig::read(&directory) {
        Ok(config) => config,
        // bench does not write it in one step, so a creation of ours that was killed may have torn it.
        Err(error) if error.kind() == io::ErrorKind::InvalidData && creating.is_some() => None,
        Err(error) => return Err(unreadable(site, &SiteConfig::path(&directory), &error)),
    };
    let config = config.filter(|config| config.text("db_name").is_some());
    let servers = stage.servers();
    let own = match &config {
        Some(config) => servers.own(config, |text| echo.note(text))?,
        None => Own::default(),
    };
    // Who can look as the site itself needs no administrator.
    let found = if own.whole {
        None
    } else {
        let named = config.as_ref().and_then(|config| config.text("db_name"));
        servers.site(site.as_str(), named.or(stage.settings.database.name.as_deref()), |text| echo.note(text))?
    };
    let is_ours = found.as_ref().is_some_and(|found| creating == Some(place(&stage.settings, &found.name)));
    Ok(Facts { has_directory: is_there(&directory), has_config: config.is_some(), own, found, is_ours })
}

/// A database, and the server it is on: the same name elsewhere is another one.
fn place(settings: &Settings, name: &str) -> String {
    let Database { kind, host, port, .. } = &settings.database;
    format!("{}://{host}:{port}/{name}", kind.word())
}

fn remove(stage: &Stage, site: &SiteName, name: &str, echo: &Echo<'_>) -> Result<(), Trouble> {
    if stage.settings.database.kind == Kind::Postgres && !is_folded(name) {
        return Err(Trouble::ForGood(format!(
            "the database {name} of {site} was left half-made by us, but without quotes, as bench drops it, it is another one; \
             drop it by hand"
        )));
    }
    let call = drop_call(&stage.settings, site, &shown(stage.bench.sites().join(ARCHIVE)));
    let finished = stage.bench.run(&call, echo)?;
    expect_unused(&finished, site)?;
    finished.expect_success(&call)
}

/// What is left of a directory whose configuration says nothing: bench would stumble over it.
fn set_aside(stage: &Stage, site: &SiteName, echo: &Echo<'_>) -> Result<(), Trouble> {
    let (path, archive) = (stage.bench.site(site.as_str()), stage.bench.sites().join(ARCHIVE));
    if !is_there(&path) {
        return Ok(());
    }
    let aside = free_aside(stage, site);
    let moved = fs::create_dir_all(&archive).and_then(|()| fs::rename(&path, &aside));
    moved.map_err(|error| Trouble::of_file(&path, &error))?;
    echo.note(&format!("{site} was left half-made by us: its directory is {} now", aside.display()));
    Ok(())
}

/// Where a directory may be moved to: on the volume, which the container's end does not take along.
fn free_aside(stage: &Stage, site: &SiteName) -> PathBuf {
    let archive = stage.bench.sites().join(ARCHIVE);
    files::first_free(|number| match number {
        0 => archive.join(site.as_str()),
        number => archive.join(format!("{site}.{number}")),
    })
}

/// What somebody's session holds cannot be removed before that ends.
fn expect_unused(finished: &Finished, site: &SiteName) -> Result<(), Trouble> {
    let words = ["Lock wait timeout", "due to lock timeout", "being accessed by other users"];
    if finished.status.success() || !words.iter().any(|words| finished.said(words)) {
        return Ok(());
    }
    Err(somebody_uses(site))
}

fn somebody_uses(site: &SiteName) -> Trouble {
    Trouble::NotYet(format!(
        "somebody still uses the database of {site}, which was left half-made; stop whoever serves it, or wait until it is restored"
    ))
}

/// Whether a `bench new-site` is at work, ours or not: nothing that it makes is to be judged or removed before it ends.
fn is_being_created(bench: &Bench, site: &SiteName) -> bool {
    files::is_locked(&bench.site(site.as_str()).join("locks/bench_new_site.lock"))
}

fn somebody_creates(site: &SiteName) -> Trouble {
    Trouble::NotYet(format!("somebody else is creating {site}"))
}

fn create(stage: &Stage, site: &SiteName, record: &Record<Begun>, echo: &Echo<'_>) -> Result<(), Trouble> {
    let before = record.of(site).own;
    let scope_option = scope_option(&stage.bench)?;
    // That took a while, and somebody else may have come.
    let facts = look(stage, site, record, echo)?;
    let is_over = match judge(&facts) {
        Verdict::Create => false,
        Verdict::CreateOver => true,
        _ => return Err(somebody_creates(site)),
    };
    // Nothing is to be created where the server did not let us look.
    let name = facts.found.unwrap_or_default().name;
    record.change(site, |record| {
        (record.progress, record.note) = (Progress::Running, "creating".to_owned());
        record.own.creating = Some(place(&stage.settings, &name));
    })?;
    let mut call = new_site_call(&stage.settings, site, scope_option, &name);
    if is_over {
        // Proved ours, and without the row that makes a site whole.
        call = call.words(&["--force"]).lock_wait(LOCK_WAIT_SECS);
    }
    let finished = stage.bench.run(&call, echo)?;
    if finished.said("LockTimeoutError") || !is_over && finished.said("already exists") {
        // It was not us who have begun it.
        record.change(site, |record| record.own = before)?;
        return Err(somebody_creates(site));
    }
    expect_unused(&finished, site)?;
    finished.expect_success(&call)?;
    let facts = look(stage, site, record, echo)?;
    if judge(&facts) != Verdict::Keep {
        return Err(Trouble::Failed(format!("{call} has ended well, but Administrator has no password in {site}")));
    }
    record.change(site, |record| record.own = Begun::default())
}

/// What of the sites that are asked for is not among those that the revision was made ready for. Looks at its marker alone.
pub(super) fn tell_of_missing(brief: &LocalBrief<'_>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Marker {
        parts: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        name: String,
    }
    let path = brief.volume.join(format!(".site_created_{}", brief.revision));
    let marker = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str::<Marker>(&text).ok());
    let Some(Marker { parts }) = marker else { return Vec::new() };
    let sites = Settings::sites_alone(brief.lookup);
    let missing = sites.iter().filter(|site| parts.iter().all(|part| part.name != site.as_str()));
    let tell =
        |site| format!("{site} is none of the sites of revision {}; it is created with a new revision", brief.revision);
    missing.map(tell).collect()
}

/// The option that lets the site's user log in from other hosts; newer versions call it otherwise.
fn scope_option(bench: &Bench) -> Result<&'static str, Trouble> {
    let help = bench.ask(&Call::new(&["new-site", "--help"]))?;
    Ok(if help.said(NEW_SCOPE_OPTION) { "--mariadb-user-host-login-scope=%" } else { "--no-mariadb-socket" })
}

const NEW_SCOPE_OPTION: &str = "--mariadb-user-host-login-scope";

/// `bench new-site`. `name`: of the database.
pub(super) fn new_site_call(settings: &Settings, site: &SiteName, scope_option: &str, name: &str) -> Call {
    let Settings { database, admin_password, .. } = settings;
    let Database { kind, root_user, root_password, password, .. } = database;
    let mut call = Call::new(&["new-site", site.as_str(), "--db-type", kind.word()]);
    if *kind == Kind::MariaDb {
        call = call.words(&[scope_option]);
    }
    call = call.words(&["--db-name", name]);
    if let Some(password) = password {
        call = call.secret("--db-password", password);
    }
    call = call.words(&["--db-root-username", root_user]);
    call = call.secret("--db-root-password", root_password.as_deref().unwrap_or_default());
    call.secret("--admin-password", admin_password.as_deref().unwrap_or_default())
}

/// `bench drop-site`, which removes database, user and directory. Only ever for what we have begun ourselves.
/// `archive`: where its directory goes; bench's own place may be read-only.
fn drop_call(settings: &Settings, site: &SiteName, archive: &str) -> Call {
    let Database { root_user, root_password, .. } = &settings.database;
    let call = Call::new(&["drop-site", site.as_str(), "--no-backup", "--force", "--archived-sites-path", archive]);
    let call = call.words(&["--db-root-username", root_user]);
    call.secret("--db-root-password", root_password.as_deref().unwrap_or_default()).lock_wait(LOCK_WAIT_SECS)
}
