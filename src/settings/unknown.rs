//! Variables that look like settings but are none.

use super::env::Env;
use super::problem::{Notice, Problem};
use super::spelling::distance;
use super::table::{RETIRED, SETTINGS, STEP_VARIABLES, Setting};

const UNKNOWN: &str = "unknown setting";
const PREFIX: &str = "BELLWETHER_";
/// Names that begin so are ours as well: nobody else has a Redis for locks.
const LOCK_PREFIX: &str = "LOCK_REDIS_";
/// What Kubernetes sets for a service called `lock-redis`.
const SERVICE_LINKS: &[&str] = &["LOCK_REDIS_SERVICE_", "LOCK_REDIS_PORT_"];
/// Names of the application that we read, too. What is nearly called so (`REDIS_PORT`) is the application's alone.
const APPLICATION_PREFIX: &str = "REDIS_";

/// A notice for every variable that nobody reads though its name says it is ours, or nearly one of ours.
///
/// `own` are the settings of the preset.
pub(super) fn notices(env: &Env, own: &'static [Setting]) -> Vec<Notice> {
    let ours = unknown(env, own).filter(|(name, meant)| meant.is_some() || is_ours(name));
    ours.map(|(name, meant)| Notice::new(name, text(meant))).collect()
}

/// A problem for every variable that is nearly called as a setting: where something else is refused, that may be why.
pub(super) fn problems(env: &Env, own: &'static [Setting]) -> Vec<Problem> {
    let misspelt = unknown(env, own).filter(|(_, meant)| meant.is_some());
    misspelt.map(|(name, meant)| Problem::new(name, text(meant))).collect()
}

fn text(meant: Option<&str>) -> String {
    meant.map_or_else(|| UNKNOWN.to_owned(), |meant| format!("{UNKNOWN}; did you mean {meant}?"))
}

/// The variables that nobody reads, and what was meant, if that can be guessed.
fn unknown<'a>(env: &'a Env, own: &'static [Setting]) -> impl Iterator<Item = (&'a str, Option<&'static str>)> {
    let names = env.iter().map(|(name, _)| name).filter(move |name| !is_known(name, own));
    names.map(move |name| (name, meant(name, own)))
}

fn is_ours(name: &str) -> bool {
    let is_link = || SERVICE_LINKS.iter().any(|link| name.starts_with(link));
    name.starts_with(PREFIX) || name.starts_with(LOCK_PREFIX) && !is_link()
}

fn is_known(name: &str, own: &[Setting]) -> bool {
    let is_file = |variable: &str| name.strip_suffix("_FILE") == Some(variable);
    SETTINGS.iter().chain(own).any(|setting| {
        let mut names = std::iter::once(setting.variable).chain(setting.aliases.iter().copied());
        names.any(|known| known == name || setting.file && is_file(known))
    }) || STEP_VARIABLES.contains(&name)
        || RETIRED.iter().any(|known| known.variable == name)
}

/// The setting that was meant. Variables with our prefix are compared without it: `BELLWETHER_STEP_STALE_SECS` means
/// `STEP_STALE_SECS`, and `BELLWETHER_PLAN_FILE` means `BELLWETHER_PLAN`.
fn meant(name: &str, own: &'static [Setting]) -> Option<&'static str> {
    let ours = name.strip_prefix(PREFIX);
    let far = |known: &str| match ours {
        Some(bare) => {
            let known = known.strip_prefix(PREFIX).unwrap_or(known);
            distance(bare.strip_suffix("_FILE").unwrap_or(bare), known).min(distance(bare, known))
        }
        None => distance(name, known),
    };
    let all = SETTINGS.iter().chain(own);
    let known = all.flat_map(|setting| std::iter::once(setting.variable).chain(setting.aliases.iter().copied()));
    let known = known.filter(|known| ours.is_some() || !known.starts_with(APPLICATION_PREFIX));
    let near = known.map(|known| (far(known), known)).filter(|&(far, known)| far <= 2 && far * 2 < known.len());
    near.min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variables_are_told() {
        let names = [
            "BELLWETHER_VOLUM",
            "BELLWETHER_PLAN_FILE",
            "BELLWETHER_STEP_STALE_SECS",
            "BELLWETHER_FROBNICATE",
            "BELLWETHER_EPOCH",
            "BELLWETHER_VOLUME",
            "BELWETHER_VOLUME",
            "STEP_STALE_SEC",
            "STEP_TIMOUT_SECS",
            "IS_LEADR",
            "SITES_DIR",
            "PATH",
            "HOME",
            "REDIS_QUEUE",
            "REDIS_QUEUE_FILE",
            "REDIS_PORT",
            "REDIS_PASSWD",
            "BELLWETHER_REDIS_ULR",
            "BELLWETHER_REDIS_QUEUE",
            "BELLWETHER_REDIS_URL_FILE",
            "LOCK_REDIS_HSOT",
            "LOCK_REDIS_DB",
            "LOCK_REDIS_PASS_FILE",
            "LOCK_REDIS_HOST_FILE",
            "LOCK_REDIS_SERVICE_PORT",
            "LOCK_REDIS_PORT_6379_TCP",
            "LOCK_RENEW_TTL_SEC",
        ];
        let env: Env = names.iter().map(|&name| (name, "hunter2")).collect();
        let told: Vec<String> = notices(&env, &[]).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        BELLWETHER_FROBNICATE: unknown setting
        BELLWETHER_PLAN_FILE: unknown setting; did you mean BELLWETHER_PLAN?
        BELLWETHER_REDIS_QUEUE: unknown setting; did you mean REDIS_QUEUE?
        BELLWETHER_REDIS_ULR: unknown setting; did you mean BELLWETHER_REDIS_URL?
        BELLWETHER_STEP_STALE_SECS: unknown setting; did you mean STEP_STALE_SECS?
        BELLWETHER_VOLUM: unknown setting; did you mean BELLWETHER_VOLUME?
        BELWETHER_VOLUME: unknown setting; did you mean BELLWETHER_VOLUME?
        IS_LEADR: unknown setting; did you mean IS_LEADER?
        LOCK_REDIS_DB: unknown setting
        LOCK_REDIS_HOST_FILE: unknown setting
        LOCK_REDIS_HSOT: unknown setting; did you mean LOCK_REDIS_HOST?
        LOCK_RENEW_TTL_SEC: unknown setting; did you mean LOCK_RENEW_TTL_SECS?
        STEP_STALE_SEC: unknown setting; did you mean STEP_STALE_SECS?
        STEP_TIMOUT_SECS: unknown setting; did you mean STEP_TIMEOUT_SECS?
        ");
    }
}
