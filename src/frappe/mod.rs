//! The preset for Frappe and `ERPNext`: N identical replicas that bring themselves up.
//!
//! | step | does | begins after |
//! |---|---|---|
//! | `config` | waits until database and Redis let us in; writes what all sites share | |
//! | `site` | creates the sites that do not exist | `config` |
//! | `apps` | installs the apps of the image that are missing | `site` |
//! | `migrate` | backs up if asked to, and migrates each site | `apps` |
//! | `assets` | links the image's bundles, or builds them | `config` |
//!
//! # Decisions
//!
//! - **The database's name is always given**, made as older benches make it: newer ones make up a random one, and then nobody could tell
//!   whether the database of a site that is not there is one of ours.
//! - **We log in as bench does before each creation, not once**: a takeover comes an hour later, perhaps.
//! - **`bench use`, `set-config` and `set-maintenance-mode` are not called**: they truncate a file that all replicas read, and whoever
//!   is killed just then leaves it empty, without the database's password and the encryption key. What they write is written in one
//!   step, by the leader alone.
//! - **Half-made sites go to `archived` on the volume**: the bench's own place may be read-only.
//! - **Dependencies are installed one by one before what requires them**: force does not reach them.
//! - **Queued jobs are waited for only while a worker is alive**: where a whole stack begins together, workers wait for us.
//! - **A backup is taken once for each migration**, from before the first try, and again if the site has been open since.
//! - **That maintenance mode is ours stands beside it in `site_config.json`**, written in the same step: records end with `done`,
//!   with `skip`, and with a site that is no longer asked for.
//! - **After a migration has failed, all sites are migrated again**, those that went well too: a person may have brought back
//!   what was before of every site, and a migration with nothing to do is quick.
//! - **Our own record is proof only with the server's name in it**, and is taken back when bench says that somebody else was first.
//! - **Before a hand-off nothing that is there is moved**: what assets should be is the leader's to decide.
//! - **A migration's exit code is final; its death by a signal is not.** The former is bench's word, the latter an accident.
//!
//! It uses what any embedding program can use: steps that are commands, their record, their exit codes. Each step is a process
//! of this program under a shim, and calls bench's own Python.

mod apps;
mod assets;
mod backups;
mod bench;
mod call;
mod config;
mod echo;
mod examine;
mod explain;
mod files;
mod migrate;
mod names;
mod record;
mod servers;
mod settings;
mod site;
mod site_config;
mod stage;
mod trouble;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use self::bench::Bench;
use self::echo::Echo;
use self::settings::Settings;
use self::stage::Stage;
use self::trouble::Trouble;
use crate::{Env, Finding, LocalBrief, Mask, Preset, PresetBrief, PresetPlan, Problem, Setting, Step, step_command};
pub use settings::FRAPPE_SETTINGS;

/// The preset `frappe`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frappe;

impl Preset for Frappe {
    fn name(&self) -> &'static str {
        "frappe"
    }

    fn default_volume(&self) -> &'static str {
        "/home/frappe/frappe-bench/sites"
    }

    fn settings(&self) -> &'static [Setting] {
        FRAPPE_SETTINGS
    }

    fn plan(&self, brief: &PresetBrief<'_>) -> Result<PresetPlan, Vec<Problem>> {
        let settings = Settings::from(brief)?;
        let of_bench = settings.as_ref().filter(|_| brief.may_lead).map(check_bench).unwrap_or_default();
        if !of_bench.is_empty() {
            return Err(of_bench);
        }
        let steps = steps(brief, settings.as_ref());
        let needs = settings.as_ref().map(needs).unwrap_or_default();
        let plan = PresetPlan::new(steps, &[])?;
        let plan = needs.iter().try_fold(plan, |plan, (need, settings)| plan.need(need, settings))?;
        Ok(plan.secrets(settings.iter().flat_map(Settings::secrets)))
    }

    fn perform(&self, step: &str, env: &Env) -> i32 {
        let done = match Stage::of(env) {
            Ok(stage) => perform(step, &stage).inspect_err(|trouble| stage.echo().note(trouble.text())),
            Err(trouble) => {
                let mut mask = Mask::new();
                mask.add_env(env);
                Echo::new(&mask).note(trouble.text());
                Err(trouble)
            }
        };
        done.map_or_else(|trouble| trouble.exit_code(), |()| 0)
    }

    fn localize(&self, brief: &LocalBrief<'_>) -> Vec<String> {
        let volume = brief.volume;
        // What is wrong with it has been told where the work was done.
        let assets = Settings::assets_alone(brief.lookup);
        let linked = assets.and_then(|assets| assets::localize(assets, volume.parent().unwrap_or(volume), volume));
        linked.into_iter().chain(site::tell_of_missing(brief)).collect()
    }

    fn examine(&self, brief: &PresetBrief<'_>, limit: Duration) -> Vec<Finding> {
        examine::examine(brief, limit)
    }
}

/// The plan, which is the same for every replica of a revision, whatever its environment lacks.
fn steps(brief: &PresetBrief<'_>, settings: Option<&Settings>) -> Vec<Step> {
    let user = brief.volume.and_then(user_of);
    let handed_over = if user.is_some() { settings::secrets_of_files(brief.env) } else { Vec::new() };
    let step = |name: &str, [in_progress, done]: [&str; 2], after: &[&str]| {
        let mut step = Step::command(name, step_command(&Frappe, name)).markers(in_progress, done);
        step = step.max_attempts(brief.step_attempts);
        if let Some(timeout) = brief.step_timeout {
            step = step.timeout(timeout);
        }
        if let Some(user) = &user {
            step = handed_over.iter().fold(step.user(user), |step, (name, value)| step.env(name, value));
        }
        if let Some(settings) = settings {
            step = step.explain(explain::step(name, settings));
        }
        after.iter().fold(step, |step, &before| step.after(before))
    };
    vec![
        step("config", ["configuring", "configured"], &[]),
        step("site", ["site_creating", "site_created"], &["config"]),
        step("apps", ["apps_installing", "apps_installed"], &["site"]),
        step("migrate", ["migrating", "migrated"], &["apps"]),
        step("assets", ["assets_building", "assets_built"], &["config"]),
    ]
}

fn perform(step: &str, stage: &Stage) -> Result<(), Trouble> {
    match step {
        "config" => config::perform(stage),
        "site" => site::perform(stage),
        "apps" => apps::perform(stage),
        "migrate" => migrate::perform(stage),
        "assets" => assets::perform(stage),
        _ => Err(Trouble::ForGood(format!("there is no step {step:?}"))),
    }
}

/// What has to answer before anybody leads, and the settings that say where it is. That it lets us in is looked at by the
/// first step.
fn needs(settings: &Settings) -> Vec<(String, &'static str)> {
    let database = &settings.database;
    let host = if database.host.contains(':') { format!("[{}]", database.host) } else { database.host.clone() };
    let mut needs = vec![(format!("tcp://{host}:{}", database.port), servers::DATABASE)];
    for (_, variables, url) in settings.redises.each() {
        let is_known = needs.iter().any(|(need, _)| need == url);
        if cfg!(feature = "redis") && url.starts_with("redis://") && !is_known {
            needs.push((url.to_owned(), variables));
        }
    }
    needs
}

/// bench refuses to run as root, so its steps run as whoever owns the volume, known in this image or not.
fn user_of(volume: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let found = std::fs::metadata(volume).ok().filter(|found| found.uid() != 0)?;
    Some(format!("{}:{}", found.uid(), found.gid()))
}

/// As root, steps would leave files of root's, which whoever serves could not change. Where the bench itself is root's,
/// bench has the last word.
fn check_owner(bench: &Bench) -> Option<Problem> {
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.uid(), found.gid()));
    let ((of_volume, _), (uid, gid)) = (owner(bench.sites())?, owner(bench.root())?);
    if !rustix::process::geteuid().is_root() || of_volume != 0 || uid == 0 {
        return None;
    }
    let volume = bench.sites().display();
    let text = format!(
        "{volume} belongs to root, and bench does not run as root; give it to the owner of {}: chown {uid}:{gid} {volume}",
        bench.root().display()
    );
    Some(Problem::new("BELLWETHER_VOLUME", text))
}

/// Whether this container can do the work: what is missing here is told before anything is touched.
fn check_bench(settings: &Settings) -> Vec<Problem> {
    let bench = Bench::new(settings.bench_dir(), &settings.sites_dir);
    let mut problems = Vec::new();
    if !bench::is_there(&bench.python()) {
        let text = format!(
            "{} is not there, so {} is no bench; mount the volume at the bench's directory `sites`",
            bench.python().display(),
            bench.root().display()
        );
        return vec![Problem::new("BELLWETHER_VOLUME", text)];
    }
    problems.extend(check_owner(&bench));
    let image = bench.apps().unwrap_or_default();
    let absent: Vec<&str> =
        settings.apps.wanted.iter().filter(|app| !image.contains(app)).map(String::as_str).collect();
    if !absent.is_empty() {
        let text = format!("this image has no {}; it has {}", absent.join(", no "), image.join(", "));
        problems.push(Problem::new("APPS", text));
    }
    problems
}
