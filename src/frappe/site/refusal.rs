//! Why a site is not touched, and what a person could do.

use std::io;
use std::path::Path;

use super::judge::{Facts, Why};
use super::{ARCHIVE, free_aside};
use crate::frappe::backups::{self, restore_call};
use crate::frappe::bench::shown;
use crate::frappe::call::Call;
use crate::frappe::names::SiteName;
use crate::frappe::servers::Found;
use crate::frappe::settings::{Database, Settings};
use crate::frappe::site_config::SiteConfig;
use crate::frappe::stage::Stage;
use crate::frappe::trouble::Trouble;

/// What a person types when the cause is mended.
const RETRY: &str = "    bellwether retry";

pub(super) fn unreadable(site: &SiteName, path: &Path, error: &io::Error) -> Trouble {
    let repair = match error.kind() {
        io::ErrorKind::PermissionDenied => "let the user that the steps run as read it (chown, chmod)".to_owned(),
        io::ErrorKind::NotADirectory => format!("{site} has to be a directory; move away what is there"),
        _ => format!(
            "put it back (db_name, db_password, encryption_key), from {site}/private/backups/*-site_config_backup.json if \
             there is one"
        ),
    };
    Trouble::ForGood(format!("{}: {error}; {repair}, then\n    bellwether retry", path.display()))
}

pub(super) fn skipped(stage: &Stage, site: &SiteName, facts: &Facts) -> String {
    let directory = stage.shown_site(site);
    let found = match (facts.has_directory, facts.has_config, facts.own.login) {
        (false, ..) => format!("there is no {directory}"),
        (_, false, _) => format!("{directory} has no site_config.json"),
        (.., false) => "its database does not let it log in".to_owned(),
        _ => "Administrator has no password there".to_owned(),
    };
    format!("SKIP_INIT=1, but {site} is no whole site: {found}; unset SKIP_INIT to let it be created, or restore it")
}

/// Why we do not touch it, and what a person could do.
pub(super) fn refusal(stage: &Stage, site: &SiteName, found: &Found, why: Why) -> String {
    let directory = stage.shown_site(site);
    let name = &found.name;
    match why {
        Why::HalfMade => half_made(stage, site, found),
        Why::DatabaseAlone | Why::NoConfig => format!(
            "there is a database {name} for {site} ({}), but no {directory}/site_config.json that says so{}, so it is not \
             touched\n\
             if that is lost, put it back (db_name, db_password, encryption_key), then\n{RETRY}\n\
             only if nobody needs the database, here or in another stack, drop it (`DROP DATABASE {name}` at the server){}, \
             then\n{RETRY}",
            server(&stage.settings),
            if why == Why::NoConfig { "" } else { ": another volume may belong to it" },
            if why == Why::NoConfig { format!(", move {directory} away") } else { String::new() },
        ),
        Why::Unknown => format!(
            "{site} cannot be told to be whole: its own database user finds no password of Administrator, and DB_ROOT_PASS is \
             not set; set it, or repair {directory}/site_config.json"
        ),
    }
}

/// The server that was asked, by the settings that name it.
fn server(settings: &Settings) -> String {
    let Database { kind, host, port, .. } = &settings.database;
    format!("{} at DB_HOST={host} DB_PORT={port}", kind.word())
}

/// A directory of ours or of another stack's: asked of the wrong server, any site looks as if it had no database. So that is
/// what is asked first, and nothing that is offered destroys a site's files.
fn half_made(stage: &Stage, site: &SiteName, Found { name, exists, .. }: &Found) -> String {
    let directory = stage.bench.site(site.as_str());
    let bench = format!("    cd {} && ", stage.bench.root().display());
    let root = &stage.settings.database.root_user;
    let lacks = if *exists {
        format!("Administrator has no password in its database {name}")
    } else {
        format!("the server has no database {name}")
    };
    let dumps = backups::dumps(&backups::directory(&directory));
    let (backup, which) = match dumps.last() {
        Some((path, _)) => (shown(path), "the newest backup here"),
        None => ("BACKUP.sql.gz".to_owned(), "its newest backup (there is none here)"),
    };
    let aside = free_aside(stage, site);
    let archive = stage.bench.sites().join(ARCHIVE);
    let (archive, aside, directory) = (archive.display(), aside.display(), directory.display());
    let drop = if *exists {
        // Not without a last dump, which goes to the archive with the directory.
        let words = ["drop-site", site.as_str(), "--force", "--archived-sites-path", &archive.to_string()];
        format!("{bench}{}\n", Call::new(&words).words(&["--db-root-username", root]))
    } else {
        String::new()
    };
    format!(
        "{site} is neither whole ({lacks}; asked: {}) nor was it begun by us, so it is not touched\n\
         first make sure that this is its server: if not, or if another stack shares this volume, the site may be alive{}\n\
         if it is not, correct DB_HOST and DB_PORT (or the volume), start the replicas again, then\n{RETRY}\n\
         if it is, and its data is wanted, restore {which} over it{}:\n\
         {bench}{}\n{RETRY}\n\
         only if nobody needs this site, here or in another stack, move it away, and it is created anew:\n\
         {drop}    mkdir -p {archive} && mv {directory} {aside}{}\n{RETRY}",
        server(&stage.settings),
        own_server(stage, site),
        if SiteConfig::path(&stage.bench.site(site.as_str())).exists() {
            ""
        } else {
            ", once its site_config.json is back"
        },
        restore_call(site, &backup, root),
        if *exists { "   # if it is still there" } else { "" },
    )
}

/// The server that a site's own file names, if it does.
fn own_server(stage: &Stage, site: &SiteName) -> String {
    let config = SiteConfig::read(&stage.bench.site(site.as_str())).ok().flatten().unwrap_or_default();
    let Some(host) = config.text("db_host") else { return String::new() };
    let port = config.number("db_port").map_or(String::new(), |port| format!(" and db_port {port}"));
    format!("; its site_config.json says db_host {host}{port}")
}
