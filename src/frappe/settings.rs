//! What a Frappe stack's environment says, checked as a whole.

mod redis;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::{SiteName, parse_app, words};
use crate::settings::SETTINGS;
use crate::settings::values::{one_of, port, seconds, yes_or_no};
use crate::{Env, Given, PresetBrief, Problem};
pub(super) use redis::Redises;
pub use table::FRAPPE_SETTINGS;
use table::{find, names as n};

/// How long needs are waited for, where nothing valid is said.
const NEEDS_WAIT: Duration = Duration::from_secs(300);

/// The kinds of databases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    MariaDb,
    Postgres,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::MariaDb => "mariadb",
            Kind::Postgres => "postgres",
        }
    }
}

/// The database server, and what a new site's database is made with.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Database {
    pub(super) kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) root_user: String,
    /// `None` where no site is to be created.
    pub(super) root_password: Option<String>,
    pub(super) name: Option<String>,
    pub(super) password: Option<String>,
}

/// Which apps are to be installed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Apps {
    /// In this order.
    pub(super) wanted: Vec<String>,
    /// Whether those of the image are wanted as well.
    pub(super) all_of_image: bool,
    /// Of the image's, only these.
    pub(super) allowed: Option<Vec<String>>,
    /// Of the image's, never these.
    pub(super) denied: Vec<String>,
}

/// What is to be done about assets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Assets {
    /// Link what is baked into the image, or build.
    Auto,
    Link,
    Build,
    Skip,
    /// Link what is baked, and never build.
    LinkOrSkip,
}

/// Everything the steps need to know.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(super) struct Settings {
    /// The directory of the sites: the volume.
    pub(super) sites_dir: PathBuf,
    /// The default site first.
    pub(super) sites: Vec<SiteName>,
    pub(super) database: Database,
    pub(super) redises: Redises,
    pub(super) socketio_port: u16,
    pub(super) apps: Apps,
    pub(super) admin_password: Option<String>,
    pub(super) skip_init: bool,
    pub(super) migrations: bool,
    pub(super) backup: bool,
    pub(super) drain: Duration,
    pub(super) assets: Assets,
    pub(super) jobs: usize,
    pub(super) stop_at_failure: bool,
    /// Longest wait for a server; `None`: for ever.
    pub(super) wait: Option<Duration>,
}

impl Settings {
    /// Reads them. `Ok(None)`: this replica need not know what is missing.
    pub(super) fn from(brief: &PresetBrief<'_>) -> Result<Option<Settings>, Vec<Problem>> {
        let mut read = Read::of(brief.env);
        let settings = read.all(brief.volume);
        let Read { mut problems, missing, .. } = read;
        let is_complete = missing.is_empty();
        if brief.may_lead {
            problems.extend(missing);
        }
        if problems.is_empty() { Ok(settings.filter(|_| is_complete)) } else { Err(problems) }
    }

    /// What they are as far as they are told, though some may be wrong or missing: for whoever looks for more that is.
    pub(super) fn in_spite_of_mistakes(brief: &PresetBrief<'_>) -> Option<Settings> {
        Read::of(brief.env).all(brief.volume)
    }

    /// What is to be done about assets, and nothing else; `None` if what is said cannot be used.
    pub(super) fn assets_alone(lookup: &dyn Fn(&str) -> Option<OsString>) -> Option<Assets> {
        Read::of(&some_of(&[n::ASSETS, n::REBUILD], lookup)).assets()
    }

    /// The sites, and nothing else; none if what is said cannot be used.
    pub(super) fn sites_alone(lookup: &dyn Fn(&str) -> Option<OsString>) -> Vec<SiteName> {
        Read::of(&some_of(&[n::SITE, n::SITES], lookup)).sites().unwrap_or_default()
    }

    /// The bench that the sites belong to: the directory around them.
    pub(super) fn bench_dir(&self) -> &Path {
        self.sites_dir.parent().unwrap_or(&self.sites_dir)
    }

    /// Every secret, to be hidden.
    pub(super) fn secrets(&self) -> Vec<String> {
        let Database { root_password, password, .. } = &self.database;
        [root_password, password, &self.admin_password].into_iter().flatten().cloned().collect()
    }
}

/// What files of secrets hold, as variables: whoever the steps run as may be unable to read them.
pub(super) fn secrets_of_files(env: &Env) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for setting in FRAPPE_SETTINGS.iter().chain(SETTINGS).filter(|setting| setting.file) {
        let Ok(Some(given)) = setting.given_in(env) else { continue };
        if !given.culprit.ends_with("_FILE") {
            continue;
        }
        let names = std::iter::once(setting.variable).chain(setting.aliases.iter().copied());
        // An empty variable counts as not set.
        variables.extend(names.map(|name| (format!("{name}_FILE"), String::new())));
        variables.push((setting.variable.to_owned(), given.text));
    }
    variables
}

/// One reading of an environment. What is wrong is told apart from what is missing, which only a leader minds.
struct Read<'a> {
    env: &'a Env,
    problems: Vec<Problem>,
    missing: Vec<Problem>,
}

/// Of an environment these variables.
fn some_of(names: &[&'static str], lookup: &dyn Fn(&str) -> Option<OsString>) -> Env {
    names.iter().filter_map(|&name| Some((name, lookup(name)?))).collect()
}

impl<'a> Read<'a> {
    fn of(env: &'a Env) -> Read<'a> {
        Read { env, problems: Vec::new(), missing: Vec::new() }
    }

    fn all(&mut self, volume: Option<&Path>) -> Option<Settings> {
        let sites = self.sites();
        let skip_init = self.value(n::SKIP_INIT, yes_or_no);
        let creates = skip_init == Some(false);
        let admin_password = self.secret(n::ADMIN_PASS, creates, "the password of Administrator in a new site");
        self.refuse_common_password(sites.as_deref().unwrap_or_default(), &admin_password);
        let database = self.database(sites.as_deref().unwrap_or_default().len(), creates);
        let redises = self.redises();
        let socketio_port = self.value(n::SOCKETIO_PORT, port);
        let apps = self.apps();
        let migrations = self.value(n::MIGRATIONS, migrations);
        let backup = self.value(n::BACKUP, yes_or_no);
        let drain = self.value(n::DRAIN, seconds);
        let assets = self.assets();
        let jobs = self.value(n::JOBS, jobs);
        let stop_at_failure =
            self.value(n::ON_SITE_FAILURE, |text| one_of(text, &[("stop", true), ("continue", false)]));
        let _ = self.optional(n::SCHEDULER, yes_or_no);
        // What is wrong with it is told by whoever it belongs to.
        let wait = self.env.lookup(n::NEEDS_WAIT).and_then(|text| seconds(text.to_str()?).ok()).unwrap_or(NEEDS_WAIT);
        Some(Settings {
            sites_dir: volume?.to_owned(),
            sites: sites?,
            database: database?,
            redises: redises?,
            socketio_port: socketio_port?,
            apps: apps?,
            admin_password: admin_password.ok()?,
            skip_init: skip_init?,
            migrations: migrations?,
            backup: backup?,
            drain: drain?,
            assets: assets?,
            jobs: jobs?,
            stop_at_failure: stop_at_failure?,
            wait: Some(wait).filter(|wait| !wait.is_zero()),
        })
    }

    fn sites(&mut self) -> Option<Vec<SiteName>> {
        let one = self.optional(n::SITE, |text| SiteName::parse(text.trim()));
        let several =
            self.optional(n::SITES, |text| words(text).into_iter().map(SiteName::parse).collect::<Result<Vec<_>, _>>());
        match (one.ok()?, several.ok()?) {
            (None, None) => {
                self.missing(n::SITE, "is not set; set it to the site's name, or SITES to several");
                None
            }
            (Some(site), None) => Some(vec![site]),
            (None, Some(sites)) if sites.is_empty() => {
                self.complain(n::SITES, "names no site");
                None
            }
            (None, Some(sites)) => Some(sites),
            (Some(site), Some(sites)) if sites.contains(&site) => {
                let others = sites.into_iter().filter(|other| *other != site);
                Some(std::iter::once(site.clone()).chain(others).collect())
            }
            (Some(site), Some(_)) => {
                self.complain(n::SITE, format!("{site} is none of SITES; unset one of them"));
                None
            }
        }
    }

    fn database(&mut self, sites: usize, creates: bool) -> Option<Database> {
        let kind =
            self.value(n::DB_TYPE, |text| one_of(text, &[("mariadb", Kind::MariaDb), ("postgres", Kind::Postgres)]));
        let host = self.optional(n::DB_HOST, filled);
        if matches!(host, Ok(None)) {
            self.missing(n::DB_HOST, "is not set; set it to the database server's host");
        }
        let number = self.optional(n::DB_PORT, port);
        let root_user = self.optional(n::DB_ROOT_USER, filled);
        let root_password = self.secret(n::DB_ROOT_PASS, creates, "the password of the user who creates databases");
        let name = self.optional(n::DB_NAME, |text| database_name(text, kind));
        if matches!(name, Ok(Some(_))) && sites > 1 {
            self.complain(n::DB_NAME, "names one database, but there are several sites; unset it");
        }
        let password = self.secret(n::DB_PASS, false, "");
        let (default_user, default_port) = match kind? {
            Kind::MariaDb => ("root", 3306),
            Kind::Postgres => ("postgres", 5432),
        };
        let database = Database {
            kind: kind?,
            host: host.ok()??,
            port: number.ok()?.unwrap_or(default_port),
            root_user: root_user.ok()?.unwrap_or_else(|| default_user.to_owned()),
            root_password: root_password.ok()?,
            name: name.ok()?,
            password: password.ok()?,
        };
        if database.name.as_ref() == Some(&database.root_user) {
            // bench makes a user of the database's name, and drops it with the site.
            self.complain(n::DB_NAME, "is the name of DB_ROOT_USER as well; choose another name");
        }
        Some(database)
    }

    fn apps(&mut self) -> Option<Apps> {
        let list = |text: &str| words(text).into_iter().map(parse_app).collect::<Result<Vec<_>, _>>();
        let (wanted, auto) = (self.optional(n::APPS, list), self.optional(n::AUTO_INSTALL, yes_or_no));
        let (allowed, denied) = (self.optional(n::ALLOW, list), self.optional(n::DENY, list));
        let wanted = wanted.ok()?;
        let all_of_image = auto.ok()?.unwrap_or(wanted.is_none());
        let (wanted, denied) = (wanted.unwrap_or_default(), denied.ok()?.unwrap_or_default());
        if let Some(both) = wanted.iter().find(|app| denied.contains(app)) {
            self.complain(n::DENY, format!("{both} is among APPS as well; remove it from one of them"));
            return None;
        }
        Some(Apps { wanted, all_of_image, allowed: allowed.ok()?, denied })
    }

    fn assets(&mut self) -> Option<Assets> {
        let words = [("auto", Assets::Auto), ("link", Assets::Link), ("build", Assets::Build), ("skip", Assets::Skip)];
        let ours = self.optional(n::ASSETS, |text| one_of(text, &words));
        let theirs =
            self.value(n::REBUILD, |text| one_of(text, &[("auto", None), ("1", Some(true)), ("0", Some(false))]));
        match (ours.ok()?, theirs?) {
            (None, None) => Some(Assets::Auto),
            (None, Some(true)) => Some(Assets::Build),
            (None, Some(false)) => Some(Assets::LinkOrSkip),
            (Some(Assets::Build), Some(false)) | (Some(Assets::Link | Assets::Skip), Some(true)) => {
                self.complain(n::ASSETS, "disagrees with REBUILD_ASSETS_ON_BOOT; unset one of them");
                None
            }
            (Some(Assets::Auto), Some(rebuild)) => Some(if rebuild { Assets::Build } else { Assets::LinkOrSkip }),
            (Some(ours), _) => Some(ours),
        }
    }

    /// The password of many an example is the first that anybody tries. On the own machine it does.
    fn refuse_common_password(&mut self, sites: &[SiteName], password: &Result<Option<String>, ()>) {
        let is_local = |site: &SiteName| site.as_str() == "localhost" || site.as_str().ends_with(".localhost");
        if matches!(password, Ok(Some(password)) if password == "admin") && !sites.iter().all(is_local) {
            self.complain(
                n::ADMIN_PASS,
                "is the password that everybody tries first; choose another (it does for *.localhost)",
            );
        }
    }

    /// `Err`: what is wrong has been told.
    fn given(&mut self, name: &str) -> Result<Option<Given>, ()> {
        match find(name).given_in(self.env) {
            Ok(given) => Ok(given.filter(|given| !given.text.is_empty())),
            Err(problem) => {
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                Err(())
            }
        }
    }

    fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, ()> {
        let Some(Given { culprit, text }) = self.given(name)? else { return Ok(None) };
        match parse(&text) {
            Ok(value) => Ok(Some(value)),
            Err(wrong) => {
                self.problems.push(Problem::new(culprit, wrong));
                Err(())
            }
        }
    }

    /// [`Read::optional`] for settings that have a default: `None` has been told.
    fn value<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.optional(name, parse).ok().flatten()
    }

    fn secret(&mut self, name: &str, is_needed: bool, what: &str) -> Result<Option<String>, ()> {
        let given = self.given(name)?.map(|given| given.text);
        if given.is_none() && is_needed {
            let text = format!(
                "is not set; set it to {what}, or {name}_FILE to a file with that; or SKIP_INIT=1, which creates nothing"
            );
            self.missing(name, text);
        }
        Ok(given)
    }

    fn complain(&mut self, name: &str, text: impl Into<String>) {
        self.problems.push(Problem::new(name, text));
    }

    fn missing(&mut self, name: &str, text: impl Into<String>) {
        self.missing.push(Problem::new(name, text));
    }
}

fn migrations(text: &str) -> Result<bool, String> {
    one_of(text, &[("leader", true), ("no", false), ("1", true), ("0", false)])
        .map_err(|_| format!("{text:?} is none of leader, no"))
}

fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from 1 to 64"))
}

fn filled(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Databases that are there before any site.
const SERVERS_OWN: &[&str] =
    &["information_schema", "mysql", "performance_schema", "postgres", "sys", "template0", "template1"];

/// The servers allow 63 characters, or 64.
fn database_name(text: &str, kind: Option<Kind>) -> Result<String, String> {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if SERVERS_OWN.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(format!("{text:?} is the server's own; choose another name"));
    }
    if kind == Some(Kind::Postgres) && !is_folded(text) {
        return Err(format!(
            "{text:?} is another name without quotes, as bench drops databases; write it in lower case"
        ));
    }
    if is_plain && !text.is_empty() && text.len() <= 63 {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no name of a database; letters, digits and '_' are allowed, at most 63"))
}

/// Whether `PostgreSQL` reads a name without quotes as the same name with them.
pub(super) fn is_folded(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
