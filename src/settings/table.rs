//! Every setting in one table. Flags, `--help`, the README and all look-ups are made of it.

/// What a setting is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The environment variable.
    pub variable: &'static str,
    /// Its flag, without the hyphens in front. `None` for passwords, which no flag may hold, and for what stands in for
    /// a setting that has one.
    pub flag: Option<&'static str>,
    /// Other variables that mean the same. Those that are set must agree.
    pub aliases: &'static [&'static str],
    /// What holds when nothing is set.
    pub default: Fallback,
    /// What `--help` calls the value.
    pub value_name: &'static str,
    /// Whether its value must not be seen by anybody.
    pub secret: bool,
    /// Whether it may also come from a file, named by `<variable>_FILE`.
    pub file: bool,
    /// One line for `--help` and the README.
    pub help: &'static str,
}

/// What holds when a setting is not given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// Nothing: it must be given.
    Required,
    /// Nothing: it may be left out.
    Unset,
    /// This value.
    Value(&'static str),
}

/// A variable that is read by nothing, and what to say about it when it is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Retired {
    pub(super) variable: &'static str,
    pub(super) text: &'static str,
}

const fn setting(
    variable: &'static str,
    flag: &'static str,
    value_name: &'static str,
    default: Fallback,
    help: &'static str,
) -> Setting {
    Setting { variable, flag: Some(flag), aliases: &[], default, value_name, secret: false, file: false, help }
}

/// One that is a variable alone: what it says can be said by a flag of another one.
const fn variable(variable: &'static str, default: Fallback, help: &'static str) -> Setting {
    Setting { flag: None, ..setting(variable, "", "", default, help) }
}

/// The names of the settings, to look values up without misspelling them.
pub(super) mod names {
    pub(in crate::settings) const REV: &str = "IMAGE_REV";
    pub(in crate::settings) const PLAN: &str = "BELLWETHER_PLAN";
    pub(in crate::settings) const PRESET: &str = "BELLWETHER_PRESET";
    pub(in crate::settings) const VOLUME: &str = "BELLWETHER_VOLUME";
    pub(in crate::settings) const VOLUME_ALIASES: &[&str] = &["SITES_DIR"];
    pub(in crate::settings) const REDIS_URL: &str = "BELLWETHER_REDIS_URL";
    pub(in crate::settings) const LOCK_HOST: &str = "LOCK_REDIS_HOST";
    pub(in crate::settings) const LOCK_PORT: &str = "LOCK_REDIS_PORT";
    pub(in crate::settings) const LOCK_PASS: &str = "LOCK_REDIS_PASS";
    pub(in crate::settings) const REDIS_HOST: &str = "REDIS_HOST";
    pub(in crate::settings) const QUEUE_PORT: &str = "REDIS_QUEUE_PORT";
    pub(in crate::settings) const REDIS_PASS: &str = "REDIS_PASS";
    pub(in crate::settings) const QUEUE: &str = "REDIS_QUEUE";
    pub(in crate::settings) const TTL: &str = "LOCK_RENEW_TTL_SECS";
    pub(in crate::settings) const HEARTBEAT: &str = "LOCK_HEARTBEAT_SECS";
    pub(in crate::settings) const REDIS_WAIT: &str = "BELLWETHER_REDIS_WAIT_SECS";
    pub(in crate::settings) const SCOPE: &str = "BELLWETHER_SCOPE";
    pub(in crate::settings) const STALE: &str = "STEP_STALE_SECS";
    pub(in crate::settings) const TIMEOUT: &str = "STEP_TIMEOUT_SECS";
    pub(in crate::settings) const ATTEMPTS: &str = "STEP_MAX_ATTEMPTS";
    pub(in crate::settings) const BACKOFF: &str = "BELLWETHER_BACKOFF_SECS";
    pub(in crate::settings) const GRACE: &str = "BELLWETHER_STOP_GRACE_SECS";
    pub(in crate::settings) const READY_TIMEOUT: &str = "BELLWETHER_READY_TIMEOUT_SECS";
    pub(in crate::settings) const NEEDS_WAIT: &str = "BELLWETHER_NEEDS_WAIT_SECS";
    pub(in crate::settings) const IS_LEADER: &str = "IS_LEADER";
    pub(in crate::settings) const LOCKS: &str = "BELLWETHER_VOLUME_LOCKS";
    pub(in crate::settings) const ON_FAILURE: &str = "BELLWETHER_ON_FAILURE";
    pub(in crate::settings) const ON_DOWNGRADE: &str = "BELLWETHER_ON_DOWNGRADE";
    pub(in crate::settings) const ROLLBACK: &str = "BELLWETHER_ALLOW_ROLLBACK";
    pub(in crate::settings) const LOG: &str = "BELLWETHER_LOG";
    pub(in crate::settings) const LOG_FORMAT: &str = "BELLWETHER_LOG_FORMAT";
}
use self::Fallback::{Required, Unset, Value};
use names as n;

/// The settings of this version, in the order in which `--help` shows them.
pub static SETTINGS: &[Setting] = &[
    setting(n::REV, "rev", "REV", Required, "the revision that is being rolled out"),
    setting(n::PLAN, "plan", "FILE", Unset, "the plan: a JSON file with the steps; this or a preset is required"),
    setting(n::PRESET, "preset", "NAME", Unset, "a ready-made plan, to which the steps of a plan file are added"),
    Setting {
        aliases: n::VOLUME_ALIASES,
        ..setting(n::VOLUME, "volume", "DIR", Required, "the directory that all replicas share")
    },
    Setting {
        file: true,
        ..setting(n::REDIS_URL, "redis-url", "URL", Unset, "the Redis of the lease; none: the guard alone elects")
    },
    variable(n::LOCK_HOST, Unset, "the host of the lease's Redis, if there is no URL"),
    variable(n::LOCK_PORT, Value("6379"), "the port of LOCK_REDIS_HOST"),
    Setting { secret: true, file: true, ..variable(n::LOCK_PASS, Unset, "the password of LOCK_REDIS_HOST") },
    variable(
        n::REDIS_HOST,
        Unset,
        "the application's Redis, with REDIS_QUEUE_PORT; used if there is no LOCK_REDIS_HOST",
    ),
    variable(n::QUEUE_PORT, Unset, "the port of its queue, with REDIS_HOST"),
    Setting { secret: true, file: true, ..variable(n::REDIS_PASS, Unset, "the password of REDIS_HOST") },
    Setting {
        file: true,
        ..variable(n::QUEUE, Unset, "the application's queue, host:port or URL; used if there is no REDIS_QUEUE_PORT")
    },
    setting(n::STALE, "step-stale-secs", "SECS", Value("120"), "silence after which a step counts as abandoned"),
    setting(
        n::TIMEOUT,
        "step-timeout-secs",
        "SECS",
        Value("0"),
        "longest time one run of a step may take; 0: for ever",
    ),
    setting(n::ATTEMPTS, "step-max-attempts", "N", Value("3"), "runs that may end badly before a step has failed"),
    setting(
        n::BACKOFF,
        "backoff-secs",
        "SECS",
        Value("10"),
        "pause before the second attempt; doubles up to 5 minutes",
    ),
    setting(
        n::GRACE,
        "stop-grace-secs",
        "SECS",
        Unset,
        "time between TERM and KILL when a step is stopped; unset: 5, or as much of it as the lease allows",
    ),
    setting(n::READY_TIMEOUT, "ready-timeout-secs", "SECS", Value("0"), "a follower gives up after this; 0: never"),
    setting(n::NEEDS_WAIT, "needs-wait-secs", "SECS", Value("300"), "longest wait for the plan's `needs`; 0: for ever"),
    setting(n::IS_LEADER, "is-leader", "0|1", Value("1"), "anything but 1: this replica never leads"),
    setting(
        n::LOCKS,
        "volume-locks",
        "auto|trusted|untrusted",
        Value("auto"),
        "whether locks on the volume hold between replicas",
    ),
    setting(
        n::TTL,
        "lock-renew-ttl-secs",
        "SECS",
        Unset,
        "how long a lease lasts without renewal; unset: 30, or what STEP_STALE_SECS and the grace ask for",
    ),
    setting(n::HEARTBEAT, "lock-heartbeat-secs", "SECS", Unset, "time between renewals; unset: a sixth of the lease"),
    setting(
        n::REDIS_WAIT,
        "redis-wait-secs",
        "SECS",
        Value("120"),
        "longest wait for a Redis that cannot be reached while nobody is at work; 0: for ever",
    ),
    setting(n::SCOPE, "scope", "NAME", Unset, "what is elected for, in the keys of Redis; unset: the volume's own id"),
    setting(n::ON_FAILURE, "on-failure", "exit|hold", Value("exit"), "what to do when a step has failed for good"),
    setting(
        n::ON_DOWNGRADE,
        "on-downgrade",
        "warn|refuse",
        Value("warn"),
        "what to do when a newer revision has been rolled out",
    ),
    setting(n::ROLLBACK, "allow-rollback", "0|1", Value("0"), "1: an older revision may lead again"),
    setting(n::LOG, "log", "LEVEL", Value("info"), "off, error, warn, info, debug or trace"),
    setting(n::LOG_FORMAT, "log-format", "text|json", Value("text"), "how log lines are written to stderr"),
];

/// A table of settings as the README shows it, in Markdown. Without flags, it has no column for them.
pub fn markdown(settings: &[Setting]) -> String {
    let has_flags = settings.iter().any(|setting| setting.flag.is_some());
    let row = |cells: [&str; 4]| match cells {
        [name, flag, default, help] if has_flags => format!("| {name} | {flag} | {default} | {help} |"),
        [name, _, default, help] => format!("| {name} | {default} | {help} |"),
    };
    let line = |setting: &Setting| {
        let flag = setting.flag.map_or_else(String::new, |flag| format!("`--{flag}`"));
        let default = match setting.default {
            Required => "required".to_owned(),
            Unset => String::new(),
            Value(value) => format!("`{value}`"),
        };
        row([&names_of(setting), &flag, &default, setting.help])
    };
    let rule = if has_flags { "|---|---|---|---|" } else { "|---|---|---|" };
    let head = [row(["variable", "flag", "default", "meaning"]), rule.to_owned()];
    let lines: Vec<String> = head.into_iter().chain(settings.iter().map(line)).collect();
    lines.join("\n") + "\n"
}

/// Its variable, and in brackets every other one that says the same.
fn names_of(setting: &Setting) -> String {
    let names = std::iter::once(setting.variable).chain(setting.aliases.iter().copied());
    let files = names.clone().filter(|_| setting.file).map(|name| format!("{name}_FILE"));
    let mut all = names.map(str::to_owned).chain(files).map(|name| format!("`{name}`"));
    let first = all.next().unwrap_or_default();
    let others: Vec<String> = all.collect();
    if others.is_empty() { first } else { format!("{first} ({})", others.join(", ")) }
}

/// The setting of that variable, which must be one of [`names`].
pub(super) fn find(variable: &str) -> &'static Setting {
    let setting = SETTINGS.iter().find(|setting| setting.variable == variable);
    setting.expect("every name has a line in the table")
}

/// Variables that every step sees. We set them ourselves, so they are no misspelt settings.
pub const STEP_VARIABLES: &[&str] = &[
    "BELLWETHER_REV",
    "BELLWETHER_STEP",
    "BELLWETHER_EPOCH",
    "BELLWETHER_ATTEMPT",
    "BELLWETHER_VOLUME",
    "BELLWETHER_RECORD",
];

/// Accepted, ignored, noticed once.
pub(super) static RETIRED: &[Retired] = &[
    Retired {
        variable: "FOLLOWER_WAIT_SECS",
        text: "is ignored: a follower waits for the ready marker; BELLWETHER_READY_TIMEOUT_SECS limits that",
    },
    Retired {
        variable: "LEADER_ELECTION_TIMEOUT",
        text: "is ignored: an election has no time limit; BELLWETHER_READY_TIMEOUT_SECS limits the whole wait",
    },
    Retired {
        variable: "MIGRATION_LOCK_TIMEOUT",
        text: "is ignored: STEP_STALE_SECS says when an abandoned step is taken over",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_its_variable_without_our_prefix() {
        for setting in SETTINGS {
            let short = setting.variable.strip_prefix("BELLWETHER_").unwrap_or(setting.variable);
            let derived =
                if setting.variable == "IMAGE_REV" { "rev".into() } else { short.to_lowercase().replace('_', "-") };
            assert_eq!(setting.flag.unwrap_or(&derived), derived, "{}", setting.variable);
            assert!(setting.flag.is_none() || !setting.secret, "{}", setting.variable);
            assert!(setting.help.chars().next().is_some_and(char::is_lowercase) || setting.help.starts_with('1'));
        }
    }

    #[test]
    fn only_what_stands_in_for_the_url_of_redis_has_no_flag() {
        let flagless = SETTINGS.iter().filter(|setting| setting.flag.is_none()).map(|setting| setting.variable);
        let stand_ins =
            [n::LOCK_HOST, n::LOCK_PORT, n::LOCK_PASS, n::REDIS_HOST, n::QUEUE_PORT, n::REDIS_PASS, n::QUEUE];
        assert_eq!(flagless.collect::<Vec<_>>(), stand_ins);
    }

    #[test]
    fn the_readme_shows_every_setting() {
        let text = markdown(SETTINGS);
        assert_eq!(text.lines().count(), SETTINGS.len() + 2);
        insta::assert_snapshot!(text.lines().nth(5).unwrap(), @"| `BELLWETHER_VOLUME` (`SITES_DIR`) | `--volume` | required | the directory that all replicas share |");
        insta::assert_snapshot!(text.lines().nth(9).unwrap(), @"| `LOCK_REDIS_PASS` (`LOCK_REDIS_PASS_FILE`) |  |  | the password of LOCK_REDIS_HOST |");
    }

    #[test]
    fn no_name_is_used_twice() {
        let aliases = SETTINGS.iter().flat_map(|setting| setting.aliases).copied();
        let gone = RETIRED.iter().map(|retired| retired.variable);
        let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.variable).chain(aliases).chain(gone).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
