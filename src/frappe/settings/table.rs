//! The variables of a Frappe stack, under the names that the field uses.

use crate::settings::SETTINGS;
use crate::{Fallback, Setting};

const fn variable(variable: &'static str, help: &'static str) -> Setting {
    Setting {
        variable,
        flag: None,
        aliases: &[],
        default: Fallback::Unset,
        value_name: "",
        secret: false,
        file: false,
        help,
    }
}

const fn with_default(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { default: Fallback::Value(default), ..variable(name, help) }
}

const fn secret(name: &'static str, aliases: &'static [&'static str], help: &'static str) -> Setting {
    Setting { secret: true, file: true, aliases, ..variable(name, help) }
}

pub(super) mod names {
    pub(in crate::frappe) const SITE: &str = "SITE";
    pub(in crate::frappe) const SITES: &str = "SITES";
    pub(in crate::frappe) const ADMIN_PASS: &str = "ADMIN_PASS";
    pub(in crate::frappe) const DB_TYPE: &str = "DB_TYPE";
    pub(in crate::frappe) const DB_HOST: &str = "DB_HOST";
    pub(in crate::frappe) const DB_PORT: &str = "DB_PORT";
    pub(in crate::frappe) const DB_ROOT_USER: &str = "DB_ROOT_USER";
    pub(in crate::frappe) const DB_ROOT_PASS: &str = "DB_ROOT_PASS";
    pub(in crate::frappe) const DB_NAME: &str = "DB_NAME";
    pub(in crate::frappe) const DB_PASS: &str = "DB_PASS";
    pub(in crate::frappe) const REDIS_HOST: &str = "REDIS_HOST";
    pub(in crate::frappe) const REDIS_PASS: &str = "REDIS_PASS";
    pub(in crate::frappe) const REDIS_CACHE: &str = "REDIS_CACHE";
    pub(in crate::frappe) const REDIS_CACHE_PORT: &str = "REDIS_CACHE_PORT";
    pub(in crate::frappe) const REDIS_QUEUE: &str = "REDIS_QUEUE";
    pub(in crate::frappe) const REDIS_QUEUE_PORT: &str = "REDIS_QUEUE_PORT";
    pub(in crate::frappe) const REDIS_SOCKETIO: &str = "REDIS_SOCKETIO";
    pub(in crate::frappe) const REDIS_SOCKETIO_PORT: &str = "REDIS_SOCKETIO_PORT";
    pub(in crate::frappe) const FRAPPE_REDIS_CACHE: &str = "FRAPPE_REDIS_CACHE";
    pub(in crate::frappe) const FRAPPE_REDIS_QUEUE: &str = "FRAPPE_REDIS_QUEUE";
    pub(in crate::frappe) const SOCKETIO_PORT: &str = "SOCKETIO_PORT";
    pub(in crate::frappe) const APPS: &str = "APPS";
    pub(in crate::frappe) const AUTO_INSTALL: &str = "AUTO_INSTALL_NEW_APPS";
    pub(in crate::frappe) const ALLOW: &str = "AUTO_APPS_ALLOWLIST";
    pub(in crate::frappe) const DENY: &str = "AUTO_APPS_DENYLIST";
    pub(in crate::frappe) const SKIP_INIT: &str = "SKIP_INIT";
    pub(in crate::frappe) const MIGRATIONS: &str = "RUN_MIGRATIONS_ON_BOOT";
    pub(in crate::frappe) const REBUILD: &str = "REBUILD_ASSETS_ON_BOOT";
    pub(in crate::frappe) const SCHEDULER: &str = "ENABLE_SCHEDULER";
    pub(in crate::frappe) const ASSETS: &str = "BELLWETHER_ASSETS";
    pub(in crate::frappe) const BACKUP: &str = "BELLWETHER_BACKUP";
    pub(in crate::frappe) const DRAIN: &str = "BELLWETHER_DRAIN_SECS";
    pub(in crate::frappe) const JOBS: &str = "BELLWETHER_SITE_JOBS";
    pub(in crate::frappe) const ON_SITE_FAILURE: &str = "BELLWETHER_ON_SITE_FAILURE";
    pub(in crate::frappe) const NEEDS_WAIT: &str = "BELLWETHER_NEEDS_WAIT_SECS";
}
use names as n;

/// The settings of the preset, in the order in which the README shows them. The Redis of the queue is among the settings of
/// every replica, since the lease lives there.
pub static FRAPPE_SETTINGS: &[Setting] = &[
    variable(n::SITE, "the site; required unless SITES is set"),
    variable(n::SITES, "several sites, separated by spaces or commas; the first is the default site"),
    secret(n::ADMIN_PASS, &["ADMIN_PASSWORD"], "Administrator's password in a new site; required unless SKIP_INIT=1"),
    Setting {
        aliases: &["FRAPPE_DB_TYPE"],
        ..with_default(n::DB_TYPE, "mariadb", "the kind of database: mariadb or postgres")
    },
    Setting { aliases: &["FRAPPE_DB_HOST"], ..variable(n::DB_HOST, "the database server; required") },
    Setting {
        aliases: &["FRAPPE_DB_PORT"],
        ..variable(n::DB_PORT, "its port; unset: 3306, or 5432 for postgres")
    },
    variable(n::DB_ROOT_USER, "who creates databases there; unset: root, or postgres"),
    secret(n::DB_ROOT_PASS, &["DB_ROOT_PASSWORD", "DB_PASSWORD"], "that user's password; required unless SKIP_INIT=1"),
    variable(n::DB_NAME, "the database of a new site, if there is one site; unset: made of the site's path"),
    secret(n::DB_PASS, &[], "the password of a new site's own database user; unset: a random one"),
    Setting { file: true, ..variable(n::REDIS_CACHE, "the cache, host:port or URL; or REDIS_HOST and REDIS_CACHE_PORT") },
    variable(n::REDIS_CACHE_PORT, "the port of the cache, with REDIS_HOST"),
    Setting { file: true, ..variable(n::REDIS_SOCKETIO, "the Redis of the websocket server; unset: the queue's") },
    variable(n::REDIS_SOCKETIO_PORT, "its port, with REDIS_HOST"),
    Setting { file: true, ..variable(n::FRAPPE_REDIS_CACHE, "what Frappe prefers to its files; must be the same cache") },
    Setting { file: true, ..variable(n::FRAPPE_REDIS_QUEUE, "what Frappe prefers to its files; must be the same queue") },
    with_default(n::SOCKETIO_PORT, "9000", "the port of the websocket server"),
    variable(n::APPS, "the apps to install, in this order, separated by spaces or commas; unset: all of the image"),
    variable(n::AUTO_INSTALL, "1: install all apps of the image; 0: only APPS; unset: 1 if APPS is unset"),
    variable(n::ALLOW, "of the image's apps, install only these"),
    variable(n::DENY, "of the image's apps, never install these"),
    with_default(n::SKIP_INIT, "0", "1: the sites must exist, none is created"),
    with_default(n::MIGRATIONS, "leader", "leader: migrate at each new revision; no: never"),
    with_default(n::REBUILD, "auto", "auto, 1 or 0: as BELLWETHER_ASSETS=auto, build, or never build"),
    variable(n::SCHEDULER, "0 or 1, for the command: whether this replica runs the scheduler"),
    variable(n::ASSETS, "auto, link, build or skip; unset: auto, which links what the image has baked, or builds"),
    with_default(n::BACKUP, "0", "1: take a backup of each site before it is migrated"),
    with_default(n::DRAIN, "60", "longest wait for queued jobs before a migration, while workers are alive"),
    with_default(n::JOBS, "1", "how many sites are worked on side by side"),
    with_default(n::ON_SITE_FAILURE, "stop", "stop: begin no other site when one has failed; continue: do the others first"),
];

/// The setting of that variable, one of [`names`].
pub(super) fn find(variable: &str) -> &'static Setting {
    let setting = FRAPPE_SETTINGS.iter().chain(SETTINGS).find(|setting| setting.variable == variable);
    setting.expect("every name has a line in one of the tables")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_used_twice() {
        let names = |setting: &'static Setting| std::iter::once(setting.variable).chain(setting.aliases.iter().copied());
        let mut all: Vec<&str> = FRAPPE_SETTINGS.iter().chain(SETTINGS).flat_map(names).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
