//! What `bellwether plan` says that each step will do: the very commands, with secrets masked.

use super::apps;
use super::assets::{self, Deed};
use super::bench::Bench;
use super::config;
use super::migrate;
use super::names::SiteName;
use super::settings::{Kind, Settings};
use super::site;

/// The lines of one step.
pub(super) fn step(name: &str, settings: &Settings) -> Vec<String> {
    match name {
        "config" => config_lines(settings),
        "site" => site_lines(settings),
        "apps" => settings.sites.iter().flat_map(|site| apps_lines(settings, site)).collect(),
        "migrate" => settings.sites.iter().flat_map(|site| migrate_lines(settings, site)).collect(),
        _ => assets_lines(settings),
    }
}

fn config_lines(settings: &Settings) -> Vec<String> {
    let keys = config::wanted(settings).into_iter().map(|(key, value)| match value.as_str() {
        Some(text) => format!("{key}={}", without_password(text)),
        None => format!("{key}={value}"),
    });
    vec![
        "log in to the database and each Redis through bench's own drivers".to_owned(),
        format!("common_site_config.json: {}", keys.collect::<Vec<_>>().join(" ")),
        "apps.txt: the apps of the image".to_owned(),
    ]
}

fn site_lines(settings: &Settings) -> Vec<String> {
    if settings.skip_init {
        return settings.sites.iter().map(|site| format!("see that {site} exists (SKIP_INIT=1)")).collect();
    }
    let name = settings.database.name.as_deref().unwrap_or("_…");
    let call = |site| site::new_site_call(settings, site, "--no-mariadb-socket", name);
    let mut lines: Vec<String> =
        settings.sites.iter().map(|site| format!("unless {site} is there: {}", call(site))).collect();
    if settings.database.name.is_none() {
        lines.push("a database is called _ and 16 digits of the SHA-1 of its site's path".to_owned());
    }
    if settings.database.kind == Kind::MariaDb {
        lines.push("a newer bench has --mariadb-user-host-login-scope=% for --no-mariadb-socket".to_owned());
    }
    lines
}

fn apps_lines(settings: &Settings, site: &SiteName) -> Vec<String> {
    let image = Bench::new(settings.bench_dir(), &settings.sites_dir).apps().unwrap_or_default();
    // What they require of each other only bench's Python knows.
    let wanted = apps::wanted(&settings.apps, &image, &apps::Requires::new());
    let install = |app: &String| format!("unless it is installed: {}", apps::install_call(site, app, false));
    let mut lines = vec![apps::installed_call(site).to_string()];
    lines.extend(wanted.iter().map(install));
    if wanted.len() > 1 {
        lines.push("each after the apps that it requires".to_owned());
    }
    lines
}

fn migrate_lines(settings: &Settings, site: &SiteName) -> Vec<String> {
    if !settings.migrations {
        return vec![format!("nothing in {site} (RUN_MIGRATIONS_ON_BOOT=no)")];
    }
    let config = format!("{site}/site_config.json");
    let mut calls = vec![migrate::queue_call(site)];
    calls.extend(settings.backup.then(|| migrate::backup_call(site)));
    calls.extend([migrate::migrate_call(site), migrate::clear_cache_call(site)]);
    let calls = calls.iter().map(ToString::to_string);
    std::iter::once(format!("{config}: maintenance_mode=1"))
        .chain(calls)
        .chain([format!("{config}: maintenance_mode=0, unless it was on before")])
        .collect()
}

fn assets_lines(settings: &Settings) -> Vec<String> {
    let bench = settings.bench_dir();
    match assets::deed(settings.assets, assets::is_baked(bench)) {
        Deed::Nothing => vec!["nothing".to_owned()],
        Deed::Link => vec![format!("link {}/assets to {}/assets", settings.sites_dir.display(), bench.display())],
        Deed::Build => vec![assets::build_call().to_string()],
    }
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, place))) => format!("{scheme}://***@{place}"),
        None => url.to_owned(),
    }
}
