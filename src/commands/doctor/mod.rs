//! `doctor`: what keeps replicas from starting, and how to repair it. Changes nothing that lasts, takes no lease.
//!
//! Everything is looked at, whatever is wrong with the rest: one thing may be the cause of another, and whoever repairs
//! wants to know all of them. Nothing here decides for a replica.

mod container;
mod lease;
mod look;
mod programs;
#[cfg(feature = "redis")]
mod redis;
mod render;
mod settings;
mod volume;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use self::look::Look;
use super::run::NO_REDIS;
use crate::exit::Exit;
use crate::finding::{Finding, Health};
use crate::needs;
use crate::preset::{PresetBrief, Presets};
use crate::settings::{CommandLine, Env, Known};

/// Longest time to read the settings: the files that they name may lie on what hangs.
const SETTINGS_LIMIT: Duration = Duration::from_secs(3);
/// Longest time for all the rest, side by side.
const LIMIT: Duration = Duration::from_secs(6);
/// Longest time for one server.
const SERVER_LIMIT: Duration = Duration::from_secs(4);

/// Looks at everything, and prints what was found.
pub(super) fn doctor(line: &CommandLine, presets: Presets) -> Exit {
    let env: Env = std::env::vars_os().collect();
    let findings = examine(line, &env, presets);
    let text = if line.has("json") {
        serde_json::to_string_pretty(&findings).unwrap_or_default()
    } else {
        render::render(&findings)
    };
    super::print(&text);
    findings.iter().find(|finding| finding.state == Health::Fail).map_or(Exit::Ok, |finding| finding.exit)
}

fn examine(line: &CommandLine, env: &Env, presets: Presets) -> Vec<Finding> {
    let (known, mut findings) = match known(line, env, presets) {
        Some(known) => {
            let findings = settings::findings(&known);
            (known, findings)
        }
        None => (settings::without_files(&line.overlay, env, presets), vec![settings::stuck(SETTINGS_LIMIT)]),
    };
    let known = Arc::new(known);
    findings.extend(look::all(looks(&known, line, env), LIMIT));
    findings.into_iter().map(|finding| render::masked(finding, &known.mask)).collect()
}

/// The settings; `None` if they cannot be read in time.
fn known(line: &CommandLine, env: &Env, presets: Presets) -> Option<Known> {
    let (sender, known) = channel();
    let (env, overlay) = (env.clone(), line.overlay.clone());
    std::thread::spawn(move || drop(sender.send(Known::from(&env, &overlay, presets))));
    known.recv_timeout(SETTINGS_LIMIT).ok()
}

/// Everything there is to look at, in the order in which it is told.
fn looks(known: &Arc<Known>, line: &CommandLine, env: &Env) -> Vec<Look> {
    let mount = "the mount hangs: look at its server, and at `mount` on this host";
    let share = || Arc::clone(known);
    let mut looks = Vec::new();
    if known.volume.is_some() {
        let known = share();
        looks.push(Look::new("volume", mount, Exit::VolumeIo, move |tell| volume::look(&known, tell)));
    }
    let of_redis = known.redis.as_ref().map(|redis| redis.server.origin().place.clone().into_owned());
    let of_redis = format!("look at {}, and at this container's name servers", of_redis.unwrap_or_default());
    let (first, second) = (share(), share());
    looks.push(Look::new("Redis", &of_redis, Exit::Unavailable, move |tell| look_at_redis(&first, tell)));
    looks.push(Look::silent(move |tell| lease::look(&second, tell)));
    let (first, command, path) = (share(), line.command.clone(), env.lookup("PATH").map(ToOwned::to_owned));
    looks.push(Look::new("programs", mount, Exit::CannotExecute, move |tell| {
        programs::look(&first, &command, path.as_deref(), tell);
    }));
    let first = share();
    let names = "look at the hosts in the plan's `needs`, and at this container's name servers";
    looks.push(Look::new("needs", names, Exit::TryLater, move |tell| look_at_needs(&first, tell)));
    let (first, env) = (share(), env.clone());
    let servers = "look at its servers, and at this container's name servers";
    looks.push(Look::new("preset", servers, Exit::TryLater, move |tell| look_at_preset(&first, &env, tell)));
    looks.push(Look::new("container", "report this as a bug", Exit::Software, |tell| container::look(tell)));
    looks
}

fn look_at_redis(known: &Known, tell: &dyn Fn(Finding)) {
    match &known.redis {
        None if known.settings.is_some() => tell(Finding::ok("Redis", NO_REDIS)),
        None => {}
        #[cfg(feature = "redis")]
        Some(redis) => redis::look(known, redis, tell),
        #[cfg(not(feature = "redis"))]
        Some(redis) => unreachable!("the settings refuse {}", redis.server),
    }
}

/// What a leader waits for before its first step; who never leads does not.
fn look_at_needs(known: &Known, tell: &dyn Fn(Finding)) {
    let needs = known.plan.iter().filter(|_| known.may_lead).flat_map(|plan| &plan.needs).cloned().collect::<Vec<_>>();
    if needs.is_empty() {
        return;
    }
    let tried = block_on(needs::try_each(&needs));
    let Ok(tried) = tried.inspect_err(|error| tell(cannot_begin("needs", error))) else { return };
    for (need, tried) in needs.iter().zip(tried) {
        tell(match tried {
            Ok(()) => Finding::ok("needs", format!("{need} is there")),
            Err(failure) => {
                let text = format!("{need}: {failure}{}", need.hint());
                Finding::of_message("needs", &text, "is it up? look at `needs` in the plan", Exit::TryLater)
            }
        });
    }
}

fn look_at_preset(known: &Known, env: &Env, tell: &dyn Fn(Finding)) {
    let Some(preset) = known.preset else { return };
    let (volume, may_lead) = (known.volume.as_deref(), known.may_lead);
    let brief = PresetBrief { env, volume, may_lead, step_timeout: None, step_attempts: 1 };
    preset.examine(&brief, SERVER_LIMIT).into_iter().for_each(tell);
}

/// Runs one request after another to the end, on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A name that is being looked up must not hold us back.
    runtime.shutdown_background();
    Ok(done)
}

fn cannot_begin(what: &str, error: &io::Error) -> Finding {
    Finding::fail(
        what,
        format!("cannot begin to ask: {error}"),
        "look at this container's limits",
        Exit::of_beginning(error),
    )
}
