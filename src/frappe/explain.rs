//! What `bellwether plan` says that each step will do: the very commands, with secrets masked.

use super::apps;
use super::assets::{self, Deed};
use super::config;
use super::migrate;
use super::names::SiteName;
use super::settings::Settings;
use super::site;

/// The lines of one step.
pub(super) fn step(name: &str, settings: &Settings) -> Vec<String> {
    match name {
        "config" => config_lines(settings),
        "site" => settings.sites.iter().flat_map(|site| site_lines(settings, site)).collect(),
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

fn site_lines(settings: &Settings, site: &SiteName) -> Vec<String> {
    if settings.skip_init {
        return vec![format!("see that {site} exists (SKIP_INIT=1)")];
    }
    let name = settings.database.name.as_deref().unwrap_or_default();
    let call = site::new_site_call(settings, site, "--no-mariadb-socket", name);
    vec![format!("unless {site} is there: {call}")]
}

fn apps_lines(settings: &Settings, site: &SiteName) -> Vec<String> {
    let mut apps = settings.apps.wanted.clone();
    if settings.apps.all_of_image {
        apps.push("APP".to_owned());
    }
    let installs = apps.iter().map(|app| {
        let which = if app == "APP" { "each other app of the image that is not" } else { "unless it is" };
        format!("{which} installed: {}", apps::install_call(site, app, false))
    });
    std::iter::once(apps::installed_call(site).to_string()).chain(installs).collect()
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
