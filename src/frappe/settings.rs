//! What a Frappe stack's environment says, checked as a whole.

mod read;
mod redis;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::SiteName;
use crate::settings::SETTINGS;
use crate::{Env, PresetBrief, Problem};
use read::{Read, some_of};
pub(super) use redis::Redises;
pub use table::FRAPPE_SETTINGS;
use table::names as n;

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

/// Whether `PostgreSQL` reads a name without quotes as the same name with them.
pub(super) fn is_folded(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
