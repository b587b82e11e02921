//! What would keep the steps from succeeding in this container, for `bellwether doctor`.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use super::assets::{self, Deed};
use super::bench::{Bench, is_there};
use super::servers::Servers;
use super::settings::{Kind, Settings};
use crate::process::find_program;
use crate::{Finding, PresetBrief};

/// What findings about programs are about.
const PROGRAMS: &str = "bench programs";

/// What bench calls by name, where one of several names will do.
struct Tool {
    names: &'static [&'static str],
    purpose: &'static str,
    repair: &'static str,
}

const MARIADB_CLIENT: &str = "install mariadb-client into the image";
const POSTGRES_CLIENT: &str = "install postgresql-client into the image";
const NODE: &str = "install node and yarn into the image, or bake the assets into it; or BELLWETHER_ASSETS=skip";

const MARIADB: [Tool; 2] = [
    Tool { names: &["mariadb-dump", "mysqldump"], purpose: "bench backs up with it", repair: MARIADB_CLIENT },
    Tool { names: &["mariadb", "mysql"], purpose: "bench creates and restores sites with it", repair: MARIADB_CLIENT },
];
const POSTGRES: [Tool; 2] = [
    Tool { names: &["pg_dump"], purpose: "bench backs up with it", repair: POSTGRES_CLIENT },
    Tool { names: &["psql"], purpose: "bench creates and restores sites with it", repair: POSTGRES_CLIENT },
];
const FILE: Tool = Tool {
    names: &["file"],
    purpose: "bench restore calls it",
    repair: "install file into the image, before a restore is needed",
};
const BUILD: [Tool; 2] = [
    Tool { names: &["node"], purpose: "assets are built with it", repair: NODE },
    Tool { names: &["yarn"], purpose: "assets are built with it", repair: NODE },
];

pub(super) fn examine(brief: &PresetBrief<'_>, limit: Duration) -> Vec<Finding> {
    // Who never leads runs no step, and need not know where the servers are.
    let Some(settings) = brief.may_lead.then(|| Settings::in_spite_of_mistakes(brief)).flatten() else {
        return Vec::new();
    };
    let bench = Bench::new(settings.bench_dir(), &settings.sites_dir);
    // Its absence is a mistake of the settings, and told there.
    if !is_there(&bench.python()) {
        return Vec::new();
    }
    let path = brief.env.lookup("PATH").map(OsStr::to_owned);
    if let Err(error) = find_program(bench.python().as_os_str(), None, None) {
        return vec![Finding::fail(PROGRAMS, error.to_string(), "repair the bench in the image", error.exit())];
    }
    let mut findings = tools(&needed(&settings, &bench), path.as_ref());
    findings.extend(Servers::new(&bench, &settings).look(limit));
    findings
}

fn needed(settings: &Settings, bench: &Bench) -> Vec<Tool> {
    let mut tools: Vec<Tool> = match settings.database.kind {
        Kind::MariaDb => MARIADB.into(),
        Kind::Postgres => POSTGRES.into(),
    };
    tools.push(FILE);
    if assets::deed(settings.assets, assets::is_baked(bench.root())) == Deed::Build {
        tools.extend(BUILD);
    }
    tools
}

/// What is missing is a warning: a plain boot may do without.
fn tools(tools: &[Tool], path: Option<&OsString>) -> Vec<Finding> {
    let find = |name: &&&str| find_program(OsStr::new(name), None, path.map(OsString::as_os_str)).is_ok();
    let mut there = vec!["env/bin/python"];
    let mut findings = Vec::new();
    for Tool { names, purpose, repair } in tools {
        if let Some(name) = names.iter().find(find) {
            there.push(name);
        } else {
            let seen = format!("{} not found in PATH ({purpose})", names.join(" and "));
            findings.push(Finding::warn(PROGRAMS, seen, *repair));
        }
    }
    findings.insert(0, Finding::ok(PROGRAMS, there.join(", ")));
    findings
}
